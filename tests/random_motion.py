"""Series and walks of known statistics."""

import numpy as np


def random_walks(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Steps of unit variance: D = 0.5 per coordinate and frame."""
    return rng.normal(size=(*shape, 3)).cumsum(axis=-3)
