"""Properties of the liquid that are judged: a figure and a table for each."""

import math
from dataclasses import dataclass

import plotly.graph_objects as go
import polars as pl

from ionmelt.compare.groups import label, shift_error_of, shift_of
from ionmelt.compare.statistics import Z95
from ionmelt.measure.observables import NAMED
from ionmelt.report.blocks import Block, Folded, Heading, Note, Plot, Section, Table
from ionmelt.report.figures import REFERENCE, Style, error_bar, finish, log_axis, panels
from ionmelt.report.results import Results
from ionmelt.report.sections.standing import said
from ionmelt.report.words import (
    NAMES,
    Row,
    Tables,
    is_the_truth,
    measured,
    reference_words,
    state_name,
)

HAVE_SECTIONS = ("density", "diffusion", "conductivity", "viscosity")


@dataclass(frozen=True)
class Panel:
    """A panel of a figure, and the factor and the unit of the values in it."""

    figure: go.Figure
    at: Row  # row and column
    factor: float
    unit: str

    def scaled(self, value: float | None) -> float | None:
        """Return a value in the unit of the panel."""
        return None if value is None else value * self.factor


def figure_liquid(t: Tables, style: Style, quantity: str) -> go.Figure | None:
    """A property of the liquid: a panel per liquid, temperature and species, a point per model and dataset."""
    summary = t["summary"].filter(pl.col("property") == quantity)
    if not summary["value"].drop_nulls().len():
        return None
    observable = NAMED[quantity]
    column, (factor, unit) = observable.column, observable.shown
    runs = t[quantity].filter(pl.col(column).is_not_null())
    shown = summary.filter(pl.col("value").is_not_null() | pl.col("reference").is_not_null())
    states = shown.select("liquid", "temperature_K", "species").unique(maintain_order=True).to_dicts()
    figure, at = panels([state_name(s) for s in states], 3, 380)
    names = [name for _, name, _ in style.groups(summary)]
    drawn: list[float | None] = []  # all that the axis must hold
    for i, state in enumerate(states):
        panel = Panel(figure, at(i), factor, unit)
        same = [pl.col(c).eq_missing(pl.lit(v, summary.schema[c])) for c, v in state.items() if c in runs.columns]
        here = summary.filter(same)
        for key, name, of_group in style.groups(here):
            of_model = [pl.col(c).eq_missing(pl.lit(v, pl.String)) for c, v in key.items()]
            drawn += draw_runs(panel, style, key, name, runs.filter(*same, *of_model)[column].to_list())
            drawn += draw_model(panel, style, name, of_group.row(0, named=True))
        for of_reference in here.drop_nulls("reference").partition_by("reference_is_truth", maintain_order=True):
            drawn += draw_reference(panel, of_reference.row(0, named=True))
        undated = t["references"].filter(
            pl.col("temperature_K").is_null(),
            pl.col("species").eq_missing(pl.lit(state["species"], pl.String)),
            property=quantity, liquid=state["liquid"],
        )  # fmt: skip
        draw_undated(panel, undated)
    figure.update_xaxes(categoryorder="array", categoryarray=names, tickangle=-35, range=[-0.6, len(names) - 0.4])
    title = f"{observable.symbol or quantity} ({unit})"
    figure.update_yaxes(title=title, **(log_axis(drawn) if observable.logarithmic else {"tickformat": "d"}))
    if observable.logarithmic and any(value is not None and value > 0 for value in drawn):
        put_words_on_log_axes(figure)
    return finish(figure, margin={"l": 80, "r": 20, "t": 40, "b": 90})


def put_words_on_log_axes(figure: go.Figure) -> None:
    """Move what is written at a line to where the line is: plotly takes the height of words on a logarithmic axis as a power of ten."""
    for words in figure.layout.annotations:
        if (words.yref is not None and words.yref.removeprefix("y").isdigit()) or words.yref == "y":
            words.y = math.log10(words.y) if words.y > 0 else None


def draw_runs(panel: Panel, style: Style, key: Row, name: str, values: list[float]) -> list[float]:
    """Draw single runs as small dots, where there are several; return what the axis must hold."""
    values = [value * panel.factor for value in values]
    if len(values) > 1:
        panel.figure.add_scatter(
            x=[name] * len(values),
            y=values,
            mode="markers",
            hovertemplate=f"{name}, one run<br>%{{y:.4g}} {panel.unit}<extra></extra>",
            showlegend=False,
            marker={"color": style.colour(key), "size": 5, "opacity": 0.4},
            **panel.at,
        )
    return values


def with_error_of_correction(row: Row) -> Row:
    """Return a row of the table `summary` with the interval that the value has once corrected for the size of the box."""
    if row["ci95_low"] is None:
        return row
    error = Z95 * shift_error_of(row)
    low, high = (math.hypot(row[end] - row["value"], error) for end in ("ci95_low", "ci95_high"))
    return row | {"ci95_low": row["value"] - low, "ci95_high": row["value"] + high}


def draw_model(panel: Panel, style: Style, name: str, row: Row) -> list[float | None]:
    """Draw the value of a model with its interval, or say that there is none; return what the axis must hold."""
    drawn = [panel.scaled(row[c]) for c in ("value", "ci95_low", "ci95_high")]
    value = drawn[0]
    if value is None:
        panel.figure.add_annotation(
            x=name,
            y=0.02,
            yref="y domain",
            text="no value",
            showarrow=False,
            textangle=-90,
            font={"size": 11},
            yanchor="bottom",
            **panel.at,
        )
    elif row["reference"] is not None and shift_of(row):
        # what the verdict on model and reference is about
        corrected = value + shift_of(row) * panel.factor
        drawn.append(corrected)
        panel.figure.add_scatter(
            x=[name],
            y=[corrected],
            error_y=error_bar([with_error_of_correction(row)], panel.factor),
            mode="markers",
            showlegend=False,
            opacity=0.45,
            marker={"symbol": "line-ew-open", "color": style.colour(row), "size": 14, "line": {"width": 3}},
            hovertemplate=f"{name}<br>%{{y:.4g}} {panel.unit}: corrected for the size of the box<extra></extra>",
            **panel.at,
        )
    panel.figure.add_scatter(
        x=[name],
        y=[value],
        error_y=error_bar([row], panel.factor),
        mode="markers",
        showlegend=False,
        marker={
            "symbol": style.symbol(row, not row["converged"]),
            "color": style.colour(row),
            "size": 12,
            "line": {"width": 2 if not row["converged"] else 0},
        },
        hovertemplate=f"{name}<br>{measured(row)}<br>{row['reason'] or 'converged'}<extra></extra>",
        **panel.at,
    )
    return drawn


def draw_reference(panel: Panel, row: Row) -> list[float | None]:
    """Draw the reference of a row and its range; return what the axis must hold."""
    value, low, high = (panel.scaled(row[c]) for c in ("reference", "reference_low", "reference_high"))
    if low is not None and high is not None:
        panel.figure.add_hrect(
            y0=low, y1=high, fillcolor=REFERENCE, opacity=0.25, line_width=0, layer="below", **panel.at
        )
    panel.figure.add_hline(
        y=value,
        line={"color": REFERENCE, "width": 1.5, "dash": "dash"},
        annotation_text=("truth" if row["reference_is_truth"] else "reference")
        + (" (second-hand)" if row["reference_second_hand"] else ""),
        annotation_font_size=11,
        annotation_position="top right",
        **panel.at,
    )
    return [value]


def draw_undated(panel: Panel, references: pl.DataFrame) -> None:
    """Draw the references without a temperature, which nothing is compared with."""
    for row in references.to_dicts():
        panel.figure.add_hline(
            y=row["value"] * panel.factor,
            line={"color": REFERENCE, "width": 1, "dash": "dot"},
            annotation_text="without temperature: not used",
            annotation_font_size=11,
            annotation_position="bottom left",
            **panel.at,
        )


def table_liquid(t: Tables, quantity: str, style: Style) -> Table:
    """Return the combined values of a property."""
    rows = t["summary"].filter(pl.col("property") == quantity).to_dicts()
    rows.sort(key=lambda r: (r["liquid"], r["temperature_K"], r["species"] or "", style.order(r)))
    body = []
    for r in rows:
        reference = "is the truth" if is_the_truth(r, [x for x in rows if state_name(x) == state_name(r)]) else "none"
        if r["reference"] is not None:
            reference = reference_words(r) + (" (second-hand)" if r["reference_second_hand"] else "")
        body.append(
            [
                state_name(r),
                label(r["model"], r["dataset"]),
                measured(r),
                reference,
                f"{r['runs']} of {r['planned_runs']}",
                "yes" if r["converged"] else "no",
                r["reason"] or "",
            ]
        )
    head = ["state", "model", "value, 95 %", "reference", "runs used", "converged", "note"]
    return Table(head, body, "summary")


def density(results: Results) -> list[Block]:
    """Return the density of each model."""
    t, style = results.tables, results.style
    return [
        Note(
            "Mean density at constant pressure with its 95 % interval. Grey: the reference and its range. Hollow points are not "
            "converged. Small dots are single runs."
        ),
        Plot("density", figure_liquid(t, style, "density"), "Density of each model against the reference"),
        Folded("Values", [table_liquid(t, "density", style)], opened=True),
    ]


def diffusion(results: Results) -> list[Block]:
    """Return the diffusion coefficients of each model."""
    t, style = results.tables, results.style
    return [
        Note(
            "Self-diffusion coefficient of each ion, as simulated in this box, with its 95 % interval, on a logarithmic axis. "
            "Hollow points are not converged. Where the viscosity is known and there is a reference, the pale bar has the "
            "correction for the size of the box added: it is what the reference is compared with. The correction is in the table."
        ),
        Plot("diffusion", figure_liquid(t, style, "diffusion"), "Diffusion coefficient of each ion and model"),
        Folded("Values", [table_liquid(t, "diffusion", style)], opened=True),
    ]


def further(results: Results) -> list[Block]:
    """Return the properties without a section of their own, where they were measured."""
    t, style = results.tables, results.style
    made: list[Block] = []
    measured = set(t["summary"]["property"])
    for quantity in OTHERS:
        if quantity in measured:
            plot = Plot(quantity, figure_liquid(t, style, quantity), f"{NAMES[quantity]} of each model")
            made += [Heading(NAMES[quantity]), plot, Folded("Values", [table_liquid(t, quantity, style)])]
    return made


OTHERS = tuple(quantity for quantity in NAMED if quantity not in HAVE_SECTIONS)
DENSITY = Section("density", "Density", "Density", density, said("density"))
DIFFUSION = Section("diffusion", "Diffusion", "Diffusion", diffusion, said("diffusion"))
FURTHER = Section("properties", "Further properties", "Further properties", further, said(*OTHERS, is_named=True))
