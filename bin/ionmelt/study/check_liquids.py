"""What a study says of its liquids, judged: their ions, force fields, temperatures, and whether the boxes are large enough."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ionmelt.errors import UserError
from ionmelt.files import sha256
from ionmelt.liquid import mixed
from ionmelt.liquid.cutoff import CUTOFF_LIMIT, chosen_cutoff_A
from ionmelt.liquid.ions import LibraryIon, resolve
from ionmelt.liquid.settings import BUILT_IN, Equilibration, Liquid
from ionmelt.liquid.xml_force_field import problem_of_xml
from ionmelt.mistakes import brief, did_you_mean
from ionmelt.study.boxes import XTB_TIMESTEP_FS, Box, describe_box, neutral_fix, repeated, size_field
from ionmelt.study.paths import Paths, missing_file
from ionmelt.study.reading import Draft, Problems

CUTOFF_LEAST_A = 3.0


def check_liquids(
    draft: Draft, raw: Mapping[str, Any], library: Mapping[str, LibraryIon], paths: Paths, problems: Problems
) -> dict[int, Box]:
    """Judge each liquid by itself; return what is known of the boxes, by the liquid's place in the file."""
    boxes = {}
    for index, liquid in draft.liquids.items():
        loc = ("liquids", index)
        for text in repeated([f"{kelvin:g}" for kelvin in liquid.temperatures_K or ()]):
            problems.add((*loc, "temperatures_K"), f"{text} is given twice")
        check_force_field(index, liquid.force_field, paths, problems)
        check_force_field_sha256(index, liquid, paths, problems)
        box = describe_box(liquid, loc, library, problems)
        given = raw["liquids"][index]
        if box is None or not (liquid.composition or is_whole(box, given)):
            continue  # an ion that is wrong is said already, and makes every sum meaningless
        boxes[index] = box
        if liquid.force_field == "auto":
            liquid = liquid.model_copy(update={"force_field": "openff" if box.untyped else "clandp"})
            draft.liquids[index] = liquid
        check_ions(index, liquid, box, problems)
        check_coverage(index, liquid, box, library, problems)
        if liquid.force_field == "xtb":
            check_xtb_step(index, draft.study.equilibration, problems)
        else:
            check_size(index, liquid, box, draft.study.equilibration, problems)
    return boxes


def is_whole(box: Box, given: Mapping[str, Any]) -> bool:
    """Tell whether a box has all ions and molecules that a liquid gives: none was left out for a wrong number."""
    return len(box.ions) == sum(len(given.get(kind) or {}) for kind in ("ions", "molecules"))


def check_force_field(index: int, force_field: str | None, paths: Paths, problems: Problems) -> None:
    """Refuse a force field that is none of those that there are, and no file."""
    if not force_field or force_field in BUILT_IN:
        return
    loc = ("liquids", index, "force_field")
    if not force_field.endswith(".xml"):
        like = did_you_mean(force_field, BUILT_IN)
        problems.add(loc, f"{brief(force_field)}: {like}give auto, clandp, openff, xtb or the path of a .xml file")
    elif wrong := missing_file(paths, force_field):
        problems.add(loc, wrong)
    elif (path := paths.path(force_field)) is not None and path.is_file() and (wrong := problem_of_xml(path)):
        problems.add(loc, f"{force_field}: {wrong}")


def check_force_field_sha256(index: int, liquid: Liquid, paths: Paths, problems: Problems) -> None:
    """Hold the user's own force field, where it can be opened from here, to the sha256 that the study gives."""
    wanted, force_field, loc = liquid.force_field_sha256, liquid.force_field, ("liquids", index, "force_field_sha256")
    if wanted is None or force_field is None:
        return
    if force_field in BUILT_IN:
        problems.add(loc, f"is of a file of your own, and force_field is {force_field}: leave it out")
    elif (path := paths.path(force_field)) is not None and path.is_file() and (content := sha256(path)) != wanted:
        problems.add(loc, f"{force_field} has sha256 {content}, not this one")


def check_ions(index: int, liquid: Liquid, box: Box, problems: Problems) -> None:
    """Refuse a box that is not neutral, and ions that the force field has no types for."""
    if box.charge:
        charges = ", ".join(f"{ion.count} x {ion.name} {ion.charge:+d}" for ion in box.ions if ion.charge)
        text = f"the charges sum to {box.charge:+d} ({charges}); {neutral_fix(box)}"
        problems.add(("liquids", index, "ions"), text)


def check_coverage(index: int, liquid: Liquid, box: Box, library: Mapping[str, LibraryIon], problems: Problems) -> None:
    """Refuse ions and molecules that the force field has no parameters for, and a scale of charges where there are none to scale."""
    if liquid.force_field == "clandp" and box.untyped:
        problems.add(
            ("liquids", index, "force_field"),
            f"clandp has no types for {', '.join(box.untyped)}: give openff, the path of an OpenMM force-field "
            "XML file that has them, or xtb",
        )
    if liquid.force_field == "clandp":
        box.sources |= dict.fromkeys(box.counts, mixed.TYPED)
    elif liquid.force_field not in (None, "openff", "xtb"):
        box.sources |= dict.fromkeys(box.counts, Path(str(liquid.force_field)).name)
    if liquid.force_field == "openff":
        for ion in box.ions:
            try:
                box.sources[ion.name] = mixed.source_of(resolve(ion.model_dump(), library), library)
            except UserError as error:
                text = f"{'; '.join(error.errors)}: give the path of an OpenMM force-field XML file that has it, or xtb"
                problems.add(("liquids", index, "force_field"), text)
    if liquid.charge_scale not in (None, 1) and liquid.force_field not in (None, "clandp", "openff"):
        problems.add(("liquids", index, "charge_scale"), f"force_field is {liquid.force_field}: leave it out")


def check_xtb_step(index: int, melt: Equilibration, problems: Problems) -> None:
    """Refuse a time step of the equilibration that is too long for a liquid that xtb equilibrates."""
    step = melt.timestep_fs
    if step is not None and step != "auto" and step > XTB_TIMESTEP_FS:
        problems.add(
            ("equilibration", "timestep_fs"),
            f"{step:g} fs is too long for liquids[{index}], whose force_field is xtb: its bonds to hydrogen are not held "
            f"fixed; give {XTB_TIMESTEP_FS:g} or less, or auto",
        )


def check_size(index: int, liquid: Liquid, box: Box, melt: Equilibration, problems: Problems) -> None:
    """Refuse a box that is too small for the cut-off of the classical force field."""
    if box.edge_A is None or melt.cutoff_A is None:
        return
    density, loc = liquid.density_guess_kg_m3, ("liquids", index, *size_field(liquid))
    size = f"{box.atoms} atoms make a box of about {box.edge_A:.1f} A at {density:g} kg/m3"
    radius = chosen_cutoff_A(melt.cutoff_A, box.edge_A)
    if radius < CUTOFF_LEAST_A:
        problems.add(loc, f"{size}: too small for a classical cut-off of 3 A; give more")
    elif radius > CUTOFF_LIMIT * box.edge_A:
        problems.add(
            loc,
            f"{size}: too small for equilibration.cutoff_A {radius:g}, which needs "
            f"{radius / CUTOFF_LIMIT:.1f} A; give more, or cutoff_A auto",
        )
