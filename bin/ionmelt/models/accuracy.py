"""The errors of a model on labelled frames: by quantity, element, ion, recipe and kind, with intervals over groups."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass

import numpy as np
import polars as pl

from ionmelt.compare.rmse import rmse_over_points
from ionmelt.models.motions import MOTIONS, by_motion, molecular_pressure
from ionmelt.models.prediction import Prediction

FORCE_QUANTITIES = ("force", *(f"force_{motion}" for motion in MOTIONS))
OF_STRESS = ("stress", "molecular_pressure")  # quantities of frames whose labels have a stress
UNITS = {
    "energy_per_atom": "eV",
    **dict.fromkeys(FORCE_QUANTITIES, "eV/A"),
    "stress": "eV/A^3",
    "molecular_pressure": "bar",
}


@dataclass(frozen=True)
class Sums:
    """Sums over errors of one frame: squared, absolute, and the number of values."""

    quantity: str
    element: str | None
    ion: str | None
    group: str
    recipe: str
    kind: str
    liquid: str
    square: float
    absolute: float
    n: int


@dataclass(frozen=True)
class ErrorRow:
    """A row of errors.parquet, without the columns of the model and of the split."""

    quantity: str
    scope: str
    name: str
    n: int
    unit: str
    rmse: float | None = None
    mae: float | None = None
    frames: int | None = None
    frames_missing: int | None = None
    rmse_ci95_low: float | None = None
    rmse_ci95_high: float | None = None
    reason: str | None = None


def squared_sums(prediction: Prediction, ions: bool) -> Iterator[Sums]:
    """Yield sums over the errors of one frame: by quantity, and for forces by element and, where it has ions, by ion."""
    frame, reference, model = prediction.frame, prediction.reference, prediction.model
    if model is None:
        return
    info = frame.info

    def row(quantity: str, error: np.ndarray, element: str | None = None, ion: str | None = None) -> Sums:
        names = (quantity, element, ion, info["group"], info["recipe"], info["kind"], info["liquid"])
        return Sums(*names, float(np.sum(error**2)), float(np.sum(np.abs(error))), error.size)

    yield row("energy_per_atom", np.array([(model.energy - reference.energy) / len(frame)]))
    if model.stress is not None and reference.stress is not None:
        yield row("stress", model.stress - reference.stress)
    error = model.forces - reference.forces
    of_motion = {"force": error}
    if ions:
        geometry = (frame.positions, frame.get_masses(), frame.arrays["molecule"])
        pressures = [molecular_pressure(label, *geometry, frame.get_volume()) for label in (model, reference)]
        if pressures[0] is not None and pressures[1] is not None:
            yield row("molecular_pressure", np.array([pressures[0] - pressures[1]]))
        of_motion |= {f"force_{motion}": some for motion, some in by_motion(error, *geometry).items()}
    symbols, names = np.array(frame.get_chemical_symbols()), frame.arrays["ion"]
    pairs = sorted({(str(s), str(i)) for s, i in zip(symbols, names, strict=True)})
    for quantity, values in of_motion.items():
        for element, ion in pairs:
            yield row(quantity, values[(symbols == element) & (names == ion)], element, ion)


def interval(square: np.ndarray, n: np.ndarray) -> tuple[float | None, float | None]:
    """Return the 95 % interval of an RMSE from its sums over each group (G,), by `rmse_over_points`; None with fewer than three groups.

    A test set has few trajectories: of five groups that differ, percentiles of a bootstrap hold the truth in 82 of 100 cases, of three in 68.
    """
    estimate = rmse_over_points(np.array([square / n]), [str(group) for group in range(len(n))], n)
    if not np.isfinite(estimate.standard_error):
        return None, None
    low, high = estimate.interval()
    return max(0.0, low), high


def errors_of(predictions: list[Prediction], ions: bool = True) -> list[ErrorRow]:
    """Return the rows of errors.parquet of one split.

    ``ions``: whether the frames are divided into ions, as those of a liquid are.
    """
    sums = pl.DataFrame(
        [asdict(row) for prediction in predictions for row in squared_sums(prediction, ions)], infer_schema_length=None
    )
    rows = []
    if predictions and not len(sums):  # no frame was answered: a row says so, which compares with nothing
        rows = [
            ErrorRow(name, "all", "all", 0, UNITS[name], frames=0, frames_missing=len(predictions))
            for name in ("energy_per_atom", "force")
        ]
    if len(sums):
        counts = {needs_stress: Counts.of(predictions, needs_stress) for needs_stress in (False, True)}
        for quantity in UNITS:
            for scope in scopes_of(quantity, ions, several_liquids=sums["liquid"].n_unique() > 1):
                rows += scope_rows(sums, quantity, scope, counts[quantity in OF_STRESS])
    return rows + failed_rows(predictions)


def scopes_of(quantity: str, ions: bool, several_liquids: bool) -> list[str]:
    """Return what the errors of a quantity are divided by."""
    of_forces = (["element", "ion"] if ions else ["element"]) if quantity in FORCE_QUANTITIES else []
    return ["all", *of_forces, "recipe", "kind", *(["liquid"] if several_liquids else [])]


def scope_rows(sums: pl.DataFrame, quantity: str, scope: str, counts: "Counts") -> list[ErrorRow]:
    """Return a row for each name of a scope: the errors of one quantity, with intervals over groups."""
    name = pl.lit("all") if scope == "all" else pl.col(scope)
    of_quantity = sums.filter(pl.col("quantity") == quantity).with_columns(name.alias("name"))
    groups = of_quantity.group_by("name", "group").agg(pl.col("square", "absolute", "n").sum()).sort("name", "group")
    rows = []
    for (label,), cell in groups.group_by("name", maintain_order=True):
        n = int(cell["n"].sum())
        low, high = interval(cell["square"].to_numpy(), cell["n"].to_numpy())
        answered, asked = counts.answered[scope, str(label)], counts.asked[scope, str(label)]
        rows.append(
            ErrorRow(
                quantity,
                scope,
                str(label),
                n,
                UNITS[quantity],
                rmse=float(np.sqrt(float(cell["square"].sum()) / n)),
                mae=float(cell["absolute"].sum()) / n,
                frames=answered,
                frames_missing=asked - answered,
                rmse_ci95_low=low,
                rmse_ci95_high=high,
            )
        )
    return rows


def failed_rows(predictions: list[Prediction]) -> list[ErrorRow]:
    """Return a row for each recipe and reason of frames that the model did not answer."""
    failed = Counter(
        (prediction.frame.info["recipe"], prediction.reason)
        for prediction in predictions
        if prediction.reason is not None
    )
    return [
        ErrorRow("failed", "recipe", recipe, count, "frames", reason=reason)
        for (recipe, reason), count in sorted(failed.items())
    ]


@dataclass(frozen=True)
class Counts:
    """How many frames a model was asked for, and how many it answered, by (scope, name) of errors.parquet."""

    asked: Counter[tuple[str, str]]
    answered: Counter[tuple[str, str]]

    @classmethod
    def of(cls, predictions: list[Prediction], needs_stress: bool) -> "Counts":
        """Count predictions; where the label needs a stress, those of frames that have one."""
        asked = [p for p in predictions if p.reference.stress is not None or not needs_stress]
        return cls(counted(asked), counted(p for p in asked if p.model is not None))


def counted(predictions: Iterable[Prediction]) -> Counter[tuple[str, str]]:
    """Return the number of frames behind each (scope, name) of errors.parquet."""
    counts: Counter[tuple[str, str]] = Counter()
    for frame in (p.frame for p in predictions):
        names = {scope: {frame.info[scope]} for scope in ("recipe", "kind", "liquid")} | {"all": {"all"}}
        names |= {"element": set(frame.get_chemical_symbols()), "ion": {str(ion) for ion in frame.arrays["ion"]}}
        counts.update((scope, name) for scope, some in names.items() for name in some)
    return counts
