"""The boxes of a study's liquids: what is known of them before they are built."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ase.units import kg

from ionmelt.errors import UserError
from ionmelt.liquid.ions import LibraryIon, resolve
from ionmelt.liquid.settings import BoxIon, IonSmiles, Liquid
from ionmelt.study.reading import Problems
from ionmelt.topology import Ion as ResolvedIon

EQUILIBRATION_TIMESTEP_FS, XTB_TIMESTEP_FS = 2.0, 1.0  # what auto means; with xtb no bond is held fixed: no longer step


@dataclass
class Box:
    """What is known of a liquid's box before it is built."""

    ions: tuple[BoxIon, ...]
    atoms: int
    mass_u: float
    charge: int
    untyped: list[str]
    edge_A: float | None
    elements: frozenset[str]

    @property
    def pairs(self) -> float:
        """The number of ion pairs, half the number of ions."""
        return sum(ion.count for ion in self.ions) / 2

    @property
    def counts(self) -> dict[str, int]:
        """The number of each ion, by its name."""
        return {ion.name: ion.count for ion in self.ions}


def describe_box(
    liquid: Liquid, loc: tuple[Any, ...], library: Mapping[str, LibraryIon], problems: Problems
) -> Box | None:
    """Return what a liquid's composition says about its box, or None where an ion is wrong; `library`: the ions of assets/ions."""
    given = liquid.ions or {}
    pairs = [resolved_ion(name, ion, (*loc, "ions", name), library, problems) for name, ion in given.items()]
    ions = [pair[0] for pair in pairs if pair is not None]
    resolved = [pair[1] for pair in pairs if pair is not None]
    if not ions or len(ions) < len(pairs):
        return None
    mass = sum(sum(ion["masses_u"]) * ion["count"] for ion in resolved)
    return Box(
        ions=tuple(ions),
        atoms=sum(len(ion["elements"]) * ion["count"] for ion in resolved),
        mass_u=mass,
        charge=sum(ion.charge * ion.count for ion in ions),
        untyped=[ion["name"] for ion in resolved if ion["types"] is None],
        edge_A=edge_A(mass, liquid.density_guess_kg_m3),
        elements=frozenset().union(*(ion["elements"] for ion in resolved)),
    )


def edge_A(mass_u: float, density_kg_m3: float | None) -> float | None:
    """Return the edge of a cubic box of some density; None where the density is wrong."""
    return (mass_u * 1e30 / kg / density_kg_m3) ** (1 / 3) if density_kg_m3 else None


def resolved_ion(
    name: str, given: int | IonSmiles, loc: tuple[Any, ...], library: Mapping[str, LibraryIon], problems: Problems
) -> tuple[BoxIon, ResolvedIon] | None:
    """Return an ion as the plan holds it and with its atoms; None where it is wrong, which is noted."""
    if isinstance(given, IonSmiles):
        smiles, number, types, hydrogen_types = given.smiles, given.count, None, None
    elif name in library:
        typed = library[name]
        smiles, number, types, hydrogen_types = typed["smiles"], given, typed["types"], typed["hydrogen_types"]
    else:
        names = ", ".join(sorted(library))
        text = f"unknown ion {name!r}; known: {names}; or give {{smiles: ..., count: {given}}}"
        problems.add(loc, text)
        return None
    fields = {"name": name, "smiles": smiles, "count": number, "types": types, "hydrogen_types": hydrogen_types}
    try:
        resolved = resolve(fields, library)
    except UserError as error:
        problems.add(loc, "; ".join(error.errors).removeprefix("ions: "))
        return None
    return BoxIon.model_validate(fields | {"charge": resolved["charge"]}), resolved


def neutral_fix(box: Box) -> str:
    """Return counts that would make a box neutral, in words."""
    positive = [ion for ion in box.ions if ion.charge > 0]
    negative = [ion for ion in box.ions if ion.charge < 0]
    few = negative if box.charge > 0 else positive
    if not few:
        return "add an ion of the opposite charge"
    ion = few[0]
    more, left = divmod(abs(box.charge), abs(ion.charge))
    if left:
        return "change the counts until they sum to 0"
    return f"{ion.count + more} of {ion.name} would make it neutral"


def equilibration_step_fs(timestep_fs: Any, force_field: Any) -> float:
    """Return the time step of a liquid's equilibration: the given one, or what auto means."""
    if timestep_fs != "auto":
        return float(timestep_fs)
    return XTB_TIMESTEP_FS if force_field == "xtb" else EQUILIBRATION_TIMESTEP_FS


def repeated(values: list[Any]) -> list[Any]:
    """Return the values that occur more than once."""
    return [value for value, times in Counter(values).items() if times > 1]
