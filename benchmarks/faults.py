#!/usr/bin/env python3
"""Inject faults into every stage: each must be noticed, or recovered from with the result of a run without it.

A small study is run once, stage by stage, without a fault. Then each stage is run again for each row of `FAULTS`, on copies of
its inputs of which one is damaged, or while something happens to its process. The verdict comes from what is found then:
  detected      it ended with another code than 0, one clear line names the file or what is short, and no stack trace; or, where
                it ended well, every number that is missing has its reason in the tables and all others are the same
  recovered     the result is that of the run without a fault, at once or when started again
  wrong         it ended well with another result: a wrong number
  unclear       it ended with another code than 0, and nobody would know why
Nothing is published by a task that fails, so detection is enough for a result to be right. Times, speeds and costs are not
compared. As root, which no permission stops, the capabilities that override them are dropped first.

The last line is one JSON object: injected, detected, recovered, wrong, unclear. --write makes docs/faults.csv and docs/faults.md.
"""
# environment: analysis

import argparse
import csv
import ctypes
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import yaml
from ase.units import Hartree

from ionmelt import errors as errors_module
from ionmelt import files as files_module
from ionmelt.frame_file import read_frames, write_frames

TOP = Path(__file__).resolve().parents[1]
STATE, RUN, WALK = "libf4-900K-r1", "libf4-900K-r1-clp", "libf4-900K-r1-m-both"
# What a good run of a stage is followed by: files in own/ that other stages take.
MADE_AFTER = {**dict.fromkeys(("b.extxyz", "b.parquet", "mine.xyz", "own.json"), "label"), "train.extxyz": "split"}
RUST_MEMORY = "memory allocation of"  # how a library in Rust begins its last words before it aborts
# Of the JSON that results hold, what differs between runs of the same study: times, and what follows from them.
VOLATILE = {"wall_s", "cpu_s", "max_rss_mb", "atom_steps_per_s", "cost", "probe", "segments_resumed", files_module.SEAL}
VOLATILE_COLUMNS = VOLATILE | {
    "labels_core_h", "training_core_h", "training_gpu_h", "md_core_h_per_ns", "md_gpu_h_per_ns", "total_core_h",
    "total_gpu_h", "front", "from_store",
}  # fmt: skip
# Of a bill, what the probes of each run measure anew.
PROBED = {"core_hours", "total_core_hours", "source", "cold_s", "chained_s"}
# Labels after a restart begin from another guess: they agree within what labels may depend on it by.
SAME_EV, SAME_EV_A = 1e-3, 5e-3


@dataclass(frozen=True)
class Stage:
    """A task of the study: its script with arguments, its inputs by name, and which stage each comes from.

    A name in `outputs` is what the next stages and the comparison look at.
    """

    process: str
    environment: str
    command: str
    inputs: dict[str, str]  # name -> STAGE:NAME, or a file that `prepare` makes
    outputs: tuple[str, ...]
    keeps: tuple[str, ...] = ()  # folders that outlive a task: the next try finds them
    of: str = ""  # what it is done for, where a process has several stages with faults of the same names

    @property
    def title(self) -> str:
        """Return what the page calls the stage."""
        return f"{self.process} ({self.of})" if self.of else self.process


STAGES = {
    "plan": Stage(
        "PLAN_STUDY", "analysis",
        "plan_study.py --study study.yaml --assets assets --base . --out plan --errors errors.txt",
        {"study.yaml": "own:study.yaml", "assets": "own:assets"}, ("plan",),
    ),
    "build": Stage(
        "BUILD_LIQUID", "analysis",
        "build_liquid.py --id libf4-r1 --settings box.json --assets assets --out libf4-r1",
        {"box.json": "plan:plan/boxes/libf4-r1.json", "assets": "own:assets"}, ("libf4-r1",),
    ),
    "equilibrate": Stage(
        "EQUILIBRATE", "analysis",
        f"equilibrate.py --id {STATE} --settings state.json --box libf4-r1 --out {STATE}",
        {"state.json": f"plan:plan/states/{STATE}.json", "libf4-r1": "build:libf4-r1"}, (STATE,),
    ),
    "power": Stage(
        "ESTIMATE_POWER", "analysis",
        f"estimate_power.py --id study --plan plan --states {STATE} --out power.parquet --words power.txt",
        {"plan": "plan:plan", STATE: f"equilibrate:{STATE}"}, ("power.parquet",),
    ),
    "sample": Stage(
        "SAMPLE_FRAMES", "analysis",
        f"sample_frames.py --id libf4 --settings libf4.json --states {STATE} --out chunks --counts libf4.sampling.parquet",
        {"libf4.json": "plan:plan/samples/libf4.json", STATE: f"equilibrate:{STATE}"}, ("chunks", "libf4.sampling.parquet"),
    ),
    "label": Stage(
        "LABEL_FRAMES", "dft",
        "label_frames.py --id libf4-000 --settings labels.json --frames libf4-000.extxyz --store store/README.txt --try-again "
        "--out libf4-000",
        {"labels.json": "plan:plan/labels.json", "libf4-000.extxyz": "sample:chunks/libf4-000.extxyz", "store": "own:store"},
        ("libf4-000.labelled.extxyz", "libf4-000.labels.parquet"), ("store",),
    ),
    "estimate": Stage(
        "ESTIMATE_LABELS", "dft",
        "estimate_labels.py --settings labels.json --plan plan --boxes libf4-r1 --out estimate.json --errors errors.txt",
        {"labels.json": "plan:plan/labels.json", "plan": "plan:plan", "libf4-r1": "build:libf4-r1"}, ("estimate.json",),
    ),
    "import": Stage(
        "IMPORT_LABELS", "analysis",
        "import_labels.py --id imported --settings own.json --frames mine.xyz --assets assets --out imported --errors errors.txt",
        {"own.json": "own:own.json", "mine.xyz": "own:mine.xyz", "assets": "own:assets"},
        ("imported.labelled.extxyz", "imported.labels.parquet"),
    ),
    "split": Stage(
        "SPLIT_DATASET", "analysis",
        "split_dataset.py --id dataset --settings dataset.json --frames a.extxyz b.extxyz --labels a.parquet b.parquet --out dataset",
        {"dataset.json": "plan:plan/dataset.json", "a.extxyz": "label:libf4-000.labelled.extxyz",
         "a.parquet": "label:libf4-000.labels.parquet", "b.extxyz": "own:b.extxyz", "b.parquet": "own:b.parquet"},
        ("dataset",),
    ),
    "mace": Stage(
        "TRAIN_MODEL", "mace",
        "train_model.py --id mace-both-s1 --settings model.json --dataset both --summary both/dataset.json --out mace-both-s1",
        {"model.json": "plan:plan/models/mace-both-s1.json", "both": "split:dataset/datasets/both"}, ("mace-both-s1",), of="mace",
    ),
    "deepmd": Stage(
        "TRAIN_MODEL", "deepmd",
        "train_model.py --id dpmd-both-s1 --settings model.json --dataset both --summary both/dataset.json --out dpmd-both-s1",
        {"model.json": "plan:plan/models/dpmd-both-s1.json", "both": "split:dataset/datasets/both"}, ("dpmd-both-s1",), of="deepmd",
    ),
    "import model": Stage(
        "IMPORT_MODEL", "analysis",
        "import_model.py --id own --settings model.json --out own --errors errors.txt",
        {"model.json": "own:model.json"}, ("own",),
    ),
    "export": Stage(
        "EXPORT_MODEL", "mace",
        "export_model.py --id mace-both-s1 --model model/mace-both-s1 --out mace-both-s1",
        {"model/mace-both-s1": "mace:mace-both-s1"}, ("mace-both-s1",),
    ),
    "evaluate": Stage(
        "EVALUATE_MODEL", "analysis",
        f"evaluate_model.py --id clp --model clp --test test.extxyz --state {STATE} --out clp.evaluation",
        {"clp": "plan:plan/cards/clp", "test.extxyz": "split:dataset/test.extxyz", STATE: f"equilibrate:{STATE}"},
        ("clp.evaluation",),
    ),
    "evaluate mace": Stage(
        "EVALUATE_MODEL", "mace",
        f"evaluate_model.py --id mace-both-s1 --model mace-both-s1 --test test.extxyz --state {STATE} --out mace.evaluation",
        {"mace-both-s1": "mace:mace-both-s1", "test.extxyz": "split:dataset/test.extxyz", STATE: f"equilibrate:{STATE}"},
        ("mace.evaluation",),
    ),
    "explore": Stage(
        "EXPLORE_LIQUID", "analysis",
        f"explore_liquid.py --id {WALK} --settings explore.json --state {STATE} --models labels clp --valid valid.extxyz "
        "--out explored",
        {"explore.json": "own:explore.json", STATE: f"equilibrate:{STATE}", "clp": "plan:plan/cards/clp",
         "labels": "plan:plan/cards/labels", "valid.extxyz": "split:dataset/datasets/both/valid.extxyz"},
        ("explored",),
    ),
    "explore mace": Stage(
        "EXPLORE_LIQUID", "mace",
        f"explore_liquid.py --id {WALK} --settings explore.json --state {STATE} --models mace-both-s1 own --valid valid.extxyz "
        "--out explored",
        {"explore.json": "own:explore.json", STATE: f"equilibrate:{STATE}", "mace-both-s1": "mace:mace-both-s1",
         "own": "import model:own", "valid.extxyz": "split:dataset/datasets/both/valid.extxyz"},
        ("explored",),
    ),
    "choose": Stage(
        "CHOOSE_FRAMES", "analysis",
        f"choose_frames.py --id libf4-active2 --settings choose.json --state {STATE} --candidates {WALK}.extxyz "
        "--labelled labelled/1/al/train.extxyz --out chosen",
        {"choose.json": "own:choose.json", STATE: f"equilibrate:{STATE}", f"{WALK}.extxyz": f"explore:explored/{WALK}.extxyz",
         "labelled/1/al/train.extxyz": "own:train.extxyz"},
        ("chosen",),
    ),
    "md": Stage(
        "RUN_MD", "analysis",
        f"run_md.py --id {RUN} --settings run.json --state {STATE} --model clp --checkpoints checkpoints --out {RUN}",
        {"run.json": f"plan:plan/runs/{RUN}.json", STATE: f"equilibrate:{STATE}", "clp": "plan:plan/cards/clp",
         "checkpoints": "own:checkpoints"},
        (RUN,), ("checkpoints",),
    ),
    "measure": Stage(
        "MEASURE_LIQUID", "analysis",
        f"measure_liquid.py --id {RUN} --run {RUN} --references references.csv --out {RUN}.measures",
        {RUN: f"md:{RUN}", "references.csv": "plan:plan/references.csv"}, (f"{RUN}.measures",),
    ),
    "compare": Stage(
        "COMPARE_MODELS", "analysis",
        "compare_models.py --plan plan --labels labels --sampling sampling --dataset dataset.parquet --models models "
        "--evaluations evaluations --runs measures --measures measures --tasks tasks.jsonl --outdir .",
        {"plan": "plan:plan", "labels/a.parquet": "label:libf4-000.labels.parquet", "labels/b.parquet": "own:b.parquet",
         "sampling/libf4.parquet": "sample:libf4.sampling.parquet", "dataset.parquet": "split:dataset/dataset.parquet",
         "models/clp": "plan:plan/cards/clp",
         "evaluations/clp.evaluation": "evaluate:clp.evaluation",          f"measures/{RUN}.measures": f"measure:{RUN}.measures", "tasks.jsonl": "own:tasks.jsonl"},
        ("tables",),
    ),
}  # fmt: skip


# --- What can happen to a file ---------------------------------------------------------------------------


def missing(path: Path) -> None:
    """It is not there."""
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def empty(path: Path) -> None:
    """It is there, and empty: what a full disk leaves."""
    path.write_bytes(b"")


def truncated(path: Path) -> None:
    """Its second half is lost."""
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def zeros(path: Path) -> None:
    """Its second half is zeros: what a crashed node leaves."""
    content = path.read_bytes()
    half = len(content) // 2
    path.write_bytes(content[:half] + bytes(len(content) - half))


def lost_frames(path: Path) -> None:
    """An extended XYZ file lost its last frame, and ends well."""
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[: -int(lines[0]) - 2]))


def lost_lines(path: Path) -> None:
    """A text lost its last line, and ends well."""
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))


def nan(path: Path) -> None:
    """A number became NaN."""
    if path.suffix == ".parquet":
        frame = pl.read_parquet(path)
        name = next(name for name, kind in frame.schema.items() if kind == pl.Float64 and frame[name].count())
        frame.with_columns(pl.lit(float("nan")).alias(name)).write_parquet(path)
    elif path.suffix in (".npy", ".dcd", ".xtc"):
        content = bytearray(path.read_bytes())
        content[-64:-56] = np.array([np.nan]).tobytes()
        path.write_bytes(content)
    else:
        content = path.read_text()
        numbers = list(re.finditer(r"-?\d+\.\d+(e-?\d+)?|(?<=: )\d+", content))
        middle = numbers[len(numbers) // 2]
        path.write_text(content[: middle.start()] + "NaN" + content[middle.end() :])


def another_number(path: Path) -> None:
    """A digit of a number changed."""
    content = path.read_text()
    numbers = list(re.finditer(r"\d\.\d\d+|(?<=: )\d+", content))
    middle = numbers[len(numbers) // 2]
    digit = str((int(content[middle.start()]) + 3) % 10)
    path.write_text(content[: middle.start()] + digit + content[middle.start() + 1 :])


def bad_json(path: Path) -> None:
    """A brace of the JSON is lost."""
    path.write_text(path.read_text().rstrip().removesuffix("}"))


def wrong_type(path: Path) -> None:
    """A number of the JSON became a text."""
    path.write_text(re.sub(r'(": )(-?\d[\d.e-]*)', r'\1"many"', path.read_text(), count=1))


def a_list(path: Path) -> None:
    """The JSON is a list."""
    path.write_text("[1, 2]\n")


def a_folder(path: Path) -> None:
    """There is a folder in its place."""
    path.unlink()
    path.mkdir()


def forbidden(path: Path) -> None:
    """Nobody may read it."""
    path.chmod(0)


def swapped(path: Path) -> None:
    """It holds what the file beside it of the same kind should hold, and the other way round."""
    other = next(other for other in sorted(path.parent.rglob("*" + path.suffix)) if other.is_file() and other != path)
    mine, theirs = path.read_bytes(), other.read_bytes()
    path.write_bytes(theirs)
    other.write_bytes(mine)


DAMAGES: dict[str, Callable[[Path], None]] = {
    "missing": missing, "empty": empty, "truncated": truncated, "zeros": zeros, "lost frames": lost_frames,
    "lost lines": lost_lines, "NaN": nan, "another number": another_number, "bad JSON": bad_json,
    "wrong type": wrong_type, "a list": a_list, "a folder": a_folder, "forbidden": forbidden, "swapped": swapped,
}  # fmt: skip


# --- What can happen to a process ------------------------------------------------------------------------

# In a folder on PYTHONPATH: what happens in the process itself, from the moment that the work of the task begins.
SITE = """
import importlib.util, os, resource, sys, time
kind, _, amount = os.environ.get("FAULT", "").partition(":")
if kind == "clock":  # it jumps back and forth by that many seconds
    real, calls = time.time, [0]
    def jumping():
        calls[0] += 1
        return real() + (float(amount) if calls[0] % 2 else 0.0)
    time.time = jumping
    time.time_ns = lambda: int(jumping() * 1e9)

def begin():
    if kind == "memory":  # that many MB more than are in use
        used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + int(float(amount) * 1e6),) * 2)
    if kind == "disk":  # no file may be longer than that many bytes
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(amount),) * 2)

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name != "ionmelt.task":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        load = spec.loader.exec_module
        def then_hook(module):
            load(module)
            check = module.check
            def checked(*paths):
                begin()
                return check(*paths)
            module.check = checked
        spec.loader.exec_module = then_hook
        return spec

if kind in ("memory", "disk"):
    sys.meta_path.insert(0, Finder())
"""


def obey_permissions() -> None:
    """Give up what lets root pass by permissions (Linux: CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH), for what is run next."""
    if os.geteuid() == 0:
        for capability in (1, 2):
            ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP


@dataclass(frozen=True)
class Fault:
    """A row of the matrix: what happens to which file of a stage, or to its process."""

    stage: str
    kind: str  # of DAMAGES, or: killed, time limit, engine or tool killed, memory, disk, tmpfs, ...
    target: str = ""  # file; or after how much of the time of a good run, or how many labels; MB, bytes, kB, seconds
    short: bool = False  # it is among those that the default tests run


def damages(stage: str, target: str, *kinds: str, short: tuple[str, ...] = ()) -> Iterator[Fault]:
    """Yield a row for each kind of damage to a file."""
    for kind in kinds:
        yield Fault(stage, kind, target, kind in short)


JSON_KINDS = ("missing", "empty", "truncated", "NaN", "wrong type", "a list", "forbidden", "another number")
XYZ_KINDS = ("missing", "empty", "truncated", "zeros", "NaN", "lost frames", "another number")
BINARY_KINDS = ("missing", "empty", "truncated", "zeros")

FAULTS: list[Fault] = [
    *damages("plan", "study.yaml", "missing", "empty", "truncated", "zeros", "NaN", "a folder", "forbidden", short=("NaN",)),
    *damages("plan", "assets/ions/bf4.yaml", "missing", "empty", "truncated", "zeros"),
    *damages("plan", "assets/references/ilthermo.csv", "empty", "truncated", "zeros"),
    Fault("plan", "memory", "20"), Fault("plan", "disk", "200", short=True), Fault("plan", "tmpfs", "16"),
    Fault("plan", "killed", "0.5"), Fault("plan", "clock", "-1e7"), Fault("plan", "read-only folder"),
    *damages("build", "box.json", *JSON_KINDS, short=("another number",)),
    *damages("build", "assets/ions/bf4.yaml", "missing", "empty", "truncated"),
    *damages("build", "assets/forcefields/clandp.yaml", "missing", "empty", "truncated", "zeros"),
    Fault("build", "memory", "1"), Fault("build", "disk", "100"), Fault("build", "killed", "0.7"),
    Fault("build", "clock", "1e7"),
    *damages("equilibrate", "state.json", *JSON_KINDS, short=("NaN", "forbidden")),
    *damages("equilibrate", "libf4-r1/box.extxyz", *BINARY_KINDS, "NaN", "another number", short=("another number",)),
    *damages("equilibrate", "libf4-r1/topology.json", *BINARY_KINDS, short=("missing",)),
    *damages("equilibrate", "libf4-r1/system.xml", *BINARY_KINDS, "NaN"),
    Fault("equilibrate", "memory", "4"), Fault("equilibrate", "disk", "2000", short=True),
    Fault("equilibrate", "tmpfs", "64"), Fault("equilibrate", "killed", "0.6", short=True),
    Fault("equilibrate", "time limit", "0.6"), Fault("equilibrate", "clock", "-1e7"),
    Fault("equilibrate", "read-only folder", short=True),
    *damages("power", "plan/study.json", *JSON_KINDS, short=("wrong type",)),
    *damages("power", f"{STATE}/trajectory.dcd", *BINARY_KINDS, "NaN"),
    *damages("power", f"{STATE}/equilibration.json", *JSON_KINDS),
    Fault("power", "memory", "2"), Fault("power", "disk", "100"), Fault("power", "killed", "0.7"),
    *damages("sample", "libf4.json", *JSON_KINDS),
    *damages("sample", f"{STATE}/trajectory.dcd", *BINARY_KINDS, "NaN", "forbidden", short=("truncated",)),
    *damages("sample", f"{STATE}/topology.json", "missing", "NaN"),
    Fault("sample", "memory", "8"), Fault("sample", "disk", "1000", short=True), Fault("sample", "killed", "0.7"),
    Fault("sample", "clock", "1e7"),
    *damages("label", "labels.json", *JSON_KINDS),
    *damages("label", "libf4-000.extxyz", *XYZ_KINDS, "forbidden", short=("lost frames",)),
    Fault("label", "killed", "0.7", short=True), Fault("label", "time limit", "0.7"),
    Fault("label", "engine killed", "2", short=True), Fault("label", "engine stops", "2"),
    Fault("label", "disk", "3000"), Fault("label", "tmpfs", "24"), Fault("label", "memory", "60"),
    Fault("label", "clock", "-1e7"), Fault("label", "full store", "truncated"), Fault("label", "full store", "empty"),
    Fault("label", "full store", "another number"), Fault("label", "full store", "NaN"),
    Fault("label", "full store", "swapped", short=True), Fault("label", "full store", "forbidden"),
    *damages("estimate", "labels.json", *JSON_KINDS, short=("another number",)),
    *damages("estimate", "plan/estimate.json", *JSON_KINDS, short=("NaN",)),
    *damages("estimate", "libf4-r1/box.extxyz", *BINARY_KINDS, "NaN", "another number", "forbidden"),
    Fault("estimate", "tool killed", "0.8"), Fault("estimate", "memory", "60"), Fault("estimate", "disk", "100"),
    Fault("estimate", "killed", "0.7"), Fault("estimate", "clock", "-1e7"),
    *damages("import", "own.json", *JSON_KINDS),
    *damages("import", "mine.xyz", "missing", "empty", "truncated", "zeros", "NaN", "forbidden", "a folder"),
    Fault("import", "disk", "2000"), Fault("import", "killed", "0.7"), Fault("import", "memory", "4"),
    *damages("split", "dataset.json", *JSON_KINDS),
    *damages("split", "a.extxyz", *XYZ_KINDS, "swapped", short=("another number", "lost frames")),
    *damages("split", "a.parquet", *BINARY_KINDS, "NaN", "swapped", "forbidden", short=("truncated",)),
    Fault("split", "memory", "2"), Fault("split", "disk", "4000"), Fault("split", "tmpfs", "48"),
    Fault("split", "killed", "0.8"), Fault("split", "clock", "1e7"),
    *damages("mace", "model.json", *JSON_KINDS),
    *damages("mace", "both/train.extxyz", *XYZ_KINDS, "swapped"),
    Fault("mace", "killed", "0.6"), Fault("mace", "time limit", "0.6"), Fault("mace", "tool killed", "0.6"),
    Fault("mace", "memory", "400"), Fault("mace", "disk", "2000"), Fault("mace", "clock", "-1e7"),
    *damages("deepmd", "model.json", "missing", "truncated", "NaN", "wrong type"),
    *damages("deepmd", "both/dataset.json", "truncated", "another number"),
    *damages("deepmd", "both/deepmd/train/B8F32Li8/set.000/force.npy", *BINARY_KINDS, "NaN", "swapped"),
    Fault("deepmd", "killed", "0.6"), Fault("deepmd", "tool killed", "0.6"), Fault("deepmd", "memory", "400"),
    Fault("deepmd", "disk", "2000"),
    *damages("import model", "model.json", *JSON_KINDS),
    Fault("import model", "disk", "100"), Fault("import model", "killed", "0.7"), Fault("import model", "clock", "1e7"),
    *damages("export", "model/mace-both-s1/model.pt", *BINARY_KINDS, "forbidden"),
    *damages("export", "model/mace-both-s1/model.json", *JSON_KINDS),
    Fault("export", "killed", "0.7"), Fault("export", "tool killed", "0.7"), Fault("export", "memory", "400"),
    Fault("export", "disk", "500"), Fault("export", "read-only folder"), Fault("export", "clock", "-1e7"),
    *damages("evaluate", "clp/model.json", *JSON_KINDS),
    *damages("evaluate", "test.extxyz", *XYZ_KINDS, "forbidden", short=("lost frames", "NaN")),
    *damages("evaluate", f"{STATE}/system.xml", *BINARY_KINDS, "another number"),
    Fault("evaluate", "memory", "2"), Fault("evaluate", "disk", "1000"), Fault("evaluate", "killed", "0.7"),
    *damages("evaluate mace", "mace-both-s1/model.pt", *BINARY_KINDS),
    *damages("evaluate mace", "mace-both-s1/model.json", "truncated", "another number"),
    *damages("explore", "explore.json", *JSON_KINDS, short=("another number",)),
    *damages("explore", f"{STATE}/start.extxyz", *BINARY_KINDS, "NaN", "another number", "forbidden"),
    *damages("explore", f"{STATE}/topology.json", "missing", "NaN"),
    *damages("explore", f"{STATE}/system.xml", *BINARY_KINDS, "another number"),
    *damages("explore", "labels", "missing"),
    *damages("explore", "labels/model.json", *JSON_KINDS, "bad JSON"),
    *damages("explore", "valid.extxyz", *XYZ_KINDS, "forbidden", "a folder", short=("empty", "lost frames")),
    Fault("explore", "killed", "0.7"), Fault("explore", "time limit", "0.7"), Fault("explore", "memory", "4"), Fault("explore", "memory", "48"),
    Fault("explore", "disk", "1000"), Fault("explore", "tmpfs", "8"), Fault("explore", "clock", "-1e7"),
    Fault("explore", "read-only folder"),
    *damages("explore mace", "mace-both-s1/model.pt", *BINARY_KINDS, "forbidden"),
    *damages("explore mace", "mace-both-s1/model.json", "truncated", "another number"),
    *damages("choose", "choose.json", *JSON_KINDS),
    *damages("choose", f"{WALK}.extxyz", *XYZ_KINDS, "forbidden", short=("empty",)),
    *damages("choose", "labelled/1/al/train.extxyz", *XYZ_KINDS, "forbidden", short=("empty", "NaN")),
    *damages("choose", f"{STATE}/topology.json", *BINARY_KINDS, "another number"),
    Fault("choose", "killed", "0.7"), Fault("choose", "time limit", "0.7"), Fault("choose", "memory", "4"), Fault("choose", "memory", "32"),
    Fault("choose", "disk", "500", short=True), Fault("choose", "tmpfs", "8"), Fault("choose", "clock", "1e7"),
    Fault("choose", "read-only folder"),
    *damages("md", "run.json", *JSON_KINDS, short=("wrong type",)),
    *damages("md", f"{STATE}/start.extxyz", *BINARY_KINDS, "NaN", "another number", "forbidden"),
    *damages("md", f"{STATE}/system.xml", *BINARY_KINDS, "another number", short=("another number",)),
    *damages("md", "clp/model.json", "missing", "bad JSON"),
    Fault("md", "killed", "0.7", short=True), Fault("md", "time limit", "0.7"), Fault("md", "memory", "4"),
    Fault("md", "disk", "3000"), Fault("md", "tmpfs", "96"), Fault("md", "clock", "-1e7"),
    Fault("md", "checkpoint", "truncated"), Fault("md", "checkpoint", "empty"), Fault("md", "checkpoint", "zeros"),
    Fault("md", "checkpoint", "swapped", short=True), Fault("md", "checkpoint", "missing"),
    Fault("md", "checkpoint", "forbidden"),
    *damages("measure", f"{RUN}/run.json", *JSON_KINDS, "bad JSON"),
    *damages("measure", f"{RUN}/thermo.parquet", *BINARY_KINDS, "NaN", short=("NaN",)),
    *damages("measure", f"{RUN}/nvt.xtc", *BINARY_KINDS, "swapped", short=("missing", "swapped")),
    *damages("measure", f"{RUN}/topology.json", "missing", "another number"),
    *damages("measure", "references.csv", "truncated", "zeros"),
    Fault("measure", "memory", "2"), Fault("measure", "disk", "500"), Fault("measure", "killed", "0.7"),
    Fault("measure", "clock", "1e7"),
    *damages("compare", "plan/study.json", *JSON_KINDS),
    *damages("compare", "plan/runs.csv", "missing", "empty", "truncated", "lost lines"),
    *damages("compare", "labels/a.parquet", *BINARY_KINDS, "swapped", short=("missing", "swapped")),
    *damages("compare", "dataset.parquet", "empty", "truncated", "zeros"),
    *damages("compare", "evaluations/clp.evaluation/errors.parquet", *BINARY_KINDS, "NaN"),
    *damages("compare", f"measures/{RUN}.measures/{RUN}.density.parquet", *BINARY_KINDS, "NaN", "swapped", short=("NaN",)),
    *damages("compare", f"measures/{RUN}.measures/run.json", *BINARY_KINDS, "another number"),
    *damages("compare", "models/clp/model.json", "empty", "truncated", "another number"),
    *damages("compare", "tasks.jsonl", "empty", "truncated", "bad JSON"),
    Fault("compare", "memory", "2"), Fault("compare", "disk", "4000"), Fault("compare", "killed", "0.7"),
]  # fmt: skip


# --- Running -------------------------------------------------------------------------------------------


class Bench:
    """The study without a fault, and the means to run its stages again."""

    def __init__(self, work: Path, flags: tuple[str, ...] = ()) -> None:
        self.work, self.flags = work, flags
        self.folders: dict[str, str] = {}
        self.seconds: dict[str, float] = {}
        self.good: dict[str, dict[str, Any]] = {}
        self.site = work / "site"
        self.site.mkdir(parents=True, exist_ok=True)
        (self.site / "sitecustomize.py").write_text(SITE)

    def variables(self, environment: str, fault: str) -> dict[str, str]:
        """Return the variables that a task of an environment runs with."""
        if environment not in self.folders:
            command = [TOP / "containers" / "environment", *self.flags, environment]
            self.folders[environment] = subprocess.run(
                command, check=True, capture_output=True, text=True
            ).stdout.strip()
        paths = f"{self.folders[environment]}/bin:{os.environ['PATH']}"
        threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        env = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        return env | threads | {"PATH": paths, "PYTHONPATH": str(self.site), "FAULT": fault}

    def start(self, stage: Stage, folder: Path, fault: str = "") -> subprocess.Popen[str]:
        """Start the script of a stage in a folder."""
        script, *arguments = stage.command.split()
        return subprocess.Popen(
            ["python", str(TOP / "bin" / script), *arguments],
            cwd=folder, env=self.variables(stage.environment, fault), text=True, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, start_new_session=True, preexec_fn=obey_permissions,
        )  # fmt: skip

    def stage_in(self, name: str, folder: Path) -> None:
        """Copy the inputs of a stage into a folder; those that the kept folders hold stay."""
        for target, source in STAGES[name].inputs.items():
            owner, path = source.split(":")
            here, there = self.work / "base" / owner / path, folder / target
            there.parent.mkdir(parents=True, exist_ok=True)
            if target in STAGES[name].keeps and there.exists():
                continue
            shutil.copytree(here, there, symlinks=True) if here.is_dir() else shutil.copy(here, there)

    def prepare(self, names: list[str]) -> None:
        """Run stages without a fault, and keep what they leave; those that a kept folder has are taken from there."""
        user_folder = self.work / "base" / "own"
        if not user_folder.exists():
            self.begin(user_folder)
        for name in names:
            self.prepare_one(name, user_folder)

    def begin(self, user_folder: Path) -> None:
        """Write what a user brings, and what the plan says of a model of theirs."""
        user_folder.mkdir(parents=True)
        model = {"id": "own", "model": "own", "dataset": None, "seed": None, "licence": "MIT", "theory": "PBE",
                 "dispersion": None, "head": None, "dtype": "float32", "liquid_elements": ["F", "Li"], "weights": None,
                 "sha256": None, "framework": "ase", "calculator": "ase.calculators.lj.LennardJones",
                 "weights_argument": None, "arguments": {"sigma": 1.8, "epsilon": 0.3, "rc": 3.9, "smooth": True}}  # fmt: skip
        write_sealed(user_folder / "model.json", model)
        walk = {"id": WALK, "round": 2, "liquid": "libf4", "temperature_K": 900.0, "pressure_bar": 1.0, "model": "m",
                "dataset": "both", "seed": 5, "timestep_fs": 0.5, "thermostat_fs": 100.0, "barostat_fs": 500.0, "frames": 3,
                "every_fs": 10.0, "npt_ps": 0.04, "ramp_ps": 0.04, "ramp_K": 600.0, "swing_ps": 0.0, "swing_amplitude": 0.06,
                "quantile": 0.25, "stop_factor": 3.0, "engine": "auto"}  # fmt: skip
        write_sealed(user_folder / "explore.json", walk)
        write_sealed(user_folder / "choose.json", {"id": "libf4-active2", "liquid": "libf4", "frames": 3})
        shutil.copytree(TOP / "assets", user_folder / "assets")
        study = yaml.safe_load((TOP / "studies" / "test.yaml").read_text())
        study["md"]["segment_ps"] = 0.01
        study["labels"]["chunk"] = 8
        (user_folder / "study.yaml").write_text(yaml.safe_dump(study))
        (user_folder / "store").mkdir()
        (user_folder / "store" / "README.txt").write_text("labels\n")
        (user_folder / "checkpoints").mkdir()
        (user_folder / "tasks.jsonl").write_text(
            json.dumps({"process": "BUILD_LIQUID", "id": "x", "wall_s": 1.0, "versions": {}}) + "\n"
        )

    def prepare_one(self, name: str, user_folder: Path) -> None:
        """Run one stage without a fault."""
        folder, note = self.work / "base" / name, self.work / "base" / f"{name}.seconds"
        outputs = [folder / output for output in STAGES[name].outputs]
        if not note.exists():
            shutil.rmtree(folder, ignore_errors=True)
            self.stage_in(name, folder)
            start = time.perf_counter()
            said = self.start(STAGES[name], folder).communicate()[1]
            seconds = time.perf_counter() - start
            if not all(output.exists() for output in outputs):
                raise SystemExit(f"{name} failed without a fault:\n{said[-3000:]}")
            print(f"{name}: {seconds:.1f} s", file=sys.stderr, flush=True)
            if name == "label":
                self.rest(folder, user_folder)
            if name == "split":
                self.trained(folder, user_folder)
            note.write_text(f"{seconds}\n")
        self.seconds[name] = float(note.read_text())
        self.good[name] = {k: v for output in outputs for k, v in content(output).items()}

    def trained(self, folder: Path, user_folder: Path) -> None:
        """Write what a round of active learning has trained on: a recipe's frames stand for those that it chose."""
        frames = read_frames(folder / "dataset" / "datasets" / "both" / "train.extxyz", labelled=True)
        for frame in frames:
            if frame.info["recipe"] == "rattle":
                frame.info["kind"] = "active"
        write_frames(user_folder / "train.extxyz", frames)

    def rest(self, folder: Path, user_folder: Path) -> None:
        """Label the other chunks, as one; write the labels of the first as somebody else might have them."""
        frames = [f for n in ("001", "002") for f in [self.work / "base" / "sample" / "chunks" / f"libf4-{n}.extxyz"]]
        others = [frame for path in frames for frame in read_frames(path)]
        label_folder = self.work / "base" / "label-rest"
        label_folder.mkdir(exist_ok=True)
        write_frames(label_folder / "libf4-001.extxyz", others)
        shutil.copy(folder / "labels.json", label_folder)
        command = STAGES["label"].command.replace("libf4-000", "libf4-001").replace("--store store/README.txt", "")
        stage = Stage("LABEL_FRAMES", "dft", command, {}, ())
        said = self.start(stage, label_folder).communicate()[1]
        if not (label_folder / "libf4-001.labels.parquet").exists():
            raise SystemExit(f"labels failed without a fault:\n{said[-3000:]}")
        shutil.copy(label_folder / "libf4-001.labelled.extxyz", user_folder / "b.extxyz")
        shutil.copy(label_folder / "libf4-001.labels.parquet", user_folder / "b.parquet")
        frames_done = read_frames(folder / "libf4-000.labelled.extxyz", labelled=True)
        (user_folder / "mine.xyz").write_text("".join(map(foreign, frames_done)))
        box = files_module.read_json(self.work / "base" / "plan" / "plan" / "boxes" / "libf4-r1.json")
        settings = {"frames": ["mine.xyz"], "theory": "by hand", "theory_id": "0123456789ab", "format": "extxyz",
                    "energy_key": "E_dft", "forces_key": "f", "stress_key": "P", "virial_key": None, "energy_unit": "Ha",
                    "forces_unit": "eV/A", "stress_unit": "eV/A^3", "stress_sign": None, "kind": "eq", "kind_key": "kind",
                    "group_key": "run", "max_failed_fraction": 0.05,
                    "liquids": [{"id": "libf4", "ions": box["ions"]}], "id": "labels"}  # fmt: skip
        write_sealed(user_folder / "own.json", settings)


def write_sealed(path: Path, content: dict[str, Any]) -> None:
    """Write settings as the plan writes those of a task."""
    path.write_text(json.dumps(files_module.sealed(content), indent=1) + "\n")


def foreign(frame: Any) -> str:
    """Return a labelled frame in other names and units."""
    lattice, stress = (
        " ".join(f"{x:.10f}" for x in np.ravel(values)) for values in (frame.cell.array, frame.info["REF_stress"])
    )
    head = f'{len(frame)}\nLattice="{lattice}" Properties=species:S:1:pos:R:3:f:R:3 P="{stress}" run={frame.info["group"]} '
    head += f"kind={frame.info['kind']} E_dft={frame.info['REF_energy'] / Hartree:.14f}\n"
    rows = zip(frame.symbols, frame.positions, frame.arrays["REF_forces"], strict=True)
    return head + "".join(f"{s} {' '.join(f'{x:.10f}' for x in (*p, *f))}\n" for s, p, f in rows)


# --- Judging -------------------------------------------------------------------------------------------


def without_times(value: Any, volatile: set[str]) -> Any:
    """Return JSON without what differs between runs of the same study."""
    if isinstance(value, dict):
        return {key: without_times(item, volatile) for key, item in value.items() if key not in volatile}
    return [without_times(item, volatile) for item in value] if isinstance(value, list) else value


def content(path: Path) -> dict[str, Any]:
    """Return what a file or folder holds that two runs must agree on, by name."""
    fields: dict[str, Any] = {}
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if (
            not file.is_file()
            or file.name == files_module.SUMS
            or (file.name.endswith(".csv") and path.name == "tables")
        ):
            continue
        name = str(file.relative_to(path.parent))
        if file.suffix == ".json":
            volatile = VOLATILE | (PROBED if path.name == "estimate.json" else set())
            fields[name] = without_times(json.loads(file.read_text()), volatile)
        elif file.suffix == ".parquet":
            frame = pl.read_parquet(file)
            fields[name] = frame.drop([c for c in frame.columns if c in VOLATILE_COLUMNS]).to_dicts()
        elif file.name.endswith(".labelled.extxyz"):
            fields[name] = {
                atoms.info["frame_id"]: (atoms.info["REF_energy"], atoms.arrays["REF_forces"], atoms.info["REF_stress"])
                for atoms in read_frames(file, labelled=True, may_be_empty=True)
            }
        else:
            fields[name] = file.read_bytes()
    return fields


def same_labels(good: dict[str, Any], contents: dict[str, Any]) -> bool:
    """Tell whether labels of the same frames agree within what they may depend on their guess by."""
    return all(
        abs(good[key][0] - energy) < SAME_EV and np.abs(good[key][1] - forces).max() < SAME_EV_A
        for key, (energy, forces, _) in contents.items()
    )


def outcome(good: dict[str, Any], contents: dict[str, Any]) -> str:
    """Return ``recovered``, ``detected`` (what differs is a label that is not there, with its reason) or ``wrong``."""
    if set(good) != set(contents):
        return "wrong"
    verdict = "recovered"
    for name, value in contents.items():
        if name.endswith(".labelled.extxyz"):
            if not same_labels(good[name], value) or not set(value) <= set(good[name]):
                return "wrong"
        elif name.endswith(".labels.parquet") and "imported" not in name:
            rows = {row["frame_id"]: row for row in good[name]}
            if {row["frame_id"] for row in value} != set(rows):
                return "wrong"
            if any(row["reason"] != rows[row["frame_id"]]["reason"] for row in value):
                if any(row["reason"] is None and rows[row["frame_id"]]["reason"] for row in value):
                    return "wrong"
                verdict = "detected"
        elif repr(value) != repr(good[name]) and value != good[name]:
            return "wrong"
    return verdict


def is_clear(said: str, code: int, fault: Fault) -> bool:
    """Tell whether a user knows from the last words what to do: lines, no stack trace, and the file or the shortage named."""
    errors = [line for line in said.splitlines() if line.startswith("error: ")]
    if fault.kind == "memory" and code == -signal.SIGABRT:  # the pipeline tries again with more memory
        return any(line.startswith(RUST_MEMORY) for line in said.splitlines())
    if "Traceback" in said or not errors:
        return False
    wanted = {"memory": ("out_of_memory",), "disk": ("disk_full",), "tmpfs": ("disk_full",)}.get(fault.kind)
    wanted = wanted or {"engine killed": ("engine_killed",), "tool killed": ("out_of_memory",)}.get(fault.kind)
    if fault.kind == "read-only folder":
        return any("Permission denied" in line for line in errors) and code == errors_module.Exit.USER
    if wanted:
        return any(word in line for word in wanted for line in errors) and code in (
            errors_module.Exit.MEMORY,
            errors_module.Exit.DISK,
        )
    name = Path(fault.target).name
    names = {name, Path(name).stem, *Path(fault.target).parts, *fields_of(fault)}
    return any(fragment in line for fragment in names for line in errors) and code == errors_module.Exit.USER


def fields_of(fault: Fault) -> tuple[str, ...]:
    """Return fields that stand for a file in the messages of its stage."""
    return {
        "study.yaml": ("study", "liquids", "labels", "models", "md"), "assets/ions/bf4.yaml": ("ions.bf4", "ions"), "mine.xyz": ("labels.",),
        "a.extxyz": ("frames:",), "a.parquet": ("frames:", "labels:"), "labels/a.parquet": ("labels:",),
        "plan/runs.csv": ("runs",), "references.csv": ("references",),
    }.get(fault.target, ())  # fmt: skip


@dataclass
class Result:
    """What became of a fault."""

    fault: Fault
    verdict: str
    how: str


def children(pid: int) -> list[int]:
    """Return the processes below a process, the youngest last."""
    pids = []
    for path in Path("/proc").glob(f"{pid}/task/*/children"):
        for child in path.read_text().split():
            pids += [int(child), *children(int(child))]
    return pids


def inject(bench: Bench, fault: Fault, folder: Path) -> Result:
    """Run a stage with a fault in a folder; return what became of it."""
    stage, name = STAGES[fault.stage], fault.stage
    folder.mkdir(parents=True)
    mounted = False
    if fault.kind == "tmpfs":
        size = f"size={int(fault.target) + inputs_kb(bench, name)}k"
        mounted = (
            subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(folder)], capture_output=True).returncode
            == 0
        )
        if not mounted:
            return Result(fault, "skipped", "no file system can be mounted here")
    try:
        return injected(bench, stage, fault, folder)
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(folder)], check=True)


def inputs_kb(bench: Bench, name: str) -> int:
    """Return the size of a stage's inputs in kB, on a file system with pages of 4 kB."""
    total = 0
    for source in STAGES[name].inputs.values():
        path = bench.work / "base" / source.replace(":", "/")
        files = list(path.rglob("*")) if path.is_dir() else [path]
        total += sum(4 * (1 + (file.stat().st_size - 1) // 4096) if file.is_file() else 0 for file in files)
    return total


def injected(bench: Bench, stage: Stage, fault: Fault, folder: Path) -> Result:
    """Do the work of `inject` in a folder that is ready."""
    name = fault.stage
    if fault.kind == "full store":  # all labels of a good run, one of them damaged
        shutil.copytree(bench.work / "base" / "label" / "store", folder / "store")
        (shard,) = (folder / "store").glob("*/*.jsonl")
        if fault.target == "swapped":  # a label stands where the index says that another is
            first, *others, last = shard.read_text().splitlines(keepends=True)
            shard.write_text("".join([last, *others, first]))
        else:
            DAMAGES[fault.target](shard)
    if fault.kind == "checkpoint":  # of a run that was killed
        before = folder / "before"
        bench.stage_in(name, before)
        process = bench.start(stage, before)
        while process.poll() is None and len(list(before.glob("checkpoints/*/segment-*"))) < 5:
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        shutil.copytree(before / "checkpoints", folder / "checkpoints")
        segments = sorted(folder.glob("checkpoints/*/segment-*"))
        if len(segments) < 2:
            return Result(fault, "skipped", "the run was over too soon")
        DAMAGES[fault.target](segments[-1 if fault.target != "missing" else 1])
    bench.stage_in(name, folder)
    if fault.kind in DAMAGES:
        DAMAGES[fault.kind](folder / fault.target)
    if fault.kind == "read-only folder":
        folder.chmod(0o555)
    if fault.kind == "engine stops":
        settings = files_module.read_json(folder / "labels.json") | {"max_frame_s": 3.0}
        write_sealed(folder / "labels.json", settings)
    process = bench.start(
        stage, folder, f"{fault.kind}:{fault.target}" if fault.kind in ("memory", "disk", "clock") else ""
    )
    happen(bench, fault, process, folder)
    said = process.communicate(timeout=1200)[1]
    code = process.returncode
    if fault.kind == "read-only folder":
        folder.chmod(0o755)
    if fault.kind in ("killed", "time limit"):
        if code == 0 and float(fault.target) > 0.05:  # it was over too soon: on a machine that others use, times vary
            earlier = inject(bench, replace(fault, target=f"{float(fault.target) / 2:.2g}"), folder / "earlier")
            return replace(earlier, fault=fault)
        again = folder / "again"
        for kept in stage.keeps:
            shutil.copytree(folder / kept, again / kept)
        bench.stage_in(name, again)
        process = bench.start(stage, again)
        said = process.communicate()[1]
        return ended_well(bench, fault, again, said, process.returncode, f"exit {code}, then started again")
    return ended_well(bench, fault, folder, said, code, "")


def happen(bench: Bench, fault: Fault, process: subprocess.Popen[str], folder: Path) -> None:
    """Do to a process what a fault is, when its time has come."""
    if fault.kind not in ("killed", "time limit", "engine killed", "engine stops", "tool killed"):
        return
    if fault.kind.startswith("engine"):  # after so many labels, so that it is at work
        shards = folder.glob
        while process.poll() is None and sum(
            path.read_bytes().count(b"\n") for path in shards("store/*/*.jsonl")
        ) < int(fault.target):
            time.sleep(0.02)
    else:
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=float(fault.target) * bench.seconds[fault.stage])
    if process.poll() is not None:
        return
    if fault.kind == "killed":
        os.killpg(process.pid, signal.SIGKILL)
    elif fault.kind == "time limit":  # as schedulers do it: a word of warning first
        os.killpg(process.pid, signal.SIGTERM)
    else:
        engine = [
            pid for pid in children(process.pid) if b"resource_tracker" not in Path(f"/proc/{pid}/cmdline").read_bytes()
        ]
        os.kill(engine[0], signal.SIGSTOP if fault.kind == "engine stops" else signal.SIGKILL)


def ended_well(bench: Bench, fault: Fault, folder: Path, said: str, code: int, how: str) -> Result:
    """Return the verdict on a process that has ended."""
    last = next(
        (line for line in said.splitlines() if line.startswith(("error: ", RUST_MEMORY))),
        said.strip().splitlines()[-1] if said.strip() else "",
    )
    last = last.replace(str(folder), "...")[:150]
    if code != 0:
        verdict = "detected" if is_clear(said, code, fault) else "unclear"
        return Result(fault, verdict, f"exit {code}: {last}")
    outputs = [folder / output for output in STAGES[fault.stage].outputs]
    if not all(output.exists() for output in outputs):
        return Result(fault, "unclear", f"exit 0 without results: {last}")
    try:
        contents = {k: v for output in outputs for k, v in content(output).items()}
    except Exception as error:
        return Result(fault, "wrong", f"exit 0, and results that cannot be read: {error}"[:150])
    verdict = outcome(bench.good[fault.stage], contents)
    same = {"recovered": "same result", "detected": "a row with its reason", "wrong": "ANOTHER RESULT"}[verdict]
    return Result(fault, verdict, f"{how}: {same}".removeprefix(": "))


def matrix(bench: Bench, faults: list[Fault]) -> list[Result]:
    """Run the stages that the faults need without one, then each fault."""
    needed: list[str] = []

    def need(name: str) -> None:
        for source in STAGES[name].inputs.values():
            owner, path = source.split(":")
            if owner == "own":
                owner = MADE_AFTER.get(path, owner)
            if owner != "own" and owner not in needed:
                need(owner)
        if name not in needed:
            needed.append(name)

    for fault in faults:
        need(fault.stage)
    bench.prepare(needed)
    results = []
    for fault in faults:
        folder = bench.work / "cells" / str(FAULTS.index(fault))
        shutil.rmtree(folder, ignore_errors=True)
        result = inject(bench, fault, folder)
        results.append(result)
        print(
            f"{result.verdict:9} {fault.stage}: {fault.kind} {fault.target}: {result.how}", file=sys.stderr, flush=True
        )
        if result.verdict not in ("wrong", "unclear"):
            shutil.rmtree(folder, ignore_errors=True)
    return results


# --- The table -----------------------------------------------------------------------------------------

HEAD = """# Faults on purpose

Every stage of a small study (LiBF4, GFN1-xTB labels) was run again with one of its inputs damaged, or while something happened to its
process, and what became of it was written down. The numbers are those of `benchmarks/run faults --write`; a row for each fault, with
what was seen, is in `docs/faults.csv`.

- *detected*: the task ended with a line that says what is wrong and published nothing, or the table has a row with the reason.
- *recovered*: the result is that of a run without a fault.
- *wrong*: another number. *unclear*: it ended, and nobody could tell why. *skipped*: it could not be injected there.

"""
COLUMNS = ("stage", "fault", "target", "verdict", "seen")  # of docs/faults.csv


def page(results: list[Result]) -> str:
    """Return docs/faults.md."""
    verdicts = ("detected", "recovered", "wrong", "unclear", "skipped")
    lines = []
    for title, key in (
        ("stage", lambda result: STAGES[result.fault.stage].title),
        ("fault", lambda result: result.fault.kind),
    ):
        lines += [f"| {title} | faults | " + " | ".join(verdicts) + " |", "|---|---|" + "---|" * len(verdicts)]
        groups: dict[str, list[Result]] = defaultdict(list)
        for result in results:
            groups[key(result)].append(result)
        for name, mine in [*groups.items(), ("all", results)]:
            count = Counter(result.verdict for result in mine)
            lines.append(f"| {name} | {len(mine)} | " + " | ".join(str(count[v]) for v in verdicts) + " |")
        lines.append("")
    return HEAD + "\n".join(lines).rstrip() + "\n"


def write_rows(results: list[Result], path: Path) -> None:
    """Write docs/faults.csv; folders of this machine are left out."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for result in results:
            fault = result.fault
            seen = re.sub(r"(?<![\w.+-])(/[\w.+-]+){2,}/", "", result.how)
            writer.writerow((STAGES[fault.stage].title, fault.kind, fault.target, result.verdict, seen))


def written(path: Path) -> dict[Fault, Result]:
    """Return the results of docs/faults.csv, by fault."""
    fault_of = {(STAGES[fault.stage].title, fault.kind, fault.target): fault for fault in FAULTS}
    with path.open(encoding="utf-8", newline="") as file:
        rows = [(fault_of.get((row["stage"], row["fault"], row["target"])), row) for row in csv.DictReader(file)]
    return {fault: Result(fault, row["verdict"], row["seen"]) for fault, row in rows if fault}


def main() -> None:
    """Run the matrix and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="only the faults that the default tests run")
    parser.add_argument("--stage", choices=STAGES, nargs="+", help="only the faults of these stages")
    parser.add_argument("--write", action="store_true", help="write docs/faults.csv and .md; rows of other stages stay")
    parser.add_argument("--work", type=Path, help="folder to work in, which is kept (default: one that goes)")
    args = parser.parse_args()
    faults = [f for f in FAULTS if (f.short or not args.short) and f.stage in (args.stage or STAGES)]
    with tempfile.TemporaryDirectory(prefix="ionmelt-faults-") as scratch:
        flags = tuple(os.environ.get("IONMELT_ENVIRONMENT_FLAGS", "").split())
        results = matrix(Bench(args.work or Path(scratch) / "work", flags), faults)
    if args.write:
        table = TOP / "docs" / "faults.csv"
        rows = written(table) | {result.fault: result for result in results}
        ordered = sorted(rows.values(), key=lambda result: FAULTS.index(result.fault))
        write_rows(ordered, table)
        table.with_suffix(".md").write_text(page(ordered))
    count = Counter(result.verdict for result in results)
    keys = ("detected", "recovered", "wrong", "unclear", "skipped")
    print(
        json.dumps(
            {"cpu": os.environ.get("BENCHMARK_CPU"), "injected": len(results) - count["skipped"]}
            | {key: count[key] for key in keys}
        )
    )


if __name__ == "__main__":
    main()
