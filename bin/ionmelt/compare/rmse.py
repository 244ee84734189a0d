"""Root mean squared errors with their intervals: a jackknife over blocks of points, or over groups of frames."""

import math
from collections.abc import Sequence

import numpy as np

from ionmelt.compare.statistics import Estimate

GROUPS_LEAST = 3  # below, a jackknife has no error
LEAST_SQUARE = 1e-18  # errors below 1e-9 count as that


def rmse_over_points(squares: np.ndarray, blocks: Sequence[object], weights: np.ndarray | None = None) -> Estimate:
    """Return the root mean square over points with a delete-one-block jackknife error (Efron and Tibshirani 1993, section 11).

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
    if n < GROUPS_LEAST:
        return Estimate(value, math.nan, math.inf)
    left = np.array([statistic(names != level) for level in levels])
    sums = squares * shares
    parts = np.array([(sums[:, names == level].sum(axis=1) / sums.sum(axis=1)).mean() for level in levels])
    dof = max(1.0, 1 / float(np.sum(parts**2)) - 1)
    return Estimate(value, math.sqrt((n - 1) / n * float(np.sum((left - left.mean()) ** 2))), dof)


def from_ratio(log_ratio: float, scale: float) -> float:
    """Return x - y of two numbers with ln(x / y) and the geometric mean ``scale``."""
    # beyond this an error bar has no meaning, and the exponential no number
    return 2 * scale * math.sinh(max(-300.0, min(300.0, log_ratio / 2)))


def rmse_change(before: np.ndarray, after: np.ndarray, n: np.ndarray, groups: np.ndarray) -> tuple[float, float] | None:
    """Return the 95 % interval of RMSE after less before, from squared sums (frames,) over n (frames,) components of the same frames.

    That of their paired ratio over groups of frames (`rmse_over_points`); None with fewer than three.
    """
    squares = np.maximum(np.array([after, before]) / n, LEAST_SQUARE)
    ratio = rmse_over_points(squares, groups.tolist(), n)
    if not math.isfinite(ratio.standard_error):
        return None
    scale = math.prod(np.average(squares, axis=1, weights=n).tolist()) ** 0.25
    low, high = ratio.interval()
    return from_ratio(low, scale), from_ratio(high, scale)
