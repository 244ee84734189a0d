"""What a tuned model lost or gained on other chemistry, against the weights that it started from."""

import math
from dataclasses import asdict, dataclass, replace

import polars as pl

from ionmelt.compare.rmse import GROUPS_LEAST, rmse_change
from ionmelt.tables.comparison import FORGETTING


@dataclass(frozen=True)
class Change:
    """What one tuned model lost or gained: the columns of the table `forgetting`."""

    model_key: str
    model: str
    dataset: str | None
    seed: int | None
    start: str
    verdict: str = "not judged"
    reason: str | None = None
    frames: int = 0
    groups: int | None = None
    force_rmse_before: float | None = None
    force_rmse_after: float | None = None
    difference: float | None = None
    ci95_low: float | None = None
    ci95_high: float | None = None
    unit: str = "eV/A"


def forgetting(heldout: pl.DataFrame, models: pl.DataFrame) -> pl.DataFrame:
    """Return what each tuned model lost or gained on frames of other chemistry, against the weights that it started from.

    ``heldout`` has a row for each model and frame; ``models`` the columns key, model, dataset, seed, start.
    """
    tuned = models.filter(pl.col("start").is_not_null()).sort("key").to_dicts() if heldout.height else []
    changes = []
    for row in tuned:
        model = Change(row["key"], row["model"], row["dataset"], row["seed"], row["start"])
        errors, errors_start = (heldout.filter(pl.col("model_key") == key) for key in (model.model_key, model.start))
        changes.append(asdict(change(model, errors, errors_start)))
    return pl.DataFrame(changes, schema=FORGETTING)


def change(model: Change, errors: pl.DataFrame, errors_start: pl.DataFrame) -> Change:
    """Return the change of a model from its errors and those of its start, on the frames that both answered.

    A model that fails where its start did not cannot have kept or gained anything, whatever its error on the others.
    """
    both = errors.join(errors_start, on="frame_id", how="full", coalesce=True, suffix="_before").sort("frame_id")
    answered = both.filter(pl.col("force_square").is_not_null() & pl.col("force_square_before").is_not_null())
    if not answered.height:
        reasons = errors["reason"].drop_nulls().to_list() + errors_start["reason"].drop_nulls().to_list()
        return replace(model, reason=reasons[0] if reasons else "not evaluated")
    before, after, n = (answered[c].to_numpy().astype(float) for c in ("force_square_before", "force_square", "n"))
    rmse_before, rmse_after = math.sqrt(before.sum() / n.sum()), math.sqrt(after.sum() / n.sum())
    # what it failed on that its start answered: what it forgot most, and no error shows it
    lost = both.filter(pl.col("force_square").is_null() & pl.col("force_square_before").is_not_null()).height
    left_out = both.height - answered.height - lost
    reasons = [f"no answer on {lost} frames that {model.start} answered"] if lost else []
    reasons += [f"{left_out} frames left out: {model.start} failed on them"] if left_out else []
    model = replace(
        model, frames=answered.height, groups=answered["group"].n_unique(), force_rmse_before=rmse_before,
        force_rmse_after=rmse_after, difference=rmse_after - rmse_before, reason="; ".join(reasons) or None,
    )  # fmt: skip
    interval = rmse_change(before, after, n, answered["group"].to_numpy())
    if interval is None:
        reasons.append(f"fewer than {GROUPS_LEAST} groups of frames: no interval")
        return replace(model, reason="; ".join(reasons))
    low, high = interval
    verdict = "lost" if low > 0 else "not judged" if lost else "gained" if high < 0 else "not distinguishable"
    return replace(model, ci95_low=low, ci95_high=high, verdict=verdict)
