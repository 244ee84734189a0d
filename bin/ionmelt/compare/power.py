"""What a study can decide, before its trainings and runs are paid for: from how much its classical liquids fluctuate.

A difference of two models is *detectable* where the test of the report (`statistics.paired`, at the level that the correction for many
tests may leave) finds it in 8 of 10 studies, and alike models are *equivalent* within a margin where two one-sided tests say so in 8 of 10.
Both are multiples of the error of one run and depend on the design alone (seeds, boxes): `reach` finds them by simulating that test. The
error of one run comes from the equilibrated liquid: of a mean it falls as the root of the length. Trainings are taken as alike: what their
seeds add makes all of it worse, so that what cannot be decided here cannot be decided at all.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache

import numpy as np
import polars as pl

from ionmelt.compare.box_spread import box_spread
from ionmelt.compare.groups import Row
from ionmelt.compare.scope import BOXES, SEEDS
from ionmelt.compare.statistics import LEVEL, Estimate, Runs, combine, difference, paired
from ionmelt.distributions import student_limit
from ionmelt.measure.observables import NAMED, OBSERVABLES
from ionmelt.tables.comparison import POWER

STUDIES = 1000  # simulated ones, each also with all signs turned
SHARE = 0.8  # of them that decide
DOF = 20.0  # of the error of a run that is not known better


@dataclass(frozen=True)
class Fluctuation:
    """A property of one equilibrated liquid: its value, and the standard error of a run as long as the study's, in the property's unit.

    ``dof``: degrees of freedom of that error. ``reason`` says why there is none.
    """

    liquid: str
    temperature_K: float
    quantity: str
    species: str | None
    value: float | None
    run_error: float | None
    dof: float = DOF
    reason: str | None = None


@dataclass(frozen=True)
class Side:
    """One of two models: training seeds, boxes, and how many times as long it runs."""

    seeds: int
    boxes: int
    times: float = 1.0


@dataclass(frozen=True)
class Contest:
    """Two sides and what they are called; ``models``: how many share their boxes, and tell how much boxes differ (`box_spread`)."""

    about: str
    a: Side
    b: Side
    models: int = 2

    @property
    def is_allowed(self) -> bool:
        """Whether the design may give a verdict: one on methods needs seeds and boxes."""
        return self.about == UNTRAINED or (self.a.seeds >= SEEDS and self.a.boxes >= BOXES)


TRAINED, AGAINST_TRUTH, UNTRAINED = "two trained models", "a trained model and the truth", "two models from elsewhere"


def contests(seeds: int, boxes: int, trained: int, others: int, truth_times: float | None) -> list[Contest]:
    """Return what a study compares; ``trained`` and ``others``: how many models; ``truth_times``: None where the truth is not run."""
    many, one, models = Side(seeds, boxes), Side(1, boxes), max(2, trained + others)
    made = [Contest(TRAINED, many, many, models)] if trained > 1 else []
    if trained and truth_times is not None:
        made.append(Contest(AGAINST_TRUTH, many, Side(1, boxes, truth_times), models))
    if others > 1:
        made.append(Contest(UNTRAINED, one, one, models))
    return made


def simulated(rng: np.random.Generator, side: Side, dof: float) -> Runs:
    """Return the runs of one side where all models are alike and the error of a run is one."""
    labels = [(seed, box) for box in range(side.boxes) for seed in range(side.seeds)]
    error = 1 / math.sqrt(side.times)
    seen = error * np.sqrt(rng.chisquare(dof, len(labels)) / dof)
    values = rng.normal(0, error, len(labels))
    return Runs([*values], [*seen], [seed for seed, _ in labels], [box for _, box in labels], [dof] * len(labels))


@cache
def reach(a: Side, b: Side, tests: int, dof: float = DOF, models: int = 2, seed: int = 1) -> tuple[float, float]:
    """Return the detectable difference and the margin of equivalence, in errors of one run; `tests` share the level, `models` the boxes."""
    rng = np.random.default_rng(seed)
    detectable, equivalent = [], []
    for _ in range(STUDIES):
        runs_a, runs_b = simulated(rng, a, dof), simulated(rng, b, dof)
        others = [simulated(rng, a, dof) for _ in range(models - 2)]
        pairs = paired(runs_a, runs_b, common=box_spread([runs_a, runs_b, *others]))
        delta = pairs[0] if pairs is not None else difference(*(alone(runs) for runs in (runs_a, runs_b)))
        half = student_limit(LEVEL / tests / 2, delta.dof) * delta.standard_error
        detectable += [half - delta.value, half + delta.value]
        equivalent.append(abs(delta.value) + student_limit(LEVEL, delta.dof) * delta.standard_error)
    return float(np.quantile(detectable, SHARE)), float(np.quantile(equivalent, SHARE))


def alone(runs: Runs) -> Estimate:
    """Return the estimate of the runs of one box."""
    return combine(runs.values, runs.standard_errors, [runs.seeds, runs.replicas], runs.dofs)


def power_rows(
    fluctuations: Iterable[Fluctuation], compared: Sequence[Contest], tests: int, margins: dict[str, float]
) -> Iterator[dict[str, object]]:
    """Yield the rows of the table `power`; ``margins``: by property, the share of its value that does not matter."""
    for seen in fluctuations:
        for contest in compared:
            row: dict[str, object] = {
                **{key: value for key, value in asdict(seen).items() if key in POWER},
                "property": seen.quantity,
                "unit": NAMED[seen.quantity].unit,
                "about": contest.about,
                "runs_a": contest.a.seeds * contest.a.boxes,
                "runs_b": contest.b.seeds * contest.b.boxes,
                "tests": tests,
            }
            margin = margins.get(seen.quantity)
            if margin is not None:
                row["margin_percent"] = 100 * margin
            if not contest.is_allowed:
                row["reason"] = f"fewer than {SEEDS} training seeds or {BOXES} boxes: the design cannot decide"
            elif seen.reason is None and seen.run_error is not None and seen.value:
                row |= reached(seen.run_error, seen.value, contest, tests, seen.dof, margin)
            yield row


def reached(
    run_error: float, value: float, contest: Contest, tests: int, dof: float, margin: float | None
) -> dict[str, object]:
    """Return what a contest decides, and how many times as long runs would have to be for the margin."""
    detectable, within = reach(contest.a, contest.b, tests, float(round(min(dof, 200.0))), contest.models)
    percent = 100 * run_error / abs(value)
    columns: dict[str, object] = {
        "detectable": detectable * run_error,
        "detectable_percent": detectable * percent,
        "equivalent_percent": within * percent,
    }
    if margin is not None:
        columns["length_times"] = max(1.0, (within * percent / (100 * margin)) ** 2)
    return columns


def table(rows: Iterable[dict[str, object]]) -> pl.DataFrame:
    """Return the table `power`."""
    order = {observable.name: position for position, observable in enumerate(OBSERVABLES)}
    made = pl.DataFrame(list(rows), schema=POWER)
    by = [
        pl.col("liquid"),
        pl.col("temperature_K"),
        pl.col("property").replace_strict(order, default=99),
        pl.col("species"),
    ]
    return made.sort(*by, "about", nulls_last=False, maintain_order=True)


def sentences(power: pl.DataFrame) -> list[str]:
    """Say what can be decided, a line for each property of each liquid."""
    lines: list[str] = []
    keys = ["liquid", "temperature_K", "property", "species"]
    for values, rows in power.group_by(keys, maintain_order=True):
        liquid, kelvin, quantity, species = values
        name = f"{liquid} at {kelvin:g} K: {NAMED[str(quantity)].words}" + (f" of {species}" if species else "")
        lines.append(f"{name}: " + "; ".join(clause(row) for row in rows.to_dicts()))
    return lines


def clause(row: Row) -> str:
    """Say what one contest decides."""
    if row["detectable_percent"] is None:
        return f"{row['about']}: {row['reason']}"
    text = f"{row['about']} from {row['detectable_percent']:.2g} % on"
    if row["margin_percent"] is None:
        return text
    text += f", equivalent within {row['equivalent_percent']:.2g} %"
    if row["length_times"] > 1:
        return f"{text}: the margin of {row['margin_percent']:g} % needs runs {row['length_times']:.2g} times as long"
    return f"{text} (margin {row['margin_percent']:g} %)"
