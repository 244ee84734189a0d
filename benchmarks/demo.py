#!/usr/bin/env python3
"""Time the demo from nothing: the set-up of Nextflow and the environments, the run, and what a resumed run repeats.

Works on a copy of the project, with an empty IONMELT_HOME. Package caches of the machine (uv's, Maven's) are used as they
are: say of a figure whether they were warm.
"""

import csv
import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
LEFT_OUT = shutil.ignore_patterns(".*", "work", "results", "__pycache__")


def timed(*command: str, cwd: Path, env: dict[str, str]) -> float:
    """Run a command to its end and return its wall time in s."""
    start = time.perf_counter()
    subprocess.run(command, cwd=cwd, env=env, check=True, stdin=subprocess.DEVNULL)
    return time.perf_counter() - start


def trace(project: Path) -> list[dict[str, str]]:
    """Return the rows of the trace of the last run."""
    with (project / "results" / "pipeline_info" / "trace.tsv").open() as lines:
        return list(csv.DictReader(lines, delimiter="\t"))


def main() -> None:
    """Measure and print one JSON object."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        project = Path(folder) / "ionmelt"
        shutil.copytree(PROJECT, project, ignore=LEFT_OUT)
        env = os.environ | {"IONMELT_HOME": str(Path(folder) / "home")}
        setup = timed("./nextflow", "-version", cwd=project, env=env)
        setup += timed("containers/environment", "--all", cwd=project, env=env)
        run = timed("./nextflow", "run", "main.nf", "-ansi-log", "false", cwd=project, env=env)
        tasks = trace(project)
        timed("./nextflow", "run", "main.nf", "-ansi-log", "false", "-resume", cwd=project, env=env)
        repeated = [row for row in trace(project) if row["status"] != "CACHED"]
    figures = {
        "setup_s": round(setup, 1),
        "run_s": round(run, 1),
        "tasks": len(tasks),
        "rerun_on_resume": len(repeated),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
