"""The recommendation: two sentences made from the tables, which never say more than the verdicts do.

The first says which model to use for what, at what cost, or that none can be named. The second says what could not be decided,
and what that would need. Each has some forty words: what makes a model fit is in `choice`, and how close it comes, with all that the
sentences have no room for, in `how_close` and `not_decided`.
"""

from collections.abc import Sequence
from itertools import groupby

import polars as pl

from ionmelt.compare.curves import undertrained
from ionmelt.compare.errors import lacks
from ionmelt.compare.groups import held_alike, label
from ionmelt.lengths import needed_words
from ionmelt.measure.observables import NAMED, OBSERVABLES
from ionmelt.mistakes import listed
from ionmelt.report.sections.choice import STATE, Choice, State, grounds, name, price, spoken, verdicts_of
from ionmelt.report.words import (
    CORRECTED,
    UNBROKEN,
    UNITS,
    Row,
    Tables,
    counted_verdicts,
    how_it_ended,
    is_lost_to_correction,
    measured,
    narrowed,
    rounded,
    sentence,
)

Part = tuple[str, str, str]  # of a sentence: its head, what it is about, and its tail

EXACT = 1e-6  # eV/A: an error below it is that of the method of the labels itself
MOST_WORDS = 45  # of a sentence
MOST = 3  # names in a sentence; of more the number is said
PROPERTIES = {observable.name: observable.words for observable in OBSERVABLES}
UNKNOWN = "without a reference that says which model is right"
ALONE = "which alone is no verdict on the liquid"
OPEN = ("not distinguishable", "design cannot decide")  # verdicts that decide nothing


def recommend(t: Tables) -> tuple[str, str]:
    """Return the two sentences from the tables summary, verdicts, trainings, pareto and survival."""
    states, broken = states_of(t["summary"]), breakages(t["survival"])
    open_ones = undecided(states, teachers(t))
    return sentence(first(choices_of(t), states, t)), sentence(second(open_ones, broken, states, t))


def teachers(t: Tables) -> dict[State, str]:
    """Return the truth of the study in each state where it was run, converged or not."""
    rows = t["distillation"].to_dicts() if "distillation" in t else []
    return {tuple(row[column] for column in STATE): row["teacher"] for row in rows}


def choices_of(t: Tables) -> dict[State, Choice]:
    """Return what there is to choose from in each state that has converged values and a reference."""
    broken, short = breakages(t["survival"]), too_short(t)
    good = {
        state: [r for r in rows if r["converged"] and r["reference"] is not None]
        for state, rows in states_of(t["summary"]).items()
    }
    return {
        state: Choice(rows, verdicts_of(t, state), t["pareto"], broken, short) for state, rows in good.items() if rows
    }


def too_short(t: Tables) -> frozenset[str]:
    """Return the names of the models with a training that was too short."""
    return frozenset(label(model, dataset) for model, dataset in undertrained(t["trainings"]))


def states_of(summary: pl.DataFrame) -> dict[State, list[Row]]:
    """Return the rows of properties of the liquid by state, property and species."""
    rank = {quantity: i for i, quantity in enumerate(PROPERTIES)}
    judged = summary.filter(pl.col("property").is_in(list(PROPERTIES))).to_dicts()
    states: dict[State, list[Row]] = {}
    for row in sorted(judged, key=lambda r: (rank[r["property"]], r["liquid"])):
        state = row["liquid"], row["temperature_K"], row["property"], row["species"]
        states.setdefault(state, []).append(row)
    return {state: held_alike(rows) for state, rows in states.items()}


def undecided(states: dict[State, list[Row]], truths: dict[State, str], most: int = MOST) -> dict[str, list[str]]:
    """Return what is not decided, by the reason: properties of a liquid, with the models where it is some of several, of more than ``most`` their number.

    ``truths``: see `teachers`.
    """
    why: dict[str, dict[tuple[str, str], dict[str, list[Row]]]] = {}  # reason: (liquid, models): property: rows
    for state, rows in states.items():
        good, poor = ([r for r in rows if bool(r["converged"]) is converged] for converged in (True, False))
        liquid = where(rows[0])
        if poor:
            who = by_whom(poor, rows, most) if good else ""
            why.setdefault("not converged", {}).setdefault((liquid, who), {}).setdefault(state[2], []).extend(poor)
        unknown = [r | {"needed_ps": None} for r in good if r["reference"] is None]
        waiting = [r for r in unknown if state in truths and r["dataset"] is not None]
        for reason, some in (
            (UNKNOWN, [r for r in unknown if r not in waiting]),
            (not_known(truths.get(state, "")), waiting),
        ):
            if some:
                who = by_whom(some, rows, most) if len(some) < len(good) else ""
                why.setdefault(reason, {}).setdefault((liquid, who), {}).setdefault(state[2], []).append(some[0])
    return {reason: [about(what, liquid) + who for (liquid, who), what in of.items()] for reason, of in why.items()}


def not_known(truth: str) -> str:
    """Say that what models are held against was run, and is not known yet."""
    return f"the truth, {truth}, is not converged"


def by_whom(some: list[Row], every: list[Row], most: int) -> str:
    """Name some of all models in running words, or count them where they are more than ``most``."""
    names = listed([name(r) for r in some]) if len(some) <= most else f"{len(some)} of {len(every)} models"
    return f" by {names}"


def first(choices: dict[State, Choice], states: dict[State, list[Row]], t: Tables) -> str:
    """Return what to use, or why nothing can be named."""
    if choices:
        return joined([*uses(choices), *not_named(choices)])
    if not states:
        why = "no model can be recommended, since no dynamics was planned"
    elif good := [(state, r) for state, rows in states.items() for r in rows if r["converged"]]:
        truths = teachers(t)
        waiting = sorted({truths[state] for state, r in good if state in truths and r["dataset"] is not None})
        why = "no model can be recommended, since no reference says which is right"
        if waiting:
            why = f"no model can be recommended yet, since {not_known(listed(waiting))}"
    else:
        why = "no model can be recommended yet, since nothing that was measured on the liquid is converged"
    forces = best_forces(t)
    both = f"{why}; {forces}, {ALONE}"
    return both if forces and len(both.split()) <= MOST_WORDS else why


def uses(choices: dict[State, Choice]) -> list[Part]:
    """Return for what which model is to be used, at what cost, and which weights alone that is about: all properties of a liquid at once.

    That no difference from the reference was found is no agreement, and is said; within the margins nothing is.
    """
    # model: (liquid, price, how it stands to the reference): property: rows
    asked: dict[str, dict[tuple[str, str, str], dict[str, list[Row]]]] = {}
    for state, of in choices.items():
        if (chosen := of.chosen) is not None:
            hours = price(of.pareto, chosen)
            verdict = of.verdict(chosen)
            brackets = [f"{spoken(hours)} to 1 ns"] if hours else []
            brackets += [words] if verdict is not None and (words := narrowed(verdict)) else []
            tail = "" if of.is_equivalent(chosen) else f", not told from the {of.kind}"
            key = where(chosen), f" ({'; '.join(brackets)})" if brackets else "", tail
            model = name(chosen) + (" (no learned model is needed)" if chosen["framework"] == "classical" else "")
            asked.setdefault(model, {}).setdefault(key, {}).setdefault(state[2], []).append(chosen)
    return [
        (f"use {model} for ", about(properties, liquid) + brackets, tail)
        for model, of_model in asked.items()
        for (liquid, brackets, tail), properties in of_model.items()
    ]


def not_named(choices: dict[State, Choice]) -> list[Part]:
    """Return for what no model can be named though there is a reference: all properties of a liquid at once."""
    none: dict[str, dict[str, list[Row]]] = {}
    for state, of in choices.items():
        if of.chosen is None:
            none.setdefault(where(of.good[0]), {}).setdefault(state[2], []).append(of.good[0])
    return [("no model can be named for ", about(properties, liquid), "") for liquid, properties in none.items()]


def second(
    open_ones: dict[str, list[str]], broken: dict[str, tuple[str, str]], states: dict[State, list[Row]], t: Tables
) -> str:
    """Return what is not decided and what it needs; where all is, how small a difference could be seen."""
    parts = [("", what, f" ({why})") for why, of in open_ones.items() for what in of]
    models = [f"{model} ({share} broke)" for model, (share, _) in broken.items()]
    models = models[:MOST] + ([f"{len(models) - MOST} more"] if len(models) > MOST else [])
    warning = f"not to be used before it is known why they broke: {listed(models)}" if broken else ""
    if parts:
        head = "Not decided: "
        rest = joined(parts, MOST_WORDS - len((head + warning).split()))
        return "; ".join(filter(None, (head + rest, warning)))
    return warning or resolution(t, states)


def joined(parts: Sequence[Part], most_words: int = MOST_WORDS) -> str:
    """Join parts of a sentence; those in a row that have the same head and tail share it. What is beyond so many words is counted."""

    def text(told: int) -> str:
        alike = groupby(parts[:told], key=lambda one: (one[0], one[2]))
        words = "; ".join(f"{head}{listed([what for _, what, _ in of])}{tail}" for (head, tail), of in alike)
        return words + (f"; and {len(parts) - told} more in the report" if told < len(parts) else "")

    return text(max((n for n in range(1, len(parts) + 1) if len(text(n).split()) <= most_words), default=1))


def how_close(t: Tables) -> list[str]:
    """Say of each property that has a reference how close the model that is named comes, or why none is; without one who knows the forces best."""
    choices = choices_of(t)
    if not choices:
        forces = best_forces(t)
        return [sentence(f"{forces}, {ALONE}")] if forces else []
    return [
        sentence(f"{about({state[2]: [of.good[0]]}, where(of.good[0]))}, {grounds(of)}")
        for state, of in choices.items()
    ]


def not_decided(t: Tables) -> list[str]:
    """Say all that is not decided, by the reason, how many verdicts decide nothing, and how the first run of each model broke."""
    open_ones = undecided(states_of(t["summary"]), teachers(t), most=len(t["summary"]))
    lines = [sentence(f"{why}: {'; '.join(what)}") for why, what in open_ones.items()]
    verdicts = t["verdicts"].filter(pl.col("property").is_in(list(PROPERTIES)))
    for verdict in OPEN:
        what = []
        for _, of_state in verdicts.group_by(STATE, maintain_order=True):
            if count := of_state.filter(verdict=verdict).height:
                row = of_state.row(0, named=True) | {"converged": True}
                what.append(f"{count} of {of_state.height} in {about({row['property']: [row]}, where(row))}")
        lines += [sentence(f"{verdict}: {'; '.join(what)}")] if what else []
    return lines + [f"{model}: {share} broke, {how}." for model, (share, how) in breakages(t["survival"]).items()]


def where(row: Row) -> str:
    """Name liquid and temperature of a row in running words."""
    return str(row["liquid"]) + (f" at {row['temperature_K']:g}\u00a0K" if row["temperature_K"] is not None else "")


def about(properties: dict[str, list[Row]], liquid: str) -> str:
    """Name properties of a liquid in running words, of some the species, and how long runs would have to be."""
    named = []
    for quantity, rows in properties.items():
        ions = listed(list(dict.fromkeys(r["species"] for r in rows if r["species"])))
        longest = max((r["needed_ps"] for r in rows if not r["converged"] and r["needed_ps"] is not None), default=None)
        need = (
            "" if longest is None else f" (needs runs of {needed_words(longest, NAMED[quantity].phase, at_least=True)})"
        )
        named.append(PROPERTIES[quantity] + (f" of {ions}" if ions else "") + need)
    species = any(r["species"] for rows in properties.values() for r in rows)
    return f"{listed(named)}{' in ' if species else ' of '}{liquid}"


def breakages(survival: pl.DataFrame) -> dict[str, tuple[str, str]]:
    """Return, for each model with a run that broke, how many of how many did, and how the first one ended."""
    broken: dict[str, tuple[str, str]] = {}
    runs: dict[str, list[Row]] = {}
    for run in survival.sort("run_id").to_dicts():
        runs.setdefault(name(run), []).append(run)
    for model, every in sorted(runs.items()):
        bad = [r for r in every if r["end"] not in UNBROKEN]
        if bad:
            how = f"first {bad[0]['run_id']}: {how_it_ended(bad[0])}"
            broken[model] = f"{len(bad)} of {len(every)} runs", how
    return broken


def best_forces(t: Tables) -> str | None:
    """Say which trained model has the lowest force error, whether that is decided, and which did not answer everything."""
    models = t["summary"].filter(pl.col("property") == "force_rmse")
    trained = models.filter(pl.col("dataset").is_not_null(), pl.col("converged")).sort("value", "model", "dataset")
    short = too_short(t)
    ranked = [r for r in trained.to_dicts() if name(r) not in short]
    if not ranked:
        return None
    best = ranked[0]
    verdicts = t["verdicts"].filter(pl.col("property") == "force_rmse", pl.col("liquid") == best["liquid"]).to_dicts()
    caveats = caveats_of_forces(best, models, verdicts, short)
    rest = [name(r) for r in ranked[1:] if r["liquid"] == best["liquid"]]
    if not rest:
        return f"{name(best)} follows the labels' forces to {measured(best)}{caveats}"
    decided = {
        frozenset((v["model_a"], v["model_b"])): CORRECTED if is_lost_to_correction(v) else v["verdict"]
        for v in verdicts
    }
    against = {other: decided.get(frozenset((name(best), other))) for other in rest}
    level = [other for other, verdict in against.items() if verdict in ("equivalent", "not distinguishable")]
    lost = [other for other, verdict in against.items() if verdict == CORRECTED]
    unopen = ("a", "b", None, "equivalent", "not distinguishable", CORRECTED)
    open_ones = [other for other, verdict in against.items() if verdict not in unopen]
    unseen = [other for other, verdict in against.items() if verdict is None]
    but = f", not told apart from {listed(level)}" if level else ""
    but += f", {CORRECTED} not told apart from {listed(lost)}" if lost else ""
    but += f", without a verdict against {listed(open_ones)}" if open_ones else ""
    but += f", not compared with {listed(unseen)}" if unseen else ""
    return f"of the trained models {name(best)} follows the labels' forces best ({measured(best)}{but}{caveats})"


def caveats_of_forces(best: Row, models: pl.DataFrame, verdicts: list[Row], short: frozenset[str]) -> str:
    """Say which models were not counted, which untrained ones come closer than the best trained one, and what one seed leaves open."""
    trained = models.filter(pl.col("dataset").is_not_null()).sort("model", "dataset").to_dicts()
    poor = [name(r) for r in trained if lacks(r)]
    words = f", not counting {listed(poor)}, which did not answer the whole test" if poor else ""
    words += (
        f", not counting {listed(left)}, undertrained"
        if (left := [n for n in map(name, trained) if n in short])
        else ""
    )
    # not the method of the labels itself, whose error is 0 by construction
    untrained = models.filter(pl.col("dataset").is_null(), pl.col("value") > EXACT).to_dicts()
    mine = [v for v in verdicts if name(best) in (v["model_a"], v["model_b"])]
    won = {v[f"model_{v['verdict']}"] for v in mine if v["verdict"] in ("a", "b")}
    closer = sorted(won & {name(r) for r in untrained})
    words += f", though {listed(closer)} without training comes closer" if closer else ""
    return words + (", one training seed" if best["runs"] == 1 else "")


def resolution(t: Tables, states: dict[State, list[Row]]) -> str:
    """Say how many verdicts decide nothing, and how small a difference the data could see."""
    verdicts = t["verdicts"].filter(pl.col("property").is_in(list(PROPERTIES)))
    open_ones = verdicts.filter(pl.col("verdict").is_in(OPEN))
    counted = f"not decided: {open_ones.height} of {verdicts.height} comparisons ({counted_verdicts(open_ones)})"
    decided = counted if open_ones.height else "all that was planned is decided" if verdicts.height else ""
    clauses = []
    for quantity in PROPERTIES:
        halves = t["verdicts"].filter(pl.col("property") == quantity, pl.col("holm_low").is_not_null())
        if halves.height and any(state[2] == quantity for state in states):
            half = max(high - low for low, high in halves.select("holm_low", "holm_high").iter_rows()) / 2
            factor, unit = UNITS[halves["unit"][0]]
            clauses.append(f"{rounded([half * factor], half * factor)[0]} {unit} in {PROPERTIES[quantity]}")
    seen = f"differences below about {listed(clauses)} could not have been seen" if clauses else ""
    return "; ".join(filter(None, (decided, seen))) or "nothing was compared"
