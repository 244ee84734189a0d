"""Combine the runs of each model into one number with its error: groups of the liquid's properties, and tables of numbers.

The runs of a group (replicas, training seeds) are combined by `statistics.combine`, and judged together by `convergence`; a run
that broke, failed or never ran makes the group not converged (the survivors alone would be a biased sample), yet the mean of what
was measured is still shown. A single run is judged by its own tests.
"""

import math
from dataclasses import dataclass

import polars as pl

from ionmelt.compare.convergence import curving, doubts, exponent_of_all, is_unknown
from ionmelt.compare.displacements import Curves, displacements_of, in_common_window
from ionmelt.compare.groups import Group, Row, grouped, reference_at
from ionmelt.compare.runs import Run, run_of
from ionmelt.compare.statistics import Runs, combine
from ionmelt.measure.observables import NAMED, OBSERVABLES
from ionmelt.measure.observables.diffusion import THIS_RUN
from ionmelt.measure.series import MIN_EFFECTIVE

SHARES = ("_fraction", "population")  # how quantities end that are shares
# properties of the liquid that have verdicts, with the unit of their tables
LIQUID_UNITS = {observable.name: observable.unit for observable in OBSERVABLES}


def summarise_runs(
    rows: pl.DataFrame, quantity: str, references: pl.DataFrame, curves: Curves | None = None
) -> list[Group]:
    """Combine the runs of each group; ``curves``: the displacements that diffusion coefficients were fitted to.

    ``rows``: one run (and species) each, with liquid, model, dataset, framework, temperature_K, species,
    seed, replica, value, standard_error, dof, correction, converged, reason, and needed_ps where it is known.
    """
    keys = ["liquid", "temperature_K", "species", "model", "dataset", "framework"]
    return [
        group_of(key, runs_of(of_group, curves or {}), quantity, references) for key, of_group in grouped(rows, keys)
    ]


def runs_of(rows: list[Row], curves: Curves) -> list[Run]:
    """Return the runs of a group: of diffusion, where their displacements are known, in the window that all of them show."""
    return in_common_window([run_of(row) for row in rows], [displacements_of(row, curves) for row in rows])


def group_of(key: Row, runs: list[Run], quantity: str, references: pl.DataFrame) -> Group:
    """Return the group of runs that share ``key``."""
    used = [run for run in runs if run.is_used]
    why = reasons_of(runs)
    behind = runs_behind(used)
    estimate = None
    if used:
        estimate = combine(behind.values, behind.standard_errors, [behind.seeds, behind.replicas], behind.dofs)
    correction, correction_error = mean_correction(used)
    notes = why or notes_on_runs(runs, is_trained=key["dataset"] is not None, seeds=len(set(behind.seeds)))
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
        converged=not why and estimate is not None and math.isfinite(estimate.standard_error),
        reason="; ".join(notes) or None,
        runs=len(used),
        planned_runs=len(runs),
        needed_ps=needed(runs) if why else None,
        reference=reference_at(references, key["liquid"], quantity, key["species"], key["temperature_K"]),
        correction=correction,
        correction_error=correction_error,
        viscosity_source=one_source(used),
        behind=behind,
    )


def runs_behind(used: list[Run]) -> Runs:
    """Return what an estimate is made of."""
    return Runs(
        [run.value for run in used],
        [run.standard_error for run in used],
        [run.seed for run in used],
        [run.replica for run in used],
        [run.dof for run in used],
    )


def mean_correction(used: list[Run]) -> tuple[float | None, float]:
    """Return the mean correction for the size of the box and its standard error; None where a run has none.

    Viscosities of the runs themselves are independent; the spread of what they give counts where it is larger. Where all runs take one
    viscosity, from experiment or given, they share its error.
    """
    corrections = [run.correction for run in used if run.correction is not None]
    if not used or len(corrections) != len(used):
        return None, 0.0
    n, errors = len(used), [run.correction_error for run in used]
    mean = sum(corrections) / n
    if {run.correction_source for run in used} != {THIS_RUN}:
        return mean, sum(errors) / n
    spread = sum((x - mean) ** 2 for x in corrections) / (n - 1) / n if n > 1 else 0.0
    return mean, math.sqrt(max(sum(error**2 for error in errors) / n**2, spread))


def one_source(used: list[Run]) -> str | None:
    """Return what the viscosity of all runs is from, whose error they share; None: they have their own, or several."""
    sources = {run.correction_source for run in used}
    (source,) = sources if len(sources) == 1 else (None,)
    return None if source == THIS_RUN else source


def reasons_of(runs: list[Run]) -> list[str]:
    """Say why runs are not converged: one by its own tests, several by those of all together."""
    if len(runs) > 1:
        return doubts(runs)
    return [] if runs[0].is_good else [runs[0].reason or "no reason"]


def needed(runs: list[Run]) -> float | None:
    """Return how long the runs of a group that is not converged should be; None where that cannot be told.

    Longer runs make nothing of those that broke, and where a run that is not converged names no length, that of the others is too short. Where all
    runs together have too few samples, or know too little of their motion, each adds what it has in a time; otherwise the run that needs most decides.
    """
    lengths = [run.needed_ps for run in runs if not run.converged]
    named = [length for length in lengths if length is not None]
    if not named or len(named) < len(lengths) or not all(run.is_complete for run in runs):
        return None
    effective = [run.effective for run in runs if run.effective is not None]
    is_short = len(effective) == len(runs) and sum(effective) < MIN_EFFECTIVE
    is_short |= is_unknown(exponent_of_all(runs)) and not curving(runs)
    share_alike = is_short and len(named) == len(runs) and all(run.sound for run in runs)
    return 1 / sum(1 / length for length in named) if share_alike else max(named)


def notes_on_runs(runs: list[Run], is_trained: bool, seeds: int) -> list[str]:
    """Say what a single run or a single training seed leaves out."""
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
        number = possible(number_of(runs, used), key)
        why = reasons_of(runs)
        rows.append(
            key
            | {"value": number.value, "ci95_low": number.low, "ci95_high": number.high}
            | {"runs": len(used), "planned_runs": len(runs)}
            | {"converged": not why and number.low is not None, "reason": "; ".join(why) or None}
        )
    return rows


def possible(number: Interval, key: Row) -> Interval:
    """Return a number without what it cannot be: none of these tables is below 0, and no share above 1."""
    is_share = str(key.get("quantity")).endswith(SHARES)
    low, high = number.low, number.high
    return Interval(
        number.value, None if low is None else max(0.0, low), min(1.0, high) if is_share and high is not None else high
    )


def number_of(runs: list[Run], used: list[Run]) -> Interval:
    """Combine runs, of which ``used`` have a value.

    One run keeps its own interval, which need not be symmetric; several are combined as `summarise_runs` does.
    Where every run has a lower bound only (a time longer than the run), the lowest of them is the bound.
    """
    if len(used) == 1:
        return Interval(used[0].value, used[0].low, used[0].high)
    if used:
        factors = [[run.seed for run in used], [run.replica for run in used]]
        dofs = [math.inf if run.effective is None else run.effective - 1 for run in used]
        estimate = combine([run.value for run in used], [run.standard_error for run in used], factors, dofs)
        return Interval(estimate.value, *(estimate.interval() if math.isfinite(estimate.standard_error) else ()))
    bounds = [run.low for run in runs if run.low is not None]
    return Interval(low=min(bounds)) if bounds and len(bounds) == len(runs) else Interval()
