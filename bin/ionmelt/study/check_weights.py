"""What a model of a study says about the weights that it starts from, judged."""

from collections.abc import Mapping

from ionmelt.files import sha256
from ionmelt.mistakes import brief
from ionmelt.models.frameworks import FRAMEWORKS
from ionmelt.models.frameworks.ase import AseModel
from ionmelt.models.settings import LearnedModel, OwnModel
from ionmelt.study.paths import Paths, missing_file
from ionmelt.study.reading import Problems

NEEDED = {
    "sha256": "of the weights: they are checked before they are opened",
    "licence": "of the weights, such as MIT",
    "theory": "that the weights imitate, such as PBE: it is compared with that of the labels",
}


def check_weights(index: int, model: OwnModel, paths: Paths, problems: Problems) -> None:
    """Judge what a model says about its weights: nothing where there are none, else what they are and that they are there."""
    if not isinstance(model, LearnedModel | AseModel):
        return
    if isinstance(model, AseModel):
        check_script(index, model, paths, problems)
    if model.weights is None:
        refuse_words_about_none(index, model, problems)
        return
    if isinstance(model, LearnedModel) and not FRAMEWORKS[model.framework].modes:
        text = f"a model of {model.framework} is trained from nothing: leave this out"
        problems.add(("models", index, "weights"), text)
        return
    for name, what in needed_of(model).items():
        if name in model.model_fields_set and dict(model)[name] is None:
            problems.add(("models", index, name), f"missing: the {name} {what}")
    if isinstance(model, LearnedModel):
        check_use(index, model, model.weights, problems)
    check_file(index, model.weights, model.sha256, paths, problems)


def check_script(index: int, model: AseModel, paths: Paths, problems: Problems) -> None:
    """Judge the file of the study that makes a calculator: it is there, and the one that the study means."""
    loc, script, digest = ("models", index), model.script, model.calculator_sha256
    if script is None:
        if digest is not None and model.calculator is not None:
            problems.add((*loc, "calculator_sha256"), f"{brief(model.calculator)} is no file: leave this out")
        return
    if digest is None and "calculator_sha256" in model.model_fields_set:
        problems.add(
            (*loc, "calculator_sha256"), f"missing: the sha256 of {script}: it is checked before it is imported"
        )
    if wrong := missing_file(paths, script):
        problems.add((*loc, "calculator"), wrong)
        return
    path = paths.path(script)
    if path is not None and digest and (content := sha256(path)) != digest:
        problems.add((*loc, "calculator_sha256"), f"{script} has sha256 {content}, not this one")


def refuse_words_about_none(index: int, model: LearnedModel | AseModel, problems: Problems) -> None:
    """Refuse fields about weights of a model that names none."""
    fields = dict(model)
    names = ("sha256", "weights_argument") if isinstance(model, AseModel) else (*NEEDED, "mode", "head")
    for name in names:
        if fields[name] is not None:
            text = f"{brief(fields[name])}: weights are missing: give their path, or leave this out"
            problems.add(("models", index, name), text)
    if fields.get("theory_change"):
        problems.add(
            ("models", index, "theory_change"), "true: weights are missing: give their path, or leave this out"
        )


def needed_of(model: LearnedModel | AseModel) -> Mapping[str, str]:
    """Return the fields that a model with weights must give, and what each is."""
    if isinstance(model, AseModel):
        return NEEDED | {"weights_argument": "of the calculator: its name for the path of the weights"}
    *modes, last = FRAMEWORKS[model.framework].modes
    return NEEDED | {"mode": f"of the weights' use: {', '.join(modes)} or {last}"}


def check_use(index: int, model: LearnedModel, weights: str, problems: Problems) -> None:
    """Refuse datasets of a model that is not trained, and a frozen file that is to be fine-tuned."""
    if model.mode == "zero-shot" and model.datasets:
        problems.add(("models", index, "datasets"), "a zero-shot model is not trained: leave datasets out")
    ending = FRAMEWORKS[model.framework].tuned_from
    if model.mode == "finetune" and not weights.endswith(ending):
        text = f"{brief(weights)}: a frozen model cannot be fine-tuned: give its checkpoint, a {ending} file"
        problems.add(("models", index, "weights"), text)


def check_file(index: int, weights: str, digest: str | None, paths: Paths, problems: Problems) -> None:
    """Refuse a file of weights that is not there, or not the one that the study means."""
    if wrong := missing_file(paths, weights):
        problems.add(("models", index, "weights"), wrong)
        return
    path = paths.path(weights)
    if path is not None and digest and (content := sha256(path)) != digest:
        problems.add(("models", index, "sha256"), f"{weights} has sha256 {content}, not this one")
