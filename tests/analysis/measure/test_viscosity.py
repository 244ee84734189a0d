"""Viscosity: a stress that relaxes as it is told, and what is no series of one."""

import math

import numpy as np
import pytest
from relaxing_stress import KELVIN, VOLUME, relaxing
from scipy.constants import Boltzmann

from ionmelt.measure.observables import viscosity


def pressure_of(five: np.ndarray, trace: np.ndarray) -> np.ndarray:
    """Return a pressure tensor (n, 6) whose independent components are these (n, 5)."""
    zz = five[:, 4] * 2 / math.sqrt(3)
    xx, yy = five[:, 3] - zz / 2, -five[:, 3] - zz / 2
    return np.column_stack([xx + trace, yy + trace, zz + trace, five[:, :3]])


def test_the_five_components_of_the_stress() -> None:
    rng = np.random.default_rng(4)
    five = rng.normal(size=(50, 5))
    components = viscosity.shear_components(pressure_of(five, rng.normal(size=50)))
    np.testing.assert_allclose(components, five, atol=1e-12)


def test_viscosity_is_the_integral_of_a_stress_that_relaxes() -> None:
    """Ornstein-Uhlenbeck stress of variance p^2 and time tau: eta = V p^2 tau / kT."""
    rng = np.random.default_rng(5)
    viscosities = []
    for _ in range(25):
        pressure = 200 * pressure_of(relaxing(rng, 10, 10_000, 5), 50 * relaxing(rng, 3, 10_000))
        viscosities.append(viscosity.viscosity(pressure, 1e-14, VOLUME, KELVIN))
    true = VOLUME / (Boltzmann * KELVIN) * (200 * 1e5) ** 2 * 10 * 1e-14
    assert np.mean([e.D for e in viscosities]) == pytest.approx(true, rel=0.05)
    assert np.mean([e.ci95_low < true < e.ci95_high for e in viscosities]) >= 0.85
    assert np.mean([e.converged for e in viscosities]) > 0.5
    short = viscosity.viscosity(pressure[:300], 1e-14, VOLUME, KELVIN)
    assert not short.converged and short.reason
    held = viscosity.viscosity(pressure + 2000 * np.array([0, 0, 0, 1, 0, 0]), 1e-14, VOLUME, KELVIN)
    assert not held.converged and "superdiffusive" in (held.reason or "")  # a solid holds its stress


def test_times_are_even_or_not() -> None:
    assert viscosity.evenly_sampled(np.arange(10) * 0.01)
    assert not viscosity.evenly_sampled(np.array([0.0, 1.0, 3.0]))
    assert not viscosity.evenly_sampled(np.array([1.0]))
