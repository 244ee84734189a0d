"""What learning curves say of a training: an error that grew again, one that still fell at the end, a model that hardly learnt.

``undertrained`` sums it up for the forces, which move the liquid: such a training says how long it was, and nothing of its framework,
so that its model stands in no ordering of models (`scope`). It is one that hardly learnt, or whose error still fell, or whose error is
`FAR` times the least of all trainings on the same frames while its training frames have as much: more steps, or a larger model, and not
more data, would help. A model tuned from weights of others knows the forces before its first step, so that how far its error fell says
nothing: it is not asked whether it hardly learnt.

The table `trainings` has a row for each trained model and each term of its loss (energy, forces, stress), with the share of the
gradient that the term had. Points of a curve are errors of a few frames: what is compared are medians of neighbouring points.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import polars as pl

from ionmelt.compare.groups import grouped
from ionmelt.distributions import student_limit
from ionmelt.models.loss import TERM_OF_ERROR, LossRecord
from ionmelt.tables.comparison import TRAININGS

# What the table `errors` calls those of the curves that a training does not measure on its own frames.
MEASURED = {"energy_per_atom_rmse": "energy_per_atom", "force_rmse": "force"}
WINDOW = 8  # a running median is over an eighth of a curve's points, made an odd number
GREW = 1.5  # at its end an error is so many times its best: it grew again
# An error still falls that would fall to this, or less, in twice the steps, as a power of them: by lines through the last half of the steps,
# which falls by more than chance, and through the last quarter, since an error may have come to its end between
FALLING, HALF, QUARTER, CHANCE = 0.9, 0.5, 0.25, 0.05
HIGH = 1 / 3  # of the first error: above it, not much was learnt ...
# ... and where the training frames have as much as this of the validation's error, more of them would not help
NEAR = 0.8
FAR = 2.0  # times the least error of the trainings on the same frames


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


def falls(points: Sequence[tuple[int, float]]) -> bool:
    """Tell whether an error still falls at its end; points are (step, error), in the order of the steps."""
    last = points[-1][0]
    for share, chance in ((HALF, CHANCE), (QUARTER, 0.5)):
        end = [(math.log(s), math.log(max(error, 1e-12))) for s, error in points if s >= max(1, (1 - share) * last)]
        if len(end) < 3:
            return False
        slope, error = line_through(end)
        if 2**slope >= FALLING or slope + student_limit(chance, len(end) - 2) * error >= 0:
            return False
    return True


def line_through(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Return the slope of the line of least squares through three points or more, and its standard error."""
    x, y = np.array(points).T
    x, y = x - x.mean(), y - y.mean()
    slope = float(x @ y) / float(x @ x)
    rest = y - slope * x
    return slope, math.sqrt(float(rest @ rest) / float(x @ x) / (len(x) - 2))


def judge(
    valid: Sequence[tuple[int, float]], train: Sequence[tuple[int, float]], measured: float | None = None
) -> Finding | None:
    """Return what the errors (step, value) of one quantity say, on validation and on training frames; None where there are none.

    ``measured``: the error of the finished model on training frames, for a curve that does not have it.
    """
    valid, train = ([(s, v) for s, v in sorted(points) if math.isfinite(v)] for points in (valid, train))
    if not valid:
        return None
    steps, values = [step for step, _ in valid], smooth([value for _, value in valid])
    end = values[-1]
    best = min(range(len(values)), key=values.__getitem__)
    train_end = smooth([value for _, value in train])[-1] if train else measured
    return Finding(
        steps=steps[-1],
        valid_first=valid[0][1],
        valid_best=values[best],
        best_step=steps[best],
        valid_end=end,
        train_end=train_end,
        grew_again=end > GREW * values[best],
        still_falling=falls(valid) if len(valid) >= WINDOW else None,
        hardly_learnt=None if train_end is None else end > HIGH * valid[0][1] and train_end > NEAR * end,
    )


def with_undertrained(rows: pl.DataFrame, tuned: Collection[str]) -> pl.DataFrame:
    """Add the columns ``far_from_best`` and ``undertrained`` to rows of the table: null where that cannot be said.

    ``tuned``: the keys of the models that started from weights of others; ``hardly_learnt`` is null for them.
    """
    is_tuned = pl.col("model_key").is_in(list(tuned))
    rows = rows.with_columns(hardly_learnt=pl.when(~is_tuned).then("hardly_learnt"))
    least = pl.col("valid_end").min().over("dataset", "quantity")
    near = pl.col("train_end") > NEAR * pl.col("valid_end")
    rows = rows.with_columns(far_from_best=(pl.col("valid_end") > FAR * least) & near)
    # one finding is enough; without one, all must be known
    summed_up = pl.any_horizontal(pl.col("hardly_learnt") & ~is_tuned, "still_falling", "far_from_best")
    return rows.with_columns(undertrained=pl.when(pl.col("term") == "forces").then(summed_up))


def undertrained(trainings: pl.DataFrame) -> dict[tuple[str, str | None], list[int]]:
    """Return the seeds of each (model, dataset) whose trainings say nothing of their framework."""
    rows = trainings.filter("undertrained").sort("model", "dataset", "seed")
    seeds: dict[tuple[str, str | None], list[int]] = {}
    for model, dataset, seed in rows.select("model", "dataset", "seed").iter_rows():
        seeds.setdefault((model, dataset), []).append(seed)
    return seeds


def measured_on_training_frames(errors: pl.DataFrame) -> dict[tuple[str, str], float]:
    """Return the errors of finished models on training frames, by model key and quantity of the table `errors`."""
    of_train = errors.filter(pl.col("split") == "train", pl.col("scope") == "all", pl.col("rmse").is_finite())
    return {
        (key, quantity): rmse for key, quantity, rmse in of_train.select("model_key", "quantity", "rmse").iter_rows()
    }


def table(
    curves: pl.DataFrame, losses: Mapping[str, LossRecord], errors: pl.DataFrame, tuned: Collection[str] = ()
) -> pl.DataFrame:
    """Return the table `trainings` from the tables `curves` and `errors`, and what cards say of each model key.

    ``losses``: its loss. ``tuned``: the models that started from weights of others.
    """
    rows = []
    measured = measured_on_training_frames(errors)
    keys = ["model_key", "model", "dataset", "seed", "framework", "quantity", "unit"]
    learnt = curves.filter(pl.col("quantity").is_in(list(TERM_OF_ERROR)), pl.col("value").is_not_null())
    for key, points in grouped(learnt, keys):
        valid, train = ([(p["step"], p["value"]) for p in points if p["set"] == name] for name in ("valid", "train"))
        term, loss = TERM_OF_ERROR[key["quantity"]], losses.get(key["model_key"])
        finding = judge(valid, train, measured.get((key["model_key"], MEASURED.get(key["quantity"], ""))))
        row = key | {"term": term} | (asdict(finding) if finding is not None else {})
        if loss is not None:
            row |= {"weight_start": loss.weights_start.get(term), "weight_end": loss.weights_end.get(term)}
            row["gradient_share_start"] = loss.gradient_shares_start.get(term)
            row["gradient_share_end"] = (loss.gradient_shares_end or {}).get(term)
        rows.append(row)
    return with_undertrained(pl.DataFrame(rows, schema=TRAININGS), tuned)
