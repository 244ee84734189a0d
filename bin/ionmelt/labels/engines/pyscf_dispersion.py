"""Dispersion corrections D3 and D4, by the libraries of their authors."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import dftd3.interface
import dftd4.interface
import numpy as np
from ase import Atoms
from ase.units import Bohr, Hartree

# D3's pairs: CP2K's R_CUTOFF of 16 A reaches twice as far. Coordination numbers, and all of D4, at the libraries' radii.
DISPERSION_CUTOFF_A = 32.0
COORDINATION_CUTOFF_BOHR = 40.0


@dataclass(frozen=True)
class Dispersion:
    """Energy (eV), forces (N, 3) (eV/A) and stress (3, 3) (eV/A^3)."""

    energy_ev: float
    forces_ev_a: np.ndarray
    stress_ev_a3: np.ndarray

    @classmethod
    def of(cls, result: Mapping[str, np.ndarray], atoms: Atoms) -> "Dispersion":
        """Return what a library says in atomic units."""
        virial = (result["virial"] + result["virial"].T) / 2 * Hartree
        forces = -result["gradient"] * (Hartree / Bohr)
        return cls(float(result["energy"]) * Hartree, forces, virial / atoms.get_volume())


def none(atoms: Atoms, _functional: str) -> Dispersion:
    """Return no dispersion."""
    return Dispersion(0.0, np.zeros((len(atoms), 3)), np.zeros((3, 3)))


def d3(atoms: Atoms, functional: str, damping: type) -> Dispersion:
    """Return the two-body D3 of a functional."""
    model = dftd3.interface.DispersionModel(
        atoms.numbers, atoms.positions / Bohr, lattice=atoms.cell.array / Bohr, periodic=atoms.pbc
    )
    pairs = DISPERSION_CUTOFF_A / Bohr
    model.set_realspace_cutoff(disp2=pairs, disp3=pairs, cn=COORDINATION_CUTOFF_BOHR)
    return Dispersion.of(model.get_dispersion(damping(method=functional.lower(), atm=False), grad=True), atoms)


def d4(atoms: Atoms, functional: str) -> Dispersion:
    """Return D4 with its three-body term."""
    model = dftd4.interface.DispersionModel(
        atoms.numbers, atoms.positions / Bohr, lattice=atoms.cell.array / Bohr, periodic=atoms.pbc
    )
    return Dispersion.of(
        model.get_dispersion(dftd4.interface.DampingParam(method=functional.lower()), grad=True), atoms
    )


DISPERSIONS: dict[str, Callable[[Atoms, str], Dispersion]] = {
    "none": none,
    "D3": lambda atoms, functional: d3(atoms, functional, dftd3.interface.ZeroDampingParam),
    "D3(BJ)": lambda atoms, functional: d3(atoms, functional, dftd3.interface.RationalDampingParam),
    "D4": d4,
}
