"""Of the frames that explorations found worth a label, choose those to label: the physical ones that add most.

Candidates of all committees of a liquid compete. Left out are those with stretched bonds or ions in each other
(`ionmelt.frames.refusal`), and those that say again what a training frame says; of the others those are taken that lie
farthest from the training frames and from each other (`selection`), walk by walk.

Writes, under --out: NAME.extxyz (a chunk to label: what earlier rounds chose, whose labels the label store has, and the new
ones; none where nothing is there), NAME.txt (its frame ids) and NAME.sampling.parquet (a row of the table of recipes).
"""

from pathlib import Path

from ase import Atoms

from ionmelt import files, task
from ionmelt.arguments import command_line
from ionmelt.frame import LABEL_KEYS
from ionmelt.frame_file import read_frames
from ionmelt.frames import selection
from ionmelt.frames.counts import RecipeCount, table_of
from ionmelt.frames.refusal import refusal
from ionmelt.frames.sampling import write_chunk
from ionmelt.frames.settings import ChooseSettings
from ionmelt.topology import Topology

POOL_MOST = 400  # candidates that are described, evenly over all: their descriptors are held in memory
RECIPE = "active"


def choose(
    candidates: list[Atoms], trained: list[Atoms], topology: Topology, wanted: int, count: RecipeCount
) -> list[Atoms]:
    """Return the frames to label, in the order of their walks; count those refused. `trained` are frames that models saw."""
    seen = {frame.info["frame_id"] for frame in trained}
    good = []
    for frame in sorted(candidates, key=lambda f: f.info["group"]):  # stable: in the order of time within a walk
        reason = "duplicate" if frame.info["frame_id"] in seen else refusal(frame, topology)
        seen.add(frame.info["frame_id"])
        if reason:
            count.refuse(reason)
        else:
            good.append(frame)
    step = max(1, -(-len(good) // POOL_MOST))
    pool = good[::step]
    if not pool:
        return []
    x = selection.descriptors(trained + pool)
    groups = [""] * len(trained) + [frame.info["group"] for frame in pool]
    rows = selection.farthest_points(x, groups, wanted, taken=range(len(trained)))
    return [(trained + pool)[row] for row in sorted(rows)]


def choose_frames(
    settings: ChooseSettings, candidates: list[Path], labelled: list[Path], state: Path, out: Path
) -> None:
    """Do the work of the task: read, choose, write."""
    topology = Topology.load(state / "topology.json")
    offered = [frame for path in sorted(candidates) for frame in read_frames(path)]
    by_id: dict[str, Atoms] = {}
    for path in sorted(labelled):
        frames = read_frames(path, labelled=True)
        by_id |= {frame.info["frame_id"]: frame for frame in frames if frame.info["liquid"] == settings.liquid}
    trained = [by_id[key] for key in sorted(by_id)]
    before = [unlabelled(frame) for frame in trained if frame.info["kind"] == RECIPE]
    count = RecipeCount(settings.liquid, RECIPE, RECIPE, requested=len(before) + settings.frames)
    new = choose(offered, trained, topology, settings.frames, count)
    count.kept, count.offered = len(before) + len(new), len(before) + len(offered)
    out.mkdir(parents=True, exist_ok=True)
    files.write_table(table_of([count]), out / f"{settings.id}.sampling.parquet")
    if before or new:
        write_chunk(out, settings.id, before + new)


def unlabelled(frame: Atoms) -> Atoms:
    """Return a labelled frame as it was before it had a label."""
    bare = Atoms(frame.numbers, frame.positions, cell=frame.cell, pbc=True)
    bare.info = {name: value for name, value in frame.info.items() if name not in LABEL_KEYS}
    for name in ("molecule", "ion"):
        bare.arrays[name] = frame.arrays[name]
    return bare


def main(argv: list[str] | None = None) -> int:
    """Run the command line."""
    parser = command_line(__doc__, "--id", "--settings", "--out")
    parser.add_argument("--candidates", required=True, nargs="*", type=Path, help="frames that explorations offer")
    parser.add_argument("--labelled", required=True, nargs="+", type=Path, help="labelled training frames of before")
    parser.add_argument("--state", required=True, type=Path, help="a state folder of the liquid")
    args = parser.parse_args(argv)

    def work() -> None:
        choose_frames(ChooseSettings.read(args.settings), args.candidates, args.labelled, args.state, args.out)

    reads = [args.settings, *args.candidates, *args.labelled, args.state]
    return task.run("CHOOSE_FRAMES", work, task_id=args.id, reads=reads)
