"""Labels and predictions side by side, for a picture."""

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from ase.stress import full_3x3_to_voigt_6_stress

from ionmelt import files
from ionmelt.models.accuracy import UNITS
from ionmelt.models.prediction import Prediction

MAX_PARITY_POINTS = 2000


@dataclass(frozen=True)
class Point:
    """A row of parity.parquet, without the columns of the model; `point` names the frame and the component."""

    quantity: str
    recipe: str
    group: str
    point: str
    reference: float
    predicted: float
    unit: str


def parity_of(predictions: list[Prediction]) -> list[Point]:
    """Return the rows of parity.parquet: reference and prediction, a choice by hash where they are many.

    Energies per atom are relative to the mean label of the composition; of the stress there are its six components.
    """
    labels: dict[str, list[float]] = defaultdict(list)
    for p in predictions:
        labels[p.frame.get_chemical_formula()].append(p.reference.energy)
    rows: dict[str, list[Point]] = {"energy_per_atom": [], "force": [], "stress": []}
    for p in predictions:
        if p.model is None:
            continue
        frame_id, group = p.frame.info["frame_id"], p.frame.info["group"]
        mean = float(np.mean(labels[p.frame.get_chemical_formula()]))
        pairs = {
            "energy_per_atom": [((p.reference.energy - mean) / len(p.frame), (p.model.energy - mean) / len(p.frame))],
            "force": list(zip(p.reference.forces.ravel().tolist(), p.model.forces.ravel().tolist(), strict=True)),
            "stress": stresses(p.reference.stress, p.model.stress),
        }
        for quantity, values in pairs.items():
            recipe, unit = p.frame.info["recipe"], UNITS[quantity]
            rows[quantity] += [
                Point(quantity, recipe, group, f"{frame_id}:{i}", a, b, unit) for i, (a, b) in enumerate(values)
            ]
    return [row for some in rows.values() for row in thinned(some)]


def stresses(reference: np.ndarray | None, predicted: np.ndarray | None) -> list[tuple[float, float]]:
    """Return the six components of two stresses (3, 3), xx, yy, zz, yz, xz, xy; nothing where one is not there."""
    if reference is None or predicted is None:
        return []
    six = [full_3x3_to_voigt_6_stress(np.reshape(stress, (3, 3))).tolist() for stress in (reference, predicted)]
    return list(zip(*six, strict=True))


def thinned(rows: list[Point]) -> list[Point]:
    """Return at most `MAX_PARITY_POINTS` of the rows; every model keeps the same points, whatever it could not predict."""
    order = sorted(range(len(rows)), key=lambda i: files.sha256(rows[i].point.encode()))
    return [rows[i] for i in sorted(order[:MAX_PARITY_POINTS])]
