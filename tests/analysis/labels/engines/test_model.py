"""Labels by a model: what its folder computes, to the bit; of the model that the plan means, and of no other."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from ase import Atoms
from tiny_imports import do_import

from ionmelt.errors import UserError
from ionmelt.files import sha256
from ionmelt.frame import CHARGE_KEY, make_frame, shown
from ionmelt.frame_file import read_frames, write_frames
from ionmelt.labels import labelling
from ionmelt.labels.engines.model import Engine
from ionmelt.labels.engines.settings import LabelledModel, ModelLabels, Teacher
from ionmelt.labels.settings import LabelSettings
from ionmelt.models.calculators import load_calculator

# A Lennard-Jones salt whose energy also holds what the model is told of the charge.
SCRIPT = """
from ase.calculators.calculator import all_changes
from ase.calculators.lj import LennardJones


class Charged(LennardJones):
    def calculate(self, atoms=None, properties=None, system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        self.results["energy"] += 10.0 * atoms.info["charge"]


def make(epsilon):
    return Charged(epsilon=epsilon, sigma=2.4, rc=5.0, smooth=True)
"""
LABELS = ModelLabels(engine="model", model="lj")


def imported(folder: Path, epsilon: float = 0.1, comment: str = "") -> Path:
    """Return the folder of a model that a file of Python makes."""
    folder.mkdir()
    script = folder / "mine.py"
    script.write_text(SCRIPT + comment)
    told = {"framework": "ase", "calculator": "mine.py:make", "calculator_sha256": sha256(script), "role": "labels"}
    code, errors, model = do_import(folder / "made", None, script, arguments={"epsilon": epsilon}, **told)
    assert (code, errors) == (0, [])
    return model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return imported(tmp_path_factory.mktemp("teacher") / "lj")


def teacher(folder: Path) -> Teacher:
    return Teacher(theory="LJ", sha256=sha256(folder / "mine.py"))


def salt(**info: Any) -> Atoms:
    """Return a periodic frame of eight ions off their lattice."""
    sites = np.array([[x, y, z] for x in range(2) for y in range(2) for z in range(2)], float)
    positions = 2.9 * sites + np.random.default_rng(3).normal(scale=0.15, size=sites.shape)
    names = ["na" if site.sum() % 2 else "cl" for site in sites]
    numbers = [11 if name == "na" else 17 for name in names]
    info = {"liquid": "salt", "kind": "neq", "recipe": "rattle", "group": "g"} | info
    return make_frame(numbers, positions, np.array([5.8] * 3), range(8), names, **info)


def sodium() -> Atoms:
    info = {"liquid": "salt", "kind": "neq", "recipe": "ions", "group": "g", CHARGE_KEY: 1}
    return make_frame([11], np.array([[10.0, 10, 10]]), np.array([20.0] * 3), [0], ["na"], **info)


def test_forces_and_stress_are_derivatives_of_the_energy(model: Path) -> None:
    engine = Engine(LABELS, 1, LabelledModel(model, teacher(model)))
    atoms = shown(salt())
    label = engine.label(atoms)
    assert label.forces_ev_a is not None and label.stress_ev_a3 is not None

    def energy(index: int = 0, move: float = 0.0, strain: float = 0.0) -> float:
        other = shown(salt())
        other.positions[index, 1] += move
        other.set_cell(other.cell.array * (1 + strain), scale_atoms=True)
        value = engine.label(other).energy_ev
        assert value is not None
        return value

    for index in (0, 5):
        slope = (energy(index, move=1e-4) - energy(index, move=-1e-4)) / 2e-4
        assert label.forces_ev_a[index, 1] == pytest.approx(-slope, abs=1e-6)
    pull = (energy(strain=1e-4) - energy(strain=-1e-4)) / 2e-4 / (3 * atoms.get_volume())
    assert np.trace(label.stress_ev_a3) / 3 == pytest.approx(pull, abs=1e-6)


def test_labels_are_what_the_model_says_by_the_command_line(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An ion alone is told its charge, and has no images."""
    monkeypatch.chdir(tmp_path)
    settings = LabelSettings.of(LABELS, "0123456789ab", teacher=teacher(model))
    Path("labels.json").write_text(settings.model_dump_json())
    write_frames(Path("chunk.extxyz"), [salt(), sodium()])
    given = ["--id", "c", "--settings", "labels.json", "--frames", "chunk.extxyz", "--out", "c", "--model", str(model)]
    assert labelling.main(given) == 0
    periodic, ion = read_frames(Path("c.labelled.extxyz"), labelled=True)
    atoms = shown(periodic)
    atoms.calc = load_calculator(model)
    assert periodic.info["REF_energy"] == pytest.approx(atoms.get_potential_energy(), abs=1e-9)
    np.testing.assert_allclose(periodic.arrays["REF_forces"], atoms.get_forces(), atol=1e-8)
    np.testing.assert_allclose(periodic.info["REF_stress"], atoms.get_stress(voigt=False), atol=1e-9)
    assert ion.info["REF_energy"] == pytest.approx(10.0)
    table = pl.read_parquet("c.labels.parquet")
    assert table["engine"].to_list() == ["model", "model"]
    assert table["engine_version"][0] == f"ase lj {sha256(model / 'mine.py')[:12]}"
    assert table["theory_id"].unique().to_list() == ["0123456789ab"]


def test_a_model_that_the_plan_does_not_mean(model: Path, tmp_path: Path) -> None:
    other = imported(tmp_path / "other", comment="# another\n")
    with pytest.raises(UserError, match=r"labels\.model: lj: none of its files has sha256"):
        Engine(LABELS, 1, LabelledModel(other, teacher(model)))


def test_a_teacher_that_is_missing_or_changed_is_one_line(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    changed = imported(tmp_path / "changed")
    digest = teacher(changed)
    (changed / "mine.py").write_text(SCRIPT + "# edited\n")
    (changed / "SHA256SUMS").unlink(missing_ok=True)
    settings = LabelSettings.of(LABELS, "0123456789ab", teacher=digest)
    Path("labels.json").write_text(settings.model_dump_json())
    write_frames(Path("chunk.extxyz"), [salt()])
    given = ["--id", "c", "--settings", "labels.json", "--frames", "chunk.extxyz", "--out", "c"]
    for more, line in (
        ([], "labels.engine: model: the folder of its model is not given"),
        (["--model", str(changed)], "model own: mine.py: sha256 is"),
    ):
        assert labelling.main([*given, *more]) == 2
        (said,) = [text for text in capsys.readouterr().err.splitlines() if text.startswith("error: ")]
        assert line in said


def test_the_card_of_a_teacher_says_what_it_is(model: Path) -> None:
    assert json.loads((model / "model.json").read_text())["role"] == "labels"
