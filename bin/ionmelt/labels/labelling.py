"""Label the frames of a chunk with energy, forces and stress from one electronic-structure engine.

Writes PREFIX.labelled.extxyz (the frames that have a usable label) and PREFIX.labels.parquet (a row for each
frame, with a reason code where there is no label), both in the order of the chunk. What the label store has is
taken from it, and every new label goes there at once: a task that is killed loses the frame in flight.

The other frames are labelled along a path through the chunk, each from the result of its neighbour. A share of
them, chosen by hash, is labelled again from a cold start. Where the two differ the frame has more than one
self-consistent solution, and nobody can say whether the lower of the two is the lowest: it gets no label
(``guess_dependent``), the frames before it in the chain are tried in the same way until one agrees, and the next
frame starts cold.

The engine runs in a process of its own: a frame that crashes or hangs it costs that frame. Retries change the
guess or the optimiser and never the level of theory.
"""

import ctypes
import importlib
import multiprocessing
import os
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from ase import Atoms
from ase.units import Bohr, Hartree, bar

from ionmelt import errors, files, task
from ionmelt.arguments import command_line
from ionmelt.errors import DiskFullError, UserError
from ionmelt.frame import (
    Label,
    overlaps,
    read_frames,
    set_label,
    shown,
    theory_id,
    theory_settings,
    values_problem,
    write_frames,
)
from ionmelt.labels.engines import ENGINES
from ionmelt.labels.store import Answer, Store, say
from ionmelt.tables.labels import LABELLED

# What a label may depend on its guess by, for each component of the forces and for the energy of the frame.
FORCE_TOLERANCE_EV_A = 1e-4 * Hartree / Bohr
ENERGY_TOLERANCE_EV = 1e-3
MAX_FRAME_S, SPOT_CHECK_FRACTION = 21_600.0, 0.02  # where the settings say nothing
WINDOW = 500  # frames that a neighbour is looked for among: the search costs frames times this
START_S = 600.0  # for an engine to load its libraries from a slow disk
PROGRESS_S = 30.0
# Reasons that lie with the machine: with more memory, or on another node, there might be a label.
OF_THE_MACHINE: dict[str, type[Exception]] = {
    "disk_full": DiskFullError,
    "out_of_memory": MemoryError,
    "engine_killed": MemoryError,  # by signal 9, as the kernel does it where memory is short
}
STORE_NOTE = "README.txt"  # lies in every store
FREE_LEAST = 1 << 20  # bytes: with less than this left, a failed engine most likely failed for that


# --- The order -----------------------------------------------------------------------------------------


def chain_order(frames: Sequence[Atoms]) -> list[int]:
    """Return an order of the frames in which each starts near the one before: a greedy path, the same every time.

    Frames of one sequence of elements follow each other; the first of them begins. The next is the nearest among the
    `WINDOW` frames that come first in the chunk and are left. The distance is the root mean square of the atoms'
    minimum-image displacements, in the mean cell, and of the difference of the cells.
    """
    families: dict[bytes, list[int]] = {}
    for index, atoms in enumerate(frames):
        families.setdefault(atoms.numbers.tobytes(), []).append(index)
    order = []
    for family in families.values():
        cells = np.array([frames[index].cell.array for index in family])
        scaled = np.array([frames[index].cell.scaled_positions(frames[index].positions) for index in family])
        mean_cell = cells.mean(axis=0)
        left = list(range(1, len(family)))
        path = [0]
        while left:
            near = left[:WINDOW]
            step = scaled[near] - scaled[path[-1]]
            moved = (step - np.round(step)) @ mean_cell
            strained = cells[near] - cells[path[-1]]
            distance = (moved**2).sum(axis=2).mean(axis=1) + (strained**2).sum(axis=(1, 2)) / 3
            path.append(left.pop(int(np.argmin(distance))))
        order += [family[place] for place in path]
    return order


def is_spot_check(atoms: Atoms, fraction: float) -> bool:
    """Tell whether a frame is one of those that are labelled twice: by its hash, so that every run agrees."""
    return int(atoms.info["frame_id"][:8], 16) < fraction * 16**8


# --- The engine, in a process of its own ---------------------------------------------------------------


def failed(reason: str, scf_steps: int | None = None) -> Label:
    """Return what stands for a label that there is not."""
    return Label(None, None, None, False, scf_steps=scf_steps, reason=reason)


def disk_is_full(error: Exception | None = None) -> bool:
    """Tell whether an error, or what is left where engines write, says that the disk is full."""
    said = isinstance(error, OSError) and error.errno in errors.DISK_ERRORS
    return said or shutil.disk_usage(".").free < FREE_LEAST


def serve(pipe: Connection, module: str, settings: Mapping[str, Any], threads: int, *boxes: Path) -> None:
    """Label the frames that come through a pipe until it closes (runs in the engine's process)."""
    os.setpgid(0, 0)  # so that the programs an engine starts can be ended along with it
    with suppress(OSError, AttributeError):  # Linux: this process ends when its parent is killed
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    try:
        with errors.reading(f"labels.engine: {module} cannot be loaded here"):
            engine = importlib.import_module(module).Engine(settings, threads, *boxes)
    except UserError as error:
        pipe.send(error.errors)
        return
    except Exception as error:  # of memory or disk
        memory = errors.blamed(error)[0] is errors.Exit.MEMORY
        pipe.send((MemoryError if memory else DiskFullError)(str(error)))
        return
    pipe.send(engine.version)
    while True:
        try:
            atoms, cold = pipe.recv()
        except EOFError:
            return
        try:
            label = engine.label(atoms, cold=cold)
        except UserError as error:
            pipe.send(error.errors)
            return
        except Exception as error:  # whatever an engine raises on one frame must cost one frame
            with suppress(OSError):
                traceback.print_exc()
            memory = errors.blamed(error)[0] is errors.Exit.MEMORY
            label = failed("out_of_memory" if memory else "disk_full" if disk_is_full(error) else "engine_error")
        if label.reason == "engine_error" and disk_is_full():  # which a program that the engine runs has met
            label.reason = "disk_full"
        pipe.send(label)


class Worker:
    """The engine in a process of its own, started when it is first needed and again after a crash.

    `boxes`: folders of the liquids' boxes, for an engine that computes with their force fields.
    """

    def __init__(self, module: str, settings: Mapping[str, Any], threads: int, *boxes: Path) -> None:
        self.arguments = (module, settings, threads, *boxes)
        self.max_frame_s = float(settings.get("max_frame_s", MAX_FRAME_S))
        self.process: SpawnProcess | None = None
        self.pipe: Connection | None = None
        self.version: str | None = None

    def answer(self, atoms: Atoms, cold: bool = False) -> Answer:
        """Return what the engine says of one frame; overlapping atoms are not shown to it."""
        if overlaps(atoms):
            return Answer(failed("overlap"), 0.0, self.version)
        if self.pipe is None:
            self.start()
        start = time.perf_counter()
        label = self.label(shown(atoms), cold)
        return Answer(checked(label, len(atoms)), round(time.perf_counter() - start, 3), self.version)

    def label(self, atoms: Atoms, cold: bool) -> Label:
        """Label one frame; ``engine_crashed`` or ``engine_killed`` if the process ended on it, ``engine_timeout`` if for it."""
        assert self.pipe is not None
        assert self.process is not None
        try:
            self.pipe.send((atoms, cold))
            if not self.pipe.poll(self.max_frame_s):
                self.close(at_once=True)
                return failed("engine_timeout")
            word = self.pipe.recv()
        except (EOFError, BrokenPipeError, ConnectionResetError):
            self.process.join(timeout=START_S)
            killed = self.process.exitcode == -signal.SIGKILL
            self.close(at_once=True)
            return failed("disk_full" if disk_is_full() else "engine_killed" if killed else "engine_crashed")
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
        if not self.pipe.poll(START_S):
            self.close(at_once=True)
            raise UserError(f"labels.engine: {self.arguments[0]} did not start within {START_S:g} s")
        try:
            word = self.pipe.recv()
        except EOFError:
            self.process.join(timeout=START_S)
            if self.process.exitcode == -signal.SIGKILL:
                raise MemoryError("engine_killed") from None
            raise UserError(f"labels.engine: {self.arguments[0]} did not start; its own words stand above") from None
        if isinstance(word, list | MemoryError | DiskFullError):
            self.close()
            raise UserError(*word) if isinstance(word, list) else word
        self.version = word

    def close(self, at_once: bool = False) -> None:
        """End the process, and the programs that it started."""
        if self.pipe is not None:
            self.pipe.close()
        if self.process is not None:
            self.process.join(timeout=0 if at_once else 30)
            assert self.process.pid is not None
            with suppress(ProcessLookupError, PermissionError):  # no such group: it ended before it made one
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.kill()
            self.process.join()
        self.pipe = self.process = None


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


# --- The chain -----------------------------------------------------------------------------------------


def compared(answer: Answer, cold: Label) -> Answer:
    """Return an answer with its differences from a cold start, and ``guess_dependent`` where they are too large.

    A cold start that does not converge says nothing about the label.
    """
    label = answer.label
    if cold.reason is not None or label.reason is not None:
        return answer
    assert label.energy_ev is not None
    assert cold.energy_ev is not None
    assert label.forces_ev_a is not None
    assert cold.forces_ev_a is not None
    energy = float(label.energy_ev - cold.energy_ev)
    force = float(np.abs(label.forces_ev_a - cold.forces_ev_a).max())
    if abs(energy) > ENERGY_TOLERANCE_EV or force > FORCE_TOLERANCE_EV_A:
        label = replace(label, reason="guess_dependent")
    return replace(answer, label=label, cold_energy_difference_ev=energy, cold_max_force_difference_ev_a=force)


def label_chain(frames: Sequence[Atoms], worker: Worker, fraction: float) -> Iterator[tuple[int, Answer]]:
    """Label frames along a chain and yield (index, answer); a later answer for a frame replaces the earlier.

    `fraction` of the frames are compared with a cold start. Of a frame that fails this the chain behind it is tried
    backwards until a frame agrees: up to there, every start was from a state that nothing vouches for.
    """
    chained: dict[int, Answer] = {}  # since the last label that is known not to come from its guess
    cut = False
    for index in chain_order(frames):
        answer = worker.answer(frames[index], cold=cut)
        cut = False
        if answer.label.reason is not None or answer.label.guess != "chained":
            yield index, answer
            if answer.label.reason is None:
                chained.clear()
            continue
        if is_spot_check(frames[index], fraction):
            answer = compared(answer, worker.answer(frames[index], cold=True).label)
        yield index, answer
        if answer.label.reason is not None:
            cut = True
            for earlier, before in reversed(chained.items()):
                again = compared(before, worker.answer(frames[earlier], cold=True).label)
                yield earlier, again
                if again.cold_max_force_difference_ev_a is not None and again.label.reason is None:
                    break
        if answer.cold_max_force_difference_ev_a is None:
            chained[index] = answer
        else:
            chained.clear()


class Progress:
    """A line to standard error every half a minute: how far the work is, and when it will be done."""

    def __init__(self, total: int) -> None:
        self.total, self.done, self.failed = total, 0, 0
        self.start = self.last = time.monotonic()

    def count(self, failed: bool) -> None:
        """Count a frame."""
        self.done += 1
        self.failed += failed
        now = time.monotonic()
        if now - self.last < PROGRESS_S or self.done == self.total:
            return
        self.last = now
        each = (now - self.start) / self.done
        left = each * (self.total - self.done) / 60
        say(
            f"{self.done} of {self.total} frames, {self.failed} without a label, {each:.3g} s each, {left:.1f} min left"
        )


# --- The task ------------------------------------------------------------------------------------------


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
        "equilibrated": atoms.info.get("equilibrated"),  # of frames of kind eq
        "n_atoms": len(atoms),
        "engine": engine,
        "engine_version": answer.version,
        "theory_id": theory,
        "converged": label.reason is None,
        "reason": label.reason,
        "has_stress": label.stress_ev_a3 is not None if label.reason is None else None,
        **{key: value for key, value in numbers.items() if np.isfinite(value)},
        "scf_steps": label.scf_steps,
        "guess": label.guess,
        "wall_s": answer.wall_s,
        "cold_energy_difference_ev": answer.cold_energy_difference_ev,
        "cold_max_force_difference_ev_a": answer.cold_max_force_difference_ev_a,
        "from_store": answer.from_store,
    }


def label_chunk(
    settings: Mapping[str, Any],
    frames: Sequence[Atoms],
    out: str,
    threads: int,
    store_root: Path | None = None,
    spare: Path | None = None,
    staged: Sequence[Path] = (),
    try_again: bool = False,
    boxes: Sequence[Path] = (),
) -> None:
    """Label frames and write the two files, the frames as they come; `store_root`, `spare` and `staged` are those of `Store`.

    `boxes` are those of `Worker`.
    Where the machine is to blame for a frame without a label, `try_again` raises that instead of a row with its reason.
    """
    engine = settings.get("engine")
    if engine not in ENGINES:
        raise UserError(f"labels.engine: {engine!r} is not known; use one of {', '.join(sorted(ENGINES))}")
    theory = settings.get("theory_id") or theory_id(theory_settings(settings))
    store = Store(store_root, theory, spare, staged)
    answers = {index: found for index, atoms in enumerate(frames) if (found := store.get(atoms))}
    left = [index for index in range(len(frames)) if index not in answers]
    progress = Progress(len(left))
    worker = Worker(ENGINES[engine].module, settings, threads, *boxes)
    fraction = float(settings.get("spot_check_fraction", SPOT_CHECK_FRACTION))
    try:
        for place, answer in label_chain([frames[index] for index in left], worker, fraction):
            index = left[place]
            atoms, reason = frames[index], answer.label.reason
            if reason is None:
                store.put(atoms, answer)
            else:
                say(f"frame {atoms.info['frame_id']}: no label: {reason}")
                if index in answers:
                    store.discard(atoms)
            if index not in answers:
                progress.count(reason is not None)
            answers[index] = answer
    except BaseException:
        worker.close(at_once=True)
        raise
    worker.close()
    reasons = {reason for answer in answers.values() if (reason := answer.label.reason) in OF_THE_MACHINE}
    for reason in sorted(reasons) if try_again else ():
        raise OF_THE_MACHINE[reason](f"{reason}; what was finished is in the label store, if there is one")
    rows, labelled = [], []
    for index, atoms in enumerate(frames):
        label = answers[index].label
        rows.append(row(atoms, answers[index], engine, theory))
        if label.reason is None:
            assert label.energy_ev is not None
            assert label.forces_ev_a is not None
            assert label.stress_ev_a3 is not None
            set_label(atoms, label.energy_ev, label.forces_ev_a, label.stress_ev_a3, theory, True, label.scf_steps)
            labelled.append(atoms)
    write_frames(f"{out}.labelled.extxyz", labelled)
    files.write_table(pl.DataFrame(rows, schema=LABELLED), Path(f"{out}.labels.parquet"))


def end(_signal: int, _frame: object) -> None:
    """End as the signal would have it, but through every `finally`: the engine's programs end as well."""
    sys.exit(128 + signal.SIGTERM)


def main(argv: list[str] | None = None) -> int:
    """Run the command line."""
    parser = command_line(__doc__, "--id", "--settings", "--threads")
    parser.add_argument("--frames", required=True, type=Path, help="the chunk (extended XYZ)")
    parser.add_argument("--out", required=True, help="prefix of the files written")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), help="instead of the device of the settings")
    parser.add_argument("--store", type=Path, help="the label store's README.txt, or a link to it (default: no store)")
    parser.add_argument(
        "--spare", type=Path, help="folder for new entries where the store is not to be seen or written"
    )
    parser.add_argument("--staged", type=Path, help="folder with entries copied from the store")
    parser.add_argument(
        "--boxes",
        type=Path,
        nargs="*",
        default=[],
        help="boxes of the liquids, where the engine computes with their force fields",
    )
    parser.add_argument(
        "--try-again", action="store_true", help="fail where memory or disk was too small for a frame (default: a row)"
    )
    args = parser.parse_args(argv)
    # Read by the engine's process when it loads its libraries.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(args.threads)

    def work() -> None:
        frames = read_frames(args.frames)
        note = args.store and args.store.resolve()
        store = note.parent if note and note.name == STORE_NOTE and note.exists() else None  # else it is a copy
        staged = sorted(args.staged.glob("*.json")) if args.staged else []
        settings = files.read_json(args.settings)
        if args.device:
            settings["device"] = args.device
        label_chunk(settings, frames, args.out, args.threads, store, args.spare, staged, args.try_again, args.boxes)

    return task.run("LABEL_FRAMES", work, task_id=args.id, reads=[args.settings, args.frames, *args.boxes])
