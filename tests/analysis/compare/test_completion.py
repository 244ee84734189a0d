"""Runs that lack a number which others of their model have."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from ionmelt.compare.completion import complete_numbers
from ionmelt.compare.gathering import Inputs, of_measures
from ionmelt.compare.reading import conform
from ionmelt.compare.request import Request
from ionmelt.compare.summary import summarise_numbers
from ionmelt.tables.published import TABLES

MODEL = {"liquid": "x", "temperature_K": 400.0, "model": "m", "dataset": None, "framework": "f", "model_key": "m"}
ENDS = {"r1": "completed", "r2": "completed", "r3": "volume", "r4": "missing"}


def survival() -> pl.DataFrame:
    runs = [MODEL | {"run_id": run_id, "replica": i, "end": end} for i, (run_id, end) in enumerate(ENDS.items())]
    return conform(pl.DataFrame(runs), TABLES["survival"])


def numbers(name: str, *rows: dict[str, Any]) -> pl.DataFrame:
    replica = {run_id: i for i, run_id in enumerate(ENDS)}
    base = MODEL | {"pair": "a-b", "unit": "1", "standard_error": 0.01, "converged": True}
    return conform(pl.DataFrame([base | {"replica": replica[row["run_id"]]} | row for row in rows]), TABLES[name])


def test_a_state_that_a_run_never_shows_has_a_share_of_0_there_and_the_shares_of_all_sum_to_1() -> None:
    share = {"quantity": "anions_per_cation_fraction"}
    table = numbers(
        "coordination",
        share | {"run_id": "r1", "state": "4", "value": 0.97},
        share | {"run_id": "r1", "state": "5", "value": 0.03},
        share | {"run_id": "r2", "state": "4", "value": 1.0},
    )
    full = complete_numbers("coordination", table, survival().filter(pl.col("end") == "completed"))
    rows = {row["state"]: row for row in summarise_numbers(full, ["quantity", "pair", "state"])}
    assert rows["5"]["value"] == pytest.approx(0.015)  # and not the 0.03 of the one run that showed it
    assert sum(row["value"] for row in rows.values()) == pytest.approx(1.0)
    assert rows["5"]["planned_runs"] == 2 and not rows["5"]["converged"]
    assert rows["5"]["reason"] == "1 of 2 runs: never seen in this run"


def test_a_change_that_a_run_never_shows_has_a_rate_of_0_where_the_state_was_there() -> None:
    rate = {"quantity": "transition_rate", "state_from": "4 anions", "unit": "1/ns"}
    table = numbers(
        "kinetics",
        rate | {"run_id": "r1", "state_to": "5 anions", "value": 6.0},
        rate | {"run_id": "r1", "state_to": "6 anions", "value": 2.0},
        rate | {"run_id": "r2", "state_to": "5 anions", "value": 8.0},
        rate | {"run_id": "r1", "state_from": "7 anions", "state_to": "6 anions", "value": 9.0},
    )
    full = complete_numbers("kinetics", table, survival().filter(pl.col("end") == "completed"))
    added = full.filter(pl.col("run_id") == "r2", ~pl.col("converged")).sort("state_from").to_dicts()
    assert [(row["state_from"], row["value"]) for row in added] == [("4 anions", 0.0), ("7 anions", None)]


def test_runs_that_broke_or_are_missing_are_counted_where_others_have_a_number() -> None:
    peak = {"quantity": "first_peak", "unit": "A"}
    table = numbers(
        "coordination",
        peak | {"run_id": "r1", "value": 2.0},
        peak | {"run_id": "r2", "value": 2.02},
    )
    full = complete_numbers("coordination", table, survival())
    reasons = dict(full.filter(pl.col("value").is_null()).select("run_id", "reason").iter_rows())
    assert set(reasons) == {"r3", "r4"} and reasons["r3"].startswith("the run ended by volume")
    (row,) = summarise_numbers(full, ["quantity", "pair"])
    assert (row["runs"], row["planned_runs"], row["converged"]) == (2, 4, False)


def test_the_tables_of_a_study_have_these_rows(tmp_path: Path) -> None:
    numbers("coordination", {"quantity": "first_peak", "unit": "A", "run_id": "r1", "value": 2.0}).write_parquet(
        tmp_path / "r1.coordination.parquet"
    )
    t = {"survival": survival(), "references": pl.DataFrame(schema=TABLES["references"])}
    measured = of_measures(Inputs(tmp_path, measures=tmp_path), Request({}, ("m",), {}, 10.0, False, None), t)
    assert sorted(measured["coordination"]["run_id"]) == sorted(ENDS)


def test_one_broken_run_among_many_with_a_number_is_no_chance() -> None:
    """A single run that fails a test may be chance; one that broke leaves the others a biased sample, whatever it gave."""
    runs = [
        MODEL | {"run_id": str(i), "seed": 1, "replica": i, "quantity": "first_peak", "pair": "a-b", "unit": "A", "value": 2.0 + 0.001 * i,
                 "standard_error": 0.01, "converged": i > 0, "reason": None if i else "run ended: volume at 3 ps",
                 "end": "completed" if i else "volume"}
        for i in range(6)
    ]  # fmt: skip
    (row,) = summarise_numbers(pl.DataFrame(runs, infer_schema_length=None), ["quantity", "pair"])
    assert not row["converged"] and row["reason"] == "1 of 6 runs: run ended: volume at 3 ps"
