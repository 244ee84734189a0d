"""The mean of a correlated series, with an honest error."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy

from ionmelt.correlation import statistical_inefficiency
from ionmelt.distributions import student_limit, student_quantile
from ionmelt.measure.arrays import Array

MIN_EFFECTIVE = 20.0  # effective samples: below, the correlation time itself is not known well enough
MIN_GAIN = 1.5  # discard a start only for this gain in effective samples: less is a fluctuation
EXCESS = 4.0  # effective samples that a short series seems to hold beyond those it holds (docs/statistics.md)
LEAST_EFFECTIVE = 2.5  # of which nothing shorter can be told apart: five correlation times
FALSE_ALARM = 0.02  # of the tests that the halves agree and that there is no drift, in a stationary series


@dataclass(frozen=True)
class Change:
    """How far the second half of a series lies above the first, and how far it rises, in standard errors (Student's t of ``dof``).

    ``limit``: what is no fluctuation, of one series alone.
    """

    halves: float
    drift: float
    dof: float
    limit: float

    @property
    def words(self) -> str | None:
        """Say what changes beyond its fluctuations; None where nothing does."""
        if abs(self.halves) > self.limit:
            return f"halves differ by {abs(self.halves):.1f} standard errors"
        return f"drifts by {abs(self.drift):.1f} standard errors" if abs(self.drift) > self.limit else None


@dataclass(frozen=True)
class Estimate:
    """Mean of a correlated series: its 95 % interval is ± Student's t of ``n_effective - 1`` standard errors.

    ``start`` is the first sample used. Not-a-number where there is nothing to say; ``reason`` is None if
    converged; if not, ``needed`` is how long a series is likely to be (in samples, this one included), or only what it has to be ``at_least``. ``sound``: it passes the
    tests of one series other than those of `Change` and of its number of samples, which several series are judged by together.
    """

    mean: float
    standard_error: float
    n_effective: float
    start: int
    converged: bool
    reason: str | None
    needed: float = math.nan
    change: Change | None = None
    sound: bool = False
    at_least: bool = False

    @property
    def interval(self) -> tuple[float, float]:
        """Return the ends of the 95 % interval."""
        half = student(max(self.n_effective - 1, 1.0)) * self.standard_error
        return self.mean - half, self.mean + half


def student(dof: float) -> float:
    """Return the 97.5 % quantile of Student's t distribution."""
    return student_quantile(0.975, dof)


def error_of_mean(x: Array) -> tuple[float, float, float]:
    """Return (standard error, effective samples, degrees of freedom) of the mean of a stationary series (n,).

    The Gamma method (Wolff, Comput. Phys. Commun. 156 (2004) 143): the autocovariance is summed up to its
    first zero, corrected for the removal of the sample mean, and known to a relative error that leaves n / (2
    W + 1) degrees of freedom for a window W.
    """
    n = len(x)
    length = scipy.fft.next_fast_len(2 * n, real=True)
    f = scipy.fft.rfft(x - x.mean(), length)
    power = f.real**2 + f.imag**2
    autocovariance = scipy.fft.irfft(power, length)[:n] / np.arange(n, 0, -1)
    crossing = np.flatnonzero(autocovariance <= 0)
    window = int(min(crossing[0] if len(crossing) else n, n // 2))
    c = autocovariance[:window]
    c = c + (2 * c.sum() - c[0]) / n
    total = max(2 * c.sum() - c[0], c[0])
    return math.sqrt(total / n), float(n * c[0] / total), n / (2 * window + 1)


def equilibration_start(x: Array) -> int:
    """Return the first sample of the equilibrated part of a series (n,): 0, or a later one in its first half.

    Chodera (J. Chem. Theory Comput. 12 (2016) 1799): the start that leaves most effective samples, with
    the fast statistical inefficiency. Twice that start, since the best one still holds the end of the
    transient; and only for a gain that is no fluctuation, since the best of many starts looks less correlated
    than it is.
    """
    n = len(x)
    starts = np.unique(np.linspace(0, n // 2, 26).astype(int))
    effective = [(n - s) / statistical_inefficiency(x[s:], fast=True) if x[s:].std() > 0 else 1.0 for s in starts]
    best = int(np.argmax(effective))
    return min(2 * int(starts[best]), n // 2) if effective[best] > MIN_GAIN * effective[0] else 0


def change_of(y: Array, alarm: Callable[[float], float] = lambda _slope: FALSE_ALARM / 2) -> Change:
    """Return how a series (n,) changes; ``alarm`` gives the one-sided false-alarm rate for the slope of its trend.

    It is held against the error of what is left without the trend, which would hide in its own correlation time.
    """
    n = len(y)
    half, time = n // 2, np.arange(n) - (n - 1) / 2
    slope = float(time @ y) / float(time @ time)
    rest = y - slope * time
    rounding = max(1e-12 * float(np.abs(y).max()), 1e-300)
    if np.ptp(rest) <= rounding:  # a straight line, of which nothing is a fluctuation
        rest = rounding * (-1.0) ** np.arange(n)
    noise, _, dof = error_of_mean(rest)
    dof = max(dof, 1.0)
    limit = student_limit(alarm(slope), dof)
    halves = float(y[half:].mean() - y[:half].mean()) / (2 * noise)
    drift = slope * n / (math.sqrt(12) * noise)  # end to end, with its error in a stationary series
    return Change(halves, drift, dof, limit)


def series_mean(x: Array) -> Estimate:
    """Return the mean of the equilibrated part of a correlated series (n,), evenly sampled.

    The standard error is the larger of the Gamma method's and that of 8 block means; with fewer effective samples
    than MIN_EFFECTIVE it is widened so that Student's t with ``n_effective - 1`` degrees of freedom covers, though
    the correlation time is itself poorly known. Converged: at least MIN_EFFECTIVE effective samples, halves that agree, no drift. Relaxation
    slower than the series cannot be seen in it.
    """
    x = np.asarray(x, dtype=float)
    if not np.isfinite(x).all():
        raise ValueError("the series holds values that are not finite")
    if len(x) < 16:
        return no_error(x, 0, f"{len(x)} samples: too few")
    if is_constant(x):
        return no_error(x, 0, "the series is constant")
    start = equilibration_start(x)
    y = x[start:]
    n = len(y)
    if is_constant(y):
        return no_error(y, start, "the series becomes constant")
    error, effective, dof = error_of_mean(y)
    blocks = y[n % 8 :].reshape(8, -1).mean(axis=1)
    error = max(error, float(blocks.std(ddof=1)) / math.sqrt(8))
    if effective < MIN_EFFECTIVE:
        error *= max(student(max(dof, 1.0)) / student(max(effective - 1, 1.0)), 1.0)

    # a stricter limit where the discarded start was drifting in the same direction
    change = change_of(
        y, lambda slope: 0.05 if start > 0 and slope * (y.mean() - x[:start].mean()) > 0 else FALSE_ALARM / 2
    )
    is_late = start >= len(x) // 2
    reasons = doubts(is_late, effective, change)
    needed, at_least = math.nan, False
    if reasons:
        needed, at_least = length_needed(len(x), error_of_mean(x)[1])
        if change.words or is_late:  # something relaxes more slowly than can be seen
            needed, at_least = max(needed, 2.0 * len(x)), True
    words = "; ".join(reasons) or None
    return Estimate(float(y.mean()), error, effective, start, not reasons, words, needed, change, not is_late, at_least)


def length_needed(n: int, effective: float) -> tuple[float, bool]:
    """Return how many samples are likely to be enough where a whole series of ``n`` seems to hold so many effective ones, and whether more may be.

    The correlation time of a series that holds few of them looks shorter than it is, and the start that leaves most makes it shorter
    still: all samples count here. One and a half times what is asked for, since a series of just that length would fail every second time.
    Of a series below LEAST_EFFECTIVE only a lower bound is known.
    """
    held = effective - EXCESS
    return 1.5 * MIN_EFFECTIVE * n / max(held, LEAST_EFFECTIVE), held < LEAST_EFFECTIVE


def doubts(is_late: bool, effective: float, change: Change) -> list[str]:
    """Say why a mean is not converged: it settled late, has few effective samples, or still changes."""
    reasons = ["not equilibrated within its first half"] if is_late else []
    if effective < MIN_EFFECTIVE:
        reasons.append(f"n_effective {effective:.1f} < {MIN_EFFECTIVE:g}")
    return [*reasons, change.words] if change.words else reasons


def is_constant(x: Array) -> bool:
    """Tell whether a series (n,) does not change beyond rounding."""
    return bool(np.ptp(x) <= 1e-12 * np.abs(x).max())


def no_error(x: Array, start: int, reason: str) -> Estimate:
    """Return the mean of a series (n,), if it has one, without an error for a reason."""
    mean = float(x.mean()) if len(x) else math.nan
    return Estimate(mean, math.nan, math.nan, start, False, reason)
