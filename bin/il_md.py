#!/usr/bin/env python3
"""Molecular dynamics that is the same for every model: NPT, then NVT at the mean density, watched.

NPT is BAOAB Langevin with a Langevin-Hoover barostat (Leimkuhler and Matthews, J. Chem. Phys. 138,
174102, 2013; Quigley and Probert, J. Chem. Phys. 120, 11432, 2004), NVT is velocity Verlet with stochastic
velocity rescaling (Bussi, Donadio and Parrinello, J. Chem. Phys. 126, 014101, 2007), which hardly
disturbs diffusion. Both are ASE's.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from ase import Atoms, units
from ase.data import covalent_radii
from ase.md.bussi import Bussi
from ase.md.langevinbaoab import LangevinBAOAB
from ase.md.md import MolecularDynamics
from ase.md.velocitydistribution import Stationary, thermalize_momenta

BAR = 1e5 * units.Pascal
DENSITY_KG_M3 = 1.66053906660e3  # u/A^3 in kg/m3 (CODATA 2018)
# The barostat's mass is chosen for this bulk modulus, typical of ionic liquids (1.5 to 3 GPa); it sets
# the period of the volume's oscillation and nothing that is measured.
BULK_MODULUS = 2.0 * units.GPa
# The columns of thermo.parquet, of the equilibration and of every run.
THERMO = {
    "phase": pl.String, "step": pl.Int64, "time_ps": pl.Float64, "potential_energy_ev": pl.Float64,
    "kinetic_energy_ev": pl.Float64, "temperature_K": pl.Float64, "pressure_bar": pl.Float64,
    "volume_A3": pl.Float64, "density_kg_m3": pl.Float64,
}  # fmt: skip

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
) -> MolecularDynamics:
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
) -> MolecularDynamics:
    """Return constant-volume dynamics; momenta must have been drawn and sum to zero.

    The centre of mass stays at rest, so the thermostat acts on 3N - 3 degrees of freedom.
    """
    dynamics = Bussi(atoms, timestep_fs * units.fs, temperature_K, thermostat_fs * units.fs, rng=rng)
    dynamics.ndof = 3 * len(atoms) - 3
    dynamics.target_kinetic_energy = 0.5 * dynamics.temp * dynamics.ndof
    return dynamics


@dataclass(frozen=True)
class Ended:
    """Why a run stopped before its end: a code of the `survival` table and what was seen."""

    end: str
    detail: str


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
        bonded = np.isin(np.arange(len(atoms)), bonds)
        self.pairs = np.triu((molecule[:, None] != molecule) & bonded[:, None] & bonded)
        self.contact_limit = BOND_MADE * (radii[:, None] + radii[None, :])

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
        distance = self._distance(atoms.positions, edges)
        i, j = np.unravel_index(np.argmin(distance + np.eye(len(atoms)) * 1e3), distance.shape)
        if distance[i, j] < MIN_DISTANCE_A:
            return Ended("min_distance", f"{self._name(i, j)} at {distance[i, j]:.2f} A")
        lengths = distance[self.bonds[:, 0], self.bonds[:, 1]]
        broken = np.flatnonzero(lengths > self.bond_limit)
        if len(broken):
            worst = broken[np.argmax(lengths[broken] / self.bond_limit[broken])]
            return Ended("bond_broken", f"{self._name(*self.bonds[worst])} at {lengths[worst]:.2f} A")
        made = np.argwhere(self.pairs & (distance < self.contact_limit))
        if len(made):
            i, j = made[0]
            return Ended("bond_made", f"{self._name(i, j)} of two ions at {distance[i, j]:.2f} A")
        return None

    def _name(self, i: int | np.integer, j: int | np.integer) -> str:
        return f"{self.symbols[i]}{i}-{self.symbols[j]}{j}"

    @staticmethod
    def _distance(positions: np.ndarray, edges: np.ndarray) -> np.ndarray:
        """Return minimum-image distances (N, N) in A in an orthorhombic box."""
        delta = positions[:, None, :] - positions[None, :, :]
        delta -= edges * np.round(delta / edges)
        return np.sqrt((delta**2).sum(-1))


def segments(
    dynamics: MolecularDynamics, steps: int, every: int, sample: Callable[[int], None], watch: Watch
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
        except (RuntimeError, ValueError, ArithmeticError) as error:
            text = str(error).strip() or type(error).__name__
            ended = Ended("error", f"{type(error).__name__}: {text.splitlines()[-1][:200]}")
        done += stride
        if ended is None:
            sample(done)
        yield done, ended
        if ended is not None:
            return
