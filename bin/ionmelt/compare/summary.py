"""Combine the runs of each model into one number with its error: groups of the liquid's properties, and tables of numbers.

The runs of a group (replicas, training seeds) are combined by `statistics.combine`. A group is converged when every planned run of
it has a converged measurement; a run that broke, failed or never ran makes the group not converged (the survivors alone would
be a biased sample), yet the mean of what was measured is still shown.
"""

import math
from dataclasses import dataclass

import polars as pl

from ionmelt.compare.groups import Group, Row, counted, finite, grouped, reference_at
from ionmelt.compare.statistics import Runs, combine
from ionmelt.measure.observables import NAMED, OBSERVABLES

# properties of the liquid that have verdicts, with the unit of their tables
LIQUID_UNITS = {observable.name: observable.unit for observable in OBSERVABLES}


@dataclass(frozen=True)
class Run:
    """A number of one run; not-a-number stands for a value or an error that it does not have.

    ``correction`` is that for the size of the box, ``needed_ps`` how long the run should be to converge.
    """

    value: float
    standard_error: float
    low: float | None
    high: float | None
    dof: float
    seed: int | None
    replica: int | None
    converged: bool
    reason: str | None
    correction: float | None
    needed_ps: float | None

    @property
    def is_used(self) -> bool:
        """Whether it has a value."""
        return math.isfinite(self.value)

    @property
    def is_good(self) -> bool:
        """Whether it has a value that is converged."""
        return self.is_used and self.converged


def run_of(row: Row) -> Run:
    """Return the number in a row of a table; a column that the table does not have tells nothing."""
    value, error = finite(row["value"]), finite(row["standard_error"])
    return Run(
        value=math.nan if value is None else value,
        standard_error=math.nan if error is None else error,
        low=finite(row.get("ci95_low")),
        high=finite(row.get("ci95_high")),
        dof=finite(row.get("dof")) or math.inf,
        seed=row["seed"],
        replica=row["replica"],
        converged=bool(row["converged"]),
        reason=row.get("reason"),
        correction=finite(row.get("correction")),
        needed_ps=finite(row.get("needed_ps")),
    )


def summarise_runs(rows: pl.DataFrame, quantity: str, references: pl.DataFrame) -> list[Group]:
    """Combine the runs of each group.

    ``rows``: one run (and species) each, with liquid, model, dataset, framework, temperature_K, species,
    seed, replica, value, standard_error, dof, correction, converged, reason, and needed_ps where it is known.
    """
    keys = ["liquid", "temperature_K", "species", "model", "dataset", "framework"]
    return [
        group_of(key, [run_of(row) for row in of_group], quantity, references) for key, of_group in grouped(rows, keys)
    ]


def group_of(key: Row, runs: list[Run], quantity: str, references: pl.DataFrame) -> Group:
    """Return the group of runs that share ``key``."""
    used = [run for run in runs if run.is_used]
    poor = [run for run in runs if not run.is_good]
    behind = Runs(
        [run.value for run in used],
        [run.standard_error for run in used],
        [run.seed for run in used],
        [run.replica for run in used],
        [run.dof for run in used],
    )
    estimate = None
    if used:
        estimate = combine(behind.values, behind.standard_errors, [behind.seeds, behind.replicas], behind.dofs)
    corrections = [run.correction for run in used if run.correction is not None]
    correction = sum(corrections) / len(used) if used and len(corrections) == len(used) else None
    notes = notes_on_runs(runs, poor, is_trained=key["dataset"] is not None, seeds=len(set(behind.seeds)))
    if NAMED[quantity].correction and used:
        notes.append(note_on_box(correction))
    return Group(
        liquid=key["liquid"],
        temperature_K=key["temperature_K"],
        quantity=quantity,
        species=key["species"],
        model=key["model"],
        dataset=key["dataset"],
        framework=key["framework"],
        unit=LIQUID_UNITS[quantity],
        estimate=estimate,
        converged=not poor and estimate is not None and math.isfinite(estimate.standard_error),
        reason="; ".join(notes) or None,
        runs=len(used),
        planned_runs=len(runs),
        needed_ps=max((run.needed_ps for run in poor if run.needed_ps is not None), default=None),
        reference=reference_at(references, key["liquid"], quantity, key["species"], key["temperature_K"]),
        correction=correction,
        behind=behind,
    )


def notes_on_runs(runs: list[Run], poor: list[Run], is_trained: bool, seeds: int) -> list[str]:
    """Say which runs are not converged, or else what a single run or a single training seed leaves out."""
    if poor:
        share = "" if len(runs) == 1 else f"{len(poor)} of {len(runs)} runs: "
        return [share + counted(run.reason or "no reason" for run in poor)]
    if len(runs) == 1:
        return ["one run: the interval is its own error, without the spread between runs"]
    if is_trained and seeds == 1:
        return ["one model seed: the spread between seeds is not included"]
    return []


def note_on_box(correction: float | None) -> str:
    """Say what the size of the box does to a diffusion coefficient."""
    if correction is None:
        return "no box-size correction (viscosity unknown): expected to be too low against experiment"
    return f"box-size correction {correction:+.2g} m2/s not included; added before comparing with the reference"


@dataclass(frozen=True)
class Interval:
    """A number with its 95 % interval; an end that is None is open, a value that is None lies beyond the other end."""

    value: float | None = None
    low: float | None = None
    high: float | None = None


def summarise_numbers(frame: pl.DataFrame, keys: list[str]) -> list[Row]:
    """Combine the runs of each group of a table of numbers (value, standard_error, interval, unit, converged).

    ``keys`` are the columns that tell one number of the table from another.
    """
    rows = []
    for key, of_group in grouped(frame, ["liquid", "temperature_K", *keys, "unit", "model", "dataset"]):
        runs = [run_of(row) for row in of_group]
        used = [run for run in runs if run.is_used]
        poor = [run for run in runs if not run.is_good]
        number = number_of(runs, used)
        reason = counted(run.reason or "no reason given" for run in poor)
        rows.append(
            key
            | {"value": number.value, "ci95_low": number.low, "ci95_high": number.high}
            | {"runs": len(used), "planned_runs": len(runs)}
            | {"converged": not poor and number.low is not None, "reason": reason or None}
        )
    return rows


def number_of(runs: list[Run], used: list[Run]) -> Interval:
    """Combine runs, of which ``used`` have a value.

    One run keeps its own interval, which need not be symmetric; several are combined as `summarise_runs` does.
    Where every run has a lower bound only (a time longer than the run), the lowest of them is the bound.
    """
    if len(used) == 1:
        return Interval(used[0].value, used[0].low, used[0].high)
    if used:
        factors = [[run.seed for run in used], [run.replica for run in used]]
        estimate = combine([run.value for run in used], [run.standard_error for run in used], factors)
        return Interval(estimate.value, *(estimate.interval() if math.isfinite(estimate.standard_error) else ()))
    bounds = [run.low for run in runs if run.low is not None]
    return Interval(low=min(bounds)) if bounds and len(bounds) == len(runs) else Interval()
