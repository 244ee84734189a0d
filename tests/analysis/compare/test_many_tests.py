"""Holm's correction: by hand, and against the intervals at its levels."""

import numpy as np
import pytest

from ionmelt.compare import many_tests
from ionmelt.compare.statistics import Estimate


def test_holm_by_hand() -> None:
    assert many_tests.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert many_tests.holm([]) == []
    assert many_tests.holm([0.9, 0.8]) == [1.0, 1.0]


def test_an_interval_at_holms_level_holds_0_exactly_where_the_corrected_test_finds_nothing() -> None:
    """Whatever the numbers and their degrees of freedom; the steps are those of the textbook."""
    assert many_tests.holm_levels([0.001, 0.04, 0.03, 0.2]) == pytest.approx([0.05 / 4, 0.05 / 3, 0.05 / 3, 0.05 / 3])
    assert many_tests.holm_levels([]) == []
    assert many_tests.holm_levels([0.025, 0.03]) == [0.025, 0.025]  # at its level: not rejected
    rng = np.random.default_rng(8)
    told = 0
    for _ in range(300):
        estimates = [
            Estimate(float(v), 1.0, float(dof))
            for v, dof in zip(rng.normal(0, 4, 7), rng.integers(1, 30, 7), strict=True)
        ]
        p_values = [e.p_value() for e in estimates]
        for e, p, level in zip(estimates, many_tests.holm(p_values), many_tests.holm_levels(p_values), strict=True):
            low, high = e.interval(level)
            assert (low <= 0 <= high) == (p >= 0.05)
            assert low <= e.interval()[0] and high >= e.interval()[1]
            told += p < 0.05
    assert 100 < told < 2000
