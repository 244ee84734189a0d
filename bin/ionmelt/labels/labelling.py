"""Label the frames of a chunk with energy, forces and stress from one electronic-structure engine.

Writes PREFIX.labelled.extxyz (the frames that have a usable label) and PREFIX.labels.parquet (a row for each
frame, with a reason code where there is no label), both in the order of the chunk. What the label store has is
taken from it, and every new label goes there at once: a task that is killed loses the frame in flight.

The other frames are labelled along a path through the chunk, each from the result of its neighbour, and a share of
them again from a cold start (`chain`). The engine runs in a process of its own (`worker`).
Retries change the guess or the optimiser and never the level of theory.
"""

import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from ase import Atoms
from ase.units import bar

from ionmelt import files, task
from ionmelt.arguments import command_line
from ionmelt.frame import IDENTITY_KEYS, set_label
from ionmelt.frame_file import read_frames, write_frames
from ionmelt.labels.chain import label_chain
from ionmelt.labels.progress import Progress
from ionmelt.labels.settings import LabelSettings, read_label_settings
from ionmelt.labels.store import Store
from ionmelt.labels.store_entry import Answer
from ionmelt.labels.worker import OF_THE_MACHINE, Folders, Worker
from ionmelt.screen import say
from ionmelt.tables.labels import LABELLED
from ionmelt.threads import limits

STORE_NOTE = "README.txt"  # lies in every store


@dataclass
class LabelRow:
    """The row of a frame in the table of labels: columns of `LABELLED`; its pressure has no kinetic part."""

    frame_id: str
    liquid: str
    kind: str
    recipe: str
    group: str
    equilibrated: bool | None  # of frames of kind eq
    n_atoms: int
    engine: str
    engine_version: str | None
    theory_id: str
    converged: bool
    reason: str | None
    has_stress: bool | None
    scf_steps: int | None
    guess: str | None
    wall_s: float
    cold_energy_difference_ev: float | None
    cold_max_force_difference_ev_a: float | None
    from_store: bool
    energy_ev: float | None = None
    max_force_ev_a: float | None = None
    net_force_ev_a: float | None = None
    pressure_bar: float | None = None


def row_of(atoms: Atoms, answer: Answer, engine: str, theory: str) -> LabelRow:
    """Return the row of a frame; numbers that are not finite are left out."""
    label = answer.label
    row = LabelRow(
        **{key: atoms.info[key] for key in IDENTITY_KEYS},
        equilibrated=atoms.info.get("equilibrated"),
        n_atoms=len(atoms),
        engine=engine,
        engine_version=answer.version,
        theory_id=theory,
        converged=label.reason is None,
        reason=label.reason,
        has_stress=label.stress_ev_a3 is not None if label.reason is None else None,
        scf_steps=label.scf_steps,
        guess=label.guess,
        wall_s=answer.wall_s,
        cold_energy_difference_ev=answer.cold_energy_difference_ev,
        cold_max_force_difference_ev_a=answer.cold_max_force_difference_ev_a,
        from_store=answer.from_store,
    )
    if label.energy_ev is not None and label.forces_ev_a is not None and label.stress_ev_a3 is not None:
        row.energy_ev = finite(label.energy_ev)
        row.max_force_ev_a = finite(np.linalg.norm(label.forces_ev_a, axis=-1).max())
        row.net_force_ev_a = finite(np.linalg.norm(np.sum(label.forces_ev_a, axis=0)))
        row.pressure_bar = finite(-np.trace(label.stress_ev_a3) / 3 / bar)
    return row


def finite(value: float | np.floating[Any]) -> float | None:
    """Return a number, None where it is not finite."""
    return float(value) if np.isfinite(value) else None


def label_left(
    frames: Sequence[Atoms], answers: dict[int, Answer], worker: Worker, fraction: float, store: Store
) -> None:
    """Label those frames that have no answer yet, and put their answers into `answers` and the store."""
    left = [index for index in range(len(frames)) if index not in answers]
    progress = Progress(len(left))
    for number, answer in label_chain([frames[index] for index in left], worker, fraction):
        index = left[number]
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


def label_chunk(
    settings: LabelSettings,
    frames: Sequence[Atoms],
    out: str,
    threads: int,
    store: Store,
    try_again: bool = False,
    folders: Folders | None = None,
) -> None:
    """Label frames and write the two files, the frames as they come.

    Where the machine is to blame for a frame without a label, `try_again` raises that instead of a row with its reason.
    """
    answers = {index: answer for index, atoms in enumerate(frames) if (answer := store.get(atoms))}
    worker = Worker(settings, threads, folders)
    try:
        label_left(frames, answers, worker, settings.spot_check_fraction, store)
    except BaseException:
        worker.close(at_once=True)
        raise
    finally:
        store.close()
    worker.close()
    reasons = {reason for answer in answers.values() if (reason := answer.label.reason) in OF_THE_MACHINE}
    for reason in sorted(reasons) if try_again else ():
        raise OF_THE_MACHINE[reason](f"{reason}; what was finished is in the label store, if there is one")
    write_labels(settings, frames, answers, out)


def write_labels(settings: LabelSettings, frames: Sequence[Atoms], answers: Mapping[int, Answer], out: str) -> None:
    """Write the frames that have a usable label, and a row for each frame, in their order."""
    rows, labelled = [], []
    for index, atoms in enumerate(frames):
        label = answers[index].label
        rows.append(vars(row_of(atoms, answers[index], settings.engine, settings.theory_id)))
        if label.reason is None:
            assert label.energy_ev is not None
            assert label.forces_ev_a is not None
            set_label(
                atoms, label.energy_ev, label.forces_ev_a, label.stress_ev_a3, settings.theory_id, True, label.scf_steps
            )
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
    parser.add_argument("--staged", type=Path, help="folder with shards copied from the store")
    parser.add_argument(
        "--boxes",
        type=Path,
        nargs="*",
        default=[],
        help="boxes of the liquids, where the engine computes with their force fields",
    )
    parser.add_argument("--model", type=Path, help="folder of the model, where the engine computes with one")
    parser.add_argument(
        "--try-again", action="store_true", help="fail where memory or disk was too small for a frame (default: a row)"
    )
    args = parser.parse_args(argv)
    # Read by the engine's process when it loads its libraries.
    os.environ.update(limits(args.threads))

    def work() -> None:
        settings = read_label_settings(args.settings)
        frames = read_frames(args.frames)
        note = args.store and args.store.resolve()
        folder = note.parent if note and note.name == STORE_NOTE and note.exists() else None  # else it is a copy
        if args.device:
            settings = settings.on(args.device)
        store = Store(folder, settings.theory_id, args.spare, args.staged)
        label_chunk(settings, frames, args.out, args.threads, store, args.try_again, Folders(args.boxes, args.model))

    reads = [args.settings, args.frames, args.model, *args.boxes]
    return task.run("LABEL_FRAMES", work, task_id=args.id, reads=reads)
