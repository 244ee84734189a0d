"""A search of the settings of a training: so many trials, each a whole training, of which the one with the least validation errors is the model.

The first trial has the settings of the study. The others change the first learning rate, what it falls to, the weights of energy and
stress beside the forces, and how many steps or epochs there are: never more than the study gives, so that no trial costs more. What is
tried next is said by optuna (TPE, with the seed of the training). With core-minutes all trials together take them, in equal parts, and the
number of steps follows from that.

The errors of a trial are those of its validation frames at the end of the learning curve, one for each term of the loss; trials are compared
by their geometric mean over that of the first trial that ended well. A loss cannot compare them: its weights are what is changed.

Trials that ended are written down beside the checkpoints, with their models: a search that was killed tells them to optuna again, which then asks
for the same as before, and the trial that was cut off goes on from its own checkpoints.
"""

import importlib.metadata
import json
import math
import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from pydantic import JsonValue, TypeAdapter

from ionmelt.errors import ModelError
from ionmelt.models.card import Search, SearchTrial, read_card
from ionmelt.models.frameworks import FRAMEWORKS
from ionmelt.models.loss import TERM_OF_ERROR, TERMS, LossRecord, rounded
from ionmelt.models.settings import TrainingSettings
from ionmelt.models.training import TrainingTask, determined_by, given_weight, kept, read_inputs, read_settings

RECORD = "search.json"  # in the folder of checkpoints: the trials that ended
RECORDED = TypeAdapter(list[SearchTrial])
AT_RANDOM = 3  # trials before the sampler learns from what it has seen
END = 8  # the errors of a trial are medians over the last of so many parts of its curve
# What is multiplied with the study's first learning rate and weights; the last learning rate over the first; the length over the study's.
RANGES = {
    "learning_rate": (0.1, 10.0),
    "fall": (0.003, 0.3),
    "energy": (0.2, 5.0),
    "stress": (0.2, 5.0),
    "length": (0.5, 1.0),
}
FIRST = {
    "learning_rate": 1.0,
    "fall": 0.02,
    "energy": 1.0,
    "stress": 1.0,
    "length": 1.0,
}  # what the first trial counts as
LINEAR = ("length",)  # drawn evenly; the others in their logarithm
LEAST_RATE, LARGEST_RATE, LARGEST_WEIGHT = 1e-7, 1.0, 1e9  # that a study may give


def sampler_name() -> str:
    """Return what says what is tried, with its version."""
    return f"optuna {importlib.metadata.version('optuna')}, TPE"


def trained_terms(settings: TrainingSettings) -> set[str]:
    """Return the terms of the loss that a study gives a weight, or leaves to the data."""
    fields, ends = dict(settings), FRAMEWORKS[settings.framework].loss_weights
    if not ends:  # of a framework whose loss has no weights to be set
        return set(TERMS)
    return {term for term, field in zip(TERMS, ends[0], strict=True) if fields[field] != 0}


def validation_errors(curve: Path, terms: set[str]) -> dict[str, float]:
    """Return the errors of the validation frames at the end of a learning curve (curve.parquet), by quantity and in the units there."""
    table = pl.read_parquet(curve).filter(pl.col("set") == "valid").sort("step")
    errors = {}
    for name, term in TERM_OF_ERROR.items():
        values = table.filter(pl.col("quantity") == name)["value"].to_numpy()
        if len(values) and term in terms:
            errors[name] = float(np.median(values[-max(1, len(values) // END) :]))
    return errors


def relative(errors: Mapping[str, float], first: Mapping[str, float]) -> float:
    """Return the geometric mean of errors over those of another trial of the same quantities."""
    logs = [math.log(max(errors[name], 1e-300) / max(first[name], 1e-300)) for name in first]
    return math.exp(sum(logs) / len(logs))


def changes_of(settings: TrainingSettings, asked: Mapping[str, float], loss: LossRecord | None) -> dict[str, JsonValue]:
    """Return the settings that a trial changes.

    ``asked``: what the sampler says, in the terms of `RANGES`; ``loss``: that of the first trial, whose weights are meant where the study
    leaves them to the data; without one they stay with the data.
    """
    row, fields = FRAMEWORKS[settings.framework], dict(settings)
    rate = rounded(min(LARGEST_RATE, max(LEAST_RATE, asked["learning_rate"] * (settings.learning_rate or 0.01))))
    changes: dict[str, JsonValue] = {"learning_rate": rate}
    if "final_learning_rate" in fields:
        changes["final_learning_rate"] = rounded(asked["fall"] * rate)
    if row.length and settings.core_minutes is None:
        changes[row.length] = max(1, round(asked["length"] * fields[row.length]))
    for end, (energy, _, stress) in enumerate(row.loss_weights):
        measured = None if loss is None else loss.weights_end if end else loss.weights_start
        for term, field in (("energy", energy), ("stress", stress)):
            weight = given_weight(fields[field])
            if weight is None and measured:
                weight = measured[term]
            if weight:
                changes[field] = rounded(min(LARGEST_WEIGHT, asked[term] * weight))
    return changes


@dataclass
class Searching:
    """A search that goes on in a folder: the task, the training of its framework, and the trials that ended."""

    task: TrainingTask
    settings: TrainingSettings
    train: Callable[[TrainingTask], None]
    folder: Path

    def __post_init__(self) -> None:
        record = self.folder / RECORD
        self.trials: list[SearchTrial] = RECORDED.validate_json(record.read_bytes()) if record.is_file() else []

    def model(self, number: int) -> Path:
        """Return the folder of the model of a trial."""
        return self.folder / f"trial-{number}"

    def best(self) -> int | None:
        """Return the number of the trial with the least error so far, the earlier of equals; None where none has a model."""
        errors = [(trial.error, number) for number, trial in enumerate(self.trials) if trial.error is not None]
        return min(errors)[1] if errors else None

    def attempt(self, asked: Mapping[str, float]) -> None:
        """Train once, as the sampler asks (the first time as the study says), and write down what came of it."""
        number, total = len(self.trials), self.settings.trials or 1
        loss = read_card(self.model(0)).loss if number and self.trials[0].error is not None else None
        changes = changes_of(self.settings, asked, loss) if number else {}
        given = self.settings.model_dump(mode="json", exclude_unset=True) | changes
        del given["trials"]
        if self.settings.core_minutes is not None:
            given["core_minutes"] = self.settings.core_minutes / total
        path = self.folder / f"trial-{number}.json"
        path.write_text(json.dumps(given, indent=2) + "\n")
        for stale in (self.model(number), Path("training")):
            shutil.rmtree(stale, ignore_errors=True)
        words = ", ".join(f"{name} {value}" for name, value in changes.items()) or "the settings of the study"
        print(f"trial {number + 1} of {total}: {words}", file=sys.stderr, flush=True)
        began = time.perf_counter()
        try:
            self.train(
                replace(self.task, settings=path, out=self.model(number), checkpoints=self.folder / "checkpoints")
            )
            wall_s = read_card(self.model(number)).cost.wall_s or 0.0
            errors = validation_errors(self.model(number) / "curve.parquet", trained_terms(self.settings))
            failed = None if errors and all(map(math.isfinite, errors.values())) else "no finite validation error"
        except ModelError as error:
            wall_s, errors, failed = time.perf_counter() - began, {}, error.errors[0]
        self.note(changes, errors, failed, wall_s * self.task.threads)

    def note(self, changes: dict[str, JsonValue], errors: dict[str, float], failed: str | None, core_s: float) -> None:
        """Write down a trial that ended, whole or not at all."""
        first = next((trial.errors for trial in self.trials if trial.error is not None), errors)
        error = None if failed else relative(errors, first)
        trial = SearchTrial(settings=changes, errors=errors, error=error, core_s=round(core_s, 1), failed=failed)
        self.trials.append(trial)
        said = f"failed: {failed}" if failed else f"validation errors {error:.3g} times those of the first"
        print(f"trial {len(self.trials)}: {said}", file=sys.stderr, flush=True)
        unfinished = self.folder / f".{RECORD}"
        unfinished.write_bytes(RECORDED.dump_json(self.trials, indent=2))
        unfinished.replace(self.folder / RECORD)

    def finish(self) -> None:
        """Make the model of the best trial that of the task, with all trials in its card; raises `ModelError` where none has a model."""
        chosen = self.best()
        if chosen is None:
            raise ModelError(
                f"model {self.settings.id}: none of its {len(self.trials)} trials left a model: {self.trials[0].failed}"
            )
        shutil.copytree(self.model(chosen), self.task.out, dirs_exist_ok=True)
        card = read_card(self.task.out)
        all_s = round(sum(trial.core_s for trial in self.trials) / self.task.threads, 1)
        search = Search(by=sampler_name(), trials=tuple(self.trials), chosen=chosen + 1)
        card.model_copy(update={"search": search, "cost": card.cost.model_copy(update={"wall_s": all_s})}).write(
            self.task.out
        )


def run(searching: Searching, total: int) -> None:
    """Do the trials that are left, as optuna asks for them; those that ended are told to it first."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    distributions: dict[str, Any] = {
        name: optuna.distributions.FloatDistribution(low, high, log=name not in LINEAR)
        for name, (low, high) in RANGES.items()
    }
    sampler = optuna.samplers.TPESampler(seed=searching.settings.seed, n_startup_trials=AT_RANDOM)
    study = optuna.create_study(direction="minimize", sampler=sampler)
    study.enqueue_trial(FIRST)
    for number in range(total):
        asked = study.ask(distributions)
        if number == len(searching.trials):
            searching.attempt(asked.params)
        error = searching.trials[number].error
        if error is None:
            study.tell(asked, state=optuna.trial.TrialState.FAIL)
        else:
            study.tell(asked, error)


def search(task: TrainingTask, train: Callable[[TrainingTask], None]) -> None:
    """Train as often as the settings say (`trials`), by the training of the framework, and keep the best model."""
    settings = read_settings(task.settings)
    _, data = read_inputs(task, type(settings))
    given: Sequence[Path] = [path for path in (task.weights, task.replay) if path is not None and path.is_file()]
    with kept(task.checkpoints, [*determined_by(settings, data, task), sampler_name()], given) as folder:
        searching = Searching(task, settings, train, folder)
        run(searching, settings.trials or 1)
        searching.finish()
