"""Ions across periodic boundaries: whatever the boundary cut comes back in one piece."""

from pathlib import Path

import mdtraj
import numpy as np
import pytest

from ionmelt.topology import Topology

WATER = {
    "name": "water", "smiles": "O", "charge": 0, "count": 2, "elements": ["O", "H", "H"],
    "bonds": [[0, 1], [0, 2]], "masses_u": [16.0, 1.0, 1.0], "types": None,
}  # fmt: skip
CHAIN = {
    "name": "chain", "smiles": "CCC", "charge": 1, "count": 1, "elements": ["C", "C", "C"],
    "bonds": [[0, 1], [1, 2]], "masses_u": [12.0, 12.0, 12.0], "types": None,
}  # fmt: skip
LITHIUM = {
    "name": "li", "smiles": "[Li+]", "charge": 1, "count": 1, "elements": ["Li"], "bonds": [],
    "masses_u": [6.94], "types": None,
}  # fmt: skip


@pytest.fixture
def topology() -> Topology:
    return Topology("test", [WATER, CHAIN, LITHIUM])


@pytest.fixture
def positions() -> np.ndarray:
    water = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]])
    chain = np.array([[0.0, 0, 0], [1.5, 0, 0], [3.0, 0, 0]])
    return np.concatenate(
        [water + 1, water + np.array([9.5, 9.5, 0.2]), chain + np.array([8.5, 5, 5]), [[-3.0, 4, 14]]]
    )


def test_arrays_follow_the_ions(topology: Topology) -> None:
    assert list(topology.elements) == ["O", "H", "H", "O", "H", "H", "C", "C", "C", "Li"]
    assert list(topology.molecule) == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3]
    assert list(topology.ion) == ["water"] * 6 + ["chain"] * 3 + ["li"]
    assert list(topology.molecule_ion) == ["water", "water", "chain", "li"]
    assert topology.charges_e.tolist() == [0, 0, 1, 1]
    assert topology.bonds.tolist() == [[0, 1], [0, 2], [3, 4], [3, 5], [6, 7], [7, 8]]


def test_whole_undoes_any_shift_of_single_atoms(topology: Topology, positions: np.ndarray) -> None:
    edge = 10.0
    rng = np.random.default_rng(0)
    for _ in range(20):
        cut = positions + edge * rng.integers(-2, 3, positions.shape)
        whole = topology.whole(cut, np.full(3, edge))
        first = topology.starts[topology.molecule]
        np.testing.assert_allclose(whole - whole[first], positions - positions[first], atol=1e-12)
        np.testing.assert_allclose(whole[topology.starts], cut[topology.starts], atol=1e-12)


def test_whole_takes_trajectories_and_sheared_cells(topology: Topology, positions: np.ndarray) -> None:
    cells = np.array([[[10.0, 0, 0], [2, 10, 0], [0, 0, 10]], np.eye(3) * 12])
    shifts = np.random.default_rng(1).integers(-1, 2, (2, *positions.shape))
    cut = positions + shifts @ cells
    whole = topology.whole(cut, cells)
    for frame in range(2):
        np.testing.assert_allclose(whole[frame], topology.whole(cut[frame], cells[frame]), atol=1e-12)
        lengths = np.linalg.norm(np.diff(whole[frame][topology.bonds], axis=1)[:, 0], axis=1)
        np.testing.assert_allclose(lengths, [1, 1, 1, 1, 1.5, 1.5], atol=1e-12)


def test_centres_are_mass_weighted(topology: Topology, positions: np.ndarray) -> None:
    centres = topology.centres(positions)
    np.testing.assert_allclose(centres[0], [1 + 1 / 18, 1 + 1 / 18, 1])
    np.testing.assert_allclose(centres[2], [10.0, 5, 5])
    np.testing.assert_allclose(centres[3], positions[-1])
    stack = np.stack([positions, positions + 1])
    np.testing.assert_allclose(topology.centres(stack)[1], centres + 1)


def test_wrapped_puts_centres_into_the_cell_and_moves_ions_as_one(topology: Topology, positions: np.ndarray) -> None:
    cell = np.eye(3) * 10
    wrapped = topology.wrapped(positions, cell)
    centres = topology.centres(wrapped)
    assert (centres >= 0).all() and (centres < 10).all()
    moved = (wrapped - positions) / 10
    np.testing.assert_allclose(moved, np.rint(moved), atol=1e-12)
    for molecule in range(4):
        assert len(np.unique(np.rint(moved[topology.molecule == molecule]), axis=0)) == 1


def test_save_and_load(topology: Topology, tmp_path: Path) -> None:
    topology.save(tmp_path / "topology.json")
    again = Topology.load(tmp_path / "topology.json")
    assert again.liquid == "test" and again.ions == topology.ions
    np.testing.assert_array_equal(again.bonds, topology.bonds)


def test_an_ion_in_two_parts_is_refused() -> None:
    with pytest.raises(ValueError, match="atom 2 has no bond"):
        Topology("test", [{**CHAIN, "bonds": [[0, 1]]}])


def test_pdb_is_read_back(topology: Topology, positions: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "topology.pdb"
    path.write_text(topology.pdb(positions, np.eye(3) * 10))
    frame = mdtraj.load(path)
    np.testing.assert_allclose(frame.xyz[0] * 10, positions, atol=1e-3)
    np.testing.assert_allclose(frame.unitcell_lengths[0] * 10, 10)
    assert [atom.element.symbol for atom in frame.topology.atoms] == list(topology.elements)
    assert [residue.n_atoms for residue in frame.topology.residues] == [3, 3, 3, 1]
    assert {(bond[0].index, bond[1].index) for bond in frame.topology.bonds} >= {tuple(b) for b in topology.bonds}
