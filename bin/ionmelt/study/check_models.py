"""What a study says about its models, judged against its datasets, its boxes and their own weights."""

from collections.abc import Mapping
from typing import Any

from ionmelt import theory as theory_level
from ionmelt.files import sha256
from ionmelt.mistakes import brief
from ionmelt.models.frameworks import FRAMEWORKS
from ionmelt.study.boxes import Box, repeated
from ionmelt.study.keys import is_imported, is_trained
from ionmelt.study.places import Places, missing_file
from ionmelt.study.reading import Draft, Problems

# First learning rates of MACE models that are tuned, by mode.
LEARNING_RATES = {"finetune": 0.001, "replay": 0.001, "lora": 0.005}
RESERVED = ("reference", "labels")  # a verdict's other side; the engine of the labels


def check_ids(draft: Draft, problems: Problems) -> None:
    """Refuse ids and seeds that are given twice."""
    for section, items in (("liquids", draft.liquids), ("models", draft.models)):
        first: dict[str, int] = {}
        for index, item in items.items():
            name = item.get("id")
            if name in first:
                problems.add((section, index, "id"), f"{name!r} is already the id of {section}[{first[name]}]")
            elif name in RESERVED and section == "models":
                what = {"reference": "measured values", "labels": "what made the labels"}[name]
                problems.add((section, index, "id"), f"{name!r} is the name of {what}: give another")
            elif name is not None:
                first[name] = index
    for value in repeated(list(draft.get("seeds") or ())):
        problems.add(("seeds",), f"{value} is given twice")


def cutoff_of(model: Mapping[str, Any]) -> tuple[str, float] | None:
    """Return the field and radius (A) of a model's cut-off; None where the weights bring their own."""
    if model.get("mode"):
        return None
    name = FRAMEWORKS[model["framework"]].cutoff if "framework" in model else None
    return (name, model[name]) if name and model.get(name) is not None else None


WEIGHTS_NEED = {
    "sha256": "of the weights: they are checked before they are opened",
    "licence": "of the weights, such as MIT",
    "theory": "that the weights imitate, such as PBE: it is compared with that of the labels",
}


def check_weights(index: int, model: Mapping[str, Any], places: Places, problems: Problems) -> None:
    """Judge what a model says about the weights that it starts from."""
    loc = ("models", index)
    framework = FRAMEWORKS[model["framework"]]
    own_class = framework.given
    if model.get("weights") is None:
        without = ("sha256", "weights_argument") if own_class else (*WEIGHTS_NEED, "mode", "head")
        for name in without:
            if model.get(name) is not None:
                problems.add(
                    (*loc, name),
                    f"{brief(model[name])}: weights are missing: give their path, or leave this out",
                )
        return
    if not own_class and not framework.modes:
        problems.add((*loc, "weights"), f"a model of {framework.name} is trained from nothing: leave this out")
        return
    needed = dict(WEIGHTS_NEED)
    if own_class:
        needed["weights_argument"] = "of the calculator: its name for the path of the weights"
    else:
        *modes, last = framework.modes
        needed["mode"] = f"of the weights' use: {', '.join(modes)} or {last}"
    for name, what in needed.items():
        if name in model and model[name] is None:
            problems.add((*loc, name), f"missing: the {name} {what}")
    if model.get("mode") == "zero-shot" and model.get("datasets"):
        problems.add((*loc, "datasets"), "a zero-shot model is not trained: leave datasets out")
    if model.get("mode") == "finetune" and not model["weights"].endswith(framework.tuned_from):
        text = f"{brief(model['weights'])}: a frozen model cannot be fine-tuned: give its checkpoint, a {framework.tuned_from} file"
        problems.add((*loc, "weights"), text)
    if wrong := missing_file(places, model["weights"]):
        problems.add((*loc, "weights"), wrong)
        return
    path = places.path(model["weights"])
    if path is not None and model.get("sha256"):
        content = sha256(path)
        if content != model["sha256"]:
            problems.add((*loc, "sha256"), f"{model['weights']} has sha256 {content}, not this one")


def check_theory(index: int, model: Mapping[str, Any], labels: Any, problems: Problems) -> None:
    """Judge the level of theory of a model from elsewhere: against its own dispersion, and the labels it is tuned on."""
    theory, dispersion = model.get("theory"), model.get("dispersion")
    if FRAMEWORKS[model["framework"]].given and theory is None and "theory" in model:
        problems.add(("models", index, "theory"), "missing: the level of theory that the model imitates, such as PBE")
    if dispersion is not None and not is_imported(model):
        text = "is added to a zero-shot model only: what a model is trained on holds its dispersion; leave this out"
        problems.add(("models", index, "dispersion"), text)
    elif (
        dispersion is not None and theory and (wrong := theory_level.dispersion_problem(theory, dispersion.functional))
    ):
        problems.add(("models", index, "dispersion"), wrong)
    level = theory_level.level_of(labels)
    if not theory or not level or is_imported(model) or model.get("theory_change") or model.get("mode") == "replay":
        return
    if not theory_level.same_level(theory, level):
        problems.add(
            ("models", index, "theory"),
            f"{brief(theory)} is not that of the labels, {brief(level)}: label at the weights' level, use mode replay, which "
            "gives each level a head of its own, or say theory_change: true",
        )


def check_loss(index: int, model: Mapping[str, Any], problems: Problems) -> None:
    """Judge how a training falls and weighs its loss: a schedule that would rise, a term that would be left out in silence."""
    loc = ("models", index)
    first = model.get("learning_rate") or LEARNING_RATES.get(model.get("mode") or "", 0.01)
    final = model.get("final_learning_rate")
    if final is not None and final > first:
        problems.add((*loc, "final_learning_rate"), f"{final:g} is above the first learning rate, {first:g}")
    for letter in "efv":
        start, limit = model.get(f"start_pref_{letter}"), model.get(f"limit_pref_{letter}")
        if start is not None and limit is not None and (start == 0) != (limit == 0):
            zero = "start" if start == 0 else "limit"
            text = "0 leaves the term out for the whole training, the other end too: give both 0, or a small number"
            problems.add((*loc, f"{zero}_pref_{letter}"), text)
    for fields in FRAMEWORKS[model["framework"]].loss_weights[:1]:
        if all(model.get(name) == 0 for name in fields):
            problems.add((*loc, fields[0]), "0, and so are the weights of the other terms: nothing would be trained")


def check_models(draft: Draft, raw: Any, boxes: dict[int, Box], places: Places, problems: Problems) -> None:
    """Judge each model against the datasets, the boxes and its own weights."""
    given = raw.get("datasets")
    names = sorted(map(str, given)) if isinstance(given, dict) else []
    for index, model in draft.models.items():
        loc = ("models", index)
        framework = model.get("framework")
        if framework is None:  # no section at all
            continue
        if FRAMEWORKS[framework].given or FRAMEWORKS[framework].is_trained:
            check_weights(index, model, places, problems)
            check_theory(index, model, draft.get("labels"), problems)
        if FRAMEWORKS[framework].is_trained:
            for place, name in enumerate(model.get("datasets") or ()):
                if name not in names:
                    known = f"known: {', '.join(names)}" if names else "the study has no datasets"
                    problems.add((*loc, "datasets", place), f"unknown dataset {name!r}; {known}")
            for name in repeated(list(model.get("datasets") or ())):
                problems.add((*loc, "datasets"), f"{name!r} is given twice")
            if is_trained(model) and not given:
                problems.add((*loc, "datasets"), "no dataset to train on: give datasets, such as {both: [eq, neq]}")
        frames, mode = model.get("replay_frames"), model.get("mode")
        if frames is not None and mode != "replay":
            problems.add((*loc, "replay_frames"), "is used by mode replay only")
        elif mode == "replay" and frames is None and "replay_frames" in model:
            problems.add((*loc, "replay_frames"), "missing: extxyz of the foundation model's own data, to replay")
        elif frames is not None and (wrong := missing_file(places, frames)):
            problems.add((*loc, "replay_frames"), wrong)
        if (part := model.get("freeze", "none")) != "none" and mode not in ("finetune", "replay"):
            problems.add((*loc, "freeze"), f"{part!r}: is used by modes finetune and replay only")
        smooth, radius, axis, widths = (model.get(k) for k in ("rcut_smth_A", "rcut_A", "axis_neurons", "neurons"))
        if smooth is not None and radius is not None and smooth >= radius:
            problems.add((*loc, "rcut_smth_A"), f"{smooth:g} is not below rcut_A {radius:g}")
        if axis is not None and widths is not None and axis > widths[-1]:
            problems.add((*loc, "axis_neurons"), f"{axis} is above {widths[-1]}, the last of neurons")
        check_loss(index, model, problems)
        cutoff = cutoff_of(model)
        for place, box in boxes.items():
            name = draft.liquids[place].get("id") or f"liquids[{place}]"
            if cutoff and box.edge_A and box.edge_A <= cutoff[1]:
                problems.add(
                    (*loc, cutoff[0]),
                    f"{cutoff[1]:g} A is more than the box of {name}, about {box.edge_A:.1f} A: "
                    "give a smaller cut-off or more ions",
                )
            if framework == "classical" and draft.liquids[place].get("force_field") == "xtb":
                problems.add(
                    (*loc, "framework"),
                    f"classical: the force field of {name} is xtb, which is not a classical one: give the "
                    "liquid a force field, or leave this model out",
                )
