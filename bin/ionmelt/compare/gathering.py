"""Gather the tables of a study, and what its report shows beside them."""

import argparse
import json
from pathlib import Path
from typing import Any

import polars as pl

from ionmelt import errors as errors_module
from ionmelt import files
from ionmelt.compare import curves as compare_curves
from ionmelt.compare import forgetting, pareto, rounds, seeds
from ionmelt.compare.completion import (
    account,
    complete,
    cost_and_versions,
    name_models,
    planned_runs,
    refuse_without_models,
    species_of,
    survival_table,
    with_reference,
    with_start,
)
from ionmelt.compare.judgement import Models, judge
from ionmelt.compare.reading import (
    conform,
    find,
    read_failures,
    read_jsons,
    read_parquets,
    read_plan_csv,
    read_tasks,
    table,
)
from ionmelt.compare.truth import labellers
from ionmelt.dataset import calibration as dataset_calibration
from ionmelt.measure.observables import MEASUREMENTS, OBSERVABLES
from ionmelt.report import picture as report_picture
from ionmelt.study import references as study_references
from ionmelt.tables import comparison, evaluation
from ionmelt.tables.columns import FLAG, TEXT, WHOLE
from ionmelt.tables.published import TABLES

# --- All together ---


def gather(args: argparse.Namespace) -> tuple[dict[str, pl.DataFrame], dict[str, Any]]:
    """Return the tables by name, and what the report shows beside them."""
    plan: Path = args.plan
    if not (plan / "study.json").is_file():
        raise errors_module.UserError(f"--plan {plan}: study.json is not there; give the folder that PLAN_STUDY wrote")
    study = files.read_json(plan / "study.json")
    cards = sorted(read_jsons(find(args.models, "model.json")), key=lambda c: json.dumps(c, sort_keys=True))
    planned_models = conform(
        read_plan_csv(plan, "models.csv").with_columns(
            pl.col("dataset", "seed", "^(start|mixture|size|theory|labels_theory)$").replace("", None),
            pl.col("^same_theory$").replace_strict({"true": True, "false": False}, default=None, return_dtype=FLAG),
        )
        if (plan / "models.csv").is_file()
        else pl.DataFrame(),
        comparison.MODELS,
    )
    carded = [{c: card.get(c) for c in comparison.MODELS} | {"key": card["id"]} for card in cards]
    carded_models = conform(pl.DataFrame(carded, infer_schema_length=None), comparison.MODELS)
    named = list(comparison.MODELS)
    models = pl.concat([planned_models.select(named), carded_models.select(named)])
    models = models.unique("key", keep="first", maintain_order=True).filter(pl.col("role").ne_missing("labels"))
    cards = [card for card in cards if card.get("role") != "labels"]  # it stands for no model
    planned = planned_runs(plan, study)
    delivered = {card["id"] for card in cards}
    references = study_references.read_plan(plan / "references.csv")

    t: dict[str, pl.DataFrame] = {"references": references}
    t["equilibration"] = read_parquets(args.states, "*.equilibration.parquet", TABLES["equilibration"])
    t["labels"] = read_parquets(args.labels, "*.parquet", TABLES["labels"])
    t["sampling"] = read_parquets(args.sampling, "*.parquet", TABLES["sampling"])
    is_dataset = args.dataset is not None and args.dataset.is_file()
    t["dataset"] = table([files.read_tables([args.dataset])] if is_dataset else [], TABLES["dataset"])
    t["errors"] = read_parquets(args.evaluations, "errors.parquet", TABLES["errors"])
    scan = read_parquets(args.evaluations, "scan.parquet", TABLES["scan"])
    t["scan"] = name_models(scan, models, ("model", "dataset", "seed"), TABLES["scan"])
    curves = read_parquets(args.models, "curve.parquet", TABLES["curves"])
    t["curves"] = name_models(curves, models, ("model", "dataset", "seed", "framework"), TABLES["curves"])
    losses = {card["id"]: card.get("loss") or {} for card in cards}
    t["trainings"] = table([compare_curves.table(t["curves"], losses)], TABLES["trainings"])
    measured = read_parquets(args.measures, "*.survival.parquet", TABLES["survival"])
    failures = read_failures(args.failures, planned)
    runs = read_jsons(find(args.runs, "run.json"))
    survival = survival_table(planned, runs, measured, delivered, failures)
    t["survival"] = with_start(survival, t["equilibration"])
    refuse_without_models(models, failures, t)
    failed = table([pl.DataFrame(failures, schema_overrides={"run_id": TEXT})] if failures else [], TABLES["failures"])
    t["failures"] = name_models(failed, models, ("model", "dataset", "seed"), TABLES["failures"])
    for name in (measurement.name for measurement in MEASUREMENTS):
        t[name] = read_parquets(args.measures, f"*.{name}.parquet", TABLES[name])
    for observable in OBSERVABLES:
        name = observable.name
        if observable.phase == "npt" or (study.get("md") or {}).get("nvt_ps", 1) != 0:
            species = species_of(study, t[name]) if observable.by_species else None
            t[name] = complete(name, t[name], t["survival"], species)
    t["density"] = with_reference(t["density"], references)
    dimers = read_parquets(args.evaluations, "dimers.parquet", TABLES["dimers"])
    t["dimers"] = name_models(dimers, models, ("model", "dataset", "seed"), TABLES["dimers"])
    t["committee"] = table([seeds.committee(t)], TABLES["committee"])
    heldout = read_parquets(args.evaluations, "heldout.parquet", evaluation.FRAME_ERRORS)
    t["forgetting"] = table([forgetting.forgetting(heldout, models)], TABLES["forgetting"])
    t["cost"], t["versions"] = cost_and_versions(read_tasks(args.tasks))
    t["exploration"] = read_parquets(args.explored, "*.explored.parquet", TABLES["exploration"])
    account(t, plan)
    optional = {
        name: files.read_json(p) if (p := plan / f"{name}.json").is_file() else {} for name in ("labels", "estimate")
    }
    truths = labellers(study, optional["labels"])
    frames = read_parquets(args.evaluations, "frame_errors.parquet", evaluation.FRAME_ERRORS)
    frames = name_models(
        frames, models, ("model", "dataset"), evaluation.FRAME_ERRORS | {"model": TEXT, "dataset": TEXT}
    )
    named_models = Models(
        models, [m["id"] for m in study.get("models", [])], study.get("datasets") or {}, truths[0] if truths else None
    )
    t |= judge(t, references, frames, named_models)
    earlier = table([files.read_tables([args.rounds])] if args.rounds else [], TABLES["rounds"])
    t["rounds"] = rounds.table(t, study, rounds.number_of(cards), earlier)
    t["pareto"] = table([pareto.table(t, cards)], TABLES["pareto"])

    parity = read_parquets(args.evaluations, "parity.parquet", evaluation.PARITY)
    parity = name_models(
        parity,
        models,
        ("model", "dataset", "seed"),
        evaluation.PARITY | {"model": TEXT, "dataset": TEXT, "seed": WHOLE},
    )
    uncertainty, calibration = dataset_calibration.calibrate(parity)
    t["uncertainty"] = table([uncertainty], TABLES["uncertainty"])
    warnings = (plan / "warnings.txt").read_text().splitlines() if (plan / "warnings.txt").is_file() else []
    extra = {
        "study": study,
        "labels": optional["labels"],
        "estimate": optional["estimate"],
        "cards": cards,
        "warnings": [w for w in warnings if w.strip()],
        "parity": parity,
        "calibration": calibration,
        "models": models,
        "cuts": dict(models.select("dataset", "mixture").drop_nulls().iter_rows()),
        "delivered": delivered,
        "view": picture(t, args.runs),
    }
    return t, extra


def picture(t: dict[str, pl.DataFrame], runs: Path | None) -> report_picture.View | None:
    """Return the frames of the run that is shown in the report, None where no run left any."""
    folders = {files.read_json(path)["id"]: path.parent for path in find(runs, "run.json")}
    chosen = [folders[key] for key in report_picture.choose(t["survival"], t["summary"]) if key in folders]
    return next((view for folder in chosen if (view := report_picture.read(folder))), None)
