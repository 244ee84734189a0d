"""Active learning from round to round: how far runs survive, what they give, and whether a further round can change it.

A round is judged by what a user wants of the model, survival and density, and not by its force errors: those of the frames that
a committee picked say how odd the frames are. It is over where the interval of the change since the round before lies within a
tolerance (two one-sided tests): a wide interval is no reason to stop.
"""

import math
from collections.abc import Iterable
from typing import Any

import plotly.graph_objects as go
import polars as pl

from ionmelt.compare import summary as ils
from ionmelt.report import figures as ilf
from ionmelt.report import words as report_words
from ionmelt.tables.comparison import ROUNDS

Row = dict[str, Any]
SAME_DENSITY = 0.02  # of the density: what a further round may still change in a model that has converged
SAME_SURVIVAL = 0.05  # of the planned time
S, F, N = pl.String, pl.Float64, pl.Int64
WALKS = {"npt": "constant pressure", "ramp": "rising temperature", "swing": "swinging box"}
KEYS = ("liquid", "temperature_K", "model", "dataset")


def growing(study: Row) -> list[str]:
    """Return the datasets that active learning adds to."""
    return sorted(name for name, kinds in (study.get("datasets") or {}).items() if "active" in kinds)


def number_of(cards: Iterable[Row]) -> int | None:
    """Return the round that the models of a run are of; None where the study has no active learning."""
    found = {card["settings"]["round"] for card in cards if "round" in (card.get("settings") or {})}
    return max(found) if found else None


def first(rows: pl.DataFrame, **where: Any) -> Row:
    """Return the first row that has these values, or an empty one."""
    found = rows.filter([pl.col(name).eq_missing(pl.lit(value)) for name, value in where.items()]).to_dicts()
    return found[0] if found else {}


def this_round(t: dict[str, pl.DataFrame], study: Row, number: int) -> list[Row]:
    """Return a row for each state and committee of this round."""
    rows = []
    train = t["dataset"].filter(pl.col("split") == "train")
    survival = t["survival"].filter(pl.col("dataset").is_in(growing(study)))
    for key, runs in ils.groups(survival, list(KEYS)):
        own = train.filter(pl.col("dataset") == key["dataset"])
        walks = t["exploration"].filter([pl.col(name) == key[name] for name in KEYS])
        density = first(t["summary"], property="density", **{name: key[name] for name in KEYS})
        asked = {"model": key["model"], "dataset": key["dataset"]}
        planned = sum(run["planned_ps"] or 0 for run in runs)
        lengths = [run["survived_ps"] or 0 for run in runs]
        row = {name: key[name] for name in KEYS} | {"round": number, "runs": len(runs)}
        row |= {"train_frames": own.height, "active_frames": own.filter(pl.col("kind") == "active").height}
        row |= {
            "survived_share": sum(lengths) / planned if planned else None,
            "density_kg_m3": density.get("value"),
            "density_ci95_low_kg_m3": density.get("ci95_low"),
            "density_ci95_high_kg_m3": density.get("ci95_high"),
            "density_converged": density.get("converged"),
            "force_rmse_ev_a": first(t["summary"], property="force_rmse", **asked).get("value"),
            "scan_energy_rmse_ev_per_atom": first(
                t["summary"], property="scan_energy_rmse", liquid=key["liquid"], **asked
            ).get("value"),
        }
        if walks.height:
            active = study["active"]
            steps = sum(active[f"{kind}_ps"] for kind in WALKS)
            walked = walks.group_by("walk").agg(pl.col("time_ps").max())["time_ps"].sum()
            row |= {
                "worth_above_ev_a": walks["worth_above_ev_a"][0],
                "median_disagreement_ev_a": walks["disagreement_ev_a"].median(),
                "offered_share": walks["offered"].mean(),
                "walked_share": float(walked) / steps if steps else None,
            }
        rows.append(row)
    return rows


def judged(row: Row, before: Row) -> Row:
    """Return a round's row with its verdict: what changed since the round before, in survival and density."""
    if not before:
        return row | {"verdict": "not judged", "reason": "there is no round before to compare with"}
    shares = row["survived_share"], before["survived_share"]
    if None in shares:
        return row | {"verdict": "not judged", "reason": "a round has no runs"}
    ends = [row[name] for name in ("density_ci95_low_kg_m3", "density_ci95_high_kg_m3")]
    ends_before = [before[name] for name in ("density_ci95_low_kg_m3", "density_ci95_high_kg_m3")]
    if abs(shares[0] - shares[1]) > SAME_SURVIVAL:
        words = f"runs survive {shares[0]:.0%} of their planned time, {shares[1]:.0%} before"
        return row | {"verdict": "changed", "reason": words}
    if None in (*ends, *ends_before, row["density_kg_m3"], before["density_kg_m3"]):
        return row | {"verdict": "not judged", "reason": "a round has no density with an interval"}
    change = row["density_kg_m3"] - before["density_kg_m3"]
    half = math.hypot(*((high - low) / 2 for low, high in (ends, ends_before)))
    limit = SAME_DENSITY * before["density_kg_m3"]
    found = row | {
        "density_change_kg_m3": change,
        "density_change_ci95_low_kg_m3": change - half,
        "density_change_ci95_high_kg_m3": change + half,
    }
    if abs(change) + half <= limit and not (row["density_converged"] and before["density_converged"]):
        words = "no change is seen in the density, but it is not converged: runs broke, are missing or are too short"
        return found | {"verdict": "not judged", "reason": words}
    if abs(change) + half <= limit:
        words = f"survival within {SAME_SURVIVAL:.0%}, density within {limit:.0f} kg/m3 of the round before"
        return found | {"verdict": "unchanged", "reason": words}
    if abs(change) > half:
        return found | {"verdict": "changed", "reason": "the density differs from that of the round before"}
    return found | {
        "verdict": "not judged",
        "reason": f"the density's change is known to {half:.0f} kg/m3, and {limit:.0f} is asked for: longer runs, or more boxes",
    }


def table(t: dict[str, pl.DataFrame], study: Row, number: int | None, before: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of all rounds so far; `before` holds those of the earlier ones."""
    if number is None or study.get("active") is None:
        return pl.DataFrame(schema=ROUNDS)
    last = before.filter(pl.col("round") == number - 1)
    rows = [judged(row, first(last, **{name: row[name] for name in KEYS})) for row in this_round(t, study, number)]
    return pl.concat([before.select(*ROUNDS), pl.DataFrame(rows, schema=ROUNDS)]).sort("round", *KEYS)


def verdict(rounds: pl.DataFrame) -> tuple[bool, str]:
    """Return whether another round is worth it, and why, in a sentence."""
    last = rounds.filter(pl.col("round") == rounds["round"].max())
    number = int(last["round"][0])
    if number == 0:
        return True, "Round 0 is the start: no committee has explored yet. Go on with another round."
    open_ones = last.filter(pl.col("verdict") != "unchanged")
    if not open_ones.height:
        return False, f"Round {number} changed neither survival nor density beyond the tolerance: enough."
    parts = [f"{ils.label(r['model'], r['dataset'])}: {r['reason']}" for r in open_ones.to_dicts()]
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
            str(r["round"]), ils.label(r["model"], r["dataset"]), f"{r['liquid']}, {r['temperature_K']:g} K",
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
