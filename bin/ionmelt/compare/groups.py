"""Groups: one number of one model in one state of a liquid, with what a verdict on it rests on.

A group is one liquid, temperature, property (and species), model and dataset. Its number is combined from runs (replicas and
training seeds) or, of an error, from the points of a test that the seeds of the model answered.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from ionmelt.compare.box_spread import BoxSpread, box_spread
from ionmelt.compare.lifetimes import Lifetimes
from ionmelt.compare.statistics import Z95, Estimate, Runs
from ionmelt.study import references as study_references

Row = dict[str, Any]

# Properties that are errors of a model, with their units: lower is better, and none is below 0.
ERROR_UNITS = {"force_rmse": "eV/A", "scan_energy_rmse": "eV/atom"}


def label(model: str, dataset: str | None) -> str:
    """Name a model with the dataset it was trained on, as the verdicts and the report call it."""
    return f"{model}-{dataset}" if dataset else model


def finite(value: float | None) -> float | None:
    """Return the number, or None for what is missing or not a number."""
    return None if value is None or not math.isfinite(value) else float(value)


@dataclass(frozen=True)
class Reference:
    """A measured value, or the truth; ``low`` and ``high`` are the ends of its 95 % interval, whatever range the source gives (None: not known)."""

    value: float
    low: float | None
    high: float | None
    source: str
    second_hand: bool
    interpolated: bool = False
    is_truth: bool = False

    def estimate(self) -> Estimate:
        """Return it as an estimate; one without an uncertainty counts as exact, and every reason says so."""
        low, high = finite(self.low), finite(self.high)
        return Estimate(self.value, 0.0 if low is None or high is None else (high - low) / (2 * Z95))

    def words(self) -> str:
        """Return its name for a reason, second-hand ones called so."""
        if self.is_truth:
            return f"the truth is {self.source}"
        kind = "second-hand reference" if self.second_hand else "reference"
        return f"{kind}: {self.source}" + (
            "" if self.low is not None else ", taken as exact: its uncertainty is not known"
        )


def reference_at(
    references: pl.DataFrame, liquid: str, quantity: str, species: str | None, temperature_K: float
) -> Reference | None:
    """Return the reference of a quantity at a temperature (`references.best`), None where there is none."""
    row = study_references.best(references, liquid, quantity, species, temperature_K)
    if row is None:
        return None
    half = None if row["standard_uncertainty"] is None else Z95 * row["standard_uncertainty"]
    low, high = (None, None) if half is None else (row["value"] - half, row["value"] + half)
    return Reference(row["value"], low, high, row["source"], row["second_hand"], row["interpolated"])


@dataclass(frozen=True)
class Group:
    """A number of a model: ``estimate`` is None where nothing gave one, and ``reason`` says what is to be said of it.

    ``runs`` of ``planned_runs`` gave a number (of an error: trained models). ``mixture`` and ``size``: the mixture of the
    study that the dataset is cut from, and to how many frames. ``correction`` is that for the size of the box, which the
    estimate does not hold, ``correction_error`` its standard error, and ``viscosity_source`` what the one viscosity of all runs is from, whose error groups share. ``behind`` are the runs behind the number; ``points`` the errors at each point of the test (`points`),
    of which ``missing`` have no answer. ``hydrogen_mass_u``: the
    mass that hydrogens were given in the runs, of a number that depends on masses. ``spread``: how much the models of this state differ from box to box. ``undertrained``: the training seeds whose trainings say nothing of their framework. ``truth``: the same of the model that is the method of the labels itself, where it was run. ``lifetimes``: how far its runs came, of survival.
    """

    liquid: str
    temperature_K: float | None
    quantity: str
    species: str | None
    model: str
    dataset: str | None
    unit: str
    estimate: Estimate | None
    converged: bool
    reason: str | None = None
    framework: str | None = None
    runs: int = 0
    planned_runs: int = 0
    needed_ps: float | None = None
    reference: Reference | None = None
    correction: float | None = None
    correction_error: float = 0.0
    viscosity_source: str | None = None
    behind: Runs | None = None
    points: pl.DataFrame | None = None
    answered: int | None = None
    missing: int | None = None
    mixture: str | None = None
    size: int | None = None
    hydrogen_mass_u: float | None = None
    undertrained: tuple[int, ...] = ()
    spread: BoxSpread | None = None
    truth: "Group | None" = None
    lifetimes: Lifetimes | None = None

    @property
    def name(self) -> str:
        """The model with its dataset."""
        return label(self.model, self.dataset)

    @property
    def whole(self) -> str | None:
        """The mixture that it was trained on: a dataset that is no cut is its own."""
        return self.mixture or self.dataset

    @property
    def state(self) -> tuple[str, float | None, str | None]:
        """What groups must share to be compared, beside the property: liquid, temperature and species."""
        return self.liquid, self.temperature_K, self.species

    @property
    def shift(self) -> float:
        """What an experiment would see beyond the estimate: the correction for the size of the box, where it is known.

        The truth was simulated in the same boxes.
        """
        return self.shift_to(self.reference)

    def shift_to(self, reference: Reference | None) -> float:
        """Return what is to be added to the estimate before it is held against a reference."""
        return 0.0 if reference is not None and reference.is_truth else self.correction or 0.0

    def shift_error_to(self, reference: Reference | None) -> float:
        """Return the standard error of `shift_to`."""
        return 0.0 if reference is not None and reference.is_truth else self.correction_error

    def words_of(self, reference: Reference) -> str:
        """Return the name of a reference for a reason; that the runs had other masses than an experiment, where that matters, is said."""
        if self.hydrogen_mass_u is None or reference.is_truth:
            return reference.words()
        return f"{reference.words()}; the runs are of other masses: hydrogens of {self.hydrogen_mass_u:g} u"

    @property
    def interval(self) -> tuple[float, float] | None:
        """The ends of the 95 % interval, None where there is none."""
        if self.estimate is None or not math.isfinite(self.estimate.standard_error):
            return None
        low, high = self.estimate.interval()
        return (max(0.0, low), max(0.0, high)) if self.quantity in ERROR_UNITS else (low, high)

    def corrected(self) -> Estimate | None:
        """Return the estimate with the correction for the size of the box, and the error that it brings."""
        return None if self.estimate is None else self.estimate.plus(self.shift, self.shift_error_to(self.reference))

    def row(self) -> dict[str, object]:
        """Return the row of the table `summary`."""
        low, high = self.interval or (None, None)
        reference = self.reference
        return {
            "liquid": self.liquid,
            "temperature_K": self.temperature_K,
            "property": self.quantity,
            "species": self.species,
            "model": self.model,
            "dataset": self.dataset,
            "framework": self.framework,
            "value": self.estimate.value if self.estimate else None,
            "standard_error": self.estimate.standard_error if self.estimate and self.interval else None,
            "ci95_low": low,
            "ci95_high": high,
            "unit": self.unit,
            "runs": self.runs,
            "planned_runs": self.planned_runs,
            "converged": self.converged,
            "reason": self.reason,
            "reference": reference.value if reference else None,
            "reference_low": reference.low if reference else None,
            "reference_high": reference.high if reference else None,
            "reference_source": reference.source if reference else None,
            "reference_second_hand": reference.second_hand if reference else None,
            "reference_interpolated": reference.interpolated if reference else None,
            "reference_is_truth": reference.is_truth if reference else None,
            "finite_size_correction": self.correction,
            "needed_ps": self.needed_ps,
            "points": self.answered,
            "points_missing": self.missing,
            "mixture": self.mixture,
            "size": self.size,
            "hydrogen_mass_u": self.hydrogen_mass_u,
            "finite_size_standard_error": None if self.correction is None else self.correction_error,
        }


def error_of_shifts(sides: tuple[Group, Group], weights: tuple[float, float], reference: Reference | None) -> float:
    """Return the standard error of the weighted sum of the shifts of two groups: of one viscosity, they err alike."""
    errors = [weight * side.shift_error_to(reference) for weight, side in zip(weights, sides, strict=True)]
    first, second = (side.viscosity_source for side in sides)
    return abs(sum(errors)) if first is not None and first == second else math.hypot(*errors)


def shift_of(row: Row) -> float:
    """Return `Group.shift` from a row of the table `summary`."""
    return 0.0 if row.get("reference_is_truth") else row.get("finite_size_correction") or 0.0


def shift_error_of(row: Row) -> float:
    """Return the standard error of `shift_of`."""
    return 0.0 if row.get("reference_is_truth") else row.get("finite_size_standard_error") or 0.0


def held_alike(rows: Sequence[Row]) -> list[Row]:
    """Return the rows of one state of the table `summary` that are held against the same: the truth where the study runs it.

    Experiment, which the truth itself and models from elsewhere are held against, is another target: no order holds for both.
    """
    return [row for row in rows if row["reference_is_truth"]] or list(rows)


def one_factor_apart(a: Group, b: Group) -> bool:
    """Tell whether two groups differ in one thing only (of a dataset: its kinds or its size), or one is an untrained model."""
    if a.dataset is None or b.dataset is None or a.dataset == b.dataset:
        return True
    return a.model == b.model and (a.whole == b.whole or a.size == b.size)


def with_spread(groups: Sequence[Group]) -> list[Group]:
    """Give the groups of a property the spread between boxes that those of their state have in common.

    Of all that have every run, converged or not: a group whose boxes disagree is not converged, and the spread of those
    that are left would be too small.
    """
    spreads = {}
    for alike in by_state(groups):
        behind = [group.behind for group in alike if group.behind is not None and group.runs == group.planned_runs]
        spreads[alike[0].state] = box_spread(behind)
    return [replace(group, spread=spreads[group.state]) for group in groups]


def by_state(groups: Iterable[Group]) -> list[list[Group]]:
    """Sort groups by liquid, temperature and species, keeping their order."""
    states: dict[tuple[str, float | None, str | None], list[Group]] = {}
    for group in groups:
        states.setdefault(group.state, []).append(group)
    return list(states.values())


def grouped(rows: pl.DataFrame, keys: list[str]) -> Iterator[tuple[Row, list[Row]]]:
    """Yield (keys, rows) of every group of rows of a table, in order of the keys."""
    for values, members in rows.sort(*keys, nulls_last=False).group_by(keys, maintain_order=True):
        yield dict(zip(keys, values, strict=True)), members.to_dicts()


def counted(reasons: Iterable[str]) -> str:
    """Return the distinct reasons, each once with how often it came where that is more than once."""
    times: dict[str, int] = {}
    for reason in reasons:
        times[reason] = times.get(reason, 0) + 1
    return "; ".join(reason if n == 1 else f"{reason} ({n} times)" for reason, n in times.items())
