"""What a person types: an answer that is not read to its end, or cannot be written, costs no stack trace."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
RESULTS = str(TOP / "docs" / "results" / "demo")
NEW = ["new_study", "new.yaml", "--ions", "emim,bf4", "--temperature", "353"]
PLAN = ["plan_study", "--study", str(TOP / "studies" / "demo.yaml")]
COMMANDS = [NEW, PLAN, [*PLAN, "--json"], ["plan_study", "--schema"], ["compare_studies", RESULTS, RESULTS]]


def run(command: list[str], folder: Path, screen: int) -> tuple[int, list[str]]:
    """Run a script of bin/ whose answers go to an open file; return its exit code, and what it says beside warnings."""
    words = [sys.executable, str(TOP / "bin" / f"{command[0]}.py"), *command[1:]]
    done = subprocess.run(words, cwd=folder, stdout=screen, stderr=subprocess.PIPE, text=True, check=False)
    return done.returncode, [line for line in done.stderr.splitlines() if not line.startswith("warning: ")]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_reader_that_has_gone_ends_nothing(command: list[str], tmp_path: Path) -> None:
    """As in `| head -1`, or `| less` that is left."""
    reader, screen = os.pipe()
    os.close(reader)
    assert run(command, tmp_path, screen) == (0, [])
    os.close(screen)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_an_answer_that_finds_no_room_is_the_disks(command: list[str], tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as screen:
        code, (line,) = run(command, tmp_path, screen.fileno())
    assert code == 74
    assert line.startswith("error: disk_full: ") and line.endswith("No space left on device")


def test_a_file_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    """In /proc nobody can make a file."""
    path = "/proc/new.yaml"
    commands = [["new_study", path, *NEW[2:]], ["compare_studies", RESULTS, RESULTS, "--out", path]]
    for command in commands:
        code, (line,) = run(command, tmp_path, subprocess.DEVNULL)
        assert (code, line.partition(f"{path}: ")[0]) == (2, "error: "), line
