"""Stretches of contacts: by hand."""

import numpy as np
import pytest

from ionmelt.measure import stretches


def column(text: str) -> np.ndarray:
    """One contact over time: # in contact, . not."""
    return np.array([[c == "#"] for c in text])


def test_stretches_and_what_remains_of_them() -> None:
    h = np.hstack([column("##..###."), column("........"), column("########")])
    assert [x.tolist() for x in stretches.runs_of(h)] == [[0, 0, 2], [0, 4, 0], [2, 7, 8]]
    assert stretches.remaining(h)[:, 0].tolist() == [2, 1, 0, 0, 3, 2, 1, 0]
    assert stretches.remaining(h)[:, 2].tolist() == [8, 7, 6, 5, 4, 3, 2, 1]


@pytest.mark.parametrize(
    ("tolerance", "before", "after"),
    [
        (0, "##.##.#..#", "##.##.#..#"),
        (1, "##.##...##.#", "#####...####"),
        (1, "...#....##..", "........##.."),
        (2, ".##..##...#...##", ".######.......##"),
        (1, "#..#########..", "#..#########.."),  # what touches an end stays
    ],
)
def test_blips_do_not_count(tolerance: int, before: str, after: str) -> None:
    cleaned = stretches.without_blips(column(before), tolerance)
    assert "".join("#" if x else "." for x in cleaned[:, 0]) == after
