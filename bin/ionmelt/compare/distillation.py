"""What models that were trained on the labels of another gain and lose: how much faster they run than it, and how far they are off.

The other is the method of the labels itself, run as a model of the study (`truth`): a teacher, of whatever kind. The speeds are
those of molecular dynamics (atom-steps in a second of wall time), set against each other box by box.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import polars as pl

from ionmelt.compare.comparison import offset
from ionmelt.compare.cost import Hours, dynamics_hours
from ionmelt.compare.groups import Group
from ionmelt.compare.statistics import Estimate
from ionmelt.tables.comparison import DISTILLATION

FORCES = "force_rmse"


@dataclass(frozen=True)
class Speed:
    """How many times as fast as its teacher a model runs, with the ends of the 95 % interval, and why something is not there."""

    speed_up: float | None = None
    speed_up_ci95_low: float | None = None
    speed_up_ci95_high: float | None = None
    md_core_h_per_ns: float | None = None
    teacher_md_core_h_per_ns: float | None = None
    notes: tuple[str, ...] = ()


def table(t: dict[str, pl.DataFrame], groups: Mapping[str, Sequence[Group]], truth: str | None) -> pl.DataFrame:
    """Return the table `distillation`: a row for each trained model, state and property; none where no truth is run."""
    rows = []
    for group in (group for of in groups.values() for group in of if truth is not None and group.dataset is not None):
        lost, converged, notes = loss(group)
        if lost is None and group.truth is None:
            continue
        assert truth is not None
        ends = lost.interval() if lost is not None and math.isfinite(lost.standard_error) else (None, None)
        fast = asdict(speed(t, group, truth))
        liquid, temperature_K, species = group.state
        rows.append(
            fast
            | {"liquid": liquid, "temperature_K": temperature_K, "property": group.quantity, "species": species}
            | {"model": group.model, "dataset": group.dataset, "teacher": truth, "unit": group.unit}
            | {"difference": lost.value if lost else None, "ci95_low": ends[0], "ci95_high": ends[1]}
            | {"converged": converged, "reason": "; ".join([*notes, *fast["notes"]]) or None}
        )
    return pl.DataFrame([{column: row[column] for column in DISTILLATION} for row in rows], schema=DISTILLATION)


def loss(group: Group) -> tuple[Estimate | None, bool, list[str]]:
    """Return how far a model is off its teacher, whether that may be trusted, and what is to be said of it.

    Of forces that is the error on labels of the teacher; of a property of the liquid the difference, box by box where they share two.
    """
    notes = [group.reason] if group.reason else []
    if group.quantity == FORCES:
        return group.estimate, group.converged, notes
    if group.truth is None:
        return None, False, notes
    notes += [f"{group.truth.model}: {group.truth.reason}"] if group.truth.reason else []
    return offset(group), group.converged and group.truth.converged, notes


def speed(t: dict[str, pl.DataFrame], group: Group, teacher: str) -> Speed:
    """Return how much faster than its teacher a model runs the boxes of its state; `liquid` all: those of every liquid."""
    runs = t["survival"].filter(pl.col("atom_steps_per_s") > 0)
    if group.liquid != "all":
        runs = runs.filter(pl.col("liquid") == group.liquid)
    if group.temperature_K is not None:
        runs = runs.filter((pl.col("temperature_K") - group.temperature_K).abs() < 0.5)
    box = ["liquid", "temperature_K", "replica"]
    logs = pl.col("atom_steps_per_s").log().mean()
    student = runs.filter((pl.col("model") == group.model) & pl.col("dataset").eq_missing(group.dataset))
    both = student.group_by(box).agg(logs.alias("student"))
    both = both.join(runs.filter(pl.col("model") == teacher).group_by(box).agg(logs.alias("teacher")), on=box).sort(box)
    hours, of_teacher = (
        dynamics_hours(t, model, dataset, group.liquid, group.temperature_K)
        for model, dataset in ((group.model, group.dataset), (teacher, None))
    )
    costs = {"md_core_h_per_ns": core_hours(hours), "teacher_md_core_h_per_ns": core_hours(of_teacher)}
    if not both.height:
        return Speed(**costs, notes=("no box that both ran: no speed-up",))
    ratios = both["student"] - both["teacher"]
    devices = {
        str(device) for device in runs.filter(pl.col("model").is_in([group.model, teacher]))["device"].drop_nulls()
    }
    notes = [f"run on different devices ({', '.join(sorted(devices))})"] if len(devices) > 1 else []
    mean = float(ratios.mean())  # type: ignore[arg-type]
    if both.height == 1:
        return Speed(math.exp(mean), **costs, notes=(*notes, "one box: no interval of the speed-up"))
    error = float(ratios.std()) / math.sqrt(both.height)  # type: ignore[arg-type]
    low, high = map(math.exp, Estimate(mean, error, both.height - 1).interval())
    return Speed(math.exp(mean), low, high, **costs, notes=tuple(notes))


def core_hours(hours: Hours | None) -> float | None:
    """Return core-hours; None where they are not known, or an accelerator did the work."""
    return None if hours is None or hours.gpu else hours.core
