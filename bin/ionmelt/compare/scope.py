"""What a comparison may be about: methods, weights, or weights in one box.

A verdict on frameworks or datasets is about trainings and boxes that were not run: it needs several of both, or identical
models would differ by the accidents of one training. With fewer the study cannot decide, however long it runs. A model whose
trainings were too short (`curves`) stands in no ordering of models: it would be one of the lengths of trainings.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ionmelt.compare.groups import ERROR_UNITS, Group

SEEDS, BOXES = 3, 2  # least, for a verdict on methods
METHODS, WEIGHTS, BOX = "methods", "weights", "weights in one box"


@dataclass(frozen=True)
class Scope:
    """What a comparison is about (`METHODS`, `WEIGHTS` or `BOX`), whether the design of the study allows it, and the words for that."""

    about: str
    is_allowed: bool = True
    words: str | None = None


def scope_of(a: Group, b: Group | None) -> Scope:
    """Return what a comparison of two groups is about; ``b`` None: of one and its reference."""
    both = [group for group in (a, b) if group is not None]
    trained = [group for group in both if group.dataset is not None]
    seeds = min((seeds_of(group) for group in trained), default=SEEDS)
    of_liquid = a.quantity not in ERROR_UNITS
    boxes = min(boxes_of(group) for group in both) if of_liquid else BOXES
    if (
        len(trained) == 2
        and a.model != trained[1].model
        and (short := [group for group in trained if group.undertrained])
    ):
        return Scope(METHODS, False, "; ".join(f"{group.name}: {too_short(group.undertrained)}" for group in short))
    if seeds >= SEEDS and boxes >= BOXES:
        return Scope(METHODS if trained else WEIGHTS)
    lacks = few(seeds, boxes)
    if len(trained) == 2:
        least = f"{SEEDS} training seeds" + f" and {BOXES} boxes" * of_liquid
        return Scope(METHODS, False, f"{lacks}: a verdict on methods needs {least}")
    about = BOX if boxes < BOXES else WEIGHTS
    return Scope(about, words=f"about these weights{' in this box' * (about == BOX)} alone ({lacks})")


def too_short(undertrained: Sequence[int]) -> str:
    """Say which of a model's trainings, by their seeds, are undertrained."""
    seeds = ", ".join(map(str, undertrained))
    return f"undertrained (seed{'s' * (len(undertrained) > 1)} {seeds}), which is no measure of a framework"


def few(seeds: int, boxes: int) -> str:
    """Say of which there are too few, and how many."""
    lacking = [f"{seeds} training seed{'s' * (seeds > 1)}"] * (seeds < SEEDS)
    lacking += [f"{boxes} box{'es' * (boxes > 1)}"] * (boxes < BOXES)
    return " and ".join(lacking)


def seeds_of(group: Group) -> int:
    """Return the number of training seeds behind a group."""
    return group.runs if group.behind is None else len(set(group.behind.seeds))


def boxes_of(group: Group) -> int:
    """Return the number of boxes behind a group of a property of the liquid."""
    return 1 if group.behind is None else len(set(group.behind.replicas))
