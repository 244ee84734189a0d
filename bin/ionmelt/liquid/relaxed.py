"""A molecule alone by GFN2-xTB: its relaxed structure, and charges that give the electrostatic potential around it.

GFN2-xTB (Bannwarth et al., J. Chem. Theory Comput. 15, 1652 (2019)) holds charges, dipoles and quadrupoles of atoms, whose potential is that
of the density to the quadrupole; its charges alone give acetonitrile 2.6 D of its 3.9 D. Charges are fitted to that potential on the shells of
Singh and Kollman, J. Comput. Chem. 5, 129 (1984), equal for equivalent atoms, and held to those of GFN2 where the potential does not decide.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import covalent_radii, vdw_radii
from ase.units import Bohr
from rdkit import Chem

from ionmelt.errors import UserError
from ionmelt.liquid.ions import geometry, parse

METHOD = "GFN2-xTB"
CHARGES = f"fitted to the potential of {METHOD}"
FORCE_EV_A, STEPS = 0.05, 300  # of the relaxation
SOLVENT = "water"  # around it, by ALPB: alone, a zwitterion gives its proton away, and an anion of three iodines breaks
BROKEN = 1.2  # a bond longer than this, in sums of covalent radii, is none
SHELLS = (1.4, 1.6, 1.8, 2.0)  # in van der Waals radii
POINTS_PER_A2 = 1.0
RADIUS_A = 2.0  # where ASE has none
HELD = 1e-4  # weight of the charges of GFN2 in the fit (a.u. of the mean square potential): the potential rules but for buried atoms


@dataclass(frozen=True)
class Relaxed:
    """Relaxed positions (N, 3) in angstrom and fitted charges (N,) in e."""

    positions_A: np.ndarray
    charges_e: list[float]


@cache
def relaxed(smiles: str, charge: int) -> Relaxed:
    """Return a molecule by its SMILES, relaxed, its atoms in the order of `parse`.

    Where a bond breaks, as that of a proton in a zwitterion without a solvent, the bonds to hydrogen are held as they are built.
    Raises `UserError` where one breaks nevertheless, or the calculation fails.
    """
    from ase.constraints import FixBondLengths

    molecule = parse(smiles)
    bonds = np.array([[b.GetBeginAtomIdx(), b.GetEndAtomIdx()] for b in molecule.GetBonds()], int).reshape(-1, 2)
    atoms = Atoms([atom.GetSymbol() for atom in molecule.GetAtoms()], positions=geometry(smiles))
    to_hydrogen = bonds[(atoms.numbers[bonds] == 1).any(axis=1)]
    for held in (bonds[:0], to_hydrogen):
        trial = atoms.copy()
        trial.set_constraint(FixBondLengths(held) if len(held) else None)
        relax(trial, smiles, charge)
        if longest(trial, bonds) < BROKEN:
            return Relaxed(trial.positions, potential_charges(trial, molecule, charge))
    raise UserError(
        f"{smiles}: a bond breaks as {METHOD} relaxes it: give force_field: xtb, or the path of an OpenMM XML that has it"
    )


def relax(atoms: Atoms, smiles: str, charge: int) -> None:
    """Relax a molecule, in place."""
    from ase.optimize import BFGS
    from tblite.ase import TBLite

    atoms.calc = TBLite(method=METHOD, charge=charge, solvation=("alpb", SOLVENT), verbosity=0)
    try:
        BFGS(atoms, logfile=None).run(fmax=FORCE_EV_A, steps=STEPS)
    except RuntimeError as error:
        raise UserError(f"{smiles}: {METHOD} fails: {str(error).splitlines()[0]}") from error


def longest(atoms: Atoms, bonds: np.ndarray) -> float:
    """Return the longest of the bonds (B, 2), in sums of covalent radii."""
    i, j = bonds.T
    lengths = np.linalg.norm(atoms.positions[i] - atoms.positions[j], axis=1)
    return float((lengths / (covalent_radii[atoms.numbers[i]] + covalent_radii[atoms.numbers[j]])).max(initial=0.0))


def potential_charges(atoms: Atoms, molecule: Chem.Mol, charge: int) -> list[float]:
    """Return the charges (e) of atoms whose potential is nearest to that of GFN2's multipoles, their sum that of the molecule."""
    charges, dipoles, quadrupoles = multipoles(atoms, charge)
    _, kind = np.unique(list(Chem.CanonicalRankAtoms(molecule, breakTies=False)), return_inverse=True)
    atoms_of_kind = np.eye(kind.max() + 1)[kind]
    counts = atoms_of_kind.sum(axis=0)
    away = (shell_points_A(atoms)[:, None] - atoms.positions) / Bohr
    inverse = 1 / np.linalg.norm(away, axis=2)
    potential = (
        inverse @ charges
        + np.einsum("pa,pax,ax->p", inverse**3, away, dipoles)
        + np.einsum("pa,pax,axy,pay->p", inverse**5, away, quadrupoles, away)
    )
    design = inverse @ atoms_of_kind
    normal = design.T @ design / len(design) + HELD * np.diag(counts)
    right = design.T @ potential / len(design) + HELD * (atoms_of_kind.T @ charges)
    system = np.block(
        [[normal, counts[:, None]], [counts[None], np.zeros((1, 1))]]
    )  # the last row: a Lagrange multiplier
    fitted = np.linalg.solve(system, np.append(right, charge))[:-1]
    return [float(value) for value in fitted[kind]]


def multipoles(atoms: Atoms, charge: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the charges (N,), dipoles (N, 3) and traceless quadrupoles (N, 3, 3) of atoms by GFN2-xTB (atomic units)."""
    from tblite.interface import Calculator

    calculator: Any = Calculator(METHOD, atoms.numbers, atoms.positions / Bohr, charge=charge)
    calculator.set("verbosity", 0)
    calculator.add("xtbml_xyz")
    results = calculator.singlepoint().get("post-processing-dict")
    dipoles = np.stack([results[f"dipm_A_{x}"] for x in "xyz"], axis=-1)
    quadrupoles = np.stack([[results[f"qm_A_{min(x, y)}{max(x, y)}"] for y in "xyz"] for x in "xyz"]).transpose(2, 0, 1)
    return results["q_A"], dipoles, quadrupoles


def shell_points_A(atoms: Atoms) -> np.ndarray:
    """Return points (P, 3) at `SHELLS` of the van der Waals radii around a molecule, none within another atom's shell."""
    radii = np.where(np.isnan(vdw_radii[atoms.numbers]), RADIUS_A, vdw_radii[atoms.numbers])
    points = []
    for factor in SHELLS:
        for centre, radius in zip(atoms.positions, factor * radii, strict=True):
            sphere = centre + radius * spiral(round(4 * np.pi * radius**2 * POINTS_PER_A2))
            distances = np.linalg.norm(sphere[:, None] - atoms.positions, axis=2)
            points.append(sphere[(distances > factor * radii - 1e-6).all(axis=1)])
    return np.vstack(points)


def spiral(number: int) -> np.ndarray:
    """Return points (number, 3) spread evenly over the unit sphere, on a spiral of golden angles."""
    z = 1 - (2 * np.arange(number) + 1) / number
    angle = np.pi * (1 + 5**0.5) * np.arange(number)
    return np.stack([np.sqrt(1 - z**2) * np.cos(angle), np.sqrt(1 - z**2) * np.sin(angle), z], axis=1)
