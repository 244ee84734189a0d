"""What figures have in common: colours that are seen, one to a model, and words over a point."""

import plotly.graph_objects as go
import pytest
from wcag import contrast

from ionmelt.report.figures import COLOURS, PATTERNS, finish, patterned


@pytest.mark.parametrize("card", ["#ffffff", "#1c222b"])
def test_colours_of_models_are_seen_on_white_and_on_black(card: str) -> None:
    """WCAG 2 asks 3:1 of what is drawn."""
    assert len(set(COLOURS)) == len(COLOURS) >= 10
    for colour in COLOURS:
        assert contrast(colour, card) >= 3, colour


def test_what_is_no_model_has_no_colour_of_a_model() -> None:
    drawn = [patterned(i) for i in range(len(PATTERNS))]
    assert len({look["pattern"]["shape"] for look in drawn}) == len(PATTERNS)
    assert not {look["color"] for look in drawn} & set(COLOURS)


def test_a_point_says_what_it_is_in_the_units_of_its_axes() -> None:
    figure = go.Figure(go.Scatter(x=[1.0], y=[2.0], name="mace-both"))
    figure.add_bar(x=[3.0], y=["RUN_MD"], orientation="h")
    figure.update_xaxes(title="time (ps)")
    figure.update_yaxes(title="g(r)")
    first, second = finish(figure).data
    assert first.hovertemplate == "mace-both<br>time: %{x:.4g} ps<br>g(r): %{y:.4g}<extra></extra>"
    assert second.hovertemplate == "time: %{x:.4g} ps<br>%{y}<extra></extra>"
