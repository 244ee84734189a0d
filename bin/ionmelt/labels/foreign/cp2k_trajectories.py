"""The files that CP2K's molecular dynamics writes beside its output: positions, forces and velocities, cells and stresses by step."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
from ase.data import atomic_numbers

from ionmelt.errors import UserError
from ionmelt.labels.foreign import CP2K_STEP
from ionmelt.labels.foreign.blocks import Unreadable
from ionmelt.labels.foreign.cp2k_evaluations import ATOMS, THREE, by_atom

COORDINATES = rf"(?m)^\s+(\d+)\s+\d+\s+([A-Z][a-z]?){THREE}\s*$"  # of the atoms, in a table without their charges


@dataclass(frozen=True)
class Step:
    """A frame of a file of positions, forces or velocities: energy in Hartree, names of the atoms, values (N, 3)."""

    number: int
    energy: float
    names: list[str]
    values: np.ndarray


@dataclass(frozen=True)
class Trajectory:
    """A file of positions, forces or velocities."""

    name: str
    role: str  # pos, frc or vel
    steps: list[Step]
    cut_off: str | None = None  # what is wrong with a frame that ends the file too early, as of a run that was killed


@dataclass(frozen=True)
class Tensors:
    """A file of cells or stresses: a tensor (3, 3) for each step."""

    name: str
    role: str  # cell or stress
    by_step: dict[int, np.ndarray]


def project_of(name: str) -> str:
    """Return the name of a trajectory or table without what CP2K adds, such as lif of lif-pos-1.xyz."""
    return re.sub(r"(-(pos|frc|vel))?-\d+$", "", PurePosixPath(name).stem)


def trajectory_of(text: str, name: str) -> Trajectory:
    """Return what a file of positions, forces or velocities holds; its name says which of these, and else it holds positions."""
    role = next((role for role in ("frc", "vel") if f"-{role}" in name), None)
    role = role or ("frc" if "forc" in PurePosixPath(name).name.lower() else "pos")
    steps, cut_off = steps_of(text, name)
    return Trajectory(name, role, steps, cut_off)


def steps_of(text: str, name: str) -> tuple[list[Step], str | None]:
    """Return the frames of a file of positions, forces or velocities, and what is wrong with the last where the file ends in it.

    Raises `UserError` for any other that is none.
    """
    lines = text.splitlines()
    steps: list[Step] = []
    start = 0
    while start + 1 < len(lines) and lines[start].strip():
        n_atoms = int(lines[start]) if re.fullmatch(r"\s*\d{1,12}\s*", lines[start], re.ASCII) else 0
        head = CP2K_STEP.match(lines[start + 1])
        rows = [line.split() for line in lines[start + 2 : start + 2 + n_atoms]]
        try:
            if not n_atoms or head is None or len(rows) < n_atoms or any(len(row) != 4 for row in rows):
                raise ValueError
            if (
                steps and start + 2 + n_atoms == len(lines) and not text.endswith("\n")
            ):  # the last number may be cut, too
                raise ValueError
            values = np.array([row[1:] for row in rows], dtype=float)
            steps.append(Step(int(head[1]), float(head[2]), [row[0] for row in rows], values))
        except ValueError:
            said = f"line {start + 1}: not a frame of a CP2K trajectory; is it cut off?"
            if steps and start + 2 + n_atoms >= len(lines):
                return steps, said
            raise UserError(f"labels.frames: {name}: {said}") from None
        start += 2 + n_atoms
    return steps, None


def tensors_of(text: str, name: str, role: str) -> Tensors:
    """Return what PROJECT-1.cell or PROJECT-1.stress holds."""
    tensors = {}
    for number, line in enumerate(text.strip().splitlines()[1:], start=2):
        try:
            values = np.array(line.split(), dtype=float)
            tensors[int(values[0])] = values[2:11].reshape(3, 3)
        except (ValueError, IndexError, OverflowError):  # the last: of infinity
            raise UserError(f"labels.frames: {name}: line {number}: eleven numbers should stand here") from None
    return Tensors(name, role, tensors)


# --- Elements ------------------------------------------------------------------------------------------


def elements_of(names: Sequence[str], output: str) -> list[str]:
    """Return the elements of the atoms of a trajectory, which may show names of kinds; raises `Unreadable`.

    Names of kinds (Fe1, H_a) are looked up in the output's tables of atoms, where it has one; else the element is what
    the name begins with.
    """
    if all(name in atomic_numbers for name in names):
        return list(names)
    tables = (by_atom(table, output) for table in (ATOMS, COORDINATES))
    printed = next(([row[0] for row in rows] for rows in tables if rows), [])
    if len(printed) == len(names) and all(element in atomic_numbers for element in printed):
        return printed
    return [element_of(name) for name in names]


def element_of(kind: str) -> str:
    """Return the element that the name of a kind of atoms begins with; raises `Unreadable` for none, and where it may be two."""
    letters = re.split(r"[^A-Za-z]", kind)[0][:2]
    two, one = letters.capitalize(), letters[:1].upper()
    if len(letters) == 2 and two in atomic_numbers:
        if letters[1].isupper() and one in atomic_numbers:
            raise Unreadable(f"the kind {kind!r} may be {two} or {one}: an output at PRINT_LEVEL MEDIUM tells which")
        return two
    if one not in atomic_numbers:
        raise Unreadable(f"the kind {kind!r} begins with no element")
    return one
