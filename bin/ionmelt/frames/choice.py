"""Of the frames that explorations found worth a label, choose those to label: the physical ones that add most.

Candidates of all committees of a liquid compete. Left out are those with stretched bonds or ions in each other
(`sample_frames.refusal`), and those that say again what a training frame says; of the others those are taken that lie
farthest from the training frames and from each other (`selection`), walk by walk.

Writes, under --out: NAME.extxyz (a chunk to label: what earlier rounds chose, whose labels the label store has, and the new
ones; none where nothing is there), NAME.txt (its frame ids) and NAME.sampling.parquet (a row of the table of recipes).
"""

import argparse
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
from ase import Atoms

from ionmelt import files, task
from ionmelt.frame import LABEL_KEYS, read_frames
from ionmelt.frames import selection
from ionmelt.frames.sampling import refusal, write_chunk
from ionmelt.tables.frames import SAMPLING
from ionmelt.topology import Topology

POOL_MOST = 400  # candidates that are described, evenly over all: their descriptors are held in memory
RECIPE = "active"


def choose(
    candidates: list[Atoms], known: list[Atoms], topology: Topology, wanted: int
) -> tuple[list[Atoms], dict[str, int]]:
    """Return the frames to label, in the order of their walks, and how many candidates were refused, by reason."""
    seen = {frame.info["frame_id"] for frame in known}
    counts: Counter[str] = Counter()
    good = []
    for frame in sorted(candidates, key=lambda f: f.info["group"]):  # stable: in the order of time within a walk
        reason = "duplicate" if frame.info["frame_id"] in seen else refusal(frame, topology)
        seen.add(frame.info["frame_id"])
        if reason:
            counts[reason] += 1
        else:
            good.append(frame)
    step = max(1, -(-len(good) // POOL_MOST))
    pool = good[::step]
    refused = {f"refused_{reason}": counts[reason] for reason in ("duplicate", "contact", "bond")}
    if not pool:
        return [], refused
    x = selection.descriptors(known + pool)
    groups = [""] * len(known) + [frame.info["group"] for frame in pool]
    rows = selection.farthest_points(x, groups, wanted, taken=range(len(known)))
    return [(known + pool)[row] for row in sorted(rows)], refused


def choose_frames(settings: dict[str, Any], candidates: list[Path], known: list[Path], state: Path, out: Path) -> None:
    """Do the work of the task: read, choose, write."""
    liquid, name = settings["liquid"], settings["id"]
    topology = Topology.load(state / "topology.json")
    offered = [frame for path in sorted(candidates) for frame in read_frames(path)]
    trained: dict[str, Atoms] = {}
    for path in sorted(known):
        trained |= {f.info["frame_id"]: f for f in read_frames(path, labelled=True) if f.info["liquid"] == liquid}
    labelled = [trained[key] for key in sorted(trained)]
    before = [unlabelled(frame) for frame in labelled if frame.info["kind"] == RECIPE]
    new, refused = choose(offered, labelled, topology, settings["frames"])
    out.mkdir(parents=True, exist_ok=True)
    row = {"liquid": liquid, "recipe": RECIPE, "kind": RECIPE, "requested": len(before) + settings["frames"]}
    row |= {"kept": len(before) + len(new), "offered": len(before) + len(offered), **refused}
    files.write_table(pl.DataFrame([row], schema=SAMPLING), out / f"{name}.sampling.parquet")
    if before or new:
        write_chunk(out, name, before + new)


def unlabelled(frame: Atoms) -> Atoms:
    """Return a labelled frame as it was before it had a label."""
    bare = Atoms(frame.numbers, frame.positions, cell=frame.cell, pbc=True)
    bare.info = {name: value for name, value in frame.info.items() if name not in LABEL_KEYS}
    for name in ("molecule", "ion"):
        bare.arrays[name] = frame.arrays[name]
    return bare


def main(argv: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--id", required=True, help="key of this task")
    parser.add_argument("--settings", required=True, type=Path, help="choose/NAME.json of the plan")
    parser.add_argument("--candidates", required=True, nargs="*", type=Path, help="frames that explorations offer")
    parser.add_argument("--known", required=True, nargs="+", type=Path, help="labelled training frames of before")
    parser.add_argument("--state", required=True, type=Path, help="a state folder of the liquid")
    parser.add_argument("--out", required=True, type=Path, help="folder to write to")
    args = parser.parse_args(argv)

    def work() -> None:
        choose_frames(files.read_json(args.settings), args.candidates, args.known, args.state, args.out)

    reads = [args.settings, *args.candidates, *args.known, args.state]
    return task.run("CHOOSE_FRAMES", work, task_id=args.id, reads=reads)
