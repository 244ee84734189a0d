"""What a reader of the results must know beforehand: the warnings of a plan."""

from collections.abc import Mapping, Sequence
from math import ceil, inf, sqrt
from typing import Any

from ionmelt.dynamics import trajectory
from ionmelt.dynamics.engines import integrating_engine
from ionmelt.dynamics.settings import Md
from ionmelt.labels.engines.settings import DftLabels, ModelLabels
from ionmelt.lengths import DENSITY_PS, DIFFUSION_PS
from ionmelt.liquid import sage, universal
from ionmelt.liquid.ions import open_shell
from ionmelt.liquid.relaxed import CHARGES
from ionmelt.mistakes import listed, path_text
from ionmelt.study.boxes import Box, size_field
from ionmelt.study.estimate import core_hours
from ionmelt.study.idle import Add, warn_of_idle
from ionmelt.study.interpolation import references_of
from ionmelt.study.keys import levels
from ionmelt.study.melting import Melting
from ionmelt.study.references import (
    SAME_COMPOSITION,
    SAME_TEMPERATURE_K,
    Composition,
    Reference,
    apart,
    at_pressure,
    composition,
    proportions,
)
from ionmelt.study.schema import Study
from ionmelt.study.workload import melt_core_s, melt_steps
from ionmelt.theory import two_levels

# What makes warnings.
ABOVE_MELTING_K = 5.0  # what melting points of different sources, and of wet samples, differ by
ATMOSPHERE_BAR = 1.01325  # of the boiling points
ZERO_CELSIUS_K = 273.15
COLD_K = 180.0  # below it hardly any electrolyte is a liquid; 100 to 180 degC are usual
ANNEAL_ABOVE_K = 150.0  # of the liquid's own temperature: hot enough to mix in some ten picoseconds
LIQUID_MOLECULES = 20  # ions count as molecules: ten pairs
DIFFUSION_MOLECULES = 160
FEW_OF_A_KIND = 4  # fewer say of themselves how they move, not of their kind
HYDROGEN_TIMESTEP_FS, HYDROGEN_U = 1.0, 1.008
# A fraction that was written for a percentage: the density to 1 kg/m3 is 0.1 %, what moves is never known to 1 %.
LEAST_MARGIN_PERCENT, OTHER_LEAST_MARGIN_PERCENT = {"density_percent": 0.05}, 1.0
TRUTH_BOXES = 3  # least: the mean of two has an interval of 12.7 of its standard errors, of three 4.3


def warn(
    study: Study, boxes: dict[int, Box], references: Sequence[Reference], melting: Mapping[Composition, Melting]
) -> list[str]:
    """Return what a reader of the results must know beforehand, one line each."""
    lines: list[str] = []

    def add(loc: tuple[Any, ...], text: str) -> None:
        lines.append(f"{path_text(loc)}: {text}")

    warn_of_labels(study, add)
    warn_of_models(study, add)
    for index, box in boxes.items():
        warn_of_melt(study, index, box, add)
        warn_of_force_field(index, box, add)
        warn_of_shells(study, index, box, add)
        warn_of_temperatures(study, index, add)
        warn_of_melting(study, index, box, melting, add)
        warn_of_size(study, index, box, add)
        warn_of_molarity(study, index, add)
        warn_of_references(study, index, box, references, add)
    warn_of_trajectories(study, boxes, add)
    warn_of_step(study, boxes, add)
    warn_of_dynamics(study, add)
    warn_of_idle(study, add)
    return lines


def warn_of_labels(study: Study, add: Add) -> None:
    """Say what labels of such a level are not."""
    engine, labels = study.label_engine, study.labels
    if engine is not None and engine.warning:
        add(("labels", "engine"), f"{engine.name}: {engine.warning}")
    if isinstance(labels, DftLabels) and labels.theory and labels.theory != labels.level:
        add(("labels", "theory"), f"{labels.theory} with what is given beside it is {labels.level}")
    if isinstance(labels, DftLabels) and labels.dispersion == "none":
        add(
            ("labels", "dispersion"),
            "none: without a dispersion correction the density of a liquid is far too low",
        )
    if isinstance(labels, ModelLabels) and not any(map(study.runs, study.truths)):
        teacher = f"{{id: teacher, framework: named, model: {labels.model}}} to models"
        how = f"{study.truths[0]} to md.models" if study.truths else teacher
        text = (
            f"{labels.model} runs no dynamics: no model is held against it, in its properties or its speed: add {how}"
        )
        add(("labels", "model"), text)


def warn_of_models(study: Study, add: Add) -> None:
    """Say which models imitate another level of theory than that of the labels."""
    for index, model in enumerate(study.models):
        of_model = levels(study, model)
        if of_model.theory and of_model.labels_theory and not of_model.same_theory:
            text = two_levels({model.id: of_model.theory}, of_model.labels_theory)
            add(("models", index, "theory"), text)


def warn_of_melt(study: Study, index: int, box: Box, add: Add) -> None:
    """Say what the equilibration of a liquid by xtb takes, and which setting it does not use."""
    liquid, loc = study.liquids[index], ("liquids", index)
    if liquid.force_field == "xtb":
        steps, hours = melt_steps(study, liquid), core_hours(melt_core_s(study, liquid, box))
        text = f"xtb: the equilibration of each box is {steps:.0f} steps of GFN1-xTB on one core, about {hours:g} core-hours"
        add((*loc, "force_field"), text)
        if study.equilibration.cutoff_A != "auto":
            add(("equilibration", "cutoff_A"), f"is not used for {liquid.id}, whose force_field is xtb")


def warn_of_force_field(index: int, box: Box, add: Add) -> None:
    """Say which ions and molecules have a force field that was not made for a liquid of them."""
    universal_ones = [name for name, source in box.sources.items() if source == universal.SOURCE]
    charged = {ion.name for ion in box.ions if ion.charge}
    of_sage = [name for name in box.sources if name in charged and box.sources[name].startswith(sage.NAME)]
    fitted = [name for name, source in box.sources.items() if name not in charged and source == sage.source_of(None)]
    loc = ("liquids", index, "force_field")
    if fitted:
        add(
            loc,
            f"{', '.join(fitted)}: charges {CHARGES}, not those that OpenFF Sage was fitted with: docs/force_fields.md has what was seen",
        )
    if universal_ones:
        add(loc, f"{', '.join(universal_ones)}: UFF was made for structures, not for liquids: a start only")
    if of_sage:
        add(loc, f"{', '.join(of_sage)}: OpenFF Sage was fitted to neutral liquids: densities of ions may be 10 % off")


def warn_of_shells(study: Study, index: int, box: Box, add: Add) -> None:
    """Say which ions may have unpaired electrons, where labels are of closed shells."""
    if not isinstance(study.labels, DftLabels):
        return
    for ion in box.ions:
        if element := open_shell(ion.smiles):
            text = (
                f"{ion.name}: electrons of {element} may be unpaired, and {study.labels.engine} labels closed shells, which is another state "
                "then: bring labels of your own (labels.frames)"
            )
            add(("liquids", index, "ions"), text)


def warn_of_temperatures(study: Study, index: int, add: Add) -> None:
    """Say where a temperature is one that hardly any liquid has, as 120 degC written for kelvin, and an annealing that is not above it."""
    liquid, anneal_K = study.liquids[index], study.equilibration.anneal_K
    for position, kelvin in enumerate(liquid.temperatures_K):
        if kelvin < COLD_K:
            text = f"{kelvin:g} K is {kelvin - ZERO_CELSIUS_K:g} degC: is it {kelvin:g} degC? give {kelvin + ZERO_CELSIUS_K:g}"
            add(("liquids", index, "temperatures_K", position), text)
    hottest = max(liquid.temperatures_K)
    if study.equilibration.anneal_ps and anneal_K <= hottest:
        text = f"{anneal_K:g} K is not above the {hottest:g} K of {liquid.id}: its hot part mixes nothing; give {hottest + ANNEAL_ABOVE_K:g} or more"
        add(("equilibration", "anneal_K"), text)


def warn_of_melting(study: Study, index: int, box: Box, melting: Mapping[Composition, Melting], add: Add) -> None:
    """Say where a pure liquid is a solid or a gas at its temperature, and of a salt of metals, of which most are solids, if it is not known."""
    liquid, point = study.liquids[index], melting.get(composition(box.library_counts))
    name = box.formula or " ".join(sorted(box.counts))
    for position, kelvin in enumerate(liquid.temperatures_K):
        text = ""
        if point and kelvin < point.high_K + ABOVE_MELTING_K:
            text = f"{name} melts at {point.words}: call it supercooled, or give {point.high_K + ABOVE_MELTING_K:g} K"
        elif point and point.boils_K and kelvin > point.boils_K and liquid.pressure_bar <= ATMOSPHERE_BAR:
            text = f"{name} boils at {point.boils_K:g} K: call it superheated, or give less"
        elif not point and box.formula and box.of_metals and len(box.ions) > 1:
            text = f"no melting point of {name} is known here: see that it is a liquid"
        if text:
            add(("liquids", index, "temperatures_K", position), f"{kelvin:g} K: {text}")


def warn_of_size(study: Study, index: int, box: Box, add: Add) -> None:
    """Say where a box is too small for what is measured."""
    loc = ("liquids", index)
    for field, words in box.taken.items():
        add((*loc, *field), words)
    of_size = (*loc, *size_field(study.liquids[index]))
    name, off = box.farthest or ("", 0.0)
    if abs(off) > SAME_COMPOSITION:
        side = "more" if off > 0 else "less"
        text = f"{name}: the box has {100 * abs(off):.0f} % {side} of it than is asked for: a larger one comes nearer"
        add(of_size, text)
    molecules = sum(ion.count for ion in box.ions)
    if molecules < LIQUID_MOLECULES:
        add(of_size, f"{box.size} are not the liquid: densities and structures depend on the box")
    if study.md.nvt_ps and molecules < DIFFUSION_MOLECULES:
        add(
            of_size,
            f"{box.size}: diffusion is too slow in so small a box; it needs the Yeh-Hummer "
            "correction (finite_size_correction_m2_s)",
        )
    few = [f"{ion.count} {ion.name}" for ion in box.ions if ion.count < FEW_OF_A_KIND]
    if study.md.nvt_ps and few:
        add(
            of_size,
            f"{listed(few)}: diffusion is a mean over those of a kind, and so few leave it wide: give more of them",
        )


def warn_of_molarity(study: Study, index: int, add: Add) -> None:
    """Say where a molarity is of a density that nobody gave: a solution that is lighter holds less solvent than its box."""
    liquid = study.liquids[index]
    if liquid.composition and liquid.composition.molarity and "density_guess_kg_m3" not in liquid.model_fields_set:
        text = f"left out: the molarity is of a solution of {liquid.density_guess_kg_m3:g} kg/m3 then: give its measured density"
        add(("liquids", index, "density_guess_kg_m3"), text)


def warn_of_references(study: Study, index: int, box: Box, references: Sequence[Reference], add: Add) -> None:
    """Say what was measured of another composition than the box's, and at which temperatures no density was.

    There no model can be called right, unless the study has its own truth.
    """
    liquid = study.liquids[index]
    all_rows = references_of(liquid.id, box.library_counts, liquid.temperatures_K, references, box.library_names)
    references = at_pressure(references, liquid.pressure_bar)
    rows = references_of(liquid.id, box.library_counts, liquid.temperatures_K, references, box.library_names)
    used = [
        row for row in rows if row.composition_off and any(of_state(row, kelvin) for kelvin in liquid.temperatures_K)
    ]
    if len(rows) < len(all_rows):
        text = f"{liquid.pressure_bar:g} bar: the measured values of assets/references are at 1 bar: none is held against it"
        add(("liquids", index, "pressure_bar"), text)
    for measured in dict.fromkeys(row.composition for row in used):
        text = f"{off_box(box, measured)}: their uncertainty holds that"
        add(("liquids", index, *size_field(liquid)), f"measured values are of {text}")
    for position, kelvin in enumerate(liquid.temperatures_K) if not study.truths else ():
        if not any(row.property == "density" and of_state(row, kelvin) for row in rows):
            text = f"no reference at {kelvin:g} K for density: models can be told apart, none can be called right"
            text += nearest(box, [row for row in references if row.property == "density" and of_state(row, kelvin)])
            add(("liquids", index, "temperatures_K", position), text)


def of_state(reference: Reference, kelvin: float) -> bool:
    """Tell whether a value was measured at a temperature."""
    return reference.temperature_K is not None and abs(reference.temperature_K - kelvin) <= SAME_TEMPERATURE_K


def off_box(box: Box, liquid: Composition) -> str:
    """Return a liquid that was measured, and how far the box is off it, in words."""
    counts = composition(box.library_counts)
    return f"{proportions(liquid)}, {100 * apart(counts, liquid):.0f} % off the box, {proportions(counts)}"


def nearest(box: Box, references: Sequence[Reference]) -> str:
    """Return the liquid of the same ions that is nearest to the box, to follow a sentence; nothing where there is none."""
    counts = composition(box.library_counts)
    distances = [(apart(counts, row.composition), row.composition, row) for row in references]
    off, liquid, row = min(distances, key=lambda entry: entry[:2], default=(inf, (), None))
    if row is None or off == inf:
        return ""
    return f"; the nearest that was measured, with {row.value:g} {row.unit}, is {off_box(box, liquid)}"


def warn_of_trajectories(study: Study, boxes: dict[int, Box], add: Add) -> None:
    """Say where frames are kept less often than asked for."""
    asked = study.md.save_every_fs != Md.model_fields["save_every_fs"].default
    for index, box in boxes.items() if asked else ():
        size_mb = trajectory.size_mb(1000 * (study.md.npt_ps + study.md.nvt_ps) / study.md.save_every_fs, box.atoms)
        if size_mb > study.md.max_trajectory_mb:
            every_fs = study.md.save_every_fs * ceil(size_mb / study.md.max_trajectory_mb)
            text = f"a run of {study.liquids[index].id} may make {size_mb:.0f} MB of frames, above max_trajectory_mb "
            text += f"{study.md.max_trajectory_mb:g}: they are kept every {every_fs:g} fs"
            add(("md", "save_every_fs"), text)


def warn_of_step(study: Study, boxes: dict[int, Box], add: Add) -> None:
    """Say where a time step is too long for the hydrogen of a liquid, whose bonds only an engine with integrators of its own holds."""
    if all(integrating_engine(model.framework, study.md.engine) for model in study.models if study.runs(model.id)):
        return
    light = [study.liquids[index].id for index, box in boxes.items() if "H" in box.elements]
    # a vibration of bonded hydrogens is slower by the root of their mass
    longest_fs = HYDROGEN_TIMESTEP_FS * sqrt((study.md.hydrogen_mass_u or HYDROGEN_U) / HYDROGEN_U)
    if light and study.md.timestep_fs > longest_fs:
        of = "" if len(light) == len(boxes) else f" of {', '.join(light)}"
        heavy = "" if study.md.hydrogen_mass_u is None else f" of {study.md.hydrogen_mass_u:g} u"
        usual = f"{longest_fs / 2:.2g} fs is usual"
        text = f"{study.md.timestep_fs:g} fs is too long for bonds to hydrogen{heavy}{of}: {usual}"
        add(("md", "timestep_fs"), text)


def warn_of_dynamics(study: Study, add: Add) -> None:
    """Say where a run is too short, or a setting not used."""
    by_openmm = [model.id for model in study.models if model.framework == "classical" and study.md.engine == "openmm"]
    if by_openmm and study.md.barostat_fs != Md.model_fields["barostat_fs"].default:
        text = f"is not used for {', '.join(by_openmm)}: OpenMM's barostat makes Monte Carlo moves and has no time constant"
        add(("md", "barostat_fs"), text)
    if study.md.replicas < TRUTH_BOXES and any(map(study.runs, study.truths)):
        wide = f"the interval of a truth from so few boxes is wide, however long it runs: {TRUTH_BOXES} or more decide more"
        add(("md", "replicas"), f"{study.md.replicas}: {wide}")
    for name, percent in study.margins or ():
        least = LEAST_MARGIN_PERCENT.get(name, OTHER_LEAST_MARGIN_PERCENT)
        if percent is not None and percent < least:
            text = f"{percent:g} % is less than any run can tell: is it {100 * percent:g} %? give {100 * percent:g}"
            add(("margins", name), text)
    if study.md.npt_ps < DENSITY_PS:
        text = f"{study.md.npt_ps:g} ps is too short for a density to converge: give {DENSITY_PS:g} ps or more"
        add(("md", "npt_ps"), text)
    if 0 < study.md.nvt_ps < DIFFUSION_PS:
        text = f"{study.md.nvt_ps:g} ps is too short for diffusion to converge: give {DIFFUSION_PS:g} ps or more"
        add(("md", "nvt_ps"), text)
