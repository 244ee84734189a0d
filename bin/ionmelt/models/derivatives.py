"""How far forces and stress are from the derivatives of the energy, by central differences.

Models in single precision are right too: the rounding of an energy spoils the difference of a small step, the curvature of the energy
that of a large one. So each is looked at with steps of several sizes, and the one that agrees best counts.
"""

from collections.abc import Callable, Sequence

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator

STEPS_A = (
    0.0015,
    0.005,
    0.03,
    0.1,
)  # of all atoms together, along a unit vector; the energy of DIEP is rough over hundredths of an A
STRAINS = (0.002, 0.007, 0.02)
RANDOM = 2  # directions of the forces, beside that of the forces themselves
SHEARS = ((1, 2), (0, 2), (0, 1))
LEAST_SHEAR = (
    0.02  # a shear stress is compared with itself, or with this share of the largest stress where that is more
)
ROUNDING = float(np.finfo(np.float32).eps) / 2  # of an energy in single precision, as a share of it
LEAST = 1e-6  # eV/A or eV/A^3: what is less is nothing


def energy_of(calculator: Calculator, atoms: Atoms) -> float:
    """Return the energy (eV) of atoms."""
    atoms.calc = calculator
    return float(atoms.get_potential_energy())


def displaced(atoms: Atoms, by_A: np.ndarray) -> Atoms:
    """Return a copy of the atoms, moved by (N, 3) (A)."""
    copy = atoms.copy()
    copy.positions += by_A
    return copy


def unit_strain(i: int, j: int) -> np.ndarray:
    """Return the strain (3, 3) that stretches along axis i, or shears in the plane of i and j: the energy changes by V stress[i, j] times it."""
    strain = np.zeros((3, 3))
    strain[i, j] += 0.5
    strain[j, i] += 0.5
    return strain


def strained(atoms: Atoms, strain: np.ndarray) -> Atoms:
    """Return a copy of the atoms, with their cell, under a strain (3, 3)."""
    copy = atoms.copy()
    copy.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
    return copy


def off(value: float, energy: Callable[[float], float], steps: Sequence[float], least: float) -> float:
    """Return how far a value is from the derivative of an energy, as a share of the largest of value, derivative and `least`.

    What the rounding of the energy to single precision may do to the difference of the largest step is no part of it.
    """
    differences = []
    for step in steps:
        ahead, behind = energy(step), energy(-step)
        differences.append((ahead - behind) / (2 * step))
    derivative = min(differences, key=lambda difference: abs(value - difference))
    beyond = abs(value - derivative) - ROUNDING * abs(ahead) / max(steps)
    return max(beyond, 0.0) / max(abs(value), abs(derivative), least)


def force_off(calculator: Calculator, atoms: Atoms, forces: np.ndarray) -> float:
    """Return how far forces (N, 3) (eV/A) are from the derivatives: the most of three directions.

    They are that of the forces, where single precision matters least, and two at random, compared with the mean size of a force.
    """
    size = max(float(np.linalg.norm(forces)), LEAST)
    rng = np.random.default_rng(2)

    def along(direction: np.ndarray) -> float:
        unit = direction / max(float(np.linalg.norm(direction)), LEAST)
        value = float(np.sum(forces * unit))
        return off(
            value,
            lambda step: energy_of(calculator, displaced(atoms, -step * unit)),
            STEPS_A,
            size / np.sqrt(forces.size),
        )

    return max(map(along, [forces, *rng.normal(size=(RANDOM, *forces.shape))]))


def stress_off(calculator: Calculator, atoms: Atoms, stress: np.ndarray) -> float:
    """Return how far the stress (3, 3) (eV/A^3) is from the derivatives: the most of xx, yy and zz, and of the largest shear."""
    largest, volume = max(float(np.abs(stress).max()), LEAST), atoms.get_volume()

    def of(i: int, j: int) -> float:
        least = largest if i == j else LEAST_SHEAR * largest
        return off(
            float(stress[i, j]),
            lambda strain: energy_of(calculator, strained(atoms, strain * unit_strain(i, j))) / volume,
            STRAINS,
            least,
        )

    shear = max(SHEARS, key=lambda pair: abs(stress[pair]))
    return max(of(0, 0), of(1, 1), of(2, 2), of(*shear))
