"""What a study will do, and what that takes: its frames, chunks, trainings and runs, in core-seconds."""

from math import ceil

from ionmelt import laws
from ionmelt.dataset.settings import kinds_of
from ionmelt.labels.engines.settings import LabelTasks
from ionmelt.labels.settings import OwnLabels
from ionmelt.laws import Law
from ionmelt.liquid.settings import Liquid
from ionmelt.models.frameworks import FRAMEWORKS
from ionmelt.models.settings import AnyModel, TrainingBudget
from ionmelt.study.boxes import Box, equilibration_step_fs
from ionmelt.study.check_data import neq_frames
from ionmelt.study.estimate import Estimate, LabelWork, Stage, assumed, scaled_from
from ionmelt.study.keys import sets_of, times
from ionmelt.study.paths import Paths
from ionmelt.study.reading import Problems
from ionmelt.study.schema import Study

LABEL_TASK_S = 1800.0  # what a task should last
LABEL_TASKS_LEAST, LABEL_TASKS_MAX = 8, 200  # of a liquid, where its frames are cheap; of a study
CHAIN_LEAST = 10  # frames


# --- Frames and their labels ---------------------------------------------------------------------------


def frame_counts(study: Study, index: int) -> dict[str, int]:
    """Return how many frames of each kind are labelled of one liquid; they come from the boxes of the first replica."""
    sampling, temperatures = study.sampling, study.liquids[index].temperatures_K
    if sampling is None:
        return {}
    return {
        "eq": sampling.eq.frames * len(temperatures) if sampling.eq else 0,
        "neq": neq_frames(sampling.neq),
        "scan": len(sampling.test_scan.scales) if sampling.test_scan else 0,
    }


def own_frames(study: Study, paths: Paths) -> int:
    """Return the number of the user's own labelled frames; 0 where they cannot be seen from here."""
    labels = study.labels
    if not isinstance(labels, OwnLabels):
        return 0
    frames = 0
    for path in map(paths.path, labels.paths()):
        if path is None:
            return 0
        if path.is_dir():
            frames += max(1, sum(file.is_file() for file in path.rglob("*")))
            continue
        with path.open(encoding="utf-8", errors="replace") as file:
            # Of the other formats, and in folders, one frame a file is counted: an estimate needs no more.
            frames += max(1, sum("Lattice=" in line for line in file))
    return frames


def label_law(study: Study) -> Law | None:
    """Return what a label of the study costs; None where none is computed."""
    engine = study.label_engine
    return engine.law(study.labels) if engine and isinstance(study.labels, LabelTasks) else None


def label_works(study: Study, boxes: dict[int, Box], counts: dict[int, dict[str, int]]) -> list[LabelWork]:
    """Return the frames of each liquid that are labelled; ``counts``: how many of each kind; none where no label is computed."""
    law, labels = label_law(study), study.labels
    if law is None or not isinstance(labels, LabelTasks):
        return []
    return [
        LabelWork(
            liquid=study.liquids[index].id,
            atoms=box.atoms,
            frames=sum(counts[index].values()),
            chunk=chunk_size(study, boxes, index),
            again=labels.spot_check_fraction,
            core_s=law.core_s(box.atoms),
        )
        for index, box in boxes.items()
    ]


def chunk_size(study: Study, boxes: dict[int, Box], index: int) -> int:
    """Return how many frames of a liquid one task labels: the given number, or what auto means.

    Half an hour's worth, but a chain of ten at least, so that its cold start pays; few enough frames that a machine
    or a cluster has something to share out; and never more than `LABEL_TASKS_MAX` tasks in all. (Where that last rule
    decides, a study that grows cuts all its frames anew. The label store has those that were labelled.)
    """
    labels, law = study.labels, label_law(study)
    assert isinstance(labels, LabelTasks)
    if labels.chunk != "auto":
        return int(labels.chunk)
    assert law is not None
    core_s = law.core_s(boxes[index].atoms)
    frames = {other: sum(frame_counts(study, other).values()) for other in boxes}
    shared = ceil(frames[index] / LABEL_TASKS_LEAST)
    # Each liquid's last chunk may be a small one.
    at_most = max(LABEL_TASKS_MAX - len(boxes), 1)
    return max(ceil(sum(frames.values()) / at_most), CHAIN_LEAST, min(int(LABEL_TASK_S / core_s), shared))


# --- What the stages take ------------------------------------------------------------------------------


def melt_steps(study: Study, liquid: Liquid) -> float:
    """Return the time steps of the equilibration of one box of a liquid."""
    melt = study.equilibration
    length_ps = melt.anneal_ps + melt.cool_ps + melt.settle_ps + melt.production_ps
    return 1000 * length_ps / equilibration_step_fs(melt.timestep_fs, liquid.force_field)


def md_core_s(model: AnyModel, atoms: int, steps: float) -> float:
    """Return the core-seconds of molecular dynamics with a model of the study."""
    return FRAMEWORKS[model.framework].md_core_s(model, atoms, steps)


def training_core_s(model: AnyModel, frames: float, atoms: float) -> float:
    """Return the core-seconds of one training of a model of the study on `frames` frames of `atoms` atoms each."""
    law = FRAMEWORKS[model.framework].training_core_s
    assert law is not None, f"{model.framework} is not trained"
    return law(model, frames, atoms)


def melt_core_s(study: Study, liquid: Liquid, box: Box) -> float:
    """Return the core-seconds of the equilibration of one box of a liquid."""
    steps = melt_steps(study, liquid)
    if liquid.force_field == "xtb":
        return steps * laws.XTB["GFN1-xTB"].core_s(box.atoms)
    return laws.openmm_core_s(box.atoms, steps)


def melt_measured(liquid: Liquid) -> tuple[str, str]:
    """Return a liquid with the force field that equilibrates it, and what the cost of that was measured with."""
    if liquid.force_field == "xtb":
        return f"{liquid.id} (GFN1-xTB)", laws.XTB_MEASURED
    return f"{liquid.id} ({liquid.force_field})", laws.OPENMM_MEASURED


def model_words(model: AnyModel) -> str:
    """Return a model with what it is: its framework, or what the framework calls it."""
    variant = FRAMEWORKS[model.framework].variant
    return f"{model.id} ({getattr(model, variant) if variant else model.framework})"


def label_source(study: Study) -> str:
    """Return what labels, and what its cost was measured with."""
    law, labels = label_law(study), study.labels
    if law is None or not isinstance(labels, LabelTasks):
        return "no label is computed"
    return scaled_from([(labels.level, law.source)])


def training_costs(
    study: Study, boxes: dict[int, Box], counts: dict[int, dict[str, int]], labelled: int
) -> list[float]:
    """Return the core-seconds of every training; `counts`: frames of each liquid by kind; `labelled`: frames of the user's own."""
    kept = 1 - study.split.valid - study.split.test
    mean_atoms = sum(box.atoms for box in boxes.values()) / len(boxes)
    costs: list[float] = []
    for model in study.models:
        for chosen in sets_of(study, model):
            kinds, without = kinds_of(study.datasets[chosen.mixture])
            taken = [count for index, count in counts.items() if study.liquids[index].id not in without]
            frames = labelled or sum(count.get(kind, 0) for count in taken for kind in kinds)
            core_s = training_core_s(model, chosen.size or kept * frames, mean_atoms)
            costs += [with_budget(study.training, core_s)] * len(study.seeds)
    return costs


def with_budget(budget: TrainingBudget | None, core_s: float) -> float:
    """Return the core-seconds of a training with its trials, at most; ``core_s``: of one by its steps or epochs."""
    if budget is None:
        return core_s
    return (budget.trials or 1) * core_s if budget.core_minutes is None else 60 * budget.core_minutes


def exploration_core_s(study: Study, atoms: int) -> float:
    """Return the core-seconds of one exploration of a liquid by the dearest of the models that are trained."""
    assert study.active is not None
    steps = 1000 * sum(study.active.lengths_ps.values()) / study.md.timestep_fs
    return max(md_core_s(model, atoms, steps) for model in study.models if model.is_trained)


def estimate(study: Study, boxes: dict[int, Box], paths: Paths, explorations: int = 0) -> Estimate:
    """Return what the study will cost.

    In a round of active learning, which has `explorations` of a state of a liquid, only its own labels count: earlier ones are stored.
    """
    counts = {index: frame_counts(study, index) for index in boxes}
    labelled = counts
    explores = study.active is not None and explorations > 0
    if study.active and explores:
        labelled = {index: {"active": study.active.frames} for index in boxes}
        counts = {index: count | labelled[index] for index, count in counts.items()}
    md_steps = 1000 * (study.md.npt_ps + study.md.nvt_ps) / study.md.timestep_fs
    longer = dict.fromkeys(study.truths, study.md.truth_times)
    entries = [(model, times(study, model)) for model in study.models if study.runs(model.id)]
    states, equilibrate_s, md_s = 0, 0.0, 0.0
    for index, box in boxes.items():
        liquid = study.liquids[index]
        here = len(liquid.temperatures_K) * study.md.replicas
        states += here
        equilibrate_s += here * melt_core_s(study, liquid, box)
        walks = explorations * len(liquid.temperatures_K)
        md_s += walks * exploration_core_s(study, box.atoms) if explores else 0.0
        md_s += sum(
            here * number * md_core_s(model, box.atoms, longer.get(model.id, 1.0) * md_steps)
            for model, number in entries
        )
    works = label_works(study, boxes, labelled)
    trainings = training_costs(study, boxes, counts, own_frames(study, paths))
    label_s = sum((1 + work.again) * work.frames * work.core_s for work in works)
    melts = scaled_from([melt_measured(study.liquids[index]) for index in boxes])
    trained = [
        (model_words(model), FRAMEWORKS[model.framework].training_measured)
        for model in study.models
        if model.is_trained
    ]
    run = [(model_words(model), FRAMEWORKS[model.framework].md_measured) for model, _ in entries]
    stages = [
        Stage("equilibrate", states, "boxes", equilibrate_s, melts),
        Stage("label", sum(work.frames for work in works), "frames", label_s, label_source(study)),
        Stage("train", len(trainings), "models", sum(trainings), scaled_from(trained)),
        Stage("md", states * sum(number for _, number in entries), "runs", md_s, scaled_from(run)),
    ]
    return assumed(stages, study.budget_core_hours, works)


def check_budget(estimated: Estimate, problems: Problems) -> None:
    """Refuse a study that costs more than its own budget."""
    total, budget = estimated.total_core_hours, estimated.budget_core_hours
    if total > budget:
        shares = ", ".join(f"{row.stage} {row.core_hours:g}" for row in estimated.stages if row.core_hours)
        text = (
            f"{budget:g} is less than the {total:g} core-hours that the plan needs ({shares}): plan less, or raise it"
        )
        problems.add(("budget_core_hours",), text)
