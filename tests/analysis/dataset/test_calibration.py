"""Intervals of a committee cover what they say, on trajectories that their scale never saw."""

import math

import numpy as np
import polars as pl
import pytest
from scipy import stats

from ionmelt.dataset.calibration import calibrate, coverage_interval, held_out, normal_factor, quantile


def parity(factor: float, seeds: int = 3, groups: int = 30, per_group: int = 60, seed: int = 1) -> pl.DataFrame:
    """Return a committee whose mean errs by `factor` times what its members disagree, by an amount of each point's own."""
    rng = np.random.default_rng(seed)
    rows = []
    for group in range(groups):
        size = rng.lognormal(sigma=0.5)
        for i in range(per_group):
            width = size * rng.lognormal(sigma=0.3)
            truth = rng.normal()
            middle = truth + factor * width * rng.normal()
            for member in range(seeds):
                rows.append({
                    "model": "m", "dataset": "d", "seed": member, "quantity": "force", "unit": "eV/A", "point": f"{group}-{i}",
                    "group": f"g{group}", "reference": truth, "predicted": middle + width * rng.normal(),
                })  # fmt: skip
    return pl.DataFrame(rows)


@pytest.mark.parametrize("factor", [0.3, 1.0, 4.0])
@pytest.mark.parametrize("seeds", [2, 3, 8])
def test_recalibrated_intervals_cover(factor: float, seeds: int) -> None:
    table, _ = calibrate(parity(factor, seeds))
    for row in table.to_dicts():
        tolerance = 0.05 if row["level"] == 0.68 else 0.03
        assert row["coverage"] == pytest.approx(row["level"], abs=tolerance)
        assert row["coverage_ci95_low"] <= row["coverage"] <= row["coverage_ci95_high"]
        assert row["coverage_ci95_high"] - row["coverage_ci95_low"] < 0.12
    assert table["members"].to_list() == [seeds] * 2


def test_a_large_committee_that_is_right_needs_no_stretching() -> None:
    """With many members the spread is known, and an error of its size has scale 1 and the raw coverage asked for."""
    row = calibrate(parity(math.sqrt(1 - 1 / 40), seeds=40))[0].row(0, named=True)
    assert row["scale"] == pytest.approx(1.0, abs=0.06)
    assert row["raw_coverage"] == pytest.approx(0.68, abs=0.03)
    wide = calibrate(parity(3.0, seeds=40))[0].row(0, named=True)
    assert wide["scale"] == pytest.approx(3.0, rel=0.1)
    assert wide["raw_coverage"] < 0.35


def test_the_spread_of_two_members_is_that_of_a_sample() -> None:
    """Two members a distance d apart: d / sqrt(2), by which the error of their mean is divided."""
    table = parity(2.0, seeds=2, groups=4, per_group=5)
    first, second = (table.filter(seed=member).sort("point") for member in (0, 1))
    apart = np.abs(first["predicted"] - second["predicted"]).to_numpy() / math.sqrt(2)
    error = ((first["predicted"] + second["predicted"]) / 2 - first["reference"]).abs().to_numpy()
    row = calibrate(table)[0].row(0, named=True)
    assert row["spread"] == pytest.approx(math.sqrt(np.mean(apart**2)))
    assert row["rmse"] == pytest.approx(math.sqrt(np.mean(error**2)))
    assert row["raw_coverage"] == np.mean(error / apart <= 0.99445788)  # of a normal distribution, 68 %
    rank = math.ceil(0.68 * (len(error) + 1))
    assert row["scale"] == pytest.approx(np.sort(error / apart)[rank - 1] / 0.99445788)


def test_the_scale_never_saw_the_group_it_is_tried_on() -> None:
    """One group that errs ten times as much is not covered by the scale of the others, though it would be by its own."""
    rng = np.random.default_rng(3)
    scores, groups = np.abs(rng.normal(size=2000)), np.repeat(np.arange(10), 200)
    scores[groups == 4] *= 10
    covered = held_out(scores, groups, 0.68)
    assert covered[groups == 4].mean() < 0.2
    assert covered[groups != 4].mean() > 0.68


def test_the_quantile_is_that_of_a_new_score() -> None:
    """Of 9 scores and a new one, each rank of the new one is as likely: the 9th covers it with 0.9."""
    scores = np.arange(1.0, 10.0)
    assert quantile(scores, 0.9) == 9.0
    assert quantile(scores, 0.5) == 5.0
    assert quantile(scores, 0.95) == math.inf
    assert normal_factor(0.6827) == pytest.approx(1.0, abs=1e-3)


def test_levels_of_the_plot_are_covered_and_raw_ones_are_not() -> None:
    _, curves = calibrate(parity(3.0))
    curve = curves["m", "d", "force"]
    assert curve["level"] == pytest.approx([0.05 * i for i in range(1, 20)], abs=1e-12)
    assert np.abs(np.array(curve["coverage"]) - curve["level"]).max() < 0.06
    assert (np.array(curve["raw"]) <= np.array(curve["level"]) + 0.01).all()


def test_three_test_groups_are_enough() -> None:
    table, curves = calibrate(parity(1.0, groups=3, per_group=20))
    assert table["reason"].is_null().all() and table["coverage"].is_not_null().all() and curves


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        (parity(1.0, seeds=1, groups=4, per_group=5), "one seed: no committee"),
        (parity(1.0, groups=2, per_group=5), "2 test groups"),
        (parity(1.0, groups=4, per_group=5).with_columns(predicted=pl.col("reference")), "agree to the last digit"),
    ],
)
def test_what_cannot_be_judged_says_why(table: pl.DataFrame, reason: str) -> None:
    judged, curves = calibrate(table)
    assert not curves
    assert judged["coverage"].null_count() == judged.height == 2
    assert judged["level"].to_list() == [0.68, 0.95]
    assert all(reason in text for text in judged["reason"])


def test_points_that_a_member_lacks_are_left_out_and_untrained_models_too() -> None:
    table = parity(1.0, groups=5, per_group=20)
    lost = table.filter(~((pl.col("seed") == 1) & (pl.col("point") == "0-0")))
    other = table.with_columns(dataset=pl.lit(None, pl.String), model=pl.lit("clp"))
    judged, _ = calibrate(pl.concat([lost, other]))
    assert judged["points"].to_list() == [99, 99]
    what = judged.select("model", "dataset", "quantity", "unit", "members", "groups").unique().rows()
    assert what == [("m", "d", "force", "eV/A", 3, 5)]


@pytest.mark.parametrize(("groups", "share"), [(3, 0.95), (5, 0.95), (8, 0.68), (20, 0.9)])
def test_the_interval_of_a_coverage_holds_it_of_few_trajectories(groups: int, share: float) -> None:
    """Trajectories are covered by more or less, each of 30 points; and three that are covered whole prove no coverage of all."""
    rng, held = np.random.default_rng(6), 0
    names = np.repeat(np.arange(groups), 30)
    for _ in range(300):
        each = rng.beta(20 * share, 20 * (1 - share), groups)
        low, high = coverage_interval(rng.random(len(names)) < np.repeat(each, 30), names)
        held += low <= share <= high
    assert held >= 0.9 * 300
    low, high = coverage_interval(np.ones(90, bool), np.repeat(np.arange(3), 30))
    assert low < 0.8 and high > 0.99


def test_the_interval_is_jeffreyss_of_the_points_that_the_scatter_amounts_to() -> None:
    """Of 20 trajectories of a point each 19 points are left by Student's t, 2.093024; of three covered whole there are three."""
    points = 19 * (1.96 / 2.093024) ** 2
    expected = stats.beta.interval(0.95, 0.75 * points + 0.5, 0.25 * points + 0.5)
    assert coverage_interval(np.arange(20) < 15, np.arange(20)) == pytest.approx(expected, rel=1e-5)
    whole = coverage_interval(np.ones(90, bool), np.repeat(np.arange(3), 30))
    assert whole == pytest.approx(stats.beta.interval(0.95, 3.5, 0.5), rel=1e-12)
