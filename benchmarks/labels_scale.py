#!/usr/bin/env python3
"""Label 10,000 frames through the real pipeline: tasks, driver memory, overhead, and what a repeat costs.

A study of LiBF4 (24 atoms a frame, a classical model only) runs in a copy of the project with empty work folders: once with
one task a frame on --small frames, then with the chunks that the plan chooses on --frames, then resumed, then from
another empty work folder with the label store of the run before.
  frames, tasks      labelled, and the label tasks that did it
  driver_memory_mb   peak resident memory of Nextflow
  overhead_ratio     (task time - seconds that the frames took) a frame: in chunks / with one task a frame
  resume_s           wall time of the resumed run, which repeats nothing
  relabelled         frames that the repeat labels again
  store_files        files of the label store
At the full number of frames, figures beyond their limits (`LIMITS`) end it with exit code 1.
The frames are labelled by a stand-in for xtb (a pair potential, a millisecond or two a frame), so that what is measured is all
that is around an engine; --engine xtb takes the real one.
"""

import argparse
import csv
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[1]
LEFT_OUT = shutil.ignore_patterns(".*", "work", "results", "label_store", "__pycache__")
LABEL_TASKS_MAX = 400
EQ_FRAMES = 50
FRAMES = 10_000
# What a figure may be at most, for that many frames: Nextflow fits a login node, a resumed run is no wait, chunks cost next to nothing.
LIMITS = {"driver_memory_mb": 1000, "resume_s": 60, "overhead_ratio": 0.01, "relabelled": 0}

STUDY = """\
name: scale
liquids:
  - {{id: libf4, ions: {{li: 4, bf4: 4}}, temperatures_K: [900], density_guess_kg_m3: 1500}}
equilibration: {{anneal_K: 1200, anneal_ps: 4, cool_ps: 2, settle_ps: 2, production_ps: 20, save_every_ps: 0.2}}
sampling:
  eq: {{frames: {eq}}}
  neq: {{rattle: {{frames: {rattle}}}}}
  test_scan: {{scales: [0.97, 1.0, 1.04]}}
labels: {{engine: xtb, chunk: {chunk}}}
datasets: {{both: [eq, neq]}}
models:
  - {{id: clp, framework: classical}}
md: {{timestep_fs: 0.5, npt_ps: 0.01, nvt_ps: 0, save_every_fs: 5}}
"""

STAND_IN = '''\
#!/usr/bin/env python3
"""A stand-in for xtb: a screened repulsion of all pairs, with its exact forces and stress."""
import numpy as np
from ase.neighborlist import neighbor_list

from ionmelt.frame import Label


class Engine:
    """What LABEL_FRAMES expects of an engine."""

    version = "stand-in 1"

    def __init__(self, settings, threads):
        self.begun = False

    def label(self, atoms, cold=False):
        guess = "chained" if self.begun and not cold else "cold"
        self.begun = True
        i, d, D = neighbor_list("idD", atoms, 4.0)
        pair = 10.0 * np.exp(-d / 0.5)
        force = -(pair / 0.5 / d)[:, None] * D
        forces = np.zeros((len(atoms), 3))
        np.add.at(forces, i, force)
        stress = D.T @ force / 2 / atoms.get_volume()
        return Label(pair.sum() / 2, forces, (stress + stress.T) / 2, True, 12 if guess == "cold" else 8, guess=guess)
'''


def peak_mb(group: int) -> float:
    """Return the largest peak of resident memory of a Java process of a process group, in MB; 0 where none runs."""
    peak = 0.0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if os.getpgid(int(folder.name)) == group and (folder / "comm").read_text().strip() == "java":
                status = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
                peak = max(peak, int(status["VmHWM"].split()[0]) / 1024)
        except (OSError, KeyError):
            continue
    return peak


def run(project: Path, name: str, *arguments: str) -> dict[str, Any]:
    """Run a study; return wall time (s), Nextflow's peak memory (MB), and the rows of its trace and of its labels."""
    start, peak = time.perf_counter(), 0.0
    command = ["./nextflow", "run", "main.nf", "-ansi-log", "false", "-c", "raw.config", "--outdir", name, *arguments]
    process = subprocess.Popen(
        command, cwd=project, stdin=subprocess.DEVNULL, stdout=sys.stderr, start_new_session=True
    )
    while process.poll() is None:
        peak = max(peak, peak_mb(process.pid))
        time.sleep(0.5)
    wall = time.perf_counter() - start
    if process.returncode:
        sys.exit(f"error: the run {name} failed; its words stand above")
    with (project / name / "pipeline_info" / "trace.tsv").open() as lines:
        trace = list(csv.DictReader(lines, delimiter="\t"))
    with (project / name / "tables" / "labels.csv").open() as lines:
        labels = list(csv.DictReader(lines))
    return {"wall_s": wall, "peak_mb": peak, "trace": trace, "labels": labels}


def label_tasks(result: dict[str, Any]) -> list[dict[str, str]]:
    """Return the rows of the label tasks in the trace."""
    return [row for row in result["trace"] if "LABEL_FRAMES" in row["name"]]


def overhead_s(result: dict[str, Any]) -> float:
    """Return the seconds a frame that label tasks took beyond those of the frames themselves."""
    tasks = sum(float(row["duration"]) for row in label_tasks(result)) / 1000
    return (tasks - sum(float(row["wall_s"]) for row in result["labels"])) / len(result["labels"])


def write_study(project: Path, name: str, frames: int, chunk: str) -> tuple[str, str]:
    """Write a study of so many frames and return the arguments that choose it; three frames are the test scan's."""
    eq = min(EQ_FRAMES, frames // 2)
    text = STUDY.format(eq=eq, rattle=frames - 3 - eq, chunk=chunk)
    (project / "studies" / f"{name}.yaml").write_text(text)
    return "--study", f"studies/{name}.yaml"


def beyond(figures: dict[str, Any]) -> list[str]:
    """Return a text for each figure that is larger than its limit."""
    return [f"{name} is {figures[name]}, at most {limit}" for name, limit in LIMITS.items() if figures[name] > limit]


def main() -> None:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=FRAMES, help="frames in chunks (default: %(default)s)")
    parser.add_argument("--small", type=int, default=100, help="frames with a task each (default: %(default)s)")
    parser.add_argument("--engine", choices=("stand-in", "xtb"), default="stand-in", help="what labels the frames")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ionmelt-scale-", ignore_cleanup_errors=True) as folder:
        project = Path(folder) / "ionmelt"
        shutil.copytree(PROJECT, project, ignore=LEFT_OUT)
        (project / "raw.config").write_text("trace.raw = true\n")
        if args.engine == "stand-in":
            (project / "bin" / "ionmelt/labels/engines/xtb.py").write_text(STAND_IN)
        small = run(project, "small", *write_study(project, "small", args.small, "1"), "--label_store", "none")
        study = write_study(project, "large", args.frames, "auto")
        large = run(project, "large", *study)
        resumed = run(project, "large", *study, "-resume")
        store_files = sum(path.is_file() for path in (project / "label_store").rglob("*"))
        repeat = run(project, "repeat", *study, "-work-dir", "work-repeat")
    tasks = label_tasks(large)
    if again := [row["name"] for row in resumed["trace"] if row["status"] != "CACHED"]:
        sys.exit(f"error: the resumed run repeated {', '.join(again)}")
    if len(tasks) > LABEL_TASKS_MAX:
        sys.exit(f"error: {len(tasks)} label tasks for {args.frames} frames")
    figures = {
        "cpu": os.environ.get("BENCHMARK_CPU"),
        "engine": args.engine,
        "frames": len(large["labels"]),
        "tasks": len(tasks),
        "driver_memory_mb": round(large["peak_mb"]),
        "overhead_ratio": float(f"{overhead_s(large) / overhead_s(small):.3g}"),
        "resume_s": round(resumed["wall_s"], 1),
        "relabelled": sum(row["from_store"] != "true" for row in repeat["labels"]),
        "store_files": store_files,
        "failed": sum(bool(row["reason"]) for row in large["labels"]),
        "overhead_s": float(f"{overhead_s(large):.3g}"),
        "one_task_overhead_s": float(f"{overhead_s(small):.3g}"),
        "run_s": round(large["wall_s"], 1),
        "repeat_s": round(repeat["wall_s"], 1),
    }
    print(json.dumps(figures))
    if args.frames >= FRAMES and (wrong := beyond(figures)):
        sys.exit(f"error: {'; '.join(wrong)}")


if __name__ == "__main__":
    main()
