"""The bill afterwards: sums by stage, and nothing that failed is left out."""

import polars as pl
import pytest

from ionmelt.report.sections import cost as report_cost
from ionmelt.study.estimate import LabelWork, Stage, assumed


def test_spent_against_estimated() -> None:
    work = [LabelWork("a", 70, 10, 5, 0.0, 360.0)]
    stages = [
        Stage("equilibrate", 1, "boxes", 720.0, "b (clandp): from CL&P"),
        Stage("label", 10, "frames", 3600.0, "PBE: from CP2K 2023.1"),
        Stage("train", 2, "models", 7200.0, "m (mace): from MACE"),
        Stage("md", 2, "runs", 0.0, "m (mace): from MACE"),
    ]
    plan = assumed(stages, 10.0, work).content()
    cost = pl.DataFrame(
        {
            "process": [
                "LABEL_FRAMES",
                "LABEL_FRAMES",
                "TRAIN_MODEL",
                "TRAIN_MODEL",
                "RUN_MD",
                "EXPLORE_LIQUID",
                "COMPARE_MODELS",
            ],
            "cpu_s": [1800.0, 3600.0, 3600.0, 3600.0, 26.0, 10.0, 1e6],
        }
    )
    table = report_cost.table_bill(plan, cost)
    rows = {row[0]: row[2:5] for row in table.rows}
    assert rows == {
        "equilibrate": ["0.2", "no task", "–"], "label": ["1", "1.5", "1.5"], "train": ["2", "2", "1"],
        "md": ["0", "0.01", "–"], "sum": ["3.2", "3.51", "1.1"],
    }  # fmt: skip
    assert any(row[5] == "assumed: PBE: from CP2K 2023.1" for row in table.rows)
    assert report_cost.table_bill({}, cost).rows == []


def test_every_stage_of_the_estimate_has_its_processes() -> None:
    assert set(report_cost.STAGES) == {"equilibrate", "label", "train", "md"}


@pytest.mark.parametrize("store", [True, False])
def test_what_a_label_took(store: bool) -> None:
    labels = pl.DataFrame(
        {
            "liquid": ["a"] * 4 + [None],
            "converged": [True, True, False, True, False],
            "reason": [None, None, "scf_not_converged", None, "unreadable"],
            "wall_s": [10.0, 20.0, 3600.0, 5.0, None],
            "scf_steps": [8, 12, 500, 9, None],
            "from_store": [False, False, False, True, False],
        }
    )
    table = report_cost.table_labels(labels if store else labels.drop("from_store"))
    assert table is not None
    (a, unknown) = table.rows
    assert a[:4] == ["a", "4", "1" if store else "0", "scf_not_converged 1"]
    assert a[4].startswith("20 [" if store else "15 [")  # what came from the store took nothing here
    assert unknown == ["unknown", "1", "0", "unreadable 1", "not counted", "not counted", "0 h"]
    assert report_cost.table_labels(labels.clear()).rows == []
