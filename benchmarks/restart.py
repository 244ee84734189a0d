#!/usr/bin/env python3
"""Kill runs of molecular dynamics five times at random with kill -9, and compare what they end with to the byte.

For the classical force field and for small MACE and DeePMD models, each trained here on a few frames: one run is left alone,
another is killed after a random number of segments at a random moment of the next, and started again each time.
  kills              how many times a process was killed, over all runs
  identical          whether all trajectories and thermodynamics have the same bytes as those of the runs left alone
  repeated_segments  the most segments that a kill cost: those that were begun and not kept
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from ionmelt import files

TOP = Path(__file__).resolve().parents[1]
BIN = TOP / "bin"
FILES = ("npt.xtc", "nvt.xtc", "thermo.parquet")


def environment(name: str) -> dict[str, str]:
    """Return the variables with which scripts run in an environment of the project."""
    folder = subprocess.run(
        [TOP / "containers" / "environment", name], check=True, capture_output=True, text=True
    ).stdout.strip()
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return os.environ | threads | {"PATH": f"{folder}/bin:{os.environ['PATH']}", "PYTHONPATH": f"{BIN}:{TOP / 'tests'}"}


def python(env: dict[str, str], *command: Any, cwd: Path) -> None:
    """Run Python to its end in an environment."""
    done = subprocess.run(["python", *map(str, command)], env=env, cwd=cwd, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{command[0]} failed:\n{done.stderr[-3000:]}")


def kill_and_resume(
    command: list[Any], env: dict[str, str], cwd: Path, checkpoints: Path, kills: int, segments: int, seed: int
) -> int:
    """Run a command to its end through some kills at random; return how many segments the last of them left."""
    rng = random.Random(seed)
    killed = kept = 0
    # A kill comes in each part of the run, so that none is over before the last.
    targets = [int((k + rng.random()) * (segments - 1) / kills) for k in range(kills)]
    while True:
        process = subprocess.Popen(
            [*map(str, command)], env=env, cwd=cwd, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        if killed == kills:
            said = process.communicate()[1]
            if process.returncode:
                raise SystemExit(f"the resumed run failed:\n{said[-3000:]}")
            return kept
        target = max(targets[killed], kept)
        while len(list(checkpoints.glob("*/segment-*"))) < target and process.poll() is None:
            time.sleep(0.02)
        # a moment of the next segment, or of the start when none is needed
        time.sleep(rng.random() * 0.3)
        if process.poll() is not None:
            raise SystemExit(f"the run ended before its kill {killed + 1}: {process.communicate()[1][-2000:]}")
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        killed += 1
        before, kept = kept, len(list(checkpoints.glob("*/segment-*")))
        if kept < before:
            raise SystemExit(f"{before - kept} segments were lost by a kill")


def compare(
    name: str,
    settings: dict[str, Any],
    state: Path,
    model: Path,
    work: Path,
    kills: int,
    seed: int,
    env: dict[str, str],
) -> tuple[bool, int]:
    """Return whether a killed run ends with the bytes of one left alone, and the most segments a kill cost."""
    work.mkdir(parents=True, exist_ok=True)
    (work / "settings.json").write_text(json.dumps(settings))
    command = [
        "python", BIN / "run_md.py", "--id", settings["id"], "--settings", work / "settings.json", "--state", state, "--model", model,
    ]  # fmt: skip
    python(env, *command[1:], "--out", work / "alone", cwd=work)
    alone = json.loads((work / "alone" / "run.json").read_text())
    if alone["end"] != "completed":
        raise SystemExit(f"{name}: the run left alone ended: {alone['end']}, {alone['detail']}")
    checkpoints = work / "checkpoints"
    killed = [*command, "--checkpoints", checkpoints, "--out", work / "killed"]
    kept = kill_and_resume(killed, env, work, checkpoints, kills, alone["segments"], seed)
    record = json.loads((work / "killed" / "run.json").read_text())
    # the segment that was being computed, and those on the disk that the next process did not take up
    worst = 1 + kept - record["segments_resumed"]
    same = all((work / "alone" / file).read_bytes() == (work / "killed" / file).read_bytes() for file in FILES)
    print(
        f"{name}: {kills} kills, {record['segments']} segments, {'identical' if same else 'DIFFERENT'}, engine "
        f"{record['engine']}, at most {worst} repeated",
        file=sys.stderr,
        flush=True,
    )
    return same, worst


CLASSICAL = """
import sys, yaml
from pathlib import Path
import build_liquid, equilibrate, plan_study
top = Path(sys.argv[1])
study = yaml.safe_load((top / "studies" / "test.yaml").read_text())
Path("study.yaml").write_text(yaml.safe_dump(study))
assert plan_study.main(["--study", "study.yaml", "--assets", str(top / "assets")]) == 0
box = ["--id", "libf4-r1", "--settings", "plan/boxes/libf4-r1.json", "--assets", str(top / "assets"), "--out", "libf4-r1"]
assert build_liquid.main(box) == 0
key = "libf4-900K-r1"
assert equilibrate.main(["--id", key, "--settings", f"plan/states/{key}.json", "--box", "libf4-r1", "--out", "state"]) == 0
"""
DATA = """
import json
from pathlib import Path
import tiny_training as tiny
Path("data").mkdir()
tiny.make_dataset(Path("data"))
tiny.make_state(Path("state"))
Path("run.json").write_text(json.dumps(tiny.RUN | {"npt_ps": 0.05, "nvt_ps": 0.05, "segment_ps": 0.005}))
"""
TRAIN = """
import sys
from pathlib import Path
import tiny_training as tiny
from ionmelt.models import train
framework = sys.argv[1]
settings = tiny.MACE if framework == "mace" else tiny.DEEPMD
tiny.write_settings(Path("settings.json"), settings)
data = Path("../data/data/split/datasets/eq")
arguments = ["--id", "m-eq-s1", "--settings", "settings.json", "--dataset", str(data)]
assert train.main([*arguments, "--summary", str(data / "dataset.json"), "--out", "model"]) == 0
"""


def main() -> None:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=5, help="kills of each run (default: 5)")
    parser.add_argument("--seed", type=int, default=1, help="of the moments of the kills (default: 1)")
    parser.add_argument("--only", choices=("classical", "mace", "deepmd"), help="this one alone (default: all three)")
    args = parser.parse_args()
    rows = {}
    with tempfile.TemporaryDirectory(prefix="ionmelt-restart-") as folder:
        top = Path(folder)
        data = top / "data"
        for name in [args.only] if args.only else ["classical", "mace", "deepmd"]:
            work = top / name
            work.mkdir()
            analysis = environment("analysis")
            if name == "classical":
                python(analysis, "-c", CLASSICAL, TOP, cwd=work)
                settings = files.read_json(work / "plan" / "runs" / "libf4-900K-r1-clp.json")
                settings |= {"npt_ps": 6, "nvt_ps": 6, "segment_ps": 0.4, "timestep_fs": 1.0, "save_every_fs": 20}
                model, state, env = work / "plan" / "cards" / "clp", work / "state", analysis
            else:
                if not data.exists():
                    data.mkdir()
                    python(analysis, "-c", DATA, cwd=data)
                env = environment(name)
                python(env, "-c", TRAIN, name, cwd=work)
                settings = json.loads((data / "run.json").read_text())
                model, state = work / "model", data / "state"
            rows[name] = compare(name, settings, state, model, work / "runs", args.kills, args.seed, env)
    figures = {
        "cpu": os.environ.get("BENCHMARK_CPU"),
        "kills": args.kills * len(rows),
        "identical": all(same for same, _ in rows.values()),
        "repeated_segments": max(worst for _, worst in rows.values()),
        "runs": list(rows),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
