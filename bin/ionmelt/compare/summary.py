"""Combine the runs of each model into one number with its error: groups of the liquid's properties, and tables of numbers.

The runs of a group (replicas, training seeds) are combined by `statistics.combine`. A group is converged when every planned run of
it has a converged measurement; a run that broke, failed or never ran makes the group not converged (the survivors alone would
be a biased sample), yet the mean of what was measured is still shown.
"""

import math
from dataclasses import dataclass

import polars as pl

from ionmelt.compare.groups import Group, Row, counted, finite, grouped, reference_at
from ionmelt.compare.statistics import Estimate, Runs, combine
from ionmelt.measure.observables import NAMED, OBSERVABLES

# properties of the liquid that have verdicts, with the unit of their tables
LIQUID_UNITS = {observable.name: observable.unit for observable in OBSERVABLES}


def summarise_runs(rows: pl.DataFrame, quantity: str, references: pl.DataFrame) -> list[Group]:
    """Combine the runs of each group.

    ``rows``: one run (and species) each, with liquid, model, dataset, framework, temperature_K, species,
    seed, replica, value, standard_error, dof, correction, converged, reason, and needed_ps where it is known.
    """
    keys = ["liquid", "temperature_K", "species", "model", "dataset", "framework"]
    return [group_of(key, runs, quantity, references) for key, runs in grouped(rows, keys)]


def group_of(key: Row, runs: list[Row], quantity: str, references: pl.DataFrame) -> Group:
    """Return the group of runs that share ``key``."""
    used = [run for run in runs if finite(run["value"]) is not None]
    poor = [run for run in runs if run not in used or not run["converged"]]
    behind = Runs(
        [run["value"] for run in used],
        [error_of(run) for run in used],
        [run["seed"] for run in used],
        [run["replica"] for run in used],
        [run["dof"] if finite(run["dof"]) else math.inf for run in used],
    )
    estimate = None
    if used:
        estimate = combine(behind.values, behind.standard_errors, [behind.seeds, behind.replicas], behind.dofs)
    corrections = [run["correction"] for run in used]
    corrected = bool(used) and all(finite(c) is not None for c in corrections)
    correction = sum(corrections) / len(used) if corrected else None
    notes = notes_on_runs(runs, poor, is_trained=key["dataset"] is not None, seeds=len({run["seed"] for run in used}))
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
        needed_ps=max((r["needed_ps"] for r in poor if finite(r.get("needed_ps")) is not None), default=None),
        reference=reference_at(references, key["liquid"], quantity, key["species"], key["temperature_K"]),
        correction=correction,
        behind=behind,
    )


def error_of(run: Row) -> float:
    """Return the standard error of a run, not-a-number where it has none."""
    return math.nan if finite(run["standard_error"]) is None else float(run["standard_error"])


def notes_on_runs(runs: list[Row], poor: list[Row], is_trained: bool, seeds: int) -> list[str]:
    """Say which runs are not converged, or else what a single run or a single training seed leaves out."""
    if poor:
        share = "" if len(runs) == 1 else f"{len(poor)} of {len(runs)} runs: "
        return [share + counted(run["reason"] or "no reason" for run in poor)]
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
    for key, runs in grouped(frame, ["liquid", "temperature_K", *keys, "unit", "model", "dataset"]):
        used = [run for run in runs if finite(run["value"]) is not None]
        poor = [run for run in runs if run not in used or not run["converged"]]
        number = number_of(runs, used)
        reason = counted(run["reason"] or "no reason given" for run in poor)
        rows.append(
            key
            | {"value": number.value, "ci95_low": number.low, "ci95_high": number.high}
            | {"runs": len(used), "planned_runs": len(runs)}
            | {"converged": not poor and number.low is not None, "reason": reason or None}
        )
    return rows


def number_of(runs: list[Row], used: list[Row]) -> Interval:
    """Combine runs, of which ``used`` have a value.

    One run keeps its own interval, which need not be symmetric; several are combined as `summarise_runs` does.
    Where every run has a lower bound only (a time longer than the run), the lowest of them is the bound.
    """
    if len(used) == 1:
        return Interval(*(finite(used[0][c]) for c in ("value", "ci95_low", "ci95_high")))
    if used:
        factors = [[run["seed"] for run in used], [run["replica"] for run in used]]
        estimate: Estimate = combine([run["value"] for run in used], [error_of(run) for run in used], factors)
        return Interval(estimate.value, *(estimate.interval() if math.isfinite(estimate.standard_error) else ()))
    bounds = [run["ci95_low"] for run in runs if finite(run["ci95_low"]) is not None]
    return Interval(low=min(bounds)) if bounds and len(bounds) == len(runs) else Interval()
