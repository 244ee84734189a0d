"""How long runs last: exact intervals, identical models rarely told apart, and the smallest design that decides."""

import math

import numpy as np
import polars as pl
import pytest
from scipy import stats

from ionmelt.compare.comparison import comparisons
from ionmelt.compare.groups import Row
from ionmelt.compare.lifetimes import LifetimeDifference, Lifetimes
from ionmelt.compare.survival import groups_of_survival
from ionmelt.compare.verdicts import judge

SEEDS, BOXES = 3, 2  # the smallest design that may give verdicts on methods


def lives(reached: np.ndarray) -> Lifetimes:
    """Return runs (seeds, boxes) that broke where they did not reach 1."""
    labels = [seed for seed in range(reached.shape[0]) for _ in range(reached.shape[1])]
    return Lifetimes(labels, reached.ravel().tolist(), (reached < 1).ravel().tolist())


def exponential(
    rng: np.random.Generator, rate: float, spread: float, seeds: int = SEEDS, boxes: int = BOXES
) -> Lifetimes:
    """Return runs that break at a rate (per planned length) whose logarithm differs between seeds by ``spread``."""
    of_seed = rate * np.exp(spread * rng.normal(size=(seeds, 1)))
    return lives(np.minimum(rng.exponential(size=(seeds, boxes)) / of_seed, 1.0))


@pytest.mark.parametrize(("broken", "low", "high"), [(0, 0.0, 3.689), (5, 1.623, 11.668)])
def test_the_interval_of_a_constant_rate_is_garwoods(broken: int, low: float, high: float) -> None:
    """Biometrika 28 (1936) 437: limits of a Poisson mean, here of breaks in the time that was run."""
    reached = np.ones((6, 1))
    reached[:broken] = 0.5
    some = lives(reached)
    for end, breaks in zip(some.interval_of_rate(0.05), (low, high), strict=True):
        rate = breaks / some.exposure
        assert end == pytest.approx(1 - (1 - math.exp(-rate)) / rate if rate else 0.0, abs=1e-4)


@pytest.mark.parametrize("at", [0.02, 0.1, 0.4])
def test_the_smallest_design_decides_between_always_and_never(at: float) -> None:
    rng = np.random.default_rng(1)
    breaks, never = lives(at * rng.uniform(0.8, 1.2, (SEEDS, BOXES))), lives(np.ones((SEEDS, BOXES)))
    apart = LifetimeDifference(breaks, never)
    assert apart.p_value() < 0.01 and apart.interval()[0] > 0
    assert LifetimeDifference(never, breaks).p_value() == pytest.approx(apart.p_value(), rel=1e-6)
    # of the ranks of three seeds against three no test can say so
    assert stats.mannwhitneyu(breaks.of_seeds, never.of_seeds, method="exact").pvalue >= 0.1


def test_one_training_that_breaks_in_every_box_is_one_training() -> None:
    one_bad, good = np.ones((3, 3)), np.ones((3, 3))
    one_bad[0] = 0.01
    assert (
        stats.fisher_exact([[3, 6], [0, 9]]).pvalue > 0.05
    )  # and with twice the boxes runs alone would tell them apart
    many = np.ones((3, 6))
    many[0] = 0.01
    assert stats.fisher_exact([[6, 12], [0, 18]]).pvalue < 0.05
    for reached in (one_bad, many):
        assert LifetimeDifference(lives(reached), lives(np.ones_like(reached))).p_value() > 0.2
    assert LifetimeDifference(lives(good), lives(good)).p_value() == 1.0


@pytest.mark.parametrize(("rate", "spread"), [(0.3, 0.0), (2.0, 0.0), (10.0, 0.0), (0.5, 1.0), (2.0, 2.0), (1.0, 5.0)])
def test_identical_models_are_rarely_told_apart(rate: float, spread: float) -> None:
    rng, cases = np.random.default_rng(2), 150
    pairs = [LifetimeDifference(*(exponential(rng, rate, spread) for _ in "ab")) for _ in range(cases)]
    false = sum(not pair.holds_zero(0.05) for pair in pairs)
    assert false <= stats.binom.isf(0.001, cases, 0.05)


def test_models_whose_rates_differ_much_are_told_apart() -> None:
    rng, cases = np.random.default_rng(3), 60
    pairs = [LifetimeDifference(exponential(rng, 20.0, 0.0), exponential(rng, 0.02, 0.0)) for _ in range(cases)]
    assert sum(not pair.holds_zero(0.05) for pair in pairs) >= 0.9 * cases


def test_trainings_that_break_at_once_or_never_do_not_make_their_models_differ() -> None:
    """Three bad trainings of one model and three good ones of another, where those of two more are of both kinds."""
    good, bad, mixed = np.ones((3, 2)), np.full((3, 2), 0.01), np.ones((3, 2))
    mixed[0] = 0.01
    alone = verdict(rows("a", bad), rows("b", good))
    assert [row["verdict"] for row in alone] == ["b"]
    among = verdict(rows("a", bad), rows("b", good), rows("c", mixed), rows("d", mixed))
    assert {row["verdict"] for row in among} == {"not distinguishable"}


def test_the_p_value_is_where_the_interval_begins_to_hold_0() -> None:
    rng = np.random.default_rng(4)
    for _ in range(5):
        pair = LifetimeDifference(exponential(rng, 5.0, 0.5), exponential(rng, 0.3, 0.5))
        p = pair.p_value()
        assert 0 < p < 0.1 and pair.holds_zero(0.98 * p) and not pair.holds_zero(1.02 * p)


def rows(model: str, reached: np.ndarray, ends: str = "bond_broken") -> list[Row]:
    """Return rows of the table `survival`, of runs (seeds, boxes) of 200 ps."""
    return [
        {"run_id": f"{model}{s}{b}", "liquid": "x", "temperature_K": 400.0, "model": model, "dataset": "d", "framework": model,
         "seed": s, "replica": b, "planned_ps": 200.0, "survived_ps": 200 * x, "end": "completed" if x == 1 else ends}
        for s, line in enumerate(reached.tolist()) for b, x in enumerate(line)
    ]  # fmt: skip


def verdict(*tables: list[Row]) -> list[Row]:
    groups = groups_of_survival(pl.DataFrame([row for table in tables for row in table]))
    return [made.row() for made in judge(comparisons(groups))]


def test_verdicts_name_who_lasts_longer_and_say_what_cannot_be_decided() -> None:
    early, whole = np.full((3, 2), 0.05), np.ones((3, 2))
    (row,) = verdict(rows("a", early), rows("b", whole))
    assert (row["verdict"], row["property"], row["difference"]) == ("b", "survival", pytest.approx(0.95))
    assert "a-d: 6 of 6 runs broke" in row["reason"] and row["holm_low"] > 0
    assert verdict(rows("a", whole), rows("b", whole)) == []  # no run broke: nothing to test
    (row,) = verdict(rows("a", early[:, :1]), rows("b", whole[:, :1]))
    assert row["verdict"] == "design cannot decide" and "1 box" in row["reason"]
    (row,) = verdict(rows("a", early[:2]), rows("b", whole[:2]))
    assert row["verdict"] == "design cannot decide" and "2 training seeds" in row["reason"]
    (row,) = verdict(rows("a", early, ends="missing"), rows("b", whole))
    assert row["verdict"] == "not converged" and "6 of 6 runs are missing" in row["reason"]
    assert row["difference"] is row["ci95_low"] is row["p_value"] is None, "nobody knows how far they would have come"


def test_runs_that_left_no_result_widen_no_verdict_on_others() -> None:
    """Two of three trainings of a third model failed: that says nothing of how trainings differ that ran."""
    early, whole, lost = np.full((3, 2), 0.05), np.ones((3, 2)), np.ones((3, 2))
    lost[:2] = 0.0
    alone = verdict(rows("a", early), rows("b", whole))[0]
    among = verdict(rows("a", early), rows("b", whole), rows("c", lost, ends="missing"))
    (same,) = [row for row in among if (row["model_a"], row["model_b"]) == ("a-d", "b-d")]
    assert same["verdict"] == alone["verdict"] == "b"
    assert (same["ci95_low"], same["ci95_high"]) == (alone["ci95_low"], alone["ci95_high"])
    broken = verdict(rows("a", early), rows("b", whole), rows("c", lost))
    (wider,) = [row for row in broken if (row["model_a"], row["model_b"]) == ("a-d", "b-d")]
    assert wider["ci95_low"] < alone["ci95_low"], "of trainings that broke it does"


def test_a_broken_run_whose_time_is_no_number_reached_nothing() -> None:
    (group,) = groups_of_survival(pl.DataFrame(rows("a", np.full((3, 2), math.nan))))
    assert group.lifetimes is not None and group.lifetimes.lost == 1.0
