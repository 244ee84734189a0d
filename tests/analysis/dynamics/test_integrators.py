"""The integrators against the laws of the ensembles."""

import numpy as np
import pytest
from ase import Atoms, units
from ase.calculators.calculator import Calculator, all_changes

from ionmelt.dynamics import integrators, thermo
from ionmelt.dynamics.watch import Watch, strides

BAR = 1e5 / 1.602176634e11  # eV/A^3; the ensembles tell whether the code has the same
FS_BAR = {"timestep_fs": 4.0, "temperature_K": 400.0}


class Springs(Calculator):
    """Atoms tied to their places by springs; a stiffness of zero is the ideal gas."""

    implemented_properties = ["energy", "forces", "stress"]  # noqa: RUF012

    def __init__(self, stiffness: float, places: np.ndarray) -> None:
        super().__init__()
        self.stiffness, self.places = stiffness, places

    def calculate(self, atoms=None, properties=None, system_changes=all_changes) -> None:
        self.atoms = atoms.copy()
        delta = atoms.positions - self.places
        self.results = {
            "energy": 0.5 * self.stiffness * (delta**2).sum(),
            "forces": -self.stiffness * delta,
            "stress": np.zeros(6),
        }


def gas(n: int, edge_A: float, stiffness: float, seed: int) -> tuple[Atoms, np.random.Generator]:
    rng = np.random.default_rng(seed)
    atoms = Atoms("Ar" * n, positions=rng.random((n, 3)) * edge_A, cell=[edge_A] * 3, pbc=True)
    atoms.calc = Springs(stiffness, atoms.positions.copy())
    integrators.draw_velocities(atoms, 400.0, rng)
    return atoms, rng


def block_error(series: np.ndarray, blocks: int = 20) -> float:
    means = [block.mean() for block in np.array_split(series, blocks)]
    return float(np.std(means, ddof=1) / np.sqrt(blocks))


def test_ideal_gas_has_the_volume_of_the_isobaric_ensemble() -> None:
    # <V> = (N + 1) kT/p: with N = 5 the N + 1 is 20 % away from N, far outside the error.
    n, pressure_bar = 5, 2000.0
    atoms, rng = gas(n, 8.0, 0.0, seed=3)
    dynamics = integrators.npt(atoms, **FS_BAR, pressure_bar=pressure_bar, thermostat_fs=50, barostat_fs=100, rng=rng)
    volumes = []
    for _ in range(20000):
        dynamics.run(1)
        volumes.append(atoms.get_volume())
    series = np.array(volumes[1000:])
    expected = (n + 1) * units.kB * 400 / (pressure_bar * BAR)
    error = block_error(series)
    assert error < 0.05 * expected
    assert abs(series.mean() - expected) < 3 * error
    assert abs(series.mean() - expected * n / (n + 1)) > 3 * error


def restarted(dynamics, edge_A: float):
    """New dynamics made from atoms in a box of another size, with the state of the given ones and nothing else of them."""
    state = integrators.get_state(dynamics)
    atoms, rng = gas(len(dynamics.atoms), edge_A, dynamics.atoms.calc.stiffness, seed=99)
    atoms.calc.places = dynamics.atoms.calc.places
    integrators.set_atoms(atoms, state)
    common = {**FS_BAR, "thermostat_fs": 50, "rng": rng}
    if hasattr(dynamics, "p_eps"):
        new = integrators.npt(atoms, **common, pressure_bar=2000.0, barostat_fs=100)
    else:
        new = integrators.nvt(atoms, **common)
    integrators.set_state(new, state)
    return new


@pytest.mark.parametrize("stiffness", [0.0, 0.5])
@pytest.mark.parametrize("ensemble", ["npt", "nvt"])
def test_a_run_in_segments_is_the_unbroken_run_to_the_last_bit(ensemble: str, stiffness: float) -> None:
    ends = []
    for segments in (1, 7):
        atoms, rng = gas(5, 8.0, stiffness, seed=3)
        common = {**FS_BAR, "thermostat_fs": 50, "rng": rng}
        more = {"pressure_bar": 2000.0, "barostat_fs": 100} if ensemble == "npt" else {}
        dynamics = getattr(integrators, ensemble)(atoms, **common, **more)
        dynamics.run(60)
        for _ in range(segments):
            dynamics = restarted(dynamics, 8.0) if segments > 1 else dynamics
            dynamics.run(420 // segments)
        atoms = dynamics.atoms
        ends.append((atoms.positions.tobytes(), atoms.get_momenta().tobytes(), atoms.cell.array.tobytes()))
    assert ends[0] == ends[1]


def test_the_isobaric_ensemble_holds_through_many_segments() -> None:
    """V of an ideal gas is a gamma variable: <V> = (N + 1) kT/p, variance (N + 1) (kT/p)^2, in segments of 5 steps."""
    n, pressure_bar = 5, 2000.0
    atoms, rng = gas(n, 8.0, 0.0, seed=4)
    dynamics = integrators.npt(atoms, **FS_BAR, pressure_bar=pressure_bar, thermostat_fs=50, barostat_fs=100, rng=rng)
    mass = dynamics.barostat_mass
    volumes, kinetic = [], []
    for _ in range(1000):
        dynamics = restarted(dynamics, 8.0)
        dynamics.run(5)
        volumes.append(dynamics.atoms.get_volume())
        kinetic.append(dynamics.p_eps**2 / mass)  # of the barostat: kT
    unit = units.kB * 400 / (pressure_bar * BAR)
    series = np.array(volumes[100:])
    for values, expected in (
        (series, (n + 1) * unit),
        ((series - (n + 1) * unit) ** 2, (n + 1) * unit**2),
        (np.array(kinetic[100:]), units.kB * 400),
    ):
        error = block_error(values)
        assert error < 0.3 * expected
        assert abs(values.mean() - expected) < 3 * error


def test_nvt_keeps_the_temperature_of_3n_minus_3_degrees_of_freedom() -> None:
    # Four free atoms without net momentum have 9 degrees of freedom: 12 would be 33 % off.
    atoms, rng = gas(4, 20.0, 0.0, seed=5)
    dynamics = integrators.nvt(atoms, **FS_BAR, thermostat_fs=20, rng=rng)
    temperatures = []
    for _ in range(6000):
        dynamics.run(1)
        temperatures.append(thermo.mean_kinetic_temperature(atoms, 9))
    series = np.array(temperatures)
    assert abs(series.mean() - 400) < 4 * block_error(series)
    assert np.abs(atoms.get_momenta().sum(0)).max() < 1e-9
    # the kinetic energy of the canonical ensemble: var(K)/<K>^2 = 2/f
    assert series.var() / series.mean() ** 2 == pytest.approx(2 / 9, rel=0.15)


def test_same_seed_same_trajectory() -> None:
    ends = []
    for _ in range(2):
        atoms, rng = gas(6, 10.0, 0.5, seed=7)
        dynamics = integrators.npt(atoms, **FS_BAR, pressure_bar=1.0, thermostat_fs=50, barostat_fs=100, rng=rng)
        dynamics.run(50)
        ends.append((atoms.positions.tobytes(), atoms.cell.array.tobytes()))
    assert ends[0] == ends[1]


class Elastic(Springs):
    """Free atoms whose energy is that of the box: B / 2 V0 ln(V / V0)^2, with a bulk modulus B at V0."""

    def __init__(self, modulus: float, volume: float, places: np.ndarray) -> None:
        super().__init__(0.0, places)
        self.modulus, self.volume = modulus, volume

    def calculate(self, atoms=None, properties=None, system_changes=all_changes) -> None:
        super().calculate(atoms, properties, system_changes)
        volume = atoms.get_volume()
        slope = self.modulus * self.volume / volume * np.log(volume / self.volume)  # dE/dV
        self.results["energy"] = self.modulus / 2 * self.volume * np.log(volume / self.volume) ** 2
        self.results["stress"] = np.array([slope] * 3 + [0.0] * 3)


def test_an_elastic_box_has_the_volumes_of_its_isobaric_ensemble() -> None:
    """Where the box itself has an energy, p(V) ~ V^N exp(-(E(V) + pV) / kT): its mean and variance, by quadrature."""
    n, pressure_bar, modulus = 5, 2500.0, 0.007
    atoms, rng = gas(n, 8.0, 0.0, seed=6)
    atoms.calc = Elastic(modulus, 512.0, atoms.positions.copy())
    dynamics = integrators.npt(atoms, **FS_BAR, pressure_bar=pressure_bar, thermostat_fs=50, barostat_fs=100, rng=rng)
    volumes = []
    for _ in range(12000):
        dynamics.run(1)
        volumes.append(atoms.get_volume())
    series = np.array(volumes[500:])
    v = np.linspace(200, 900, 4000)
    energy = modulus / 2 * 512 * np.log(v / 512) ** 2 + pressure_bar * BAR * v
    weight = np.exp(n * np.log(v / 512) - (energy - energy.min()) / (units.kB * 400))
    mean = np.average(v, weights=weight)
    variance = np.average((v - mean) ** 2, weights=weight)
    for values, expected, sharp in ((series, mean, 0.01), ((series - mean) ** 2, variance, 0.1)):
        error = block_error(values)
        assert error < sharp * expected
        assert abs(values.mean() - expected) < 3 * error
    assert abs(mean - 512) > 0.1 * 512  # neither the pressure nor the energy alone decides
    assert abs(mean - (n + 1) * units.kB * 400 / (pressure_bar * BAR)) > 0.1 * mean


def test_barostat_mass_gives_the_period_asked_for() -> None:
    # An elastic box as stiff as ionic liquids are (2 GPa), with no temperature: the volume must oscillate with the period.
    atoms = Atoms("Ar2", positions=[[0, 0, 0], [5, 5, 5]], cell=[10.1] * 3, pbc=True)
    atoms.calc = Elastic(2.0 * units.GPa, 1000.0, atoms.positions.copy())
    dynamics = integrators.npt(
        atoms,
        timestep_fs=2.0,
        temperature_K=1e-6,
        pressure_bar=0.0,
        thermostat_fs=50,
        barostat_fs=2000.0,
        rng=np.random.default_rng(0),
    )
    dynamics.barostat_gamma = 0.0
    volumes = []
    for _ in range(2000):
        dynamics.run(1)
        volumes.append(atoms.get_volume() - 1000)
    crossings = np.flatnonzero(np.diff(np.sign(volumes)))
    assert 2 * np.diff(crossings).mean() * 2.0 == pytest.approx(2000, rel=0.05)


def test_a_calculator_that_fails_ends_the_run_with_its_message() -> None:
    atoms, rng = gas(4, 20.0, 0.0, seed=1)
    dynamics = integrators.nvt(atoms, **FS_BAR, thermostat_fs=20, rng=rng)
    watch = Watch(atoms, np.zeros((0, 2), int), np.arange(4), 400.0)
    atoms.calc.places = np.zeros((7, 3))  # shapes no longer agree
    sampled: list[int] = []
    steps = list(strides(dynamics, 20, 5, sampled.append, watch))
    assert [step for step, _ in steps] == [5]
    assert steps[0][1].end == "error"
    assert "ValueError" in steps[0][1].detail
    assert sampled == []


def test_samples_are_evenly_spaced_however_long_a_run_is() -> None:
    atoms, rng = gas(4, 20.0, 0.0, seed=1)
    dynamics = integrators.nvt(atoms, **FS_BAR, thermostat_fs=20, rng=rng)
    watch = Watch(atoms, np.zeros((0, 2), int), np.arange(4), 1e9)
    sampled: list[int] = []
    steps = list(strides(dynamics, 17, 5, sampled.append, watch))
    assert [step for step, _ in steps] == [5, 10, 15, 17] and not any(end for _, end in steps)
    assert sampled == [5, 10, 15]
