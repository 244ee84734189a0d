"""The frame: one structure of a liquid, with or without its label.

What makes a frame is in `atoms.info` (`IDENTITY_KEYS`) and in the arrays ``molecule`` and ``ion``; a label
adds ``REF_energy`` (eV), ``REF_forces`` (eV/A), ``REF_stress`` (eV/A^3, ASE sign: tension is positive),
``theory_id``, ``converged`` and, where the engine counts them, ``scf_steps``. The names begin with ``REF_``
because ASE moves plain ``energy``, ``forces`` and ``stress`` into a calculator when it reads a file.

A frame with ``charge`` (in e) is an ion alone: its energy is that of the ion in empty space, since a periodic cell with a
charge has an energy only against a background of the opposite charge, which no model has. Its cell is so large that no
model sees an image of the ion.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.data import covalent_radii
from ase.units import kg, m

from ionmelt.charge import say_charge

KINDS = ("eq", "neq", "active")
IDENTITY_KEYS = ("frame_id", "liquid", "kind", "recipe", "group")
ENERGY_KEY = "REF_energy"
FORCES_KEY = "REF_forces"
STRESS_KEY = "REF_stress"
LABEL_KEYS = ("theory_id", "converged", "scf_steps", ENERGY_KEY, STRESS_KEY)
CHARGE_KEY = "charge"
# Frames of the volume scan with frozen ions, which are to test alone, and how much their box is scaled
SCAN_RECIPE, SCAN_KEY = "test_scan", "scan_scale"

POSITION_DECIMALS = 6
FORCE_DECIMALS = 8  # what ASE's extended XYZ writer prints

# Above this a label is not of a liquid: 50 eV/A is some ten times the force of a thermal bond stretch.
MAX_FORCE_EV_A = 50.0
# Forces sum to zero; a grid that is too coarse breaks that, at random over the atoms. This much on each atom is
# the error of a good model, and more would be learnt as noise.
NET_FORCE_EV_A = 0.05  # times the square root of the number of atoms
STRESS_ASYMMETRY_EV_A3 = 1e-4


@dataclass
class Label:
    """What an engine says of one frame: eV, eV/A (N, 3), eV/A^3 (3, 3) in ASE's sign (tension is positive).

    Where `reason` (a code such as ``scf_not_converged``) is given there is no label; numbers may be None.
    `guess` is what the attempt that gave the label started from: ``chained`` (the frame before), ``cold``, or
    ``retry`` (cold, after an attempt that failed).
    """

    energy_ev: float | None
    forces_ev_a: np.ndarray | None
    stress_ev_a3: np.ndarray | None
    converged: bool
    scf_steps: int | None = None
    reason: str | None = None
    guess: str | None = None


def no_label(reason: str, scf_steps: int | None = None) -> Label:
    """Return what stands for a label that there is not."""
    return Label(None, None, None, False, scf_steps=scf_steps, reason=reason)


def rounded(values: np.ndarray, decimals: int) -> np.ndarray:
    """Return `values` rounded to `decimals`, without negative zeros (they print differently)."""
    return np.round(np.asarray(values, dtype=float), decimals) + 0.0


def frame_id(atoms: Atoms) -> str:
    """Return the identifier of a structure: 16 hex digits of a hash of species, positions and cell.

    Positions and cell count to 1e-6 A; the order of the atoms counts, and nothing else does.
    """
    digest = hashlib.sha256()
    grid = 10**POSITION_DECIMALS
    for values in (atoms.numbers, np.rint(atoms.positions * grid), np.rint(atoms.cell.array * grid)):
        digest.update(np.ascontiguousarray(values).astype("<i8").tobytes())
    return digest.hexdigest()[:16]


def evenly(frames: Sequence[Atoms], most: int) -> list[Atoms]:
    """Return at most so many frames, evenly over all."""
    return [frames[int(i)] for i in np.unique(np.linspace(0, len(frames) - 1, min(most, len(frames))).astype(int))]


def density_kg_m3(atoms: Atoms) -> float:
    """Return the mass density (kg/m3) of a frame."""
    return float(atoms.get_masses().sum() / kg / (atoms.get_volume() / m**3))


def shown(frame: Atoms) -> Atoms:
    """Return a frame as a calculator is given it: without label, with what models read of charge and spin (ionmelt/charge.py).

    An ion alone has no images, and its charge as an initial charge too, where engines read it.
    The names of liquid and ions stay, since force fields look up the parameters of an atom by them.
    """
    atoms = Atoms(frame.numbers, frame.positions, cell=frame.cell, pbc=True)
    if "liquid" in frame.info:
        atoms.info["liquid"] = frame.info["liquid"]
    for name in ("molecule", "ion"):
        if name in frame.arrays:
            atoms.arrays[name] = frame.arrays[name].copy()
    say_charge(atoms, round(frame.info.get(CHARGE_KEY, 0)))
    if CHARGE_KEY in frame.info:
        atoms.pbc = False
        atoms.set_initial_charges([float(frame.info[CHARGE_KEY]), *[0.0] * (len(atoms) - 1)])
    return atoms


def virial_stress(atoms: Atoms, forces: np.ndarray) -> np.ndarray:
    """Return the stress (3, 3) in eV/A^3 of atoms without images from their forces (N, 3) in eV/A.

    A strain moves each atom by itself, so that dE/d(strain) is -sum_i F_i r_i; the energy does not change when all turn
    together, which makes it symmetric.
    """
    moment = -np.einsum("ia,ib->ab", forces, atoms.positions - atoms.positions.mean(axis=0))
    return (moment + moment.T) / (2 * atoms.get_volume())


def overlaps(atoms: Atoms, fraction: float = 0.5) -> bool:
    """Tell whether two atoms (or images) are closer than `fraction` of the sum of their covalent radii."""
    from ase.neighborlist import neighbor_list

    return len(neighbor_list("i", atoms, fraction * covalent_radii[atoms.numbers])) > 0


def right_handed(cell: np.ndarray) -> np.ndarray:
    """Return the vectors (3, 3) of a cell, two of them swapped where they are left-handed: DeePMD-kit sees no images in such a cell."""
    return cell if np.linalg.det(cell) >= 0 else cell[[0, 2, 1]]


def make_frame(
    numbers: np.ndarray,
    positions: np.ndarray,
    cell: np.ndarray,
    molecule: np.ndarray,
    ion: Sequence[str] | np.ndarray,
    **info: str | float | int,
) -> Atoms:
    """Return a periodic frame with rounded coordinates and its ``frame_id``.

    Parameters
    ----------
    numbers, positions : (N,) atomic numbers, (N, 3) positions in A with every ion whole.
    cell : (3,) edges or (3, 3) matrix in A.
    molecule, ion : (N,) index of each atom's ion, and name of its kind.
    **info : liquid, kind, recipe, group, and what else the recipe wants to be known.
    """
    cell = np.asarray(cell)
    frame = Atoms(
        numbers=numbers,
        positions=rounded(positions, POSITION_DECIMALS),
        cell=rounded(np.diag(cell) if cell.ndim == 1 else right_handed(cell), POSITION_DECIMALS),
        pbc=True,
    )
    frame.arrays["molecule"] = np.asarray(molecule, dtype=np.int64)
    frame.arrays["ion"] = np.asarray(ion, dtype=str)
    frame.info = {"frame_id": frame_id(frame), **info}
    return frame


def set_label(
    atoms: Atoms,
    energy: float,
    forces: np.ndarray,
    stress: np.ndarray | None,
    theory_id: str,
    converged: bool,
    scf_steps: int | None,
) -> None:
    """Write a label into a frame: energy (eV), forces (N, 3) (eV/A), stress (3, 3) (eV/A^3, ASE sign).

    `scf_steps` None (an engine that does not count them) leaves the key out, and so does `stress` None.
    """
    atoms.info["theory_id"] = theory_id
    atoms.info["converged"] = bool(converged)
    atoms.info.pop("scf_steps", None)
    if scf_steps is not None:
        atoms.info["scf_steps"] = int(scf_steps)
    atoms.info[ENERGY_KEY] = float(energy)
    atoms.info.pop(STRESS_KEY, None)
    if stress is not None:
        atoms.info[STRESS_KEY] = np.asarray(stress, dtype=float).reshape(3, 3).copy()
    atoms.arrays[FORCES_KEY] = rounded(forces, FORCE_DECIMALS)


def label_problem(atoms: Atoms) -> str | None:
    """Return why the label of a frame cannot be used, as a reason code, or None.

    Codes: ``missing``, ``scf_not_converged``, ``shape``, ``non_finite``, ``force_too_large``, ``net_force``,
    ``stress_asymmetric``.
    """
    if ENERGY_KEY not in atoms.info or FORCES_KEY not in atoms.arrays:
        return "missing"
    if not atoms.info.get("converged", False):
        return "scf_not_converged"
    energy, stress = np.asarray(atoms.info[ENERGY_KEY]), atoms.info.get(STRESS_KEY)
    return values_problem(energy, atoms.arrays[FORCES_KEY], stress, len(atoms))


def values_problem(
    energy: float | np.ndarray, forces: np.ndarray, stress: np.ndarray | None, n_atoms: int
) -> str | None:
    """Return what is wrong with energy, forces and stress (codes as in `label_problem`), or None; a label need have no stress."""
    energy, forces = np.asarray(energy), np.asarray(forces)
    stress = np.zeros((3, 3)) if stress is None else np.asarray(stress)
    if energy.shape != () or forces.shape != (n_atoms, 3) or stress.shape != (3, 3):
        return "shape"
    if any(values.dtype.kind not in "fi" for values in (energy, forces, stress)):
        return "non_finite"
    if not (np.isfinite(energy) and np.isfinite(forces).all() and np.isfinite(stress).all()):
        return "non_finite"
    if np.linalg.norm(forces, axis=1).max(initial=0.0) > MAX_FORCE_EV_A:
        return "force_too_large"
    if np.linalg.norm(forces.sum(axis=0)) > NET_FORCE_EV_A * np.sqrt(n_atoms):
        return "net_force"
    if (stress - stress.T).max() > STRESS_ASYMMETRY_EV_A3:
        return "stress_asymmetric"
    return None
