"""Statistics of liquids: laws, slow references, and intervals that cover as often as they claim."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy import signal

from ionmelt.measure import displacement, slope
from ionmelt.measure import series as measure_series
from ionmelt.measure.observables.diffusion import yeh_hummer


def random_walks(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Steps of unit variance: D = 0.5 per coordinate and frame."""
    return rng.normal(size=(*shape, 3)).cumsum(axis=-3)


def slow_msd(x: np.ndarray) -> np.ndarray:
    return np.array([np.mean(np.sum((x[k:] - x[: len(x) - k]) ** 2, axis=-1)) for k in range(len(x))])


def ar1(rng: np.random.Generator, series: int, n: int, tau: float) -> np.ndarray:
    a = math.exp(-1 / tau)
    noise = rng.normal(size=(series, n)) * math.sqrt(1 - a * a)
    noise[:, 0] /= math.sqrt(1 - a * a)
    return signal.lfilter([1], [1, -a], noise, axis=1)


# --- mean squared displacement ---------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(2, 1), (7, 3), (100, 5), (257, 2)])
def test_msd_is_the_double_loop(shape: tuple[int, int]) -> None:
    x = random_walks(np.random.default_rng(0), *shape) + 100
    np.testing.assert_allclose(displacement.mean_squared_displacement(x), slow_msd(x), rtol=1e-9)


def test_msd_in_blocks_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    x = random_walks(np.random.default_rng(1), 50, 7)
    whole = displacement.mean_squared_displacement(x)
    monkeypatch.setattr(displacement, "FFT_MEMORY_BYTES", 1.0)
    np.testing.assert_allclose(displacement.mean_squared_displacement(x), whole, rtol=1e-12)


def test_msd_takes_single_precision_as_it_is() -> None:
    x = random_walks(np.random.default_rng(2), 64, 4).astype(np.float32)
    np.testing.assert_allclose(displacement.mean_squared_displacement(x), slow_msd(x.astype(float)), rtol=1e-9)


def test_msd_of_a_straight_line_and_of_rest() -> None:
    t = np.arange(200.0)
    line = t[:, None, None] * np.array([[1.0, -2.0, 2.0]])
    np.testing.assert_allclose(displacement.mean_squared_displacement(line), 9 * t**2, rtol=1e-9)
    assert displacement.mean_squared_displacement(np.full((50, 2, 3), 7.0)).max() == 0


def test_msd_covariance_is_that_of_many_walks() -> None:
    frames, lags = 60, np.array([1, 2, 5, 12, 20])
    x = np.random.default_rng(3).normal(size=(20_000, frames)).cumsum(axis=1)
    seen = np.cov([((x[:, k:] - x[:, :-k]) ** 2).mean(axis=1) for k in lags])
    expected = slope.msd_covariance(np.arange(80.0), lags, frames)
    np.testing.assert_allclose(expected, seen, rtol=0.1)


# --- diffusion -------------------------------------------------------------------------------------------------


def plain(rng: np.random.Generator, frames: int, particles: int) -> tuple[np.ndarray, float]:
    return random_walks(rng, frames, particles), 0.5


def ballistic(rng: np.random.Generator, frames: int, particles: int) -> tuple[np.ndarray, float]:
    """Ornstein-Uhlenbeck velocities that live for two frames."""
    a = math.exp(-1 / 2)
    v = signal.lfilter([1], [1, -a], rng.normal(size=(frames + 50, particles, 3)), axis=0)[50:]
    return v.cumsum(axis=0), 0.5 / (1 - a) ** 2


def caged(rng: np.random.Generator, frames: int, particles: int) -> tuple[np.ndarray, float]:
    """Rattling in a cage, relaxing in three frames, on top of jumps every other frame."""
    a = math.exp(-1 / 3)
    rattle = signal.lfilter([1], [1, -a], rng.normal(size=(frames + 50, particles, 3)), axis=0)[50:]
    jumps = np.sqrt(rng.poisson(0.5, (frames, particles, 1))) * rng.normal(size=(frames, particles, 3))
    return jumps.cumsum(axis=0) + 0.5 * math.sqrt(1 - a * a) * rattle, 0.25


Walk = Callable[[np.random.Generator, int, int], tuple[np.ndarray, float]]


def estimates(walk: Walk, seed: int, cases: int, *shape: int) -> tuple[list[slope.DiffusionEstimate], float]:
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(cases):
        x, true = walk(rng, *shape)
        found.append(slope.diffusion(x, 1.0))
    return found, true


def covered(found: list[slope.DiffusionEstimate], true: float) -> list[bool]:
    return [d.ci95_low <= true <= d.ci95_high for d in found]


def test_intervals_of_500_walks_cover() -> None:
    covers: list[bool] = []
    converged = []
    for seed, shape in enumerate([(200, 4), (1000, 4), (500, 16), (200, 64), (5000, 8)]):
        found, true = estimates(plain, seed, 100, *shape)
        covers += covered(found, true)
        converged.append(np.mean([d.converged for d in found]))
    assert 0.90 <= np.mean(covers) <= 0.985
    assert min(converged) > 0.75
    assert np.mean(converged) > 0.9


@pytest.mark.parametrize("walk", [ballistic, caged])
def test_intervals_cover_after_a_short_time_of_another_kind(walk: Walk) -> None:
    covers: list[bool] = []
    for seed, shape in enumerate([(1000, 4), (800, 16), (600, 64)]):
        found, true = estimates(walk, seed, 60, *shape)
        covers += covered([d for d in found if d.converged], true)
    assert len(covers) > 120
    assert 0.88 <= np.mean(covers) <= 0.99


def test_the_window_starts_after_the_ballistic_part() -> None:
    found, true = estimates(ballistic, 5, 20, 1000, 16)
    assert min(d.fit_start for d in found) >= 5
    assert all(d.fit_stop > 4 * d.fit_start - 4 for d in found)
    assert np.mean([d.D for d in found]) == pytest.approx(true, rel=0.05)


def test_ions_that_differ_widen_the_interval() -> None:
    x = random_walks(np.random.default_rng(6), 1000, 8)
    same = slope.diffusion(x, 1.0)
    differ = slope.diffusion(x * np.sqrt(np.array([0.2, 0.2, 0.2, 0.2, 1.8, 1.8, 1.8, 1.8]))[:, None], 1.0)
    assert differ.ci95_high / differ.ci95_low > 2 * same.ci95_high / same.ci95_low


@pytest.mark.parametrize("exponent", [0.6, 0.8, 1.5])
def test_anomalous_diffusion_is_not_converged(exponent: float) -> None:
    n = 600
    t = np.arange(1, n + 1)
    increments = 0.5 * (
        np.abs(t[:, None] - t + 1.0) ** exponent
        + np.abs(t[:, None] - t - 1.0) ** exponent
        - 2.0 * np.abs(t[:, None] - t) ** exponent
    )
    root = np.linalg.cholesky(increments)
    rng = np.random.default_rng(7)
    found = [
        slope.diffusion((root @ rng.normal(size=(n, 48))).cumsum(axis=0).reshape(n, 16, 3), 1.0) for _ in range(20)
    ]
    flagged = [d for d in found if not d.converged]
    assert len(flagged) >= 19
    kind = "subdiffusive" if exponent < 1 else "superdiffusive"
    assert all(kind in (d.reason or "") for d in flagged)
    assert np.mean([d.log_slope for d in found]) == pytest.approx(exponent, abs=0.05)


def test_too_short_resting_and_flying() -> None:
    rng = np.random.default_rng(8)
    short = slope.diffusion(random_walks(rng, 8, 4), 1.0)
    assert not short.converged and "8 frames of 4 particles: too short" in (short.reason or "")
    assert math.isnan(short.D)
    rest = slope.diffusion(np.ones((500, 4, 3)), 1.0)
    assert not rest.converged and "do not move" in (rest.reason or "")
    line = np.arange(300.0)[:, None, None] * rng.normal(size=(1, 8, 3))
    assert "superdiffusive" in (slope.diffusion(line, 1.0).reason or "")
    few = slope.diffusion(random_walks(rng, 40, 4), 1.0)
    assert not few.converged and few.ci95_low < few.D < few.ci95_high


def test_units_of_time_and_length_scale() -> None:
    x = random_walks(np.random.default_rng(9), 500, 16)
    a, b = slope.diffusion(x, 1.0), slope.diffusion(x * 1e-10, 2e-14)
    assert pytest.approx(a.D * 1e-20 / 2e-14, rel=1e-9) == b.D
    assert b.ci95_low == pytest.approx(a.ci95_low * 1e-20 / 2e-14, rel=1e-9)
    assert b.fit_start == pytest.approx(a.fit_start * 2e-14)
    assert b.converged == a.converged


def test_wrapped_drifting_and_still_give_the_same() -> None:
    rng = np.random.default_rng(10)
    masses = rng.uniform(5, 20, 24)
    still = displacement.remove_drift(random_walks(rng, 600, 24) * 0.1 + rng.uniform(0, 10, (24, 3)), masses)
    drifting = still + np.arange(600)[:, None, None] * np.array([0.02, -0.01, 0.03])
    edges = np.array([10.0, 11.0, 9.0])
    wrapped = drifting % edges
    unwrapped = displacement.unwrap(wrapped, edges)
    np.testing.assert_allclose(unwrapped - unwrapped[0], drifting - drifting[0], atol=1e-9)
    np.testing.assert_allclose(displacement.unwrap(drifting, edges), drifting, atol=1e-9)
    expected = slope.diffusion(still, 1.0)
    for x in (drifting, unwrapped):
        found = slope.diffusion(displacement.remove_drift(x, masses), 1.0)
        assert pytest.approx(expected.D, rel=1e-9) == found.D
        assert found.ci95_high == pytest.approx(expected.ci95_high, rel=1e-9)


def test_unwrapping_keeps_a_barostat_out_of_far_images() -> None:
    """A particle at rest in scaled coordinates, 50 images away, in a breathing cell: it moves like one in the cell."""
    rng = np.random.default_rng(11)
    edge = 20 * (1 + 0.01 * rng.normal(size=400))
    edges = np.repeat(edge[:, None], 3, axis=1)
    scaled = np.array([[0.3, 0.6, 0.9], [50.3, -19.4, 0.9]])
    far = edges[:, None, :] * scaled
    moved = displacement.unwrap(far, edges)
    assert np.ptp(far[:, 1, 0]) > 20
    assert np.ptp(moved[:, 1, 0]) < 1
    steps = np.diff(moved, axis=0)
    np.testing.assert_allclose(steps[:, 0], steps[:, 1], atol=1e-9)


def test_centres_of_mass_are_those_of_a_loop() -> None:
    rng = np.random.default_rng(19)
    x, masses = rng.normal(size=(5, 11, 3)), np.array([1.0, 2, 3, 1, 2, 3, 1, 2, 3, 7, 7])
    found = displacement.centres_of_mass(x.astype(np.float32), masses, [(3, 3), (2, 1)])
    expected = [np.average(x[:, i], axis=1, weights=masses[i]) for i in ([0, 1, 2], [3, 4, 5], [6, 7, 8], [9], [10])]
    assert found.dtype == float
    np.testing.assert_allclose(found, np.stack(expected, axis=1), atol=1e-6)


def test_a_bond_across_the_boundary_is_not_short() -> None:
    x = np.array([[[0.0, 0, 0], [1, 0, 0]], [[0, 0, 0], [0, 0, -5.5]]])
    bonds = np.array([[0, 1]])
    assert displacement.bonds_are_short(x, bonds, np.array([[10.0, 10, 10], [10, 10, 12]]))
    assert not displacement.bonds_are_short(x, bonds, np.full((2, 3), 10.0))
    assert displacement.bonds_are_short(x, np.empty((0, 2), int), np.full((2, 3), 10.0))


def test_rattling_in_place_is_not_diffusion() -> None:
    """Rounding noise of single precision, once all ions move as one, must not break the fit."""
    x = np.random.default_rng(20).normal(size=(300, 6, 3)) * 1e-7
    found = slope.diffusion(x, 1.0)
    assert not found.converged and "subdiffusive" in (found.reason or "")


def test_yeh_hummer_is_the_published_correction() -> None:
    # 2.837297 kT / (6 pi eta L) of water at 298 K in a 2 nm cell: 3.48e-10 m2/s
    found = yeh_hummer(2e-9, 2e-9, 298.0, 0.89e-3)
    assert found - 2e-9 == pytest.approx(3.48e-10, rel=1e-2)


# --- mean of a series ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "tau"), [(200, 0.5), (500, 5.0), (1000, 20.0)])
def test_intervals_of_correlated_series_cover(n: int, tau: float) -> None:
    found = [measure_series.series_mean(1200 + 10 * x) for x in ar1(np.random.default_rng(12), 250, n, tau)]
    assert 0.90 <= np.mean([e.interval[0] <= 1200 <= e.interval[1] for e in found]) <= 0.99
    a = math.exp(-1 / tau)
    expected = n * (1 - a) / (1 + a)
    assert np.median([e.n_effective for e in found]) == pytest.approx(expected, rel=0.25)


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
    found = [measure_series.series_mean(x + transient) for x in ar1(rng, 60, 2000, 4.0)]
    assert np.median([e.start for e in found]) > 100
    assert np.mean([e.interval[0] <= 0 <= e.interval[1] for e in found]) > 0.85


def test_drifting_series_are_not_converged() -> None:
    rng = np.random.default_rng(15)
    found = [measure_series.series_mean(x + np.linspace(0, 4, 1000)) for x in ar1(rng, 50, 1000, 3.0)]
    assert np.mean([e.converged for e in found]) < 0.05
    assert all(e.reason for e in found if not e.converged)


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


def test_the_length_that_diffusion_needs_is_said() -> None:
    found, _ = estimates(ballistic, 22, 20, 80, 16)
    said = [d.needed for d in found if not d.converged]
    assert len(said) >= 18 and np.isfinite(said).all()
    needed = round(float(np.median(said)))
    share = [np.mean([d.converged for d in estimates(ballistic, 23, 20, n, 16)[0]]) for n in (needed // 3, needed * 2)]
    assert share[0] < 0.4 and share[1] > 0.7


def test_series_without_an_answer() -> None:
    constant = measure_series.series_mean(np.full(500, 1200.0))
    assert not constant.converged and constant.mean == 1200 and "constant" in (constant.reason or "")
    few = measure_series.series_mean(np.arange(5.0))
    assert not few.converged and few.reason == "5 samples: too few" and math.isnan(few.standard_error)
    assert math.isnan(measure_series.series_mean(np.array([])).mean)
    with pytest.raises(ValueError, match="not finite"):
        measure_series.series_mean(np.array([1.0, math.nan] * 20))
