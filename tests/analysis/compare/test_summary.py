"""From runs to one number per model: references of a temperature, and bounds of what is longer than the runs."""

import math

import polars as pl
import pytest

from ionmelt.compare.groups import Row, reference_at
from ionmelt.compare.summary import summarise_numbers
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
    assert three["reason"] == "2 of 3 runs: drifts (2 times)"
    assert three["ci95_high"] - 5.2 == pytest.approx(0.2 * 4.302653 / math.sqrt(3), rel=1e-5)  # the spread, not the 0.1
    (one,) = summarise_numbers(pl.DataFrame(runs[:1]), ["pair"])
    assert (one["ci95_low"], one["ci95_high"], one["converged"]) == (4.9, 5.3, True)  # its own interval
    nothing = pl.DataFrame([runs[0] | {"value": None, "converged": False}], schema_overrides={"value": pl.Float64})
    assert summarise_numbers(nothing, ["pair"])[0]["value"] is None
