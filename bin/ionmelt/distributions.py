"""Tails and quantiles of the distributions that tests and intervals are read from.

They are what `scipy.stats` gives, straight from the functions of `scipy.special` behind it: to load `scipy.stats` takes longer than
the work of many a task that wants no more of it than Student's t.
"""

import scipy


def normal_tail(x: float) -> float:
    """Return the probability of a normal deviate above x."""
    return float(scipy.special.ndtr(-x))


def normal_quantile(p: float) -> float:
    """Return the normal deviate that others are below with probability p."""
    return float(scipy.special.ndtri(p))


def student_tail(t: float, dof: float) -> float:
    """Return the probability of a Student's t above t; with infinite degrees of freedom it is normal."""
    return float(scipy.special.stdtr(dof, -t))


def student_quantile(p: float, dof: float) -> float:
    """Return the Student's t that others are below with probability p."""
    return float(scipy.special.stdtrit(dof, p))


def student_limit(tail: float, dof: float) -> float:
    """Return the Student's t that others are above with probability ``tail``."""
    return -student_quantile(tail, dof)


def chi2_tail(x: float, dof: float) -> float:
    """Return the probability of a chi-squared above x."""
    return float(scipy.special.chdtrc(dof, x))


def chi2_quantile(p: float, dof: float) -> float:
    """Return the chi-squared that others are below with probability p."""
    return 2 * float(scipy.special.gammaincinv(dof / 2, p))


def f_tail(x: float, dof_above: float, dof_below: float) -> float:
    """Return the probability of a ratio of variances above x; degrees of freedom of its numerator and its denominator."""
    return float(scipy.special.fdtrc(dof_above, dof_below, x))


def beta_quantile(p: float, a: float, b: float) -> float:
    """Return the number that a Beta(a, b) is below with probability p."""
    return float(scipy.special.betaincinv(a, b, p))


def gamma_quantile(p: float, shape: float) -> float:
    """Return the number that a Gamma(shape) of scale 1 is below with probability p."""
    return float(scipy.special.gammaincinv(shape, p))


def binomial_quantile(p: float, trials: int, chance: float) -> int:
    """Return the least number of successes that is not exceeded with a probability of at least p."""
    return next(k for k in range(trials + 1) if k == trials or scipy.special.bdtr(k, trials, chance) >= p)
