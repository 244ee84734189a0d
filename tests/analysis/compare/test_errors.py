"""Errors of models, and verdicts on the points that both answered: what a model did not answer cannot make it win."""

import math

import numpy as np
import polars as pl
import pytest

from ionmelt.compare import verdicts
from ionmelt.compare.comparison import comparisons
from ionmelt.compare.errors import summarise_forces, summarise_scans
from ionmelt.compare.groups import Group, Row
from ionmelt.compare.points import frame_points
from ionmelt.compare.statistics import Estimate
from ionmelt.report.sections.errors import error_sentence
from ionmelt.tables.comparison import VERDICTS

T = 430.0


def judge(groups: list[Group]) -> list[Row]:
    """Return the rows of the table of verdicts."""
    return [verdict.row() for verdict in verdicts.judge(comparisons(groups))]


def frames_of(errors: dict[str, dict[int, list[float | None]]]) -> dict:
    """Return the points of models: mean squared force errors by seed, of frames in pairs of one trajectory; None: no answer."""
    rows = [
        {"model": m, "dataset": "d", "model_key": f"{m}-s{s}", "frame_id": f"f{i:02d}", "group": f"g{i // 2}", "n": 3,
         "force_square": None if x is None else 3 * x**2}
        for m, seeds in errors.items() for s, line in seeds.items() for i, x in enumerate(line)
    ]  # fmt: skip
    return frame_points(pl.DataFrame(rows, infer_schema_length=None))


def force_verdicts(errors: dict[str, dict[int, list[float | None]]], planned: int = 0) -> tuple[dict, dict]:
    """Return the summary by model and the verdicts by pair of models judged on frames, as EVALUATE_MODEL writes them."""
    rows = []
    for m, seeds in errors.items():
        for s, line in seeds.items():
            answered = [x for x in line if x is not None]
            base = {"model": m, "dataset": "d", "model_key": f"{m}-s{s}", "seed": s, "split": "test", "unit": "eV/A"}
            rmse = math.sqrt(np.mean(np.square(answered))) if answered else None
            rows.append(base | {"quantity": "force", "scope": "all", "name": "all", "n": len(answered), "rmse": rmse,
                                "rmse_ci95_low": rmse and rmse * 0.95, "rmse_ci95_high": rmse and rmse * 1.05})  # fmt: skip
            if len(answered) < len(line):
                rows.append(
                    base | {"quantity": "failed", "scope": "recipe", "name": "x", "n": len(line) - len(answered)}
                )
    frame = pl.DataFrame(rows, infer_schema_length=None)
    number = {(m, "d"): planned for m in errors} if planned else {}
    items = summarise_forces(frame, "x", frames_of(errors), number)
    by_pair = {(v["model_a"], v["model_b"]): v for v in judge(items)}
    return {group.model: group.row() for group in items}, by_pair


def around(rng: np.random.Generator, level: float, count: int) -> list[float]:
    return [level * float(x) for x in rng.uniform(0.9, 1.1, count)]


def test_a_model_that_fails_on_the_hard_half_does_not_win() -> None:
    """0.1 eV/A on the easy half and nothing on the hard one, against 0.05 and 0.5: 0.1 against 0.36 as a whole."""
    rng = np.random.default_rng(1)
    brave = {s: around(rng, 0.05, 12) + around(rng, 0.5, 12) for s in (1, 2, 3)}
    coward = {s: around(rng, 0.1, 12) + [None] * 12 for s in (1, 2, 3)}
    summary, by_pair = force_verdicts({"brave": brave, "coward": coward})
    assert summary["coward"]["value"] < 0.11 < 0.3 < summary["brave"]["value"]
    assert (summary["coward"]["points"], summary["coward"]["points_missing"]) == (12, 12)
    assert not summary["coward"]["converged"] and "no answer on 12 of 24 test frames" in summary["coward"]["reason"]
    row = by_pair["brave-d", "coward-d"]
    assert row["verdict"] == "a" and (row["points"], row["points_missing_a"], row["points_missing_b"]) == (12, 0, 12)
    on_shared = [math.sqrt(np.mean([np.square(line[:12]).mean() for line in m.values()])) for m in (brave, coward)]
    assert row["difference"] == pytest.approx(on_shared[0] - on_shared[1], rel=1e-9)
    verdicts = pl.DataFrame([{c: row[c] for c in VERDICTS}], schema=VERDICTS)
    (said,) = error_sentence(sorted(summary.values(), key=lambda r: r["value"]), verdicts, "force_rmse")
    assert said.startswith("brave-d has the lowest error on x of those that answered everything")
    assert "coward-d gave no answer on 12 of 24 test frames" in said


def test_better_on_what_it_answered_is_no_win_and_as_good_is_not_said() -> None:
    rng = np.random.default_rng(2)
    whole = {s: around(rng, 0.2, 24) for s in (1, 2, 3)}
    for level in (0.02, 0.2):
        partial = {s: around(rng, level, 20) + [None] * 4 for s in (1, 2, 3)}
        row = force_verdicts({"whole": whole, "part": partial})[1]["part-d", "whole-d"]
        assert row["verdict"] == "not converged" and "part-d: no answer on 4 that the other answered" in row["reason"]
    nan = {s: around(rng, 0.02, 20) + [math.nan] * 4 for s in (1, 2, 3)}
    groups = [
        Group(
            "x",
            None,
            "force_rmse",
            None,
            m,
            "d",
            "eV/A",
            Estimate(0.1, 0.01),
            True,
            runs=2,
            planned_runs=2,
            points=points,
        )
        for (m, _), points in frames_of({"nan": nan, "whole": whole}).items()
    ]
    row = judge(groups)[0]
    assert row["verdict"] == "not converged" and row["points"] == 20


def test_a_seed_without_errors_counts_against_its_model() -> None:
    """Of three trained models one left no errors, of another model none did: rows say so, and neither may win."""
    rng = np.random.default_rng(3)
    three = {s: around(rng, 0.2, 24) for s in (1, 2, 3)}
    two = {s: around(rng, 0.02, 24) for s in (1, 2)}
    summary, by_pair = force_verdicts({"three": three, "two": two, "none": {}}, planned=3)
    assert by_pair["three-d", "two-d"]["verdict"] == "not converged"
    assert "two-d: 2 of 3 trained models have errors" in by_pair["three-d", "two-d"]["reason"]
    assert (summary["two"]["runs"], summary["two"]["planned_runs"], summary["two"]["converged"]) == (2, 3, False)
    assert summary["none"]["value"] is None and "no error of 3 of 3 trained models" in summary["none"]["reason"]
    assert {v["verdict"] for k, v in by_pair.items() if "none-d" in k} == {"not converged"}


def test_never_does_the_one_that_answered_less_win() -> None:
    """Of three trainings each, so that there are verdicts; which of the two answered less is known."""
    rng = np.random.default_rng(4)
    winners = set()
    for _ in range(60):
        lost = {m: int(rng.integers(0, 9)) for m in ("a", "b")}
        models = {}
        for m, level in zip(("a", "b"), rng.uniform(0.05, 0.3, 2), strict=True):
            lines = {s: around(rng, float(level), 24) for s in (1, 2, 3)}
            models[m] = {s: [None if i < lost[m] else x for i, x in enumerate(line)] for s, line in lines.items()}
        row = force_verdicts(models)[1]["a-d", "b-d"]
        missing = {"a": max(lost["a"] - lost["b"], 0), "b": max(lost["b"] - lost["a"], 0)}
        assert {m: row[f"points_missing_{m}"] for m in missing} == missing
        if row["verdict"] in missing:
            assert missing[row["verdict"]] == 0
            winners.add(row["verdict"])
    assert winners == {"a", "b"}


def test_paired_errors_of_frames_cover() -> None:
    """Frames that are hard for both: where two models are alike, 95 % of the intervals of their difference hold 0."""
    rng = np.random.default_rng(5)
    hits = 0
    for _ in range(300):
        hard = np.repeat(rng.lognormal(0, 0.7, 12), 2)
        models = {m: {1: list(0.1 * hard * rng.lognormal(0, 0.2, 24))} for m in ("a", "b")}
        row = force_verdicts(models)[1]["a-d", "b-d"]
        hits += row["ci95_low"] <= 0 <= row["ci95_high"]
    assert 0.91 <= hits / 300 <= 0.99


def test_a_scan_that_one_model_cannot_finish_is_compared_where_both_could() -> None:
    scales = [0.9, 0.94, 0.97, 1.0, 1.03, 1.06, 1.1]
    rows = [
        {"liquid": "x", "group": "g", "model": m, "dataset": "d", "model_key": f"{m}-s{s}", "scale": c,
         "energy_ref_ev_per_atom": (c - 1) ** 2,
         "energy_model_ev_per_atom": None if m == "half" and c < 0.95 else (c - 1) ** 2 + off * (1 + 0.1 * s)}
        for m, off in (("whole", 0.02), ("half", 0.01)) for s in (1, 2, 3) for c in scales
    ]  # fmt: skip
    items = summarise_scans(pl.DataFrame(rows, infer_schema_length=None), {})
    by_model = {x.model: x.row() for x in items}
    assert (by_model["half"]["points"], by_model["half"]["points_missing"]) == (4, 2)
    row = judge(items)[0]
    assert row["points"] == 4 and row["verdict"] == "not converged" and "half-d: no answer on 2" in row["reason"]


def test_the_lowest_number_is_no_verdict_without_an_interval_and_one_seed_is_said() -> None:
    rng = np.random.default_rng(7)
    few = {m: {1: around(rng, level, 4)} for m, level in (("a", 0.1), ("b", 0.2))}  # two trajectories
    summary, by_pair = force_verdicts(few)
    assert {v["verdict"] for v in by_pair.values()} == {"not converged"}
    rows = sorted((r | {"converged": False, "ci95_low": None} for r in summary.values()), key=lambda r: r["value"])
    verdicts = pl.DataFrame([{c: v[c] for c in VERDICTS} for v in by_pair.values()], schema=VERDICTS)
    assert error_sentence(rows, verdicts, "force_rmse") == [
        "No verdict on x: no error of a model that answered everything has an interval."
    ]
    for seeds, better in (
        ((1,), False),
        ((1, 2, 3), True),
    ):  # identical methods differ by the accidents of one training
        many = {m: {s: around(rng, level, 24) for s in seeds} for m, level in (("a", 0.1), ("b", 0.2))}
        summary, by_pair = force_verdicts(many)
        verdicts = pl.DataFrame([{c: v[c] for c in VERDICTS} for v in by_pair.values()], schema=VERDICTS)
        (said,) = error_sentence(sorted(summary.values(), key=lambda r: r["value"]), verdicts, "force_rmse")
        assert ("it is better than b-d" in said) is better and ("with one training seed" in said) is not better
        assert by_pair["a-d", "b-d"]["verdict"] == ("a" if better else "design cannot decide")


def test_liquids_that_a_sentence_has_no_room_for_are_counted() -> None:
    row = {"property": "scan_energy_rmse", "model": "a", "dataset": "d", "value": 0.01, "ci95_low": 0.009, "ci95_high": 0.011,
           "unit": "eV/atom", "converged": True, "runs": 3, "planned_runs": 3, "points": 6, "points_missing": 0}  # fmt: skip
    verdicts = pl.DataFrame(schema=VERDICTS)
    said = error_sentence([row | {"liquid": f"x{i}"} for i in range(10)], verdicts, "scan_energy_rmse")
    assert [text.partition(",")[0] for text in said[:4]] == [f"a-d has the lowest error on x{i}" for i in range(4)]
    assert said[4:] == ["6 more liquids are in the tables."]
    assert len(error_sentence([row | {"liquid": f"x{i}"} for i in range(4)], verdicts, "scan_energy_rmse")) == 4
