"""Rounds of active learning: over where nothing changes within the tolerance, and not where nothing is known."""

from dataclasses import replace
from typing import Any

import polars as pl
import pytest

from ionmelt.compare import rounds as compare_rounds
from ionmelt.compare.request import request_of
from ionmelt.models.card import Card
from ionmelt.tables.comparison import ROUNDS, SUMMARY
from ionmelt.tables.frames import EXPLORATION

BEFORE = compare_rounds.Round(
    1, "x", 430.0, "mace", "al", train_frames=12, active_frames=4, runs=2, survived_share=1.0, density_kg_m3=1000.0,
    density_ci95_low_kg_m3=994.0, density_ci95_high_kg_m3=1006.0, density_converged=True,
)  # fmt: skip


def row(**changes: Any) -> compare_rounds.Round:
    return replace(BEFORE, round=2, **changes)


def shifted(by: float, half: float = 6.0) -> compare_rounds.Round:
    value = 1000.0 + by
    ends = {"density_ci95_low_kg_m3": value - half, "density_ci95_high_kg_m3": value + half}
    return row(density_kg_m3=value, **ends)


@pytest.mark.parametrize(
    ("now", "verdict"),
    [
        (shifted(0), "unchanged"),
        (shifted(11), "unchanged"),  # 11 + 8.5 is within 20
        (shifted(12), "changed"),  # 12 > 8.5, but up to 20.5
        (shifted(30), "changed"),
        (shifted(0, half=60), "not judged"),  # a wide interval is no reason to stop
        (row(survived_share=0.5), "changed"),
        (row(survived_share=0.97), "unchanged"),
        (row(survived_share=None), "not judged"),
        (row(density_kg_m3=None), "not judged"),
        (row(density_converged=False), "not judged"),  # the survivors' density is no reason to stop
    ],
)
def test_a_round_is_over_where_nothing_changes(now: compare_rounds.Round, verdict: str) -> None:
    changes = compare_rounds.judged(now, BEFORE)
    assert changes.verdict == verdict
    assert changes.reason


def test_the_interval_of_a_change_is_that_of_two_independent_densities() -> None:
    changes = compare_rounds.judged(shifted(3, half=8.0), BEFORE)
    assert changes.density_change_kg_m3 == pytest.approx(3)
    assert changes.density_change_ci95_high_kg_m3 == pytest.approx(3 + 10)  # 6 and 8 in quadrature


def test_the_first_round_is_compared_with_nothing() -> None:
    assert compare_rounds.judged(row(), None).verdict == "not judged"


def card(**fields: Any) -> Card:
    return Card.model_validate({"id": "m-al-s1", "model": "m", "framework": "mace", "files": {}, **fields})


def test_a_study_without_active_learning_has_no_rounds() -> None:
    assert not compare_rounds.table({}, request_of({"datasets": {"eq": ["eq"]}}), None, pl.DataFrame()).height
    assert compare_rounds.number_of([card(settings={}), card()]) is None
    assert compare_rounds.number_of([card(settings={"round": 0}), card(settings={"round": 2})]) == 2


def tables() -> dict[str, pl.DataFrame]:
    """Two seeds of one model: one run is whole, one breaks half-way; twelve training frames, four of them active."""
    key = {"liquid": "x", "temperature_K": 430.0, "model": "mace", "dataset": "al"}
    runs = [key | {"seed": seed, "planned_ps": 2.0, "survived_ps": length} for seed, length in ((1, 2.0), (2, 1.0))]
    train = [{"split": "train", "dataset": "al", "kind": "eq" if i < 8 else "active"} for i in range(12)]
    valid = [{"split": "valid", "dataset": "al", "kind": "eq"}]
    density = {"property": "density", "value": 1000.0, "ci95_low": 990.0, "ci95_high": 1010.0, "converged": True}
    walks = [
        key | {"key": "k", "round": 1, "members": 2, "walk": walk, "time_ps": time, "disagreement_ev_a": 0.1 * time,
               "worth_above_ev_a": 0.1, "stop_above_ev_a": 0.3, "offered": time > 1, "end": None}
        for walk, last in (("npt", 2), ("ramp", 1)) for time in range(1, last + 1)
    ]  # fmt: skip
    return {
        "survival": pl.DataFrame(runs),
        "dataset": pl.DataFrame(train + valid),
        "summary": pl.DataFrame([key | density], schema=SUMMARY),
        "errors": pl.DataFrame(schema={"model": pl.String, "dataset": pl.String}),
        "exploration": pl.DataFrame(walks, schema=EXPLORATION),
    }


STUDY = {
    "models": [{"id": "mace"}],
    "datasets": {"al": ["eq", "active"]},
    "active": {"npt_ps": 2.0, "ramp_ps": 2.0, "swing_ps": 0.0},
}


def test_a_round_is_told_by_its_tables() -> None:
    t, asked = tables(), request_of(STUDY)
    first = compare_rounds.table(t | {"exploration": t["exploration"].clear()}, asked, 0, pl.DataFrame(schema=ROUNDS))
    both = compare_rounds.table(t, asked, 1, first)
    assert both["round"].to_list() == [0, 1]
    now = both.row(1, named=True)
    assert (now["train_frames"], now["active_frames"], now["runs"]) == (12, 4, 2)
    assert now["survived_share"] == pytest.approx(0.75)
    assert now["walked_share"] == pytest.approx(0.75)  # 2 and 1 of 2 ps each
    assert now["offered_share"] == pytest.approx(1 / 3)
    assert now["median_disagreement_ev_a"] == pytest.approx(0.1)
    assert now["verdict"] == "unchanged"
    assert first["verdict"].to_list() == ["not judged"]


def test_rounds_of_a_refined_equilibrium_say_whether_densities_still_change() -> None:
    """Nothing is walked, and no dataset has active frames: each trained model is a line, what was not trained is none."""
    t, study = tables(), {"models": [{"id": "mace"}], "datasets": {"al": ["eq"]}, "sampling": {"eq": {"refine": 2}}}
    t |= {"exploration": t["exploration"].clear()}
    t["survival"] = pl.concat(
        [t["survival"], t["survival"].with_columns(dataset=pl.lit(None, pl.String), model=pl.lit("clp"))]
    )
    first = compare_rounds.table(t, request_of(study), 0, pl.DataFrame(schema=ROUNDS))
    denser = t | {"summary": t["summary"].with_columns(pl.col("value", "ci95_low", "ci95_high") + 50)}
    both = compare_rounds.table(denser, request_of(study), 1, first)
    assert both.select("round", "model", "verdict").rows() == [(0, "mace", "not judged"), (1, "mace", "changed")]
    assert both["density_change_kg_m3"].to_list() == [None, 50.0]
    without = request_of(study | {"sampling": {"eq": {"refine": 0}}})
    assert not compare_rounds.table(t, without, 0, pl.DataFrame(schema=ROUNDS)).height
