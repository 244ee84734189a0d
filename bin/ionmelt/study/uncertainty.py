"""The standard uncertainty of a measured value, from the range that its source gives."""

import math
from functools import cache
from statistics import NormalDist

# What the low and high end of a range may be.
STANDARD, INTERVAL, QUARTILES, EXTREMES = "standard uncertainty", "95 % interval", "quartiles", "min-max"
RANGES = (STANDARD, INTERVAL, QUARTILES, EXTREMES)
NORMAL = NormalDist()
Z95 = NORMAL.inv_cdf(0.975)
MANY = 200  # values whose quartiles lie within a percent of those of their distribution


@cache
def expected_range(n: int) -> float:
    """Return the mean range (largest less smallest) of n values of a standard normal distribution: 1.128 for two."""
    step = 0.004
    below = (NORMAL.cdf(-8 + step * i) for i in range(4001))
    return step * sum(1 - p**n - (1 - p) ** n for p in below)


@cache
def expected_quartiles(n: int | None) -> float:
    """Return the mean distance of the quartiles of n values of a standard normal distribution: 0.564 for two, 1.349 for many.

    Quartiles are interpolated linearly between sorted values, as numpy does: the mean gaps between neighbours are added,
    of those that a quartile lies in the part within.
    """
    if n is None or n > MANY:
        return 2 * NORMAL.inv_cdf(0.75)
    step, first = 0.1, (n - 1) / 4
    last = n - 1 - first
    weights = [
        (k, math.comb(n, k) * (min(k, last) - max(k - 1, first)))
        for k in range(math.floor(first) + 1, math.ceil(last) + 1)
    ]
    below = (NORMAL.cdf(-8 + step * i) for i in range(161))
    return step * sum(weight * p**k * (1 - p) ** (n - k) for p in below for k, weight in weights)


def standard_uncertainty(kind: str, low: float, high: float, n: int | None) -> float | None:
    """Return the standard uncertainty of a value whose range is given, None where the range tells none.

    - ``standard uncertainty``: low and high are the value less and plus one: half of their distance.
    - ``95 % interval``: of a normal distribution, 2 x 1.960 of them.
    - ``quartiles`` over n data sets: what lies between those of n normal values (0.564 standard deviations for two,
      0.990 for five), 1.349 with n not given. The spread of data sets is not divided by the root of their number:
      laboratories share water, impurities and instruments.
    - ``min-max`` over n data sets: their expected range (1.128 standard deviations for two, 3.08 for ten); with n not
      given the value may be anywhere between (GUM 4.3.7): width / sqrt(12).
    - Of a single data set neither quartiles nor extremes tell anything, nor does a range without a width.
    """
    width = high - low
    if width <= 0 or (kind in (QUARTILES, EXTREMES) and n == 1):
        return None
    if kind == STANDARD:
        return width / 2
    if kind == INTERVAL:
        return width / (2 * Z95)
    if kind == QUARTILES:
        return width / expected_quartiles(n)
    return width / (math.sqrt(12) if n is None else expected_range(n))
