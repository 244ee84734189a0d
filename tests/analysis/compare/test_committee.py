"""The spread between training seeds, and what tuning lost: made-up runs whose answers are known."""

import math
from typing import Any

import numpy as np
import polars as pl
import pytest

from ionmelt.compare import committee
from ionmelt.tables.evaluation import FRAME_ERRORS

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


def test_spread_of_seeds_that_do_not_differ_is_called_so_19_times_of_20() -> None:
    rng = RNG(1)
    said = [next(iter(committee.of_numbers(density_rows(0, 2.0, 4, 2, rng), "density", "kg/m3"))) for _ in range(400)]
    share = np.mean([row["verdict"] == "seeds differ" for row in said])
    assert 0.02 < share < 0.08
    assert said[0]["within_seed"] == pytest.approx(2.0 / math.sqrt(2))


def test_interval_of_the_spread_holds_the_true_one() -> None:
    rng = RNG(2)
    held = []
    for _ in range(400):
        row = next(iter(committee.of_numbers(density_rows(5.0, 1e-3, 4, 1, rng), "density", "kg/m3")))
        assert row["verdict"] == "seeds differ"
        held.append(row["between_seeds_ci95_low"] < 5.0 < row["between_seeds_ci95_high"])
    assert 0.92 < np.mean(held) < 0.98


def test_runs_that_are_not_converged_and_seeds_that_are_missing() -> None:
    frame = density_rows(5.0, 1.0, 3, 2, RNG(3))
    poor = frame.with_columns(converged=pl.col("replica") > 0)
    row = next(iter(committee.of_numbers(poor, "density", "kg/m3")))
    assert (row["verdict"], row["reason"][:6]) == ("not converged", "3 of 6")
    lost = frame.with_columns(value=pl.when(pl.col("seed") == 0).then("value"))
    row = next(iter(committee.of_numbers(lost, "density", "kg/m3")))
    assert (row["verdict"], row["seeds"]) == ("not judged", 1)
    assert list(committee.of_numbers(frame.filter(pl.col("seed") == 1), "density")) == []
    untrained = frame.with_columns(seed=pl.lit(None, pl.Int64))
    assert list(committee.of_numbers(untrained, "density")) == []


def test_radial_distribution_functions_of_seeds() -> None:
    """Two seeds a constant 0.2 apart, each of two runs with errors 0.03: 0.2 / sqrt(2) between, 0.03 / sqrt(2) within."""
    rows = [
        {"liquid": "a", "temperature_K": 400.0, "model": "m", "dataset": "d", "quantity": "rdf", "pair": "li-f",
         "r_A": float(r), "seed": seed, "replica": replica, "value": 1.0 + 0.2 * seed if r > 2 else 0.0,
         "standard_error": 0.03}
        for r in range(10) for seed in range(2) for replica in range(2)
    ]  # fmt: skip
    (row,) = committee.of_curves(pl.DataFrame(rows))
    assert row["between_seeds"] == pytest.approx(0.2 / math.sqrt(2))
    assert row["within_seed"] == pytest.approx(0.03 / math.sqrt(2))
    assert row["seeds"] == 2


MODELS = pl.DataFrame(
    [
        {"key": "m-start", "model": "m-start", "dataset": None, "seed": None, "start": None},
        {"key": "m-d-s1", "model": "m", "dataset": "d", "seed": 1, "start": "m-start"},
    ]
)


def heldout(factor: float, frames: int = 24, groups: int = 8, reason: str | None = None) -> pl.DataFrame:
    rng = RNG(4)
    rows: list[dict[str, Any]] = []
    for i in range(frames):
        square = float(rng.chisquare(30)) * 1e-4
        here = {"frame_id": f"f{i}", "group": f"g{i % groups}", "n": 30}
        rows.append({"model_key": "m-start", "force_square": square, "reason": None} | here)
        noise = float(rng.normal(1, 0.02))
        rows.append({"model_key": "m-d-s1", "force_square": square * factor**2 * noise, "reason": reason} | here)
    frame = pl.DataFrame(rows, schema=FRAME_ERRORS)
    return (
        frame
        if reason is None
        else frame.with_columns(force_square=pl.when(pl.col("reason").is_null()).then("force_square"))
    )


@pytest.mark.parametrize(("factor", "verdict"), [(3.0, "lost"), (0.5, "gained"), (1.0, "not distinguishable")])
def test_what_tuning_lost(factor: float, verdict: str) -> None:
    (row,) = committee.forgetting(heldout(factor), MODELS).to_dicts()
    assert row["verdict"] == verdict
    assert row["force_rmse_after"] == pytest.approx(factor * row["force_rmse_before"], rel=0.02)
    assert row["difference"] == pytest.approx(row["force_rmse_after"] - row["force_rmse_before"])
    assert row["ci95_low"] < row["difference"] < row["ci95_high"]
    assert (row["frames"], row["groups"]) == (24, 8)


def test_interval_of_a_loss_is_paired() -> None:
    """A loss that is the same in every frame is certain, however much the frames differ."""
    (row,) = committee.forgetting(heldout(1.2, groups=24), MODELS).to_dicts()
    spread_of_frames = heldout(1.2)["force_square"].std() or 0.0
    assert row["ci95_high"] - row["ci95_low"] < 0.1 * math.sqrt(spread_of_frames / 30)


def test_a_loss_that_cannot_be_judged_says_why() -> None:
    (row,) = committee.forgetting(heldout(3.0, groups=2), MODELS).to_dicts()
    assert (row["verdict"], row["reason"]) == ("not judged", "fewer than 3 groups of frames: no interval")
    (row,) = committee.forgetting(heldout(3.0, reason="KeyError: 35"), MODELS).to_dicts()
    assert (row["verdict"], row["reason"], row["frames"]) == ("not judged", "KeyError: 35", 0)
    assert committee.forgetting(heldout(3.0).clear(), MODELS).height == 0


def test_a_model_that_forgot_how_to_answer_has_gained_nothing() -> None:
    """Twice as good on what it still answers, and nothing on a quarter of what its start could do."""
    lost = (pl.col("model_key") == "m-d-s1") & pl.col("frame_id").is_in([f"f{i}" for i in range(6)])
    failed = heldout(0.5).with_columns(force_square=pl.when(~lost).then("force_square"))
    (row,) = committee.forgetting(failed, MODELS).to_dicts()
    assert row["verdict"] == "not judged" and "no answer on 6 frames that m-start answered" in row["reason"]
    (absent,) = committee.forgetting(heldout(0.5).filter(~lost), MODELS).to_dicts()
    assert (absent["verdict"], absent["reason"]) == (row["verdict"], row["reason"])
    (worse,) = committee.forgetting(heldout(3.0).filter(~lost), MODELS).to_dicts()
    assert worse["verdict"] == "lost"
