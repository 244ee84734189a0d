#!/usr/bin/env python3
"""Tune a small foundation model, trained here on other ions, to PYR14BF4: zero-shot, fine-tuned, with replay, from nothing.

The study studies/foundation.yaml runs whole: it trains the foundation model on GFN1-xTB labels of EMIM TFSI, BMIM PF6 and EMIM
tetracyanoborate. Another one labels frames of two PYR14BF4 pairs. Then the tasks of the pipeline tune to 8, 16 and all
training frames in each mode, with some seeds, and hold every model to the test frames of both studies. Of each quantity: the mean,
the lowest and the highest over the seeds; null where a model lacks an element.
  force, energy          RMSE on the test frames of PYR14BF4 (meV/A, meV an atom; of the zero-shot model less the mean error)
  scan                   RMSE of the energy along the frozen-ion volume scan, relative to scale 1 (meV an atom)
  survived               share of the runs at 430 K and 1 bar that reached their end
  old_force              RMSE of forces on the test frames of the foundation study (meV/A)
  old_force_replay_head  the same, of a model with replay by the head of the replayed frames
"""
# environment: mace

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

import evaluate_model
import import_model
import run_md
import train_mace
from il_models import sha256_of

TOP = Path(__file__).resolve().parents[1]
STATE = "pyr14bf4-430K-r1"
STUDY = """
name: tuning
liquids:
  - {id: pyr14bf4, ions: {pyr14: 2, bf4: 2}, temperatures_K: [430], density_guess_kg_m3: 1000}
equilibration: {timestep_fs: 4, anneal_ps: 40, cool_ps: 20, settle_ps: 10, production_ps: 60}
sampling:
  eq: {frames: 24}
  neq: {volume_scan: {frames: 10}, rattle: {frames: 8}}
  test_scan: {scales: [0.96, 0.98, 1.0, 1.02, 1.05, 1.08]}
labels: {engine: xtb, method: GFN1-xTB, chunk: 30}
datasets: {both: [eq, neq]}
sizes: [8, 16]
models: [{id: clp, framework: classical}]
md: {timestep_fs: 1.0, npt_ps: 0.02, nvt_ps: 0.0, save_every_fs: 5}
budget_core_hours: 5
"""
DATASETS = ("both.8", "both.16", "both")
# The foundation model's own size, and the weights of the loss: those of studies/foundation.yaml.
SETTINGS = {
    "framework": "mace", "channels": 16, "max_L": 0, "r_max_A": 4.5, "interactions": 2, "correlation": 2, "max_ell": 2,
    "batch_size": 2, "energy_weight": 1000.0, "forces_weight": 100.0, "stress_weight": 100000.0, "dtype": "float32",
    "mode": None, "weights": None,
}  # fmt: skip
RATES = {"naive": 0.005, "replay": 0.005, "scratch": 0.02}
MODES = {"naive": "finetune", "replay": "replay"}
RUN = {
    "temperature_K": 430, "pressure_bar": 1.0, "timestep_fs": 0.5, "npt_ps": 0.5, "nvt_ps": 0.0, "thermostat_fs": 100.0,
    "barostat_fs": 500.0, "save_every_fs": 10.0, "max_trajectory_mb": 100.0, "segment_ps": 0.5, "engine": "auto", "batch": 1, "seed": 1,
}  # fmt: skip


def pipeline(study: Path, outdir: Path, work: Path) -> None:
    """Run a study to its end with Nextflow; what it says goes to standard error."""
    command = [TOP / "nextflow", "run", TOP / "main.nf", "-ansi-log", "false", "--study", study, "--outdir", outdir]
    # Tasks have environments of their own: what this benchmark runs in must not reach them.
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command += ["-work-dir", work / "work", "-resume"]
    subprocess.run([*map(str, command)], cwd=work, env=env, check=True, stdout=sys.stderr)


def task(work: Any, *arguments: Any) -> None:
    """Do the work of a task of the pipeline here."""
    if work([*map(str, arguments)]):
        raise SystemExit(f"{work.__module__} {' '.join(map(str, arguments))} failed")


def tune(mode: str, dataset: str, seed: int, epochs: int, results: Path, foundation: Path) -> Path:
    """Train a model in a mode; return its folder. What is there already is left as it is."""
    key = f"{mode}-{dataset}-s{seed}"
    if Path(key, "model.json").is_file():
        return Path(key)
    folder = results / "dataset" / dataset
    theory = json.loads((folder / "dataset.json").read_text())["theory_id"]
    identity = {"id": key, "model": mode, "dataset": dataset, "seed": seed, "theory_id": theory}
    settings = SETTINGS | identity | {"learning_rate": RATES[mode], "epochs": epochs}
    arguments: list[Any] = []
    if mode in MODES:
        weights, replay = (
            foundation / "models" / "mace-both-s1" / "model.pt",
            foundation / "dataset" / "both" / "train.extxyz",
        )
        settings |= {"mode": MODES[mode], "weights": weights.name, "sha256": sha256_of(weights), "licence": "MIT"}
        settings |= {"theory": "GFN1-xTB", "head": None, "freeze": "none", "lora_rank": 4, "replay_per_frame": 1.0}
        arguments += ["--weights", weights]
        if mode == "replay":
            settings["replay_frames"] = replay.name
            arguments += ["--replay", replay]
    Path(f"{key}.json").write_text(json.dumps(settings))
    arguments += ["--id", key, "--settings", f"{key}.json", "--dataset", folder, "--summary", folder / "dataset.json"]
    task(train_mace.main, *arguments, "--out", key)
    return Path(key)


def zero_shot(foundation: Path) -> Path:
    """Import the foundation model as it is; return its folder."""
    weights = foundation / "models" / "mace-both-s1" / "model.pt"
    settings = {
        "id": "zero", "model": "zero", "framework": "mace", "dataset": None, "seed": None, "licence": "MIT", "theory": "GFN1-xTB",
        "dispersion": None, "head": None, "dtype": "float32", "weights": weights.name, "sha256": sha256_of(weights),
        "liquid_elements": ["B", "C", "F", "H", "N"],
    }  # fmt: skip
    Path("zero.json").write_text(json.dumps(settings))
    if not Path("zero", "model.json").is_file():
        task(import_model.main, "--id", "zero", "--settings", "zero.json", "--weights", weights, "--out", "zero")
    return Path("zero")


def evaluated(model: Path, test: Path, name: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the errors and the volume scan of a model on test frames."""
    out = Path(f"{model.name}.{name}")
    if not (out / "scan.parquet").is_file():
        task(evaluate_model.main, "--id", model.name, "--model", model, "--test", test / "test.extxyz", "--out", out)
    return pl.read_parquet(out / "errors.parquet"), pl.read_parquet(out / "scan.parquet")


def rmse(errors: pl.DataFrame, quantity: str) -> float:
    """Return an RMSE over all test frames in thousandths; NaN where a frame could not be predicted."""
    found = errors.filter(pl.col("split") == "test", pl.col("scope") == "all", pl.col("quantity") == quantity)["rmse"]
    failed = errors.filter(pl.col("quantity") == "failed")
    return 1000 * found[0] if len(found) and not len(failed) else float("nan")


def survived(model: Path, state: Path) -> float:
    """Run a model's dynamics; return 1 where it reached its end, else 0."""
    out = Path("runs", model.name)
    if not (out / "run.json").is_file():
        Path(f"{model.name}.run.json").write_text(json.dumps(RUN | {"id": model.name}))
        settings = ["--settings", f"{model.name}.run.json", "--state", state, "--model", model]
        task(run_md.main, "--id", model.name, *settings, "--out", out)
    return float(json.loads((out / "run.json").read_text())["end"] == "completed")


def measure(model: Path, results: Path, foundation: Path, state: Path) -> dict[str, float]:
    """Return all figures of a model."""
    errors, scan = evaluated(model, results / "dataset", "new")
    off = (scan["energy_model_ev_per_atom"] - scan["energy_ref_ev_per_atom"]).drop_nulls().to_numpy()
    row = {
        "force": rmse(errors, "force"),
        "energy": rmse(errors, "energy_per_atom"),
        "scan": 1000 * float(np.sqrt(np.mean(off**2))) if len(off) else float("nan"),
        "survived": survived(model, state),
        "old_force": rmse(evaluated(model, foundation / "dataset", "old")[0], "force"),
    }
    card = json.loads((model / "model.json").read_text())
    if card["model"] == "replay":
        other = Path(f"{model.name}.pt_head")
        shutil.copytree(model, other, dirs_exist_ok=True)
        (other / "model.json").write_text(json.dumps(card | {"head": "pt_head"}))
        row["old_force_replay_head"] = rmse(evaluated(other, foundation / "dataset", "old")[0], "force")
    return row


def spread(values: list[float]) -> list[float | None]:
    """Return mean, lowest and highest of the seeds' values, to four digits."""
    found = [float(np.mean(values)), min(values), max(values)]
    return [float(f"{value:.4g}") if np.isfinite(value) else None for value in found]


def main() -> None:
    """Measure, and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, help="folder to work in, and to go on in (default: a temporary one)")
    parser.add_argument("--foundation", type=Path, help="results of studies/foundation.yaml, where they are there")
    parser.add_argument("--seeds", type=int, default=2, help="seeds of each training (default: %(default)s)")
    parser.add_argument(
        "--epochs", type=int, default=20, help="epochs of tuning; from nothing twice as many (default: %(default)s)"
    )
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
        work = (args.work or Path(temporary)).resolve()
        work.mkdir(parents=True, exist_ok=True)
        foundation = args.foundation.resolve() if args.foundation else work / "foundation"
        results = work / "labelled"
        if args.foundation is None:
            pipeline(TOP / "studies" / "foundation.yaml", foundation, work)
        (work / "tuning.yaml").write_text(STUDY)
        pipeline(work / "tuning.yaml", results, work)
        state = next((work / "work").glob(f"*/*/{STATE}/topology.json")).parent
        with contextlib.chdir(work):
            figures: dict[str, Any] = {"zero": measure(zero_shot(foundation), results, foundation, state)}
            for mode in RATES:
                for dataset in DATASETS:
                    rows = []
                    for seed in range(1, args.seeds + 1):
                        epochs = args.epochs * (2 if mode == "scratch" else 1)
                        model = tune(mode, dataset, seed, epochs, results, foundation)
                        rows.append(measure(model, results, foundation, state))
                    card = json.loads((model / "model.json").read_text())
                    size = train_mace.count_frames(results / "dataset" / dataset / "train.extxyz")
                    name = f"{mode}_{size}"
                    figures[name] = {key: spread([row[key] for row in rows]) for key in rows[0]}
                    figures[name]["train_s"] = card["cost"]["wall_s"]
                    print(json.dumps({name: figures[name]}), file=sys.stderr, flush=True)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
