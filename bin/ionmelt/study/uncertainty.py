"""The standard uncertainty of a measured value, from the range that its source gives."""

import math
from functools import cache
from statistics import NormalDist

# What the low and high end of a range may be.
STANDARD, INTERVAL, QUARTILES, EXTREMES = "standard uncertainty", "95 % interval", "quartiles", "min-max"
RANGES = (STANDARD, INTERVAL, QUARTILES, EXTREMES)
NORMAL = NormalDist()
Z95 = NORMAL.inv_cdf(0.975)


@cache
def expected_range(n: int) -> float:
    """Return the mean range (largest less smallest) of n values of a standard normal distribution: 1.128 for two."""
    step = 0.004
    below = (NORMAL.cdf(-8 + step * i) for i in range(4001))
    return step * sum(1 - p**n - (1 - p) ** n for p in below)


def standard_uncertainty(kind: str, low: float, high: float, n: int | None) -> float | None:
    """Return the standard uncertainty of a value whose range is given, None where the range tells none.

    - ``standard uncertainty``: low and high are the value less and plus one: half of their distance.
    - ``95 % interval``: of a normal distribution, 2 x 1.960 of them.
    - ``quartiles`` over n data sets: 1.349 standard deviations lie between those of a normal distribution; of two or
      three data sets the quartiles span half of the range. The spread of data sets is not divided by the root of their
      number: laboratories share water, impurities and instruments.
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
        few = n is not None and n < 4
        return width / (expected_range(n) / 2 if few and n else 2 * NORMAL.inv_cdf(0.75))
    return width / (math.sqrt(12) if n is None else expected_range(n))
