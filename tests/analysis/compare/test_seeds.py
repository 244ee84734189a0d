"""The spread between training seeds: made-up runs whose answers are known."""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import polars as pl
import pytest

from ionmelt.compare import seeds as compare_seeds

RNG = np.random.default_rng


def density_rows(seed_sd: float, error: float, seeds: int, replicas: int, rng: np.random.Generator) -> pl.DataFrame:
    rows = []
    for seed in range(seeds):
        true = 1200 + rng.normal(scale=seed_sd)
        for replica in range(replicas):
            rows.append({
                "liquid": "a", "temperature_K": 400.0, "model": "m", "dataset": "d", "seed": seed, "replica": replica,
                "value": true + rng.normal(scale=error), "standard_error": error, "converged": True,
            })  # fmt: skip
    return pl.DataFrame(rows)


def first(committees: Iterable[compare_seeds.Committee]) -> dict[str, Any]:
    """Return the row of the first committee."""
    return next(iter(committees)).row()


def test_spread_of_seeds_that_do_not_differ_is_called_so_19_times_of_20() -> None:
    rng = RNG(1)
    said = [first(compare_seeds.of_numbers(density_rows(0, 2.0, 4, 2, rng), "density", "kg/m3")) for _ in range(400)]
    share = np.mean([row["verdict"] == "seeds differ" for row in said])
    assert 0.02 < share < 0.08
    assert said[0]["within_seed"] == pytest.approx(2.0 / math.sqrt(2))


def test_of_many_numbers_of_seeds_that_do_not_differ_none_is_said_to() -> None:
    """Of 60 numbers three would be by chance, each alone; where the seeds of one do differ, that is found among them."""
    rng, studies = RNG(5), 40
    called = 0
    for _ in range(studies):
        alike = [next(compare_seeds.of_numbers(density_rows(0, 2.0, 3, 2, rng), f"number {i}")) for i in range(60)]
        called += any(one.verdict == "seeds differ" for one in compare_seeds.corrected(alike))
    assert called <= 6  # 5 % of 40, and its scatter
    apart = next(compare_seeds.of_numbers(density_rows(20.0, 2.0, 3, 2, RNG(6)), "apart"))
    assert compare_seeds.corrected([*alike, apart])[-1].verdict == "seeds differ"


def test_interval_of_the_spread_holds_the_true_one() -> None:
    rng = RNG(2)
    held = []
    for _ in range(400):
        row = first(compare_seeds.of_numbers(density_rows(5.0, 1e-3, 4, 1, rng), "density", "kg/m3"))
        assert row["verdict"] == "seeds differ"
        held.append(row["between_seeds_ci95_low"] < 5.0 < row["between_seeds_ci95_high"])
    assert 0.92 < np.mean(held) < 0.98


def test_runs_that_are_not_converged_and_seeds_that_are_missing() -> None:
    frame = density_rows(5.0, 1.0, 3, 2, RNG(3))
    poor = frame.with_columns(converged=pl.col("replica") > 0)
    row = first(compare_seeds.of_numbers(poor, "density", "kg/m3"))
    assert (row["verdict"], row["reason"][:6]) == ("not converged", "3 of 6")
    lost = frame.with_columns(value=pl.when(pl.col("seed") == 0).then("value"))
    row = first(compare_seeds.of_numbers(lost, "density", "kg/m3"))
    assert (row["verdict"], row["seeds"]) == ("not judged", 1)
    two_left = frame.with_columns(value=pl.when(pl.col("seed") != 0).then("value"))  # one of three trainings broke
    row = first(compare_seeds.of_numbers(two_left, "density", "kg/m3"))
    assert (row["verdict"], row["seeds"], row["reason"][:6]) == ("not converged", 2, "2 of 6")
    assert list(compare_seeds.of_numbers(frame.filter(pl.col("seed") == 1), "density")) == []
    untrained = frame.with_columns(seed=pl.lit(None, pl.Int64))
    assert list(compare_seeds.of_numbers(untrained, "density")) == []


def test_radial_distribution_functions_of_seeds() -> None:
    """Two seeds a constant 0.2 apart, each of two runs with errors 0.03: 0.2 / sqrt(2) between, 0.03 / sqrt(2) within."""
    rows = [
        {"liquid": "a", "temperature_K": 400.0, "model": "m", "dataset": "d", "quantity": "rdf", "pair": "li-f",
         "r_A": float(r), "seed": seed, "replica": replica, "value": 1.0 + 0.2 * seed if r > 2 else 0.0,
         "standard_error": 0.03}
        for r in range(10) for seed in range(2) for replica in range(2)
    ]  # fmt: skip
    (committee,) = compare_seeds.of_curves(pl.DataFrame(rows))
    row = committee.row()
    assert row["between_seeds"] == pytest.approx(0.2 / math.sqrt(2))
    assert row["within_seed"] == pytest.approx(0.03 / math.sqrt(2))
    assert row["seeds"] == 2
