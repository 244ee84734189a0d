#!/usr/bin/env python3
"""Train a DeePMD model with DeePMD's own tool (dp --pt train, freeze, compress).

Writes the model folder --out: model_frozen.pth, model.pth (compressed: the same model with its embedding
nets tabulated, several times faster), curve.parquet (learning curve) and model.json (the model card). On a CPU the
same settings, seed, data and number of threads give the same model. Checkpoints are kept in --checkpoints; a
training that finds some there goes on from the last.
"""

import argparse
import json
import math
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.neighborlist import neighbor_list

import il_task
from il_training import environment, read_inputs, run_tool, write_card, write_curve

# The learning rate falls by this factor, exponentially, over the training; the weights of the loss go with it.
FINAL_LEARNING_RATE = 0.002
PRECISION = "float32"
# Room for more neighbours than any training frame has: MD meets denser boxes. DeePMD drops neighbours beyond it.
NEIGHBOUR_MARGIN = 1.25
# The commands of dp, one after another in one process: to import DeePMD takes longer than to freeze and compress.
DP = """
import json, sys
from deepmd.main import main
for command in json.loads(sys.argv[1]):
    main(["--pt", *command])
"""
DISPLAYS = 40  # points of the learning curve
CHECKPOINTS = 10
UNITS = {
    "rmse": ("loss", "1"),
    "rmse_e": ("energy_per_atom_rmse", "eV"),
    "rmse_f": ("force_rmse", "eV/A"),
    "rmse_v": ("virial_per_atom_rmse", "eV"),
}


def read_systems(folder: Path) -> Iterator[Atoms]:
    """Yield the structures of DeePMD systems (numbers are indices of the type map)."""
    for system in sorted(path.parent for path in folder.glob("*/type.raw")):
        types = np.loadtxt(system / "type.raw", dtype=int, ndmin=1)
        coordinates, boxes = (np.load(system / "set.000" / f"{name}.npy") for name in ("coord", "box"))
        for positions, cell in zip(coordinates, boxes, strict=True):
            yield Atoms(numbers=types, positions=positions.reshape(-1, 3), cell=cell.reshape(3, 3), pbc=True)


def most_neighbours(frames: Iterator[Atoms], n_types: int, rcut_A: float) -> list[int]:
    """Return, for each type, the largest number of neighbours of that type within the cut-off of any atom."""
    most = np.zeros(n_types, dtype=int)
    for atoms in frames:
        centre, other = neighbor_list("ij", atoms, rcut_A)
        counts = np.zeros((len(atoms), n_types), dtype=int)
        np.add.at(counts, (centre, atoms.numbers[other]), 1)
        most = np.maximum(most, counts.max(axis=0))
    return [int(count) for count in most]


def tool_input(settings: dict[str, Any], data: dict[str, Any], folder: Path, checkpoint: Path) -> dict[str, Any]:
    """Return DeePMD's input for the settings of a study.

    The reference energies of the elements are those of the dataset, as MACE has them.
    """
    type_map, steps, seed = data["type_map"], settings["steps"], settings["seed"]
    most = most_neighbours(read_systems(folder / "train"), len(type_map), settings["rcut_A"])
    sel = [max(4, 4 * math.ceil(NEIGHBOUR_MARGIN * count / 4)) for count in most]

    def systems(part: str) -> list[str]:
        return sorted(str(path.parent) for path in (folder / part).glob("*/type.raw"))

    return {
        "model": {
            "type_map": type_map,
            "descriptor": {
                "type": settings["descriptor"],
                "rcut": settings["rcut_A"],
                "rcut_smth": settings["rcut_smth_A"],
                "sel": sel,
                "neuron": settings["neurons"],
                "axis_neuron": settings["axis_neurons"],
                "type_one_side": True,
                "precision": PRECISION,
                "seed": seed,
            },
            "fitting_net": {"neuron": settings["fitting_neurons"], "precision": PRECISION, "seed": seed},
            "preset_out_bias": {"energy": [data["e0s_ev"].get(symbol, 0.0) for symbol in type_map]},
        },
        "learning_rate": {
            "type": "exp",
            "start_lr": settings["learning_rate"],
            "stop_lr": settings["learning_rate"] * FINAL_LEARNING_RATE,
            "decay_steps": max(1, steps // 200),
        },
        "loss": {
            "type": "ener",
            **{f"{end}_pref_{q}": settings[f"{end}_pref_{q}"] for q in "efv" for end in ("start", "limit")},
        },
        "training": {
            "training_data": {"systems": systems("train"), "batch_size": settings["batch_size"]},
            "validation_data": {"systems": systems("valid"), "batch_size": settings["batch_size"], "numb_btch": 4},
            "numb_steps": steps,
            "seed": seed,
            "disp_file": str(checkpoint.with_name("lcurve.out")),
            "disp_freq": max(1, steps // DISPLAYS),
            "save_freq": max(1, steps // CHECKPOINTS),
            "max_ckpt_keep": 2,
            "save_ckpt": str(checkpoint),
        },
    }


def curve(lcurve: Path) -> Iterator[tuple[int, str, str, float, str]]:
    """Yield the learning curve (step, set, quantity, value, unit) from DeePMD's lcurve.out.

    The errors are those of a batch or a few, as DeePMD prints them.
    """
    lines = lcurve.read_text().splitlines()
    names = lines[0].lstrip("# ").split()
    # A training that was taken up again appends to the file: the last word on a step counts.
    rows = {int(line.split()[0]): line.split() for line in lines[1:] if not line.startswith("#")}
    for step, row in sorted(rows.items()):
        for name, value in zip(names[1:], row[1:], strict=True):
            base, _, part = name.rpartition("_")
            if base in UNITS:
                quantity, unit = UNITS[base]
                yield step, {"trn": "train", "val": "valid"}[part], quantity, float(value), unit


def train(args: argparse.Namespace) -> None:
    """Do the work of the task: train in a scratch folder, then write the model folder."""
    start = time.perf_counter()
    il_task.check_device(args.device)
    settings, data = read_inputs(args.settings, args.summary)
    scratch = Path("training").resolve()
    scratch.mkdir(parents=True, exist_ok=True)
    args.checkpoints.mkdir(parents=True, exist_ok=True)
    checkpoint = args.checkpoints.resolve() / "model.ckpt"
    tool = tool_input(settings, data, args.dataset.resolve() / "deepmd", checkpoint)
    (scratch / "input.json").write_text(json.dumps(tool, indent=2) + "\n")
    env = environment(args.threads) | {
        "DP_INTRA_OP_PARALLELISM_THREADS": str(args.threads),
        "DP_INTER_OP_PARALLELISM_THREADS": "1",
        "NUM_WORKERS": "0",  # loader processes would share the few cores, and the small data are in memory
    }
    if args.device == "cpu":
        env["DEVICE"] = "cpu"

    last = checkpoint.with_name("model.ckpt.pt")
    commands = [
        ["train", "input.json", *(["--restart", str(last)] if last.exists() else [])],
        ["freeze", "-c", str(last), "-o", "model_frozen.pth"],
        ["compress", "-i", "model_frozen.pth", "-o", "model.pth"],
    ]
    run_tool(
        "dp --pt", [sys.executable, "-c", DP, json.dumps(commands)], env, scratch, lambda line: " val: rmse" in line
    )
    args.out.mkdir(parents=True, exist_ok=True)
    for name in ("model_frozen.pth", "model.pth"):
        shutil.copyfile(scratch / name, args.out / name)
    write_curve(args.out / "curve.parquet", settings["id"], curve(checkpoint.with_name("lcurve.out")))
    cost = {"wall_s": round(time.perf_counter() - start, 1), "threads": args.threads, "device": args.device}
    files = ["model_frozen.pth", "model.pth"]
    write_card(args.out, settings, data, files, settings["rcut_A"], il_task.versions(), cost)


def main(argv: list[str] | None = None) -> int:
    """Read the command line and run the task."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--id", required=True, help="key of the model")
    parser.add_argument("--settings", type=Path, required=True, metavar="models/KEY.json", help="settings of the plan")
    parser.add_argument(
        "--dataset", type=Path, required=True, help="folder of the dataset, with deepmd/train and valid"
    )
    parser.add_argument("--summary", type=Path, required=True, metavar="dataset.json", help="what the split wrote")
    parser.add_argument("--out", type=Path, required=True, help="model folder to write")
    parser.add_argument("--checkpoints", type=Path, default=Path("checkpoints"), help="default: %(default)s")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (default: %(default)s)")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="default: %(default)s")
    args = parser.parse_args(argv)
    return il_task.run("TRAIN_DEEPMD", lambda: train(args), task_id=args.id)


if __name__ == "__main__":
    sys.exit(main())
