"""Accounts of a study: what is lost is named, and a study of which every model failed is refused."""

from pathlib import Path

import polars as pl
import pytest

from ionmelt import errors as errors_module
from ionmelt.compare import accounts, reading
from ionmelt.tables.published import TABLES


def of_models(*keys: str) -> pl.DataFrame:
    """Return a table with rows of models."""
    return pl.DataFrame({"key": keys, "role": ["model"] * len(keys)}, schema={"key": pl.String, "role": pl.String})


def test_a_study_of_which_every_model_failed_is_an_error() -> None:
    runs = [("a", "missing"), ("b", "missing")]
    failures = pl.DataFrame(
        [
            {"stage": "import", "model_key": "a", "run_id": None, "reason": "its sha256 is another"},
            {"stage": "dynamics", "model_key": "b", "run_id": "box-b", "reason": "crashed: SIGSEGV"},
        ]
    )
    t = {
        "survival": pl.DataFrame(runs, schema=["model_key", "end"], orient="row"),
        "errors": pl.DataFrame(schema={"model_key": pl.String}),
    }
    with pytest.raises(errors_module.UserError) as refused:
        accounts.refuse_without_models(of_models("a", "b"), failures, t)
    assert refused.value.errors == [
        "models: a: import: its sha256 is another",
        "models: b: dynamics: crashed: SIGSEGV",
    ]
    # a run that broke is a result, as errors are; and so is a third model, of which nothing failed
    broke = t | {"survival": pl.DataFrame([("b", "bond_broken")], schema=["model_key", "end"], orient="row")}
    accounts.refuse_without_models(of_models("a", "b"), failures, broke)
    judged = t | {"errors": pl.DataFrame({"model_key": ["b"]})}
    accounts.refuse_without_models(of_models("a", "b"), failures, judged)
    accounts.refuse_without_models(of_models("a", "b", "c"), failures, t)


def test_an_exploration_that_is_lost_is_named(tmp_path: Path) -> None:
    keys = ["a-430K-r1-mace-al", "b-430K-r1-mace-al"]
    (tmp_path / "explore.csv").write_text("key,liquid\n" + "".join(f"{key},x\n" for key in keys))
    t = {name: reading.table([], TABLES[name]) for name in TABLES}
    t["sampling"] = reading.table([pl.DataFrame({"liquid": "a", "kept": 1})], TABLES["sampling"])
    t["labels"] = reading.table([pl.DataFrame({"frame_id": "f"})], TABLES["labels"])
    explored = pl.DataFrame({"key": keys})
    t["exploration"] = reading.table([explored], TABLES["exploration"])
    accounts.account(t, tmp_path)
    t["exploration"] = t["exploration"].head(1)
    with pytest.raises(
        errors_module.UserError, match=f"explored: {keys[1]}: has no table: a file of --explored is lost"
    ):
        accounts.account(t, tmp_path)
