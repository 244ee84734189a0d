"""Two models set against each other, or a model against its reference, before the correction for many tests.

- Pairs differ in one thing: the model, or the dataset, or one side is an untrained model. Each model is also
  set against the reference, whose 95 % interval comes from its standard uncertainty (`references`).
- Two models that ran from the same boxes (at least two) are compared box by box (`statistics.paired`), else as independent.
- Which of two is closer to the target: of two that were trained, the truth where the study runs it, the very method of the labels as a
  model (`truth`); else the reference. They differ, and the target lies on one side of their midpoint, both beyond the error.
- Errors are compared on the test points (frames, or points of the scan) that both answered. A model that gave no
  answer where the other did, or of which a trained model has no errors, may lose but never win, nor be called as good:
  what it failed on need not be like the rest.
- Of survival the model that lost less of the planned time is better (`lifetimes`); pairs of which no run broke are not compared.
- `Scope` says what a comparison is about: methods (frameworks, datasets) ask for seeds and boxes enough.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ionmelt.compare.groups import (
    ERROR_UNITS,
    Group,
    Reference,
    by_state,
    error_of_shifts,
    one_factor_apart,
    with_spread,
)
from ionmelt.compare.lifetimes import LifetimeDifference
from ionmelt.compare.points import on_shared_points
from ionmelt.compare.rmse import from_ratio
from ionmelt.compare.scope import Scope, scope_of
from ionmelt.compare.statistics import LEVEL, Estimate, difference, paired


@dataclass(frozen=True)
class Comparison:
    """A group against another (``b`` None: against the reference), before the correction for many tests.

    ``delta`` is a less b. With a ``scale`` it is L = ln(x / y), and the scale the geometric mean g of x and y: as
    x - y = 2 g sinh(L / 2), an interval of L becomes one of the difference, which holds 0 exactly when that of L does.
    ``is_tested``: there is a p-value. ``side`` is the better one (a or b) where that can be said, ``p_side`` the p-value of
    the target lying on that side; the sides in ``barred`` may not win. ``missing_a`` and ``missing_b`` as in `SharedPoints`. ``kept_error``: the
    part of the standard error that no run makes smaller, that of a measured reference and of a viscosity from elsewhere.
    """

    a: Group
    b: Group | None
    delta: Estimate | None
    scale: float | None = None
    is_tested: bool = False
    side: str | None = None
    p_side: float = 0.0
    barred: str = ""
    pairs: int | None = None
    points: int | None = None
    missing_a: int | None = None
    missing_b: int | None = None
    notes: tuple[str, ...] = ()
    lifetimes: LifetimeDifference | None = None
    kept_error: float = 0.0

    @property
    def pair(self) -> tuple[object, ...] | None:
        """The two and what they are compared by; None: one and its reference."""
        if self.b is None:
            return None
        liquid, temperature_K, species = self.a.state
        return liquid, temperature_K, self.a.quantity, species, frozenset((self.a.name, self.b.name))

    @property
    def scope(self) -> Scope:
        """What it is about."""
        return scope_of(self.a, self.b)

    @property
    def target(self) -> Reference | None:
        """The truth or the reference that it is held against."""
        return self.a.reference if self.b is None else target_of(self.a, self.b)

    @property
    def is_decidable(self) -> bool:
        """Whether there is a test, and the design of the study allows what it would say."""
        return self.is_tested and self.scope.is_allowed

    @property
    def p_value(self) -> float:
        """The p-value of the hypothesis that the two are alike; not-a-number where there is no test."""
        if self.lifetimes is not None:
            return self.lifetimes.p_value()
        return self.delta.p_value() if self.delta is not None and self.is_tested else math.nan

    @property
    def difference(self) -> float | None:
        """The number of a less that of b."""
        if self.lifetimes is not None:
            return self.lifetimes.value
        if self.delta is None:
            return None
        return self.delta.value if self.scale is None else from_ratio(self.delta.value, self.scale)

    def interval(self, level: float = LEVEL) -> tuple[float, float] | None:
        """Return the ends of the interval of the difference at a level, None where there is none."""
        if self.lifetimes is not None:
            return self.lifetimes.interval(level)
        if self.delta is None or not math.isfinite(self.delta.standard_error):
            return None
        low, high = self.delta.interval(level)
        return (low, high) if self.scale is None else (from_ratio(low, self.scale), from_ratio(high, self.scale))


def comparisons(groups: Sequence[Group], exact: str | None = None) -> list[Comparison]:
    """Return all comparisons of the groups of one property, state by state.

    The errors of the model ``exact`` are 0 by construction, for it made the labels: to set another's against them asks nothing.
    """
    made = []
    asked = [group for group in groups if group.quantity not in ERROR_UNITS or group.model != exact]
    for alike in by_state(with_spread(asked)):
        for i, a in enumerate(alike):
            others = [b for b in alike[i + 1 :] if one_factor_apart(a, b) and not with_its_truth(a, b)]
            made += [compare(a, b) for b in others if a.lifetimes is None or may_differ(a, b)]
            if a.reference is not None:
                made.append(compare_with_reference(a))
    return made


def may_differ(a: Group, b: Group) -> bool:
    """Tell whether a run of either of two models broke: else there is nothing to test."""
    return any(group.lifetimes is not None and group.lifetimes.breaks for group in (a, b))


def with_its_truth(a: Group, b: Group) -> bool:
    """Tell whether one of two groups is the truth of the other, which is its reference already."""
    return any(
        x.truth is not None and x.truth.name == y.name and x.reference is not None and x.reference.is_truth
        for x, y in ((a, b), (b, a))
    )


def compare(a: Group, b: Group) -> Comparison:
    """Compare two models."""
    if a.lifetimes is not None and b.lifetimes is not None:
        return compare_lifetimes(a, b, LifetimeDifference(a.lifetimes, b.lifetimes))
    return compare_errors(a, b) if a.quantity in ERROR_UNITS else compare_runs(a, b)


def compare_lifetimes(a: Group, b: Group, lifetimes: LifetimeDifference) -> Comparison:
    """Compare how far the runs of two models came; of runs that left no result nobody knows how far, so that there is no difference."""
    poor = [f"{group.name}: {group.reason}" for group in (a, b) if not group.converged]
    if poor:
        return Comparison(a, b, None, notes=tuple(poor))
    notes = how_many_broke(a), how_many_broke(b)
    side = "a" if lifetimes.value < 0 else "b"
    return Comparison(a, b, None, is_tested=True, side=side, notes=notes, lifetimes=lifetimes)


def how_many_broke(group: Group) -> str:
    """Say how many runs of a group broke."""
    if group.lifetimes is None:
        raise ValueError(f"{group.name} has no lifetimes")
    return f"{group.name}: {group.lifetimes.breaks} of {group.planned_runs} runs broke"


def compare_runs(a: Group, b: Group) -> Comparison:
    """Compare two models by a property of the liquid: which is closer to the truth or the reference, where there is one."""
    delta, pairs = weighted(a, b, (1.0, -1.0)) if a.estimate and b.estimate else (None, None)
    truth = truth_of(a, b)
    poor = [group for group in (a, b, truth) if group is not None and not group.converged]
    if poor or delta is None or not math.isfinite(delta.standard_error):
        notes = [f"{group.name}: {group.reason}" for group in poor] or ["no interval"]
        return Comparison(a, b, delta, pairs=pairs, notes=tuple(notes))
    notes = [how_paired(a, b, pairs), *reasons(a, b)]
    target = target_of(a, b)
    if target is None:
        notes.insert(0, "no reference: a larger value is not a better one")
        return Comparison(a, b, delta, is_tested=True, pairs=pairs, notes=tuple(notes))
    # |a - r| < |b - r| exactly when a - b and (a + b) / 2 - r have opposite signs: two linear tests, neither of which has
    # the kink of an absolute value. Against experiment both are of what it would see, with the corrections for the size of the box.
    error = error_of_shifts((a, b), (1.0, -1.0), target)
    seen = delta.plus(a.shift_to(target) - b.shift_to(target), error)
    middle = combined(a, b, truth, target, (0.5, 0.5))
    return Comparison(
        a,
        b,
        delta,
        is_tested=True,
        side="a" if (seen.value > 0) == (middle.value < 0) else "b",
        p_side=max(middle.p_value(), seen.p_value()),
        pairs=pairs,
        notes=(a.words_of(target), *notes),
    )


def truth_of(a: Group, b: Group) -> Group | None:
    """Return the truth that two trained models are held against, None where it is not run or they are not both trained."""
    return a.truth if a.dataset is not None and b.dataset is not None else None


def target_of(a: Group, b: Group) -> Reference | None:
    """Return what two models are held against: of one that was not trained here experiment, which the truth does not stand in for."""
    return next((group.reference for group in (a, b) if group.dataset is None), a.reference)


def combined(
    a: Group, b: Group, truth: Group | None, reference: Reference | None, weights: tuple[float, float]
) -> Estimate:
    """Return w_a a + w_b b - (w_a + w_b) t, box by box where all three share two; t is the truth, else the reference."""
    rest = sum(weights)
    if truth is not None and rest and a.behind is not None and b.behind is not None and truth.behind is not None:
        same = a.model == b.model
        pairs = paired(a.behind, b.behind, weights, same, [(-rest, truth.behind)], a.spread)
        if pairs is not None and math.isfinite(pairs[0].standard_error):
            return pairs[0]
    both, _ = weighted(a, b, weights)
    if truth is None:
        shift = sum(weight * side.shift_to(reference) for weight, side in zip(weights, (a, b), strict=True))
        both = both.plus(shift, error_of_shifts((a, b), weights, reference))
    if not rest:
        return both
    other = truth.estimate if truth is not None else reference.estimate() if reference else None
    if other is None:
        raise ValueError(f"{a.name}: neither a truth nor a reference")
    return difference(both, other.times(rest))


def compare_errors(a: Group, b: Group) -> Comparison:
    """Compare the errors of two models, on what both answered where that is known point by point."""
    scale: float | None = None
    points = missing_a = missing_b = None
    if a.points is not None and b.points is not None:
        shared = on_shared_points(a.points, b.points)
        delta, scale, points = shared.ratio, shared.scale, shared.count
        missing_a, missing_b = shared.missing_a, shared.missing_b
        barred, notes = who_is_barred((a, missing_a), (b, missing_b))
    else:
        delta = weighted(a, b, (1.0, -1.0))[0] if a.estimate and b.estimate else None
        barred, notes = who_is_barred((a, a.missing or 0), (b, b.missing or 0))
    if barred and points is not None:
        notes.append(f"compared on the {points} points that both answered")
    notes += reasons(a, b)
    is_tested = delta is not None and math.isfinite(delta.standard_error)
    side: str | None = None
    if delta is not None and is_tested:
        side = "a" if delta.value < 0 else "b"
    return Comparison(
        a, b, delta, scale, is_tested, side, barred=barred, points=points, missing_a=missing_a, missing_b=missing_b,
        notes=tuple(notes) if is_tested else tuple(notes or ["no interval"]),
    )  # fmt: skip


def who_is_barred(*sides: tuple[Group, int]) -> tuple[str, list[str]]:
    """Return which of two sides, a or b, may not win, and why; of each the answers that the other gave and it did not."""
    barred, notes = "", []
    for letter, (group, missing) in zip("ab", sides, strict=True):
        if lacks := why_barred(group, missing):
            barred += letter
            notes.append(f"{group.name}: {', '.join(lacks)}: it may not win")
    return barred, notes


def why_barred(group: Group, missing: int) -> list[str]:
    """Say why a model may not win by its errors: ``missing`` answers that the other gave, and trained models without errors."""
    lacks = [f"no answer on {missing} that the other answered"] if missing else []
    if group.planned_runs > group.runs:
        lacks.append(f"{group.runs} of {group.planned_runs} trained models have errors")
    return lacks


def compare_with_reference(a: Group) -> Comparison:
    """Compare a model with its reference."""
    if a.reference is None:
        raise ValueError(f"{a.name} has no reference")
    delta = offset(a)
    notes = (a.words_of(a.reference), *([a.reason] if a.reason else []))
    tested = a.converged and delta is not None
    return Comparison(a, None, delta, is_tested=tested, notes=notes, kept_error=kept_error(a))


def kept_error(group: Group) -> float:
    """Return the part of the standard error of `offset` that no run of the group makes smaller."""
    if group.truth is not None or group.reference is None:
        return 0.0
    of_correction = 0.0 if group.viscosity_source is None else group.shift_error_to(group.reference)
    return math.hypot(group.reference.estimate().standard_error, of_correction)


def offset(group: Group) -> Estimate | None:
    """Return how far a group lies above its truth, box by box where they share two, else above experiment; None: above neither."""
    seen = group.corrected()
    if seen is None:
        return None
    if group.truth is not None:
        return None if group.truth.estimate is None else weighted(group, group.truth, (1.0, -1.0))[0]
    return None if group.reference is None else difference(seen, group.reference.estimate())


def reasons(a: Group, b: Group) -> list[str]:
    """Return what is to be said of two groups, each with its name."""
    return sorted({f"{group.name}: {group.reason}" for group in (a, b) if group.reason})


def weighted(a: Group, b: Group, weights: tuple[float, float]) -> tuple[Estimate, int | None]:
    """Return the weighted sum of two models that have estimates, and over how many shared boxes it is paired (None: independent)."""
    if a.estimate is None or b.estimate is None:
        raise ValueError(f"{a.name} or {b.name} has no estimate")
    if a.behind is not None and b.behind is not None:
        pairs = paired(a.behind, b.behind, weights, a.model == b.model, common=a.spread)
        if pairs is not None and math.isfinite(pairs[0].standard_error):
            return pairs
    return difference(a.estimate.times(weights[0]), b.estimate.times(-weights[1])), None


def how_paired(a: Group, b: Group, pairs: int | None) -> str:
    """Say how two models were set against each other."""
    if pairs is not None:
        return f"paired over {pairs} shared boxes"
    shared = set(a.behind.replicas) & set(b.behind.replicas) if a.behind and b.behind else set()
    if shared:
        return "one shared box, too few to pair: taken as independent, which errs on the wide side"
    return "no shared box: taken as independent"
