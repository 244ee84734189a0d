"""What students gain and lose against their teacher: made-up runs whose speeds and densities are known."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest

from ionmelt.compare import distillation
from ionmelt.compare.groups import Group
from ionmelt.compare.judgement import with_truth
from ionmelt.compare.statistics import Estimate, Runs
from ionmelt.report.sections import distillation as section
from ionmelt.tables.comparison import COST, DISTILLATION
from ionmelt.tables.runs import SURVIVAL

T = 430.0
TEACHER = 50.0  # atom-steps in a second
FACTOR = {1: 30.0, 2: 40.0}  # by box


def runs(*boxes: int) -> dict[str, pl.DataFrame]:
    """Return the runs of a student of two seeds and of its teacher in some boxes, with what their tasks took."""
    rows: list[dict[str, Any]] = []
    for box in boxes:
        for model, dataset, seed, speed in (
            ("small", "eq", 1, TEACHER * FACTOR[box] * 1.1),
            ("small", "eq", 2, TEACHER * FACTOR[box] / 1.1),
            ("large", None, None, TEACHER),
        ):
            run = f"il-r{box}-{model}-{seed}"
            rows.append(
                {"run_id": run, "liquid": "il", "temperature_K": T, "replica": box, "model": model, "dataset": dataset,
                 "seed": seed, "atom_steps_per_s": speed, "survived_ps": 10.0, "device": "cpu"}
            )  # fmt: skip
    cost = [
        {"process": "RUN_MD", "id": row["run_id"], "wall_s": 36.0, "cpu_s": 3.6e5 / row["atom_steps_per_s"]}
        for row in rows
    ]
    return {
        "survival": pl.DataFrame([{c: row.get(c) for c in SURVIVAL} for row in rows], schema=SURVIVAL),
        "cost": pl.DataFrame([{c: row.get(c) for c in COST} for row in cost], schema=COST),
    }


def density(model: str, dataset: str | None, values: list[float], converged: bool = True) -> Group:
    behind = Runs(values, [1.0] * len(values), [1] * len(values), list(range(len(values))), [math.inf] * len(values))
    mean = Estimate(float(np.mean(values)), 2.0)
    reason = None if converged else "drifts"
    return Group("il", T, "density", None, model, dataset, "kg/m3", mean, converged, reason, behind=behind)


FORCES = Group("il", None, "force_rmse", None, "small", "eq", "eV/A", Estimate(0.05, 0.002), converged=True)
DENSITIES = [density("small", "eq", [1010.0, 1020.0, 1031.0]), density("large", None, [1000.0, 1010.0, 1020.0])]


def table(t: dict[str, pl.DataFrame], *densities: Group) -> list[dict[str, Any]]:
    groups = {"density": with_truth(densities or DENSITIES, "large"), "force_rmse": [FORCES]}
    made = distillation.table(t, groups, "large")
    assert made.schema == DISTILLATION
    return made.to_dicts()


def test_speeds_are_compared_box_by_box() -> None:
    """Seeds of one box are one: their spread is not that of the boxes."""
    of_density, of_forces = table(runs(1, 2))
    middle = math.sqrt(30 * 40)
    half = 12.706 * math.log(40 / 30) / 2  # Student's t of one degree of freedom
    for row in (of_density, of_forces):
        assert row["speed_up"] == pytest.approx(middle)
        assert row["speed_up_ci95_low"] == pytest.approx(middle * math.exp(-half), rel=1e-3)
        assert row["speed_up_ci95_high"] == pytest.approx(middle * math.exp(half), rel=1e-3)
        # 0.01 ns a run; 3.6e5 / 50 s for the teacher
        assert row["teacher_md_core_h_per_ns"] == pytest.approx(200.0)
        assert row["md_core_h_per_ns"] == pytest.approx(200 * (1.1 + 1 / 1.1) / 2 * (1 / 30 + 1 / 40) / 2)


def test_what_is_lost_is_the_difference_from_the_teacher_in_the_same_boxes() -> None:
    of_density, of_forces = table(runs(1, 2))
    assert of_density["difference"] == pytest.approx(31 / 3)
    # 10, 10 and 11 in three boxes: far more certain than two densities by themselves
    width = 2 * 1.959964 * math.sqrt(2 / 3)
    assert of_density["ci95_high"] - of_density["ci95_low"] == pytest.approx(width, rel=1e-4)
    assert (of_density["converged"], of_density["reason"], of_density["teacher"]) == (True, None, "large")
    assert (of_forces["property"], of_forces["difference"], of_forces["unit"]) == ("force_rmse", 0.05, "eV/A")
    assert of_forces["ci95_low"] == pytest.approx(0.05 - 1.96 * 0.002, rel=1e-3)


def test_what_is_not_known_says_why() -> None:
    of_density, _ = table(runs(1), DENSITIES[0], density("large", None, [1000.0, 1010.0, 1020.0], converged=False))
    assert of_density["speed_up"] == pytest.approx(30.0) and of_density["speed_up_ci95_low"] is None
    assert not of_density["converged"]
    assert of_density["reason"] == "large: drifts; one box: no interval of the speed-up"
    empty = runs()
    of_density, _ = table(empty)
    assert (of_density["speed_up"], of_density["reason"]) == (None, "no box that both ran: no speed-up")
    survival = runs(1, 2)["survival"]
    on_gpu = survival.with_columns(device=pl.when(pl.col("model") == "large").then(pl.lit("cuda")).otherwise("device"))
    of_density, _ = table(runs(1, 2) | {"survival": on_gpu})
    assert of_density["reason"] == "run on different devices (cpu, cuda)"
    assert of_density["teacher_md_core_h_per_ns"] is None  # an accelerator did the work


def test_without_a_teacher_there_are_no_students() -> None:
    groups = {"density": DENSITIES, "force_rmse": [FORCES]}
    assert distillation.table(runs(1, 2), groups, None).height == 0
    # experiment is no teacher: only forces are of its labels
    alone = distillation.table(runs(1, 2), {"density": [replace(DENSITIES[0], truth=None)]}, "large")
    assert alone.height == 0


def test_the_report_says_what_is_gained_and_lost() -> None:
    t = {"distillation": pl.DataFrame(table(runs(1, 2)), schema=DISTILLATION)}
    row = t["distillation"].row(0, named=True)
    said = section.sentence(row)
    assert said.startswith("small-eq (il, 430\u00a0K): 34.6 [5.57, 215] times as fast as large; ")
    assert "its density is off by 10.3 [" in said
    made = section.table_distillation(t)
    assert len(made.rows) == 2 and all(len(line) == len(made.head) for line in made.rows)
