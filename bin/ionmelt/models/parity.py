"""Labels and predictions side by side, for a picture."""

from collections import defaultdict
from typing import Any

import numpy as np

from ionmelt import files
from ionmelt.models.accuracy import UNITS
from ionmelt.models.prediction import Prediction

MAX_PARITY_POINTS = 2000


def parity_of(predictions: list[Prediction]) -> list[dict[str, Any]]:
    """Return the rows of parity.parquet: reference and prediction, a choice by hash where they are many.

    Energies per atom are relative to the mean label of the composition.
    """
    labels: dict[str, list[float]] = defaultdict(list)
    for p in predictions:
        labels[p.frame.get_chemical_formula()].append(p.reference.energy)
    rows: dict[str, list[dict[str, Any]]] = {"energy_per_atom": [], "force": []}
    for p in predictions:
        if p.model is None:
            continue
        frame_id, group = p.frame.info["frame_id"], p.frame.info["group"]
        mean = float(np.mean(labels[p.frame.get_chemical_formula()]))
        pairs = {
            "energy_per_atom": [((p.reference.energy - mean) / len(p.frame), (p.model.energy - mean) / len(p.frame))],
            "force": list(zip(p.reference.forces.ravel().tolist(), p.model.forces.ravel().tolist(), strict=True)),
        }
        for quantity, values in pairs.items():
            common = {"quantity": quantity, "recipe": p.frame.info["recipe"], "group": group, "unit": UNITS[quantity]}
            points = [f"{frame_id}:{i}" for i in range(len(values))]
            rows[quantity] += [
                common | {"point": point, "reference": a, "predicted": b}
                for point, (a, b) in zip(points, values, strict=True)
            ]
    return [row for some in rows.values() for row in thinned(some)]


def thinned(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return at most `MAX_PARITY_POINTS` of the rows; every model keeps the same points, whatever it could not predict."""
    order = sorted(range(len(rows)), key=lambda i: files.sha256(rows[i]["point"].encode()))
    return [rows[i] for i in sorted(order[:MAX_PARITY_POINTS])]
