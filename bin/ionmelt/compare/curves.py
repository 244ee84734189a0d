"""What learning curves say of a training: an error that grew again, one that still fell at the end, a model that hardly learnt.

The table `trainings` has a row for each trained model and each term of its loss (energy, forces, stress), with the share of the
gradient that the term had. Points of a curve are errors of a few frames: what is compared are medians of neighbouring points.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import polars as pl

from ionmelt.compare.groups import grouped
from ionmelt.tables.comparison import TRAININGS

# The error of each term of the loss in a curve: DeePMD prints that of the virial.
QUANTITIES = {
    "energy_per_atom_rmse": "energy",
    "force_rmse": "forces",
    "stress_rmse": "stress",
    "virial_per_atom_rmse": "stress",
}
WINDOW = 8  # a median is over this part of a curve's points, and of an odd number
GREW = 1.5  # at its end an error is so many times its best: it grew again
FALLING = 0.9  # an error that fell to this in the last quarter of the steps still fell
HIGH = 1 / 3  # of the first error: above it, not much was learnt ...
# ... and where the training frames have as much as this of the validation's error, more of them would not help
NEAR = 0.8


@dataclass(frozen=True)
class Finding:
    """What the errors of one quantity say of a training; None: that cannot be said."""

    steps: int
    valid_first: float
    valid_best: float
    best_step: int
    valid_end: float
    train_end: float | None
    grew_again: bool
    still_falling: bool | None
    hardly_learnt: bool | None


def smooth(values: Sequence[float]) -> list[float]:
    """Return running medians of a curve; at the ends, of the points that there are."""
    half = len(values) // WINDOW // 2
    medians = []
    for i in range(len(values)):
        near = sorted(values[max(0, i - half) : i + half + 1])
        medians.append((near[len(near) // 2] + near[(len(near) - 1) // 2]) / 2)
    return medians


def judge(valid: Sequence[tuple[int, float]], train: Sequence[tuple[int, float]]) -> Finding | None:
    """Return what the errors (step, value) of one quantity say, on validation and on training frames; None where there are none."""
    valid, train = ([(s, v) for s, v in sorted(points) if math.isfinite(v)] for points in (valid, train))
    if not valid:
        return None
    steps, values = [step for step, _ in valid], smooth([value for _, value in valid])
    end = values[-1]
    best = min(range(len(values)), key=values.__getitem__)
    # The value at three quarters of the steps; a curve of a few points says nothing of its end.
    before = next(value for step, value in zip(steps, values, strict=True) if step >= 0.75 * steps[-1])
    train_end = smooth([value for _, value in train])[-1] if train else None
    return Finding(
        steps=steps[-1],
        valid_first=valid[0][1],
        valid_best=values[best],
        best_step=steps[best],
        valid_end=end,
        train_end=train_end,
        grew_again=end > GREW * values[best],
        still_falling=end < FALLING * before if len(valid) >= WINDOW else None,
        hardly_learnt=None if train_end is None else end > HIGH * valid[0][1] and train_end > NEAR * end,
    )


def table(curves: pl.DataFrame, losses: Mapping[str, Mapping[str, Mapping[str, float]]]) -> pl.DataFrame:
    """Return the table `trainings` from the table `curves` and the loss of each model key, as its card says it (`loss`)."""
    rows = []
    keys = ["model_key", "model", "dataset", "seed", "framework", "quantity", "unit"]
    errors = curves.filter(pl.col("quantity").is_in(list(QUANTITIES)), pl.col("value").is_not_null())
    for key, points in grouped(errors, keys):
        valid, train = ([(p["step"], p["value"]) for p in points if p["set"] == name] for name in ("valid", "train"))
        term, loss = QUANTITIES[key["quantity"]], losses.get(key["model_key"], {})
        finding = judge(valid, train)
        row = key | {"term": term} | (asdict(finding) if finding is not None else {})
        for column, name in (
            ("weight_start", "weights_start"),
            ("weight_end", "weights_end"),
            ("gradient_share_start", "gradient_shares_start"),
            ("gradient_share_end", "gradient_shares_end"),
        ):
            row[column] = loss.get(name, {}).get(term)
        rows.append(row)
    return pl.DataFrame(rows, schema=TRAININGS)
