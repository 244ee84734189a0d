"""The bill afterwards: what each stage spent against what the plan estimated, and what a label took."""

from typing import Any

import polars as pl

# Stage of the estimate -> the processes that do it.
STAGES = {
    "equilibrate": ("EQUILIBRATE",),
    "label": ("LABEL_FRAMES",),
    "train": ("TRAIN_MODEL",),
    "md": ("RUN_MD",),
}
Table = dict[str, list[Any]]


def core_hours(value: float) -> str:
    """Return core-hours as the estimate shows them."""
    return f"{value:.3g}"


def table_bill(estimate: dict[str, Any], cost: pl.DataFrame) -> Table | None:
    """Return estimate and spending by stage; None where the plan has no estimate.

    Spent are the CPU seconds of the tasks that succeeded: attempts that were killed and repeated are in the trace.
    """
    if not estimate.get("stages"):
        return None
    body = []
    sums = [0.0, 0.0]
    for row in estimate["stages"]:
        tasks = cost.filter(pl.col("process").is_in(STAGES[row["stage"]]))
        spent = float(tasks["cpu_s"].sum() or 0.0) / 3600
        sums = [sums[0] + row["core_hours"], sums[1] + spent]
        ratio = f"{spent / row['core_hours']:.2g}" if row["core_hours"] and tasks.height else "–"
        body.append(
            [
                row["stage"],
                f"{row['count']} {row['unit']}",
                core_hours(row["core_hours"]),
                core_hours(spent) if tasks.height else "no task",
                ratio,
                f"{row.get('basis', 'assumed')}: {row['source']}" if row.get("source") else "",
            ]
        )
    body.append(
        ["sum", "", core_hours(sums[0]), core_hours(sums[1]), f"{sums[1] / sums[0]:.2g}" if sums[0] else "–", ""]
    )
    head = ["stage", "planned", "estimated core-hours", "spent core-hours", "spent / estimated", "estimated from"]
    return {"head": head, "rows": body}


def spread(values: pl.Series, unit: str) -> str:
    """Return median, 5 % and 95 % of what frames took."""
    values = values.drop_nulls()
    if not len(values):
        return "not counted"
    low, middle, high = (float(values.quantile(q, "linear") or 0.0) for q in (0.05, 0.5, 0.95))
    return f"{middle:.3g} [{low:.3g}, {high:.3g}]{unit}"


def table_labels(labels: pl.DataFrame) -> Table | None:
    """Return what labels took, by liquid: frames, from the store, seconds and SCF steps, failures by reason."""
    if not labels.height:
        return None
    if "from_store" not in labels.columns:
        labels = labels.with_columns(from_store=pl.lit(None, pl.Boolean))
    body = []
    for (liquid,), part in labels.sort("liquid", nulls_last=True).group_by(["liquid"], maintain_order=True):
        bad = part.filter(~pl.col("converged").fill_null(False) | pl.col("reason").is_not_null())
        reasons = (
            bad.group_by(pl.col("reason").fill_null("not converged"))
            .len()
            .sort("len", "reason", descending=[True, False])
        )
        stored = part.filter(pl.col("from_store").fill_null(False))
        here = part.filter(~pl.col("from_store").fill_null(False))
        body.append(
            [
                liquid or "unknown",
                str(part.height),
                str(stored.height),
                ", ".join(f"{reason} {count}" for reason, count in reasons.iter_rows()) or "none",
                spread(here["wall_s"], " s"),
                spread(here["scf_steps"], ""),
                f"{float(here['wall_s'].sum() or 0.0) / 3600:.3g} h",
            ]
        )
    head = [
        "liquid",
        "frames",
        "from the store",
        "failed",
        "a frame takes (median, 5 %, 95 %)",
        "SCF steps (median, 5 %, 95 %)",
        "wall, all frames",
    ]
    return {"head": head, "rows": body}
