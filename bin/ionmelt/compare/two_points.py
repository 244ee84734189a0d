"""Two points of learning curves against each other: the difference of their errors, and whether the design allows a verdict."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from ionmelt.compare.answers import Answer, side_of
from ionmelt.compare.comparison import combined, compare, offset
from ionmelt.compare.groups import Group
from ionmelt.compare.learning import OF_LIQUID, Point
from ionmelt.compare.lifetimes import LifetimeDifference
from ionmelt.compare.scope import SEEDS, scope_of
from ionmelt.compare.statistics import LEVEL


@dataclass(frozen=True)
class Difference:
    """The error of one point less that of another, the p-value of there being none, and its interval at any level."""

    value: float
    p_value: float
    interval: Callable[[float], tuple[float, float]]


def difference_of(a: Point, b: Point) -> Difference | None:
    """Return the error of a less that of b, None where it is not known."""
    if a.quantity in OF_LIQUID:
        return closer(a.group, b.group)
    if a.group.lifetimes is not None and b.group.lifetimes is not None:
        if not (a.converged and b.converged):
            return None
        lives = LifetimeDifference(a.group.lifetimes, b.group.lifetimes)
        return Difference(lives.value, lives.p_value(), lives.interval)
    made = compare(a.group, b.group)
    if made.difference is None or made.interval() is None:
        return None
    return Difference(made.difference, made.p_value, lambda level: made.interval(level) or (math.nan, math.nan))


def closer(a: Group, b: Group) -> Difference | None:
    """Return how much farther a is from the truth than b, with the p-value of "neither is closer"; None where it is not known.

    |a - t| - |b - t| is linear once it is known on which sides of t the two lie; the p-value is the larger of those of a = b
    and of t = (a + b) / 2, which need no sides (as in `comparison.compare_runs`).
    """
    off_a, off_b = offset(a), offset(b)
    if off_a is None or off_b is None:
        return None
    side_a, side_b = (1.0 if off.value >= 0 else -1.0 for off in (off_a, off_b))
    apart, middle, estimate = (
        combined(a, b, a.truth, a.reference, weights) for weights in ((1.0, -1.0), (0.5, 0.5), (side_a, -side_b))
    )
    return Difference(estimate.value, max(apart.p_value(), middle.p_value()), estimate.interval)


def against(question: str, a: Point, b: Point) -> Answer:
    """Return the answer of two points, before the correction for many tests."""
    seeds = min(a.seeds, b.seeds)
    answer = Answer(question, a.state, side_of(a), side_of(b), seeds, unit=a.group.unit)
    notes = [f"{point.name}: {point.reason}" for point in (a, b) if point.reason and not point.converged]
    few = too_few(a, b)
    notes += [few] if few else []
    apart = difference_of(a, b)
    if apart is None:
        return answer.because(notes or ["no interval"])
    answer = replace(answer, difference=apart.value)
    low, high = apart.interval(LEVEL)
    if not (math.isfinite(low) and math.isfinite(high)):
        return answer.because(notes or ["no interval"])
    answer = replace(answer, low=low, high=high)
    if not (a.converged and b.converged):
        return answer.because(notes or ["no interval"])
    if few:
        return replace(answer, verdict="design cannot decide").because(notes)
    tested = replace(answer, p_value=apart.p_value, verdict="not distinguishable", interval=apart.interval)
    return tested.because(notes)


def too_few(a: Point, b: Point) -> str | None:
    """Say which training seeds or boxes two points lack for a verdict on methods; None: nothing."""
    seeds, scope = min(a.seeds, b.seeds), scope_of(a.group, b.group)
    if seeds < SEEDS and a.quantity != "survival":
        return f"{seeds} training seed{'s' * (seeds > 1)}: a verdict on methods needs {SEEDS}"
    return None if scope.is_allowed else scope.words
