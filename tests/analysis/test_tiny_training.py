"""Trainings that the tests keep: the same one once, another one for other code, settings or data, and none that was cut off."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import tiny_training as tiny

# Stands for a framework's script: notes each call, can be slow or be cut off, and leaves a model that says what it was given.
SCRIPT = """
import os, pathlib, time

def main(arguments):
    with open(os.environ["CALLS"], "a") as calls:
        calls.write("called\\n")
    pathlib.Path("model").mkdir()
    time.sleep(float(os.environ.get("SLOW", "0")))
    if os.environ.get("CUT_OFF"):
        os._exit(1)
    pathlib.Path("model/settings.json").write_text(pathlib.Path("settings.json").read_text())
    return 0
"""
CALL = """
import pathlib, sys
import test_tiny_training as t
t.trained(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
"""


def trained(store: Path, work: Path, **settings: object) -> Path:
    spec = importlib.util.spec_from_file_location("script", store / "script.py")
    assert spec
    assert spec.loader
    script: ModuleType = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    work.mkdir(exist_ok=True)
    return tiny.trained_once(script, {"framework": "mace"} | settings, store / "split", work)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "place"
    (folder / "split").mkdir(parents=True)
    (folder / "split" / "data").write_text("data")
    (folder / "script.py").write_text(SCRIPT)
    monkeypatch.setenv("IONMELT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    return folder


def calls(store: Path) -> int:
    return (store.parent / "calls").read_text().count("called")


def start(store: Path, work: Path, **more: str) -> "subprocess.Popen[bytes]":
    here = Path(__file__).parent
    environ = os.environ | {"PYTHONPATH": os.pathsep.join([str(here), *sys.path])} | more
    return subprocess.Popen([sys.executable, "-W", "ignore", "-c", CALL, store, work], env=environ)


def test_the_same_training_is_done_once_and_each_caller_has_a_copy(store: Path, tmp_path: Path) -> None:
    first = trained(store, tmp_path / "a")
    (first / "settings.json").unlink()
    assert (trained(store, tmp_path / "b") / "settings.json").is_file()
    assert calls(store) == 1


def test_other_settings_data_or_code_are_another_training(store: Path, tmp_path: Path) -> None:
    trained(store, tmp_path / "a")
    assert '"epochs": 2' in (trained(store, tmp_path / "b", epochs=2) / "settings.json").read_text()
    for number, (file, content) in enumerate((("split/data", "others"), ("script.py", SCRIPT + "# changed\n"))):
        (store / file).write_text(content)
        trained(store, tmp_path / f"c{number}")
        assert calls(store) == 3 + number


def test_two_at_once_train_once(store: Path, tmp_path: Path) -> None:
    both = [start(store, tmp_path / name, SLOW="2") for name in "ab"]
    assert [process.wait(timeout=100) for process in both] == [0, 0]
    assert calls(store) == 1
    assert (tmp_path / "a" / "model" / "settings.json").is_file()
    assert (tmp_path / "b" / "model" / "settings.json").is_file()


def test_what_was_cut_off_is_made_again(store: Path, tmp_path: Path) -> None:
    assert start(store, tmp_path / "a", CUT_OFF="1").wait(timeout=100) == 1
    assert (trained(store, tmp_path / "b") / "settings.json").is_file()
    assert calls(store) == 2
