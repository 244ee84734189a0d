"""Trainings of so many core-minutes: the length that fits in is found, kept, and refused where nothing fits."""

import math
from pathlib import Path

import numpy as np
import pytest
import tiny_training as tiny

from ionmelt.errors import UserError
from ionmelt.models import pace


class Clock:
    """A clock that a training of known pace moves: start (s), and each unit (s); of its processes' CPU time, the most of it a child's.

    Other work has the cores for as long again: the clock on the wall goes by twice as fast.
    """

    def __init__(self, start_s: float, unit_s: float, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.start_s, self.unit_s = 0.0, start_s, unit_s
        self.lengths: list[int] = []
        monkeypatch.setattr(
            pace.os, "times", lambda: (0.1 * self.now, 0.0, 0.7 * self.now, 0.2 * self.now, 2 * self.now)
        )
        monkeypatch.setattr(pace.time, "perf_counter", lambda: 2 * self.now)

    def train_on(self, folder: Path, steps: int) -> None:
        assert folder.is_dir()
        self.lengths.append(steps)
        self.now += self.start_s + self.unit_s * steps

    def train_epochs(self, folder: Path, epochs: int, frames: int) -> None:
        """Each frame takes `unit_s` at every epoch, and three times as long once; 40 frames are replayed."""
        self.train_on(folder, (frames + 40) * (epochs + 3))


def settings(core_minutes: float | None):
    return tiny.training_settings(tiny.DEEPMD | ({} if core_minutes is None else {"core_minutes": core_minutes}))


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "kept").mkdir()
    return tmp_path / "kept"


@pytest.mark.parametrize(("threads", "expected"), [(1, 960), (2, 960)])
def test_as_many_steps_as_fit_in_beside_the_start(here: Path, monkeypatch, threads: int, expected: int) -> None:
    # (600 s of CPU time, less 24 s to start) / 0.6 s: however many threads share them
    clock = Clock(24.0, 0.6, monkeypatch)
    chosen = pace.with_length(settings(10), here, threads, "cpu", clock.train_on, 50)
    assert chosen.steps == expected
    assert clock.lengths == [50, 150]
    assert "steps" in chosen.model_dump(exclude_unset=True)  # so that the card has it


def test_a_gpu_is_paid_by_the_clock(here: Path, monkeypatch) -> None:
    # 600 s of two threads: 300 s, less 48 s to start, at 1.2 s by the clock
    assert pace.with_length(settings(10), here, 2, "cuda", Clock(24.0, 0.6, monkeypatch).train_on, 50).steps == 210


def test_a_training_that_was_killed_goes_on_with_the_same_length(here: Path, monkeypatch) -> None:
    first = pace.with_length(settings(10), here, 1, "cpu", Clock(24.0, 0.6, monkeypatch).train_on, 50)
    slower = Clock(24.0, 6.0, monkeypatch)
    assert pace.with_length(settings(10), here, 1, "cpu", slower.train_on, 50).steps == first.steps
    assert slower.lengths == []


def test_without_core_minutes_nothing_is_measured(here: Path, monkeypatch) -> None:
    clock = Clock(1.0, 1.0, monkeypatch)
    assert pace.with_length(settings(None), here, 1, "cpu", clock.train_on, 50) == settings(None)
    assert clock.lengths == []


def test_what_does_not_fit_in_is_refused_with_what_would(here: Path, monkeypatch) -> None:
    with pytest.raises(UserError, match=r"core_minutes: 0\.5: start and one of its steps take 1\.1: give more"):
        pace.with_length(settings(0.5), here, 1, "cpu", Clock(60.0, 6.0, monkeypatch).train_on, 2)


def test_as_many_epochs_as_fit_in_beside_what_a_frame_takes_once(here: Path, monkeypatch) -> None:
    # 10 core-minutes less 20 s to start, 140 frames of 0.1 s an epoch and 0.3 s once: (600 - 20 - 42) / 14 = 38.4
    clock = Clock(20.0, 0.1, monkeypatch)
    mace = tiny.training_settings(tiny.MACE | {"core_minutes": 10})
    chosen = pace.with_length(mace, here, 1, "cpu", clock.train_epochs, 20, 100, replayed=40)
    assert chosen.epochs == 38
    assert clock.lengths == [60 * 4, 100 * 4, 100 * 6]


def test_a_start_that_hides_the_rest_gives_a_length_that_is_not_too_long() -> None:
    assert pace.of_steps(10.0, 9.0, 10) == pytest.approx((7.0, 0.3))
    # an epoch on 30 frames takes no more than a third of three; nothing is left to be taken once
    assert pace.of_epochs(10.0, 9.5, 9.0, 10, 60) == pytest.approx((9.0, 6.0))


@pytest.mark.parametrize("number", [3, 10, 100])
def test_some_frames_are_spread_over_each_part_and_repeat_where_there_are_fewer(here: Path, number: int) -> None:
    split = tiny.make_dataset(here)
    mixture = split / "datasets" / "eq"
    (into := here / "few").mkdir()
    every = {name: pace.read_frames(mixture / f"{name}.extxyz", labelled=True) for name in ("train", "valid")}
    pace.some_frames(mixture, number, into)
    few = {name: pace.read_frames(into / f"{name}.extxyz", labelled=True) for name in ("train", "valid")}
    assert len(few["train"]) == number
    there = [every["train"].index(frame) for frame in few["train"]]
    assert there == sorted(there)
    counts, share = np.bincount(there, minlength=len(every["train"])), number / len(every["train"])
    assert {*counts} <= {math.floor(share), math.ceil(share)}
    # each third of the frames has its third of those that are taken
    thirds = [sum(counts[third]) for third in np.array_split(np.arange(len(counts)), 3)]
    assert max(thirds) - min(thirds) <= 1 + 2 * share
    assert len(few["valid"]) == max(1, round(len(every["valid"]) * number / len(every["train"])))
