"""The words of the tables of structure."""

import pytest

from ionmelt.measure.shape import SHAPE_UNITS
from ionmelt.report.sections.structure import number_line, quantity_words


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
