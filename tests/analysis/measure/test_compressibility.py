"""Isothermal compressibility: exact cases, and how often its interval covers the truth."""

import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from known_runs import write_npt_run
from scipy import signal
from scipy.constants import Boltzmann

from ionmelt.compare.judgement import run_rows
from ionmelt.compare.summary import summarise_runs
from ionmelt.measure.observables.compressibility import OBSERVABLE, compressibility, interval
from ionmelt.measure.run import measure
from ionmelt.report.words import NAMES, UNITS
from ionmelt.tables.references import REFERENCES
from ionmelt.tables.runs import SURVIVAL

KELVIN = 400.0


def correlated(rng: np.random.Generator, n: int, tau: float) -> np.ndarray:
    """A Gaussian series of unit variance whose correlation falls as exp(-t / tau)."""
    a = math.exp(-1 / tau)
    noise = rng.normal(size=n) * math.sqrt(1 - a * a)
    noise[0] = rng.normal()
    return signal.lfilter([1], [1, -a], noise)


def write_run(folder: Path, volumes_A3: np.ndarray | None) -> Path:
    """Write the run folder of a run of NPT alone, whose thermodynamics hold these volumes."""
    rows = 4000 if volumes_A3 is None else len(volumes_A3)
    thermo = {"phase": ["npt"] * rows, "time_ps": 0.01 * np.arange(rows), "density_kg_m3": np.linspace(999, 1001, rows)}
    volume = pl.Series("volume_A3", volumes_A3, pl.Float64) if volumes_A3 is not None else pl.lit(None, pl.Float64)
    return write_npt_run(folder, KELVIN, pl.DataFrame(thermo).with_columns(volume.alias("volume_A3")))


def test_a_run_has_its_row_and_a_verdict_can_be_made_of_it(tmp_path: Path) -> None:
    volumes = 30_000 + 300 * correlated(np.random.default_rng(3), 4000, 5.0)
    table = measure(write_run(tmp_path, volumes))["compressibility"]
    row = table.row(0, named=True)
    true = 300**2 * 1e-30 / (Boltzmann * KELVIN * 30_000) * 1e9
    assert row["converged"], row["reason"]
    assert row["ci95_low_1_gpa"] < true < row["ci95_high_1_gpa"]
    (group,) = summarise_runs(
        run_rows(table, OBSERVABLE, pl.DataFrame(schema=SURVIVAL)), "compressibility", pl.DataFrame(schema=REFERENCES)
    )
    assert group.converged and group.estimate.value == row["compressibility_1_gpa"] and group.unit == "1/GPa"
    assert NAMES["compressibility"] == "Compressibility" and UNITS["1/GPa"] == (1.0, "1/GPa")


def test_a_run_that_recorded_no_volume_says_so(tmp_path: Path) -> None:
    row = measure(write_run(tmp_path, None))["compressibility"].row(0, named=True)
    assert not row["converged"] and row["reason"] == "the volume was not recorded"


def test_of_an_ideal_gas_it_is_one_over_the_pressure() -> None:
    """N particles at constant pressure have volumes of a Gamma distribution: mean (N + 1) kT / P, variance (N + 1) (kT / P)^2."""
    particles, pressure_pa = 64, 2e6
    volumes = np.random.default_rng(1).gamma(particles + 1, Boltzmann * KELVIN / pressure_pa * 1e30, 40_000)
    kappa = compressibility(volumes, KELVIN)
    assert kappa.converged and kappa.reason is None
    assert kappa.mean == pytest.approx(1e9 / pressure_pa, rel=0.03)
    low, high = interval(kappa.mean, kappa.standard_error)
    assert low < 1e9 / pressure_pa < high
    assert high - low < 0.1 * kappa.mean


@pytest.mark.parametrize(("tau", "n"), [(0.5, 500), (5.0, 2000), (20.0, 4000)])
def test_the_interval_covers(tau: float, n: int) -> None:
    mean, width = 30_000.0, 300.0
    true = width**2 * 1e-30 / (Boltzmann * KELVIN * mean) * 1e9
    rng, covered, values, passed = np.random.default_rng(7), [], [], 0
    for _ in range(300):
        kappa = compressibility(mean + width * correlated(rng, n, tau), KELVIN)
        low, high = interval(kappa.mean, kappa.standard_error)
        covered.append(low < true < high)
        values.append(kappa.mean)
        passed += kappa.converged
    assert 0.91 < np.mean(covered) < 0.99
    assert np.mean(values) == pytest.approx(true, rel=4 * np.std(values) / true / math.sqrt(300))
    assert passed > 250


def test_a_volume_that_still_drifts_is_not_converged() -> None:
    rng = np.random.default_rng(2)
    kappa = compressibility(30_000 + 300 * correlated(rng, 2000, 5.0) + np.linspace(0, 2000, 2000), KELVIN)
    assert not kappa.converged and "volume: " in str(kappa.reason)


def test_few_samples_and_none_that_change_say_so() -> None:
    few = compressibility(np.array([30_000.0, 30_010.0, 29_990.0]), KELVIN)
    assert not few.converged and "3 samples: too few" in str(few.reason) and math.isnan(few.mean)
    still = compressibility(np.full(100, 30_000.0), KELVIN)
    assert not still.converged and "constant" in str(still.reason)
    assert all(math.isnan(end) for end in interval(still.mean, still.standard_error))
