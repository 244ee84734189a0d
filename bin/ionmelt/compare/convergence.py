"""Whether the runs of a group, replicas and training seeds, are converged together.

A test that a good run fails once in fifty would fail every second group of thirty runs, and many short runs can know together
what none knows alone. So a group is judged as one:

- every planned run is there: those that are left when others broke are a biased sample;
- of the tests that a good run fails now and then (the motion is diffusive, the start is over) few runs fail, as many as chance
  explains, and a third at most;
- the runs hold enough effective samples together;
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
from scipy import stats

from ionmelt.compare.groups import counted
from ionmelt.compare.runs import Run
from ionmelt.compare.statistics import means_by
from ionmelt.measure.series import MIN_EFFECTIVE

UNSOUND = 0.05  # chance that a good run fails a test other than those of steadiness
# False alarms of the tests of a group
FEW, STEADY, COMMON, SIDES, BOXES = 0.05, 0.02, 0.01, 0.01, 0.001


def doubts(runs: Sequence[Run]) -> list[str]:
    """Return why several runs, all that were planned, are not converged together; none where they are."""
    lacking = [run for run in runs if not run.is_complete]
    if lacking:
        return [f"{len(lacking)} of {len(runs)} runs: {counted(run.reason or 'no reason' for run in lacking)}"]
    reasons = []
    unsound = [run for run in runs if not run.sound]
    if len(unsound) > allowed(len(runs)):
        reasons.append(f"{len(unsound)} of {len(runs)} runs: {counted(run.reason or 'no reason' for run in unsound)}")
    effective = [run.effective for run in runs if run.effective is not None]
    if len(effective) == len(runs) and sum(effective) < MIN_EFFECTIVE:
        reasons.append(f"{sum(effective):.1f} effective samples in all runs, fewer than {MIN_EFFECTIVE:g}")
    reasons += [*changes(runs), *disagreements(runs)]
    return reasons


def allowed(runs: int) -> int:
    """Return how many of so many good runs may fail a test by chance."""
    return min(runs // 3, int(stats.binom.ppf(1 - FEW, runs, UNSOUND)))


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
    return float(2 * stats.norm.sf(abs(score))) < level


def disagreements(runs: Sequence[Run]) -> list[str]:
    """Say how the means of runs differ: those that began dense from those that began thin, and box from box."""
    x = np.array([run.value for run in runs])
    squares = np.array([run.standard_error for run in runs]) ** 2
    seeds = [run.seed for run in runs]
    within, dof_within = float(squares.mean()), sum(run.dof for run in runs)
    if not within > 0:
        return []
    reasons = []
    sides = about_their_seed(np.array([run.side for run in runs], float), seeds)
    if float(sides @ sides) > 0:
        t = float(sides @ x) / math.sqrt(float(sides**2 @ squares))
        if 2 * stats.t.sf(abs(t), dof_within) < SIDES:
            reasons.append(f"runs that began dense and runs that began thin differ by {abs(t):.1f} standard errors")
    centred, dof = about_their_seed(x, seeds), len(runs) - len(set(seeds))
    if dof > 0:
        ratio = float(centred @ centred) / dof / within
        p = stats.chi2.sf(ratio * dof, dof) if math.isinf(dof_within) else stats.f.sf(ratio, dof, dof_within)
        if p < BOXES:
            reasons.append(f"boxes differ {math.sqrt(ratio):.1f} times as much as the errors of their runs explain")
    return reasons


def about_their_seed(values: np.ndarray, seeds: Sequence[object]) -> np.ndarray:
    """Return values less the mean of those of the same training seed."""
    means = means_by(seeds, values)
    return values - np.array([means[seed] for seed in seeds])
