"""Numbers as the report writes them: no digits that the error does not bear, and no interval that says nothing."""

import polars as pl
import pytest

from ionmelt.report.words import counted_verdicts, has_interval, interval, percent, rounded, state_name


@pytest.mark.parametrize(
    ("values", "scale", "words"),
    [
        ([32.0, 32.0, 32.0], 0.0, ["32", "32", "32"]),
        ([4.375, 4.375], 1e-12, ["4.375", "4.375"]),
        ([0.0, 0.0], 0.0, ["0", "0"]),
        ([0.315, 361.0], 361.0, ["0", "361"]),
        ([-0.3, -12.0, 10.0], 11.0, ["0", "−12", "10"]),
        ([-0.04, -1.21], 1.2, ["0.0", "−1.2"]),
        ([0.999969, 0.999848, None], 0.00012, ["0.99997", "0.99985", "–"]),
    ],
)
def test_digits_are_those_that_the_error_bears(values: list[float | None], scale: float, words: list[str]) -> None:
    assert rounded(values, scale) == words


@pytest.mark.parametrize(("unit", "end", "says"), [("eV/A", 9.0, True), ("eV/A", 18.0, False), ("eV/atom", 150.0, False), ("kg/m3", 18000.0, True)])  # fmt: skip
def test_an_interval_of_more_than_any_bond_says_nothing(unit: str, end: float, says: bool) -> None:
    row = {"difference": 0.0, "ci95_low": -end, "ci95_high": end / 2, "unit": unit}
    assert has_interval(row) is says
    assert ("without meaning" in interval(row, "difference", "ci95_low", "ci95_high")) is not says


def test_what_is_of_all_liquids_is_named_so() -> None:
    assert state_name({"liquid": "all", "temperature_K": None}) == "all liquids"
    assert state_name({"liquid": "x", "temperature_K": 300.0, "species": "li"}) == "x, 300\u00a0K, li"
    assert percent(0.423) == "42 %"


def test_verdicts_are_counted_in_a_sentence() -> None:
    verdicts = pl.DataFrame({"verdict": ["design cannot decide", "not converged", "a", "not converged", "b"]})
    assert counted_verdicts(verdicts) == "2 with a winner, 1 that the design cannot decide, 2 not converged"
