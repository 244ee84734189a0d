#!/usr/bin/env python3
"""Statistics of the comparison: combine runs, compare two estimates, correct for many comparisons.

Pure functions on numbers. An interval is always a two-sided 95 % interval from Student's t distribution.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

LEVEL = 0.05
Z95 = float(stats.norm.ppf(1 - LEVEL / 2))


@dataclass(frozen=True)
class Estimate:
    """A number with its standard error and the degrees of freedom behind that error (inf: known)."""

    value: float
    standard_error: float
    dof: float = math.inf

    def interval(self) -> tuple[float, float]:
        """Return the ends of the 95 % interval; not-a-number where the error is unknown."""
        half = float(stats.t.ppf(1 - LEVEL / 2, self.dof)) * self.standard_error
        return self.value - half, self.value + half

    def p_value(self) -> float:
        """Return the two-sided p-value of the hypothesis that the true value is 0."""
        if self.standard_error == 0:
            return float(self.value == 0)
        return float(2 * stats.t.sf(abs(self.value) / self.standard_error, self.dof))


def combine(
    values: Sequence[float],
    standard_errors: Sequence[float],
    factors: Sequence[Sequence[object]],
    dofs: Sequence[float] | None = None,
    shared_error: bool = False,
) -> Estimate:
    """Combine n runs into one estimate that holds both the error within runs and the spread between them.

    ``values`` and ``standard_errors`` (n) are those of the runs; ``factors`` are the groupings of the runs,
    each with n labels: the model seed and the replica. The mean of the runs is unweighted, since the spread
    between runs usually exceeds the error within them.

    One run: its own error (with ``dofs``), which knows nothing of the spread between runs.
    Several runs: the between-run variance of the mean is, summed over the factors, the variance of the means
    of the levels over their number; the degrees of freedom follow Satterthwaite (Biometrics 2 (1946) 110).
    For crossed factors the residual is counted once per factor, which errs on the wide side. The within-run
    variance of the mean is sum(s^2) / n^2. Whichever gives the wider interval is used, so that runs which
    agree by accident do not shrink the error below that of the runs themselves.

    ``shared_error``: the within error comes from one sample common to all (a test set): it neither averages
    out over the runs nor shows up in their spread, so that its mean square is added to the between part.
    """
    x, s = np.asarray(values, float), np.asarray(standard_errors, float)
    n = len(x)
    nu = np.full(n, np.inf) if dofs is None else np.maximum(np.asarray(dofs, float), 1.0)
    if n == 1:
        return Estimate(float(x[0]), float(s[0]), float(nu[0]))
    between, parts = 0.0, []
    for labels in factors:
        levels = sorted(set(labels), key=str)
        if len(levels) < 2:
            continue
        means = [x[[label == level for label in labels]].mean() for level in levels]
        variance = float(np.var(means, ddof=1)) / len(levels)
        between += variance
        parts.append((variance, len(levels) - 1))
    if shared_error:
        total = float(np.mean(s**2)) + between
        return Estimate(float(x.mean()), math.sqrt(total), satterthwaite(total, parts))
    within = float(np.sum(s**2)) / n**2
    within_dof = satterthwaite(within, [(float(si**2) / n**2, float(k)) for si, k in zip(s, nu, strict=True)])
    own = Estimate(float(x.mean()), math.sqrt(within), within_dof)
    spread = Estimate(float(x.mean()), math.sqrt(between), satterthwaite(between, parts))
    if not parts or math.isnan(own.standard_error):
        return spread if parts else own
    return max(own, spread, key=lambda e: e.interval()[1] - e.value)


def satterthwaite(total: float, parts: Sequence[tuple[float, float]]) -> float:
    """Return the effective degrees of freedom of a sum of variances (variance, degrees of freedom)."""
    below = sum(variance**2 / dof for variance, dof in parts)
    return total**2 / below if below > 0 else math.inf


def difference(a: Estimate, b: Estimate) -> Estimate:
    """Return a - b of two independent estimates (Welch).

    Models start from the same boxes: what they share makes the true interval narrower, never wider.
    """
    va, vb = a.standard_error**2, b.standard_error**2
    return Estimate(a.value - b.value, math.sqrt(va + vb), satterthwaite(va + vb, [(va, a.dof), (vb, b.dof)]))


def excess_of_midpoint(a: Estimate, b: Estimate, reference: Estimate) -> Estimate:
    """Return (a + b) / 2 - reference, whose sign says which of a and b lies closer to the reference.

    |a - r| < |b - r| exactly when (a - b) and (a + b) / 2 - r have opposite signs: two linear tests, free of
    the kink of a difference of absolute values.
    """
    parts = [(a.standard_error**2 / 4, a.dof), (b.standard_error**2 / 4, b.dof)]
    parts.append((reference.standard_error**2, reference.dof))
    total = sum(variance for variance, _ in parts)
    value = (a.value + b.value) / 2 - reference.value
    return Estimate(value, math.sqrt(total), satterthwaite(total, parts))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return Holm's adjusted p-values (Scand. J. Statist. 6 (1979) 65), in the order given."""
    m = len(p_values)
    adjusted, floor = [0.0] * m, 0.0
    for rank, i in enumerate(sorted(range(m), key=lambda j: p_values[j])):
        floor = max(floor, min(1.0, (m - rank) * p_values[i]))
        adjusted[i] = floor
    return adjusted


def rmse_over_points(squares: np.ndarray, blocks: Sequence[object]) -> Estimate:
    """Return the root mean square over points with a delete-one-block jackknife error.

    ``squares`` (k, points): squared errors of k = 1 or 2 models at the same points. With k = 2 the value is
    the *paired* ln(rmse[0] / rmse[1]): errors that grow along a scan then cancel, as they would not in a
    difference. ``blocks`` (points): points of one block leave together. With fewer than 3 blocks there is
    no error: not-a-number.
    """
    names = np.array([str(block) for block in blocks])
    levels = sorted(set(names))

    def statistic(keep: np.ndarray) -> float:
        root = np.sqrt(squares[:, keep].mean(axis=1))
        return float(np.log(root[0] / root[1])) if len(root) == 2 else float(root[0])

    n = len(levels)
    value = statistic(np.ones(len(names), bool))
    if n < 3:
        return Estimate(value, math.nan, math.inf)
    left = np.array([statistic(names != level) for level in levels])
    return Estimate(value, math.sqrt((n - 1) / n * float(np.sum((left - left.mean()) ** 2))), n - 1)
