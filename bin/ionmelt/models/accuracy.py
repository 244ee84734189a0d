"""The errors of a model on labelled frames: by quantity, element, ion, recipe and kind, with intervals over groups."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import polars as pl

from ionmelt.models.motions import MOTIONS, by_motion, molecular_pressure
from ionmelt.models.prediction import Prediction

RESAMPLES = 1000
SEED = 1
FORCE_QUANTITIES = ("force", *(f"force_{motion}" for motion in MOTIONS))
UNITS = {
    "energy_per_atom": "eV",
    **dict.fromkeys(FORCE_QUANTITIES, "eV/A"),
    "stress": "eV/A^3",
    "molecular_pressure": "bar",
}


def squared_sums(prediction: Prediction, ions: bool) -> Iterator[dict[str, Any]]:
    """Yield sums over the errors of one frame: by quantity, and for forces by element and, where it has ions, by ion."""
    frame, reference, model = prediction.frame, prediction.reference, prediction.model
    if model is None:
        return
    info = {key: frame.info[key] for key in ("group", "recipe", "kind", "liquid")}

    def row(quantity: str, error: np.ndarray, element: str | None = None, ion: str | None = None) -> dict[str, Any]:
        sums = {"square": float(np.sum(error**2)), "absolute": float(np.sum(np.abs(error))), "n": error.size}
        return {"quantity": quantity, "element": element, "ion": ion, **info, **sums}

    yield row("energy_per_atom", np.array([(model.energy - reference.energy) / len(frame)]))
    if model.stress is not None and reference.stress is not None:
        yield row("stress", model.stress - reference.stress)
    error = model.forces - reference.forces
    parts = {"force": error}
    if ions:
        geometry = (frame.positions, frame.get_masses(), frame.arrays["molecule"])
        pressures = [molecular_pressure(label, *geometry, frame.get_volume()) for label in (model, reference)]
        if pressures[0] is not None and pressures[1] is not None:
            yield row("molecular_pressure", np.array([pressures[0] - pressures[1]]))
        parts |= {f"force_{motion}": part for motion, part in by_motion(error, *geometry).items()}
    symbols, names = np.array(frame.get_chemical_symbols()), frame.arrays["ion"]
    pairs = sorted({(str(s), str(i)) for s, i in zip(symbols, names, strict=True)})
    for quantity, values in parts.items():
        for element, ion in pairs:
            yield row(quantity, values[(symbols == element) & (names == ion)], element, ion)


def interval(square: np.ndarray, n: np.ndarray) -> tuple[float | None, float | None]:
    """Return the 95 % interval of an RMSE from its sums over each group (G,): bootstrap over the groups."""
    if len(n) < 2:
        return None, None
    drawn = np.random.default_rng(SEED).integers(len(n), size=(RESAMPLES, len(n)))
    rmse = np.sqrt(square[drawn].sum(axis=1) / n[drawn].sum(axis=1))
    low, high = np.quantile(rmse, [0.025, 0.975])
    return float(low), float(high)


def errors_of(predictions: list[Prediction], ions: bool = True) -> list[dict[str, Any]]:
    """Return the rows of errors.parquet (without the model's own columns) of one split.

    ``ions``: whether the frames are divided into ions, as those of a liquid are.
    """
    sums = pl.DataFrame(
        [row for prediction in predictions for row in squared_sums(prediction, ions)], infer_schema_length=None
    )
    rows = []
    answers, asks = (
        {
            needs: counted(
                p
                for p in predictions
                if (p.model is not None or every) and (p.reference.stress is not None or not needs)
            )
            for needs in (False, True)
        }
        for every in (False, True)
    )  # by whether the label needs a stress
    if predictions and not len(sums):  # no frame was answered: a row says so, which compares with nothing
        none = {"scope": "all", "name": "all", "n": 0, "frames": 0, "frames_missing": len(predictions)}
        rows = [{"quantity": name, "unit": UNITS[name]} | none for name in ("energy_per_atom", "force")]
    for quantity, unit in UNITS.items() if len(sums) else ():
        needs_stress = quantity in ("stress", "molecular_pressure")
        answered, asked = answers[needs_stress], asks[needs_stress]
        of_forces = ["element", "ion"] if ions else ["element"]
        scopes = ["all", *(of_forces if quantity in FORCE_QUANTITIES else []), "recipe", "kind"]
        if sums["liquid"].n_unique() > 1:
            scopes.append("liquid")
        for scope in scopes:
            name = pl.lit("all") if scope == "all" else pl.col(scope)
            mine = sums.filter(pl.col("quantity") == quantity).with_columns(name.alias("name"))
            groups = mine.group_by("name", "group").agg(pl.col("square", "absolute", "n").sum()).sort("name", "group")
            for (label,), cell in groups.group_by("name", maintain_order=True):
                n = int(cell["n"].sum())
                low, high = interval(cell["square"].to_numpy(), cell["n"].to_numpy())
                rmse, mae = float(np.sqrt(float(cell["square"].sum()) / n)), float(cell["absolute"].sum()) / n
                rows.append(
                    {
                        "quantity": quantity,
                        "scope": scope,
                        "name": label,
                        "n": n,
                        "rmse": rmse,
                        "mae": mae,
                        "unit": unit,
                        "frames": answered[scope, label],
                        "frames_missing": asked[scope, label] - answered[scope, label],
                    }
                    | {"rmse_ci95_low": low, "rmse_ci95_high": high}
                )
    failed: dict[tuple[str, str], int] = defaultdict(int)
    for prediction in predictions:
        if prediction.reason is not None:
            failed[prediction.frame.info["recipe"], prediction.reason] += 1
    rows += [
        {"quantity": "failed", "scope": "recipe", "name": recipe, "n": count, "unit": "frames", "reason": reason}
        for (recipe, reason), count in sorted(failed.items())
    ]
    return rows


def counted(predictions: Iterable[Prediction]) -> Counter[tuple[str, str]]:
    """Return the number of frames behind each (scope, name) of errors.parquet."""
    found: Counter[tuple[str, str]] = Counter()
    for frame in (p.frame for p in predictions):
        names = {scope: {frame.info[scope]} for scope in ("recipe", "kind", "liquid")} | {"all": {"all"}}
        names |= {"element": set(frame.get_chemical_symbols()), "ion": {str(ion) for ion in frame.arrays["ion"]}}
        found.update((scope, name) for scope, some in names.items() for name in some)
    return found
