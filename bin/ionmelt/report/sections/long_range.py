"""How far models see: ions that are moved apart."""

import plotly.graph_objects as go
import polars as pl

from ionmelt.compare.groups import label
from ionmelt.report.blocks import Block, Heading, Note, Plot
from ionmelt.report.figures import REFERENCE, Style, finish, panels
from ionmelt.report.results import Results

LEAST_EV = 1e-4  # what is drawn of a change of the energy: the axis is logarithmic
COULOMB = "Coulomb's law"


def first_seeds(ranges: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of the first seed of each model."""
    return ranges.filter(pl.col("model_key") == pl.col("model_key").min().over("model", "dataset"))


def title(liquid: str, pair: str, ions: int) -> str:
    """Return what is moved apart, in words."""
    return f"{liquid}: {pair}" if ions == 2 else f"{liquid}: two pairs {pair}"


def figure_long_range(ranges: pl.DataFrame, style: Style) -> go.Figure | None:
    """How much the energy still changes to the farthest distance, first seed of each model; dashed: Coulomb's law."""
    drawn = first_seeds(ranges).filter(pl.col("energy_ev").is_not_null())
    kinds = drawn.select("liquid", "pair", "ions").unique(maintain_order=True).rows()
    if not kinds:
        return None
    figure, at = panels([title(*kind) for kind in kinds], 3, 280)
    seen = set()
    for i, (liquid, pair, ions) in enumerate(kinds):
        here = drawn.filter((pl.col("liquid") == liquid) & (pl.col("pair") == pair) & (pl.col("ions") == ions))
        law = here.unique("distance_A").sort("distance_A")
        curves: list[tuple[str, pl.DataFrame, str, dict[str, object]]] = [
            (COULOMB, law, "coulomb_ev", {"color": REFERENCE, "dash": "dash", "width": 2})
        ]
        for (model, data), points in here.sort("model_key").group_by(["model", "dataset"], maintain_order=True):
            look, of_study = {"model": model, "dataset": data}, model in style.models
            line: dict[str, object] = {
                "color": style.colour(look) if of_study else REFERENCE,
                "dash": style.dash(look),
                "width": 2 if of_study else 4,
            }
            curves.append((label(model, data), points.sort("distance_A"), "energy_ev", line))
        for name, points, column, line in curves:
            left = points[column].abs().clip(LEAST_EV)
            shown = {"name": name, "legendgroup": name, "showlegend": name not in seen}
            figure.add_scatter(x=points["distance_A"][:-1], y=left[:-1], mode="lines", line=line, **shown, **at(i))
            seen.add(name)
        figure.update_yaxes(title="energy left (eV)", type="log", **at(i))
        figure.update_xaxes(title="distance (Å)", **at(i))
    return finish(figure, margin={"l": 70, "r": 20, "t": 90, "b": 50})


def sentences(ranges: pl.DataFrame) -> list[str]:
    """Return how far each model sees, and whether what it sees is right: of its pairs of a cation and an anion, the worst."""
    said = []
    pairs = first_seeds(ranges).filter(pl.col("ions") == 2)
    for (model, data), points in pairs.group_by(["model", "dataset"], maintain_order=True):
        name = label(model, data)
        blind = min(points["blind_beyond_A"].drop_nulls().to_list(), default=None)
        if points["reason"].is_not_null().any():
            said.append(f"{name}: not known ({points['reason'].drop_nulls()[0]})")
        elif blind is not None:
            said.append(f"{name}: blind beyond {blind:.0f} Å")
        else:
            shares = dict(points.select("sight", "coulomb_share").drop_nulls().rows())
            sight = next((kind for kind in ("wrong sign", "wrong size") if kind in shares), "right")
            far = f"sees to {max(points['distance_A'].to_list()):.0f} Å"
            wrong = f", but with the {sight}: {shares[sight]:.2g} times Coulomb's law" if sight != "right" else ""
            said.append(f"{name}: {far}{wrong}")
    return said


def of_labels(results: Results) -> str:
    """Say why the labels' engine is not beside the models, where it is not."""
    engine = results.labels.get("engine")
    asked = "labels" in results.tables["long_range"]["model_key"]
    return (
        f" The labels' engine ({engine}) was not asked: only xTB and models are cheap enough."
        if engine and not asked
        else ""
    )


def blocks(results: Results) -> list[Block]:
    """Return how far models see, where ions were moved apart."""
    ranges = results.tables["long_range"]
    figure = figure_long_range(ranges, results.style)
    said = sentences(ranges)
    if not said:
        return []
    text = (
        "Ions of the liquids in vacuum, moved apart: what their energy still changes up to the farthest distance. A model that is "
        "left with less than a tenth of what Coulomb's law has left is blind there, to charges and to their order in the liquid; "
        "a box of liquid may hide that, since ions screen each other. Of a classical force field these are its charges alone. "
    )
    made: list[Block] = [Heading("How far models see"), Note(text + "; ".join(said) + "." + of_labels(results))]
    if figure is not None:
        made.append(Plot("long_range", figure, "Energy that is left against the distance of ions"))
    return made
