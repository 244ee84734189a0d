"""Errors of models point by point: of test frames, and of the places of a volume scan."""

import math
from dataclasses import dataclass

import numpy as np
import polars as pl

from ionmelt.compare.rmse import LEAST_SQUARE, rmse_over_points
from ionmelt.compare.statistics import Estimate, satterthwaite

Points = dict[tuple[str, str | None], pl.DataFrame]  # by (model, dataset); columns: `INDEX`, and one for each seed
INDEX = ("block", "point", "n")  # jackknife block, point of the test, and how many numbers the point stands for


def pivoted(rows: pl.DataFrame) -> Points:
    """Return per (model, dataset) a row for each point that any model was asked: `INDEX`, and a column per seed.

    ``rows``: `INDEX`, model, dataset, model_key and ``square``, the mean squared error; null: no answer.
    """
    asked = rows.select(INDEX).unique().sort("block", "point")
    points: Points = {}
    for (model, dataset), answers in rows.sort("model_key").group_by(["model", "dataset"], maintain_order=True):
        wide = answers.pivot(
            "model_key", index=list(INDEX), values="square", aggregate_function="mean", sort_columns=True
        )
        points[str(model), dataset] = asked.join(wide, on=list(INDEX), how="left").sort("block", "point")
    return points


def scan_points(scan: pl.DataFrame, liquid: str) -> Points:
    """Return the squared energy errors of the volume scan of a liquid, eV^2 per atom^2, as `pivoted` says.

    Energies are relative to scale 1, which therefore is no test and is left out. The jackknife block of a point is
    the scan it belongs to, or with fewer than 4 scans its scale.
    """
    rows = scan.filter(
        (pl.col("liquid") == liquid)
        & ((pl.col("scale") - 1).abs() > 1e-9)
        & pl.col("energy_ref_ev_per_atom").is_not_null()
    )
    block = "group" if rows["group"].n_unique() >= 4 else "scale"
    return pivoted(
        rows.with_columns(
            block=pl.col(block).cast(pl.String),
            point=pl.concat_str("group", pl.col("scale").cast(pl.String), separator=" "),
            n=pl.lit(1),
            square=((pl.col("energy_model_ev_per_atom") - pl.col("energy_ref_ev_per_atom")) ** 2).fill_nan(None),
        )
    )


def frame_points(frames: pl.DataFrame) -> Points:
    """Return the mean squared force errors of each test frame, (eV/A)^2, as `pivoted` says; blocks are trajectories.

    ``frames``: model_key, model, dataset, frame_id, group, n and force_square, the sum over n components.
    """
    return pivoted(
        frames.with_columns(
            block=pl.col("group"),
            point=pl.col("frame_id"),
            square=(pl.col("force_square") / pl.col("n")).fill_nan(None),
        )
    )


def seeds_in(points: pl.DataFrame) -> list[str]:
    """Return the columns of points that hold the errors of a seed each."""
    return [c for c in points.columns if c not in INDEX]


def complete(points: pl.DataFrame) -> pl.DataFrame:
    """Return the points that every seed answered."""
    return points.drop_nulls(seeds_in(points))


def unanswered(points: pl.DataFrame) -> int:
    """Return how many of the points that were asked some seed did not answer."""
    return points.height - complete(points).height


def squares_of(points: pl.DataFrame) -> np.ndarray:
    """Return the mean squared errors (seeds, points); errors below 1e-9 count as that."""
    return np.maximum(points.select(seeds_in(points)).to_numpy().T, LEAST_SQUARE)


def sampling_of(squares: list[np.ndarray], points: pl.DataFrame) -> Estimate:
    """Return the RMSE of one model over points, or the paired ln(RMSE / RMSE) of two, with the error of the choice of points alone.

    A jackknife over blocks. Neighbouring points of one block are correlated, so that with few blocks the error is a lower bound.
    """
    weights = points["n"].to_numpy()
    return rmse_over_points(np.array([s.mean(axis=0) for s in squares]), points["block"].to_list(), weights)


def with_seeds(sampling: Estimate, squares: list[np.ndarray], points: pl.DataFrame) -> Estimate:
    """Return what `sampling_of` gave with the error of the spread between seeds added."""
    weights = points["n"].to_numpy()
    variances = [(sampling.standard_error**2, sampling.dof)]
    for s in squares:
        if len(s) > 1:
            roots = np.sqrt(np.average(s, axis=1, weights=weights))
            spread = float(np.var(np.log(roots) if len(squares) == 2 else roots, ddof=1))
            variances.append((spread / len(s), len(s) - 1))
    variance = sum(v for v, _ in variances)
    return Estimate(sampling.value, math.sqrt(variance), satterthwaite(variance, variances))


def own_estimate(points: pl.DataFrame) -> Estimate | None:
    """Return the RMSE of a model over the points that all its seeds answered; None: there are none."""
    whole = complete(points)
    if not whole.height:
        return None
    squares = [squares_of(whole)]
    return with_seeds(sampling_of(squares, whole), squares, whole)


@dataclass(frozen=True)
class SharedPoints:
    """Two models on the ``count`` points that both answered: ``ratio`` is ln(RMSE / RMSE), ``scale`` the geometric mean of the two.

    ``sampling`` is the ratio with the error of the choice of points alone. ``missing_a`` counts the points that b answered and a did not, ``missing_b`` the other way round.
    """

    ratio: Estimate | None
    scale: float
    count: int
    missing_a: int
    missing_b: int
    sampling: Estimate | None = None


def on_shared_points(a: pl.DataFrame, b: pl.DataFrame) -> SharedPoints:
    """Set two models against each other on the points that both answered."""
    first, second = complete(a), complete(b)
    shared = first.join(second.select(INDEX), on=list(INDEX), how="inner").sort("block", "point")
    other = second.join(first.select(INDEX), on=list(INDEX), how="inner").sort("block", "point")
    missing_a, missing_b = second.height - shared.height, first.height - shared.height
    if not shared.height:
        return SharedPoints(None, 1.0, 0, missing_a, missing_b)
    squares = [squares_of(shared), squares_of(other)]
    weights = shared["n"].to_numpy()
    means = [float(np.average(s.mean(axis=0), weights=weights)) for s in squares]
    scale = (means[0] * means[1]) ** 0.25
    sampling = sampling_of(squares, shared)
    ratio = with_seeds(sampling, squares, shared)
    return SharedPoints(ratio, scale, shared.height, missing_a, missing_b, sampling)
