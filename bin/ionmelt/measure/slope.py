"""The slope of a mean squared displacement: diffusion, and every property that is one, each with an honest error."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from ionmelt.distributions import chi2_quantile
from ionmelt.measure.arrays import Array
from ionmelt.measure.displacement import Paths, by_particles, mean_squared_displacement
from ionmelt.measure.line import (
    AFTER_STRAIGHT,
    SLOPE_TOLERANCE,
    Line,
    diffusive_from,
    fitted_line,
    lags_between,
    msd_covariance,
    straight_from,
)
from ionmelt.measure.series import Change, change_of, error_of_mean, student

MIN_INDEPENDENT = 20  # independent displacements at the longest lag of a fit
FLIGHT = 1.5  # log-log slope nearer to a flight's than to a walk's: the line to come has not been seen
BLOCKS = (3, 5, 8)  # of time origins: few see slow changes, more know their own scatter better
SHOWN = 60  # displacements that are kept of a run, at most
MOST_ERROR = 0.5  # standard error over the slope
COMMON = 0.2  # false alarms of the test for changes that all particles share: an error is widened, nothing is refused


@dataclass(frozen=True)
class Displacements:
    """Mean squared displacements (k,) of like particles at lags (k,) in frames, which are evenly spaced in log time, 1 the first.

    ``frames`` and ``particles`` are those of the trajectory, ``step_s`` the time between its frames.
    """

    lags: Array
    squared: Array
    frames: int
    particles: int
    step_s: float


@dataclass(frozen=True)
class DiffusionEstimate:
    """Self-diffusion coefficient with its 95 % interval, in length^2 / s; times in s.

    ``log_slope`` is that of log MSD against log time in the fitted window, with its standard error; ``bend`` is `line.Line.bend`. ``n_independent`` counts the
    displacements of length ``fit_start`` that do not overlap: what the estimate rests on. ``dof`` are the degrees
    of freedom of ``standard_error``. ``needed`` is the length that is likely to converge, in s, if this did not, or only what it
    has to be ``at_least``. ``change``: how the slope differs between the halves of the run; ``sound``: the displacements grow. Whether
    they are those of diffusion several runs tell together, by ``log_slope`` and ``bend`` (`compare.convergence`).
    """

    D: float
    ci95_low: float
    ci95_high: float
    log_slope: float
    fit_start: float
    fit_stop: float
    n_independent: float
    converged: bool
    reason: str | None
    standard_error: float = math.nan
    dof: float = math.nan
    needed: float = math.nan
    change: Change | None = None
    sound: bool = False
    at_least: bool = False
    log_slope_error: float = math.nan
    bend: float = math.nan
    displacements: Displacements | None = field(default=None, compare=False)

    def scaled(self, factor: float) -> "DiffusionEstimate":
        """Return the same estimate in another unit; the displacements are as they were."""
        return replace(
            self,
            D=self.D * factor,
            ci95_low=self.ci95_low * factor,
            ci95_high=self.ci95_high * factor,
            standard_error=self.standard_error * factor,
        )


@dataclass(frozen=True)
class _Scatter:
    """The slope of a fit by particle (particles,) and by time origin (origins,), and the excess of its variance by rare jumps."""

    by_particle: Array
    by_origin: Array
    jumps: float


def _scatter(positions: Paths, fit: Line, threads: int) -> _Scatter:
    """Return what the slope of a fit is for each particle, over all origins, and for each origin, over all particles.

    Origins are those that have a displacement of the longest lag. Rare jumps: the fourth cumulant of the displacements of
    the shortest lag adds to the variance.
    """
    frames, particles, dimensions = positions.shape
    origins = frames - int(fit.lags[-1])

    def of_each(block: Array) -> tuple[Array, Array]:
        """Return (3, n): the slope, the mean squared displacement of the shortest lag, and that of its square; and (origins,)."""
        block = np.ascontiguousarray(
            block
        )  # the order of sums, and so their last bits, does not depend on where it is from
        moments, slopes = np.zeros((3, block.shape[1])), np.zeros(origins)
        for weight, lag in zip(fit.mapping, fit.lags, strict=True):
            step = block[lag:] - block[:-lag]
            squared = np.einsum("tni,tni->tn", step, step)
            moments[0] += weight * squared.mean(axis=0) / dimensions
            slopes += weight * squared[:origins].sum(axis=1) / dimensions
            if lag == fit.lags[0]:
                moments[1:] = squared.mean(axis=0), (squared * squared).mean(axis=0)
        return moments, slopes

    moments, by_origin = [], np.zeros(origins)
    for some, slopes in by_particles(positions, of_each, threads):
        moments.append(some)
        by_origin += slopes  # at once: together they are as long as the paths
    by_particle, second, fourth = np.concatenate(moments, axis=1)
    cumulant = (fourth.mean() - second.mean() ** 2 * (1 + 2 / dimensions)) / (dimensions**2 * fit.lags[0])
    return _Scatter(by_particle, by_origin / particles, max(float(cumulant), 0.0) / (frames * particles))


def _error_of_independent(scatter: _Scatter, fit: Line) -> tuple[float, float]:
    """Return (standard error of the slope, degrees of freedom) for independent particles, neither Gaussian nor equal.

    Where the scatter between particles exceeds the expected one (F test, 1 %), it is used instead.
    """
    particles = len(scatter.by_particle)
    variance = fit.error**2 + scatter.jumps
    dof = 2 * fit.slope**2 / variance
    if particles > 2:
        observed = float(scatter.by_particle.var(ddof=1)) / particles
        if observed > variance * chi2_quantile(0.99, particles - 1) / (particles - 1):
            return math.sqrt(observed), min(dof, particles - 1)
    return math.sqrt(variance), dof


def _errors_in_common(scatter: _Scatter, fit: Line, frames: int) -> list[tuple[float, float]]:
    """Return (standard error of the slope, degrees of freedom) from its scatter over time: by blocks, and by the Gamma method.

    In a dense liquid the mobility of all particles rises and falls together, so that their number does not tell how well a
    slope is known. Errors are those of the fit, which has more origins than have a displacement of the longest lag.
    """
    x = scatter.by_origin
    share = math.sqrt(len(x) / (frames - int(fit.lags[0])))
    errors = []
    for count in BLOCKS:
        means = x[len(x) % count :].reshape(count, -1).mean(axis=1)
        errors.append((share * float(means.std(ddof=1)) / math.sqrt(count), count - 1.0))
    error, effective, _ = error_of_mean(x)
    return [*errors, (share * error, max(effective - 1, 2.0))]


def _window(fit_from: Callable[[int], Line], last: int) -> tuple[Line, bool, int]:
    """Return the fit of the window that `diffusion` describes, whether the MSD looks straight, and where it begins.

    ``fit_from`` fits from a lag to ``last``.
    """
    fit, first = straight_from(fit_from, last)
    beginning = AFTER_STRAIGHT * first
    if not (fit.linear and 10 * first <= last):
        return fit, False, beginning
    return diffusive_from(fit_from, min(beginning, last // 4), last), True, beginning


@dataclass(frozen=True)
class _Interval:
    """The standard error of a slope, its degrees of freedom, and its 95 % interval."""

    error: float
    dof: float
    low: float
    high: float


def _interval(scatter: _Scatter, fit: Line, frames: int) -> _Interval:
    """Return what is known of the slope.

    The interval is that of a chi^2 variable, or Student's t in log D where particles differ; where blocks of time origins
    differ by more than independent particles explain, it is the widest of those and of Student's t by blocks.
    """
    slope, particles = fit.slope, len(scatter.by_particle)
    error, dof = _error_of_independent(scatter, fit)
    if slope <= 0 or dof < 2:  # not above its error: it may be of either sign, and a quantile of chi^2 be 0
        return _Interval(error, math.inf, slope - 1.96 * error, slope + 1.96 * error)
    if dof == particles - 1:
        factor = math.exp(min(student(dof) * error / slope, 50.0))
        low, high = slope / factor, slope * factor
    else:
        low, high = (slope * dof / chi2_quantile(p, dof) for p in (0.975, 0.025))
    common = _errors_in_common(scatter, fit, frames)
    limits = [math.sqrt(chi2_quantile(1 - COMMON, count - 1) / (count - 1)) * error for count in BLOCKS]
    if all(e <= limit for (e, _), limit in zip(common, limits, strict=False)):
        return _Interval(error, dof, low, high)
    error, dof = max(common, key=lambda interval: student(interval[1]) * interval[0])
    factor = math.exp(min(student(dof) * error / slope, 50.0))
    return _Interval(error, dof, min(low, slope / factor), max(high, slope * factor))


def _doubt(fit: Line, straight: bool) -> str | None:
    """Return why a slope is none of diffusion, None where it is."""
    exponent = f"slope {fit.log_slope:.2g}"
    if not fit.diffusive and fit.log_slope_error > SLOPE_TOLERANCE:
        return f"{exponent} ± {fit.log_slope_error:.1g}: too few independent displacements"
    if not fit.diffusive and fit.log_slope != 1:
        return f"{exponent} ({'sub' if fit.log_slope < 1 else 'super'}diffusive)"
    if not straight:
        return "the mean squared displacement is not yet straight"
    return "the mean squared displacement does not grow" if fit.slope <= 0 else None


def diffusion(positions: Paths, dt_s: float, threads: int = 1) -> DiffusionEstimate:
    """Return the self-diffusion coefficient of like particles from unwrapped, drift-free centres of mass.

    ``positions`` (frames, particles, dimensions), ``dt_s`` seconds between frames. The slope of MSD = c + 6 D t comes from generalised
    least squares with the covariance of the observed MSD (`msd_covariance`); the intercept c holds the ballistic or caged motion at short
    times. The window starts at three times the shortest lag from which the MSD looks straight (chi^2 and curvature tests; the factor is
    for what they cannot see: it cubes what is left of an exponential transient), or later, where the log-log slope is 1 as well; it stops
    where fewer than MIN_INDEPENDENT displacements do not overlap. For the interval see `_interval`. A slope that differs between the
    halves of the run, or drifts, is not converged: the liquid ages, or melts.
    """
    frames, particles = positions.shape[:2]
    extent = np.concatenate(list(by_particles(positions, lambda block: np.ptp(block, axis=0), threads)))
    if not np.isfinite(extent).all():
        raise ValueError("the positions hold values that are not finite")
    last = min(frames // 3, frames * particles // (MIN_INDEPENDENT + particles))
    if last < 4:
        of = f" of {particles} particles" if particles > 1 else ""  # one may be none, but what all charges do together
        return nothing(f"{frames} frames{of}: too few")
    msd = mean_squared_displacement(positions, threads)
    if not msd[1 : last + 1].all() or extent.max() == 0:
        return nothing("the particles do not move")

    def fit_from(first: int) -> Line:
        return fitted_line(msd, positions.shape, lags_between(first, last))

    fit, straight, beginning = _window(fit_from, last)
    scatter = _scatter(positions, fit, threads)
    interval = _interval(scatter, fit, frames)
    change = change_of(scatter.by_origin)
    doubt, needed = _doubt(fit, straight), math.nan
    unseen = change.words is not None  # something relaxes more slowly than can be seen
    if doubt is None and interval.error > MOST_ERROR * fit.slope:  # a single jump has a straight line, too
        doubt, unseen = f"known to {interval.error / fit.slope:.0%}: too few displacements", True
    reason = doubt or (f"the motion changes during the run: {change.words}" if change.words else None)
    if reason is not None:
        needed = frames_needed(fit.intercept, fit.slope, beginning, positions.shape) * dt_s
        if unseen:
            needed = max(needed, 2 * frames * dt_s)
    unit = 1 / (2 * dt_s)
    start, stop = int(fit.lags[0]), int(fit.lags[-1])
    shown = np.unique(np.rint(np.geomspace(1, last, SHOWN)).astype(int))
    return DiffusionEstimate(
        D=fit.slope * unit,
        ci95_low=interval.low * unit,
        ci95_high=interval.high * unit,
        log_slope=fit.log_slope,
        fit_start=start * dt_s,
        fit_stop=stop * dt_s,
        n_independent=particles * (frames - start) / start,
        converged=reason is None,
        reason=reason,
        standard_error=interval.error * unit,
        dof=interval.dof,
        needed=needed,
        change=change,
        sound=fit.slope > 0,
        at_least=reason is not None and (unseen or fit.log_slope > FLIGHT),
        log_slope_error=fit.log_slope_error,
        bend=fit.bend,
        displacements=Displacements(shown, msd[shown], frames, particles, dt_s),
    )


def nothing(reason: str) -> DiffusionEstimate:
    """Return an estimate without numbers."""
    nan = math.nan
    return DiffusionEstimate(nan, nan, nan, nan, nan, nan, nan, False, reason)


def frames_needed(intercept: float, slope: float, first: int, shape: tuple[int, ...]) -> float:
    """Return about how many frames would pass the tests of `diffusion`; not-a-number where no length can be named.

    ``intercept`` and ``slope`` are those of the line seen so far, per coordinate and frame; it is straight from
    lag ``first`` on. Longer and longer trajectories of ``shape`` (frames, particles, dimensions) are tried until a
    window is 8 times as long as its start, and its log-log slope as near to 1 as 1.3 standard errors allow.
    """
    frames, particles, dimensions = shape
    if not slope > 0:
        return math.nan
    scale = max(1.0, first / 8)  # a coarser unit of time, which saves work: the result depends on ratios of times alone
    first, intercept, length = round(first / scale), intercept / (slope * scale), frames / scale

    def expected(lag: Array) -> Array:
        return np.maximum(intercept + lag, 0.0)

    for _ in range(30):
        length *= 1.3
        last = int(min(length // 3, length * particles // (MIN_INDEPENDENT + particles)))
        start = first
        while 8 * start <= last:
            lags = lags_between(start, last)
            y, logs = expected(lags), np.linalg.pinv(np.column_stack([np.ones(len(lags)), np.log(lags)]))[1]
            covariance = msd_covariance(expected, lags, round(length)) / (dimensions * particles)
            if not y.all():
                break
            error = math.sqrt(max(float(logs @ (covariance / np.outer(y, y)) @ logs), 0.0))
            if abs(float(logs @ np.log(y)) - 1) + 1.3 * error <= SLOPE_TOLERANCE:
                return length * scale
            start = max(start + 1, round(1.5 * start))
    return math.nan
