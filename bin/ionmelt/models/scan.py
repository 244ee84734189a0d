"""A model along the frozen-ion volume scan of the test frames."""

from collections import defaultdict
from typing import Any

from ionmelt.frame import density_kg_m3
from ionmelt.models.motions import molecular_pressure
from ionmelt.models.prediction import Prediction

SCAN_RECIPE = "test_scan"


def scan_of(predictions: list[Prediction]) -> list[dict[str, Any]]:
    """Return the rows of scan.parquet: energy and molecular pressure along the frozen-ion volume scan.

    Energies are relative to scale 1 of the same scan; without that frame they are null.
    """
    scans: dict[tuple[str, str], list[Prediction]] = defaultdict(list)
    for prediction in predictions:
        if prediction.frame.info["recipe"] == SCAN_RECIPE:
            scans[prediction.frame.info["liquid"], prediction.frame.info["group"]].append(prediction)
    rows = []
    for (liquid, group), members in sorted(scans.items()):
        members.sort(key=lambda p: p.frame.info["scan_scale"])
        base = next((p for p in members if abs(p.frame.info["scan_scale"] - 1) < 1e-6), None)
        for prediction in members:
            frame = prediction.frame
            geometry = (frame.positions, frame.get_masses(), frame.arrays["molecule"], frame.get_volume())
            row = {"liquid": liquid, "group": group, "scale": frame.info["scan_scale"]}
            row["density_kg_m3"] = density_kg_m3(frame)
            for name, here, zero in (
                ("ref", prediction.reference, base.reference if base else None),
                ("model", prediction.model, base.model if base else None),
            ):
                relative = (here.energy - zero.energy) / len(frame) if here and zero else None
                row[f"energy_{name}_ev_per_atom"] = relative
                row[f"pressure_{name}_bar"] = molecular_pressure(here, *geometry) if here is not None else None
            rows.append(row)
    return rows
