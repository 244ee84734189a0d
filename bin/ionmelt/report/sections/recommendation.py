"""The recommendation: two sentences made from the tables, which never say more than the verdicts do.

The first says which model to use for what, how close it comes and at what cost, or that none can be named. The
second says what could not be decided, and what that would need.

A model is named for a property of a liquid only where its value is converged (every planned run survived and was
measured), there is a reference, the 95 % interval of its difference from that holds 0 (uncorrected: the correction
for many tests makes agreement easier; what holds 0 only with it is said to be undecided), no other model is closer
beyond the error, and none of its runs broke in another liquid. The interval that is written is the corrected one. Of those that remain the cheapest is named, the others are said to be as good.
"""

import polars as pl

from ionmelt.compare.errors import lacks
from ionmelt.compare.groups import label
from ionmelt.measure.observables import OBSERVABLES
from ionmelt.report.words import UNITS, Row, Tables, at_time, listed, measured, number, off_by, rounded, sentence

Verdicts = dict[frozenset[str], Row]  # of one state, by the names of the two

EXACT = 1e-6  # eV/A: an error below it is that of the method of the labels itself
MOST = 3  # parts of one sentence; the others are counted
STATE = ("liquid", "temperature_K", "property", "species")
PROPERTIES = {observable.name: observable.words for observable in OBSERVABLES}
BROKE = ("missing", "completed")  # how a run may end without having broken


def recommend(t: Tables) -> tuple[str, str]:
    """Return the two sentences from the tables summary, verdicts, pareto and survival."""
    states: dict[tuple, list[Row]] = {}
    rank = {quantity: i for i, quantity in enumerate(PROPERTIES)}
    judged = t["summary"].filter(pl.col("property").is_in(list(PROPERTIES))).to_dicts()
    for row in sorted(judged, key=lambda r: (rank[r["property"]], r["liquid"])):
        states.setdefault(tuple(row[c] for c in STATE), []).append(row)
    broken = breakages(t["survival"])
    named: list[str] = []  # states with a model to use
    none: list[str] = []  # states where no model fits
    # why: (place, models): property: rows
    open_ones: dict[str, dict[tuple[str, str], dict[str, list[Row]]]] = {}
    for state, rows in states.items():
        good = [r for r in rows if r["converged"]]
        poor = [name(r) for r in rows if not r["converged"]]
        where = place(rows[0])
        if poor:
            who = f" by {listed(poor)}" if good else ""
            what = open_ones.setdefault("not converged", {}).setdefault((where, who), {})
            what.setdefault(state[2], []).extend(r for r in rows if not r["converged"])
        if good and good[0]["reference"] is None:
            what = open_ones.setdefault("without a reference that says which model is right", {}).setdefault(
                (where, ""), {}
            )
            what.setdefault(state[2], []).append(good[0] | {"needed_ps": None})
        elif good:
            words, fits = choice(good, verdicts_of(t, state), t["pareto"], broken)
            (named if fits else none).append(f"for {about({state[2]: [good[0]]}, where)} {words}")
    undecided = {
        why: [about(what, where) + who for (where, who), what in places.items()] for why, places in open_ones.items()
    }
    return sentence(first(named, none, states, t)), sentence(second(undecided, broken, states, t))


def first(named: list[str], none: list[str], states: dict[tuple, list[Row]], t: Tables) -> str:
    """Return what to use, or why nothing can be named."""
    if named or none:
        return shortened(named + none)
    forces = best_forces(t)
    if not states:
        why = "no model can be recommended, since no dynamics was planned"
    elif any(r["converged"] for rows in states.values() for r in rows):
        why = "no model can be recommended, since no reference says which is right"
    else:
        why = "no model can be recommended yet, since nothing that was measured on the liquid is converged"
    return f"{why}; {forces}, which alone is no verdict on the liquid" if forces else why


def second(
    open_ones: dict[str, list[str]], broken: dict[str, tuple[str, str]], states: dict[tuple, list[Row]], t: Tables
) -> str:
    """Return what is not decided and what it needs; where all is, how small a difference could be seen."""
    parts = []
    for why, what in open_ones.items():
        more = len(what) - MOST
        parts.append(listed(what[:MOST] + ([f"{more} more"] if more > 0 else [])) + f" ({why})")
    if broken:
        words = [f"{m} ({share}{'' if len(broken) > MOST else ' broke, ' + how})" for m, (share, how) in broken.items()]
        parts.append(f"not to be used before it is known why they broke: {listed(words)}")
    if parts:
        return "Not decided: " + shortened(parts) if open_ones else shortened(parts)
    return resolution(t, states)


def shortened(parts: list[str]) -> str:
    """Join parts of a sentence; of too many the last are counted."""
    more = len(parts) - MOST
    return "; ".join(parts[:MOST]) + (f"; and {more} more in the tables" if more > 0 else "")


def name(row: Row) -> str:
    """Return the model's name with its dataset."""
    return label(row["model"], row["dataset"])


def place(row: Row) -> str:
    """Name liquid and temperature of a row in running words."""
    return str(row["liquid"]) + (f" at {row['temperature_K']:g}\u00a0K" if row["temperature_K"] is not None else "")


def about(properties: dict[str, list[Row]], where: str) -> str:
    """Name properties of a liquid in running words, of some the species, and how long runs would have to be."""
    named = []
    for quantity, rows in properties.items():
        ions = listed(list(dict.fromkeys(r["species"] for r in rows if r["species"])))
        longest = max((r["needed_ps"] for r in rows if not r["converged"] and r["needed_ps"] is not None), default=None)
        need = "" if longest is None else f" (needs runs of about {number(longest, 2)} ps)"
        named.append(PROPERTIES[quantity] + (f" of {ions}" if ions else "") + need)
    species = any(r["species"] for rows in properties.values() for r in rows)
    return f"{listed(named)}{' in ' if species else ' of '}{where}"


def verdicts_of(t: Tables, state: tuple) -> Verdicts:
    """Return the verdicts of one state by the two that they are about."""
    rows = [v for v in t["verdicts"].to_dicts() if tuple(v[c] for c in STATE) == state]
    return {frozenset((v["model_a"], v["model_b"])): v for v in rows}


def breakages(survival: pl.DataFrame) -> dict[str, tuple[str, str]]:
    """Return, for each model with a run that broke, how many of how many did, and how the first one ended."""
    broken: dict[str, tuple[str, str]] = {}
    runs: dict[str, list[Row]] = {}
    for run in survival.sort("run_id").to_dicts():
        runs.setdefault(name(run), []).append(run)
    for model, part in sorted(runs.items()):
        bad = [r for r in part if r["end"] not in BROKE]
        if bad:
            how = f"{bad[0]['run_id']} by {bad[0]['end']}{at_time(bad[0])}"
            broken[model] = f"{len(bad)} of {len(part)} runs", how
    return broken


def choice(
    good: list[Row], verdicts: Verdicts, pareto: pl.DataFrame, broken: dict[str, tuple[str, str]]
) -> tuple[str, bool]:
    """Return what to use in one state and True, or why no model fits and False. ``good``: what is converged."""

    def verdict(r: Row) -> Row | None:
        return verdicts.get(frozenset((name(r), "reference")))

    losers = {
        v[{"a": "model_b", "b": "model_a"}[v["verdict"]]] for v in verdicts.values() if v["verdict"] in ("a", "b")
    }
    agree = [r for r in good if holds_zero(verdict(r))]
    fits = [r for r in agree if name(r) not in losers and name(r) not in broken]
    reference = f"{number(good[0]['reference'] * UNITS[good[0]['unit']][0], 4)} {UNITS[good[0]['unit']][1]}"
    if good[0]["reference_second_hand"]:
        reference += ", second-hand"
    if not fits and agree:
        why = [
            f"{name(r)} broke elsewhere" if name(r) in broken else f"another is closer than {name(r)}" for r in agree
        ]
        return f"no model can be named ({listed(why)})", False
    if not fits:
        nearest = min(good, key=lambda r: abs(r["value"] + (r["finite_size_correction"] or 0.0) - r["reference"]))
        v = verdict(nearest)
        off = f", {off_by(v, nearest)}" if v else ""
        if any(holds_zero(verdict(r), "holm") for r in good):
            many = "which the correction for many tests leaves undecided"
            return f"no model can be named (the nearest to {reference} is {name(nearest)}{off}, {many})", False
        return f"no model agrees with the reference ({reference}); the nearest is {name(nearest)}{off}", False
    prices = {name(r): price(pareto, r) for r in fits}
    priced = [r for r in fits if prices[name(r)] is not None]
    chosen = min(priced, key=lambda r: prices[name(r)] or (0.0, 0.0)) if priced else fits[0]
    words = f"use {name(chosen)}" + (" (no learned model is needed)" if chosen["framework"] == "classical" else "")
    words += f": {measured(chosen)} against {reference}"
    if v := verdict(chosen):
        words += f" ({off_by(v, chosen)})"
    if prices[name(chosen)] is not None:
        words += f", at {spoken(prices[name(chosen)] or (0.0, 0.0))} for labels, training and one nanosecond"
    level = [name(r) for r in fits if r is not chosen]
    if level:
        cheapest = (
            "the cheapest of what cannot be told apart, with" if len(priced) == len(fits) else "not told apart from"
        )
        words += f", {cheapest} {listed(level)}"
    return words, True


def holds_zero(v: Row | None, which: str = "ci95") -> bool:
    """Tell whether the interval of a difference, as it is or corrected (``holm``), is known and holds 0."""
    return v is not None and v[f"{which}_low"] is not None and v[f"{which}_low"] <= 0 <= v[f"{which}_high"]


def price(pareto: pl.DataFrame, row: Row) -> tuple[float, float] | None:
    """Return (GPU-hours, core-hours) of a model in one state, None where they are not known."""
    rows = pareto.filter(pl.col(c).eq_missing(pl.lit(row[c], pareto.schema[c])) for c in (*STATE, "model", "dataset"))
    hours = rows.select("total_gpu_h", "total_core_h").row(0) if rows.height else (None, None)
    return None if None in hours else hours


def spoken(hours: tuple[float, float]) -> str:
    """Write GPU-hours and core-hours."""
    gpu, core = hours
    parts = [f"{number(gpu, 2)} GPU-hours"] if gpu else []
    return listed([*parts, f"{number(core, 2)} core-hours"] if core or not parts else parts)


def best_forces(t: Tables) -> str | None:
    """Say which trained model has the lowest force error, whether that is decided, and which did not answer everything."""
    models = t["summary"].filter(pl.col("property") == "force_rmse")
    every = models.filter(pl.col("dataset").is_not_null())
    rows = every.filter(pl.col("converged"))
    if not rows.height:
        return None
    poor = [name(r) for r in every.sort("model", "dataset").to_dicts() if lacks(r)]
    lacking = f", not counting {listed(poor)}, which did not answer the whole test" if poor else ""
    ranked = rows.sort("value", "model", "dataset").to_dicts()
    best = ranked[0]
    rest = [name(r) for r in ranked[1:] if r["liquid"] == best["liquid"]]
    verdicts = t["verdicts"].filter(pl.col("property") == "force_rmse", pl.col("liquid") == best["liquid"]).to_dicts()
    decided = {frozenset((v["model_a"], v["model_b"])): v["verdict"] for v in verdicts}
    # untrained models that are closer still; not the method of the labels itself, whose error is 0 by construction
    others = {
        name(r) for r in models.to_dicts() if r["dataset"] is None and r["value"] is not None and r["value"] > EXACT
    }
    won = {
        v[f"model_{v['verdict']}"]
        for v in verdicts
        if v["verdict"] in ("a", "b") and name(best) in (v["model_a"], v["model_b"])
    }
    lacking += f", though {listed(sorted(won & others))} without training comes closer" if won & others else ""
    lacking += ", one training seed" if best["runs"] == 1 else ""
    if not rest:
        return f"{name(best)} follows the labels' forces to {measured(best)}{lacking}"
    open_with = [decided.get(frozenset((name(best), other))) for other in rest]
    level = [other for other, verdict in zip(rest, open_with, strict=True) if verdict not in ("a", "b", None)]
    unseen = [other for other, verdict in zip(rest, open_with, strict=True) if verdict is None]
    but = f", not told apart from {listed(level)}" if level else ""
    but += f", not compared with {listed(unseen)}" if unseen else ""
    return f"of the trained models {name(best)} follows the labels' forces best ({measured(best)}{but}{lacking})"


def resolution(t: Tables, states: dict[tuple, list[Row]]) -> str:
    """Say how small a difference the data could see."""
    parts = []
    for quantity in PROPERTIES:
        halves = t["verdicts"].filter(pl.col("property") == quantity, pl.col("holm_low").is_not_null())
        if halves.height and any(state[2] == quantity for state in states):
            half = max(high - low for low, high in halves.select("holm_low", "holm_high").iter_rows()) / 2
            factor, unit = UNITS[halves["unit"][0]]
            parts.append(f"{rounded([half * factor], half * factor)[0]} {unit} in {PROPERTIES[quantity]}")
    return (
        f"all that was planned is decided; differences below about {listed(parts)} could not have been seen"
        if parts
        else ("nothing was compared")
    )
