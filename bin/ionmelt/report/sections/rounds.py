"""Rounds of active learning, or of a refined equilibrium."""

import plotly.graph_objects as go
import polars as pl

from ionmelt.compare.groups import label
from ionmelt.compare.request import request_of
from ionmelt.compare.rounds import WALKS
from ionmelt.report.blocks import Block, Folded, Heading, Note, Plot, Section, Sentences, Table
from ionmelt.report.figures import Style, error_bar, finish, panels
from ionmelt.report.results import Results
from ionmelt.report.words import number, percent

READING = Note(
    "Each round, committees of models that differ by their seed walk through the liquid; frames on which they disagree more than on "
    "their validation frames are worth a label, the most different of them are labelled, and the models go on from their last "
    "weights. A round counts as unchanged where survival and density stay within a tolerance, whatever the force errors do."
)
READING_REFINED = Note(
    "Each round takes its equilibrium frames from the dynamics of a model of the round before, and models are trained anew on them. A "
    "round counts as unchanged where survival and density stay within a tolerance, whatever the force errors do."
)


def verdict(rounds: pl.DataFrame, refines: bool = False) -> tuple[bool, str]:
    """Return whether another round is worth it, and why, in a sentence; ``refines``: rounds are those of a refined equilibrium."""
    last = rounds.filter(pl.col("round") == rounds["round"].max())
    number = int(last["round"][0])
    if number == 0:
        start = "its equilibrium is that of the force field" if refines else "no committee has explored yet"
        return True, f"Round 0 is the start: {start}. Go on with another round."
    open_ones = last.filter(pl.col("verdict") != "unchanged")
    if not open_ones.height:
        return False, f"Round {number} changed neither survival nor density beyond the tolerance: enough."
    reasons = [f"{label(r['model'], r['dataset'])}: {r['reason']}" for r in open_ones.to_dicts()]
    return True, f"After round {number} another is worth it. " + "; ".join(dict.fromkeys(reasons)) + "."


def table_rounds(rounds: pl.DataFrame) -> Table:
    """Return a line for each round, liquid and committee."""
    rows = []
    for r in rounds.to_dicts():
        low, high = r["density_ci95_low_kg_m3"], r["density_ci95_high_kg_m3"]
        density = "none" if r["density_kg_m3"] is None else number(r["density_kg_m3"], 4)
        if low is not None and high is not None:
            density += f" [{number(low, 4)}, {number(high, 4)}]"
        share = r["survived_share"]
        rows.append([
            str(r["round"]), label(r["model"], r["dataset"]), f"{r['liquid']}, {r['temperature_K']:g} K",
            f"{r['train_frames']} ({r['active_frames']})", "none" if share is None else percent(share),
            density, "yes" if r["density_converged"] else "no",
            *("none" if r[name] is None else number(1000 * r[name])
              for name in ("scan_energy_rmse_ev_per_atom", "force_rmse_ev_a", "worth_above_ev_a")),
            "none" if r["offered_share"] is None else percent(r["offered_share"]), r["verdict"], r["reason"],
        ])  # fmt: skip
    head = [
        "round", "model", "liquid", "training frames (active)", "survived", "density (kg/m³) [95 %]", "converged",
        "scan error (meV/atom)", "force error (meV/Å)", "worth a label above (meV/Å)", "of the walk above", "verdict", "why",
    ]  # fmt: skip
    return Table(head, rows, "rounds")


def figure_rounds(rounds: pl.DataFrame, style: Style) -> go.Figure | None:
    """Survival and density from round to round."""
    if rounds["round"].n_unique() < 2:
        return None
    states = rounds.select("liquid", "temperature_K").unique(maintain_order=True).rows()
    titles = [f"{what}: {liquid}, {kelvin:g} K" for liquid, kelvin in states for what in ("Survival", "Density")]
    figure, at = panels(titles, 2, 320)
    for i, (liquid, kelvin) in enumerate(states):
        here = rounds.filter((pl.col("liquid") == liquid) & (pl.col("temperature_K") == kelvin)).sort("round")
        for key, name, rows in style.groups(here):
            look = {"line": {"color": style.colour(key), "dash": style.dash(key)}, "name": name, "legendgroup": name}
            look |= {"mode": "lines+markers", "x": rows["round"].to_list()}
            shares = [None if x is None else 100 * x for x in rows["survived_share"].to_list()]
            figure.add_scatter(y=shares, showlegend=i == 0, **look, **at(2 * i))
            bars = error_bar(rows.to_dicts(), 1.0, "density_kg_m3", "density_ci95_low_kg_m3", "density_ci95_high_kg_m3")
            figure.add_scatter(
                y=rows["density_kg_m3"].to_list(), error_y=bars, showlegend=False, **look, **at(2 * i + 1)
            )
        for k, title in ((2 * i, "survived of the planned time (%)"), (2 * i + 1, "density (kg/m³)")):
            figure.update_yaxes(title=title, **at(k))
            figure.update_xaxes(title="round", dtick=1, **at(k))
    return finish(figure)


def figure_exploration(exploration: pl.DataFrame, style: Style) -> go.Figure | None:
    """How much the committees disagree along their walks, with the thresholds."""
    if not exploration.height:
        return None
    walks = exploration.select("liquid", "temperature_K", "walk").unique(maintain_order=True).rows()
    figure, at = panels([f"{liquid}, {kelvin:g} K: {WALKS[kind]}" for liquid, kelvin, kind in walks], 2, 320)
    seen = set()
    for i, (liquid, kelvin, kind) in enumerate(walks):
        here = exploration.filter(
            (pl.col("liquid") == liquid) & (pl.col("temperature_K") == kelvin) & (pl.col("walk") == kind)
        ).sort("time_ps")
        for key, name, rows in style.groups(here):
            ends = [rows["time_ps"].min(), rows["time_ps"].max()]
            common = {"legendgroup": name, "hoverinfo": "skip", "showlegend": False, "mode": "lines"}
            for column, dash in (("worth_above_ev_a", "dot"), ("stop_above_ev_a", "dash")):
                line = {"color": style.colour(key), "dash": dash, "width": 1}
                figure.add_scatter(x=ends, y=[rows[column][0]] * 2, line=line, **common, **at(i))
            figure.add_scatter(
                x=rows["time_ps"].to_list(),
                y=rows["disagreement_ev_a"].to_list(),
                mode="lines",
                name=name,
                legendgroup=name,
                showlegend=name not in seen,
                line={"color": style.colour(key), "dash": style.dash(key)},
                **at(i),
            )
            seen.add(name)
        figure.update_xaxes(title="time (ps)", **at(i))
        figure.update_yaxes(title="disagreement on forces (eV/Å)", **at(i))
    return finish(figure)


def blocks(results: Results) -> list[Block]:
    """Return the rounds so far, where the study learns actively."""
    rounds, style = results.tables["rounds"], results.style
    if not rounds.height:
        return []
    refines = request_of(results.study).refines
    made: list[Block] = [Sentences([verdict(rounds, refines)[1]]), READING_REFINED if refines else READING]
    if (figure := figure_rounds(rounds, style)) is not None:
        made.append(Plot("rounds", figure, "Survival and density of every round"))
    if (figure := figure_exploration(results.tables["exploration"], style)) is not None:
        words = (
            "Largest standard deviation over the committee of the force on an atom. Dotted: above it a frame is worth a label. "
            "Dashed: there the walk stops."
        )
        label = "Disagreement of each committee along its walks"
        made += [Heading("Walks of this round"), Note(words), Plot("exploration", figure, label)]
    return [*made, Folded("Values", [table_rounds(rounds)])]


SECTION = Section("rounds", "Rounds", "Rounds of active learning, or of a refined equilibrium", blocks)
