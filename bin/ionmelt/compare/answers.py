"""Answers to the questions of `worth`: what they say of two models or datasets, and their correction for many tests."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from ionmelt.compare.groups import label
from ionmelt.compare.learning import Point
from ionmelt.compare.many_tests import holm, holm_levels
from ionmelt.compare.parallel_lines import Ratio
from ionmelt.compare.statistics import LEVEL

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


def side_of(point: Point) -> Side:
    """Return a point as one side of an answer."""
    group = point.group
    return Side(point.name, group.model, point.mixture, point.frames, point.labels_core_h, point.error)


def side_of_curve(curve: list[Point]) -> Side:
    """Return a curve of one model and mixture as one side of an answer."""
    model, mixture = curve[0].group.model, curve[0].mixture
    return Side(label(model, mixture), model, mixture, max(point.frames for point in curve))


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

    @property
    def pair(self) -> tuple[object, ...] | None:
        """The two and the error that they are compared by, as `Comparison.pair`; None: whole curves are."""
        return None if self.question == "framework" else (*self.state, frozenset((self.a.name, self.b.name)))

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


def p_values_of(answers: Iterable[Answer]) -> list[float]:
    """Return the p-values of the answers that have one."""
    return [answer.p_value for answer in answers if answer.p_value is not None]


def decide(answers: list[Answer], others: Sequence[float] = ()) -> list[Answer]:
    """Correct the p-values and intervals of all answers, with ``others`` of the report, and put verdicts: is the error of a lower?"""
    tested = [i for i, answer in enumerate(answers) if answer.p_value is not None]
    p_values = [*p_values_of(answers), *others]
    decided = list(answers)
    for i, p, level in zip(tested, holm(p_values), holm_levels(p_values), strict=False):
        decided[i] = corrected(answers[i], p, level, len(p_values))
    return decided


def corrected(answer: Answer, p: float, level: float, tests: int) -> Answer:
    """Return one of several tested answers with its verdict, its p-value after the correction and the interval at its level.

    Some tests ask for more than their interval does (which side of the truth is an error on? Fisher's of two shares):
    what they do not find, the interval must not claim, so that it is widened to 0.
    """
    difference, p_value = answer.difference, answer.p_value
    if answer.interval is None or difference is None or p_value is None:
        raise ValueError(f"{answer.a.name} and {answer.b.name} were not tested")
    is_told = p < LEVEL
    low, high = answer.interval(level)
    if answer.question != "framework" and low is not None and high is not None:
        is_told = is_told and not low <= 0 <= high
        low, high = (low, high) if is_told else (min(low, 0.0), max(high, 0.0))
    answer = replace(answer, p_holm=p, holm_low=low, holm_high=high)
    if is_told:
        return replace(answer, verdict="better" if difference < 0 else "worse")
    if p_value < LEVEL:
        return replace(answer, reason=f"the interval excludes 0, but not after Holm's correction over {tests} tests")
    return answer
