"""Pressures of equilibrium frames: laws of the ideal gas and of a volume that fluctuates as a Gaussian, whose answers are exact."""

import numpy as np
import polars as pl
import pytest
from ase import Atoms
from ase.units import GPa, bar, kB

from ionmelt.models.motions import Label
from ionmelt.models.prediction import Prediction
from ionmelt.models.pressures import EQUILIBRIUM, LEAST_FRAMES, Pressures, jackknife, pressures_of
from ionmelt.report.sections import pressures as report
from ionmelt.tables.evaluation import PRESSURES, named

KELVIN = 300.0
KT = kB * KELVIN


def frame(volume: float, recipe: str = EQUILIBRIUM, atoms: int = 4) -> Atoms:
    """Return a frame of molecules of two atoms each."""
    positions = np.random.default_rng(1).uniform(0, 5, (atoms, 3))
    made = Atoms("Ar" * atoms, positions, cell=[volume ** (1 / 3)] * 3, pbc=True)
    made.arrays["molecule"] = np.arange(atoms) // 2
    made.info |= {"recipe": recipe, "liquid": "gas", "temperature_K": KELVIN}
    return made


def label(energy: float, stress: float | None = 0.0, atoms: int = 4) -> Label:
    return Label(energy, np.zeros((atoms, 3)), None if stress is None else stress * np.eye(3))


def only(predictions: list[Prediction]) -> Pressures:
    (row,) = pressures_of(predictions)
    return row


def test_molecules_without_forces_are_an_ideal_gas() -> None:
    volumes = np.linspace(900, 1100, 11)
    row = only([Prediction(frame(volume), label(0.0), label(0.0)) for volume in volumes])
    assert row.pressure_ref_bar == pytest.approx(np.mean(2 * KT / volumes) / bar)
    assert (row.pressure_difference_bar, row.wasserstein_bar, row.density_shift_percent) == (0, 0, 0)


def test_a_model_of_another_pressure_is_off_by_it() -> None:
    rng = np.random.default_rng(2)
    pulls = rng.normal(0, 0.1, 40) * GPa
    row = only([Prediction(frame(1000.0), label(0.0, pull), label(0.0, pull - 0.3 * GPa)) for pull in pulls])
    assert row.pressure_difference_bar == pytest.approx(3000)  # a stress of -P
    assert row.standard_error_difference_bar == pytest.approx(0, abs=1e-6)
    assert row.wasserstein_bar == pytest.approx(3000)
    assert row.standard_error_ref_bar == pytest.approx(np.std(pulls, ddof=1) / np.sqrt(40) / bar)


def test_the_shift_of_a_gaussian_volume_is_exact() -> None:
    # an energy that grows by a a unit of volume moves the mean of a Gaussian volume by - a sigma^2 / kT
    rng = np.random.default_rng(3)
    volumes = rng.normal(1000, 20, 4000)
    slope = 0.2 * KT / 20
    row = only([Prediction(frame(volume), label(1.0), label(1.0 + slope * volume)) for volume in volumes])
    assert row.energy_difference_kT == pytest.approx(0.2, rel=0.05)
    assert row.density_shift_percent == pytest.approx(100 * slope * 20**2 / KT / 1000, rel=0.1)
    assert row.reason is None


def test_beyond_its_limit_first_order_says_nothing() -> None:
    volumes = np.random.default_rng(4).normal(1000, 20, 50)
    row = only([Prediction(frame(volume), label(0.0), label(3 * KT / 20 * volume)) for volume in volumes])
    assert (row.density_shift_percent, row.standard_error_shift_percent) == (None, None)
    assert row.reason is not None
    assert "kT from frame to frame" in row.reason
    assert row.pressure_difference_bar == 0


def test_frames_that_are_no_equilibrium_and_without_stress_do_not_count() -> None:
    others = [
        Prediction(frame(1000.0, "rattle"), label(0.0), label(0.0)),
        Prediction(frame(1000.0), label(0.0), None, "nan"),
    ]
    assert pressures_of(others) == []
    row = only([Prediction(frame(1000.0), label(0.0, None), label(0.0)) for _ in range(9)])
    assert row.pressure_ref_bar is None
    assert row.reason == f"0 equilibrium frames with a stress: fewer than {LEAST_FRAMES}"


def test_the_error_of_a_mean_by_jackknife_is_the_known_one() -> None:
    sample = np.random.default_rng(5).normal(size=30)
    value, error = jackknife(lambda x: float(x.mean()), sample)
    assert (value, error) == (pytest.approx(sample.mean()), pytest.approx(sample.std(ddof=1) / np.sqrt(30)))


def test_frames_that_stand_under_pressure_of_the_labels_are_called_so() -> None:
    row = dict.fromkeys(named(PRESSURES)) | {
        "liquid": "demo",
        "temperature_K": 430.0,
        "pressure_ref_bar": -10555.0,
        "standard_error_ref_bar": 400.0,
    }
    table = pl.DataFrame([row, row], schema=named(PRESSURES))
    (line,) = report.not_of_the_labels(table, {"demo": 1.0}, str.upper)
    assert line.startswith(
        "The equilibrium frames of DEMO at 430 K stand at -10555 ± 800 bar of the labels: they are an equilibrium of the force field"
    )
    assert report.not_of_the_labels(table.with_columns(pressure_ref_bar=pl.lit(900.0)), {"demo": 1.0}, str) == []


def test_frames_of_no_temperature_are_a_row_that_says_so() -> None:
    """As frames that were labelled elsewhere may be: without it there is no pressure of the ideal gas."""
    frames = [frame(volume) for volume in np.linspace(900, 1100, 11)]
    for one in frames[:6]:
        del one.info["temperature_K"]
    without, row = pressures_of([Prediction(one, label(0.0), label(0.0)) for one in frames])
    assert (without.temperature_K, without.frames, without.pressure_ref_bar) == (None, 6, None)
    assert without.reason is not None
    assert "temperature" in without.reason
    assert (row.temperature_K, row.frames) == (KELVIN, 5)
