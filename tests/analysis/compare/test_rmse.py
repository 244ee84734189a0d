"""Root mean squared errors: how often their intervals cover a known truth."""

import math

import numpy as np
import pytest

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


@pytest.mark.parametrize("groups", [3, 5, 8, 20])
def test_no_change_is_rarely_called_one(groups: int) -> None:
    """Groups of frames differ, and a tuning moves the error of each by 15 % up or down: about 5 in 100 intervals exclude 0."""
    rng, n = np.random.default_rng(12), np.full(groups, 300.0)
    called = 0
    for _ in range(400):
        hard = n * np.exp(0.5 * rng.normal(size=groups))
        before, after = hard * np.exp(0.15 * rng.normal(size=(2, groups)))
        interval = rmse.rmse_change(before, after, n, np.arange(groups))
        assert interval is not None
        called += not interval[0] <= 0 <= interval[1]
    assert 0.02 < called / 400 < 0.08
