"""Labelled frames of CP2K, as `ForeignFrame` of ionmelt/labels/foreign/blocks.py: single points, and dynamics with the files that CP2K writes beside.

ASE reads no output of CP2K (dpdata 1.1 does, but leaves out the stress of CP2K 2023 in silence), so all of it is read here.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers

from ionmelt.labels.foreign import CP2K_STEP, CP2K_TABLE
from ionmelt.labels.foreign.blocks import ForeignFrame, Source, Unreadable
from ionmelt.labels.foreign.cp2k_dynamics import Run, read_dynamics
from ionmelt.labels.foreign.cp2k_evaluations import (
    ATOMS,
    ENERGY,
    LENGTH_UNITS,
    THREE,
    Evaluation,
    by_atom,
    evaluations_of,
    put_evaluation,
)
from ionmelt.labels.foreign.cp2k_trajectories import tensors_of, trajectory_of
from ionmelt.labels.settings import ImportSettings

PERIODICITY = re.compile(r"^ CELL\| Periodicity\s+(\S+)\s*$", re.M)
CHARGE = re.compile(r"^ DFT\| Charge\s+(-?\d+)\s*$", re.M)
LENGTH_UNIT = re.compile(r"ATOMIC COORDINATES IN (\w+)", re.I)
START = re.compile(r"^.*PROGRAM STARTED AT.*$", re.M)


def read(_form: str, files: Mapping[str, Path], _settings: ImportSettings, words: list[str]) -> dict[str, Source]:
    """Return the frames of all files, under the name of the first: those of one run are in several."""
    frames = list(read_cp2k(files, words))
    return {next(iter(files)): Source("CP2K", iter(frames), len(frames))}


def read_cp2k(files: Mapping[str, Path], words: list[str]) -> Iterator[ForeignFrame]:
    """Yield the frames of CP2K's files, by the name that the user gives each; those of one folder belong together.

    An output of single points (PRINT_LEVEL MEDIUM: it must show the coordinates) stands by itself, also with
    several runs in it. One of molecular dynamics shows no coordinates: the trajectory (-pos-1.xyz) must be
    given with it, and -1.cell where the cell changes; they are joined by energy and step. Forces and stress are
    taken from the output, else from -frc-1.xyz and -1.stress. What else is to be said is added to `words`.
    """
    runs: dict[str, Run] = defaultdict(Run)
    for name, path in files.items():
        run, text = runs[str(PurePosixPath(name).parent)], path.read_text(errors="replace")
        lines = text.lstrip("\n").split("\n", 2)
        if match := CP2K_TABLE.match(lines[0]):
            run.tensors.append(tensors_of(text, name, "cell" if match[1] == "Ax" else "stress"))
        elif len(lines) > 1 and CP2K_STEP.match(lines[1]):
            run.trajectories.append(trajectory_of(text, name))
        else:
            run.outputs[name] = text
    for run in runs.values():
        yield from read_run(run, words)


def read_run(run: Run, words: list[str]) -> Iterator[ForeignFrame]:
    """Yield the frames of the files of one folder."""
    dynamics: list[Evaluation] = []
    for name, text in run.outputs.items():
        for where, output in runs_of(name, text):
            try:
                if moves_atoms(output):
                    dynamics += evaluated(output)
                    if not run.positions:
                        raise Unreadable("molecular dynamics: give PROJECT-pos-1.xyz with it")
                else:
                    yield single(output, where)
            except Unreadable as error:
                yield ForeignFrame(where, reason="unreadable", detail=str(error))
    for trajectory in run.positions:
        yield from read_dynamics(run, trajectory, dynamics, words)
    if not run.positions:
        for trajectory in run.trajectories:
            said = "give PROJECT-pos-1.xyz, its positions, with it"
            yield ForeignFrame(trajectory.name, reason="unreadable", detail=said)


def moves_atoms(output: str) -> bool:
    """Tell whether a run is one of molecular dynamics."""
    return re.search(r"^ MD\| Step number|^ STEP NUMBER", output, re.M) is not None


def evaluated(output: str) -> list[Evaluation]:
    """Return the evaluations of a run, with the cell at its start; raises `Unreadable` without any, or without a periodic cell."""
    evaluations = evaluations_of(output)
    if not evaluations:
        raise Unreadable("no 'ENERGY| Total FORCE_EVAL' in this CP2K output")
    head = output[: output.index(" ENERGY| Total FORCE_EVAL")]
    vectors = by_atom(rf"(?m)^ CELL\| Vector ([abc]) \[angstrom\]:{THREE}", head)
    if len(vectors) < 3:
        raise Unreadable("no 'CELL| Vector a, b, c' in this CP2K output")
    periodic = PERIODICITY.search(head)
    if periodic is not None and periodic[1] != "XYZ":
        raise Unreadable(f"its cell is periodic in {periodic[1]}: a liquid is in XYZ")
    charge = CHARGE.search(head)
    for evaluation in evaluations:
        evaluation.cell, evaluation.output = np.array(vectors, dtype=float), output
        evaluation.charge = int(charge[1]) if charge else 0
    return evaluations


def runs_of(name: str, text: str) -> Iterator[tuple[str, str]]:
    """Yield (name, text) of each run of an output. A banner without an energy after it begins no run of its own."""
    starts = [match.start() for match in START.finditer(text)] or [0]
    marks = [match.start() for match in ENERGY.finditer(text)]
    ends = [*starts[1:], len(text)]
    kept = [start for start, end in zip(starts, ends, strict=True) if any(start <= mark < end for mark in marks)]
    firsts = [0, *kept[1:]]
    for run, (start, end) in enumerate(zip(firsts, [*firsts[1:], len(text)], strict=True)):
        yield (f"{name}: run {run}" if len(firsts) > 1 else name), text[start:end]


def single(output: str, where: str) -> ForeignFrame:
    """Return the one frame of a run that moves no atom; raises `Unreadable`."""
    evaluations = evaluated(output)
    rows = by_atom(ATOMS, output)
    if not rows:
        raise Unreadable("no coordinates in this CP2K output: PRINT_LEVEL MEDIUM")
    if len(evaluations) > 1:
        said = f"{len(evaluations)} energies for one structure: give outputs of single points or of dynamics"
        raise Unreadable(said)
    unit = LENGTH_UNIT.search(output)
    if unit is not None and unit[1].lower() not in LENGTH_UNITS:
        raise Unreadable(f"its coordinates in {unit[1]}: angstrom or bohr can be read")
    positions = np.array([row[1:] for row in rows], dtype=float) * (LENGTH_UNITS[unit[1].lower()] if unit else 1.0)
    if any(row[0] not in atomic_numbers for row in rows):
        raise Unreadable("the table of atoms holds what is no element")
    frame = ForeignFrame(where, Atoms([row[0] for row in rows], positions, cell=evaluations[0].cell, pbc=True))
    put_evaluation(frame, evaluations[0])
    return frame
