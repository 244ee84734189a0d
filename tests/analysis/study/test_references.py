"""Which measured values are of a box: of its ions, near enough to its composition, the nearest first."""

import math
from pathlib import Path

import polars as pl
import pytest
from planned_studies import Planned, concentrations, demo, reference_file, rows

from ionmelt.study.references import apart, best, composition, proportions
from ionmelt.tables.references import REFERENCES


def test_how_far_a_box_is_off_a_liquid() -> None:
    """Na in 4:4:41 is 4 of 49, in 1:1:11 one of 13."""
    liquid = composition({"na": 1, "pf6": 1, "pc": 11})
    assert apart(composition({"na": 4, "pf6": 4, "pc": 41}), liquid) == pytest.approx(4 * 13 / 49 - 1)
    assert apart(composition({"pc": 66, "pf6": 6, "na": 6}), liquid) == 0
    assert apart(composition({"water": 7}), composition({"water": 1})) == 0
    assert apart(composition({"na": 1, "pf6": 1}), liquid) == math.inf
    assert apart(liquid, composition({"na": 1, "bf4": 1, "pc": 11})) == math.inf
    assert proportions(composition({"na": 4, "pf6": 4, "pc": 41})) == "na 1 pf6 1 pc 10.25"


def test_the_nearest_composition_goes_before_all() -> None:
    row = {"liquid": "x", "property": "density", "temperature_K": 300.0, "unit": "kg/m3", "interpolated": False}
    frame = pl.DataFrame(
        [
            row | {"value": 1.0, "composition_off": 0.05, "source": "a", "second_hand": False},
            row | {"value": 2.0, "composition_off": 0.01, "source": "b", "second_hand": True},
            row | {"value": 3.0, "composition_off": 0.01, "source": "c", "second_hand": False},
        ],
        schema=REFERENCES,
    )
    nearest = best(frame, "x", "density", None, 300.0)
    assert nearest is not None and nearest["value"] == 3.0


def test_of_measured_temperatures_the_nearest_is_taken() -> None:
    """As ILThermo has them, beside each other: 298.0 K of one set of data, 298.15 K of nine."""
    row = {
        "liquid": "x",
        "property": "density",
        "unit": "kg/m3",
        "interpolated": False,
        "composition_off": 0.0,
        "source": "s",
    }
    kelvins = (297.9, 298.0, 298.15, 298.2, 298.5)
    rows = [row | {"temperature_K": kelvin, "value": kelvin, "second_hand": False} for kelvin in kelvins]
    frame = pl.DataFrame(
        [*rows, rows[0] | {"temperature_K": 298.15, "value": 1.0, "second_hand": True}], schema=REFERENCES
    )
    for asked, nearest in ((298.15, 298.15), (298.0, 298.0), (298.4, 298.5), (297.5, 297.9)):
        taken = best(frame, "x", "density", None, asked)
        assert taken is not None and taken["value"] == nearest
    assert best(frame, "x", "density", None, 297.3) is None


SOLUTION = {
    "unit": "kg/m3",
    "value": "1280",
    "low": "1275",
    "high": "1285",
    "range": "standard uncertainty",
    "temperature_K": "298.15",
}


def electrolyte() -> dict:
    """Return a study of 1 M LiPF6 in EC and DMC, whose box of 300 atoms has 2 Li, 2 PF6, 13 EC and 13 DMC."""
    content = demo()
    concentrations(molarity={"li": 1, "pf6": 1}, solvent={"ec": 1, "dmc": 1})(content)
    content["liquids"][0] |= {"density_guess_kg_m3": 1280, "temperatures_K": [298.15]}
    return content | {"references": ["mine.csv"]}


def test_a_reference_of_about_the_composition_is_used_and_is_less_certain(planned: Planned, tmp_path: Path) -> None:
    reference_file(tmp_path, SOLUTION | {"ions": "li:1 pf6:1 ec:7 dmc:7"})
    assert planned(electrolyte()) == (0, [])
    (row,) = rows("references.csv")
    off = (2 / 30) / (1 / 16) - 1
    assert float(row["composition_off"]) == pytest.approx(off, rel=1e-4)
    # a mole of salt in a litre makes solvents 7 to 18 % denser: of twice the salt 15 %
    of_composition = math.sqrt(float(row["standard_uncertainty"]) ** 2 - 5**2) / 1280
    assert of_composition == pytest.approx(0.15 * off, rel=0.01)
    words = "li 1 pf6 1 dmc 7 ec 7"
    assert row["source"] == f"s0; of {words}, the box of li 1 pf6 1 dmc 6.5 ec 6.5"
    warned = Path("plan/warnings.txt").read_text()
    assert (
        f"liquids[0].composition.atoms: measured values are of {words}, 7 % off the box, li 1 pf6 1 dmc 6.5 ec 6.5: "
        in warned
    )
    assert "no reference" not in warned


def test_a_reference_of_another_composition_is_refused_with_how_far_it_is_off(planned: Planned, tmp_path: Path) -> None:
    reference_file(tmp_path, SOLUTION | {"ions": "li:1 pf6:1 ec:9 dmc:9"}, SOLUTION | {"ions": "li:1 pf6:1 ec:3 dmc:3"})
    line = "the nearest, li 1 pf6 1 dmc 9 ec 9, is 33 % off the box, li 1 pf6 1 dmc 6.5 ec 6.5: give a box of that"
    assert planned(electrolyte()) == (
        2, [f"references[0]: mine.csv: none of its 2 rows is of a liquid of this study: {line}"],
    )  # fmt: skip
