"""What a design can decide: the test of the report finds what is called detectable, and finds alike models equivalent, as often as said."""

import math

import numpy as np
import polars as pl
import pytest

from ionmelt.compare import power
from ionmelt.compare.box_spread import box_spread
from ionmelt.compare.power import Contest, Fluctuation, Side
from ionmelt.compare.statistics import LEVEL, Estimate, Runs, difference, paired

DESIGNS = [
    (Side(3, 2), Side(3, 2)),
    (Side(3, 3), Side(1, 3, times=6.0)),
    (Side(1, 1), Side(1, 1)),
]


def studies(rng: np.random.Generator, a: Side, b: Side, apart: float, count: int = 800) -> list[Estimate]:
    """Return the estimated differences of models that are `apart`, whose runs have an error of one each, known well."""
    made = []
    for _ in range(count):
        sides = []
        for side, centre in ((a, apart), (b, 0.0)):
            labels = [(seed, box) for seed in range(side.seeds) for box in range(side.boxes)]
            error = side.times**-0.5
            values = centre + error * rng.standard_normal(len(labels))
            runs = Runs(
                list(values), [error] * len(labels), [s for s, _ in labels], [x for _, x in labels], [1e3] * len(labels)
            )
            sides.append(runs)
        pairs = paired(*sides, common=box_spread(sides))
        alone = [Estimate(runs.values[0], runs.standard_errors[0], 1e3) for runs in sides]
        made.append(pairs[0] if pairs else difference(*alone))
    return made


@pytest.mark.parametrize(("a", "b"), DESIGNS)
@pytest.mark.parametrize("tests", [1, 20])
def test_what_is_detectable_is_found_in_eight_of_ten_studies(a: Side, b: Side, tests: int) -> None:
    apart, _ = power.reach(a, b, tests, dof=200.0)
    told = [
        study.p_value() < LEVEL / tests and study.value > 0 for study in studies(np.random.default_rng(7), a, b, apart)
    ]
    assert np.mean(told) == pytest.approx(0.8, abs=0.05)


@pytest.mark.parametrize(("a", "b"), DESIGNS)
def test_alike_models_are_equivalent_in_eight_of_ten_studies(a: Side, b: Side) -> None:
    _, margin = power.reach(a, b, 5, dof=200.0)
    ends = [study.interval(2 * LEVEL) for study in studies(np.random.default_rng(8), a, b, 0.0)]
    assert np.mean([-margin < low and high < margin for low, high in ends]) == pytest.approx(0.8, abs=0.05)


def test_two_runs_that_are_known_exactly_are_the_normal_distribution() -> None:
    # (1.96 + 0.84) errors of a difference, which are sqrt(2) of a run's
    assert power.reach(Side(1, 1), Side(1, 1), 1, dof=200.0)[0] == pytest.approx(2.80 * math.sqrt(2), rel=0.08)


SEEN = Fluctuation("salt", 900.0, "density", None, 1500.0, 15.0, 200.0)
CONTEST = Contest(power.TRAINED, Side(3, 2), Side(3, 2))


def row(seen: Fluctuation = SEEN, contest: Contest = CONTEST, margin: float | None = None) -> dict[str, object]:
    (made,) = power.table(
        power.power_rows([seen], [contest], 4, {} if margin is None else {"density": margin})
    ).to_dicts()
    return made


def test_a_row_is_in_the_unit_and_in_percent_of_the_property() -> None:
    detectable, equivalent = power.reach(Side(3, 2), Side(3, 2), 4, 200.0)
    made = row()
    assert made["detectable"] == pytest.approx(15 * detectable)
    assert made["detectable_percent"] == pytest.approx(detectable)  # the error of a run is 1 %
    assert made["equivalent_percent"] == pytest.approx(equivalent)
    assert (made["unit"], made["runs_a"], made["runs_b"]) == ("kg/m3", 6, 6)
    assert made["length_times"] is None


def test_a_margin_out_of_reach_says_how_much_longer_runs_would_reach_it() -> None:
    within = float(str(row()["equivalent_percent"]))
    assert row(margin=within / 100)["length_times"] == pytest.approx(1)
    made = row(margin=within / 300)
    assert made["length_times"] == pytest.approx(9)
    assert "needs runs 9 times as long" in power.clause(made)
    # with so much longer runs, it is in reach
    assert row(Fluctuation("salt", 900.0, "density", None, 1500.0, 5.0, 200.0), margin=within / 300)[
        "length_times"
    ] == pytest.approx(1)


def test_a_design_without_seeds_or_boxes_decides_nothing_about_methods() -> None:
    for side in (Side(2, 2), Side(3, 1)):
        made = row(contest=Contest(power.TRAINED, side, side))
        assert made["detectable"] is None
        assert made["reason"] == "fewer than 3 training seeds or 2 boxes: the design cannot decide"
    assert row(contest=Contest(power.UNTRAINED, Side(1, 1), Side(1, 1)))["detectable"] is not None


def test_what_is_not_known_says_why() -> None:
    made = row(Fluctuation("salt", 900.0, "diffusion", "na", None, None, reason="not known: too short"))
    assert (made["detectable"], made["reason"]) == (None, "not known: too short")
    (line,) = power.sentences(pl.DataFrame([made], schema=power.POWER))
    assert line == "salt at 900 K: diffusion of na: two trained models: not known: too short"


def test_what_is_compared_is_what_there_is() -> None:
    abouts = [
        [contest.about for contest in power.contests(3, 2, *models)]
        for models in ((2, 1, None), (1, 1, 4.0), (0, 3, None), (0, 1, None))
    ]
    assert abouts == [[power.TRAINED], [power.AGAINST_TRUTH], [power.UNTRAINED], []]
    (_, truth) = power.contests(3, 2, 2, 1, 4.0)
    assert truth.b == Side(1, 2, 4.0)
