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

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        """Return the ends of the interval that misses the truth with a chance of ``level``; not-a-number: no error."""
        half = float(stats.t.isf(level / 2, self.dof)) * self.standard_error
        return self.value - half, self.value + half

    def p_value(self) -> float:
        """Return the two-sided p-value of the hypothesis that the true value is 0."""
        if self.standard_error == 0:
            return float(self.value == 0)
        return float(2 * stats.t.sf(abs(self.value) / self.standard_error, self.dof))


@dataclass(frozen=True)
class Runs:
    """The n runs behind one estimate: values with standard errors and their degrees of freedom (inf: known).

    ``seeds`` and ``replicas`` (n) are labels: the training seed, and the box that the run started from.
    """

    values: Sequence[float]
    standard_errors: Sequence[float]
    seeds: Sequence[object]
    replicas: Sequence[object]
    dofs: Sequence[float]

    def of(self, replicas: set[object]) -> "Runs":
        """Return the runs that started from one of these boxes."""
        keep = [i for i, replica in enumerate(self.replicas) if replica in replicas]
        return Runs(
            [self.values[i] for i in keep],
            [self.standard_errors[i] for i in keep],
            [self.seeds[i] for i in keep],
            [self.replicas[i] for i in keep],
            [self.dofs[i] for i in keep],
        )


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
    between runs usually exceeds the error within them. How both parts are joined: `wider`.

    One run: its own error (with ``dofs``), which knows nothing of the spread between runs.

    ``shared_error``: the within error comes from one sample common to all (a test set): it neither averages
    out over the runs nor shows up in their spread, so that its mean square is added to the between part.
    """
    x, s = np.asarray(values, float), np.asarray(standard_errors, float)
    n = len(x)
    nu = np.full(n, np.inf) if dofs is None else np.maximum(np.asarray(dofs, float), 1.0)
    if n == 1:
        return Estimate(float(x[0]), float(s[0]), float(nu[0]))
    parts = []
    for labels in factors:
        levels = sorted(set(labels), key=str)
        if len(levels) > 1:
            means = [x[[label == level for label in labels]].mean() for level in levels]
            parts.append((float(np.var(means, ddof=1)) / len(levels), len(levels) - 1))
    if shared_error:
        total = float(np.mean(s**2)) + sum(variance for variance, _ in parts)
        return Estimate(float(x.mean()), math.sqrt(total), satterthwaite(total, parts))
    return wider(float(x.mean()), [(float(si**2) / n**2, float(k)) for si, k in zip(s, nu, strict=True)], parts)


def wider(value: float, within: Sequence[tuple[float, float]], between: Sequence[tuple[float, float]]) -> Estimate:
    """Return an estimate with the error within runs or that of the spread between them, whichever is wider.

    ``within`` holds what each run adds to the variance of the mean, ``between`` the variances of the mean as
    the factors (seed, replica) show them, both with degrees of freedom; sums follow Satterthwaite (Biometrics
    2 (1946) 110). The error within runs is part of the spread over each factor: with several factors it is
    taken off once, as in an analysis of variance, but what is left is at least the largest of them.

    The wider one: Student's t on the spread is right however much the runs differ, yet two runs that agree by
    accident must not have a smaller error than their own. In meta-analysis this is the modified interval of
    Knapp and Hartung (Roever, Knapp and Friede, BMC Med. Res. Methodol. 15 (2015) 99); where runs do not
    differ beyond their own error and are few, it covers more than 95 %.
    """
    own_variance = sum(variance for variance, _ in within)
    own = Estimate(value, math.sqrt(own_variance), satterthwaite(own_variance, within))
    if not between:
        return own
    variances = [variance for variance, _ in between]
    total = sum(variances)
    dof = satterthwaite(total, between)
    if len(between) > 1 and math.isfinite(own_variance):
        total -= min(own_variance, total - max(variances))
    spread = Estimate(value, math.sqrt(total), dof)
    if math.isnan(own.standard_error):
        return spread
    return max(own, spread, key=lambda e: e.interval()[1] - e.value)


def paired(
    a: Runs,
    b: Runs,
    weights: tuple[float, float] = (1.0, -1.0),
    same_seeds: bool = False,
    others: Sequence[tuple[float, Runs]] = (),
) -> tuple[Estimate, int] | None:
    """Return weight_a * a + weight_b * b taken box by box, and the number of boxes; None with fewer than two.

    ``others`` are further terms of the sum (weight, runs), such as a third model that both are held against.

    The runs of both models that started from the same box (and with the same random numbers of the dynamics)
    are averaged over the training seeds and set against each other: what the box adds to both cancels in a
    difference, and is counted in full in a sum. The spread of these pairs gives the error (n boxes - 1 degrees
    of freedom). Training seeds of two models have nothing in common but their number, so that each model's own
    spread over its seeds is added; with ``same_seeds`` (one model on two datasets: the same initial weights)
    seeds are set against each other too. How this is joined with the error within runs: `wider`.
    """
    boxes = set(a.replicas) & set(b.replicas)
    for _, runs in others:
        boxes &= set(runs.replicas)
    if len(boxes) < 2:
        return None
    order = sorted(boxes, key=str)
    pairs, within, seeds = np.zeros(len(order)), [], []
    terms = [(weights[0], a), (weights[1], b), *others]
    for weight, runs in ((weight, runs.of(boxes)) for weight, runs in terms):
        x, labels = np.asarray(runs.values, float), list(runs.replicas)
        here = {box: [i for i, label in enumerate(labels) if label == box] for box in order}
        means = {box: x[here[box]].mean() for box in order}
        pairs += weight * np.array([means[box] for box in order])
        for error, dof, box in zip(runs.standard_errors, runs.dofs, labels, strict=True):
            share = weight / (len(order) * len(here[box]))
            within.append(((share * float(error)) ** 2, max(float(dof), 1.0)))
        # from the mean of their box, so that a seed that lacks a run of one box is not charged for that box
        beyond = x - np.array([means[box] for box in labels])
        levels = sorted(set(runs.seeds), key=str)
        seeds.append({level: weight * beyond[[seed == level for seed in runs.seeds]].mean() for level in levels})
    between = [(float(np.var(pairs, ddof=1)) / len(order), len(order) - 1)]
    if same_seeds and set(seeds[0]) == set(seeds[1]):
        seeds[:2] = [{level: seeds[0][level] + seeds[1][level] for level in seeds[0]}]
    for effects in seeds:
        if len(effects) > 1:
            variance = float(np.var(list(effects.values()), ddof=1)) / len(effects)
            between.append((variance, len(effects) - 1))
    return wider(float(pairs.mean()), within, between), len(order)


def satterthwaite(total: float, parts: Sequence[tuple[float, float]]) -> float:
    """Return the effective degrees of freedom of a sum of variances (variance, degrees of freedom)."""
    below = sum(variance**2 / dof for variance, dof in parts)
    return total**2 / below if below > 0 else math.inf


def difference(a: Estimate, b: Estimate) -> Estimate:
    """Return a - b of two independent estimates (Welch).

    Of models that start from the same boxes what they share makes the true interval narrower: see `paired`.
    """
    va, vb = a.standard_error**2, b.standard_error**2
    return Estimate(a.value - b.value, math.sqrt(va + vb), satterthwaite(va + vb, [(va, a.dof), (vb, b.dof)]))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return Holm's adjusted p-values (Scand. J. Statist. 6 (1979) 65), in the order given."""
    m = len(p_values)
    adjusted, floor = [0.0] * m, 0.0
    for rank, i in enumerate(sorted(range(m), key=lambda j: p_values[j])):
        floor = max(floor, min(1.0, (m - rank) * p_values[i]))
        adjusted[i] = floor
    return adjusted


def holm_levels(p_values: Sequence[float]) -> list[float]:
    """Return the level at which Holm's procedure tests each p-value, in the order given.

    It tests the smallest of m at 5 % / m, the next at 5 % / (m - 1), and stops at the first that is not rejected: all
    that are left are tested at that step's level. The interval of a number at its level holds 0 exactly where the
    corrected test does not reject 0, so that interval and verdict say the same.
    """
    m = len(p_values)
    levels, level, stopped = [LEVEL] * m, LEVEL, False
    for rank, i in enumerate(sorted(range(m), key=lambda j: p_values[j])):
        if not stopped:
            level = LEVEL / (m - rank)
            stopped = p_values[i] >= level
        levels[i] = level
    return levels


def rmse_over_points(squares: np.ndarray, blocks: Sequence[object], weights: np.ndarray | None = None) -> Estimate:
    """Return the root mean square over points with a delete-one-block jackknife error.

    ``squares`` (k, points): mean squared errors of k = 1 or 2 models at the same points. With k = 2 the value is
    the *paired* ln(rmse[0] / rmse[1]): errors that grow along a scan then cancel, as they would not in a
    difference. ``blocks`` (points): points of one block leave together. ``weights`` (points): how many numbers a
    point stands for. With fewer than 3 blocks there is no error: not-a-number.

    The degrees of freedom count the blocks by what they add to the sums of squares: where a few hard ones make up most
    of it, the jackknife rests on these few, and n - 1 would cover 85 to 90 % of the cases instead of 95.
    """
    names = np.array([str(block) for block in blocks])
    levels = sorted(set(names))
    shares = np.ones(len(names)) if weights is None else np.asarray(weights, float)

    def statistic(keep: np.ndarray) -> float:
        root = np.sqrt(np.average(squares[:, keep], axis=1, weights=shares[keep]))
        return float(np.log(root[0] / root[1])) if len(root) == 2 else float(root[0])

    n = len(levels)
    value = statistic(np.ones(len(names), bool))
    if n < 3:
        return Estimate(value, math.nan, math.inf)
    left = np.array([statistic(names != level) for level in levels])
    sums = squares * shares
    parts = np.array([(sums[:, names == level].sum(axis=1) / sums.sum(axis=1)).mean() for level in levels])
    dof = max(1.0, 1 / float(np.sum(parts**2)) - 1)
    return Estimate(value, math.sqrt((n - 1) / n * float(np.sum((left - left.mean()) ** 2))), dof)
