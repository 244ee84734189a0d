"""The slope of a mean squared displacement: diffusion, and every property that is one, each with an honest error."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from ionmelt.measure.arrays import Array
from ionmelt.measure.displacement import Paths, by_particles, mean_squared_displacement
from ionmelt.measure.series import Change, change_of, error_of_mean, student

MIN_INDEPENDENT = 20  # independent displacements at the longest lag of a fit
LAGS = 10  # lags of a fit, evenly spaced in log time: more add cost and no information
AFTER_STRAIGHT = 3  # a window starts so many times the lag from which the displacements look straight
SLOPE_TOLERANCE = 0.1  # of the log-log slope around 1, and of its standard error
BLOCKS = (5, 8)  # of time origins: few see slow changes, more know their own scatter better
COMMON = (
    0.2  # false-alarm rate of the test for changes that all particles share: an error is widened, nothing is refused
)


@dataclass(frozen=True)
class DiffusionEstimate:
    """Self-diffusion coefficient with its 95 % interval, in length^2 / s; times in s.

    ``log_slope`` is that of log MSD against log time in the fitted window. ``n_independent`` counts the
    displacements of length ``fit_start`` that do not overlap: what the estimate rests on. ``dof`` are the degrees
    of freedom of ``standard_error``. ``needed`` is the length that is likely to converge, in s, if this did not. ``change``: how the
    slope differs between the halves of the run; ``sound``: it passes all other tests.
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

    def scaled(self, factor: float) -> "DiffusionEstimate":
        """Return the same estimate in another unit."""
        return replace(
            self,
            D=self.D * factor,
            ci95_low=self.ci95_low * factor,
            ci95_high=self.ci95_high * factor,
            standard_error=self.standard_error * factor,
        )


def msd_covariance(msd_1d: Array, lags: Array, frames: int) -> Array:
    """Return the covariance (k, k) of the observed MSD of one coordinate of one particle at ``lags`` (k,).

    ``msd_1d`` is the expected squared displacement of one coordinate at lags 0, 1, ..., at least 3 times the
    longest. Exact for a Gaussian process with stationary increments, of which the random walk (a straight
    line) is one: two squared displacements have covariance 2 C^2, with C that of the displacements, here
    summed over all pairs of origins (as McCluskey et al., J. Chem. Theory Comput. 2024, arXiv:2305.18244, and
    Bullerjahn et al., J. Chem. Phys. 153 (2020) 024116, do for the walk). Wide sums are taken on 257 offsets.
    """
    rows, columns = np.triu_indices(len(lags))
    i, j = lags[rows][:, None], lags[columns][:, None]
    memory = int(lags[0])  # displacements further apart than this are independent
    low = np.maximum(-(j + memory), 1 - (frames - i))
    high = np.minimum(i + memory, frames - j - 1)
    offset = np.rint(low + (high - low) * np.linspace(0, 1, 257)).astype(int)

    def expected(lag: Array) -> Array:
        return msd_1d[np.minimum(np.abs(lag), len(msd_1d) - 1)]

    c = (expected(offset + j) + expected(offset - i) - expected(offset) - expected(offset + j - i)) / 2
    pairs = np.clip(np.minimum(frames - i, frames - j - offset) - np.maximum(0, -offset), 0, None)
    values = np.trapezoid(2 * c * c * pairs, offset, axis=1) / ((frames - i) * (frames - j))[:, 0]
    covariance = np.empty((len(lags), len(lags)))
    covariance[rows, columns] = covariance[columns, rows] = values
    return covariance


def least_squares(design: Array, y: Array, covariance: Array) -> tuple[Array, Array, Array, float]:
    """Return (parameters, their covariance, the map from y to them, chi^2) of generalised least squares."""
    scale = np.sqrt(np.diag(covariance))
    values, vectors = np.linalg.eigh(covariance / np.outer(scale, scale))
    values = np.maximum(values, 1e-4 * values[-1])  # long lags are nearly collinear
    inverse = (vectors / values) @ vectors.T / np.outer(scale, scale)
    weighted = inverse @ design
    mapping = np.linalg.solve(design.T @ weighted, weighted.T)
    parameters = mapping @ y
    residual = y - design @ parameters
    return parameters, np.linalg.inv(design.T @ weighted), mapping, float(residual @ inverse @ residual)


@dataclass(frozen=True)
class _Fit:
    """A straight line fitted to the MSD of one coordinate from ``lags[0]`` on; times in frames."""

    lags: Array
    intercept: float
    slope: float
    error: float
    mapping: Array  # from the MSD of one coordinate at the lags to the slope
    log_slope: float
    log_slope_error: float
    linear: bool

    @property
    def diffusive(self) -> bool:
        """Whether the log-log slope is 1 within the tolerance, and known as well."""
        return max(abs(self.log_slope - 1), self.log_slope_error) <= SLOPE_TOLERANCE


def _fit(msd: Array, shape: tuple[int, ...], lags: Array) -> _Fit:
    frames, particles, dimensions = shape
    y, t, first = msd[lags] / dimensions, lags.astype(float), int(lags[0])
    line = np.column_stack([np.ones_like(t), t])
    parameters = np.linalg.lstsq(line / t[:, None], y / t, rcond=None)[0]
    for _ in range(2):  # two iterations: the covariance depends on the line that it is used to fit
        # the expected displacements: as observed below the window, the fitted line from there on
        intercept, slope = parameters if parameters[1] > 0.05 * y[-1] / t[-1] else (0.0, y[-1] / t[-1])
        expected = intercept + slope * np.arange(3 * lags[-1] + 2 * first + 2)
        expected[:first] = msd[:first] / dimensions
        expected[first:] = np.maximum(expected[first:], expected[first - 1])
        covariance = msd_covariance(expected, lags, frames) / (dimensions * particles)
        parameters, errors, mapping, chi2 = least_squares(line, y, covariance)
    curved = np.column_stack([line, np.sqrt(t)])
    bend, bend_errors, _, _ = least_squares(curved, y, covariance)
    linear = chi2 < stats.chi2.ppf(0.9, len(lags) - 2) and bend[2] ** 2 < 1.28**2 * bend_errors[2, 2]
    logs = np.linalg.pinv(np.column_stack([np.ones_like(t), np.log(t)]))[1]
    log_error = math.sqrt(max(float(logs @ (covariance / np.outer(y, y)) @ logs), 0.0))
    slope, error, log_slope = float(parameters[1]), math.sqrt(errors[1, 1]), float(logs @ np.log(y))
    return _Fit(lags, float(parameters[0]), slope, error, mapping[1], log_slope, log_error, bool(linear))


@dataclass(frozen=True)
class _Scatter:
    """The slope of a fit by particle (particles,) and by time origin (origins,), and the excess of its variance by rare jumps."""

    by_particle: Array
    by_origin: Array
    jumps: float


def _scatter(positions: Paths, fit: _Fit, threads: int) -> _Scatter:
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

    sums = list(by_particles(positions, of_each, threads))
    by_particle, second, fourth = np.concatenate([moments for moments, _ in sums], axis=1)
    by_origin = np.sum([slopes for _, slopes in sums], axis=0) / particles
    cumulant = (fourth.mean() - second.mean() ** 2 * (1 + 2 / dimensions)) / (dimensions**2 * fit.lags[0])
    return _Scatter(by_particle, by_origin, max(float(cumulant), 0.0) / (frames * particles))


def _error_of_independent(scatter: _Scatter, fit: _Fit) -> tuple[float, float]:
    """Return (standard error of the slope, degrees of freedom) for independent particles, neither Gaussian nor equal.

    Where the scatter between particles exceeds the expected one (F test, 1 %), it is used instead.
    """
    particles = len(scatter.by_particle)
    variance = fit.error**2 + scatter.jumps
    dof = 2 * fit.slope**2 / variance
    if particles > 2:
        observed = float(scatter.by_particle.var(ddof=1)) / particles
        if observed > variance * stats.chi2.ppf(0.99, particles - 1) / (particles - 1):
            return math.sqrt(observed), min(dof, particles - 1)
    return math.sqrt(variance), dof


def _errors_in_common(scatter: _Scatter, fit: _Fit, frames: int) -> list[tuple[float, float]]:
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


def _window(fit_from: Callable[[int], _Fit], last: int) -> tuple[_Fit, bool, int]:
    """Return the fit of the window that `diffusion` describes, whether the MSD looks straight, and where it begins.

    ``fit_from`` fits from a lag to ``last``.
    """
    first = 1
    fit = fit_from(first)
    while not fit.linear and max(first + 1, round(1.5 * first)) * 4 <= last:
        first = max(first + 1, round(1.5 * first))
        fit = fit_from(first)
    beginning = AFTER_STRAIGHT * first
    if not (fit.linear and 10 * first <= last):
        return fit, False, beginning
    first = min(beginning, last // 4)
    fit = later = fit_from(first)
    while not later.diffusive and round(1.5 * first) * 4 <= last:
        first = round(1.5 * first)
        later = fit_from(first)
    return later if later.diffusive else fit, True, beginning


@dataclass(frozen=True)
class _Interval:
    """The standard error of a slope, its degrees of freedom, and its 95 % interval."""

    error: float
    dof: float
    low: float
    high: float


def _interval(scatter: _Scatter, fit: _Fit, frames: int) -> _Interval:
    """Return what is known of the slope.

    The interval is that of a chi^2 variable, or Student's t in log D where particles differ; where blocks of time origins
    differ by more than independent particles explain, it is the widest of those and of Student's t by blocks.
    """
    slope, particles = fit.slope, len(scatter.by_particle)
    if slope <= 0:
        return _Interval(fit.error, math.nan, slope - 1.96 * fit.error, slope + 1.96 * fit.error)
    error, dof = _error_of_independent(scatter, fit)
    if dof == particles - 1:
        factor = math.exp(min(student(dof) * error / slope, 50.0))
        low, high = slope / factor, slope * factor
    else:
        low, high = (slope * dof / float(stats.chi2.ppf(p, dof)) for p in (0.975, 0.025))
    common = _errors_in_common(scatter, fit, frames)
    limits = [math.sqrt(stats.chi2.ppf(1 - COMMON, count - 1) / (count - 1)) * error for count in BLOCKS]
    if all(e <= limit for (e, _), limit in zip(common, limits, strict=False)):
        return _Interval(error, dof, low, high)
    error, dof = max(common, key=lambda interval: student(interval[1]) * interval[0])
    factor = math.exp(min(student(dof) * error / slope, 50.0))
    return _Interval(error, dof, min(low, slope / factor), max(high, slope * factor))


def _doubt(fit: _Fit, straight: bool) -> str | None:
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

    ``positions`` (frames, particles, dimensions), ``dt_s`` seconds between frames. The slope of MSD = c + 6 D t comes
    from generalised least squares with the covariance of the observed MSD (`msd_covariance`); the intercept c
    holds the ballistic or caged motion at short times. The window starts at three times the shortest lag from
    which the MSD looks straight (chi^2 and curvature tests; the factor is for what they cannot see: it cubes
    what is left of an exponential transient), or later, where the log-log slope is 1 as well; it stops where
    fewer than MIN_INDEPENDENT displacements do not overlap. For the interval see `_interval`. A slope that differs between the
    halves of the run, or drifts, is not converged: the liquid ages, or melts.
    """
    frames, particles = positions.shape[:2]
    extent = np.concatenate(list(by_particles(positions, lambda block: np.ptp(block, axis=0), threads)))
    if not np.isfinite(extent).all():
        raise ValueError("the positions hold values that are not finite")
    last = min(frames // 3, frames * particles // (MIN_INDEPENDENT + particles))
    if last < 4:
        return nothing(f"{frames} frames of {particles} particles: too short")
    msd = mean_squared_displacement(positions, threads)
    if not msd[1 : last + 1].all() or extent.max() == 0:
        return nothing("the particles do not move")

    def fit_from(first: int) -> _Fit:
        lags = np.unique(np.rint(np.geomspace(first, last, LAGS)).astype(int))
        return _fit(msd, positions.shape, lags)

    fit, straight, beginning = _window(fit_from, last)
    scatter = _scatter(positions, fit, threads)
    interval = _interval(scatter, fit, frames)
    change = change_of(scatter.by_origin)
    doubt, needed = _doubt(fit, straight), math.nan
    reason = doubt or (f"the motion changes during the run: {change.words}" if change.words else None)
    if reason is not None:
        needed = frames_needed(fit.intercept, fit.slope, beginning, positions.shape) * dt_s
        if change.words:  # something relaxes more slowly than can be seen
            needed = max(needed, 2 * frames * dt_s)
    unit = 1 / (2 * dt_s)
    start, stop = int(fit.lags[0]), int(fit.lags[-1])
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
        sound=doubt is None,
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
    scale = max(
        1.0, first / 8
    )  # in a coarser unit of time, which saves work: the result depends on ratios of times alone
    first, intercept, length = round(first / scale), intercept / (slope * scale), frames / scale
    for _ in range(30):
        length *= 1.3
        last = int(min(length // 3, length * particles // (MIN_INDEPENDENT + particles)))
        start = first
        while 8 * start <= last:
            lags = np.unique(np.rint(np.geomspace(start, last, LAGS)).astype(int))
            expected = np.maximum(intercept + np.arange(3 * last + 2 * start + 2.0), 0.0)
            y, logs = expected[lags], np.linalg.pinv(np.column_stack([np.ones(len(lags)), np.log(lags)]))[1]
            covariance = msd_covariance(expected, lags, round(length)) / (dimensions * particles)
            if not y.all():
                break
            error = math.sqrt(max(float(logs @ (covariance / np.outer(y, y)) @ logs), 0.0))
            if abs(float(logs @ np.log(y)) - 1) + 1.3 * error <= SLOPE_TOLERANCE:
                return length * scale
            start = max(start + 1, round(1.5 * start))
    return math.nan
