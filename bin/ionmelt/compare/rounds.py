"""Active learning from round to round: how far runs survive, what they give, and whether a further round can change it.

A round is judged by what a user wants of the model, survival and density, and not by its force errors: those of the frames that
a committee picked say how odd the frames are. It is over where the interval of the change since the round before lies within a
tolerance (two one-sided tests): a wide interval is no reason to stop.
"""

import math
from collections.abc import Iterable
from typing import Any

import polars as pl

from ionmelt.compare.groups import Row, grouped
from ionmelt.tables.comparison import ROUNDS

SAME_DENSITY = 0.02  # of the density: what a further round may still change in a model that has converged
SAME_SURVIVAL = 0.05  # of the planned time
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
    for key, runs in grouped(survival, list(KEYS)):
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
