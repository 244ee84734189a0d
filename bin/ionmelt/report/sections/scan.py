"""The frozen-ion volume scan."""

import plotly.graph_objects as go
import polars as pl

from ionmelt.report.blocks import Block, Note, Plot, Section
from ionmelt.report.figures import REFERENCE, Style, finish, panels
from ionmelt.report.results import Results
from ionmelt.report.sections import pressures
from ionmelt.report.sections.errors import said
from ionmelt.report.words import Tables


def figure_scan(t: Tables, style: Style) -> go.Figure | None:
    """Frozen-ion volume scan: energy and pressure against the scale of the box, models over labels."""
    scan = t["scan"]
    if not scan.height:
        return None
    liquids = scan["liquid"].unique().sort().to_list()
    titles = [f"{x}: {w}" for x in liquids for w in ("energy relative to scale 1", "pressure")]
    figure, at = panels(titles, 2, 360)
    seen = set()
    for i, liquid in enumerate(liquids):
        here = scan.filter(pl.col("liquid") == liquid)
        for j, (kind, factor) in enumerate((("energy_{}_ev_per_atom", 1e3), ("pressure_{}_bar", 1e-4))):
            # Scans of several boxes and seeds are averaged for the curve; each is in the table.
            column = kind.format("ref")
            curve = here.group_by("scale").agg(pl.col(column).mean()).sort("scale").drop_nulls()
            figure.add_scatter(
                x=curve["scale"].to_list(),
                y=(curve[column] * factor).to_list(),
                mode="lines+markers",
                name="labels",
                legendgroup="labels",
                showlegend="labels" not in seen,
                line={"color": REFERENCE, "width": 5},
                opacity=0.6,
                marker={"size": 9},
                **at(2 * i + j),
            )
            seen.add("labels")
            column = kind.format("model")
            for key, name, rows in style.groups(here):
                curve = rows.group_by("scale").agg(pl.col(column).mean()).sort("scale").drop_nulls()
                figure.add_scatter(
                    x=curve["scale"].to_list(),
                    y=(curve[column] * factor).to_list(),
                    mode="lines+markers",
                    name=name,
                    legendgroup=name,
                    showlegend=name not in seen,
                    line={"color": style.colour(key), "dash": style.dash(key)},
                    marker={"symbol": style.symbol(key), "size": 7},
                    **at(2 * i + j),
                )
                seen.add(name)
        figure.update_yaxes(title="energy (meV/atom)", **at(2 * i))
        figure.update_yaxes(title="pressure (GPa)", **at(2 * i + 1))
    figure.update_xaxes(title="edge of the box, relative")
    return finish(figure, margin={"l": 70, "r": 20, "t": 80, "b": 50})


def lines(results: Results) -> list[str]:
    """Say how the models do along the scan."""
    return said("scan_energy_rmse")(results)


def blocks(results: Results) -> list[Block]:
    """Return energy and pressure of the scaled boxes."""
    return [
        Note(
            "The box is scaled while the ions stay rigid, so only the forces between ions matter. Where a model's pressure crosses 0 is not its density: "
            "in a liquid the ions move out of the way. Curves are means over boxes and seeds; the labels are thick and grey."
        ),
        Plot("scan", figure_scan(results.tables, results.style), "Energy and pressure against the scale of the box"),
        *pressures.blocks(results),
    ]


SECTION = Section("scan", "Volume scan", "Frozen-ion volume scan", blocks, lines)
