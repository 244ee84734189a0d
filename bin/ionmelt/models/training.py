"""What trainings share: the check of settings against data, the run of the tool, curve and model card."""

import json
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import polars as pl

from ionmelt import checkpoint
from ionmelt.dataset.summary import Dataset, DatasetSummary, TrainingData
from ionmelt.errors import UserError, of_model
from ionmelt.files import read_json, sha256, write_table
from ionmelt.models.card import wrong_content
from ionmelt.models.frameworks import FRAMEWORKS
from ionmelt.models.settings import TrainingSettings
from ionmelt.tables.training import CURVE
from ionmelt.task import versions

Settings = TypeVar("Settings", bound=TrainingSettings)


@dataclass(frozen=True)
class TrainingTask:
    """What a training is given: its settings, the dataset with its summary, and the files that the settings name."""

    settings: Path  # models/KEY.json of the plan
    dataset: Path  # folder
    summary: Path  # dataset.json
    out: Path  # model folder to write
    weights: Path | None
    replay: Path | None
    checkpoints: Path | None  # folder that outlives the task, or a file in it; None: one that does not
    code: str  # digest of the code: what another code began is not gone on with
    threads: int
    device: str  # cpu or cuda


def read_settings(path: Path) -> TrainingSettings:
    """Return the settings of a training, as those of the framework that they name; raises `UserError` for others."""
    name = read_json(path).get("framework")
    framework = FRAMEWORKS.get(name) if isinstance(name, str) else None
    if framework is None or framework.training_settings is None:
        trained = ", ".join(row.name for row in FRAMEWORKS.values() if row.is_trained)
        raise UserError(f"{path}: framework: {name!r} is none of those that are trained: {trained}")
    return framework.training_settings.read(path)


def read_inputs(task: TrainingTask, kind: type[Settings]) -> tuple[Settings, TrainingData]:
    """Return the settings of a model, of a kind, and the part of ``dataset.json`` that is about its dataset.

    Raises `UserError` where the dataset is not there, or its labels are of another level of theory.
    """
    model, summary = kind.read(task.settings), DatasetSummary.read(task.summary)
    if model.dataset not in summary.datasets:
        there = ", ".join(summary.datasets)
        raise UserError(f"model {model.id}: dataset: {model.dataset!r} is not one of {there}")
    if model.theory_id != summary.theory_id:
        raise UserError(
            f"model {model.id}: theory_id: the study says {model.theory_id}, the labels are {summary.theory_id}"
        )
    check_stress(model, summary.datasets[model.dataset])
    return model, summary.training_data(model.dataset)


def check_stress(model: TrainingSettings, dataset: Dataset) -> None:
    """Refuse to weigh a stress that no training frame has: that such a model learns no density, the study must say."""
    fields = {names[2]: getattr(model, names[2]) for names in FRAMEWORKS[model.framework].loss_weights}
    if dataset.frames_with_stress["train"] or not any(fields.values()):
        return
    given = ", ".join(f"{name}: {value}" for name, value in fields.items())
    wanted = " and ".join(f"{name}: 0" for name in fields)
    raise UserError(
        f"model {model.id}: {given}: none of the {dataset.frames['train']} training frames has a stress: give {wanted} to "
        "train on energies and forces alone, so that the density is not learnt, or labels with a stress"
    )


@of_model(UserError)
def own_file(key: str, field: str, name: str | None, path: Path | None) -> Path | None:
    """Return the absolute path of a file that the settings of the model `key` name in a field; None where they name none.

    Raises `ModelError` where it is not there.
    """
    if not name:
        return None
    if path is None:
        raise UserError(f"model {key}: {field}: {name}: no such file")
    return path.absolute()


@of_model(UserError)
def own_weights(settings: TrainingSettings, path: Path | None) -> Path | None:
    """Return the absolute path of the weights that a training starts from; None where it starts from nothing.

    Nothing has opened them yet: they have the sha256 that the study gives, or are refused. Raises `ModelError`.
    """
    weights = own_file(settings.id, "weights", settings.weights, path)
    if weights is not None and (wrong := wrong_content(weights, settings.sha256)):
        raise UserError(f"model {settings.id}: weights: {weights.name}: {wrong}, the study says {settings.sha256}")
    return weights


def determined_by(settings: TrainingSettings, data: TrainingData, task: TrainingTask) -> list[Any]:
    """Return what determines a training besides its files, as JSON holds it."""
    given = settings.model_dump(mode="json", exclude_unset=True)
    return [given, data.model_dump(mode="json"), task.threads, task.device, task.code]


@contextmanager
def kept(folder: Path | None, content: Any, files: Sequence[Path | None]) -> Iterator[Path]:
    """Give the folder that keeps the checkpoints of a training; it goes when the training is complete.

    It is named by all that determines the training (`content`, JSON; `files`; the code), so that a training that was killed,
    and no other, is taken up. ``folder`` is where checkpoints outlive their tasks, or a file in it; None keeps them here.
    """
    here = Path("checkpoints").resolve()
    place = here if folder is None else folder.resolve()
    key = checkpoint.key_of([content, versions()], [*filter(None, files)])
    own, lock = checkpoint.claim(place.parent if place.is_file() else place, key, here)
    try:
        yield own
        shutil.rmtree(own, ignore_errors=True)
    finally:
        if lock:
            lock.close()


def given_weight(value: float | str | None) -> float | None:
    """Return a weight of the loss as a number; None where the study leaves it to the data (auto)."""
    return None if value is None or value == "auto" else float(value)


def hand_on(dataset: Path, out: Path) -> None:
    """Lay what the training frames span (ionmelt/measure/domain.py) beside the weights, for what is run with them."""
    path = dataset / "domain.npz"
    if path.is_file():
        shutil.copyfile(path, out / path.name)


def write_curve(path: Path, model_key: str, rows: Iterable[tuple[int, str, str, float, str]]) -> None:
    """Write a learning curve: rows of step, set (train or valid), quantity, value, unit."""
    table = pl.DataFrame([(model_key, *row) for row in rows], schema=CURVE, orient="row")
    write_table(table, path)


def write_card(
    out: Path,
    settings: TrainingSettings,
    data: TrainingData,
    files: Sequence[str],
    cutoff_A: float,
    cost: dict[str, Any],
    more: dict[str, Any],
) -> None:
    """Write the model card; the weights to be loaded are the last of `files`. `more`: about the loss, and what it was tuned from."""
    identity = ("id", "model", "framework", "dataset", "seed")
    given = settings.model_dump(mode="json", exclude_unset=True)
    card = (
        {key: given[key] for key in identity}
        | {
            "versions": versions(),
            "files": {name: sha256(out / name) for name in files},
            "load": files[-1],
            "theory_id": data.theory_id,
            "dataset_hash": data.dataset_hash,
            "split_hash": data.split_hash,
            "e0s_ev": data.e0s_ev,
            "elements": data.elements,
            "cutoff_A": cutoff_A,
            "licence": settings.licence,  # of the weights that it was tuned from; else it is the user's own
            "settings": {key: value for key, value in given.items() if key not in (*identity, "theory_id")},
            "cost": cost,
        }
        | more
    )
    (out / "model.json").write_text(json.dumps(card, indent=2) + "\n")
