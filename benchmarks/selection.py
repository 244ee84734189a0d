#!/usr/bin/env python3
"""Train on the frames that differ most against as many random ones: how many frames either needs for the same error.

A pool of PYR14BF4 frames (2 pairs, 430 K; equilibrium, volume scan, oscillation, packings, rattles) is made and labelled with
GFN1-xTB by the pipeline's own scripts and split by its groups. Of its training part, subsets of each size are taken, farthest
points first (one subset a size) and at random (another for each seed); a small MACE is trained on each with the same number of
gradient steps and judged on the same test frames, and on the frozen-ion volume scan.
  frames             sizes of the subsets
  force_error_ratio  error of the chosen / error of the random frames, at equal numbers of frames, and its 95 % interval
  scan_error_ratio   likewise for the energy error of the volume scan
  force_frames_ratio random frames needed / chosen frames, for the same force error, and its 95 % interval
  scan_frames_ratio  likewise for the energy error of the volume scan
  force_rmse_mev_a   by way and size: the mean over seeds, and its standard error
  scan_rmse_mev_atom likewise
Errors at equal numbers are compared in logarithms, their spread that of trainings within a way and size (t interval). The ratio of
frames is that of two parallel power laws (`parallel_lines`, Fieller's interval); where errors do not surely fall with the
number of frames, the reason stands in its place. Work is kept in --work, and what is there is not made again.
"""
# environment: analysis

import argparse
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from ase import Atoms
from md import BIN, TOP, call, environment
from scipy import stats

from ionmelt import files
from ionmelt.compare.parallel_lines import parallel_lines
from ionmelt.dataset import energies
from ionmelt.frame import evenly
from ionmelt.frame_file import read_frames, write_frames
from ionmelt.frames.selection import descriptors, farthest_points

STUDY = """
name: selection
liquids: [{id: pyr14bf4, ions: {pyr14: 2, bf4: 2}, temperatures_K: [430], density_guess_kg_m3: 1000}]
equilibration:
  {timestep_fs: 4, anneal_K: 600, anneal_ps: 40, cool_ps: 20, settle_ps: 10, production_ps: 120, save_every_ps: 0.5}
sampling:
  eq: {frames: 80}
  neq:
    volume_scan: {frames: 40, scale_min: 0.94, scale_max: 1.12}
    oscillation: {frames: 30, length_ps: 20, period_ps: 5, temperature_amplitude_K: 150, box_amplitude: 0.06}
    packing: {frames: 30, density_min_fraction: 0.5, density_max_fraction: 1.1, strain: 0.05}
    rattle: {frames: 20, sigma_A: 0.04}
  test_scan: {scales: [0.96, 0.98, 1.0, 1.02, 1.05, 1.08]}
labels: {engine: xtb, method: GFN1-xTB, chunk: 1000}
datasets: {both: [eq, neq]}
split: {valid: 0.1, test: 0.2}
models:
  - {id: mace, framework: mace, channels: 16, max_L: 0, r_max_A: 4.5, correlation: 2, max_ell: 2, epochs: 1, batch_size: 1,
     learning_rate: 0.02, energy_weight: 1000, stress_weight: 100000}
md: {timestep_fs: 0.5, npt_ps: 1, nvt_ps: 1, save_every_fs: 10}
"""
STATE = "pyr14bf4-430K-r1"
VALID_MOST = 6  # validation frames: each is computed once an epoch, and small sets have many epochs


def prepare(work: Path) -> None:
    """Plan, build, melt, sample, label and split, one script after another."""
    work.mkdir(parents=True, exist_ok=True)
    analysis, dft = environment("analysis", 1), environment("dft", 1)
    if (work / "dataset" / "dataset.json").exists():
        return
    (work / "study.yaml").write_text(STUDY)
    call(analysis, work, BIN / "plan_study.py", "--study", "study.yaml", "--assets", TOP / "assets")
    box = "pyr14bf4-r1"
    options = ["--settings", f"plan/boxes/{box}.json", "--assets", TOP / "assets", "--out", box]
    call(analysis, work, BIN / "build_liquid.py", "--id", box, *options)
    options = ["--settings", f"plan/states/{STATE}.json", "--box", box, "--out", STATE]
    call(analysis, work, BIN / "equilibrate.py", "--id", STATE, *options)
    options = ["--settings", "plan/samples/pyr14bf4.json", "--states", STATE, "--out", "chunks"]
    call(analysis, work, BIN / "sample_frames.py", "--id", "pyr14bf4", *options, "--counts", "sampling.parquet")
    (chunk,) = (work / "chunks").glob("*.extxyz")
    options = ["--settings", "plan/labels.json", "--frames", chunk, "--threads", 1, "--out", "pool"]
    call(dft, work, BIN / "label_frames.py", "--id", "pool", *options)
    options = ["--frames", "pool.labelled.extxyz", "--labels", "pool.labels.parquet", "--out", "dataset"]
    call(analysis, work, BIN / "split_dataset.py", "--id", "dataset", "--settings", "plan/dataset.json", *options)


def subsets(frames: list[Atoms], sizes: list[int], seeds: list[int]) -> dict[tuple[str, int, int], list[Atoms]]:
    """Return the frames of each subset by way (chosen, random), size and seed."""
    order = farthest_points(descriptors(frames), [f.info["group"] for f in frames], max(sizes))
    chosen = {}
    for seed in seeds:
        shuffled = np.random.default_rng(seed).permutation(len(frames))
        for size in sizes:
            chosen["chosen", size, seed] = [frames[i] for i in order[:size]]
            chosen["random", size, seed] = [frames[i] for i in shuffled[:size]]
    return chosen


def train(work: Path, key: str, frames: list[Atoms], seed: int, steps: int) -> None:
    """Train one model on some frames."""
    folder = work / key
    if (folder / "model" / "model.json").exists():
        return
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "data").mkdir(parents=True)
    whole = work / "dataset" / "datasets" / "both"
    write_frames(folder / "data" / "train.extxyz", frames)
    valid = read_frames(whole / "valid.extxyz", labelled=True)
    write_frames(folder / "data" / "valid.extxyz", evenly(valid, VALID_MOST))
    summary = json.loads((whole / "dataset.json").read_text())
    summary["datasets"]["both"] |= dict.fromkeys(("e0s_ev", "fitted_e0s_ev"), energies.fit_e0s(frames))
    (folder / "data" / "dataset.json").write_text(json.dumps(summary))
    settings = files.read_json(work / "plan" / "models" / "mace-both-s1.json")
    settings |= {"id": key, "seed": seed, "epochs": max(1, round(steps / len(frames)))}
    (folder / "settings.json").write_text(json.dumps(settings))
    options = ["--settings", "settings.json", "--dataset", "data", "--summary", "data/dataset.json", "--out", "model"]
    call(environment("mace", 1), folder, BIN / "train_model.py", "--id", key, *options)


def judge(work: Path, key: str) -> dict[str, float]:
    """Return the errors of a model on the test frames and on the volume scan."""
    folder = work / key
    options = ["--model", "model", "--test", work / "dataset" / "test.extxyz", "--out", "evaluation"]
    if not (folder / "evaluation").exists():
        call(environment("mace", 1), folder, BIN / "evaluate_model.py", "--id", key, *options)
    errors = pl.read_parquet(folder / "evaluation" / "errors.parquet").filter(
        (pl.col("split") == "test") & (pl.col("quantity") == "force") & (pl.col("scope") == "all")
    )
    scan = pl.read_parquet(folder / "evaluation" / "scan.parquet").filter((pl.col("scale") - 1).abs() > 1e-9)
    error = (scan["energy_model_ev_per_atom"] - scan["energy_ref_ev_per_atom"]).to_numpy()
    return {
        "force_rmse_mev_a": float(errors["rmse"][0]) * 1e3,
        "scan_rmse_mev_atom": float(np.sqrt(np.mean(error**2))) * 1e3,
    }


def error_ratio(chosen: np.ndarray, random: np.ndarray) -> list[float]:
    """Return error of the chosen / error of the random frames at equal numbers, and its interval, from errors (sizes, seeds)."""
    logs = np.log([chosen, random])
    centre = logs[0].mean() - logs[1].mean()
    dof = logs[..., 1:].size
    half = stats.t.ppf(0.975, dof) * np.sqrt(logs.var(axis=2, ddof=1).mean() * 2 / chosen.size)
    return [round(float(np.exp(x)), 2) for x in (centre, centre - half, centre + half)]


def frames_ratio(chosen: np.ndarray, random: np.ndarray, sizes: list[int]) -> list[float | None] | str:
    """Return random frames needed / chosen frames for the same error, and its interval; the reason where there is none."""
    x = np.repeat(np.log(sizes), chosen.shape[1])
    both = np.concatenate([np.log(random).ravel(), np.log(chosen).ravel()])
    lines = parallel_lines(np.tile(x, 2), both, np.repeat([0.0, 1.0], len(x)))
    return lines.reason or [x and round(x, 2) for x in (lines.value, lines.low, lines.high)]


def main() -> None:
    """Train, judge, print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, nargs="+", default=[8, 24], help="sizes (default: %(default)s)")
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=1200, help="gradient steps of each (default: %(default)s)")
    parser.add_argument("--work", type=Path, help="folder to keep (default: a temporary one)")
    args = parser.parse_args()
    if len(set(args.frames)) < 2 or args.seeds < 2:
        parser.error("--frames needs two sizes at least, and --seeds 2: a power law and its spread are fitted")
    with tempfile.TemporaryDirectory(prefix="ionmelt-selection-") as scratch:
        work = (args.work or Path(scratch)).resolve()
        prepare(work)
        frames = read_frames(work / "dataset" / "datasets" / "both" / "train.extxyz", labelled=True)
        sizes, seeds = sorted(args.frames), list(range(1, args.seeds + 1))
        errors_of: dict[tuple[str, int], list[dict[str, float]]] = {}
        for (way, size, seed), some in subsets(frames, sizes, seeds).items():
            key = f"{way}-{size}-s{seed}"
            train(work, key, some, seed, args.steps)
            errors = judge(work, key)
            errors_of.setdefault((way, size), []).append(errors)
            print(key, ", ".join(f"{name} {value:.1f}" for name, value in errors.items()), file=sys.stderr, flush=True)
    figures: dict[str, Any] = {
        "cpu": os.environ.get("BENCHMARK_CPU"),
        "frames": sizes,
        "pool": len(frames),
        "seeds": len(seeds),
        "steps": args.steps,
    }
    for name, short in (("force_rmse_mev_a", "force"), ("scan_rmse_mev_atom", "scan")):
        both = [np.array([[e[name] for e in errors_of[way, size]] for size in sizes]) for way in ("chosen", "random")]
        figures[f"{short}_error_ratio"] = error_ratio(*both)
        figures[f"{short}_frames_ratio"] = frames_ratio(*both, sizes)
        for way, values in zip(("chosen", "random"), both, strict=True):
            error = values.std(axis=1, ddof=1) / np.sqrt(len(seeds))
            figures.setdefault(name, {})[way] = [
                [round(float(m), 1), round(float(s), 1)] for m, s in zip(values.mean(axis=1), error, strict=True)
            ]
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
