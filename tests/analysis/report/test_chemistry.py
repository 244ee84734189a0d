"""Chemical names in the report: whatever names a liquid or an ion, and nothing else."""

import polars as pl

from ionmelt.chemical_names import ChemicalNames
from ionmelt.report.chemistry import of_table

NAMES = ChemicalNames(ions={"li": "Li⁺", "bf4": "BF4⁻"}, liquids={"libf4": "LiBF4"})


def test_columns_of_names_are_written_and_keys_stay() -> None:
    frame = pl.DataFrame(
        {"run_id": ["libf4-r1"], "liquid": ["libf4"], "species": ["bf4"], "pair": ["li-bf4"], "model": ["li"]}
    )
    assert of_table(frame, NAMES).row(0) == ("libf4-r1", "LiBF4", "BF4⁻", "Li⁺–BF4⁻", "li")


def test_what_an_error_is_of_depends_on_its_scope() -> None:
    frame = pl.DataFrame({"scope": ["ion", "liquid", "recipe", "all"], "name": ["li", "libf4", "li", "libf4"]})
    assert of_table(frame, NAMES)["name"].to_list() == ["Li⁺", "LiBF4", "li", "libf4"]


def test_nothing_known_changes_nothing() -> None:
    frame = pl.DataFrame({"liquid": ["all", None], "species": [None, "cat"]})
    assert of_table(frame, NAMES).equals(frame)
