"""What data were worth: known curves give known answers, pairs cancel what they share, and nothing is claimed from one seed."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest

from ionmelt.compare import errors as compare_errors
from ionmelt.compare import statistics
from ionmelt.compare.groups import Group, Reference
from ionmelt.compare.worth import learning_and_worth
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
                (s, b): TRUTH + off + own + boxes[b] + noise * rng.normal()
                for s in seeds
                for own in [noise * rng.normal()]
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
        {"run_id": f"{m}-{d}-{s}", "liquid": "x", "temperature_K": 430.0, "model": m, "dataset": d, "framework": m, "seed": s,
         "end": "completed"}
        for m, d in offsets for s in seeds
    ]  # fmt: skip
    empty = {name: pl.DataFrame(schema=TABLES[name]) for name in ("errors", "scan", "cost")}
    tables = {"dataset": pl.DataFrame(rows), "survival": pl.DataFrame(survival), **empty}
    return tables, {"density": [*models, truth]}


def worth(offsets: dict[tuple[str, str], float], **changes: Any) -> tuple[pl.DataFrame, pl.DataFrame]:
    tables, items = study(offsets, **changes)
    return learning_and_worth(tables, items, DATASETS, "gfn1", MIXTURES)


CURVES = {("mace", "eq.10"): 90.0, ("mace", "eq.20"): 80.0, ("mace", "eq"): 70.0} | {
    ("mace", f"both{size}"): off for size, off in ((".10", 50.0), (".20", 10.0), ("", 10.0))
}


def of(rows: pl.DataFrame, question: str, name: str = "density_error") -> dict[tuple[str, str], dict[str, Any]]:
    part = rows.filter(pl.col("question") == question, pl.col("property") == name)
    return {(r["model_a"], r["model_b"]): r for r in part.to_dicts()}


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
    assert set(rows["verdict"]) == {"not converged"} and rows["reason"].str.contains("one training seed").any()
    tables, items = study(CURVES)
    items["density"][-1] = replace(items["density"][-1], converged=False, reason="12 samples: too few")
    learning, rows = learning_and_worth(tables, items, DATASETS, "gfn1", MIXTURES)
    density = rows.filter(pl.col("property") == "density_error")
    assert set(density["verdict"]) == {"not converged"} and density["difference"].null_count() == 0
    assert density["reason"].str.contains("gfn1: 12 samples").all()
    assert not learning.filter(pl.col("property") == "density_error")["converged"].any()


def test_no_difference_is_rarely_called_one() -> None:
    found = [
        row["verdict"]
        for seed in range(60)
        for row in of(worth({("mace", "eq.10"): 20.0, ("mace", "both.10"): 20.0}, seed=seed)[1], "kinds").values()
    ]
    assert sum(verdict != "not distinguishable" for verdict in found) <= 6  # 5 % of 60, and its scatter


def test_without_a_truth_the_error_is_against_experiment() -> None:
    tables, items = study(CURVES, box=0.0)
    reference = Reference(1010.0, 1009.0, 1011.0, "s", second_hand=False)
    items["density"] = [replace(group, reference=reference) for group in items["density"]]
    learning, rows = learning_and_worth(tables, items, DATASETS, None, MIXTURES)
    errors = dict(learning.filter(pl.col("property") == "density_error").select("dataset", "error").iter_rows())
    assert errors["eq.10"] == pytest.approx(80, abs=5) and errors["both"] == pytest.approx(0, abs=5)
    assert set(learning.filter(pl.col("property") == "density_error")["against"]) == {"experiment"}
    assert of(rows, "kinds")["mace-both.10", "mace-eq.10"]["verdict"] == "better"


def test_survival_is_compared_by_counts() -> None:
    tables, items = study(CURVES)
    broken = (pl.col("dataset") == "eq.10") & (pl.col("seed") == 1)
    ends = pl.when(broken).then(pl.lit("bond_broken")).otherwise("end").alias("end")
    tables["survival"] = tables["survival"].with_columns(ends)
    learning, rows = learning_and_worth(tables, items, DATASETS, "gfn1", MIXTURES)
    errors = learning.filter(pl.col("property") == "survival")
    assert dict(errors.select("dataset", "error").iter_rows())["eq.10"] == pytest.approx(1 / 3)
    assert (
        of(rows, "kinds", "survival")["mace-both.10", "mace-eq.10"]["verdict"] == "not distinguishable"
    )  # 0 and 1 of 3
    # Newcombe (1998), Table II, examples (a) and (h), method 10
    first, second = statistics.difference_of_shares(56, 70, 48, 80), statistics.difference_of_shares(10, 10, 0, 10)
    assert (first.low, first.high) == pytest.approx((0.0524, 0.3339), abs=1e-4)
    assert (second.low, second.high) == pytest.approx((0.6075, 1.0), abs=1e-4)


# --- Which needs fewer frames ---


def lines(
    rng: np.random.Generator, level: float, slope: float = -0.8, noise: float = 0.1, sizes: int = 3
) -> statistics.Ratio:
    x = np.log(np.repeat([10.0 * 2**i for i in range(sizes)], 3))
    second = np.repeat([0.0, 1.0], len(x))
    x = np.tile(x, 2)
    y = 1.0 + slope * x + level * second + noise * rng.normal(size=len(x))
    return statistics.parallel_lines(x, y, second)


def test_the_ratio_of_frames_is_that_of_the_lines() -> None:
    found = lines(np.random.default_rng(1), math.log(2), noise=1e-6)
    assert found.value == pytest.approx(2 ** (-1 / 0.8), rel=1e-4) and found.p_value < 1e-9
    assert found.low == pytest.approx(found.value, rel=1e-4) == pytest.approx(found.high, rel=1e-4)
    assert found.level == pytest.approx(-math.log(2), abs=1e-4)


def test_the_interval_of_the_ratio_covers() -> None:
    rng = np.random.default_rng(2)
    true = math.exp(-0.5 / 0.8)
    found = [lines(rng, 0.5, noise=0.2) for _ in range(400)]
    known = [r for r in found if r.value is not None]
    covered = np.mean([r.low <= true <= r.high for r in known])  # type: ignore[operator]
    assert len(known) > 300 and 0.92 <= covered <= 0.98
    false = np.mean([lines(rng, 0.0, noise=0.2).p_value < 0.05 for _ in range(400)])
    assert 0.02 <= false <= 0.08


def test_the_other_way_round_the_ratio_is_inverted() -> None:
    rng = np.random.default_rng(3)
    x = np.log(np.tile(np.repeat([10.0, 20.0, 40.0], 3), 2))
    second = np.repeat([0.0, 1.0], 9)
    y = -0.8 * x + 0.4 * second + 0.1 * rng.normal(size=18)
    one, other = statistics.parallel_lines(x, y, second), statistics.parallel_lines(x, y, 1 - second)
    assert one.value == pytest.approx(1 / other.value) and one.p_value == pytest.approx(other.p_value)  # type: ignore[operator]
    assert (one.low, one.high) == pytest.approx((1 / other.high, 1 / other.low))  # type: ignore[operator]


def test_errors_that_do_not_fall_or_cross_give_no_ratio() -> None:
    rng = np.random.default_rng(4)
    flat = lines(rng, 0.5, slope=0.0)
    assert flat.value is None and "do not fall" in str(flat.reason)
    x = np.log(np.tile(np.repeat([10.0, 20.0, 40.0], 3), 2))
    second = np.repeat([0.0, 1.0], 9)
    y = np.where(second > 0, -1.2, -0.4) * x + 0.05 * rng.normal(size=18)
    crossed = statistics.parallel_lines(x, y, second)
    assert crossed.value is None and "not parallel" in str(crossed.reason)


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
    _, found = learning_and_worth(tables, items | {"force_rmse": forces}, DATASETS, "gfn1", MIXTURES)
    (row,) = of(found, "framework", "force_rmse").values()
    assert (row["model_a"], row["model_b"], row["verdict"]) == ("dpmd-eq", "mace-eq", "worse")
    assert row["frames_ratio_ci95_low"] < 2 ** (1 / 0.8) < row["frames_ratio_ci95_high"]
    lines_of = dict(report_worth.answers(found, DATASETS))["Which needs fewer frames?"]
    assert any(
        "mace-eq has the lower force error of x" in line and "times the frames of mace-eq" in line for line in lines_of
    )


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
