"""Whether the runs of a group, replicas and training seeds, are converged together.

A test that a good run fails once in fifty would fail every second group of thirty runs, and many short runs can know together
what none knows alone. So a group is judged as one:

- every planned run is there: those that are left when others broke are a biased sample;
- of the tests that a good run fails now and then (the start is over) few runs fail, as many as chance explains, and a third at most;
- the runs hold enough effective samples together;
- of a slope, the motion of all runs together is diffusive, and known to be (the mean slope of the logarithms of displacement and time is 1), and the
  displacements do not curve in common: whether those of one run look straight is no more asked, which good runs fail in one of four cases
  where a cage lasts a hundredth of the run;
- no run drifts, or differs between its halves, by more than the most extreme of so many good runs would; nor do all of them in
  common, nor those that began dense one way and those that began thin the other;
- runs of boxes that began dense agree with those that began thin, and boxes differ by no more than the errors of their runs
  explain: the analysis of variance behind R-hat (Gelman and Rubin, Statist. Sci. 7 (1992) 457), of runs of one training seed.

The false alarms of all tests together stay below one in ten groups (`benchmarks/run coverage`, group_converged). What relaxes far
more slowly than all runs, alike from both sides, cannot be seen.
"""

import math
from collections.abc import Sequence

import numpy as np

from ionmelt.compare.groups import counted
from ionmelt.compare.runs import Run
from ionmelt.compare.statistics import Estimate, satterthwaite
from ionmelt.distributions import binomial_quantile, chi2_tail, f_tail, normal_tail, student_tail
from ionmelt.measure.line import SLOPE_TOLERANCE
from ionmelt.measure.series import MIN_EFFECTIVE

UNSOUND = 0.05  # chance that a good run fails a test other than those of steadiness
# False alarms of the tests of a group
FEW, STEADY, COMMON, SIDES, BOXES = 0.05, 0.02, 0.01, 0.01, 0.001
ROUNDING = 1e-9  # of what runs began with, below which they began alike


def doubts(runs: Sequence[Run]) -> list[str]:
    """Return why several runs, all that were planned, are not converged together; none where they are."""
    lacking = [run for run in runs if not run.is_complete]
    if lacking:
        return [
            f"{len(lacking)} of {len(runs)} runs: {in_common([run.reason or 'no number with an error' for run in lacking])}"
        ]
    reasons = []
    unsound = [run for run in runs if not run.sound]
    if len(unsound) > allowed(len(runs)):
        reasons.append(
            f"{len(unsound)} of {len(runs)} runs: {in_common([run.reason or 'no reason' for run in unsound])}"
        )
    effective = [run.effective for run in runs if run.effective is not None]
    if len(effective) == len(runs) and sum(effective) < MIN_EFFECTIVE:
        reasons.append(f"{sum(effective):.1f} effective samples in all runs, fewer than {MIN_EFFECTIVE:g}")
    reasons += [*misshapen(runs), *changes(runs), *disagreements(runs)]
    return reasons


def in_common(reasons: list[str]) -> str:
    """Return the reason that some runs have in common, else each with how often it came."""
    return reasons[0] if len(set(reasons)) == 1 else counted(reasons)


def allowed(runs: int) -> int:
    """Return how many of so many good runs may fail a test by chance."""
    return min(runs // 3, binomial_quantile(1 - FEW, runs, UNSOUND))


def exponent_of_all(runs: Sequence[Run]) -> Estimate | None:
    """Return the mean exponent of the motion in all runs, each weighted by how well it knows its own; None where one does not say it.

    Its error is that of the runs, or what they scatter by, whichever is larger.
    """
    seen = [run.exponent for run in runs if run.exponent is not None]
    if not seen or len(seen) < len(runs):
        return None
    values, weights = np.array([one.value for one in seen]), np.array([one.standard_error for one in seen]) ** -2.0
    mean, total = float(weights @ values / weights.sum()), float(weights.sum())
    scatter = float(weights @ (values - mean) ** 2) / max(len(seen) - 1, 1)
    return Estimate(mean, math.sqrt(max(scatter, 1.0) / total))


def is_unknown(exponent: Estimate | None) -> bool:
    """Tell whether the exponent of a motion is known too badly to call it diffusion."""
    return exponent is not None and exponent.standard_error > SLOPE_TOLERANCE


def misshapen(runs: Sequence[Run]) -> list[str]:
    """Say how the displacements of all runs together are none of diffusion: by their exponent, and by their curvature."""
    reasons, exponent = [], exponent_of_all(runs)
    if exponent is not None and is_unknown(exponent):
        words = f"slope {exponent.value:.2g} ± {exponent.standard_error:.1g}"
        reasons.append(f"{words} of all runs together: too few independent displacements")
    elif exponent is not None and abs(exponent.value - 1) > SLOPE_TOLERANCE:
        reasons.append(
            f"slope {exponent.value:.2g} of all runs together ({'sub' if exponent.value < 1 else 'super'}diffusive)"
        )
    return [*reasons, *curving(runs)]


def curving(runs: Sequence[Run]) -> list[str]:
    """Say how the displacements of all runs curve in common: a line has not been reached."""
    bends = [run.bend for run in runs if run.bend is not None]
    if not bends or not unlikely(sum(bends) / math.sqrt(len(bends)), COMMON):
        return []
    return [f"the displacements of all runs {'flatten' if sum(bends) > 0 else 'steepen'} in common"]


def changes(runs: Sequence[Run]) -> list[str]:
    """Say how runs change: the most extreme of them; all in common; or towards each other from both sides."""
    steady = [(run.side, run.halves, run.drift) for run in runs if run.halves is not None and run.drift is not None]
    if not steady:
        return []
    reasons = []
    if min(min(halves.p_value(), drift.p_value()) for _, halves, drift in steady) < STEADY / (2 * len(steady)):
        reasons.append(
            f"a run changes while it lasts, by more than the most extreme of {len(steady)} steady runs would"
        )
    # normal scores of the drifts: sums of these are normal whatever the degrees of freedom of each run
    scores = np.array([drift.score() for _, _, drift in steady])
    if len(steady) > 1 and unlikely(float(scores.sum()) / math.sqrt(len(scores)), COMMON):
        reasons.append(f"all runs {'rise' if scores.sum() > 0 else 'fall'} in common")
    sides = np.array([side for side, _, _ in steady])
    if sides.min() < 0 < sides.max() and unlikely(float(sides @ scores) / math.sqrt(float(sides @ sides)), SIDES):
        reasons.append("runs that began dense and runs that began thin still move apart or towards each other")
    return reasons


def unlikely(score: float, level: float) -> bool:
    """Tell whether a normal deviate is beyond chance, on either side."""
    return 2 * normal_tail(abs(score)) < level


def disagreements(runs: Sequence[Run]) -> list[str]:
    """Say how the means of runs differ: those that began dense from those that began thin, and box from box."""
    x, dofs = np.array([run.value for run in runs]), [run.dof for run in runs]
    squares = np.array([run.standard_error for run in runs]) ** 2
    reasons = []
    within_seed, began = centring([run.seed for run in runs]), np.array([run.side for run in runs], float)
    centred, sides = within_seed @ x, within_seed @ began
    sides[np.abs(sides) < ROUNDING * np.abs(began).max()] = 0.0
    parts = sides**2 * squares
    if float(parts.sum()) > 0:
        t = float(sides @ centred) / math.sqrt(float(parts.sum()))
        if 2 * student_tail(abs(t), satterthwaite(float(parts.sum()), list(zip(parts, dofs, strict=True)))) < SIDES:
            reasons.append(f"runs that began dense and runs that began thin differ by {abs(t):.1f} standard errors")
    parts = within_seed.diagonal() * squares
    expected = float(parts.sum())
    if expected > 0:  # two runs of one seed, at least
        # where errors differ the sum of squares has fewer degrees of freedom than runs (Box, Ann. Math. Statist. 25 (1954) 290)
        dof = expected**2 / float(squares @ within_seed**2 @ squares)
        dof_within = satterthwaite(expected, list(zip(parts, dofs, strict=True)))
        ratio = float(centred @ centred) / expected
        p = chi2_tail(ratio * dof, dof) if math.isinf(dof_within) else f_tail(ratio, dof, dof_within)
        if p < BOXES:
            reasons.append(f"boxes differ {math.sqrt(ratio):.1f} times as much as the errors of their runs explain")
    return reasons


def centring(seeds: Sequence[object]) -> np.ndarray:
    """Return the matrix (runs, runs) that takes off a value the mean of those of the same training seed."""
    same = np.array([[a == b for b in seeds] for a in seeds], float)
    return np.eye(len(seeds)) - same / same.sum(axis=1, keepdims=True)
