#!/usr/bin/env python3
"""Train a MACE model with MACE's own tool, mace_run_train.

Writes the model folder --out: model.pt (loads on a CPU), curve.parquet (learning curve) and model.json (the
model card). On a CPU the same settings, seed, data and number of threads give the same model. Checkpoints are kept in
--checkpoints; a training that finds some there goes on from the best of them.
"""

import argparse
import json
import shutil
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from ase.data import atomic_numbers

import il_task
from il_training import environment, read_inputs, run_tool, write_card, write_curve

# The learning rate falls by this factor, exponentially, over the training: most of the accuracy of a short one comes late.
FINAL_LEARNING_RATE = 0.02
EMA_DECAY = 0.99
# What MACE calls the errors, what the curve calls them, and their unit.
ERRORS = {
    "loss": ("loss", "1"),
    "rmse_e_per_atom": ("energy_per_atom_rmse", "eV"),
    "rmse_f": ("force_rmse", "eV/A"),
    "rmse_stress": ("stress_rmse", "eV/A^3"),
}


def count_frames(path: Path) -> int:
    """Return the number of frames of an extended XYZ file."""
    with path.open() as file:
        return sum("Properties=" in line for line in file)


def tool_arguments(
    settings: dict[str, Any], data: dict[str, Any], folder: Path, checkpoints: Path, batch: int, device: str
) -> list[str]:
    """Return the arguments of mace_run_train for the settings of a study and a number of frames in a batch."""
    e0s = {atomic_numbers[symbol]: energy for symbol, energy in sorted(data["e0s_ev"].items())}
    epochs = settings["epochs"]
    values = {
        "name": "model",
        "seed": settings["seed"],
        "device": device,
        "default_dtype": settings["dtype"],
        "train_file": folder / "train.extxyz",
        "valid_file": folder / "valid.extxyz",
        "energy_key": "REF_energy",
        "forces_key": "REF_forces",
        "stress_key": "REF_stress",
        "E0s": json.dumps(e0s).replace('"', ""),
        "num_channels": settings["channels"],
        "max_L": settings["max_L"],
        "max_ell": settings["max_ell"],
        "r_max": settings["r_max_A"],
        "num_interactions": settings["interactions"],
        "correlation": settings["correlation"],
        "max_num_epochs": epochs,
        "batch_size": batch,
        "valid_batch_size": batch,
        "lr": settings["learning_rate"],
        "scheduler": "ExponentialLR",
        "lr_scheduler_gamma": FINAL_LEARNING_RATE ** (1 / max(epochs - 1, 1)),
        "ema_decay": EMA_DECAY,
        "loss": "stress",
        "compute_stress": True,
        "energy_weight": settings["energy_weight"],
        "forces_weight": settings["forces_weight"],
        "stress_weight": settings["stress_weight"],
        "error_table": "PerAtomRMSEstressvirials",
        "plot": False,
        "num_workers": 0,
        "checkpoints_dir": checkpoints,
        "results_dir": checkpoints,
        "log_dir": "logs",
        "model_dir": "models",
    }
    return [f"--{key}={value}" for key, value in values.items()] + ["--ema", "--save_cpu", "--restart_latest"]


def curve(results: Path, steps_per_epoch: int) -> Iterator[tuple[int, str, str, float, str]]:
    """Yield the learning curve (step, set, quantity, value, unit) from MACE's results.

    Steps are gradient steps. The training loss is the mean over an epoch's batches; the errors of the
    validation set are those of the averaged weights at the end of the epoch. Of an epoch that was done twice, since a
    training was taken up again, the last time counts.
    """
    losses: dict[int, list[float]] = defaultdict(list)
    errors: dict[int, dict[str, Any]] = {}
    for line in results.read_text().splitlines():
        record = json.loads(line)
        epoch = -1 if record.get("epoch") is None else record["epoch"]  # none: before the first
        if record["mode"] == "opt":
            losses[epoch].append(record["loss"])
        elif epoch >= 0 or not errors:
            errors[epoch] = record
    for epoch, record in sorted(errors.items()):
        step = (epoch + 1) * steps_per_epoch
        if epoch >= 0:
            yield step, "train", "loss", float(np.mean(losses[epoch][-steps_per_epoch:])), "1"
        for name, (quantity, unit) in ERRORS.items():
            yield step, "valid", quantity, float(record[name]), unit


def train(args: argparse.Namespace) -> None:
    """Do the work of the task: train in a scratch folder, then write the model folder."""
    start = time.perf_counter()
    il_task.check_device(args.device)
    settings, data = read_inputs(args.settings, args.summary)
    scratch = Path("training").resolve()
    scratch.mkdir(parents=True, exist_ok=True)
    folder, checkpoints = args.dataset.resolve(), args.checkpoints.resolve()
    frames = count_frames(folder / "train.extxyz")
    # MACE drops an incomplete last batch: a batch larger than the training set would train on nothing.
    batch = min(settings["batch_size"], frames)
    arguments = tool_arguments(settings, data, folder, checkpoints, batch, args.device)
    run_tool(
        "mace_run_train",
        [sys.executable, "-m", "mace.cli.run_train", *arguments],
        environment(args.threads),
        scratch,
        lambda line: "Epoch" in line or "Initial:" in line,
    )
    args.out.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(scratch / "models" / "model.model", args.out / "model.pt")
    results = checkpoints / f"model_run-{settings['seed']}_train.txt"
    write_curve(args.out / "curve.parquet", settings["id"], curve(results, frames // batch))
    cost = {"wall_s": round(time.perf_counter() - start, 1), "threads": args.threads, "device": args.device}
    write_card(args.out, settings, data, ["model.pt"], settings["r_max_A"], il_task.versions(), cost)


def main(argv: list[str] | None = None) -> int:
    """Read the command line and run the task."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--id", required=True, help="key of the model")
    parser.add_argument("--settings", type=Path, required=True, metavar="models/KEY.json", help="settings of the plan")
    parser.add_argument("--dataset", type=Path, required=True, help="folder of the dataset: train.extxyz, valid.extxyz")
    parser.add_argument("--summary", type=Path, required=True, metavar="dataset.json", help="what the split wrote")
    parser.add_argument("--out", type=Path, required=True, help="model folder to write")
    parser.add_argument("--checkpoints", type=Path, default=Path("checkpoints"), help="default: %(default)s")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (default: %(default)s)")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="default: %(default)s")
    args = parser.parse_args(argv)
    return il_task.run("TRAIN_MACE", lambda: train(args), task_id=args.id)


if __name__ == "__main__":
    sys.exit(main())
