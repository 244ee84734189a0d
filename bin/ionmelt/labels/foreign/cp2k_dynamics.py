"""Frames of CP2K's molecular dynamics: positions of a trajectory joined with the output and the files beside it."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers
from ase.units import Bohr, Hartree, bar, second

from ionmelt.errors import UserError
from ionmelt.labels.foreign import CP2K_STEP
from ionmelt.labels.foreign.blocks import ForeignFrame
from ionmelt.labels.foreign.cp2k_evaluations import ATOMS, THREE, Evaluation, by_atom, put_evaluation

SAME_ENERGY_HA = 5e-9  # of one step in two files: they print 8 decimals and more
SAME_CELL_A = 1e-5
AU_TIME = 2.4188843265864e-17 * second  # of the velocities that CP2K writes: Bohr over this


@dataclass
class Trajectory:
    """A file of positions, forces or velocities: (step, energy in Hartree, names, values (N, 3)) of each frame."""

    name: str
    role: str  # pos, frc or vel
    frames: list[tuple[int, float, list[str], np.ndarray]]


@dataclass
class Run:
    """What one folder holds of CP2K's: outputs by name, trajectories, and tables of nine numbers by step."""

    outputs: dict[str, str] = field(default_factory=dict)
    trajectories: list[Trajectory] = field(default_factory=list)
    tables: dict[str, dict[int, np.ndarray]] = field(default_factory=dict)  # by name of the file
    kinds: dict[str, str] = field(default_factory=dict)  # of those files: cell or stress


def project_of(name: str) -> str:
    """Return the name of a trajectory or table without what CP2K adds, such as lif of lif-pos-1.xyz."""
    return re.sub(r"(-(pos|frc|vel))?-\d+$", "", PurePosixPath(name).stem)


def table_of(text: str, name: str) -> dict[int, np.ndarray]:
    """Return the tensors (3, 3) of PROJECT-1.cell or PROJECT-1.stress by step."""
    tensors = {}
    for number, line in enumerate(text.strip().splitlines()[1:], start=2):
        try:
            values = np.array(line.split(), dtype=float)
            tensors[int(values[0])] = values[2:11].reshape(3, 3)
        except (ValueError, IndexError):
            raise UserError(f"labels.frames: {name}: line {number}: eleven numbers should stand here") from None
    return tensors


def beside(run: Run, positions: Trajectory, names: Sequence[str]) -> list[str]:
    """Return those of some files that belong to a trajectory: of its project, or all where it is the only one."""
    if sum(trajectory.role == "pos" for trajectory in run.trajectories) == 1:
        return list(names)
    return [name for name in names if project_of(name) == project_of(positions.name)]


def read_dynamics(
    run: Run, positions: Trajectory, dynamics: list[tuple[str, Evaluation]], words: list[str]
) -> Iterator[ForeignFrame]:
    """Yield the frames of one trajectory of positions."""
    cells = {
        step: cell
        for name in beside(run, positions, [name for name, kind in run.kinds.items() if kind == "cell"])
        for step, cell in run.tables[name].items()
    }
    stresses = {
        step: tensor
        for name in beside(run, positions, [name for name, kind in run.kinds.items() if kind == "stress"])
        for step, tensor in run.tables[name].items()
    }
    others = {
        role: [
            one
            for other in run.trajectories
            if other.role == role and beside(run, positions, [other.name])
            for one in other.frames
        ]
        for role in ("frc", "vel")
    }
    by_step = {role: {frame[0]: frame for frame in frames} for role, frames in others.items()}
    energies = np.array([evaluation.energy for _, evaluation in dynamics])
    still = constant(cells, [evaluation for _, evaluation in dynamics])
    sources: Counter[str] = Counter()
    for step, energy, names, at in positions.frames:
        where = f"{positions.name}: step {step}"
        fitting = [dynamics[int(index)] for index in np.flatnonzero(np.abs(energies - energy) <= SAME_ENERGY_HA)]
        if not fitting:
            yield ForeignFrame(where, reason="unreadable", detail="no output holds its energy")
            continue
        text, evaluation = next((entry for entry in fitting if entry[1].step == step), fitting[0])
        elements = elements_of(names, text)
        if isinstance(elements, str):
            yield ForeignFrame(where, reason="unreadable", detail=elements)
            continue
        cell = cells.get(step, evaluation.cell if still else scaled(evaluation))
        if cell is None:
            said = "its cell is not known: have it printed at every step (MOTION/PRINT/CELL/EACH/MD 1), give PROJECT-1.cell"
            yield ForeignFrame(where, reason="unreadable", detail=said)
            continue
        frame = ForeignFrame(where, Atoms(elements, at, cell=cell, pbc=True))
        put_evaluation(frame, evaluation)
        if frame.forces_ev_a is None and (beside_it := by_step["frc"].get(step)) is not None:
            if beside_it[2] != names or abs(beside_it[1] - energy) > SAME_ENERGY_HA:
                frame.detail = "the file of forces has other atoms or another energy at this step"
            else:
                frame.forces_ev_a, frame.detail = beside_it[3] * (Hartree / Bohr), frame.reason and frame.detail
        if frame.stress_ev_a3 is None and step in stresses and frame.atoms is not None:
            velocities = by_step["vel"].get(step)
            frame.stress_ev_a3, source = potential_stress(
                stresses[step], frame.atoms, evaluation, None if velocities is None else velocities[3]
            )
            sources[source] += 1
        yield frame
    words += [
        f"{positions.name}: stress of {count} steps from PROJECT-1.stress: {text}" for text, count in sources.items()
    ]


def potential_stress(
    pressure_bar: np.ndarray, atoms: Atoms, evaluation: Evaluation, velocities: np.ndarray | None
) -> tuple[np.ndarray, str]:
    """Return the stress (3, 3) in eV/A^3 of the forces alone, and in words what was done.

    CP2K's file holds the whole pressure tensor, that of the atoms' motion too: sum of m v v over the volume. Without
    velocities (Bohr per atomic unit of time) its trace is known from the kinetic energy, and it is taken as isotropic.
    """
    pressure = (pressure_bar + pressure_bar.T) / 2 * bar
    if velocities is not None:
        v = velocities * (Bohr / AU_TIME)
        motion = np.einsum("i,ia,ib->ab", atoms.get_masses(), v, v) / atoms.get_volume()
        said = "the part of the atoms' motion is taken off, by their velocities"
    elif evaluation.kinetic is not None:
        motion = 2 * evaluation.kinetic * Hartree / (3 * atoms.get_volume()) * np.eye(3)
        said = (
            "the part of the atoms' motion is taken off, by the kinetic energy of the output and as if it were the same "
            "in all directions; PROJECT-vel-1.xyz would tell it exactly"
        )
    else:
        motion = np.zeros((3, 3))
        said = (
            "taken as it is, since the output names no kinetic energy; in dynamics CP2K adds the part of the atoms' motion "
            "(N k T / V): if it did, give PROJECT-vel-1.xyz too"
        )
    return motion - pressure, said


def constant(cells: dict[int, np.ndarray], evaluations: Sequence[Evaluation]) -> bool:
    """Tell whether the cell is the same at all steps: nothing that the files say of it speaks against that."""
    seen = list(cells.values())
    seen += [evaluation.cell for evaluation in evaluations if evaluation.cell is not None]
    if any(evaluation.npt for evaluation in evaluations):
        return False
    if any(np.abs(cell - seen[0]).max() > SAME_CELL_A for cell in seen):
        return False
    for evaluation in evaluations:
        if evaluation.edges is not None and evaluation.cell is not None:
            edges = np.linalg.norm(evaluation.cell, axis=1)
            if np.abs(evaluation.edges - edges).max() > 1e-4 * edges.max():
                return False
    return True


def scaled(evaluation: Evaluation) -> np.ndarray | None:
    """Return the cell (A) of a step from the edges that the output gives; None without them, or where angles changed."""
    if evaluation.edges is None or evaluation.cell is None:
        return None
    edges = np.linalg.norm(evaluation.cell, axis=1)
    unit = evaluation.cell / edges[:, None]
    angles = np.degrees(np.arccos([unit[1] @ unit[2], unit[0] @ unit[2], unit[0] @ unit[1]]))
    if evaluation.angles is not None and np.abs(evaluation.angles - angles).max() > 1e-3:
        return None
    return unit * evaluation.edges[:, None]


def elements_of(names: Sequence[str], text: str) -> list[str] | str:
    """Return the elements of the atoms of a trajectory, which may show names of kinds; or what is wrong, as text.

    Names of kinds (Fe1, H_a) are looked up in the output's tables of atoms, where it has one; else the element is what
    the name begins with.
    """
    if all(name in atomic_numbers for name in names):
        return list(names)
    tables = (ATOMS, rf"(?m)^\s+(\d+)\s+\d+\s+([A-Z][a-z]?){THREE}\s*$")
    rows = next((rows for table in tables if (rows := [row[0] for row in by_atom(table, text)])), [])
    if len(rows) == len(names) and all(row in atomic_numbers for row in rows):
        return rows
    elements = []
    for name in names:
        letters = re.match(r"[A-Za-z]{0,2}", name)
        start = letters[0] if letters else ""
        two, one = start[:2].capitalize(), start[:1].upper()
        if len(start) == 2 and two in atomic_numbers and (start[1].islower() or one not in atomic_numbers):
            elements.append(two)
        elif len(start) == 2 and two in atomic_numbers:
            return f"the kind {name!r} may be {two} or {one}: an output at PRINT_LEVEL MEDIUM tells which"
        elif one in atomic_numbers:
            elements.append(one)
        else:
            return f"the kind {name!r} begins with no element"
    return elements


def steps_of(text: str, name: str) -> Iterator[tuple[int, float, list[str], np.ndarray]]:
    """Yield (step, energy, names, values (N, 3)) of a file of positions, forces or velocities."""
    lines = text.splitlines()
    place = 0
    while place + 1 < len(lines) and lines[place].strip():
        n_atoms = int(lines[place]) if lines[place].strip().isdigit() else 0
        head = CP2K_STEP.match(lines[place + 1])
        rows = [line.split() for line in lines[place + 2 : place + 2 + n_atoms]]
        try:
            if not n_atoms or head is None or len(rows) < n_atoms or any(len(row) != 4 for row in rows):
                raise ValueError
            values = np.array([row[1:] for row in rows], dtype=float)
            yield int(head[1]), float(head[2]), [row[0] for row in rows], values
        except ValueError:
            said = f"labels.frames: {name}: line {place + 1}: not a frame of a CP2K trajectory; is it cut off?"
            raise UserError(said) from None
        place += 2 + n_atoms
