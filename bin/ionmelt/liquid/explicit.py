"""A force field whose every term is written out, molecule by molecule: what comes of mixing CL&P with OpenFF Sage.

A file of it (``force_field.json``) holds, for each kind of molecule, where its parameters are from, and its terms by the indices
of its atoms, in OpenMM's units (kJ/mol, nm, rad, e). Lennard-Jones pairs follow the Lorentz-Berthelot rule, which is Sage's; CL&P's
own is the geometric mean (of sigmas that differ by a quarter, as Li and O, it is 0.6 % smaller).
"""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, ConfigDict

from ionmelt.errors import UserError, reading
from ionmelt.liquid.forcefield import ForceField, rb_coefficients
from ionmelt.liquid.ion_terms import ion_terms
from ionmelt.topology import Ion, Topology

if TYPE_CHECKING:
    import openmm


class Terms(BaseModel):
    """The terms of one kind of molecule; `pairs_14` hold the product of charges, sigma and epsilon of pairs three bonds apart."""

    model_config = ConfigDict(extra="forbid")

    smiles: str
    source: str
    elements: list[str]
    charges_e: list[float]
    sigma_nm: list[float]
    epsilon: list[float]
    bonds: list[tuple[int, int, float, float]] = []
    angles: list[tuple[int, int, int, float, float]] = []
    torsions: list[tuple[int, int, int, int, int, float, float]] = []  # periodicity, phase, k
    rb_torsions: list[tuple[int, int, int, int, float, float, float, float, float, float]] = []
    excluded: list[tuple[int, int]] = []
    pairs_14: list[tuple[int, int, float, float, float]] = []

    def scaled(self, scale: float) -> "Terms":
        """Return the terms with all charges times a factor."""
        pairs = [(i, j, qq * scale**2, sigma, epsilon) for i, j, qq, sigma, epsilon in self.pairs_14]
        return self.model_copy(update={"charges_e": [charge * scale for charge in self.charges_e], "pairs_14": pairs})


class ExplicitForceField(BaseModel):
    """The terms of every kind of molecule of a liquid."""

    model_config = ConfigDict(extra="forbid")

    name: str
    charge_scale: float  # of the ions
    molecules: list[Terms]

    @classmethod
    def load(cls, path: Path) -> "ExplicitForceField":
        """Read a file; raises `UserError` where it is none."""
        with reading(path, "a force field"):
            return cls.model_validate_json(path.read_text())

    def save(self, path: Path) -> None:
        """Write the file."""
        path.write_text(self.model_dump_json(indent=1) + "\n")

    def of(self, ion: Ion) -> Terms:
        """Return the terms of a kind of molecule; raises `UserError` where there are none."""
        for terms in self.molecules:
            if terms.smiles == ion["smiles"] and terms.elements == ion["elements"]:
                return terms
        raise UserError(f"{ion['name']} ({ion['smiles']}): the liquid's force field has no terms for it")


def typed_terms(ion: Ion, forcefield: ForceField, source: str) -> Terms:
    """Return the terms that a force field of assets/forcefields has for a molecule."""
    terms = ion_terms(ion, forcefield)
    types = [forcefield.types[kind] for kind in ion["types"] or ()]
    pairs = [
        (
            i,
            j,
            forcefield.coulomb_14 * types[i].charge_e * types[j].charge_e,
            (types[i].sigma_A * types[j].sigma_A) ** 0.5 / 10,
            forcefield.lennard_jones_14 * (types[i].epsilon_kJ_mol * types[j].epsilon_kJ_mol) ** 0.5,
        )
        for i, j in terms.pairs_14
    ]
    return Terms(
        smiles=ion["smiles"],
        source=source,
        elements=ion["elements"],
        charges_e=[kind.charge_e for kind in types],
        sigma_nm=[kind.sigma_A / 10 for kind in types],
        epsilon=[kind.epsilon_kJ_mol for kind in types],
        bonds=[(i, j, bond.length_A / 10, bond.k_kJ_mol_A2 * 100) for (i, j), bond in terms.bonds],
        angles=[(i, j, k, float(np.radians(a.angle_deg)), a.k_kJ_mol_rad2) for (i, j, k), a in terms.angles],
        rb_torsions=[
            (a, b, c, d, *rb_coefficients(t.V_kJ_mol)) for (a, b, c, d), t in terms.torsions + terms.impropers
        ],
        excluded=terms.excluded,
        pairs_14=pairs,
    )


def explicit_system(
    topology: Topology, cutoff_A: float | None, forcefield: ExplicitForceField, ewald_tolerance: float
) -> "openmm.System":
    """Return the System of a box: no constraints, no barostat, no centre-of-mass remover; without a cut-off it has no images."""
    import openmm

    bonds, angles = openmm.HarmonicBondForce(), openmm.HarmonicAngleForce()
    torsions, rb_torsions = openmm.PeriodicTorsionForce(), openmm.RBTorsionForce()
    nonbonded = openmm.NonbondedForce()
    if cutoff_A is not None:
        nonbonded.setNonbondedMethod(openmm.NonbondedForce.PME)
        nonbonded.setCutoffDistance(cutoff_A / 10)
        nonbonded.setEwaldErrorTolerance(ewald_tolerance)
        nonbonded.setUseDispersionCorrection(True)
    start = 0
    for ion in topology.ions:
        terms = forcefield.of(ion)
        for _ in range(ion["count"]):
            for charge, sigma, epsilon in zip(terms.charges_e, terms.sigma_nm, terms.epsilon, strict=True):
                nonbonded.addParticle(charge, sigma, epsilon)
            for i, j, length, k in terms.bonds:
                bonds.addBond(start + i, start + j, length, k)
            for i, j, m, theta, k in terms.angles:
                angles.addAngle(start + i, start + j, start + m, theta, k)
            for *atoms, periodicity, phase, k in terms.torsions:
                torsions.addTorsion(*(start + int(i) for i in atoms), int(periodicity), phase, k)
            for torsion in terms.rb_torsions:
                rb_torsions.addTorsion(*(start + int(i) for i in torsion[:4]), *torsion[4:])
            for i, j in terms.excluded:
                nonbonded.addException(start + i, start + j, 0.0, 0.1, 0.0)
            for i, j, product, sigma, epsilon in terms.pairs_14:
                nonbonded.addException(start + i, start + j, product, sigma, epsilon)
            start += len(terms.elements)
    system = openmm.System()
    for mass in topology.masses_u:
        system.addParticle(mass)
    named = {"bonds": bonds, "angles": angles, "torsions": torsions, "rb_torsions": rb_torsions, "nonbonded": nonbonded}
    for name, force in named.items():
        force.setName(name)
        system.addForce(force)
    return system
