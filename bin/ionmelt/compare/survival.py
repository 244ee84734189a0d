"""Survival: every planned run has its row, how far it went and how it ended; one without results is missing, for a reason."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl

from ionmelt.compare.groups import Group, Row, by_state, finite, grouped
from ionmelt.compare.lifetimes import Lifetimes, spread_of
from ionmelt.compare.reading import conform, read_plan_csv
from ionmelt.compare.statistics import Runs
from ionmelt.tables.columns import REAL, RUN, RUN_MODEL, TEXT, WHOLE
from ionmelt.tables.published import TABLES

SURVIVAL = TABLES["survival"]
# Ends of a run: as planned; and of one that was planned, but left no result
COMPLETED, MISSING = "completed", "missing"
UNIT = "planned time"  # of what runs lost by breaking


def at_time(run: Row) -> str:
    """Say when a run ended, where it ran at all."""
    return f" at {run['survived_ps']:g} ps" if run["survived_ps"] is not None else ""


def planned_runs(plan: Path, planned_ps: float | None) -> pl.DataFrame:
    """Return a row for each planned run, with all that identifies it and its planned length (None: not known)."""
    runs = conform(
        read_plan_csv(plan, "runs.csv"), dict.fromkeys(("key", "liquid", "state", "model_key", "framework"), TEXT)
    )
    models = conform(read_plan_csv(plan, "models.csv"), dict.fromkeys(("key", "model", "dataset", "seed"), TEXT))
    states = conform(read_plan_csv(plan, "states.csv"), dict.fromkeys(("key", "temperature_K", "replica"), TEXT))
    planned = (
        runs.select(run_id="key", liquid="liquid", state="state", model_key="model_key", framework="framework")
        .join(models.select("model", "dataset", "seed", model_key="key"), on="model_key", how="left")
        .join(states.select("temperature_K", "replica", state="key"), on="state", how="left")
        .with_columns(
            pl.coalesce("model", "model_key"),
            pl.col("dataset", "seed", "temperature_K", "replica").replace("", None),
            planned_ps=pl.lit(planned_ps, REAL),
        )
        .with_columns(pl.col("seed", "replica").cast(WHOLE), pl.col("temperature_K").cast(REAL))
    )
    return planned.select(*RUN, *RUN_MODEL, "planned_ps")


def survival_table(
    planned: pl.DataFrame,
    runs: Iterable[Row],
    measured: pl.DataFrame,
    delivered: set[str],
    failures: pl.DataFrame,
) -> pl.DataFrame:
    """Return one row per run: from run.json, else from MEASURE_LIQUID, else with end "missing" and the reason of `failures`."""
    ended = [
        {c: run.get(c) for c in SURVIVAL}
        | {"run_id": run["id"], "seed": run.get("model_seed"), "dataset": run.get("dataset")}
        for run in runs
    ]
    ran = conform(pl.DataFrame(ended, infer_schema_length=None), SURVIVAL).unique("run_id", keep="last")
    seen = pl.concat([ran, measured.unique("run_id", keep="first", maintain_order=True)], how="diagonal_relaxed")
    missing = planned.join(seen, on="run_id", how="anti")
    reasons = why_missing(missing, delivered, failures)
    missing = missing.with_columns(end=pl.lit(MISSING), detail=pl.Series(reasons, dtype=TEXT))
    every = pl.concat([seen, missing], how="diagonal_relaxed")
    return conform(every.unique("run_id", keep="first", maintain_order=True), SURVIVAL)


def why_missing(missing: pl.DataFrame, delivered: set[str], failures: pl.DataFrame) -> list[str]:
    """Return why each of the runs left no result: its failure, that of its model, or that the model is missing."""
    failed = failures.filter(pl.col("stage") != "evaluation").select("run_id", "model_key", "reason")
    failure_of = {run_id or model_key: reason for run_id, model_key, reason in failed.iter_rows()}
    reasons = []
    for run_id, model_key, dataset in missing.select("run_id", "model_key", "dataset").iter_rows():
        if reason := failure_of.get(run_id, failure_of.get(model_key)):
            reasons.append(f"the model cannot be used: {reason}")
        elif dataset is not None and model_key not in delivered:
            reasons.append(f"the run was planned, but left no result: the model {model_key} is missing too")
        else:
            reasons.append("the run was planned, but left no result")
    return reasons


def with_start(survival: pl.DataFrame, equilibration: pl.DataFrame) -> pl.DataFrame:
    """Say of each run whether the liquid that it starts from is equilibrated; null where that is not known."""
    state = ["liquid", "temperature_K", "replica"]
    starts = equilibration.select(*state, equilibrated="converged").unique(state)
    return conform(survival.drop("equilibrated").join(starts, on=state, how="left"), SURVIVAL)


def groups_of_survival(survival: pl.DataFrame) -> list[Group]:
    """Return how far the runs of each model came in each state of a liquid, as groups to compare.

    A run that left no result makes its group not converged: nobody knows how far it came.
    """
    groups = []
    for key, runs in grouped(survival, ["liquid", "temperature_K", "model", "dataset", "framework"]):
        lives = lifetimes_of(runs)
        missing = sum(run["end"] == MISSING for run in runs)
        lost = [1 - reached for reached in lives.reached]
        boxes = [run["replica"] for run in runs]
        groups.append(
            Group(
                key["liquid"], key["temperature_K"], "survival", None, key["model"], key["dataset"], UNIT, None, not missing,
                f"{missing} of {len(runs)} runs are missing" if missing else None, key["framework"], len(runs) - missing, len(runs),
                behind=Runs(lost, [0.0] * len(runs), lives.seeds, boxes, [1.0] * len(runs)), lifetimes=lives,
            )
        )  # fmt: skip
    return [group for alike in by_state(groups) for group in with_common_spread(alike)]


def with_common_spread(groups: Sequence[Group]) -> list[Group]:
    """Give the survival of all models of a state the spread between training seeds that those have in common of which no run is missing."""
    spread = spread_of([group.lifetimes for group in groups if group.lifetimes is not None and group.converged])
    return [replace(group, lifetimes=group.lifetimes and replace(group.lifetimes, spread=spread)) for group in groups]


def lifetimes_of(runs: Sequence[Row]) -> Lifetimes:
    """Return the lifetimes of rows of the table `survival`; a run that completed has reached all, whatever was rounded."""
    done = [run["end"] == COMPLETED for run in runs]
    reached = [
        1.0
        if is_done
        else min(1.0, (finite(run["survived_ps"]) or 0.0) / run["planned_ps"] if run["planned_ps"] else 0.0)
        for run, is_done in zip(runs, done, strict=True)
    ]
    return Lifetimes([run["seed"] for run in runs], reached, [not is_done for is_done in done])
