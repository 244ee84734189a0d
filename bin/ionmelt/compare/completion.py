"""Complete the tables: every planned run has its row, with the reason where it has no number."""

from pathlib import Path
from typing import Any

import polars as pl

from ionmelt import errors as errors_module
from ionmelt.compare.groups import reference_at
from ionmelt.compare.reading import conform, read_plan_csv, table
from ionmelt.measure.observables import NAMED
from ionmelt.tables.columns import RUN, RUN_MODEL
from ionmelt.tables.published import TABLES


def refuse_without_models(models: pl.DataFrame, failures: list[dict[str, Any]], t: dict[str, pl.DataFrame]) -> None:
    """Refuse to report where every model failed and nothing was measured; raises `UserError`, a line for each model."""
    why = {row["model_key"]: f"{row['stage']}: {row['reason']}" for row in failures}
    alive = set(t["survival"].filter(pl.col("end") != "missing")["model_key"]) | set(t["errors"]["model_key"])
    keys = models.filter(pl.col("role").is_null() | (pl.col("role") == "model"))["key"].to_list()
    if keys and all(key in why and key not in alive for key in keys):
        raise errors_module.UserError(*(f"models: {key}: {why[key]}" for key in keys))


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
    what = NAMED[name].noun
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
    states = density.select("liquid", "temperature_K").unique(maintain_order=True)
    rows = []
    for liquid, kelvin in states.iter_rows():
        if reference := reference_at(references, liquid, "density", None, kelvin):
            rows.append({
                "liquid": liquid, "temperature_K": kelvin, "reference_kg_m3": reference.value,
                "reference_low_kg_m3": reference.low, "reference_high_kg_m3": reference.high,
                "reference_source": reference.source, "reference_interpolated": reference.interpolated,
                "reference_second_hand": reference.second_hand,
            })  # fmt: skip
    names = [c for c in TABLES["density"] if c.startswith("reference_")]
    known = conform(
        pl.DataFrame(rows, infer_schema_length=None), {c: TABLES["density"][c] for c in (*states.columns, *names)}
    )
    return conform(density.drop(names).join(known, on=states.columns, how="left"), TABLES["density"])


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
