"""Verdicts between models, and of each model against the reference.

The rules, which report.html repeats in words:

- Pairs differ in one thing: the model, or the dataset, or one side is an untrained model. Each model is also
  set against the reference, whose 95 % interval comes from its standard uncertainty (`references`).
- ``difference`` is model_a minus model_b with its 95 % interval. Two models that ran from the same boxes
  (``pairs`` of them, at least two) are compared box by box (`statistics.paired`), else as independent.
- ``ci95_*`` are the ends of one 95 % interval. p-values are corrected by Holm over all verdicts of one property,
  since a reader looks for the best model of a property; ``holm_low`` and ``holm_high`` are the ends of the interval at
  the level of that test (`statistics.holm_levels`): words, colours and bars come from it. ``not distinguishable``:
  it holds 0, which is no proof of agreement. ``not converged``: either side is not converged; the difference is for
  orientation only, and there is no test.
- ``a`` or ``b``: that model is closer to the reference (of a property of the liquid: the models differ, and the
  reference lies on that side of their midpoint, both beyond the error), or has the lower error (force_rmse,
  scan_energy_rmse).
- Errors are compared on the test points (frames, or places of the scan) that both answered. A model that gave no
  answer where the other did, or of which a trained model has no errors, may lose but never win, nor be called as good:
  what it failed on need not be like the rest. ``points_missing_a`` and ``points_missing_b`` count those points.
- ``differs``: the two differ, but without a usable reference larger is not better, so neither wins. Against
  the reference itself it means: the model is off by more than the error.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ionmelt.compare.groups import ERROR_UNITS, Group, by_state, one_factor_apart
from ionmelt.compare.points import on_shared_points
from ionmelt.compare.statistics import LEVEL, Estimate, difference, holm, holm_levels, paired


@dataclass(frozen=True)
class Comparison:
    """A group against another (``b`` None: against the reference), before the correction for many tests.

    ``delta`` is a less b. With a ``scale`` it is L = ln(x / y), and the scale the geometric mean g of x and y: as
    x - y = 2 g sinh(L / 2), an interval of L becomes one of the difference, which holds 0 exactly when that of L does.
    ``is_tested``: there is a p-value. ``side`` is the better one (a or b) where that can be said, ``p_side`` the p-value of
    the reference lying on that side; the sides in ``barred`` may not win. ``missing_a`` and ``missing_b`` as in `SharedPoints`.
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

    @property
    def p_value(self) -> float:
        """The p-value of the hypothesis that the two are alike; not-a-number where there is no test."""
        return self.delta.p_value() if self.delta is not None and self.is_tested else math.nan

    @property
    def difference(self) -> float | None:
        """The number of a less that of b."""
        if self.delta is None:
            return None
        return self.delta.value if self.scale is None else from_ratio(self.delta.value, self.scale)

    def interval(self, level: float = LEVEL) -> tuple[float, float] | None:
        """Return the ends of the interval of the difference at a level, None where there is none."""
        if self.delta is None or not math.isfinite(self.delta.standard_error):
            return None
        low, high = self.delta.interval(level)
        return (low, high) if self.scale is None else (from_ratio(low, self.scale), from_ratio(high, self.scale))


@dataclass(frozen=True)
class Verdict:
    """What a comparison says once it is corrected for many tests; ``holm`` are the ends of the interval at its test's level."""

    comparison: Comparison
    verdict: str = "not converged"
    notes: tuple[str, ...] = ()
    p_holm: float | None = None
    holm: tuple[float, float] | None = None

    def row(self) -> dict[str, object]:
        """Return the row of the table `verdicts`."""
        made, a, b = self.comparison, self.comparison.a, self.comparison.b
        low, high = made.interval() or (None, None)
        holm_low, holm_high = self.holm or (None, None)
        return {
            "liquid": a.liquid,
            "temperature_K": a.temperature_K,
            "property": a.quantity,
            "species": a.species,
            "model_a": a.name,
            "model_b": b.name if b else "reference",
            "difference": made.difference,
            "ci95_low": low,
            "ci95_high": high,
            "unit": a.unit,
            "verdict": self.verdict,
            "reason": "; ".join(self.notes) or None,
            "p_value": made.p_value if made.is_tested else None,
            "p_holm": self.p_holm,
            "holm_low": holm_low,
            "holm_high": holm_high,
            "pairs": made.pairs,
            "points": made.points,
            "points_missing_a": made.missing_a,
            "points_missing_b": made.missing_b,
            "model_id_a": a.model,
            "dataset_a": a.dataset,
            "model_id_b": b.model if b else None,
            "dataset_b": b.dataset if b else None,
        }


def from_ratio(log_ratio: float, scale: float) -> float:
    """Return x - y of two numbers with ln(x / y) and the geometric mean ``scale``."""
    # beyond this an error bar has no meaning, and the exponential no number
    return 2 * scale * math.sinh(max(-300.0, min(300.0, log_ratio / 2)))


def judge(groups: Sequence[Group]) -> list[Verdict]:
    """Return the verdicts on the groups of one property; see the module's text for the rules."""
    comparisons = []
    for alike in by_state(groups):
        for i, a in enumerate(alike):
            comparisons += [compare(a, b) for b in alike[i + 1 :] if one_factor_apart(a, b)]
            if a.reference is not None:
                comparisons.append(compare_with_reference(a))
    tested = [c for c in comparisons if c.is_tested]
    p_values = [c.p_value for c in tested]
    sided = holm([max(c.p_value, c.p_side) for c in tested])
    corrected = iter(
        decide(c, len(tested), p, level, p_side)
        for c, p, level, p_side in zip(tested, holm(p_values), holm_levels(p_values), sided, strict=True)
    )
    return [next(corrected) if c.is_tested else Verdict(c, notes=c.notes) for c in comparisons]


def decide(made: Comparison, tests: int, p_holm: float, level: float, p_side: float) -> Verdict:
    """Return the verdict of one of several tests, from its p-values after the correction and the level that it was tested at."""
    notes = made.notes
    if p_holm >= LEVEL:
        verdict = "not converged" if made.barred else "not distinguishable"
        if made.p_value < LEVEL:
            notes = (f"the interval excludes 0, but not after Holm's correction over {tests} tests", *notes)
    elif made.side is None:
        verdict = "differs"
    elif made.side in made.barred:
        verdict = "not converged"
    elif p_side < LEVEL:
        verdict = made.side
    else:
        verdict = "differs"
        notes = ("which of the two is closer to the reference is within the error", *notes)
    return Verdict(made, verdict, notes, p_holm, made.interval(level))


def compare(a: Group, b: Group) -> Comparison:
    """Compare two models."""
    return compare_errors(a, b) if a.quantity in ERROR_UNITS else compare_runs(a, b)


def compare_runs(a: Group, b: Group) -> Comparison:
    """Compare two models by a property of the liquid: which is closer to the reference, where there is one."""
    delta, pairs = weighted(a, b, (1.0, -1.0)) if a.estimate and b.estimate else (None, None)
    poor = [group for group in (a, b) if not group.converged]
    if poor or delta is None or not math.isfinite(delta.standard_error):
        notes = [f"{group.name}: {group.reason}" for group in poor] or ["no interval"]
        return Comparison(a, b, delta, pairs=pairs, notes=tuple(notes))
    notes = [how_paired(a, b, pairs), *reasons(a, b)]
    if a.reference is None:
        notes.insert(0, "no reference: a larger value is not a better one")
        return Comparison(a, b, delta, is_tested=True, pairs=pairs, notes=tuple(notes))
    # |a - r| < |b - r| exactly when a - b and (a + b) / 2 - r have opposite signs: two linear tests, neither of which has
    # the kink of an absolute value. Both are of what an experiment would see, with the corrections for the size of the box.
    seen = delta.plus(a.shift - b.shift)
    middle = difference(weighted(a, b, (0.5, 0.5))[0].plus((a.shift + b.shift) / 2), a.reference.estimate())
    return Comparison(
        a,
        b,
        delta,
        is_tested=True,
        side="a" if (seen.value > 0) == (middle.value < 0) else "b",
        p_side=max(middle.p_value(), seen.p_value()),
        pairs=pairs,
        notes=(a.reference.words(), *notes),
    )


def compare_errors(a: Group, b: Group) -> Comparison:
    """Compare the errors of two models, on what both answered where that is known point by point."""
    scale: float | None = None
    points = missing_a = missing_b = None
    if a.points is not None and b.points is not None:
        shared = on_shared_points(a.points, b.points)
        delta, scale, points = shared.ratio, shared.scale, shared.count
        missing_a, missing_b = shared.missing_a, shared.missing_b
        lacking = missing_a, missing_b
    else:
        delta = weighted(a, b, (1.0, -1.0))[0] if a.estimate and b.estimate else None
        lacking = a.missing or 0, b.missing or 0
    notes, barred = [], ""
    for letter, group, missing in (("a", a, lacking[0]), ("b", b, lacking[1])):
        if lacks := why_barred(group, missing):
            barred += letter
            notes.append(f"{group.name}: {', '.join(lacks)}: it may not win")
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
    seen = a.corrected()
    delta = None if seen is None else difference(seen, a.reference.estimate())
    notes = (a.reference.words(), *([a.reason] if a.reason else []))
    return Comparison(a, None, delta, is_tested=a.converged and delta is not None, notes=notes)


def reasons(a: Group, b: Group) -> list[str]:
    """Return what is to be said of two groups, each with its name."""
    return sorted({f"{group.name}: {group.reason}" for group in (a, b) if group.reason})


def weighted(a: Group, b: Group, weights: tuple[float, float]) -> tuple[Estimate, int | None]:
    """Return the weighted sum of two models that have estimates, and over how many shared boxes it is paired (None: independent)."""
    if a.estimate is None or b.estimate is None:
        raise ValueError(f"{a.name} or {b.name} has no estimate")
    if a.behind is not None and b.behind is not None:
        pairs = paired(a.behind, b.behind, weights, same_seeds=a.model == b.model)
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
