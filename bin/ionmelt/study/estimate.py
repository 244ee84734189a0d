"""What a study costs: frames, core-hours, tasks."""

from dataclasses import dataclass
from math import ceil
from typing import Any

from ionmelt import laws
from ionmelt.frame import kinds_of
from ionmelt.labels.engines import ENGINES
from ionmelt.labels.engines.settings import LabelTasks
from ionmelt.laws import Law
from ionmelt.models.frameworks import FRAMEWORKS
from ionmelt.study import cost as study_cost
from ionmelt.study.boxes import Box, equilibration_step_fs
from ionmelt.study.check_data import neq_frames
from ionmelt.study.keys import is_trained, mixtures, times
from ionmelt.study.places import Places
from ionmelt.study.reading import Problems
from ionmelt.study.schema import Study

LABEL_TASK_S = 1800.0  # what a task should last
LABEL_TASKS_LEAST, LABEL_TASKS_MAX = 8, 200  # of a liquid, where its frames are cheap; of a study
CHAIN_LEAST = 10  # frames


# --- Cost and warnings ---------------------------------------------------------------------------------


@dataclass
class Counts:
    """How many frames each kind of a liquid has."""

    eq: int = 0
    neq: int = 0
    scan: int = 0
    active: int = 0  # that a round of active learning adds


def frame_counts(study: Study, index: int) -> Counts:
    """Return the frames that are labelled of one liquid; they come from the boxes of the first replica."""
    sampling = study.sampling
    if sampling is None:
        return Counts()
    trajectories = len(study.liquids[index].temperatures_K)
    return Counts(
        eq=sampling.eq.frames * trajectories if sampling.eq else 0,
        neq=neq_frames(sampling.neq),
        scan=len(sampling.test_scan.scales) if sampling.test_scan else 0,
    )


def own_frames(study: Study, places: Places) -> int:
    """Return the number of the user's own labelled frames; 0 where they cannot be seen from here."""
    labels: Any = study.labels
    if not hasattr(labels, "frames"):
        return 0
    frames = 0
    for path in map(places.path, labels.paths()):
        if path is None:
            return 0
        if path.is_dir():
            frames += max(1, sum(file.is_file() for file in path.rglob("*")))
            continue
        with path.open(encoding="utf-8", errors="replace") as file:
            # Of the other formats, and in folders, one frame a file is counted: an estimate needs no more.
            frames += max(1, sum("Lattice=" in line for line in file))
    return frames


def melt_steps(study: Study, liquid: Any) -> float:
    """Return the time steps of the equilibration of one box of a liquid."""
    melt = study.equilibration
    length_ps = melt.anneal_ps + melt.cool_ps + melt.settle_ps + melt.production_ps
    return 1000 * length_ps / equilibration_step_fs(melt.timestep_fs, liquid.force_field)


def md_core_s(model: Any, atoms: int, steps: float) -> float:
    """Return the core-seconds of molecular dynamics with a model of the study."""
    return FRAMEWORKS[model.framework].md_core_s(model, atoms, steps)


def training_core_s(model: Any, frames: float, atoms: float) -> float:
    """Return the core-seconds of one training of a model of the study on `frames` frames of `atoms` atoms each."""
    law = FRAMEWORKS[model.framework].training_core_s
    assert law is not None, f"{model.framework} is not trained"
    return law(model, frames, atoms)


def melt_core_s(study: Study, liquid: Any, box: Box) -> float:
    """Return the core-seconds of the equilibration of one box of a liquid."""
    steps = melt_steps(study, liquid)
    if liquid.force_field == "xtb":
        return steps * laws.XTB["GFN1-xTB"].core_s(box.atoms)
    return laws.openmm_core_s(box.atoms, steps)


def label_law(study: Study) -> Law | None:
    """Return what a label of the study costs; None where none is computed."""
    labels = study.labels
    return ENGINES[labels.engine].law(labels) if isinstance(labels, LabelTasks) else None


def estimate(study: Study, boxes: dict[int, Box], places: Places, explorations: int = 0) -> dict[str, Any]:
    """Return what the study will cost, as plan/estimate.json holds it.

    In a round of active learning, which has `explorations` of a liquid, only its own labels count: earlier ones are stored.
    """
    counts = {index: frame_counts(study, index) for index in boxes}
    if study.active and explorations:
        for count in counts.values():
            count.active = study.active.frames
    md_steps = 1000 * (study.md.npt_ps + study.md.nvt_ps) / study.md.timestep_fs
    states = equilibrate_s = md_s = 0.0
    law = label_law(study)
    labels = []
    for index, box in boxes.items():
        liquid = study.liquids[index]
        here = len(liquid.temperatures_K) * study.md.replicas
        states += here
        equilibrate_s += here * melt_core_s(study, liquid, box)
        frames = counts[index].eq + counts[index].neq + counts[index].scan + counts[index].active
        if study.active and explorations:
            steps = 1000 * sum(study.active.lengths_ps.values()) / study.md.timestep_fs
            walkers = [model for model in study.models if is_trained(model.model_dump())]
            md_s += explorations * max(md_core_s(model, box.atoms, steps) for model in walkers)
        if law:
            chunk = chunk_size(study, boxes, index)
            again = study.labels.spot_check_fraction  # type: ignore[union-attr]
            labels.append(study_cost.LabelWork(liquid.id, box.atoms, frames, chunk, again, law.core_s(box.atoms)))
        md_s += sum(
            here * times(study, model.model_dump()) * md_core_s(model, box.atoms, md_steps) for model in study.models
        )
    kept = 1 - study.split.valid - study.split.test
    own = own_frames(study, places)
    mean_atoms = sum(box.atoms for box in boxes.values()) / len(boxes)
    trainings: list[float] = []
    for model in study.models:
        settings = model.model_dump()
        if not is_trained(settings):
            continue
        for _, name, size in mixtures(study, settings):
            kinds, without = kinds_of(study.datasets[name])
            taken = [count for index, count in counts.items() if study.liquids[index].id not in without]
            frames = own or sum(getattr(count, kind) for count in taken for kind in kinds)
            cost = training_core_s(model, size or kept * frames, mean_atoms)
            trainings += [cost] * len(study.seeds)
    runs = int(states * sum(times(study, model.model_dump()) for model in study.models))
    stages = {
        "equilibrate": (int(states), "boxes", equilibrate_s),
        "label": (sum(w.frames for w in labels), "frames", sum((1 + w.again) * w.frames * w.core_s for w in labels)),
        "train": (len(trainings), "models", sum(trainings)),
        "md": (runs, "runs", md_s),
    }
    by_xtb = {box.atoms for index, box in boxes.items() if study.liquids[index].force_field == "xtb"}
    return study_cost.table(stages, study.budget_core_hours, labels, law, xtb_melts=sorted(by_xtb))


def chunk_size(study: Study, boxes: dict[int, Box], index: int) -> int:
    """Return how many frames of a liquid one task labels: the given number, or what auto means.

    Half an hour's worth, but a chain of ten at least, so that its cold start pays; few enough frames that a machine
    or a cluster has something to share out; and never more than `LABEL_TASKS_MAX` tasks in all. (Where that last rule
    decides, a study that grows cuts all its frames anew. The label store has those that were labelled.)
    """
    chunk = study.labels.chunk  # type: ignore[union-attr]
    if chunk != "auto":
        return int(chunk)
    law = label_law(study)
    assert law is not None
    core_s = law.core_s(boxes[index].atoms)
    counts = {place: frame_counts(study, place) for place in boxes}
    frames = {place: count.eq + count.neq + count.scan for place, count in counts.items()}
    shared = ceil(frames[index] / LABEL_TASKS_LEAST)
    # Each liquid's last chunk may be a small one.
    at_most = max(LABEL_TASKS_MAX - len(boxes), 1)
    return max(ceil(sum(frames.values()) / at_most), CHAIN_LEAST, min(int(LABEL_TASK_S / core_s), shared))


def check_budget(found: dict[str, Any], problems: Problems) -> None:
    """Refuse a study that costs more than its own budget."""
    if found["total_core_hours"] > found["budget_core_hours"]:
        parts = ", ".join(f"{row['stage']} {row['core_hours']:g}" for row in found["stages"] if row["core_hours"])
        problems.add(
            ("budget_core_hours",),
            f"{found['budget_core_hours']:g} is less than the {found['total_core_hours']:g} core-hours that "
            f"the plan needs ({parts}): plan less, or raise it",
        )
