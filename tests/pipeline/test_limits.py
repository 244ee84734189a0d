"""The limits that every test runs under (tests/conftest.py): CPU time, not the clock, and an end for what hangs."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
COSTLY = """
import subprocess, sys, time
import pytest
BURN = "import time\\nwhile time.process_time() < 1: pass"

@pytest.fixture
def costly():
    subprocess.run([sys.executable, "-c", BURN])

@pytest.mark.budget(0.5)
def test_a_child_burns():
    subprocess.run([sys.executable, "-c", BURN])

@pytest.mark.budget(0.5)
def test_a_fixture_burns(costly):
    pass

@pytest.mark.budget(0.5)
def test_waits():
    time.sleep(1)

def test_may_burn():
    subprocess.run([sys.executable, "-c", BURN])
"""
HANGS = """
import time

def test_hangs():
    time.sleep(100)

def test_after_it():
    pass
"""


def outcomes(folder: Path, text: str, **environment: str) -> tuple[dict[str, str], str]:
    """Run a test file under the project's limits, whatever patience this run has; returns what became of each test, and the screen."""
    (folder / "tests").mkdir()
    shutil.copy(TOP / "pyproject.toml", folder)
    shutil.copy(TOP / "tests" / "conftest.py", folder / "tests")
    (folder / "tests" / "test_some.py").write_text(text)
    command = [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", "tests"]
    done = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | {"IONMELT_TEST_PATIENCE": "1"} | environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    lines = [line.split()[:2] for line in done.stdout.splitlines() if line.startswith("tests/test_some.py::")]
    return {name.split("::")[1]: outcome for name, outcome in lines}, done.stdout + done.stderr


def test_what_is_over_its_budget_of_cpu_time_fails(tmp_path: Path) -> None:
    outcome, screen = outcomes(tmp_path, COSTLY)
    assert outcome == {
        "test_a_child_burns": "FAILED",
        "test_a_fixture_burns": "ERROR",
        "test_waits": "PASSED",
        "test_may_burn": "PASSED",
    }, screen
    assert re.search(r"\d\.\d s of CPU time in its call, more than its budget of 0\.5 s", screen)
    assert re.search(r"\d\.\d s of CPU time in its setup, more than its budget of 0\.5 s", screen)


def test_what_hangs_is_ended_and_the_next_test_runs(tmp_path: Path) -> None:
    outcome, screen = outcomes(tmp_path, HANGS, IONMELT_TEST_PATIENCE="0.002")
    assert outcome == {"test_hangs": "FAILED", "test_after_it": "PASSED"}, screen
    assert "Timeout" in screen
