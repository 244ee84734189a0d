#!/usr/bin/env python3
"""Tune a small foundation model, trained here on other ions, to PYR14BF4: zero-shot, fine-tuned, with replay, from nothing.

Two studies run whole: studies/foundation.yaml trains the foundation model on GFN1-xTB labels of EMIM TFSI, BMIM PF6 and
EMIM tetracyanoborate; the second trains on 8, 16 and all frames of two PYR14BF4 pairs in each mode, with two seeds. Then every
model is held to the test frames of the first study. Of each quantity: the mean, the lowest and the highest over the seeds.
  force, energy      RMSE on the test frames of PYR14BF4 (meV/A, meV an atom)
  scan               RMSE of the energy along the frozen-ion volume scan, relative to scale 1 (meV an atom)
  survived           share of the runs at 430 K (NPT) that reached their end
  old_force          RMSE of forces on the test frames of the foundation study (meV/A); old_force_replay_head: of a model with
                     replay, by the head of the replayed frames
  old_force_before   of the foundation model itself
  force_zero_shot, ...  of the foundation model as it is
"""
# environment: mace

import argparse
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

import evaluate_model
from il_frames import read_frames
from il_models import load_calculator, sha256_of

TOP = Path(__file__).resolve().parents[1]
SIZES = (8, 16)
SMALL = "channels: 16, max_L: 0, r_max_A: 4.5, correlation: 2, max_ell: 2, batch_size: 2, energy_weight: 1000, stress_weight: 100000"
STUDY = """
name: tuning
liquids:
  - {{id: pyr14bf4, ions: {{pyr14: 2, bf4: 2}}, temperatures_K: [430], density_guess_kg_m3: 1000}}
equilibration: {{timestep_fs: 4, anneal_ps: 40, cool_ps: 20, settle_ps: 10, production_ps: 60}}
sampling:
  eq: {{frames: 24}}
  neq: {{volume_scan: {{frames: 10}}, rattle: {{frames: 8}}}}
  test_scan: {{scales: [0.96, 0.98, 1.0, 1.02, 1.05, 1.08]}}
labels: {{engine: xtb, method: GFN1-xTB, chunk: 30}}
datasets: {{both: [eq, neq]}}
sizes: {sizes}
seeds: {seeds}
models:
  - {{id: zero, framework: mace, mode: zero-shot, {weights}}}
  - {{id: naive, framework: mace, mode: finetune, {weights}, epochs: {epochs}, learning_rate: 0.005, {small}}}
  - {{id: replay, framework: mace, mode: replay, {weights}, replay_frames: {frames}, replay_per_frame: 1, epochs: {epochs},
     learning_rate: 0.005, {small}}}
  - {{id: scratch, framework: mace, epochs: {long}, learning_rate: 0.02, {small}}}
md: {{timestep_fs: 0.5, npt_ps: 0.5, nvt_ps: 0.0, save_every_fs: 10}}
budget_core_hours: 5
"""


def run(study: Path, outdir: Path, work: Path) -> None:
    """Run a study to its end with Nextflow; what it says goes to standard error."""
    command = [TOP / "nextflow", "run", TOP / "main.nf", "-ansi-log", "false", "--study", study, "--outdir", outdir]
    # Tasks have environments of their own: what this benchmark runs in must not reach them.
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    subprocess.run(
        [*map(str, command), "-work-dir", str(work / "work"), "-resume"], cwd=work, env=env, check=True, stdout=2
    )


def old_force(model: Path, frames: list[Any]) -> float:
    """Return the RMSE of a model's forces (meV/A) on frames."""
    predictions = list(evaluate_model.predict(frames, load_calculator(model)))
    errors = [p.model.forces - p.reference.forces for p in predictions if p.model is not None]
    if len(errors) < len(frames):
        return float("nan")
    return 1000 * float(np.sqrt(np.mean(np.concatenate(errors) ** 2)))


def with_head(model: Path, head: str, place: Path) -> Path:
    """Return a copy of a model folder that another head is used of."""
    copy = place / f"{model.name}.{head}"
    shutil.copytree(model, copy, dirs_exist_ok=True)
    card = json.loads((copy / "model.json").read_text())
    (copy / "model.json").write_text(json.dumps(card | {"head": head}))
    return copy


def spread(values: list[float]) -> list[float | None]:
    """Return mean, lowest and highest of the seeds' values, to four digits."""
    found = [float(np.mean(values)), min(values), max(values)]
    return [float(f"{value:.4g}") if np.isfinite(value) else None for value in found]


def measure(tuned: Path, foundation: Path, place: Path) -> dict[str, Any]:
    """Return the figures of both studies' results."""
    frames = read_frames(foundation / "test.extxyz", labelled=True)
    errors, scan, survival = (
        pl.read_parquet(tuned / "tables" / f"{name}.parquet") for name in ("errors", "scan", "survival")
    )
    whole = errors.filter(pl.col("split") == "test", pl.col("scope") == "all")
    scan = scan.with_columns((pl.col("energy_model_ev_per_atom") - pl.col("energy_ref_ev_per_atom")).alias("off"))
    rows: dict[tuple[str, str], dict[str, list[float]]] = {}
    for folder in sorted(path.parent for path in (tuned / "models").glob("*/model.json")):
        card = json.loads((folder / "model.json").read_text())
        mode, key = card["model"], card["id"]
        size = (card["dataset"] or "").partition(".")[2] or ("all" if card["dataset"] else "none")
        row = rows.setdefault((mode, size), {})

        def put(name: str, value: float, row: dict[str, list[float]] = row) -> None:
            row.setdefault(name, []).append(value)

        for name, quantity in (("force", "force"), ("energy", "energy_per_atom")):
            own = whole.filter(pl.col("model_key") == key, pl.col("quantity") == quantity)["rmse"]
            put(name, 1000 * own[0] if len(own) else float("nan"))
        off = scan.filter(pl.col("model_key") == key)["off"].drop_nulls().to_numpy()
        put("scan", 1000 * float(np.sqrt(np.mean(off**2))) if len(off) else float("nan"))
        ends = survival.filter(pl.col("model_key") == key)["end"].to_list()
        put("survived", float(np.mean([end == "completed" for end in ends])))
        put("old_force", old_force(folder, frames))
        if mode == "replay":
            put("old_force_replay_head", old_force(with_head(folder, "pt_head", place), frames))
    table = {
        f"{mode}_{size}": {name: spread(values) for name, values in row.items()}
        for (mode, size), row in sorted(rows.items())
    }
    return table


def main() -> None:
    """Measure, and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, help="folder to work in, and to go on in (default: a temporary one)")
    parser.add_argument(
        "--foundation", type=Path, help="results of studies/foundation.yaml, where they are there already"
    )
    parser.add_argument("--seeds", type=int, default=2, help="seeds of each training (default: %(default)s)")
    parser.add_argument(
        "--epochs", type=int, default=20, help="epochs of tuning; from nothing twice as many (default: %(default)s)"
    )
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
        work = (args.work or Path(temporary)).resolve()
        work.mkdir(parents=True, exist_ok=True)
        foundation = args.foundation.resolve() if args.foundation else work / "foundation"
        if args.foundation is None:
            run(TOP / "studies" / "foundation.yaml", foundation, work)
        weights = foundation / "models" / "mace-both-s1" / "model.pt"
        about = f"weights: {weights}, sha256: {sha256_of(weights)}, licence: MIT, theory: GFN1-xTB"
        study = work / "tuning.yaml"
        seeds = list(range(1, args.seeds + 1))
        frames = foundation / "dataset" / "both" / "train.extxyz"
        more = {"sizes": list(SIZES), "seeds": seeds, "weights": about, "frames": frames, "small": SMALL}
        study.write_text(STUDY.format(**more, epochs=args.epochs, long=2 * args.epochs))
        run(study, work / "tuned", work)
        figures = measure(work / "tuned", foundation / "dataset", work)
        figures["foundation"] = {
            "old_force": spread(
                [old_force(weights.parent, read_frames(foundation / "dataset" / "test.extxyz", labelled=True))]
            )
        }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
