"""The models of a study, by key: one for each dataset, size and seed; the committees of active learning."""

import hashlib
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from ionmelt import theory as theory_level
from ionmelt.models.frameworks import FRAMEWORKS
from ionmelt.models.frameworks.ase import AseModel
from ionmelt.models.frameworks.named import NamedModel
from ionmelt.models.named import NAMED
from ionmelt.models.settings import AnyModel, LearnedModel, OwnModel
from ionmelt.study.rows import ModelRow
from ionmelt.study.schema import Study
from ionmelt.study.teacher import KEY, teacher_of


def by_force_field(study: Study) -> bool:
    """Tell whether frames are labelled by the force fields of their liquids."""
    return study.label_engine is not None and study.label_engine.boxes


@dataclass(frozen=True)
class TrainingSet:
    """What a model is trained on: a named mixture of the study, cut to `size` frames (None: all of them)."""

    mixture: str
    size: int | None

    @property
    def name(self) -> str:
        """The name of the dataset in keys and tables."""
        return self.mixture if self.size is None else f"{self.mixture}.{self.size}"


def training_sets(study: Study, names: tuple[str, ...] | None = None) -> list[TrainingSet]:
    """Return the datasets of some mixtures, all of them where none are named: each whole (if so wished) and cut to every size."""
    whole = [None] if study.whole_datasets else []
    return [
        TrainingSet(name, size) for name in names or sorted(study.datasets) for size in (*whole, *sorted(study.sizes))
    ]


def sets_of(study: Study, model: AnyModel) -> list[TrainingSet]:
    """Return what a model of the study is trained on, one training set for each of its trainings with a seed."""
    return training_sets(study, model.datasets) if isinstance(model, LearnedModel) and model.is_trained else []


def times(study: Study, model: AnyModel) -> int:
    """Return how many models an entry stands for: one for each dataset and seed where it is trained."""
    return len(sets_of(study, model)) * len(study.seeds) if model.is_trained else 1


# --- Active learning ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Committee:
    """Models that differ by their seed alone, and explore together: what the study says of them, their dataset, their keys."""

    model: LearnedModel
    dataset: str
    members: tuple[str, ...]


def committees(study: Study) -> list[Committee]:
    """Return the committees that explore, none where there is no active learning."""
    return [
        Committee(model, chosen.name, tuple(f"{model.id}-{chosen.name}-s{seed}" for seed in sorted(study.seeds)))
        for model in study.models
        if study.active is not None and isinstance(model, LearnedModel)
        for chosen in sets_of(study, model)
        if chosen.size is None and "active" in study.datasets[chosen.mixture]
    ]


# --- The plan ------------------------------------------------------------------------------------------


def seed_of(key: str) -> int:
    """Return the seed of a box or state: from its key alone, so that a study that grows keeps what it has."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:4], "big") % (2**31 - 1) + 1


def start_of(study: Study, model: AnyModel) -> str | None:
    """Return the key of the model that a tuned one started from: a zero-shot row of the study, or one that is only evaluated."""
    if not isinstance(model, LearnedModel) or model.weights is None or not model.is_trained:
        return None
    learned = (other for other in study.models if isinstance(other, LearnedModel))
    for other in (other for other in learned if other.is_imported and other.dispersion is None):
        if (other.framework, other.sha256, other.head) == (model.framework, model.sha256, model.head):
            return other.id
    return f"{model.id}-start"


@dataclass(frozen=True)
class Levels:
    """The level of theory that a model from elsewhere imitates, that of the labels, and whether they are one."""

    theory: str | None = None
    labels_theory: str | None = None
    same_theory: bool | None = None


def imitated_by(model: OwnModel) -> str | None:
    """Return the level of theory that a model imitates, which a named model has from its row; None where it is not known."""
    row = NAMED.get(model.model) if isinstance(model, NamedModel) and model.model else None
    return (row and row.theory) or model.theory


def levels(study: Study, model: AnyModel) -> Levels:
    """Return the levels of theory of a model and of the labels; that of the labels alone where one of the two has none."""
    labels_theory = study.labels.level if study.labels else None
    if by_force_field(study):
        names = sorted({Path(liquid.force_field).stem for liquid in study.liquids})
        labels_theory = f"{labels_theory}, {' and '.join(names)}"
    imitated = imitated_by(model) if isinstance(model, OwnModel) and model.is_imported else None
    if labels_theory is None or not isinstance(model, OwnModel) or imitated is None:
        return Levels(labels_theory=labels_theory)
    theory = theory_level.level_with(imitated, model.dispersion.functional if model.dispersion else None)
    labels_itself = teacher_of(study) == model
    return Levels(theory, labels_theory, labels_itself or theory_level.same_level(theory, labels_theory))


def model_rows(study: Study) -> list[ModelRow]:
    """Return the rows of models.csv: one for each model."""
    rows = [row for model in study.models for row in rows_of(study, model)]
    engine, teacher = study.label_engine, teacher_of(study)
    if teacher is not None:
        rows += [replace(row, key=KEY, model=KEY, role="labels") for row in rows_of(study, teacher)]
    elif engine is not None and engine.pairs:
        assert engine.framework is not None
        environment = FRAMEWORKS[engine.framework].environment
        rows.append(ModelRow(KEY, KEY, engine.framework, role="labels", image=environment, environment=environment))
    return rows


def rows_of(study: Study, model: AnyModel) -> list[ModelRow]:
    """Return the rows of one model of the study: one for each training, and one for the weights that they start from."""
    usual, start = FRAMEWORKS[model.framework].environment, start_of(study, model)
    framework, given = model.framework, model if isinstance(model, AseModel | NamedModel) else None
    if isinstance(model, NamedModel):
        framework, usual = NAMED[model.model].framework, NAMED[model.model].environment
    row = ModelRow(
        key=model.id,
        model=model.id,
        framework=framework,
        start=start,
        image=(given and given.image) or usual,
        environment=(given and given.environment) or usual,
        **asdict(levels(study, model)),
    )
    if not model.is_trained:
        return [replace(row, imported=model.is_imported)]
    rows = []
    if start == f"{model.id}-start":
        rows.append(replace(row, key=start, model=start, role="start", start=None, imported=True))
    for chosen in sets_of(study, model):
        of_set = replace(row, dataset=chosen.name, mixture=chosen.mixture, size=chosen.size, trained=True)
        rows += [replace(of_set, key=f"{model.id}-{chosen.name}-s{seed}", seed=seed) for seed in study.seeds]
    return rows
