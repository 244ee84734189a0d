#!/usr/bin/env python3
"""Train by our defaults, and by each framework's own tool with its documented example: errors and speed at equal core-seconds.

Frames of molten NaCl are made by the pipeline's own scripts and labelled by its classical force field. On the same training and
validation frames, with the same threads, each is trained for each seed:
- ours: TRAIN_MODEL with the defaults of a study
- theirs: MACE: mace_run_train as its README shows it (128x0e + 128x1o, r 5 A, batches of 10, double precision, stage two in the last fifth, as
  1200 of 1500 epochs there), without plots; DeePMD: dp --pt train with its example of water in se_e2_a, with room for the neighbours
  of this liquid; its model is not frozen
Of both as many epochs or steps as fit in, by the pace of two short trainings, which are not counted. Seconds are of CPU time, of all
processes together, which other work on the machine changes less than the clock.
Judged on the same test frames, which none has seen.
  mace_force_ratio, deepmd_force_ratio
                      force error of ours / of theirs, means over the seeds; also with _range over pairs of seeds
  mace_frames_per_s_ratio, deepmd_frames_per_s_ratio
                      training frames that went through gradient steps in a core-second of all that the training took, ours / theirs
  mace_force_rmse_mev_a, deepmd_force_rmse_mev_a
                      of ours and of theirs, seed by seed
  mace_core_s, deepmd_core_s
                      core-seconds that each took
  undertrained        of each framework the seeds of ours that COMPARE_MODELS would call undertrained
  undertrained_flagged
                      whether it calls one of each framework so that has a twentieth of the epochs or steps
Work is kept in --work, and what is there is not made again. --smallest shows in a minute or two that all of it runs: tiny models, a few
steps, of which no figure means anything.
"""
# environment: analysis

import argparse
import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
import polars as pl
from ase.data import atomic_numbers
from md import BIN, TOP, call, environment, execute, rounded

from ionmelt import files
from ionmelt.compare import curves
from ionmelt.models.frameworks import FRAMEWORKS
from ionmelt.models.pace import pace_of

STUDY = """
name: training
liquids: [{id: nacl, ions: {na: $pairs, cl: $pairs}, temperatures_K: [1300], density_guess_kg_m3: 1300}]
equilibration: {anneal_K: 1700, anneal_ps: $melt_ps, cool_ps: $melt_ps, settle_ps: $melt_ps, production_ps: $long_ps, save_every_ps: 0.5}
sampling:
  eq: {frames: $eq}
  neq:
    volume_scan: {frames: $scan, scale_min: 0.94, scale_max: 1.12}
    rattle: {frames: $rattle, sigma_A: 0.05}
labels: {engine: classical}
datasets: {both: [eq, neq]}
split: {valid: 0.1, test: 0.2}
models:
  - {id: mace, framework: mace$mace}
  - {id: deepmd, framework: deepmd$deepmd}
seeds: $seeds
md: {timestep_fs: 1, npt_ps: 1, nvt_ps: 1}
budget_core_hours: 100000
"""
WHOLE = {"pairs": 16, "melt_ps": 20, "long_ps": 100, "eq": 100, "scan": 20, "rattle": 10, "mace": "", "deepmd": ""}
SMALLEST = {
    "pairs": 12, "melt_ps": 1, "long_ps": 8, "eq": 12, "scan": 4, "rattle": 4,
    "mace": ", channels: 4, max_L: 0, r_max_A: 4, correlation: 2, max_ell: 2, epochs: 2",
    "deepmd": ", rcut_A: 4, neurons: [4, 8], axis_neurons: 4, fitting_neurons: [16, 16], steps: 20",
}  # fmt: skip
LENGTH = {"mace": 2, "deepmd": 20}  # epochs, steps of theirs in the smallest size
SHORT = 20  # a training that should be called undertrained has one part in so many of the epochs or steps
LIQUID, STATE = "nacl-r1", "nacl-1300K-r1"
README = ["--model=MACE", "--ema", "--ema_decay=0.99", "--amsgrad", "--restart_latest", "--device=cpu", "--plot=False"]


@dataclass(frozen=True)
class Training:
    """A training: of which framework and seed, where its model is, what it took, frames a core-second, and its epochs or steps."""

    framework: str
    seed: int
    weights: Path
    core_s: float
    frames_per_s: float
    length: int


def prepare(work: Path, words: dict[str, Any]) -> Path:
    """Plan, build, melt, sample, label and split, one script after another; return the folder of the dataset."""
    work.mkdir(parents=True, exist_ok=True)
    analysis = environment("analysis", 1)
    if not (work / "plan").exists():
        (work / "study.yaml").write_text(Template(STUDY).substitute(words))
        call(analysis, work, BIN / "plan_study.py", "--study", "study.yaml", "--assets", TOP / "assets")
    if (work / "dataset" / "dataset.json").exists():
        return work / "dataset"
    options = ["--settings", f"plan/boxes/{LIQUID}.json", "--assets", TOP / "assets", "--out", LIQUID]
    call(analysis, work, BIN / "build_liquid.py", "--id", LIQUID, *options)
    options = ["--settings", f"plan/states/{STATE}.json", "--box", LIQUID, "--out", STATE]
    call(analysis, work, BIN / "equilibrate.py", "--id", STATE, *options)
    options = ["--settings", "plan/samples/nacl.json", "--states", STATE, "--out", "chunks"]
    call(analysis, work, BIN / "sample_frames.py", "--id", "nacl", *options, "--counts", "sampling.parquet")
    for chunk in sorted((work / "chunks").glob("*.extxyz")):
        options = [
            "--settings",
            "plan/labels.json",
            "--frames",
            chunk,
            "--boxes",
            LIQUID,
            "--threads",
            1,
            "--out",
            chunk.stem,
        ]
        call(analysis, work, BIN / "label_frames.py", "--id", chunk.stem, *options)
    frames, labels = (sorted(work.glob(pattern)) for pattern in ("*.labelled.extxyz", "*.labels.parquet"))
    options = ["--frames", *frames, "--labels", *labels, "--settings", "plan/dataset.json", "--out", "dataset"]
    call(analysis, work, BIN / "split_dataset.py", "--id", "dataset", *options)
    return work / "dataset"


def settings_of(work: Path, framework: str, seed: int) -> dict[str, Any]:
    """Return the settings of a training of ours, as the plan has them."""
    settings: dict[str, Any] = files.read_json(work / "plan" / "models" / f"{framework}-both-s{seed}.json")
    return settings


def train_ours(folder: Path, data: Path, settings: dict[str, Any], length: int, threads: int) -> None:
    """Train as a study does, for so many epochs or steps, in a folder."""
    framework = settings["framework"]
    (folder / "settings.json").write_text(json.dumps(settings | {str(FRAMEWORKS[framework].length): length}))
    options = ["--settings", "settings.json", "--dataset", data, "--summary", data / "dataset.json"]
    options += ["--threads", threads, "--out", "model"]
    call(environment(framework, threads), folder, BIN / "train_model.py", "--id", settings["id"], *options)


def trained_ours(work: Path, framework: str, seed: int, length: int, threads: int, name: str) -> Training:
    """Return a training of ours; what was trained before is not trained again."""
    folder, data, settings = work / name, work / "dataset" / "datasets" / "both", settings_of(work, framework, seed)
    took_s = timed(folder, lambda: train_ours(folder, data, settings, length, threads))
    card = files.read_json(folder / "model" / "model.json")
    done = card["cost"]["frames_per_s"] * card["cost"]["wall_s"]
    return Training(framework, seed, folder / "model" / list(card["files"])[-1], took_s, done / took_s, length)


def mace_readme(folder: Path, data: Path, epochs: int, seed: int, threads: int, smallest: bool) -> None:
    """Train as the README of MACE shows it."""
    summary = files.read_json(data / "dataset.json")["datasets"]["both"]
    e0s = {atomic_numbers[symbol]: energy for symbol, energy in summary["e0s_ev"].items()}
    size = ["--hidden_irreps=4x0e", "--r_max=4.0"] if smallest else ["--hidden_irreps=128x0e + 128x1o", "--r_max=5.0"]
    last = max(1, round(epochs * 1200 / 1500))
    stage_two = ["--stage_two", f"--start_stage_two={last}"] if last < epochs else []
    values = {"name": "MACE_model", "train_file": data / "train.extxyz", "valid_file": data / "valid.extxyz"}
    values |= {"E0s": json.dumps(e0s).replace('"', ""), "batch_size": min(10, summary["frames"]["train"])}
    values |= {"max_num_epochs": epochs, "seed": seed}
    arguments = [f"--{name}={value}" for name, value in values.items()]
    call(
        environment("mace", threads, tuned=False),
        folder,
        "-m",
        "mace.cli.run_train",
        *arguments,
        *size,
        *README,
        *stage_two,
    )


def deepmd_example(folder: Path, data: Path, steps: int, seed: int, threads: int, smallest: bool) -> None:
    """Train as DeePMD's example of water (examples/water/se_e2_a/input_torch.json) does."""
    types = files.read_json(data / "dataset.json")["type_map"]
    systems = {
        name: sorted(str(path.parent) for path in (data / "deepmd" / name).glob("*/type.raw"))
        for name in ("train", "valid")
    }
    descriptor = {"rcut_smth": 0.5, "rcut": 6.0, "neuron": [25, 50, 100], "axis_neuron": 16}
    fitting = [240, 240, 240]
    if smallest:
        descriptor, fitting = {"rcut_smth": 0.5, "rcut": 4.0, "neuron": [4, 8], "axis_neuron": 4}, [16, 16]
    descriptor |= {"type": "se_e2_a", "sel": "auto", "resnet_dt": False, "type_one_side": True, "seed": seed}
    given = {
        "model": {
            "type_map": types,
            "descriptor": descriptor,
            "fitting_net": {"neuron": fitting, "resnet_dt": True, "seed": seed},
            "data_stat_nbatch": 20,
        },
        "learning_rate": {"type": "exp", "decay_steps": 5000, "start_lr": 0.001, "stop_lr": 3.51e-8},
        "loss": {"type": "ener", "start_pref_e": 0.02, "limit_pref_e": 1, "start_pref_f": 1000, "limit_pref_f": 1},
        "training": {
            "training_data": {"systems": systems["train"], "batch_size": 1},
            "validation_data": {"systems": systems["valid"], "batch_size": 1, "numb_btch": 3},
            "numb_steps": steps, "seed": seed, "disp_file": "lcurve.out", "disp_freq": 100, "save_freq": 10000,
        },
    }  # fmt: skip
    (folder / "input.json").write_text(json.dumps(given, indent=2))
    env = environment("deepmd", threads, tuned=False)
    env |= {"DP_INTRA_OP_PARALLELISM_THREADS": str(threads), "DP_INTER_OP_PARALLELISM_THREADS": "1", "DEVICE": "cpu"}
    execute(env, folder, "dp", "--pt", "train", "input.json")


THEIRS: dict[str, Callable[..., None]] = {"mace": mace_readme, "deepmd": deepmd_example}
MADE = {"mace": ("MACE_model_stagetwo.model", "MACE_model.model"), "deepmd": ("model.ckpt.pt",)}  # the last stage first
FIRST = {"mace": 1, "deepmd": 60}  # epochs, steps of the first of two short trainings that tell the pace


def core_s() -> float:
    """Return the CPU time (s) of this process and of all that it has started and waited for."""
    return sum(os.times()[:4])


def timed(folder: Path, train: Callable[[], object]) -> float:
    """Return the CPU time (s) of a training in a folder, which is made; of one that was done before what it took then."""
    took = folder / "took.json"
    if not took.exists():
        folder.mkdir(parents=True, exist_ok=True)
        began = core_s()
        train()
        took.write_text(json.dumps(core_s() - began))
    return float(took.read_text())


def length_of(work: Path, name: str, first: int, train: Callable[[Path, int], object], available_s: float) -> int:
    """Return how many epochs or steps fit into so much CPU time (s), by two short trainings, of `first` and of three times as many."""
    seconds = []
    for number in (first, 3 * first):
        folder = work / f"{name}-{number}"
        seconds.append(timed(folder, lambda: train(folder, number)))  # noqa: B023
    length = pace_of(seconds[0], seconds[1], first, available_s).length
    if length < 1:
        sys.exit(f"error: not one epoch or step of {name} fits in: give more --core-minutes")
    return length


def trained_theirs(work: Path, framework: str, seed: int, length: int, threads: int, smallest: bool) -> Training:
    """Return a training as the framework documents it."""
    folder, data = work / f"{framework}-theirs-s{seed}", work / "dataset" / "datasets" / "both"
    took_s = timed(folder, lambda: THEIRS[framework](folder, data, length, seed, threads, smallest))
    frames = files.read_json(data / "dataset.json")["datasets"]["both"]["frames"]["train"]
    batch = min(10, frames)
    done = length * (frames // batch * batch if framework == "mace" else 1)
    (weights,) = [path for name in MADE[framework] if (path := folder / name).exists()][:1]
    return Training(framework, seed, weights, took_s, done / took_s, length)


def judge(framework: str, data: Path, weights: list[str]) -> list[dict[str, float]]:
    """Return the force errors (RMSE, eV/A) of models on the test and on the training frames; in the framework's environment."""
    from ionmelt.frame import FORCES_KEY
    from ionmelt.frame_file import read_frames

    sets = {
        name: read_frames(path)
        for name, path in (("test", data / "test.extxyz"), ("train", data / "datasets/both/train.extxyz"))
    }
    result = []
    for path in weights:
        if framework == "mace":
            from mace.calculators import MACECalculator

            calculator: Any = MACECalculator(path, default_dtype="float64")
        else:
            from deepmd.calculator import DP

            calculator = DP(model=path)
        errors = {}
        for name, frames in sets.items():
            off = []
            for frame in frames:
                truth = frame.arrays[FORCES_KEY]
                frame.calc = calculator
                off.append((frame.get_forces() - truth).ravel())
            errors[name] = float(np.sqrt(np.mean(np.concatenate(off) ** 2)))
        result.append(errors)
    return result


def judged(work: Path, framework: str, trainings: list[Training]) -> list[dict[str, float]]:
    """Return the errors of trainings of a framework, as `judge` finds them in a process of its own."""
    command = [__file__, "--judge", framework, *(training.weights for training in trainings), "--work", work]
    shown = call(environment(framework, 1), work, *command)
    errors: list[dict[str, float]] = json.loads(shown.splitlines()[-1])
    return errors


def undertrained(rows: list[tuple[str, Training, float]]) -> dict[str, list[int]]:
    """Return the seeds, by name, of the trainings of ours that COMPARE_MODELS calls undertrained; rows: name, training, train error."""
    learnt, errors = [], []
    for name, training, error in rows:
        key = f"{name}-both-s{training.seed}"
        curve = pl.read_parquet(training.weights.parent / "curve.parquet")
        fields = {
            "model_key": key,
            "model": name,
            "dataset": "both",
            "seed": training.seed,
            "framework": training.framework,
        }
        learnt.append(
            curve.drop("model_key").with_columns(**{column: pl.lit(value) for column, value in fields.items()})
        )
        errors.append({"model_key": key, "split": "train", "scope": "all", "quantity": "force", "rmse": error})
    table = curves.table(pl.concat(learnt), {}, pl.DataFrame(errors))
    return {model: seeds for (model, _), seeds in curves.undertrained(table).items()}


def main() -> None:
    """Train, judge, print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("benchmark-training"), help="folder (default: %(default)s)")
    parser.add_argument("--core-minutes", type=float, default=30, help="of each training (default: %(default)s)")
    parser.add_argument("--pairs", type=int, default=WHOLE["pairs"], help="of ions (default: %(default)s)")
    parser.add_argument("--frames", type=int, default=WHOLE["eq"], help="of equilibrium (default: %(default)s)")
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="of each training (default: %(default)s)")
    parser.add_argument("--frameworks", nargs="+", choices=tuple(THEIRS), default=list(THEIRS), help="default: both")
    parser.add_argument("--smallest", action="store_true", help="show that it runs; --core-minutes do not count")
    parser.add_argument("--judge", nargs="+", help=argparse.SUPPRESS)
    args = parser.parse_args()
    work = args.work.resolve()
    if args.judge:
        print(json.dumps(judge(args.judge[0], work / "dataset", args.judge[1:])))
        return
    seeds = list(range(1, args.seeds + 1))
    size = SMALLEST if args.smallest else WHOLE | {"pairs": args.pairs, "eq": args.frames}
    prepare(work, size | {"seeds": seeds})
    figures: dict[str, Any] = {"cpu": os.environ.get("BENCHMARK_CPU"), "threads": args.threads, "seeds": len(seeds)}
    figures["core_minutes"] = None if args.smallest else args.core_minutes
    learnt: list[tuple[str, Training, float]] = []
    for framework in args.frameworks:
        ours, theirs, short = trainings(work, framework, seeds, args.core_minutes, args.threads, args.smallest)
        errors = judged(work, framework, [*ours, *theirs, *short])
        learnt += [(framework, training, error["train"]) for training, error in zip(ours, errors, strict=False)]
        learnt += [(f"{framework}-short", training, errors[-1]["train"]) for training in short]
        figures |= compared(framework, ours, theirs, [error["test"] for error in errors])
    flagged = undertrained(learnt)
    figures["undertrained"] = {framework: flagged.get(framework, []) for framework in args.frameworks}
    short_ones = [bool(flagged.get(f"{framework}-short")) for framework in args.frameworks]
    figures["undertrained_flagged"] = None if args.smallest else all(short_ones)
    print(json.dumps(rounded(figures)))


def trainings(
    work: Path, framework: str, seeds: list[int], core_minutes: float, threads: int, smallest: bool
) -> tuple[list[Training], list[Training], list[Training]]:
    """Return trainings of ours and of theirs, one a seed, and one of ours that is too short (none in the smallest size)."""
    data, first, available_s = work / "dataset" / "datasets" / "both", FIRST[framework], 60 * core_minutes
    settings = settings_of(work, framework, seeds[0])
    if smallest:
        lengths = [LENGTH[framework]] * 2
    else:
        lengths = [
            length_of(
                work,
                f"{framework}-ours",
                first,
                lambda folder, n: train_ours(folder, data, settings, n, threads),
                available_s,
            ),
            length_of(
                work,
                f"{framework}-theirs",
                first,
                lambda folder, n: THEIRS[framework](folder, data, n, 1, threads, False),
                available_s,
            ),
        ]
    ours = [trained_ours(work, framework, seed, lengths[0], threads, f"{framework}-ours-s{seed}") for seed in seeds]
    theirs = [trained_theirs(work, framework, seed, lengths[1], threads, smallest) for seed in seeds]
    too_short = max(1, lengths[0] // SHORT)
    short = [] if smallest else [trained_ours(work, framework, seeds[0], too_short, threads, f"{framework}-short")]
    return ours, theirs, short


def compared(framework: str, ours: list[Training], theirs: list[Training], errors: list[float]) -> dict[str, Any]:
    """Return the figures of a framework from its trainings and their errors (eV/A), ours first."""
    n = len(ours)
    a, b = np.array(errors[:n]), np.array(errors[n : 2 * n])
    pairs = (a / b).tolist()
    speed = [float(np.mean([training.frames_per_s for training in some])) for some in (ours, theirs)]
    return {
        f"{framework}_force_ratio": float(a.mean() / b.mean()),
        f"{framework}_force_ratio_range": [min(pairs), max(pairs)],
        f"{framework}_frames_per_s_ratio": speed[0] / speed[1],
        f"{framework}_force_rmse_mev_a": {"ours": (1e3 * a).tolist(), "theirs": (1e3 * b).tolist()},
        f"{framework}_core_s": {name: [x.core_s for x in some] for name, some in (("ours", ours), ("theirs", theirs))},
    }


if __name__ == "__main__":
    main()
