"""From runs to one number per model: references of a temperature, and bounds of what is longer than the runs."""

import math

import polars as pl
import pytest

from ionmelt.compare.groups import Row, reference_at
from ionmelt.compare.runs import Run, run_of
from ionmelt.compare.summary import needed, summarise_numbers
from ionmelt.tables.references import REFERENCES

T = 430.0


def test_reference_of_a_temperature_and_never_of_another() -> None:
    base = {"liquid": "x", "property": "density", "species": None, "unit": "kg/m3"}
    rows = [
        (300.0, 1.0, "b", True, False),
        (300.0, 2.0, "a", False, True),
        (300.3, 3.0, "z, not interpolated by us", False, False),
        (None, 4.0, "a", False, False),
    ]
    names = ("temperature_K", "value", "source", "second_hand", "interpolated")
    frame = pl.DataFrame([base | dict(zip(names, row, strict=True)) for row in rows], schema=REFERENCES)

    def at(temperature_K: float, rows: pl.DataFrame = frame) -> float | None:
        reference = reference_at(rows, "x", "density", None, temperature_K)
        return reference and reference.value

    assert at(300.0) == 3.0  # measured, first-hand
    assert at(300.0, frame.filter(pl.col("value") != 3.0)) == 2.0
    assert at(300.0, frame.filter(pl.col("second_hand"))) == 1.0
    assert at(301.0) is None and at(299.4) is None


def test_times_longer_than_the_runs_keep_their_lowest_bound() -> None:
    run = {"liquid": "x", "temperature_K": T, "quantity": "contact_lifetime", "unit": "ps", "model": "a", "dataset": "d",
           "seed": 1, "value": None, "standard_error": None, "ci95_high": None, "converged": False,
           "reason": "longer than the run can show"}  # fmt: skip

    def combined(*lows: float | None) -> Row:
        rows = [run | {"replica": i, "ci95_low": low} for i, low in enumerate(lows)]
        frame = pl.DataFrame(rows, infer_schema_length=None, schema_overrides={"value": pl.Float64})
        return summarise_numbers(frame, ["quantity"])[0]

    row = combined(80.0, 60.0)
    assert row["value"] is None and row["ci95_low"] == 60 and row["ci95_high"] is None and not row["converged"]
    assert combined(80.0, None)["ci95_low"] is None


def test_numbers_of_runs_become_one_with_the_spread_between_them() -> None:
    base = {"liquid": "x", "temperature_K": T, "pair": "a-b", "unit": "1", "model": "m", "dataset": "d"}
    runs = [
        base | {"seed": 1, "replica": r, "value": v, "standard_error": 0.1, "ci95_low": v - 0.1, "ci95_high": v + 0.3,
                "converged": c, "reason": None if c else "drifts"}
        for r, v, c in ((1, 5.0, True), (2, 5.2, False), (3, 5.4, False))
    ]  # fmt: skip
    (three,) = summarise_numbers(pl.DataFrame(runs), ["pair"])
    assert three["value"] == pytest.approx(5.2) and three["runs"] == 3 and not three["converged"]
    assert three["reason"] == "2 of 3 runs: drifts"
    assert three["ci95_high"] - 5.2 == pytest.approx(0.2 * 4.302653 / math.sqrt(3), rel=1e-5)  # the spread, not the 0.1
    (one,) = summarise_numbers(pl.DataFrame(runs[:1]), ["pair"])
    assert (one["ci95_low"], one["ci95_high"], one["converged"]) == (4.9, 5.3, True)  # its own interval
    nothing = pl.DataFrame([runs[0] | {"value": None, "converged": False}], schema_overrides={"value": pl.Float64})
    assert summarise_numbers(nothing, ["pair"])[0]["value"] is None


@pytest.mark.parametrize(("values", "ends"), [((0.01, 0.05), (0.0, None)), ((0.9, 0.97), (None, 1.0))])
def test_a_share_of_several_runs_stays_a_share(
    values: tuple[float, float], ends: tuple[float | None, float | None]
) -> None:
    base = {
        "liquid": "x",
        "temperature_K": T,
        "quantity": "population",
        "unit": "1",
        "model": "m",
        "dataset": "d",
        "seed": 1,
    }
    runs = [
        base | {"replica": r, "value": v, "standard_error": 0.01, "converged": True, "reason": None}
        for r, v in enumerate(values)
    ]
    (row,) = summarise_numbers(pl.DataFrame(runs), ["quantity"])
    assert [x for x in (row["ci95_low"], row["ci95_high"]) if x in ends] and 0 <= row["ci95_low"] < row[
        "ci95_high"
    ] <= 1


def test_few_samples_of_runs_are_few_of_their_mean() -> None:
    """Two runs that agree, each with an error from three samples: Student's t of four degrees of freedom."""
    base = {
        "liquid": "x",
        "temperature_K": T,
        "quantity": "first_peak",
        "unit": "A",
        "model": "m",
        "dataset": "d",
        "seed": 1,
    }
    runs = [
        base | {"replica": r, "value": 2.0, "standard_error": 0.1, "n_effective": 3.0, "converged": True}
        for r in (1, 2)
    ]
    (row,) = summarise_numbers(pl.DataFrame(runs), ["quantity"])
    assert row["ci95_high"] - 2.0 == pytest.approx(2.776445 * 0.1 / math.sqrt(2), rel=1e-5)


def test_runs_that_are_too_short_together_need_the_time_in_which_all_of_them_have_enough() -> None:
    """Runs that would need 300 and 600 ps by themselves have as much in 200 ps of each: 200 / 300 + 200 / 600 = 1."""

    def run(effective: float, needed_ps: float, sound: bool = True) -> Run:
        row = {
            "value": 1.0,
            "standard_error": 0.1,
            "dof": 3.0,
            "seed": 1,
            "replica": 1,
            "converged": False,
            "reason": "few",
            "n_effective": effective,
        }
        return run_of(row | {"needed_ps": needed_ps, "sound": sound})

    assert needed([run(4.0, 300.0), run(2.0, 600.0)]) == pytest.approx(200.0)
    assert needed([run(4.0, 300.0), run(2.0, 600.0, sound=False)]) == 600.0
    assert needed([run(15.0, 300.0), run(12.0, 600.0)]) == 600.0


def test_no_length_is_named_where_a_run_broke_or_names_none() -> None:
    """Longer runs make nothing of one that broke; of one that cannot say what it needs, what the others need is too little."""

    def run(**columns: object) -> Run:
        row = {"value": 1.0, "standard_error": 0.1, "seed": 1, "replica": 1, "converged": False, "reason": "few"}
        return run_of(row | {"needed_ps": 300.0, "end": "completed", "sound": True} | columns)

    short = {"n_effective": 4.0}
    assert needed([run(), run()]) == 300.0 and needed([run(**short), run(**short)]) == pytest.approx(150.0)
    assert needed([run(), run(converged=True, needed_ps=None)]) == 300.0
    assert needed([run(), run(end="volume")]) is None
    assert needed([run(), run(value=None, standard_error=None, needed_ps=None)]) is None
    assert needed([run(), run(needed_ps=None)]) is None
    assert needed([run(converged=True, needed_ps=None)]) is None


def test_runs_that_know_too_little_of_their_motion_share_the_time_that_it_takes() -> None:
    """Each alone would need 900 ps to know its exponent; nine together 100 ps each, if nothing else is wrong with them."""

    def run(error: float, sound: bool = True) -> Run:
        row = {"value": 1.0, "standard_error": 0.1, "seed": 1, "replica": 1, "converged": False, "reason": "few"}
        motion = {"log_slope": 1.0, "log_slope_error": error, "sound": sound}
        return run_of(row | motion | {"needed_ps": 900.0, "end": "completed"})

    assert needed([run(0.5)] * 9) == pytest.approx(100.0)
    assert needed([run(0.2)] * 9) == 900.0
    assert needed([*[run(0.5)] * 8, run(0.5, sound=False)]) == 900.0
