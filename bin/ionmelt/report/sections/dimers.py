"""Pairs of atoms."""

import plotly.graph_objects as go
import polars as pl

from ionmelt.compare.groups import label
from ionmelt.report.blocks import (
    Block,
    Heading,
    Note,
    Plot,
)
from ionmelt.report.figures import REFERENCE, Style, finish, panels
from ionmelt.report.results import Results
from ionmelt.report.words import Tables

DIMER_RANGE_EV = (-8.0, 12.0)  # what is shown of the energy of a pair


def figure_dimers(t: Tables, style: Style) -> go.Figure | None:
    """Energy of every pair of elements against their distance, first seed of each model; grey: the engine of the labels."""
    energies = t["dimers"].filter(pl.col("energy_ev").is_not_null() & pl.col("distance_A").is_not_null())
    pairs = energies["pair"].unique().sort().to_list()
    if not pairs:
        return None
    figure, at = panels(pairs, 4, 240)
    seen = set()
    for i, pair in enumerate(pairs):
        here = energies.filter(pl.col("pair") == pair)
        for (model, data), curves in here.sort("model_key").group_by(["model", "dataset"], maintain_order=True):
            first = curves.filter(pl.col("model_key") == curves["model_key"][0]).sort("distance_A")
            look = {"model": model, "dataset": data}
            of_study = model in style.models
            name = label(model, data)
            figure.add_scatter(
                x=first["distance_A"],
                y=first["energy_ev"],
                mode="lines",
                name=name,
                legendgroup=name,
                showlegend=name not in seen,
                line={
                    "color": style.colour(look) if of_study else REFERENCE,
                    "dash": style.dash(look),
                    "width": 2 if of_study else 4,
                },
                **at(i),
            )
            seen.add(name)
        figure.update_yaxes(title="energy (eV)", range=list(DIMER_RANGE_EV), **at(i))
        figure.update_xaxes(title="distance (Å)", **at(i))
    return finish(figure, margin={"l": 70, "r": 20, "t": 90, "b": 50})


def blocks(results: Results) -> list[Block]:
    """Return the energies of pairs, where there are any."""
    figure = figure_dimers(results.tables, results.style)
    if figure is None:
        return []
    return [
        Heading("Pairs of atoms"),
        Note(
            "Energy of two neutral atoms in vacuum against their distance, less that of the two alone. Thick grey: the engine of "
            "the labels, where it is cheap. A liquid shows a model few such pairs, so this is what its training left at short "
            "range: a hole there ends a run."
        ),
        Plot("dimers", figure, "Energy of every pair of elements against distance"),
    ]
