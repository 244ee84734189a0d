"""IMPORT_MODEL with DeePMD weights: frozen, compressed or a checkpoint; and what is refused."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pytest
import tiny_training as tiny
import torch
from ase import Atoms
from tiny_imports import do_import

from ionmelt.dynamics import run
from ionmelt.dynamics.settings import RunSettings
from ionmelt.models import export, train
from ionmelt.models.calculators import load_calculator

# torch warns that TorchScript, which DeePMD freezes models into, is deprecated.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::FutureWarning")

DEEPMD = {"framework": "deepmd"}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which a DeePMD model of Li and F was trained."""
    split = tiny.make_dataset(tmp_path_factory.mktemp("data"), ions=True)
    return tiny.trained_once(train, tiny.DEEPMD, split, tmp_path_factory.mktemp("train")).parent


def forces_of(model: Path) -> np.ndarray:
    frame = tiny.make_frames(1)[0]
    atoms = Atoms(frame.numbers, frame.positions, cell=frame.cell, pbc=True)
    atoms.calc = load_calculator(model)
    return atoms.get_forces()


@pytest.mark.parametrize(
    "file", ["model/model_frozen.pth", "model/model.pth", pytest.param("model/model.pt", marks=pytest.mark.all)]
)
def test_every_form_of_a_model_is_that_model(file: str, trained: Path, tmp_path: Path) -> None:
    confined = file.endswith(".pt")  # two processes: the checkpoint is frozen first
    code, errors, model = do_import(tmp_path, (trained / file).resolve(), confined=confined, **DEEPMD)
    assert (code, errors) == (0, [])
    card = json.loads((model / "model.json").read_text())
    assert (card["elements"], card["cutoff_A"], list(card["files"])) == (["Li", "F"], 3.0, ["model.pth"])
    assert card["trial"]["conservative"]
    # a compressed model is a table of the other
    np.testing.assert_allclose(forces_of(model), forces_of(trained / "model"), atol=1e-4)


def test_it_runs_dynamics_with_added_dispersion(trained: Path, tmp_path: Path) -> None:
    added = {"functional": "PBE", "cutoff_A": 10.0}
    code, _, model = do_import(tmp_path / "import", trained / "model" / "model.pth", **DEEPMD, dispersion=added)
    assert code == 0
    state = tiny.make_state(tmp_path / "state")
    run.run_md([run.Run(RunSettings.model_validate(tiny.RUN), state, tmp_path / "run")], model, 1)
    assert json.loads((tmp_path / "run" / "run.json").read_text())["survived_ps"] > 0


class Touch:
    """A pickle with a side effect."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return os.system, (f"touch '{self.path}'",)


def other_script(path: Path) -> None:
    torch.jit.script(torch.nn.Linear(2, 2)).save(str(path))


@pytest.mark.parametrize(
    ("spoil", "settings", "words"),
    [
        (lambda path: path.write_text("no model"), {}, "bad.pth is no DeePMD model of PyTorch"),
        (
            lambda path: torch.save(Touch(path.with_name("it_ran")), path),
            {},
            "was not opened: it would call posix.system, which",
        ),
        (other_script, {}, "bad.pth is no DeePMD model"),
        (None, {"sha256": 64 * "0"}, "it was not opened"),
        (None, {"liquid_elements": ["B", "F", "Li"]}, "the model does not know B, which the liquids hold"),
        (None, {"head": "Domains_Alloy"}, "is frozen and has one head: leave this out"),
    ],
    ids=["text", "side effect", "another script", "sha256", "elements", "head"],
)
def test_what_cannot_be_used_is_one_line(
    spoil: Callable[[Path], Any] | None, settings: dict[str, Any], words: str, trained: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.pth"
    bad.write_bytes((trained / "model" / "model.pth").read_bytes())
    if spoil:
        spoil(bad)
    code, errors, model = do_import(tmp_path / "import", bad, **DEEPMD, **settings)
    assert code == 2
    assert len(errors) == 1
    assert words in errors[0]
    assert not model.exists()
    assert not (tmp_path / "it_ran").exists()


def test_the_exported_lines_run(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    added = {"functional": "PBE", "cutoff_A": 10.0}
    code, _, model = do_import(tmp_path, trained / "model" / "model.pth", **DEEPMD, dispersion=added)
    assert code == 0
    monkeypatch.chdir(tmp_path)
    assert export.main(["--id", "own", "--model", str(model), "--out", "out"]) == 0
    page = Path("out/README.md").read_text()
    assert "pair_style deepmd model.pth\npair_coeff * * Li F\n" in page
    lines = re.search(r"```python\n(.*?)```", page, re.S)
    assert lines
    frame = tiny.make_frames(1)[0]
    atoms = Atoms(frame.numbers, frame.positions, cell=frame.cell, pbc=True)
    monkeypatch.chdir(model)
    ase.io.write("liquid.extxyz", atoms)
    capsys.readouterr()
    exec(lines[1], {})
    atoms.calc = load_calculator(model)
    assert float(capsys.readouterr().out.splitlines()[-1]) == pytest.approx(atoms.get_potential_energy(), abs=1e-9)
