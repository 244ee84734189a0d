"""What is said of a property that is not converged: hollow points are spoken of where there are any."""

import re
from pathlib import Path

import plotly.graph_objects as go
import pytest

from ionmelt.dynamics import watch
from ionmelt.report.sections.properties import put_words_on_log_axes
from ionmelt.report.sections.standing import nothing_converged
from ionmelt.report.words import ENDS, plus_minus


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
