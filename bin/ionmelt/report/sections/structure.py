"""Structure, kinetics and conformers of the liquid."""

from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go
import polars as pl

from ionmelt.compare.groups import label
from ionmelt.compare.summary import summarise_numbers
from ionmelt.report.blocks import Block, Folded, Heading, Note, Plot, Section, Table
from ionmelt.report.figures import REFERENCE, Style, finish, panels
from ionmelt.report.results import Results
from ionmelt.report.words import Row, Tables, first_few, number, rounded, state_name


@dataclass(frozen=True)
class Curve:
    """A curve of the table structure: name and title of its figure, column of its axis, titles of axis and values."""

    name: str
    title: str
    axis: str
    axis_title: str
    value_title: str


@dataclass(frozen=True)
class Numbers:
    """A table of numbers: its title, and the columns that tell one number from another and whose words name it."""

    title: str
    keys: list[str]


CURVES = {
    "rdf": Curve("structure", "Radial distribution functions", "r_A", "r (Å)", "g(r)"),
    "structure_factor_xray": Curve("factor_xray", "Structure factor, X-rays", "q_per_A", "q (1/Å)", "S(q), X-rays"),
    "structure_factor_neutron": Curve(
        "factor_neutron", "Structure factor, neutrons", "q_per_A", "q (1/Å)", "S(q), neutrons"
    ),
    "torsion": Curve("torsion", "Torsions", "angle_deg", "torsion (°)", "density (1/°)"),
}
NUMBERS = {
    "coordination": Numbers("Neighbours and coordination", ["quantity", "pair", "state"]),
    "kinetics": Numbers("Lifetimes and rates", ["quantity", "pair", "state_from", "state_to"]),
    "conformers": Numbers("Conformers and shape", ["species", "feature", "quantity", "state"]),
}


def figure_structure(t: Tables, style: Style, quantity: str = "rdf") -> go.Figure | None:
    """Curves of one quantity of `CURVES`: a panel per liquid, temperature and pair, models overlaid."""
    curve = CURVES[quantity]
    axis = curve.axis
    rdf = t["structure"].filter(pl.col("quantity") == quantity, pl.col("value").is_not_null())
    if not rdf.height:
        return None
    # Runs of a group are averaged bin by bin for the curve; every run is in the table.
    mean = (
        rdf.group_by("liquid", "temperature_K", "pair", "model", "dataset", axis)
        .agg(pl.col("value").mean())
        .sort("liquid", "temperature_K", "pair", "model", "dataset", axis)
    )
    states = (
        mean.select("liquid", "temperature_K", "pair")
        .unique(maintain_order=True)
        .sort("liquid", "temperature_K", "pair")
    )
    titles = [f"{s['pair']} · {s['liquid']}, {s['temperature_K']:g} K" for s in states.to_dicts()]
    figure, at = panels(titles, 3, 280)
    seen = set()
    for i, state in enumerate(states.to_dicts()):
        here = mean.filter(pl.col(c) == v for c, v in state.items())
        for key, name, rows in style.groups(here):
            figure.add_scatter(
                x=[round(x, 4) for x in rows[axis]],
                y=[float(f"{y:.4g}") for y in rows["value"]],
                mode="lines",
                name=name,
                legendgroup=name,
                showlegend=name not in seen,
                line={"color": style.colour(key), "dash": style.dash(key), "width": 2},
                **at(i),
            )
            seen.add(name)
        if quantity == "rdf" and here["value"].max() == 0:
            words = f"no pair within {max(here[axis].to_list()):.1f} Å"
            middle = {"x": 0.5, "y": 0.5, "xref": "x domain", "yref": "y domain"}
            figure.add_annotation(text=words, showarrow=False, **middle, **at(i))
        if quantity != "torsion":
            figure.add_hline(y=1, line={"color": REFERENCE, "width": 1, "dash": "dot"}, **at(i))
    figure.update_xaxes(title=curve.axis_title)
    figure.update_yaxes(title=curve.value_title, rangemode="tozero")
    return finish(figure, margin={"l": 70, "r": 20, "t": 80, "b": 50})


def table_numbers(t: Tables, name: str, style: Style) -> Table:
    """Return a table of numbers: what was measured down, models across, runs combined; in brackets: not converged."""
    keys = NUMBERS[name].keys
    ends = t["survival"].select("run_id", "end").unique("run_id", keep="first")
    frame = t[name].join(ends, on="run_id", how="left", maintain_order="left")
    if name == "conformers":  # the shares of the states come first, then what describes the shape
        frame = frame.sort(pl.col("quantity") != "population", maintain_order=True)
    rows = summarise_numbers(frame, keys)
    models = {label(r["model"], r["dataset"]): r for r in rows}
    order = sorted(models, key=lambda m: style.order(models[m]))
    lines: dict[tuple[Any, ...], Row] = {}
    for r in rows:
        key = tuple(r[c] for c in ("liquid", "temperature_K", *keys, "unit"))
        lines.setdefault(key, {})[label(r["model"], r["dataset"])] = r
    body = [number_line(cells, order) for cells in lines.values()]
    return Table(["state", "what", "unit", *order, "why not converged"], body, name)


def number_line(cells: dict[str, Row], order: list[str]) -> list[str]:
    """Return the line of one number: its name and unit, the value of each model, and why some are not converged."""
    one = next(iter(cells.values()))
    state = " → ".join(one[c] for c in ("state", "state_from", "state_to") if one.get(c))
    words = (partner_words(text, one) for text in (str(one["quantity"]).replace("_", " "), state))
    named = (one.get("species") or one.get("pair"), one.get("feature"), *words)
    unit = one["unit"] or "1"
    why = first_few([f"{m}: {cells[m]['reason']}" for m in order if m in cells and cells[m]["reason"]])
    return [
        state_name({"liquid": one["liquid"], "temperature_K": one["temperature_K"]}),
        " · ".join(word for word in named if word),
        {"A": "Å", "A^2": "Å²"}.get(unit, unit),
        *(cell(cells.get(m)) for m in order),
        "; ".join(why),
    ]


def partner_words(words: str, one: Row) -> str:
    """Return words on a number, in which what binds a cation is an anion, or a molecule of the solvent."""
    pair = str(one.get("pair") or "")
    return words if pair.endswith(("⁻", "anions")) else words.replace("anion", "molecule")


def cell(r: Row | None) -> str:
    """Write a number with its 95 % interval, or its lower bound alone, in brackets where it is not converged."""
    if r is None or r["value"] is None:
        return "–" if r is None or r["ci95_low"] is None else f"(> {number(r['ci95_low'])})"
    words = number(r["value"])
    # What was never seen has an interval of no width, which is none.
    if r["ci95_low"] is not None and r["ci95_low"] < r["ci95_high"]:
        v, low, high = rounded([r["value"], r["ci95_low"], r["ci95_high"]], (r["ci95_high"] - r["ci95_low"]) / 2)
        words = f"{v} [{low}, {high}]"
    return words if r["converged"] else f"({words})"


def blocks(results: Results) -> list[Block]:
    """Return the curves of the structure, and the numbers of structure, kinetics and conformers."""
    t, style = results.tables, results.style
    made: list[Block] = [
        Note(
            "Models overlaid: curves that lie on each other mean the same neighbours at the same distance. The curves are means "
            "over the runs; the errors of every run are in tables/structure.csv."
        )
    ]
    for quantity, curve in CURVES.items():
        figure = figure_structure(t, style, quantity)
        if figure is not None or quantity == "rdf":
            made += [Heading(curve.title), Plot(curve.name, figure, curve.title)]
    for name, numbers in NUMBERS.items():
        table = table_numbers(t, name, style)
        if table.rows:
            words = "Value with its 95 % interval, runs combined. In brackets: not converged."
            made.append(Folded(f"{numbers.title} ({len(table.rows)})", [Note(words), table]))
    return made


SECTION = Section("structure", "Structure, kinetics", "Structure and kinetics", blocks)
