"""What a study says of the division of its frames."""

from collections.abc import Iterable

from pydantic import Field

from ionmelt.settings import Count, Real, Section, TaskSettings, count, number

TEST_LEAST = 5  # test frames, below which errors measured on them are worth a warning


def kinds_of(entries: Iterable[str]) -> tuple[set[str], set[str]]:
    """Return the kinds of frames of a dataset and the liquids that it leaves out, from entries such as eq and -li10."""
    return {x for x in entries if not x.startswith("-")}, {x[1:] for x in entries if x.startswith("-")}


class Split(Section):
    """How the frames are divided; whole groups (trajectories) always stay together."""

    valid: Real = number(
        0.1, 0.01, 0.5, "share of the frames, in whole groups, that a training is judged by while it goes on"
    )
    test: Real = number(0.1, 0.01, 0.5, "share of the frames, in whole groups, that no training sees")
    near: Real = number(
        0.05, 0, 0.2, "share of the training frames kept back to show how much better a random split would look"
    )
    seed: Count = count(1, 0, 2**31 - 1, "seed of the division")


class DatasetSettings(TaskSettings):
    """The settings of SPLIT_DATASET."""

    datasets: dict[str, tuple[str, ...]] = Field(
        description="kinds of frames of each dataset; none: all frames are tests"
    )
    sizes: dict[str, Count] = Field({}, description="training frames that a dataset is cut to")
    split: Split
    max_failed_fraction: Real = number(..., 0, 1, "share of labels that may fail")
