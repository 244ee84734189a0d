"""Heavier hydrogens: molecules keep their mass, energy and density their meaning, vibrations slow down as the root of the mass."""

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.emt import EMT
from ase.md.verlet import VelocityVerlet
from ase.units import fs

from ionmelt.dynamics.masses import with_heavy_hydrogens
from ionmelt.errors import UserError
from ionmelt.topology import Topology


def topology(elements: list[str], masses_u: list[float], bonds: list[list[int]], count: int = 2) -> Topology:
    ion = {
        "name": "m", "smiles": "", "charge": 0, "count": count, "elements": elements, "bonds": bonds, "masses_u": masses_u, "types": None,
    }  # fmt: skip
    return Topology("x", [ion])


METHANOL = topology(
    ["C", "O", "H", "H", "H", "H"],
    [12.011, 15.999, 1.008, 1.008, 1.008, 1.008],
    [[0, 1], [0, 2], [3, 0], [0, 4], [1, 5]],
)


def test_mass_goes_from_the_heavy_atom_to_its_hydrogens() -> None:
    masses = with_heavy_hydrogens(METHANOL, 3.0).reshape(2, 6)
    np.testing.assert_allclose(masses[:, 2:], 3.0)
    np.testing.assert_allclose(masses[:, 0], 12.011 - 3 * 1.992)
    np.testing.assert_allclose(masses[:, 1], 15.999 - 1.992)
    np.testing.assert_allclose(masses.sum(1), METHANOL.masses_u.reshape(2, 6).sum(1))


def test_without_a_mass_all_stay_as_they_are() -> None:
    np.testing.assert_array_equal(with_heavy_hydrogens(METHANOL, None), METHANOL.masses_u)


def test_a_hydrogen_molecule_and_a_lone_proton_have_no_heavy_atom() -> None:
    for alone in (topology(["H", "H"], [1.008, 1.008], [[0, 1]]), topology(["H"], [1.008], [])):
        np.testing.assert_array_equal(with_heavy_hydrogens(alone, 3.0), alone.masses_u)


def test_more_than_the_heavy_atom_can_give_is_refused() -> None:
    with pytest.raises(
        UserError,
        match=r"md\.hydrogen_mass_u: 4 would leave 0\.0\d+ u to an atom of C that bears hydrogens, in m: give 3\.2 or less",
    ):
        with_heavy_hydrogens(
            topology(["C", "H", "H", "H", "H"], [12.011] + [1.008] * 4, [[0, i] for i in range(1, 5)]), 4.0
        )


def test_what_is_said_to_be_right_is_so_to_the_last_hundredth() -> None:
    """Methyl bears three hydrogens and hydroxyl one: it is the methyl that has the least to give."""
    with pytest.raises(UserError, match=r"an atom of C .* give 3\.75 or less"):
        with_heavy_hydrogens(METHANOL, 3.77)
    assert with_heavy_hydrogens(METHANOL, 3.75).min() == 3.75
    with pytest.raises(UserError, match=r"an atom of C .* give 3\.75 or less"):
        with_heavy_hydrogens(METHANOL, 3.76)


def period_fs(masses: np.ndarray) -> float:
    """Return the period of the stretch of a bond to hydrogen."""
    atoms = Atoms("CuH", [[0, 0, 0], [0, 0, 1.75]], masses=masses, calculator=EMT())
    lengths, step_fs = [], 0.1
    dynamics = VelocityVerlet(atoms, step_fs * fs)
    for _ in range(2000):
        dynamics.run(1)
        lengths.append(atoms.get_distance(0, 1))
    beyond = np.diff((np.array(lengths) > np.mean(lengths)).astype(int)) > 0
    return float(np.diff(np.flatnonzero(beyond)).mean()) * step_fs


def test_the_stretch_slows_down_as_the_root_of_the_reduced_mass() -> None:
    bond = topology(["Cu", "H"], [63.546, 1.008], [[0, 1]], count=1)
    light, heavy = bond.masses_u, with_heavy_hydrogens(bond, 3.0)
    reduced = [a * b / (a + b) for a, b in (light, heavy)]
    assert period_fs(heavy) / period_fs(light) == pytest.approx(np.sqrt(reduced[1] / reduced[0]), rel=0.02)
