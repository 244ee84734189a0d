"""What differs between models of one kind: between training seeds, and between a tuned model and what it started from.

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

from ionmelt.compare import summary as ils
from ionmelt.tables.comparison import COMMITTEE, FORGETTING

Row = dict[str, Any]
LEVEL = 0.05
FILLED = 0.05  # g(r) below this is the empty core of an atom: nothing there to differ
RESAMPLES = 2000
GROUPS_LEAST = 3


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
    for key, runs in ils.groups(frame.filter(pl.col("seed").is_not_null()), keys):
        used = [run for run in runs if ils.finite(run["value"]) is not None]
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
    for key, rows in ils.groups(curves, ["liquid", "temperature_K", "pair", "model", "dataset"]):
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


def rmse_change(before: np.ndarray, after: np.ndarray, n: np.ndarray, groups: np.ndarray) -> tuple[float, float] | None:
    """Return the 95 % interval of RMSE after less before, from squared sums (F,) over n (F,) components of the same frames.

    A paired bootstrap over groups of frames; None with fewer than three.
    """
    names, place = np.unique(groups, return_inverse=True)
    if len(names) < GROUPS_LEAST:
        return None
    sums = np.zeros((3, len(names)))
    for row, values in zip(sums, (before, after, n), strict=True):
        np.add.at(row, place, values)
    drawn = np.random.default_rng(1).integers(len(names), size=(RESAMPLES, len(names)))
    total = sums[:, drawn].sum(axis=2)
    low, high = np.quantile(np.sqrt(total[1] / total[2]) - np.sqrt(total[0] / total[2]), [LEVEL / 2, 1 - LEVEL / 2])
    return float(low), float(high)


def forgetting(heldout: pl.DataFrame, models: pl.DataFrame) -> pl.DataFrame:
    """Return what each tuned model lost or gained on frames of other chemistry, against the weights that it started from.

    The errors are those of frames that both answered; a model that fails where its start did not cannot have kept or
    gained anything, whatever its error on the others.

    ``heldout`` has a row for each model and frame; ``models`` the columns key, model, dataset, seed, start.
    """
    rows = []
    for model in models.filter(pl.col("start").is_not_null()).sort("key").to_dicts():
        row: Row = {"model_key": model["key"], "unit": "eV/A"} | {
            c: model[c] for c in ("model", "dataset", "seed", "start")
        }
        mine = heldout.filter(pl.col("model_key") == model["key"])
        first = heldout.filter(pl.col("model_key") == model["start"])
        if not heldout.height:
            continue
        both = mine.join(first, on="frame_id", how="full", coalesce=True, suffix="_before").sort("frame_id")
        good = both.filter(pl.col("force_square").is_not_null() & pl.col("force_square_before").is_not_null())
        if not good.height:
            why = mine["reason"].drop_nulls().to_list() + first["reason"].drop_nulls().to_list()
            rows.append(row | {"frames": 0, "verdict": "not judged", "reason": why[0] if why else "not evaluated"})
            continue
        before, after, n = (good[c].to_numpy().astype(float) for c in ("force_square_before", "force_square", "n"))
        ends = (math.sqrt(before.sum() / n.sum()), math.sqrt(after.sum() / n.sum()))
        row |= {"frames": good.height, "groups": good["group"].n_unique(), "difference": ends[1] - ends[0]}
        row |= {"force_rmse_before": ends[0], "force_rmse_after": ends[1]}
        interval = rmse_change(before, after, n, good["group"].to_numpy())
        # what it failed on that its start answered: what it forgot most, and no error shows it
        lost = both.filter(pl.col("force_square").is_null() & pl.col("force_square_before").is_not_null()).height
        left = both.height - good.height - lost
        lines = [f"no answer on {lost} frames that {model['start']} answered"] if lost else []
        lines += [f"{left} frames left out: {model['start']} failed on them"] if left else []
        reason = "; ".join(lines) or None
        if interval is None:
            reason = "; ".join([*lines, f"fewer than {GROUPS_LEAST} groups of frames: no interval"])
            rows.append(row | {"verdict": "not judged", "reason": reason})
            continue
        low, high = interval
        verdict = "lost" if low > 0 else "not judged" if lost else "gained" if high < 0 else "not distinguishable"
        rows.append(row | {"ci95_low": low, "ci95_high": high, "verdict": verdict, "reason": reason})
    return pl.DataFrame(rows, schema=FORGETTING)
