"""The boxes of a study's liquids: what is known of them before they are built."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ase.units import kg

from ionmelt.errors import UserError
from ionmelt.files import sha256
from ionmelt.liquid.ions import resolve
from ionmelt.mistakes import brief
from ionmelt.study.places import Places, missing_file
from ionmelt.study.reading import Draft, Problems

CUTOFF_MAX_A = 9.0
CUTOFF_FRACTION = 0.42  # of the box edge: room for the barostat below half of it
CUTOFF_LIMIT = 0.48  # nearer to half the edge, a barostat that shrinks the box stops the run
CUTOFF_LEAST_A = 3.0
EQUILIBRATION_TIMESTEP_FS, XTB_TIMESTEP_FS = 2.0, 1.0  # what auto means; with xtb no bond is held fixed: no longer step


# --- The liquids ---------------------------------------------------------------------------------------


@dataclass
class Box:
    """What is known of a liquid's box before it is built."""

    ions: list[dict[str, Any]]  # as in boxes/KEY.json
    atoms: int
    mass_u: float
    charge: int
    untyped: list[str]
    edge_A: float | None
    elements: frozenset[str]

    @property
    def pairs(self) -> float:
        """Return the number of ion pairs, half the number of ions."""
        return sum(ion["count"] for ion in self.ions) / 2


def describe_box(
    liquid: Mapping[str, Any], loc: tuple[Any, ...], known: dict[str, Any], problems: Problems
) -> Box | None:
    """Return what a liquid's composition says about its box, or None where an ion is wrong."""
    ions, resolved, whole = [], [], True
    for name, given in (liquid.get("ions") or {}).items():
        if isinstance(given, int):
            if name not in known:
                names = ", ".join(sorted(known))
                problems.add(
                    (*loc, "ions", name),
                    f"unknown ion {name!r}; known: {names}; or give {{smiles: ..., count: {given}}}",
                )
                whole = False
                continue
            entry = {key: known[name][key] for key in ("smiles", "types", "hydrogen_types")} | {"count": given}
        else:
            entry = {"smiles": given.smiles, "types": None, "hydrogen_types": None, "count": given.count}
        try:
            found = resolve({"name": name, **entry}, known)
        except UserError as error:
            problems.add((*loc, "ions", name), "; ".join(error.errors).removeprefix("ions: "))
            whole = False
            continue
        resolved.append(found)
        ions.append(
            {
                "name": name,
                "smiles": entry["smiles"],
                "charge": found["charge"],
                "count": entry["count"],
                "types": entry["types"],
                "hydrogen_types": entry["hydrogen_types"],
            }
        )
    if not whole or not ions:
        return None
    mass = sum(sum(ion["masses_u"]) * ion["count"] for ion in resolved)
    density = liquid.get("density_guess_kg_m3")
    return Box(
        ions=ions,
        atoms=sum(len(ion["elements"]) * ion["count"] for ion in resolved),
        mass_u=mass,
        charge=sum(ion["charge"] * ion["count"] for ion in resolved),
        untyped=[ion["name"] for ion in resolved if ion["types"] is None],
        edge_A=(mass * 1e30 / kg / density) ** (1 / 3) if density else None,
        elements=frozenset(symbol for ion in resolved for symbol in ion["elements"]),
    )


def neutral_fix(box: Box) -> str:
    """Return counts that would make a box neutral, in words."""
    positive = [ion for ion in box.ions if ion["charge"] > 0]
    negative = [ion for ion in box.ions if ion["charge"] < 0]
    few = negative if box.charge > 0 else positive
    if not few:
        return "add an ion of the opposite charge"
    ion = few[0]
    more, left = divmod(abs(box.charge), abs(ion["charge"]))
    if left:
        return "change the counts until they sum to 0"
    return f"{ion['count'] + more} of {ion['name']} would make it neutral"


def chosen_cutoff_A(cutoff: Any, edge_A: float) -> float:
    """Return the classical cut-off in a box: the given one, or what auto means."""
    return round(min(CUTOFF_MAX_A, CUTOFF_FRACTION * edge_A), 3) if cutoff == "auto" else float(cutoff)


def equilibration_step_fs(timestep_fs: Any, force_field: Any) -> float:
    """Return the time step of a liquid's equilibration: the given one, or what auto means."""
    if timestep_fs != "auto":
        return float(timestep_fs)
    return XTB_TIMESTEP_FS if force_field == "xtb" else EQUILIBRATION_TIMESTEP_FS


def check_liquids(
    draft: Draft, raw: Mapping[str, Any], known: dict[str, Any], places: Places, problems: Problems
) -> dict[int, Box]:
    """Judge each liquid by itself; return what is known of the boxes, by the liquid's place in the file."""
    boxes = {}
    cutoff = draft.get("equilibration", "cutoff_A")
    for index, liquid in draft.liquids.items():
        loc = ("liquids", index)
        written = [f"{kelvin:g}" for kelvin in liquid.get("temperatures_K") or ()]
        for text in repeated(written):
            problems.add((*loc, "temperatures_K"), f"{text} is given twice")
        force_field = liquid.get("force_field")
        if force_field and force_field not in ("clandp", "xtb"):
            if not force_field.endswith(".xml"):
                problems.add(
                    (*loc, "force_field"),
                    f"{brief(force_field)}: give clandp, xtb or the path of a .xml file",
                )
            elif wrong := missing_file(places, force_field):
                problems.add((*loc, "force_field"), wrong)
        check_force_field_sha256(loc, liquid, places, problems)
        box = describe_box(liquid, loc, known, problems)
        if box is None or len(box.ions) != len(raw["liquids"][index]["ions"]):
            continue  # an ion that is wrong is said already, and makes every sum meaningless
        boxes[index] = box
        if box.charge:
            parts = ", ".join(f"{ion['count']} x {ion['name']} {ion['charge']:+d}" for ion in box.ions)
            problems.add((*loc, "ions"), f"the charges sum to {box.charge:+d} ({parts}); {neutral_fix(box)}")
        if force_field == "clandp" and box.untyped:
            problems.add(
                (*loc, "force_field"),
                f"clandp has no types for {', '.join(box.untyped)}: give the path of an OpenMM force-field "
                "XML file that has them, or xtb",
            )
        step = draft.get("equilibration", "timestep_fs")
        if force_field == "xtb" and step not in (None, "auto") and step > XTB_TIMESTEP_FS:
            problems.add(
                ("equilibration", "timestep_fs"),
                f"{step:g} fs is too long for liquids[{index}], whose force_field is xtb: its bonds to hydrogen are not held "
                f"fixed; give {XTB_TIMESTEP_FS:g} or less, or auto",
            )
        if force_field == "xtb" or box.edge_A is None or cutoff is None:
            continue
        density = liquid["density_guess_kg_m3"]
        size = f"{box.atoms} atoms make a box of about {box.edge_A:.1f} A at {density:g} kg/m3"
        radius = chosen_cutoff_A(cutoff, box.edge_A)
        if radius < CUTOFF_LEAST_A:
            problems.add((*loc, "ions"), f"{size}: too small for a classical cut-off of 3 A; give more ions")
        elif radius > CUTOFF_LIMIT * box.edge_A:
            problems.add(
                (*loc, "ions"),
                f"{size}: too small for equilibration.cutoff_A {radius:g}, which needs "
                f"{radius / CUTOFF_LIMIT:.1f} A; give more ions, or cutoff_A auto",
            )
    return boxes


def check_force_field_sha256(
    loc: tuple[str, int], liquid: Mapping[str, Any], places: Places, problems: Problems
) -> None:
    """Hold the user's own force field, where it can be opened from here, to the sha256 that the study gives."""
    wanted, force_field = liquid.get("force_field_sha256"), liquid.get("force_field")
    if wanted is None or force_field is None:
        return
    if force_field in ("clandp", "xtb"):
        problems.add(
            (*loc, "force_field_sha256"), f"is of a file of your own, and force_field is {force_field}: leave it out"
        )
    elif (path := places.path(force_field)) is not None and path.is_file() and (content := sha256(path)) != wanted:
        problems.add((*loc, "force_field_sha256"), f"{force_field} has sha256 {content}, not this one")


# --- The rest of the study -----------------------------------------------------------------------------


def repeated(values: list[Any]) -> list[Any]:
    """Return the values that occur more than once."""
    return [value for value, times in Counter(values).items() if times > 1]
