"""A straight line fitted to a mean squared displacement (MSD), by generalised least squares with the covariance of what was observed."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from ionmelt.distributions import chi2_quantile
from ionmelt.measure.arrays import Array

LAGS = 10  # lags of a fit, evenly spaced in log time: more add cost and no information
AFTER_STRAIGHT = 3  # a window starts so many times the lag from which the displacements look straight
SLOPE_TOLERANCE = 0.1  # of the log-log slope around 1, and of its standard error


def msd_covariance(expected: Callable[[Array], Array], lags: Array, frames: int) -> Array:
    """Return the covariance (k, k) of the observed MSD of one coordinate of one particle at ``lags`` (k,).

    ``expected`` gives the expected squared displacement of one coordinate at lags up to 3 times the longest. Exact for a Gaussian process with stationary increments, of which the random walk (a straight
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
    after, before, same, apart = (expected(np.abs(lag)) for lag in (offset + j, offset - i, offset, offset + j - i))
    c = (after + before - same - apart) / 2
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
class Line:
    """A straight line fitted to the MSD of one coordinate from ``lags[0]`` on; times in frames.

    ``bend``: how far the MSD curves, in standard errors; above 0 where it flattens, as of a cage, below where it steepens, as after a flight.
    """

    lags: Array
    intercept: float
    slope: float
    error: float
    mapping: Array  # from the MSD of one coordinate at the lags to the slope
    log_slope: float
    log_slope_error: float
    bend: float
    linear: bool

    @property
    def diffusive(self) -> bool:
        """Whether the log-log slope is 1 within the tolerance, and known as well."""
        return max(abs(self.log_slope - 1), self.log_slope_error) <= SLOPE_TOLERANCE


def fitted_line(msd: Array, shape: tuple[int, ...], lags: Array) -> Line:
    """Return the line through ``msd`` (frames,) at ``lags`` (k,), of positions of ``shape`` (frames, particles, dimensions)."""
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
        covariance = msd_covariance(partial(np.take, expected, mode="clip"), lags, frames) / (dimensions * particles)
        parameters, errors, mapping, chi2 = least_squares(line, y, covariance)
    curved = np.column_stack([line, np.sqrt(t)])
    bend, bend_errors, _, _ = least_squares(curved, y, covariance)
    bent = float(bend[2]) / math.sqrt(bend_errors[2, 2]) if bend_errors[2, 2] > 0 else math.inf
    linear = chi2 < chi2_quantile(0.9, len(lags) - 2) and abs(bent) < 1.28
    logs = np.linalg.pinv(np.column_stack([np.ones_like(t), np.log(t)]))[1]
    log_error = math.sqrt(max(float(logs @ (covariance / np.outer(y, y)) @ logs), 0.0))
    slope, error, log_slope = float(parameters[1]), math.sqrt(errors[1, 1]), float(logs @ np.log(y))
    return Line(lags, float(parameters[0]), slope, error, mapping[1], log_slope, log_error, bent, bool(linear))


def lags_between(first: int, last: int) -> Array:
    """Return the lags of a fit from one to another."""
    return np.unique(np.rint(np.geomspace(first, last, LAGS)).astype(int))


def straight_from(fit_from: Callable[[int], Line], last: int) -> tuple[Line, int]:
    """Return the line from the shortest lag on from which the MSD looks straight, and that lag; else from the last that was tried.

    ``fit_from`` fits from a lag to ``last``.
    """
    first = 1
    fit = fit_from(first)
    while not fit.linear and max(first + 1, round(1.5 * first)) * 4 <= last:
        first = max(first + 1, round(1.5 * first))
        fit = fit_from(first)
    return fit, first


def diffusive_from(fit_from: Callable[[int], Line], first: int, last: int) -> Line:
    """Return the line from a lag on, or from the first later one from which it is diffusive, where it is from any."""
    fit = later = fit_from(first)
    while not later.diffusive and round(1.5 * first) * 4 <= last:
        first = round(1.5 * first)
        later = fit_from(first)
    return later if later.diffusive else fit
