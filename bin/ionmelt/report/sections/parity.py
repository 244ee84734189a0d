"""Labels and predictions point by point, and the frames behind them."""

import math

import plotly.graph_objects as go
import polars as pl

from ionmelt.report.blocks import Block, Frames, Heading, Note, Plot
from ionmelt.report.figures import REFERENCE, finish, panels
from ionmelt.report.results import Results
from ionmelt.report.structures import frame_of
from ionmelt.report.words import UNITS

MAX_POINTS = 600  # drawn in one panel
FEW = 100  # so many points are drawn larger
QUANTITIES = {
    "energy_per_atom": "energy per atom",
    "force": "force",
    "stress": "stress",
}  # with their names on the axes
READING = (
    "Test frames, first seed of each model, thinned for drawing; energies per atom, relative to the mean label of the composition. "
    "On the line the model equals the label."
)
CLICK = " A click on a point shows its frame below; the page carries the {n} frames with the largest errors of a force."


def figure_parity(results: Results, quantity: str) -> go.Figure | None:
    """Predicted against reference values on the test frames, one panel per model and dataset; a point knows its frame and component."""
    parity, style = results.parity.filter(pl.col("quantity") == quantity), results.style
    if not parity.height:
        return None
    factor, unit = UNITS[parity["unit"][0]] if quantity != "force" else (1.0, "eV/Å")
    groups = style.groups(parity)
    figure, at = panels([name for _, name, _ in groups], 4, 300)
    ends = [float(f([f(parity["reference"]), f(parity["predicted"])])) * factor for f in (min, max)]
    edge = 0.04 * (ends[1] - ends[0])  # no point is cut in two by an axis
    for i, (key, name, of_model) in enumerate(groups):
        first = of_model.filter(pl.col("model_key") == of_model["model_key"].min())
        first = first.gather_every(max(1, math.ceil(first.height / MAX_POINTS)))
        figure.add_scatter(
            x=ends, y=ends, mode="lines", line={"color": REFERENCE, "width": 1}, hoverinfo="skip", **at(i)
        )
        figure.add_scatter(
            x=[float(f"{x * factor:.4g}") for x in first["reference"]],
            y=[float(f"{y * factor:.4g}") for y in first["predicted"]],
            customdata=frames_and_components(first, results),
            mode="markers",
            name=name,
            meta={"quantity": quantity, "unit": unit},
            marker={
                "color": style.colour(key),
                "size": 4 if first.height > FEW else 8,
                "opacity": 0.45 if first.height > FEW else 0.9,
            },
            **at(i),
        )
    figure.update_xaxes(title=f"{QUANTITIES[quantity]}, label ({unit})", range=[ends[0] - edge, ends[1] + edge])
    figure.update_yaxes(title=f"{QUANTITIES[quantity]}, model ({unit})", range=[ends[0] - edge, ends[1] + edge])
    return finish(figure, showlegend=False, margin={"l": 70, "r": 20, "t": 40, "b": 50})


def frames_and_components(points: pl.DataFrame, results: Results) -> list[list[int]]:
    """Return for each point the number of its frame among those that the page carries, -1 for none, and its component."""
    numbers = {structure.frame_id: i for i, structure in enumerate(results.structures)}
    keys = points.select(
        frame=frame_of(pl.col("point")),
        component=pl.col("point").str.split(":").list.last().cast(pl.Int64, strict=False),
    )
    return [[numbers.get(frame, -1), component or 0] for frame, component in keys.iter_rows()]


def blocks(results: Results) -> list[Block]:
    """Return the parity plots that there are points for, and the frames that a click on them shows."""
    structures = results.structures
    made: list[Block] = [Heading("Parity"), Note(READING + (CLICK.format(n=len(structures)) if structures else ""))]
    for quantity, name in QUANTITIES.items():
        figure = figure_parity(results, quantity)
        if figure is not None:
            label = f"Predicted against reference values: {name}"
            made.append(Plot("parity" if quantity == "force" else f"parity_{quantity}", figure, label))
    if len(made) == 2:
        made.append(Plot("parity", None, "Predicted against reference forces"))
    return [*made, Frames(structures)] if structures else made
