"""What a reader of the results must know beforehand: the warnings of a plan."""

from collections.abc import Callable, Mapping, Sequence
from math import ceil, sqrt
from typing import Any

from ionmelt.dynamics import trajectory
from ionmelt.dynamics.settings import Md
from ionmelt.labels.engines.settings import DftLabels
from ionmelt.lengths import DENSITY_PS, DIFFUSION_PS
from ionmelt.liquid import sage, universal
from ionmelt.mistakes import path_text
from ionmelt.study.boxes import Box, size_field
from ionmelt.study.estimate import rounded
from ionmelt.study.interpolation import references_of
from ionmelt.study.keys import levels
from ionmelt.study.melting import Melting
from ionmelt.study.references import SAME_TEMPERATURE_K, Composition, Reference, composition
from ionmelt.study.schema import Study
from ionmelt.study.workload import melt_core_s, melt_steps
from ionmelt.theory import two_levels

# What makes warnings.
ABOVE_MELTING_K = 5.0  # what melting points of different sources, and of wet samples, differ by
LIQUID_MOLECULES = 20  # ions count as molecules: ten pairs
DIFFUSION_MOLECULES = 160
HYDROGEN_TIMESTEP_FS, HYDROGEN_U = 1.0, 1.008


Add = Callable[[tuple[Any, ...], str], None]  # a field and what is said of it


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
        warn_of_melting(study, index, box, melting, add)
        warn_of_size(study, index, box, add)
        warn_of_references(study, index, box, references, add)
    warn_of_trajectories(study, boxes, add)
    warn_of_step(study, boxes, add)
    warn_of_dynamics(study, add)
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


def warn_of_models(study: Study, add: Add) -> None:
    """Say which models imitate another level of theory than that of the labels."""
    for index, model in enumerate(study.models):
        of_model = levels(study, model)
        if of_model.theory and of_model.labels_theory and not of_model.same_theory:
            text = two_levels(model.id, of_model.theory, of_model.labels_theory)
            add(("models", index, "theory"), text)


def warn_of_melt(study: Study, index: int, box: Box, add: Add) -> None:
    """Say what the equilibration of a liquid by xtb takes, and which setting it does not use."""
    liquid, loc = study.liquids[index], ("liquids", index)
    if liquid.force_field == "xtb":
        steps, hours = melt_steps(study, liquid), rounded(melt_core_s(study, liquid, box))
        text = f"xtb: the equilibration of each box is {steps:.0f} steps of GFN1-xTB on one core, about {hours:g} core-hours"
        add((*loc, "force_field"), text)
        if study.equilibration.cutoff_A != "auto":
            add(("equilibration", "cutoff_A"), f"is not used for {liquid.id}, whose force_field is xtb")


def warn_of_force_field(index: int, box: Box, add: Add) -> None:
    """Say which ions and molecules have a force field that was not made for a liquid of them."""
    universal_ones = [name for name, source in box.sources.items() if source == universal.SOURCE]
    charged = {ion.name for ion in box.ions if ion.charge}
    of_sage = [name for name in box.sources if name in charged and box.sources[name].startswith(sage.NAME)]
    loc = ("liquids", index, "force_field")
    if universal_ones:
        add(loc, f"{', '.join(universal_ones)}: UFF was made for structures, not for liquids: a start only")
    if of_sage:
        add(loc, f"{', '.join(of_sage)}: OpenFF Sage was fitted to neutral liquids: densities of ions may be 10 % off")


def warn_of_melting(study: Study, index: int, box: Box, melting: Mapping[Composition, Melting], add: Add) -> None:
    """Say where a salt is a solid at the temperature of its liquid, where its melting point is known."""
    point = melting.get(composition(box.counts))
    for position, kelvin in enumerate(study.liquids[index].temperatures_K):
        if point and kelvin < point.high_K + ABOVE_MELTING_K:
            melts = f"{' '.join(sorted(box.counts))} melts at {point.words}: call it supercooled"
            text = f"{kelvin:g} K: {melts}, or give {point.high_K + ABOVE_MELTING_K:g} K"
            add(("liquids", index, "temperatures_K", position), text)


def warn_of_size(study: Study, index: int, box: Box, add: Add) -> None:
    """Say where a box is too small for what is measured."""
    loc = ("liquids", index)
    for field, words in box.taken.items():
        add((*loc, *field), words)
    of_size = (*loc, *size_field(study.liquids[index]))
    molecules = sum(ion.count for ion in box.ions)
    if molecules < LIQUID_MOLECULES:
        add(of_size, f"{box.size} are not the liquid: densities and structures depend on the box")
    if study.md.nvt_ps and molecules < DIFFUSION_MOLECULES:
        add(
            of_size,
            f"{box.size}: diffusion is too slow in so small a box; it needs the Yeh-Hummer "
            "correction (finite_size_correction_m2_s)",
        )


def warn_of_references(study: Study, index: int, box: Box, references: Sequence[Reference], add: Add) -> None:
    """Say at which temperatures no density was measured: there no model can be called right."""
    liquid = study.liquids[index]
    rows = references_of(liquid.id, box.counts, liquid.temperatures_K, references)
    measured = {row.temperature_K for row in rows if row.property == "density" and row.temperature_K is not None}
    for position, kelvin in enumerate(liquid.temperatures_K):
        if not any(abs(kelvin - at) <= SAME_TEMPERATURE_K for at in measured):
            text = f"no reference at {kelvin:g} K for density: models can be told apart, none can be called right"
            add(("liquids", index, "temperatures_K", position), text)


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
    """Say where a time step is too long for the hydrogen of a liquid, whose bonds are held by no model."""
    light = [study.liquids[index].id for index, box in boxes.items() if "H" in box.elements]
    # a vibration of bonded hydrogens is slower by the root of their mass
    longest_fs = HYDROGEN_TIMESTEP_FS * sqrt((study.md.hydrogen_mass_u or HYDROGEN_U) / HYDROGEN_U)
    if light and study.md.timestep_fs > longest_fs:
        of = "" if len(light) == len(boxes) else f" of {', '.join(light)}"
        text = f"{study.md.timestep_fs:g} fs is too long for bonds to hydrogen{of}: 0.5 fs is usual"
        add(("md", "timestep_fs"), text)


def warn_of_dynamics(study: Study, add: Add) -> None:
    """Say where a run is too short, or a setting not used."""
    by_openmm = [model.id for model in study.models if model.framework == "classical" and study.md.engine == "openmm"]
    if by_openmm and study.md.barostat_fs != Md.model_fields["barostat_fs"].default:
        text = f"is not used for {', '.join(by_openmm)}: OpenMM's barostat makes Monte Carlo moves and has no time constant"
        add(("md", "barostat_fs"), text)
    if study.md.npt_ps < DENSITY_PS:
        text = f"{study.md.npt_ps:g} ps is too short for a density to converge: give {DENSITY_PS:g} ps or more"
        add(("md", "npt_ps"), text)
    if 0 < study.md.nvt_ps < DIFFUSION_PS:
        text = f"{study.md.nvt_ps:g} ps is too short for diffusion to converge: give {DIFFUSION_PS:g} ps or more"
        add(("md", "nvt_ps"), text)
