"""Errors of each model as one number: of the forces on test frames, and of the energies of volume scans."""

import math

import polars as pl

from ionmelt.compare import statistics
from ionmelt.compare.groups import Row, finite, groups
from ionmelt.compare.points import Points, own_estimate, scan_points, seeds_in, unanswered


def summarise_forces(
    errors: pl.DataFrame,
    liquid: str,
    points: Points | None = None,
    planned: dict[tuple[str, str | None], int] | None = None,
) -> tuple[list[Row], list[Row]]:
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
    found = {(key["model"], key["dataset"]): seeds for key, seeds in groups(rows, ["model", "dataset"])}
    summary, items = [], []
    for name in sorted({*found, *(points or {}), *(planned if test.height else {})}, key=str):
        seeds = [r for r in found.get(name, []) if finite(r["rmse"]) is not None]
        errors_1 = [
            (r["rmse_ci95_high"] - r["rmse_ci95_low"]) / (2 * statistics.Z95)
            if finite(r["rmse_ci95_high"]) is not None and finite(r["rmse_ci95_low"]) is not None
            else math.nan
            for r in seeds
        ]
        estimate = None
        if seeds:
            estimate = statistics.combine(
                [r["rmse"] for r in seeds], errors_1, [[r["seed"] for r in seeds]], shared_error=True
            )
        key = {"model": name[0], "dataset": name[1]}
        here = points.get(name)
        asked, missing = (None, lost.get(name, 0)) if here is None else (here.height, unanswered(here))
        row = error_row(key, liquid, "force_rmse", "eV/A", estimate, len(seeds), planned.get(name, 0), asked, missing)
        summary.append(row)
        items.append(row | {"estimate": estimate, "shift": 0.0, "of_points": here})
    return summary, items


def summarise_scans(scan: pl.DataFrame, planned: dict[tuple[str, str | None], int]) -> tuple[list[Row], list[Row]]:
    """Combine the seeds of each model and liquid: RMSE of the energies of the frozen-ion volume scan."""
    summary, items = [], []
    for liquid in scan["liquid"].unique().sort().to_list():
        for (model, dataset), points in scan_points(scan, liquid).items():
            estimate = own_estimate(points)
            seeds = sum(points[c].count() > 0 for c in seeds_in(points))
            row = error_row(
                {"model": model, "dataset": dataset}, liquid, "scan_energy_rmse", "eV/atom", estimate, seeds,
                planned.get((model, dataset), 0), points.height, unanswered(points),
            )  # fmt: skip
            summary.append(row)
            items.append(row | {"estimate": estimate, "shift": 0.0, "of_points": points})
    return summary, items


def error_row(
    key: Row,
    liquid: str,
    quantity: str,
    unit: str,
    estimate: statistics.Estimate | None,
    seeds: int,
    planned: int,
    asked: int | None,
    missing: int,
) -> Row:
    """Return the summary row of an error of a model: converged where it has an interval and nothing is missing.

    ``seeds`` of ``planned`` gave an error; of the ``asked`` test points (None: not known) ``missing`` have no answer
    of at least one seed.
    """
    known = estimate is not None and math.isfinite(estimate.standard_error)
    low, high = (max(0.0, x) for x in estimate.interval()) if estimate and known else (None, None)
    counts = {
        "property": quantity,
        "runs": seeds,
        "planned_runs": max(seeds, planned),
        "points": None if asked is None else asked - missing,
        "points_missing": missing,
    }
    lacking = lacks(counts)
    notes = list(lacking)
    if not known:
        notes.append("too few points for an interval" if estimate else "no error is known")
    elif seeds == 1 and key["dataset"] is not None:
        notes.append("one seed: the spread between seeds is not included")
    return (
        key
        | counts
        | {
            "liquid": liquid,
            "temperature_K": None,
            "species": None,
            "framework": None,
            "value": estimate.value if estimate else None,
            "standard_error": estimate.standard_error if estimate and known else None,
            "ci95_low": low,
            "ci95_high": high,
            "unit": unit,
            "converged": known and not lacking,
            "reason": "; ".join(notes) or None,
        }
    )


def lacks(row: Row) -> list[str]:
    """Say what a summary row of an error lacks: answers on test points, and trained models without an error."""
    missing, absent = row["points_missing"] or 0, row["planned_runs"] - row["runs"]
    what = "test frames" if row["property"] == "force_rmse" else "points of the scan"
    asked = "" if row["points"] is None else f"of {row['points'] + missing} "
    return [f"no answer on {missing} {asked}{what}"] * bool(missing) + (
        [f"no error of {absent} of {row['planned_runs']} trained models"] * bool(absent)
    )
