"""The recommendation: two sentences made from the tables, which never say more than the verdicts do.

The first says which model to use for what, how close it comes and at what cost, or that none can be named. The
second says what could not be decided, and what that would need.

A model is named for a property of a liquid only where its value is converged (every planned run survived and was
measured), there is a reference, it is equivalent to that within the margins of the study or the 95 % interval of the
difference holds 0 (uncorrected: the correction
for many tests makes agreement easier; what holds 0 only with it is said to be undecided), no other model is closer
beyond the error where it is not equivalent, and none of its runs broke in another liquid. The interval that is written is the corrected one. Of those that remain the cheapest is named, the others are said to be as good.
"""

from dataclasses import dataclass

import polars as pl

from ionmelt.compare.errors import lacks
from ionmelt.compare.groups import label, shift_of
from ionmelt.lengths import needed_words
from ionmelt.measure.observables import NAMED, OBSERVABLES
from ionmelt.mistakes import listed
from ionmelt.report.words import (
    UNBROKEN,
    UNITS,
    Row,
    Tables,
    how_it_ended,
    measured,
    number,
    off_by,
    reference_words,
    rounded,
    sentence,
)

State = tuple[str, float | None, str, str | None]  # liquid, temperature, property, species
Verdicts = dict[frozenset[str], Row]  # of one state, by the names of the two

EXACT = 1e-6  # eV/A: an error below it is that of the method of the labels itself
MOST = 3  # parts of one sentence; the others are counted
STATE = ("liquid", "temperature_K", "property", "species")
PROPERTIES = {observable.name: observable.words for observable in OBSERVABLES}
UNKNOWN = "without a reference that says which model is right"
LOSER = {"a": "model_b", "b": "model_a"}  # the column of the other one, by the verdict


def recommend(t: Tables) -> tuple[str, str]:
    """Return the two sentences from the tables summary, verdicts, pareto and survival."""
    states, broken = states_of(t["summary"]), breakages(t["survival"])
    named: list[str] = []  # states with a model to use
    none: list[str] = []  # states where no model fits
    for state, rows in states.items():
        good = [r for r in rows if r["converged"]]
        if good and good[0]["reference"] is not None:
            words, fits = choice(Choice(good, verdicts_of(t, state), t["pareto"], broken))
            (named if fits else none).append(f"for {about({state[2]: [good[0]]}, where(rows[0]))} {words}")
    return sentence(first(named, none, states, t)), sentence(second(undecided(states), broken, states, t))


def states_of(summary: pl.DataFrame) -> dict[State, list[Row]]:
    """Return the rows of properties of the liquid by state, property and species."""
    rank = {quantity: i for i, quantity in enumerate(PROPERTIES)}
    judged = summary.filter(pl.col("property").is_in(list(PROPERTIES))).to_dicts()
    states: dict[State, list[Row]] = {}
    for row in sorted(judged, key=lambda r: (rank[r["property"]], r["liquid"])):
        state = row["liquid"], row["temperature_K"], row["property"], row["species"]
        states.setdefault(state, []).append(row)
    return {state: held_against(rows) for state, rows in states.items()}


def held_against(rows: list[Row]) -> list[Row]:
    """Return the rows of a state without the truth of the study, which is held against nothing: all where there is no truth."""
    has_truth = any(row["reference_is_truth"] for row in rows)
    return [row for row in rows if not has_truth or row["reference"] is not None]


def undecided(states: dict[State, list[Row]]) -> dict[str, list[str]]:
    """Return what is not decided, by the reason: properties of a liquid, with the models where it is some of several."""
    why: dict[str, dict[tuple[str, str], dict[str, list[Row]]]] = {}  # reason: (liquid, models): property: rows
    for state, rows in states.items():
        good, poor = ([r for r in rows if bool(r["converged"]) is converged] for converged in (True, False))
        liquid = where(rows[0])
        if poor:
            who = f" by {listed([name(r) for r in poor])}" if good else ""
            why.setdefault("not converged", {}).setdefault((liquid, who), {}).setdefault(state[2], []).extend(poor)
        if good and good[0]["reference"] is None:
            row = good[0] | {"needed_ps": None}
            why.setdefault(UNKNOWN, {}).setdefault((liquid, ""), {}).setdefault(state[2], []).append(row)
    return {reason: [about(what, liquid) + who for (liquid, who), what in of.items()] for reason, of in why.items()}


def first(named: list[str], none: list[str], states: dict[State, list[Row]], t: Tables) -> str:
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
    open_ones: dict[str, list[str]], broken: dict[str, tuple[str, str]], states: dict[State, list[Row]], t: Tables
) -> str:
    """Return what is not decided and what it needs; where all is, how small a difference could be seen."""
    clauses = []
    for why, what in open_ones.items():
        more = len(what) - MOST
        clauses.append(listed(what[:MOST] + ([f"{more} more"] if more > 0 else [])) + f" ({why})")
    if broken:
        words = [f"{m} ({share}{'' if len(broken) > MOST else ' broke, ' + how})" for m, (share, how) in broken.items()]
        clauses.append(f"not to be used before it is known why they broke: {listed(words)}")
    if clauses:
        return "Not decided: " + shortened(clauses) if open_ones else shortened(clauses)
    return resolution(t, states)


def shortened(clauses: list[str]) -> str:
    """Join parts of a sentence; of too many the last are counted."""
    more = len(clauses) - MOST
    return "; ".join(clauses[:MOST]) + (f"; and {more} more in the tables" if more > 0 else "")


def name(row: Row) -> str:
    """Return the model's name with its dataset."""
    return label(row["model"], row["dataset"])


def where(row: Row) -> str:
    """Name liquid and temperature of a row in running words."""
    return str(row["liquid"]) + (f" at {row['temperature_K']:g}\u00a0K" if row["temperature_K"] is not None else "")


def about(properties: dict[str, list[Row]], liquid: str) -> str:
    """Name properties of a liquid in running words, of some the species, and how long runs would have to be."""
    named = []
    for quantity, rows in properties.items():
        ions = listed(list(dict.fromkeys(r["species"] for r in rows if r["species"])))
        longest = max((r["needed_ps"] for r in rows if not r["converged"] and r["needed_ps"] is not None), default=None)
        need = "" if longest is None else f" (needs runs of {needed_words(longest, NAMED[quantity].phase)})"
        named.append(PROPERTIES[quantity] + (f" of {ions}" if ions else "") + need)
    species = any(r["species"] for rows in properties.values() for r in rows)
    return f"{listed(named)}{' in ' if species else ' of '}{liquid}"


def verdicts_of(t: Tables, state: State) -> Verdicts:
    """Return the verdicts of one state by the two that they are about."""
    rows = [v for v in t["verdicts"].to_dicts() if tuple(v[c] for c in STATE) == state]
    return {frozenset((v["model_a"], v["model_b"])): v for v in rows}


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


@dataclass(frozen=True)
class Choice:
    """The models that are converged in one state, with what a choice between them rests on."""

    good: list[Row]
    verdicts: Verdicts
    pareto: pl.DataFrame
    broken: dict[str, tuple[str, str]]

    def verdict(self, row: Row) -> Row | None:
        """Return the verdict on a model and the reference."""
        return self.verdicts.get(frozenset((name(row), "reference")))

    @property
    def agree(self) -> list[Row]:
        """The models that agree with the reference: the interval holds 0, or lies within the margins of the study."""
        return [r for r in self.good if holds_zero(self.verdict(r)) or self.is_equivalent(r)]

    def is_equivalent(self, row: Row) -> bool:
        """Tell whether a model is within the margins of the reference, so that who is closer still does not matter."""
        v = self.verdict(row)
        return v is not None and v["verdict"] == "equivalent"

    @property
    def fits(self) -> list[Row]:
        """Of these the ones than which none is closer, or which are equivalent, and of which no run broke."""
        losers = {v[LOSER[v["verdict"]]] for v in self.verdicts.values() if v["verdict"] in LOSER}
        unbroken = [r for r in self.agree if name(r) not in self.broken]
        return [r for r in unbroken if name(r) not in losers or self.is_equivalent(r)]

    @property
    def reference(self) -> str:
        """The reference in words."""
        kind = (
            "second-hand"
            if self.good[0]["reference_second_hand"]
            else "the truth"
            if self.good[0]["reference_is_truth"]
            else ""
        )
        return reference_words(self.good[0]) + (kind and f", {kind}")


def choice(of: Choice) -> tuple[str, bool]:
    """Return what to use in one state and True, or why no model fits and False."""
    return (use(of), True) if of.fits else (why_none(of), False)


def why_none(of: Choice) -> str:
    """Say why no model can be named."""
    if of.agree:
        why = [
            f"{name(r)} broke elsewhere" if name(r) in of.broken else f"another is closer than {name(r)}"
            for r in of.agree
        ]
        return f"no model can be named ({listed(why)})"
    nearest = min(of.good, key=lambda r: abs(r["value"] + shift_of(r) - r["reference"]))
    v = of.verdict(nearest)
    off = f", {off_by(v, nearest)}" if v else ""
    if any(holds_zero(of.verdict(r), "holm") for r in of.good):
        many = "which the correction for many tests leaves undecided"
        return f"no model can be named (the nearest to {of.reference} is {name(nearest)}{off}, {many})"
    return f"no model agrees with the reference ({of.reference}); the nearest is {name(nearest)}{off}"


def use(of: Choice) -> str:
    """Name the cheapest of the models that fit, how close it comes, what it costs and which are as good."""
    prices = {name(r): price(of.pareto, r) for r in of.fits}
    priced = [r for r in of.fits if prices[name(r)] is not None]
    chosen = min(priced, key=lambda r: prices[name(r)] or (0.0, 0.0)) if priced else of.fits[0]
    words = f"use {name(chosen)}" + (" (no learned model is needed)" if chosen["framework"] == "classical" else "")
    words += f": {measured(chosen)} against {of.reference}"
    if v := of.verdict(chosen):
        words += f" ({off_by(v, chosen)})"
    if hours := prices[name(chosen)]:
        words += f", at {spoken(hours)} for labels, training and one nanosecond of dynamics"
    if level := [name(r) for r in of.fits if r is not chosen]:
        apart, alike = "cannot be told apart", "not told apart from"
        if any(map(of.is_equivalent, of.fits)):
            apart, alike = "is within the margins of the reference", "as is"
        cheapest = len(priced) == len(of.fits)
        words += (f", the cheapest of what {apart}, with " if cheapest else f", {alike} ") + listed(level)
    return words


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
    clauses = [f"{number(gpu, 2)} GPU-hours"] if gpu else []
    return listed([*clauses, f"{number(core, 2)} core-hours"] if core or not clauses else clauses)


def best_forces(t: Tables) -> str | None:
    """Say which trained model has the lowest force error, whether that is decided, and which did not answer everything."""
    models = t["summary"].filter(pl.col("property") == "force_rmse")
    trained = models.filter(pl.col("dataset").is_not_null())
    ranked = trained.filter(pl.col("converged")).sort("value", "model", "dataset").to_dicts()
    if not ranked:
        return None
    best = ranked[0]
    verdicts = t["verdicts"].filter(pl.col("property") == "force_rmse", pl.col("liquid") == best["liquid"]).to_dicts()
    caveats = caveats_of_forces(best, models, verdicts)
    rest = [name(r) for r in ranked[1:] if r["liquid"] == best["liquid"]]
    if not rest:
        return f"{name(best)} follows the labels' forces to {measured(best)}{caveats}"
    decided = {frozenset((v["model_a"], v["model_b"])): v["verdict"] for v in verdicts}
    against = {other: decided.get(frozenset((name(best), other))) for other in rest}
    level = [other for other, verdict in against.items() if verdict in ("equivalent", "not distinguishable")]
    open_ones = [other for other, verdict in against.items() if verdict not in ("a", "b", None) and other not in level]
    unseen = [other for other, verdict in against.items() if verdict is None]
    but = f", not told apart from {listed(level)}" if level else ""
    but += f", without a verdict against {listed(open_ones)}" if open_ones else ""
    but += f", not compared with {listed(unseen)}" if unseen else ""
    return f"of the trained models {name(best)} follows the labels' forces best ({measured(best)}{but}{caveats})"


def caveats_of_forces(best: Row, models: pl.DataFrame, verdicts: list[Row]) -> str:
    """Say which models were not counted, which untrained ones come closer than the best trained one, and what one seed leaves open."""
    trained = models.filter(pl.col("dataset").is_not_null()).sort("model", "dataset").to_dicts()
    poor = [name(r) for r in trained if lacks(r)]
    words = f", not counting {listed(poor)}, which did not answer the whole test" if poor else ""
    # not the method of the labels itself, whose error is 0 by construction
    untrained = models.filter(pl.col("dataset").is_null(), pl.col("value") > EXACT).to_dicts()
    mine = [v for v in verdicts if name(best) in (v["model_a"], v["model_b"])]
    won = {v[f"model_{v['verdict']}"] for v in mine if v["verdict"] in ("a", "b")}
    closer = sorted(won & {name(r) for r in untrained})
    words += f", though {listed(closer)} without training comes closer" if closer else ""
    return words + (", one training seed" if best["runs"] == 1 else "")


def resolution(t: Tables, states: dict[State, list[Row]]) -> str:
    """Say how small a difference the data could see."""
    clauses = []
    for quantity in PROPERTIES:
        halves = t["verdicts"].filter(pl.col("property") == quantity, pl.col("holm_low").is_not_null())
        if halves.height and any(state[2] == quantity for state in states):
            half = max(high - low for low, high in halves.select("holm_low", "holm_high").iter_rows()) / 2
            factor, unit = UNITS[halves["unit"][0]]
            clauses.append(f"{rounded([half * factor], half * factor)[0]} {unit} in {PROPERTIES[quantity]}")
    return (
        f"all that was planned is decided; differences below about {listed(clauses)} could not have been seen"
        if clauses
        else ("nothing was compared")
    )
