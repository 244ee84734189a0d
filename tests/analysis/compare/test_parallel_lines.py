"""Parallel lines: known ratios come out, intervals cover, and lines that do not fall or cross have no ratio."""

import math

import numpy as np
import pytest

from ionmelt.compare.parallel_lines import Ratio, parallel_lines


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
