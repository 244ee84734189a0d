"""The slope of a mean squared displacement where particles are not independent, or their motion changes."""

import math

import numpy as np
from scipy import signal

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
    assert slowed.needed >= 2000
