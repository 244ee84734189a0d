"""An engine for labels, and a framework of models, are each a file, a section of a study and a row: in a copy of the package both work."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import ase.io
import faulty_engines
import numpy as np
import polars as pl
import pytest
import tiny_training as tiny
import yaml
from ase.calculators.lj import LennardJones
from planned_studies import ASSETS, demo

from ionmelt.frame_file import read_frames, write_frames

BIN = Path(__file__).resolve().parents[2] / "bin"
PAIRS = "LennardJones(sigma={sigma}, epsilon=settings.epsilon_ev, rc=3.9, smooth=True)"

ENGINE = f"""
from ase import Atoms
from ase.calculators.lj import LennardJones

from ionmelt.frame import Label
from ionmelt.labels.engines.settings import PairLabels


class Engine:
    version = "pairs 1"

    def __init__(self, settings: PairLabels, threads: int) -> None:
        self.settings = settings

    def label(self, atoms: Atoms, cold: bool = False) -> Label:
        settings, atoms = self.settings, atoms.copy()
        atoms.calc = {PAIRS.format(sigma=1.2)}
        stress = atoms.get_stress(voigt=False) if atoms.pbc.all() else None
        return Label(atoms.get_potential_energy(), atoms.get_forces(), stress, True)
"""
SECTION = '''

class PairLabels(LabelTasks):
    """Labels of a pair potential."""

    engine: Literal["pairs"] = Field(description="pairs: a pair potential")
    epsilon_ev: Real = number(0.3, 0, 1, "depth of its well (eV)")

    @property
    def level(self) -> str:
        """The level of theory in words."""
        return "a pair potential"
'''
ENGINE_ROW = """    LabelEngine(
        PairLabels, f"{__name__}.pairs", title="pairs", environment="analysis", laws={"pairs": CLASSICAL_LAW},
        words=lambda labels: f"pairs of {labels['epsilon_ev']} eV", not_dft="of pairs",
    ),
"""

FRAMEWORK = f'''
from typing import Literal

from ase.calculators.calculator import Calculator
from ase.calculators.lj import LennardJones
from pydantic import BaseModel, Field

from ionmelt.models.framework import Loading
from ionmelt.models.settings import AnyModel
from ionmelt.settings import Real, number


class PairModel(AnyModel):
    """A pair potential."""

    framework: Literal["pairs"] = Field(description="pairs: a pair potential")
    epsilon_ev: Real = number(0.3, 0, 1, "depth of its well (eV)")


class PairFields(BaseModel):
    epsilon_ev: Real


def calculator(loading: Loading) -> Calculator:
    settings = loading.card.settings.of(PairFields)
    return {PAIRS.format(sigma=1.8)}


def md_core_s(_model: PairModel, atoms: int, steps: float) -> float:
    return 1e-5 * atoms * steps
'''
FRAMEWORK_ROW = """        Framework(
            name="pairs", settings=pairs.PairModel, calculator=pairs.calculator, md_core_s=pairs.md_core_s,
        ),
"""


def insert(path: Path, *changes: tuple[str, str]) -> None:
    """Put text before the first place of another text, for each of the changes."""
    text = path.read_text()
    for mark, more in changes:
        assert mark in text
        text = text.replace(mark, more + mark, 1)
    path.write_text(text)


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """Copy what a clone has of the package."""
    return shutil.copytree(BIN, tmp_path / "bin", ignore=shutil.ignore_patterns("__pycache__")) / "ionmelt"


def script(package: Path, name: str, arguments: Sequence[str], code: int = 0) -> str:
    """Run a script of the copy, in the folder that holds it; assert its exit code and return what it said."""
    command = [sys.executable, str(package.parent / name), *arguments]
    done = subprocess.run(command, cwd=package.parents[1], env=os.environ.copy(), capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    return done.stderr


def plan(package: Path, change: dict, code: int = 0) -> str:
    """Plan a study with the scripts of the copy; return what was said."""
    study = demo() | {"models": [{"id": "clp", "framework": "classical"}]} | change
    folder = package.parents[1]
    (folder / "study.yaml").write_text(yaml.safe_dump(study))
    return script(package, "plan_study.py", ["--study", "study.yaml", "--assets", str(ASSETS), "--out", "plan"], code)


def test_an_engine_for_labels(package: Path, tmp_path: Path) -> None:
    engines = package / "labels" / "engines"
    (engines / "pairs.py").write_text(ENGINE)
    insert(engines / "settings.py", ("\n\nclass XtbLabels(", SECTION))
    insert(
        engines / "__init__.py",
        ("    PyscfLabels,\n    Teacher", "    PairLabels,\n"),
        ("    LabelEngine(\n", ENGINE_ROW),
    )

    said = plan(package, {"labels": {"engine": "pairs", "epsilon": 0.1}}, 2)
    assert [line for line in said.splitlines() if "epsilon" in line] == [
        "error: labels.epsilon: unknown field; did you mean epsilon_ev?"
    ]
    plan(package, {"labels": {"engine": "pairs", "epsilon_ev": 0.1}})
    frames = faulty_engines.frames(3)
    write_frames(tmp_path / "chunk.extxyz", frames)
    options = ["--id", "c", "--settings", "plan/labels.json", "--frames", "chunk.extxyz", "--out", "out"]
    script(package, "label_frames.py", options)
    table = pl.read_parquet(tmp_path / "out.labels.parquet")
    assert table["reason"].to_list() == [None] * 3
    for frame in read_frames(tmp_path / "out.labelled.extxyz", labelled=True):
        forces = frame.arrays["REF_forces"]
        frame.calc = LennardJones(sigma=1.2, epsilon=0.1, rc=3.9, smooth=True)
        np.testing.assert_allclose(forces, frame.get_forces(), atol=1e-6)


def test_a_framework_of_models(package: Path, tmp_path: Path) -> None:
    frameworks = package / "models" / "frameworks"
    (frameworks / "pairs.py").write_text(FRAMEWORK)
    table = frameworks / "__init__.py"
    insert(table, ("    | xtb.XtbModel", "    | pairs.PairModel\n"), ("        Framework(\n", FRAMEWORK_ROW))
    insert(table, ("xtb\n\nModel", "pairs, "))

    said = plan(package, {"models": [{"id": "sp", "framework": "pairs", "epsilon_ev": 7}]}, 2)
    assert [line for line in said.splitlines() if "epsilon" in line] == ["error: models[0].epsilon_ev: 7 is above 1"]
    plan(
        package,
        {"models": [{"id": "sp", "framework": "pairs"}, {"id": "weak", "framework": "pairs", "epsilon_ev": 0.2}]},
    )
    assert json.loads((tmp_path / "plan" / "runs" / "pyr14bf4-430K-r1-sp.json").read_text())["framework"] == "pairs"
    (tmp_path / "data").mkdir()
    split = tiny.make_dataset(tmp_path / "data")
    test = ase.io.read(split / "test.extxyz", ":")
    errors = {}
    for name in ("sp", "weak"):
        options = [
            "--id",
            name,
            "--model",
            f"plan/cards/{name}",
            "--test",
            str(split / "test.extxyz"),
            "--out",
            f"{name}.evaluation",
        ]
        script(package, "evaluate_model.py", options)
        rows = pl.read_parquet(tmp_path / f"{name}.evaluation" / "errors.parquet")
        rows = rows.filter(pl.col("quantity") == "force", pl.col("scope") == "all")
        errors[name] = rows["rmse"][0]
    rms = np.sqrt(np.mean(np.concatenate([frame.arrays["REF_forces"] for frame in test]) ** 2))
    assert errors["sp"] == pytest.approx(0, abs=1e-6 * rms)  # it is what labels these frames
    assert errors["weak"] == pytest.approx(rms / 3, rel=1e-5)  # a third of the well is missing
