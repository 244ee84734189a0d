"""The dictionary of the tables."""

from pathlib import Path

from ionmelt.measure.observables import MEASUREMENTS
from ionmelt.tables.labels import IMPORTED, LABELLED
from ionmelt.tables.published import TABLES
from ionmelt.tables.words import COLUMNS, EXCEPTIONS, ROWS, page, words

DOCS = Path(__file__).resolve().parents[3] / "docs"


def test_the_page_of_the_docs_is_that_of_the_tables():
    assert (DOCS / "tables.md").read_text() == page()


def test_every_table_and_column_has_its_words_and_no_others_have():
    columns = {(table, column) for table, columns in TABLES.items() for column in columns}
    columns |= {("labels", column) for column in LABELLED | IMPORTED}
    assert all(words(table, column) for table, column in columns)
    assert set(ROWS) == set(TABLES)
    assert set(EXCEPTIONS) <= columns
    assert set(COLUMNS) <= {column for _, column in columns}


def test_what_a_measurement_says_of_its_columns_is_said():
    """Whatever a column of that name is in another table."""
    said = {(m.name, column): text for m in MEASUREMENTS for column, text in m.meanings.items()}
    assert {key: words(*key) for key in said} == said
    assert words("displacement", "ions") != words("long_range", "ions")


def test_a_name_is_one_kind_of_thing_in_every_table():
    kinds = {}
    for table, columns in TABLES.items():
        for column, kind in columns.items():
            kinds.setdefault(column, {}).setdefault(str(kind), []).append(table)
    several = {column for column, tables in kinds.items() if len(tables) > 1}
    assert several == {"offered"}  # how many frames of a recipe; whether a configuration of a walk
