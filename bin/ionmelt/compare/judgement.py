"""Judge the models: one number for each, the verdicts between them, and what the data were worth."""

import math
from typing import Any

import polars as pl

from ionmelt.compare import errors as compare_errors
from ionmelt.compare import groups, points, statistics
from ionmelt.compare import summary as ils
from ionmelt.compare import verdicts as compare_verdicts
from ionmelt.compare import worth as compare_worth
from ionmelt.compare.reading import conform, table
from ionmelt.tables import comparison
from ionmelt.tables.columns import REAL, TEXT

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
    half = (pl.col(f"ci95_high_{ends}") - pl.col(f"ci95_low_{ends}")) / (2 * statistics.Z95)
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
    judged: dict[str, list[groups.Row]] = {}
    names = [m["id"] for m in study.get("models", [])]
    data = list(study.get("datasets") or {})

    # of each dataset the mixture of the study that it is, and the number of frames it is cut to
    cuts = {d: (m, n) for d, m, n in models.select("dataset", "mixture", "size").drop_nulls("dataset").iter_rows()}

    def with_cut(rows: list[groups.Row]) -> list[groups.Row]:
        for row in rows:
            row["mixture"], row["size"] = cuts.get(row["dataset"], (None, None))
        return rows

    def place(item: groups.Row) -> tuple[int, int]:
        first = names.index(item["model"]) if item["model"] in names else len(names)
        return first, data.index(item["dataset"]) if item["dataset"] in data else -1

    summary: list[groups.Row] = []
    verdicts: list[groups.Row] = []
    for quantity in ils.LIQUID_UNITS:
        rows, items = ils.summarise_runs(run_rows(tables[quantity], quantity), quantity, references)
        summary += with_cut(rows)
        judged[quantity] = sorted(with_cut(items), key=place)
        verdicts += compare_verdicts.judge(judged[quantity], quantity)
    liquids = tables["dataset"]["liquid"].unique().sort().to_list()
    which = liquids[0] if len(liquids) == 1 else "all"
    for quantity, (rows, items) in {
        "force_rmse": compare_errors.summarise_forces(tables["errors"], which, points.frame_points(frames), planned),
        "scan_energy_rmse": compare_errors.summarise_scans(tables["scan"], planned),
    }.items():
        summary += with_cut(rows)
        judged[quantity] = sorted(with_cut(items), key=place)
        verdicts += compare_verdicts.judge(judged[quantity], quantity)
    whole = {d: m for d, (m, _) in cuts.items() if m is not None}
    learning, worth = compare_worth.tables(tables, judged, study.get("datasets") or {}, truth, whole)
    return {
        "summary": table([pl.DataFrame(summary, schema=comparison.SUMMARY)], comparison.SUMMARY),
        "verdicts": conform(pl.DataFrame(verdicts, schema=comparison.VERDICTS), comparison.VERDICTS, sort=False),
        "learning": learning,
        "worth": worth,
    }
