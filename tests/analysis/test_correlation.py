"""The statistical inefficiency is pymbar's, and that of a series whose correlation is known."""

import logging

import numpy as np
import pytest
from scipy import signal

from ionmelt.correlation import statistical_inefficiency

logging.getLogger("pymbar").setLevel(logging.ERROR)  # it greets at length when loaded
from pymbar import timeseries  # noqa: E402


def correlated(memory: float, n: int, seed: int) -> np.ndarray:
    """Return a series each value of which keeps this share of the one before."""
    return signal.lfilter([1.0], [1.0, -memory], np.random.default_rng(seed).standard_normal(n))


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize("memory", [-0.6, 0.0, 0.5, 0.95, 0.999])
@pytest.mark.parametrize("n", [3, 4, 17, 700])
def test_it_is_that_of_pymbar(memory: float, n: int, fast: bool) -> None:
    for seed in range(3):
        x = 1000.0 + correlated(memory, n, seed)
        assert statistical_inefficiency(x, fast) == pytest.approx(
            timeseries.statistical_inefficiency(x, fast=fast), rel=1e-9
        )


def test_it_is_that_of_a_known_memory() -> None:
    values = [statistical_inefficiency(correlated(0.8, 20000, seed)) for seed in range(8)]
    assert np.mean(values) == pytest.approx((1 + 0.8) / (1 - 0.8), rel=0.05)
