"""Viscosity: a stress that relaxes as it is told, and what is no series of one."""

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
from relaxing_stress import KELVIN, VOLUME, relaxing
from scipy.constants import Boltzmann

from ionmelt.measure.observables import viscosity
from ionmelt.tables.columns import RUN_MODEL


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


def test_a_possible_viscosity_is_between_those_of_a_vapour_and_of_a_glass() -> None:
    """Of steam 1.2e-5 Pa s, and 1e12 Pa s, from which on a liquid is called a glass."""
    least, most = viscosity.OBSERVABLE.possible
    assert least < 1.2e-5 < 1e12 == most


def test_times_are_even_or_not() -> None:
    assert viscosity.evenly_sampled(np.arange(10) * 0.01)
    assert not viscosity.evenly_sampled(np.array([0.0, 1.0, 3.0]))
    assert not viscosity.evenly_sampled(np.array([1.0]))
    assert not viscosity.evenly_sampled(np.zeros(3))  # nothing passes


def run_of(pressure: np.ndarray, **changed: Any) -> SimpleNamespace:
    """Return a run of 3 rows of NPT and these (n, 6) of NVT, one in 20 fs, in boxes of 8 nm3 and a little more."""
    rows = len(pressure)
    thermo = {"phase": ["npt"] * 3 + ["nvt"] * rows, "time_ps": 7 + 0.02 * np.arange(-3, rows)}
    thermo["volume_A3"] = 8000.0 + np.arange(-3, rows) % 2
    for name, column in zip(("xx", "yy", "zz", "yz", "xz", "xy"), pressure.T, strict=True):
        thermo[f"pressure_{name}_bar"] = np.concatenate([[1e6, -1e6, 1e6], column])
    return SimpleNamespace(
        thermo=pl.DataFrame(thermo | changed), threads=1, lacking=lambda phase: {"reason": f"no {phase}"},
        record=SimpleNamespace(temperature_K=KELVIN, nvt_planned_ps=10.0),
        verdict=lambda converged, reason: {"converged": converged, "reason": reason},
    )  # fmt: skip


def test_the_viscosity_of_a_run_is_that_of_its_constant_volume() -> None:
    pressure = 200 * pressure_of(relaxing(np.random.default_rng(6), 10, 4000, 5), np.zeros(4000))
    (row,) = viscosity.measure(run_of(pressure))
    whole = viscosity.viscosity(pressure, 2e-14, 8000.5e-30, KELVIN)
    assert row["viscosity_pa_s"] == pytest.approx(whole.D, rel=1e-9)
    assert (row["ci95_low_pa_s"], row["converged"]) == (pytest.approx(whole.ci95_low, rel=1e-9), whole.converged)
    assert {*row, *RUN_MODEL} == set(viscosity.OBSERVABLE.columns)
    broken = run_of(pressure)
    broken.thermo[2003, "pressure_xy_bar"] = math.nan  # of row 2000
    (row,) = viscosity.measure(broken)
    assert row["viscosity_pa_s"] == pytest.approx(viscosity.viscosity(pressure[:2000], 2e-14, 8000.5e-30, KELVIN).D)


def test_a_run_without_a_series_of_the_pressure_has_no_viscosity() -> None:
    pressure = np.random.default_rng(7).normal(size=(50, 6))
    none = run_of(pressure)
    none.record.nvt_planned_ps = 0.0
    assert viscosity.measure(none) == [{"reason": "no nvt"}]
    assert viscosity.measure(run_of(pressure[:0])) == [{"reason": "no nvt"}]
    of_npt_alone = run_of(pressure, pressure_yz_bar=[1.0] * 3 + [None] * 50)
    dropped = run_of(pressure)
    dropped.thermo = dropped.thermo.drop("pressure_xx_bar")
    for run in (of_npt_alone, dropped):
        assert viscosity.measure(run)[0]["reason"] == "the pressure tensor was not recorded"
    for run in (run_of(pressure[:1]), run_of(pressure, time_ps=np.arange(53) ** 2)):
        assert viscosity.measure(run)[0]["reason"] == "the pressure tensor was not recorded at even times"
