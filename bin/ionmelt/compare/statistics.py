"""Statistics of the comparison: combine runs, compare estimates, correct for many comparisons.

Pure functions on numbers. An interval is a two-sided 95 % interval, from Student's t distribution unless its function says
otherwise. What SciPy has is taken from there; the rest is here, each with its source:

- `combine`, `wider`: the error within runs or the spread between them (Knapp and Hartung; Roever, Knapp and Friede 2015)
- `paired`: differences box by box, with the spread over training seeds
- `satterthwaite`, `difference`: degrees of freedom of a sum of variances (Satterthwaite 1946; Welch 1947)
- `holm`, `holm_levels`: many tests (Holm 1979); statsmodels' `multipletests` has the p-values, but not the level of each test
- `rmse_over_points`: delete-one-block jackknife (Efron and Tibshirani 1993, section 11)
- `difference_of_shares`: Newcombe 1998, method 10
- `parallel_lines`: parallel-line assay (Finney 1978) with Fieller's interval (1954)
- `seed_spread`: interval and chi-squared test of a standard deviation
- `rmse_change`: paired percentile bootstrap over groups of frames (Efron and Tibshirani 1993, section 13)
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

LEVEL = 0.05
Z95 = float(stats.norm.ppf(1 - LEVEL / 2))
RESAMPLES = 2000  # of a bootstrap
GROUPS_LEAST = 3  # that a bootstrap may draw from


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

    def plus(self, number: float) -> "Estimate":
        """Return the estimate with an exact number added."""
        return Estimate(self.value + number, self.standard_error, self.dof)

    def times(self, factor: float) -> "Estimate":
        """Return the estimate multiplied by an exact number."""
        return Estimate(factor * self.value, abs(factor) * self.standard_error, self.dof)

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
        # deviations from the mean of each box: a seed without a run in an easy box would else look worse than it is
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


@dataclass(frozen=True)
class ShareDifference:
    """A difference of two shares with the ends of its interval, and the p-value of their being alike."""

    value: float
    low: float
    high: float
    p_value: float


def difference_of_shares(x: int, n: int, y: int, m: int, level: float = LEVEL) -> ShareDifference:
    """Return x / n - y / m, its interval (Newcombe, Stat. Med. 17 (1998) 873, method 10) and Fisher's exact p-value."""
    p, q = x / n, y / m
    first, second = (stats.binomtest(k, of).proportion_ci(1 - level, method="wilson") for k, of in ((x, n), (y, m)))
    return ShareDifference(
        p - q,
        p - q - math.hypot(p - first.low, second.high - q),
        p - q + math.hypot(first.high - p, q - second.low),
        float(stats.fisher_exact([[x, n - x], [y, m - y]]).pvalue),
    )


@dataclass(frozen=True)
class Ratio:
    """Frames that the first of two models needs over those of the second, for the same error; see `parallel_lines`.

    ``level`` is the difference of their ln errors at equal frames (first less second), ``p_value`` that of its being 0. Without a
    ``value`` there is no ratio, for a ``reason``.
    """

    level: float
    p_value: float
    value: float | None = None
    low: float | None = None
    high: float | None = None
    reason: str | None = None


def parallel_lines(x: np.ndarray, y: np.ndarray, second: np.ndarray, level_of_test: float = LEVEL) -> Ratio:
    """Fit y = a + c second + b x and return exp(c / b): first's frames over second's for the same error.

    A parallel-line assay (Finney, Statistical Method in Biological Assay, 1978), with Fieller's interval of c / b (J. R. Stat.
    Soc. B 16 (1954) 175), at a level. ``x`` (n,) ln frames, ``y`` (n,) ln errors of single seeds, ``second`` (n,) 0 or 1: whose
    they are. The p-value is that of c = 0. There is no interval where b cannot be told from 0 (the errors do not fall), nor
    where lines are not parallel (F test, 5 %).
    """
    design = np.column_stack([np.ones_like(x), second, x])
    dof = len(x) - 3
    beta, *_ = np.linalg.lstsq(design, y, rcond=None)
    residual = y - design @ beta
    variance = float(residual @ residual) / dof
    covariance = variance * np.linalg.inv(design.T @ design)
    level, slope = float(beta[1]), float(beta[2])
    p_value = float(2 * stats.t.sf(abs(level) / math.sqrt(covariance[1, 1]), dof))
    crossed = np.column_stack([design, second * x])
    left = y - crossed @ np.linalg.lstsq(crossed, y, rcond=None)[0]
    fall = (float(residual @ residual) - float(left @ left)) / (float(left @ left) / (dof - 1))
    wide = float(stats.t.isf(level_of_test / 2, dof))
    g = wide**2 * covariance[2, 2] / slope**2
    if slope >= 0 or g >= 1:
        why = "the errors do not fall with the frames beyond their spread: no ratio of frames"
        return Ratio(-level, p_value, reason=why)
    if stats.f.sf(fall, 1, dof - 1) < LEVEL:
        why = "the two curves are not parallel: the ratio of frames depends on the error asked for"
        return Ratio(-level, p_value, reason=why)
    r = level / slope
    middle = r - g * covariance[1, 2] / covariance[2, 2]
    spread = covariance[1, 1] - 2 * r * covariance[1, 2] + r**2 * covariance[2, 2]
    spread -= g * (covariance[1, 1] - covariance[1, 2] ** 2 / covariance[2, 2])
    half = wide / abs(slope) * math.sqrt(max(spread, 0.0))
    low, high = (math.exp((middle + sign * half) / (1 - g)) for sign in (-1, 1))
    return Ratio(-level, p_value, math.exp(r), low, high)


@dataclass(frozen=True)
class SeedSpread:
    """The standard deviation of the means of k seeds with its 95 % interval, beside the statistical error of one seed's mean.

    ``within`` is None where a seed has no statistical error, and where something is None there is no such thing. The p-value is that of the spread where there is no
    other than the statistical error (chi-squared, that error taken as known).
    """

    seeds: int
    mean: float
    between: float
    low: float | None
    high: float | None
    within: float | None
    p_value: float | None


def seed_spread(means: np.ndarray, errors: np.ndarray) -> SeedSpread:
    """Return the spread of the means (seeds,) of k seeds with statistical errors (seeds,): the interval is a normal population's."""
    k = len(means)
    between = float(np.std(means, ddof=1))
    low, high = (between * math.sqrt((k - 1) / stats.chi2.ppf(q, k - 1)) for q in (1 - LEVEL / 2, LEVEL / 2))
    within = math.sqrt(float(np.mean(errors**2)))
    if not (math.isfinite(within) and within > 0):
        return SeedSpread(k, float(means.mean()), between, float(low), float(high), None, None)
    p = float(stats.chi2.sf((k - 1) * (between / within) ** 2, k - 1))
    return SeedSpread(k, float(means.mean()), between, float(low), float(high), within, p)


def rmse_change(before: np.ndarray, after: np.ndarray, n: np.ndarray, groups: np.ndarray) -> tuple[float, float] | None:
    """Return the 95 % interval of RMSE after less before, from squared sums (frames,) over n (frames,) components of the same frames.

    A paired bootstrap over groups of frames (percentiles; Efron and Tibshirani, An Introduction to the Bootstrap, 1993,
    section 13); None with fewer than three.
    """
    names, group = np.unique(groups, return_inverse=True)
    if len(names) < GROUPS_LEAST:
        return None
    sums = np.zeros((3, len(names)))
    for row, values in zip(sums, (before, after, n), strict=True):
        np.add.at(row, group, values)
    drawn = np.random.default_rng(1).integers(len(names), size=(RESAMPLES, len(names)))
    total = sums[:, drawn].sum(axis=2)
    low, high = np.quantile(np.sqrt(total[1] / total[2]) - np.sqrt(total[0] / total[2]), [LEVEL / 2, 1 - LEVEL / 2])
    return float(low), float(high)
