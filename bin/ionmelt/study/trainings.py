"""The settings of every training and of every import, and the cards of models that are neither trained nor imported."""

from collections.abc import Mapping
from pathlib import Path

from pydantic import JsonValue

from ionmelt.labels.engines.settings import LabelTasks
from ionmelt.models.card import Card, CardSettings, Cost
from ionmelt.models.frameworks import FRAMEWORKS
from ionmelt.models.frameworks.ase import AseModel
from ionmelt.models.frameworks.mace import LEARNING_RATES, MaceModel
from ionmelt.models.frameworks.named import NamedModel
from ionmelt.models.named import NAMED
from ionmelt.models.settings import AnyModel, ImportSettings, LearnedModel, TrainingSettings
from ionmelt.study.boxes import Box
from ionmelt.study.files import Plan
from ionmelt.study.keys import committees
from ionmelt.study.round_before import Before
from ionmelt.study.rounds import retrained
from ionmelt.study.rows import ModelRow
from ionmelt.study.schema import Study
from ionmelt.study.teacher import KEY, teacher_of

# What the import of a model needs to know of it.
IMPORTED = {
    "sha256", "licence", "theory", "dispersion", "head", "dtype", "calculator", "calculator_sha256", "arguments", "weights_argument",
}  # fmt: skip
# What a training is told otherwise than the study says it: files by their names, itself by its key.
APART = {"id", "framework", "datasets", "weights", "replay_frames"}

Fields = dict[str, JsonValue]


def identity(row: ModelRow) -> Fields:
    """Return which model a task is of."""
    return {
        "id": row.key,
        "model": row.model,
        "framework": row.framework,
        "dataset": row.dataset,
        "seed": row.seed,
    }


def file_name(path: str | None) -> str | None:
    """Return the name of a file, by which a task finds it; None where there is none."""
    return Path(path).name if path else None


def training_settings(model: LearnedModel, row: ModelRow, theory: str | None, further: Fields) -> TrainingSettings:
    """Return the settings of TRAIN_MODEL; `theory`: id of that of the labels; `further`: what the budget or a round of active learning sets."""
    content = {**identity(row), "theory_id": theory, **model.model_dump(mode="json", exclude=APART)}
    content["labels_theory"] = row.labels_theory
    content["weights"] = file_name(model.weights)
    if isinstance(model, MaceModel):
        content["replay_frames"] = file_name(model.replay_frames)
    if model.learning_rate is None:
        content["learning_rate"] = LEARNING_RATES.get(model.mode or "", 0.01)
    kind = FRAMEWORKS[model.framework].training_settings
    assert kind is not None, f"{model.framework} is not trained"
    return kind.model_validate(content | further)


def fields_of_rounds(study: Study, rows: list[ModelRow], before: Before) -> Mapping[str, Fields]:
    """Return what a round sets: of active learning for the members of its committees, of a refined equilibrium for every model, by their keys."""
    fields: dict[str, Fields] = {row.key: {"round": before.round} for row in rows if row.trained and study.refines}
    going_on = retrained(study, before)
    for key in (key for committee in committees(study) for key in committee.members):
        fields[key] = {"round": before.round}
        if key in going_on:
            digest = before.cards[key].files["model.pt"]
            fields[key] |= {"weights": "model.pt", "mode": "finetune", "sha256": digest}
    return fields


def fields_of_row(model: NamedModel) -> Fields:
    """Return what the table says of a named model, as far as its import needs to know."""
    row = NAMED[model.model]
    fields: Fields = {"licence": row.licence, "theory": row.theory or model.theory}
    fields["sha256"] = (model.sha256 or row.sha256) if model.weights else None
    fields["published"] = [energy.model_dump(mode="json") for energy in row.energies]
    return fields | row.calculator_fields()


def import_settings(model: AnyModel, row: ModelRow, elements: list[str]) -> ImportSettings:
    """Return the settings of IMPORT_MODEL; `elements`: those of the study's liquids."""
    weights = model.weights if isinstance(model, LearnedModel | AseModel | NamedModel) else None
    content = identity(row) | model.model_dump(mode="json", include=IMPORTED)
    content |= {"role": row.role} if row.role == KEY else {}
    if isinstance(model, AseModel) and model.script:
        content["calculator"] = model.calculator.replace(model.script, Path(model.script).name)
    if isinstance(model, NamedModel):
        content |= fields_of_row(model)
    return ImportSettings.model_validate(
        content | {"weights": file_name(weights), "liquid_elements": list[JsonValue](elements)}
    )


def card(section: AnyModel | LabelTasks, row: ModelRow) -> Card:
    """Return the card of a model that is a method by itself: without files, data or elements of its own."""
    given = set(FRAMEWORKS[row.framework].settings.model_fields) - {"id", "framework"}
    content = Card(
        id=row.key,
        model=row.model,
        framework=row.framework,
        dataset=row.dataset,
        seed=row.seed,
        versions={},
        files={},
        theory_id=None,
        dataset_hash=None,
        split_hash=None,
        e0s_ev=None,
        elements=None,
        cutoff_A=None,
        licence=None,
        settings=CardSettings.model_validate(section.model_dump(mode="json", include=given)),
        cost=Cost(wall_s=0.0),
    )
    return content if row.role == "model" else content.model_copy(update={"role": row.role})


def plan_models(
    plan: Plan, study: Study, boxes: dict[int, Box], rows: list[ModelRow], theory: str | None, before: Before
) -> None:
    """Add the settings of every training and of every import, and the card of every other model."""
    models: dict[str, AnyModel] = {model.id: model for model in study.models}
    models |= {KEY: teacher} if (teacher := teacher_of(study)) else {}
    starts = {name: model for name, model in models.items() if isinstance(model, LearnedModel)}
    models |= {f"{name}-start": model.model_copy(update={"dispersion": None}) for name, model in starts.items()}
    elements = sorted({symbol for box in boxes.values() for symbol in box.elements})
    rounds = fields_of_rounds(study, rows, before)
    budget: Fields = study.training.model_dump(mode="json", exclude_none=True) if study.training else {}
    for row in rows:
        model = models.get(row.model)
        if row.trained:
            assert isinstance(model, LearnedModel)
            training = training_settings(model, row, theory, budget | rounds.get(row.key, {}))
            plan.settings(f"models/{row.key}.json", training, exclude_unset=True)
        elif row.imported:
            assert model is not None
            settings = import_settings(model, row, elements)
            plan.settings(f"imports/{row.key}.json", settings, exclude_unset=True)
        else:
            section = model or study.labels
            assert isinstance(section, AnyModel | LabelTasks)
            plan.json(f"cards/{row.key}/model.json", card(section, row).content())
