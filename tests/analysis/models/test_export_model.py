"""EXPORT_MODEL: the page of a model, and that its lines of Python are the model (here of a calculator class)."""

import ast
import re
from pathlib import Path
from typing import Any

import ase.io
import pytest
from ase import Atoms
from printed_lines import energy_ev
from tiny_imports import do_import
from tiny_training import make_state

from ionmelt.files import sha256
from ionmelt.models import export
from ionmelt.models.calculators import load_calculator
from ionmelt.models.card import Card
from ionmelt.models.named import NAMED

LJ = {"sigma": 1.8, "epsilon": 0.3, "rc": 3.9, "smooth": True}
OWN = {"framework": "ase", "calculator": "ase.calculators.lj.LennardJones", "weights_argument": None, "arguments": LJ}


MINE = """\
from ase.calculators.lj import LennardJones


def make(**arguments):
    assert set(arguments) == {"sigma", "epsilon", "rc", "smooth"}
    return LennardJones(**arguments)
"""


def exported(model: Path, folder: Path) -> tuple[str, Atoms]:
    """Export a model with a liquid; return its page and the atoms of the liquid, with the calculator of the runs."""
    state = make_state(folder / "state")
    assert export.main(["--id", "own", "--model", str(model), "--out", str(folder / "out"), "--state", str(state)]) == 0
    atoms = ase.io.read(state / "start.extxyz")
    assert isinstance(atoms, Atoms)
    atoms.calc = load_calculator(model)
    return (folder / "out" / "README.md").read_text(), atoms


@pytest.mark.parametrize("dispersion", [None, {"functional": "PBE", "cutoff_A": 10.0}], ids=["bare", "with D3"])
def test_the_lines_of_the_page_are_the_model(
    dispersion: dict | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, errors, model = do_import(tmp_path, None, **OWN, dispersion=dispersion)
    assert (code, errors) == (0, [])
    monkeypatch.chdir(tmp_path)
    page, atoms = exported(model, tmp_path)
    assert page.startswith("# own\n")
    assert "| licence | MIT |" in page
    assert "LAMMPS" not in page
    assert "`lif.extxyz` is lif at 1200 K; energies" in page
    assert energy_ev(tmp_path / "out") == pytest.approx(atoms.get_potential_energy(), abs=1e-9)


def test_each_liquid_has_its_files_and_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Elements of LAMMPS follow the atom types of the data file, which are those of its liquid."""
    monkeypatch.chdir(tmp_path)
    nacl = make_state(tmp_path / "b", "nacl", (("Na", 1, 22.99), ("Cl", -1, 35.45)))
    states = [nacl, make_state(tmp_path / "a")]
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.pth").touch()
    card_of(framework="deepmd", files={"model.pth": "0" * 64}, elements=["Li", "F", "Na", "Cl"], cutoff_A=4.0).write(
        tmp_path / "model"
    )
    export.export_model(tmp_path / "model", tmp_path / "out", 1, states)
    page = (tmp_path / "out" / "README.md").read_text()
    assert "`lif.extxyz` is lif at 1200 K, `nacl.extxyz` is nacl at 1200 K; energies" in page
    assert "atoms = read('lif.extxyz')  # or 'nacl.extxyz'\n" in page
    for liquid, elements, masses in (("lif", "F Li", [19.0, 6.94]), ("nacl", "Cl Na", [35.45, 22.99])):
        atoms = ase.io.read(tmp_path / "out" / f"{liquid}.extxyz")
        assert isinstance(atoms, Atoms)
        assert sorted(set(atoms.get_chemical_symbols())) == elements.split()
        assert f"`lmp -in in.{liquid}` runs {liquid}, whose atoms are in `{liquid}.data`, at 1200 K:\n" in page
        lines = f"read_data {liquid}.data\npair_style deepmd model.pth\npair_coeff * * {elements}\n"
        assert lines in page
        assert lines in (tmp_path / "out" / f"in.{liquid}").read_text()
        data = (tmp_path / "out" / f"{liquid}.data").read_text()
        given = re.findall(r"^ *[12] +([\d.]+) *(?:#.*)?$", data.split("Masses")[1].split("Atoms")[0], re.M)
        assert list(map(float, given)) == pytest.approx(masses, rel=1e-3)


@pytest.mark.parametrize("name", ["mine.py", "My_lj.py"])
def test_the_lines_of_a_calculator_of_a_file_are_the_model(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The only file of its model is code, which no argument takes."""
    script = tmp_path / name
    script.write_text(MINE)
    told = OWN | {"calculator": f"{name}:make", "calculator_sha256": sha256(script)}
    code, errors, model = do_import(tmp_path / "import", None, script, **told)
    assert (code, errors) == (0, [])
    monkeypatch.chdir(tmp_path)
    _, atoms = exported(model, tmp_path)
    assert energy_ev(tmp_path / "out") == pytest.approx(atoms.get_potential_energy(), abs=1e-9)


def card_of(**more: Any) -> Card:
    """Return the card of a calculator of a library."""
    settings = {"calculator": "a_library.ase.Potential.from_file", "weights_argument": "path"}
    content = {"id": "n", "model": "n", "framework": "named", "files": {"w.pt": "0" * 64}, "settings": settings}
    return Card.model_validate(content | more)


def test_a_page_says_charges_to_a_model_that_may_read_them() -> None:
    """The names under which libraries read them, and the box of a liquid, which is neutral."""
    for reads, said in ((True, True), (None, True), (False, False)):
        page = export.page(card_of(uses_charge=reads, uses_spin=False))
        assert ("atoms.info |= {'charge': 0, 'total_charge': 0, 'spin': 1, 'total_spin': 1}\n" in page) == said
        assert "Potential.from_file(path='w.pt')\n" in page


def test_a_page_has_the_versions_of_what_was_loaded() -> None:
    loaded = {"class": "a_library.ase.Potential", "versions": {"a_library": "7.8"}, "sha256": None, "bytes": 0}
    page = export.page(card_of(versions={"ase": "3.4"}, loaded=loaded))
    assert "| versions | a_library 7.8, ase 3.4 |" in page


def test_the_lines_of_orb_are_of_its_library_alone() -> None:
    row = NAMED["orb-v3-conservative-inf-omat"]
    lines = re.search(r"```python\n(.*?)```", export.page(card_of(settings=row.calculator_fields())), re.S)
    assert lines
    tree = ast.parse(lines[1])
    libraries = {
        node.module.split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module
    }
    assert libraries == {"ase", "orb_models"}
    given = {
        keyword.arg: keyword.value.value
        for node in ast.walk(tree) if isinstance(node, ast.Call)
        for keyword in node.keywords if isinstance(keyword.value, ast.Constant)
    }  # fmt: skip
    assert given == {"weights_path": "w.pt", "device": "cpu", "compile": False}


def test_a_page_says_what_was_trained_on_and_what_is_not_known() -> None:
    content: dict[str, Any] = {
        "id": "m-both-s1", "model": "m", "framework": "deepmd", "dataset": "both", "dataset_hash": "ab12", "theory_id": "cd34", "seed": 1,
        "files": {"model_frozen.pth": "0" * 64, "model.pth": "1" * 64}, "elements": ["Li", "F"], "cutoff_A": 4.0, "licence": None,
        "settings": {},
    }  # fmt: skip
    page = export.page(Card.model_validate(content))
    assert "Trained by Ionmelt on the dataset both." in page
    assert "| trained on | dataset both (sha256 ab12) |" in page
    assert "atom_modify map yes\nnewton on\npair_style deepmd model.pth\npair_coeff * * Li F\n" in page
    assert "A test of Ionmelt runs such lines" in page
    of_mace = export.page(Card.model_validate(content | {"framework": "mace", "files": {"model.pt": "0" * 64}}))
    assert "atom_modify map yes\nnewton on\npair_style mace no_domain_decomposition\n" in of_mace
    assert "were not run: no LAMMPS with pair_style mace" in of_mace
    assert "tuned from" not in page
    tuned = content | {"tuned_from": {"file": "dpa.pt", "sha256": "ef56"}, "settings": {"mode": "finetune"}}
    assert "| tuned from | dpa.pt (sha256 ef56), mode finetune |" in export.page(Card.model_validate(tuned))
    content |= {"trial": {"force_off": 0.2, "stress_off": 0.0, "conservative": False}}
    assert "not the derivative of its energy" in export.page(Card.model_validate(content))
