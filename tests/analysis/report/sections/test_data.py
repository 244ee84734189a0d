"""Training data and references: where the rows are that a page has no room for."""

import polars as pl

from ionmelt.report.sections.data import table_references
from ionmelt.tables.references import REFERENCES


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
