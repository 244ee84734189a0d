"""Verdicts between runs of models: known differences give known verdicts."""

import math
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from scipy import stats

from ionmelt.compare import verdicts
from ionmelt.compare.comparison import Comparison, comparisons
from ionmelt.compare.groups import Group, Reference, Row, error_of_shifts
from ionmelt.compare.judgement import with_truth
from ionmelt.compare.statistics import Z95, Estimate, Runs
from ionmelt.compare.summary import summarise_runs
from ionmelt.report.figures import REFERENCE, Style
from ionmelt.report.sections import properties, standing
from ionmelt.report.sections import verdicts as report_verdicts
from ionmelt.report.words import difference, measured, plus_minus
from ionmelt.tables.comparison import SUMMARY, VERDICTS
from ionmelt.tables.references import REFERENCES

T = 430.0


def group(model: str, value: float, error: float, converged: bool = True, reference: float | None = None) -> Group:
    measured = None if reference is None else Reference(reference, reference - 4, reference + 4, "s", second_hand=True)
    reason = None if converged else "drift"
    boxes = [f"{model} {i}" for i in range(3)]  # of its own: nothing is paired
    behind = Runs([value] * 3, [error * math.sqrt(3)] * 3, [1, 2, 3], boxes, [math.inf] * 3)
    return Group(
        "x", T, "density", None, model, "d", "kg/m3", Estimate(value, error), converged, reason, reference=measured,
        behind=behind,
    )  # fmt: skip


def judge(groups: list[Group], margins: dict[str, float] | None = None) -> list[Row]:
    """Return the rows of the table of verdicts."""
    return [verdict.row() for verdict in verdicts.judge(comparisons(groups), margins)]


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
    """Boxes scatter by 10 kg/m3, the models differ by 8 in each of them."""
    box = [1000.0, 1012.0, 990.0, 1006.0]
    other = [x + 8 + e for x, e in zip(box, (0.3, -0.2, 0.1, 0), strict=True)]
    rows = runs_of("a", [box] * 3, 7.0) + runs_of("b", [other] * 3, 7.0)
    verdict = judged(rows)["a-d", "b-d"]
    assert (
        verdict["verdict"] == "differs" and verdict["pairs"] == 4 and "paired over 4 shared boxes" in verdict["reason"]
    )
    assert verdict["ci95_low"] < -8 < verdict["ci95_high"] < 0
    for row in rows[12:]:
        row["replica"] += 10  # other boxes
    apart = judged(rows)["a-d", "b-d"]
    assert apart["verdict"] == "not distinguishable" and apart["pairs"] is None and "no shared box" in apart["reason"]


def test_boxes_that_differ_beyond_the_errors_of_their_runs_are_not_converged() -> None:
    rows = runs_of("a", [[1000.0, 1060.0]] * 3) + runs_of("b", [[1008.0, 1068.0]] * 3)
    verdict = judged(rows)["a-d", "b-d"]
    assert verdict["verdict"] == "not converged" and "boxes differ" in verdict["reason"]


def test_shared_boxes_widen_the_midpoint_and_so_the_winner_is_not_certain() -> None:
    """a and b differ in every box, but the boxes scatter so much that either may be the closer one."""
    box = [1000.0, 1025.0, 980.0, 1010.0]
    rows = runs_of("a", [box] * 3, 15.0) + runs_of("b", [[x + 25 for x in box]] * 3, 15.0)
    assert judged(rows, 990.0, 1000.0)["a-d", "b-d"]["verdict"] == "differs"
    assert judged(rows, 790.0, 800.0)["a-d", "b-d"]["verdict"] == "a"  # far from both: certain


def test_one_box_says_that_it_cannot_be_paired() -> None:
    verdict = judged(runs_of("a", [[1000.0]]) + runs_of("b", [[1010.0]]))["a-d", "b-d"]
    assert verdict["pairs"] is None and "one shared box, too few to pair" in verdict["reason"]


def test_the_correction_for_the_box_decides_who_is_closer() -> None:
    """As simulated a is closer; with the correction of each model, as an experiment would see them, b is."""
    rows = [
        {**r, "correction": c}
        for m, v, c in (("a", 10.0, 0.0), ("b", 8.0, 2.0))
        for r in runs_of(m, [[v] * 3] * 3, 0.01)
    ]
    references = pl.DataFrame(
        [{"liquid": "x", "temperature_K": T, "property": "diffusion", "species": None, "value": 10.02,
          "standard_uncertainty": 0.005, "unit": "m2/s", "source": "s", "second_hand": False}],
        schema=REFERENCES,
    )  # fmt: skip
    items = summarise_runs(pl.DataFrame(rows, infer_schema_length=None), "diffusion", references)
    verdict = {(v["model_a"], v["model_b"]): v for v in judge(items)}["a-d", "b-d"]
    assert verdict["difference"] == pytest.approx(2.0) and verdict["verdict"] == "differs"  # corrected: no difference


@pytest.mark.parametrize(("source", "error"), [("this run", 0.3 / 3), ("experiment: s", 0.3)])
def test_the_error_of_the_correction_is_in_what_is_held_against_experiment(source: str, error: float) -> None:
    """Nine runs of their own viscosities bring a third of the error of each; one viscosity for all brings all of it."""
    rows = runs_of("a", [[10.0] * 3] * 3, 0.3)
    added = [r | {"correction": 2.0, "correction_error": 0.3, "correction_source": source} for r in rows]
    references = pl.DataFrame(
        [{"liquid": "x", "temperature_K": T, "property": "diffusion", "species": None, "value": 12.3,
          "standard_uncertainty": 0.005, "unit": "m2/s", "source": "s", "second_hand": False}],
        schema=REFERENCES,
    )  # fmt: skip
    (group,) = summarise_runs(pl.DataFrame(added), "diffusion", references)
    assert group.estimate is not None and group.estimate.standard_error == pytest.approx(0.1)
    corrected = group.corrected()
    assert corrected is not None and corrected.value == pytest.approx(12.0)
    assert corrected.standard_error == pytest.approx(math.hypot(0.1, error))
    (verdict,) = judge([group])
    low, high = Estimate(0, math.hypot(0.1, error, 0.005), corrected.dof).interval()
    assert verdict["ci95_high"] - verdict["ci95_low"] == pytest.approx(high - low, rel=0.02)
    assert group.row()["finite_size_standard_error"] == pytest.approx(error)


@pytest.mark.parametrize(
    ("source", "of_difference", "of_middle"),
    [("this run", math.hypot(0.1, 0.1), math.hypot(0.05, 0.05)), ("experiment: s", 0.0, 0.3)],
)
def test_models_corrected_with_one_viscosity_err_alike(source: str, of_difference: float, of_middle: float) -> None:
    """What it is off by moves both: their difference stays as it is, and their middle moves as far as they do."""
    given = {"correction": 2.0, "correction_error": 0.3, "correction_source": source}
    rows = [r | given for m in ("a", "b") for r in runs_of(m, [[10.0] * 3] * 3, 0.3)]
    a, b = summarise_runs(pl.DataFrame(rows), "diffusion", pl.DataFrame(schema=REFERENCES))
    reference = Reference(12.0, None, None, "s", second_hand=False)
    assert error_of_shifts((a, b), (1.0, -1.0), reference) == pytest.approx(of_difference)
    assert error_of_shifts((a, b), (0.5, 0.5), reference) == pytest.approx(of_middle)


def test_the_middle_of_two_models_is_taken_as_an_experiment_would_see_it() -> None:
    """Corrected they are at 12 and 10, and the reference at 10.1 is nearer to b; as simulated, at 10 and 8, it is to a."""
    rows = [{**r, "correction": 2.0} for m, v in (("a", 10.0), ("b", 8.0)) for r in runs_of(m, [[v] * 3] * 3, 0.01)]
    references = pl.DataFrame(
        [{"liquid": "x", "temperature_K": T, "property": "diffusion", "species": None, "value": 10.1,
          "standard_uncertainty": 0.005, "unit": "m2/s", "source": "s", "second_hand": False}],
        schema=REFERENCES,
    )  # fmt: skip
    items = summarise_runs(pl.DataFrame(rows, infer_schema_length=None), "diffusion", references)
    verdicts = {(v["model_a"], v["model_b"]): v for v in judge(items)}
    assert verdicts["a-d", "b-d"]["verdict"] == "b"
    assert [verdicts[name, "reference"]["difference"] for name in ("a-d", "b-d")] == pytest.approx([1.9, -0.1])


def off_by_150() -> list[Row]:
    """Return verdicts on 150 [116, 184] kg/m3 from two degrees of freedom, taken back by the number of tests."""
    items = [group("far", 1150.0, 1.0, reference=1000.0)]
    items[0] = replace(items[0], estimate=Estimate(1150.0, 8.0, 2.0))  # three boxes
    items += [group(f"n{i}", 1000.0 + i, 900.0, reference=1000.0) for i in range(45)]
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
    said = [*standing.against_reference(state, {"far-d": far}), report_verdicts.verdict_words(far)]
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
    table = report_verdicts.table_verdicts(
        {"verdicts": verdicts, "summary": pl.DataFrame(schema=SUMMARY)}, "density"
    ).rows
    assert any(difference(far) in cell for line in table for cell in line)


def test_every_verdict_says_what_its_corrected_interval_says() -> None:
    rng = np.random.default_rng(6)
    for _ in range(40):
        items = [group(f"m{i}", float(rng.normal(1000, 20)), float(rng.uniform(1, 9)), reference=1000.0) for i in range(4)]  # fmt: skip
        for row in judge(items):
            assert (row["verdict"] == "not distinguishable") == (row["holm_low"] <= 0 <= row["holm_high"])


def test_an_interval_of_a_ratio_is_finite_however_many_tests_there_are() -> None:
    alike = group("a", 1.0, 1.0)
    interval = Comparison(alike, alike, Estimate(0.0, 1e4, 1.0), scale=1.0).interval(1e-6)
    assert interval is not None and all(math.isfinite(x) for x in interval)


def test_no_verdict_is_no_agreement() -> None:
    row = judge([group("a", 1000.0, 1.0, converged=False, reference=1000.0)])[0]
    state = [
        group("a", 1000.0, 1.0, reference=1000.0).row() | {"value": 1000.0, "ci95_low": 998.0, "ci95_high": 1002.0}
    ]
    said = standing.against_reference(state, {"a-d": row})
    assert said == ["against the second-hand reference, 1000.0 ± 4.0 kg/m³", "a-d: no verdict"]


def test_against_experiment_the_figure_and_the_words_have_the_corrected_value() -> None:
    """Simulated 10, of an infinite box 12, measured 12: the verdict is about 12, and so is what is drawn and said."""
    rows = [{**r, "correction": 2e-11} for r in runs_of("a", [[1e-10] * 3] * 3, 1e-13)]
    references = pl.DataFrame(
        [{"liquid": "x", "temperature_K": T, "property": "diffusion", "species": None, "value": 1.2e-10,
          "standard_uncertainty": 1e-13, "unit": "m2/s", "source": "s", "second_hand": False, "interpolated": False}],
        schema=REFERENCES,
    )  # fmt: skip
    items = summarise_runs(pl.DataFrame(rows, infer_schema_length=None), "diffusion", references)
    summary = [group.row() for group in items]
    (verdict,) = judge(items)
    assert abs(verdict["difference"]) < 1e-13
    said = " ".join(standing.against_reference(summary, {"a-d": verdict}))
    assert "once corrected for the size of the box" in said and "not told from the reference" in said
    t = {"summary": pl.DataFrame(summary, schema=SUMMARY), "references": references}
    t |= {name: pl.DataFrame(schema={"model": pl.String, "dataset": pl.String}) for name in ("survival", "errors")}
    t["diffusion"] = pl.DataFrame(rows).rename({"value": "diffusion_m2_s"})
    style = Style(t, {"models": [{"id": "a"}], "datasets": {"d": ["eq"]}})
    heights = [y for trace in properties.figure_liquid(t, style, "diffusion").data for y in trace.y]
    assert max(heights) == pytest.approx(120) and min(heights) == pytest.approx(100)


@pytest.mark.parametrize(
    ("a", "b", "error", "expected"),
    [
        (1000.0, 1001.0, 1.0, "equivalent"),
        (1000.0, 1005.0, 0.2, "equivalent"),  # they differ, by less than matters
        (1000.0, 1009.0, 1.0, "a"),  # the margin is within the error
        (1000.0, 1001.0, 20.0, "not distinguishable"),
        (1000.0, 1100.0, 3.0, "a"),
    ],
)
def test_within_the_margin_is_equivalent(a: float, b: float, error: float, expected: str) -> None:
    (row,) = [
        r
        for r in judge(
            [group("a", a, error, reference=1000.0), group("b", b, error, reference=1000.0)], {"density": 0.01}
        )
        if r["model_b"] == "b-d"
    ]
    assert row["verdict"] == expected and row["margin"] == pytest.approx(10.0)
    assert (row["more_runs"] is not None) == (expected == "not distinguishable")


def test_without_a_reference_the_margin_is_a_share_of_the_mean_of_the_two() -> None:
    (row,) = judge([group("a", 1000.0, 3.0), group("b", 1200.0, 3.0)], {"density": 0.01})
    assert row["margin"] == pytest.approx(11.0)


@pytest.mark.parametrize(("apart", "others"), [(7.0, 0), (7.0, 39), (10.0, 39)])
def test_as_many_runs_as_it_says_decide_it(apart: float, others: int) -> None:
    """Also where the difference would stand alone, and does not among the many tests of a report."""

    def first_of(error: float) -> verdicts.Verdict:
        pair = [group("a", 1000.0, error, reference=1000.0), group("b", 1000.0 + apart, error, reference=1000.0)]
        return verdicts.judge(comparisons(pair), others=[0.5] * others)[0]

    undecided = first_of(3.0)
    assert undecided.verdict == "not distinguishable" and undecided.more_runs is not None
    assert first_of(3.0 / math.sqrt(1.02 * undecided.more_runs)).verdict != "not distinguishable"
    assert first_of(3.0 / math.sqrt(0.95 * undecided.more_runs)).verdict == "not distinguishable"


@pytest.mark.parametrize(
    ("dof", "apart", "margin"), [(3.0, 7.0, None), (8.0, 6.5, None), (3.0, 1.0, 7.0), (1.0, 9.0, 25.0)]
)
def test_so_many_times_the_runs_decide_with_the_degrees_of_freedom_that_they_have(
    dof: float, apart: float, margin: float | None
) -> None:
    """A quantile of the normal distribution would say that what Student's t leaves open is decided already."""
    items = [group("a", 1000.0 + apart, 1.0), group("b", 1000.0, 1.0)]

    def decides(times: float) -> bool:
        seen = Estimate(apart, 3.0 / math.sqrt(times), dof * times)
        low, high = seen.interval(0.1)
        return seen.p_value() < 0.05 or (margin is not None and -margin < low and high < margin)

    times = verdicts.runs_to_decide(Comparison(*items, Estimate(apart, 3.0, dof), is_tested=True), margin)
    assert times is not None and times > 1.02 and not decides(1)
    assert decides(1.01 * times) and not decides(0.99 * times)


@pytest.mark.parametrize("dof", [math.inf, 3.0])
def test_no_run_makes_a_measured_reference_better_known(dof: float) -> None:
    """The reference's standard error of 4 / 1.96 stays: a model 6 off it, known to 3, needs more runs than alone, one 3.9 off is never told."""
    stays = 4 / Z95

    def against_reference(apart: float) -> verdicts.Verdict:
        model = replace(group("a", 1000.0 + apart, 3.0, reference=1000.0), estimate=Estimate(1000.0 + apart, 3.0, dof))
        return verdicts.judge(comparisons([model]))[0]

    def decides(times: float) -> bool:
        of_runs = 9.0 / times
        total = of_runs + stays**2
        return stats.t.ppf(0.975, dof * times * (total / of_runs) ** 2) * math.sqrt(total) < 6.0

    told = against_reference(6.0).more_runs
    assert told is not None and decides(1.01 * told) and not decides(0.99 * told)
    never = against_reference(3.9)
    assert never.verdict == "not distinguishable" and never.more_runs is None
    assert report_verdicts.more(never.row(), {}) == "no number of runs: the reference is known too badly"


def test_what_decides_an_error_on_test_points_are_not_runs() -> None:
    row = judge([group("a", 1000.0, 3.0), group("b", 1007.0, 3.0)])[0] | {"property": "force_rmse"}
    assert report_verdicts.more(row, {}).endswith("times the test trajectories and trainings")


def test_the_table_says_how_much_more_simulation_decides_a_pair() -> None:
    """As many times the runs; of what is not converged how long the longer of the two has to be."""
    items = [group(m, 1000.0 + 7 * i, 3.0) for i, m in enumerate("ab")]
    items += [
        replace(group(m, 1000.0, 3.0, converged=False), needed_ps=ps)
        for m, ps in (("c", 300.0), ("d", 9000.0), ("e", None))
    ]
    rows = judge(items)
    t = {
        name: pl.DataFrame(made, schema=schema)
        for name, made, schema in (("verdicts", rows, VERDICTS), ("summary", [g.row() for g in items], SUMMARY))
    }
    table = report_verdicts.table_verdicts(t, "density")
    column = next(i for i, head in enumerate(table.head) if head.startswith("to decide it"))
    said = {
        next(cell.split(":")[0] for cell in line if "−" in cell and ":" in cell): line[column] for line in table.rows
    }
    times = next(r["more_runs"] for r in rows if (r["model_a"], r["model_b"]) == ("a-d", "b-d"))
    (shown,) = (float(word) for word in said["a-d − b-d"].split() if word[0].isdigit())
    assert times <= shown < times + 0.1 and said["a-d − b-d"].endswith("times the runs")
    assert said["a-d − c-d"] == "runs of at least 300 ps" and said["c-d − d-d"] == "runs of at least 9000 ps"
    assert said["a-d − e-d"] == "–"
    assert report_verdicts.more({**rows[0], "more_runs": 1e9}, {}) == "more than 1000 times the runs"


def test_what_is_equivalent_is_written_and_drawn_with_the_interval_that_lies_within_the_margin() -> None:
    """Among forty tests the corrected interval is far wider than the margin that the two are within."""
    pair = [group("a", 1000.0, 3.0, reference=1000.0), group("b", 1001.0, 3.0, reference=1000.0)]
    items = [*pair, *(group(f"n{i}", 1000.0 + 40 * i, 4.0, reference=1000.0) for i in range(8))]
    rows = judge(items, {"density": 0.009})
    row = next(r for r in rows if (r["model_a"], r["model_b"]) == ("a-d", "b-d"))
    half = stats.norm.ppf(0.95) * math.hypot(3.0, 3.0)
    assert row["verdict"] == "equivalent" and row["holm_low"] < -row["margin"] < row["margin"] < row["holm_high"]
    assert (row["ci90_low"], row["ci90_high"]) == pytest.approx((-1 - half, -1 + half))
    assert difference(row) == "−1.0 [−8.0, 6.0; 90 %] kg/m³"
    assert "%" not in difference(row | {"verdict": "not distinguishable"})
    figure = report_verdicts.figure_verdicts({"verdicts": pl.DataFrame(rows, schema=VERDICTS)}, "density")
    points = {trace.name: trace for trace in figure.data if trace.type == "scatter"}["equivalent within the margins"]
    (band,) = [trace for trace in figure.data if trace.type == "bar"]
    margins = {name: (base, base + x) for name, base, x in zip(band.y, band.base, band.x, strict=True)}
    assert margins["a-d − b-d"] == pytest.approx((-9.0, 9.0))
    for name, x, minus, plus in zip(points.y, points.x, points.error_x.arrayminus, points.error_x.array, strict=True):
        assert margins[name][0] < x - minus < x + plus < margins[name][1]


def test_a_difference_of_just_the_margin_is_never_shown_to_lie_within_it() -> None:
    (made,) = comparisons([group("a", 0.0, 3.0), group("b", 7.0, 3.0)])
    assert verdicts.runs_to_decide(made, 7.0) == verdicts.runs_to_decide(made, None)


@pytest.mark.parametrize(
    ("seeds", "boxes", "trained", "verdict", "about"),
    [
        (3, 2, True, "differs", "methods"),
        (2, 2, True, "design cannot decide", "methods"),
        (3, 1, True, "design cannot decide", "methods"),
        (1, 1, False, "differs", "weights in one box"),
        (1, 2, False, "differs", "weights"),
    ],
)
def test_what_a_design_may_speak_of(seeds: int, boxes: int, trained: bool, verdict: str, about: str) -> None:
    """Two trained models are methods, which ask for three seeds and two boxes; a trained and an untrained one are weights."""
    rows = runs_of("a", [[1000.0 + 0.1 * box for box in range(boxes)]] * seeds)
    rows += runs_of(
        "b",
        [[1100.0 - 0.1 * box for box in range(boxes)]] * (seeds if trained else 1),
        dataset="d" if trained else None,
    )
    (row,) = judged(rows).values()
    assert (row["verdict"], row["about"]) == (verdict, about)
    if about != "methods":
        assert "about these weights" in row["reason"]
    elif verdict != "differs":
        assert "a verdict on methods needs 3 training seeds and 2 boxes" in row["reason"]


def test_all_that_may_name_a_winner_is_one_family() -> None:
    """A difference that stands alone does not stand as one of forty of the report, whatever their property."""
    pair = [group("a", 1000.0, 2.0, reference=1000.0), group("b", 1007.0, 2.0, reference=1000.0)]
    alone = verdicts.judge(comparisons(pair))
    among = verdicts.judge(comparisons(pair), others=[0.5] * 39)
    assert alone[0].comparison.side == "a" and alone[0].verdict != "not distinguishable"
    assert among[0].verdict == "not distinguishable" and among[1].p_holm == alone[1].p_holm


def test_two_trained_models_are_held_against_the_truth() -> None:
    """The truth of the labels stands in for a reference, also where experiment says otherwise."""
    truth = replace(group("clp", 1000.0, 1.0, reference=1100.0), dataset=None)
    other = replace(group("other", 1101.0, 1.0, reference=1100.0), dataset=None)
    pair = [group(m, x, 1.0, reference=1100.0) for m, x in (("a", 1002.0), ("b", 1090.0))]
    rows = judge(with_truth([*pair, truth, other], "clp"))
    assert verdict(rows, "a-d", "b-d") == "a"
    assert (verdict(rows, "a-d", "reference"), verdict(rows, "b-d", "reference")) == ("not distinguishable", "differs")
    assert next(r for r in rows if r["model_a"] == "b-d" and r["model_b"] == "reference")[
        "difference"
    ] == pytest.approx(90)
    assert not [r for r in rows if r["model_b"] == "clp"], "that is the reference"
    assert verdict(rows, "clp", "reference") == "differs" and verdict(rows, "clp", "other") == "b"  # against experiment
    assert verdict(rows, "b-d", "other") == "b", "against experiment: the truth is not that of a model from elsewhere"
    poor = judge(with_truth([*pair, replace(truth, converged=False, reason="short")], "clp"))
    assert verdict(poor, "a-d", "b-d") == "not converged" and "clp: short" in poor[0]["reason"]


def test_an_undertrained_model_stands_in_no_ordering_of_models() -> None:
    better, short = group("better", 1001.0, 1.0, reference=1000.0), group("short", 1100.0, 1.0, reference=1000.0)
    assert verdict(judge([better, short]), "better-d", "short-d") == "a"
    rows = judge([better, replace(short, undertrained=(2, 3))])
    (row,) = [row for row in rows if row["model_b"] == "short-d"]
    assert row["verdict"] == "design cannot decide"
    assert row["reason"].startswith("short-d: undertrained (seeds 2, 3), which is no measure of a framework")
    # what it gives of the liquid is a fact all the same, and so is what further data did for it
    assert verdict(rows, "short-d", "reference") == "differs"
    more = replace(group("short", 1200.0, 1.0, reference=1000.0), dataset="e", undertrained=(1,))
    assert verdict(judge([replace(short, undertrained=(2,)), more]), "short-d", "short-e") == "a"


def test_runs_of_other_masses_than_an_experiment_are_called_so() -> None:
    heavy = replace(group("heavy", 1001.0, 1.0, reference=1000.0), hydrogen_mass_u=3.0)
    rows = judge([heavy, group("b", 1100.0, 1.0, reference=1000.0)])
    said = {row["model_b"]: row["reason"] for row in rows if row["model_a"] == "heavy-d"}
    assert "the runs are of other masses: hydrogens of 3 u" in said["reference"]
    assert "the runs are of other masses: hydrogens of 3 u" in said["b-d"]


def test_an_interval_that_reaches_beyond_all_measure_is_not_written() -> None:
    """-53,646,057 to 12,769,440 meV/atom stood in a sentence; a density of 1000 ± 34 is one that says something."""
    row = {"value": 0.05, "ci95_low": -53646.0, "ci95_high": 12769.0, "unit": "eV/atom", "verdict": "not converged"}
    row |= {"difference": 0.05, "holm_low": None, "holm_high": None}
    assert difference(row) == "50.0 meV/atom (an interval without meaning)" == measured(row)
    assert plus_minus(row) == ("50.0", "meV/atom")
    fine = row | {"ci95_low": 0.01, "ci95_high": 0.09}
    assert difference(fine) == "50 [10, 90] meV/atom" and measured(fine) == "50 ± 40 meV/atom"
