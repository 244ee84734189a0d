"""What is said of a property that is not converged: hollow points are spoken of where there are any."""

import re
from pathlib import Path

import plotly.graph_objects as go
import polars as pl
import pytest

from ionmelt.dynamics import watch
from ionmelt.report.page import folded
from ionmelt.report.sections.properties import put_words_on_log_axes
from ionmelt.report.sections.standing import liquid_sentence, named, nothing_converged
from ionmelt.report.words import ENDS, plus_minus
from ionmelt.tables.comparison import SUMMARY, VERDICTS


@pytest.mark.parametrize(
    ("values", "reasons", "words"),
    [
        ([1.0, None, 2.0], ["short"] * 3, "none of the 3 values is converged. Hollow points show what was measured"),
        ([1.0, None], ["short"] * 2, "A hollow point shows what was measured"),
        (
            [None, None],
            ["no NVT survived", "no NVT survived"],
            "none of the 2 values could be measured: no NVT survived.",
        ),
        ([None] * 3, ["a", "b", "b"], "could be measured: b, and 1 other reason in the table."),
        ([None] * 3, ["a", "b", None], "could be measured: a, and 2 other reasons in the table."),
    ],
)
def test_nothing_converged(values: list[float | None], reasons: list[str | None], words: str) -> None:
    rows = [{"value": value, "reason": reason} for value, reason in zip(values, reasons, strict=True)]
    assert words in nothing_converged(rows)


def row(model: str, value: float, is_good: bool = True, **columns: object) -> dict[str, object]:
    """Return a row of the summary."""
    return dict.fromkeys(SUMMARY) | {
        "liquid": "x", "temperature_K": 300.0, "property": "density", "unit": "kg/m3", "model": model, "value": value,
        "ci95_low": value - 1, "ci95_high": value + 1, "converged": is_good, "reference_is_truth": False,
    } | columns  # fmt: skip


def test_how_models_stand_is_said_before_they_are_listed() -> None:
    """A sentence that is cut after some models still says what it says of them."""
    models = [f"model{i}" for i in range(9)]
    held = {"reference": 1000.0, "reference_low": 999.0, "reference_high": 1001.0}
    verdict = dict.fromkeys(VERDICTS) | {
        "liquid": "x", "temperature_K": 300.0, "property": "density", "unit": "kg/m3", "model_b": "reference", "difference": 3.0,
        "ci95_low": 1.0, "ci95_high": 5.0, "ci90_low": 2.0, "ci90_high": 4.0,
    }  # fmt: skip
    for said, words in (("equivalent", "within the margins of"), ("not distinguishable", "not told from")):
        verdicts = pl.DataFrame([verdict | {"model_a": name, "verdict": said} for name in models], schema=VERDICTS)
        (line,) = liquid_sentence([row(name, 1003.0, **held) for name in models], verdicts, "density")
        front, _ = folded([line])
        assert len(line) > 200 and front.startswith(
            f"x, 300\u00a0K: {words} the reference, 1000.0 ± 1.0 kg/m³: model0 (off by"
        )


def test_a_truth_that_is_not_converged_is_said_once() -> None:
    rows = [
        row("teacher", 1000.0, is_good=False, dataset=None),
        row("a", 1001.0, dataset="d"),
        row("b", 1002.0, dataset="d"),
    ]
    (line,) = liquid_sentence(
        rows, pl.DataFrame(schema=VERDICTS), "density", {("x", 300.0, "density", None): "teacher"}
    )
    assert line.endswith("(b-d); the truth, teacher, is not converged.")


def test_a_sentence_that_has_a_name_before_it_goes_on_in_small_letters() -> None:
    assert named("density", "No verdict: none.") == "Density: no verdict: none."
    assert named("density", "NaCl, 300 K: one.") == "Density: NaCl, 300 K: one."


def test_words_at_a_line_stand_at_the_line_on_a_logarithmic_axis() -> None:
    figure = go.Figure().add_hline(y=0.01, annotation_text="reference")
    figure.add_annotation(x=0, y=0.02, yref="y domain", text="no value").add_annotation(
        x=0, y=1, yref="paper", text="title"
    )
    put_words_on_log_axes(figure)
    assert [words.y for words in figure.layout.annotations] == [-2, 0.02, 1]


def test_an_error_of_nothing_is_not_written_with_seven_zeros() -> None:
    row = {"value": 6.2e-9, "ci95_low": 3.9e-9, "ci95_high": 8.4e-9, "unit": "eV/A"}
    assert plus_minus(row) == ("< 0.001", "meV/Å")
    assert plus_minus(row | {"value": 6.2e-4, "ci95_low": 3.9e-4, "ci95_high": 8.5e-4})[0] == "0.62 ± 0.23"
    cut_at_0 = row | {"value": 0.0571, "ci95_low": 0.0, "ci95_high": 0.1228}
    assert plus_minus(cut_at_0)[0] == "57 ± 66", "as far as the side that is whole"


def test_every_end_of_a_run_has_words() -> None:
    source = Path(watch.__file__).read_text()
    assert set(re.findall(r'Ended\("(\w+)"', source)) == set(ENDS)
