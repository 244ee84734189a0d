"""What a study says about its dynamics, judged."""

from ionmelt.study.boxes import equilibration_step_fs
from ionmelt.study.check_active import is_multiple
from ionmelt.study.reading import Draft, Problems

SAVED_FRAMES_LEAST, SAVED_FRAMES_MAX = 10, 1_000_000


def check_md(draft: Draft, problems: Problems) -> None:
    """Judge time steps, lengths and saved frames of the dynamics."""
    step, every = draft.get("md", "timestep_fs"), draft.get("md", "save_every_fs")
    if step and every:
        if not is_multiple(every, step):
            problems.add(("md", "save_every_fs"), f"{every:g} is not a multiple of timestep_fs {step:g}")
        lengths = [draft.get("md", name) or 0 for name in ("npt_ps", "nvt_ps")]
        saved = sum(lengths) * 1000 / every
        if saved > SAVED_FRAMES_MAX:
            text = f"{every:g} saves {saved:.3g} frames of each run: at most {SAVED_FRAMES_MAX:g}; "
            text += "save less often"
            problems.add(("md", "save_every_fs"), text)
        if draft.get("md", "npt_ps") and lengths[0] * 1000 < every:
            problems.add(
                ("md", "npt_ps"),
                f"{lengths[0]:g} ps is shorter than save_every_fs {every:g}: no frame is saved",
            )
    given, save = (draft.get("equilibration", name) for name in ("timestep_fs", "save_every_ps"))
    fields = {liquid.get("force_field") for liquid in draft.liquids.values()} or {None}
    for step in sorted({equilibration_step_fs(given, force_field) for force_field in fields} if given and save else ()):
        if not is_multiple(save * 1000, step):
            text = f"{save:g} ps is not a multiple of equilibration.timestep_fs {step:g}"
            problems.add(("equilibration", "save_every_ps"), text)
    length = draft.get("equilibration", "production_ps")
    if length and save and (frames := int(length / save + 1e-9)) < SAVED_FRAMES_LEAST:
        text = f"{length:g} ps saves {frames} frames at save_every_ps {save:g}: at least {SAVED_FRAMES_LEAST}"
        problems.add(("equilibration", "production_ps"), text)
