"""Error against cost."""

import plotly.graph_objects as go
import polars as pl

from ionmelt.compare.groups import label
from ionmelt.compare.pareto import NOT_CONVERGED, UNDERTRAINED
from ionmelt.measure.observables import NAMED
from ionmelt.report.blocks import Block, Folded, Heading, Note, Plot, Table
from ionmelt.report.figures import REFERENCE, Style, error_bar, finish, log_axis, panels
from ionmelt.report.results import Results
from ionmelt.report.words import NAMES, UNITS, Row, Tables, interval, number, state_name


def figure_pareto(t: Tables, style: Style) -> go.Figure | None:
    """Error against cost, a panel per property and state; a line joins the models that are on the front."""
    rows = t["pareto"].filter(pl.col("error").is_not_null() & pl.col("total_core_h").is_not_null())
    if not rows.height:
        return None
    order = {name: i for i, name in enumerate((*NAMED, "force_rmse"))}
    states = rows.select("property", "liquid", "temperature_K", "species").unique().to_dicts()
    states.sort(key=lambda s: (order[s["property"]], s["liquid"], s["temperature_K"] or 0.0, s["species"] or ""))
    titles = [f"{s['property'].replace('force_rmse', 'forces')} · {state_name(s)}" for s in states]
    figure, at = panels(titles, 3, 350)
    seen: set[str] = set()
    for i, state in enumerate(states):
        here = rows.filter(pl.col(c).eq_missing(pl.lit(v, rows.schema[c])) for c, v in state.items())
        points = draw_models(figure, at(i), style, here, seen)
        draw_front(figure, at(i), sorted((x, y) for x, y, front in points if front == "yes"), seen)
        figure.update_xaxes(**log_axis([x for x, _, _ in points]), **at(i))
    unit = "core-hours + GPU-hours" if rows.filter(pl.col("total_gpu_h") > 0).height else "core-hours"
    figure.update_xaxes(title=f"labels + training + 1 ns ({unit})")
    figure.update_yaxes(rangemode="tozero")
    return finish(figure, margin={"l": 70, "r": 40, "t": 80, "b": 50}, showlegend=True)


def draw_models(
    figure: go.Figure, at: Row, style: Style, rows: pl.DataFrame, seen: set[str]
) -> list[tuple[float, float, str]]:
    """Draw the models of one state into a panel; return (cost, error, whether on the front). ``seen``: names in the legend."""
    points = []
    for key, name, of_model in style.groups(rows):
        row = of_model.row(0, named=True)
        factor, unit = UNITS.get(row["unit"], (1.0, row["unit"]))
        cost, error = row["total_core_h"] + row["total_gpu_h"], row["error"] * factor
        points.append((cost, error, row["front"]))
        hollow = row["front"] in (NOT_CONVERGED, UNDERTRAINED)
        figure.add_scatter(
            x=[cost],
            y=[error],
            error_y=error_bar([row], factor, "error"),
            mode="markers",
            name=name,
            legendgroup=name,
            showlegend=name not in seen,
            marker={
                "color": style.colour(key),
                "symbol": style.symbol(key, hollow),
                "size": 12,
                "line": {"width": 2 if hollow else 0},
            },
            hovertemplate=f"{name}<br>%{{x:.3g}} hours<br>%{{y:.4g}} {unit}<br>on the front: {row['front']}<extra></extra>",
            **at,
        )
        seen.add(name)
        figure.update_yaxes(title=f"{'RMSE' if row['property'] == 'force_rmse' else '|error|'} ({unit})", **at)
    return points


def draw_front(figure: go.Figure, at: Row, front: list[tuple[float, float]], seen: set[str]) -> None:
    """Join the points of the front, where there are two or more."""
    if len(front) < 2:
        return
    figure.add_scatter(
        x=[x for x, _ in front],
        y=[y for _, y in front],
        mode="lines",
        line={"color": REFERENCE, "width": 1.5, "dash": "dot", "shape": "hv"},
        hoverinfo="skip",
        name="front",
        legendgroup="front",
        showlegend="front" not in seen,
        **at,
    )
    seen.add("front")


def table_pareto(t: Tables, style: Style) -> Table:
    """Return what every model costs, how far off it is, and whether a cheaper one is as good."""
    rows = t["pareto"].to_dicts()
    rows.sort(key=lambda r: (list(NAMES).index(r["property"]), r["liquid"], r["temperature_K"] or 0.0, r["species"] or "",
                             style.order(r)))  # fmt: skip

    def hours(row: Row, name: str) -> str:
        core, gpu = row[name.format("core")], row.get(name.format("gpu")) or 0.0
        if core is None:
            return "–"
        return (
            f"{number(gpu, 2)} GPU-h" + (f" + {number(core, 2)} core-h" if core else "")
            if gpu
            else f"{number(core, 2)} core-h"
        )

    body = [
        [
            NAMES[r["property"]],
            state_name(r),
            label(r["model"], r["dataset"]),
            interval(r, "error", "ci95_low", "ci95_high"),
            r["front"],
            hours(r, "total_{}_h"),
            hours(r, "labels_{}_h"),
            hours(r, "training_{}_h"),
            hours(r, "md_{}_h_per_ns"),
            r["reason"] or "",
        ]
        for r in rows
    ]
    head = ["error of", "state", "model", "|error| [95 %]", "on the front", "total", "labels", "training, a seed",
            "dynamics, 1 ns", "why"]  # fmt: skip
    return Table(head, body, "pareto")


def blocks(results: Results) -> list[Block]:
    """Return what each model costs for its error."""
    t, style = results.tables, results.style
    label = "Error of density, diffusion and forces against the cost of each model"
    table = table_pareto(t, style)
    made: list[Block] = [
        Heading("Error against cost"),
        Note(
            "Lower is closer to the reference (or, for forces, to the labels); further left is cheaper. The cost of a model is that "
            "of its labels, of training one seed, and of one nanosecond of this box, told from whole tasks; not where runs were so short that their start is much of that. On the front: better than every cheaper model "
            "beyond the error. Not: a cheaper model is better beyond the error. Undecided: the data cannot tell. Hollow points are "
            "not converged or undertrained. Properties without a reference are not shown."
        ),
        Plot("pareto", figure_pareto(t, style), label),
    ]
    return [*made, Folded("Values", [table], opened=True)] if table.rows else made
