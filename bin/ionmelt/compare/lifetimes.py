"""How long runs last: the share of the planned time that was lost, how two models differ in it, and the share of runs that ended as planned.

A run that reaches its end is censored there, one that breaks is an event at its time: the share that is lost, 1 less the restricted
mean survival time (Royston and Parmar, Stat. Med. 30 (2011) 2409), tells runs that break more often from those that do not, and those
that break early from those that break late. Trainings differ, and all boxes of a bad one may break. So an interval is the wider of two:

- of independent runs with a constant rate of breaking: the exact intervals of the rates (Garwood, Biometrika 28 (1936) 437), of a difference
  put together by squares (Zou and Donner, Stat. Med. 27 (2008) 1693). Three training seeds in two boxes can pass it, where ranks of three
  seeds against three never fall below 10 %;
- Student's t on what the training seeds lost, once with the spread that the two models have (Welch) and once with that of all models of the
  state together: where some trainings break at once and others never, three seeds may agree by accident, but not those of all models.

The p-value is the level at which the interval of the difference begins to hold 0.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy

from ionmelt.compare.statistics import LEVEL, Estimate, difference, means_by
from ionmelt.distributions import beta_quantile, chi2_quantile


@dataclass(frozen=True)
class Lifetimes:
    """Runs of a model: the training seed of each, what share of its planned time it reached, and whether it broke there.

    ``spread``: the variance of what a training seed lost, and its degrees of freedom, of all models of the state; None: not known.
    """

    seeds: Sequence[object]
    reached: Sequence[float]
    broke: Sequence[bool]
    spread: tuple[float, float] | None = None

    @cached_property
    def of_seeds(self) -> list[float]:
        """The share of the planned time that the runs of each training seed lost."""
        return list(means_by(self.seeds, 1 - np.asarray(self.reached, float)).values())

    @cached_property
    def lost(self) -> float:
        """The share of the planned time that was lost, in the mean of the training seeds."""
        return float(np.mean(self.of_seeds))

    @cached_property
    def breaks(self) -> int:
        """How many runs broke."""
        return sum(self.broke)

    @cached_property
    def exposure(self) -> float:
        """For how long runs could break, in planned lengths."""
        return float(sum(self.reached))

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        """Return the ends of the interval of the lost share: the wider of those of a constant rate and of the spread between seeds."""
        low, high = self.interval_of_rate(level)
        below, above = self.between_seeds().interval(level)
        return max(0.0, min(low, below)), min(1.0, max(high, above))

    def between_seeds(self) -> Estimate:
        """Return the lost share with the error that the spread between training seeds gives; none of one seed."""
        each = self.of_seeds
        if len(each) == 1:
            return Estimate(self.lost, 0.0)
        return Estimate(self.lost, float(np.std(each, ddof=1)) / math.sqrt(len(each)), len(each) - 1)

    def interval_of_rate(self, level: float) -> tuple[float, float]:
        """Return the ends of the interval of the lost share that the exact interval of a constant rate gives."""
        n = self.breaks
        # chi-square quantiles: how many breaks the time that was run may have had, at either end
        low = chi2_quantile(level / 2, 2 * n) / 2 if n else 0.0
        high = chi2_quantile(1 - level / 2, 2 * n + 2) / 2
        return min(self.lost, self.lost_at(low)), max(self.lost, self.lost_at(high))

    def lost_at(self, breaks: float) -> float:
        """Return what share of planned lengths is lost where this time has so many breaks in the mean."""
        if breaks <= 0:
            return 0.0
        rate = breaks / self.exposure if self.exposure > 0 else math.inf
        return 1 + math.expm1(-rate) / rate


def spread_of(models: Sequence[Lifetimes]) -> tuple[float, float] | None:
    """Return the variance of what a training seed lost, of several models together, and its degrees of freedom; None: of no seeds."""
    each = [np.asarray(model.of_seeds) for model in models]
    dof = sum(len(lost) - 1 for lost in each)
    return (sum(float(((lost - lost.mean()) ** 2).sum()) for lost in each) / dof, dof) if dof else None


@dataclass(frozen=True)
class LifetimeDifference:
    """The share of the planned time that one model lost less that of another."""

    a: Lifetimes
    b: Lifetimes

    @property
    def value(self) -> float:
        """The difference."""
        return self.a.lost - self.b.lost

    def p_value(self) -> float:
        """Return the p-value of both being alike: the larger of those of both intervals."""
        least = 1e-12
        side = 1.0 if self.value > 0 else -1.0

        def nearer_end(log_level: float) -> float:
            return min(side * end for end in self.interval_of_rates(math.exp(log_level)))

        if self.value == 0 or nearer_end(0.0) <= 0:
            return 1.0
        of_rates = least
        if nearer_end(math.log(least)) < 0:
            of_rates = math.exp(scipy.optimize.brentq(nearer_end, math.log(least), 0.0, xtol=1e-4))
        return max(of_rates, *(between.p_value() for between in self.between_seeds()))

    def holds_zero(self, level: float) -> bool:
        """Tell whether the interval at a level holds 0."""
        low, high = self.interval(level)
        return low <= 0 <= high

    def between_seeds(self) -> list[Estimate]:
        """Return the difference with the errors that the spread between training seeds gives: of the two models, and of all."""
        made = [difference(self.a.between_seeds(), self.b.between_seeds())]
        if self.a.spread is not None:
            variance, dof = self.a.spread
            # a model without seeds, the one side of some pairs, has no spread between them
            shares = sum(1 / n for n in (len(self.a.of_seeds), len(self.b.of_seeds)) if n > 1)
            made.append(Estimate(self.value, math.sqrt(variance * shares), dof))
        return made

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        """Return the ends of the interval of the difference at a level."""
        each = [self.interval_of_rates(level), *(between.interval(level) for between in self.between_seeds())]
        return max(-1.0, min(low for low, _ in each)), min(1.0, max(high for _, high in each))

    def interval_of_rates(self, level: float) -> tuple[float, float]:
        """Return the ends of the interval that the exact intervals of two constant rates give."""
        (a_low, a_high), (b_low, b_high) = (side.interval_of_rate(level) for side in (self.a, self.b))
        below = math.hypot(self.a.lost - a_low, b_high - self.b.lost)
        above = math.hypot(a_high - self.a.lost, self.b.lost - b_low)
        return self.value - below, self.value + above


def share_interval(done: Sequence[bool], seeds: Sequence[object]) -> tuple[float, float]:
    """Return the exact 95 % interval (Clopper and Pearson) of the share of runs that are done.

    Boxes of one training may share its fate: where training seeds differ by more than single runs would, runs count for as many fewer
    as that is (the design effect of samples in clusters), and all of one seed for one at least.
    """
    share, boxes = sum(done) / len(done), len(done) / len(set(seeds))
    alike = 1.0
    if 0 < share < 1 and len(set(seeds)) > 1:
        spread = float(np.var(list(means_by(seeds, np.array(done, float)).values()), ddof=1))
        alike = min(max(1.0, boxes * spread / (share * (1 - share))), boxes)
    some, every = sum(done) / alike, len(done) / alike
    low = beta_quantile(0.025, some, every - some + 1) if some else 0.0
    high = beta_quantile(0.975, some + 1, every - some) if some < every else 1.0
    return low, high
