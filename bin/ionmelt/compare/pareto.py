"""Error against cost: what a model took to make and to run, and which models are not beaten by a cheaper one.

The cost of a model is that of its labels, of its training and of one nanosecond of dynamics of the box (`cost`); a model is
cheaper only where neither its core-hours nor its GPU-hours are larger.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import polars as pl

from ionmelt.compare.cost import Hours, dynamics_hours, label_hours, mean, runs_of, start_weighs, training_hours
from ionmelt.compare.curves import undertrained
from ionmelt.compare.groups import Row, grouped, held_alike, label, shift_error_of, shift_of
from ionmelt.compare.scope import too_short
from ionmelt.compare.statistics import Z95
from ionmelt.compare.summary import LIQUID_UNITS
from ionmelt.models.card import Card
from ionmelt.tables.comparison import PARETO

# What stands in `front`; the first three: it is not judged.
NOT_CONVERGED, UNDERTRAINED, COST_UNKNOWN = "not converged", "undertrained", "cost unknown"
TOO_SHORT = ": the start of runs so short is much of what they took"
YES, NO, UNDECIDED = "yes", "no", "undecided"


@dataclass(frozen=True)
class Error:
    """An error with the ends of its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Cost:
    """What a model took; None: not known."""

    labels_core_h: float | None
    training: Hours | None
    dynamics: Hours | None  # of a nanosecond

    @property
    def unknown(self) -> list[str]:
        """The names of the costs that are not known."""
        costs = {"labels": self.labels_core_h, "training": self.training, "dynamics": self.dynamics}
        return [name for name, cost in costs.items() if cost is None]

    @property
    def total_core_h(self) -> float | None:
        """The sum of the core-hours, None where one of them is not known."""
        if self.labels_core_h is None or self.training is None or self.dynamics is None:
            return None
        return self.labels_core_h + self.training.core + self.dynamics.core

    @property
    def total_gpu_h(self) -> float | None:
        """The sum of the GPU-hours, None where one of them is not known; labels take none."""
        return self.training.gpu + self.dynamics.gpu if self.training and self.dynamics else None


@dataclass(frozen=True)
class Candidate:
    """A model in a state, with its error in a property and its cost: the columns of the table `pareto`.

    ``state`` is liquid, temperature, property and species. ``front`` is None until it is judged.
    """

    state: tuple[str, float | None, str, str | None]
    model: str
    dataset: str | None
    unit: str
    error: Error | None
    cost: Cost
    front: str | None = None
    reason: str | None = None

    @property
    def name(self) -> str:
        """The model with its dataset."""
        return label(self.model, self.dataset)

    def row(self) -> dict[str, object]:
        """Return the row of the table."""
        liquid, temperature_K, quantity, species = self.state
        error, cost = self.error, self.cost
        return {
            "liquid": liquid,
            "temperature_K": temperature_K,
            "property": quantity,
            "species": species,
            "model": self.model,
            "dataset": self.dataset,
            "error": error.value if error else None,
            "ci95_low": error.low if error else None,
            "ci95_high": error.high if error else None,
            "unit": self.unit,
            "labels_core_h": cost.labels_core_h,
            "training_core_h": cost.training.core if cost.training else None,
            "training_gpu_h": cost.training.gpu if cost.training else None,
            "md_core_h_per_ns": cost.dynamics.core if cost.dynamics else None,
            "md_gpu_h_per_ns": cost.dynamics.gpu if cost.dynamics else None,
            "total_core_h": cost.total_core_h,
            "total_gpu_h": cost.total_gpu_h,
            "front": self.front,
            "reason": self.reason,
        }


def error_of(row: Row) -> Error | None:
    """Return the error of a row of the table `summary`: of a property of the liquid its distance from the reference."""
    if row["property"] in LIQUID_UNITS:
        return distance(row)
    return None if row["standard_error"] is None else Error(row["value"], row["ci95_low"], row["ci95_high"])


def distance(row: Row) -> Error | None:
    """Return |value - reference| with the ends of its 95 % interval, the reference's own range included."""
    if row["value"] is None or row["standard_error"] is None or row["reference"] is None:
        return None
    # the interval's half-width holds the degrees of freedom, the reference's is a normal one: joined in quadrature
    half = math.hypot((row["ci95_high"] - row["ci95_low"]) / 2, Z95 * shift_error_of(row))
    if row["reference_low"] is not None and row["reference_high"] is not None:
        half = math.hypot(half, (row["reference_high"] - row["reference_low"]) / 2)
    off = abs(row["value"] + shift_of(row) - row["reference"])
    return Error(off, max(0.0, off - half), off + half)


def candidates(
    t: dict[str, pl.DataFrame], cards: Sequence[Card], truth: str | None, timestep_fs: float | None = None
) -> list[Candidate]:
    """Return the models that have an error, or should have one, with their costs; most are not judged yet."""
    training, labels, short = training_hours(t["cost"], cards), label_hours(t), undertrained(t["trainings"])
    made = t["errors"].select("model_key", "model", "dataset").unique().sort("model_key").rows()
    keys: dict[tuple[str, str | None], set[str]] = {}
    for key, model, dataset in [*made, *((card.id, card.model, card.dataset) for card in cards)]:
        keys.setdefault((model, dataset), set()).add(key)
    models = []
    for row in rows_with_errors(t["summary"], truth):
        model, dataset = row["model"], row["dataset"]
        trained = [training[key] for key in sorted(keys.get((model, dataset), ())) if key in training]
        is_made_here = dataset is not None
        of = model, dataset, row["liquid"], row["temperature_K"]
        weighs = start_weighs(runs_of(t, *of), timestep_fs)
        cost = Cost(
            labels.get(dataset) if is_made_here else 0.0,
            mean(trained) or (None if is_made_here else Hours()),
            None if weighs else dynamics_hours(t, *of),
        )
        state = row["liquid"], row["temperature_K"], row["property"], row["species"]
        candidate = Candidate(state, model, dataset, row["unit"], error_of(row), cost)
        if not row["converged"] or candidate.error is None:
            candidate = replace(candidate, front=NOT_CONVERGED, reason=row["reason"])
        elif seeds := short.get((model, dataset)):
            candidate = replace(candidate, front=UNDERTRAINED, reason=too_short(seeds))
        elif cost.unknown:
            why = f"the cost of {' and '.join(cost.unknown)} is not known" + TOO_SHORT * weighs
            candidate = replace(candidate, front=COST_UNKNOWN, reason=why)
        models.append(candidate)
    return models


def rows_with_errors(summary: pl.DataFrame, truth: str | None) -> list[Row]:
    """Return the rows of the table `summary` that hold the errors of models, in each state all against the same.

    The forces of ``truth``, which made the labels, have none by construction.
    """
    forces = pl.col("property") == "force_rmse"
    rows = summary.filter(forces & pl.col("model").ne_missing(pl.lit(truth, pl.String))).to_dicts()
    of_liquid = summary.filter(pl.col("property").is_in(list(LIQUID_UNITS)) & pl.col("reference").is_not_null())
    for _, of_state in grouped(of_liquid, ["liquid", "temperature_K", "property", "species"]):
        rows += held_alike(of_state)
    return rows


def table(
    t: dict[str, pl.DataFrame], cards: Sequence[Card], truth: str | None = None, timestep_fs: float | None = None
) -> pl.DataFrame:
    """Return the table `pareto`: a row per state, property and model that has an error, of the liquid and of the forces.

    ``truth``: the model that is the method of the labels itself, None where none is. ``timestep_fs``: of the dynamics; without it
    runs count as long enough for their start not to weigh.

    ``front`` says whether it is on the front. ``yes``: it is better than every cheaper model beyond the error (the cheapest one
    has none to beat). ``no``: some cheaper model is better beyond the error. ``undecided``: the data cannot tell. "Beyond the
    error" is what the verdict on the two says, and where they were not compared (two things differ), that their intervals do
    not overlap.
    """
    models, winners = candidates(t, cards, truth, timestep_fs), winners_of(t["verdicts"])
    judged = [model if model.front is not None else judge(model, models, winners) for model in models]
    return pl.DataFrame([model.row() for model in judged], schema=PARETO)


Winners = dict[tuple[str, float | None, str, str | None, frozenset[str]], str | None]


def winners_of(verdicts: pl.DataFrame) -> Winners:
    """Return the name of the better one of each pair that has a verdict, by state and pair; None: no verdict for either."""
    winners: Winners = {}
    for v in verdicts.to_dicts():
        pair = v["liquid"], v["temperature_K"], v["property"], v["species"], frozenset((v["model_a"], v["model_b"]))
        winners[pair] = {"a": v["model_a"], "b": v["model_b"]}.get(v["verdict"])
    return winners


def judge(model: Candidate, models: Sequence[Candidate], winners: Winners) -> Candidate:
    """Return a model with what its cheaper rivals make of it."""
    beaten_by, open_against = [], []
    for other in models:
        if other.state != model.state or other.front is not None or not is_cheaper(other, model):
            continue
        pair = (*model.state, frozenset((model.name, other.name)))
        better = winners[pair] if pair in winners else lower(model, other)
        if better == other.name:
            beaten_by.append(other.name)
        elif better != model.name:
            open_against.append(other.name)
    if beaten_by:
        return replace(model, front=NO, reason=f"{' and '.join(sorted(beaten_by))}: cheaper and better")
    if open_against:
        why = f"{' and '.join(sorted(open_against))}: cheaper, and as good as can be told"
        return replace(model, front=UNDECIDED, reason=why)
    return replace(model, front=YES)


def is_cheaper(a: Candidate, b: Candidate) -> bool:
    """Tell whether a costs less than b: not more of either kind of hour, and less of one."""
    pairs = ((a.cost.total_core_h, b.cost.total_core_h), (a.cost.total_gpu_h, b.cost.total_gpu_h))
    hours = [(x, y) for x, y in pairs if x is not None and y is not None]
    return len(hours) == len(pairs) and any(x != y for x, y in hours) and all(x <= y for x, y in hours)


def lower(a: Candidate, b: Candidate) -> str | None:
    """Return the name of the one of lower error where the intervals do not overlap, else None."""
    if a.error is None or b.error is None:
        return None
    if a.error.high < b.error.low:
        return a.name
    return b.name if b.error.high < a.error.low else None
