"""How far each run came."""

from typing import Any

import plotly.graph_objects as go
import polars as pl

from ionmelt.compare.groups import label
from ionmelt.compare.survival import at_time
from ionmelt.report.blocks import Block, Note, Plot, Section
from ionmelt.report.figures import Style, finish
from ionmelt.report.marks import BROKE
from ionmelt.report.results import Results
from ionmelt.report.words import Row, Tables, how_it_ended, state_name

MOST_BARS = 40  # runs with a bar of their own; of more there is one for each model in each state


def figure_survival(t: Tables, style: Style) -> go.Figure | None:
    """How much of each planned run was survived; a cross marks a censored run and says why it ended.

    Of many runs a bar is of those of a model in a state: as long as the one that ended first.
    """
    runs = t["survival"].to_dicts()
    if not runs:
        return None
    bars: dict[str, list[Row]] = {}
    for run in sorted(runs, key=lambda r: (style.order(r), r["run_id"])):
        name = f"{state_name(run)}, {label(run['model'], run['dataset'])}" if len(runs) > MOST_BARS else run["run_id"]
        bars.setdefault(name, []).append(run)
    names = sorted(bars, key=lambda name: all(r["end"] == "completed" for r in bars[name]))
    figure = go.Figure()
    colours = [style.colour(bars[name][0]) for name in names]
    draw_times(
        figure,
        names,
        [max(r["planned_ps"] or 0 for r in bars[name]) for name in names],
        "planned",
        "rgba(128,128,128,0.18)",
    )
    draw_times(
        figure,
        names,
        [min(r["survived_ps"] or 0 for r in bars[name]) for name in names],
        "survived",
        colours,
        showlegend=False,
    )
    if cut := [(name, r) for name in names for r in bars[name] if r["end"] != "completed"]:
        draw_ends(figure, cut)
    figure.update_yaxes(
        categoryorder="array", categoryarray=names[::-1], showgrid=False, range=[-0.6, len(names) - 0.4]
    )
    figure.update_xaxes(title="time (ps)", rangemode="tozero", side="top")
    return finish(
        figure,
        barmode="overlay",
        height=140 + 21 * len(names),
        margin={"l": 70, "r": 90, "t": 100, "b": 20},
        meta={"columns": 2},
    )


def draw_times(
    figure: go.Figure, names: list[str], times_ps: list[float], name: str, colour: str | list[str], **more: Any
) -> None:
    """Draw a bar for each name, as long as its time."""
    figure.add_bar(
        y=names,
        x=times_ps,
        orientation="h",
        name=name,
        width=0.7,
        marker={"color": colour},
        **more,
    )


def draw_ends(figure: go.Figure, ended: list[tuple[str, Row]]) -> None:
    """Mark where runs ended early, and how; each with the name of its bar."""
    runs = [run for _, run in ended]
    figure.add_scatter(
        y=[name for name, _ in ended],
        x=[r["survived_ps"] or 0 for r in runs],
        mode="markers+text",
        name="ended early",
        text=[f"  {r['end']}" for r in runs],
        textposition="middle right",
        marker={"symbol": BROKE.marker, "size": 10, "color": BROKE.colour},
        cliponaxis=False,
        hovertext=[f"{r['run_id']}{at_time(r)}: {r['detail'] or r['end']}" for r in runs],
        hoverinfo="text",
    )


def lines(results: Results) -> list[str]:
    """Say how many runs reached their end, and which did not."""
    runs = results.tables["survival"]
    if not runs.height:
        return []
    done = runs.filter(pl.col("end") == "completed").height
    text = f"{done} of {runs.height} planned runs reached the end."
    broken = runs.filter(pl.col("end") != "completed").sort("model_key", "run_id").to_dicts()
    first = [f"{r['run_id']} ({how_it_ended(r)})" for r in broken[:3]]
    more = f" and {len(broken) - 3} more" if len(broken) > 3 else ""
    return [text + (f" Not: {', '.join(first)}{more}." if broken else "")]


def blocks(results: Results) -> list[Block]:
    """Return how far each run came."""
    return [
        Note(
            "How far each run came. A cross marks a run that ended early, with the reason. Such runs are "
            "never averaged in and never left out. Of more than "
            f"{MOST_BARS} runs a bar is of those of a model in a state, as long as the one that ended first."
        ),
        Plot(
            "survival",
            figure_survival(results.tables, results.style),
            "Survived and planned time of every run",
            tall=True,
        ),
    ]


SECTION = Section("survival", "Survival", "Survival", blocks, lines)
