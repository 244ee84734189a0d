"""From runs to one number per model and to verdicts: known differences give known verdicts."""

import math

import numpy as np
import polars as pl
import pytest

from ionmelt.compare import errors as compare_errors
from ionmelt.compare import groups, points, statistics
from ionmelt.compare import summary as ils
from ionmelt.compare import verdicts as compare_verdicts
from ionmelt.report import figures, report, words
from ionmelt.tables.comparison import SUMMARY, VERDICTS
from ionmelt.tables.references import REFERENCES

T = 430.0


def item(model: str, value: float, error: float, converged: bool = True, reference: float | None = None) -> groups.Row:
    row = {
        "liquid": "x",
        "temperature_K": T,
        "species": None,
        "property": "density",
        "unit": "kg/m3",
        "model": model,
        "dataset": "d",
        "converged": converged,
        "reason": None if converged else "drift",
        "estimate": statistics.Estimate(value, error),
        "shift": 0.0,
    }
    if reference is not None:
        row |= {
            "reference": reference,
            "reference_low": reference - 4,
            "reference_high": reference + 4,
            "reference_source": "s",
            "reference_second_hand": True,
        }
    return row


def verdict(rows: list[groups.Row], a: str, b: str) -> str:
    return next(r["verdict"] for r in rows if (r["model_a"], r["model_b"]) == (a, b))


@pytest.mark.parametrize(
    ("a", "b", "reference", "expected"),
    [
        (1001.0, 1100.0, 1000.0, "a"),
        (1100.0, 1001.0, 1000.0, "b"),
        (900.0, 1100.0, 1000.0, "differs"),
        (1001.0, 1003.0, 1000.0, "not distinguishable"),
        (1001.0, 1100.0, None, "differs"),
    ],
)
def test_known_differences(a: float, b: float, reference: float | None, expected: str) -> None:
    rows = compare_verdicts.judge(
        [item("a", a, 3.0, reference=reference), item("b", b, 3.0, reference=reference)], "density"
    )
    assert verdict(rows, "a-d", "b-d") == expected


def test_an_unconverged_side_gives_no_verdict_but_keeps_the_difference() -> None:
    rows = compare_verdicts.judge([item("a", 1000.0, 1.0), item("b", 1500.0, 1.0, converged=False)], "density")
    assert [r["verdict"] for r in rows] == ["not converged"]
    assert rows[0]["difference"] == -500 and rows[0]["p_value"] is None and "drift" in rows[0]["reason"]


def test_holm_takes_back_a_lucky_interval() -> None:
    """One interval of many just misses 0: after the correction that is no difference, as the reason says."""
    items = [item("a", 6.3, 2.0), item("b", 0.0, 2.0)] + [item(f"n{i}", 3.0, 2.0) for i in range(6)]
    row = next(r for r in compare_verdicts.judge(items, "density") if (r["model_a"], r["model_b"]) == ("a-d", "b-d"))
    assert row["ci95_low"] > 0 and row["verdict"] == "not distinguishable" and "Holm" in row["reason"]


def test_reference_of_a_temperature_and_never_of_another() -> None:
    base = {"liquid": "x", "property": "density", "species": None, "unit": "kg/m3"}
    rows = [
        (300.0, 1.0, "b", True, False),
        (300.0, 2.0, "a", False, True),
        (300.3, 3.0, "z, not interpolated by us", False, False),
        (None, 4.0, "a", False, False),
    ]
    names = ("temperature_K", "value", "source", "second_hand", "interpolated")
    frame = pl.DataFrame([base | dict(zip(names, row, strict=True)) for row in rows], schema=REFERENCES)

    def at(temperature_K: float, rows: pl.DataFrame = frame) -> float | None:
        found = ils.reference_at(rows, "x", "density", None, temperature_K)
        return found and found["reference"]

    assert at(300.0) == 3.0  # measured, first-hand
    assert at(300.0, frame.filter(pl.col("value") != 3.0)) == 2.0
    assert at(300.0, frame.filter(pl.col("second_hand"))) == 1.0
    assert at(301.0) is None and at(299.4) is None


# --- Pairs ---


def runs_of(model: str, values: list[list[float]], error: float = 0.5, dataset: str | None = "d") -> list[groups.Row]:
    """Return the run rows of one model: values (seeds, boxes)."""
    return [
        {"liquid": "x", "temperature_K": T, "species": None, "model": model, "dataset": dataset, "framework": "mace",
         "seed": s, "replica": r, "value": v, "standard_error": error, "dof": 30.0, "correction": None,
         "converged": True, "reason": None}
        for s, line in enumerate(values) for r, v in enumerate(line)
    ]  # fmt: skip


def judged(
    rows: list[groups.Row], low: float | None = None, high: float | None = None
) -> dict[tuple[str, str], groups.Row]:
    """Return the verdicts on density by pair, with a reference where a range is given."""
    references = pl.DataFrame(
        [] if low is None else [{"liquid": "x", "temperature_K": T, "property": "density", "species": None, "unit": "kg/m3",
         "value": (low + high) / 2, "standard_uncertainty": (high - low) / (2 * statistics.Z95), "source": "s", "second_hand": False}],
        schema=REFERENCES,
    )  # fmt: skip
    _, items = ils.summarise_runs(pl.DataFrame(rows, infer_schema_length=None), "density", references)
    return {(v["model_a"], v["model_b"]): v for v in compare_verdicts.judge(items, "density")}


def test_shared_boxes_decide_what_independent_ones_could_not() -> None:
    """Boxes scatter by 60 kg/m3, the models differ by 8 in each of them."""
    box = [1000.0, 1060.0, 960.0, 1030.0]
    rows = runs_of("a", [box]) + runs_of("b", [[x + 8 + e for x, e in zip(box, (0.3, -0.2, 0.1, 0), strict=True)]])
    found = judged(rows)["a-d", "b-d"]
    assert found["verdict"] == "differs" and found["pairs"] == 4 and "paired over 4 shared boxes" in found["reason"]
    assert found["ci95_low"] < -8 < found["ci95_high"] < 0
    for row in rows[4:]:
        row["replica"] += 10  # other boxes
    apart = judged(rows)["a-d", "b-d"]
    assert apart["verdict"] == "not distinguishable" and apart["pairs"] is None and "no shared box" in apart["reason"]


def test_shared_boxes_widen_the_midpoint_and_so_the_winner_is_not_certain() -> None:
    """a and b differ in every box, but the boxes scatter so much that either may be the closer one."""
    box = [1000.0, 1060.0, 960.0, 1020.0]
    rows = runs_of("a", [box]) + runs_of("b", [[x + 8 for x in box]])
    assert judged(rows, 990.0, 1000.0)["a-d", "b-d"]["verdict"] == "differs"
    assert judged(rows, 790.0, 800.0)["a-d", "b-d"]["verdict"] == "a"  # far from both: certain


def test_one_box_says_that_it_cannot_be_paired() -> None:
    found = judged(runs_of("a", [[1000.0]]) + runs_of("b", [[1010.0]]))["a-d", "b-d"]
    assert found["pairs"] is None and "one shared box, too few to pair" in found["reason"]


def test_the_correction_for_the_box_decides_who_is_closer() -> None:
    """As simulated a is closer; with the correction of each model, as an experiment would see them, b is."""
    rows = [
        {**r, "correction": c} for m, v, c in (("a", 10.0, 0.0), ("b", 8.0, 2.0)) for r in runs_of(m, [[v] * 3], 0.01)
    ]
    references = pl.DataFrame(
        [{"liquid": "x", "temperature_K": T, "property": "diffusion", "species": None, "value": 10.02,
          "standard_uncertainty": 0.005, "unit": "m2/s", "source": "s", "second_hand": False}],
        schema=REFERENCES,
    )  # fmt: skip
    _, items = ils.summarise_runs(pl.DataFrame(rows, infer_schema_length=None), "diffusion", references)
    found = {(v["model_a"], v["model_b"]): v for v in compare_verdicts.judge(items, "diffusion")}["a-d", "b-d"]
    assert found["difference"] == pytest.approx(2.0) and found["verdict"] == "differs"  # corrected: no difference


def test_times_longer_than_the_runs_keep_their_lowest_bound() -> None:
    run = {"liquid": "x", "temperature_K": T, "quantity": "contact_lifetime", "unit": "ps", "model": "a", "dataset": "d",
           "seed": 1, "value": None, "standard_error": None, "ci95_high": None, "converged": False,
           "reason": "longer than the run can show"}  # fmt: skip

    def combined(*lows: float | None) -> groups.Row:
        rows = [run | {"replica": i, "ci95_low": low} for i, low in enumerate(lows)]
        frame = pl.DataFrame(rows, infer_schema_length=None, schema_overrides={"value": pl.Float64})
        return ils.summarise_numbers(frame, ["quantity"])[0]

    row = combined(80.0, 60.0)
    assert row["value"] is None and row["ci95_low"] == 60 and row["ci95_high"] is None and not row["converged"]
    assert combined(80.0, None)["ci95_low"] is None


def off_by_150() -> list[groups.Row]:
    """Return verdicts on 150 [119, 182] kg/m3 from two degrees of freedom, taken back by the number of tests."""
    items = [item("far", 1150.0, 1.0, reference=1000.0)]
    items[0]["estimate"] = statistics.Estimate(1150.0, 7.2, 2.0)  # three boxes
    items += [item(f"n{i}", 1000.0 + i, 900.0, reference=1000.0) for i in range(11)]
    return compare_verdicts.judge(items, "density")


def test_what_the_correction_takes_back_is_not_said_to_agree() -> None:
    """150 kg/m3 off, one interval of many: the words, the bar and its colour come from one corrected interval."""
    rows = off_by_150()
    far = next(r for r in rows if (r["model_a"], r["model_b"]) == ("far-d", "reference"))
    assert far["difference"] == 150.0 and far["ci95_low"] > 115 and far["verdict"] == "not distinguishable"
    assert far["holm_low"] < 0 < far["holm_high"]
    state = [
        item(m, 1000.0, 1.0, reference=1000.0) | {"value": 1000.0, "ci95_low": 998.0, "ci95_high": 1002.0}
        for m in ("far",)
    ]
    said = [*words.against_reference(state, {"far-d": far}), words.verdict_words(far)]
    assert not [line for line in said if "agree" in line] and "off by 150 [−" in said[0]
    verdicts = pl.DataFrame([{c: r[c] for c in VERDICTS} for r in rows], schema=VERDICTS)
    figure = figures.figure_verdicts({"verdicts": verdicts}, "density")
    drawn = {
        label: (x - minus, x + plus, trace.marker.color)
        for trace in figure.data
        for label, x, minus, plus in zip(trace.y, trace.x, trace.error_x.arrayminus, trace.error_x.array, strict=True)
    }
    low, high, colour = drawn["far-d − reference"]
    assert (low, high) == pytest.approx((far["holm_low"], far["holm_high"])) and colour == figures.REFERENCE
    table = report.table_verdicts({"verdicts": verdicts}, "density")["rows"]
    assert any(words.difference(far) in cell for line in table for cell in line)


def test_every_verdict_says_what_its_corrected_interval_says() -> None:
    rng = np.random.default_rng(6)
    for _ in range(40):
        items = [item(f"m{i}", float(rng.normal(1000, 20)), float(rng.uniform(1, 9)), reference=1000.0) for i in range(4)]  # fmt: skip
        for row in compare_verdicts.judge(items, "density"):
            assert (row["verdict"] == "not distinguishable") == (row["holm_low"] <= 0 <= row["holm_high"])


def test_an_interval_of_a_ratio_is_finite_however_many_tests_there_are() -> None:
    assert all(math.isfinite(x) for x in compare_verdicts.ends(statistics.Estimate(0.0, 1e4, 1.0), 1.0, 1e-6))


def test_no_verdict_is_no_agreement() -> None:
    row = compare_verdicts.judge([item("a", 1000.0, 1.0, converged=False, reference=1000.0)], "density")[0]
    state = [item("a", 1000.0, 1.0, reference=1000.0) | {"value": 1000.0, "ci95_low": 998.0, "ci95_high": 1002.0}]
    said = words.against_reference(state, {"a-d": row})
    assert said == ["against the second-hand reference (1000 kg/m³)", "a-d: no verdict"]


# --- Errors on what both answered ---


def frames_of(errors: dict[str, dict[int, list[float | None]]]) -> dict:
    """Return the points of models: mean squared force errors by seed, of frames in pairs of one trajectory; None: no answer."""
    rows = [
        {"model": m, "dataset": "d", "model_key": f"{m}-s{s}", "frame_id": f"f{i:02d}", "group": f"g{i // 2}", "n": 3,
         "force_square": None if x is None else 3 * x**2}
        for m, seeds in errors.items() for s, line in seeds.items() for i, x in enumerate(line)
    ]  # fmt: skip
    return points.frame_points(pl.DataFrame(rows, infer_schema_length=None))


def force_verdicts(errors: dict[str, dict[int, list[float | None]]], planned: int = 0) -> tuple[dict, dict]:
    """Return the summary by model and the verdicts by pair of models judged on frames, as EVALUATE_MODEL writes them."""
    rows = []
    for m, seeds in errors.items():
        for s, line in seeds.items():
            known = [x for x in line if x is not None]
            base = {"model": m, "dataset": "d", "model_key": f"{m}-s{s}", "seed": s, "split": "test", "unit": "eV/A"}
            rmse = math.sqrt(np.mean(np.square(known))) if known else None
            rows.append(base | {"quantity": "force", "scope": "all", "name": "all", "n": len(known), "rmse": rmse,
                                "rmse_ci95_low": rmse and rmse * 0.95, "rmse_ci95_high": rmse and rmse * 1.05})  # fmt: skip
            if len(known) < len(line):
                rows.append(base | {"quantity": "failed", "scope": "recipe", "name": "x", "n": len(line) - len(known)})
    frame = pl.DataFrame(rows, infer_schema_length=None)
    number = {(m, "d"): planned for m in errors} if planned else {}
    summary, items = compare_errors.summarise_forces(frame, "x", frames_of(errors), number)
    found = {(v["model_a"], v["model_b"]): v for v in compare_verdicts.judge(items, "force_rmse")}
    return {r["model"]: r for r in summary}, found


def around(rng: np.random.Generator, level: float, count: int) -> list[float]:
    return [level * float(x) for x in rng.uniform(0.9, 1.1, count)]


def test_a_model_that_fails_on_the_hard_half_does_not_win() -> None:
    """0.1 eV/A on the easy half and nothing on the hard one, against 0.05 and 0.5: 0.1 against 0.36 as a whole."""
    rng = np.random.default_rng(1)
    brave = {s: around(rng, 0.05, 12) + around(rng, 0.5, 12) for s in (1, 2)}
    coward = {s: around(rng, 0.1, 12) + [None] * 12 for s in (1, 2)}
    summary, found = force_verdicts({"brave": brave, "coward": coward})
    assert summary["coward"]["value"] < 0.11 < 0.3 < summary["brave"]["value"]
    assert (summary["coward"]["points"], summary["coward"]["points_missing"]) == (12, 12)
    assert not summary["coward"]["converged"] and "no answer on 12 of 24 test frames" in summary["coward"]["reason"]
    row = found["brave-d", "coward-d"]
    assert row["verdict"] == "a" and (row["points"], row["points_missing_a"], row["points_missing_b"]) == (12, 0, 12)
    on_shared = [math.sqrt(np.mean([np.square(line[:12]).mean() for line in m.values()])) for m in (brave, coward)]
    assert row["difference"] == pytest.approx(on_shared[0] - on_shared[1], rel=1e-9)
    verdicts = pl.DataFrame([{c: row[c] for c in VERDICTS}], schema=VERDICTS)
    (said,) = words.error_sentence(sorted(summary.values(), key=lambda r: r["value"]), verdicts, "force_rmse")
    assert said.startswith("brave-d has the lowest error on x of those that answered everything")
    assert "coward-d gave no answer on 12 of 24 test frames" in said


def test_better_on_what_it_answered_is_no_win_and_as_good_is_not_said() -> None:
    rng = np.random.default_rng(2)
    whole = {s: around(rng, 0.2, 24) for s in (1, 2)}
    for level in (0.02, 0.2):
        part = {s: around(rng, level, 20) + [None] * 4 for s in (1, 2)}
        row = force_verdicts({"whole": whole, "part": part})[1]["part-d", "whole-d"]
        assert row["verdict"] == "not converged" and "part-d: no answer on 4 that the other answered" in row["reason"]
    nan = {s: around(rng, 0.02, 20) + [math.nan] * 4 for s in (1, 2)}
    row = compare_verdicts.judge(
        [
            {"model": m, "dataset": "d", "liquid": "x", "temperature_K": None, "species": None, "property": "force_rmse",
             "unit": "eV/A", "estimate": statistics.Estimate(0.1, 0.01), "of_points": p, "reason": None, "converged": True,
             "runs": 2, "planned_runs": 2}
            for (m, _), p in frames_of({"nan": nan, "whole": whole}).items()
        ], "force_rmse")[0]  # fmt: skip
    assert row["verdict"] == "not converged" and row["points"] == 20


def test_a_seed_without_errors_counts_against_its_model() -> None:
    """Of three trained models one left no errors, of another model none did: rows say so, and neither may win."""
    rng = np.random.default_rng(3)
    three = {s: around(rng, 0.2, 24) for s in (1, 2, 3)}
    two = {s: around(rng, 0.02, 24) for s in (1, 2)}
    summary, found = force_verdicts({"three": three, "two": two, "none": {}}, planned=3)
    assert found["three-d", "two-d"]["verdict"] == "not converged"
    assert "two-d: 2 of 3 trained models have errors" in found["three-d", "two-d"]["reason"]
    assert (summary["two"]["runs"], summary["two"]["planned_runs"], summary["two"]["converged"]) == (2, 3, False)
    assert summary["none"]["value"] is None and "no error of 3 of 3 trained models" in summary["none"]["reason"]
    assert {v["verdict"] for k, v in found.items() if "none-d" in k} == {"not converged"}


def test_never_does_the_one_that_answered_less_win() -> None:
    rng = np.random.default_rng(4)
    for _ in range(60):
        models = {}
        for m in ("a", "b"):
            lost = int(rng.integers(0, 9))
            line = around(rng, float(rng.uniform(0.05, 0.3)), 24)
            models[m] = {1: [None if i < lost else x for i, x in enumerate(line)]}
        row = force_verdicts(models)[1]["a-d", "b-d"]
        if row["verdict"] in ("a", "b"):
            assert row[f"points_missing_{row['verdict']}"] == 0
        assert row["points_missing_a"] in (0, abs(row["points_missing_a"] - row["points_missing_b"]))


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
        for m, off in (("whole", 0.02), ("half", 0.01)) for s in (1, 2) for c in scales
    ]  # fmt: skip
    _, items = compare_errors.summarise_scans(pl.DataFrame(rows, infer_schema_length=None), {})
    by_model = {x["model"]: x for x in items}
    assert (by_model["half"]["points"], by_model["half"]["points_missing"]) == (4, 2)
    row = compare_verdicts.judge(items, "scan_energy_rmse")[0]
    assert row["points"] == 4 and row["verdict"] == "not converged" and "half-d: no answer on 2" in row["reason"]


def test_the_lowest_number_is_no_verdict_without_an_interval_and_one_seed_is_said() -> None:
    rng = np.random.default_rng(7)
    few = {m: {1: around(rng, level, 4)} for m, level in (("a", 0.1), ("b", 0.2))}  # two trajectories
    summary, found = force_verdicts(few)
    assert {v["verdict"] for v in found.values()} == {"not converged"}
    rows = sorted((r | {"converged": False, "ci95_low": None} for r in summary.values()), key=lambda r: r["value"])
    verdicts = pl.DataFrame([{c: v[c] for c in VERDICTS} for v in found.values()], schema=VERDICTS)
    assert words.error_sentence(rows, verdicts, "force_rmse") == [
        "No verdict on x: no error of a model that answered everything has an interval."
    ]
    summary, found = force_verdicts({m: {1: around(rng, level, 24)} for m, level in (("a", 0.1), ("b", 0.2))})
    verdicts = pl.DataFrame([{c: v[c] for c in VERDICTS} for v in found.values()], schema=VERDICTS)
    (said,) = words.error_sentence(sorted(summary.values(), key=lambda r: r["value"]), verdicts, "force_rmse")
    assert "it is better than b-d" in said and "with one training seed" in said


def test_against_experiment_the_figure_and_the_words_have_the_corrected_value() -> None:
    """Simulated 10, of an infinite box 12, measured 12: the verdict is about 12, and so is what is drawn and said."""
    rows = [{**r, "correction": 2e-11} for r in runs_of("a", [[1e-10] * 3], 1e-13)]
    references = pl.DataFrame(
        [{"liquid": "x", "temperature_K": T, "property": "diffusion", "species": None, "value": 1.2e-10,
          "standard_uncertainty": 1e-13, "unit": "m2/s", "source": "s", "second_hand": False, "interpolated": False}],
        schema=REFERENCES,
    )  # fmt: skip
    summary, items = ils.summarise_runs(pl.DataFrame(rows, infer_schema_length=None), "diffusion", references)
    (verdict,) = compare_verdicts.judge(items, "diffusion")
    assert abs(verdict["difference"]) < 1e-13
    said = " ".join(words.against_reference(summary, {"a-d": verdict}))
    assert "once corrected for the size of the box" in said and "not told from the reference" in said
    t = {"summary": pl.DataFrame(summary, schema=SUMMARY), "references": references}
    t |= {name: pl.DataFrame(schema={"model": pl.String, "dataset": pl.String}) for name in ("survival", "errors")}
    t["diffusion"] = pl.DataFrame(rows).rename({"value": "diffusion_m2_s"})
    style = figures.Style(t, {"study": {"models": [{"id": "a"}], "datasets": {"d": ["eq"]}}})
    heights = [y for trace in figures.figure_liquid(t, style, "diffusion").data for y in trace.y]
    assert max(heights) == pytest.approx(120) and min(heights) == pytest.approx(100)
