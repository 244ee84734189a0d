"""Forces by the motion of the ions that they drive, and the pressure that acts between ions."""

from dataclasses import dataclass

import numpy as np
from ase import units

# Below this a moment of inertia is rounding (a hydrogen molecule has 0.3 u A^2).
NO_INERTIA_U_A2 = 1e-6
MOTIONS = ("translation", "rotation", "vibration")


@dataclass
class Computed:
    """Energy (eV), forces (N, 3) (eV/A) and stress (3, 3) (eV/A^3, ASE sign) of a frame, whoever computed them.

    Labels from elsewhere may have no stress (None).
    """

    energy: float
    forces: np.ndarray
    stress: np.ndarray | None


def sum_by(values: np.ndarray, molecule: np.ndarray) -> np.ndarray:
    """Return the sums (M, ...) over the atoms of each molecule, of values (N, ...)."""
    total = np.zeros((int(molecule.max()) + 1, *values.shape[1:]))
    np.add.at(total, molecule, values)
    return total


def arms(positions: np.ndarray, masses: np.ndarray, molecule: np.ndarray) -> np.ndarray:
    """Return each atom's position (N, 3) from the centre of mass of its molecule; molecules must be whole."""
    centres = sum_by(positions * masses[:, None], molecule) / sum_by(masses, molecule)[:, None]
    return positions - centres[molecule]


def by_motion(
    forces: np.ndarray, positions: np.ndarray, masses: np.ndarray, molecule: np.ndarray
) -> dict[str, np.ndarray]:
    """Divide forces (N, 3) into parts that translate, rotate and deform each rigid molecule; the parts add up.

    The net force F of a molecule acts on atom i as m_i F / M, its torque t about the centre of mass as
    m_i (I^-1 t) x (r_i - R) with the inertia tensor I; the rest is vibration (as in Magdau et al., npj Comput.
    Mater. 9, 146, 2023). Single atoms only translate; linear molecules do not turn about their axis.

    Parameters
    ----------
    forces, positions : (N, 3) eV/A and A, molecules whole.
    masses : (N,) u.
    molecule : (N,) int.
    """
    share = masses / sum_by(masses, molecule)[molecule]
    translation = share[:, None] * sum_by(forces, molecule)[molecule]
    arm = arms(positions, masses, molecule)
    square = np.einsum("ij,ij->i", arm, arm)[:, None, None] * np.eye(3) - arm[:, :, None] * arm[:, None, :]
    inertia = sum_by(masses[:, None, None] * square, molecule)
    torque = sum_by(np.cross(arm, forces), molecule)
    # Single atoms and linear molecules have axes without inertia: nothing turns about them.
    moments, axes = np.linalg.eigh(inertia)
    inverse = np.divide(1.0, moments, out=np.zeros_like(moments), where=moments > NO_INERTIA_U_A2)
    turn = np.einsum("mik,mk,mjk,mj->mi", axes, inverse, axes, torque)
    rotation = masses[:, None] * np.cross(turn[molecule], arm)
    return {"translation": translation, "rotation": rotation, "vibration": forces - translation - rotation}


def molecular_pressure(
    label: Computed, positions: np.ndarray, masses: np.ndarray, molecule: np.ndarray, volume: float
) -> float | None:
    """Return the potential part of the pressure (bar) that acts between molecules; None for a label without stress.

    P = (W - sum_i (r_i - R) . f_i) / 3V, where W = -V tr(stress) is the atomic virial and R the centre of
    mass of the atom's molecule. It is -dE/dV where molecules move with the volume but keep their shape.
    """
    if label.stress is None:
        return None
    inner = float(np.sum(arms(positions, masses, molecule) * label.forces))
    return (-volume * float(np.trace(label.stress)) - inner) / (3 * volume) / units.bar
