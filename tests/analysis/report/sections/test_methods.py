"""Models and settings: what the cards say."""

from ionmelt.chemical_names import ChemicalNames
from ionmelt.compare import gathering
from ionmelt.models.card import Card
from ionmelt.report.results import Results
from ionmelt.report.sections import methods


def card(key: str, framework: str, **settings: object) -> Card:
    return Card.model_validate({"id": key, "model": key, "framework": framework, "files": {}, "settings": settings})


def test_the_classical_force_fields_are_named_with_their_source_and_scale_of_charges() -> None:
    given = {
        "force_fields": {"a": {"li": "CL&P", "dmc": "Sage"}, "b": {"li": "CL&P"}},
        "charge_scale": {"a": 0.8, "b": 1.0},
    }
    cards = [card("mace", "mace", epochs=1), gathering.with_force_fields(card("clp", "classical"), given)]
    results = Results(tables={}, study={}, labels={}, cards=cards, names=ChemicalNames(ions={"li": "Li⁺"}))
    table = methods.table_force_fields(results)
    assert table.rows == [["a", "Li⁺", "CL&P", "0.8"], ["a", "dmc", "Sage", "0.8"], ["b", "Li⁺", "CL&P", "1"]]
    results = Results(tables={}, study={}, labels={}, cards=cards[:1])
    assert methods.table_force_fields(results).rows == []
