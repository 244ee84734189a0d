"""The table of named models: what its rows say, and what a card says of models that are no files."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.lj import LennardJones

from ionmelt.models import named_page
from ionmelt.models.loaded import described
from ionmelt.models.named import NAMED, ROWS, NamedModel
from ionmelt.models.settings import D3BJ_FUNCTIONALS
from ionmelt.task import LIBRARIES
from ionmelt.theory import HAS_DISPERSION, dispersion_problem

TOP = Path(__file__).resolve().parents[3]

# Of MACE's own tests of its releases.
PUBLISHED = {
    "mace-mpa-0-medium": "75428afe3a1d7d8062e19bcaabd5c433623cabf308242ec9fb493e38604fb638",
    "mace-mp-0-small": "2ddb079cee0e131eaaf6912ba581b394551ead283e95c99cfe78c605d10b5736",
    "mace-off23-small": "165cce4cfec5a34b9c64d4ebf95de15d71106bb584b7291c8470f0749977c46f",
}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_row_is_whole(row: NamedModel) -> None:
    assert row.licence and row.reference and row.requires
    assert (row.calculator is not None) == (row.framework == "named")
    assert not row.shipped or row.weights_argument
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in (*row.shipped.values(), *filter(None, [row.sha256])))
    assert row.address is None or row.address.startswith("https://")
    # D3 is added to what was trained without, and has no dispersion in its functional; a head says its level itself
    assert row.d3 is None or row.dispersion == "none"
    fitted = [name for name in D3BJ_FUNCTIONALS if dispersion_problem(row.theory, name) is None]
    assert not row.theory or fitted == list(filter(None, [row.d3]))
    assert not HAS_DISPERSION.search(row.theory) or row.dispersion != "none"
    pins = (TOP / "containers" / row.environment / "requirements.txt").read_text()
    beside = ("ase", "dftd3", "mdtraj", "numpy", "polars", "pydantic")  # what tasks need of any environment
    assert all(f"{package} \\\n" in pins for package in row.requires if "==" in package)
    assert all(re.search(f"^{package}==", pins, re.M) for package in beside)
    assert pins.count("==") <= len(re.findall(r"--hash=sha256:[0-9a-f]{64}", pins))


def test_fairchem_is_told_not_to_compile() -> None:
    """Of the presets in its inference.py at this version, batch and traineval alone have compile=False."""
    rows = [row for row in ROWS if "fairchem-core==2.24.0" in row.requires]
    assert {row.arguments["inference_settings"] for row in rows} == {"batch"}
    assert not [row for row in ROWS if row not in rows and any("fairchem" in name for name in row.requires)]


def test_the_version_of_every_library_is_recorded() -> None:
    required = {package.split("==")[0] for row in ROWS for package in row.requires}
    assert required <= set(LIBRARIES)


def test_atoms_of_published_energies_are_whole_molecules() -> None:
    """Water keeps its bonds: a coordinate with a wrong sign would break one."""
    rows = [row for row in ROWS if row.published]
    assert {row.name for row in rows} == set(PUBLISHED)  # the files that MACE's own tests open
    for row in rows:
        sets = {energy.formula: Atoms(energy.formula, energy.positions_A) for energy in row.energies}
        water = sets.pop("OH2OH2OH2").get_all_distances()
        for o in (0, 3, 6):
            assert water[o, [o + 1, o + 2]] == pytest.approx(0.97, abs=0.05)
        assert {formula: len(atoms) for formula, atoms in sets.items()} == {"O": 1, "CO": 2}
        # the energy of a cluster is below that of its molecules' atoms, that of two nuclei at half a bond above
        energies = {energy.formula: energy.energy_ev for energy in row.energies}
        assert energies["OH2OH2OH2"] < 3 * energies["O"] < 0
        assert energies["CO"] > energies["O"]


def test_names_and_digests() -> None:
    assert len(NAMED) == len(ROWS)
    assert {name: NAMED[name].sha256 for name in PUBLISHED} == PUBLISHED


def test_the_page_is_that_of_the_table() -> None:
    assert (TOP / "docs" / "named.md").read_text() == named_page.page()


def test_one_number_tells_two_models_apart() -> None:
    models = [LennardJones(), LennardJones(), LennardJones()]
    for model, last in zip(models, (1.0, 1.0, np.nextafter(1.0, 2)), strict=True):
        model.weights = {"layers": [np.zeros(3), np.array([2.0, last])]}
    first, same, other = (described(model) for model in models)
    assert first == same
    assert first.bytes == 40
    assert first.sha256 != other.sha256
    assert first.name == "ase.calculators.lj.LennardJones"
    assert set(first.versions) >= {"ase", "numpy", "scipy"}


def test_what_was_computed_is_no_part_of_a_model() -> None:
    model = LennardJones()
    before = described(model)
    model.results = {"forces": np.ones((2, 3))}
    assert described(model) == before
    assert before.bytes == 0


@pytest.mark.parametrize("other", [{"epsilon": 1.1}, {"sigma": 0.9}, {"smooth": True}])
def test_one_argument_tells_two_models_apart(other: dict[str, float]) -> None:
    assert (
        described(LennardJones()).sha256 == described(LennardJones()).sha256 != described(LennardJones(**other)).sha256
    )


def test_a_path_is_no_part_of_a_model() -> None:
    models = [LennardJones(), LennardJones(), LennardJones()]
    for model, (path, head) in zip(
        models, [("/one/a/m.pt", "x"), ("/two/b/m.pt", "x"), ("/one/a/m.pt", "y")], strict=True
    ):
        model.weights_file, model.head = path, head
    here, there, other = (described(model).sha256 for model in models)
    assert here == there != other


def test_the_digest_is_the_same_in_another_process() -> None:
    line = (
        "from ase.calculators.lj import LennardJones; from ionmelt.models.loaded import described; "
        "print(described(LennardJones(sigma=1.8)).sha256)"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", line], env={"PYTHONPATH": str(TOP / "bin"), "PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout.strip()
        for seed in ("1", "2")
    }  # fmt: skip
    assert said == {described(LennardJones(sigma=1.8)).sha256}
