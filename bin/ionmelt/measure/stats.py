"""Statistics of liquids: means of correlated series and diffusion, each with an honest error.

Pure functions, numpy in and numpy out. Intervals are two-sided 95 % intervals. A result that does not deserve
trust says ``converged=False`` and why in ``reason``; its numbers are then a hint, not a measurement.
"""

import logging
import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Protocol, TypeAlias, TypeVar

import numpy as np
from scipy import fft, stats

logging.getLogger("pymbar").setLevel(logging.ERROR)  # it warns of an absent JAX at import
from pymbar import timeseries  # noqa: E402

MIN_EFFECTIVE = 20.0  # effective samples: below, the correlation time itself is not known well enough
MIN_GAIN = 1.5  # discard a start only for this gain in effective samples: less is a fluctuation
FALSE_ALARM = 0.02  # of the tests that the halves agree and that there is no drift, in a stationary series
MIN_INDEPENDENT = 20  # independent displacements at the longest lag of a fit
LAGS = 10  # lags of a fit, evenly spaced in log time: more add cost and no information
AFTER_STRAIGHT = 3  # a window starts so many times the lag from which the displacements look straight
SLOPE_TOLERANCE = 0.1  # of the log-log slope around 1, and of its standard error
FFT_MEMORY_BYTES = 4e6  # of one block of transforms: small enough for a processor's cache
COPY_BYTES = 1e6  # of what is copied at once
BOLTZMANN_J_K = 1.380649e-23
YEH_HUMMER_CUBIC = 2.837297

Array: TypeAlias = np.ndarray
Result = TypeVar("Result")


@dataclass(frozen=True)
class Estimate:
    """Mean of a correlated series: its 95 % interval is ± Student's t of ``n_effective - 1`` standard errors.

    ``start`` is the first sample used. Not-a-number where there is nothing to say; ``reason`` is None if
    converged; if not, ``needed`` is how long a series is likely to be (in samples, this one included).
    """

    mean: float
    standard_error: float
    n_effective: float
    start: int
    converged: bool
    reason: str | None
    needed: float = math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """Return the ends of the 95 % interval."""
        half = student(max(self.n_effective - 1, 1.0)) * self.standard_error
        return self.mean - half, self.mean + half


@dataclass(frozen=True)
class DiffusionEstimate:
    """Self-diffusion coefficient with its 95 % interval, in length^2 / s; times in s.

    ``log_slope`` is that of log MSD against log time in the fitted window. ``n_independent`` counts the
    displacements of length ``fit_start`` that do not overlap: what the estimate rests on. ``dof`` are the degrees
    of freedom of ``standard_error``. ``needed`` is the length that is likely to converge, in s, if this did not.
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

    def scaled(self, factor: float) -> "DiffusionEstimate":
        """Return the same estimate in another unit."""
        numbers = {name: getattr(self, name) * factor for name in ("D", "ci95_low", "ci95_high", "standard_error")}
        return replace(self, **numbers)


def student(dof: float) -> float:
    """Return the 97.5 % quantile of Student's t distribution."""
    return float(stats.t.ppf(0.975, dof))


# --- the mean of a correlated series ------------------------------------------------------------------------


def error_of_mean(x: Array) -> tuple[float, float, float]:
    """Return (standard error, effective samples, degrees of freedom) of the mean of a stationary series (n,).

    The Gamma method (Wolff, Comput. Phys. Commun. 156 (2004) 143): the autocovariance is summed up to its
    first zero, corrected for the removal of the sample mean, and known to a relative error that leaves n / (2
    W + 1) degrees of freedom for a window W.
    """
    n = len(x)
    f = fft.rfft(x - x.mean(), fft.next_fast_len(2 * n, real=True))
    power = f.real**2 + f.imag**2
    autocovariance = fft.irfft(power, fft.next_fast_len(2 * n, real=True))[:n] / np.arange(n, 0, -1)
    crossing = np.flatnonzero(autocovariance <= 0)
    window = int(min(crossing[0] if len(crossing) else n, n // 2))
    c = autocovariance[:window]
    c = c + (2 * c.sum() - c[0]) / n
    total = max(2 * c.sum() - c[0], c[0])
    return math.sqrt(total / n), float(n * c[0] / total), n / (2 * window + 1)


def equilibration_start(x: Array) -> int:
    """Return the first sample of the equilibrated part of a series (n,): 0, or a later one in its first half.

    Chodera (J. Chem. Theory Comput. 12 (2016) 1799): the start that leaves most effective samples, with
    pymbar's statistical inefficiency. Twice that start, since the best one still holds the end of the
    transient; and only for a gain that is no fluctuation, since the best of many starts looks less correlated
    than it is.
    """
    n = len(x)
    starts = np.unique(np.linspace(0, n // 2, 26).astype(int))
    effective = [
        (n - s) / timeseries.statistical_inefficiency(x[s:], fast=True) if x[s:].std() > 0 else 1.0 for s in starts
    ]
    best = int(np.argmax(effective))
    return min(2 * int(starts[best]), n // 2) if effective[best] > MIN_GAIN * effective[0] else 0


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
    nan = math.nan
    if len(x) < 16:
        return Estimate(float(x.mean()) if len(x) else nan, nan, nan, 0, False, f"{len(x)} samples: too few")
    if np.ptp(x) <= 1e-12 * np.abs(x).max():
        return Estimate(float(x.mean()), nan, nan, 0, False, "the series is constant")
    start = equilibration_start(x)
    y = x[start:]
    n = len(y)
    if np.ptp(y) <= 1e-12 * np.abs(y).max():
        return Estimate(float(y.mean()), nan, nan, start, False, "the series becomes constant")
    error, effective, dof = error_of_mean(y)
    blocks = y[n % 8 :].reshape(8, -1).mean(axis=1)
    error = max(error, float(blocks.std(ddof=1)) / math.sqrt(8))
    if effective < MIN_EFFECTIVE:
        error *= max(student(max(dof, 1.0)) / student(max(effective - 1, 1.0)), 1.0)

    # Against the error of what is left without the trend, which would hide in its own correlation time;
    # with less patience where what was left out was heading the same way.
    half, time = n // 2, np.arange(n) - (n - 1) / 2
    slope = float(time @ y) / float(time @ time)
    noise, _, dof = error_of_mean(y - slope * time)
    relaxing = start > 0 and slope * (y.mean() - x[:start].mean()) > 0
    limit = float(stats.t.ppf(1 - (0.05 if relaxing else FALSE_ALARM / 2), max(dof, 1.0)))
    halves = abs(float(y[:half].mean() - y[half:].mean())) / (2 * noise)
    drift = abs(slope) * n / (math.sqrt(12) * noise)  # end to end, with its error in a stationary series
    reasons = []
    if start >= len(x) // 2:
        reasons.append("not equilibrated within its first half")
    if effective < MIN_EFFECTIVE:
        reasons.append(f"n_effective {effective:.1f} < {MIN_EFFECTIVE:g}")
    if halves > limit:
        reasons.append(f"halves differ by {halves:.1f} standard errors")
    elif drift > limit:
        reasons.append(f"drifts by {drift:.1f} standard errors")
    needed = math.nan
    if reasons:  # half again the effective samples, so that a series of this length passes more often than not
        needed = start + 1.5 * MIN_EFFECTIVE * n / effective
        if max(halves, drift) > limit or start >= len(x) // 2:
            needed = max(needed, 2.0 * len(x))  # something relaxes more slowly than can be seen
    return Estimate(float(y.mean()), error, effective, start, not reasons, "; ".join(reasons) or None, needed)


# --- diffusion ----------------------------------------------------------------------------------------------


def bonds_are_short(positions: Array, bonds: Array, edges: Array) -> bool:
    """Return whether no bond (B, 2) of positions (frames, N, 3) spans half a cell edge (frames, 3): ions are whole."""
    if not len(bonds):
        return True
    first, second = bonds.T
    step = np.take(positions, first, axis=1)
    step -= np.take(positions, second, axis=1)
    if max(step.max(), -step.min()) < np.min(edges) / 2:
        return True
    return bool((np.abs(step) < np.asarray(edges)[:, None, :] / 2).all())


def centres_of_mass(positions: Array, masses: Array, kinds: Sequence[tuple[int, int]]) -> Array:
    """Return the centres of mass (frames, M, 3) of whole ions at positions (frames, N, 3), in double precision.

    ``masses`` (N,); ``kinds`` are (copies, atoms of one) in the order of the atoms, which lie copy by copy.
    """
    flat = positions.reshape(len(positions), -1)  # long rows: numpy converts rows of three slowly
    centres = np.empty((len(positions), sum(copies for copies, _ in kinds), 3))
    last = done = 0
    for copies, atoms in kinds:
        first, last = last, last + copies * atoms
        weights = masses[first : first + atoms] / masses[first : first + atoms].sum()
        sums = np.ascontiguousarray(np.kron(weights[:, None], np.eye(3)))
        some = max(1, int(COPY_BYTES / (24 * (last - first))))
        ions = np.empty((some, 3 * (last - first)))  # used again: fresh memory costs more than the sums
        for t in range(0, len(positions), some):
            block = ions[: len(positions) - t]
            block[:] = flat[t : t + some, 3 * first : 3 * last]
            # a product of the same shape for each frame, so that its rounding depends on no other frame
            centres[t : t + some, done : done + copies] = block.reshape(-1, copies, 3 * atoms) @ sums
        done += copies
    return centres


def unwrap(positions: Array, edges: Array, start: Array | None = None) -> Array:
    """Return continuous positions (frames, particles, 3) from a periodic orthorhombic cell's, wrapped or not.

    ``edges`` (frames, 3) or (3,) are the cell edges; ``start`` (particles, 3), where the paths go on from others,
    is the first frame already unwrapped. Each step adds the shortest displacement between
    *wrapped* positions in the cell of the later frame, so that a barostat's scaling of far images never adds
    up: the toroidal-view-preserving scheme (von Bülow, Bullerjahn, Hummer, J. Chem. Phys. 153 (2020) 021101;
    Bullerjahn et al., J. Chem. Theory Comput. 19 (2023) 3406). No particle may move half an edge between
    frames.
    """
    positions = np.asarray(positions, dtype=float)
    cells = np.broadcast_to(np.asarray(edges, dtype=float), (len(positions), 3))[:, None, :]
    wrapped = positions - np.floor(positions / cells) * cells
    step = np.diff(wrapped, axis=0)
    step -= np.rint(step / cells[1:]) * cells[1:]
    return np.cumsum(np.concatenate([(positions[0] if start is None else start)[None], step]), axis=0)


def remove_drift(positions: Array, masses: Array) -> Array:
    """Return unwrapped positions (frames, particles, 3) relative to the centre of mass of all particles."""
    weights = np.asarray(masses, dtype=float) / np.sum(masses)
    return np.asarray(positions, dtype=float) - np.einsum("tni,n->ti", positions, weights)[:, None, :]


class Paths(Protocol):
    """Unwrapped positions (frames, particles, 3): an array, or what reads some particles from elsewhere."""

    @property
    def shape(self) -> tuple[int, ...]: ...  # noqa: D102

    def __getitem__(self, key: tuple[slice, slice], /) -> Array: ...


def by_particles(paths: Paths, function: Callable[[Array], Result], threads: int) -> Iterator[Result]:
    """Yield a function of blocks of particles (frames, n, 3), in order; ``threads`` do not change the blocks.

    The blocks are small enough for their transforms to stay in a processor's cache.
    """
    frames, particles = paths.shape[:2]
    width = max(1, int(FFT_MEMORY_BYTES / (96 * 2 * frames)))
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[Result]] = deque()
        for first in range(0, particles, width):
            waiting.append(pool.submit(lambda i: function(paths[:, i : i + width]), first))
            if len(waiting) > 2 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def mean_squared_displacement(positions: Paths, threads: int = 1) -> Array:
    """Return the mean squared displacement (frames,) at every lag, over all origins and particles.

    ``positions`` (frames, particles, 3) unwrapped. Fast correlation algorithm (Kneller et al., Comput. Phys.
    Commun. 91 (1995) 191): the power spectra of blocks of coordinates are summed before a single inverse
    transform. ``threads`` change no bit of the result.
    """
    frames, particles = positions.shape[:2]
    size = fft.next_fast_len(2 * frames - 1, real=True)

    def spectrum(block: Array) -> tuple[Array, Array]:
        series = np.zeros((block[0].size, size))
        used = series[:, :frames]
        # packed before it is turned: a column of a large array lies on as many pages as there are frames
        used[:] = np.moveaxis(np.array(block, dtype=float, order="K"), 0, -1).reshape(-1, frames)
        used -= used.mean(axis=1, keepdims=True)  # far from the origin, digits would cancel
        squares = np.einsum("st,st->t", used, used)
        parts = fft.rfft(series, axis=1, overwrite_x=True).view(float)  # real and imaginary, side by side
        return squares, np.einsum("sf,sf->f", parts, parts)

    squares, power = np.zeros(frames), np.zeros(2 * (size // 2 + 1))
    for some_squares, some_power in by_particles(positions, spectrum, threads):
        squares += some_squares
        power += some_power
    products = fft.irfft(power.reshape(-1, 2).sum(axis=1), size)[:frames]
    heads = np.cumsum(squares)[::-1]  # sum of squares over t < frames - lag
    tails = np.cumsum(squares[::-1])[::-1]  # over t >= lag
    result = (heads + tails - 2 * products) / np.arange(frames, 0, -1) / particles
    result[0] = 0.0
    return np.maximum(result, 0.0)


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
    for _ in range(2):  # the covariance follows from the line, and the line from the covariance
        # below the window the process is what was seen, within and beyond it the line
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


def _error_beyond_gaussian(positions: Paths, fit: _Fit, threads: int) -> tuple[float, float]:
    """Return (standard error of the slope, degrees of freedom) for ions neither Gaussian nor equal.

    Rare jumps: the fourth cumulant of the displacements of the shortest lag adds to the variance. Ions that
    differ: where the scatter between ions exceeds the expected one (F test, 1 %), it is used instead.
    """
    frames, particles, dimensions = positions.shape

    def of_each(block: Array) -> Array:
        """Return (3, n): the slope, the mean squared displacement of the shortest lag, and that of its square."""
        found = np.zeros((3, block.shape[1]))
        for weight, lag in zip(fit.mapping, fit.lags, strict=True):
            step = block[lag:] - block[:-lag]
            squared = np.einsum("tni,tni->tn", step, step)
            found[0] += weight * squared.mean(axis=0) / dimensions
            if lag == fit.lags[0]:
                found[1:] = squared.mean(axis=0), (squared * squared).mean(axis=0)
        return found

    per_ion, second, fourth = np.concatenate(list(by_particles(positions, of_each, threads)), axis=1)
    cumulant = (fourth.mean() - second.mean() ** 2 * (1 + 2 / dimensions)) / (dimensions**2 * fit.lags[0])
    variance = fit.error**2 + max(float(cumulant), 0.0) / (frames * particles)
    dof = 2 * fit.slope**2 / variance
    if particles > 2:
        scatter = float(per_ion.var(ddof=1)) / particles
        if scatter > variance * stats.chi2.ppf(0.99, particles - 1) / (particles - 1):
            return math.sqrt(scatter), min(dof, particles - 1)
    return math.sqrt(variance), dof


def diffusion(positions: Paths, dt_s: float, threads: int = 1) -> DiffusionEstimate:
    """Return the self-diffusion coefficient of like particles from unwrapped, drift-free centres of mass.

    ``positions`` (frames, particles, dimensions), ``dt_s`` seconds between frames. The slope of MSD = c + 6 D t comes
    from generalised least squares with the covariance of the observed MSD (`msd_covariance`); the intercept c
    holds the ballistic or caged motion at short times. The window starts at three times the shortest lag from
    which the MSD looks straight (chi^2 and curvature tests; the factor is for what they cannot see: it cubes
    what is left of an exponential transient), or later, where the log-log slope is 1 as well; it stops where
    fewer than MIN_INDEPENDENT displacements do not overlap. The interval is that of a chi^2 variable, or
    Student's t in log D where ions differ. Displacements of different particles are taken as independent.
    """
    frames, particles = positions.shape[:2]
    nan = math.nan
    extent = np.concatenate(list(by_particles(positions, lambda block: np.ptp(block, axis=0), threads)))
    if not np.isfinite(extent).all():
        raise ValueError("the positions hold values that are not finite")
    last = min(frames // 3, frames * particles // (MIN_INDEPENDENT + particles))
    if last < 4:
        why = f"{frames} frames of {particles} particles: too short"
        return DiffusionEstimate(nan, nan, nan, nan, nan, nan, nan, False, why)
    msd = mean_squared_displacement(positions, threads)
    if not msd[1 : last + 1].all() or extent.max() == 0:
        return DiffusionEstimate(nan, nan, nan, nan, nan, nan, nan, False, "the particles do not move")

    def fit_from(first: int) -> _Fit:
        lags = np.unique(np.rint(np.geomspace(first, last, LAGS)).astype(int))
        return _fit(msd, positions.shape, lags)

    first = 1
    fit = fit_from(first)
    while not fit.linear and max(first + 1, round(1.5 * first)) * 4 <= last:
        first = max(first + 1, round(1.5 * first))
        fit = fit_from(first)
    straight = fit.linear and 10 * first <= last
    beginning = AFTER_STRAIGHT * first
    if straight:
        first = min(beginning, last // 4)
        fit = later = fit_from(first)
        while not later.diffusive and round(1.5 * first) * 4 <= last:
            first = round(1.5 * first)
            later = fit_from(first)
        fit = later if later.diffusive else fit

    slope, error, dof = fit.slope, fit.error, nan
    if slope > 0:
        error, dof = _error_beyond_gaussian(positions, fit, threads)
        if dof == particles - 1:
            factor = math.exp(min(student(dof) * error / slope, 50.0))
            low, high = slope / factor, slope * factor
        else:
            low, high = (slope * dof / float(stats.chi2.ppf(p, dof)) for p in (0.975, 0.025))
    else:
        low, high = slope - 1.96 * error, slope + 1.96 * error

    exponent = f"slope {fit.log_slope:.2g}"
    reason: str | None = None
    if not fit.diffusive and fit.log_slope_error > SLOPE_TOLERANCE:
        reason = f"{exponent} ± {fit.log_slope_error:.1g}: too few independent displacements"
    elif fit.log_slope < 1 and not fit.diffusive:
        reason = f"{exponent} (subdiffusive)"
    elif fit.log_slope > 1 and not fit.diffusive:
        reason = f"{exponent} (superdiffusive)"
    elif not straight:
        reason = "the mean squared displacement is not yet straight"
    elif slope <= 0:
        reason = "the mean squared displacement does not grow"
    needed = nan
    if reason is not None:
        needed = frames_needed(fit.intercept, slope, beginning, positions.shape) * dt_s
    unit = 1 / (2 * dt_s)
    start, stop = int(fit.lags[0]), int(fit.lags[-1])
    return DiffusionEstimate(
        D=slope * unit,
        ci95_low=low * unit,
        ci95_high=high * unit,
        log_slope=fit.log_slope,
        fit_start=start * dt_s,
        fit_stop=stop * dt_s,
        n_independent=particles * (frames - start) / start,
        converged=reason is None,
        reason=reason,
        standard_error=error * unit,
        dof=dof,
        needed=needed,
    )


def frames_needed(intercept: float, slope: float, first: int, shape: tuple[int, ...]) -> float:
    """Return about how many frames would pass the tests of `diffusion`; not-a-number where no length can be named.

    ``intercept`` and ``slope`` are those of the line seen so far, per coordinate and frame; it is straight from
    lag ``first`` on. Longer and longer trajectories of ``shape`` (frames, particles, dimensions) are tried until a
    window is 8 times as long as its start, and its log-log slope as near to 1 as 1.3 standard errors allow.
    """
    frames, particles, dimensions = shape
    if not slope > 0:
        return math.nan
    scale = max(1.0, first / 8)  # a coarser frame: only ratios of times matter
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


def yeh_hummer(diffusion_m2_s: float, edge_m: float, temperature_K: float, viscosity_pa_s: float) -> float:
    """Return the diffusion coefficient (m^2/s) of an infinite cubic cell from that of one with this edge.

    Yeh and Hummer, J. Phys. Chem. B 108 (2004) 15873, Eq. 8. The viscosity is that of the same model and
    temperature.
    """
    stokes = 6 * math.pi * viscosity_pa_s * edge_m
    return diffusion_m2_s + YEH_HUMMER_CUBIC * BOLTZMANN_J_K * temperature_K / stokes
