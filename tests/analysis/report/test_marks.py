"""The five marks: what each verdict means for a model, and which of several counts."""

from itertools import permutations

import pytest
from wcag import contrast

from ionmelt.report import marks
from ionmelt.report.marks import BETTER, EQUIVALENT, MARKS, UNDECIDED, WORSE, Mark, of_model
from ionmelt.report.words import Row


def verdict(a: str, b: str, said: str) -> Row:
    return {"model_a": a, "model_b": b, "verdict": said}


@pytest.mark.parametrize("card", ["#ffffff", "#1c222b"])
def test_marks_are_seen_on_white_and_on_black_and_without_colours(card: str) -> None:
    """WCAG 2 asks 3:1 of what is drawn; no two share a word, a symbol or a marker."""
    for mark in MARKS:
        assert contrast(mark.colour, card) >= 3, mark.word
    for name in ("word", "symbol", "marker", "colour"):
        assert len({getattr(mark, name) for mark in MARKS}) == len(MARKS)


CASES: list[tuple[list[Row], Mark]] = [
    ([], UNDECIDED),
    ([verdict("m", "reference", "not distinguishable")], UNDECIDED),
    ([verdict("m", "reference", "differs")], WORSE),
    ([verdict("m", "reference", "equivalent")], EQUIVALENT),
    ([verdict("m", "x", "a")], BETTER),
    ([verdict("x", "m", "a")], WORSE),
    ([verdict("x", "m", "b")], BETTER),
    ([verdict("m", "x", "differs")], UNDECIDED),
    ([verdict("m", "x", "equivalent")], EQUIVALENT),
    ([verdict("m", "x", "undertrained")], UNDECIDED),
    ([verdict("x", "y", "a"), verdict("x", "reference", "differs")], UNDECIDED),
    ([verdict("m", "x", "a"), verdict("m", "y", "b")], WORSE),
    ([verdict("m", "x", "a"), verdict("m", "reference", "differs")], WORSE),
    ([verdict("m", "x", "a"), verdict("m", "reference", "not distinguishable")], BETTER),
    ([verdict("m", "x", "b"), verdict("m", "reference", "equivalent")], EQUIVALENT),
    ([verdict("m", "x", "equivalent"), verdict("m", "reference", "not distinguishable")], UNDECIDED),
]


@pytest.mark.parametrize(("verdicts", "mark"), CASES)
def test_the_mark_of_a_model(verdicts: list[Row], mark: Mark) -> None:
    for order in permutations(verdicts):
        assert of_model("m", order, {})[0] is mark


# Of a in {a, b} x {1, 2}, where a2 beats b2 and b1 beats a1: only models that differ in one thing are compared.
TWO_BY_TWO = [verdict("a2", "b2", "a"), verdict("b1", "a1", "a")]


@pytest.mark.parametrize(
    ("further", "distances", "mark"),
    [
        ([], {"a2": 60.0, "a1": 61.0}, BETTER),
        ([], {"a2": 61.0, "a1": 60.0}, UNDECIDED),  # never compared, and the one that is worse stands closer
        ([verdict("a1", "a2", "not distinguishable")], {"a2": 60.0, "a1": 61.0}, UNDECIDED),
        ([verdict("a1", "a2", "b")], {"a2": 60.0, "a1": 61.0}, BETTER),
        ([verdict("a1", "a2", "a")], {"a2": 60.0, "a1": 61.0}, WORSE),
    ],
)
def test_nothing_is_better_that_is_not_told_from_what_is_worse(
    further: list[Row], distances: dict[str, float], mark: Mark
) -> None:
    for order in permutations([*TWO_BY_TWO, *further]):
        shown, behind = of_model("a2", order, distances)
        assert shown is mark
        assert mark is BETTER or TWO_BY_TWO[0] in behind or mark is WORSE
        assert of_model("a1", order, distances)[0] is WORSE, "its own mark stays"


def test_of_two_models_one_is_better_when_the_other_is_worse() -> None:
    opposite = {BETTER: WORSE, WORSE: BETTER, EQUIVALENT: EQUIVALENT, UNDECIDED: UNDECIDED}
    for said in ("a", "b", "equivalent", "differs", "not distinguishable", "not converged", "design cannot decide"):
        v = verdict("m", "n", said)
        assert opposite[marks.of_side(v, "a")] is marks.of_side(v, "b")
