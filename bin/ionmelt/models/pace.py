"""How long a training is that is given core-minutes: as many steps or epochs as fit in, by the pace of two short trainings.

Both begin alike, and differ in what they do: twice as many steps more, or one pass over twice as many frames more. (Two passes in place of
one would count as frames what an epoch takes besides them, checkpoints and validation.)

On a CPU it is CPU time that counts, and not the clock, which also runs while other work has the cores.

The number is kept beside the checkpoints, so that a training that was killed goes on with the same, and stands in the card: giving it
instead of core-minutes repeats the training, on any machine.
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
TIMES_LONGER = 3  # the second short training than the first
BATCHES = 10  # of the first one, where it is a pass over frames


class Pace(BaseModel):
    """What was measured: the time (s) that a training without steps takes, and each step or epoch; and how many fit in."""

    start_s: float
    unit_s: float
    length: int


def pace_of(first_s: float, second_s: float, first: int, available_s: float, per_unit: float = 1.0) -> Pace:
    """Return the pace from the times (s) of two trainings, of `first` steps (or frames) and of `TIMES_LONGER` times as many.

    ``per_unit``: steps or frames in a unit of the length: one step, or all frames of an epoch.
    """
    each_s = (second_s - first_s) / ((TIMES_LONGER - 1) * first)
    if each_s <= 0:  # so short that the start hides them
        each_s = second_s / (TIMES_LONGER * first)
    start_s, unit_s = max(0.0, first_s - first * each_s), per_unit * each_s
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
    train_on: Callable[[int, Path], None],
    first: int,
    per_unit: float = 1.0,
) -> Settings:
    """Return the settings with as many steps or epochs as fit into their core-minutes; without core-minutes as they are.

    ``train_on`` trains for so many steps (or once on so many frames), and keeps what it writes in a folder; ``first`` is the number of the
    shorter training. Raises `ModelError` where not even one step or epoch fits in.
    """
    field = FRAMEWORKS[settings.framework].length
    if settings.core_minutes is None or field is None:
        return settings
    kept = checkpoints / KEPT
    if kept.is_file():
        pace = Pace.model_validate_json(kept.read_text())
    else:

        def seconds_of(number: int) -> float:
            with tempfile.TemporaryDirectory(dir=".") as name:
                began = spent_s(threads, device)
                train_on(number, Path(name).resolve())
                return spent_s(threads, device) - began

        available_s = 60 * settings.core_minutes / threads
        pace = pace_of(seconds_of(first), seconds_of(TIMES_LONGER * first), first, available_s, per_unit)
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
