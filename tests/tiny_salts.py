"""Periodic frames of one or two ions for the tests of the DFT engines: seconds to label."""

import numpy as np
from ase import Atoms


def lithium_fluoride() -> Atoms:
    return Atoms("LiF", [[0.5, 0.6, 0.7], [1.5, 1.7, 1.8]], cell=[4.4, 4.6, 4.5], pbc=True)


def lithium_tetrafluoroborate() -> Atoms:
    arms = np.array([[0, 0, 0], [1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) * 1.42 / np.sqrt(3)
    positions = np.vstack([[[1.0, 1.2, 1.1]], arms + np.array([3.2, 3.0, 2.8])])
    positions += np.random.default_rng(3).normal(scale=0.04, size=positions.shape)
    return Atoms("LiBF4", np.round(positions, 6), cell=[7.0, 7.3, 6.8], pbc=True)
