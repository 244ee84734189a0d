"""Errors of each model as one number: of the forces on test frames, and of the energies of volume scans."""

import math
from collections.abc import Mapping

import polars as pl

from ionmelt.compare.groups import ERROR_UNITS, Group, Row, finite, grouped
from ionmelt.compare.points import Points, own_estimate, scan_points, seeds_in, unanswered
from ionmelt.compare.statistics import Z95, Estimate, combine

# How many trained models there should be, by (model, dataset)
Planned = Mapping[tuple[str, str | None], int]


def summarise_forces(
    errors: pl.DataFrame, liquid: str, points: Points | None = None, planned: Planned | None = None
) -> list[Group]:
    """Combine the seeds of each model: RMSE of the forces over the test frames that it answered.

    The test set is common to all models and seeds, so its sampling error is added, not averaged. ``points``: the
    errors frame by frame (`frame_points`), on which two models are compared; ``planned``: the number of seeds of each
    model that was to be judged. What is missing makes the error not converged: the frames that were answered would be
    a biased sample.
    """
    points, planned = points or {}, planned or {}
    test = errors.filter(pl.col("split") == "test")
    rows = test.filter((pl.col("quantity") == "force") & (pl.col("scope") == "all") & pl.col("rmse").is_not_null())
    failed = test.filter(pl.col("quantity") == "failed").group_by("model", "dataset").agg(pl.col("n").sum())
    lost = {(m, d): int(n) for m, d, n in failed.iter_rows()}
    answered = {(key["model"], key["dataset"]): seeds for key, seeds in grouped(rows, ["model", "dataset"])}
    groups = []
    for name in sorted({*answered, *points, *(planned if test.height else {})}, key=str):
        seeds = [row for row in answered.get(name, []) if finite(row["rmse"]) is not None]
        estimate = None
        if seeds:
            errors_of_seeds = [sampling_error(row) for row in seeds]
            factors = [[row["seed"] for row in seeds]]
            estimate = combine([row["rmse"] for row in seeds], errors_of_seeds, factors, shared_error=True)
        groups.append(
            error_group(
                name,
                liquid,
                "force_rmse",
                estimate,
                len(seeds),
                planned.get(name, 0),
                points.get(name),
                lost.get(name, 0),
            )
        )
    return groups


def sampling_error(row: Row) -> float:
    """Return the standard error of an RMSE from its 95 % interval, not-a-number where it has none."""
    low, high = finite(row["rmse_ci95_low"]), finite(row["rmse_ci95_high"])
    return math.nan if low is None or high is None else (high - low) / (2 * Z95)


def summarise_scans(scan: pl.DataFrame, planned: Planned) -> list[Group]:
    """Combine the seeds of each model and liquid: RMSE of the energies of the frozen-ion volume scan."""
    groups = []
    for liquid in scan["liquid"].unique().sort().to_list():
        for name, points in scan_points(scan, liquid).items():
            seeds = sum(points[c].count() > 0 for c in seeds_in(points))
            estimate = own_estimate(points)
            groups.append(error_group(name, liquid, "scan_energy_rmse", estimate, seeds, planned.get(name, 0), points))
    return groups


def error_group(
    name: tuple[str, str | None],
    liquid: str,
    quantity: str,
    estimate: Estimate | None,
    seeds: int,
    planned: int,
    points: pl.DataFrame | None,
    lost: int = 0,
) -> Group:
    """Return the group of an error of a model: converged where it has an interval and nothing is missing.

    ``seeds`` of ``planned`` trained models gave an error; ``points`` are what was asked, where that is known point by point,
    else ``lost`` of them have no answer.
    """
    model, dataset = name
    missing = lost if points is None else unanswered(points)
    answered = None if points is None else points.height - missing
    planned = max(seeds, planned)
    lacking = what_is_missing(quantity, answered, missing, seeds, planned)
    notes = list(lacking)
    has_interval = estimate is not None and math.isfinite(estimate.standard_error)
    if not has_interval:
        notes.append("too few points for an interval" if estimate else "no error is known")
    elif seeds == 1 and dataset is not None:
        notes.append("one seed: the spread between seeds is not included")
    return Group(
        liquid=liquid,
        temperature_K=None,
        quantity=quantity,
        species=None,
        model=model,
        dataset=dataset,
        unit=ERROR_UNITS[quantity],
        estimate=estimate,
        converged=has_interval and not lacking,
        reason="; ".join(notes) or None,
        runs=seeds,
        planned_runs=planned,
        points=points,
        answered=answered,
        missing=missing,
    )


def what_is_missing(quantity: str, answered: int | None, missing: int, seeds: int, planned: int) -> list[str]:
    """Say what an error lacks: answers on test points, and trained models without an error."""
    what = "test frames" if quantity == "force_rmse" else "points of the scan"
    asked = "" if answered is None else f"of {answered + missing} "
    absent = planned - seeds
    return [f"no answer on {missing} {asked}{what}"] * bool(missing) + (
        [f"no error of {absent} of {planned} trained models"] * bool(absent)
    )


def lacks(row: Row) -> list[str]:
    """Say what an error of the table `summary` lacks, as `what_is_missing` does."""
    missing = row["points_missing"] or 0
    return what_is_missing(row["property"], row["points"], missing, row["runs"], row["planned_runs"])
