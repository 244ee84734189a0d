"""Accounts of a study: results that are lost, given twice or of another study are refused, and so is a study without a model."""

from pathlib import Path

import polars as pl

from ionmelt.compare.reading import read_plan_csv
from ionmelt.compare.survival import MISSING
from ionmelt.errors import UserError

# What tells the rows of a table apart
KEYS = {
    "labels": ["frame_id"],
    "equilibration": ["key"],
    "survival": ["run_id"],
    "density": ["run_id"],
    "cost": ["process", "id"],
}


def refuse_without_models(models: pl.DataFrame, failures: pl.DataFrame, t: dict[str, pl.DataFrame]) -> None:
    """Refuse to report where every model failed and nothing was measured; raises `UserError`, a line for each model."""
    why = {
        key: f"{stage}: {reason}" for key, stage, reason in failures.select("model_key", "stage", "reason").iter_rows()
    }
    alive = set(t["survival"].filter(pl.col("end") != MISSING)["model_key"]) | set(t["errors"]["model_key"])
    keys = models.filter(pl.col("role").is_null() | (pl.col("role") == "model"))["key"].to_list()
    if keys and all(key in why and key not in alive for key in keys):
        raise UserError(*(f"models: {key}: {why[key]}" for key in keys))


def account(t: dict[str, pl.DataFrame], plan: Path) -> None:
    """Refuse tables that do not hold what the plan asked for, each thing once; raises `UserError`, a line for each mistake.

    Such tables come from a file that was cut off at the end of a line, or that was taken for another.
    """
    mistakes = [*lost_labels(t), *repeated(t), *unplanned_runs(t, plan), *lost_explorations(t, plan)]
    if mistakes:
        raise UserError(*mistakes)


def sampled(t: dict[str, pl.DataFrame]) -> int:
    """Return how many frames were sampled; 0 where the study samples none."""
    return int(t["sampling"]["kept"].sum() or 0)


def lost_labels(t: dict[str, pl.DataFrame]) -> list[str]:
    """Say that there is not a label for each sampled frame."""
    kept, labels = sampled(t), t["labels"].height
    if not kept or kept == labels:
        return []
    return [f"labels: {labels} rows for {kept} sampled frames: a file of --labels or --sampling is lost"]


def repeated(t: dict[str, pl.DataFrame]) -> list[str]:
    """Say what is there more than once."""
    mistakes = []
    for name, keys in KEYS.items():
        twice = t[name].group_by(keys).len().filter((pl.col("len") > 1) & pl.all_horizontal(pl.col(keys).is_not_null()))
        for *key, times in twice.sort(keys).iter_rows():
            mistakes.append(f"{name}: {' '.join(map(str, key))}: given {times} times")
    return mistakes


def unplanned_runs(t: dict[str, pl.DataFrame], plan: Path) -> list[str]:
    """Say which runs the plan does not have; of a plan without runs nothing."""
    runs = read_plan_csv(plan, "runs.csv")
    if not runs.height:
        return []
    strange = (set(t["survival"]["run_id"].drop_nulls()) | set(t["density"]["run_id"].drop_nulls())) - set(runs["key"])
    return [f"runs: {key}: is of another study: the plan has no such run" for key in sorted(strange)]


def lost_explorations(t: dict[str, pl.DataFrame], plan: Path) -> list[str]:
    """Say which planned explorations left no table."""
    planned = read_plan_csv(plan, "explore.csv")
    if not planned.height or not sampled(t):
        return []
    lost = [key for key in planned["key"] if key not in set(t["exploration"]["key"])]
    return [f"explored: {key}: has no table: a file of --explored is lost" for key in lost]
