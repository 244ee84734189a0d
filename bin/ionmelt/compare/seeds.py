"""The spread between training seeds, beside the statistical error of the runs.

A committee of models that differ by their training seed alone shows how much of a density or a diffusion coefficient is
an accident of the training. That spread stands beside the statistical error of the runs, which longer runs would make
smaller and the spread would not.
"""

import math
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import polars as pl
from scipy import stats

from ionmelt.compare import groups as compare_groups
from ionmelt.compare.groups import Row
from ionmelt.compare.statistics import LEVEL
from ionmelt.tables.comparison import COMMITTEE

FILLED = 0.05  # g(r) below this is the empty core of an atom: nothing there to differ


def seed_means(runs: Iterable[Row]) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean value of each seed (S,) over its runs, and the statistical error of that mean (S,)."""
    by_seed: dict[Any, list[Row]] = {}
    for run in runs:
        by_seed.setdefault(run["seed"], []).append(run)
    means, errors = [], []
    for _, members in sorted(by_seed.items(), key=lambda item: str(item[0])):
        means.append(np.mean([run["value"] for run in members]))
        squares = [math.nan if run["standard_error"] is None else run["standard_error"] ** 2 for run in members]
        errors.append(math.sqrt(sum(squares)) / len(members))
    return np.array(means, float), np.array(errors, float)


def spread(means: np.ndarray, errors: np.ndarray) -> Row:
    """Return the spread of seeds as columns of the committee table.

    ``between_seeds`` is the standard deviation of the seeds' means (S,), with the interval of a normal population's;
    ``within_seed`` the statistical error of one seed's mean. The p-value is that of the spread under the hypothesis that
    there is no other than the statistical error (chi-squared, that error taken as known).
    """
    k = len(means)
    between = float(np.std(means, ddof=1))
    low, high = (between * math.sqrt((k - 1) / stats.chi2.ppf(q, k - 1)) for q in (1 - LEVEL / 2, LEVEL / 2))
    within = math.sqrt(float(np.mean(errors**2)))
    row: Row = {"seeds": k, "mean": float(means.mean()), "between_seeds": between}
    row |= {"between_seeds_ci95_low": float(low), "between_seeds_ci95_high": float(high)}
    if not (math.isfinite(within) and within > 0):
        return row | {"verdict": "not judged", "reason": "a run has no statistical error"}
    p = float(stats.chi2.sf((k - 1) * (between / within) ** 2, k - 1))
    return row | {"within_seed": within, "p_value": p, "verdict": "seeds differ" if p < LEVEL else "within the error"}


def of_numbers(frame: pl.DataFrame, name: str, unit: str | None = None) -> Iterator[Row]:
    """Yield the rows of a table of runs: value, standard_error, converged, and what tells its numbers apart.

    ``name`` is the property; of a table with quantities and pairs those are the property and the species.
    """
    apart = [c for c in ("quantity", "state", "pair", "species", "unit") if c in frame.columns]
    keys = ["liquid", "temperature_K", *apart, "model", "dataset"]
    for key, runs in compare_groups.groups(frame.filter(pl.col("seed").is_not_null()), keys):
        used = [run for run in runs if compare_groups.finite(run["value"]) is not None]
        if len({run["seed"] for run in runs}) < 2:
            continue
        row = {c: key.get(c) for c in ("liquid", "temperature_K", "model", "dataset")} | {
            "unit": key.get("unit") or unit
        }
        words = [key[c] for c in ("quantity", "state") if key.get(c)]
        row |= {"property": " ".join(words) or name, "species": key.get("pair") or key.get("species")}
        if len({run["seed"] for run in used}) < 2:
            yield (
                row
                | {"seeds": len({run["seed"] for run in used}), "verdict": "not judged"}
                | {"reason": "fewer than two seeds gave a number"}
            )
            continue
        found = spread(*seed_means(used))
        poor = sum(not run["converged"] for run in used)
        if poor:
            found["reason"] = f"{poor} of {len(used)} runs not converged: their statistical errors are too small"
            found["verdict"] = "not converged"
        yield row | found


def of_curves(structure: pl.DataFrame) -> Iterator[Row]:
    """Yield the spread of each radial distribution function: root mean squares over the distances where it is not empty."""
    curves = structure.filter(
        (pl.col("quantity") == "rdf") & pl.col("seed").is_not_null() & pl.col("value").is_not_null()
    )
    for key, rows in compare_groups.groups(curves, ["liquid", "temperature_K", "pair", "model", "dataset"]):
        frame = pl.DataFrame(rows, infer_schema_length=None).sort("r_A", "seed", "replica")
        if frame["seed"].n_unique() < 2:
            continue
        by_seed = frame.group_by("r_A", "seed", maintain_order=True).agg(
            pl.col("value").mean(),
            (pl.col("standard_error").cast(pl.Float64) ** 2).sum().sqrt() / pl.len(),
        )
        each = (
            by_seed.sort("r_A", "seed")
            .group_by("r_A", maintain_order=True)
            .agg(
                pl.col("value").mean().alias("mean"),
                pl.col("value").std(ddof=1).alias("between"),
                (pl.col("standard_error") ** 2).mean().alias("within"),
                pl.len().alias("seeds"),
            )
        )
        each = each.filter((pl.col("mean") > FILLED) & (pl.col("seeds") == frame["seed"].n_unique()))
        if not each.height:
            continue
        within = each["within"].mean()
        yield {c: key[c] for c in ("liquid", "temperature_K", "model", "dataset")} | {
            "property": "rdf",
            "species": key["pair"],
            "unit": "1",
            "seeds": frame["seed"].n_unique(),
            "mean": each["mean"].mean(),
            "between_seeds": math.sqrt(float((each["between"] ** 2).mean())),  # type: ignore[arg-type]
            "within_seed": math.sqrt(within) if isinstance(within, float) and math.isfinite(within) else None,
            "verdict": "not judged",
            "reason": "root mean squares over r; neighbouring r are not independent, so there is no test",
        }


def committee(t: dict[str, pl.DataFrame]) -> pl.DataFrame:
    """Return the table of the spread between training seeds, for every property of every model with two seeds or more."""
    density = t["density"].with_columns(value="density_kg_m3", standard_error="standard_error_kg_m3")
    half = (pl.col("ci95_high_m2_s") - pl.col("ci95_low_m2_s")) / (2 * stats.norm.ppf(1 - LEVEL / 2))
    diffusion = t["diffusion"].with_columns(value="diffusion_m2_s", standard_error=half)
    rows = [
        *of_numbers(density, "density", "kg/m3"),
        *of_numbers(diffusion, "diffusion", "m2/s"),
        *of_numbers(t["coordination"], "coordination"),
        *of_curves(t["structure"]),
    ]
    return pl.DataFrame(rows, schema=COMMITTEE)
