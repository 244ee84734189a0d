"""A task whose model cannot be used ends well, with the reason; any other failure keeps its exit code."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

TOP = Path(__file__).resolve().parents[2]
STAGES = {"import_model": "import", "train_model": "training", "evaluate_model": "evaluation", "run_md": "dynamics"}
DIE = "import os, signal, sys; sys.stderr.write({said!r}); sys.stderr.flush(); os.kill(os.getpid(), signal.{signal})"


def script_of(module: str) -> str:
    """Return the shell script of a process for a model (or run) m1, as Nextflow would fill it in, as far as failures go."""
    text = (TOP / "modules" / f"{module}.nf").read_text()
    script = re.search(r'script:.*?"""\n(.*?)"""', text, re.S)
    assert script
    filled = script[1].replace("\\\\", "\\").replace("\\$", "$")
    values = {"key": "m1", "out": "runs/m1", "failed": "RUN_MD.m1.failed.json", "keys.join(' ')": "m1"}
    for name, value in values.items():
        filled = filled.replace(f"${{{name}}}", value)
    return re.sub(r"\$\{[^{}]*(\{[^{}]*\})?[^{}]*\}", "x", filled)


def run(module: str, folder: Path, body: str) -> tuple[int, dict[str, Any], bool]:
    """Run the script of a process whose program does `body` (Python) after it has made half of what it writes.

    Returns the exit code, the files that say why a model failed, and whether the half is still there.
    """
    (folder / "bin").mkdir()
    fake = folder / "bin" / f"{module}.py"
    out = {"evaluate_model": "m1.evaluation", "run_md": "runs/m1"}.get(module, "m1")
    fake.write_text(
        f"#!{sys.executable}\nimport pathlib\npathlib.Path({out!r}).mkdir(parents=True)\n"
        f"pathlib.Path({out!r}, 'half').touch()\n{body}\n"
    )
    fake.chmod(0o755)
    path = f"{folder}/bin:{TOP}/bin:{Path(sys.executable).parent}:{os.environ['PATH']}"
    shell = ["bash", "-uec", f"exec 2> .command.err\n{script_of(module)}"]
    done = subprocess.run(shell, cwd=folder, env=os.environ | {"PATH": path}, check=False)
    said = {path.name: json.loads(path.read_text()) for path in folder.glob("*.failed.json")}
    return done.returncode, said, (folder / out / "half").exists()


@pytest.mark.parametrize("module", STAGES)
def test_a_crash_in_compiled_code_is_a_row_of_its_model(module: str, tmp_path: Path) -> None:
    body = DIE.format(said="", signal="SIGSEGV")
    failed = {"stage": STAGES[module], "key": "m1", "reason": ["crashed: SIGSEGV"]}
    assert run(module, tmp_path, body) == (0, {f"{module.upper()}.m1.failed.json": failed}, False)


def test_what_the_script_has_said_itself_stays(tmp_path: Path) -> None:
    body = "import sys\npathlib.Path('TRAIN_MODEL.m1.failed.json').write_text('[1]')\nsys.exit(2)"
    assert run("train_model", tmp_path, body) == (0, {"TRAIN_MODEL.m1.failed.json": [1]}, False)


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("terminate called after throwing an instance of 'std::runtime_error'\n  what():  no head\n", 0),
        ("terminate called after throwing an instance of 'std::bad_alloc'\n", 128 + signal.SIGABRT),
        ("", 128 + signal.SIGABRT),
    ],
)
def test_an_abort_is_the_models_only_where_it_says_so(said: str, code: int, tmp_path: Path) -> None:
    failure, why, _ = run("evaluate_model", tmp_path, DIE.format(said=said, signal="SIGABRT"))
    assert failure == code
    expected = "crashed: terminate called after throwing an instance of 'std::runtime_error' what(): no head"
    assert [failed["reason"] for failed in why.values()] == ([] if code else [[expected]])


@pytest.mark.parametrize("code", [1, 2, 74, 75])
def test_a_mistake_a_bug_and_the_machine_keep_their_codes(code: int, tmp_path: Path) -> None:
    assert run("run_md", tmp_path, f"raise SystemExit({code})") == (code, {}, True)


@pytest.mark.parametrize("killer", ["SIGKILL", "SIGTERM", "SIGBUS"])
def test_what_a_machine_or_a_scheduler_ends_is_not_the_models(killer: str, tmp_path: Path) -> None:
    code, why, _ = run("import_model", tmp_path, DIE.format(said="", signal=killer))
    assert (code, why) == (128 + getattr(signal, killer), {})
