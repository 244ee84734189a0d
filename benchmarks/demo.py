#!/usr/bin/env python3
"""Time the demo from nothing: the set-up of Nextflow and the environments, the run, and what a resumed run repeats.

Works on a copy of the project, with an empty IONMELT_HOME. Package caches of the machine (uv's, Maven's) are used as they
are: say of a figure whether they were warm.
  setup_s          s, from nothing to Nextflow and all environments
  run_s            s, of the run
  tasks            that it had
  rerun_on_resume  of them, those that the same run with -resume did again
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

PROJECT = Path(__file__).resolve().parents[1]
LEFT_OUT = shutil.ignore_patterns(".*", "work", "results", "__pycache__")


def timed(*command: str, cwd: Path, env: dict[str, str]) -> float:
    """Run a command to its end and return its wall time in s."""
    start = time.perf_counter()
    subprocess.run(command, cwd=cwd, env=env, check=True, stdin=subprocess.DEVNULL, stdout=sys.stderr)
    return time.perf_counter() - start


def trace(project: Path) -> list[dict[str, str]]:
    """Return the rows of the trace of the last run."""
    with (project / "results" / "pipeline_info" / "trace.tsv").open() as lines:
        return list(csv.DictReader(lines, delimiter="\t"))


def main() -> None:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--study", type=Path, help="another study (default: the demo)")
    parser.add_argument("--home", type=Path, help="IONMELT_HOME that is set up already: setup_s is then null")
    args = parser.parse_args()
    study = ["--study", str(args.study.resolve())] if args.study else []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        project = Path(folder) / "ionmelt"
        shutil.copytree(PROJECT, project, ignore=LEFT_OUT)
        # Tasks have environments of their own: what this benchmark runs in must not reach them.
        env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        env |= {"IONMELT_HOME": str(args.home.resolve() if args.home else Path(folder) / "home")}
        setup = None
        if args.home is None:
            setup = timed("./nextflow", "-version", cwd=project, env=env)
            setup += timed("containers/environment", *(study or ("--study", "studies/demo.yaml")), cwd=project, env=env)
        command = ("./nextflow", "run", "main.nf", "-ansi-log", "false", *study)
        run = timed(*command, cwd=project, env=env)
        tasks = trace(project)
        timed(*command, "-resume", cwd=project, env=env)
        repeated = [row for row in trace(project) if row["status"] != "CACHED"]
    figures = {
        "cpu": os.environ.get("BENCHMARK_CPU"),
        "setup_s": setup and round(setup, 1),
        "run_s": round(run, 1),
        "tasks": len(tasks),
        "rerun_on_resume": len(repeated),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
