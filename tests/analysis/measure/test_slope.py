"""The slope of a mean squared displacement where particles are not independent, or their motion changes."""

import math
import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
from random_motion import random_walks
from scipy import signal

from ionmelt.measure import displacement, slope
from ionmelt.measure.slope import DiffusionEstimate, diffusion

D = 0.5


def walks(seed: int, frames: int, ions: int, squared_step: np.ndarray) -> DiffusionEstimate:
    """Return what is measured of walks whose mean squared step, of all ions alike, is given for each frame."""
    steps = np.random.default_rng(seed).normal(size=(frames, ions, 3)) * np.sqrt(squared_step)[:, None, None]
    return diffusion(steps.cumsum(axis=0), 1.0)


def mobility(seed: int, frames: int, tau: float) -> np.ndarray:
    """Return a mobility (frames,) that all ions share: log-normal, mean 1, forgotten in `tau` frames."""
    a, rng = math.exp(-1 / tau), np.random.default_rng([seed, 1])
    noise = rng.normal(size=frames + round(12 * tau)) * math.sqrt(1 - a * a)
    return np.exp(0.5 * signal.lfilter([1], [1, -a], noise)[-frames:] - 0.125)


def cover(estimates: list[DiffusionEstimate]) -> float:
    return float(np.mean([e.ci95_low <= D <= e.ci95_high for e in estimates]))


def test_ions_that_share_their_mobility_do_not_count_one_by_one() -> None:
    estimates = [walks(seed, 1000, 32, mobility(seed, 1000, 50)) for seed in range(80)]
    assert cover(estimates) >= 0.85
    alone = [e for e in estimates if e.converged]
    assert len(alone) >= 40
    assert cover(alone) >= 0.85


def test_a_mobility_that_lasts_a_tenth_of_the_run_widens_the_interval() -> None:
    """Blocks of an eighth or a fifth of the run are then alike."""
    estimates = [walks(1000 + seed, 1000, 64, mobility(1000 + seed, 1000, 100)) for seed in range(120)]
    alone = [e for e in estimates if e.converged]
    assert len(alone) >= 60
    assert min(cover(estimates), cover(alone)) >= 0.8


def test_independent_ions_keep_their_interval() -> None:
    estimates = [walks(seed, 500, 16, np.ones(500)) for seed in range(80)]
    assert cover(estimates) >= 0.9
    width = np.median([math.log(e.ci95_high / e.ci95_low) for e in estimates])
    spread = np.median([abs(math.log(e.D / D)) for e in estimates]) / 0.6745
    assert width <= 1.5 * 2 * 1.96 * spread
    assert np.mean([e.converged for e in estimates]) >= 0.9


def test_motion_that_slows_during_the_run_is_not_converged() -> None:
    """From twice its value to nearly that of equilibrium within the run: the mean is wrong whatever its error."""
    passed = []
    for seed in range(20):
        for tau in (250.0, 400.0, 1000.0):
            passed.append(walks(seed, 1000, 32, 1 + np.exp(-np.arange(1000) / tau)).converged)
    assert np.mean(passed) <= 0.1
    slowed = walks(0, 1000, 32, 1 + np.exp(-np.arange(1000) / 400))
    assert slowed.reason is not None and "changes during the run" in slowed.reason
    assert slowed.needed >= 2000 and slowed.at_least


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
    fits = []
    for _ in range(cases):
        x, true = walk(rng, *shape)
        fits.append(slope.diffusion(x, 1.0))
    return fits, true


def covered(fits: list[slope.DiffusionEstimate], true: float) -> list[bool]:
    return [d.ci95_low <= true <= d.ci95_high for d in fits]


def test_msd_covariance_is_that_of_many_walks() -> None:
    frames, lags = 60, np.array([1, 2, 5, 12, 20])
    x = np.random.default_rng(3).normal(size=(20_000, frames)).cumsum(axis=1)
    seen = np.cov([((x[:, k:] - x[:, :-k]) ** 2).mean(axis=1) for k in lags])
    expected = slope.msd_covariance(lambda lag: lag.astype(float), lags, frames)
    np.testing.assert_allclose(expected, seen, rtol=0.1)


def test_the_error_of_a_straight_line_is_that_of_its_generalised_least_squares() -> None:
    """Of displacements that are the line themselves, by the covariance of a walk and plain inverses."""
    lags, frames, particles = np.array([3, 6, 12, 24]), 200, 5
    fit = slope.fitted_line(3 * 2.0 * np.arange(frames), (frames, particles, 3), lags)
    weights = np.linalg.inv(slope.msd_covariance(lambda lag: 2.0 * lag, lags, frames) / (3 * particles))
    design = np.column_stack([np.ones(4), lags])
    assert (fit.slope, fit.intercept) == (pytest.approx(2, rel=1e-9), pytest.approx(0, abs=1e-9))
    assert fit.error == pytest.approx(math.sqrt(np.linalg.inv(design.T @ weights @ design)[1, 1]), rel=1e-9)


def test_intervals_of_500_walks_cover() -> None:
    covers: list[bool] = []
    converged = []
    for seed, shape in enumerate([(200, 4), (1000, 4), (500, 16), (200, 64), (5000, 8)]):
        fits, true = estimates(plain, seed, 100, *shape)
        covers += covered(fits, true)
        converged.append(np.mean([d.converged for d in fits]))
    assert 0.90 <= np.mean(covers) <= 0.985
    assert min(converged) > 0.75
    assert np.mean(converged) > 0.9


@pytest.mark.parametrize("walk", [ballistic, caged])
def test_intervals_cover_after_a_short_time_of_another_kind(walk: Walk) -> None:
    covers: list[bool] = []
    for seed, shape in enumerate([(1000, 4), (800, 16), (600, 64)]):
        fits, true = estimates(walk, seed, 60, *shape)
        covers += covered([d for d in fits if d.converged], true)
    assert len(covers) > 120
    assert 0.88 <= np.mean(covers) <= 0.99


def test_the_window_starts_after_the_ballistic_part() -> None:
    fits, true = estimates(ballistic, 5, 20, 1000, 16)
    assert min(d.fit_start for d in fits) >= 5
    assert all(d.fit_stop > 4 * d.fit_start - 4 for d in fits)
    assert np.mean([d.D for d in fits]) == pytest.approx(true, rel=0.05)


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
    fits = [slope.diffusion((root @ rng.normal(size=(n, 48))).cumsum(axis=0).reshape(n, 16, 3), 1.0) for _ in range(20)]
    flagged = [d for d in fits if not d.converged]
    assert len(flagged) >= 19
    kind = "subdiffusive" if exponent < 1 else "superdiffusive"
    assert all(kind in (d.reason or "") for d in flagged)
    assert np.mean([d.log_slope for d in fits]) == pytest.approx(exponent, abs=0.05)


def test_too_short_resting_and_flying() -> None:
    rng = np.random.default_rng(8)
    short = slope.diffusion(random_walks(rng, 8, 4), 1.0)
    assert not short.converged and "8 frames of 4 particles: too few" in (short.reason or "")
    assert math.isnan(short.D) and math.isnan(short.needed) and not short.at_least
    assert slope.diffusion(random_walks(rng, 8, 1), 1.0).reason == "8 frames: too few"
    rest = slope.diffusion(np.ones((500, 4, 3)), 1.0)
    assert not rest.converged and "do not move" in (rest.reason or "")
    line = np.arange(300.0)[:, None, None] * rng.normal(size=(1, 8, 3))
    assert "superdiffusive" in (slope.diffusion(line, 1.0).reason or "")
    few = slope.diffusion(random_walks(rng, 40, 4), 1.0)
    assert not few.converged and few.ci95_low < few.D < few.ci95_high


def test_particles_of_which_one_rests_move() -> None:
    x = random_walks(np.random.default_rng(12), 400, 8)
    x[:, 0] = 3.0
    fit = slope.diffusion(x, 1.0)
    assert fit.ci95_low < 7 / 8 * D < fit.ci95_high


def test_what_swings_back_to_where_it_was_does_not_diffuse() -> None:
    """Each lag of an even number of frames is one without a displacement, to rounding."""
    swing = np.where(np.arange(301) % 2, 1.0, -1.0)[:, None, None] * np.random.default_rng(13).normal(size=(4, 3))
    assert not slope.diffusion(swing, 1.0).converged


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
        fit = slope.diffusion(displacement.remove_drift(x, masses), 1.0)
        assert pytest.approx(expected.D, rel=1e-9) == fit.D
        assert fit.ci95_high == pytest.approx(expected.ci95_high, rel=1e-9)


def test_a_slope_that_is_lost_in_its_error_has_an_interval_around_it() -> None:
    """Of a solid, whose ions rattle in place: of either sign, and no quantile of a chi^2 variable that is 0 is divided by."""
    for seed, sign in ((3, -1), (6, 1)):
        fit = slope.diffusion(np.random.default_rng(seed).normal(size=(300, 6, 3)), 1.0)
        assert fit.D * sign > 0 and fit.dof == math.inf and not fit.converged
        half = 1.959964 * fit.standard_error
        assert (fit.ci95_low, fit.ci95_high) == pytest.approx((fit.D - half, fit.D + half), rel=1e-4)


def test_rattling_in_place_is_not_diffusion() -> None:
    """Rounding noise of single precision, once all ions move as one, must not break the fit."""
    x = np.random.default_rng(20).normal(size=(300, 6, 3)) * 1e-7
    fit = slope.diffusion(x, 1.0)
    assert not fit.converged and "subdiffusive" in (fit.reason or "")


def test_the_length_that_diffusion_needs_is_said() -> None:
    fits, _ = estimates(ballistic, 22, 20, 80, 16)
    said = [d.needed for d in fits if not d.converged]
    assert len(said) >= 18 and np.isfinite(said).all()
    needed = round(float(np.median(said)))
    assert not any(d.at_least for d in fits)
    share = [np.mean([d.converged for d in estimates(ballistic, 23, 20, n, 16)[0]]) for n in (needed // 3, needed * 2)]
    assert share[0] < 0.4 and share[1] > 0.7


def test_of_ions_that_fly_only_a_lower_bound_is_said() -> None:
    """The line to which their displacements will bend has not been seen."""
    rng = np.random.default_rng(26)

    def flight(frames: int, lasting: float) -> DiffusionEstimate:
        a = math.exp(-1 / lasting)
        noise = rng.normal(size=(frames + round(8 * lasting), 32, 3))
        v = signal.lfilter([1], [1, -a], noise, axis=0)[-frames:]
        return slope.diffusion(v.cumsum(axis=0), 1.0)

    for frames, lasting in ((100, 100.0), (100, 1000.0), (150, 50.0), (200, 40.0)):
        said = flight(frames, lasting)
        assert "superdiffusive" in (said.reason or "") and said.at_least
        assert not said.needed > 150 * lasting
    assert not any(flight(120, 4.0).at_least for _ in range(10))


@pytest.mark.parametrize(
    ("frames", "particles", "first", "steps"),
    [
        (114, 5000, 10, 3),  # a third of 240 frames is eight times the start
        (10, 4, 1, 6),  # in 48 frames, 20 displacements of 8 frames do not overlap: their exponent is known to 0.07
    ],
)
def test_a_run_must_hold_a_window_of_eight_times_its_start(frames: int, particles: int, first: int, steps: int) -> None:
    """Lengths are tried in steps of 1.3."""
    said = slope.frames_needed(0.0, 1.0, first, (frames, particles, 3))
    assert said == pytest.approx(frames * 1.3**steps)


def test_the_length_needed_is_so_many_times_the_start_whatever_the_unit_of_time() -> None:
    """With a ballistic beginning that is four times as long, all is: the line is straight and its intercept falls."""
    few, many = (slope.frames_needed(-3.0 * times, 1.0, 8 * times, (60 * times, 16, 3)) for times in (1, 4))
    assert math.isfinite(few) and many == pytest.approx(4 * few)
    assert few != slope.frames_needed(0.0, 1.0, 8, (60, 16, 3))  # the intercept counts


def test_a_single_jump_is_no_diffusion() -> None:
    """Its mean squared displacement is a straight line through 0."""
    jump = slope.diffusion((np.arange(200) > 100)[:, None, None] * np.ones((1, 2, 3)), 1.0)
    assert jump.log_slope == pytest.approx(1, abs=0.1)
    assert not jump.converged and "too few displacements" in (jump.reason or "")
    assert jump.needed >= 400 and jump.at_least


def test_what_a_long_run_needs_is_found_in_little_memory() -> None:
    """A run of a million frames of one particle that needs a hundred times as many, to forget where it rattled."""
    tracemalloc.start()
    said = slope.frames_needed(3e4, 1.0, 1, (10**6, 1, 3))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert 1e8 < said < 2e8
    assert peak < 5e6
