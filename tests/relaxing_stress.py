"""Walks and stresses of known transport."""

import math

import numpy as np
from scipy import signal

KELVIN, VOLUME, STEP = 300.0, 1e-26, 1e-13


def relaxing(rng: np.random.Generator, tau: float, *shape: int) -> np.ndarray:
    a, lead = math.exp(-1 / tau), math.ceil(12 * tau)
    noise = rng.normal(size=(shape[0] + lead, *shape[1:])) * math.sqrt(1 - a * a)
    return signal.lfilter([1], [1, -a], noise, axis=0)[lead:]
