"""The training data, and the references."""

import plotly.graph_objects as go
import polars as pl

from ionmelt.mistakes import listed
from ionmelt.report.blocks import Block, Note, Nothing, Plot, Section, Table
from ionmelt.report.figures import finish, patterned
from ionmelt.report.results import Results
from ionmelt.report.sections.asked import theory
from ionmelt.report.words import UNITS, Tables, number


def figure_dataset(t: Tables) -> go.Figure | None:
    """Frames of every dataset and split, stacked by recipe."""
    frames = t["dataset"]
    if not frames.height:
        return None
    counts = (
        frames.with_columns(
            bar=pl.concat_str(pl.col("dataset").fill_null("all datasets"), pl.col("split"), separator=" · ")
        )
        .group_by("bar", "kind", "recipe")
        .len()
        .sort("bar", "kind", "recipe")
    )
    figure = go.Figure()
    recipes = counts.select("kind", "recipe").unique(maintain_order=True).to_dicts()
    for i, r in enumerate(recipes):
        frames = counts.filter(pl.col("kind") == r["kind"], pl.col("recipe") == r["recipe"])
        figure.add_bar(
            y=frames["bar"].to_list(),
            x=frames["len"].to_list(),
            orientation="h",
            name=f"{r['recipe']} ({r['kind']})",
            marker=patterned(i),
        )
    bars = counts["bar"].unique().sort(descending=True).to_list()
    figure.update_yaxes(categoryorder="array", categoryarray=bars, showgrid=False)
    figure.update_xaxes(title="labelled frames")
    return finish(figure, barmode="stack", height=150 + 34 * len(bars), meta={"columns": 2})


def leaking_groups(dataset: pl.DataFrame) -> int:
    """Return how many groups (trajectories) are in more than one split of a dataset; 0 is right."""
    test = dataset.filter(pl.col("split") == "test")["group"].unique().to_list()
    rest = dataset.filter(pl.col("split") != "test")
    within = rest.group_by("dataset", "group").agg(pl.col("split").n_unique()).filter(pl.col("split") > 1)
    across = rest.filter(pl.col("group").is_in(test))
    return len(set(within["group"]) | set(across["group"]))


def table_references(t: Tables) -> Table:
    """Return the references with their sources; second-hand and interpolated ones are labelled."""
    body = []
    for r in t["references"].to_dicts():
        factor, unit = UNITS.get(r["unit"], (1.0, r["unit"] or ""))
        ends = "not given" if r["low"] is None else f"{number(r['low'] * factor, 4)} to {number(r['high'] * factor, 4)}"
        error = r["standard_uncertainty"]
        body.append(
            [
                r["liquid"],
                "–" if r["temperature_K"] is None else f"{r['temperature_K']:g}",
                f"{r['property']}{' of ' + r['species'] if r['species'] else ''}",
                number(r["value"] * factor, 4),
                "unknown: taken as exact" if error is None else number(error * factor, 2),
                f"{ends} ({r['range']})" if r["range"] else ends,
                unit,
                "second-hand" if r["second_hand"] else "first-hand",
                "interpolated" if r["interpolated"] else "measured",
                r["source"],
            ]
        )
    head = [
        "liquid", "T (K)", "property", "value", "standard uncertainty", "range", "unit", "trust", "from", "source",
    ]  # fmt: skip
    return Table(head, body, "references")


def dataset(results: Results) -> list[Block]:
    """Return the frames that models were trained and tested on."""
    frames = results.tables["dataset"]
    words = f"Labelled frames by dataset and split. Labels: {theory(results.labels)}."
    if groups := frames["group"].n_unique():
        leaks = leaking_groups(frames)
        state = "no group is in two splits"
        if leaks:
            state = f"{leaks} groups are in more than one split, so the errors above are too good"
        words += f" Splits follow the {groups} trajectory groups: {state}."
    return [Note(words), Plot("dataset", figure_dataset(results.tables), "Frames by dataset, split and recipe")]


def references(results: Results) -> list[Block]:
    """Return what the models are held against."""
    table = table_references(results.tables)
    if not table.rows:
        return [Nothing("No measured value of these liquids is given.")]
    return [
        Note(
            "Each file says what its ranges are: standard uncertainties, 95 % intervals, "
            "quartiles or extremes over data sets; each becomes a standard uncertainty, not narrowed by the number of data sets, "
            "since laboratories share water, impurities and instruments. Where there is none the reference counts as exact, and "
            "each verdict says so. Values are interpolated between temperatures of one source, never extrapolated; a value without "
            "a temperature is shown and not used. What was measured of a liquid whose mole fractions are up to 8 % off the box's is "
            "less certain by that, and its source says so. Second-hand: taken from a text about the source, not from the source."
        ),
        table,
    ]


def said(results: Results) -> list[str]:
    """Count the references, those that are not used, and those that are second-hand."""
    references = results.tables["references"]
    if not references.height:
        return []
    liquids = listed(references["liquid"].unique().sort().to_list())
    of = f"{references.height} reference value{'s' * (references.height > 1)} of {liquids}"
    kinds = (
        ("second-hand", pl.col("second_hand")),
        ("without a temperature, which is not used", pl.col("temperature_K").is_null()),
    )
    counts = [f"{n} {words}" for words, which in kinds if (n := references.filter(which).height)]
    return ["; ".join([of, *counts]) + "."]


DATASET = Section("dataset", "Training data", "Training data", dataset)
REFERENCES = Section("references", "References", "References", references, said)
