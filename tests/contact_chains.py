"""Contacts and chains of known rates."""

import math

import numpy as np


def chain(rng: np.random.Generator, frames: int, ions: int, on: float, off: float) -> np.ndarray:
    """Contacts (frames, ions) that form and break with these rates per frame, stationary."""
    p, both = on / (on + off), on + off
    keep = math.exp(-both)
    x = np.empty((frames, ions), dtype=bool)
    x[0] = rng.uniform(size=ions) < p
    for t in range(1, frames):
        x[t] = rng.uniform(size=ions) < p + (x[t - 1] - p) * keep
    return x
