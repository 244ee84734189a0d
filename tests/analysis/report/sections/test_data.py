"""Training data and references: in words, in the units of the report, and where the rows are that a page has no room for."""

import polars as pl

from ionmelt.report.results import Results
from ionmelt.report.sections.data import said, table_references
from ionmelt.tables.references import REFERENCES

ROW = dict.fromkeys(REFERENCES) | {
    "liquid": "LiBF4", "property": "diffusion", "species": "Li⁺", "temperature_K": 300.0, "value": 4.2e-11, "unit": "m2/s",
    "standard_uncertainty": 2e-12, "low": 4e-11, "high": 4.4e-11, "range": "extremes", "interpolated": False, "second_hand": False, "source": "S",
}  # fmt: skip


def results(*rows: dict) -> Results:
    """Return results with these references."""
    nothing = pl.DataFrame(schema={"model": pl.String, "dataset": pl.String})
    tables = dict.fromkeys(("summary", "survival", "errors"), nothing)
    return Results(tables | {"references": pl.DataFrame(rows, schema=REFERENCES)}, {}, {})


def test_references_stand_in_the_units_of_what_they_are_held_against() -> None:
    (line,) = table_references(results(ROW).tables).rows
    assert line[3:7] == ["42.00", "2.0", "40.00 to 44.00 (extremes)", "10⁻¹² m²/s"]
    (line,) = table_references(results(ROW | {"property": "density", "unit": "kg/m3", "value": 1070.0}).tables).rows
    assert (line[3], line[6]) == ("1070", "kg/m³")


def test_references_are_counted_until_they_are_opened() -> None:
    assert said(results(ROW)) == ["1 reference value of LiBF4."]
    others = [ROW | {"liquid": "NaCl", "temperature_K": None, "second_hand": True}, ROW | {"second_hand": True}]
    assert said(results(ROW, *others)) == [
        "3 reference values of LiBF4 and NaCl; 2 second-hand; 1 without a temperature, which is not used."
    ]
    assert said(results()) == []


def test_rows_without_room_are_looked_for_in_the_table_that_has_them() -> None:
    rows = [
        {"liquid": "x", "property": "density", "temperature_K": 300.0 + i, "value": 1000.0 - i, "source": "s"}
        for i in range(500)
    ]
    tables = {
        "references": pl.DataFrame([{c: row.get(c) for c in REFERENCES} for row in rows], schema=REFERENCES),
        "summary": pl.DataFrame({"liquid": ["x"]}),
    }
    shown = table_references(tables)
    assert len(shown.rows) == tables[shown.file].height == 500
