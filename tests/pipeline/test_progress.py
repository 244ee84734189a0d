"""What long tasks say on the screen: the newest line of each that runs, once, and nothing of those that have ended."""

import os
import subprocess
import time
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
SCRIPT = """
include {{ lines_of; say_new_lines }} from '{top}/modules/progress.nf'

workflow {{
    said = [:]
    (1..2).each {{ turn ->
        println "turn ${{turn}}"
        say_new_lines(lines_of(file('{work}')), said)
    }}
}}
"""


def task(work: Path, key: str, name: str, log: str, ended: bool = False, age_s: float = 0.0) -> None:
    """Write the folder of a task as Nextflow leaves it while the task runs."""
    folder = work / key[:2] / key[2:]
    folder.mkdir(parents=True)
    (folder / ".command.run").write_text(f"#!/bin/bash\n### ---\n### name: '{name}'\n### outputs:\n")
    (folder / ".command.err").write_text(log)
    os.utime(folder / ".command.err", (time.time() - age_s,) * 2)
    if ended:
        (folder / ".exitcode").write_text("0")


@pytest.mark.parametrize("parser", ["v1", "v2"])
def test_the_newest_line_of_each_task_that_runs(parser: str, tmp_path: Path) -> None:
    work = tmp_path / "work"
    line = "x-r1-m npt 2.00 of 10 ps, 1500 kg/m3, 800 atom-steps/s, 3.1 h left\n"
    task(work, "0a11", "MEASURED:RUN_MD (x-r1-m)", "starting\n" + line.replace("2.00", "1.00") + line + "a warning\n")
    task(work, "0b22", "LABELLED:LABEL_FRAMES (x-001)", "9 of 20 frames, 0 without a label, 6.9 s each, 76 s left\n")
    task(work, "0c33", "MODELS:TRAIN_MODEL (m-s1)", "Epoch 12: loss=1\nepoch 12 of 200, 4.0 h left\n", ended=True)
    task(work, "0d44", "MEASURED:RUN_MD (lost)", line, age_s=3600.0)
    (work / "stage-1").mkdir()
    (tmp_path / "main.nf").write_text(SCRIPT.format(top=TOP, work=work))
    environment = os.environ | {"NXF_SYNTAX_PARSER": parser, "NXF_ANSI_LOG": "false"}
    command = [str(TOP / "nextflow"), "-q", "run", str(tmp_path / "main.nf")]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True, timeout=300
    )
    said = done.stdout[done.stdout.index("turn 1") :].strip().splitlines()
    assert said[0] == "turn 1" and said[-1] == "turn 2" and len(said) == 4, "each line once"
    assert set(said[1:3]) == {
        "RUN_MD (x-r1-m): " + line.strip(),
        "LABEL_FRAMES (x-001): 9 of 20 frames, 0 without a label, 6.9 s each, 76 s left",
    }
