"""The words of the tables of structure."""

import polars as pl
import pytest

from ionmelt.compare.reading import conform
from ionmelt.measure.shape import SHAPE_UNITS
from ionmelt.report.figures import Style
from ionmelt.report.sections.structure import number_line, quantity_words, table_numbers
from ionmelt.tables.published import TABLES


@pytest.mark.parametrize(
    ("pair", "quantity", "words"),
    [
        ("Li⁺–PF6⁻", "anions_per_cation", "anions per cation"),
        ("Li⁺–anions", "bridging_anion_fraction", "bridging anion fraction"),
        ("Li⁺–EC", "anions_per_cation", "molecules per cation"),
        ("Li⁺–EC", "bridging_anion_fraction", "bridging molecule fraction"),
        ("Li–O", "coordination_number", "coordination number"),
    ],
)
def test_a_solvent_is_no_anion(pair: str, quantity: str, words: str) -> None:
    assert quantity_words({"pair": pair, "quantity": quantity}) == words


@pytest.mark.parametrize("quantity", list(SHAPE_UNITS))
def test_lengths_and_squares_of_them_are_written_with_their_letter(quantity: str) -> None:
    row = {
        "liquid": "x",
        "temperature_K": 300.0,
        "species": "tfsi",
        "quantity": quantity,
        "unit": SHAPE_UNITS[quantity],
        "reason": None,
    }
    (unit,) = number_line({"m": row}, [])[2:3]
    assert "A" not in unit and "^" not in unit


def test_a_number_of_six_runs_of_which_one_broke_stands_in_brackets() -> None:
    runs = [
        {"run_id": str(i), "liquid": "x", "temperature_K": 400.0, "model": "m", "replica": i, "end": "volume" if i == 5 else "completed",
         "quantity": "first_peak", "pair": "a-b", "unit": "A", "value": 2.0 + 0.001 * i, "standard_error": 0.01, "converged": i < 5,
         "reason": "run ended: volume at 3 ps" if i == 5 else None}
        for i in range(6)
    ]  # fmt: skip
    names = ("survival", "summary", "errors", "coordination")
    tables = {
        name: conform(pl.DataFrame(runs).drop("end" if name == "coordination" else "value"), TABLES[name])
        for name in names
    }
    (line,) = table_numbers(tables, "coordination", Style(tables, {})).rows
    assert line[3].startswith("(2.0") and "run ended: volume at 3 ps" in line[4]
