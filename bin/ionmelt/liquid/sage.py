"""OpenFF Sage for any molecule: its terms as the Open Force Field toolkit assigns them, with charges of NAGL or GFN2-xTB.

Sage 2.2.1: Boothroyd et al., J. Chem. Theory Comput. 19, 3251 (2023). It was fitted with AM1-BCC charges, which NAGL predicts: those of
the molecules of assets are in their files. Other molecules get Mulliken charges of GFN2-xTB, averaged over equivalent atoms.
"""

import warnings
from functools import cache
from typing import Any

import numpy as np
from rdkit import Chem

from ionmelt.errors import UserError
from ionmelt.liquid.explicit import Terms
from ionmelt.liquid.ion_terms import neighbours_of, torsions_of
from ionmelt.liquid.ions import geometry, parse
from ionmelt.topology import Ion

NAME = "OpenFF Sage 2.2.1"
OFFXML = "openff-2.2.1.offxml"
COULOMB_14, LENNARD_JONES_14 = 0.8333333333, 0.5
NAGL_CHARGES = "openff-gnn-am1bcc-1.0.0 (NAGL)"  # of the molecules of assets
XTB_CHARGES = "GFN2-xTB"  # of others


def source_of(charges_e: list[float] | None) -> str:
    """Return where the terms of a molecule are from, whose charges are given or not."""
    return f"{NAME}; charges {NAGL_CHARGES if charges_e else XTB_CHARGES}"


def lacks(smiles: str) -> str | None:
    """Return what Sage has no parameters of in a molecule, in words; None where it has all."""
    from openff.toolkit.utils.exceptions import OpenFFToolkitException

    try:
        molecule, labels = labelled(smiles)
    except OpenFFToolkitException as error:  # what its toolkit cannot hold, its force field cannot have
        return "all of it: " + " ".join(str(error).split())
    expected = {"Bonds": molecule.n_bonds, "Angles": molecule.n_angles, "ProperTorsions": molecule.n_propers}
    expected["vdW"] = molecule.n_atoms
    few = [
        f"{expected[kind] - len(labels[kind])} of {expected[kind]} {kind}"
        for kind in expected
        if len(labels[kind]) < expected[kind]
    ]
    return ", ".join(few) or None


@cache
def labelled(smiles: str) -> tuple[Any, Any]:
    """Return a molecule of the toolkit, its atoms in the order of `parse`, and the parameters of each of its groups of atoms."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from openff.toolkit import Molecule

        molecule = Molecule.from_rdkit(parse(smiles), allow_undefined_stereo=True, hydrogens_are_explicit=True)
        return molecule, force_field().label_molecules(molecule.to_topology())[0]


@cache
def force_field() -> Any:
    """Return Sage, as the toolkit reads it."""
    from openff.toolkit import ForceField

    return ForceField(OFFXML)


def xtb_charges(smiles: str, charge: int) -> list[float]:
    """Return the charges (e) of a molecule by GFN2-xTB at its relaxed structure, equal for equivalent atoms, their sum its own."""
    from ase import Atoms
    from ase.optimize import BFGS
    from tblite.ase import TBLite

    molecule = parse(smiles)
    atoms = Atoms([atom.GetSymbol() for atom in molecule.GetAtoms()], positions=geometry(smiles))
    atoms.calc = TBLite(method=XTB_CHARGES, charge=charge, verbosity=0)
    BFGS(atoms, logfile=None).run(fmax=0.05, steps=200)
    charges = np.array(atoms.get_charges(), dtype=np.float64)
    ranks = np.array(Chem.CanonicalRankAtoms(molecule, breakTies=False))
    means = np.array([charges[ranks == rank].mean() for rank in ranks])
    return [float(value) for value in means + (charge - means.sum()) / len(means)]


def sage_terms(ion: Ion, charges_e: list[float] | None) -> Terms:
    """Return the terms of a molecule; `charges_e` are NAGL's, where there are any. Raises `UserError` where Sage lacks something."""
    smiles = ion["smiles"]
    if missing := lacks(smiles):
        raise UserError(f"{ion['name']} ({smiles}): OpenFF Sage lacks {missing}")
    _, labels = labelled(smiles)
    charges = charges_e or xtb_charges(smiles, ion["charge"])
    sigma, epsilon = zip(*(lennard_jones(labels["vdW"][(i,)]) for i in range(len(ion["elements"]))), strict=True)
    bonds = [(i, j) for i, j in ion["bonds"]]
    near = neighbours_of(ion)
    chains = torsions_of(bonds, near)
    excluded = {(min(i, j), max(i, j)) for i, j in bonds}
    excluded |= {(min(i, k), max(i, k)) for around in near for i in around for k in around if i != k}
    pairs_14 = sorted({(min(c[0], c[3]), max(c[0], c[3])) for c in chains} - excluded)
    return Terms(
        smiles=smiles,
        source=source_of(charges_e),
        elements=ion["elements"],
        charges_e=charges,
        sigma_nm=list(sigma),
        epsilon=list(epsilon),
        bonds=[
            (*key, nm(p.length), float(p.k.m_as("kilojoule/mole/nanometer**2"))) for key, p in labels["Bonds"].items()
        ],
        angles=[
            (*key, p.angle.m_as("radian"), p.k.m_as("kilojoule/mole/radian**2")) for key, p in labels["Angles"].items()
        ],
        torsions=proper_torsions(labels["ProperTorsions"]) + improper_torsions(labels["ImproperTorsions"]),
        excluded=sorted(excluded),
        pairs_14=[
            (
                i,
                j,
                COULOMB_14 * charges[i] * charges[j],
                (sigma[i] + sigma[j]) / 2,
                LENNARD_JONES_14 * float(np.sqrt(epsilon[i] * epsilon[j])),
            )
            for i, j in pairs_14
        ],
    )


def nm(length: Any) -> float:
    """Return a length of the toolkit in nm."""
    return float(length.m_as("nanometer"))


def kj_mol(energy: Any) -> float:
    """Return an energy of the toolkit in kJ/mol."""
    return float(energy.m_as("kilojoule/mole"))


def lennard_jones(parameter: Any) -> tuple[float, float]:
    """Return sigma (nm) and epsilon (kJ/mol) of an atom."""
    sigma = parameter.sigma if parameter.sigma is not None else parameter.rmin_half * 2 ** (5 / 6)
    return nm(sigma), kj_mol(parameter.epsilon)


def proper_torsions(labels: Any) -> list[tuple[int, int, int, int, int, float, float]]:
    """Return each cosine of the proper torsions: atoms, periodicity, phase (rad), k (kJ/mol)."""
    return [
        (*key, int(periodicity), float(phase.m_as("radian")), kj_mol(k) / float(divided or 1))
        for key, p in labels.items()
        for periodicity, phase, k, divided in zip(p.periodicity, p.phase, p.k, p.idivf or [1] * len(p.k), strict=True)
    ]


def improper_torsions(labels: Any) -> list[tuple[int, int, int, int, int, float, float]]:
    """Return the cosines of the impropers: each the mean over the three ways around its centre, the second atom of its key."""
    terms = []
    for (one, centre, two, three), p in labels.items():
        for periodicity, phase, k in zip(p.periodicity, p.phase, p.k, strict=True):
            for around in ((one, two, three), (two, three, one), (three, one, two)):
                terms.append((centre, *around, int(periodicity), float(phase.m_as("radian")), kj_mol(k) / 3))
    return terms
