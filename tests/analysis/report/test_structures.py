"""Frames of the test set on the page: the worst first, ions whole and in the cell, no more than the page can carry."""

import base64
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from known_frames import known_frame, write_test_frames

from ionmelt.report import structures
from ionmelt.report.structures import Structure


def positions_of(structure: Structure) -> np.ndarray:
    """Return the positions (atoms, 3) in A."""
    return np.frombuffer(base64.b64decode(structure.positions), dtype="<i2").reshape(-1, 3) / 100


def test_ions_are_whole_bonded_and_in_the_cell() -> None:
    frame = known_frame(3)
    frame.positions[3:8] += frame.cell[0] - 2 * frame.cell[1]  # an ion that walked out of the box
    made = structures.structure(frame)
    positions, cell = positions_of(made), np.reshape(made.cell_A, (3, 3))
    assert len(made.bonds) == 12
    for i, j in made.bonds:
        assert {made.elements[i], made.elements[j]} == {"B", "F"}
        assert np.linalg.norm(positions[i] - positions[j]) == pytest.approx(0.8 * np.sqrt(3), abs=0.02)
    for ion in range(6):
        centre = positions[frame.arrays["molecule"] == ion].mean(axis=0) @ np.linalg.inv(cell)
        assert ((centre > -0.01) & (centre < 1.01)).all()


def parity(errors: dict[str, float]) -> pl.DataFrame:
    """Return points of a parity plot with an error for each frame."""
    rows = [
        {"quantity": "force", "point": f"{frame}:4", "reference": 1.0, "predicted": 1.0 + error}
        for frame, error in errors.items()
    ]
    return pl.DataFrame(rows)


def test_the_worst_frames_come_first_as_many_as_the_page_carries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = write_test_frames(tmp_path / "test.extxyz", 4)
    points = parity({ids[0]: 0.1, ids[1]: -0.9, ids[2]: 0.5, "elsewhere": 7.0})
    shown = structures.read(tmp_path / "test.extxyz", points)
    assert [structure.frame_id for structure in shown] == [ids[1], ids[2], ids[0]]
    monkeypatch.setattr(structures, "MOST_ATOMS", 2 * 18 + 17)
    assert len(structures.read(tmp_path / "test.extxyz", points)) == 2
    assert structures.read(None, points) == [] and structures.read(tmp_path / "none.extxyz", points) == []
