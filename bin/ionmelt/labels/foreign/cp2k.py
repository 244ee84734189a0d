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
from ionmelt.labels.foreign.blocks import ForeignFrame, Source
from ionmelt.labels.foreign.cp2k_dynamics import Run, Trajectory, read_dynamics, steps_of, table_of
from ionmelt.labels.foreign.cp2k_evaluations import (
    ATOMS,
    ENERGY,
    THREE,
    Evaluation,
    by_atom,
    evaluations_of,
    put_evaluation,
)
from ionmelt.labels.settings import ImportSettings

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
            run.kinds[name] = "cell" if match[1] == "Ax" else "stress"
            run.tables[name] = table_of(text, name)
        elif len(lines) > 1 and CP2K_STEP.match(lines[1]):
            role = next((role for role in ("frc", "vel") if f"-{role}" in name), None)
            role = role or ("frc" if "forc" in PurePosixPath(name).name.lower() else "pos")
            run.trajectories.append(Trajectory(name, role, list(steps_of(text, name))))
        else:
            run.outputs[name] = text
    for run in runs.values():
        yield from read_run(run, words)


def read_run(run: Run, words: list[str]) -> Iterator[ForeignFrame]:
    """Yield the frames of the files of one folder."""
    positions = [trajectory for trajectory in run.trajectories if trajectory.role == "pos"]
    dynamics: list[tuple[str, Evaluation]] = []  # with the text of its run
    for name, text in run.outputs.items():
        for where, output in runs_of(name, text):
            evaluations = evaluations_of(output)
            if not evaluations:
                yield ForeignFrame(
                    where, reason="unreadable", detail="no 'ENERGY| Total FORCE_EVAL' in this CP2K output"
                )
                continue
            head = output[: output.index(" ENERGY| Total FORCE_EVAL")]
            vectors = by_atom(rf"(?m)^ CELL\| Vector ([abc]) \[angstrom\]:{THREE}", head)
            if len(vectors) < 3:
                yield ForeignFrame(where, reason="unreadable", detail="no 'CELL| Vector a, b, c' in this CP2K output")
                continue
            cell = np.array(vectors, dtype=float)
            if not re.search(r"^ MD\| Step number|^ STEP NUMBER", output, re.M):
                yield single(output, where, cell, evaluations)
            elif not positions:
                yield ForeignFrame(
                    where, reason="unreadable", detail="molecular dynamics: give PROJECT-pos-1.xyz with it"
                )
            else:
                for evaluation in evaluations:
                    evaluation.cell = cell
                    dynamics.append((output, evaluation))
    for trajectory in positions:
        yield from read_dynamics(run, trajectory, dynamics, words)
    if not positions:
        for trajectory in run.trajectories:
            yield ForeignFrame(
                trajectory.name, reason="unreadable", detail="give PROJECT-pos-1.xyz, its positions, with it"
            )


def runs_of(name: str, text: str) -> Iterator[tuple[str, str]]:
    """Yield (name, text) of each run of an output. A banner without an energy after it begins no run of its own."""
    starts = [match.start() for match in START.finditer(text)] or [0]
    marks = [match.start() for match in ENERGY.finditer(text)]
    ends = [*starts[1:], len(text)]
    kept = [start for start, end in zip(starts, ends, strict=True) if any(start <= mark < end for mark in marks)]
    firsts = [0, *kept[1:]]
    for run, (start, end) in enumerate(zip(firsts, [*firsts[1:], len(text)], strict=True)):
        yield (f"{name}: run {run}" if len(firsts) > 1 else name), text[start:end]


def single(text: str, where: str, cell: np.ndarray, evaluations: list[Evaluation]) -> ForeignFrame:
    """Return the one frame of a run that moves no atom."""
    rows = by_atom(ATOMS, text)
    if not rows:
        return ForeignFrame(where, reason="unreadable", detail="no coordinates in this CP2K output: PRINT_LEVEL MEDIUM")
    if len(evaluations) > 1:
        said = f"{len(evaluations)} energies for one structure: give outputs of single points or of dynamics"
        return ForeignFrame(where, reason="unreadable", detail=said)
    positions = np.array([row[1:] for row in rows], dtype=float)
    if any(row[0] not in atomic_numbers for row in rows):
        return ForeignFrame(where, reason="unreadable", detail="the table of atoms holds what is no element")
    frame = ForeignFrame(where, Atoms([row[0] for row in rows], positions, cell=cell, pbc=True))
    put_evaluation(frame, evaluations[0])
    return frame
