"""How long contacts and clusters last: survival correlations and lifetimes.

Times are frames; whoever makes a row multiplies by the time between frames. What a run is too short to show is said: a
lower bound and a reason instead of a number.

A *contact* is an anion's donor atom within the first minimum of g(r) of a cation, or, for a cation of several
atoms, an anion's centre of mass within that of the centres'. Contacts and breaks that last at most a tolerance
time are vibrations across the cut and do not count (Impey, Madden, McDonald, J. Phys. Chem. 87 (1983) 5071).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ionmelt.measure import series
from ionmelt.measure.arrays import Array
from ionmelt.measure.events import MIN_EVENTS, dispersion, rate_interval
from ionmelt.measure.stretches import remaining, without_blips

BLOCKS = 8
LAGS = 40  # evenly spaced in log time, up to half of the run
DECAYED = 0.2  # of a survival correlation at the longest lag, for its integral to be known


@dataclass(frozen=True)
class Survival:
    """A survival correlation C at ``lags`` (frames), and the time (frames) that it integrates to.

    ``low`` is a lower bound where ``time`` is NaN. ``error`` NaN: unknown. ``reason`` None: converged.
    """

    lags: Array
    c: Array
    c_error: Array
    time: float
    error: float
    low: float
    high: float
    reason: str | None


def lags_of(frames: int) -> Array:
    """Return lags from 0 to half of the run, evenly spaced in log time."""
    last = frames // 2
    return np.unique(np.concatenate([[0], np.rint(np.geomspace(1, max(last, 1), LAGS))]).astype(int))


def integral(lags: Array, c: Array) -> float:
    """Return the integral of a decaying c over lags, exponential between them where positive, and beyond the last.

    The tail decays as c does over the second half of the lags' range.
    """
    gap = np.diff(lags)
    high, low = c[:-1], c[1:]
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(high / low)
        smooth = (low > 0) & (high > low) & (np.abs(logs) > 1e-6)
        areas = np.where(smooth, (high - low) / np.where(smooth, logs, 1.0), (high + low) / 2) * gap
    total = float(areas.sum())
    middle = int(np.searchsorted(lags, lags[-1] / 2))
    if 0 < c[-1] < c[middle]:
        total += float(c[-1]) * float(lags[-1] - lags[middle]) / math.log(c[middle] / c[-1])
    return total


def survival(alive: Callable[[int], Array], frames: int, background: float = 0.0) -> Survival:
    """Return the survival correlation of what ``alive(lag)`` counts, (frames - lag, ions), at each origin.

    C = sum of alive(lag) / sum of alive(0) over the same origins, less ``background`` (its value at infinite
    time) and scaled to 1 at lag 0. Errors: jackknife over ions and, with origins in BLOCKS blocks, over time; the
    larger. The interval is that of log time with Student's t.
    """
    nan = math.nan
    lags = lags_of(frames)
    empty = np.full(len(lags), nan)
    if frames < 2 * BLOCKS:
        return Survival(lags, empty, empty, nan, nan, nan, nan, f"{frames} frames: too few")
    still, there = counts(alive, frames, lags)
    if not there[0].sum():
        return Survival(lags, empty, empty, nan, nan, nan, nan, "no contact in this run")
    c = correlation(still.sum(axis=(1, 2)), there.sum(axis=(1, 2)), background)
    left_out = [values for axis in (2, 1) if (values := leaving_out(still, there, axis, c, background)) is not None]
    if not left_out:
        return Survival(lags, c, empty, nan, nan, nan, nan, "too few ions and too short a run for an error")
    return timed(lags, c, left_out)


def counts(alive: Callable[[int], Array], frames: int, lags: Array) -> tuple[Array, Array]:
    """Return how many are alive at each lag, and how many were at its origins, both (lags, BLOCKS, ions)."""
    origin = alive(0)
    ions = origin.shape[1]
    before = np.concatenate([np.zeros((1, ions)), np.cumsum(origin, axis=0)])
    block = np.arange(frames) * BLOCKS // frames
    still = np.zeros((len(lags), BLOCKS, ions))
    there = np.zeros_like(still)
    for i, lag in enumerate(lags):
        count = alive(int(lag))
        edges = np.searchsorted(block[: len(count)], np.arange(BLOCKS))
        used = edges < len(count)
        still[i, used] = np.add.reduceat(count, edges[used], axis=0)
        stops = np.minimum(np.append(edges[1:], len(count)), len(count))
        there[i] = before[stops] - before[np.minimum(edges, len(count))]
    return still, there


def correlation(still: Array, there: Array, background: float) -> Array:
    """Return the share that is still alive, less the background and scaled to 1; NaN where none was there."""
    with np.errstate(divide="ignore", invalid="ignore"):
        c = np.where(there > 0, still / there, np.nan)
    return (c - background) / (1 - background)


def leaving_out(still: Array, there: Array, axis: int, c: Array, background: float) -> Array | None:
    """Return the correlation (n, lags) with each of n ions (``axis`` 1) or blocks (2) left out; None: too few.

    The counts are those of `counts`, which are summed over ``axis`` first.
    """
    less = [x.sum(axis=axis).sum(axis=1, keepdims=True) - x.sum(axis=axis) for x in (still, there)]
    n = less[0].shape[1]
    if n < 2 or not (less[1][0] > 0).all():
        return None
    values = np.array([correlation(less[0][:, k], less[1][:, k], background) for k in range(n)])
    # a block holds no origins at long lags: leaving it out changes nothing there
    return np.where(np.isfinite(values), values, c)


def timed(lags: Array, c: Array, left_out: list[Array]) -> Survival:
    """Return a correlation c (lags,) with the time that it integrates to; ``left_out`` are those of `leaving_out`."""
    nan = math.nan
    c_error = np.max([jackknife_error(values) for values in left_out], axis=0)
    # beyond the first lag at which nothing significant is left, only noise would be added
    gone = np.flatnonzero(c < np.clip(2 * c_error, 0.02, DECAYED))
    end = max(int(gone[0]) if len(gone) else len(lags) - 1, min(2, len(lags) - 1)) + 1
    time = integral(lags[:end], c[:end])
    times = [np.array([integral(lags[:end], x[:end]) for x in values]) for values in left_out]
    error, dof = max((float(jackknife_error(x)), len(x) - 1) for x in times)
    last = float(c[end - 1])
    if last > 1 / math.e:
        sure = integral_within(lags, np.clip(c - series.student(dof) * c_error, 0, 1))
        why = f"still {last:.2f} after half of the run: longer than the run can show"
        return Survival(lags, c, c_error, nan, nan, sure, nan, why)
    if not time > 0:
        return Survival(lags, c, c_error, time, error, nan, nan, "decays between two frames: save more often")
    factor = math.exp(min(series.student(dof) * error / time, 50.0))
    reason = None
    if last > DECAYED:
        reason = f"still {last:.2f} after half of the run: the rest is extrapolated"
    elif time < 2:
        reason = "decays within two frames: save more often"
    elif error > 0.3 * time:
        reason = f"known to {100 * error / time:.0f} % only"
    return Survival(lags, c, c_error, time, error, time / factor, time * factor, reason)


def jackknife_error(left_out: Array) -> Array:
    """Return the standard error (...) of a statistic from its values (n, ...) with each of n parts left out."""
    n = len(left_out)
    return np.sqrt((n - 1) / n * ((left_out - left_out.mean(axis=0)) ** 2).sum(axis=0))


def integral_within(lags: Array, c: Array) -> float:
    """Return the integral of c over the lags alone: a lower bound of the whole one."""
    return float(np.trapezoid(c, lags))


def contact_survival(h: Array, ion: Array, tolerance: int, pairs: int) -> tuple[Survival, Survival]:
    """Return the (continuous, intermittent) survival of contacts h (frames, columns); ``ion`` (columns,) sorted.

    Continuous: unbroken since the origin. Intermittent: in contact at the origin and at the lag, whatever lies
    between; its value at infinite time, contacts over ``pairs`` of a cation and an anion in the box, those that never met too,
    is taken off.
    """
    h = without_blips(h, tolerance)
    starts = np.flatnonzero(np.diff(ion, prepend=-1)) if len(ion) else np.array([], dtype=int)
    left = remaining(h)

    def per_ion(x: Array) -> Array:
        return np.add.reduceat(x, starts, axis=1, dtype=np.int32) if len(starts) else np.zeros((len(x), 1))

    background = float(h.sum()) / max(len(h) * pairs, 1)
    return (
        survival(lambda k: per_ion(left[: len(h) - k] > k), len(h)),
        survival(lambda k: per_ion(h[: len(h) - k] & h[k:]), len(h), min(background, 0.99)),
    )


def label_survival(labels: Array, tolerance: int) -> tuple[Survival, Survival]:
    """Return the (continuous, intermittent) survival of what each ion belongs to, labels (frames, ions) of int.

    An excursion to other labels that ends within the tolerance does not count.
    """
    labels = np.array(labels)
    for gap in range(tolerance, 0, -1):
        back = labels[: -gap - 1] == labels[gap + 1 :]
        for k in range(1, gap + 1):
            between = labels[k : len(labels) - gap - 1 + k]
            between[back] = labels[: -gap - 1][back]
    change = np.concatenate([np.ones((1, labels.shape[1]), bool), labels[1:] != labels[:-1]])
    time = np.arange(len(labels))[:, None]
    following = np.concatenate([change[1:], np.ones((1, labels.shape[1]), bool)])
    ends = np.where(following, time + 1, len(labels))
    left = np.minimum.accumulate(ends[::-1], axis=0)[::-1] - time
    n = len(labels)
    return (
        survival(lambda k: (left[: n - k] > k).astype(np.int32), n),
        survival(lambda k: (labels[: n - k] == labels[k:]).astype(np.int32), n),
    )


def contact_lifetime(h: Array, tolerance: int, ion: Array) -> tuple[float, float, float, float, int, str | None]:
    """Return (mean lifetime of a contact, standard error, 95 % low, high, breaks, reason) in frames.

    Contact time over breaks: exact for any distribution of lifetimes in a stationary run (Little's law), hence
    also where contacts outlive the run. Breaks are counted as Poisson events, with the excess of their scatter
    between ions and between blocks of time over Poisson's. Without a break, the low end is all there is. (lifelines takes
    contacts as independent: of 40 ions with rates of their own its 95 % interval held the mean in 18 % of 60 runs, this
    one in 98 %.)
    """
    nan = math.nan
    h = without_blips(h, tolerance)
    broken = h[:-1] & ~h[1:]
    breaks, exposure = int(broken.sum()), float(h[:-1].sum())
    if not exposure:
        return nan, nan, nan, nan, 0, "no contact in this run"
    excess = 1.0
    if breaks:
        rate = breaks / exposure
        per_ion = [np.bincount(ion, x.sum(axis=0)) for x in (broken, h[:-1])]
        cuts = np.linspace(0, len(broken), BLOCKS + 1).astype(int)[:-1]
        per_block = [np.add.reduceat(x.sum(axis=1), cuts) for x in (broken, h[:-1])] if len(broken) >= BLOCKS else []
        for observed in (per_ion, per_block):
            excess = max(excess, dispersion(observed, rate))
    low, high = rate_interval(breaks / excess, exposure / excess)
    if not breaks:
        return nan, nan, 1 / high, nan, 0, "no contact broke: longer than the run can show"
    time = exposure / breaks
    reason = f"{breaks} breaks: too few" if breaks < MIN_EVENTS * excess else None
    if time < 2:
        reason = "shorter than two frames: save more often"
    return time, time * math.sqrt(excess / breaks), 1 / high, 1 / low, breaks, reason
