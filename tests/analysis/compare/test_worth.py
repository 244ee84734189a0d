"""What data were worth: known curves give known answers, pairs cancel what they share, and nothing is claimed from one seed."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest

from ionmelt.compare import errors as compare_errors
from ionmelt.compare import statistics, verdicts
from ionmelt.compare.answers import decide, p_values_of
from ionmelt.compare.comparison import comparisons
from ionmelt.compare.groups import Group, Reference
from ionmelt.compare.judgement import asked_once, with_truth
from ionmelt.compare.learning import points
from ionmelt.compare.survival import groups_of_survival
from ionmelt.compare.worth import questions
from ionmelt.compare.worth import tables as tables_of
from ionmelt.report.sections import worth as report_worth
from ionmelt.tables.published import TABLES

DATASETS = {"eq": ["eq"], "both": ["eq", "neq"], "neq": ["neq"]}
FRAMES = {"eq": 40, "eq.10": 10, "eq.20": 20, "both": 80, "both.10": 10, "both.20": 20}
MIXTURES = {"eq": "eq", "eq.10": "eq", "eq.20": "eq", "both": "both", "both.10": "both", "both.20": "both"}
SEEDS, BOXES = (1, 2, 3), (1, 2, 3)
TRUTH = 1000.0


def group(model: str, dataset: str | None, values: dict[tuple[int, int], float]) -> Group:
    """Return what verdicts are made from, of the densities of runs by seed and box."""
    seeds, boxes = [s for s, _ in values], [b for _, b in values]
    runs = statistics.Runs(list(values.values()), [1.0] * len(values), seeds, boxes, [math.inf] * len(values))
    estimate = statistics.combine(runs.values, runs.standard_errors, [runs.seeds, runs.replicas])
    return Group(
        "x", 430.0, "density", None, model, dataset, "kg/m3", estimate, True, None, model, runs=len(values), behind=runs
    )


def study(
    offsets: dict[tuple[str, str], float],
    seeds: tuple[int, ...] = SEEDS,
    box: float = 30.0,
    noise: float = 2.0,
    seed: int = 1,
) -> tuple[dict[str, pl.DataFrame], dict[str, list[Group]]]:
    """Return tables and items of models whose densities lie off the truth by known amounts; boxes add theirs to all alike."""
    rng = np.random.default_rng(seed)
    boxes = {b: box * rng.normal() for b in BOXES}
    truth = group("gfn1", None, {(0, b): TRUTH + boxes[b] + noise * rng.normal() for b in BOXES})
    models = [
        group(
            *key,
            {
                (s, b): TRUTH + off + offset + boxes[b] + noise * rng.normal()
                for s in seeds
                for offset in [noise * rng.normal()]
                for b in BOXES
            },
        )
        for key, off in offsets.items()
    ]
    rows = [
        {"dataset": name, "split": "train", "frame_id": f"{name}{i}", "liquid": "x"}
        for name, n in FRAMES.items()
        for i in range(n)
    ]
    survival = [
        {"run_id": f"{m}-{d}-{s}-{b}", "liquid": "x", "temperature_K": 430.0, "model": m, "dataset": d, "framework": m, "seed": s,
         "replica": b, "planned_ps": 100.0, "survived_ps": 100.0, "end": "completed"}
        for m, d in offsets for s in seeds for b in BOXES
    ]  # fmt: skip
    empty = {name: pl.DataFrame(schema=TABLES[name]) for name in ("errors", "scan", "cost", "labels")}
    tables = {"dataset": pl.DataFrame(rows), "survival": pl.DataFrame(survival), **empty}
    return tables, {"density": [*models, truth]}


def learning_and_worth(
    tables: dict[str, pl.DataFrame],
    items: dict[str, list[Group]],
    datasets: dict[str, list[str]],
    truth: str | None,
    mixtures: dict[str, str],
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the tables `learning` and `worth` of a study that asks nothing else."""
    survival = groups_of_survival(tables["survival"])
    groups = items | {"density": with_truth(items["density"], truth), "survival": survival}
    curve = points(tables, groups, mixtures)
    return tables_of(curve, decide(questions(tables, curve, datasets)))


def worth(offsets: dict[tuple[str, str], float], **changes: Any) -> tuple[pl.DataFrame, pl.DataFrame]:
    tables, items = study(offsets, **changes)
    return learning_and_worth(tables, items, DATASETS, "gfn1", MIXTURES)


CURVES = {("mace", "eq.10"): 90.0, ("mace", "eq.20"): 80.0, ("mace", "eq"): 70.0} | {
    ("mace", f"both{size}"): off for size, off in ((".10", 50.0), (".20", 10.0), ("", 10.0))
}


def of(rows: pl.DataFrame, question: str, name: str = "density_error") -> dict[tuple[str, str], dict[str, Any]]:
    answers = rows.filter(pl.col("question") == question, pl.col("property") == name)
    return {(r["model_a"], r["model_b"]): r for r in answers.to_dicts()}


def test_known_errors_give_known_answers() -> None:
    learning, rows = worth(CURVES)
    errors = {r["dataset"]: r for r in learning.filter(pl.col("property") == "density_error").to_dicts()}
    for (_, dataset), off in CURVES.items():
        assert errors[dataset]["error"] == pytest.approx(off, abs=5)
        assert errors[dataset]["ci95_low"] <= off <= errors[dataset]["ci95_high"]
        assert errors[dataset]["frames"] == FRAMES[dataset] and errors[dataset]["against"] == "gfn1"
    kinds = of(rows, "kinds")
    assert set(kinds) == {("mace-both.10", "mace-eq.10"), ("mace-both.20", "mace-eq.20"), ("mace-both", "mace-eq")}
    assert {r["verdict"] for r in kinds.values()} == {"better"}
    assert kinds["mace-both.10", "mace-eq.10"]["difference"] == pytest.approx(-40, abs=8)
    assert "80 frames against 40" in kinds["mace-both", "mace-eq"]["reason"]
    frames = of(rows, "frames")
    assert frames["mace-both.20", "mace-both"]["verdict"] == "not distinguishable"
    assert frames["mace-both.10", "mace-both"]["verdict"] == "worse"
    words = dict(report_worth.answers(rows, DATASETS))
    assert words["Was it worth its cost?"][0].startswith(
        "neq beside eq, at an equal number of frames (10 and 20): better in 2 of"
    )
    assert any("20 frames are not told from 80 frames" in line for line in words["How many frames are enough?"])
    noted = dict(report_worth.answers(rows, DATASETS, ["The frames are no equilibrium."]))
    assert noted.pop("Was it worth its cost?")[1] == "The frames are no equilibrium."
    assert all(words[question] == lines for question, lines in noted.items()), "it is of kinds of frames alone"


def test_what_boxes_share_cancels() -> None:
    """However much boxes differ, what they add to models and truth alike is in no interval."""
    _, quiet = worth(CURVES, box=0.0)
    _, loud = worth(CURVES, box=300.0)
    for key, row in of(quiet, "kinds").items():
        other = of(loud, "kinds")[key]
        assert other["difference"] == pytest.approx(row["difference"], abs=1e-6)
        assert other["ci95_high"] - other["ci95_low"] == pytest.approx(row["ci95_high"] - row["ci95_low"], rel=1e-6)


def test_on_either_side_of_the_truth_the_nearer_is_better() -> None:
    _, rows = worth({("mace", "eq.10"): 60.0, ("mace", "both.10"): -10.0})
    (row,) = of(rows, "kinds").values()
    assert row["verdict"] == "better" and row["difference"] == pytest.approx(-50, abs=8)
    _, rows = worth({("mace", "eq.10"): 40.0, ("mace", "both.10"): -40.0})
    assert [r["verdict"] for r in of(rows, "kinds").values()] == ["not distinguishable"]


def test_one_seed_is_no_claim_and_what_is_not_converged_no_verdict() -> None:
    _, rows = worth(CURVES, seeds=(1,))
    assert set(rows["verdict"]) == {"design cannot decide"} and rows["reason"].str.contains("1 training seed: ").all()
    tables, items = study(CURVES)
    items["density"][-1] = replace(items["density"][-1], converged=False, reason="12 samples: too few")
    learning, rows = learning_and_worth(tables, items, DATASETS, "gfn1", MIXTURES)
    density = rows.filter(pl.col("property") == "density_error")
    assert set(density["verdict"]) == {"not converged"} and density["difference"].null_count() == 0
    assert density["reason"].str.contains("gfn1: 12 samples").all()
    assert not learning.filter(pl.col("property") == "density_error")["converged"].any()


def test_no_difference_is_rarely_called_one() -> None:
    verdicts = [
        row["verdict"]
        for seed in range(60)
        for row in of(worth({("mace", "eq.10"): 20.0, ("mace", "both.10"): 20.0}, seed=seed)[1], "kinds").values()
    ]
    assert sum(verdict != "not distinguishable" for verdict in verdicts) <= 6  # 5 % of 60, and its scatter


def test_without_a_truth_the_error_is_against_experiment() -> None:
    tables, items = study(CURVES, box=0.0)
    reference = Reference(1010.0, 1009.0, 1011.0, "s", second_hand=False)
    items["density"] = [replace(group, reference=reference) for group in items["density"]]
    learning, rows = learning_and_worth(tables, items, DATASETS, None, MIXTURES)
    errors = dict(learning.filter(pl.col("property") == "density_error").select("dataset", "error").iter_rows())
    assert errors["eq.10"] == pytest.approx(80, abs=5) and errors["both"] == pytest.approx(0, abs=5)
    assert set(learning.filter(pl.col("property") == "density_error")["against"]) == {"experiment"}
    assert of(rows, "kinds")["mace-both.10", "mace-eq.10"]["verdict"] == "better"


@pytest.mark.parametrize(("seeds", "expected"), [((1,), "not distinguishable"), (SEEDS, "better")])
def test_survival_is_the_planned_time_that_was_lost(seeds: tuple[int, ...], expected: str) -> None:
    """One training of three that breaks early is one training; three that do are worse than three that do not."""
    tables, items = study(CURVES)
    broken = (pl.col("dataset") == "eq.10") & pl.col("seed").is_in(seeds)
    tables["survival"] = tables["survival"].with_columns(
        end=pl.when(broken).then(pl.lit("bond_broken")).otherwise("end"),
        survived_ps=pl.when(broken).then(5.0 * pl.col("replica")).otherwise("survived_ps"),
    )
    learning, rows = learning_and_worth(tables, items, DATASETS, "gfn1", MIXTURES)
    errors = learning.filter(pl.col("property") == "survival")
    assert dict(errors.select("dataset", "error").iter_rows())["eq.10"] == pytest.approx(0.9 * len(seeds) / 3)
    assert of(rows, "kinds", "survival")["mace-both.10", "mace-eq.10"]["verdict"] == expected


def test_runs_that_left_no_result_lost_nothing_that_is_known() -> None:
    tables, items = study({("mace", "eq.10"): 10.0, ("mace", "both.10"): 10.0})
    lost = pl.col("dataset") == "eq.10"
    tables["survival"] = tables["survival"].with_columns(
        end=pl.when(lost).then(pl.lit("missing")).otherwise("end"),
        survived_ps=pl.when(~lost).then("survived_ps"),
    )
    learning, rows = learning_and_worth(tables, items, DATASETS, "gfn1", MIXTURES)
    errors = learning.filter(pl.col("property") == "survival", pl.col("dataset") == "eq.10")
    assert errors.select("error", "ci95_low", "converged").rows() == [(None, None, False)]
    row = of(rows, "kinds", "survival")["mace-both.10", "mace-eq.10"]
    assert (row["verdict"], row["difference"]) == ("not converged", None) and "runs are missing" in row["reason"]


def test_what_both_tables_ask_is_one_test() -> None:
    """Survival on two datasets is compared by the verdicts and by what the data were worth: alone it is corrected for nothing."""
    tables, items = study({("mace", "eq.10"): 10.0, ("mace", "both.10"): 10.0})
    broken = pl.col("dataset") == "eq.10"
    tables["survival"] = tables["survival"].with_columns(
        end=pl.when(broken).then(pl.lit("bond_broken")).otherwise("end"),
        survived_ps=pl.when(broken).then(5.0 * pl.col("replica")).otherwise("survived_ps"),
    )
    survival = groups_of_survival(tables["survival"])
    made = comparisons(survival)
    curve = points(tables, {"survival": survival}, MIXTURES)
    asked = questions(tables, curve, DATASETS)
    beside, besides = asked_once(made, asked)
    (verdict,) = verdicts.judge(made, others=p_values_of(besides))
    (answer,) = decide(asked, verdicts.winning_p_values(beside))
    assert verdict.p_holm == answer.p_holm == verdict.comparison.p_value < 0.05
    learnt = questions(tables, points(tables, items, MIXTURES), DATASETS)  # of another error it is another test
    assert asked_once(made, learnt) == (made, learnt)


def test_two_frameworks_through_the_tables() -> None:
    """Errors that fall alike, one twice the other: about 2.4 times the frames, from the errors of single seeds."""
    rng = np.random.default_rng(5)
    tables, items = study({(m, d): 10.0 for m in ("mace", "dpmd") for d in ("eq.10", "eq.20", "eq")}, box=0.0)
    rows = []
    for model, factor in (("mace", 1.0), ("dpmd", 2.0)):
        for dataset in ("eq.10", "eq.20", "eq"):
            for s in SEEDS:
                rmse = factor * FRAMES[dataset] ** -0.8 * math.exp(0.03 * rng.normal())
                rows.append(
                    {"model_key": f"{model}-{dataset}-s{s}", "model": model, "dataset": dataset, "seed": s, "split": "test",
                     "quantity": "force", "scope": "all", "name": "all", "n": 900, "rmse": rmse, "rmse_ci95_low": 0.97 * rmse,
                     "rmse_ci95_high": 1.03 * rmse, "unit": "eV/A"}
                )  # fmt: skip
    tables["errors"] = pl.DataFrame(rows)
    forces = compare_errors.summarise_forces(tables["errors"], "x")
    _, worth = learning_and_worth(tables, items | {"force_rmse": forces}, DATASETS, "gfn1", MIXTURES)
    (row,) = of(worth, "framework", "force_rmse").values()
    assert (row["model_a"], row["model_b"], row["verdict"]) == ("dpmd-eq", "mace-eq", "worse")
    assert row["frames_ratio_ci95_low"] < 2 ** (1 / 0.8) < row["frames_ratio_ci95_high"]
    lines_of = dict(report_worth.answers(worth, DATASETS))["Which needs fewer frames?"]
    assert any(
        "mace-eq has the lower force error of x" in line and "times the frames of mace-eq" in line for line in lines_of
    )


@pytest.mark.parametrize(("side", "told"), [(1.0, True), (-1.0, False)])
def test_which_needs_fewer_frames_knows_how_well_the_truth_is_known(side: float, told: bool) -> None:
    """40 and 50 above a truth that is known to 5: the first is nearer. 40 above it and 50 below: nobody knows which."""
    offsets = {("mace", "eq.10"): 40.0, ("mace", "eq.20"): 30.0, ("mace", "eq"): 22.5}
    offsets |= {("dpmd", size): 1.25 * side * off for (_, size), off in offsets.items()}
    tables, items = study(offsets, noise=0.5)
    truth = items["density"][-1]
    assert truth.behind is not None
    runs = replace(truth.behind, standard_errors=[5 * math.sqrt(3)] * 3)
    items["density"][-1] = replace(truth, behind=runs)
    _, rows = learning_and_worth(tables, items, DATASETS, "gfn1", MIXTURES)
    (row,) = of(rows, "framework").values()
    assert (row["verdict"] in ("better", "worse")) is told


def test_words_on_data_rest_on_the_corrected_interval() -> None:
    """What a test does not find, its interval does not claim; and the sentence writes that interval."""
    _, rows = worth({("mace", d): o for d, o in (("eq.10", 25.0), ("both.10", 20.0), ("eq.20", 22.0), ("both.20", 20.0), ("eq", 21.0), ("both", -20.0))})  # fmt: skip
    tested = rows.filter(pl.col("p_holm").is_not_null(), pl.col("question") != "framework")
    assert tested.height >= 6
    for row in tested.to_dicts():
        assert (row["verdict"] == "not distinguishable") == (row["holm_low"] <= 0 <= row["holm_high"])
        assert row["holm_low"] <= row["ci95_low"] and row["holm_high"] >= row["ci95_high"]
        if row["property"] == "survival":  # written in points
            continue
        low, high = (report_worth.rounded([row[c]], (row["holm_high"] - row["holm_low"]) / 2)[0] for c in ("holm_low", "holm_high"))  # fmt: skip
        assert f"[{low}, {high}]" in report_worth.apart(row)


def test_many_reasons_are_counted_and_the_first_is_said() -> None:
    tables, items = study({(m, d): 10.0 for m in ("mace", "dpmd") for d in ("eq.10", "eq.20", "eq")})
    poor = [replace(group, converged=False, reason="halves differ; too few samples") for group in items["density"][:4]]
    items["density"][:4] = poor
    _, rows = learning_and_worth(tables, items, DATASETS, "gfn1", MIXTURES)
    (row,) = of(rows, "framework").values()
    assert row["reasons"] == 4 and row["first_reason"] == "mace-eq.10: halves differ; too few samples"
    assert "(mace-eq.10: halves differ; too few samples, and 3 more reasons)" in " ".join(report_worth.about_frameworks([row]))  # fmt: skip
