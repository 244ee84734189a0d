"""The words of the tables of structure."""

import pytest

from ionmelt.report.sections.structure import quantity_words


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
