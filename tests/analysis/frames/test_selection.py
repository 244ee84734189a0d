"""Descriptors see what they should and no more; the choice is greedy, fair to groups, and covers better than chance."""

import numpy as np
import pytest
from ase import Atoms
from featomic import SoapPowerSpectrum

from ionmelt.frames import selection
from ionmelt.frames.selection import averages, descriptors, farthest_points, scale


def liquid(seed: int, edge: float = 9.0) -> Atoms:
    rng = np.random.default_rng(seed)
    return Atoms("Li8B4F16", rng.random((28, 3)) * edge, cell=[edge, edge * 1.1, edge * 0.95], pbc=True)


def test_order_origin_image_and_supercell_do_not_count() -> None:
    frame = liquid(1)
    moved = frame.copy()
    moved.positions += [3.1, -20.0, 0.4]
    moved.wrap()
    frames = [frame, liquid(2), frame[np.random.default_rng(3).permutation(28)], moved, frame.repeat((2, 1, 1))]
    x = descriptors(frames)
    for same in (2, 3, 4):
        assert np.linalg.norm(x[same] - x[0]) < 1e-6
    assert np.linalg.norm(x[1] - x[0]) > 0.1


def test_a_rotation_does_not_count() -> None:
    edge = 40.0  # alone in a large cell, so that the turned frame has a cell
    frame = Atoms("LiBF4", np.random.default_rng(1).random((6, 3)) * 4, cell=[edge] * 3, pbc=True)
    turned = frame.copy()
    turned.rotate(37, (1, 2, 3))
    x = descriptors([frame, turned, liquid(1)])
    assert np.linalg.norm(x[1] - x[0]) < 1e-6


def test_density_is_seen() -> None:
    """Along a scan of the volume the distance grows with the difference in scale."""
    frames = []
    for factor in (1.0, 1.05, 1.1, 1.2):
        frame = liquid(1)
        frame.set_cell(frame.cell.array * factor, scale_atoms=True)
        frames.append(frame)
    x = descriptors(frames)
    distances = np.linalg.norm(x - x[0], axis=1)
    assert (np.diff(distances) > 0.05).all()


def test_neighbours_count_up_to_6_A_and_fade_over_the_last() -> None:
    """Of two atoms in a large cell: alone when they are further apart, and nearly so just before."""

    def of_pair(apart_A: float) -> np.ndarray:
        return averages([Atoms("LiF", [[0, 0, 0], [apart_A, 0, 0]], cell=[40, 40, 40], pbc=True)], [3, 9])[0]

    alone = of_pair(20.0)
    seen = {apart_A: float(np.linalg.norm(of_pair(apart_A) - alone)) for apart_A in (4.9, 5.1, 5.9, 6.1)}
    assert seen[6.1] == 0
    assert 0 < seen[5.9] < 0.1 * seen[5.1]
    assert seen[5.1] > 0.8 * seen[4.9]


def test_elements_weigh_the_same_and_constant_ones_nothing() -> None:
    frames = [liquid(seed) for seed in range(8)]
    x = descriptors(frames).reshape(8, 3, -1)
    assert np.allclose(x.var(axis=0).sum(axis=1), 1.0)
    assert not descriptors([liquid(1)] * 3).any()


def test_averages_have_the_size_of_those_that_models_keep() -> None:
    """Of 3 elements, 6 pairs of them, and 4 angular by 4 times 4 radial functions."""
    assert averages([liquid(1), liquid(2)], [3, 5, 9]).shape == (2, 3, 6, 64)


def test_a_bounded_number_of_atoms_is_described_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    frames, at_once, compute = [liquid(seed) for seed in range(5)], [], SoapPowerSpectrum.compute
    whole = averages(frames, [3, 5, 9])

    def counted(calculator: SoapPowerSpectrum, some: list[Atoms]) -> object:
        at_once.append(sum(map(len, some)))
        return compute(calculator, some)

    monkeypatch.setattr(SoapPowerSpectrum, "compute", counted)
    monkeypatch.setattr(selection, "ATOMS_AT_ONCE", 60)
    np.testing.assert_array_equal(averages(frames, [3, 5, 9]), whole)
    assert at_once == [56, 56, 28]


@pytest.mark.parametrize("sign", [1, -1])
def test_rounding_is_no_difference(sign: int) -> None:
    """Of numbers of a million a difference of 1e-5 is rounding, and one of 1 is not, beside others that are 0."""
    rng = np.random.default_rng(4)
    spectra = np.zeros((50, 2, 1, 2))
    spectra[:, 0, 0, 0] = sign * 1e6 + 1e-5 * rng.normal(size=50)
    spectra[:, 1, 0, 1] = rng.normal(size=50)
    assert scale(spectra).tolist() == pytest.approx([0.0, 1 / spectra[:, 1, 0, 1].std()])


def test_frames_of_other_compositions_can_be_compared() -> None:
    x = descriptors([liquid(1), Atoms("F2", [[0, 0, 0], [0, 0, 1.5]], cell=[9] * 3, pbc=True)])
    assert np.isfinite(x).all()
    assert np.linalg.norm(x[0] - x[1]) > 0.1


def greedy(x: np.ndarray, count: int, first: list[int]) -> list[int]:
    """Farthest points by the definition."""
    chosen = list(first)
    while len(chosen) < count:
        best = max((min(np.linalg.norm(x[i] - x[j]) for j in chosen), -i) for i in range(len(x)) if i not in chosen)
        chosen.append(-best[1])
    return chosen


def test_the_choice_is_the_farthest_point_each_time() -> None:
    x = np.random.default_rng(5).normal(size=(60, 4))
    chosen = farthest_points(x, ["a"] * 60, 12)
    start = int(np.argmin(np.linalg.norm(x - x.mean(axis=0), axis=1)))
    assert chosen == greedy(x, 12, [start])
    later = farthest_points(x, ["a"] * 60, 5, taken=chosen)
    assert chosen + later == greedy(x, 17, chosen)


def test_groups_take_turns_and_what_is_not_offered_is_not_taken() -> None:
    x = np.random.default_rng(5).normal(size=(60, 4))
    x[:10] += 100.0  # one group lies far from the others
    groups = ["far"] * 10 + ["near"] * 30 + [""] * 20
    chosen = farthest_points(x, groups, 16)
    names = [groups[i] for i in chosen]
    assert names.count("far") == names.count("near") == 8
    assert "" not in names
    assert farthest_points(x, groups, 100) != []
    assert len(farthest_points(x, groups, 100)) == 40


def test_what_says_the_same_again_is_left_out() -> None:
    x = np.repeat(np.random.default_rng(2).normal(size=(5, 3)), 4, axis=0)
    chosen = farthest_points(x, ["a"] * 20, 20)
    assert len(chosen) == 5
    assert len({i // 4 for i in chosen}) == 5


@pytest.mark.parametrize(("apart", "taken"), [(1.3e-3, 3), (0.8e-3, 2)])
def test_what_is_nearer_than_a_thousandth_of_the_spread_says_the_same(apart: float, taken: int) -> None:
    """Of -1, 1 and 1, whose standard deviation is 0.943."""
    assert len(farthest_points(np.array([[-1.0], [1.0], [1.0 + apart]]), ["a"] * 3, 3)) == taken


@pytest.mark.parametrize("count", [5, 20])
def test_it_covers_better_than_chance(count: int) -> None:
    """The largest distance of any row to the nearest one taken, against that of random choices."""
    rng = np.random.default_rng(8)
    x = np.concatenate([rng.normal(size=(180, 3)), rng.normal(size=(20, 3)) * 4])

    def radius(rows: list[int]) -> float:
        return float(np.linalg.norm(x[:, None] - x[rows][None], axis=2).min(axis=1).max())

    chance = [radius(list(rng.choice(200, count, replace=False))) for _ in range(200)]
    assert radius(farthest_points(x, ["a"] * 200, count)) < np.quantile(chance, 0.05)
