"""Models that differ by their training seed alone."""

import polars as pl

from ionmelt.chemical_names import ChemicalNames
from ionmelt.compare.groups import label
from ionmelt.compare.seeds import DIFFER, TESTED
from ionmelt.measure.observables import NAMED
from ionmelt.report.blocks import (
    Block,
    Note,
    Nothing,
    Section,
    Table,
)
from ionmelt.report.results import Results
from ionmelt.report.words import UNITS, Row, Tables, number, rounded, state_name


def between_seeds(r: Row, factor: float) -> str:
    """Write the spread between seeds with its 95 % interval, by the digits of its lower side: the upper one is far longer."""
    value, low, high = (r[c] for c in ("between_seeds", "between_seeds_ci95_low", "between_seeds_ci95_high"))
    if value is None or low is None:
        return number(None if value is None else value * factor)
    words = rounded([x * factor for x in (value, low, high)], (value - low) * factor)
    return f"{words[0]} [{words[1]}, {words[2]}]"


def table_committee(t: Tables, names: ChemicalNames) -> Table:
    """Return the spread between training seeds beside the statistical error."""
    rows = t["committee"].to_dicts()
    body = []
    for r in rows:
        factor, unit = UNITS.get(r["unit"], (1.0, r["unit"]))
        within, mean = (None if r[c] is None else r[c] * factor for c in ("within_seed", "mean"))
        error, middle = (number(within), number(mean, 4)) if within is None else rounded([within, mean], within)
        # a property of the liquid is of an ion, which has its name; another number is of a pair
        species = r["species"] if r["property"] in NAMED else r["species"] and names.pair(r["species"])
        body.append(
            [
                state_name({"liquid": r["liquid"], "temperature_K": r["temperature_K"]}),
                " · ".join(x for x in (species, r["property"].replace("_", " ")) if x),
                label(r["model"], r["dataset"]),
                str(r["seeds"]),
                middle,
                between_seeds(r, factor),
                error,
                unit or "1",
                r["verdict"],
                r["reason"] or "",
            ]
        )
    head = ["state", "what", "model", "seeds", "mean", "between seeds [95 %]", "statistical error of a seed", "unit",
            "verdict", "why"]  # fmt: skip
    return Table(head, body, "committee")


def lines(results: Results) -> list[str]:
    """Count the numbers in which seeds differ beyond the statistical error, of those that can be told."""
    committee = results.tables["committee"]
    told = committee.filter(pl.col("verdict").is_in(TESTED))
    if told.height:
        differ = told.filter(pl.col("verdict") == DIFFER).height
        return [
            f"Training seeds differ beyond the statistical error in {differ} of the {told.height} numbers for which this can be told, of {committee.height}."
        ]
    return (
        [f"Whether training seeds differ cannot be told for any of {committee.height} numbers."]
        if committee.height
        else []
    )


def blocks(results: Results) -> list[Block]:
    """Return the spread between seeds, where a model has more than one."""
    table = table_committee(results.tables, results.names)
    return [
        Note(
            "Models that differ by their training seed alone: the standard deviation between their means, beside the statistical "
            "error of one of them. Where seeds differ beyond that error, a longer run of one model makes its number no more certain. The test is corrected for the number of rows."
        ),
        table if table.rows else Nothing("No model was trained with more than one seed."),
    ]


SECTION = Section("committee", "Training seeds", "Training seeds", blocks, lines)
