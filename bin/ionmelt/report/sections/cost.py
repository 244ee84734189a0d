"""What everything cost."""

import plotly.graph_objects as go
import polars as pl
from markupsafe import Markup

from ionmelt.labels.summary import counted_reasons
from ionmelt.report.blocks import Block, Folded, Heading, Note, Plot, Section, Table
from ionmelt.report.figures import finish, patterned
from ionmelt.report.results import Results
from ionmelt.report.sections import pareto
from ionmelt.report.words import NOTHING, Row, Tables, number

READING_BILL = Note(
    Markup(
        "Spent is the CPU time of tasks that succeeded. The estimate was made before the study began, for two cores without a GPU, "
        "and is good to a factor of a few; <code>--estimate</code> measures a label first."
    )
)


def cost_by_process(t: Tables) -> pl.DataFrame:
    """Return tasks, wall hours, core-hours and peak memory of every process, dearest first."""
    return (
        t["cost"]
        .group_by("process")
        .agg(
            pl.len().alias("tasks"),
            (pl.col("wall_s").sum() / 3600).alias("wall_h"),
            (pl.col("cpu_s").sum() / 3600).alias("core_h"),
            pl.col("max_rss_mb").max(),
        )
        .sort("core_h", "process", descending=[True, False])
    )


def figure_cost(t: Tables) -> go.Figure | None:
    """Wall hours (summed over tasks) and core-hours of every process."""
    cost = cost_by_process(t)
    if not cost.height:
        return None
    figure = go.Figure()
    for i, (column, name) in enumerate((("core_h", "core-hours"), ("wall_h", "wall hours, summed over tasks"))):
        figure.add_bar(
            y=cost["process"].to_list(),
            x=cost[column].to_list(),
            orientation="h",
            name=name,
            marker=patterned(i),
        )
    figure.update_yaxes(categoryorder="array", categoryarray=cost["process"].to_list()[::-1], showgrid=False)
    figure.update_xaxes(title="time (h)", rangemode="tozero")
    return finish(figure, height=140 + 34 * cost.height, meta={"columns": 2})


# Stage of the estimate -> the processes that do it.
STAGES = {
    "equilibrate": ("EQUILIBRATE",),
    "label": ("LABEL_FRAMES",),
    "train": ("TRAIN_MODEL",),
    "md": ("RUN_MD", "EXPLORE_LIQUID"),  # of a round of active learning the walks, too
}
ONE = {"boxes": "box", "frames": "frame", "models": "model", "runs": "run"}


def core_hours(value: float) -> str:
    """Return core-hours as the estimate shows them."""
    return f"{value:.3g}"


def table_bill(estimate: Row, cost: pl.DataFrame) -> Table:
    """Return estimate and spending by stage; empty where the plan has no estimate.

    Spent are the CPU seconds of the tasks that succeeded: attempts that were killed and repeated are in the trace.
    """
    head = ["stage", "planned", "estimated core-hours", "spent core-hours", "spent / estimated", "estimated from"]
    if not estimate.get("stages"):
        return Table(head, [], "cost")
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
                f"{row['count']} {row['unit'] if row['count'] != 1 else ONE[row['unit']]}",
                core_hours(row["core_hours"]),
                core_hours(spent) if tasks.height else "no task",
                ratio,
                f"{row.get('basis', 'assumed')}: {row['source']}" if row.get("source") else "",
            ]
        )
    body.append(
        ["sum", "", core_hours(sums[0]), core_hours(sums[1]), f"{sums[1] / sums[0]:.2g}" if sums[0] else "–", ""]
    )
    return Table(head, body, "cost")


def spread(values: pl.Series, unit: str) -> str:
    """Return median, 5 % and 95 % of what frames took."""
    values = values.drop_nulls()
    if not len(values):
        return "not counted"
    low, middle, high = (float(values.quantile(q, "linear") or 0.0) for q in (0.05, 0.5, 0.95))
    return f"{middle:.3g} [{low:.3g}, {high:.3g}]{unit}"


def table_labels(labels: pl.DataFrame) -> Table:
    """Return what labels took, by liquid: frames, from the store, seconds and SCF steps, failures by reason."""
    if "from_store" not in labels.columns:
        labels = labels.with_columns(from_store=pl.lit(None, pl.Boolean))
    body = []
    for (liquid,), frames in labels.sort("liquid", nulls_last=True).group_by(["liquid"], maintain_order=True):
        bad = frames.filter(~pl.col("converged").fill_null(False) | pl.col("reason").is_not_null())
        stored = frames.filter(pl.col("from_store").fill_null(False))
        here = frames.filter(~pl.col("from_store").fill_null(False))
        body.append(
            [
                liquid or "unknown",
                str(frames.height),
                str(stored.height),
                counted_reasons(bad) or "none",
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
    return Table(head, body, "labels")


def hours(value: float) -> str:
    """Write hours; of a task that took seconds it is no matter how many."""
    return f"< {NOTHING}" if 0 < value < NOTHING else number(value)


def table_processes(t: Tables) -> Table:
    """Return what the tasks of each process took."""
    head = ["process", "tasks", "wall hours", "core-hours", "peak memory (MB)"]
    rows = [
        [r["process"], str(r["tasks"]), *map(hours, (r["wall_h"], r["core_h"])), number(r["max_rss_mb"])]
        for r in cost_by_process(t).to_dicts()
    ]
    return Table(head, rows, "cost")


def blocks(results: Results) -> list[Block]:
    """Return what the study took, against its estimate, and what each model costs for its error."""
    t = results.tables
    cost = cost_by_process(t)
    sums = ""
    if cost.height:
        tasks, wall, core = cost.select(pl.col("tasks", "wall_h", "core_h").sum()).row(0)
        sums = (
            f"{tasks} tasks: {core:.3g} core-hours, {wall:.3g} hours of wall time summed over tasks (tasks run side by side, so "
            "the study took less). "
        )
    made: list[Block] = [
        Note(f"{sums}Time on an accelerator counts as wall time; what killed attempts took is not known."),
        Plot("cost", figure_cost(t), "Wall hours and core-hours of every process"),
        Folded("Values", [table_processes(t)]),
    ]
    bill, labels = table_bill(results.estimate, t["cost"]), table_labels(t["labels"])
    if bill.rows:
        made += [Heading("The bill: planned and spent"), READING_BILL, bill]
    if labels.rows:
        made.append(Folded("What a label took", [labels], opened=True))
    return [*made, *pareto.blocks(results)]


SECTION = Section("cost", "Cost", "Cost", blocks)
