"""Pressures of equilibrium frames: laws of the ideal gas and of a volume that fluctuates as a Gaussian, whose answers are exact."""

import numpy as np
import polars as pl
import pytest
from ase import Atoms
from ase.units import GPa, bar, kB
from scipy import stats

from ionmelt.compare.equilibrium import mean_pressures
from ionmelt.frame import set_label
from ionmelt.models.motions import Computed
from ionmelt.models.prediction import Prediction
from ionmelt.models.pressures import EQUILIBRIUM, Pressures, jackknife, labelled_pressure, pressures_of
from ionmelt.report.results import Results
from ionmelt.report.sections import pressures as report
from ionmelt.report.sections.short import care
from ionmelt.tables.published import TABLES

KELVIN = 300.0
KT = kB * KELVIN


def frame(volume: float, recipe: str = EQUILIBRIUM, atoms: int = 4) -> Atoms:
    """Return a frame of molecules of two atoms each."""
    positions = np.random.default_rng(1).uniform(0, 5, (atoms, 3))
    made = Atoms("Ar" * atoms, positions, cell=[volume ** (1 / 3)] * 3, pbc=True)
    made.arrays["molecule"] = np.arange(atoms) // 2
    made.info |= {"recipe": recipe, "liquid": "gas", "temperature_K": KELVIN}
    return made


def label(energy: float, stress: float | None = 0.0, atoms: int = 4) -> Computed:
    return Computed(energy, np.zeros((atoms, 3)), None if stress is None else stress * np.eye(3))


def only(predictions: list[Prediction]) -> Pressures:
    """Return the row of frames at the pressure of the ideal gas in 1000 A^3."""
    (row,) = pressures_of(predictions, {"gas": 2 * KT / 1000 / bar})
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


def test_the_distance_of_two_distributions_is_that_of_scipy_and_knows_no_pairs() -> None:
    pulls, others = np.random.default_rng(5).normal(0, 0.1, (2, 40)) * GPa
    row = only([Prediction(frame(1000.0), label(0.0, a), label(0.0, b)) for a, b in zip(pulls, others, strict=True)])
    assert row.wasserstein_bar == pytest.approx(stats.wasserstein_distance(pulls / bar, others / bar))


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


def test_frames_that_are_no_equilibrium_of_the_labels_say_nothing_of_the_density() -> None:
    """Labels and model differ by little, and the labels pull the box together by 9000 bar: the mean volume of the frames is not theirs."""
    volumes = np.random.default_rng(6).normal(1000, 20, 50)
    pull = 0.9 * GPa
    frames = [Prediction(frame(v), label(0.0, pull), label(0.2 * KT / 20 * v, pull)) for v in volumes]
    row = only(frames)
    assert row.energy_difference_kT is not None
    assert row.energy_difference_kT < 1
    assert (row.density_shift_percent, row.standard_error_shift_percent) == (None, None)
    assert row.reason == "-8917 bar of the labels, not 82.8389: the frames are no equilibrium of them"
    (there,) = pressures_of(frames, {"gas": row.pressure_ref_bar or 0.0})
    assert there.reason is None, "at the pressure that the labels give, they are one"
    assert there.density_shift_percent is not None


def test_frames_that_are_no_equilibrium_and_without_stress_do_not_count() -> None:
    others = [
        Prediction(frame(1000.0, "rattle"), label(0.0), label(0.0)),
        Prediction(frame(1000.0), label(0.0), None, "nan"),
    ]
    assert pressures_of(others, {}) == []
    bare = [Prediction(frame(1000.0), label(0.0, None), label(0.0)) for _ in range(9)]
    with_stress = [Prediction(frame(volume), label(0.0), label(0.0)) for volume in np.linspace(950, 1050, 5)]
    for some, count in ((bare, 0), (with_stress[:4], 4)):
        row = only(some)
        assert (row.frames, row.pressure_ref_bar) == (count, None)
        assert row.reason == f"{count} equilibrium frames with a stress: fewer than 5"
    assert only(with_stress).pressure_ref_bar is not None


def test_the_error_of_a_mean_by_jackknife_is_the_known_one() -> None:
    sample = np.random.default_rng(5).normal(size=30)
    value, error = jackknife(lambda x: float(x.mean()), sample)
    assert (value, error) == (pytest.approx(sample.mean()), pytest.approx(sample.std(ddof=1) / np.sqrt(30)))


def labelled(pressures: np.ndarray, groups: int) -> pl.DataFrame:
    """Return the table of a dataset, each frame of which is in two mixtures, as many frames in a group as in another."""
    rows = [
        {"frame_id": str(i), "liquid": "demo", "group": str(i % groups), "dataset": name, "split": "train", "temperature_K": 430.0,
         "equilibrium_pressure_bar": float(bar_)}
        for name in ("eq", "both") for i, bar_ in enumerate(pressures)
    ]  # fmt: skip
    return pl.DataFrame(rows).sample(fraction=1, shuffle=True, seed=1)


def test_frames_that_stand_under_pressure_of_the_labels_are_called_so() -> None:
    """Nine frames for training alone, whose mean has an error of 400 bar."""
    away = np.linspace(-1, 1, 9)
    table = labelled(-10555 + 400 * 3 * away / away.std(ddof=1), 9)
    (line,) = report.not_of_the_labels(table, {"demo": 1.0}, str.upper)
    assert line.startswith(
        "The equilibrium frames of DEMO at 430 K stand at −10555 ± 800 bar of the labels: they are an equilibrium of the force field"
    )
    assert "By the labels the liquid would be denser, so models that learn them may shrink the box" in line
    (other,) = report.not_of_the_labels(table, {"demo": -30000.0}, str)
    assert "would be less dense, so models that learn them may expand the box" in other
    assert report.not_of_the_labels(labelled(900 + 400 * 3 * away / away.std(ddof=1), 9), {"demo": 1.0}, str) == []


def test_who_reads_the_report_in_short_is_told() -> None:
    away = np.linspace(-1, 1, 9)
    tables = {name: pl.DataFrame(schema=schema) for name, schema in TABLES.items()}
    tables["dataset"] = labelled(-10555 + 400 * 3 * away / away.std(ddof=1), 9)
    models = pl.DataFrame(schema={"model": pl.String, "same_theory": pl.Boolean})
    ((heading, lines),) = care(Results(tables, {"liquids": [{"id": "demo"}]}, {}, models=models))
    assert heading == "Read with care"
    assert "none of the labels" in lines[0]
    there = {"liquids": [{"id": "demo", "pressure_bar": -10000.0}]}
    assert care(Results(tables, there, {}, models=models)) == []


def test_frames_of_one_trajectory_are_no_better_than_one() -> None:
    """Four copies of a frame in each of nine groups have the error of nine frames; of too few groups nothing is said."""
    away = np.linspace(-1, 1, 9)
    once = -10555 + 400 * 3 * away / away.std(ddof=1)
    (state,) = mean_pressures(labelled(np.tile(once, 4), 9))
    assert (state.mean_bar, state.standard_error_bar) == (pytest.approx(-10555), pytest.approx(400))
    assert mean_pressures(labelled(np.tile(once, 4), 4)) == []
    assert mean_pressures(labelled(once, 9).with_columns(equilibrium_pressure_bar=pl.lit(None, pl.Float64))) == []


def test_the_pressure_of_a_label_is_of_equilibrium_frames_alone() -> None:
    gas = frame(1000.0)
    set_label(gas, 0.0, np.zeros((4, 3)), -0.3 * GPa * np.eye(3), "theory", True, None)
    assert labelled_pressure(gas) == pytest.approx(3000 + 2 * KT / 1000 / bar)
    for unlike in ({"recipe": "rattle"}, {"temperature_K": None}):
        other = gas.copy()
        other.info |= unlike
        for key in [key for key, value in other.info.items() if value is None]:
            del other.info[key]
        assert labelled_pressure(other) is None


def test_an_interval_from_few_frames_is_wide() -> None:
    """Five frames: Student's t of four degrees of freedom."""
    assert report.with_interval(-300.0, 100.0, 5) == "−300 ± 278"
    assert report.with_interval(-300.0, 100.0, 1001) == "−300 ± 196"
    assert report.with_interval(0.315, 184.0, 1001) == "0 ± 361", "no digits below the error"
    assert report.with_interval(None, None, 5) == "–"


def test_frames_of_no_temperature_are_a_row_that_says_so() -> None:
    """As frames that were labelled elsewhere may be: without it there is no pressure of the ideal gas."""
    frames = [frame(volume) for volume in np.linspace(900, 1100, 11)]
    for one in frames[:6]:
        del one.info["temperature_K"]
    without, row = pressures_of([Prediction(one, label(0.0), label(0.0)) for one in frames], {})
    assert (without.temperature_K, without.frames, without.pressure_ref_bar) == (None, 6, None)
    assert without.reason is not None
    assert "temperature" in without.reason
    assert (row.temperature_K, row.frames) == (KELVIN, 5)
