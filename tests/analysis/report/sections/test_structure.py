"""The words of the tables of structure."""

import polars as pl
import pytest

from ionmelt.compare.reading import conform
from ionmelt.measure.shape import SHAPE_UNITS
from ionmelt.report.figures import Style
from ionmelt.report.sections.structure import cell, number_line, partner_words, table_numbers
from ionmelt.tables.published import TABLES


@pytest.mark.parametrize(
    ("pair", "quantity", "words"),
    [
        ("Li⁺–PF6⁻", "anions per cation", "anions per cation"),
        ("Li⁺–anions", "bridging anion fraction", "bridging anion fraction"),
        ("Li⁺–EC", "anions per cation", "molecules per cation"),
        ("Li⁺–EC", "bridging anion fraction", "bridging molecule fraction"),
        ("Li–O", "coordination number", "coordination number"),
    ],
)
def test_a_solvent_is_no_anion(pair: str, quantity: str, words: str) -> None:
    assert partner_words(quantity, {"pair": pair}) == words


def test_the_states_between_which_a_cation_goes_count_molecules_of_a_solvent() -> None:
    states = {"state_from": "1 anion", "state_to": "2 anions"}
    row = {
        "liquid": "x",
        "temperature_K": 300.0,
        "quantity": "transition_rate",
        "unit": "1/ns",
        "reason": None,
    } | states
    what = [number_line({"m": row | {"pair": pair}}, [])[1] for pair in ("Li⁺–EC", "Li⁺–PF6⁻")]
    assert what == [
        "Li⁺–EC · transition rate · 1 molecule → 2 molecules",
        "Li⁺–PF6⁻ · transition rate · 1 anion → 2 anions",
    ]


def test_what_was_never_seen_has_no_interval_without_a_width() -> None:
    assert cell({"value": 0.0, "ci95_low": 0.0, "ci95_high": 0.0, "converged": False}) == "(0)"
    assert cell({"value": 2.0, "ci95_low": 1.0, "ci95_high": 3.0, "converged": True}) == "2.0 [1.0, 3.0]"


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
