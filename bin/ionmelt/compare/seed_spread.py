"""The spread of a number between training seeds: its interval, and its test against the statistical error."""

import math
from dataclasses import dataclass

import numpy as np

from ionmelt.compare.statistics import LEVEL
from ionmelt.distributions import chi2_quantile, chi2_tail


@dataclass(frozen=True)
class SeedSpread:
    """The standard deviation of the means of k seeds with its 95 % interval, beside the statistical error of one seed's mean.

    None: it cannot be told; ``within`` is None where a seed has no statistical error. The p-value is that of a spread as large as
    this where seeds differ by the statistical error alone (chi-squared, that error taken as known).
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
    low, high = (between * math.sqrt((k - 1) / chi2_quantile(q, k - 1)) for q in (1 - LEVEL / 2, LEVEL / 2))
    within = math.sqrt(float(np.mean(errors**2)))
    if not (math.isfinite(within) and within > 0):
        return SeedSpread(k, float(means.mean()), between, float(low), float(high), None, None)
    p = chi2_tail((k - 1) * (between / within) ** 2, k - 1)
    return SeedSpread(k, float(means.mean()), between, float(low), float(high), within, p)
