"""What a study says about its dynamics, judged."""

from collections.abc import Iterable, Mapping

from ionmelt.dynamics.masses import with_heavy_hydrogens
from ionmelt.dynamics.settings import Md
from ionmelt.errors import UserError
from ionmelt.liquid.settings import Equilibration
from ionmelt.mistakes import did_you_mean
from ionmelt.study.boxes import Box, equilibration_step_fs, repeated
from ionmelt.study.check_active import is_multiple
from ionmelt.study.reading import Draft, Problems
from ionmelt.topology import Topology, counted

SAVED_FRAMES_LEAST, SAVED_FRAMES_MAX = 10, 1_000_000


def check_dynamics(draft: Draft, boxes: Mapping[int, Box], problems: Problems) -> None:
    """Judge time steps, lengths and saved frames of the equilibration and of the dynamics."""
    check_md(draft.study.md, problems)
    check_masses(draft.study.md, boxes, problems)
    check_running(draft, problems)
    force_fields = {liquid.force_field for liquid in draft.liquids.values()} or {"clandp"}
    check_equilibration(draft.study.equilibration, force_fields, problems)


def check_md(md: Md, problems: Problems) -> None:
    """Judge the time step, the lengths and the saved frames of the dynamics of the models."""
    step, every = md.timestep_fs, md.save_every_fs
    if not step or not every:
        return
    if not is_multiple(every, step):
        problems.add(("md", "save_every_fs"), f"{every:g} is not a multiple of timestep_fs {step:g}")
    saved = ((md.npt_ps or 0) + (md.nvt_ps or 0)) * 1000 / every
    if saved > SAVED_FRAMES_MAX:
        text = f"{every:g} saves {saved:.3g} frames of each run: at most {SAVED_FRAMES_MAX:g}; save less often"
        problems.add(("md", "save_every_fs"), text)
    for name, length in (("npt_ps", md.npt_ps), ("nvt_ps", md.nvt_ps)):
        if length and length * 1000 < every:
            problems.add(("md", name), f"{length:g} ps is shorter than save_every_fs {every:g}: no frame is saved")


def check_masses(md: Md, boxes: Mapping[int, Box], problems: Problems) -> None:
    """Judge the mass of hydrogens by one of each molecule of all boxes: labels and trainings come before the first run."""
    one_of_each = Topology("", [counted(ion, 1) for box in boxes.values() for ion in box.molecules])
    try:
        with_heavy_hydrogens(one_of_each, md.hydrogen_mass_u)
    except UserError as error:
        field = "md.hydrogen_mass_u: "
        problems.add(("md", "hydrogen_mass_u"), "; ".join(error.errors).removeprefix(field))


def check_running(draft: Draft, problems: Problems) -> None:
    """Judge the names of the models that run."""
    names = [model.id for model in draft.models.values() if model.id]
    chosen = draft.study.md.models or ()
    for index, name in enumerate(chosen):
        if name and name not in names:
            text = f"{name!r} is no model of the study; {did_you_mean(name, names)}known: {', '.join(names)}"
            problems.add(("md", "models", index), text)
    for name in repeated(list(chosen)):
        problems.add(("md", "models"), f"{name!r} is given twice")


def check_equilibration(melt: Equilibration, force_fields: Iterable[str], problems: Problems) -> None:
    """Judge the time steps and the saved frames of the equilibration, as it is with some force fields."""
    save = melt.save_every_ps
    if not save:
        return
    steps = {equilibration_step_fs(melt.timestep_fs, name) for name in force_fields} if melt.timestep_fs else set()
    for step in sorted(steps):
        if not is_multiple(save * 1000, step):
            text = f"{save:g} ps is not a multiple of equilibration.timestep_fs {step:g}"
            problems.add(("equilibration", "save_every_ps"), text)
    length = melt.production_ps
    if length and (frames := int(length / save + 1e-9)) < SAVED_FRAMES_LEAST:
        text = f"{length:g} ps saves {frames} frames at save_every_ps {save:g}: at least {SAVED_FRAMES_LEAST}"
        problems.add(("equilibration", "production_ps"), text)
