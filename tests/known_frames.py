"""Labelled frames of a made-up test set: three ion pairs of lithium and BF4, one of them across a wall of its box."""

from pathlib import Path

import numpy as np
from ase import Atoms

from ionmelt.frame import make_frame, set_label
from ionmelt.frame_file import write_frames

LEGS = np.array([[0, 0, 0], [0.8, 0.8, 0.8], [0.8, -0.8, -0.8], [-0.8, 0.8, -0.8], [-0.8, -0.8, 0.8]])
CENTRES = np.array(
    [[1, 1, 1], [4, 4, 1], [7, 1, 4], [4, 1, 4], [1, 4, 7], [8.9, 7, 7]], dtype=float
)  # three Li, three B
NUMBERS = [3, 3, 3] + 3 * [5, 9, 9, 9, 9]


def known_frame(i: int) -> Atoms:
    """Return the i-th frame: its box is skewed, and a little larger than that of the one before."""
    scale = 1 + 0.001 * i
    cell = 9.0 * scale * np.array([[1, 0, 0], [0.05, 1, 0], [0, 0, 1]])
    positions = np.concatenate([scale * CENTRES[:3], *(scale * centre + LEGS for centre in CENTRES[3:])])
    molecule = [0, 1, 2] + [3] * 5 + [4] * 5 + [5] * 5
    identity = {"liquid": "libf4", "kind": "eq", "recipe": "eq", "group": f"g{i}"}
    frame = make_frame(np.array(NUMBERS), positions, cell, np.array(molecule), ["li"] * 3 + ["bf4"] * 15, **identity)
    set_label(frame, -1.0 * i, np.zeros((18, 3)), np.zeros((3, 3)), "abc123def456", True, 10)
    return frame


def write_test_frames(path: Path, number: int) -> list[str]:
    """Write so many frames, and return their identifiers."""
    frames = [known_frame(i) for i in range(number)]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_frames(path, frames)
    return [frame.info["frame_id"] for frame in frames]
