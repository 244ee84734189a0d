"""What the data were worth: learning curves against frames and cost, and the answers that they allow.

`learning` has a point for each model, dataset, number of frames and property: its error, and what its labels took. The error
of a density or a diffusion coefficient is that against the *truth* where the study runs it: the very method of the labels
as a model (`framework: xtb`), from the same boxes; else against experiment. `worth` answers three questions from it:

- ``kinds``: is a model better that was trained on further kinds of frames (EQ + nEQ against EQ), at an equal number of frames
  where `sizes` gives that?
- ``frames``: how many are enough? Each size against the largest; the smallest from which on none can be told from it.
- ``framework``: which needs fewer frames for the same error? A parallel-line assay (Finney, Statistical Method in Biological
  Assay, 1978): ln error = a + b ln frames with a common slope; the ratio of frames is exp of the difference of levels over the
  slope, its interval that of Fieller (1954), which is open where the slope itself is not known.

``difference`` is the error of model_a less that of model_b with its 95 % interval, box by box and seed by seed where the two
share them (`statistics.paired`). p-values are corrected by Holm over all tests of the report that may name a winner (`verdicts`);
``holm_low`` and ``holm_high`` are the ends of the interval at the level of that test, which words are made from. ``design cannot
decide``: too few training seeds or boxes (`scope`). A row of which a side is not converged is ``not converged``.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import replace

import polars as pl

from ionmelt.compare.answers import Answer
from ionmelt.compare.assay import assay
from ionmelt.compare.learning import Point, Tables
from ionmelt.compare.two_points import against
from ionmelt.dataset.settings import kinds_of
from ionmelt.tables.comparison import LEARNING, WORTH


def questions(t: Tables, curve: list[Point], datasets: Mapping[str, Sequence[str]]) -> list[Answer]:
    """Return the answers to the three questions, before the correction for many tests; ``datasets``: the kinds of each mixture."""
    return [*about_kinds(curve, datasets), *about_frames(curve), *about_frameworks(t, curve)]


def about_kinds(curve: list[Point], datasets: Mapping[str, Sequence[str]]) -> list[Answer]:
    """Set mixtures with further kinds against those without, at equal numbers of frames and of all frames."""
    answers = []
    for members in alike(curve, lambda point: (point.state, point.group.model)):
        named = [point for point in members if point.mixture in datasets]
        for b in named:
            for a in named:
                if not added_kinds(b.mixture, a.mixture, datasets):
                    continue
                whole = a.mixture == a.group.dataset and b.mixture == b.group.dataset
                if a.frames == b.frames:
                    answers.append(against("kinds", a, b))
                elif whole:
                    answer = against("kinds", a, b)
                    note = f"{a.frames} frames against {b.frames}: kinds and number differ"
                    answers.append(replace(answer, reason="; ".join(x for x in (note, answer.reason) if x)))
    return answers


def about_frames(curve: list[Point]) -> list[Answer]:
    """Set each number of frames against the largest of its mixture."""
    answers = []
    for members in alike(curve, lambda point: (point.state, point.group.model, point.mixture)):
        *smaller, largest = sorted(members, key=lambda point: point.frames)
        answers += [against("frames", a, largest) for a in smaller]
    return answers


def about_frameworks(t: Tables, curve: list[Point]) -> list[Answer]:
    """Compare how many frames two models need for the same error, of each mixture with two sizes or more."""
    answers = []
    judged = [point for point in curve if point.quantity != "survival"]
    for members in alike(judged, lambda point: (point.state, point.mixture)):
        models = alike(members, lambda point: point.group.model)
        long = [line for line in models if len({point.frames for point in line}) > 1]
        answers += [assay(t, first, second) for i, first in enumerate(long) for second in long[i + 1 :]]
    return answers


def alike(curve: Iterable[Point], key: Callable[[Point], Hashable]) -> list[list[Point]]:
    """Return the points that agree in a key, in their order."""
    groups: dict[Hashable, list[Point]] = {}
    for point in curve:
        groups.setdefault(key(point), []).append(point)
    return list(groups.values())


def added_kinds(less: str, more: str, datasets: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the kinds that one mixture has beyond another of which it holds all; none where it does not."""
    (few, out), (many, out_too) = kinds_of(datasets[less]), kinds_of(datasets[more])
    return sorted(many - few) if out == out_too and few < many else []


def tables(curve: list[Point], answers: list[Answer]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the tables `learning` and `worth`."""
    learning, worth = [point.row() for point in curve], [answer.row() for answer in answers]
    return pl.DataFrame(learning, schema=LEARNING), pl.DataFrame(worth, schema=WORTH)
