"""The frame: one structure of a liquid, with or without its label, as an extended XYZ file holds it.

What makes a frame is in `atoms.info` (`IDENTITY_KEYS`) and in the arrays ``molecule`` and ``ion``; a label
adds ``REF_energy`` (eV), ``REF_forces`` (eV/A), ``REF_stress`` (eV/A^3, ASE sign: tension is positive),
``theory_id``, ``converged`` and, where the engine counts them, ``scf_steps``. The names begin with ``REF_``
because ASE moves plain ``energy``, ``forces`` and ``stress`` into a calculator when it reads a file.

A frame with ``charge`` (in e) is an ion alone: its energy is that of the ion in empty space, since a periodic cell with a
charge has one only against a background that no model knows of. Its cell is room enough for models to see no image of it.

Positions and cell are kept to 1e-6 A, forces to 1e-8 eV/A (the digits that the file holds) and energy and
stress to the last bit, so that reading and writing again gives the same identifiers and the same bytes.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
from ase import Atoms
from ase.data import covalent_radii
from ase.io.extxyz import key_val_str_to_dict, write_extxyz
from ase.neighborlist import neighbor_list
from ase.units import kg, m

from ionmelt.errors import UserError, reading

KINDS = ("eq", "neq", "active")
IDENTITY_KEYS = ("frame_id", "liquid", "kind", "recipe", "group")
ENERGY_KEY = "REF_energy"
FORCES_KEY = "REF_forces"
STRESS_KEY = "REF_stress"
LABEL_KEYS = ("theory_id", "converged", "scf_steps", ENERGY_KEY, STRESS_KEY)
TEXT_KEYS = (*IDENTITY_KEYS, "theory_id")
CHARGE_KEY = "charge"
SEAL_KEY = "file_sha256"  # in the first frame: of the rest of the file, so that what is lost or altered is noticed
SEALED = re.compile(rf"^(\d+\n.*) {SEAL_KEY}=(\w+)$".encode(), re.MULTILINE)

POSITION_DECIMALS = 6
FORCE_DECIMALS = 8  # what ASE's extended XYZ writer prints

# Above this a label is not of a liquid: 50 eV/A is some ten times the force of a thermal bond stretch.
MAX_FORCE_EV_A = 50.0
# Forces sum to zero; a grid that is too coarse breaks that, at random over the atoms. This much on each atom is
# the error of a good model, and more would be learnt as noise.
NET_FORCE_EV_A = 0.05  # times the square root of the number of atoms
STRESS_ASYMMETRY_EV_A3 = 1e-4
TEST_LEAST = 5  # test frames, below which errors measured on them are worth a warning
# Directions of composition space weaker than this (relative) hold noise rather than composition.
COMPOSITION_RCOND = 1e-3
# Settings of the labels section that cannot change a label: names of what stands beside them, how long to try, where
# and how the work is done.
NOT_THEORY = (
    "id", "theory_id", "theory", "quality", "chunk", "max_failed_fraction", "max_frame_s", "max_iterations", "max_scf",
    "spot_check_fraction", "device",
)  # fmt: skip


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


def theory_id(settings: Mapping[str, Any]) -> str:
    """Return 12 hex digits of a hash of the settings that change the energy (JSON values, any key order)."""
    text = json.dumps(settings, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def theory_settings(labels: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of the labels section that `theory_id` hashes: what can change the label.

    Numbers are floats (800 and 800.0 are the same), and nothing that dispersion needs counts where there is none.
    """
    kept = {key: value for key, value in labels.items() if key not in NOT_THEORY}
    if kept.get("dispersion") == "none":
        kept.pop("dispersion_cutoff_A", None)
    return {key: float(value) if type(value) is int else value for key, value in kept.items()}


def element_energies(frames: Sequence[Atoms], numbers: Sequence[int], energies_ev: np.ndarray) -> np.ndarray:
    """Return the energy (eV) of an atom of each of some elements, (E,), that sums to the energies (F,) of frames best.

    Least squares over the element counts, of minimum norm around the mean energy of an atom: what the compositions
    do not determine is shared equally by all atoms.
    """
    counts = np.array([[np.count_nonzero(frame.numbers == number) for number in numbers] for frame in frames], float)
    atoms = counts.sum(axis=1)
    energy_per_atom = energies_ev / atoms
    mean = energy_per_atom.mean()
    correction = np.linalg.lstsq(counts / atoms[:, None], energy_per_atom - mean, rcond=COMPOSITION_RCOND)[0]
    return np.asarray(mean + correction)


def kinds_of(entries: Iterable[str]) -> tuple[set[str], set[str]]:
    """Return the kinds of frames of a dataset and the liquids that it leaves out, from entries such as eq and -li10."""
    return {x for x in entries if not x.startswith("-")}, {x[1:] for x in entries if x.startswith("-")}


def evenly(frames: Sequence[Atoms], most: int) -> list[Atoms]:
    """Return at most so many frames, evenly over all."""
    return [frames[int(i)] for i in np.unique(np.linspace(0, len(frames) - 1, min(most, len(frames))).astype(int))]


def density_kg_m3(atoms: Atoms) -> float:
    """Return the mass density (kg/m3) of a frame."""
    return float(atoms.get_masses().sum() / kg / (atoms.get_volume() / m**3))


def shown(frame: Atoms) -> Atoms:
    """Return what a calculator is shown of a frame: an ion alone has no images, and its charge as ASE's initial charges.

    Which liquid and ions these are is for force fields, which know no atoms by themselves.
    """
    atoms = Atoms(frame.numbers, frame.positions, cell=frame.cell, pbc=True)
    atoms.info = {key: frame.info[key] for key in ("liquid",) if key in frame.info}
    for name in ("molecule", "ion"):
        if name in frame.arrays:
            atoms.arrays[name] = frame.arrays[name].copy()
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
    return len(neighbor_list("i", atoms, fraction * covalent_radii[atoms.numbers])) > 0


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
    cell = np.asarray(cell, dtype=float)
    frame = Atoms(
        numbers=numbers,
        positions=rounded(positions, POSITION_DECIMALS),
        cell=rounded(np.diag(cell) if cell.ndim == 1 else cell, POSITION_DECIMALS),
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
    if np.abs(stress - stress.T).max() > STRESS_ASYMMETRY_EV_A3:
        return "stress_asymmetric"
    return None


def write_frames(path: str | Path, frames: Sequence[Atoms], *, append: bool = False) -> None:
    """Write frames as extended XYZ, or append them: the same frames give the same bytes."""
    order = (*IDENTITY_KEYS, *LABEL_KEYS)
    with Path(path).open("a" if append else "w", newline="\n") as file:
        for atoms in frames:
            frame = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
            extra = sorted(set(atoms.info) - set(order))
            for key in [key for key in order if key in atoms.info] + extra:
                value = atoms.info[key]
                frame.info[key] = np.ravel(value) if key == STRESS_KEY else value
            columns = ["symbols", "positions", "molecule", "ion"]
            frame.arrays["molecule"] = np.asarray(atoms.arrays["molecule"], dtype=np.int64)
            frame.arrays["ion"] = np.asarray(atoms.arrays["ion"], dtype=str)
            if FORCES_KEY in atoms.arrays:
                frame.arrays[FORCES_KEY] = atoms.arrays[FORCES_KEY]
                columns.append(FORCES_KEY)
            write_extxyz(file, [frame], columns=columns, write_results=False)
    if not append:
        seal_frames(path)


def seal_frames(path: str | Path) -> None:
    """Write the sha256 of a file of frames into its first frame; `read_frames` holds the file to it."""
    content = Path(path).read_bytes()
    if content:
        end = content.index(b"\n", content.index(b"\n") + 1)  # of the first frame's comment
        seal = f" {SEAL_KEY}={hashlib.sha256(content).hexdigest()[:16]}".encode()
        Path(path).write_bytes(content[:end] + seal + content[end:])


def read_frames(path: str | Path, *, labelled: bool = False, may_be_empty: bool = False) -> list[Atoms]:
    """Read the frames of a file and hold them to the contract; ``REF_stress`` comes back as (3, 3).

    Parameters
    ----------
    labelled : every frame must also have a usable label.
    may_be_empty : an empty file holds no frames, as that of a chunk whose labels all failed. Any other is what a full disk
        leaves, and is refused: a file without frames is not written.

    Raises
    ------
    UserError : one line per breach, naming file, frame (counted from 0), field and what would be right.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    content = path.read_bytes()
    if not content and may_be_empty:
        return []
    if not content:
        raise UserError(f"{path}: no frames")
    if not content.endswith(b"\n"):
        raise UserError(f"{path}: cut off in the middle of a line")
    if sealed := SEALED.match(content):
        rest = sealed[1] + content[sealed.end() :]
        if hashlib.sha256(rest).hexdigest()[:16] != sealed[2].decode():
            raise UserError(
                f"{path}: not as it was written: it does not fit its {SEAL_KEY} (to change it, take that out)"
            )
    with reading(path, "extended XYZ"):
        frames = list(ase.io.iread(path, index=":", format="extxyz", properties_parser=_parse_comment))
    if content.count(b"\n") != sum(len(atoms) + 2 for atoms in frames):  # ASE stops at an empty line
        raise UserError(f"{path}: an empty line after {len(frames)} frames; frames must follow each other")
    for atoms in frames:
        atoms.info.pop(SEAL_KEY, None)
    errors = [
        f"{path}: frame {index}: {breach}"
        for index, atoms in enumerate(frames)
        for breach in _breaches(atoms, labelled)
    ]
    if errors:
        raise UserError(*errors)
    return frames


def _parse_comment(line: str) -> dict[str, Any]:
    """Parse a comment line as ASE does, but keep texts as texts (ASE reads the hash 12345e6 as a number)."""
    info = key_val_str_to_dict(line)
    for key in TEXT_KEYS:
        match = re.search(rf'(?:^|\s){key}=(?:"([^"]*)"|(\S+))', line)
        if match:
            info[key] = match[1] if match[1] is not None else match[2]
    stress = info.get(STRESS_KEY)
    if isinstance(stress, np.ndarray) and stress.size == 9:
        info[STRESS_KEY] = stress.reshape(3, 3).astype(float)
    return info


def _breaches(atoms: Atoms, labelled: bool) -> list[str]:
    """List what breaks the contract in one frame just read; puts its ``ion`` array into plain strings."""
    breaches = [f"info {key} is missing" for key in IDENTITY_KEYS if key not in atoms.info]
    if "kind" in atoms.info and atoms.info["kind"] not in KINDS:
        breaches.append(f"info kind is {atoms.info['kind']!r}; it must be one of {', '.join(KINDS)}")
    breaches += [f"array {name} is missing" for name in ("molecule", "ion") if name not in atoms.arrays]
    if "ion" in atoms.arrays:
        atoms.arrays["ion"] = atoms.arrays["ion"].astype(str)
    if "molecule" in atoms.arrays and atoms.arrays["molecule"].dtype.kind != "i":
        breaches.append("array molecule must hold integers")
    if not (atoms.pbc.all() and atoms.cell.rank == 3):
        breaches.append("the cell must be periodic in three directions (pbc T T T and a Lattice)")
    if not (np.isfinite(atoms.positions).all() and np.isfinite(atoms.cell.array).all()):
        breaches.append("positions and cell must be finite numbers")
    elif "frame_id" in atoms.info and atoms.info["frame_id"] != (true := frame_id(atoms)):
        breaches.append(f"info frame_id is {atoms.info['frame_id']!r} but the structure's is {true!r}")
    if labelled:
        if "theory_id" not in atoms.info:
            breaches.append("info theory_id is missing")
        if reason := label_problem(atoms):
            breaches.append(LABEL_BREACHES[reason](atoms))
    return breaches


LABEL_BREACHES: dict[str, Callable[[Atoms], str]] = {
    "missing": lambda atoms: (
        f"the label is missing: info {ENERGY_KEY} (eV) and array {FORCES_KEY} (eV/A) are needed, and "
        f"{STRESS_KEY} (9 numbers, eV/A^3) where there is one"
    ),
    "scf_not_converged": lambda atoms: "info converged must be T: an unconverged label is no label",
    "shape": lambda atoms: (
        f"{ENERGY_KEY} must be one number, {FORCES_KEY} 3 columns and {STRESS_KEY} 9 numbers; they are "
        f"{np.shape(atoms.info[ENERGY_KEY])}, {atoms.arrays[FORCES_KEY].shape} "
        f"and {np.shape(atoms.info[STRESS_KEY]) if STRESS_KEY in atoms.info else 'absent'}"
    ),
    "non_finite": lambda atoms: f"{ENERGY_KEY}, {FORCES_KEY} and {STRESS_KEY} must be finite numbers",
    "force_too_large": lambda atoms: (
        f"{FORCES_KEY} reaches {np.linalg.norm(atoms.arrays[FORCES_KEY], axis=1).max():.1f} eV/A; "
        f"the limit is {MAX_FORCE_EV_A:g}: check the units (eV/A) and the structure"
    ),
    "net_force": lambda atoms: (
        f"{FORCES_KEY} sums to {np.linalg.norm(atoms.arrays[FORCES_KEY].sum(axis=0)):.3g} eV/A; "
        f"it must be within {NET_FORCE_EV_A * np.sqrt(len(atoms)):.3g} of zero"
    ),
    "stress_asymmetric": lambda atoms: f"{STRESS_KEY} must be a symmetric 3x3 matrix",
}
