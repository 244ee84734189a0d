"""Conductivity and viscosity: known liquids come out, and a run that is too short says so."""

import math

import numpy as np
import pytest
from scipy import signal
from scipy.constants import Boltzmann, elementary_charge

from ionmelt.measure import slope
from ionmelt.measure.observables import conductivity, viscosity

KELVIN, VOLUME, STEP = 300.0, 1e-26, 1e-13
D = 0.5 * 1e-20 / STEP  # of walks with unit steps in angstrom
PAIRS = 24
IONS = {"cation": (PAIRS, 1.0), "anion": (PAIRS, -1.0)}
UNIT = elementary_charge**2 / (VOLUME * Boltzmann * KELVIN)


def walks(rng: np.random.Generator, frames: int, ions: int) -> np.ndarray:
    return rng.normal(size=(frames, ions, 3)).cumsum(axis=0) * 1e-10


def relaxing(rng: np.random.Generator, tau: float, *shape: int) -> np.ndarray:
    a, lead = math.exp(-1 / tau), math.ceil(12 * tau)
    noise = rng.normal(size=(shape[0] + lead, *shape[1:])) * math.sqrt(1 - a * a)
    return signal.lfilter([1], [1, -a], noise, axis=0)[lead:]


def test_independent_ions_conduct_as_nernst_and_einstein_say() -> None:
    rng = np.random.default_rng(1)
    covers = []
    for _ in range(25):
        cation, anion = walks(rng, 3000, PAIRS), walks(rng, 3000, PAIRS)
        diffusion = {"cation": slope.diffusion(cation, STEP), "anion": slope.diffusion(anion, STEP)}
        independent = conductivity.nernst_einstein(diffusion, IONS, VOLUME, KELVIN)
        assert independent.value == pytest.approx(2 * PAIRS * D * UNIT, rel=0.1)
        moment = cation.sum(axis=1) - anion.sum(axis=1)
        whole = conductivity.einstein_conductivity(moment, STEP, VOLUME, KELVIN)
        ratio = conductivity.ionicity(whole, independent)
        assert ratio.value == pytest.approx(whole.D / independent.value)
        truths = (2 * PAIRS * D * UNIT, 2 * PAIRS * D * UNIT, 1.0)
        covers.append([e.ci95_low < x < e.ci95_high for e, x in zip((whole, independent, ratio), truths, strict=True)])
    assert (np.mean(covers, axis=0) >= 0.85).all()


def test_ions_in_pairs_do_not_conduct() -> None:
    """Every anion follows its cation, rattling: they diffuse as before, but carry no current."""
    rng = np.random.default_rng(2)
    cation = walks(rng, 4000, PAIRS)
    anion = cation + 0.3e-10 * relaxing(rng, 3, 4000, PAIRS, 3)
    diffusion = {"cation": slope.diffusion(cation, STEP), "anion": slope.diffusion(anion, STEP)}
    independent = conductivity.nernst_einstein(diffusion, IONS, VOLUME, KELVIN)
    whole = conductivity.einstein_conductivity(cation.sum(axis=1) - anion.sum(axis=1), STEP, VOLUME, KELVIN)
    assert abs(whole.D) < 1e-3 * independent.value
    assert not whole.converged and "subdiffusive" in (whole.reason or "")
    still = conductivity.einstein_conductivity(np.zeros((500, 3)), STEP, VOLUME, KELVIN)
    assert not still.converged and "do not move" in (still.reason or "")
    assert math.isnan(conductivity.ionicity(still, independent).ci95_high)


def test_what_kinds_of_ions_add_sums_to_the_conductivity() -> None:
    rng = np.random.default_rng(3)
    shared = walks(rng, 20_000, 1)[:, 0]
    cation = walks(rng, 20_000, PAIRS).sum(axis=1) + 2 * shared
    anion = walks(rng, 20_000, PAIRS).sum(axis=1) + 2 * shared
    terms = {
        (a, b): conductivity.onsager(x, y, (a, b), STEP, VOLUME, KELVIN)
        for a, x in ((1, cation), (-1, anion))
        for b, y in ((1, cation), (-1, anion))
    }
    expected = {1: (PAIRS + 4) * D * UNIT, -1: -4 * D * UNIT}
    for (a, b), term in terms.items():
        assert abs(term.D - expected[a * b]) < 4 * term.standard_error
        assert term.standard_error < 0.2 * expected[1]
    whole = conductivity.einstein_conductivity(cation - anion, STEP, VOLUME, KELVIN)
    assert sum(term.D for term in terms.values()) == pytest.approx(whole.D, rel=0.15)


def pressure_of(five: np.ndarray, trace: np.ndarray) -> np.ndarray:
    """Return a pressure tensor (n, 6) whose independent components are these (n, 5)."""
    zz = five[:, 4] * 2 / math.sqrt(3)
    xx, yy = five[:, 3] - zz / 2, -five[:, 3] - zz / 2
    return np.column_stack([xx + trace, yy + trace, zz + trace, five[:, :3]])


def test_the_five_components_of_the_stress() -> None:
    rng = np.random.default_rng(4)
    five = rng.normal(size=(50, 5))
    found = viscosity.shear_components(pressure_of(five, rng.normal(size=50)))
    np.testing.assert_allclose(found, five, atol=1e-12)


def test_viscosity_is_the_integral_of_a_stress_that_relaxes() -> None:
    """Ornstein-Uhlenbeck stress of variance p^2 and time tau: eta = V p^2 tau / kT."""
    rng = np.random.default_rng(5)
    found = []
    for _ in range(25):
        pressure = 200 * pressure_of(relaxing(rng, 10, 10_000, 5), 50 * relaxing(rng, 3, 10_000))
        found.append(viscosity.viscosity(pressure, 1e-14, VOLUME, KELVIN))
    true = VOLUME / (Boltzmann * KELVIN) * (200 * 1e5) ** 2 * 10 * 1e-14
    assert np.mean([e.D for e in found]) == pytest.approx(true, rel=0.05)
    assert np.mean([e.ci95_low < true < e.ci95_high for e in found]) >= 0.85
    assert np.mean([e.converged for e in found]) > 0.5
    short = viscosity.viscosity(pressure[:300], 1e-14, VOLUME, KELVIN)
    assert not short.converged and short.reason
    held = viscosity.viscosity(pressure + 2000 * np.array([0, 0, 0, 1, 0, 0]), 1e-14, VOLUME, KELVIN)
    assert not held.converged and "superdiffusive" in (held.reason or "")  # a solid holds its stress


def test_times_are_even_or_not() -> None:
    assert viscosity.evenly_sampled(np.arange(10) * 0.01)
    assert not viscosity.evenly_sampled(np.array([0.0, 1.0, 3.0]))
    assert not viscosity.evenly_sampled(np.array([1.0]))
