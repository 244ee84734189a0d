"""What a study says of active learning, judged."""

from ionmelt.frames.settings import Active
from ionmelt.study.reading import Draft, Problems


def check_active(draft: Draft, trained: list[int], brought: bool, problems: Problems) -> None:
    """Judge active learning: it needs committees, data to add to, walks, and an engine that labels."""
    active = draft.study.active
    if active is None:
        return
    if draft.study.refines:
        problems.add(
            ("sampling", "eq", "refine"), "with active learning, whose test frames stay the same: give one of the two"
        )
    if brought or not trained:
        problems.add(
            ("active",), "needs models that are trained here, and labels.engine" if brought else "no model is trained"
        )
    if len(draft.study.seeds or (1, 2)) < 2:
        problems.add(("seeds",), "1 is no committee: active needs two at least, such as [1, 2, 3]")
    datasets = draft.study.datasets or {}
    if datasets and not any("active" in entries for entries in datasets.values()):
        problems.add(("active",), "no dataset takes its frames: give one such as {al: [eq, active]}")
    check_walks(active, draft.study.md.timestep_fs, problems)


def check_walks(active: Active, timestep_fs: float | None, problems: Problems) -> None:
    """Refuse walks without a length, and frames that are asked about between two steps or after the end of a walk."""
    if not any(active.lengths_ps.values()):
        problems.add(("active", "npt_ps"), "0, as ramp_ps and swing_ps are: give one of the three a length")
    if timestep_fs and not is_multiple(active.every_fs, timestep_fs):
        text = f"{active.every_fs:g} is not a multiple of md.timestep_fs {timestep_fs:g}"
        problems.add(("active", "every_fs"), text)
    for name, length in active.lengths_ps.items():
        if 0 < length * 1000 < active.every_fs:
            problems.add(("active", name), f"{length:g} ps is shorter than every_fs {active.every_fs:g}")


def is_multiple(time: float, step: float) -> bool:
    """Tell whether a time is a whole number of steps, one at least."""
    return time > 0.5 * step and abs(time / step - round(time / step)) < 1e-6
