"""Learning curves: an error that grew again is found and said, and noise, plain learning and a plateau are not taken for it."""

import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy import stats

from ionmelt.compare import curves, gathering
from ionmelt.models.card import Card
from ionmelt.models.loss import LossRecord
from ionmelt.report.sections import learning as report_learning
from ionmelt.tables.published import TABLES

NO_ERRORS = pl.DataFrame(schema=TABLES["errors"])


def falling(
    steps: int, points: int, start: float, end: float, noise: float = 0.0, seed: int = 0
) -> list[tuple[int, float]]:
    """Return an error that falls exponentially over the first third of the steps and stays there."""
    rng = np.random.default_rng(seed)
    errors = []
    for i in range(points):
        share = i / (points - 1)
        value = end + (start - end) * math.exp(-12 * share)
        errors.append((round(share * steps), value * math.exp(noise * rng.standard_normal())))
    return errors


def said(valid: list[tuple[int, float]], train: list[tuple[int, float]]) -> curves.Finding:
    finding = curves.judge(valid, train)
    assert finding is not None
    return finding


def table(
    valid: list[tuple[int, float]], train: list[tuple[int, float]], quantity: str = "energy_per_atom_rmse"
) -> pl.DataFrame:
    rows = [("m-both-s1", "m", "both", 1, "mace", step, name, quantity, value, "eV") for name, points in (("valid", valid), ("train", train)) for step, value in points]  # fmt: skip
    names = ["model_key", "model", "dataset", "seed", "framework", "step", "set", "quantity", "value", "unit"]
    return pl.DataFrame(rows, schema=names, orient="row")


def test_an_energy_error_that_rises_while_the_loss_falls_is_a_finding() -> None:
    # As a newcomer's EMIM-BF4 study had it: from 0.026 to 0.72 eV/atom.
    valid = [(100 * i, 0.026 + 0.694 * (i / 12) ** 2) for i in range(13)]
    findings = curves.table(table(valid, []), {}, NO_ERRORS)
    (row,) = findings.to_dicts()
    assert row["grew_again"] is True
    assert row["valid_best"] == pytest.approx(0.026)
    assert row["best_step"] == 0
    assert row["valid_end"] == pytest.approx(0.72)
    (sentence,) = report_learning.sentences(findings)
    assert "energy grew again" in sentence
    assert "from 26.0 meV/atom at step 0 to 720 meV/atom at the end of 1200" in sentence


@pytest.mark.parametrize("seed", range(20))
def test_noise_is_not_taken_for_an_error_that_grew(seed: int) -> None:
    # Each point of a curve of DeePMD is the error of a few frames.
    finding = said(falling(8000, 40, 1.0, 0.12, noise=0.15, seed=seed), [])
    assert finding.grew_again is False
    assert finding.valid_end == pytest.approx(0.12, rel=0.3)


def test_what_still_falls_at_its_end_is_told_from_a_plateau() -> None:
    straight = [(200 * i, 1.0 * math.exp(-0.1 * i)) for i in range(20)]
    assert said(straight, []).still_falling is True
    assert said(falling(4000, 20, 1.0, 0.1), []).still_falling is False
    assert said([(0, 1.0), (2, 0.1)], []).still_falling is None


def power_law(power: float, noise: float, seed: int) -> list[tuple[int, float]]:
    """Return an error that falls as a power of the steps, printed every 4000 of them."""
    rng = np.random.default_rng(seed)
    steps = [1, *range(4000, 100_001, 4000)]
    return [(step, 0.1 * (step / 1e5) ** -power * math.exp(noise * rng.standard_normal())) for step in steps]


def test_an_error_still_falls_where_twice_the_steps_would_make_it_a_tenth_smaller() -> None:
    falls = {p: [said(power_law(p, 0.02, seed), []).still_falling for seed in range(100)] for p in (0.07, 0.25, 0.35)}
    shares = {power: sum(map(bool, flags)) for power, flags in falls.items()}
    assert 1 - 2**-0.07 < 0.05 and shares[0.07] <= 5  # smaller by 5 % when steps double
    assert 1 - 2**-0.25 > 0.15 and shares[0.25] >= 75
    assert 1 - 2**-0.35 > 0.2 and shares[0.35] >= 95


def test_an_error_that_came_to_its_end_in_the_third_quarter_does_not_still_fall() -> None:
    steps = [250 * i for i in range(41)]
    assert said([(s, 0.1 * max(1.0, 7000 / max(s, 250))) for s in steps], []).still_falling is False


def test_noise_is_rarely_taken_for_an_error_that_still_falls() -> None:
    # DeePMD prints the errors of a few frames: neighbouring points differ by a sixth
    told = [said(falling(8000, 26, 1.0, 0.12, noise=0.15, seed=seed), []).still_falling for seed in range(200)]
    assert sum(map(bool, told)) <= 16  # of twenty, one by chance
    straight = [
        [(200 * i, math.exp(-0.1 * i + 0.05 * x)) for i, x in enumerate(np.random.default_rng(s).normal(size=40))]
        for s in range(50)
    ]
    assert sum(bool(said(curve, []).still_falling) for curve in straight) == 50


def test_a_model_that_hardly_learnt_is_told_from_one_that_lacks_frames() -> None:
    # DeePMD in 800 steps: 467 meV/A on validation frames, 442 on its own; then the same with 8000 steps; then too few frames.
    assert said([(0, 0.98), (800, 0.467)], [(0, 0.98), (800, 0.442)]).hardly_learnt is True
    assert said([(0, 0.98), (8000, 0.122)], [(0, 0.98), (8000, 0.110)]).hardly_learnt is False
    assert said([(0, 0.98), (800, 0.467)], [(0, 0.98), (800, 0.09)]).hardly_learnt is False
    assert said([(0, 0.98), (800, 0.467)], []).hardly_learnt is None


def test_a_curve_without_numbers_has_no_verdict() -> None:
    assert curves.judge([], []) is None
    assert curves.judge([(0, math.nan)], []) is None
    assert not curves.table(table([], []), {}, NO_ERRORS).height


def test_shares_of_the_card_stand_beside_the_errors() -> None:
    weights = {"energy": 1.0, "forces": 100.0, "stress": 10.0}
    loss = LossRecord(
        weights_start=weights,
        weights_end=weights,
        gradient_shares_start={"energy": 0.00075, "forces": 0.99916, "stress": 0.00009},
        gradient_shares_end={"energy": 0.001, "forces": 0.998, "stress": 0.001},
    )
    points = [(0, 0.02), (100, 0.01)]
    trainings = curves.table(table(points, []), {"m-both-s1": loss}, NO_ERRORS)
    assert trainings["gradient_share_start"][0] == 0.00075
    assert report_learning.sentences(trainings) == []
    shown = report_learning.table_trainings(trainings)
    assert "0.1 %" in shown.rows[0]


def of_model(model: str, valid_end: float, train_end: float | None, seed: int = 1) -> pl.DataFrame:
    """Return the curve of a force error that falls to a plateau."""
    valid = falling(4000, 20, 1.0, valid_end)
    train = [] if train_end is None else falling(4000, 20, 1.0, train_end)
    key = pl.lit(f"{model}-both-s{seed}")
    points = table(valid, train, "force_rmse")
    return points.with_columns(model_key=key, model=pl.lit(model), seed=pl.lit(seed, pl.Int64), unit=pl.lit("eV/A"))


def on_training_frames(key: str, rmse: float) -> pl.DataFrame:
    row = {"model_key": key, "split": "train", "quantity": "force", "scope": "all", "rmse": rmse}
    return pl.DataFrame([row], schema=TABLES["errors"])


def flags(trainings: pl.DataFrame, column: str) -> dict[str, bool | None]:
    return dict(trainings.select("model", column).iter_rows())


def test_a_training_that_ends_far_from_the_best_with_nothing_left_to_overfit_is_undertrained() -> None:
    both = pl.concat([of_model("good", 0.10, 0.08), of_model("short", 0.30, 0.29)])
    trainings = curves.table(both, {}, NO_ERRORS)
    assert flags(trainings, "hardly_learnt") == {"good": False, "short": False}
    assert flags(trainings, "undertrained") == {"good": False, "short": True}
    assert curves.undertrained(trainings) == {("short", "both"): [1]}
    said = report_learning.sentences(trainings)
    assert any("short-both-s1: its force error, 300 meV/" in line and "290 meV/" in line for line in said)
    assert any(line.startswith("Undertrained, so that no ordering of models has them: short-both-s1") for line in said)


def test_a_model_that_lacks_frames_is_not_undertrained() -> None:
    both = pl.concat([of_model("good", 0.10, 0.08), of_model("overfits", 0.30, 0.05)])
    assert flags(curves.table(both, {}, NO_ERRORS), "undertrained") == {"good": False, "overfits": False}


def test_a_tuned_model_is_not_judged_by_an_error_that_was_small_from_the_start() -> None:
    # Tuned from 80 to 35 meV/A, with 30 on its training frames, beside one that learnt from nothing to 60
    tuned = table(falling(4000, 20, 0.080, 0.035), falling(4000, 20, 0.075, 0.030), "force_rmse")
    tuned = tuned.with_columns(model_key=pl.lit("tuned-both-s1"), model=pl.lit("tuned"), unit=pl.lit("eV/A"))
    both = pl.concat([tuned, of_model("scratch", 0.060, 0.050)])
    as_if_from_nothing = curves.table(both, {}, NO_ERRORS)
    assert flags(as_if_from_nothing, "undertrained") == {"tuned": True, "scratch": False}
    trainings = curves.table(both, {}, NO_ERRORS, ["tuned-both-s1"])
    assert flags(trainings, "hardly_learnt") == {"tuned": None, "scratch": False}
    assert flags(trainings, "undertrained") == {"tuned": False, "scratch": False}
    # ... but by the best on its frames it is
    beside = pl.concat([tuned, of_model("scratch", 0.015, 0.014)])
    assert flags(curves.table(beside, {}, NO_ERRORS, ["tuned-both-s1"]), "undertrained") == {
        "tuned": True,
        "scratch": False,
    }


def test_where_a_curve_has_no_training_frames_the_finished_model_is_asked() -> None:
    both = pl.concat([of_model("good", 0.10, 0.08), of_model("short", 0.30, None)])
    assert flags(curves.table(both, {}, NO_ERRORS), "undertrained") == {"good": False, "short": None}
    short = curves.table(both, {}, on_training_frames("short-both-s1", 0.29))
    assert flags(short, "undertrained") == {"good": False, "short": True}
    enough = curves.table(both, {}, on_training_frames("short-both-s1", 0.10))
    assert flags(enough, "undertrained") == {"good": False, "short": False}


def test_an_error_that_still_falls_is_undertrained_in_the_forces_alone() -> None:
    straight = [(200 * i, 1.0 * math.exp(-0.1 * i)) for i in range(20)]
    for quantity, expected in (("force_rmse", True), ("energy_per_atom_rmse", None)):
        (row,) = curves.table(table(straight, [], quantity), {}, NO_ERRORS).to_dicts()
        assert row["still_falling"] is True
        assert row["undertrained"] is expected


def test_the_card_says_that_a_model_was_tuned(tmp_path: Path) -> None:
    (tmp_path / "tuned").mkdir()
    points = of_model("tuned", 0.5, 0.49)
    points.select("model_key", "step", "set", "quantity", "value", "unit").write_parquet(
        tmp_path / "tuned/curve.parquet"
    )
    content = {"id": "tuned-both-s1", "model": "tuned", "framework": "mace", "dataset": "both", "seed": 1, "files": {}}
    said = []
    for more in ({}, {"tuned_from": {"file": "large.pt"}}):
        card = Card.model_validate(content | more)
        models = gathering.models_of(tmp_path, [card])
        trainings = gathering.of_models(gathering.Inputs(plan=tmp_path, models=tmp_path), models, [card])["trainings"]
        said += trainings["hardly_learnt"].to_list()
    assert said == [True, None]


@pytest.mark.parametrize("points", [3, 12])
def test_the_line_through_points_is_that_of_scipy(points: int) -> None:
    x, y = np.random.default_rng(points).normal(5, 2, (2, points))
    line = stats.linregress(x, y)
    assert curves.line_through(list(zip(x, y, strict=True))) == pytest.approx((line.slope, line.stderr))
