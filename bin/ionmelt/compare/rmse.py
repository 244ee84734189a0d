"""Root mean squared errors with their intervals: a jackknife over blocks of points, a paired bootstrap over groups of frames."""

import math
from collections.abc import Sequence

import numpy as np

from ionmelt.compare.statistics import LEVEL, Estimate

RESAMPLES = 2000  # of a bootstrap
GROUPS_LEAST = 3  # that a bootstrap may draw from


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
    if n < 3:
        return Estimate(value, math.nan, math.inf)
    left = np.array([statistic(names != level) for level in levels])
    sums = squares * shares
    parts = np.array([(sums[:, names == level].sum(axis=1) / sums.sum(axis=1)).mean() for level in levels])
    dof = max(1.0, 1 / float(np.sum(parts**2)) - 1)
    return Estimate(value, math.sqrt((n - 1) / n * float(np.sum((left - left.mean()) ** 2))), dof)


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
