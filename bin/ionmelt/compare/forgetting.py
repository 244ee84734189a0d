"""What a tuned model lost or gained on other chemistry, against the weights that it started from."""

import math

import numpy as np
import polars as pl

from ionmelt.compare.groups import Row
from ionmelt.compare.statistics import LEVEL
from ionmelt.tables.comparison import FORGETTING

RESAMPLES = 2000
GROUPS_LEAST = 3


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
