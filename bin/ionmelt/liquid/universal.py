"""The terms that OpenFF Sage lacks: lengths and angles of GFN2-xTB, force constants and Lennard-Jones terms of the Universal Force Field.

UFF: Rappe et al., J. Am. Chem. Soc. 114, 10024 (1992), as RDKit has it. Its own angles do not suit what Sage lacks: those of ClO4- or SbF6-
would be under strain. What Sage has of a molecule is kept, but for atoms that it was not made for: with more than four neighbours, or without Lennard-Jones terms,
whose angles only its most general terms match. Torsions that it lacks are left out. A molecule with such terms is a start for a model's own density, not a result.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from rdkit import Chem, rdBase
from rdkit.Chem import rdForceFieldHelpers

from ionmelt.errors import UserError
from ionmelt.liquid import sage
from ionmelt.liquid.explicit import Terms
from ionmelt.liquid.forcefield import AtomType
from ionmelt.liquid.ion_terms import neighbours_of
from ionmelt.liquid.ions import parse
from ionmelt.liquid.relaxed import CHARGES, METHOD, relaxed
from ionmelt.topology import Ion

KJ_PER_KCAL = 4.184
SOURCE = f"UFF (RDKit) with lengths and angles of {METHOD}, beside what {sage.NAME} has; charges {CHARGES}"
SIGMA_OF_MINIMUM = 2 ** (-1 / 6)
FOUR = 4  # neighbours of the atoms that Sage was made for
TRANS_DEG = 150.0  # opposite neighbours of an atom with more: their angle is held by those between
# Where RDKit has no type of an atom, about those that UFF has of single bonds and of the angles between (kcal/mol, A, rad).
BOND_K, ANGLE_K = 700.0, 100.0

Indices = tuple[int, ...]


def crowded(ion: Ion) -> set[int]:
    """Return the atoms with more neighbours than Sage was made for."""
    return {i for i, near in enumerate(neighbours_of(ion)) if len(near) > FOUR}


def covers(smiles: str) -> bool:
    """Tell whether all that is needed of a molecule can be had; of an atom alone UFF must have the very type."""
    molecule = parse(smiles)
    if molecule.GetNumAtoms() == 1:
        with rdBase.BlockLogs():  # it speaks of charges that its types do not have
            return bool(rdForceFieldHelpers.UFFHasAllMoleculeParams(molecule))
    return all(lennard_jones(molecule, atom.GetIdx()) for atom in molecule.GetAtoms())


def universal_terms(ion: Ion, boron: AtomType, charges_e: list[float] | None) -> Terms:
    """Return the terms of a molecule; `boron`: that of CL&P. Raises `UserError` where it cannot be had."""
    if not covers(ion["smiles"]):
        raise UserError(f"{ion['name']} ({ion['smiles']}): neither CL&P, nor OpenFF Sage, nor UFF has it")
    molecule, labels = parse(ion["smiles"]), sage_labels(ion["smiles"])
    near, at = neighbours_of(ion), relaxed(ion["smiles"], ion["charge"])
    strange = crowded(ion) | {i for i in range(len(near)) if (i,) not in labels.get("vdW", {})}
    vdw = [lj_of(molecule, i, labels.get("vdW", {}), boron) for i in range(len(near))]
    bonds = [
        sage.bond_term((i, j), labels["Bonds"][(i, j)])
        if (i, j) in labels.get("Bonds", {}) and not strange & {i, j}
        else (i, j, length_A(at.positions_A, i, j) / 10, bond_k(molecule, i, j))
        for i, j in ((min(bond), max(bond)) for bond in ion["bonds"])
    ]
    angles = list(angle_terms(molecule, near, strange, at.positions_A, labels.get("Angles", {})))
    kept = {key: term for key, term in labels.get("ProperTorsions", {}).items() if not strange & set(key[1:3])}
    return Terms(
        smiles=ion["smiles"],
        source=SOURCE,
        elements=ion["elements"],
        charges_e=charges_e or at.charges_e,
        bonds=bonds,
        angles=angles,
        torsions=sage.proper_torsions(kept) + sage.improper_torsions(labels.get("ImproperTorsions", {})),
        **sage.nonbonded(ion, charges_e or at.charges_e, vdw),
    )


def sage_labels(smiles: str) -> Any:
    """Return what Sage has of a molecule, by the kind of the terms; nothing of one that its toolkit cannot hold."""
    from openff.toolkit.utils.exceptions import OpenFFToolkitException

    try:
        return dict(sage.labelled(smiles)[1])
    except OpenFFToolkitException:
        return {}


def angle_terms(
    molecule: Chem.Mol, near: list[list[int]], strange: set[int], positions_A: np.ndarray, labels: Any
) -> Iterator[tuple[int, int, int, float, float]]:
    """Give the angles: atoms, angle (rad), k (kJ/mol/rad^2); those of opposite neighbours of an atom with more than four are left out."""
    for j, around in enumerate(near):
        for i, k in ((i, k) for i in around for k in around if i < k):
            if (i, j, k) in labels and not strange & {i, j, k}:
                yield sage.angle_term((i, j, k), labels[(i, j, k)])
                continue
            theta = angle_rad(positions_A, i, j, k)
            if len(around) <= FOUR or theta < np.radians(TRANS_DEG):
                yield i, j, k, theta, angle_k(molecule, i, j, k)


def length_A(positions_A: np.ndarray, i: int, j: int) -> float:
    """Return a distance."""
    return float(np.linalg.norm(positions_A[i] - positions_A[j]))


def angle_rad(positions_A: np.ndarray, i: int, j: int, k: int) -> float:
    """Return the angle at j."""
    one, two = positions_A[i] - positions_A[j], positions_A[k] - positions_A[j]
    return float(np.arctan2(np.linalg.norm(np.cross(one, two)), one @ two))


def bond_k(molecule: Chem.Mol, i: int, j: int) -> float:
    """Return UFF's force constant of a bond (kJ/mol/nm^2)."""
    with rdBase.BlockLogs():
        given = rdForceFieldHelpers.GetUFFBondStretchParams(molecule, i, j)
    return float(given[0] if given else BOND_K) * KJ_PER_KCAL * 100


def angle_k(molecule: Chem.Mol, i: int, j: int, k: int) -> float:
    """Return UFF's force constant of an angle (kJ/mol/rad^2)."""
    with rdBase.BlockLogs():
        given = rdForceFieldHelpers.GetUFFAngleBendParams(molecule, i, j, k)
    return float(given[0] if given else ANGLE_K) * KJ_PER_KCAL


def lj_of(molecule: Chem.Mol, atom: int, labels: Any, boron: AtomType) -> tuple[float, float]:
    """Return sigma (nm) and epsilon (kJ/mol) of an atom: Sage's, of boron that of CL&P, else UFF's."""
    if (atom,) in labels:
        return sage.lennard_jones(labels[(atom,)])
    if molecule.GetAtomWithIdx(atom).GetSymbol() == "B":
        return boron.sigma_A / 10, boron.epsilon_kJ_mol
    given = lennard_jones(molecule, atom)
    assert given, "refused by covers"
    return given


def lennard_jones(molecule: Chem.Mol, atom: int) -> tuple[float, float] | None:
    """Return sigma (nm) and epsilon (kJ/mol) of UFF: of the distance of the minimum and the depth of a pair of the same kind; None: not had.

    They go by the element: where RDKit has no type of an atom in its molecule, those of a hydride are taken.
    """
    symbol = molecule.GetAtomWithIdx(atom).GetSymbol()
    with rdBase.BlockLogs():
        given = rdForceFieldHelpers.GetUFFVdWParams(molecule, atom, atom)
        for hydrogens in (3, 2, 4):
            hydride = None if given else Chem.MolFromSmiles(f"[{symbol}H{hydrogens}]")
            given = given or (hydride and rdForceFieldHelpers.GetUFFVdWParams(Chem.AddHs(hydride), 0, 0))
    return (given[0] * SIGMA_OF_MINIMUM / 10, given[1] * KJ_PER_KCAL) if given else None
