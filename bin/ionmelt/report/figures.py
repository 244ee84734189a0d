"""What the figures of the report have in common: colours, markers, panels, axes and error bars.

Colour means model, marker and dash mean dataset, a hollow marker means not converged, in every figure.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import plotly.graph_objects as go
import polars as pl
from plotly.subplots import make_subplots

from ionmelt.compare.groups import label
from ionmelt.report.words import Row, Tables

# Okabe and Ito's colours, told apart by colour-blind readers; grey is kept for references and labels.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8B6FC0", "#A6761D")


REFERENCE = "#7a7a7a"


SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "star")


DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")


class Style:
    """Colour of each model, marker and dash of each dataset, and the order of both: as in the study."""

    def __init__(self, t: Tables, study: Row) -> None:
        models = [m["id"] for m in study.get("models", [])]
        models += sorted({m for name in ("summary", "survival", "errors") for m in t[name]["model"] if m} - set(models))
        data = list(study.get("datasets") or {})
        data += sorted({d for name in ("summary", "survival", "errors") for d in t[name]["dataset"] if d} - set(data))
        self.models, self.data = models, data

    def order(self, row: Row) -> tuple[int, int]:
        """Return where a row's model and dataset stand."""
        return self.models.index(row["model"]), self.data.index(row["dataset"]) if row["dataset"] else -1

    def colour(self, row: Row) -> str:
        """Return the colour of a row's model."""
        return COLOURS[self.models.index(row["model"]) % len(COLOURS)]

    def symbol(self, row: Row, hollow: bool = False) -> str:
        """Return the marker of a row's dataset."""
        name = SYMBOLS[self.data.index(row["dataset"]) % len(SYMBOLS) if row["dataset"] else 0]
        return f"{name}-open" if hollow else name

    def dash(self, row: Row) -> str:
        """Return the dash of a row's dataset."""
        return DASHES[self.data.index(row["dataset"]) % len(DASHES) if row["dataset"] else 0]

    def groups(self, frame: pl.DataFrame) -> list[tuple[Row, str, pl.DataFrame]]:
        """Split a table by model and dataset: (keys, label, rows), in the study's order."""
        parts = []
        for (model, data), part in frame.group_by(["model", "dataset"], maintain_order=True):
            key = {"model": model, "dataset": data}
            parts.append((key, label(model, data), part))
        return sorted(parts, key=lambda p: self.order(p[0]))


def panels(
    titles: Sequence[str], columns: int = 3, row_height: int = 330, **options: Any
) -> tuple[go.Figure, Callable]:
    """Return a figure of panels and a function that gives (row, column) of the i-th one."""
    columns = 2 if len(titles) == 4 and columns == 3 else max(1, min(columns, len(titles)))
    rows = math.ceil(len(titles) / columns)
    gap = min(0.9 / rows, 120 / (row_height * rows)) if rows > 1 else 0.1
    options.setdefault("horizontal_spacing", 0.28 / columns)
    figure = make_subplots(rows=rows, cols=columns, subplot_titles=list(titles), vertical_spacing=gap, **options)
    figure.update_layout(height=row_height * rows + 90)
    return figure, lambda i: {"row": i // columns + 1, "col": i % columns + 1}


def finish(figure: go.Figure, **layout: Any) -> go.Figure:
    """Give a figure the common look; text colour is set by the page (light, dark, print)."""
    line = {
        "gridcolor": "rgba(128,128,128,0.22)",
        "zeroline": False,
        "linecolor": REFERENCE,
        "showline": True,
        "ticks": "outside",
        "tickcolor": REFERENCE,
        "automargin": True,
        "title_standoff": 8,
        "title_font_size": 13,
    }
    figure.update_xaxes(**line)
    figure.update_yaxes(**line)
    figure.update_annotations(font_size=13)
    figure.update_layout(
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        margin={"l": 70, "r": 20, "t": 60, "b": 50},
        font={"family": "Inter, Helvetica, Arial, sans-serif", "size": 13},
        hoverlabel={"font_size": 13},
        template="none",
        modebar={"bgcolor": "rgba(0,0,0,0)", "color": REFERENCE, "activecolor": COLOURS[0]},
        legend={"orientation": "h", "y": 1.0, "yref": "container", "yanchor": "top", "x": 0},
    )
    figure.update_layout(**layout)
    return figure


def log_axis(values: Sequence[float | None]) -> Row:
    """Return a logarithmic axis from tick to tick, at 1, 2 and 5 times powers of ten, around the values."""
    good = [v for v in values if v is not None and v > 0]
    if not good:
        return {}
    low, high = math.floor(math.log10(min(good))) - 1, math.ceil(math.log10(max(good))) + 1
    steps = (1, 2, 5) if high - low <= 5 else (1,)
    ticks = [m * 10.0**e for e in range(low, high + 1) for m in steps]
    ends = max(x for x in ticks if x <= min(good)), min(x for x in ticks if x >= max(good))
    span = [math.log10(ends[0]) - 0.06, math.log10(ends[1]) + 0.06]
    return {"type": "log", "tickvals": ticks, "ticktext": [f"{x:g}" for x in ticks], "range": span}


def error_bar(
    rows: list[Row], factor: float, value: str = "value", low: str = "ci95_low", high: str = "ci95_high"
) -> Row:
    """Return plotly's error bar of the 95 % interval."""

    def arm(row: Row, sign: int, end: str) -> float:
        return 0.0 if row[end] is None or row[value] is None else sign * (row[end] - row[value]) * factor

    return {
        "type": "data",
        "symmetric": False,
        "array": [arm(r, 1, high) for r in rows],
        "arrayminus": [arm(r, -1, low) for r in rows],
        "thickness": 1.8,
        "width": 5,
    }
