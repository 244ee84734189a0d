"""Frames of a few atoms for the tests of the DFT engines: seconds to label."""

import numpy as np
from ase import Atoms

from ionmelt.frame import make_frame


def lithium_fluoride() -> Atoms:
    return Atoms("LiF", [[0.5, 0.6, 0.7], [1.5, 1.7, 1.8]], cell=[4.4, 4.6, 4.5], pbc=True)


def lithium_tetrafluoroborate() -> Atoms:
    arms = np.array([[0, 0, 0], [1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) * 1.42 / np.sqrt(3)
    positions = np.vstack([[[1.0, 1.2, 1.1]], arms + np.array([3.2, 3.0, 2.8])])
    positions += np.random.default_rng(3).normal(scale=0.04, size=positions.shape)
    return Atoms("LiBF4", np.round(positions, 6), cell=[7.0, 7.3, 6.8], pbc=True)


def tetrafluoroborate() -> Atoms:
    """Return a frame of BF4- alone, with its charge, in the middle of a box."""
    ion = lithium_tetrafluoroborate()[1:]
    positions = ion.positions - ion.positions.mean(axis=0) + 4.0
    return make_frame(ion.numbers, positions, [8.0] * 3, [0] * 5, ["bf4"] * 5, charge=-1)


def boron_trifluoride() -> Atoms:
    """Return a frame of a molecule alone: without charge and (nearly) dipole, its images hardly count in such a box."""
    angles = 2 * np.pi * np.arange(3) / 3
    ring = 1.32 * np.stack([np.cos(angles), np.sin(angles), np.zeros(3)], axis=1)
    positions = np.vstack([np.zeros((1, 3)), ring]) + 4.0
    positions += np.random.default_rng(4).normal(scale=0.02, size=positions.shape)
    return make_frame(np.array([5, 9, 9, 9]), positions, [8.0] * 3, [0] * 4, ["bf3"] * 4, charge=0)
