"""Mean squared displacements and unwrapped positions, by laws and slow references."""

import numpy as np
import pytest
from random_motion import random_walks

from ionmelt.measure import displacement


def slow_msd(x: np.ndarray) -> np.ndarray:
    return np.array([np.mean(np.sum((x[k:] - x[: len(x) - k]) ** 2, axis=-1)) for k in range(len(x))])


@pytest.mark.parametrize("shape", [(2, 1), (7, 3), (100, 5), (257, 2)])
def test_msd_is_the_double_loop(shape: tuple[int, int]) -> None:
    x = random_walks(np.random.default_rng(0), *shape) + 100
    np.testing.assert_allclose(displacement.mean_squared_displacement(x), slow_msd(x), rtol=1e-9)


def test_msd_in_blocks_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    x = random_walks(np.random.default_rng(1), 50, 7)
    whole = displacement.mean_squared_displacement(x)
    monkeypatch.setattr(displacement, "FFT_MEMORY_BYTES", 1.0)
    np.testing.assert_allclose(displacement.mean_squared_displacement(x), whole, rtol=1e-12)


def test_msd_takes_single_precision_as_it_is() -> None:
    x = random_walks(np.random.default_rng(2), 64, 4).astype(np.float32)
    np.testing.assert_allclose(displacement.mean_squared_displacement(x), slow_msd(x.astype(float)), rtol=1e-9)


def test_msd_of_a_straight_line_and_of_rest() -> None:
    t = np.arange(200.0)
    line = t[:, None, None] * np.array([[1.0, -2.0, 2.0]])
    np.testing.assert_allclose(displacement.mean_squared_displacement(line), 9 * t**2, rtol=1e-9)
    assert displacement.mean_squared_displacement(np.full((50, 2, 3), 7.0)).max() == 0


def test_unwrapping_keeps_a_barostat_out_of_far_images() -> None:
    """A particle at rest in scaled coordinates, 50 images away, in a breathing cell: it moves like one in the cell."""
    rng = np.random.default_rng(11)
    edge = 20 * (1 + 0.01 * rng.normal(size=400))
    edges = np.repeat(edge[:, None], 3, axis=1)
    scaled = np.array([[0.3, 0.6, 0.9], [50.3, -19.4, 0.9]])
    far = edges[:, None, :] * scaled
    moved = displacement.unwrap(far, edges)
    assert np.ptp(far[:, 1, 0]) > 20
    assert np.ptp(moved[:, 1, 0]) < 1
    steps = np.diff(moved, axis=0)
    np.testing.assert_allclose(steps[:, 0], steps[:, 1], atol=1e-9)


def test_centres_of_mass_are_those_of_a_loop() -> None:
    rng = np.random.default_rng(19)
    x, masses = rng.normal(size=(5, 11, 3)), np.array([1.0, 2, 3, 1, 2, 3, 1, 2, 3, 7, 7])
    centres = displacement.centres_of_mass(x.astype(np.float32), masses, [(3, 3), (2, 1)])
    expected = [np.average(x[:, i], axis=1, weights=masses[i]) for i in ([0, 1, 2], [3, 4, 5], [6, 7, 8], [9], [10])]
    assert centres.dtype == float
    np.testing.assert_allclose(centres, np.stack(expected, axis=1), atol=1e-6)


def test_a_bond_across_the_boundary_is_not_short() -> None:
    x = np.array([[[0.0, 0, 0], [1, 0, 0]], [[0, 0, 0], [0, 0, -5.5]]])
    bonds = np.array([[0, 1]])
    assert displacement.bonds_are_short(x, bonds, np.array([[10.0, 10, 10], [10, 10, 12]]))
    assert not displacement.bonds_are_short(x, bonds, np.full((2, 3), 10.0))
    assert displacement.bonds_are_short(x, np.empty((0, 2), int), np.full((2, 3), 10.0))
