"""Parallel lines through logarithms: how many times the frames one model needs for the error of another."""

import math
from dataclasses import dataclass

import numpy as np

from ionmelt.compare.statistics import LEVEL, satterthwaite
from ionmelt.distributions import f_tail, student_limit, student_tail


@dataclass(frozen=True)
class Ratio:
    """Frames that the first of two models needs over those of the second, for the same error; see `parallel_lines`.

    ``level`` is the difference of their ln errors at equal frames (first less second), ``p_value`` that of its being 0. Without a
    ``value`` there is no ratio, for a ``reason``.
    """

    level: float
    p_value: float
    value: float | None = None
    low: float | None = None
    high: float | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Common:
    """An error that all ln errors have in common, and that seeds do not show: what one standard error of it adds to each (n,)."""

    shifts: np.ndarray
    dof: float = math.inf


def parallel_lines(
    x: np.ndarray, y: np.ndarray, second: np.ndarray, level_of_test: float = LEVEL, common: Common | None = None
) -> Ratio:
    """Fit y = a + c second + b x and return exp(c / b): first's frames over second's for the same error.

    A parallel-line assay (Finney, Statistical Method in Biological Assay, 1978), with Fieller's interval of c / b (J. R. Stat.
    Soc. B 16 (1954) 175), at a level. ``x`` (n,) ln frames, ``y`` (n,) ln errors of single seeds, ``second`` (n,) 0 or 1: whose
    they are. The p-value is that of c = 0. There is no interval where b cannot be told from 0 (the errors do not fall), nor
    where lines are not parallel (F test, 5 %). The scatter of seeds does not hold what is ``common`` to them: to first order it moves
    the parameters as it moves the errors.
    """
    design = np.column_stack([np.ones_like(x), second, x])
    dof = len(x) - 3
    beta, *_ = np.linalg.lstsq(design, y, rcond=None)
    residual = y - design @ beta
    inverse = np.linalg.inv(design.T @ design)
    covariance = float(residual @ residual) / dof * inverse
    level, slope = float(beta[1]), float(beta[2])
    free = float(dof)
    if common is not None:
        moved = inverse @ design.T @ common.shifts
        parts = [(float(covariance[1, 1]), free), (float(moved[1]) ** 2, common.dof)]
        covariance = covariance + np.outer(moved, moved)
        free = satterthwaite(float(covariance[1, 1]), parts)
    p_value = 2 * student_tail(abs(level) / math.sqrt(covariance[1, 1]), free)
    crossed = np.column_stack([design, second * x])
    left = y - crossed @ np.linalg.lstsq(crossed, y, rcond=None)[0]
    fall = (float(residual @ residual) - float(left @ left)) / (float(left @ left) / (dof - 1))
    wide = student_limit(level_of_test / 2, free)
    g = wide**2 * covariance[2, 2] / slope**2
    if slope >= 0 or g >= 1:
        why = "the errors do not fall with the frames beyond their spread: no ratio of frames"
        return Ratio(-level, p_value, reason=why)
    if f_tail(fall, 1, dof - 1) < LEVEL:
        why = "the two curves are not parallel: the ratio of frames depends on the error asked for"
        return Ratio(-level, p_value, reason=why)
    r = level / slope
    middle = r - g * covariance[1, 2] / covariance[2, 2]
    spread = covariance[1, 1] - 2 * r * covariance[1, 2] + r**2 * covariance[2, 2]
    spread -= g * (covariance[1, 1] - covariance[1, 2] ** 2 / covariance[2, 2])
    half = wide / abs(slope) * math.sqrt(max(spread, 0.0))
    # beyond this a ratio of frames has no meaning, and the exponential no number
    low, high = (math.exp(max(-300.0, min(300.0, (middle + sign * half) / (1 - g)))) for sign in (-1, 1))
    return Ratio(-level, p_value, math.exp(r), low, high)
