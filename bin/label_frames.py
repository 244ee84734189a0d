#!/usr/bin/env python3
"""Label the frames of a chunk with energy, forces and stress from one electronic-structure engine.

Writes PREFIX.labelled.extxyz (the frames that have a usable label) and PREFIX.labels.parquet (a row for each
frame, with a reason code where there is no label). The engine runs in a process of its own: a frame that
crashes it costs that frame. Retries change the guess or the optimiser and never the level of theory.
"""

import argparse
import importlib
import json
import multiprocessing
import os
import sys
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from ase import Atoms
from ase.units import bar

import il_task
from il_frames import (
    Label,
    overlaps,
    read_frames,
    set_label,
    theory_id,
    theory_settings,
    values_problem,
    write_frames,
)
from il_task import UserError

# Name in a study -> module with a class Engine(settings, threads) that has `version` and `label(atoms)`.
ENGINES = {"xtb": "il_engine_xtb", "cp2k": "il_engine_cp2k"}

SCHEMA = {
    "frame_id": pl.String,
    "liquid": pl.String,
    "kind": pl.String,
    "recipe": pl.String,
    "group": pl.String,
    "n_atoms": pl.Int64,
    "engine": pl.String,
    "engine_version": pl.String,
    "theory_id": pl.String,
    "converged": pl.Boolean,
    "reason": pl.String,
    "energy_ev": pl.Float64,
    "max_force_ev_a": pl.Float64,
    "net_force_ev_a": pl.Float64,
    "pressure_bar": pl.Float64,
    "scf_steps": pl.Int64,
    "wall_s": pl.Float64,
}


@dataclass
class Answer:
    """What the engine's process says of one frame, how long it took and which version said so."""

    label: Label
    wall_s: float
    version: str | None


def serve(pipe: Connection, module: str, settings: Mapping[str, Any], threads: int) -> None:
    """Label the frames that come through a pipe until it closes (runs in the engine's process)."""
    try:
        engine = importlib.import_module(module).Engine(settings, threads)
    except UserError as error:
        pipe.send(error.errors)
        return
    except ImportError as error:
        pipe.send([f"labels.engine: {module} cannot be loaded here: {error}"])
        return
    pipe.send(engine.version)
    while True:
        try:
            atoms = pipe.recv()
        except EOFError:
            return
        try:
            label = engine.label(atoms)
        except UserError as error:
            pipe.send(error.errors)
            return
        except Exception:  # whatever an engine raises on one frame must cost one frame
            traceback.print_exc()
            label = Label(None, None, None, False, reason="engine_error")
        pipe.send(label)


class Worker:
    """The engine in a process of its own, started when it is first needed and again after a crash."""

    def __init__(self, module: str, settings: Mapping[str, Any], threads: int) -> None:
        self.arguments = (module, settings, threads)
        self.process: SpawnProcess | None = None
        self.pipe: Connection | None = None
        self.version: str | None = None

    def label(self, atoms: Atoms) -> Label:
        """Label one frame; reason ``engine_crashed`` if the process ended on it."""
        try:
            if self.pipe is None:
                self.start()
            assert self.pipe is not None
            self.pipe.send(atoms)
            word = self.pipe.recv()
        except (EOFError, BrokenPipeError, ConnectionResetError):
            self.close()
            return Label(None, None, None, False, reason="engine_crashed")
        if isinstance(word, list):
            raise UserError(*word)
        return word

    def start(self) -> None:
        """Start the process; a mistake in the settings that the engine finds is raised here."""
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(theirs, *self.arguments), daemon=True)
        self.process.start()
        theirs.close()
        try:
            word = self.pipe.recv()
        except EOFError:
            raise RuntimeError(f"{self.arguments[0]} did not start; its own words stand above") from None
        if isinstance(word, list):
            self.close()
            raise UserError(*word)
        self.version = word

    def close(self) -> None:
        """End the process."""
        if self.pipe is not None:
            self.pipe.close()
        if self.process is not None:
            self.process.join(timeout=30)
            if self.process.is_alive():
                self.process.kill()
                self.process.join()
        self.pipe = self.process = None


def answers(frames: Sequence[Atoms], module: str, settings: Mapping[str, Any], threads: int) -> Iterator[Answer]:
    """Yield what the engine says of each frame, in order; overlapping atoms are not shown to it."""
    worker = Worker(module, settings, threads)
    try:
        for atoms in frames:
            start = time.perf_counter()
            if overlaps(atoms):
                label = Label(None, None, None, False, reason="overlap")
            else:
                bare = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
                label = worker.label(bare)
            yield Answer(checked(label, len(atoms)), time.perf_counter() - start, worker.version)
    finally:
        worker.close()


def checked(label: Label, n_atoms: int) -> Label:
    """Return a label with the reason why its numbers cannot be used, if there is one."""
    if label.reason is None:
        if not label.converged:
            label.reason = "scf_not_converged"
        elif label.energy_ev is None or label.forces_ev_a is None or label.stress_ev_a3 is None:
            label.reason = "non_finite"
        else:
            label.reason = values_problem(label.energy_ev, label.forces_ev_a, label.stress_ev_a3, n_atoms)
    return label


def row(atoms: Atoms, answer: Answer, engine: str, theory: str) -> dict[str, Any]:
    """Return the row of a frame in the table of labels; its pressure has no kinetic part."""
    label = answer.label
    numbers: dict[str, float] = {}
    if label.energy_ev is not None and label.forces_ev_a is not None and label.stress_ev_a3 is not None:
        numbers = {
            "energy_ev": float(label.energy_ev),
            "max_force_ev_a": float(np.linalg.norm(label.forces_ev_a, axis=-1).max()),
            "net_force_ev_a": float(np.linalg.norm(np.sum(label.forces_ev_a, axis=0))),
            "pressure_bar": float(-np.trace(label.stress_ev_a3) / 3 / bar),
        }
    return {
        **{key: atoms.info[key] for key in ("frame_id", "liquid", "kind", "recipe", "group")},
        "n_atoms": len(atoms),
        "engine": engine,
        "engine_version": answer.version,
        "theory_id": theory,
        "converged": label.reason is None,
        "reason": label.reason,
        **{key: value for key, value in numbers.items() if np.isfinite(value)},
        "scf_steps": label.scf_steps,
        "wall_s": round(answer.wall_s, 3),
    }


def label_chunk(settings: Mapping[str, Any], frames: Sequence[Atoms], out: str, threads: int) -> None:
    """Label frames and write the two files, the frames as they come."""
    engine = settings.get("engine")
    if engine not in ENGINES:
        raise UserError(f"labels.engine: {engine!r} is not known; use one of {', '.join(sorted(ENGINES))}")
    theory = settings.get("theory_id") or theory_id(theory_settings(settings))
    write_frames(f"{out}.labelled.extxyz", [])
    rows = []
    for atoms, answer in zip(frames, answers(frames, ENGINES[engine], settings, threads), strict=True):
        label = answer.label
        rows.append(row(atoms, answer, engine, theory))
        if label.reason is not None:
            print(f"frame {atoms.info['frame_id']}: no label: {label.reason}", file=sys.stderr)
            continue
        assert label.energy_ev is not None
        assert label.forces_ev_a is not None
        assert label.stress_ev_a3 is not None
        set_label(atoms, label.energy_ev, label.forces_ev_a, label.stress_ev_a3, theory, True, label.scf_steps)
        write_frames(f"{out}.labelled.extxyz", [atoms], append=True)
    pl.DataFrame(rows, schema=SCHEMA).write_parquet(f"{out}.labels.parquet")


def main(argv: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--id", required=True, help="key of this task")
    parser.add_argument("--settings", required=True, type=Path, help="labels.json of the plan")
    parser.add_argument("--frames", required=True, type=Path, help="the chunk (extended XYZ)")
    parser.add_argument("--out", required=True, help="prefix of the files written")
    parser.add_argument("--threads", type=int, default=1, help="threads of the engine (default: 1)")
    args = parser.parse_args(argv)
    # Read by the engine's process when it loads its libraries.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(args.threads)

    def work() -> None:
        label_chunk(json.loads(args.settings.read_text()), read_frames(args.frames), args.out, args.threads)

    return il_task.run("LABEL_FRAMES", work, task_id=args.id)


if __name__ == "__main__":
    sys.exit(main())
