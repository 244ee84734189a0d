"""Parallel lines: known ratios come out, intervals cover, and lines that do not fall or cross have no ratio."""

import math

import numpy as np
import pytest
from scipy import stats

from ionmelt.compare.parallel_lines import Common, Ratio, parallel_lines


def lines(rng: np.random.Generator, level: float, slope: float = -0.8, noise: float = 0.1, sizes: int = 3) -> Ratio:
    x = np.log(np.repeat([10.0 * 2**i for i in range(sizes)], 3))
    second = np.repeat([0.0, 1.0], len(x))
    x = np.tile(x, 2)
    y = 1.0 + slope * x + level * second + noise * rng.normal(size=len(x))
    return parallel_lines(x, y, second)


def test_the_ratio_of_frames_is_that_of_the_lines() -> None:
    ratio = lines(np.random.default_rng(1), math.log(2), noise=1e-6)
    assert ratio.value == pytest.approx(2 ** (-1 / 0.8), rel=1e-4) and ratio.p_value < 1e-9
    assert ratio.low == pytest.approx(ratio.value, rel=1e-4) == pytest.approx(ratio.high, rel=1e-4)
    assert ratio.level == pytest.approx(-math.log(2), abs=1e-4)


def test_the_interval_of_the_ratio_covers() -> None:
    rng = np.random.default_rng(2)
    true = math.exp(-0.5 / 0.8)
    ratios = [lines(rng, 0.5, noise=0.2) for _ in range(400)]
    answered = [r for r in ratios if r.value is not None]
    covered = np.mean([r.low <= true <= r.high for r in answered])  # type: ignore[operator]
    assert len(answered) > 300 and 0.92 <= covered <= 0.98
    false = np.mean([lines(rng, 0.0, noise=0.2).p_value < 0.05 for _ in range(400)])
    assert 0.02 <= false <= 0.08


def test_the_other_way_round_the_ratio_is_inverted() -> None:
    rng = np.random.default_rng(3)
    x = np.log(np.tile(np.repeat([10.0, 20.0, 40.0], 3), 2))
    second = np.repeat([0.0, 1.0], 9)
    y = -0.8 * x + 0.4 * second + 0.1 * rng.normal(size=18)
    one, other = parallel_lines(x, y, second), parallel_lines(x, y, 1 - second)
    assert one.value == pytest.approx(1 / other.value) and one.p_value == pytest.approx(other.p_value)  # type: ignore[operator]
    assert (one.low, one.high) == pytest.approx((1 / other.high, 1 / other.low))  # type: ignore[operator]


def test_errors_that_do_not_fall_or_cross_give_no_ratio() -> None:
    rng = np.random.default_rng(4)
    flat = lines(rng, 0.5, slope=0.0)
    assert flat.value is None and "do not fall" in str(flat.reason)
    x = np.log(np.tile(np.repeat([10.0, 20.0, 40.0], 3), 2))
    second = np.repeat([0.0, 1.0], 9)
    y = np.where(second > 0, -1.2, -0.4) * x + 0.05 * rng.normal(size=18)
    crossed = parallel_lines(x, y, second)
    assert crossed.value is None and "not parallel" in str(crossed.reason)


def off_to_either_side(rng: np.random.Generator, error: float) -> Ratio:
    """Return the lines of two models that are as far from the truth, one above and one below, where the truth is known to an error."""
    frames = np.repeat([25.0, 50.0, 100.0, 200.0], 3)
    off = 40 / np.sqrt(frames)
    values = np.concatenate([off, -off]) + 0.5 * rng.normal(size=24) - error * rng.normal()
    x, second = np.log(np.tile(frames, 2)), np.repeat([0.0, 1.0], 12)
    return parallel_lines(x, np.log(np.abs(values)), second, common=Common(error / values))


@pytest.mark.parametrize("error", [0.3, 1.0])
def test_where_the_truth_lies_is_in_the_error_of_models_that_are_off_to_either_side(error: float) -> None:
    """Else the one that the truth's own error makes the nearer would need fewer frames, in half of all studies and more."""
    rng = np.random.default_rng(5)
    assert np.mean([off_to_either_side(rng, error).p_value < 0.05 for _ in range(400)]) <= 0.08


def test_a_common_error_without_freedom_widens_what_its_seeds_do_not_show() -> None:
    """Of a shift of the second line alone the variances add."""
    x = np.log(np.tile(np.repeat([10.0, 20.0, 40.0], 3), 2))
    second = np.repeat([0.0, 1.0], 9)
    y = -0.8 * x + 0.4 * second + 1e-6 * np.random.default_rng(6).normal(size=18)
    assert parallel_lines(x, y, second).p_value < 1e-9
    shifted = parallel_lines(x, y, second, common=Common(0.2 * second))
    assert shifted.p_value == pytest.approx(2 * stats.norm.sf(2.0), rel=1e-3)
