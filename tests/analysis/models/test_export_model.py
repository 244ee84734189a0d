"""EXPORT_MODEL: the page of a model, and that its lines of Python are the model (here of a calculator class)."""

import re
from pathlib import Path
from typing import Any

import pytest
from ase.build import bulk
from tiny_imports import do_import

from ionmelt.models import export
from ionmelt.models.calculators import load_calculator
from ionmelt.models.card import Card

LJ = {"sigma": 1.8, "epsilon": 0.3, "rc": 3.9, "smooth": True}
OWN = {"framework": "ase", "calculator": "ase.calculators.lj.LennardJones", "weights_argument": None, "arguments": LJ}


@pytest.mark.parametrize("dispersion", [None, {"functional": "PBE", "cutoff_A": 10.0}], ids=["bare", "with D3"])
def test_the_lines_of_the_page_are_the_model(
    dispersion: dict | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, errors, model = do_import(tmp_path, None, **OWN, dispersion=dispersion)
    assert (code, errors) == (0, [])
    monkeypatch.chdir(tmp_path)
    assert export.main(["--id", "own", "--model", str(model), "--out", "out"]) == 0
    page = Path("out/README.md").read_text()
    assert page.startswith("# own\n")
    assert "| licence | MIT |" in page
    assert "LAMMPS" not in page
    lines = re.search(r"```python\n(.*?)```", page, re.S)
    assert lines
    atoms = bulk("Ar", cubic=True, a=4.0)
    capsys.readouterr()
    exec(lines[1], {"atoms": atoms})
    atoms.calc = load_calculator(model)
    assert float(capsys.readouterr().out) == pytest.approx(atoms.get_potential_energy(), abs=1e-12)


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
