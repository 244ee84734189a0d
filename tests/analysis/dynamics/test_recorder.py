"""What a run writes down of the pressure: units, sign and components, against numbers made by hand."""

from types import SimpleNamespace

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from ionmelt.dynamics.recorder import COLUMN, Recorder

EV_A3_BAR = 1.602176634e6  # 1 eV/A^3 in bar
KB_EV_K = 8.617333262e-5
STRESS = np.array([[0.010, 0.002, -0.003], [0.002, 0.020, 0.004], [-0.003, 0.004, -0.006]])  # eV/A^3


def row_of(stress: np.ndarray) -> tuple[Atoms, dict[str, float]]:
    """Return atoms that move and have a stress (3, 3), and their row of thermo.parquet."""
    rng = np.random.default_rng(1)
    atoms = Atoms("LiF3", rng.random((4, 3)) * 8, cell=[8.0, 9.0, 10.0], pbc=True)
    atoms.set_momenta(rng.normal(size=(4, 3)))
    voigt = stress[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
    atoms.calc = SinglePointCalculator(atoms, energy=-1.0, forces=np.zeros((4, 3)), stress=voigt)
    settings = SimpleNamespace(timestep_fs=0.5, save_every_fs=5.0, steps=lambda fs: round(fs / 0.5))
    recorder = Recorder("npt", atoms, settings, first_step=0)
    recorder.sample(20)
    (values,) = recorder.rows
    return atoms, {name: values[column] for name, column in COLUMN.items()}


def test_the_pressure_of_an_ideal_gas_is_nkt_over_v() -> None:
    atoms, row = row_of(np.zeros((3, 3)))
    assert row["pressure_bar"] == pytest.approx(4 * KB_EV_K * row["temperature_K"] / 720.0 * EV_A3_BAR, rel=1e-6)
    assert row["time_ps"] == 0.01
    mass_kg, volume_m3 = atoms.get_masses().sum() * 1.66053906660e-27, 720e-30
    assert row["density_kg_m3"] == pytest.approx(mass_kg / volume_m3, rel=1e-9)


def test_the_pressure_tensor_is_the_flow_of_momentum_less_the_stress() -> None:
    atoms, row = row_of(STRESS)
    p, m = atoms.get_momenta(), atoms.get_masses()
    for name, (i, j) in {"xx": (0, 0), "yy": (1, 1), "zz": (2, 2), "yz": (1, 2), "xz": (0, 2), "xy": (0, 1)}.items():
        expected = (sum(p[k, i] * p[k, j] / m[k] for k in range(4)) / 720.0 - STRESS[i, j]) * EV_A3_BAR
        assert row[f"pressure_{name}_bar"] == pytest.approx(expected, rel=1e-6), name
    mean = sum(row[f"pressure_{name}_bar"] for name in ("xx", "yy", "zz")) / 3
    assert row["pressure_bar"] == pytest.approx(mean, rel=1e-9)
