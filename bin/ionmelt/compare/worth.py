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
share them (`statistics.paired`). p-values are corrected by Holm over all tests of one question and property; ``holm_low`` and
``holm_high`` are the ends of the interval at the level of that test, which words are made from. One training
seed is no claim: such a row is ``not converged``, as every row of which a side is.
"""

import math
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from ionmelt.compare import verdicts
from ionmelt.compare.groups import Group, label
from ionmelt.compare.learning import OF_LIQUID, Point, Tables, offset, points
from ionmelt.compare.points import scan_points, seeds_in
from ionmelt.compare.statistics import (
    LEVEL,
    Estimate,
    Ratio,
    difference,
    difference_of_shares,
    holm,
    holm_levels,
    paired,
    parallel_lines,
)
from ionmelt.frame import kinds_of
from ionmelt.tables.comparison import LEARNING, WORTH

Interval = Callable[[float], tuple[float | None, float | None]]  # the ends of an interval at a level


@dataclass(frozen=True)
class Side:
    """One of the two that an answer is about: its name in the report, and what it was trained on."""

    name: str
    model: str
    mixture: str
    frames: int
    labels_core_h: float | None = None
    error: float | None = None


@dataclass(frozen=True)
class Answer:
    """What a question says of two models or datasets; the columns of the table `worth`.

    ``state`` is liquid, temperature, property and species. ``interval`` is that of the difference, of the question ``framework``
    that of the ratio of frames; None where there is no test.
    """

    question: str
    state: tuple[str, float | None, str, str | None]
    a: Side
    b: Side
    seeds: int
    verdict: str = "not converged"
    unit: str | None = None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    ratio: Ratio | None = None
    p_value: float | None = None
    interval: Interval | None = None
    p_holm: float | None = None
    holm_low: float | None = None
    holm_high: float | None = None
    reason: str | None = None
    first_reason: str | None = None
    reasons: int | None = None

    def because(self, reasons: Sequence[str]) -> "Answer":
        """Return the answer with all reasons, the first of them, and how many there are."""
        first = reasons[0] if reasons else None
        return replace(self, reason="; ".join(reasons) or None, first_reason=first, reasons=len(reasons))

    def row(self) -> dict[str, object]:
        """Return the row of the table `worth`."""
        liquid, temperature_K, quantity, species = self.state
        of_frames = self.question == "framework"
        return {
            "question": self.question,
            "liquid": liquid,
            "temperature_K": temperature_K,
            "property": quantity,
            "species": species,
            "model_a": self.a.name,
            "model_b": self.b.name,
            "frames_a": self.a.frames,
            "frames_b": self.b.frames,
            "labels_core_h_a": self.a.labels_core_h,
            "labels_core_h_b": self.b.labels_core_h,
            "error_a": self.a.error,
            "error_b": self.b.error,
            "difference": self.difference,
            "ci95_low": self.low,
            "ci95_high": self.high,
            "unit": self.unit,
            "frames_ratio": self.ratio.value if self.ratio else None,
            "frames_ratio_ci95_low": self.ratio.low if self.ratio else None,
            "frames_ratio_ci95_high": self.ratio.high if self.ratio else None,
            "seeds": self.seeds,
            "p_value": self.p_value,
            "p_holm": self.p_holm,
            "holm_low": None if of_frames else self.holm_low,
            "holm_high": None if of_frames else self.holm_high,
            "frames_ratio_holm_low": self.holm_low if of_frames else None,
            "frames_ratio_holm_high": self.holm_high if of_frames else None,
            "verdict": self.verdict,
            "reason": self.reason,
            "model_id_a": self.a.model,
            "mixture_a": self.a.mixture,
            "model_id_b": self.b.model,
            "mixture_b": self.b.mixture,
            "first_reason": self.first_reason,
            "reasons": self.reasons,
        }


# --- Two points against each other ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Difference:
    """The error of one point less that of another, the p-value of there being none, and its interval at any level."""

    value: float
    p_value: float
    interval: Callable[[float], tuple[float, float]]


def difference_of(a: Point, b: Point) -> Difference | None:
    """Return the error of a less that of b, None where it is not known."""
    if a.quantity in OF_LIQUID:
        return closer(a.group, b.group, a.truth)
    if a.quantity == "survival":
        shares = difference_of_shares(a.broken, a.planned, b.broken, b.planned)

        def interval_of_shares(level: float) -> tuple[float, float]:
            at_level = difference_of_shares(a.broken, a.planned, b.broken, b.planned, level)
            return at_level.low, at_level.high

        return Difference(shares.value, shares.p_value, interval_of_shares)
    made = verdicts.compare(a.group, b.group)
    if made.difference is None or made.interval() is None:
        return None
    return Difference(made.difference, made.p_value, lambda level: made.interval(level) or (math.nan, math.nan))


def closer(a: Group, b: Group, truth: Group | None) -> Difference | None:
    """Return how much farther a is from the truth than b, with the p-value of "neither is closer"; None where it is not known.

    |a - t| - |b - t| is linear once it is known on which sides of t the two lie; the p-value is the larger of those of a = b
    and of t = (a + b) / 2, which need no sides (as in `verdicts.compare_runs`).
    """
    off_a, off_b = offset(a, truth), offset(b, truth)
    if off_a is None or off_b is None:
        return None
    side_a, side_b = (1.0 if off.value >= 0 else -1.0 for off in (off_a, off_b))
    apart, middle = combined(a, b, truth, (1.0, -1.0)), combined(a, b, truth, (0.5, 0.5))
    estimate = combined(a, b, truth, (side_a, -side_b))
    return Difference(estimate.value, max(apart.p_value(), middle.p_value()), estimate.interval)


def combined(a: Group, b: Group, truth: Group | None, weights: tuple[float, float]) -> Estimate:
    """Return w_a a + w_b b - (w_a + w_b) t, box by box where all three share two; t is the truth, else the reference."""
    rest = sum(weights)
    if truth is not None and rest and a.behind is not None and b.behind is not None and truth.behind is not None:
        same = a.model == b.model
        pairs = paired(a.behind, b.behind, weights, same, others=[(-rest, truth.behind)])
        if pairs is not None and math.isfinite(pairs[0].standard_error):
            return pairs[0]
    both, _ = verdicts.weighted(a, b, weights)
    if truth is None:
        both = both.plus(weights[0] * a.shift + weights[1] * b.shift)
    if not rest:
        return both
    other = truth.estimate if truth is not None else a.reference.estimate() if a.reference else None
    if other is None:
        raise ValueError(f"{a.name}: neither a truth nor a reference")
    return difference(both, other.times(rest))


def side_of(point: Point) -> Side:
    """Return a point as one side of an answer."""
    group = point.group
    return Side(point.name, group.model, point.mixture, point.frames, point.labels_core_h, point.error)


def side_of_curve(curve: list[Point]) -> Side:
    """Return a curve of one model and mixture as one side of an answer."""
    model, mixture = curve[0].group.model, curve[0].mixture
    return Side(label(model, mixture), model, mixture, max(point.frames for point in curve))


def against(question: str, a: Point, b: Point) -> Answer:
    """Return the answer of two points, before the correction for many tests."""
    seeds = min(a.seeds, b.seeds)
    answer = Answer(question, a.state, side_of(a), side_of(b), seeds, unit=a.group.unit)
    notes = [f"{point.name}: {point.reason}" for point in (a, b) if point.reason and not point.converged]
    few = [point.name for point in (a, b) if point.seeds < 2]
    notes += [f"{' and '.join(few)}: one training seed is no claim"] if few else []
    apart = difference_of(a, b)
    if apart is None:
        return answer.because(notes or ["no interval"])
    answer = replace(answer, difference=apart.value)
    low, high = apart.interval(LEVEL)
    if not (math.isfinite(low) and math.isfinite(high)):
        return answer.because(notes or ["no interval"])
    answer = replace(answer, low=low, high=high)
    if not (a.converged and b.converged) or few:
        return answer.because(notes or ["no interval"])
    tested = replace(answer, p_value=apart.p_value, verdict="not distinguishable", interval=apart.interval)
    return tested.because(notes)


def decide(answers: list[Answer]) -> list[Answer]:
    """Correct the p-values and intervals of each question and property, and put verdicts: is the error of a lower?"""
    families: dict[tuple[str, str], list[int]] = {}
    for i, answer in enumerate(answers):
        if answer.p_value is not None:
            families.setdefault((answer.question, answer.state[2]), []).append(i)
    decided = list(answers)
    for family in families.values():
        p_values = [p for i in family if (p := answers[i].p_value) is not None]
        for i, p, level in zip(family, holm(p_values), holm_levels(p_values), strict=True):
            decided[i] = corrected(answers[i], p, level, len(family))
    return decided


def corrected(answer: Answer, p: float, level: float, tests: int) -> Answer:
    """Return one of several tested answers with its verdict, its p-value after the correction and the interval at its level.

    Some tests ask for more than their interval does (which side of the truth is an error on? Fisher's of two shares):
    what they do not find, the interval must not claim, so that it is widened to 0.
    """
    if answer.interval is None or answer.difference is None or answer.p_value is None:
        raise ValueError(f"{answer.a.name} and {answer.b.name} were not tested")
    is_told = p < LEVEL
    low, high = answer.interval(level)
    if answer.question != "framework" and low is not None and high is not None:
        is_told = is_told and not low <= 0 <= high
        low, high = (low, high) if is_told else (min(low, 0.0), max(high, 0.0))
    answer = replace(answer, p_holm=p, holm_low=low, holm_high=high)
    if is_told:
        return replace(answer, verdict="better" if (answer.difference or 0.0) < 0 else "worse")
    if (answer.p_value or 0.0) < LEVEL:
        return replace(answer, reason=f"the interval excludes 0, but not after Holm's correction over {tests} tests")
    return answer


# --- The three questions --------------------------------------------------------------------------------------------


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


def assay(t: Tables, a: list[Point], b: list[Point]) -> Answer:
    """Return the answer of two curves, each of two numbers of frames or more."""
    seeds = min(point.seeds for point in (*a, *b))
    answer = Answer("framework", a[0].state, side_of_curve(a), side_of_curve(b), seeds)
    poor = [f"{point.name}: {point.reason}" for point in (*a, *b) if not point.converged]
    if poor or seeds < 2:
        return answer.because(poor or ["one training seed is no claim"])
    x, y, second = [], [], []
    for number, line in enumerate((a, b)):
        for point in line:
            for error in errors_of_seeds(t, point).values():
                x.append(math.log(point.frames))
                y.append(math.log(max(error, 1e-12)))
                second.append(float(number))
    lines = np.array(x), np.array(y), np.array(second)
    ratio = parallel_lines(*lines)

    def interval(level: float) -> tuple[float | None, float | None]:
        at_level = parallel_lines(*lines, level)
        return at_level.low, at_level.high

    # the difference is that of ln errors at equal frames: what the verdict is about
    return replace(
        answer, verdict="not distinguishable", difference=ratio.level, ratio=ratio, p_value=ratio.p_value, interval=interval,
        reason=ratio.reason,
    )  # fmt: skip


def errors_of_seeds(t: Tables, point: Point) -> dict[object, float]:
    """Return the error of each training seed of a point."""
    group, of_model = point.group, (pl.col("model") == point.group.model, pl.col("dataset") == point.group.dataset)
    if point.quantity == "force_rmse":
        whole = t["errors"].filter(
            *of_model, pl.col("split") == "test", pl.col("quantity") == "force", pl.col("scope") == "all"
        )
        return dict(whole.select("seed", "rmse").drop_nulls().sort("seed").iter_rows())
    if point.quantity == "scan_energy_rmse":
        scan = t["scan"].filter(*of_model)
        (squares,) = scan_points(scan, group.liquid).values()
        seeds = dict(scan.select("model_key", "seed").unique().iter_rows())
        return {seeds[key]: math.sqrt(float(squares[key].mean())) for key in seeds_in(squares)}  # type: ignore[arg-type]
    if group.behind is None:
        return {}
    true = point.truth.estimate if point.truth else None
    target = true.value if true else group.reference.value - group.shift if group.reference else math.nan
    values: dict[object, list[float]] = {}
    for value, seed in zip(group.behind.values, group.behind.seeds, strict=True):
        values.setdefault(seed, []).append(value)
    return {seed: abs(float(np.mean(v)) - target) for seed, v in sorted(values.items(), key=str)}


# --- All together ---------------------------------------------------------------------------------------------------


def learning_and_worth(
    t: Tables,
    groups: Mapping[str, Sequence[Group]],
    datasets: Mapping[str, Sequence[str]],
    truth: str | None,
    mixtures: Mapping[str, str],
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the tables `learning` and `worth`.

    ``groups``: what verdicts are made from, by property; ``datasets`` the kinds of each mixture; ``truth`` and ``mixtures`` as
    in `learning.points`.
    """
    curve = points(t, groups, truth, mixtures)
    answers = decide([*about_kinds(curve, datasets), *about_frames(curve), *about_frameworks(t, curve)])
    learning, worth = [point.row() for point in curve], [answer.row() for answer in answers]
    return pl.DataFrame(learning, schema=LEARNING), pl.DataFrame(worth, schema=WORTH)
