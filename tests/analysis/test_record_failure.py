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


@pytest.mark.parametrize("module", ["evaluate_model", "run_md"])
def test_a_model_that_hangs_is_a_row_and_is_not_tried_again(module: str, tmp_path: Path) -> None:
    """A library that never comes back to Python: the process is ended in its first answer."""
    hanging = (
        f"import ctypes, sys\nsys.path.insert(0, {str(TOP / 'bin')!r})\nfrom ase import Atoms\nfrom ase.calculators.lj import LennardJones\n"
        "from ionmelt import patience\nfrom ionmelt.models.frameworks.ase_calculator import OwnCalculator\n"
        "class Hanging(LennardJones):\n"
        "    def calculate(self, *_, **__):\n        ctypes.PyDLL(None).sleep(100)\n"  # with the lock of the interpreter
        "patience.ANSWER_S = 1.0\natoms = Atoms('Ar2', [[0, 0, 0], [0, 0, 3]], calculator=OwnCalculator(Hanging()))\n"
        "atoms.get_potential_energy()"
    )
    code, why, half = run(module, tmp_path, hanging)
    assert (code, half) == (0, False)
    assert [failed["reason"] for failed in why.values()] == [["hangs: it gave no answer within 2 hours"]]


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


def test_an_environment_that_lacks_a_package_is_a_row_of_its_model(tmp_path: Path) -> None:
    """Its Python has nothing but what Python comes with, and the scripts are the program's own."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "mine")], check=True)
    (tmp_path / "task").mkdir()
    script = f"exec 2> .command.err\n. {TOP}/containers/activate {tmp_path}/mine\nPATH=$PATH:{TOP}/bin\n{script_of('import_model')}"
    done = subprocess.run(["bash", "-uec", script], cwd=tmp_path / "task", check=False)
    said = (tmp_path / "task" / ".command.err").read_text()
    assert (done.returncode, said.count("\n")) == (0, 1), said
    (reason,) = json.loads((tmp_path / "task" / "IMPORT_MODEL.m1.failed.json").read_text())["reason"]
    assert re.match(rf"no Python package \w+ in {tmp_path}/mine: install it there", reason)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (
            "ImportError: cannot import name 'Self' from 'typing'",
            "ImportError: cannot import name 'Self' from 'typing' (Python ",
        ),
        ("ImportError: libtorch.so: failed to map segment from shared object", None),
    ],
)
def test_why_an_import_did_not_start_is_said_by_its_last_words(said: str, reason: str | None, tmp_path: Path) -> None:
    body = f"import sys\nsys.exit('Traceback ...\\n' + {said!r})"
    code, why, half = run("import_model", tmp_path, body)
    assert (code, half) == ((0, False) if reason else (1, True))
    assert [failed["reason"][0].startswith(str(reason)) for failed in why.values()] == ([True] if reason else [])
