"""Molecular dynamics that is the same for every model: NPT, then NVT at the mean density, watched.

NPT is BAOAB Langevin with a Langevin-Hoover barostat (Leimkuhler and Matthews, J. Chem. Phys. 138,
174102, 2013; Quigley and Probert, J. Chem. Phys. 120, 11432, 2004), NVT is velocity Verlet with stochastic
velocity rescaling (Bussi, Donadio and Parrinello, J. Chem. Phys. 126, 014101, 2007), which hardly
disturbs diffusion. Both are ASE's.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import polars as pl
from ase import Atoms, units
from ase.data import covalent_radii
from ase.md.bussi import Bussi
from ase.md.langevinbaoab import LangevinBAOAB
from ase.md.velocitydistribution import Stationary, thermalize_momenta
from scipy.spatial import cKDTree

from ionmelt.errors import is_resource

BAR = 1e5 * units.Pascal
DENSITY_KG_M3 = 1.66053906660e3  # u/A^3 in kg/m3 (CODATA 2018)
# The barostat's mass is chosen for this bulk modulus, typical of ionic liquids (1.5 to 3 GPa); it sets
# the period of the volume's oscillation and nothing that is measured.
BULK_MODULUS = 2.0 * units.GPa
# The components of the pressure tensor, with their place in ASE's stress (Voigt).
PRESSURE = {f"pressure_{name}_bar": place for place, name in enumerate(("xx", "yy", "zz", "yz", "xz", "xy"))}
# The columns of thermo.parquet, of the equilibration and of every run. The pressure is null where no stress was
# computed, its components also where only the isotropic stress was.
THERMO = {
    "phase": pl.String, "step": pl.Int64, "time_ps": pl.Float64, "potential_energy_ev": pl.Float64,
    "kinetic_energy_ev": pl.Float64, "temperature_K": pl.Float64, "pressure_bar": pl.Float64,
    "volume_A3": pl.Float64, "density_kg_m3": pl.Float64,
} | dict.fromkeys(PRESSURE, pl.Float64)  # fmt: skip

# What counts as a broken run. A bond is broken when it is longer than this multiple of the sum of the
# covalent radii, and made when atoms of two
# different molecular ions come closer than the other multiple.
BOND_BROKEN = 1.6
BOND_MADE = 1.15
MIN_DISTANCE_A = 0.5
TEMPERATURE_FACTOR = 2.0
VOLUME_FACTOR = 2.0


def mean_kinetic_temperature(atoms: Atoms, degrees_of_freedom: int) -> float:
    """Return the kinetic temperature in K for a number of degrees of freedom."""
    return 2 * atoms.get_kinetic_energy() / (degrees_of_freedom * units.kB)


def draw_velocities(atoms: Atoms, temperature_K: float, rng: np.random.Generator) -> None:
    """Draw Maxwell-Boltzmann momenta with no net momentum, in place."""
    thermalize_momenta(atoms, temperature_K, rng=rng)
    Stationary(atoms, preserve_temperature=False)


def barostat_mass(volume_A3: float, period_fs: float) -> float:
    """Return the mass (ASE units) for which the volume oscillates with a period in fs at `BULK_MODULUS`.

    The strain of the cell edge feels the force constant 9 V B, so W = 9 V B (period / 2 pi)^2.
    """
    return 9 * volume_A3 * BULK_MODULUS * (period_fs * units.fs / (2 * np.pi)) ** 2


def npt(
    atoms: Atoms,
    *,
    timestep_fs: float,
    temperature_K: float,
    pressure_bar: float,
    thermostat_fs: float,
    barostat_fs: float,
    rng: np.random.Generator,
) -> LangevinBAOAB:
    """Return isotropic constant-pressure dynamics; momenta must have been drawn."""
    return LangevinBAOAB(
        atoms,
        timestep_fs * units.fs,
        temperature_K=temperature_K,
        externalstress=-pressure_bar * BAR,
        hydrostatic=True,
        T_tau=thermostat_fs * units.fs,
        P_tau=barostat_fs * units.fs,
        P_mass=barostat_mass(atoms.get_volume(), barostat_fs),
        rng=rng,
    )


def nvt(
    atoms: Atoms, *, timestep_fs: float, temperature_K: float, thermostat_fs: float, rng: np.random.Generator
) -> Bussi:
    """Return constant-volume dynamics; momenta must have been drawn and sum to zero.

    The centre of mass stays at rest, so the thermostat acts on 3N - 3 degrees of freedom.
    """
    dynamics = Bussi(atoms, timestep_fs * units.fs, temperature_K, thermostat_fs * units.fs, rng=rng)
    dynamics.ndof = 3 * len(atoms) - 3
    dynamics.target_kinetic_energy = 0.5 * dynamics.temp * dynamics.ndof
    return dynamics


# What the integrators keep between steps besides positions, momenta and cell. Forces are computed again.
KEPT = ("p_eps", "gamma_mod", "force_eps", "barostat_mass", "transferred_energy")


class Dynamics(Protocol):
    """What advances atoms: ASE's dynamics, or others, which `save` and `load` a state of their own."""

    atoms: Atoms

    def run(self, steps: int) -> Any:
        """Advance by a number of steps."""


def get_state(dynamics: Any) -> dict[str, np.ndarray]:
    """Return everything that the next step depends on, as arrays that `set_state` takes."""
    atoms = dynamics.atoms
    state = {
        "positions": atoms.positions.copy(),
        "momenta": atoms.get_momenta(),
        "cell": atoms.cell.array.copy(),
    }
    if hasattr(dynamics, "save"):
        return state | dynamics.save()
    state["rng"] = np.array(json.dumps(dynamics.rng.bit_generator.state))
    return state | {name: np.array(getattr(dynamics, name)) for name in KEPT if hasattr(dynamics, name)}


def set_atoms(atoms: Atoms, state: Mapping[str, np.ndarray]) -> None:
    """Give atoms the positions, momenta and cell of a state, and forget what was computed of them."""
    atoms.set_cell(state["cell"], scale_atoms=False)
    atoms.positions[:] = state["positions"]
    atoms.set_momenta(state["momenta"])
    if atoms.calc is not None:
        atoms.calc.reset()  # neighbours too are found again, so that a run and its second half start alike


def set_state(dynamics: Any, state: Mapping[str, np.ndarray]) -> None:
    """Give new dynamics, made from atoms after `set_atoms`, the rest of a state."""
    if hasattr(dynamics, "load"):
        dynamics.load(state)
        return
    dynamics.rng.bit_generator.state = json.loads(str(state["rng"]))
    for name in KEPT:
        if name in state:
            setattr(dynamics, name, state[name].item())
    if "barostat_mass" in state:
        # The size of the barostat's noise goes with its mass, which is not that of new dynamics made at another volume.
        dynamics.set_temperature(dynamics.temperature_K)


@dataclass(frozen=True)
class Ended:
    """Why a run stopped before its end: a code of the `survival` table and what was seen."""

    end: str
    detail: str


# What a calculator raises when a structure is too much for it.
MODEL_ERRORS = (RuntimeError, ValueError, ArithmeticError)


def failed(error: Exception) -> Ended:
    """Return the end of a run whose calculator failed; a lack of memory or disk is raised: it says nothing of the run."""
    if is_resource(error):
        raise error
    text = str(error).strip() or type(error).__name__
    return Ended("error", f"{type(error).__name__}: {text.splitlines()[-1][:200]}")


class Watch:
    """Compare a running simulation with the liquid that it started from.

    Parameters: the starting frame with its cell; ``bonds`` (B, 2) and ``molecule`` (N,) of its topology.
    """

    def __init__(self, atoms: Atoms, bonds: np.ndarray, molecule: np.ndarray, temperature_K: float) -> None:
        self.bonds = bonds
        self.limit_K = TEMPERATURE_FACTOR * temperature_K
        self.volume_A3 = atoms.get_volume()
        self.symbols = np.array(atoms.get_chemical_symbols())
        radii = covalent_radii[atoms.numbers]
        self.bond_limit = BOND_BROKEN * (radii[bonds[:, 0]] + radii[bonds[:, 1]])
        # Contacts of single-atom ions such as Li-O are as short as bonds, but are no bonds.
        self.bonded = np.isin(np.arange(len(atoms)), bonds)
        self.molecule = molecule
        self.contact = BOND_MADE * radii
        bonded_radii = radii[self.bonded]
        self.reach = max(MIN_DISTANCE_A, 2 * BOND_MADE * bonded_radii.max() if len(bonded_radii) else 0)

    def check(self, atoms: Atoms) -> Ended | None:
        """Return why the run must stop now, or None. Reads positions, cell and momenta only."""
        if not (np.isfinite(atoms.positions).all() and np.isfinite(atoms.get_momenta()).all()):
            return Ended("nan", "positions or momenta are not finite")
        temperature = mean_kinetic_temperature(atoms, 3 * len(atoms) - 3)
        if temperature > self.limit_K:
            return Ended("temperature", f"{temperature:.0f} K, the limit is {self.limit_K:.0f} K")
        ratio = atoms.get_volume() / self.volume_A3
        if not 1 / VOLUME_FACTOR < ratio < VOLUME_FACTOR:
            return Ended("volume", f"{ratio:.2f} of the starting volume")
        edges = atoms.cell.lengths()
        pairs, distance = self._close_pairs(atoms.positions, edges)
        if len(pairs) and distance.min() < MIN_DISTANCE_A:
            closest = int(np.argmin(distance))
            return Ended("min_distance", f"{self._name(*pairs[closest])} at {distance[closest]:.2f} A")
        lengths = self._lengths(atoms.positions, self.bonds, edges)
        broken = np.flatnonzero(lengths > self.bond_limit)
        if len(broken):
            worst = broken[np.argmax(lengths[broken] / self.bond_limit[broken])]
            return Ended("bond_broken", f"{self._name(*self.bonds[worst])} at {lengths[worst]:.2f} A")
        i, j = pairs.T
        between = (self.molecule[i] != self.molecule[j]) & self.bonded[i] & self.bonded[j]
        made = np.flatnonzero(between & (distance < self.contact[i] + self.contact[j]))
        if len(made):
            i, j = pairs[made[0]]
            return Ended("bond_made", f"{self._name(i, j)} of two ions at {distance[made[0]]:.2f} A")
        return None

    def _name(self, i: int | np.integer, j: int | np.integer) -> str:
        return f"{self.symbols[i]}{i}-{self.symbols[j]}{j}"

    def _close_pairs(self, positions: np.ndarray, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return pairs (P, 2) of atoms nearer than any limit, sorted, and their distances in A.

        The box is orthorhombic; one so small that the reach passes half of an edge is searched pair by pair.
        """
        if self.reach < edges.min() / 2:
            wrapped = positions % edges
            wrapped = np.where(wrapped < edges, wrapped, 0)  # a rounding of the remainder may give the edge itself
            pairs = cKDTree(wrapped, boxsize=edges).query_pairs(self.reach, output_type="ndarray")
            pairs = pairs[np.lexsort(pairs.T[::-1])]
        else:
            pairs = np.argwhere(np.triu(np.ones((len(positions), len(positions)), bool), 1))
        return pairs, self._lengths(positions, pairs, edges)

    @staticmethod
    def _lengths(positions: np.ndarray, pairs: np.ndarray, edges: np.ndarray) -> np.ndarray:
        """Return minimum-image distances (P,) in A of pairs of atoms in an orthorhombic box."""
        delta = positions[pairs[:, 0]] - positions[pairs[:, 1]]
        delta -= edges * np.round(delta / edges)
        return np.sqrt((delta**2).sum(-1))


def strides(
    dynamics: Dynamics, steps: int, every: int, sample: Callable[[int], None], watch: Watch
) -> Iterator[tuple[int, Ended | None]]:
    """Advance in strides, sampling after each; yield the step reached and why the run ended, if it did.

    A calculator that fails ends the run with its message, as any other end: a model that cannot go on is
    a result of this pipeline, not an accident of it.
    """
    atoms = dynamics.atoms
    done = 0
    while done < steps:
        stride = min(every, steps - done)
        try:
            with np.errstate(all="ignore"):
                dynamics.run(stride)
            ended = watch.check(atoms)
        except MODEL_ERRORS as error:
            ended = failed(error)
        done += stride
        if ended is None:
            sample(done)
        yield done, ended
        if ended is not None:
            return
