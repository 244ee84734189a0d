"""Statistics of the comparison: runs combined into estimates, and estimates compared.

Pure functions on numbers. An interval is a two-sided 95 % interval, from Student's t distribution unless its function says
otherwise. What SciPy has is taken from there; the rest is here, each with its source:

- `combine`, `wider`: the error within runs or the spread between them (Knapp and Hartung; Roever, Knapp and Friede 2015)
- `paired`: differences box by box, with the spread over training seeds
- `satterthwaite`, `difference`: degrees of freedom of a sum of variances (Satterthwaite 1946; Welch 1947)
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ionmelt.distributions import normal_quantile, student_limit, student_tail

LEVEL = 0.05
Z95 = normal_quantile(1 - LEVEL / 2)
SEEDS_ADD = 2.0  # degrees of freedom to which seeds may lift a spread of two boxes, where no spread in common is given
EXACT = 1e-9  # weights whose sum is below it add up to nothing


@dataclass(frozen=True)
class Estimate:
    """A number with its standard error and the degrees of freedom behind that error (inf: known)."""

    value: float
    standard_error: float
    dof: float = math.inf

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        """Return the ends of the interval that misses the truth with a chance of ``level``; not-a-number: no error."""
        half = student_limit(level / 2, self.dof) * self.standard_error
        return self.value - half, self.value + half

    def plus(self, number: float, standard_error: float = 0.0) -> "Estimate":
        """Return the estimate with a number added that has an error of its own, taken as known and independent."""
        variance = self.standard_error**2 + standard_error**2
        dof = satterthwaite(variance, [(self.standard_error**2, self.dof)]) if standard_error else self.dof
        return Estimate(self.value + number, math.sqrt(variance) if standard_error else self.standard_error, dof)

    def times(self, factor: float) -> "Estimate":
        """Return the estimate multiplied by an exact number."""
        return Estimate(factor * self.value, abs(factor) * self.standard_error, self.dof)

    def p_value(self) -> float:
        """Return the two-sided p-value of the hypothesis that the true value is 0."""
        if self.standard_error == 0:
            return float(self.value == 0)
        return 2 * student_tail(abs(self.value) / self.standard_error, self.dof)


class SpreadOfBoxes(Protocol):
    """The spread between boxes that models have in common (`box_spread.BoxSpread`)."""

    def variance(self, within: float, beyond_share: float, pairs: float, pairs_dof: float) -> tuple[float, float]: ...  # noqa: D102


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


def wider(
    value: float,
    within: Sequence[tuple[float, float]],
    between: Sequence[tuple[float, float]],
    most_dof: float = math.inf,
) -> Estimate:
    """Return an estimate with the error within runs or that of the spread between them, whichever is wider.

    ``within`` holds what each run adds to the variance of the mean, ``between`` the variances of the mean as
    the factors (seed, replica) show them, both with degrees of freedom; sums follow Satterthwaite (Biometrics
    2 (1946) 110). The error within runs is part of the spread over each factor: with several factors it is
    taken off once, as in an analysis of variance, but what is left is at least the largest of them. The spread has
    ``most_dof`` degrees of freedom at most.

    The wider one: Student's t on the spread is right however much the runs differ, yet two runs that agree by
    accident must not have a smaller error than their own. In meta-analysis this is the modified interval of
    Knapp and Hartung (Roever, Knapp and Friede, BMC Med. Res. Methodol. 15 (2015) 99); where runs do not
    differ beyond their own error and are few, it covers more than 95 %.
    """
    own_variance = sum(variance for variance, _ in within)
    within_runs = Estimate(value, math.sqrt(own_variance), satterthwaite(own_variance, within))
    if not between:
        return within_runs
    variances = [variance for variance, _ in between]
    total = sum(variances)
    dof = min(satterthwaite(total, between), most_dof)
    if len(between) > 1 and math.isfinite(own_variance):
        total -= min(own_variance, total - max(variances))
    spread = Estimate(value, math.sqrt(total), dof)
    if math.isnan(within_runs.standard_error):
        return spread
    return max(within_runs, spread, key=lambda e: e.interval()[1] - e.value)


def paired(
    a: Runs,
    b: Runs,
    weights: tuple[float, float] = (1.0, -1.0),
    same_seeds: bool = False,
    others: Sequence[tuple[float, Runs]] = (),
    common: "SpreadOfBoxes | None" = None,
) -> tuple[Estimate, int] | None:
    """Return weight_a * a + weight_b * b taken box by box, and the number of boxes; None with fewer than two.

    ``others`` are further terms of the sum (weight, runs), such as a third model that both are held against. ``common``: the spread between
    boxes as all models show it (`box_spread`), which stands for that of the pairs where a box's own part drops out of the sum.

    The runs of both models that started from the same box (and with the same random numbers of the dynamics)
    are averaged over the training seeds and set against each other: what the box adds to both cancels in a
    difference, and is counted in full in a sum. The spread of these pairs gives the error (n boxes - 1 degrees
    of freedom). Training seeds of two models have nothing in common but their number, so that each model's own
    spread over its seeds is added; with ``same_seeds`` (one model on two datasets: the same initial weights)
    seeds are set against each other too. How this is joined with the error within runs: `wider`, with no more degrees of
    freedom than the spread of the boxes has (two, where it has one and is not ``common``): where that is small by accident,
    Satterthwaite's sum gives it those of the seeds.
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
        labels, values = list(runs.replicas), np.asarray(runs.values, float)
        means = means_by(labels, values)
        pairs += weight * np.array([means[box] for box in order])
        for error, dof, box in zip(runs.standard_errors, runs.dofs, labels, strict=True):
            share = weight / (len(order) * labels.count(box))
            within.append(((share * float(error)) ** 2, max(float(dof), 1.0)))
        # deviations from the mean of each box: a seed without a run in an easy box would else look worse than it is
        beyond = values - np.array([means[box] for box in labels])
        seeds.append({level: weight * mean for level, mean in means_by(runs.seeds, beyond).items()})
    between: list[tuple[float, float]] = [(float(np.var(pairs, ddof=1)) / len(order), len(order) - 1)]
    most_dof = max(SEEDS_ADD, between[0][1])
    if common is not None and abs(sum(weight for weight, _ in terms)) < EXACT:
        shares = sum(weight**2 for weight, _ in terms) / len(order)
        between = [common.variance(sum(variance for variance, _ in within), shares, *between[0])]
        most_dof = between[0][1]
    if same_seeds and set(seeds[0]) == set(seeds[1]):
        seeds[:2] = [{level: effect + seeds[1][level] for level, effect in seeds[0].items()}]
    for effects in seeds:
        if len(effects) > 1:
            variance = float(np.var(list(effects.values()), ddof=1)) / len(effects)
            between.append((variance, len(effects) - 1))
    return wider(float(pairs.mean()), within, between, most_dof), len(order)


def means_by(labels: Sequence[object], values: np.ndarray) -> dict[object, float]:
    """Return the mean of the values of each label, in the order of their names."""
    levels = sorted(set(labels), key=str)
    return {level: float(values[[label == level for label in labels]].mean()) for level in levels}


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
