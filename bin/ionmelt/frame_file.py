"""Frames in a file: extended XYZ that is whole, and holds what `ionmelt.frame` says of a frame and its label.

Positions and cell are kept to 1e-6 A, forces to 1e-8 eV/A (the digits that the file holds) and energy and
stress to the last bit, so that reading and writing again gives the same identifiers and the same bytes.
"""

import hashlib
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
from ase import Atoms
from ase.io.extxyz import key_val_str_to_dict, write_extxyz

from ionmelt.errors import UserError, reading
from ionmelt.frame import (
    ENERGY_KEY,
    FORCES_KEY,
    IDENTITY_KEYS,
    KINDS,
    LABEL_KEYS,
    MAX_FORCE_EV_A,
    NET_FORCE_EV_A,
    STRESS_KEY,
    frame_id,
    label_problem,
)

TEXT_KEYS = (*IDENTITY_KEYS, "theory_id")
SEAL_KEY = "file_sha256"  # in the first frame: of the rest of the file, so that what is lost or altered is noticed
SEALED = re.compile(rf"^(\d+\n.*) {SEAL_KEY}=(\S+)$".encode(), re.MULTILINE)


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
        if hashlib.sha256(rest).hexdigest()[:16].encode() != sealed[2]:
            raise UserError(
                f"{path}: not as it was written: it does not fit its {SEAL_KEY} (to change it, take that out)"
            )
    with reading(path, "extended XYZ"):
        frames = list(ase.io.iread(path, index=":", format="extxyz", properties_parser=_parse_comment))
    if content.count(b"\n") != sum(len(atoms) + 2 for atoms in frames):  # ASE stops at an empty line
        raise UserError(f"{path}: an empty line after {len(frames)} frames; frames must follow each other")
    if any(SEAL_KEY in atoms.info for atoms in (frames[1:] if sealed else frames)):
        raise UserError(f"{path}: its {SEAL_KEY} is not where it was written: frames or fields were moved")
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
    if "ion" in atoms.arrays:
        atoms.arrays["ion"] = atoms.arrays["ion"].astype(str)
    breaches = [*_breaches_of_identity(atoms), *_breaches_of_structure(atoms)]
    if labelled and "theory_id" not in atoms.info:
        breaches.append("info theory_id is missing")
    if labelled and (reason := label_problem(atoms)):
        breaches.append(LABEL_BREACHES[reason](atoms))
    return breaches


def _breaches_of_identity(atoms: Atoms) -> list[str]:
    """List what is missing or wrong of kind, liquid, ions and so on."""
    breaches = [f"info {key} is missing" for key in IDENTITY_KEYS if key not in atoms.info]
    if "kind" in atoms.info and atoms.info["kind"] not in KINDS:
        breaches.append(f"info kind is {atoms.info['kind']!r}; it must be one of {', '.join(KINDS)}")
    breaches += [f"array {name} is missing" for name in ("molecule", "ion") if name not in atoms.arrays]
    if "molecule" in atoms.arrays and atoms.arrays["molecule"].dtype.kind != "i":
        breaches.append("array molecule must hold integers")
    return breaches


def _breaches_of_structure(atoms: Atoms) -> list[str]:
    """List what is wrong with positions and cell, which must be those of ``frame_id``."""
    breaches = []
    if not (atoms.pbc.all() and atoms.cell.rank == 3):
        breaches.append("the cell must be periodic in three directions (pbc T T T and a Lattice)")
    if not (np.isfinite(atoms.positions).all() and np.isfinite(atoms.cell.array).all()):
        breaches.append("positions and cell must be finite numbers")
    elif "frame_id" in atoms.info and atoms.info["frame_id"] != (true := frame_id(atoms)):
        breaches.append(f"info frame_id is {atoms.info['frame_id']!r} but the structure's is {true!r}")
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
