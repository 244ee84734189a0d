"""OpenMM's own integrators and our barostat on ideal gases, whose volumes are known exactly."""

from pathlib import Path

import numpy as np
import openmm
import pytest
from ase import Atoms, units

from ionmelt.dynamics.engines.openmm import Native, OpenMMDynamics
from ionmelt.measure.series import series_mean
from ionmelt.topology import Topology


def ideal_gas(folder: Path, n: int, kelvin: float, bar: float, sizes: int = 1) -> Atoms:
    """`n` molecules of some atoms each, without any force between molecules, in a box of the mean volume."""
    system = openmm.System()
    nothing = openmm.NonbondedForce()
    nothing.setNonbondedMethod(openmm.NonbondedForce.CutoffPeriodic)
    nothing.setCutoffDistance(0.2)
    bonds = openmm.HarmonicBondForce()
    for index in range(n * sizes):
        system.addParticle(10.0)
        nothing.addParticle(0.0, 1.0, 0.0)
        if index % sizes:
            bonds.addBond(index - 1, index, 0.15, 1e5)
    system.addForce(nothing)
    system.addForce(bonds)
    (folder / "system.xml").write_text(openmm.XmlSerializer.serialize(system))
    edge = ((n + 1) * units.kB * kelvin / (bar * units.bar)) ** (1 / 3)
    places = np.repeat(np.random.default_rng(1).uniform(0, 20, (n, 3)), sizes, axis=0)
    places[:, 0] += np.tile(1.5 * np.arange(sizes), n)
    gas = Atoms(f"B{n * sizes}", places, cell=[edge] * 3, pbc=True)
    ion = {
        "name": "b",
        "smiles": "",
        "charge": 0,
        "count": n,
        "bonds": [[k, k + 1] for k in range(sizes - 1)],
        "elements": ["B"] * sizes,
        "masses_u": [10.0] * sizes,
    }
    gas.calc = Native(folder / "system.xml", Topology("gas", [ion]), 1.0, 1)
    return gas


def test_openmm_barostat_on_an_ideal_gas_through_many_segments(tmp_path: Path) -> None:
    """<V> = (N + 1) kT/p and its variance (N + 1) (kT/p)^2 of N molecules, exactly, in segments that cut the moves' interval."""
    n, kelvin, bar = 10, 300.0, 100.0
    unit = units.kB * kelvin / (bar * units.bar)
    gas = ideal_gas(tmp_path, n, kelvin, bar, sizes=3)
    common = {"timestep_fs": 1.0, "temperature_K": kelvin, "pressure_bar": bar, "thermostat_fs": 100.0}
    dynamics = OpenMMDynamics(gas, **common, seed=3)
    volumes = []
    for segment in range(300):
        state = dynamics.save()
        dynamics = OpenMMDynamics(gas, **common, seed=segment + 1)
        dynamics.load(state)
        for _ in range(10):
            dynamics.run(7)
            volumes.append(gas.get_volume())
    series = np.array(volumes[1000:])
    assert dynamics.barostat.scale_nm3 > 0.1 * gas.get_volume() / 1000, "what it learned of its moves is kept"
    for values, expected in ((series, (n + 1) * unit), ((series - (n + 1) * unit) ** 2, (n + 1) * unit**2)):
        mean = series_mean(values)
        assert mean.standard_error < 0.25 * expected
        assert abs(mean.mean - expected) < 3 * mean.standard_error


@pytest.mark.parametrize("bar", [100.0, None])
def test_openmm_goes_on_as_an_unbroken_run_does(tmp_path: Path, bar: float | None) -> None:
    """Where no pair list can order forces anew, restarts change no bit: noise, thermostat, barostat, all goes on."""
    gas = ideal_gas(tmp_path, 10, 300.0, 100.0)
    common = {"timestep_fs": 1.0, "temperature_K": 300.0, "pressure_bar": bar, "thermostat_fs": 100.0}
    ends = []
    for segments in (1, 8):
        start = gas.copy()
        start.calc = gas.calc
        dynamics = OpenMMDynamics(start, **common, seed=3)
        for segment in range(segments):
            if segment:
                state = dynamics.save()
                dynamics = OpenMMDynamics(start, **common, seed=50 + segment)
                dynamics.load(state)
            dynamics.run(96 // segments)
        ends.append((start.positions.tobytes(), start.get_velocities().tobytes(), start.cell.array.tobytes()))
    assert ends[0] == ends[1]
