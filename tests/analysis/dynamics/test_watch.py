"""The watch against faults put in on purpose."""

import numpy as np
import pytest
from ase import Atoms

from ionmelt.dynamics.watch import Watch


def watched() -> tuple[Atoms, Watch]:
    """Two hydrogen fluoride molecules, 5 A apart, in a box of 12 A."""
    atoms = Atoms("HFHF", positions=[[1, 1, 1], [1.92, 1, 1], [6, 6, 6], [6.92, 6, 6]], cell=[12] * 3, pbc=True)
    atoms.set_momenta(np.zeros((4, 3)))
    return atoms, Watch(atoms, np.array([[0, 1], [2, 3]]), np.array([0, 0, 1, 1]), 300.0)


def test_watch_is_silent_on_a_healthy_run() -> None:
    atoms, watch = watched()
    assert watch.check(atoms) is None
    atoms.positions += 100 * 12  # whole boxes away: the same structure
    assert watch.check(atoms) is None


def test_a_contact_of_a_single_atom_ion_is_no_bond() -> None:
    atoms = Atoms("HFLi", positions=[[1, 1, 1], [1.92, 1, 1], [3.7, 1, 1]], cell=[12] * 3, pbc=True)
    watch = Watch(atoms, np.array([[0, 1]]), np.array([0, 0, 1]), 300.0)
    assert watch.check(atoms) is None  # Li-F at 1.78 A, the sum of the covalent radii is 1.85 A


@pytest.mark.parametrize(
    ("fault", "end"),
    [
        (lambda a: a.positions.__setitem__((1, 0), 3.6), "bond_broken"),
        (lambda a: a.positions.__setitem__(3, [2.5, 1, 1]), "bond_broken"),
        (lambda a: a.positions.__setitem__(slice(2, 4), [[1.0, 1, 1.7], [1.0, 1.0, 2.62]]), "bond_made"),
        (lambda a: a.positions.__setitem__(2, [1.0, 1, 1.2]), "min_distance"),
        (lambda a: a.positions.__setitem__((0, 0), np.nan), "nan"),
        (lambda a: a.set_momenta(np.full((4, 3), 9.0)), "temperature"),
        (lambda a: a.set_cell([16, 16, 16]), "volume"),
        (lambda a: a.set_cell([9, 9, 9]), "volume"),
    ],
)
def test_watch_names_each_fault(fault, end: str) -> None:
    atoms, watch = watched()
    fault(atoms)
    fault_named = watch.check(atoms)
    assert fault_named is not None
    assert fault_named.end == end


def test_a_bond_of_two_neutral_molecules_is_not_called_one_of_ions() -> None:
    atoms, watch = watched()
    atoms.positions[2:] = [[1.0, 1, 1.7], [1.0, 1.0, 2.62]]
    ended = watch.check(atoms)
    assert ended is not None and ended.detail == "H0-H2 of two ions or molecules at 0.70 A"


@pytest.mark.parametrize("edge", [30.0, 3.0])  # the second: smaller than twice the reach, searched pair by pair
def test_the_watch_finds_the_pairs_that_all_pairs_show(edge: float) -> None:
    rng = np.random.default_rng(11)
    atoms = Atoms("CHFN" * 60, positions=rng.random((240, 3)) * 3 * edge - edge, cell=[edge] * 3, pbc=True)
    watch = Watch(atoms, np.array([[0, 1], [2, 3]]), np.arange(240), 300.0)
    pairs, distance = watch._close_pairs(atoms.positions, atoms.cell.lengths())
    delta = atoms.positions[:, None] - atoms.positions
    delta -= edge * np.round(delta / edge)
    expected = np.sqrt((delta**2).sum(-1))
    near = np.argwhere(np.triu(expected < watch.reach, 1))
    kept = distance < watch.reach
    np.testing.assert_array_equal(pairs[kept], near)
    np.testing.assert_allclose(distance[kept], expected[tuple(near.T)])


def protic(proton_x: float) -> tuple[Atoms, Watch]:
    """An O-H...O of two molecules along x, the proton at 1 A from the first oxygen at the start; the oxygens are 2.5 A apart."""
    atoms = Atoms("OHO", positions=[[1, 1, 1], [2, 1, 1], [3.5, 1, 1]], cell=[12] * 3, pbc=True)
    atoms.set_momenta(np.zeros((3, 3)))
    watch = Watch(atoms, np.array([[0, 1]]), np.array([0, 0, 1]), 300.0)
    atoms.positions[1, 0] = proton_x
    return atoms, watch


@pytest.mark.parametrize(("proton_x", "away"), [(2.0, 0), (2.25, 0), (2.6, 1), (3.4 - 0.85, 0)])
def test_a_proton_that_hops_is_a_state(proton_x: float, away: int) -> None:
    atoms, watch = protic(proton_x)
    assert watch.check(atoms) is None
    assert watch.protons_away == away
    atoms.positions[1, 0] = 2.0  # it comes back
    assert watch.check(atoms) is None and watch.protons_away == 0


def test_a_proton_that_nothing_holds_is_a_broken_bond() -> None:
    atoms, watch = protic(2.0)
    atoms.positions[1] = [1, 5, 1]
    fault = watch.check(atoms)
    assert fault is not None and fault.end == "bond_broken"


@pytest.mark.parametrize(("acceptor", "bond_A"), [("F", 0.92), ("S", 1.34), ("Cl", 1.27), ("Br", 1.41), ("I", 1.61)])
@pytest.mark.parametrize("donor", ["N", "O", "Cl"])
def test_a_proton_may_hop_to_a_halide_and_back(donor: str, acceptor: str, bond_A: float) -> None:
    """As in ethylammonium chloride, or hydrogen chloride in water."""
    atoms = Atoms([donor, "H", acceptor], [[1, 1, 1], [2.2, 1, 1], [5, 1, 1]], cell=[12] * 3, pbc=True)
    atoms.set_momenta(np.zeros((3, 3)))
    watch = Watch(atoms, np.array([[0, 1]]), np.array([0, 0, 1]), 300.0)
    atoms.positions[1, 0] = 5 - bond_A
    assert watch.check(atoms) is None and watch.protons_away == 1
    atoms.positions[1, 0] = 2.2
    assert watch.check(atoms) is None and watch.protons_away == 0


def test_a_proton_of_carbon_does_not_hop() -> None:
    atoms = Atoms("CHO", positions=[[1, 1, 1], [2.1, 1, 1], [3.9, 1, 1]], cell=[12] * 3, pbc=True)
    watch = Watch(atoms, np.array([[0, 1]]), np.array([0, 0, 1]), 300.0)
    atoms.positions[1, 0] = 2.95
    fault = watch.check(atoms)
    assert fault is not None and fault.end == "bond_broken"


def test_hydrogen_fluoride_that_leaves_its_ion_is_a_reaction() -> None:
    """As PF6- with water: a proton on a fluorine of PF6- is a state, HF that goes away from the phosphorus is another substance."""
    atoms = Atoms("OHFP", positions=[[1, 1, 1], [2, 1, 1], [3.5, 1, 1], [5.1, 1, 1]], cell=[12] * 3, pbc=True)
    atoms.set_momenta(np.zeros((4, 3)))
    watch = Watch(atoms, np.array([[0, 1], [2, 3]]), np.array([0, 0, 1, 1]), 300.0)
    atoms.positions[1, 0] = 2.6
    assert watch.check(atoms) is None and watch.protons_away == 1
    atoms.positions[3, 0] = 6.3
    fault = watch.check(atoms)
    assert fault is not None and fault.end == "bond_broken" and fault.detail.startswith("F2-P3")
