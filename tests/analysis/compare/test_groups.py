"""Groups: which two of them differ in one thing only, and what they are held against."""

from dataclasses import replace
from typing import Any

import polars as pl
import pytest

from ionmelt.compare.box_spread import box_spread
from ionmelt.compare.groups import (
    Group,
    Reference,
    counted,
    one_factor_apart,
    reference_at,
    shift_error_of,
    shift_of,
    with_spread,
)
from ionmelt.compare.statistics import Estimate, Runs
from ionmelt.tables.comparison import SUMMARY
from ionmelt.tables.references import REFERENCES


def group(dataset: str, mixture: str | None = None, size: int | None = None) -> Group:
    return Group(
        "x", 430.0, "density", None, "m", dataset, "kg/m3", estimate=None, converged=False, mixture=mixture, size=size
    )


def test_sizes_and_kinds_differ_in_one_thing() -> None:
    both, small, eq, eq_small = (
        group(name, mixture, size)
        for name, mixture, size in (("both", "both", None), ("b8", "both", 8), ("eq", "eq", None), ("e8", "eq", 8))
    )
    assert (group("v.2").whole, group("v.2").size) == ("v.2", None)  # a name is a name
    alike = [(both, small), (small, eq_small), (both, eq)]
    assert all(one_factor_apart(a, b) for a, b in alike)
    assert not one_factor_apart(both, eq_small)
    assert not one_factor_apart(small, replace(small, model="n", dataset="both"))


def test_the_interval_of_a_reference_is_that_of_its_uncertainty() -> None:
    row: dict[str, Any] = {"liquid": "x", "property": "density", "temperature_K": 430.0, "value": 1000.0, "source": "s"}
    table = pl.DataFrame([row | {"standard_uncertainty": 2.0, "low": 900.0, "high": 1100.0}], schema=REFERENCES)
    reference = reference_at(table, "x", "density", None, 430.3)
    assert reference is not None
    assert (reference.low, reference.high) == pytest.approx((1000 - 2 * 1.959964, 1000 + 2 * 1.959964))
    assert (reference.estimate().value, reference.estimate().standard_error) == pytest.approx((1000.0, 2.0))
    exact = reference_at(pl.DataFrame([row], schema=REFERENCES), "x", "density", None, 430.0)
    assert exact is not None
    assert (exact.low, exact.high, exact.estimate().standard_error) == (None, None, 0.0)
    assert exact.words() == "reference: s, taken as exact: its uncertainty is not known"
    assert reference_at(table, "x", "density", None, 440.0) is None
    for half_known in (replace(reference, low=None), replace(reference, high=float("nan"))):
        assert half_known.estimate().standard_error == 0.0  # no interval has one end


def test_no_error_of_a_model_is_below_0() -> None:
    of_density = replace(group("d"), estimate=Estimate(1.0, 1.0))
    assert of_density.interval == pytest.approx((1 - 1.959964, 1 + 1.959964))
    assert replace(of_density, quantity="force_rmse").interval == pytest.approx((0.0, 1 + 1.959964))
    of_unknown_error = replace(of_density, estimate=Estimate(1.0, float("nan")))
    assert of_unknown_error.interval is None
    row = of_unknown_error.row()
    assert (row["value"], row["standard_error"], row["ci95_low"]) == (1.0, None, None)


def test_the_truth_was_simulated_in_the_same_boxes() -> None:
    measured = Reference(10.0, 9.0, 11.0, "s", second_hand=False)
    corrected = replace(
        group("d"), estimate=Estimate(8.0, 3.0), correction=1.5, correction_error=4.0, reference=measured
    )
    assert corrected.corrected() == Estimate(9.5, 5.0)
    assert corrected.row()["finite_size_standard_error"] == 4.0
    assert list(corrected.row()) == list(SUMMARY)
    of_truth = replace(corrected, reference=replace(measured, is_truth=True))
    assert of_truth.corrected() == Estimate(8.0, 3.0)
    for one, shift, error in ((corrected, 1.5, 4.0), (of_truth, 0.0, 0.0), (group("d"), 0.0, 0.0)):
        assert (shift_of(one.row()), shift_error_of(one.row())) == (shift, error)


def test_the_spread_between_boxes_is_that_of_the_groups_of_a_state_that_have_every_run() -> None:
    """One whose boxes disagree is among them, converged or not; one with a run too few is not."""
    runs = [
        Runs([1.0 + 0.1 * i, 2.0, 4.0 - 0.3 * i], [1.0] * 3, [1] * 3, [1, 2, 3], [30.0] * 3) for i in (0.0, 1.0, 50.0)
    ]
    few = Runs([1.0, 3.0], [1.0] * 2, [1] * 2, [1, 2], [30.0] * 2)
    made = enumerate([*runs, few])
    groups = [
        replace(group("d"), model=f"m{i}", behind=behind, converged=i < 2, runs=len(behind.values), planned_runs=3)
        for i, behind in made
    ]
    elsewhere = replace(group("d"), temperature_K=500.0)
    spread = box_spread(runs)
    assert spread is not None
    assert [one.spread for one in with_spread([*groups, elsewhere])] == [*[spread] * 4, None]


def test_reasons_are_counted() -> None:
    assert counted(["a", "b", "a"]) == "a (2 times); b"
