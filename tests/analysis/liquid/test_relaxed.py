"""A molecule alone by GFN2-xTB: laws of its multipoles, and dipoles that were measured."""

import numpy as np
import pytest
from ase import Atoms
from ase.units import Bohr, Debye
from scipy.spatial.transform import Rotation
from tblite.ase import TBLite

from ionmelt.errors import UserError
from ionmelt.liquid.ions import parse
from ionmelt.liquid.relaxed import METHOD, Relaxed, multipoles, relaxed


def atoms_of(smiles: str, molecule: Relaxed) -> Atoms:
    return Atoms([atom.GetSymbol() for atom in parse(smiles).GetAtoms()], molecule.positions_A)


def dipole_D(molecule: Relaxed) -> float:
    return float(np.linalg.norm(np.array(molecule.charges_e) @ molecule.positions_A)) / Debye


def test_multipoles_turn_with_the_molecule_and_their_dipole_is_that_of_the_calculator() -> None:
    atoms = atoms_of("CC#N", relaxed("CC#N", 0))
    turn = Rotation.from_euler("xyz", [0.5, 0.9, 1.3]).as_matrix()
    turned = atoms.copy()
    turned.positions = atoms.positions @ turn.T
    charges, dipoles, quadrupoles = multipoles(atoms, 0)
    there = multipoles(turned, 0)
    np.testing.assert_allclose(there[0], charges, atol=1e-5)
    np.testing.assert_allclose(there[1], dipoles @ turn.T, atol=1e-5)
    np.testing.assert_allclose(there[2], turn @ quadrupoles @ turn.T, atol=1e-5)
    np.testing.assert_allclose(np.trace(quadrupoles, axis1=1, axis2=2), 0, atol=1e-6)
    turned.calc = TBLite(method=METHOD, verbosity=0)
    ours = (there[0] @ turned.positions / Bohr + there[1].sum(axis=0)) * Bohr
    np.testing.assert_allclose(ours, turned.get_dipole_moment(), atol=1e-4)
    # about the axis of the molecule, its quadrupole is that of a rod
    positions = atoms.positions / Bohr
    moments = np.einsum("a,ax,ay->xy", charges, positions, positions) + 2 * np.einsum("ax,ay->xy", dipoles, positions)
    moments = (moments + moments.T) / 2
    whole = quadrupoles.sum(axis=0) + 1.5 * moments - np.trace(moments) / 2 * np.eye(3)
    values = np.sort(np.linalg.eigvalsh(whole))
    assert min(values[1] - values[0], values[2] - values[1]) == pytest.approx(0, abs=0.02) and np.ptp(values) > 1


@pytest.mark.parametrize(
    ("smiles", "measured_D", "off"),
    [("CC#N", 3.92, 0.1), ("O=C1CCCO1", 4.27, 0.2), ("CC(C)=O", 2.88, 0.15), ("CCCC", 0.0, 0.1)],
)
def test_dipoles_are_nearly_those_measured_in_the_gas(smiles: str, measured_D: float, off: float) -> None:
    """CRC Handbook of Chemistry and Physics: acetonitrile, gamma-butyrolactone, acetone, butane."""
    assert dipole_D(relaxed(smiles, 0)) == pytest.approx(measured_D, rel=off, abs=0.1)


def test_equivalent_atoms_have_one_charge_and_all_together_that_of_the_molecule() -> None:
    charges = relaxed("F[B-](F)(F)F", -1).charges_e
    assert sum(charges) == pytest.approx(-1, abs=1e-9)
    assert len({round(charge, 9) for charge in (charges[0], *charges[2:])}) == 1 and charges[1] > 0.3
    assert relaxed("[Cl-]", -1).charges_e == pytest.approx([-1])


def test_a_zwitterion_keeps_its_proton() -> None:
    molecule = relaxed("[NH3+]CC(=O)[O-]", 0)
    lengths = np.linalg.norm(molecule.positions_A[5:8] - molecule.positions_A[0], axis=1)
    assert lengths == pytest.approx([1.03] * 3, abs=0.08)


def test_what_breaks_is_refused() -> None:
    with pytest.raises(UserError, match=r"a bond breaks as GFN2-xTB relaxes it"):
        relaxed("ClCl", -2)  # two chlorides
