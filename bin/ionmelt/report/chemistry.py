"""The results as the report writes them: ions and liquids by their chemical names. The tables that are written keep the names of the study."""

from collections.abc import Callable
from dataclasses import replace

import polars as pl

from ionmelt.chemical_names import ChemicalNames
from ionmelt.measure.view import View
from ionmelt.report.results import Results
from ionmelt.report.structures import Structure
from ionmelt.report.words import Tables


def with_chemical_names(results: Results) -> Results:
    """Return the results with the names of ions and liquids as the report writes them."""
    names = results.names
    view = results.view and of_view(results.view, names)
    shown = [of_structure(structure, names) for structure in results.structures]
    return replace(results, tables=of_tables(results.tables, names), view=view, structures=shown)


def of_tables(tables: Tables, names: ChemicalNames) -> Tables:
    """Return tables with chemical names; keys of runs and frames, and words, stay."""
    return {name: of_table(frame, names) for name, frame in tables.items()}


def of_table(frame: pl.DataFrame, names: ChemicalNames) -> pl.DataFrame:
    """Return a table with chemical names in its columns of liquids, species, pairs, and of what errors are of."""
    written = {"liquid": names.liquid, "species": names.ion, "pair": names.pair}
    columns = {column: write for column, write in written.items() if column in frame.columns}
    changed: list[pl.Series | pl.Expr] = [renamed(frame[column], write) for column, write in columns.items()]
    if {"scope", "name"} <= set(frame.columns):
        of_scope = pl.when(pl.col("scope") == "ion").then(renamed(frame["name"], names.ion))
        changed.append(
            of_scope.when(pl.col("scope") == "liquid")
            .then(renamed(frame["name"], names.liquid))
            .otherwise("name")
            .alias("name")
        )
    return frame.with_columns(changed)


def renamed(column: pl.Series, write: Callable[[str], str]) -> pl.Series:
    """Return a column of names, each as it is written."""
    return column.replace({name: write(name) for name in column.drop_nulls().unique()})


def of_structure(structure: Structure, names: ChemicalNames) -> Structure:
    """Return a frame of the test set with chemical names."""
    return replace(structure, liquid=names.liquid(structure.liquid), ions=[names.ion(name) for name in structure.ions])


def of_view(view: View, names: ChemicalNames) -> View:
    """Return the picture of the liquid with chemical names."""
    counts = {names.ion(name): number for name, number in view.counts.items()}
    return replace(view, liquid=names.liquid(view.liquid), counts=counts, ions=[names.ion(name) for name in view.ions])
