"""The spread between training seeds: made-up runs whose answers are known."""

import math
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import polars as pl
import pytest

from ionmelt.compare import seeds as compare_seeds
from ionmelt.compare.summary import summarise_runs
from ionmelt.tables.references import REFERENCES

RNG = np.random.default_rng


def density_rows(seed_sd: float, error: float, seeds: int, replicas: int, rng: np.random.Generator) -> pl.DataFrame:
    rows = []
    for seed in range(seeds):
        true = 1200 + rng.normal(scale=seed_sd)
        for replica in range(replicas):
            rows.append({
                "liquid": "a", "temperature_K": 400.0, "model": "m", "dataset": "d", "seed": seed, "replica": replica,
                "value": true + rng.normal(scale=error), "standard_error": error, "converged": True, "species": None, "framework": "f",
                "quantity": "number", "state": None, "pair": None, "unit": "1",
            })  # fmt: skip
    return pl.DataFrame(rows)


def of_density(frame: pl.DataFrame, seeds: int) -> Iterator[compare_seeds.Committee]:
    """Yield the committees of densities, of a model that was to be trained with so many seeds."""
    groups = summarise_runs(frame, "density", pl.DataFrame(schema=REFERENCES))
    return compare_seeds.of_groups(groups, {("m", "d"): seeds})


def first(committees: Iterable[compare_seeds.Committee]) -> dict[str, Any]:
    """Return the row of the first committee."""
    return next(iter(committees)).row()


def test_spread_of_seeds_that_do_not_differ_is_called_so_19_times_of_20() -> None:
    rng = RNG(1)
    said = [first(of_density(density_rows(0, 2.0, 4, 2, rng), 4)) for _ in range(400)]
    share = np.mean([row["verdict"] == "seeds differ" for row in said])
    assert 0.02 < share < 0.08
    assert said[0]["within_seed"] == pytest.approx(2.0 / math.sqrt(2))


def test_of_many_numbers_of_seeds_that_do_not_differ_none_is_said_to() -> None:
    """Of 60 numbers three would be by chance, each alone; where the seeds of one do differ, that is found among them."""
    rng, studies = RNG(5), 40
    called = 0
    for _ in range(studies):
        alike = [next(compare_seeds.of_numbers(density_rows(0, 2.0, 3, 2, rng))) for _ in range(60)]
        called += any(one.verdict == "seeds differ" for one in compare_seeds.corrected(alike))
    assert called <= 6  # 5 % of 40, and its scatter
    apart = next(compare_seeds.of_numbers(density_rows(20.0, 2.0, 3, 2, RNG(6))))
    assert compare_seeds.corrected([*alike, apart])[-1].verdict == "seeds differ"


def test_interval_of_the_spread_holds_the_true_one() -> None:
    rng = RNG(2)
    held = []
    for _ in range(400):
        row = first(of_density(density_rows(5.0, 1e-3, 4, 1, rng), 4))
        assert row["verdict"] == "seeds differ"
        held.append(row["between_seeds_ci95_low"] < 5.0 < row["between_seeds_ci95_high"])
    assert 0.92 < np.mean(held) < 0.98


@pytest.mark.parametrize(
    "of", [lambda frame: of_density(frame, 3), compare_seeds.of_numbers], ids=["density", "number"]
)
def test_runs_that_are_not_converged_and_seeds_that_are_missing(of: Any) -> None:
    frame = density_rows(5.0, 1.0, 3, 2, RNG(3))
    poor = frame.with_columns(converged=pl.col("replica") > 0)
    row = first(of(poor))
    assert (row["verdict"], row["reason"][:6]) == ("not converged", "3 of 6")
    lost = frame.with_columns(value=pl.when(pl.col("seed") == 0).then("value"))
    row = first(of(lost))
    assert (row["verdict"], row["seeds"]) == ("not judged", 1)
    two_left = frame.with_columns(value=pl.when(pl.col("seed") != 0).then("value"))  # one of three trainings broke
    row = first(of(two_left))
    assert (row["verdict"], row["seeds"], row["reason"][:6]) == ("not converged", 2, "2 of 6")


def test_one_seed_is_no_committee() -> None:
    frame = density_rows(5.0, 1.0, 3, 2, RNG(3))
    alone = frame.filter(pl.col("seed") == 1)
    assert [*compare_seeds.of_numbers(alone), *of_density(alone, 1)] == []
    assert list(compare_seeds.of_numbers(frame.with_columns(seed=pl.lit(None, pl.Int64)))) == []


def test_seeds_are_converged_where_their_model_is() -> None:
    """One run of six fails a test that is asked of all together: the mean is called converged, and so are its seeds."""
    frame = density_rows(20.0, 1.0, 3, 2, RNG(3)).with_columns(
        converged=(pl.col("seed") > 0) | (pl.col("replica") > 0), sound=pl.lit(True)
    )
    (group,) = summarise_runs(frame, "density", pl.DataFrame(schema=REFERENCES))
    row = first(of_density(frame, 3))
    assert group.converged and group.estimate is not None
    assert (row["verdict"], row["mean"]) == ("seeds differ", pytest.approx(group.estimate.value))


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
