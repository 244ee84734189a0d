"""What learning curves say of a training: an error that grew again, one that still fell at the end, a model that hardly learnt.

The table `trainings` has a row for each trained model and each term of its loss (energy, forces, stress), with the share of the
gradient that the term had. Points of a curve are errors of a few frames: what is compared are medians of neighbouring points.
"""

import math
from collections.abc import Sequence
from typing import Any

import polars as pl

from ionmelt.compare import summary as ils
from ionmelt.report.words import UNITS, listed, number

Row = dict[str, Any]

S, N, F, B = pl.String, pl.Int64, pl.Float64, pl.Boolean
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
NEAR = (
    0.8  # ... and where the training frames have as much as this of the validation's error, more of them would not help
)


def smooth(values: Sequence[float]) -> list[float]:
    """Return running medians of a curve; at the ends, of the points that there are."""
    half = len(values) // WINDOW // 2
    found = []
    for i in range(len(values)):
        near = sorted(values[max(0, i - half) : i + half + 1])
        found.append((near[len(near) // 2] + near[(len(near) - 1) // 2]) / 2)
    return found


def judge(valid: Sequence[tuple[int, float]], train: Sequence[tuple[int, float]]) -> Row:
    """Return what the errors (step, value) of one quantity say, on validation and on training frames; empty where there are none."""
    valid, train = ([(s, v) for s, v in sorted(points) if math.isfinite(v)] for points in (valid, train))
    if not valid:
        return {}
    steps, values = [step for step, _ in valid], smooth([value for _, value in valid])
    end = values[-1]
    best = min(range(len(values)), key=values.__getitem__)
    # The value at three quarters of the steps; a curve of a few points says nothing of its end.
    before = next(value for step, value in zip(steps, values, strict=True) if step >= 0.75 * steps[-1])
    train_end = smooth([value for _, value in train])[-1] if train else None
    return {
        "steps": steps[-1],
        "valid_first": valid[0][1],
        "valid_best": values[best],
        "best_step": steps[best],
        "valid_end": end,
        "train_end": train_end,
        "grew_again": end > GREW * values[best],
        "still_falling": end < FALLING * before if len(valid) >= WINDOW else None,
        "hardly_learnt": None if train_end is None else end > HIGH * valid[0][1] and train_end > NEAR * end,
    }


def table(curves: pl.DataFrame, cards: Sequence[Row]) -> list[Row]:
    """Return the rows of the table `trainings` from the table `curves` and the model cards."""
    losses = {card["id"]: card.get("loss") or {} for card in cards}
    rows = []
    own = ["model_key", "model", "dataset", "seed", "framework", "quantity", "unit"]
    errors = curves.filter(pl.col("quantity").is_in(list(QUANTITIES)), pl.col("value").is_not_null())
    for key, part in errors.group_by(own, maintain_order=True):
        points = {
            name: list(part.filter(pl.col("set") == name).select("step", "value").iter_rows())
            for name in ("valid", "train")
        }
        row = dict(zip(own, key, strict=True))
        term, loss = QUANTITIES[row["quantity"]], losses.get(row["model_key"], {})
        told = {
            "weight_start": "weights_start", "weight_end": "weights_end", "gradient_share_start": "gradient_shares_start",
            "gradient_share_end": "gradient_shares_end",
        }  # fmt: skip
        found = {column: loss.get(name, {}).get(term) for column, name in told.items()}
        rows.append(row | {"term": term} | found | judge(points["valid"], points["train"]))
    return rows


def value(row: Row, column: str) -> str:
    """Write an error of a row with its unit."""
    factor, unit = UNITS.get("eV/atom" if row["term"] == "energy" else row["unit"], (1.0, row["unit"]))
    return f"{number(row[column] * factor)} {unit}"


def sentences(trainings: pl.DataFrame) -> list[str]:
    """Say what is wrong with which training; empty where nothing was found."""
    found = []
    names = {"energy": "energy", "forces": "forces", "stress": "stress"}
    for row in trainings.filter(pl.col("grew_again")).to_dicts():
        found.append(
            f"{row['model_key']}: on validation frames the error of the {names[row['term']]} grew again, from "
            f"{value(row, 'valid_best')} at step {row['best_step']} to {value(row, 'valid_end')} at the end of {row['steps']}: what it says "
            f"of the {names[row['term']]} got worse with training."
        )
    for row in trainings.filter(pl.col("hardly_learnt")).to_dicts():
        found.append(
            f"{row['model_key']}: hardly learnt the {names[row['term']]}: it ends with {value(row, 'valid_end')} on validation frames "
            f"and {value(row, 'train_end')} on those that it was trained on, of {value(row, 'valid_first')} before the first step. A training "
            "that is too short or a model that is too small does this; it is no measure of the framework."
        )
    falling = trainings.filter(pl.col("still_falling"), pl.col("term") == "forces")["model_key"].to_list()
    if falling:
        found.append(
            f"The force error of {listed(falling)} still fell in the last quarter of the training: more steps would make it smaller."
        )
    return found


def in_short(trainings: pl.DataFrame) -> list[tuple[str, list[str]]]:
    """Return the report's heading and sentences on the trainings, where there is something to say."""
    lines = sentences(trainings)
    return [("Trainings", lines)] if lines else []


def table_trainings(trainings: pl.DataFrame) -> Row | None:
    """Return the report's table: what share of the gradient each term had, and where its error went."""
    if not trainings.height:
        return None
    body = []
    for row in trainings.to_dicts():
        shares = [row["gradient_share_start"], row["gradient_share_end"]]
        said = [words for column, words in (("grew_again", "grew again"), ("still_falling", "still falling"), ("hardly_learnt", "hardly learnt")) if row[column]]  # fmt: skip
        body.append(
            [
                f"{ils.label(row['model'], row['dataset'])}, seed {row['seed']}",
                row["term"],
                *(number(row[column]) for column in ("weight_start", "weight_end")),
                *("–" if share is None else f"{100 * share:.1f} %" for share in shares),
                *(
                    "–" if row[column] is None else value(row, column)
                    for column in ("valid_best", "valid_end", "train_end")
                ),
                ", ".join(said) or "–",
            ]
        )
    head = [
        "model", "term", "weight, start", "weight, end", "share of the gradient, start", "share of the gradient, end",
        "best error, validation", "last error, validation", "last error, training", "found",
    ]  # fmt: skip
    return {"head": head, "rows": body}
