"""The share of runs that were completed, with its interval."""

import numpy as np
import pytest
from scipy import stats

from ionmelt.compare import lifetimes


@pytest.mark.parametrize(("done", "runs"), [(0, 4), (2, 9), (9, 9)])
def test_single_runs_have_the_exact_interval(done: int, runs: int) -> None:
    exact = stats.binomtest(done, runs).proportion_ci(method="exact")
    ends = lifetimes.share_interval([i < done for i in range(runs)], [None] * runs)
    assert ends == pytest.approx((exact.low, exact.high))


def test_boxes_of_a_training_that_share_its_fate_are_one_run() -> None:
    """Two trainings of three whose boxes all break are two of three, and not six of nine."""
    exact = stats.binomtest(1, 3).proportion_ci(method="exact")
    fates = [seed == 1 for seed in (1, 2, 3) for _ in range(3)]
    ends = lifetimes.share_interval(fates, [seed for seed in (1, 2, 3) for _ in range(3)])
    assert ends == pytest.approx((exact.low, exact.high))


def test_intervals_cover_where_trainings_differ() -> None:
    rng, held = np.random.default_rng(1), 0
    for _ in range(400):
        chances = rng.beta(0.5, 0.5, 5)
        done = rng.random((5, 3)) < chances[:, None]
        low, high = lifetimes.share_interval(done.ravel().tolist(), np.repeat(np.arange(5), 3).tolist())
        held += low <= 0.5 <= high
    assert held >= 0.9 * 400
