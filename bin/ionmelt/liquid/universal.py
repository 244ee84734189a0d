"""The Universal Force Field for what no other has: ions of one centre with its ligands, such as AlCl4-, with charges of GFN2-xTB.

Rappe et al., J. Am. Chem. Soc. 114, 10024 (1992), as RDKit has it: bonds, angles and Lennard-Jones terms. It was made for structures,
not for liquids: a density from it is a start for a model's own, not a result.
"""

import math

from rdkit import Chem, rdBase
from rdkit.Chem import rdForceFieldHelpers

from ionmelt.errors import UserError
from ionmelt.liquid.explicit import Terms
from ionmelt.liquid.ion_terms import neighbours_of
from ionmelt.liquid.ions import parse
from ionmelt.liquid.sage import XTB_CHARGES, xtb_charges
from ionmelt.topology import Ion

KJ_PER_KCAL = 4.184
SOURCE = f"UFF (RDKit); charges {XTB_CHARGES}"
SIGMA_OF_MINIMUM = 2 ** (-1 / 6)


def covers(smiles: str) -> bool:
    """Tell whether a molecule is one atom with its ligands, all of them known: it has no torsion, of which RDKit gives half."""
    molecule = parse(smiles)
    with rdBase.BlockLogs():  # it speaks of charges that its types do not have
        has_all = rdForceFieldHelpers.UFFHasAllMoleculeParams(molecule)
    if not has_all:
        return False
    return molecule.GetNumAtoms() == 1 or any(
        atom.GetDegree() == molecule.GetNumAtoms() - 1 for atom in molecule.GetAtoms()
    )


def universal_terms(ion: Ion) -> Terms:
    """Return the terms of an ion of one centre; raises `UserError` where it is another."""
    if not covers(ion["smiles"]):
        raise UserError(f"{ion['name']} ({ion['smiles']}): neither CL&P, nor OpenFF Sage, nor UFF has it")
    molecule = parse(ion["smiles"])
    size = molecule.GetNumAtoms()
    near = neighbours_of(ion)
    angles = [(i, j, k) for j, around in enumerate(near) for i in around for k in around if i < k]
    bonds, bends = [], []
    with rdBase.BlockLogs():
        lj = [lennard_jones(molecule, i) for i in range(size)]
        for i, j in ion["bonds"]:
            k, length = rdForceFieldHelpers.GetUFFBondStretchParams(molecule, i, j)
            bonds.append((i, j, length / 10, k * KJ_PER_KCAL * 100))
        for i, j, k in angles:
            force, theta = rdForceFieldHelpers.GetUFFAngleBendParams(molecule, i, j, k)
            bends.append((i, j, k, math.radians(theta), force * KJ_PER_KCAL))
    return Terms(
        smiles=ion["smiles"],
        source=SOURCE,
        elements=ion["elements"],
        charges_e=xtb_charges(ion["smiles"], ion["charge"]),
        sigma_nm=[sigma for sigma, _ in lj],
        epsilon=[epsilon for _, epsilon in lj],
        bonds=bonds,
        angles=bends,
        excluded=sorted({(min(i, j), max(i, j)) for i, j in ion["bonds"]} | {(i, k) for i, _, k in angles}),
    )


def lennard_jones(molecule: Chem.Mol, atom: int) -> tuple[float, float]:
    """Return sigma (nm) and epsilon (kJ/mol) of an atom: UFF's distance of the minimum and depth of a pair of its own kind."""
    minimum, depth = rdForceFieldHelpers.GetUFFVdWParams(molecule, atom, atom)
    return minimum * SIGMA_OF_MINIMUM / 10, depth * KJ_PER_KCAL
