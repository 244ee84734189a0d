"""TRAIN_MODEL with trials: the best settings are kept and all trials recorded, a killed search goes on, and costs are shared."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tiny_training as tiny

from ionmelt.errors import ModelError
from ionmelt.models import search as models_search
from ionmelt.models import train
from ionmelt.models.card import Cost, Facts, read_card
from ionmelt.models.loss import LossRecord
from ionmelt.models.training import Trained, TrainingTask, read_inputs, read_settings, write_card, write_curve

# torch, e3nn and mace warn of each other when they are imported.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")

BEST_RATE = 0.02
BAD = tiny.MACE | {"learning_rate": 0.001}
WEIGHTS = {"energy": 3.0, "forces": 10.0, "stress": 7.0}


class Trainer:
    """A training that takes no time, with errors that are least at a known learning rate; it may end in the middle of a trial."""

    def __init__(self, killed_in: int | None = None, fails_above: float = math.inf) -> None:
        self.killed_in, self.fails_above = killed_in, fails_above
        self.settings: list[Any] = []

    def __call__(self, task: TrainingTask) -> None:
        settings = read_settings(task.settings)
        self.settings.append(settings)
        _, data = read_inputs(task, type(settings))
        if len(self.settings) == self.killed_in:
            raise KeyboardInterrupt
        if settings.learning_rate > self.fails_above:
            raise ModelError("the loss was never a finite number")
        error = 0.1 * (1 + abs(math.log(settings.learning_rate / BEST_RATE)))
        task.out.mkdir(parents=True)
        (task.out / "model.pt").write_text(repr(settings.learning_rate))
        names = ("energy_per_atom_rmse", "force_rmse", "stress_rmse")
        rows = [(step, "valid", name, error * 10 / step, "1") for step in (1, 10) for name in names]
        write_curve(task.out / "curve.parquet", settings.id, [*rows, (10, "train", "loss", 1.0, "1")])
        loss = LossRecord(weights_start=WEIGHTS, weights_end=WEIGHTS, gradient_shares_start=WEIGHTS)
        cost = Cost(wall_s=2.0, threads=task.threads, device="cpu", frames_per_s=1.0)
        write_card(task.out, settings, data, Trained(["model.pt"], Facts(cutoff_A=3.0), cost, loss))


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.make_dataset(tmp_path_factory.mktemp("data"))


@pytest.fixture
def task(split: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, Any]], TrainingTask]:
    """Return what makes the task of a search by its settings."""
    monkeypatch.chdir(tmp_path)

    def of(settings: dict[str, Any]) -> TrainingTask:
        path = tiny.write_settings(tmp_path / "settings.json", settings)
        dataset = split / "datasets" / "eq"
        return TrainingTask(
            settings=path, dataset=dataset, summary=dataset / "dataset.json", out=tmp_path / "model", weights=None, replay=None,
            checkpoints=tmp_path / "kept", code="0", threads=2, device="cpu",
        )  # fmt: skip

    return of


def content(model: Path) -> dict[str, Any]:
    return json.loads((model / "model.json").read_text())


def test_a_better_rate_is_chosen_and_every_trial_is_in_the_card(task: Callable[..., TrainingTask]) -> None:
    trainer, given = Trainer(), task(BAD | {"trials": 8})
    models_search.search(given, trainer)
    card = content(given.out)
    trials, chosen = card["search"]["trials"], card["search"]["chosen"]
    assert len(trials) == len(trainer.settings) == 8
    assert trials[0]["settings"] == {}
    assert trials[0]["error"] == 1
    assert trainer.settings[0].learning_rate == BAD["learning_rate"]
    best = trials[chosen - 1]
    assert best["error"] == min(trial["error"] for trial in trials) < 0.9
    rate = best["settings"]["learning_rate"]
    assert abs(math.log(rate / BEST_RATE)) < abs(math.log(BAD["learning_rate"] / BEST_RATE))
    assert (given.out / "model.pt").read_text() == repr(rate)
    assert card["settings"]["learning_rate"] == rate
    assert "trials" not in card["settings"]
    assert card["cost"]["wall_s"] == pytest.approx(8 * 2.0)
    assert all(trial["core_s"] == 4.0 for trial in trials)
    assert "optuna" in card["search"]["by"]
    assert not list((given.checkpoints or given.out).iterdir())
    for trial, settings in zip(trials[1:], trainer.settings[1:], strict=True):
        changed = trial["settings"]
        assert changed.keys() == {"learning_rate", "final_learning_rate", "epochs", "energy_weight", "stress_weight"}
        assert BAD["epochs"] / 2 <= changed["epochs"] <= BAD["epochs"]
        assert changed["final_learning_rate"] < changed["learning_rate"]
        assert {name: getattr(settings, name) for name in changed} == changed
        assert settings.forces_weight == BAD["forces_weight"]
    assert len({trial["settings"]["learning_rate"] for trial in trials[1:]}) > 3


def test_a_search_that_was_killed_goes_on_to_the_same_card(task: Callable[..., TrainingTask]) -> None:
    whole = task(BAD | {"trials": 6})
    models_search.search(whole, Trainer())
    again, killed = replace(whole, out=whole.out.with_name("again")), Trainer(killed_in=5)
    with pytest.raises(KeyboardInterrupt):
        models_search.search(again, killed)
    assert not again.out.exists()
    rest = Trainer()
    models_search.search(again, rest)
    assert len(rest.settings) == 2  # the fifth once more, and the sixth
    assert rest.settings[0] == killed.settings[-1]
    assert content(again.out) == content(whole.out)


def test_other_settings_or_seeds_ask_for_other_trials(task: Callable[..., TrainingTask]) -> None:
    rates = []
    for seed in (1, 2, 1):
        trainer = Trainer()
        models_search.search(task(BAD | {"trials": 3, "seed": seed}), trainer)
        rates.append([settings.learning_rate for settings in trainer.settings])
    assert rates[0] == rates[2] != rates[1]


def test_a_trial_that_fails_is_a_row_with_its_reason(task: Callable[..., TrainingTask]) -> None:
    trainer, given = Trainer(fails_above=0.001), task(BAD | {"trials": 8})
    models_search.search(given, trainer)
    trials = content(given.out)["search"]["trials"]
    failed = [trial for trial in trials if trial["failed"]]
    assert 0 < len(failed) < 8
    assert {(trial["failed"], trial["error"]) for trial in failed} == {("the loss was never a finite number", None)}
    assert content(given.out)["settings"]["learning_rate"] <= 0.001


def test_without_any_model_it_says_why(task: Callable[..., TrainingTask]) -> None:
    with pytest.raises(
        ModelError, match=r"m-eq-s1: none of its 3 trials left a model: the loss was never a finite number"
    ):
        models_search.search(task(BAD | {"trials": 3}), Trainer(fails_above=0))


def test_core_minutes_are_shared_in_equal_parts(task: Callable[..., TrainingTask]) -> None:
    trainer = Trainer()
    models_search.search(task(BAD | {"trials": 4, "core_minutes": 10}), trainer)
    assert [settings.core_minutes for settings in trainer.settings] == [2.5] * 4
    assert {settings.epochs for settings in trainer.settings} == {BAD["epochs"]}  # which the pace says


def test_weights_that_the_data_set_are_changed_from_those_of_the_first_trial(task: Callable[..., TrainingTask]) -> None:
    trainer = Trainer()
    models_search.search(task(BAD | {"trials": 3, "energy_weight": "auto", "stress_weight": 0}), trainer)
    assert trainer.settings[0].energy_weight == "auto"
    for settings in trainer.settings[1:]:
        assert 0.2 <= settings.energy_weight / WEIGHTS["energy"] + 1e-9 <= 5.01
        assert settings.stress_weight == 0


def test_a_stress_that_is_not_trained_on_does_not_count(task: Callable[..., TrainingTask]) -> None:
    given = task(BAD | {"trials": 1, "stress_weight": 0})
    models_search.search(given, Trainer())
    (trial,) = content(given.out)["search"]["trials"]
    assert trial["errors"].keys() == {"energy_per_atom_rmse", "force_rmse"}
    error = 0.1 * (1 + abs(math.log(BAD["learning_rate"] / BEST_RATE)))
    assert trial["errors"]["force_rmse"] == pytest.approx(error)  # at the end, not at the first step


@pytest.mark.all
def test_trainings_of_mace_are_searched(split: Path, tmp_path: Path) -> None:
    model = tiny.train(train, BAD | {"trials": 4}, split, tmp_path)
    card = read_card(model)
    assert card.search is not None
    errors = [trial.error for trial in card.search.trials]
    assert errors[0] == 1
    # Rates near the bad one give 0.998 to 1.002 of its error: what is found is beyond that.
    assert min(error for error in errors if error is not None) < 0.97
    assert card.search.trials[card.search.chosen - 1].settings["learning_rate"] > BAD["learning_rate"]
    tiny.check_card(model, split, ["model.pt"])
