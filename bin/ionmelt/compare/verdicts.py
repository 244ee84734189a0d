"""Verdicts between models, and of each model against the reference.

The rules, which report.html repeats in words; for what is compared with what see `comparison`:

- ``difference`` is model_a minus model_b; ``ci95_*`` are the ends of its 95 % interval.
- All tests of a report that may name a winner are one family, those of `worth` among them: p-values are corrected by Holm over all
  of them, so that of identical models at most one report in twenty names a winner. The others (against the reference, and of what has
  neither truth nor reference) are a family for each property. ``holm_low`` and ``holm_high`` are the ends of the interval at the level of that
  test (`many_tests.holm_levels`): words, colours and bars come from it, but for what is ``equivalent``, which rests on ``ci90_*``.
- ``design cannot decide``: too few training seeds or boxes for a verdict on methods (`scope`). ``about`` says what a verdict is about.
- ``not converged``: either side is not converged; the difference is for orientation only, and there is no test.
- ``equivalent``: the 90 % interval (``ci90_*``) lies within the study's margin (two one-sided tests of 5 %; Schuirmann, J. Pharmacokinet.
  Biopharm. 15 (1987) 657), however sure a small difference may be.
- ``a`` or ``b``: that model is closer to the truth or the reference, or has the lower error (force_rmse, scan_energy_rmse).
- ``differs``: the two differ, but larger is not better, so neither wins. Against the reference itself: the model is off by more than the error.
- ``not distinguishable``: none of these. ``more_runs`` says how many times as many runs, of seeds and boxes alike, would decide it; of an
  error on test points, how many times as many trainings and test trajectories.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import scipy

from ionmelt.compare.comparison import Comparison
from ionmelt.compare.many_tests import holm, holm_levels
from ionmelt.compare.statistics import LEVEL, Estimate
from ionmelt.distributions import normal_quantile, student_limit

LARGEST = 600.0  # logarithm that has an exponential
EQUIVALENCE_LEVEL = 2 * LEVEL  # of the interval that two one-sided tests at LEVEL rest on


@dataclass(frozen=True)
class Verdict:
    """What a comparison says once it is corrected for many tests; ``holm`` are the ends of the interval at its test's level.

    ``margin``: the difference that does not matter, in the unit of the property. ``more_runs``: see the module's text.
    """

    comparison: Comparison
    verdict: str = "not converged"
    notes: tuple[str, ...] = ()
    p_holm: float | None = None
    holm: tuple[float, float] | None = None
    margin: float | None = None
    more_runs: float | None = None

    def row(self) -> dict[str, object]:
        """Return the row of the table `verdicts`."""
        made, a, b = self.comparison, self.comparison.a, self.comparison.b
        low, high = made.interval() or (None, None)
        holm_low, holm_high = self.holm or (None, None)
        ci90_low, ci90_high = made.interval(EQUIVALENCE_LEVEL) or (None, None)
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
            "ci90_low": ci90_low,
            "ci90_high": ci90_high,
            "pairs": made.pairs,
            "points": made.points,
            "points_missing_a": made.missing_a,
            "points_missing_b": made.missing_b,
            "model_id_a": a.model,
            "dataset_a": a.dataset,
            "model_id_b": b.model if b else None,
            "dataset_b": b.dataset if b else None,
            "about": made.scope.about,
            "margin": self.margin,
            "more_runs": self.more_runs,
        }


def judge(
    comparisons: Sequence[Comparison], margins: Mapping[str, float] | None = None, others: Sequence[float] = ()
) -> list[Verdict]:
    """Return the verdicts on all comparisons of a report; see the module's text for the rules.

    ``margins``: by property, the share of its value that does not matter. ``others``: p-values of further tests of the report that may
    name a winner.
    """
    verdicts: dict[int, Verdict] = {}
    tested = [i for i, made in enumerate(comparisons) if made.is_decidable]
    winners = winning(comparisons, tested)
    for family in (winners, *without_winner(comparisons, tested)):
        beside = list(others) if family is winners else []
        p_values = [*(comparisons[i].p_value for i in family), *beside]
        sided = holm([*(max(comparisons[i].p_value, comparisons[i].p_side) for i in family), *beside])
        for i, p, level, p_side in zip(family, holm(p_values), holm_levels(p_values), sided, strict=False):
            verdicts[i] = decide(comparisons[i], len(p_values), p, level, p_side, margins or {})
    return [verdicts.get(i) or undecided(made) for i, made in enumerate(comparisons)]


def winning(comparisons: Sequence[Comparison], tested: Sequence[int]) -> list[int]:
    """Return which of the tested comparisons may name a winner."""
    return [i for i in tested if comparisons[i].side is not None]


def without_winner(comparisons: Sequence[Comparison], tested: Sequence[int]) -> list[list[int]]:
    """Return which of the tested comparisons name no winner, those of each property together."""
    families: dict[str, list[int]] = {}
    for i in tested:
        if comparisons[i].side is None:
            families.setdefault(comparisons[i].a.quantity, []).append(i)
    return list(families.values())


def winning_p_values(comparisons: Sequence[Comparison]) -> list[float]:
    """Return the p-values of the comparisons that may name a winner."""
    decidable = [i for i, made in enumerate(comparisons) if made.is_decidable]
    return [comparisons[i].p_value for i in winning(comparisons, decidable)]


def undecided(made: Comparison) -> Verdict:
    """Return the verdict of a comparison without a test."""
    if made.is_tested and made.scope.words is not None and not made.barred:
        return Verdict(made, "design cannot decide", (made.scope.words, *made.notes))
    return Verdict(made, notes=made.notes)


def decide(
    made: Comparison, tests: int, p_holm: float, level: float, p_side: float, margins: Mapping[str, float]
) -> Verdict:
    """Return the verdict of one of several tests, from its p-values after the correction and the level that it was tested at."""
    notes = made.notes if made.scope.words is None else (made.scope.words, *made.notes)
    margin = margin_of(made, margins)
    more_runs = None
    if margin is not None and not made.barred and within(made, margin):
        verdict = "equivalent"
    elif p_holm >= LEVEL:
        verdict = "not converged" if made.barred else "not distinguishable"
        more_runs = None if made.barred else runs_to_decide(made, margin, level)
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
    return Verdict(made, verdict, notes, p_holm, made.interval(level), margin, more_runs)


def margin_of(made: Comparison, margins: Mapping[str, float]) -> float | None:
    """Return the difference that does not matter: a share of the target, else of the mean of the two; None: the study gives none."""
    share = margins.get(made.a.quantity)
    values = [group.estimate.value for group in (made.a, made.b) if group is not None and group.estimate is not None]
    if share is None or not values:
        return None
    return share * abs(made.target.value if made.target is not None else sum(values) / len(values))


def within(made: Comparison, margin: float) -> bool:
    """Tell whether the difference lies within a margin, by two one-sided tests."""
    ends = made.interval(EQUIVALENCE_LEVEL)
    return ends is not None and -margin < ends[0] and ends[1] < margin


def runs_to_decide(made: Comparison, margin: float | None, level: float = LEVEL) -> float | None:
    """Return how many times as many runs would find this difference at a level, or that it lies within the margin; None where none would.

    Of a difference that stays as it is seen, in as many tests, with an error that falls as the root of the number of runs, but for
    that of a measured reference, and degrees of freedom that grow as it does.
    """
    delta: Estimate | None = made.delta
    if delta is None or not delta.standard_error > 0:
        return None
    seen, kept = abs(delta.value) / delta.standard_error, (made.kept_error / delta.standard_error) ** 2
    ratios = [times_for(seen, level / 2, delta.dof, kept)] if seen > 0 else []
    if margin is not None and made.scale is None and abs(delta.value) < margin:
        ratios.append(times_for((margin - abs(delta.value)) / delta.standard_error, LEVEL, delta.dof, kept))
    finite = [ratio for ratio in ratios if math.isfinite(ratio)]
    return max(1.0, min(finite)) if finite else None


def times_for(seen: float, tail: float, dof: float, kept: float = 0.0) -> float:
    """Return how many times as many runs put a deviation, ``seen`` in standard errors, at the one-sided level ``tail`` of Student's t; infinite: none.

    ``kept``: the share of the variance that no number of runs makes smaller, and that is known.
    """
    room = (seen / normal_quantile(tail)) ** 2 - kept
    if room <= 0 or kept >= 1:
        return math.inf
    fewest = math.log((1 - kept) / room)  # logarithms: of next to no difference the number is huge
    if math.isinf(dof):
        return math.exp(min(fewest, LARGEST))

    def lacks(times: float) -> float:
        runs = math.exp(min(times, LARGEST))
        variance = kept + (1 - kept) / runs
        limit = student_limit(tail, dof * runs * (runs * variance) * (runs * variance))  # Satterthwaite
        return math.log(limit / seen) + math.log(variance) / 2

    # a normal distribution needs fewest; twice as many are enough of Student's t with a thousand degrees of freedom
    most = max(fewest, 0.0) + max(math.log(1000.0 / dof), 0.0) + math.log(2)
    while lacks(most) > 0 and most < LARGEST:
        most += math.log(2)
    if lacks(most) > 0:
        return math.inf
    return math.exp(min(float(scipy.optimize.brentq(lacks, fewest - math.log(2), most)), LARGEST))
