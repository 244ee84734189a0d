"""Measure what a label costs here: a probe of each liquid with the study's own engine and settings.

Of each liquid's box one frame is labelled from a cold start, then a second one near it, which starts from the
first as the frames of a chunk do. The plan's estimate is priced anew with both and printed beside what is only
assumed. The box is the packed one: the melt, which is the liquid's, is not there yet, and costs about the same.

Writes --out (JSON, as the plan's estimate.json) and prints the table. A probe without a label ends the task: a
study whose first frame fails should not be started.
"""

import json
import os
import sys
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms

from ionmelt import errors, task
from ionmelt.arguments import command_line
from ionmelt.errors import UserError
from ionmelt.files import read_json
from ionmelt.labels.settings import LabelSettings, read_label_settings
from ionmelt.labels.worker import OF_THE_MACHINE, Folders, Worker
from ionmelt.study.estimate import Estimate, Probe
from ionmelt.threads import limits

MOVED_A = 0.03  # standard deviation of each coordinate from the first probe to the second: a few fs of a melt
SEED = 1
REMEDIES = {
    "scf_not_converged": "the SCF does not converge: check functional, basis and cut-off",
    "net_force": "its forces do not sum to zero: the grid is too coarse, give a higher cut-off",
    "overlap": "atoms overlap in the packed box: give a lower density_guess_kg_m3",
}


def near(atoms: Atoms) -> Atoms:
    """Return a frame near another: every atom moved a little at random."""
    moved = atoms.copy()
    moved.positions += np.random.default_rng(SEED).normal(scale=MOVED_A, size=atoms.positions.shape)
    return moved


def probe(liquid: str, atoms: Atoms, settings: LabelSettings, threads: int, folders: Folders) -> Probe:
    """Return what two labels of a box took.

    Raises `UserError` where one of them fails, or the error of memory or disk where the machine is to blame.
    The first label includes the start of the engine, as the first of every chunk does.
    """
    taken = []
    worker = Worker(settings, threads, folders)
    try:
        for name, frame in (("its packed box", atoms), ("a frame near its packed box", near(atoms))):
            answer = worker.answer(frame)
            reason = answer.label.reason
            if reason in OF_THE_MACHINE:
                raise OF_THE_MACHINE[reason](f"{reason}: the probe of {liquid}, {name}")
            if reason is not None:
                said = REMEDIES.get(reason, "see the engine's own words above")
                raise UserError(f"labels: the probe of {liquid}, {name} of {len(atoms)} atoms: {reason}: {said}")
            taken.append(answer)
    finally:
        worker.close()
    cold, chained = taken
    return Probe(liquid, len(atoms), threads, cold.wall_s, chained.wall_s, str(chained.version))


def liquids_to_label(plan: Estimate) -> list[str]:
    """Return the liquids that an estimate has frames to label of; none without an engine, or with the user's own labels."""
    return [work.liquid for work in plan.labels if work.frames]


def estimate_labels(settings: LabelSettings, plan: Estimate, folders: Folders, threads: int) -> Estimate:
    """Do the work of the task: probe one box of each liquid that is labelled, and return the estimate as measured."""
    frames: dict[str, Atoms] = {}
    for box in sorted(folders.boxes):
        with errors.reading(box / "box.extxyz", "extended XYZ"):
            atoms = ase.io.read(box / "box.extxyz", format="extxyz")
        assert isinstance(atoms, Atoms)
        # as it is written: of a name like a number ASE makes one
        atoms.info["liquid"] = read_json(box / "topology.json")["liquid"]
        frames.setdefault(atoms.info["liquid"], atoms)  # replicas have the same ions
    probes = []
    for liquid in liquids_to_label(plan):
        print(f"probing {liquid}: {len(frames[liquid])} atoms", file=sys.stderr, flush=True)
        probes.append(probe(liquid, frames[liquid], settings, threads, folders))
    return plan.priced(probes)


def main(argv: list[str] | None = None) -> int:
    """Run the command line."""
    parser = command_line(__doc__, "--settings", "--threads")
    parser.add_argument("--id", default="estimate", help="key of the task (default: %(default)s)")
    parser.add_argument("--plan", required=True, type=Path, help="the plan: its estimate.json is priced anew")
    parser.add_argument("--boxes", required=True, type=Path, nargs="+", help="folders of the liquids' boxes")
    parser.add_argument("--model", type=Path, nargs="?", help="folder of the model, where the engine computes with one")
    parser.add_argument("--out", required=True, type=Path, help="file to write the estimate to (JSON)")
    parser.add_argument("--errors", type=Path, help="file to write mistakes to, one line each")
    args = parser.parse_args(argv)
    # Read by the engine's process when it loads its libraries.
    os.environ.update(limits(args.threads))

    def work() -> None:
        estimate = Estimate.read(args.plan / "estimate.json")
        if liquids_to_label(estimate):
            settings = read_label_settings(args.settings)
            try:
                estimate = estimate_labels(settings, estimate, Folders(sorted(args.boxes), args.model), args.threads)
            except UserError as error:
                if args.errors is not None:
                    args.errors.write_text("".join(f"{line}\n" for line in error.errors))
                raise
        args.out.write_text(json.dumps(estimate.content(), indent=2, sort_keys=True) + "\n")
        print(estimate.text())

    reads = [args.settings, args.plan, args.model, *args.boxes]
    return task.run("ESTIMATE_LABELS", work, task_id=args.id, reads=reads)
