"""The model that labels the frames of a study, where one does: a model of the study, or one that a name is enough for."""

from collections.abc import Mapping
from typing import Any

from ionmelt.labels.engines.settings import ModelLabels, Teacher
from ionmelt.mistakes import brief, closest
from ionmelt.models.frameworks.ase import AseModel
from ionmelt.models.frameworks.named import NamedModel
from ionmelt.models.named import NAMED
from ionmelt.models.settings import AnyModel, ImportSettings, OwnModel
from ionmelt.study.boxes import Box
from ionmelt.study.reading import Draft, Problems
from ionmelt.study.schema import Study

KEY = "labels"  # of its row among the models
# What tells its labels from those of another model: not its name, nor that of a file.
IDENTITY = (
    "framework", "sha256", "dispersion", "head", "dtype", "calculator", "calculator_sha256", "arguments", "weights_argument", "shipped",
)  # fmt: skip


def teacher_of(study: Study) -> OwnModel | None:
    """Return what the study says of the model that labels; None where none does, or there is no such model."""
    return model_of(study.labels, {model.id: model for model in study.models})


def model_of(labels: object, models: Mapping[str, AnyModel]) -> OwnModel | None:
    """Return the model that a section of labels names: one of the study, by its id or as a named model, else one of the table."""
    if not isinstance(labels, ModelLabels):
        return None
    named = [model for model in models.values() if isinstance(model, NamedModel) and model.model == labels.model]
    model = models.get(labels.model) or next((model for model in named if model.dispersion is None), None)
    if model is None and labels.model in NAMED:
        return NamedModel.model_validate({"id": KEY, "framework": "named", "model": labels.model})
    return model if isinstance(model, OwnModel) and model.is_imported else None


def digest_of(settings: ImportSettings) -> str | None:
    """Return the sha256 of the weights of a model, or of the file that makes its calculator; None where it has neither."""
    return settings.sha256 or next(reversed(settings.shipped.values()), None) or settings.calculator_sha256


def described(settings: ImportSettings) -> Teacher:
    """Return what the tasks that label are told of the model; `settings`: what its import is told."""
    digest = digest_of(settings)
    assert digest is not None, "refused by check_teacher"
    return Teacher(theory=settings.theory or "a level that is not known", sha256=digest)


def theory(settings: ImportSettings) -> dict[str, object]:
    """Return what of the model changes a label."""
    return settings.model_dump(mode="json", include=set(IDENTITY), exclude_none=True)


def check_teacher(draft: Draft, raw: Mapping[str, Any], boxes: Mapping[int, Box], problems: Problems) -> None:
    """Judge the model that labels: that it is there, needs no training, and can be told from others."""
    labels = draft.study.labels
    if not isinstance(labels, ModelLabels) or labels.model is None:
        return
    loc, name = ("labels", "model"), brief(labels.model)
    models = {model.id: model for model in draft.models.values()}
    if labels.model not in models and any(isinstance(x, dict) and x.get("id") == labels.model for x in raw["models"]):
        return  # what is wrong with it is said elsewhere
    model = model_of(labels, models)
    if model is None:
        problems.add(loc, f"{name}{why_not(labels.model, models)}")
    elif model.id == KEY:
        row = NAMED[labels.model]
        if not row.shipped:
            text = "no package holds its weights: give the model in models, with what it needs, and its id here"
            problems.add(loc, f"{name}: {text}")
        for position, box in boxes.items():
            if unknown := sorted(box.elements - set(row.elements or box.elements)):
                liquid = draft.liquids[position].id or f"liquids[{position}]"
                problems.add(loc, f"{name} does not know {', '.join(unknown)}, which {liquid} holds")
    elif not has_file(model):
        text = "has no file whose sha256 tells its labels from another's: give weights, or a file that makes the calculator"
        problems.add(loc, f"{name} {text}")


def has_file(model: OwnModel) -> bool:
    """Tell whether a model is known by the sha256 of a file: its weights, or what makes its calculator."""
    if isinstance(model, NamedModel):
        row = NAMED.get(model.model) if model.model else None
        return row is None or bool(row.shipped) or row.needs_file
    return bool(dict(model).get("weights")) or (isinstance(model, AseModel) and model.script is not None)


def why_not(name: str, models: Mapping[str, AnyModel]) -> str:
    """Say why a name is of no model that labels, and what would be right."""
    model = models.get(name)
    if isinstance(model, OwnModel):
        return " is trained in this study: give a model that is used as it is"
    if model is not None:
        return f" is a method by itself: give engine: {model.framework}"
    there = [other.id for other in models.values() if isinstance(other, OwnModel) and other.is_imported]
    like = closest(name, [*there, *NAMED], 3, cutoff=0.4) or ["sevennet-0"]
    return f" is no model of the study, nor of docs/named.md: give one such as {', '.join(like)}"
