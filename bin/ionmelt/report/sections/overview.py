"""The first screen: two sentences of what to use, one table of all models, and what to be careful with."""

from dataclasses import dataclass

import polars as pl

from ionmelt.compare.cost import MOST_START, Hours, dynamics_hours, runs_of, start_weighs
from ionmelt.compare.groups import label, shift_of
from ionmelt.compare.lifetimes import share_interval
from ionmelt.measure.observables import OBSERVABLES
from ionmelt.mistakes import listed
from ionmelt.report.blocks import Advice, Block, Cell, Line, Matrix, Note, Nothing, RowOfModel, Section, StateOfModels
from ionmelt.report.marks import BROKE, MARKS, UNDECIDED, WORSE, Mark, of_model
from ionmelt.report.results import Results
from ionmelt.report.sections.asked import trained_on
from ionmelt.report.sections.recommendation import not_known, recommend, teachers
from ionmelt.report.sections.short import short
from ionmelt.report.words import (
    NAMES,
    UNBROKEN,
    UNITS,
    Row,
    Tables,
    ended,
    has_interval,
    how_it_ended,
    is_the_truth,
    number,
    plus_minus,
    sentence,
    state_name,
    verdict_words,
)

FORCES = "force_rmse"
# The properties that have a column, with the unit in which they are shown
SHOWN = {o.name: o.shown[1].replace(" ", "\u00a0") for o in OBSERVABLES} | {FORCES: UNITS["eV/A"][1]}
READING = (
    "Values with half of their 95 % interval, runs and seeds combined. Models without a number come last, before them those of which a run broke; of the others those "
    "with fewest ▼ come first, then those with most ▲ and ≈, then the cheapest. Core-hours are those of labels, training and one "
    "nanosecond of dynamics, counted once: they have no interval. A nanosecond is told from whole tasks; a dash stands where runs "
    f"were so short that their start took more than {100 * MOST_START:.0f} % of the time of their steps, which would make them look dear."
)
TOO_SHORT = "not told: the runs were too short, their start would count for much of it"


@dataclass(frozen=True)
class State:
    """A liquid at a temperature, with the rows of the tables that are about it, and its truth by property and species (`teachers`)."""

    liquid: str
    temperature_K: float | None
    summary: list[Row]
    verdicts: list[Row]
    runs: pl.DataFrame
    truths: dict[tuple[str, str | None], str]


def states_of(t: Tables) -> list[State]:
    """Return the states that were simulated, else the liquids of the test frames."""
    keys = t["survival"].select("liquid", "temperature_K").unique().sort("liquid", "temperature_K").rows()
    forces = t["summary"].filter(pl.col("property") == FORCES)
    keys = keys or [(liquid, None) for liquid in forces["liquid"].unique().sort()]
    return [state_at(t, liquid, temperature_K) for liquid, temperature_K in keys]


def state_at(t: Tables, liquid: str, temperature_K: float | None) -> State:
    """Return what the tables say of a liquid at a temperature."""
    summary, verdicts = (
        [row for row in t[name].to_dicts() if of_state(row, liquid, temperature_K)] for name in ("summary", "verdicts")
    )
    same = pl.col("temperature_K").eq_missing(pl.lit(temperature_K, pl.Float64))
    truths = {state[2:]: truth for state, truth in teachers(t).items() if state[:2] == (liquid, temperature_K)}
    return State(liquid, temperature_K, summary, verdicts, t["survival"].filter(same, liquid=liquid), truths)


def of_state(row: Row, liquid: str, temperature_K: float | None) -> bool:
    """Tell whether a row is about a state; errors on test frames have no temperature, and may be of all liquids at once."""
    if row["property"] == FORCES:
        return row["liquid"] in (liquid, "all")
    return row["liquid"] == liquid and row["temperature_K"] == temperature_K


def models_of(results: Results) -> list[tuple[str, str | None]]:
    """Return every model that was planned, as (model, dataset), and others that have results."""
    t = results.tables
    pairs = [t[name].select("model", "dataset") for name in ("summary", "survival")]
    if "role" in results.models.columns:
        pairs.insert(0, results.models.filter(pl.col("role") == "model").select("model", "dataset"))
    return pl.concat(pairs, how="vertical_relaxed").unique(maintain_order=True).drop_nulls("model").rows()


def matrix(results: Results) -> Matrix | None:
    """Return the table of all models, None where nothing was simulated and no forces were tested."""
    t = results.tables
    states, pairs = states_of(t), models_of(results)
    if not states or not pairs:
        return None
    measured = measured_of(t)
    properties = [name for name in SHOWN if name in measured]
    unit = {name: words.replace("/", "/\u2060") for name, words in SHOWN.items()}  # no line ends within a unit
    head = [f"{NAMES[name]} ({unit[name]})" for name in properties] + ["Runs completed", "Core-hours to 1 ns"]
    blocks = []
    for state in states:
        rows = [row_of(results, state, pair, properties) for pair in pairs]
        rows.sort(key=lambda row: row.rank)
        title = state_name({"liquid": state.liquid, "temperature_K": state.temperature_K})
        blocks.append(StateOfModels(title, reference_of(state, properties, len(head)), rows))
    return Matrix(["Model", *head], blocks, MARKS)


def measured_of(t: Tables) -> set[str]:
    """Return the properties that any model has a value of."""
    return set(t["summary"].filter(pl.col("value").is_not_null())["property"])


def row_of(results: Results, state: State, pair: tuple[str, str | None], properties: list[str]) -> RowOfModel:
    """Return the row of a model in a state, with what it is sorted by."""
    t, (model, dataset) = results.tables, pair
    key = {"model": model, "dataset": dataset}
    runs = state.runs.filter(
        pl.col("model") == model, pl.col("dataset").eq_missing(pl.lit(dataset, pl.String))
    ).to_dicts()
    cells = [cell_of(state, key, quantity, runs) for quantity in properties]
    timestep_fs = (results.study.get("md") or {}).get("timestep_fs")
    too_short = start_weighs(runs_of(t, model, dataset, state.liquid, state.temperature_K), timestep_fs)
    hours = None if too_short else hours_of(t, state, key)
    marks = [line.mark for cell in cells for line in cell]
    good = sum(mark not in (WORSE, UNDECIDED, BROKE, None) for mark in marks)
    did_break = any(run["end"] not in UNBROKEN for run in runs)
    asked = (results.study.get("md") or {}).get("models")
    no_run = "not asked for: md.models" if asked is not None and model not in asked else ""
    cost = (1, 0.0, 0.0) if hours is None else (0, hours.gpu, hours.core)
    is_known = any(r["value"] is not None for r in state.summary if all(r[c] == x for c, x in key.items()))
    rank = (not is_known, did_break, marks.count(WORSE), -good, cost, results.style.order(key))
    last = [survival(runs, no_run), [Line(price(hours), None, TOO_SHORT * too_short)]]
    return RowOfModel(label(model, dataset), results.style.colour(key), [*cells, *last], rank)


def cell_of(state: State, key: Row, quantity: str, runs: list[Row]) -> Cell:
    """Return what a model gives of a property: a line for each species."""
    rows = [r for r in state.summary if r["property"] == quantity and all(r[c] == x for c, x in key.items())]
    lines = []
    for row in rows:
        others = [r for r in state.summary if r["property"] == quantity and r["species"] == row["species"]]
        if is_the_truth(row, others):
            lines.append(
                Line(
                    plus_minus(row)[0],
                    None,
                    "The truth of this study: it is held against nothing.",
                    row["species"] or "",
                )
            )
            continue
        if quantity == FORCES and plus_minus(row)[0].startswith("<"):
            lines.append(
                Line(plus_minus(row)[0], None, "The method of the labels itself: an error of 0 by construction.")
            )
            continue
        alike = {label(r["model"], r["dataset"]) for r in others if r["reference"] == row["reference"]} | {"reference"}
        verdicts = [
            v
            for v in state.verdicts
            if v["property"] == quantity and v["species"] == row["species"] and {v["model_a"], v["model_b"]} <= alike
        ]
        truth = state.truths.get((quantity, row["species"])) if row["dataset"] is not None else None
        mark, why = judged(row, verdicts, runs, distances(row, others), truth)
        bare = row["value"] is not None and not has_interval(row)
        lines.append(Line(plus_minus(row)[0] + " (no interval)" * bare, mark, why, row["species"] or ""))
    return lines or [Line("–", None, "not measured")]


def distances(row: Row, others: list[Row]) -> dict[str, float]:
    """Return how far the models that are held against the same as one are off it, by their names; an error is that itself."""
    target = row["reference"]
    return {
        label(r["model"], r["dataset"]): r["value"] if target is None else abs(r["value"] + shift_of(r) - target)
        for r in others
        if r["value"] is not None and r["reference"] == target
    }


def judged(
    row: Row, verdicts: list[Row], runs: list[Row], off: dict[str, float], truth: str | None
) -> tuple[Mark, str]:
    """Return the mark of a value of a model, and why it has that one; ``off``: see `distances`; ``truth``: what it is held against once that is converged."""
    broken = [run for run in runs if run["end"] not in UNBROKEN]
    if broken and not row["converged"] and row["property"] != FORCES:
        return BROKE, f"{broken[0]['run_id']}: {how_it_ended(broken[0])}"
    mark, behind = of_model(label(row["model"], row["dataset"]), verdicts, off)
    said = [verdict_words(v) for v in behind[:3]] + ([f"and {len(behind) - 3} more"] if len(behind) > 3 else [])
    if not row["converged"] and mark is UNDECIDED:
        return mark, sentence(f"not converged: {row['reason']}")
    if said:
        return mark, ended("; ".join(said))
    unknown = not_known(truth) if truth is not None else "nothing says which model is right"
    return mark, sentence(unknown if row["reference"] is None else str(row["reason"] or "no verdict"))


def survival(runs: list[Row], no_run: str = "") -> Cell:
    """Return how many of the planned runs of a model reached their end, as a share with its 95 % interval; ``no_run``: why there are none."""
    if not runs:
        return [Line("no run", None, no_run)]
    done = [run["end"] == "completed" for run in runs]
    low, high = share_interval(done, [run["seed"] for run in runs])
    text = f"{sum(done)} of {len(runs)} [{100 * low:.0f}, {100 * high:.0f}] %"
    early = [run for run in runs if run["end"] != "completed"]
    if not early:
        return [Line(text)]
    mark = BROKE if any(run["end"] not in UNBROKEN for run in runs) else UNDECIDED
    return [Line(text, mark, ended(listed([f"{r['run_id']}: {how_it_ended(r)}" for r in early[:3]])))]


def hours_of(t: Tables, state: State, key: Row) -> Hours | None:
    """Return what a model, its labels and one nanosecond of its dynamics took; None where a share of it is not known."""
    dynamics = dynamics_hours(t, key["model"], key["dataset"], state.liquid, state.temperature_K)
    if dynamics is None or key["dataset"] is None:
        return dynamics
    made = t["pareto"].filter(pl.col("model") == key["model"], pl.col("dataset") == key["dataset"])
    made = made.select("labels_core_h", "training_core_h", "training_gpu_h").drop_nulls()
    if not made.height:
        return None
    labels, core, gpu = made.row(0)
    return dynamics.plus(Hours(labels + core, gpu))


def price(hours: Hours | None) -> str:
    """Write core-hours, those of an accelerator before them."""
    if hours is None:
        return "–"
    return (f"{number(hours.gpu, 2)} GPU-h + " if hours.gpu else "") + number(hours.core, 2)


def reference_of(state: State, properties: list[str], columns: int) -> RowOfModel | None:
    """Return the row of what models are held against, measured values or the truth; None where there is nothing."""
    cells: list[Cell] = []
    for quantity in properties:
        held = [r for r in state.summary if r["property"] == quantity and r["reference"] is not None]
        rows = {(r["species"], r["reference_is_truth"]): r for r in held}
        cells.append([reference_line(row, both=len({truth for _, truth in rows}) > 1) for row in rows.values()])
    if not any(cells):
        return None
    empty: list[Cell] = [[]] * (columns - len(properties))
    held = [row for row in state.summary if row["reference"] is not None]
    truths = sorted({str(row["reference_source"]).partition(",")[0] for row in held if row["reference_is_truth"]})
    name = f"truth ({listed(truths)})" if truths else "measured"
    name = f"measured, {name}" if truths and not all(row["reference_is_truth"] for row in held) else name
    return RowOfModel(name, None, cells + empty, ())


def reference_line(row: Row, both: bool) -> Line:
    """Return the reference of a row with half of its 95 % interval, or as it is where that is not known; ``both``: truths and measured values."""
    ends = {"value": row["reference"], "ci95_low": row["reference_low"], "ci95_high": row["reference_high"]}
    text = plus_minus(row | ends)[0] + (", second-hand" if row["reference_second_hand"] else "")
    text += (", the truth" if row["reference_is_truth"] else ", measured") if both else ""
    return Line(text, None, row["reference_source"] or "", row["species"] or "")


def blocks(results: Results) -> list[Block]:
    """Return the recommendation, the table, what is behind them, and what was asked."""
    advice, made = Advice(recommend(results.tables)), matrix(results)
    names = [Note(words)] if (words := trained_on(results.study)) else []
    if made is None:
        return [advice, Nothing("No model was run or tested."), *names, short(results)]
    planned, measured = set(results.tables["summary"]["property"]), measured_of(results.tables)
    empty = [o.noun for o in OBSERVABLES if o.name in planned - measured]
    which = "the section on that property says" if len(empty) == 1 else "the sections on these properties say"
    missing = f" No model has {listed(empty)}: {which} why." if empty else ""
    return [advice, made, *names, Note(READING + missing), short(results)]


SECTION = Section("short", "In short", "In short", blocks, is_folded=False)
