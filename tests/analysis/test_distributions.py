"""Tails and quantiles are those of scipy.stats, down to tails of which a table knows nothing."""

import math
from collections.abc import Callable

import pytest
from scipy import stats

from ionmelt import distributions

P = (1e-300, 1e-12, 0.0005, 0.025, 0.5, 0.975, 1 - 1e-9)
DOF = (0.3, 1.0, 2.5, 7.0, 120.0, 1e6)
X = (0.0, 1e-6, 0.4, 1.0, 3.7, 25.0, 300.0)


def same(ours: Callable[..., float], theirs: Callable[..., float], *given: float) -> None:
    assert ours(*given) == pytest.approx(float(theirs(*given)), rel=1e-9, abs=1e-300, nan_ok=True), given


@pytest.mark.parametrize("dof", [*DOF, math.inf])
def test_students_t(dof: float) -> None:
    for x in X:
        for t in (x, -x):
            same(distributions.student_tail, stats.t.sf, t, dof)
    for p in P:
        same(distributions.student_quantile, stats.t.ppf, p, dof)
        same(distributions.student_limit, stats.t.isf, p, dof)


def test_normal() -> None:
    for x in X:
        same(distributions.normal_tail, stats.norm.sf, x)
    for p in P:
        same(distributions.normal_quantile, stats.norm.ppf, p)


@pytest.mark.parametrize("dof", DOF)
def test_chi_squared_and_ratios_of_variances(dof: float) -> None:
    for x in X:
        same(distributions.chi2_tail, stats.chi2.sf, x, dof)
        for below in DOF:
            same(distributions.f_tail, stats.f.sf, x, dof, below)
    for p in P[2:]:
        same(distributions.chi2_quantile, stats.chi2.ppf, p, dof)


def test_beta_gamma_and_binomial() -> None:
    for p in P[2:6]:
        for a in (0.5, 3.0, 40.5):
            same(distributions.gamma_quantile, stats.gamma.ppf, p, a)
            for b in (0.5, 1.0, 900.5):
                same(distributions.beta_quantile, stats.beta.ppf, p, a, b)
        for trials in (1, 5, 40):
            for chance in (0.01, 0.05, 0.5):
                same(distributions.binomial_quantile, stats.binom.ppf, p, trials, chance)


def test_no_degrees_of_freedom_have_no_tail() -> None:
    for dof in (0.0, math.nan):
        assert math.isnan(distributions.student_tail(1.0, dof))
        assert math.isnan(distributions.student_limit(0.025, dof))
