"""The training envelope of a dataset, and which frames of a run leave it.

A learned model is an interpolation: where a run goes that no training frame was, its numbers rest on nothing. Four things
are compared, each with what the training frames span: the density, the temperature of the bath, the composition, and the
surroundings of the atoms. Those are described as for the selection of frames (SOAP, ionmelt/frames/selection.py); a frame is as far
out as its nearest landmark, one of a bounded number of training frames that differ most. The limit is the conformal
quantile of the distances of the training frames themselves, each from the landmarks of other trajectories than its own: a
new trajectory of the same kind keeps below it for `LEVEL` of its frames.

The envelope is one small file beside the weights (`FILE`), which SPLIT_DATASET writes and trainings hand on.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from ionmelt import errors
from ionmelt.dataset.calibration import quantile
from ionmelt.frame import density_kg_m3
from ionmelt.frames import selection

FILE = "domain.npz"
LANDMARKS = 64
MOST = 1000  # training frames that are described
FRAMES = 60  # frames of a run that are described
LEVEL = 0.95
IN_PARTS = 0.5  # share of the frames outside from which a run is outside as a whole
TOLERANCE_K = 0.5
# Ions cut out of the liquid, alone in a box: their density and composition say nothing of a liquid's.
NO_LIQUID = ("clusters", "ions")
Row = dict[str, Any]


@dataclass
class Envelope:
    """What the training frames of a dataset span.

    ``density_kg_m3`` and ``temperature_K``: lowest and highest, None where no frame tells; ``ions``: lowest and highest
    share of each kind among the ions of a frame; ``elements`` (E,), the atomic numbers that descriptors are of;
    ``limit``: the distance that counts as inside, None where there are too few frames; ``scale`` (E,) and
    ``landmarks`` (L, E, P, S) of the descriptors; ``frames``: how many there were.
    """

    frames: int
    density_kg_m3: tuple[float, float] | None
    temperature_K: tuple[float, float] | None
    ions: dict[str, tuple[float, float]]
    elements: list[int]
    limit: float | None
    scale: np.ndarray
    landmarks: np.ndarray


def shares(names: Sequence[str]) -> dict[str, float]:
    """Return the share of each kind among some ions."""
    return {name: n / len(names) for name, n in sorted(Counter(names).items())}


def ions_of(frame: Atoms) -> list[str]:
    """Return the kind of each ion of a frame."""
    _, first = np.unique(frame.arrays["molecule"], return_index=True)
    return [str(name) for name in frame.arrays["ion"][first]]


def span(values: Sequence[float]) -> tuple[float, float] | None:
    """Return the lowest and the highest of some numbers, None where there are none."""
    return (min(values), max(values)) if len(values) else None


def described(frames: Sequence[Atoms]) -> list[int]:
    """Return which training frames are described: all, or evenly spaced ones of many."""
    return np.unique(np.linspace(0, len(frames) - 1, min(len(frames), MOST)).round().astype(int)).tolist()


def envelope(frames: Sequence[Atoms], elements: Sequence[int], averages: np.ndarray) -> Envelope:
    """Return the envelope of training frames; ``averages`` (F', E, P, S) are the descriptors of those `described`."""
    some = [frames[i] for i in described(frames)]
    liquid = [frame for frame in frames if frame.info["recipe"] not in NO_LIQUID]
    scale = selection.scale(averages)
    x = selection.scaled(averages, scale)
    groups = [frame.info["group"] for frame in some]
    chosen = selection.farthest_points(x, groups, LANDMARKS)
    return Envelope(
        frames=len(frames),
        density_kg_m3=span([density_kg_m3(frame) for frame in liquid]),
        temperature_K=span([float(f.info["temperature_K"]) for f in frames if "temperature_K" in f.info]),
        ions=spans_of_ions([shares(ions_of(frame)) for frame in liquid]),
        elements=[int(z) for z in elements],
        limit=usual_distance(x, groups, chosen),
        scale=scale,
        landmarks=averages[chosen].astype(np.float32),
    )


def spans_of_ions(compositions: Sequence[dict[str, float]]) -> dict[str, tuple[float, float]]:
    """Return the lowest and the highest share of each kind of ion in some compositions."""
    names = sorted({name for ions in compositions for name in ions})
    every = {name: [ions.get(name, 0.0) for ions in compositions] for name in names}
    return {name: (min(values), max(values)) for name, values in every.items()}


def usual_distance(x: np.ndarray, groups: Sequence[str], chosen: Sequence[int]) -> float | None:
    """Return the distance from the landmarks ``chosen`` of other trajectories that holds most of the frames ``x``, None of none."""
    nearest = []
    for row, group in enumerate(groups):
        others = [i for i in chosen if groups[i] != group] or [i for i in chosen if i != row]
        if others:
            nearest.append(float(np.linalg.norm(x[others] - x[row], axis=1).min()))
    if not nearest:
        return None
    limit = quantile(np.array(nearest), LEVEL)
    return limit if np.isfinite(limit) else max(nearest)  # too few frames for that quantile: the largest there is


def save(envelope: Envelope, path: Path) -> None:
    """Write an envelope; the same envelope gives the same bytes."""
    about = {key: value for key, value in asdict(envelope).items() if key not in ("scale", "landmarks")}
    np.savez_compressed(path, about=np.array(json.dumps(about)), scale=envelope.scale, landmarks=envelope.landmarks)


def load(path: Path) -> Envelope:
    """Read an envelope."""
    with errors.reading(path, "an envelope of training frames"), np.load(path, allow_pickle=False) as file:
        return Envelope(**json.loads(str(file["about"])), scale=file["scale"], landmarks=file["landmarks"])


def distances(frames: Sequence[Atoms], envelope: Envelope) -> np.ndarray:
    """Return how far each frame (F,) is from its nearest landmark; infinite where an element was never trained on."""
    covered = np.array([set(frame.numbers.tolist()) <= set(envelope.elements) for frame in frames], dtype=bool)
    result = np.full(len(frames), np.inf)
    some = [frame for frame, good in zip(frames, covered, strict=True) if good]
    if some:
        x = selection.scaled(selection.averages(some, envelope.elements), envelope.scale)
        marks = selection.scaled(envelope.landmarks.astype(float), envelope.scale)
        result[covered] = [np.linalg.norm(marks - row, axis=1).min() for row in x]
    return result


def verdict(share: float) -> str:
    """Return whether a run is inside, where so large a share of its frames is outside."""
    return "inside" if share <= 1 - LEVEL else "partly outside" if share <= IN_PARTS else "outside"


def numbers(quantity: str, values: np.ndarray, low: float | None, high: float, unit: str) -> Row:
    """Return the row of values (F,) of a run against their limits."""
    outside = values > high
    if low is not None:
        outside |= values < low
    share = float(outside.mean())
    finite = values[np.isfinite(values)]
    row: Row = {
        "quantity": quantity,
        "frames": len(values),
        "share_outside": share,
        "limit_low": low,
        "limit_high": high,
    }
    row |= {"seen_low": float(finite.min()), "seen_high": float(finite.max())} if len(finite) else {}
    return row | {"unit": unit, "verdict": verdict(share)}


def not_judged(quantity: str, reason: str) -> Row:
    """Return the row of what cannot be compared."""
    return {"quantity": quantity, "verdict": "not judged", "reason": reason}


def judge(
    envelope: Envelope, ions: Sequence[str], temperature_K: float, densities: np.ndarray, frames: Sequence[Atoms]
) -> list[Row]:
    """Return a row of DOMAIN for each quantity of a run.

    ``ions``: the kind of each ion of its box; ``temperature_K`` of its bath; ``densities`` (n,) in kg/m3 along NPT and NVT;
    ``frames``: some of its trajectory.
    """
    rows = []
    if envelope.density_kg_m3 is None or not len(densities):
        rows.append(not_judged("density", "no density is known"))
    else:
        rows.append(numbers("density", densities, *envelope.density_kg_m3, "kg/m3"))
    if envelope.temperature_K is None:
        rows.append(not_judged("temperature", "the training frames do not say at which temperature they were made"))
    else:
        low, high = envelope.temperature_K
        row = numbers("temperature", np.array([temperature_K]), low - TOLERANCE_K, high + TOLERANCE_K, "K")
        rows.append(row | {"limit_low": low, "limit_high": high})
    rows.append(composition(envelope, shares(ions)))
    if envelope.limit is None or not len(frames):
        rows.append(not_judged("surroundings", "too few frames" if len(frames) else "no frame was saved"))
    else:
        rows.append(numbers("surroundings", distances(frames, envelope), None, envelope.limit, "1"))
    return rows


def composition(envelope: Envelope, here: dict[str, float]) -> Row:
    """Return the row of a run's composition: that of the ion which is furthest out, or the first."""

    def beyond(name: str) -> float:
        low, high = envelope.ions.get(name, (0.0, 0.0))
        return max(low - here.get(name, 0.0), here.get(name, 0.0) - high)

    name = max(sorted({*here, *envelope.ions}), key=beyond)
    low, high = envelope.ions.get(name, (0.0, 0.0))
    outside = float(beyond(name) > 1e-6)
    row: Row = {"quantity": "composition", "frames": 1, "share_outside": outside, "limit_low": low, "limit_high": high}
    row |= {"seen_low": here.get(name, 0.0), "seen_high": here.get(name, 0.0), "unit": "1", "verdict": verdict(outside)}
    return row | {"reason": f"share of {name} among the ions" if outside else None}


def why_unknown(framework: str) -> str:
    """Return why there is no envelope of the training frames of a model of this framework."""
    if framework in ("classical", "xtb"):
        return "the model was not trained on frames"
    return "the model was trained elsewhere: what it saw is not known here"
