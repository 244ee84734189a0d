"""The table of named models: what its rows say, and what a card says of models that are no files."""

import re
from pathlib import Path

import numpy as np
import pytest
from ase.calculators.lj import LennardJones

from ionmelt.models import named
from ionmelt.models.loaded import described
from ionmelt.models.named import NAMED, ROWS, NamedModel
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
    assert not row.shipped or (row.weights_argument and row.environment)
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in (*row.shipped.values(), *filter(None, [row.sha256])))
    assert row.address is None or row.address.startswith("https://")
    # D3 is added to what was trained without, and has no dispersion in its functional
    assert row.d3 is None or (row.dispersion == "none" and dispersion_problem(row.theory, row.d3) is None)
    assert not HAS_DISPERSION.search(row.theory) or row.dispersion != "none"
    if row.environment:
        pins = (TOP / "containers" / row.environment / "requirements.txt").read_text()
        assert all(f"{package} \\\n" in pins for package in row.requires if "==" in package)


def test_names_and_digests() -> None:
    assert len(NAMED) == len(ROWS)
    assert {name: NAMED[name].sha256 for name in PUBLISHED} == PUBLISHED


def test_the_page_is_that_of_the_table() -> None:
    assert (TOP / "docs" / "named.md").read_text() == named.page()


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
    assert (before.sha256, before.bytes) == (None, 0)
