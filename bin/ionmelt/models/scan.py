"""A model along the frozen-ion volume scan of the test frames."""

from collections import defaultdict
from dataclasses import dataclass

from ionmelt.frame import SCAN_KEY, SCAN_RECIPE, density_kg_m3
from ionmelt.models.motions import molecular_pressure
from ionmelt.models.prediction import Prediction


@dataclass(frozen=True)
class ScanPoint:
    """A row of scan.parquet, without the columns of the model; energies are relative to scale 1 of the same scan."""

    liquid: str
    group: str
    scale: float
    density_kg_m3: float
    energy_ref_ev_per_atom: float | None
    energy_model_ev_per_atom: float | None
    pressure_ref_bar: float | None
    pressure_model_bar: float | None


def scan_of(predictions: list[Prediction]) -> list[ScanPoint]:
    """Return the rows of scan.parquet: energy and molecular pressure along the frozen-ion volume scan.

    Energies are relative to scale 1 of the same scan; without that frame they are null.
    """
    scans: dict[tuple[str, str], list[Prediction]] = defaultdict(list)
    for prediction in predictions:
        if prediction.frame.info["recipe"] == SCAN_RECIPE:
            scans[prediction.frame.info["liquid"], prediction.frame.info["group"]].append(prediction)
    rows = []
    for (liquid, group), members in sorted(scans.items()):
        members.sort(key=lambda p: p.frame.info[SCAN_KEY])
        base = next((p for p in members if abs(p.frame.info[SCAN_KEY] - 1) < 1e-6), None)
        for prediction in members:
            frame = prediction.frame
            geometry = (frame.positions, frame.get_masses(), frame.arrays["molecule"], frame.get_volume())
            labels = (prediction.reference, prediction.model)
            zeros = (base.reference, base.model) if base else (None, None)
            energies = [
                (label.energy - zero.energy) / len(frame) if label and zero else None
                for label, zero in zip(labels, zeros, strict=True)
            ]
            pressures = [molecular_pressure(label, *geometry) if label is not None else None for label in labels]
            scale, density = frame.info[SCAN_KEY], density_kg_m3(frame)
            rows.append(ScanPoint(liquid, group, scale, density, *energies, *pressures))
    return rows
