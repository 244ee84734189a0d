"""The standard uncertainty that a range stands for."""

import numpy as np
import pytest
from scipy import stats

from ionmelt.study.uncertainty import standard_uncertainty


@pytest.mark.parametrize("count", [2, 3, 4, 5, 12, 40, None])
def test_a_range_becomes_the_standard_deviation_that_it_is_of(count: int | None) -> None:
    """Drawn from a normal distribution of width 2, each kind of range gives 2 back, on the average over many laboratories."""
    rng = np.random.default_rng(3)
    sets = rng.normal(1000, 2, (4000, count or 400))
    deviations = [
        standard_uncertainty("quartiles", *pair, count) or 0 for pair in np.quantile(sets, [0.25, 0.75], axis=1).T
    ]
    assert np.mean(deviations) == pytest.approx(2, rel=0.03)
    if count is not None:
        ends = zip(sets.min(axis=1), sets.max(axis=1), strict=True)
        assert np.mean([standard_uncertainty("min-max", *pair, count) or 0 for pair in ends]) == pytest.approx(
            2, rel=0.03
        )
    assert standard_uncertainty("min-max", 998.0, 1002.0, None) == pytest.approx(
        np.std(np.linspace(998, 1002, 10001)), rel=1e-3
    )
    assert standard_uncertainty("standard uncertainty", 998.0, 1002.0, count) == pytest.approx(2)
    assert standard_uncertainty("95 % interval", *stats.norm(1000, 2).interval(0.95), count) == pytest.approx(2)
    assert (
        standard_uncertainty("quartiles", 998.0, 1002.0, 1) is None is standard_uncertainty("min-max", 999.0, 999.0, 3)
    )
