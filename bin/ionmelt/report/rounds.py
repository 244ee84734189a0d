"""Rounds of active learning in the report: whether another is worth it, their table and their figures."""

from typing import Any

import plotly.graph_objects as go
import polars as pl

from ionmelt.compare import groups
from ionmelt.compare.rounds import WALKS
from ionmelt.report import figures as ilf
from ionmelt.report import words as report_words

Row = dict[str, Any]


def verdict(rounds: pl.DataFrame) -> tuple[bool, str]:
    """Return whether another round is worth it, and why, in a sentence."""
    last = rounds.filter(pl.col("round") == rounds["round"].max())
    number = int(last["round"][0])
    if number == 0:
        return True, "Round 0 is the start: no committee has explored yet. Go on with another round."
    open_ones = last.filter(pl.col("verdict") != "unchanged")
    if not open_ones.height:
        return False, f"Round {number} changed neither survival nor density beyond the tolerance: enough."
    parts = [f"{groups.label(r['model'], r['dataset'])}: {r['reason']}" for r in open_ones.to_dicts()]
    return True, f"After round {number} another is worth it. " + "; ".join(dict.fromkeys(parts)) + "."


def table_rounds(rounds: pl.DataFrame) -> Row:
    """Return the report's table of rounds."""
    rows = []
    for r in rounds.to_dicts():
        low, high = r["density_ci95_low_kg_m3"], r["density_ci95_high_kg_m3"]
        density = "none" if r["density_kg_m3"] is None else report_words.number(r["density_kg_m3"], 4)
        if low is not None and high is not None:
            density += f" [{report_words.number(low, 4)}, {report_words.number(high, 4)}]"
        share = r["survived_share"]
        rows.append([
            str(r["round"]), groups.label(r["model"], r["dataset"]), f"{r['liquid']}, {r['temperature_K']:g} K",
            f"{r['train_frames']} ({r['active_frames']})", "none" if share is None else f"{share:.0%}",
            density, "yes" if r["density_converged"] else "no",
            *("none" if r[name] is None else report_words.number(1000 * r[name])
              for name in ("scan_energy_rmse_ev_per_atom", "force_rmse_ev_a", "worth_above_ev_a")),
            "none" if r["offered_share"] is None else f"{r['offered_share']:.0%}", r["verdict"], r["reason"],
        ])  # fmt: skip
    head = [
        "round", "model", "liquid", "training frames (active)", "survived", "density (kg/m3) [95 %]", "converged",
        "scan error (meV/atom)", "force error (meV/A)", "worth a label above (meV/A)", "of the walk above", "verdict", "why",
    ]  # fmt: skip
    return {"head": head, "rows": rows}


def figure_rounds(rounds: pl.DataFrame, style: ilf.Style) -> go.Figure | None:
    """Survival and density from round to round."""
    if rounds["round"].n_unique() < 2:
        return None
    states = rounds.select("liquid", "temperature_K").unique(maintain_order=True).rows()
    titles = [f"{what}: {liquid}, {kelvin:g} K" for liquid, kelvin in states for what in ("Survival", "Density")]
    figure, at = ilf.panels(titles, 2, 320)
    for i, (liquid, kelvin) in enumerate(states):
        here = rounds.filter((pl.col("liquid") == liquid) & (pl.col("temperature_K") == kelvin)).sort("round")
        for key, name, part in style.groups(here):
            look = {"line": {"color": style.colour(key), "dash": style.dash(key)}, "name": name, "legendgroup": name}
            look |= {"mode": "lines+markers", "x": part["round"].to_list()}
            shares = [None if x is None else 100 * x for x in part["survived_share"].to_list()]
            figure.add_scatter(y=shares, showlegend=i == 0, **look, **at(2 * i))
            bars = ilf.error_bar(
                part.to_dicts(), 1.0, "density_kg_m3", "density_ci95_low_kg_m3", "density_ci95_high_kg_m3"
            )
            figure.add_scatter(
                y=part["density_kg_m3"].to_list(), error_y=bars, showlegend=False, **look, **at(2 * i + 1)
            )
        for k, title in ((2 * i, "% of the planned time"), (2 * i + 1, "kg/m3")):
            figure.update_yaxes(title=title, **at(k))
            figure.update_xaxes(title="round", dtick=1, **at(k))
    return ilf.finish(figure)


def figure_exploration(exploration: pl.DataFrame, style: ilf.Style) -> go.Figure | None:
    """How much the committees disagree along their walks, with the thresholds."""
    if not exploration.height:
        return None
    walks = exploration.select("liquid", "temperature_K", "walk").unique(maintain_order=True).rows()
    figure, at = ilf.panels([f"{liquid}, {kelvin:g} K: {WALKS[kind]}" for liquid, kelvin, kind in walks], 2, 320)
    seen = set()
    for i, (liquid, kelvin, kind) in enumerate(walks):
        here = exploration.filter(
            (pl.col("liquid") == liquid) & (pl.col("temperature_K") == kelvin) & (pl.col("walk") == kind)
        ).sort("time_ps")
        for key, name, part in style.groups(here):
            ends = [part["time_ps"].min(), part["time_ps"].max()]
            common = {"legendgroup": name, "hoverinfo": "skip", "showlegend": False, "mode": "lines"}
            for column, dash in (("worth_above_ev_a", "dot"), ("stop_above_ev_a", "dash")):
                line = {"color": style.colour(key), "dash": dash, "width": 1}
                figure.add_scatter(x=ends, y=[part[column][0]] * 2, line=line, **common, **at(i))
            figure.add_scatter(
                x=part["time_ps"].to_list(),
                y=part["disagreement_ev_a"].to_list(),
                mode="lines",
                name=name,
                legendgroup=name,
                showlegend=name not in seen,
                line={"color": style.colour(key), "dash": style.dash(key)},
                **at(i),
            )
            seen.add(name)
        figure.update_xaxes(title="ps", **at(i))
        figure.update_yaxes(title="eV/A", **at(i))
    return ilf.finish(figure)
