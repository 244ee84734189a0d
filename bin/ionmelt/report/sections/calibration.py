"""What the spread between seeds is worth."""

import plotly.graph_objects as go

from ionmelt.compare.groups import label
from ionmelt.report.blocks import (
    Block,
    Folded,
    Heading,
    Note,
    Plot,
    Table,
)
from ionmelt.report.figures import REFERENCE, Style, finish, panels
from ionmelt.report.results import Results
from ionmelt.report.words import NAMES, UNITS, Tables, number, percent


def figure_calibration(results: Results) -> go.Figure | None:
    """Share of errors that intervals of a committee hold against the share they should: recalibrated bold, raw pale."""
    curves, style = results.calibration, results.style
    if not curves:
        return None
    quantities = sorted({quantity for _, _, quantity in curves}, reverse=True)
    figure, at = panels([NAMES.get(q, q) for q in quantities], 2, 360)
    for i, quantity in enumerate(quantities):
        ends = {"x": [0, 1], "y": [0, 1], "mode": "lines", "hoverinfo": "skip", "showlegend": False}
        figure.add_scatter(**ends, line={"color": REFERENCE, "width": 1}, **at(i))
        for (model, dataset, of), curve in sorted(
            curves.items(), key=lambda c: style.order({"model": c[0][0], "dataset": c[0][1]})
        ):
            if of != quantity:
                continue
            key, name = {"model": model, "dataset": dataset}, label(model, dataset)
            for which, opacity in (("raw", 0.35), ("coverage", 0.95)):
                figure.add_scatter(
                    x=curve["level"],
                    y=curve[which],
                    mode="lines",
                    name=name,
                    legendgroup=name,
                    showlegend=i == 0 and which == "coverage",
                    opacity=opacity,
                    line={"color": style.colour(key), "dash": style.dash(key), "width": 1.2 if which == "raw" else 2.4},
                    hovertemplate=f"{name}, {'raw' if which == 'raw' else 'stretched'}<br>%{{y:.0%}} inside, of %{{x:.0%}}<extra></extra>",
                    **at(i),
                )
    figure.update_xaxes(title="share that should be inside", range=[0, 1])
    figure.update_yaxes(title="share inside", range=[0, 1])
    return finish(figure, margin={"l": 70, "r": 20, "t": 80, "b": 50})


def table_uncertainty(t: Tables, style: Style) -> Table:
    """Return what the spread of each committee is worth: scale, coverage with its interval, or why it cannot be told."""
    body = []
    for _, name, rows in style.groups(t["uncertainty"]):
        whys = rows["reason"].unique().to_list()
        if len(whys) == 1 and whys[0]:  # such as one seed: one line says it
            r = rows.row(0, named=True)
            body.append([name, "all", str(r["members"]), f"{r['groups']}", "all", "–", "–", "–", "–", whys[0]])
            continue
        for r in rows.sort("quantity", "level", descending=[True, False]).to_dicts():
            factor, unit = UNITS.get(r["unit"], (1.0, r["unit"]))
            line = [
                name,
                NAMES.get(r["quantity"], r["quantity"]),
                str(r["members"]),
                f"{r['groups']}",
                percent(r["level"]),
            ]
            if r["reason"]:
                body.append([*line, "–", "–", "–", "–", r["reason"]])
                continue
            covered = (
                f"{percent(r['coverage'])} [{percent(r['coverage_ci95_low'])}, {percent(r['coverage_ci95_high'])}]"
            )
            sizes = f"{number(r['spread'] * factor)} / {number(r['rmse'] * factor)} {unit}"
            body.append([*line, sizes, percent(r["raw_coverage"]), f"× {number(r['scale'])}", covered, ""])
    head = ["committee", "quantity", "seeds", "test groups", "interval", "spread / error", "raw spread holds",
            "stretched", "holds, on groups it never saw [95 %]", "why not"]  # fmt: skip
    return Table(head, body, "uncertainty")


def blocks(results: Results) -> list[Block]:
    """Return what the spread of each committee is worth, where there is a committee."""
    figure, table = figure_calibration(results), table_uncertainty(results.tables, results.style)
    if not table.rows:
        return []
    return [
        Heading("What the spread between seeds is worth"),
        Note(
            "Where models that differ by their seed disagree, their mean should be wrong by as much. Usually it is wrong by more, "
            "since they share their data: the spread is stretched until its intervals hold the share of errors they promise, each "
            "test trajectory by the scale of the others. On the grey line an interval keeps its promise; pale: before stretching."
        ),
        Plot("calibration", figure, "Share of errors inside the intervals of the committees"),
        Folded("Values", [table], opened=figure is None),
    ]
