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

# Of the models alone, after Okabe and Ito: at least 3:1 (WCAG) against the page, light and dark, and told apart by colour-blind
# readers as far as ten can be. What is no model is grey, filled or in patterns.
COLOURS = (
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#c38a00", "#2c99f4", "#8259ec", "#428b0a", "#c515a0", "#916164",
)  # fmt: skip


REFERENCE = "#7a7a7a"


PATTERNS = ("", "/", "x", ".", "-", "\\", "+", "|")


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
        groups = []
        for (model, data), rows in frame.group_by(["model", "dataset"], maintain_order=True):
            key = {"model": model, "dataset": data}
            groups.append((key, label(model, data), rows))
        return sorted(groups, key=lambda p: self.order(p[0]))


def panels(
    titles: Sequence[str], columns: int, row_height: int, **options: Any
) -> tuple[go.Figure, Callable[[int], dict[str, int]]]:
    """Return a figure of panels and a function that gives the row and the column of the i-th one, as keywords."""
    columns = 2 if len(titles) == 4 and columns == 3 else max(1, min(columns, len(titles)))
    rows = math.ceil(len(titles) / columns)
    gap = min(0.9 / rows, 120 / (row_height * rows)) if rows > 1 else 0.1
    options.setdefault("horizontal_spacing", 0.28 / columns)
    figure = make_subplots(rows=rows, cols=columns, subplot_titles=list(titles), vertical_spacing=gap, **options)
    figure.update_layout(height=row_height * rows + 90, meta={"columns": columns})
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
        "exponentformat": "none",
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
    for trace in figure.data:
        if trace.hoverinfo is None and trace.hovertemplate is None:
            trace.hovertemplate = hover(figure, trace)
    return figure


def patterned(i: int) -> Row:
    """Return how the i-th of several things that are no models is filled: grey, in a pattern of its own."""
    pattern = {
        "shape": PATTERNS[i % len(PATTERNS)],
        "fillmode": "overlay",
        "fgcolor": "#ffffff",
        "fgopacity": 1.0,
        "size": 6,
    }
    return {"color": "#7a7a7a", "line": {"color": "#7a7a7a", "width": 1}, "pattern": pattern}


def hover(figure: go.Figure, trace: Any) -> str:
    """Return what is shown of a point: the name of its curve, and both numbers with the unit of their axes."""
    lines = [trace.name] if trace.name else []
    for letter in "xy":
        axis = figure.layout[f"{letter}axis{(trace[f'{letter}axis'] or letter)[1:]}"]
        what, _, unit = (axis.title.text or "").partition(" (")
        values = trace[letter] if trace[letter] is not None else ()
        is_number = any(isinstance(value, int | float) for value in values)
        shown = f"%{{{letter}:.4g}}" if is_number else f"%{{{letter}}}"
        lines.append(
            " ".join(word for word in (f"{what}:" if what and is_number else "", shown, unit.rstrip(")")) if word)
        )
    return "<br>".join(lines) + "<extra></extra>"


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
