"""The verdicts: every pair of models, and every model against the reference."""

import plotly.graph_objects as go
import polars as pl

from ionmelt.measure.observables import NAMED
from ionmelt.report.blocks import Block, Folded, Heading, Note, Nothing, Plot, Section, Table
from ionmelt.report.figures import REFERENCE, error_bar, finish, panels
from ionmelt.report.results import Results
from ionmelt.report.sections.short import short
from ionmelt.report.words import NAMES, UNITS, Row, Tables, difference, p_value, seen_ends, state_name

QUANTITIES = (*NAMED, "force_rmse", "scan_energy_rmse")
READING = Note(
    "Each line is a difference, first minus second, between two models or a model and the reference, with its 95 % interval, "
    "corrected for the number of tests of one property (Holm). Where the interval crosses the line at 0, the data show no "
    "difference, which is no proof that there is none: the interval says how large it may be. A verdict is given only when both "
    "sides are converged; hollow ones are not, and their intervals are not corrected. Without a reference, a larger value is not "
    "a better one, so nobody wins."
)


def figure_verdicts(t: Tables, quantity: str) -> go.Figure | None:
    """Forest plot: the difference of every pair with the interval that its verdict rests on; the line at 0 is "no difference"."""
    rows = t["verdicts"].filter((pl.col("property") == quantity) & pl.col("ci95_low").is_not_null()).to_dicts()
    if not rows:
        return None
    factor, unit = UNITS.get(rows[0]["unit"], (1.0, rows[0]["unit"]))
    states = list(dict.fromkeys(state_name(r) for r in rows))
    most = max(sum(state_name(r) == state for r in rows) for state in states)
    single = len(states) == 1
    figure, at = panels(
        [x if x != "all" else "all liquids" for x in states],
        2,
        26 * most + (70 if single else 150),
        horizontal_spacing=0.24,
    )
    looks = (
        ("decided: one model is better", ("a", "b"), "#0072B2", "circle"),
        ("differs, no winner", ("differs",), "#E69F00", "diamond"),
        ("not distinguishable", ("not distinguishable",), REFERENCE, "circle"),
        ("not converged: for orientation only", ("not converged",), REFERENCE, "circle-open"),
    )
    seen = set()
    for i, state in enumerate(states):
        here = [r for r in rows if state_name(r) == state]
        for words, kinds, colour, symbol in looks:
            part = [r for r in here if r["verdict"] in kinds]
            if not part:
                continue
            figure.add_scatter(
                x=[r["difference"] * factor for r in part],
                y=[f"{r['model_a']} − {r['model_b']}" for r in part],
                mode="markers",
                name=words,
                legendgroup=words,
                showlegend=words not in seen,
                error_x=error_bar(
                    [r | dict(zip(("low", "high"), (r[c] for c in seen_ends(r)), strict=True)) for r in part],
                    factor,
                    "difference",
                    "low",
                    "high",
                ),
                marker={
                    "color": colour,
                    "symbol": symbol,
                    "size": 9,
                    "line": {"width": 2 if "open" in symbol else 0},
                },
                text=[verdict_words(r) for r in part],
                hovertemplate="%{text}<br>%{x:.4g}<extra>%{y}</extra>",
                **at(i),
            )
            seen.add(words)
        figure.add_vline(x=0, line={"color": REFERENCE, "width": 1.5}, **at(i))
        order = [f"{r['model_a']} − {r['model_b']}" for r in here][::-1]
        figure.update_yaxes(categoryorder="array", categoryarray=order, range=[-0.7, len(order) - 0.3], **at(i))
    figure.update_xaxes(title=f"difference ({unit})")
    return finish(figure, margin={"l": 70, "r": 20, "t": 75, "b": 50}, showlegend=True)


def table_verdicts(t: Tables, quantity: str) -> Table:
    """Return the verdicts of one property, decided ones first."""
    rows = t["verdicts"].filter(pl.col("property") == quantity).to_dicts()
    rank = {"a": 0, "b": 0, "differs": 1, "not distinguishable": 2, "not converged": 3}
    rows.sort(key=lambda r: rank[r["verdict"]])
    body = [
        [
            state_name(v),
            verdict_words(v),
            f"{v['model_a']} − {v['model_b']}: {difference(v)}",
            p_value(v["p_holm"]),
            v["reason"] or "",
        ]
        for v in rows
    ]
    return Table(["state", "verdict", "first − second [95 %, corrected]", "p (Holm)", "why"], body, "verdicts")


def verdict_words(v: Row) -> str:
    """Say one verdict in plain words."""
    a, b = v["model_a"], v["model_b"]
    if v["verdict"] in ("a", "b"):
        winner, loser = (a, b) if v["verdict"] == "a" else (b, a)
        better = "has the lower error than" if v["property"].endswith("rmse") else "is closer to the reference than"
        return f"{winner} {better} {loser}"
    if v["verdict"] == "differs":
        return f"{a} is off the reference" if b == "reference" else f"{a} and {b} differ; neither wins"
    if v["verdict"] == "not distinguishable":
        return f"{a} is not told from the reference" if b == "reference" else f"{a} and {b}: no difference seen"
    return f"{a} against {b}: no verdict"


def blocks(results: Results) -> list[Block]:
    """Return the study in short, and of each property the differences of all pairs."""
    t = results.tables
    made: list[Block] = [short(results), Heading("Verdicts", level=2), READING]
    decided = [q for q in QUANTITIES if t["verdicts"].filter(pl.col("property") == q).height]
    for quantity in decided:
        title, figure, table = NAMES[quantity], figure_verdicts(t, quantity), table_verdicts(t, quantity)
        made.append(Heading(title))
        if figure is not None:
            label = f"Differences between models with corrected 95 % intervals: {title}"
            made.append(Plot(f"verdicts_{quantity}", figure, label))
        else:
            made.append(Nothing("No difference could be measured: no two values with an interval."))
        words = f"Every {title.lower()} verdict in words ({len(table.rows)})"
        made.append(Folded(words, [table], opened=quantity == decided[0] and figure is not None))
    return made if decided else [*made, Nothing("No two models could be compared.")]


SECTION = Section("verdicts", "Verdicts", "In short", blocks)
