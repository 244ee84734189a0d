"""What a study says about its models, judged against its datasets, its boxes and their own weights."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ionmelt import theory as theory_level
from ionmelt.mistakes import brief, did_you_mean
from ionmelt.models.frameworks import FRAMEWORKS
from ionmelt.models.frameworks.ase import AseModel
from ionmelt.models.frameworks.deepmd import DeepmdModel
from ionmelt.models.frameworks.mace import LEARNING_RATES, MaceModel
from ionmelt.models.frameworks.named import NamedModel
from ionmelt.models.settings import AnyModel, LearnedModel, OwnModel, TrainingBudget
from ionmelt.study.boxes import Box, repeated
from ionmelt.study.check_named import check_named
from ionmelt.study.check_weights import check_weights
from ionmelt.study.keys import imitated_by
from ionmelt.study.paths import Paths, missing_file
from ionmelt.study.reading import Draft, Problems

# Of containers/environment; the last are those of libraries of named models.
ENVIRONMENTS = (
    "analysis", "dft", "mace", "deepmd", "nequip", "foundation", "aimnet", "fairchem", "grace", "mattersim", "nequix", "orb", "upet"
)  # fmt: skip
RESERVED = {
    "liquids": {"all": "all liquids together"},
    "models": {"reference": "measured values", "labels": "what made the labels"},
}  # names that results use beside those of the study


def check_ids(draft: Draft, problems: Problems) -> None:
    """Refuse ids and seeds that are given twice."""
    liquids = {index: liquid.id for index, liquid in draft.liquids.items()}
    models = {index: model.id for index, model in draft.models.items()}
    check_names("liquids", liquids, problems)
    check_names("models", models, problems)
    for value in repeated(list(draft.study.seeds or ())):
        problems.add(("seeds",), f"{value} is given twice")


def check_names(section: str, names: Mapping[int, str], problems: Problems) -> None:
    """Refuse an id that an earlier item of a section has, or that is reserved for something else."""
    first: dict[str, int] = {}
    for index, name in names.items():
        if name in first:
            problems.add((section, index, "id"), f"{name!r} is already the id of {section}[{first[name]}]")
        elif name in RESERVED[section]:
            problems.add((section, index, "id"), f"{name!r} is the name of {RESERVED[section][name]}: give another")
        elif name is not None:
            first[name] = index


def cutoff_of(model: AnyModel) -> tuple[str, float] | None:
    """Return the field and radius (A) of a model's cut-off; None where the weights bring their own."""
    if isinstance(model, LearnedModel) and model.mode:
        return None
    name = FRAMEWORKS[model.framework].cutoff
    radius = dict(model)[name] if name else None
    return (name, radius) if name and radius is not None else None


def check_theory(index: int, model: OwnModel, labels_theory: str | None, problems: Problems) -> None:
    """Judge the level of theory of a model from elsewhere: against its own dispersion, and the labels it is tuned on."""
    theory, dispersion = imitated_by(model), model.dispersion
    if model.framework == "ase" and theory is None and "theory" in model.model_fields_set:
        problems.add(("models", index, "theory"), "missing: the level of theory that the model imitates, such as PBE")
    if dispersion is not None and not model.is_imported:
        text = "is added to a zero-shot model only: what a model is trained on holds its dispersion; leave this out"
        problems.add(("models", index, "dispersion"), text)
    elif dispersion and theory and (wrong := theory_level.dispersion_problem(theory, dispersion.functional)):
        problems.add(("models", index, "dispersion"), wrong)
    if isinstance(model, LearnedModel) and theory and labels_theory:
        check_change(index, model, theory, labels_theory, problems)


def check_change(index: int, model: LearnedModel, theory: str, labels_theory: str, problems: Problems) -> None:
    """Refuse weights that are tuned in one head on labels of another level of theory, where the study does not say so."""
    tuned = model.weights is not None and model.is_trained and model.mode != "replay" and not model.theory_change
    if tuned and not theory_level.same_level(theory, labels_theory):
        problems.add(
            ("models", index, "theory"),
            f"{brief(theory)} is not that of the labels, {brief(labels_theory)}: label at the weights' level, use mode replay, "
            "which gives each level a head of its own, or say theory_change: true",
        )


def check_loss(index: int, model: LearnedModel, problems: Problems) -> None:
    """Judge how a training falls and weighs its loss: a schedule that would rise, a term that would be left out in silence."""
    loc = ("models", index)
    first = model.learning_rate or LEARNING_RATES.get(model.mode or "", 0.01)
    fields, ends = dict(model), FRAMEWORKS[model.framework].loss_weights
    final = fields.get("final_learning_rate")  # of a rate that waits for the loss to stay, none is given
    if final is not None and final > first:
        problems.add((*loc, "final_learning_rate"), f"{final:g} is above the first learning rate, {first:g}")
    for names in zip(*ends, strict=True) if len(ends) > 1 else ():
        start, limit = (fields[name] for name in names)
        if start is not None and limit is not None and (start == 0) != (limit == 0):
            text = "0 leaves the term out for the whole training, the other end too: give both 0, or a small number"
            problems.add((*loc, names[0] if start == 0 else names[1]), text)
    for names in ends[:1]:
        if all(fields[name] == 0 for name in names):
            problems.add((*loc, names[0]), "0, and so are the weights of the other terms: nothing would be trained")


def check_length(
    index: int, model: LearnedModel, given: Any, budget: TrainingBudget | None, problems: Problems
) -> None:
    """Refuse a number of steps or epochs beside core-minutes; `given`: what the study says of the model, right or not."""
    length = FRAMEWORKS[model.framework].length
    minutes = None if budget is None else budget.core_minutes
    if minutes is not None and length is not None and model.is_trained and isinstance(given, dict) and length in given:
        text = "training.core_minutes says how long every training is: leave one of the two out"
        problems.add(("models", index, length), text)


def check_datasets_of(index: int, model: LearnedModel, given: Any, problems: Problems) -> None:
    """Judge the names of the datasets that a model is trained on; `given`: the study's own, right or not."""
    loc = ("models", index, "datasets")
    names = sorted(map(str, given)) if isinstance(given, dict) else []
    for position, name in enumerate(model.datasets or ()):
        if name not in names:
            listed = f"{did_you_mean(name, names)}known: {', '.join(names)}" if names else "the study has no datasets"
            problems.add((*loc, position), f"unknown dataset {name!r}; {listed}")
    for name in repeated(list(model.datasets or ())):
        problems.add(loc, f"{name!r} is given twice")
    if model.is_trained and not given:
        problems.add(loc, "no dataset to train on: give datasets, such as {both: [eq, neq]}")


def check_tuning(index: int, model: MaceModel, paths: Paths, problems: Problems) -> None:
    """Judge what MACE alone has: replayed frames, weights that are frozen, options of the net, a second stage."""
    loc, frames = ("models", index), model.replay_frames
    if frames is not None and model.mode != "replay":
        problems.add((*loc, "replay_frames"), "is used by mode replay only")
    elif model.mode == "replay" and frames is None and "replay_frames" in model.model_fields_set:
        problems.add((*loc, "replay_frames"), "missing: extxyz of the foundation model's own data, to replay")
    elif frames is not None and (wrong := missing_file(paths, frames)):
        problems.add((*loc, "replay_frames"), wrong)
    if model.freeze not in (None, "none") and model.mode not in ("finetune", "replay"):
        problems.add((*loc, "freeze"), f"{model.freeze!r}: is used by modes finetune and replay only")
    for name, idle, used in (
        ("lora_rank", model.mode != "lora", "mode lora"),
        ("replay_per_frame", model.mode != "replay", "mode replay"),
        ("huber_delta", model.loss == "squared", "loss huber"),
        ("stage_two_energy", model.stage_two == 0, "stage_two"),
    ):
        value, usual = dict(model)[name], MaceModel.model_fields[name].default
        if idle and value not in (None, usual):
            problems.add((*loc, name), f"{brief(value)}: is used by {used} only")
    for name, usual in (("zbl", False), ("distance_transform", "none")):
        if model.weights is not None and (value := dict(model)[name]) not in (None, usual):
            problems.add((*loc, name), f"{brief(value)}: the weights bring their own: leave this out")
    check_schedule(index, model, problems)
    if model.long_range is not None:
        text = f"{model.long_range!r}: mace-torch 0.3.16 needs the library les for it, which no package registry has: it cannot be "
        problems.add((*loc, "long_range"), text + "pinned here; leave this out")


def check_schedule(index: int, model: MaceModel, problems: Problems) -> None:
    """Refuse numbers of a fall of MACE's learning rate that is not the one asked for."""
    if model.schedule == "exponential":
        for name in ("plateau_factor", "plateau_patience"):
            value, usual = dict(model)[name], MaceModel.model_fields[name].default
            if value not in (None, usual):
                problems.add(("models", index, name), f"{brief(value)}: is used by schedule plateau only")
    elif model.schedule == "plateau" and model.final_learning_rate is not None and not model.stage_two:
        text = f"{model.final_learning_rate:g}: is used by schedule exponential and by stage_two only"
        problems.add(("models", index, "final_learning_rate"), text)


# Settings of some descriptors of DeePMD.
OF_DESCRIPTORS: dict[str, tuple[str, ...]] = dict.fromkeys(
    ("rcut_smth_A", "neurons", "axis_neurons", "neighbour_margin", "type_one_side", "resnet_dt"),
    ("se_e2_a", "se_atten"),
)
OF_DESCRIPTORS |= {"attention_layers": ("se_atten",)}
OF_DESCRIPTORS |= dict.fromkeys(("layers", "node_width", "edge_width", "angle_width", "angle_rcut_A"), ("dpa3",))


def check_messages(index: int, model: DeepmdModel, problems: Problems) -> None:
    """Judge the radii and widths of a DPA-3 model against each other."""
    arm, radius, angle = model.angle_rcut_A, model.rcut_A, model.angle_width
    if arm is not None and radius is not None and arm > radius:
        problems.add(("models", index, "angle_rcut_A"), f"{arm:g} is above rcut_A {radius:g}")
    if angle is not None and angle % 2:
        problems.add(("models", index, "angle_width"), f"{angle} is odd: half of it is for each arm")
    for name in ("node_width", "edge_width"):
        if angle is not None and (width := dict(model)[name]) is not None and width < angle:
            problems.add(("models", index, name), f"{width} is below angle_width {angle}")


def check_descriptor(index: int, model: DeepmdModel, problems: Problems) -> None:
    """Judge the radii and widths of a DeePMD model against each other, and that they are of its descriptor."""
    for name, descriptors in OF_DESCRIPTORS.items():
        value, usual = dict(model)[name], DeepmdModel.model_fields[name].default
        if model.descriptor not in (None, *descriptors) and value not in (None, usual):
            shown = list(value) if isinstance(value, tuple) else value
            problems.add(("models", index, name), f"{brief(shown)}: is used by {' and '.join(descriptors)} only")
    if model.descriptor == "dpa3":
        check_messages(index, model, problems)
        return
    smooth, radius = model.rcut_smth_A, model.rcut_A
    if smooth is not None and radius is not None and smooth >= radius:
        problems.add(("models", index, "rcut_smth_A"), f"{smooth:g} is not below rcut_A {radius:g}")
    if model.axis_neurons is not None and model.neurons is not None and model.axis_neurons > model.neurons[-1]:
        text = f"{model.axis_neurons} is above {model.neurons[-1]}, the last of neurons"
        problems.add(("models", index, "axis_neurons"), text)


def check_environment(index: int, model: AseModel | NamedModel, paths: Paths, problems: Problems) -> None:
    """Judge where a model of the user's own runs without containers, as far as that can be seen: a task without Python says nothing."""
    folder, loc = model.environment, ("models", index, "environment")
    if folder is None:
        return
    if "/" not in folder:
        if folder not in ENVIRONMENTS:
            ours = f"{did_you_mean(folder, ENVIRONMENTS)}give one of {', '.join(ENVIRONMENTS)}, or a folder"
            problems.add(loc, f"{brief(folder)} is none of ours: {ours}")
    elif not folder.startswith("/"):
        problems.add(loc, f"{brief(folder)}: a task runs in a folder of its own: give the absolute path")
    elif paths.seen and not Path(folder, "bin", "python3").exists():
        problems.add(loc, f"{brief(folder)} has no bin/python3: give the folder of a Python environment")


def check_in_boxes(index: int, model: AnyModel, draft: Draft, boxes: dict[int, Box], problems: Problems) -> None:
    """Refuse a model that cannot run a liquid: its cut-off is more than the box, or it is a force field that the liquid lacks."""
    loc, cutoff = ("models", index), cutoff_of(model)
    for position, box in boxes.items():
        liquid = draft.liquids[position]
        name = liquid.id or f"liquids[{position}]"
        if cutoff and box.edge_A and box.edge_A <= cutoff[1]:
            problems.add(
                (*loc, cutoff[0]),
                f"{cutoff[1]:g} A is more than the box of {name}, about {box.edge_A:.1f} A: "
                "give a smaller cut-off or a larger box",
            )
        if model.framework == "classical" and liquid.force_field == "xtb":
            problems.add(
                (*loc, "framework"),
                f"classical: the force field of {name} is xtb, which is not a classical one: give the "
                "liquid a force field, or leave this model out",
            )


def check_models(draft: Draft, raw: Mapping[str, Any], boxes: dict[int, Box], paths: Paths, problems: Problems) -> None:
    """Judge each model against the datasets, the boxes and its own weights."""
    labels = draft.study.labels
    for index, model in draft.models.items():
        if isinstance(model, OwnModel):
            check_weights(index, model, paths, problems)
            check_theory(index, model, labels.level if labels else None, problems)
        if isinstance(model, LearnedModel):
            check_datasets_of(index, model, raw.get("datasets"), problems)
        if isinstance(model, NamedModel):
            check_named(index, model, draft, boxes, paths, problems)
        if isinstance(model, AseModel | NamedModel):
            check_environment(index, model, paths, problems)
        if isinstance(model, MaceModel):
            check_tuning(index, model, paths, problems)
        if isinstance(model, DeepmdModel):
            check_descriptor(index, model, problems)
        if isinstance(model, LearnedModel):
            check_loss(index, model, problems)
            check_length(index, model, raw["models"][index], draft.study.training, problems)
        check_in_boxes(index, model, draft, boxes, problems)
