#!/usr/bin/env python3
"""Tune a small foundation model, trained here on other ions, to PYR14BF4: zero-shot, fine-tuned, with replay, from nothing.

The study studies/foundation.yaml runs whole: it trains the foundation model on GFN1-xTB labels of EMIM TFSI, BMIM PF6 and EMIM
tetracyanoborate. A second study, of two PYR14BF4 pairs, tunes it to 8, 16 and all training frames in each mode, beside models from
nothing, with some seeds, and holds every model to its own test frames and to those of the first study. Figures are those of the
second study's tables. An error has [value, low, high], a 95 % interval that holds the test frames and the seeds; null: none.
  force, energy          RMSE on the test frames of PYR14BF4 (meV/A, meV an atom; of the zero-shot model less the mean error).
                         Of energy: the mean, the lowest and the highest of the seeds
  scan                   RMSE of the energy along the frozen-ion volume scan, relative to scale 1 (meV an atom)
  survived               [runs that reached their end, runs] at 430 K and 1 bar
  survived_ps            how long each went
  old_force              RMSE of forces on the test frames of the foundation study (meV/A), mean of the seeds
  old_change             [change against the foundation model, low, high]: the widest paired interval of a seed
  old_verdict            of each seed: lost, gained, not distinguishable
  old_force_replay_head  as old_force, of a model with replay by the head of the replayed frames
  train_s                of a training
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

import polars as pl

from ionmelt.files import sha256
from ionmelt.models import evaluation

TOP = Path(__file__).resolve().parents[1]
# Size of the models and weights of the loss are those of studies/foundation.yaml.
STUDY = """
name: tuning
description: A small foundation model of other ions, tuned to PYR14BF4, beside models from nothing.
liquids:
  - {{id: pyr14bf4, ions: {{pyr14: 2, bf4: 2}}, temperatures_K: [430], density_guess_kg_m3: 1000}}
equilibration: {{timestep_fs: 4, anneal_ps: 40, cool_ps: 20, settle_ps: 10, production_ps: 120}}
sampling:
  eq: {{frames: 48}}
  neq: {{volume_scan: {{frames: 16}}, rattle: {{frames: 16}}}}
  test_scan: {{scales: [0.96, 0.98, 1.0, 1.02, 1.05, 1.08]}}
labels: {{engine: xtb, method: GFN1-xTB, chunk: 100}}
datasets: {{both: [eq, neq]}}
sizes: [8, 16]
split: {{valid: 0.1, test: 0.4}}
heldout_frames: old.extxyz
seeds: {seeds}
models:
  - {{id: zero, framework: mace, {foundation}, mode: zero-shot}}
  - {{id: naive, framework: mace, {foundation}, mode: finetune, learning_rate: 0.005, epochs: {epochs}, {loss}}}
  - {{id: replay, framework: mace, {foundation}, mode: replay, replay_frames: replay.extxyz, learning_rate: 0.005,
     epochs: {epochs}, {loss}}}
  - {{id: scratch, framework: mace, channels: 16, max_L: 0, r_max_A: 4.5, correlation: 2, max_ell: 2, learning_rate: 0.02,
     epochs: {twice}, {loss}}}
md: {{timestep_fs: 0.5, npt_ps: 0.5, nvt_ps: 0.0, save_every_fs: 10}}
budget_core_hours: 100
"""
LOSS = "batch_size: 2, energy_weight: 1000, stress_weight: 100000"


def pipeline(study: Path, outdir: Path, work: Path) -> None:
    """Run a study to its end with Nextflow; what it says goes to standard error."""
    command = [TOP / "nextflow", "run", TOP / "main.nf", "-ansi-log", "false", "--study", study, "--outdir", outdir]
    # Tasks have environments of their own: what this benchmark runs in must not reach them.
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command += ["-work-dir", work / "work", "-resume"]
    subprocess.run([*map(str, command)], cwd=work, env=env, check=True, stdout=sys.stderr)


def tune(foundation: Path, seeds: int, epochs: int, work: Path) -> Path:
    """Run the study that tunes; return its results."""
    shutil.copyfile(foundation / "models" / "mace-both-s1" / "model.pt", work / "foundation.pt")
    shutil.copyfile(foundation / "dataset" / "both" / "train.extxyz", work / "replay.extxyz")
    shutil.copyfile(foundation / "dataset" / "test.extxyz", work / "old.extxyz")
    weights = f"weights: foundation.pt, sha256: {sha256(work / 'foundation.pt')}, licence: MIT, theory: GFN1-xTB"
    words = {
        "foundation": weights,
        "loss": LOSS,
        "epochs": epochs,
        "twice": 2 * epochs,
        "seeds": [*range(1, seeds + 1)],
    }
    (work / "tuning.yaml").write_text(STUDY.format(**words))
    pipeline(work / "tuning.yaml", work / "tuned", work)
    return work / "tuned"


def replay_head(model: Path, old: Path) -> float:
    """Return the RMSE of forces (meV/A) on frames of the head of the replayed frames of a model."""
    card = json.loads((model / "model.json").read_text())
    with tempfile.TemporaryDirectory() as scratch, contextlib.chdir(scratch):
        shutil.copytree(model, model.name, ignore=shutil.ignore_patterns("SHA256SUMS"))
        Path(model.name, "model.json").write_text(json.dumps(card | {"head": "pt_head"}))
        out = Path(f"{model.name}.evaluation")
        arguments = ["--id", model.name, "--model", model.name, "--heldout", old, "--out", out]
        with contextlib.redirect_stdout(sys.stderr):  # MACE speaks there, and what is printed here is one JSON object
            code = evaluation.main([*map(str, arguments)])
        if code:
            raise SystemExit(f"{model.name}: the head of the replayed frames could not be evaluated")
        rows = pl.read_parquet(out / "heldout.parquet")
    return 1000 * float((rows["force_square"].sum() / rows["n"].sum()) ** 0.5)


def figures(results: Path, old: Path) -> dict[str, Any]:
    """Return the figures of every model and number of frames, from the tables of the study that tuned."""
    names = ("dataset", "summary", "errors", "survival", "forgetting")
    t = {name: pl.read_parquet(results / "tables" / f"{name}.parquet") for name in names}
    counts = t["dataset"].filter(pl.col("split") == "train").group_by("dataset").len()
    sizes = dict(counts.sort("len").iter_rows())
    rmse = {}
    for model, size in [("zero", None), *((model, s) for model in ("naive", "replay", "scratch") for s in sizes)]:
        mine = {name: table.filter(pl.col("model") == model) for name, table in t.items() if name != "dataset"}
        if size is not None:
            mine = {name: table.filter(pl.col("dataset") == size) for name, table in mine.items()}
        row: dict[str, Any] = {}
        for key, quantity in (("force", "force_rmse"), ("scan", "scan_energy_rmse")):
            of = mine["summary"].filter(pl.col("property") == quantity).select("value", "ci95_low", "ci95_high")
            row[key] = digits(*of.row(0)) if of.height else None
        tested = (pl.col("split") == "test") & (pl.col("quantity") == "energy_per_atom") & (pl.col("scope") == "all")
        energy = mine["errors"].filter(tested)["rmse"]
        row["energy"] = digits(energy.mean(), energy.min(), energy.max()) if len(energy) else None
        row["survived"] = [int((mine["survival"]["end"] == "completed").sum()), mine["survival"].height]
        row["survived_ps"] = mine["survival"]["survived_ps"].to_list()
        kept = mine["forgetting"]
        if kept.height:
            row["old_force"] = digits(kept["force_rmse_after"].mean())[0]
            row["old_change"] = digits(kept["difference"].mean(), kept["ci95_low"].min(), kept["ci95_high"].max())
            row["old_verdict"] = kept["verdict"].to_list()
        elif model == "zero":
            row["old_force"] = digits(t["forgetting"]["force_rmse_before"].mean())[0]
        folders = [results / "models" / f"{model}-{size}-s{seed}" for seed in kept["seed"]] if size else []
        if model == "replay":
            errors = [replay_head(folder, old) for folder in folders]
            row["old_force_replay_head"] = float(f"{sum(errors) / len(errors):.4g}")
        if size is not None:
            cards = sorted((results / "models").glob(f"{model}-{size}-s*/model.json"))
            times = [json.loads(card.read_text())["cost"]["wall_s"] for card in cards]
            row["train_s"] = round(sum(times) / len(times))
        rmse[model if size is None else f"{model}_{sizes[size]}"] = row
    return rmse


def digits(*values: Any) -> list[float | None]:
    """Return values of eV in meV, to four digits."""
    return [None if value is None else float(f"{1000 * value:.4g}") for value in values]


def main() -> None:
    """Measure, and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, help="folder to work in, and to go on in (default: a temporary one)")
    parser.add_argument("--foundation", type=Path, help="results of studies/foundation.yaml, where they are there")
    parser.add_argument("--seeds", type=int, default=2, help="seeds of each training (default: %(default)s)")
    parser.add_argument(
        "--epochs", type=int, default=10, help="epochs of tuning; from nothing twice as many (default: %(default)s)"
    )
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
        work = (args.work or Path(temporary)).resolve()
        work.mkdir(parents=True, exist_ok=True)
        foundation = args.foundation.resolve() if args.foundation else work / "foundation"
        if args.foundation is None:
            pipeline(TOP / "studies" / "foundation.yaml", foundation, work)
        result = figures(tune(foundation, args.seeds, args.epochs, work), work / "old.extxyz")
    print(json.dumps({"cpu": os.environ.get("BENCHMARK_CPU")} | result))


if __name__ == "__main__":
    main()
