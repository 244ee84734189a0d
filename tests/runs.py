"""A copy of the project to run and to edit, the means to run Nextflow in it as a user would, and its tables."""

import csv
import os
import re
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from polars.testing import assert_frame_equal

PROJECT = Path(__file__).resolve().parents[1]
PARTS = ("assets", "bin", "conf", "containers", "modules", "studies", "main.nf", "nextflow.config")
FILES = ("nextflow", "nextflow_schema.json", "rounds")
TABLES = (
    "conformers", "coordination", "cost", "curves", "dataset", "density", "diffusion", "errors", "kinetics", "labels",
    "pareto", "sampling", "scan", "structure", "survival", "verdicts", "versions",
)  # fmt: skip
# Columns that say how long something took, or how fast: they differ between runs of the same study.
TIMINGS = {
    "wall_s", "cpu_s", "max_rss_mb", "atom_steps_per_s", "labels_core_h", "training_core_h", "training_gpu_h",
    "md_core_h_per_ns", "md_gpu_h_per_ns", "total_core_h", "total_gpu_h", "front",
}  # fmt: skip


@dataclass
class Pipeline:
    """A copy of the project in which runs start: edits stay in the copy, work and results too."""

    folder: Path

    def start(self, *arguments: str, program: tuple[str, ...] = ("./nextflow", "run", "main.nf")) -> subprocess.Popen:
        """Start `./nextflow run main.nf ARGUMENTS`, or another program around it, in a process group of its own."""
        return subprocess.Popen(
            [*program, "-ansi-log", "false", *arguments],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str, fails: bool = False, **how: tuple[str, ...]) -> str:
        """Run to the end and return what stood on the screen; assert the exit code. `how`: as of `start`."""
        process = self.start(*arguments, **how)
        try:
            screen, _ = process.communicate(timeout=3000)
        finally:
            if process.poll() is None:  # it hangs: nothing of it may go on beside the next tests
                os.killpg(process.pid, signal.SIGKILL)
        assert (process.returncode != 0) == fails, screen[-4000:]
        return screen

    def kill_in(self, process_name: str, *arguments: str) -> str:
        """Start a run, and kill -9 all of it while a task of a process is running; return the screen.

        Asserts that the process had begun and that the run was not over.
        """
        log = self.folder / ".nextflow.log"
        log.unlink(missing_ok=True)  # that of the run before names the process too
        running = self.start(*arguments)
        begun = False
        deadline = time.monotonic() + 3000
        try:
            while time.monotonic() < deadline and running.poll() is None:
                text = log.read_text(errors="replace") if log.exists() else ""
                if re.search(rf"Submitted process > ([A-Z]+:)*{process_name}", text):
                    begun = True
                    time.sleep(1.0)  # into the middle of the task
                    break
                time.sleep(0.1)
        finally:
            alive = running.poll() is None
            if alive:
                os.killpg(running.pid, signal.SIGKILL)
        screen, _ = running.communicate(timeout=60)
        assert begun, f"{process_name} never began:\n{screen[-2000:]}"
        assert alive, f"{process_name} was over too soon:\n{screen[-2000:]}"
        return screen

    def trace(self, outdir: str = "results") -> list[dict[str, str]]:
        """Return the rows of the trace file: name (without its sub-workflow), status, exit, ..."""
        with (self.folder / outdir / "pipeline_info" / "trace.tsv").open() as lines:
            rows = list(csv.DictReader(lines, delimiter="\t"))
        return [row | {"name": row["name"].split(":")[-1]} for row in rows]

    def executed(self, outdir: str = "results") -> set[str]:
        """Return the processes of which the last run executed a task rather than taking it from the cache."""
        return {row["name"].split(" ")[0] for row in self.trace(outdir) if row["status"] != "CACHED"}


def copy_project(target: Path) -> Path:
    """Copy what a clone holds and a run needs."""
    target.mkdir(parents=True)
    for name in (*PARTS, *FILES):
        source = PROJECT / name
        if source.is_dir():
            shutil.copytree(source, target / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, target / name)
    return target


def tables(folder: Path) -> dict[str, pl.DataFrame]:
    return {name: pl.read_parquet(folder / "tables" / f"{name}.parquet") for name in TABLES}


def assert_same_tables(left: Path, right: Path) -> None:
    for name, table in tables(left).items():
        other = tables(right)[name]
        # which of two is cheaper may change too, and with it what the table of error against cost says of them
        timings = TIMINGS | {"reason"} if name == "pareto" else TIMINGS
        keep = [column for column in table.columns if column not in timings]
        try:
            assert_frame_equal(table.select(keep), other.select(keep), check_exact=True)
        except AssertionError as error:
            raise AssertionError(f"table {name}: {error}") from error
