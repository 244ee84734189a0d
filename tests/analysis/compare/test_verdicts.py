"""Verdicts between runs of models: known differences give known verdicts."""

import math
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from ionmelt.compare import verdicts
from ionmelt.compare.groups import Group, Reference, Row
from ionmelt.compare.statistics import Z95, Estimate
from ionmelt.compare.summary import summarise_runs
from ionmelt.report.figures import REFERENCE, Style
from ionmelt.report.sections import properties
from ionmelt.report.sections import verdicts as report_verdicts
from ionmelt.report.words import difference
from ionmelt.tables.comparison import SUMMARY, VERDICTS
from ionmelt.tables.references import REFERENCES

T = 430.0


def group(model: str, value: float, error: float, converged: bool = True, reference: float | None = None) -> Group:
    measured = None if reference is None else Reference(reference, reference - 4, reference + 4, "s", second_hand=True)
    reason = None if converged else "drift"
    return Group(
        "x", T, "density", None, model, "d", "kg/m3", Estimate(value, error), converged, reason, reference=measured
    )


def judge(groups: list[Group]) -> list[Row]:
    """Return the rows of the table of verdicts."""
    return [verdict.row() for verdict in verdicts.judge(groups)]


def verdict(rows: list[Row], a: str, b: str) -> str:
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
    rows = judge([group("a", a, 3.0, reference=reference), group("b", b, 3.0, reference=reference)])
    assert verdict(rows, "a-d", "b-d") == expected


def test_an_unconverged_side_gives_no_verdict_but_keeps_the_difference() -> None:
    rows = judge([group("a", 1000.0, 1.0), group("b", 1500.0, 1.0, converged=False)])
    assert [r["verdict"] for r in rows] == ["not converged"]
    assert rows[0]["difference"] == -500 and rows[0]["p_value"] is None and "drift" in rows[0]["reason"]


def test_holm_takes_back_a_lucky_interval() -> None:
    """One interval of many just misses 0: after the correction that is no difference, as the reason says."""
    items = [group("a", 6.3, 2.0), group("b", 0.0, 2.0)] + [group(f"n{i}", 3.0, 2.0) for i in range(6)]
    row = next(r for r in judge(items) if (r["model_a"], r["model_b"]) == ("a-d", "b-d"))
    assert row["ci95_low"] > 0 and row["verdict"] == "not distinguishable" and "Holm" in row["reason"]


def runs_of(model: str, values: list[list[float]], error: float = 0.5, dataset: str | None = "d") -> list[Row]:
    """Return the run rows of one model: values (seeds, boxes)."""
    return [
        {"liquid": "x", "temperature_K": T, "species": None, "model": model, "dataset": dataset, "framework": "mace",
         "seed": s, "replica": r, "value": v, "standard_error": error, "dof": 30.0, "correction": None,
         "converged": True, "reason": None}
        for s, line in enumerate(values) for r, v in enumerate(line)
    ]  # fmt: skip


def judged(rows: list[Row], low: float | None = None, high: float | None = None) -> dict[tuple[str, str], Row]:
    """Return the verdicts on density by pair, with a reference where a range is given."""
    references = pl.DataFrame(
        [] if low is None else [{"liquid": "x", "temperature_K": T, "property": "density", "species": None, "unit": "kg/m3",
         "value": (low + high) / 2, "standard_uncertainty": (high - low) / (2 * Z95), "source": "s", "second_hand": False}],
        schema=REFERENCES,
    )  # fmt: skip
    items = summarise_runs(pl.DataFrame(rows, infer_schema_length=None), "density", references)
    return {(v["model_a"], v["model_b"]): v for v in judge(items)}


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
    items = summarise_runs(pl.DataFrame(rows, infer_schema_length=None), "diffusion", references)
    found = {(v["model_a"], v["model_b"]): v for v in judge(items)}["a-d", "b-d"]
    assert found["difference"] == pytest.approx(2.0) and found["verdict"] == "differs"  # corrected: no difference


def off_by_150() -> list[Row]:
    """Return verdicts on 150 [119, 182] kg/m3 from two degrees of freedom, taken back by the number of tests."""
    items = [group("far", 1150.0, 1.0, reference=1000.0)]
    items[0] = replace(items[0], estimate=Estimate(1150.0, 7.2, 2.0))  # three boxes
    items += [group(f"n{i}", 1000.0 + i, 900.0, reference=1000.0) for i in range(11)]
    return judge(items)


def test_what_the_correction_takes_back_is_not_said_to_agree() -> None:
    """150 kg/m3 off, one interval of many: the words, the bar and its colour come from one corrected interval."""
    rows = off_by_150()
    far = next(r for r in rows if (r["model_a"], r["model_b"]) == ("far-d", "reference"))
    assert far["difference"] == 150.0 and far["ci95_low"] > 115 and far["verdict"] == "not distinguishable"
    assert far["holm_low"] < 0 < far["holm_high"]
    state = [
        group(m, 1000.0, 1.0, reference=1000.0).row() | {"value": 1000.0, "ci95_low": 998.0, "ci95_high": 1002.0}
        for m in ("far",)
    ]
    said = [*properties.against_reference(state, {"far-d": far}), report_verdicts.verdict_words(far)]
    assert not [line for line in said if "agree" in line] and "off by 150 [−" in said[0]
    verdicts = pl.DataFrame([{c: r[c] for c in VERDICTS} for r in rows], schema=VERDICTS)
    figure = report_verdicts.figure_verdicts({"verdicts": verdicts}, "density")
    drawn = {
        label: (x - minus, x + plus, trace.marker.color)
        for trace in figure.data
        for label, x, minus, plus in zip(trace.y, trace.x, trace.error_x.arrayminus, trace.error_x.array, strict=True)
    }
    low, high, colour = drawn["far-d − reference"]
    assert (low, high) == pytest.approx((far["holm_low"], far["holm_high"])) and colour == REFERENCE
    table = report_verdicts.table_verdicts({"verdicts": verdicts}, "density").rows
    assert any(difference(far) in cell for line in table for cell in line)


def test_every_verdict_says_what_its_corrected_interval_says() -> None:
    rng = np.random.default_rng(6)
    for _ in range(40):
        items = [group(f"m{i}", float(rng.normal(1000, 20)), float(rng.uniform(1, 9)), reference=1000.0) for i in range(4)]  # fmt: skip
        for row in judge(items):
            assert (row["verdict"] == "not distinguishable") == (row["holm_low"] <= 0 <= row["holm_high"])


def test_an_interval_of_a_ratio_is_finite_however_many_tests_there_are() -> None:
    alike = group("a", 1.0, 1.0)
    interval = verdicts.Comparison(alike, alike, Estimate(0.0, 1e4, 1.0), scale=1.0).interval(1e-6)
    assert interval is not None and all(math.isfinite(x) for x in interval)


def test_no_verdict_is_no_agreement() -> None:
    row = judge([group("a", 1000.0, 1.0, converged=False, reference=1000.0)])[0]
    state = [
        group("a", 1000.0, 1.0, reference=1000.0).row() | {"value": 1000.0, "ci95_low": 998.0, "ci95_high": 1002.0}
    ]
    said = properties.against_reference(state, {"a-d": row})
    assert said == ["against the second-hand reference (1000 kg/m³)", "a-d: no verdict"]


def test_against_experiment_the_figure_and_the_words_have_the_corrected_value() -> None:
    """Simulated 10, of an infinite box 12, measured 12: the verdict is about 12, and so is what is drawn and said."""
    rows = [{**r, "correction": 2e-11} for r in runs_of("a", [[1e-10] * 3], 1e-13)]
    references = pl.DataFrame(
        [{"liquid": "x", "temperature_K": T, "property": "diffusion", "species": None, "value": 1.2e-10,
          "standard_uncertainty": 1e-13, "unit": "m2/s", "source": "s", "second_hand": False, "interpolated": False}],
        schema=REFERENCES,
    )  # fmt: skip
    items = summarise_runs(pl.DataFrame(rows, infer_schema_length=None), "diffusion", references)
    summary = [group.row() for group in items]
    (verdict,) = judge(items)
    assert abs(verdict["difference"]) < 1e-13
    said = " ".join(properties.against_reference(summary, {"a-d": verdict}))
    assert "once corrected for the size of the box" in said and "not told from the reference" in said
    t = {"summary": pl.DataFrame(summary, schema=SUMMARY), "references": references}
    t |= {name: pl.DataFrame(schema={"model": pl.String, "dataset": pl.String}) for name in ("survival", "errors")}
    t["diffusion"] = pl.DataFrame(rows).rename({"value": "diffusion_m2_s"})
    style = Style(t, {"models": [{"id": "a"}], "datasets": {"d": ["eq"]}})
    heights = [y for trace in properties.figure_liquid(t, style, "diffusion").data for y in trace.y]
    assert max(heights) == pytest.approx(120) and min(heights) == pytest.approx(100)
