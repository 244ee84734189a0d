"""What tuning lost: made-up errors whose answers are known."""

import math
from typing import Any

import numpy as np
import polars as pl
import pytest

from ionmelt.compare import forgetting
from ionmelt.tables.evaluation import FRAME_ERRORS

RNG = np.random.default_rng


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
    (row,) = forgetting.forgetting(heldout(factor), MODELS).to_dicts()
    assert row["verdict"] == verdict
    assert row["force_rmse_after"] == pytest.approx(factor * row["force_rmse_before"], rel=0.02)
    assert row["difference"] == pytest.approx(row["force_rmse_after"] - row["force_rmse_before"])
    assert row["ci95_low"] < row["difference"] < row["ci95_high"]
    assert (row["frames"], row["groups"]) == (24, 8)


def test_interval_of_a_loss_is_paired() -> None:
    """A loss that is the same in every frame is certain, however much the frames differ."""
    (row,) = forgetting.forgetting(heldout(1.2, groups=24), MODELS).to_dicts()
    spread_of_frames = heldout(1.2)["force_square"].std() or 0.0
    assert row["ci95_high"] - row["ci95_low"] < 0.1 * math.sqrt(spread_of_frames / 30)


def test_a_loss_that_cannot_be_judged_says_why() -> None:
    (row,) = forgetting.forgetting(heldout(3.0, groups=2), MODELS).to_dicts()
    assert (row["verdict"], row["reason"]) == ("not judged", "fewer than 3 groups of frames: no interval")
    (row,) = forgetting.forgetting(heldout(3.0, reason="KeyError: 35"), MODELS).to_dicts()
    assert (row["verdict"], row["reason"], row["frames"]) == ("not judged", "KeyError: 35", 0)
    assert forgetting.forgetting(heldout(3.0).clear(), MODELS).height == 0


def test_a_model_that_forgot_how_to_answer_has_gained_nothing() -> None:
    """Twice as good on what it still answers, and nothing on a quarter of what its start could do."""
    lost = (pl.col("model_key") == "m-d-s1") & pl.col("frame_id").is_in([f"f{i}" for i in range(6)])
    failed = heldout(0.5).with_columns(force_square=pl.when(~lost).then("force_square"))
    (row,) = forgetting.forgetting(failed, MODELS).to_dicts()
    assert row["verdict"] == "not judged" and "no answer on 6 frames that m-start answered" in row["reason"]
    (absent,) = forgetting.forgetting(heldout(0.5).filter(~lost), MODELS).to_dicts()
    assert (absent["verdict"], absent["reason"]) == (row["verdict"], row["reason"])
    (worse,) = forgetting.forgetting(heldout(3.0).filter(~lost), MODELS).to_dicts()
    assert worse["verdict"] == "lost"
