"""How long a training is that is given core-minutes: as many steps or epochs as fit in, by the pace of short trainings.

Steps: two trainings, of which one is longer. Epochs: one on a few frames, one on more, and one of more epochs on as many: what a frame takes
once (its graph, the errors before and after the training) and what it takes at each epoch are two things, and of a short training both are
as large. Counted into the epochs, the first would leave half of the core-minutes unused.

On a CPU it is CPU time that counts, and not the clock, which also runs while other work has the cores.

The number is kept beside the checkpoints, so that a training that was killed goes on with the same, and stands in the card: giving it
instead of core-minutes trains as long, on any machine.
"""

import math
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel

from ionmelt.errors import UserError, of_model
from ionmelt.frame_file import read_frames, write_frames
from ionmelt.models.frameworks import FRAMEWORKS
from ionmelt.models.settings import TrainingSettings

Settings = TypeVar("Settings", bound=TrainingSettings)

KEPT = "length.json"  # in the folder of checkpoints
TIMES_LONGER = 3  # a longer training than a short one, in steps, frames or epochs
BATCHES = 10  # of the first one, where it is a pass over frames


class Pace(BaseModel):
    """What was measured: the time (s) that a training without steps takes, and each step or epoch; and how many fit in."""

    start_s: float
    unit_s: float
    length: int


def of_steps(first_s: float, second_s: float, first: int) -> tuple[float, float]:
    """Return the start and a step (s) from the times of two trainings, of `first` steps and of `TIMES_LONGER` times as many."""
    each_s = (second_s - first_s) / ((TIMES_LONGER - 1) * first)
    if each_s <= 0:  # so short that the start hides them
        each_s = second_s / (TIMES_LONGER * first)
    return max(0.0, first_s - first * each_s), each_s


def of_epochs(
    few_s: float, more_s: float, longer_s: float, few: int, frames: int, replayed: int = 0
) -> tuple[float, float]:
    """Return the start and an epoch (s) of a training on ``frames`` frames and those that are replayed.

    From the times of three trainings: an epoch on a few frames, one on `TIMES_LONGER` times as many, and as many epochs on these.
    """
    more = TIMES_LONGER * few
    each_s = (longer_s - more_s) / ((TIMES_LONGER - 1) * (more + replayed))
    if each_s <= 0:
        each_s = longer_s / (TIMES_LONGER * (more + replayed))
    once_s = max(0.0, (more_s - few_s) / (more - few) - each_s)
    start_s = max(0.0, few_s - (few + replayed) * (once_s + each_s))
    return start_s + (frames + replayed) * once_s, (frames + replayed) * each_s


def pace_of(
    seconds_of: Callable[..., float], first: int, frames: int | None, replayed: int, available_s: float
) -> Pace:
    """Return the pace; ``seconds_of``: see ``train_on`` of `with_length`, whose time it returns."""
    if frames is None:
        start_s, unit_s = of_steps(seconds_of(first), seconds_of(TIMES_LONGER * first), first)
    else:
        more = TIMES_LONGER * first
        times = seconds_of(1, first), seconds_of(1, more), seconds_of(TIMES_LONGER, more)
        start_s, unit_s = of_epochs(*times, first, frames, replayed)
    return Pace(start_s=start_s, unit_s=unit_s, length=math.floor((available_s - start_s) / unit_s))


def spent_s(threads: int, device: str) -> float:
    """Return the time (s) that this process and those it started have used until now: of each thread on a CPU, by the clock on a GPU."""
    return time.perf_counter() if device == "cuda" else sum(os.times()[:4]) / threads


@of_model(UserError)
def with_length(
    settings: Settings,
    checkpoints: Path,
    threads: int,
    device: str,
    train_on: Callable[..., None],
    first: int,
    frames: int | None = None,
    replayed: int = 0,
) -> Settings:
    """Return the settings with as many steps or epochs as fit into their core-minutes; without core-minutes as they are.

    ``train_on(folder, steps)`` trains for so many steps, and keeps what it writes in a folder; of a framework that counts epochs, which has
    ``frames`` to train on and so many that are ``replayed`` beside them, ``train_on(folder, epochs, frames)`` on some frames. ``first``: the
    steps of the shortest training, or its frames. Raises `ModelError` where not even one step or epoch fits in.
    """
    field = FRAMEWORKS[settings.framework].length
    if settings.core_minutes is None or field is None:
        return settings
    kept = checkpoints / KEPT
    if kept.is_file():
        pace = Pace.model_validate_json(kept.read_text())
    else:

        def seconds_of(*numbers: int) -> float:
            with tempfile.TemporaryDirectory(dir=".") as name:
                began = spent_s(threads, device)
                train_on(Path(name).resolve(), *numbers)
                return spent_s(threads, device) - began

        pace = pace_of(seconds_of, first, frames, replayed, 60 * settings.core_minutes / threads)
        kept.write_text(pace.model_dump_json(indent=2) + "\n")
    if pace.length < 1:
        least = (pace.start_s + pace.unit_s) * threads / 60
        raise UserError(
            f"model {settings.id}: core_minutes: {settings.core_minutes:g}: start and one of its {field} take {least:.2g}: give more"
        )
    return settings.model_copy(update={field: pace.length})


def some_frames(folder: Path, number: int, into: Path) -> None:
    """Write so many training frames of a dataset, and as large a part of its validation, at least one; frames repeat where there are fewer.

    They are taken evenly over all: liquids differ in their elements, and in what a frame costs.
    """
    frames = {name: read_frames(folder / f"{name}.extxyz", labelled=True) for name in ("train", "valid")}
    share = number / len(frames["train"])
    for name, these in frames.items():
        wanted = number if name == "train" else max(1, round(share * len(these)))
        write_frames(into / f"{name}.extxyz", [these[i * len(these) // wanted] for i in range(wanted)])
