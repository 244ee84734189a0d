"""Means of correlated series: intervals that cover as often as they claim, and what is not converged."""

import math

import numpy as np
import pytest
from scipy import signal, stats

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


def test_the_window_of_a_ramp_is_where_its_autocovariance_is_0() -> None:
    """With m = n - t pairs at lag t it is (m^2 - 1) / 12 - t^2 / 4, which is 0 at t = n / (1 + sqrt 3), beyond a third of n."""
    _, _, dof = measure_series.error_of_mean(np.arange(300.0))
    assert dof == pytest.approx(300 / (2 * math.ceil(300 / (1 + math.sqrt(3))) + 1), rel=1e-12)


def test_numbers_of_single_precision_are_summed_in_double() -> None:
    x = (1200 + ar1(np.random.default_rng(31), 1, 500, 3.0)[0]).astype(np.float32)
    mean = measure_series.series_mean(x)
    assert mean.start == 0
    assert mean.mean == pytest.approx(math.fsum(x.tolist()) / 500, rel=1e-14)


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


@pytest.mark.parametrize(("step", "left_out"), [(0.3, False), (0.7, True)])
def test_a_start_is_left_out_for_half_as_many_effective_samples_again(step: float, left_out: bool) -> None:
    """White noise whose first tenth is higher: effective samples with and without it, by a slow sum of correlations."""
    x = np.random.default_rng(30).normal(size=1000) + step * (np.arange(1000) < 100)
    effective = []
    for y in (x[100:] - x[100:].mean(), x - x.mean()):
        n = len(y)
        correlation = [float(np.mean(y[t:] * y[: n - t]) / y.var()) for t in range(n)]
        end = next(t for t in range(1, n) if correlation[t] <= 0)
        effective.append(n / (1 + 2 * sum((1 - t / n) * correlation[t] for t in range(1, end))))
    assert 1.5 < effective[0] / effective[1] < 2.5 if left_out else effective[0] < 1.2 * effective[1]
    assert (measure_series.equilibration_start(x) > 0) == left_out


def test_drifting_series_are_not_converged() -> None:
    rng = np.random.default_rng(15)
    means = [measure_series.series_mean(x + np.linspace(0, 4, 1000)) for x in ar1(rng, 50, 1000, 3.0)]
    assert np.mean([e.converged for e in means]) < 0.05
    assert all(e.reason for e in means if not e.converged)


@pytest.mark.parametrize("rise", [-3.0, 3.0])
def test_a_change_is_said_in_standard_errors_without_its_sign(rise: float) -> None:
    """By another fit of the trend: its end-to-end rise has sqrt(12) times the error of the mean, the halves twice it."""
    x = ar1(np.random.default_rng(16), 1, 201, 1.0)[0] + np.linspace(0, rise, 201)
    places = np.arange(201)
    slope, offset = np.polyfit(places, x - x.mean(), 1)
    noise, _, dof = measure_series.error_of_mean(x - x.mean() - slope * places - offset)
    change = measure_series.change_of(x - x.mean(), lambda _slope: 0.03)
    assert change.drift == pytest.approx(slope * 201 / (math.sqrt(12) * noise))
    assert change.halves == pytest.approx((x[100:].mean() - x[:100].mean()) / (2 * noise))
    assert (change.dof, change.limit) == pytest.approx((dof, stats.t.isf(0.03, dof)))
    assert change.words == f"halves differ by {abs(change.halves):.1f} standard errors"
    assert measure_series.Change(0.0, rise, 9.0, 2.0).words == "drifts by 3.0 standard errors"
    assert measure_series.Change(rise, rise, 9.0, 3.0).words is None


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


@pytest.mark.parametrize("tau", [3.0, 12.0])
def test_the_length_that_a_tenth_of_it_says_is_right_within_a_factor_of_two(tau: float) -> None:
    """The correlation time is known here, and with it the length: 30 effective samples."""
    enough = 30 * (1 + math.exp(-1 / tau)) / (1 - math.exp(-1 / tau))
    short = [measure_series.series_mean(x) for x in ar1(np.random.default_rng(29), 300, round(enough / 10), tau)]
    said = np.array([e.needed for e in short if not e.converged]) / enough
    assert np.isfinite(said).all() and len(said) > 0.95 * len(short)
    assert np.mean((said >= 0.5) & (said <= 2)) > 0.8
    assert 0.7 < np.median(said) < 1.4


def test_of_two_correlation_times_only_a_lower_bound_is_said() -> None:
    """They hold one effective sample of 30: what is called a bound is one, and few short series look like more than five times."""
    short = [measure_series.series_mean(x) for x in ar1(np.random.default_rng(27), 200, 120, 60.0)]
    enough = 30 * (1 + math.exp(-1 / 60)) / (1 - math.exp(-1 / 60))
    bounds = [e.needed for e in short if e.at_least]
    assert len(bounds) > 0.7 * len(short) and max(bounds) < enough
    half = [measure_series.series_mean(x) for x in ar1(np.random.default_rng(28), 200, 600, 20.0)]
    assert np.mean([e.at_least for e in half if not e.converged]) < 0.3
    assert not any(e.at_least for e in half if e.converged)
    drifting = measure_series.series_mean(
        half[0].mean + np.linspace(0, 9, 500) + ar1(np.random.default_rng(2), 1, 500, 2.0)[0]
    )
    assert drifting.at_least and drifting.needed >= 1000


def test_few_effective_samples_have_the_interval_of_their_correlation_time() -> None:
    """No shorter than by Student's t of Wolff's degrees of freedom, and one and a half times what is needed is asked for."""
    told = 0
    for x in ar1(np.random.default_rng(23), 60, 300, 20.0):
        mean = measure_series.series_mean(x)
        error, effective, dof = measure_series.error_of_mean(x)
        if mean.start > 0 or effective >= 20:
            continue
        error = max(error, stats.sem(x[300 % 8 :].reshape(8, -1).mean(axis=1)))
        quantile = max(stats.t.ppf(0.975, max(k, 1)) for k in (dof, effective - 1))
        assert mean.interval[1] - mean.mean == pytest.approx(quantile * error)
        if mean.change and mean.change.words is None:
            assert mean.needed == pytest.approx(1.5 * 20 * 300 / max(effective - 4, 2.5))
            told += 1
    assert told > 10


@pytest.mark.parametrize(("drift", "alarm"), [(-0.5, 0.05), (0.5, 0.01)])
def test_a_drift_in_the_direction_of_the_start_that_was_left_out_is_told_earlier(drift: float, alarm: float) -> None:
    x = (
        ar1(np.random.default_rng(24), 1, 2000, 1.0)[0]
        + 8 * np.exp(-np.arange(2000) / 60)
        + np.linspace(0, drift, 2000)
    )
    mean = measure_series.series_mean(100 + x)
    assert mean.start > 0
    assert mean.change is not None and mean.change.drift * drift > 0
    assert mean.change.limit == pytest.approx(stats.t.isf(alarm, mean.change.dof))


def test_series_without_an_answer() -> None:
    constant = measure_series.series_mean(np.full(500, 1200.0))
    assert not constant.converged and constant.mean == 1200 and "constant" in (constant.reason or "")
    few = measure_series.series_mean(np.arange(5.0))
    assert not few.converged and few.reason == "5 samples: too few" and math.isnan(few.standard_error)
    assert math.isnan(measure_series.series_mean(np.array([])).mean)
    with pytest.raises(ValueError, match="not finite"):
        measure_series.series_mean(np.array([1.0, math.nan] * 20))


@pytest.mark.parametrize("line", [np.arange(64.0), 1e3 + 0.1 * np.arange(40), np.arange(500.0) / 3])
def test_a_straight_line_drifts(line: np.ndarray) -> None:
    """What is left without its trend is nothing, or rounding: no error to divide by."""
    estimate = measure_series.series_mean(line)
    assert not estimate.converged and estimate.change is not None and abs(estimate.change.drift) > 100
    still = measure_series.change_of(np.full(50, 3.0))
    assert (still.halves, still.drift) == pytest.approx((0, 0), abs=1e-6)
