"""The command line of every script: it says what it takes, and what several take is described once."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from ionmelt.arguments import SHARED, command_line

BIN = Path(__file__).resolve().parents[2] / "bin"
MODULES = sorted(path for path in (BIN / "ionmelt").rglob("*.py") if "command_line(__doc__" in path.read_text())


def test_the_shared_arguments_are_read(capsys: pytest.CaptureFixture[str]) -> None:
    parser = command_line("What it does.", "--id", "--out", "--threads", "--errors")
    args = parser.parse_args(["--id", "a", "--out", "b", "--errors", "c", "d"])
    assert vars(args) == {"id": "a", "out": Path("b"), "threads": 1, "errors": [Path("c"), Path("d")]}
    with pytest.raises(SystemExit):
        parser.parse_args(["--id", "a"])
    assert "the following arguments are required: --out" in capsys.readouterr().err


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(BIN)))
def test_only_shared_arguments_are_asked_for(path: Path) -> None:
    """A name that is not shared would be a KeyError when the task starts."""
    calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    (call,) = [call for call in calls if ast.unparse(call.func) == "command_line"]
    assert {ast.literal_eval(argument) for argument in call.args[1:]} <= set(SHARED)


def test_every_script_is_short() -> None:
    for path in BIN.glob("*.py"):
        assert len(path.read_text().splitlines()) <= 60, path.name


def test_help_is_the_docstring() -> None:
    command = [sys.executable, str(BIN / "record_failure.py"), "--help"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "did so for its model alone" in " ".join(said.split())
