"""Gather the tables of a study, and what its report shows beside them."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from ionmelt import files
from ionmelt.chemical_names import FILE as NAMES
from ionmelt.chemical_names import ChemicalNames
from ionmelt.compare import curves, pareto, rounds
from ionmelt.compare.accounts import account, refuse_without_models
from ionmelt.compare.completion import (
    complete,
    complete_numbers,
    cost_of,
    name_models,
    species_of,
    versions_of,
    with_reference,
)
from ionmelt.compare.forgetting import forgetting
from ionmelt.compare.groups import Row
from ionmelt.compare.judgement import Models, judge
from ionmelt.compare.reading import (
    conform,
    ended_by_the_machine,
    find,
    read_failures,
    read_jsons,
    read_parquets,
    read_plan_csv,
    read_tasks,
    table,
)
from ionmelt.compare.request import Request, request_of
from ionmelt.compare.survival import planned_runs, survival_table, with_start
from ionmelt.compare.truth import labellers
from ionmelt.dataset.calibration import calibrate
from ionmelt.errors import UserError
from ionmelt.measure import view
from ionmelt.measure.observables import MEASUREMENTS, OBSERVABLES
from ionmelt.models.card import NAME, Card
from ionmelt.models.frameworks.classical import FORCE_FIELDS
from ionmelt.report import structures
from ionmelt.report.results import Results
from ionmelt.study import references
from ionmelt.tables.columns import FLAG, MODEL, NUMBER, TEXT, Schema
from ionmelt.tables.comparison import MODELS
from ionmelt.tables.evaluation import FRAME_ERRORS, PARITY
from ionmelt.tables.published import TABLES

Tables = dict[str, pl.DataFrame]


@dataclass(frozen=True)
class Inputs:
    """The folders and files that a comparison is given; what is None or not there counts as empty."""

    plan: Path
    states: Path | None = None
    labels: Path | None = None
    sampling: Path | None = None
    explored: Path | None = None
    rounds: Path | None = None
    dataset: Path | None = None
    test: Path | None = None
    models: Path | None = None
    evaluations: Path | None = None
    runs: Path | None = None
    measures: Path | None = None
    failures: Path | None = None
    tasks: Path | None = None


def gather(inputs: Inputs) -> Results:
    """Return the tables by name, and what the report shows beside them."""
    plan = inputs.plan
    if not (plan / "study.json").is_file():
        raise UserError(f"--plan {plan}: study.json is not there; give the folder that PLAN_STUDY wrote")
    study = files.read_json(plan / "study.json")
    asked = request_of(study)
    labels, estimate = (read_optional(plan / f"{name}.json") for name in ("labels", "estimate"))
    every = read_cards(find(inputs.models, NAME))
    models = models_of(plan, every)
    force_fields = read_optional(plan / FORCE_FIELDS)
    # a card of the labels' own engine is no model of the study
    cards = [with_force_fields(card, force_fields) for card in every if card.role != "labels"]
    delivered = {card.id for card in cards}
    t: Tables = {"references": references.read_plan(plan / "references.csv")}
    t |= of_labels(inputs)
    t |= of_models(inputs, models, cards)
    t |= of_runs(inputs, asked, t, models, delivered)
    t |= of_measures(inputs, asked, t)
    tasks = read_tasks(inputs.tasks)
    t |= {"cost": cost_of(tasks), "versions": versions_of(tasks)}
    account(t, plan)
    truth = next(iter(labellers(study, labels)), None)
    t |= judged(inputs, asked, t, Models(models, asked.models, asked.datasets, truth, asked.margins), cards)
    parity = read_parquets(inputs.evaluations, "parity.parquet", PARITY)
    parity = name_models(parity, models, tuple(MODEL), PARITY | MODEL)
    uncertainty, calibration = calibrate(parity.filter(pl.col("quantity") != "stress"))
    t["uncertainty"] = table([uncertainty], TABLES["uncertainty"])
    return Results(
        tables=t,
        study=study,
        labels=labels,
        estimate=estimate,
        cards=cards,
        warnings=read_warnings(plan),
        parity=parity,
        calibration=calibration,
        models=models,
        cuts=dict(models.select("dataset", "mixture").drop_nulls().iter_rows()),
        delivered=delivered,
        view=view_of(t, inputs.runs),
        structures=structures.read(inputs.test, parity),
        names=ChemicalNames.read(plan / NAMES) if (plan / NAMES).is_file() else ChemicalNames(),
    )


def read_cards(paths: Iterable[Path]) -> list[Card]:
    """Read model cards, in an order that does not depend on where they lie."""
    return sorted(map(Card.read, paths), key=lambda card: json.dumps(card.content(), sort_keys=True))


def with_force_fields(card: Card, force_fields: Row) -> Card:
    """Return a card, that of the classical model with what the plan says of the liquids' force fields."""
    if card.framework != "classical":
        return card
    return card.model_copy(update={"settings": card.settings.model_copy(update=force_fields)})


def read_optional(path: Path) -> Row:
    """Read a JSON file of the plan, empty where the plan has none."""
    return files.read_json(path) if path.is_file() else {}


def read_warnings(plan: Path) -> list[str]:
    """Read the warnings of a plan."""
    path = plan / "warnings.txt"
    lines = path.read_text().splitlines() if path.is_file() else []
    return [line for line in lines if line.strip()]


def models_of(plan: Path, cards: Sequence[Card]) -> pl.DataFrame:
    """Return the models that there should be: those of the plan, and others that have a card; none for the labels alone."""
    rows = read_plan_csv(plan, "models.csv")
    if rows.width:
        rows = rows.with_columns(
            pl.col("dataset", "seed", "^(start|mixture|size|theory|labels_theory)$").replace("", None),
            pl.col("^same_theory$").replace_strict({"true": True, "false": False}, default=None, return_dtype=FLAG),
        )
    carded: list[Row] = [{"key": card.id} | {c: x for c, x in card.content().items() if c in MODELS} for card in cards]
    tables = [conform(rows, MODELS), conform(pl.DataFrame(carded, infer_schema_length=None), MODELS)]
    models = pl.concat([frame.select(list(MODELS)) for frame in tables])
    return models.unique("key", keep="first", maintain_order=True).filter(pl.col("role").ne_missing("labels"))


def of_labels(inputs: Inputs) -> Tables:
    """Return what everything starts from: liquids, sampled frames, walks of committees, labels and the dataset."""
    given = [inputs.dataset] if inputs.dataset is not None and inputs.dataset.is_file() else []
    return {
        "equilibration": read_parquets(inputs.states, "*.equilibration.parquet", TABLES["equilibration"]),
        "power": read_parquets(inputs.states, "power.parquet", TABLES["power"]),
        "labels": read_parquets(inputs.labels, "*.parquet", TABLES["labels"]),
        "sampling": read_parquets(inputs.sampling, "*.parquet", TABLES["sampling"]),
        "exploration": read_parquets(inputs.explored, "*.explored.parquet", TABLES["exploration"]),
        "dataset": table([files.read_tables([path]) for path in given], TABLES["dataset"]),
    }


def of_models(inputs: Inputs, models: pl.DataFrame, cards: Sequence[Card]) -> Tables:
    """Return what trainings and evaluations say of the models."""
    folder = inputs.evaluations
    scan = read_parquets(folder, "scan.parquet", TABLES["scan"])
    dimers = read_parquets(folder, "dimers.parquet", TABLES["dimers"])
    pressures = read_parquets(folder, "pressures.parquet", TABLES["pressures"])
    ranges = read_parquets(folder, "long_range.parquet", TABLES["long_range"])
    learnt = read_parquets(inputs.models, "curve.parquet", TABLES["curves"])
    learnt = name_models(learnt, models, (*MODEL, "framework"), TABLES["curves"])
    heldout = read_parquets(folder, "heldout.parquet", FRAME_ERRORS)
    errors = read_parquets(folder, "errors.parquet", TABLES["errors"])
    losses = {card.id: card.loss for card in cards if card.loss is not None}
    tuned = [card.id for card in cards if card.tuned_from is not None]
    return {
        "errors": errors,
        "scan": name_models(scan, models, tuple(MODEL), TABLES["scan"]),
        "dimers": name_models(dimers, models, tuple(MODEL), TABLES["dimers"]),
        "pressures": name_models(pressures, models, tuple(MODEL), TABLES["pressures"]),
        "long_range": name_models(ranges, models, tuple(MODEL), TABLES["long_range"]),
        "curves": learnt,
        "trainings": table([curves.table(learnt, losses, errors, tuned)], TABLES["trainings"]),
        "forgetting": table([forgetting(heldout, models)], TABLES["forgetting"]),
    }


def of_runs(inputs: Inputs, asked: Request, t: Tables, models: pl.DataFrame, delivered: set[str]) -> Tables:
    """Return how far the runs went, and which models and runs failed; raises `UserError` where every model did."""
    planned = planned_runs(inputs.plan, asked.planned_ps)
    failures = read_failures(inputs.failures, planned)
    lost = ended_by_the_machine(inputs.plan, delivered, set(t["errors"]["model_key"]), failures)
    failures = pl.concat([failures, lost])
    runs = read_jsons(find(inputs.runs, "run.json"))
    seen = read_parquets(inputs.measures, "*.survival.parquet", TABLES["survival"])
    survival = with_start(survival_table(planned, runs, seen, delivered, failures), t["equilibration"])
    refuse_without_models(models, failures, t | {"survival": survival})
    return {"survival": survival, "failures": name_models(failures, models, tuple(MODEL), TABLES["failures"])}


def of_measures(inputs: Inputs, asked: Request, t: Tables) -> Tables:
    """Return what was measured of the runs; a run that should have a number has a row, with the reason where there is none."""
    measured = {}
    for measurement in MEASUREMENTS:
        name = measurement.name
        measured[name] = read_parquets(inputs.measures, f"*.{name}.parquet", TABLES[name])
    for observable in OBSERVABLES:
        name = observable.name
        if observable.phase == "npt" or asked.has_nvt:
            species = species_of(asked.ions, measured[name]) if observable.by_species else None
            measured[name] = complete(name, measured[name], t["survival"], species)
    for measurement in MEASUREMENTS:
        if set(NUMBER) <= set(measurement.columns):
            measured[measurement.name] = complete_numbers(measurement.name, measured[measurement.name], t["survival"])
    measured["density"] = with_reference(measured["density"], t["references"])
    return measured


def judged(inputs: Inputs, asked: Request, t: Tables, models: Models, cards: Sequence[Card]) -> Tables:
    """Return what all of it says of the models: the spread between seeds, verdicts, rounds of active learning, error over cost."""
    frames = read_parquets(inputs.evaluations, "frame_errors.parquet", FRAME_ERRORS)
    names: Schema = {"model": TEXT, "dataset": TEXT}
    frames = name_models(frames, models.frame, tuple(names), FRAME_ERRORS | names)
    judgement = judge(t, t["references"], frames, models)
    earlier = table([files.read_tables([inputs.rounds])] if inputs.rounds else [], TABLES["rounds"])
    every = t | judgement
    judgement["rounds"] = rounds.table(every, asked, rounds.number_of(cards), earlier)
    judgement["pareto"] = table([pareto.table(every, cards, models.truth, asked.timestep_fs)], TABLES["pareto"])
    return judgement


def view_of(t: Tables, runs: Path | None) -> view.View | None:
    """Return the frames of the run that is shown in the report, None where no run left any."""
    folders = {files.read_json(path)["id"]: path.parent for path in find(runs, "run.json")}
    chosen = [folders[key] for key in runs_worth_showing(t["survival"], t["summary"]) if key in folders]
    return next((frames for folder in chosen if (frames := view.read(folder))), None)


def runs_worth_showing(survival: pl.DataFrame, summary: pl.DataFrame) -> list[str]:
    """Return the runs in the order in which they are worth showing.

    Completed ones first, of the model of the lowest force error, else of any, and the longest first.
    """
    forces = summary.filter(pl.col("property") == "force_rmse").sort("value", "model", "dataset")
    ranks = {key: i for i, key in enumerate(forces.select("model", "dataset").iter_rows())}
    rows = survival.filter(pl.col("survived_ps") > 0).to_dicts()
    rows.sort(
        key=lambda r: (
            r["end"] != "completed",
            ranks.get((r["model"], r["dataset"]), len(ranks)),
            -r["survived_ps"],
            r["run_id"],
        )
    )
    return [r["run_id"] for r in rows]
