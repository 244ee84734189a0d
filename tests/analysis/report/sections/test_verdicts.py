"""The figure of differences: the axis holds what says something, whatever else there is."""

import plotly.graph_objects as go
import polars as pl
import pytest
from wcag import contrast

from ionmelt.report.sections.verdicts import LOOKS, figure_verdicts, more
from ionmelt.tables.comparison import VERDICTS

EMPTY = dict.fromkeys(VERDICTS)


def row(pair: tuple[str, str], difference: float, half: float, unit: str = "kg/m3", liquid: str = "x") -> dict:
    """Return a row of the table of verdicts, without a test."""
    return EMPTY | {
        "property": "density", "liquid": liquid, "temperature_K": 300.0, "model_a": pair[0], "model_b": pair[1], "unit": unit,
        "difference": difference, "ci95_low": difference - half, "ci95_high": difference + half, "verdict": "not converged",
    }  # fmt: skip


def drawn(*rows: dict) -> go.Figure:
    """Return the figure of these rows."""
    figure = figure_verdicts({"verdicts": pl.DataFrame(rows, schema=VERDICTS)}, "density")
    assert figure is not None
    return figure


@pytest.mark.parametrize("far", [60.0, 1e4, 1e52])
def test_an_interval_far_longer_than_others_runs_off_the_axis(far: float) -> None:
    figure = drawn(
        row(("a", "b"), 0.2, 0.4), row(("a", "c"), 2.0, 0.6), row(("b", "c"), 1.8, far), row(("d", "c"), 1.0, 1.1)
    )
    low, high = figure.layout.xaxis.range
    assert low < -0.2 and high > 2.6 and high - low < 4, "every point, and the intervals of three"
    (points,) = [trace for trace in figure.data if trace.type == "scatter"]
    of_far = list(points.y).index("b − c")
    ends = points.x[of_far] - points.error_x.arrayminus[of_far], points.x[of_far] + points.error_x.array[of_far]
    assert ends[0] < low and high < ends[1], "it is seen to go on"
    assert ends[1] - ends[0] < 4 * (high - low) or far < 100, "but not to where no browser draws"


def test_intervals_that_are_all_as_long_are_all_held() -> None:
    figure = drawn(*(row(("a", name), 0.001, half) for name, half in zip("bcde", (1.0, 2.0, 5.0, 9.0), strict=True)))
    low, high = figure.layout.xaxis.range
    assert low < -8.999 and high > 9.001


def test_where_no_interval_says_anything_the_differences_are_seen() -> None:
    figure = drawn(*(row(("a", name), 0.002, 1e20, "eV/atom") for name in "bc"))
    assert max(map(abs, figure.layout.xaxis.range)) < 3, "meV/atom"


@pytest.mark.parametrize("card", ["#ffffff", "#1c222b"])
def test_differences_are_seen_by_day_and_by_night(card: str) -> None:
    """WCAG 2 asks 3:1 of what is drawn."""
    figure = drawn(row(("a", "b"), 0.0, 1.0))
    for trace in figure.data:
        assert trace.opacity in (None, 1) and contrast(trace.marker.color, card) >= 3
    assert LOOKS["no verdict"].width < LOOKS["not distinguishable"].width


def test_a_verdict_that_is_nearly_decided_does_not_ask_for_once_the_runs() -> None:
    nearly = row(("a", "b"), 1.0, 1.1) | {"verdict": "not distinguishable"}
    assert more(nearly | {"more_runs": 1.0}, {}) == "hardly more than the runs that there are"
    assert more(nearly | {"more_runs": 1.01}, {}) == "about 1.1 times the runs"


def test_names_of_pairs_stand_once_beside_the_panels() -> None:
    long = "a_model_with_a_long_name"
    figure = drawn(
        row((long, "b"), 0.0, 1.0, liquid="x"),
        row((long, "b"), 0.0, 1.0, liquid="y"),
        row(("b", "c"), 0.0, 1.0, liquid="y"),
    )
    assert (
        list(figure.layout.yaxis.categoryarray) == ["b − c", f"{long} − b"] == list(figure.layout.yaxis2.categoryarray)
    )
    assert figure.layout.yaxis2.showticklabels is False and figure.layout.yaxis.showticklabels is not False
