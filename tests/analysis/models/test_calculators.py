"""Calculators of models that need no training: forces and stress against finite differences, and refusals."""

import json
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms

from ionmelt.dynamics import watch
from ionmelt.errors import UserError
from ionmelt.liquid import packing
from ionmelt.liquid.calculator import ClassicalCalculator
from ionmelt.models import calculators

ASSETS = Path(__file__).resolve().parents[3] / "assets"


@pytest.fixture(scope="module")
def liquid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A packed box of four PYR14BF4 pairs with its force field: a state folder as far as models need one."""
    folder = tmp_path_factory.mktemp("box")
    settings = {
        "id": "il-r1", "liquid": "il", "replica": 1, "seed": 1, "charge_scale": 1.0, "density_guess_kg_m3": 1000.0,
        "force_field": "clandp", "cutoff_A": 5.0,
        "ions": [
            {"name": "pyr14", "smiles": "CCCC[N+]1(C)CCCC1", "charge": 1, "count": 4, "types": None, "hydrogen_types": None},
            {"name": "bf4", "smiles": "F[B-](F)(F)F", "charge": -1, "count": 4, "types": None, "hydrogen_types": None},
        ],
    }  # fmt: skip
    path = folder / "settings.json"
    path.write_text(json.dumps(settings))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        arguments = ["--id", "il-r1", "--settings", str(path), "--assets", str(ASSETS), "--out", str(folder / "box")]
        assert packing.main(arguments) == 0
    return folder / "box"


def model(folder: Path, **card) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.json").write_text(json.dumps({"id": "m", "model": "m", "files": {}, "settings": {}, **card}))
    return folder


def strain_stress(atoms: Atoms, h: float) -> np.ndarray:
    """Return dE/d(strain)/V (3, 3) in eV/A^3 by central differences of symmetric strains."""
    stress = np.zeros((3, 3))
    cell, positions = atoms.cell.array.copy(), atoms.positions.copy()
    for i in range(3):
        for j in range(i + 1):
            ends = []
            for sign in (1, -1):
                strain = np.eye(3)
                strain[i, j] += sign * h  # a simple shear keeps the cell lower triangular
                moved = atoms.copy()
                moved.calc = atoms.calc
                moved.set_cell(cell @ strain)
                moved.positions = positions @ strain
                ends.append(moved.get_potential_energy())
            stress[i, j] = stress[j, i] = (ends[0] - ends[1]) / (2 * h) / atoms.get_volume()
    return stress


def test_classical_forces_and_stress_are_derivatives_of_its_energy(liquid: Path) -> None:
    atoms = ase.io.read(liquid / "box.extxyz")
    # The reference platform works in double precision, so that the differences mean something.
    atoms.calc = ClassicalCalculator((liquid / "system.xml").read_text(), platform="Reference")
    forces = atoms.get_forces()
    h = 1e-4
    for index, axis in [(0, 0), (7, 2), (130, 1)]:
        ends = []
        for sign in (1, -1):
            moved = atoms.copy()
            moved.calc = atoms.calc
            moved.positions[index, axis] += sign * h
            ends.append(moved.get_potential_energy())
        assert -(ends[0] - ends[1]) / (2 * h) == pytest.approx(forces[index, axis], abs=2e-3)
    stress = atoms.get_stress(voigt=False)
    # another step length than the calculator's own
    assert np.abs(stress - strain_stress(atoms, 5e-5)).max() < 2e-5


def test_single_precision_platform_agrees_with_double(liquid: Path) -> None:
    atoms = ase.io.read(liquid / "box.extxyz")
    results = []
    for platform in ("Reference", "CPU"):
        atoms.calc = ClassicalCalculator((liquid / "system.xml").read_text(), platform=platform)
        results.append((atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress()))
    assert results[0][0] == pytest.approx(results[1][0], abs=2e-3)
    assert np.abs(results[0][1] - results[1][1]).max() < 5e-3
    assert np.abs(results[0][2] - results[1][2]).max() < 2e-4  # 300 bar: a tenth of its fluctuation in a liquid


def test_what_openmm_refuses_ends_a_run_and_not_the_task(liquid: Path) -> None:
    """Its exception has no parent among those that a run is ended for."""
    atoms = ase.io.read(liquid / "box.extxyz")
    atoms.calc = ClassicalCalculator((liquid / "system.xml").read_text())
    atoms.positions[0] = np.nan
    with pytest.raises(watch.MODEL_ERRORS, match="Particle coordinate is NaN"):
        atoms.get_forces()
    atoms = ase.io.read(liquid / "box.extxyz")
    atoms.calc = ClassicalCalculator((liquid / "system.xml").read_text())
    atoms.set_cell(atoms.cell.array[[1, 2, 0]])
    with pytest.raises(watch.MODEL_ERRORS, match="must be parallel to x"):
        atoms.get_forces()


def test_a_part_of_the_box_is_refused_in_words(liquid: Path) -> None:
    atoms = ase.io.read(liquid / "box.extxyz")[:-1]
    atoms.calc = ClassicalCalculator((liquid / "system.xml").read_text(), platform="Reference")
    with pytest.raises(
        ValueError, match=f"of the whole box, {len(atoms) + 1} atoms: this frame has {len(atoms)} of them"
    ):
        atoms.get_potential_energy()


def test_hydrostatic_stress_is_the_mean_of_the_full_one(liquid: Path) -> None:
    atoms = ase.io.read(liquid / "box.extxyz")
    atoms.calc = ClassicalCalculator((liquid / "system.xml").read_text(), platform="Reference")
    full = atoms.get_stress()
    atoms.calc = ClassicalCalculator((liquid / "system.xml").read_text(), platform="Reference", hydrostatic=True)
    assert atoms.get_stress()[:3] == pytest.approx(np.full(3, full[:3].mean()), abs=1e-6)


@pytest.mark.parametrize("method", ["GFN1-xTB", "GFN2-xTB"])
def test_xtb_stress_is_the_derivative_of_its_energy(method: str, tmp_path: Path) -> None:
    atoms = Atoms("LiF", positions=[[0, 0, 0], [1.7, 0.2, 0.1]], cell=[5.0, 5.5, 6.0], pbc=True)
    atoms.calc = calculators.load_calculator(model(tmp_path / "xtb", framework="xtb", settings={"method": method}))
    assert np.abs(atoms.get_stress(voigt=False) - strain_stress(atoms, 1e-3)).max() < 2e-5


def test_wrong_weights_are_refused_before_they_are_opened(tmp_path: Path) -> None:
    folder = model(tmp_path / "mace-eq-s1", framework="mace", files={"model.pt": "0" * 64})
    (folder / "model.pt").write_bytes(b"not a model: opening it would raise another error")
    with pytest.raises(
        UserError, match=r"model mace-eq-s1: model.pt: sha256 is [0-9a-f]{64}, the model card says 0{64}"
    ):
        calculators.load_calculator(folder)


def test_unknown_framework_and_missing_force_field_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="'allegro' is not one of ase, classical, deepmd, mace, named, nequip, xtb"):
        calculators.load_calculator(model(tmp_path / "a", framework="allegro"))
    with pytest.raises(UserError, match="needs a liquid with a force field"):
        calculators.load_calculator(model(tmp_path / "b", framework="classical"), tmp_path)
    with pytest.raises(UserError, match=r"nothing/model\.json: No such file"):
        calculators.load_calculator(tmp_path / "nothing")
