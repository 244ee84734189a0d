"""The five marks of the report: one word, symbol and colour for what is known of a model, the same wherever they stand."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ionmelt.report.words import Row


@dataclass(frozen=True)
class Mark:
    """What a verdict means for a model: its word, its symbol in a table and in a figure, its colour, and what it says in full."""

    word: str
    symbol: str
    marker: str  # plotly's name of the symbol
    colour: str  # at least 3:1 against the page, light and dark
    meaning: str


BETTER = Mark(
    "better",
    "▲",
    "triangle-up",
    "#2e8b57",
    "than a model that differs from it in framework alone or in data alone; no such model beats it, it is not off the reference, and of "
    "the models marked ▼ it beats each that it was compared with, and has a better number than each other one",
)
EQUIVALENT = Mark(
    "equivalent",
    "≈",
    "square",
    "#3b82c4",
    "to the reference, or without one to another model, within the margins of the study",
)
WORSE = Mark(
    "worse",
    "▼",
    "triangle-down",
    "#c8641b",
    "than a model that differs from it in framework alone or in data alone, or off the reference by more than the error",
)
UNDECIDED = Mark(
    "undecided", "○", "circle-open", "#7a7a7a", "not converged, nothing to compare with, or not told apart"
)
BROKE = Mark("broke", "✕", "x", "#d1344b", "a run ended before its time")
MARKS = (BETTER, EQUIVALENT, WORSE, UNDECIDED, BROKE)


def against_reference(verdict: Row) -> Mark:
    """Return what the verdict on a model and its reference means for the model."""
    return {"differs": WORSE, "equivalent": EQUIVALENT}.get(verdict["verdict"], UNDECIDED)


def of_side(verdict: Row, side: str) -> Mark:
    """Return what the verdict on two models means for one of them, ``side`` a or b."""
    if verdict["verdict"] in ("a", "b"):
        return BETTER if verdict["verdict"] == side else WORSE
    return EQUIVALENT if verdict["verdict"] == "equivalent" else UNDECIDED


def of_model(name: str, verdicts: Sequence[Row], distances: Mapping[str, float]) -> tuple[Mark, list[Row]]:
    """Return the mark of a model as `alone` has it, and those verdicts that it rests on, but for one that is better.

    Only models that differ in one thing are compared. So what is better than one may be no better than another that a third one beats:
    not told from it, or by its number, where the two were not compared, not closer. Then it is undecided. ``distances``: how far each is
    off what it is held against, by its name.
    """
    mark, behind = alone(name, verdicts)
    if mark is not BETTER:
        return mark, behind
    for other in dict.fromkeys(side for v in verdicts for side in (v["model_a"], v["model_b"])):
        mark_of_other, why = alone(other, verdicts)
        if other in (name, "reference") or mark_of_other is not WORSE:
            continue
        between = [v for v in verdicts if {v["model_a"], v["model_b"]} == {name, other}]
        if any(v not in behind for v in between):
            return UNDECIDED, [*behind, *between]
        if not between and distances.get(name, 0.0) >= distances.get(other, math.inf):
            return UNDECIDED, [*behind, *why]
    return mark, behind


def alone(name: str, verdicts: Sequence[Row]) -> tuple[Mark, list[Row]]:
    """Return the mark of a model by the verdicts of one property in one state, and those verdicts that it rests on.

    A model within the margins of the reference is equivalent, whoever else is closer still. Otherwise whatever beats it, or is a
    reference that it is off, counts more than what it beats. With a reference it is no merit to resemble another model.
    """
    marks: dict[Mark, list[Row]] = {}
    references = [v for v in verdicts if v["model_a"] == name and v["model_b"] == "reference"]
    for verdict in references:
        marks.setdefault(against_reference(verdict), []).append(verdict)
    if EQUIVALENT in marks:
        return EQUIVALENT, marks[EQUIVALENT]
    for verdict in verdicts:
        if verdict in references or name not in (verdict["model_a"], verdict["model_b"]):
            continue
        mark = of_side(verdict, "a" if verdict["model_a"] == name else "b")
        marks.setdefault(UNDECIDED if references and mark is EQUIVALENT else mark, []).append(verdict)
    for mark in (WORSE, BETTER, EQUIVALENT):
        if mark in marks:
            return mark, marks[mark]
    return UNDECIDED, references
