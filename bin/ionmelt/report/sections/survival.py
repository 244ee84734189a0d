"""How far each run came."""

import plotly.graph_objects as go
import polars as pl

from ionmelt.report.blocks import Block, Note, Plot, Quote, Section
from ionmelt.report.figures import Style, finish
from ionmelt.report.results import Results
from ionmelt.report.words import Tables, at_time


def figure_survival(t: Tables, style: Style) -> go.Figure | None:
    """How much of each planned run was survived; a cross marks a censored run and says why it ended."""
    runs = t["survival"].to_dicts()
    if not runs:
        return None
    runs.sort(key=lambda r: (r["end"] == "completed", style.order(r), r["run_id"]))
    names = [r["run_id"] for r in runs]
    figure = go.Figure()
    figure.add_bar(
        y=names,
        x=[r["planned_ps"] or 0 for r in runs],
        orientation="h",
        name="planned",
        width=0.7,
        marker={"color": "rgba(128,128,128,0.18)"},
        hoverinfo="x",
    )
    figure.add_bar(
        y=names,
        x=[r["survived_ps"] or 0 for r in runs],
        orientation="h",
        name="survived",
        width=0.7,
        marker={"color": [style.colour(r) for r in runs]},
        showlegend=False,
    )
    cut = [r for r in runs if r["end"] != "completed"]
    if cut:
        figure.add_scatter(
            y=[r["run_id"] for r in cut],
            x=[r["survived_ps"] or 0 for r in cut],
            mode="markers+text",
            name="censored: ended early",
            text=[f"  {r['end']}" for r in cut],
            textposition="middle right",
            marker={"symbol": "x", "size": 10, "color": "#B00020"},
            cliponaxis=False,
            hovertext=[r["detail"] or r["end"] for r in cut],
            hoverinfo="text",
        )
    figure.update_yaxes(
        categoryorder="array", categoryarray=names[::-1], showgrid=False, range=[-0.6, len(names) - 0.4]
    )
    figure.update_xaxes(title="time (ps)", rangemode="tozero", side="top")
    return finish(figure, barmode="overlay", height=140 + 21 * len(runs), margin={"l": 70, "r": 90, "t": 100, "b": 20})


def quotes(results: Results) -> list[Quote]:
    """Say how many runs reached their end, and which did not."""
    runs = results.tables["survival"]
    if not runs.height:
        return []
    done = runs.filter(pl.col("end") == "completed").height
    text = f"{done} of {runs.height} planned runs reached the end."
    broken = runs.filter(pl.col("end") != "completed").sort("model_key", "run_id").to_dicts()
    ended = [f"{r['run_id']} ({r['end']}{at_time(r)})" for r in broken[:3]]
    more = f" and {len(broken) - 3} more" if len(broken) > 3 else ""
    return [("Survival", [text + (f" Not: {', '.join(ended)}{more}." if broken else "")])]


def blocks(results: Results) -> list[Block]:
    """Return how far each run came."""
    return [
        Note(
            "How far each run came. A cross marks a run that ended early: it is censored there, with the reason. Such runs are "
            "never averaged in and never left out."
        ),
        Plot(
            "survival",
            figure_survival(results.tables, results.style),
            "Survived and planned time of every run",
            tall=True,
        ),
    ]


SECTION = Section("survival", "Survival", "Survival", blocks)
