"""OpenFF Sage for any molecule: its terms as the Open Force Field toolkit assigns them, with charges of NAGL or fitted to GFN2-xTB.

Sage 2.2.1: Boothroyd et al., J. Chem. Theory Comput. 19, 3251 (2023). It was fitted with AM1-BCC charges, which NAGL predicts: those of
the molecules of assets are in their files. Other molecules get charges fitted to the potential of GFN2-xTB (`ionmelt.liquid.relaxed`).
"""

import warnings
from functools import cache
from typing import Any

import numpy as np

from ionmelt.errors import UserError
from ionmelt.liquid.explicit import Terms
from ionmelt.liquid.ion_terms import neighbours_of, torsions_of
from ionmelt.liquid.ions import parse
from ionmelt.liquid.relaxed import CHARGES, relaxed
from ionmelt.topology import Ion

NAME = "OpenFF Sage 2.2.1"
OFFXML = "openff-2.2.1.offxml"
COULOMB_14, LENNARD_JONES_14 = 0.8333333333, 0.5
NAGL_CHARGES = "openff-gnn-am1bcc-1.0.0 (NAGL)"  # of the molecules of assets


def source_of(charges_e: list[float] | None) -> str:
    """Return where the terms of a molecule are from, whose charges are given or not."""
    return f"{NAME}; charges {NAGL_CHARGES if charges_e else CHARGES}"


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


def sage_terms(ion: Ion, charges_e: list[float] | None) -> Terms:
    """Return the terms of a molecule; `charges_e` are NAGL's, where there are any. Raises `UserError` where Sage lacks something."""
    smiles = ion["smiles"]
    if missing := lacks(smiles):
        raise UserError(f"{ion['name']} ({smiles}): OpenFF Sage lacks {missing}")
    _, labels = labelled(smiles)
    charges = charges_e or relaxed(smiles, ion["charge"]).charges_e
    vdw = [lennard_jones(labels["vdW"][(i,)]) for i in range(len(ion["elements"]))]
    return Terms(
        smiles=smiles,
        source=source_of(charges_e),
        elements=ion["elements"],
        charges_e=charges,
        bonds=[bond_term(key, p) for key, p in labels["Bonds"].items()],
        angles=[angle_term(key, p) for key, p in labels["Angles"].items()],
        torsions=proper_torsions(labels["ProperTorsions"]) + improper_torsions(labels["ImproperTorsions"]),
        **nonbonded(ion, charges, vdw),
    )


def nonbonded(ion: Ion, charges_e: list[float], vdw: list[tuple[float, float]]) -> dict[str, Any]:
    """Return the fields of `Terms` beside charges that no bond has: Lennard-Jones terms, excluded pairs, and those three bonds apart, scaled."""
    sigma, epsilon = map(list, zip(*vdw, strict=True))
    bonds, near = [(i, j) for i, j in ion["bonds"]], neighbours_of(ion)
    excluded = {(min(i, j), max(i, j)) for i, j in bonds}
    excluded |= {(min(i, k), max(i, k)) for around in near for i in around for k in around if i != k}
    pairs_14 = sorted({(min(c[0], c[3]), max(c[0], c[3])) for c in torsions_of(bonds, near)} - excluded)
    scaled = [
        (
            i,
            j,
            COULOMB_14 * charges_e[i] * charges_e[j],
            (sigma[i] + sigma[j]) / 2,
            LENNARD_JONES_14 * float(np.sqrt(epsilon[i] * epsilon[j])),
        )
        for i, j in pairs_14
    ]
    return {"sigma_nm": sigma, "epsilon": epsilon, "excluded": sorted(excluded), "pairs_14": scaled}


def bond_term(key: tuple[int, int], parameter: Any) -> tuple[int, int, float, float]:
    """Return a bond: atoms, length (nm), k (kJ/mol/nm^2)."""
    return (*key, nm(parameter.length), float(parameter.k.m_as("kilojoule/mole/nanometer**2")))


def angle_term(key: tuple[int, int, int], parameter: Any) -> tuple[int, int, int, float, float]:
    """Return an angle: atoms, angle (rad), k (kJ/mol/rad^2)."""
    return (*key, float(parameter.angle.m_as("radian")), float(parameter.k.m_as("kilojoule/mole/radian**2")))


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
