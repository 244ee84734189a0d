"""Numbers and curves of a run, each with its 95 % interval or the reason for having none."""

import itertools
import math
from typing import Any, TypeAlias

import numpy as np

from ionmelt.distributions import beta_quantile, chi2_quantile
from ionmelt.measure import series
from ionmelt.measure.arrays import Array
from ionmelt.measure.series import Change

Row: TypeAlias = dict[str, Any]
BLOCKS = 8


def number(value: float | None, unit: str, reason: str | None = None, **more: Any) -> Row:
    """Return the columns of a number without an interval: not converged, for a reason."""
    empty = {"standard_error": None, "ci95_low": None, "ci95_high": None, "n_effective": None}
    return {"value": value, "unit": unit} | empty | {"converged": reason is None, "reason": reason} | more


def steadiness(change: Change | None, sound: bool) -> Row:
    """Return the columns of `columns.STEADY`; None: nothing is known of it."""
    if change is None:
        return {"sound": sound}
    return {"halves_t": change.halves, "drift_t": change.drift, "steady_dof": change.dof, "sound": sound}


def mean_row(samples: Array, unit: str = "1", fraction: bool = False, ions: Array | None = None) -> Row:
    """Return the mean of ``samples`` (frames, ions) with its 95 % interval, as columns of NUMBER.

    Neither frames nor ions are taken as independent: the error is that of the series of ion averages
    (`series.series_mean`: equilibration, correlation in time) or, where larger, that of the scatter between
    ions, which sees what is slower than the run. ``ions`` (n,) are the means of ions where ``samples`` holds only
    that of all. ``fraction``: each sample lies in [0, 1], and the interval is Jeffreys's for as many independent
    samples as the standard error amounts to.
    """
    samples = np.asarray(samples, dtype=float)
    if not samples.size:
        return number(None, unit, "no frames")
    estimate = series.series_mean(samples.mean(axis=1))
    if why := why_no_interval(samples, fraction) or (
        None if math.isfinite(estimate.standard_error) else estimate.reason
    ):
        return number(estimate.mean, unit, why)
    error, dof = estimate.standard_error, max(estimate.n_effective - 1, 1.0)
    scatter, limit = scatter_of_ions(samples[estimate.start :] if ions is None else ions[None])
    slow = ""
    if scatter > error:
        slow = (
            "ions differ by more than the time series explains: slower than the run" if scatter / error > limit else ""
        )
        error, dof = scatter, float((samples.shape[1] if ions is None else len(ions)) - 1)
    half = series.student(dof) * error
    ends = estimate.mean - half, estimate.mean + half
    if fraction and 0 < estimate.mean < 1:
        n = estimate.mean * (1 - estimate.mean) * (series.student(math.inf) / half) ** 2
        ends = beta_interval(estimate.mean * n, n)
    reasons = [text for text in (estimate.reason, slow) if text]
    return {
        "value": estimate.mean,
        "unit": unit,
        "standard_error": error,
        "ci95_low": ends[0],
        "ci95_high": ends[1],
        "n_effective": dof + 1,
        "converged": not reasons,
        "reason": "; ".join(reasons) or None,
    }


def why_no_interval(samples: Array, fraction: bool) -> str | None:
    """Say what never changed in ``samples`` (frames, ions), so that they have no scatter; None where something did."""
    if len(samples) < 16:
        return None  # too few to tell, which the estimate says
    low = float(samples.min())
    if low == float(samples.max()):
        why = {0.0: "never seen in this run", 1.0: "nothing else seen in this run"} if fraction else {}
        return why.get(low, "the same in every frame")
    return "no ion changed in this run" if (samples == samples[0]).all() else None


def scatter_of_ions(samples: Array) -> tuple[float, float]:
    """Return the standard error of the mean of ``samples`` (frames, ions) from ion to ion, 0 of one ion.

    With it comes how many times larger than the error of the time series chance makes it, once in a thousand.
    """
    ions = samples.shape[1]
    if ions == 1:
        return 0.0, math.inf
    scatter = float(samples.mean(axis=0).std(ddof=1)) / math.sqrt(ions)
    return scatter, 1.5 * math.sqrt(chi2_quantile(0.999, ions - 1) / (ions - 1))


def beta_interval(successes: float, trials: float) -> tuple[float, float]:
    """Return Jeffreys's 95 % interval of a proportion: quantiles of Beta(successes + 1/2, failures + 1/2)."""
    low, high = (beta_quantile(p, successes + 0.5, max(trials - successes, 0.0) + 0.5) for p in (0.025, 0.975))
    return low, high


def ratio_samples(some: Array, whole: Array) -> Array | None:
    """Return samples whose mean is sum(some) / sum(whole), to first order with its errors; None where whole is 0."""
    mean = float(np.mean(whole))
    if not mean:
        return None
    ratio = float(np.mean(some)) / mean
    return ratio + (np.asarray(some, dtype=float) - ratio * whole) / mean


def block_error(samples: Array) -> Array:
    """Return the standard error (k,) of the mean of samples (frames, k), from BLOCKS blocks; NaN with fewer frames."""
    if len(samples) < BLOCKS:
        return np.full(samples.shape[1], math.nan)
    cuts = np.linspace(0, len(samples), BLOCKS + 1).astype(int)
    means = [samples[a:b].mean(axis=0) for a, b in itertools.pairwise(cuts)]
    return np.std(means, axis=0, ddof=1) / math.sqrt(BLOCKS)


def curve(quantity: str, pair: str, axis: str, x: Array, values: Array, errors: Array, unit: str = "1") -> list[Row]:
    """Return the rows of a curve of the table `structure`; ``axis`` is the column that holds ``x``."""
    return [
        {"quantity": quantity, "pair": pair, axis: round(a, 6), "value": v, "standard_error": e, "unit": unit}
        | {"reason": None if math.isfinite(e) else "too few frames for an error"}
        for a, v, e in zip(x.tolist(), values.tolist(), errors.tolist(), strict=True)
    ]
