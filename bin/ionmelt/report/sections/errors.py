"""Errors against the labels."""

from collections.abc import Callable
from typing import Any

import plotly.graph_objects as go
import polars as pl

from ionmelt.compare.errors import lacks
from ionmelt.compare.groups import label
from ionmelt.compare.truth import labellers
from ionmelt.mistakes import listed
from ionmelt.report.blocks import (
    Block,
    Folded,
    Note,
    Plot,
    Section,
    Table,
)
from ionmelt.report.figures import Style, error_bar, finish, panels
from ionmelt.report.results import Results
from ionmelt.report.sections import calibration, dimers, forgetting, generalisation, long_range, parity
from ionmelt.report.words import (
    CORRECTED,
    NAMES,
    UNITS,
    Row,
    Tables,
    is_lost_to_correction,
    measured,
    missing_words,
    number,
)

MOST = 4  # liquids of which a sentence says the errors; the others are counted
MOTIONS = {
    "force": "all",
    "force_translation": "translation",
    "force_rotation": "rotation",
    "force_vibration": "vibration",
}


def error_views(errors: pl.DataFrame) -> list[tuple[str, pl.DataFrame]]:
    """Return (title, rows of the table of errors) for each panel of the figure that has any; ions of one atom do not rotate or vibrate."""
    moving = errors.filter((pl.col("quantity") == "force") | (pl.col("rmse") > 0))["quantity"].unique().to_list()
    motion = errors.filter(
        pl.col("scope") == "all", pl.col("quantity").is_in(list(MOTIONS)), pl.col("quantity").is_in(moving)
    )
    views = [("by motion of the ions", motion.with_columns(name=pl.col("quantity").replace(MOTIONS)))]
    for scope in ("element", "ion", "recipe"):
        views.append((f"by {scope}", errors.filter((pl.col("scope") == scope) & (pl.col("quantity") == "force"))))
    return [(title, rows) for title, rows in views if rows.height]


def figure_errors(t: Tables, style: Style) -> go.Figure | None:
    """Force RMSE with 95 % interval: by motion of the ions, by element, by ion and by recipe; hollow: not all was answered."""
    views = error_views(t["errors"].filter((pl.col("split") == "test") & pl.col("rmse").is_not_null()))
    if not views:
        return None
    figure, at = panels([title for title, _ in views], 2, 340)
    seen = set()
    for i, (_, errors) in enumerate(views):
        names = errors["name"].unique().sort().to_list()
        if "vibration" in names:
            names = [motion for motion in MOTIONS.values() if motion in names]
        groups = style.groups(errors)
        means = pl.col("rmse", "rmse_ci95_low", "rmse_ci95_high").mean()
        for k, (key, name, of_model) in enumerate(groups):
            lacking = pl.col("frames_missing").sum() > 0
            rows = of_model.group_by("name").agg(means, lacks=lacking).sort("name").to_dicts()
            shift = 0.7 * ((k + 0.5) / len(groups) - 0.5)
            figure.add_scatter(
                x=[names.index(r["name"]) + shift for r in rows],
                y=[r["rmse"] * 1e3 for r in rows],
                mode="markers",
                error_y=error_bar(rows, 1e3, "rmse", "rmse_ci95_low", "rmse_ci95_high"),
                name=name,
                legendgroup=name,
                showlegend=name not in seen,
                marker={"color": style.colour(key), "symbol": [style.symbol(key, r["lacks"]) for r in rows], "size": 8},
                text=[r["name"] for r in rows],
                hovertemplate=f"{name}, %{{text}}<br>%{{y:.1f}} meV/Å<extra></extra>",
                **at(i),
            )
            seen.add(name)
        ticks = {
            "tickvals": list(range(len(names))),
            "ticktext": names,
            "tickangle": -35 if len(names) > 4 else 0,
            "range": [-0.6, len(names) - 0.4],
        }
        figure.update_xaxes(**ticks, showgrid=False, **at(i))
    figure.update_yaxes(title="force RMSE (meV/Å)", rangemode="tozero")
    return finish(figure, margin={"l": 70, "r": 20, "t": 80, "b": 50})


def table_errors(t: Tables, style: Style) -> Table:
    """Return RMSE with interval: quantities down, models across; training frames only as a whole."""
    errors = t["errors"].filter(pl.col("rmse").is_not_null())
    errors = errors.filter((pl.col("split") == "test") | (pl.col("split") == "train") & (pl.col("scope") == "all"))
    groups = style.groups(errors)
    quantities, scopes = list(NAMES), ["all", "liquid", "element", "ion", "kind", "recipe"]

    def order(key: Row) -> tuple[Any, ...]:
        first = quantities.index(key["quantity"]) if key["quantity"] in quantities else len(quantities)
        return (
            first,
            scopes.index(key["scope"]) if key["scope"] in scopes else len(scopes),
            key["name"] or "",
            key["split"],
        )

    body = []
    for key in sorted(errors.select("quantity", "scope", "name", "unit", "split").unique().to_dicts(), key=order):
        factor, unit = UNITS.get(key["unit"], (1.0, key["unit"]))
        scope = f"all {key['split']} frames" if key["scope"] == "all" else f"{key['scope']} {key['name']}"
        line = [NAMES.get(key["quantity"], key["quantity"]), scope, unit]
        for _, _, of_model in groups:
            cell = of_model.filter(*(pl.col(c).eq_missing(pl.lit(v, pl.String)) for c, v in key.items()))
            words = "–"
            if cell.height:
                rmse, low, high = (cell[c].mean() for c in ("rmse", "rmse_ci95_low", "rmse_ci95_high"))
                ends = " (no interval)" if low is None else f" [{number(low * factor)}, {number(high * factor)}]"
                words = number(rmse * factor) + ends + missing_words(cell)
            line.append(words)
        body.append(line)
    return Table(["quantity", "scope", "unit", *(name for _, name, _ in groups)], body, "errors")


def error_sentence(rows: list[Row], verdicts: pl.DataFrame, quantity: str) -> list[str]:
    """Say which model has the lowest error per liquid, from which others it can be told apart, and which failed to answer.

    A model that gave no answer on a part of the test is not ranked: the error of the rest is that of what it could do.
    Nor is one without an interval.
    """
    texts = []
    for liquid in dict.fromkeys(r["liquid"] for r in rows):
        here = [r for r in rows if r["liquid"] == liquid]
        lacking = [r for r in here if lacks(r)]
        ranked = [r for r in here if r["converged"]]
        on = "" if liquid == "all" else f" on {liquid}"
        said = [f"No verdict{on}: no error of a model that answered everything has an interval"]
        if ranked:
            best = label(ranked[0]["model"], ranked[0]["dataset"])
            whole = " of those that answered everything" if lacking else ""
            judged = verdicts.filter((pl.col("property") == quantity) & (pl.col("liquid") == liquid)).to_dicts()
            said = [f"{best} has the lowest error{on}{whole}, {measured(ranked[0])}", *standing(best, judged)]
            if any(r["dataset"] is not None and r["runs"] == 1 for r in ranked):
                said.append("with one training seed this is said of these models, not of their kind")
        texts.append("; ".join([*said, *map(answered, lacking)]) + ".")
    return texts[:MOST] + ([f"{len(texts) - MOST} more liquids are in the tables."] if len(texts) > MOST else [])


def standing(best: str, verdicts: list[Row]) -> list[str]:
    """Say which models the best one beats, which it equals, and from which it is not told apart."""
    others: dict[str, list[str]] = {"better": [], "equivalent": [], "not distinguishable": [], CORRECTED: []}
    for v in verdicts:
        if best in (v["model_a"], v["model_b"]):
            side, other = ("a", v["model_b"]) if v["model_a"] == best else ("b", v["model_a"])
            said = "better" if v["verdict"] == side else CORRECTED if is_lost_to_correction(v) else v["verdict"]
            others.get(said, []).append(other)
    words = (
        ("better", "it is better than"),
        ("equivalent", "within the margins it equals"),
        ("not distinguishable", "it cannot be told apart from"),
        (CORRECTED, f"{CORRECTED} it is not told apart from"),
    )
    return [f"{said} {listed(sorted(others[verdict]))}" for verdict, said in words if others[verdict]]


def answered(row: Row) -> str:
    """Say of a model that did not answer the whole test what it lacks, and its error on the rest."""
    rest = "" if row["value"] is None else f", and {measured(row)} on the rest, which is no comparison"
    return f"{label(row['model'], row['dataset'])} gave {listed(lacks(row))}{rest}"


def said(quantity: str) -> Callable[[Results], list[str]]:
    """Return what says of an error which model is nearest to the labels; the method of the labels itself is not ranked."""

    def lines(results: Results) -> list[str]:
        exact = labellers(results.study, results.labels)
        rows = results.tables["summary"].filter(pl.col("property") == quantity).sort("value").to_dicts()
        rows = [r for r in rows if r["model"] not in exact]
        return error_sentence(rows, results.tables["verdicts"], quantity)

    return lines


def lines(results: Results) -> list[str]:
    """Say which model has the lowest force error, and what tuned models kept."""
    return [*said("force_rmse")(results), *forgetting.lines(results)]


def blocks(results: Results) -> list[Block]:
    """Return the errors of each model on test frames, and what they hide."""
    t, style = results.tables, results.style
    return [
        Note(
            "Test frames, from trajectories that no model was trained on. The force on each ion is split: translation and rotation "
            "of the whole ion come from the forces between ions, vibration from those inside. Density and diffusion depend on the "
            "former, which a total error hides. Bars are 95 % intervals; seeds are averaged; hollow: the error of the frames that "
            "the model answered, it failed on others. For models that were not trained on these labels a constant energy is taken "
            "off first."
        ),
        Plot("errors", figure_errors(t, style), "Force errors by motion, element, ion and recipe"),
        Folded("All errors: RMSE [95 %]", [table_errors(t, style)]),
        *parity.blocks(results),
        *generalisation.blocks(results),
        *calibration.blocks(results),
        *forgetting.blocks(results),
        *dimers.blocks(results),
        *long_range.blocks(results),
    ]


SECTION = Section("errors", "Errors", "Errors against the labels", blocks, lines)
