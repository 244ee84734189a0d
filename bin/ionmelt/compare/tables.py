"""Gather everything a study produced into tables and a report: which model may be trusted, at what cost.

Reads the plan and the results of every task; writes tables/*.parquet and tables/*.csv, and report.html, one
file that opens offline, with the liquid of one run in it, which liquid.svg shows too. Nothing is dropped: failed labels, broken runs and missing measurements are rows with
their reason, and a planned run without results is a survival row with end "missing".

A folder that is not there counts as empty, since a stage may have had nothing to do. The same input gives the
same bytes. How numbers are combined and judged: ionmelt/compare/summary.py.
"""

import argparse
import json
import math
import os
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import polars as pl

from ionmelt import errors as errors_module
from ionmelt import files
from ionmelt import task as task_run
from ionmelt.compare import committee, pareto
from ionmelt.compare import curves as compare_curves
from ionmelt.compare import summary as ils
from ionmelt.compare import verdicts as iv
from ionmelt.compare import worth as compare_worth
from ionmelt.dataset import calibration as dataset_calibration
from ionmelt.report import picture as report_picture
from ionmelt.report import report, rounds
from ionmelt.report.words import labellers
from ionmelt.study import references as study_references
from ionmelt.tables import comparison, evaluation
from ionmelt.tables.columns import FLAG, REAL, RUN, RUN_MODEL, TEXT, WHOLE
from ionmelt.tables.published import TABLES

# --- Read ---


def find(folder: Path | None, pattern: str) -> list[Path]:
    """Return the files below a folder whose name fits, sorted; symbolic links to folders are entered."""
    if folder is None or not folder.exists():
        return []
    walked = os.walk(folder, followlinks=True)
    return sorted(Path(top, name) for top, _, names in walked for name in names if fnmatch(name, pattern))


def conform(frame: pl.DataFrame, schema: dict[str, Any], sort: bool = True) -> pl.DataFrame:
    """Return the table with the schema's columns first, missing ones null, and rows sorted by all columns."""
    frame = frame.with_columns(pl.lit(None, kind).alias(c) for c, kind in schema.items() if c not in frame.columns)
    frame = frame.with_columns(pl.col(c).cast(kind) for c, kind in schema.items())
    frame = frame.select(*schema, *sorted(set(frame.columns) - set(schema)))
    flat = [c for c, kind in frame.schema.items() if not kind.is_nested()]
    return frame.sort(flat, nulls_last=False) if sort and frame.height else frame


def table(parts: list[pl.DataFrame], schema: dict[str, Any]) -> pl.DataFrame:
    """Stack tables whose columns may differ into one that fits the schema."""
    parts = [p for p in parts if p.width]
    return conform(pl.concat(parts, how="diagonal_relaxed") if parts else pl.DataFrame(), schema)


def read_parquets(folder: Path | None, pattern: str, schema: dict[str, Any]) -> pl.DataFrame:
    """Read and stack every parquet file below a folder whose name fits."""
    return table([files.read_tables([path]) for path in find(folder, pattern)], schema)


def read_jsons(paths: list[Path]) -> list[dict[str, Any]]:
    """Read JSON objects."""
    return [files.read_json(path) for path in paths]


def read_tasks(path: Path | None) -> list[dict[str, Any]]:
    """Read what tasks wrote of themselves: a folder of JSON files, or a file with one on each line."""
    if path is None or not path.is_file():
        return read_jsons(find(path, "*.json"))
    with errors_module.reading(path, "lines of JSON"):
        content = path.read_text()
        if not content.endswith("\n"):
            raise ValueError("its last line has no end")
        return [json.loads(line) for line in content.splitlines()]


# The end of the name of a file that says why a task could do nothing with its model: PROCESS.KEY and this.
FAILED = ".failed.txt"
STAGES = {"IMPORT_MODEL": "import", "TRAIN_MACE": "training", "TRAIN_DEEPMD": "training",
          "EVALUATE_MODEL": "evaluation", "RUN_MD": "dynamics"}  # fmt: skip


def read_failures(folder: Path | None, planned: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Read why models could not be had, evaluated or run: stage, model_key, run_id (of a run) and reason.

    The reason is the first line, with the last of several: what a program said at its end.
    """
    model_of = {run["run_id"]: run["model_key"] for run in planned}
    rows = []
    for path in find(folder, f"*{FAILED}"):
        process, key = path.name.removesuffix(FAILED).split(".", 1)
        lines = path.read_text().removeprefix(f"models: {key}: ").splitlines() or ["no reason was given"]
        is_run = STAGES[process] == "dynamics"
        rows.append({
            "stage": STAGES[process], "model_key": model_of.get(key, key), "run_id": key if is_run else None,
            "reason": lines[0] if len(lines) == 1 else f"{lines[0]} {lines[-1]}",
        })  # fmt: skip
    return rows


def refuse_without_models(models: pl.DataFrame, failures: list[dict[str, Any]], t: dict[str, pl.DataFrame]) -> None:
    """Refuse to report where every model failed and nothing was measured; raises `UserError`, a line for each model."""
    why = {row["model_key"]: f"{row['stage']}: {row['reason']}" for row in failures}
    alive = set(t["survival"].filter(pl.col("end") != "missing")["model_key"]) | set(t["errors"]["model_key"])
    keys = models.filter(pl.col("role").is_null() | (pl.col("role") == "model"))["key"].to_list()
    if keys and all(key in why and key not in alive for key in keys):
        raise errors_module.UserError(*(f"models: {key}: {why[key]}" for key in keys))


def read_plan_csv(plan: Path, name: str) -> pl.DataFrame:
    """Read one of the plan's CSV files, every column as text; empty where the plan has none."""
    path = plan / name
    if not path.is_file() or not path.read_text().strip():
        return pl.DataFrame()
    return files.read_csv(path)


# --- Complete ---


def planned_runs(plan: Path, study: dict[str, Any]) -> list[dict[str, Any]]:
    """Return one row for each planned run, with everything that identifies it and its planned length."""
    rows = []
    models = {m["key"]: m for m in read_plan_csv(plan, "models.csv").to_dicts()}
    states = {s["key"]: s for s in read_plan_csv(plan, "states.csv").to_dicts()}
    md = study.get("md") or {}
    planned = md["npt_ps"] + md["nvt_ps"] if {"npt_ps", "nvt_ps"} <= md.keys() else None
    for run in read_plan_csv(plan, "runs.csv").to_dicts():
        model, state = models.get(run["model_key"], {}), states.get(run["state"], {})
        rows.append({
            "run_id": run["key"], "liquid": run["liquid"], "model": model.get("model", run["model_key"]),
            "dataset": model.get("dataset") or None,
            "seed": int(model["seed"]) if model.get("seed") else None,
            "temperature_K": float(state["temperature_K"]) if state.get("temperature_K") else None,
            "replica": int(state["replica"]) if state.get("replica") else None, "framework": run["framework"],
            "model_key": run["model_key"], "planned_ps": planned,
        })  # fmt: skip
    return rows


def survival_table(
    planned: list[dict[str, Any]],
    runs: list[dict[str, Any]],
    measured: pl.DataFrame,
    delivered: set[str],
    failures: list[dict[str, Any]] | None = None,
) -> pl.DataFrame:
    """Return one row per run: from run.json, else from MEASURE_LIQUID, else with end "missing" and the reason of `failures`."""
    known = {row["run_id"] or row["model_key"]: row["reason"] for row in failures or () if row["stage"] != "evaluation"}
    rows = {}
    for run in runs:
        rows[run["id"]] = {c: run.get(c) for c in TABLES["survival"]} | {
            "run_id": run["id"],
            "seed": run.get("model_seed"),
            "dataset": run.get("dataset"),
        }
    for row in measured.to_dicts():
        rows.setdefault(row["run_id"], row)
    for row in planned:
        why = "the run was planned, but left no result"
        trained = row["dataset"] is not None
        if trained and row["model_key"] not in delivered:
            why += f": the model {row['model_key']} is missing too"
        if reason := known.get(row["run_id"], known.get(row["model_key"])):
            why = f"the model cannot be used: {reason}"
        rows.setdefault(row["run_id"], row | {"end": "missing", "detail": why})
    return table([pl.DataFrame(list(rows.values()), infer_schema_length=None)], TABLES["survival"])


def with_start(survival: pl.DataFrame, equilibration: pl.DataFrame) -> pl.DataFrame:
    """Say of each run whether the liquid that it starts from is equilibrated; null where that is not known."""
    state = ["liquid", "temperature_K", "replica"]
    known = equilibration.select(*state, equilibrated="converged").unique(state)
    return conform(survival.drop("equilibrated").join(known, on=state, how="left"), TABLES["survival"])


def why_unmeasured(run: dict[str, Any], what: str) -> str:
    """Return the reason why a run has no measurement."""
    if run["end"] == "missing":
        return str(run["detail"])
    if run["end"] != "completed":
        at = f" at {run['survived_ps']:g} ps" if run["survived_ps"] is not None else ""
        return f"the run ended by {run['end']}{at}, without {what}"
    return f"the run completed, but {what} was not measured"


def complete(
    name: str, measured: pl.DataFrame, survival: pl.DataFrame, species: dict[str, list[str]] | None = None
) -> pl.DataFrame:
    """Add a row, not converged and with its reason, for every run (and species) that a table lacks."""
    schema = TABLES[name]
    what = "a diffusion coefficient" if name == "diffusion" else f"a {name}"
    have = {(r["run_id"], r.get("species")) for r in measured.to_dicts()}
    # A row without species stands for the whole run: it is spread over the liquid's species.
    whole = {r["run_id"]: r for r in measured.to_dicts() if species is not None and r["species"] is None}
    rows = []
    for run in survival.to_dicts():
        for ion in [None] if species is None else species.get(run["liquid"], []):
            if (run["run_id"], ion) in have:
                continue
            base = {c: run[c] for c in (*RUN, *RUN_MODEL)} | {"converged": False}
            base["reason"] = why_unmeasured(run, what)
            if run["run_id"] in whole:
                base["reason"] = whole[run["run_id"]]["reason"] or base["reason"]
            rows.append(base | ({} if species is None else {"species": ion}))
    if species is not None:
        measured = measured.filter(pl.col("species").is_not_null())
    added = pl.DataFrame(rows, infer_schema_length=None) if rows else pl.DataFrame()
    return table([measured, conform(added, schema)], schema)


def species_of(study: dict[str, Any], diffusion: pl.DataFrame) -> dict[str, list[str]]:
    """Return the ion kinds of every liquid: those of the study and any that were measured."""
    found = {liquid["id"]: set(liquid["ions"]) for liquid in study.get("liquids", [])}
    for row in diffusion.select("liquid", "species").drop_nulls().unique().to_dicts():
        found.setdefault(row["liquid"], set()).add(row["species"])
    return {liquid: sorted(names) for liquid, names in found.items()}


def with_reference(density: pl.DataFrame, references: pl.DataFrame) -> pl.DataFrame:
    """Fill in the reference density at each row's temperature, where one is known."""
    rows = []
    for row in density.to_dicts():
        ref = ils.reference_at(references, row["liquid"], "density", None, row["temperature_K"]) or {}
        rows.append(
            row
            | {
                "reference_kg_m3": ref.get("reference"),
                "reference_low_kg_m3": ref.get("reference_low"),
                "reference_high_kg_m3": ref.get("reference_high"),
                **{c: ref.get(c) for c in ("reference_source", "reference_interpolated", "reference_second_hand")},
            }
        )
    return table([pl.DataFrame(rows, infer_schema_length=None)] if rows else [], TABLES["density"])


def name_models(
    frame: pl.DataFrame, models: pl.DataFrame, columns: tuple[str, ...], schema: dict[str, Any]
) -> pl.DataFrame:
    """Add to a table of model_key what the plan (or else the model cards) says about each model."""
    known = models.select(pl.col("key").alias("model_key"), *columns)
    frame = frame.drop([c for c in columns if c in frame.columns])
    named = frame.join(known, on="model_key", how="left")
    if "model" in columns:
        named = named.with_columns(pl.coalesce("model", "model_key").alias("model"))
    return conform(named, schema)


def cost_and_versions(tasks: list[dict[str, Any]]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the cost of every task and the versions of the libraries that each process ran with."""
    cost = [{c: task.get(c) for c in TABLES["cost"]} for task in tasks]
    count: dict[tuple[str, str, str], int] = {}
    for task in tasks:
        for library, version in task.get("versions", {}).items():
            key = (task["process"], library, str(version))
            count[key] = count.get(key, 0) + 1
    versions = [dict(zip(TABLES["versions"], (*key, n), strict=True)) for key, n in count.items()]
    return (
        table([pl.DataFrame(cost, infer_schema_length=None)] if cost else [], TABLES["cost"]),
        table([pl.DataFrame(versions)] if versions else [], TABLES["versions"]),
    )


# --- Judge ---


def run_rows(frame: pl.DataFrame, quantity: str) -> pl.DataFrame:
    """Bring the measurements of a property of the liquid into the common form that `summary` combines."""
    if quantity == "density":
        return frame.with_columns(
            value="density_kg_m3",
            standard_error="standard_error_kg_m3",
            dof=pl.col("n_effective") - 1,
            correction=pl.lit(None, REAL),
            species=pl.lit(None, TEXT),
        )
    value, ends = {
        "diffusion": ("diffusion_m2_s", "m2_s"),
        "conductivity": ("conductivity_s_m", "s_m"),
        "viscosity": ("viscosity_pa_s", "pa_s"),
    }[quantity]
    half = (pl.col(f"ci95_high_{ends}") - pl.col(f"ci95_low_{ends}")) / (2 * iv.Z95)
    frame = frame.with_columns(value=value, standard_error=half, dof=pl.lit(math.inf))
    if quantity == "diffusion":
        return frame.with_columns(correction="finite_size_correction_m2_s")
    return frame.with_columns(correction=pl.lit(None, REAL), species=pl.lit(None, TEXT))


def judge(
    tables: dict[str, pl.DataFrame],
    references: pl.DataFrame,
    study: dict[str, Any],
    frames: pl.DataFrame,
    models: pl.DataFrame,
    truth: str | None = None,
) -> dict[str, pl.DataFrame]:
    """Return the tables summary (one number per model and property), verdicts, learning and worth.

    In a pair, model_a is the one that the study names first. ``frames`` holds the errors of test frames one by one,
    ``models`` the models that there should be; ``truth`` is the model that is the method of the labels itself.
    """
    trained = models.filter(pl.col("dataset").is_not_null()).group_by("model", "dataset").len()
    planned: dict[tuple[str, str | None], int] = {(m, d): n for m, d, n in trained.sort("model", "dataset").iter_rows()}
    judged: dict[str, list[ils.Row]] = {}
    names = [m["id"] for m in study.get("models", [])]
    data = list(study.get("datasets") or {})

    # of each dataset the mixture of the study that it is, and the number of frames it is cut to
    cuts = {d: (m, n) for d, m, n in models.select("dataset", "mixture", "size").drop_nulls("dataset").iter_rows()}

    def with_cut(rows: list[ils.Row]) -> list[ils.Row]:
        for row in rows:
            row["mixture"], row["size"] = cuts.get(row["dataset"], (None, None))
        return rows

    def place(item: ils.Row) -> tuple[int, int]:
        first = names.index(item["model"]) if item["model"] in names else len(names)
        return first, data.index(item["dataset"]) if item["dataset"] in data else -1

    summary: list[ils.Row] = []
    verdicts: list[ils.Row] = []
    for quantity in ils.LIQUID_UNITS:
        rows, items = ils.summarise_runs(run_rows(tables[quantity], quantity), quantity, references)
        summary += with_cut(rows)
        judged[quantity] = sorted(with_cut(items), key=place)
        verdicts += ils.judge(judged[quantity], quantity)
    liquids = tables["dataset"]["liquid"].unique().sort().to_list()
    which = liquids[0] if len(liquids) == 1 else "all"
    for quantity, (rows, items) in {
        "force_rmse": ils.summarise_forces(tables["errors"], which, ils.frame_points(frames), planned),
        "scan_energy_rmse": ils.summarise_scans(tables["scan"], planned),
    }.items():
        summary += with_cut(rows)
        judged[quantity] = sorted(with_cut(items), key=place)
        verdicts += ils.judge(judged[quantity], quantity)
    whole = {d: m for d, (m, _) in cuts.items() if m is not None}
    learning, worth = compare_worth.tables(tables, judged, study.get("datasets") or {}, truth, whole)
    return {
        "summary": table([pl.DataFrame(summary, schema=comparison.SUMMARY)], comparison.SUMMARY),
        "verdicts": conform(pl.DataFrame(verdicts, schema=comparison.VERDICTS), comparison.VERDICTS, sort=False),
        "learning": learning,
        "worth": worth,
    }


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
    t["trainings"] = table(
        [pl.DataFrame(compare_curves.table(t["curves"], cards), schema=comparison.TRAININGS)],
        comparison.TRAININGS,
    )
    measured = read_parquets(args.measures, "*.survival.parquet", TABLES["survival"])
    failures = read_failures(args.failures, planned)
    runs = read_jsons(find(args.runs, "run.json"))
    survival = survival_table(planned, runs, measured, delivered, failures)
    t["survival"] = with_start(survival, t["equilibration"])
    refuse_without_models(models, failures, t)
    failed = table([pl.DataFrame(failures, schema_overrides={"run_id": TEXT})] if failures else [], TABLES["failures"])
    t["failures"] = name_models(failed, models, ("model", "dataset", "seed"), TABLES["failures"])
    density = read_parquets(args.measures, "*.density.parquet", TABLES["density"])
    t["density"] = with_reference(complete("density", density, t["survival"]), references)
    read = {
        name: read_parquets(args.measures, f"*.{name}.parquet", TABLES[name])
        for name in ("diffusion", "conductivity", "onsager", "viscosity")
    }
    t |= read
    if (study.get("md") or {}).get("nvt_ps", 1) != 0:
        species = species_of(study, read["diffusion"])
        t["diffusion"] = complete("diffusion", read["diffusion"], t["survival"], species)
        for name in ("conductivity", "viscosity"):
            t[name] = complete(name, read[name], t["survival"])
    for name in ("structure", "coordination", "conformers", "kinetics", "domain"):
        t[name] = read_parquets(args.measures, f"*.{name}.parquet", TABLES[name])
    dimers = read_parquets(args.evaluations, "dimers.parquet", TABLES["dimers"])
    t["dimers"] = name_models(dimers, models, ("model", "dataset", "seed"), TABLES["dimers"])
    t["committee"] = table([committee.committee(t)], TABLES["committee"])
    heldout = read_parquets(args.evaluations, "heldout.parquet", evaluation.FRAME_ERRORS)
    t["forgetting"] = table([committee.forgetting(heldout, models)], TABLES["forgetting"])
    t["cost"], t["versions"] = cost_and_versions(read_tasks(args.tasks))
    t["exploration"] = read_parquets(args.explored, "*.explored.parquet", TABLES["exploration"])
    account(t, plan)
    optional = {
        name: files.read_json(p) if (p := plan / f"{name}.json").is_file() else {}
        for name in ("labels", "dataset", "estimate")
    }
    truths = labellers({"labels": optional["labels"], "study": study})
    frames = read_parquets(args.evaluations, "frame_errors.parquet", evaluation.FRAME_ERRORS)
    frames = name_models(
        frames, models, ("model", "dataset"), evaluation.FRAME_ERRORS | {"model": TEXT, "dataset": TEXT}
    )
    t |= judge(t, references, study, frames, models, truths[0] if truths else None)
    earlier = table([files.read_tables([args.rounds])] if args.rounds else [], TABLES["rounds"])
    t["rounds"] = rounds.table(t, study, rounds.number_of(cards), earlier)
    t["pareto"] = table([pl.DataFrame(pareto.table(t, cards), schema=comparison.PARETO)], comparison.PARETO)

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
        "split": optional["dataset"],
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


def account(t: dict[str, pl.DataFrame], plan: Path) -> None:
    """Refuse results of which something is lost or there twice, as a file cut off at a line or taken for another leaves them.

    Raises `UserError`, a line for each.
    """
    errors = []
    kept = int(t["sampling"]["kept"].sum() or 0)
    if kept and kept != t["labels"].height:
        errors.append(
            f"labels: {t['labels'].height} rows for {kept} sampled frames: a file of --labels or --sampling is lost"
        )
    for name, keys in (
        ("labels", ["frame_id"]),
        ("equilibration", ["key"]),
        ("survival", ["run_id"]),
        ("density", ["run_id"]),
        ("cost", ["process", "id"]),
    ):
        twice = t[name].group_by(keys).len().filter((pl.col("len") > 1) & pl.all_horizontal(pl.col(keys).is_not_null()))
        errors += [
            f"{name}: {' '.join(map(str, row[:-1]))}: given {row[-1]} times" for row in twice.sort(keys).iter_rows()
        ]
    planned = {run["key"] for run in read_plan_csv(plan, "runs.csv").to_dicts()}
    if planned:
        strange = sorted(set(t["survival"]["run_id"].drop_nulls()) | set(t["density"]["run_id"].drop_nulls()) - planned)
        errors += [
            f"runs: {key}: is of another study: the plan has no such run" for key in strange if key not in planned
        ]
    explored = set(t["exploration"]["key"])
    errors += [
        f"explored: {row['key']}: has no table: a file of --explored is lost"
        for row in read_plan_csv(plan, "explore.csv").to_dicts()
        if kept and row["key"] not in explored
    ]
    if errors:
        raise errors_module.UserError(*errors)


def picture(t: dict[str, pl.DataFrame], runs: Path | None) -> dict[str, Any] | None:
    """Return the frames of the run that is shown in the report, None where no run left any."""
    folders = {files.read_json(path)["id"]: path.parent for path in find(runs, "run.json")}
    chosen = [folders[key] for key in report_picture.choose(t["survival"], t["summary"]) if key in folders]
    return next((view for folder in chosen if (view := report_picture.read(folder))), None)


def write_table(frame: pl.DataFrame, name: str, folder: Path) -> None:
    """Write a table as parquet and as csv; nested values become JSON in the csv."""
    files.write_table(frame, folder / f"{name}.parquet")
    nested = [c for c, kind in frame.schema.items() if kind.is_nested()]
    flat = frame.with_columns(
        pl.Series(c, [None if x is None else json.dumps(x) for x in frame[c].to_list()], TEXT) for c in nested
    )
    (folder / f"{name}.csv").write_text(flat.write_csv(), encoding="utf-8")


def compare(args: argparse.Namespace) -> None:
    """Read, judge and write."""
    tables, extra = gather(args)
    folder = args.outdir / "tables"
    folder.mkdir(parents=True, exist_ok=True)
    for name, frame in tables.items():
        write_table(frame, name, folder)
    (args.outdir / "report.html").write_text(report.page(tables, extra), encoding="utf-8")
    if extra["view"]:
        (args.outdir / "liquid.svg").write_text(report_picture.still(extra["view"]), encoding="utf-8")


def main(argv: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--id", default="study", help="key of this task")
    parser.add_argument("--plan", type=Path, required=True, help="folder that PLAN_STUDY wrote")
    parser.add_argument("--states", type=Path, help="folder with *.equilibration.parquet")
    parser.add_argument("--labels", type=Path, help="folder with *.labels.parquet")
    parser.add_argument("--sampling", type=Path, help="folder with the sampling tables")
    parser.add_argument("--explored", type=Path, help="folder with *.explored.parquet, in active learning")
    parser.add_argument("--rounds", type=Path, nargs="?", help="rounds.parquet of the round before")
    parser.add_argument("--dataset", type=Path, nargs="?", help="dataset.parquet, if there is one")
    parser.add_argument("--models", type=Path, help="folder of model folders (model.json, curve.parquet)")
    parser.add_argument("--evaluations", type=Path, help="folder with errors, scan and parity parquet files")
    parser.add_argument("--runs", type=Path, help="folder of run folders (run.json)")
    parser.add_argument("--measures", type=Path, help="folder with the measured parquet files")
    parser.add_argument("--failures", type=Path, help=f"folder with *{FAILED}: why models could not be used")
    parser.add_argument(
        "--tasks", type=Path, nargs="?", help="folder with *.json, or file with a line of JSON for each task"
    )
    parser.add_argument("--outdir", type=Path, default=Path(), help="where to write tables/ and report.html")
    args = parser.parse_args(argv)
    folders = (args.models, args.evaluations, args.runs, args.measures)
    reads = [
        args.plan if args.plan.exists() else None,  # which `gather` says better
        args.dataset,
        args.rounds,
        args.tasks,
        *(path.parent for folder in folders for path in find(folder, files.SUMS)),
    ]
    return task_run.run("COMPARE_MODELS", lambda: compare(args), task_id=args.id, reads=reads)
