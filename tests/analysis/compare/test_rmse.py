"""Root mean squared errors: how often their intervals cover a known truth."""

import math

import numpy as np

from ionmelt.compare import rmse


def test_jackknife_covers() -> None:
    """Models of equal true error: the interval of ln(RMSE ratio) holds 0 in about 95 % of 500 draws."""
    rng = np.random.default_rng(11)
    hits = 0
    for _ in range(500):
        squares = rng.normal(0, 1, (2, 30)) ** 2
        low, high = rmse.rmse_over_points(squares, [str(i) for i in range(30)]).interval()
        hits += low <= 0 <= high
    assert 0.91 < hits / 500 < 0.985
    assert math.isnan(rmse.rmse_over_points(np.ones((1, 2)), ["a", "b"]).standard_error)
