"""TRAIN_MODEL: the script leaves the work to the file of the framework that the settings name."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from ionmelt.models import train

SCRIPT = Path(__file__).resolve().parents[3] / "bin" / "train_model.py"


def arguments(folder: Path, framework: str, **more: object) -> list[str]:
    settings = {"id": "m-eq-s1", "framework": framework, "model": "m", "dataset": "eq", "seed": 1, "theory_id": None}
    (folder / "m.json").write_text(json.dumps(settings | more))
    (folder / "dataset.json").write_text("{}")
    (folder / "eq").mkdir()
    return ["--id", "m-eq-s1", "--settings", "m.json", "--dataset", "eq", "--summary", "dataset.json", "--out", "out"]


def test_help_is_the_docstring() -> None:
    shown = subprocess.run([sys.executable, SCRIPT, "--help"], capture_output=True, text=True, check=True).stdout
    assert "tool of its framework" in shown
    assert "--checkpoints" in shown


@pytest.mark.parametrize("framework", ["classical", "xtb", "ase", "gap"])
def test_what_is_not_trained_is_refused(
    framework: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert train.main(arguments(tmp_path, framework)) == 2
    assert f"framework: {framework!r} is none of those that are trained: mace, deepmd" in capsys.readouterr().err


@pytest.mark.parametrize("framework", ["mace", "deepmd"])
def test_the_file_of_the_framework_trains(framework: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    given: list[tuple[str, train.TrainingTask]] = []

    def load(name: str) -> SimpleNamespace:
        def work(task: train.TrainingTask) -> None:
            given.append((name, task))
            task.out.mkdir()
            (task.out / "model.pt").write_text("trained\n")

        return SimpleNamespace(train=work)

    monkeypatch.setattr("importlib.import_module", load)
    assert train.main([*arguments(tmp_path, framework), "--weights", "w.pt", "--threads", "2"]) == 0
    assert (tmp_path / "out/SHA256SUMS").read_text().endswith("  model.pt\n")
    ((name, task),) = given
    assert importlib.util.find_spec(name) is not None
    assert name == f"ionmelt.models.frameworks.{framework}_training"
    assert (task.weights, task.replay, task.threads, task.device) == (Path("w.pt"), None, 2, "cpu")


@pytest.mark.parametrize(
    ("more", "line"),
    [
        ({"epoch": 3}, "m.json: epoch: unknown field"),
        ({"epochs": "many"}, "m.json: epochs: 'many'"),
        ({"seed": None}, "m.json: seed: "),
    ],
)
def test_settings_that_are_none_of_a_training_are_refused_in_a_line_each(
    more: dict[str, object],
    line: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert train.main(arguments(tmp_path, "mace", **more)) == 2
    assert line in capsys.readouterr().err
