"""Means of correlated series: intervals that cover as often as they claim, and what is not converged."""

import math

import numpy as np
import pytest
from scipy import signal

from ionmelt.measure import series as measure_series


def ar1(rng: np.random.Generator, series: int, n: int, tau: float) -> np.ndarray:
    a = math.exp(-1 / tau)
    noise = rng.normal(size=(series, n)) * math.sqrt(1 - a * a)
    noise[:, 0] /= math.sqrt(1 - a * a)
    return signal.lfilter([1], [1, -a], noise, axis=1)


@pytest.mark.parametrize(("n", "tau"), [(200, 0.5), (500, 5.0), (1000, 20.0)])
def test_intervals_of_correlated_series_cover(n: int, tau: float) -> None:
    means = [measure_series.series_mean(1200 + 10 * x) for x in ar1(np.random.default_rng(12), 250, n, tau)]
    assert 0.90 <= np.mean([e.interval[0] <= 1200 <= e.interval[1] for e in means]) <= 0.99
    a = math.exp(-1 / tau)
    expected = n * (1 - a) / (1 + a)
    assert np.median([e.n_effective for e in means]) == pytest.approx(expected, rel=0.25)


def test_the_error_of_a_mean_is_wolffs_sum_with_the_correction_for_the_sample_mean() -> None:
    """Against his formulas by a slow loop: the mean is of the same samples, which hides C / n of every autocovariance C."""
    x = ar1(np.random.default_rng(5), 1, 60, 3.0)[0]
    n, y = len(x), x - x.mean()
    gamma = [float(np.mean(y[k:] * y[: n - k])) for k in range(n)]
    window = next(k for k in range(n) if gamma[k] <= 0)
    variance = gamma[0] + 2 * sum(gamma[1:window])  # C
    gamma = [value + variance / n for value in gamma]
    total = gamma[0] + 2 * sum(gamma[1:window])
    error, effective, dof = measure_series.error_of_mean(x)
    assert error == pytest.approx(math.sqrt(total / n), rel=1e-12)
    assert effective == pytest.approx(n * gamma[0] / total, rel=1e-12)
    assert dof == pytest.approx(n / (2 * window + 1), rel=1e-12)


def test_the_error_of_a_mean_is_at_least_that_of_eight_blocks() -> None:
    """A slow part below a fast one that alternates: the autocovariance is negative at once, and hides it."""
    n = 804
    x = np.where(np.arange(n) % 2, 1.0, -1.0) + 0.3 * np.repeat([1, -1, -1, 1, 1, -1, -1, 1, 0], [100] * 8 + [4])[::-1]
    blocks = x[4:].reshape(8, 100).mean(axis=1)
    mean = measure_series.series_mean(x)
    assert mean.start == 0
    assert mean.standard_error == pytest.approx(np.std(blocks, ddof=1) / math.sqrt(8), rel=1e-12)
    assert mean.standard_error > 2 * measure_series.error_of_mean(x)[0]


def test_long_series_converge_and_short_ones_say_why() -> None:
    rng = np.random.default_rng(13)
    long = [measure_series.series_mean(x) for x in ar1(rng, 100, 2000, 5.0)]
    assert np.mean([e.converged for e in long]) > 0.95
    short = [measure_series.series_mean(x) for x in ar1(rng, 100, 400, 40.0)]
    assert np.mean([e.converged for e in short]) < 0.1
    assert all(e.reason for e in short if not e.converged)
    assert np.mean(["n_effective" in (e.reason or "") for e in short]) > 0.8


def test_equilibration_is_found_and_left_out() -> None:
    rng = np.random.default_rng(14)
    transient = 8 * np.exp(-np.arange(2000) / 60)
    means = [measure_series.series_mean(x + transient) for x in ar1(rng, 60, 2000, 4.0)]
    assert np.median([e.start for e in means]) > 100
    assert np.mean([e.interval[0] <= 0 <= e.interval[1] for e in means]) > 0.85


def test_drifting_series_are_not_converged() -> None:
    rng = np.random.default_rng(15)
    means = [measure_series.series_mean(x + np.linspace(0, 4, 1000)) for x in ar1(rng, 50, 1000, 3.0)]
    assert np.mean([e.converged for e in means]) < 0.05
    assert all(e.reason for e in means if not e.converged)


def test_the_length_that_a_series_needs_is_said() -> None:
    """30 effective samples at a correlation time of 10 samples are 600."""
    rng = np.random.default_rng(21)
    short = [measure_series.series_mean(x) for x in ar1(rng, 80, 200, 10.0)]
    said = np.array([e.needed for e in short if not e.converged])
    assert len(said) > 60 and np.isfinite(said).all()
    assert np.mean((said > 200) & (said < 1800)) > 0.8
    long = [measure_series.series_mean(x) for x in ar1(rng, 60, 600, 10.0)]
    assert np.mean([e.converged for e in long]) > 0.7
    assert all(math.isnan(e.needed) for e in long if e.converged)


def test_series_without_an_answer() -> None:
    constant = measure_series.series_mean(np.full(500, 1200.0))
    assert not constant.converged and constant.mean == 1200 and "constant" in (constant.reason or "")
    few = measure_series.series_mean(np.arange(5.0))
    assert not few.converged and few.reason == "5 samples: too few" and math.isnan(few.standard_error)
    assert math.isnan(measure_series.series_mean(np.array([])).mean)
    with pytest.raises(ValueError, match="not finite"):
        measure_series.series_mean(np.array([1.0, math.nan] * 20))
