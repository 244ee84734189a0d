"""What trainings share: the check of settings against data, the run of the tool, curve and model card."""

import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import polars as pl

from ionmelt import checkpoint
from ionmelt.dataset.summary import Dataset, DatasetSummary, TrainingData
from ionmelt.errors import UserError, of_model
from ionmelt.files import read_json, sha256, write_table
from ionmelt.models.calculators import bare_calculator
from ionmelt.models.card import IDENTITY, Card, CardSettings, Cost, Facts, TunedFrom, wrong_content
from ionmelt.models.framework import Loading
from ionmelt.models.frameworks import FRAMEWORKS
from ionmelt.models.loss import TERMS, LossRecord
from ionmelt.models.settings import TrainingSettings
from ionmelt.models.small_box import reads
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

    def cost(self, began: float, before_s: float, frames: int) -> Cost:
        """Return what it has taken since a time of `time.perf_counter`, and before; ``frames`` went through its gradient steps."""
        wall_s = time.perf_counter() - began + before_s
        per_s = float(f"{frames / wall_s:.4g}")
        return Cost(wall_s=round(wall_s, 1), threads=self.threads, device=self.device, frames_per_s=per_s)


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


OF_CARD = (*IDENTITY, "theory_id", "labels_theory")  # settings that a card holds at its top

SPENT = "spent"  # in the folder of checkpoints: when the last attempt began (s since 1970), and what those before it took (s)


def spent_before(folder: Path) -> float:
    """Return the wall time (s) of attempts at a training that were killed, and note that the next begins.

    Of an attempt what counts lies between its start and the last file that it wrote: what came later is done again.
    """
    note, spent_s = folder / SPENT, 0.0
    if note.is_file():
        start, spent_s = map(float, note.read_text().split())
        written = [
            path.stat().st_mtime for path in folder.rglob("*") if path.is_file() and path.name not in (SPENT, "lock")
        ]
        spent_s += max(0.0, max(written, default=start) - start)
    note.write_text(f"{time.time():.3f} {spent_s:.3f}\n")
    return spent_s


@contextmanager
def kept(folder: Path | None, content: Any, files: Sequence[Path | None]) -> Iterator[Path]:
    """Give the folder that keeps the checkpoints of a training; it goes when the training is complete.

    It is named by all that determines the training (`content`, JSON; `files`; the code), so that a training that was killed,
    and no other, is taken up. ``folder`` is where checkpoints outlive their tasks, or a file in it; None keeps them here.
    """
    here = Path("checkpoints").resolve()
    top = here if folder is None else checkpoint.folder_of(folder)
    key = checkpoint.key_of([content, versions()], [*filter(None, files)])
    checkpoints, lock = checkpoint.claim(top, key, here)
    try:
        yield checkpoints
        shutil.rmtree(checkpoints, ignore_errors=True)
    finally:
        if lock:
            lock.close()


def given_weight(value: float | str | None) -> float | None:
    """Return a weight of the loss as a number; None where the study leaves it to the data (auto)."""
    return None if value is None or value == "auto" else float(value)


def loss_weights(settings: TrainingSettings) -> list[dict[str, float | None]]:
    """Return the weight of each term of the loss, at the start and, where that is another, at the end; None: to be found from the data."""
    return [
        {term: given_weight(getattr(settings, field)) for term, field in zip(TERMS, fields, strict=True)}
        for fields in FRAMEWORKS[settings.framework].loss_weights
    ]


def hand_on(dataset: Path, out: Path) -> None:
    """Lay what the training frames span (ionmelt/measure/domain.py) beside the weights, for what is run with them."""
    path = dataset / "domain.npz"
    if path.is_file():
        shutil.copyfile(path, out / path.name)


def write_tool_input(path: Path, text: str, folders: Mapping[Path, str]) -> None:
    """Write what the framework's own tool was given; folders of the task have names for their paths."""
    for folder, called in folders.items():
        text = text.replace(str(folder), called)
    path.write_text(text)


def write_curve(path: Path, model_key: str, rows: Iterable[tuple[int, str, str, float, str]]) -> None:
    """Write a learning curve: rows of step, set (train or valid), quantity, value, unit."""
    table = pl.DataFrame([(model_key, *row) for row in rows], schema=CURVE, orient="row")
    write_table(table, path)


@dataclass(frozen=True)
class Trained:
    """What the card of a trained model says besides what the training was told.

    `files`: the last is loaded. `facts`: what the weights say of themselves. `tuned_from`: None for a training from nothing.
    """

    files: Sequence[str]
    facts: Facts
    cost: Cost
    loss: LossRecord | None
    tuned_from: TunedFrom | None = None


def write_card(out: Path, settings: TrainingSettings, data: TrainingData, trained: Trained) -> None:
    """Write the model card."""
    given = settings.model_dump(mode="json", exclude_unset=True)
    card = Card(
        **{key: given[key] for key in IDENTITY},
        versions=versions(),
        files={name: sha256(out / name) for name in trained.files},
        load=trained.files[-1],
        theory=settings.labels_theory,
        theory_id=data.theory_id,
        dataset_hash=data.dataset_hash,
        split_hash=data.split_hash,
        licence=settings.licence,  # of the weights that it was tuned from; else it is the user's own
        settings=CardSettings(**{key: value for key, value in given.items() if key not in OF_CARD}),
        cost=trained.cost,
        loss=trained.loss,
    ).with_facts(trained.facts)
    read: dict[str, object] = {"uses_charge": False, "uses_spin": False}  # trained here without them
    if trained.tuned_from is not None:  # a foundation model may read them
        calculator = bare_calculator(Loading(out, card, threads=trained.cost.threads or 1, double=True))
        read = {"tuned_from": trained.tuned_from, **reads(calculator, data.elements)}
    card.model_copy(update=read).write(out)
