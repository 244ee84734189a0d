"""The figures of the report.

Colour means model, marker and dash mean dataset, a hollow marker means not converged, in every figure.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import plotly.graph_objects as go
import polars as pl
from plotly.subplots import make_subplots

from ionmelt.compare import groups as compare_groups
from ionmelt.compare import summary as ils
from ionmelt.compare.learning import PROPERTIES as LEARNED
from ionmelt.report.words import NAMES, UNITS, Row, Tables, measured, seen_ends, state_name, verdict_words

# Okabe and Ito's colours, told apart by colour-blind readers; grey is kept for references and labels.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8B6FC0", "#A6761D")
REFERENCE = "#7a7a7a"
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "star")
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
DIMER_RANGE_EV = (-8.0, 12.0)  # what is shown of the energy of a pair
MOTIONS = {
    "force": "all",
    "force_translation": "translation",
    "force_rotation": "rotation",
    "force_vibration": "vibration",
}
MAX_POINTS = 600  # points drawn in one panel of the parity plot


class Style:
    """Colour of each model, marker and dash of each dataset, and the order of both: as in the study."""

    def __init__(self, t: Tables, extra: Row) -> None:
        study = extra["study"]
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
        parts = []
        for (model, data), part in frame.group_by(["model", "dataset"], maintain_order=True):
            key = {"model": model, "dataset": data}
            parts.append((key, compare_groups.label(model, data), part))
        return sorted(parts, key=lambda p: self.order(p[0]))


def panels(
    titles: Sequence[str], columns: int = 3, row_height: int = 330, **options: Any
) -> tuple[go.Figure, Callable]:
    """Return a figure of panels and a function that gives (row, column) of the i-th one."""
    columns = 2 if len(titles) == 4 and columns == 3 else max(1, min(columns, len(titles)))
    rows = math.ceil(len(titles) / columns)
    gap = min(0.9 / rows, 120 / (row_height * rows)) if rows > 1 else 0.1
    options.setdefault("horizontal_spacing", 0.28 / columns)
    figure = make_subplots(rows=rows, cols=columns, subplot_titles=list(titles), vertical_spacing=gap, **options)
    figure.update_layout(height=row_height * rows + 90)
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
    return figure


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


# --- Figures ---


def figure_liquid(t: Tables, style: Style, quantity: str) -> go.Figure | None:
    """A property of the liquid: a panel per liquid, temperature and species, a point per model and dataset."""
    summary = t["summary"].filter(pl.col("property") == quantity)
    if not summary.height:
        return None
    column = {"density": "density_kg_m3", "diffusion": "diffusion_m2_s", "conductivity": "conductivity_s_m",
              "viscosity": "viscosity_pa_s"}[quantity]  # fmt: skip
    factor, unit = UNITS[ils.LIQUID_UNITS[quantity]]
    if not summary["value"].drop_nulls().len():
        return None
    runs = t[quantity].filter(pl.col(column).is_not_null())
    states = summary.select("liquid", "temperature_K", "species").unique(maintain_order=True).to_dicts()
    figure, at = panels([state_name(s) for s in states], 3, 380)
    names = [x[1] for x in style.groups(summary)]
    ends: list[float | None] = []
    for i, state in enumerate(states):
        same = [pl.col(c).eq_missing(pl.lit(v, summary.schema[c])) for c, v in state.items() if c in runs.columns]
        here = summary.filter(same)
        for key, name, part in style.groups(here):
            row = part.to_dicts()[0]
            mine = (
                pl.col("model") == key["model"],
                pl.col("dataset").eq_missing(pl.lit(key["dataset"], pl.String)),
            )
            single = (runs.filter(*same, *mine)[column] * factor).to_list()
            ends += [
                *single,
                *(None if row[c] is None else row[c] * factor for c in ("value", "ci95_low", "ci95_high")),
            ]
            if len(single) > 1:
                figure.add_scatter(
                    x=[name] * len(single),
                    y=single,
                    mode="markers",
                    hoverinfo="y",
                    showlegend=False,
                    marker={"color": style.colour(key), "size": 5, "opacity": 0.4},
                    **at(i),
                )
            if row["value"] is None:
                figure.add_annotation(
                    x=name,
                    y=0.02,
                    yref="y domain",
                    text="no value",
                    showarrow=False,
                    textangle=-90,
                    font={"size": 11},
                    yanchor="bottom",
                    **at(i),
                )
            value = None if row["value"] is None else row["value"] * factor
            if value is not None and row["reference"] is not None and row["finite_size_correction"]:
                # what the verdict on model and reference is about
                value_seen = value + row["finite_size_correction"] * factor
                ends.append(value_seen)
                figure.add_scatter(
                    x=[name],
                    y=[value_seen],
                    error_y=error_bar([row], factor),
                    mode="markers",
                    showlegend=False,
                    opacity=0.45,
                    marker={"symbol": "line-ew-open", "color": style.colour(key), "size": 14, "line": {"width": 3}},
                    hovertemplate=f"{name}<br>%{{y:.4g}}: corrected for the size of the box<extra></extra>",
                    **at(i),
                )
            figure.add_scatter(
                x=[name],
                y=[value],
                error_y=error_bar([row], factor),
                mode="markers",
                showlegend=False,
                marker={
                    "symbol": style.symbol(key, not row["converged"]),
                    "color": style.colour(key),
                    "size": 12,
                    "line": {"width": 2 if not row["converged"] else 0},
                },
                hovertemplate=f"{name}<br>{measured(row)}<br>{row['reason'] or 'converged'}<extra></extra>",
                **at(i),
            )
        reference = next((r for r in here.to_dicts() if r["reference"] is not None), None)
        if reference is not None:
            value, low, high = (
                None if reference[c] is None else reference[c] * factor
                for c in ("reference", "reference_low", "reference_high")
            )
            ends.append(value)
            if low is not None and high is not None:
                figure.add_hrect(
                    y0=low, y1=high, fillcolor=REFERENCE, opacity=0.25, line_width=0, layer="below", **at(i)
                )
            note = "reference" + (" (second-hand)" if reference["reference_second_hand"] else "")
            figure.add_hline(
                y=value,
                line={"color": REFERENCE, "width": 1.5, "dash": "dash"},
                annotation_text=note,
                annotation_font_size=11,
                annotation_position="top right",
                **at(i),
            )
        for undated in (
            t["references"]
            .filter(pl.col("temperature_K").is_null(), property=quantity, liquid=state["liquid"])
            .to_dicts()
        ):
            if undated["species"] == state["species"]:
                note = "temperature unknown: not used" + (", second-hand" if undated["second_hand"] else "")
                figure.add_hline(
                    y=undated["value"] * factor,
                    line={"color": REFERENCE, "width": 1, "dash": "dot"},
                    annotation_text=note,
                    annotation_font_size=11,
                    annotation_position="bottom left",
                    **at(i),
                )
    figure.update_xaxes(categoryorder="array", categoryarray=names, tickangle=-35, range=[-0.6, len(names) - 0.4])
    if quantity == "density":
        figure.update_yaxes(title="density (kg/m³)", tickformat="d")
    else:
        figure.update_yaxes(title=f"{'D' if quantity == 'diffusion' else quantity} ({unit})", **log_axis(ends))
    return finish(figure, margin={"l": 80, "r": 20, "t": 40, "b": 90})


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


# quantity: axis, title of the axis, title of the values, how values are drawn
CURVES = {
    "rdf": ("r_A", "r (Å)", "g(r)"),
    "structure_factor_xray": ("q_per_A", "q (1/Å)", "S(q), X-rays"),
    "structure_factor_neutron": ("q_per_A", "q (1/Å)", "S(q), neutrons"),
    "torsion": ("angle_deg", "torsion (°)", "density (1/°)"),
}


def figure_structure(t: Tables, style: Style, quantity: str = "rdf") -> go.Figure | None:
    """Curves of one quantity of `CURVES`: a panel per liquid, temperature and pair, models overlaid."""
    axis, title, values = CURVES[quantity]
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
        for key, name, part in style.groups(here):
            figure.add_scatter(
                x=[round(x, 4) for x in part[axis]],
                y=[float(f"{y:.4g}") for y in part["value"]],
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
            place = {"x": 0.5, "y": 0.5, "xref": "x domain", "yref": "y domain"}
            figure.add_annotation(text=words, showarrow=False, **place, **at(i))
        if quantity != "torsion":
            figure.add_hline(y=1, line={"color": REFERENCE, "width": 1, "dash": "dot"}, **at(i))
    figure.update_xaxes(title=title)
    figure.update_yaxes(title=values, rangemode="tozero")
    return finish(figure, margin={"l": 70, "r": 20, "t": 80, "b": 50})


def figure_parity(extra: Row, style: Style) -> go.Figure | None:
    """Predicted against reference force components on the test frames, one panel per model and dataset."""
    parity = extra["parity"].filter(pl.col("quantity") == "force")
    if not parity.height:
        return None
    parts = style.groups(parity)
    figure, at = panels([name for _, name, _ in parts], 4, 300)
    low, high = (float(f([f(parity["reference"]), f(parity["predicted"])])) for f in (min, max))
    for i, (key, name, part) in enumerate(parts):
        first = part.filter(pl.col("model_key") == part["model_key"].min())
        first = first.gather_every(max(1, math.ceil(first.height / MAX_POINTS)))
        figure.add_scatter(
            x=[low, high],
            y=[low, high],
            mode="lines",
            line={"color": REFERENCE, "width": 1},
            hoverinfo="skip",
            **at(i),
        )
        figure.add_scatter(
            x=[round(x, 4) for x in first["reference"]],
            y=[round(y, 4) for y in first["predicted"]],
            mode="markers",
            name=name,
            marker={"color": style.colour(key), "size": 4, "opacity": 0.45},
            **at(i),
        )
    figure.update_xaxes(title="label (eV/Å)", range=[low, high])
    figure.update_yaxes(title="model (eV/Å)", range=[low, high])
    return finish(figure, showlegend=False, margin={"l": 70, "r": 20, "t": 40, "b": 50})


def figure_calibration(extra: Row, style: Style) -> go.Figure | None:
    """Share of errors that intervals of a committee hold against the share they should: recalibrated bold, raw pale."""
    curves = extra["calibration"]
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
            key, name = {"model": model, "dataset": dataset}, compare_groups.label(model, dataset)
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
                    hovertemplate=f"{which} %{{y:.2f}}<extra>{name}</extra>",
                    **at(i),
                )
    figure.update_xaxes(title="share that should be inside", range=[0, 1])
    figure.update_yaxes(title="share inside", range=[0, 1])
    return finish(figure, margin={"l": 70, "r": 20, "t": 80, "b": 50})


def figure_errors(t: Tables, style: Style) -> go.Figure | None:
    """Force RMSE with 95 % interval: by motion of the ions, by element, by ion and by recipe; hollow: not all was answered."""
    errors = t["errors"].filter((pl.col("split") == "test") & pl.col("rmse").is_not_null())
    motion = errors.filter((pl.col("scope") == "all") & pl.col("quantity").is_in(list(MOTIONS)))
    views = [
        (
            "by motion of the ions",
            motion.with_columns(name=pl.col("quantity").replace(MOTIONS)),
        )
    ]
    for scope in ("element", "ion", "recipe"):
        views.append((f"by {scope}", errors.filter((pl.col("scope") == scope) & (pl.col("quantity") == "force"))))
    views = [(title, frame) for title, frame in views if frame.height]
    if not views:
        return None
    figure, at = panels([title for title, _ in views], 2, 340)
    seen = set()
    for i, (_, frame) in enumerate(views):
        names = frame["name"].unique().sort().to_list()
        if names and "vibration" in names:
            names = [n for n in ("all", "translation", "rotation", "vibration") if n in names]
        groups = style.groups(frame)
        for k, (key, name, part) in enumerate(groups):
            rows = (
                part.group_by("name")
                .agg(pl.col("rmse", "rmse_ci95_low", "rmse_ci95_high").mean(), lacks=pl.col("frames_missing").sum() > 0)
                .sort("name")
                .to_dicts()
            )
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
                hovertemplate=f"{name}<br>%{{y:.1f}} meV/Å<extra></extra>",
                **at(i),
            )
            seen.add(name)
        figure.update_xaxes(
            tickvals=list(range(len(names))),
            ticktext=names,
            range=[-0.6, len(names) - 0.4],
            showgrid=False,
            **at(i),
        )
    figure.update_yaxes(title="force RMSE (meV/Å)", rangemode="tozero")
    return finish(figure, margin={"l": 70, "r": 20, "t": 80, "b": 50})


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
            for key, name, part in style.groups(here):
                curve = part.group_by("scale").agg(pl.col(column).mean()).sort("scale").drop_nulls()
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
    figure.update_xaxes(title="scale of the box edge")
    return finish(figure, margin={"l": 70, "r": 20, "t": 80, "b": 50})


def figure_sizes(t: Tables, style: Style) -> go.Figure | None:
    """Errors against the number of training frames and against what their labels took, where a study has several sizes."""
    rows = t["learning"].filter(pl.col("error").is_not_null()).sort("frames", "dataset").to_dicts()
    if not any(row["dataset"] != row["mixture"] for row in rows):
        return None
    state = ("property", "liquid", "temperature_K", "species")
    views = list(dict.fromkeys(tuple(row[c] for c in state) for row in rows))
    views.sort(key=lambda view: (LEARNED.index(view[0]), view[1], view[2] or 0.0, view[3] or ""))
    axes = [("frames", "training frames")]
    if all(row["labels_core_h"] is not None for row in rows):
        axes.append(("labels_core_h", "labels (core-hours)"))
    names = [f"{NAMES[view[0]]}: {state_name(dict(zip(state, view, strict=True)))}" for view in views for _ in axes]
    figure, at = panels(names, len(axes), 300)
    seen = set()
    for i, (view, (x, title)) in enumerate((view, axis) for view in views for axis in axes):
        here = [row for row in rows if tuple(row[c] for c in state) == view]
        factor, unit = (100.0, "%") if view[0] == "survival" else UNITS[here[0]["unit"]]
        for key in dict.fromkeys((row["model"], row["mixture"]) for row in here):
            line = [row for row in here if (row["model"], row["mixture"]) == key]
            name, look = compare_groups.label(*key), {"model": key[0], "dataset": key[1]}
            figure.add_scatter(
                x=[row[x] for row in line],
                y=[row["error"] * factor for row in line],
                error_y=error_bar(line, factor, "error"),
                mode="lines+markers",
                name=name,
                legendgroup=name,
                showlegend=name not in seen,
                line={"color": style.colour(look), "dash": style.dash(look)},
                marker={"symbol": [style.symbol(look, not row["converged"]) for row in line], "size": 8},
                **at(i),
            )
            seen.add(name)
        figure.update_yaxes(title=unit, rangemode="tozero", **at(i))
        figure.update_xaxes(title=title, **log_axis([row[x] for row in here]), **at(i))
    return finish(figure, margin={"l": 70, "r": 20, "t": 80, "b": 50})


def figure_dimers(t: Tables, style: Style) -> go.Figure | None:
    """Energy of every pair of elements against their distance, first seed of each model; grey: the engine of the labels."""
    known = t["dimers"].filter(pl.col("energy_ev").is_not_null() & pl.col("distance_A").is_not_null())
    pairs = known["pair"].unique().sort().to_list()
    if not pairs:
        return None
    figure, at = panels(pairs, 4, 240)
    seen = set()
    for i, pair in enumerate(pairs):
        here = known.filter(pl.col("pair") == pair)
        for (model, data), part in here.sort("model_key").group_by(["model", "dataset"], maintain_order=True):
            first = part.filter(pl.col("model_key") == part["model_key"][0]).sort("distance_A")
            look = {"model": model, "dataset": data}
            own = model in style.models
            name = compare_groups.label(model, data)
            figure.add_scatter(
                x=first["distance_A"],
                y=first["energy_ev"],
                mode="lines",
                name=name,
                legendgroup=name,
                showlegend=name not in seen,
                line={
                    "color": style.colour(look) if own else REFERENCE,
                    "dash": style.dash(look),
                    "width": 2 if own else 4,
                },
                **at(i),
            )
            seen.add(name)
        figure.update_yaxes(title="eV" if i % 4 == 0 else None, range=list(DIMER_RANGE_EV), **at(i))
        figure.update_xaxes(title="Å", **at(i))
    return finish(figure, margin={"l": 70, "r": 20, "t": 90, "b": 50})


def figure_curves(t: Tables, style: Style) -> go.Figure | None:
    """Learning curves: validation bold, training pale; one panel per framework and quantity."""
    curves = t["curves"].filter(pl.col("value").is_not_null())
    if not curves.height:
        return None
    views = curves.select("framework", "quantity", "unit").unique().sort("framework", "quantity", "unit").to_dicts()
    figure, at = panels([f"{v['framework'] or ''}: {v['quantity']}" for v in views], 3, 280)
    seen = set()
    for i, view in enumerate(views):
        here = curves.filter(*(pl.col(c).eq_missing(pl.lit(v, pl.String)) for c, v in view.items()))
        for key, name, part in style.groups(here):
            for (_, which), line in part.sort("step").group_by(["model_key", "set"], maintain_order=True):
                line = line.gather_every(max(1, math.ceil(line.height / 400)))
                figure.add_scatter(
                    x=line["step"].to_list(),
                    y=[float(f"{y:.4g}") for y in line["value"]],
                    mode="lines",
                    name=name,
                    legendgroup=name,
                    showlegend=name not in seen and which == "valid",
                    opacity=0.9 if which == "valid" else 0.35,
                    hovertemplate=f"{which} %{{y:.3g}}<extra>{name}</extra>",
                    line={
                        "color": style.colour(key),
                        "dash": style.dash(key),
                        "width": 2 if which == "valid" else 1.2,
                    },
                    **at(i),
                )
                if which == "valid":
                    seen.add(name)
        if (here["value"] > 0).all():
            figure.update_yaxes(**log_axis(here["value"].to_list()), **at(i))
        figure.update_yaxes(title=(view["unit"] or "").replace("/A", "/Å").replace("A^3", "Å³"), **at(i))
    figure.update_xaxes(title="step")
    return finish(figure, margin={"l": 70, "r": 20, "t": 80, "b": 50})


def figure_survival(t: Tables, style: Style) -> go.Figure | None:
    """How much of each planned run was survived; a cross marks a censored run and says why it ended."""
    runs = t["survival"].to_dicts()
    if not runs:
        return None
    runs.sort(key=lambda r: (r["end"] == "completed", style.order(r), r["run_id"]))
    names = [r["run_id"] for r in runs]
    figure = go.Figure()
    figure.add_bar(
        y=names,
        x=[r["planned_ps"] or 0 for r in runs],
        orientation="h",
        name="planned",
        width=0.7,
        marker={"color": "rgba(128,128,128,0.18)"},
        hoverinfo="x",
    )
    figure.add_bar(
        y=names,
        x=[r["survived_ps"] or 0 for r in runs],
        orientation="h",
        name="survived",
        width=0.7,
        marker={"color": [style.colour(r) for r in runs]},
        showlegend=False,
    )
    cut = [r for r in runs if r["end"] != "completed"]
    if cut:
        figure.add_scatter(
            y=[r["run_id"] for r in cut],
            x=[r["survived_ps"] or 0 for r in cut],
            mode="markers+text",
            name="censored: ended early",
            text=[f"  {r['end']}" for r in cut],
            textposition="middle right",
            marker={"symbol": "x", "size": 10, "color": "#B00020"},
            cliponaxis=False,
            hovertext=[r["detail"] or r["end"] for r in cut],
            hoverinfo="text",
        )
    figure.update_yaxes(
        categoryorder="array", categoryarray=names[::-1], showgrid=False, range=[-0.6, len(names) - 0.4]
    )
    figure.update_xaxes(title="time (ps)", rangemode="tozero", side="top")
    return finish(figure, barmode="overlay", height=140 + 21 * len(runs), margin={"l": 70, "r": 90, "t": 100, "b": 20})


def cost_by_process(t: Tables) -> pl.DataFrame:
    """Return tasks, wall hours, core-hours and peak memory of every process, dearest first."""
    return (
        t["cost"]
        .group_by("process")
        .agg(
            pl.len().alias("tasks"),
            (pl.col("wall_s").sum() / 3600).alias("wall_h"),
            (pl.col("cpu_s").sum() / 3600).alias("core_h"),
            pl.col("max_rss_mb").max(),
        )
        .sort("core_h", "process", descending=[True, False])
    )


def figure_cost(t: Tables) -> go.Figure | None:
    """Wall hours (summed over tasks) and core-hours of every process."""
    cost = cost_by_process(t)
    if not cost.height:
        return None
    figure = go.Figure()
    for column, name, colour in (
        ("wall_h", "wall hours, summed over tasks", "#56B4E9"),
        ("core_h", "core-hours", "#0072B2"),
    ):
        figure.add_bar(
            y=cost["process"].to_list(),
            x=cost[column].to_list(),
            orientation="h",
            name=name,
            marker_color=colour,
        )
    figure.update_yaxes(categoryorder="array", categoryarray=cost["process"].to_list()[::-1], showgrid=False)
    figure.update_xaxes(title="hours", rangemode="tozero")
    return finish(figure, height=140 + 34 * cost.height)


def figure_pareto(t: Tables, style: Style) -> go.Figure | None:
    """Error against cost, a panel per property and state; a line joins the models that are on the front."""
    rows = t["pareto"].filter(pl.col("error").is_not_null() & pl.col("total_core_h").is_not_null())
    if not rows.height:
        return None
    order = {name: i for i, name in enumerate((*ils.LIQUID_UNITS, "force_rmse"))}
    states = rows.select("property", "liquid", "temperature_K", "species").unique().to_dicts()
    states.sort(key=lambda s: (order[s["property"]], s["liquid"], s["temperature_K"] or 0.0, s["species"] or ""))
    titles = [
        f"{s['property'].replace('force_rmse', 'forces')} · {'all liquids' if s['liquid'] == 'all' else state_name(s)}"
        for s in states
    ]
    figure, at = panels(titles, 3, 350)
    accelerated = rows.filter(pl.col("total_gpu_h") > 0).height > 0
    seen: set[str] = set()
    for i, state in enumerate(states):
        here = rows.filter(pl.col(c).eq_missing(pl.lit(v, rows.schema[c])) for c, v in state.items())
        points = []
        for key, name, part in style.groups(here):
            row = part.to_dicts()[0]
            factor, unit = UNITS.get(row["unit"], (1.0, row["unit"]))
            x = row["total_core_h"] + row["total_gpu_h"]
            points.append((x, row["error"] * factor, row["front"]))
            figure.add_scatter(
                x=[x],
                y=[row["error"] * factor],
                error_y=error_bar([row], factor, "error"),
                mode="markers",
                name=name,
                legendgroup=name,
                showlegend=name not in seen,
                marker={
                    "color": style.colour(key),
                    "symbol": style.symbol(key, row["front"] == "not converged"),
                    "size": 12,
                    "line": {"width": 2 if row["front"] == "not converged" else 0},
                },
                hovertemplate=f"{name}<br>%{{x:.3g}} hours<br>%{{y:.4g}} {unit}<br>on the front: {row['front']}<extra></extra>",
                **at(i),
            )
            seen.add(name)
            figure.update_yaxes(title=f"{'RMSE' if row['property'] == 'force_rmse' else '|error|'} ({unit})", **at(i))
        front = sorted((x, y) for x, y, on in points if on == "yes")
        if len(front) > 1:
            figure.add_scatter(
                x=[x for x, _ in front],
                y=[y for _, y in front],
                mode="lines",
                line={"color": REFERENCE, "width": 1.5, "dash": "dot", "shape": "hv"},
                hoverinfo="skip",
                name="front",
                legendgroup="front",
                showlegend="front" not in seen,
                **at(i),
            )
            seen.add("front")
        figure.update_xaxes(**log_axis([x for x, _, _ in points]), **at(i))
    unit = "core-hours + GPU-hours" if accelerated else "core-hours"
    figure.update_xaxes(title=f"labels + training + 1 ns ({unit})")
    figure.update_yaxes(rangemode="tozero")
    return finish(figure, margin={"l": 70, "r": 40, "t": 80, "b": 50}, showlegend=True)


def figure_dataset(t: Tables) -> go.Figure | None:
    """Frames of every dataset and split, stacked by recipe."""
    frames = t["dataset"]
    if not frames.height:
        return None
    counts = (
        frames.with_columns(
            bar=pl.concat_str(pl.col("dataset").fill_null("all datasets"), pl.col("split"), separator=" · ")
        )
        .group_by("bar", "kind", "recipe")
        .len()
        .sort("bar", "kind", "recipe")
    )
    figure = go.Figure()
    recipes = counts.select("kind", "recipe").unique(maintain_order=True).to_dicts()
    for i, r in enumerate(recipes):
        part = counts.filter(pl.col("kind") == r["kind"], pl.col("recipe") == r["recipe"])
        figure.add_bar(
            y=part["bar"].to_list(),
            x=part["len"].to_list(),
            orientation="h",
            name=f"{r['recipe']} ({r['kind']})",
            marker={"color": COLOURS[i % len(COLOURS)]},
        )
    bars = counts["bar"].unique().sort(descending=True).to_list()
    figure.update_yaxes(categoryorder="array", categoryarray=bars, showgrid=False)
    figure.update_xaxes(title="labelled frames")
    return finish(figure, barmode="stack", height=150 + 34 * len(bars))
