"""Errors on liquids that a dataset leaves out, and what a random split would have said."""

import polars as pl

from ionmelt.report.results import Results
from ionmelt.report.sections.asked import mixture_words
from ionmelt.report.sections.generalisation import table_leakage, table_transfer
from ionmelt.tables.comparison import SUMMARY


def test_a_liquid_left_out_stands_beside_one_trained_on() -> None:
    study = {"models": [{"id": "m"}], "datasets": {"all": ["eq"], "less": ["eq", "-li10"], "neq": ["neq", "-li10"]}}
    base = {"model": "m", "split": "test", "quantity": "force", "scope": "liquid", "name": "li10", "unit": "eV/A"}
    rows = [
        base | {"dataset": d, "seed": s, "rmse": e, "rmse_ci95_low": e - 0.01, "rmse_ci95_high": e + 0.01}
        for d, s, e in (("all", 1, 0.1), ("all", 2, 0.12), ("less", 1, 0.2), ("less", 2, 0.24), ("neq", 1, 0.3))
    ]
    t = {"errors": pl.DataFrame(rows), "summary": pl.DataFrame(schema=SUMMARY)}
    t["survival"] = t["summary"]
    table = table_transfer(Results(t, study, {}))
    assert table.rows == [
        ["m-less", "li10", "220 [190, 250] meV/Å", "110 [90.0, 130] meV/Å", "2.00"],
        ["m-neq", "li10", "300 [290, 310] meV/Å", "no such model", "–"],
    ]
    assert mixture_words(study["datasets"]["less"]) == "eq without li10"


def test_what_a_random_split_would_have_said() -> None:
    study = {"models": [{"id": "m"}], "datasets": {"eq": ["eq"], "both": ["eq", "neq"]}}
    base = {"model": "m", "seed": 1, "quantity": "force", "scope": "recipe", "unit": "eV/A"}
    rows = [
        base | {"dataset": d, "split": s, "name": r, "rmse": e, "rmse_ci95_low": e / 2, "rmse_ci95_high": e * 2}
        for d, s, r, e in (
            ("eq", "near", "equilibrium", 0.1), ("eq", "test", "equilibrium", 0.15), ("eq", "near", "packing", 0.9),
            ("both.8", "near", "packing", 0.2),
        )
    ]  # fmt: skip
    t = {"errors": pl.DataFrame(rows), "summary": pl.DataFrame(schema=SUMMARY)}
    t["survival"] = t["summary"]
    t["dataset"] = pl.DataFrame({"recipe": ["equilibrium", "packing"], "kind": ["eq", "neq"]})
    table = table_leakage(Results(t, study, {}, cuts={"both.8": "both"}))
    # packings are not of the trajectories that eq was trained on, and no packing was tested
    assert table.rows == [
        ["m-eq", "equilibrium", "100 [50.0, 200] meV/Å", "150 [75.0, 300] meV/Å", "1.50"],
        ["m-both.8", "packing", "200 [100, 400] meV/Å", "none tested", "–"],
    ]
