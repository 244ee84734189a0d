#!/usr/bin/env python3
"""What both trainings share: the check of settings against data, the run of the tool, curve and model card."""

import collections
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from il_task import UserError

# glibc gives large blocks back to the system after every step; to keep them makes training on a CPU up to a third
# faster and changes no number.
KEEP_MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": "4294967296",
    "MALLOC_TRIM_THRESHOLD_": "4294967296",
    "MALLOC_TOP_PAD_": "268435456",
}
CURVE_SCHEMA = {
    "model_key": pl.String,
    "step": pl.Int64,
    "set": pl.String,
    "quantity": pl.String,
    "value": pl.Float64,
    "unit": pl.String,
}
LAST_LINES = 20


def read_inputs(settings: Path, summary: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the settings of a model and the part of ``dataset.json`` that is about its dataset.

    Raises `UserError` where the dataset is not there, its labels are of another level of theory, or the
    model is to start from weights, which would otherwise be trained from nothing without a word.
    """
    model = json.loads(settings.read_text())
    data = json.loads(summary.read_text())
    if model["dataset"] not in data["datasets"]:
        known = ", ".join(data["datasets"])
        raise UserError(f"model {model['id']}: dataset: {model['dataset']!r} is not one of {known}")
    if model["theory_id"] != data["theory_id"]:
        raise UserError(
            f"model {model['id']}: theory_id: the study says {model['theory_id']}, the labels are {data['theory_id']}"
        )
    if model.get("mode") is not None:
        raise UserError(
            f"model {model['id']}: mode: {model['mode']!r} is not there yet; leave weights and mode out to train"
        )
    common = {key: data[key] for key in ("elements", "type_map", "theory_id")}
    return model, data["datasets"][model["dataset"]] | common


def environment(threads: int) -> dict[str, str]:
    """Return the environment of a training on a number of CPU threads."""
    limits = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))
    return KEEP_MEMORY | dict(os.environ) | limits


def run_tool(name: str, command: Sequence[str], env: dict[str, str], cwd: Path, shown: Callable[[str], bool]) -> None:
    """Run a program, called `name` in messages, in a folder; forward the lines of its output for which `shown` is true to standard error.

    Raises `UserError` with the last lines of the output where it fails.
    """
    last: collections.deque[str] = collections.deque(maxlen=LAST_LINES)
    with subprocess.Popen(
        command, env=env, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        for line in process.stdout or ():
            last.append(line.rstrip())
            if shown(line):
                print(line.rstrip(), file=sys.stderr, flush=True)
    if process.returncode:
        raise UserError(f"{name} ended with exit code {process.returncode}; its last lines:", *last)


def write_curve(path: Path, model_key: str, rows: Iterable[tuple[int, str, str, float, str]]) -> None:
    """Write a learning curve: rows of step, set (train or valid), quantity, value, unit."""
    table = pl.DataFrame([(model_key, *row) for row in rows], schema=CURVE_SCHEMA, orient="row")
    table.write_parquet(path)


def write_card(
    out: Path,
    settings: dict[str, Any],
    data: dict[str, Any],
    files: Sequence[str],
    cutoff_A: float,
    versions: dict[str, str],
    cost: dict[str, Any],
) -> None:
    """Write the model card; the weights to be loaded are the last of `files`."""
    identity = ("id", "model", "framework", "dataset", "seed")
    card = {key: settings[key] for key in identity} | {
        "versions": versions,
        "files": {name: hashlib.sha256((out / name).read_bytes()).hexdigest() for name in files},
        "load": files[-1],
        "theory_id": data["theory_id"],
        "dataset_hash": data["dataset_hash"],
        "split_hash": data["split_hash"],
        "e0s_ev": data["e0s_ev"],
        "elements": data["elements"],
        "cutoff_A": cutoff_A,
        "licence": None,  # the weights are the user's own
        "settings": {key: value for key, value in settings.items() if key not in (*identity, "theory_id")},
        "cost": cost,
    }
    (out / "model.json").write_text(json.dumps(card, indent=2) + "\n")
