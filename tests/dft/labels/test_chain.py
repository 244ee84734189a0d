"""The path through the frames of a chunk, and labels that depend on what they started from."""

import itertools
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from ase import Atoms
from faulty_engines import asked, calls, frames, label, stored

from ionmelt.frame import Label, make_frame, no_label
from ionmelt.frame_file import read_frames
from ionmelt.labels import chain
from ionmelt.labels.store_entry import Answer

# --- The order -----------------------------------------------------------------------------------------------


def distance(one: Atoms, two: Atoms, cell: np.ndarray) -> float:
    """Return the distance of two frames by its definition, one atom and one image at a time."""
    total = 0.0
    for a, b in zip(one.positions @ np.linalg.inv(one.cell), two.positions @ np.linalg.inv(two.cell), strict=True):
        images = itertools.product((-2, -1, 0, 1, 2), repeat=3)
        total += min((np.linalg.norm((a - b + np.array(image)) @ cell) ** 2, image) for image in images)[0]
    return total / len(one) + np.sum((one.cell.array - two.cell.array) ** 2) / 3


def shuffled(count: int, seed: int) -> list[Atoms]:
    """A slow walk, cut into frames, some a lattice vector away, and shuffled."""
    rng = np.random.default_rng(seed)
    numbers = np.array([3, 5, 9, 9])
    walk = np.cumsum(rng.normal(scale=0.2, size=(count, 4, 3)), axis=0) + rng.uniform(0, 6, size=(4, 3))
    edges = 6 + np.cumsum(rng.normal(scale=0.05, size=count))
    out = [Atoms(numbers, x, cell=[edge, 6.5, 7], pbc=True) for x, edge in zip(walk, edges, strict=True)]
    for atoms in out:
        atoms.positions += rng.integers(-1, 2, size=(4, 1)) @ atoms.cell.array[:1]
    return [out[i] for i in rng.permutation(count)]


@pytest.mark.parametrize("seed", range(3))
def test_each_frame_follows_its_nearest_neighbour(seed):
    given = shuffled(12, seed)
    cell = np.mean([atoms.cell.array for atoms in given], axis=0)
    order = chain.chain_order(given)
    assert sorted(order) == list(range(12))
    assert order[0] == 0
    for position in range(1, 12):
        left = order[position:]
        here = given[order[position - 1]]
        assert distance(given[order[position]], here, cell) == pytest.approx(
            min(distance(given[i], here, cell) for i in left)
        )


def test_the_path_is_shorter_than_the_chunk_and_keeps_compositions_together():
    given = shuffled(60, 1)
    order = chain.chain_order(given)
    assert order == chain.chain_order(given)
    cell = given[0].cell.array

    def length(path: list[int]) -> float:
        return sum(distance(given[a], given[b], cell) ** 0.5 for a, b in itertools.pairwise(path))

    assert length(order) < 0.5 * length(list(range(60)))
    other = [atoms[[1, 0, 2, 3]] for atoms in shuffled(5, 2)]
    mixed = [atoms for pair in zip(given[:5], other, strict=True) for atoms in pair]
    assert [index % 2 for index in chain.chain_order(mixed)] == [0] * 5 + [1] * 5
    assert chain.chain_order([]) == []


def test_a_window_bounds_the_search(monkeypatch):
    monkeypatch.setattr(chain, "WINDOW", 5)
    order = chain.chain_order(shuffled(40, 3))
    assert sorted(order) == list(range(40))
    assert max(index - position for position, index in enumerate(order)) <= 5


def test_files_keep_the_order_of_the_chunk(faulty):
    given = [frames(60)[i] for i in (20, 27, 21, 26, 22, 25)]
    label(asked("faulty"), given, faulty)
    assert calls(Path()) == [20, 21, 22, 25, 26, 27]
    ids = [atoms.info["frame_id"] for atoms in given]
    assert [atoms.info["frame_id"] for atoms in read_frames(f"{faulty}.labelled.extxyz", labelled=True)] == ids
    assert pl.read_parquet(f"{faulty}.labels.parquet")["frame_id"].to_list() == ids


# --- The guess -----------------------------------------------------------------------------------------------


def two_states(faulty: str, monkeypatch, checked: set[int], flips: int = 4, size: float = 0.006) -> pl.DataFrame:
    given = frames(10, move=0)
    ids = [given[number].info["frame_id"] for number in checked]
    monkeypatch.setattr(chain, "is_spot_check", lambda atoms, _fraction: atoms.info["frame_id"] in ids)
    settings = asked("two_states", flips=flips, size=size)
    label(settings, given, faulty, Path())
    table = pl.read_parquet(f"{faulty}.labels.parquet")
    kept = table.filter(pl.col("converged"))["frame_id"].to_list()
    assert [atoms.info["frame_id"] for atoms in read_frames(f"{faulty}.labelled.extxyz")] == kept
    assert sorted(stored(Path())) == sorted(kept), "what is wrong is taken back"
    return table


def test_a_label_that_depends_on_its_guess_is_none_and_the_chain_is_cut(faulty, monkeypatch, capsys):
    """Frames 4 to 7 are in the other state and 7 is checked: they go, 3 agrees, and 8 starts cold."""
    table = two_states(faulty, monkeypatch, {2, 7})
    assert table["reason"].to_list() == [None] * 4 + ["guess_dependent"] * 4 + [None] * 2
    assert table["guess"].to_list() == ["cold"] + ["chained"] * 7 + ["cold", "chained"]
    difference = [None, None, 0.0, 0.0, 0.006, 0.006, 0.006, 0.006, None, None]
    assert table["cold_max_force_difference_ev_a"].to_list() == pytest.approx(difference)
    assert table["cold_energy_difference_ev"][7] == -1
    assert table.filter(pl.col("converged"))["energy_ev"].to_list() == [0.0] * 6
    assert "no label: guess_dependent" in capsys.readouterr().err


@pytest.mark.parametrize(("size", "reason"), [(0.0051, None), (0.0052, "guess_dependent")])
def test_the_tolerance_is_a_ten_thousandth_of_hartree_per_bohr(size, reason):
    label = Label(-1.0, np.array([[size, 0, 0], [-size, 0, 0]]), np.zeros((3, 3)), True, guess="chained")
    cold = Label(-1.0, np.zeros((2, 3)), np.zeros((3, 3)), True, guess="cold")
    compared = chain.compared(Answer(label, 1.0, "x"), cold)
    assert compared.label.reason == reason
    assert compared.cold_max_force_difference_ev_a == size
    assert chain.compared(Answer(label, 1.0, "x"), no_label("scf_not_converged")).label is label


def test_the_share_of_spot_checks_is_as_asked():
    many = [make_frame([3], [[0, 0, i / 1000]], [9, 9, 9], [0], ["li"]) for i in range(4000)]
    for fraction in (0, 0.02, 1):
        share = np.mean([chain.is_spot_check(atoms, fraction) for atoms in many])
        assert share == pytest.approx(fraction, abs=0.01)
