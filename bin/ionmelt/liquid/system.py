"""The OpenMM System of a box: CL&P (OPLS form, geometric mixing), terms written out one by one, or a user's OpenMM XML."""

from pathlib import Path

import numpy as np
import openmm
from openmm import app, unit

from ionmelt.dynamics.masses import moved_to_hydrogens
from ionmelt.errors import UserError, reading
from ionmelt.liquid.explicit import ExplicitForceField, explicit_system
from ionmelt.liquid.forcefield import AtomType, ForceField, load_forcefield, rb_coefficients
from ionmelt.liquid.ion_terms import IonTerms, ion_terms
from ionmelt.liquid.xml_force_field import problem_of_xml
from ionmelt.topology import Topology

EWALD_TOLERANCE = 5e-4
# Geometric means make the pair terms products of atom terms, which is also the cheapest form to evaluate.
LJ_GEOMETRIC = "ri6*(a1*a2*ri6 - b1*b2); ri6 = r^(-6)"
HYDROGEN_MASS_U = 3.0
LONGEST_NM = 1.0  # a sigma or a bond beyond is in another unit
# Of an ion in a force field, to its own: charges that are scaled are from 0.5 to 1
LEAST_CHARGE, MOST_CHARGE = 0.3, 1.1
CHARGE_DIGITS_E = 0.01  # of a molecule: what rounding leaves


def constrain_hydrogens(system: openmm.System, topology: Topology) -> None:
    """Constrain the bonds to hydrogen at their force-field length and move mass onto hydrogens, in place.

    Each hydrogen becomes 3 u at its heavy atom's expense: density and structure do not depend on it, and
    4 fs steps become stable. Those of H2 stay as they are.
    """
    lengths = {}
    for force in system.getForces():
        if isinstance(force, openmm.HarmonicBondForce):
            for k in range(force.getNumBonds()):
                i, j, length, _ = force.getBondParameters(k)
                lengths[frozenset((i, j))] = length
    for bond in topology.bonds[(topology.elements[topology.bonds] == "H").any(axis=1)]:
        i, j = map(int, bond)
        if frozenset((i, j)) not in lengths:
            raise UserError("force_field: a bond to hydrogen lacks a harmonic term: it cannot be fixed")
        system.addConstraint(i, j, lengths[frozenset((i, j))])
    for atom, mass in enumerate(moved_to_hydrogens(topology, HYDROGEN_MASS_U)):
        system.setParticleMass(atom, mass)


def check_cutoff(cutoff_A: float, cell: np.ndarray) -> None:
    """Raise `UserError` for a cut-off above half the shortest edge of a cell (3, 3) in A."""
    edge = np.diag(cell).min()
    if 2 * cutoff_A >= edge:
        raise UserError(f"cutoff_A {cutoff_A:g}: must be below half the box edge of {edge:.2f} A")


def set_box(system: openmm.System, cell: np.ndarray) -> None:
    """Give a System the periodic box of a cell (3, 3) in A."""
    system.setDefaultPeriodicBoxVectors(*(openmm.Vec3(*row) for row in np.asarray(cell, dtype=float) / 10))


def opls_system(
    topology: Topology, cell: np.ndarray | None, cutoff_A: float | None, forcefield: ForceField
) -> openmm.System:
    """Return the System of a box in an OPLS-form force field: no constraints, no barostat, no centre-of-mass remover.

    `cell` (3, 3) in A. Electrostatics by particle-mesh Ewald, Lennard-Jones cut at `cutoff_A` with the tail correction.
    Ions without images have neither cell nor cut-off. Raises UserError for missing parameters, a charge that is not the ion's,
    or a cut-off above half the cell.
    """
    if cell is not None and cutoff_A is not None:
        check_cutoff(cutoff_A, cell)
    terms = all_terms(topology, forcefield)
    forces = OplsForces(cutoff_A, forcefield)
    for ion, terms_of_ion in zip(topology.ions, terms, strict=True):
        types = [forcefield.types[kind] for kind in ion["types"] or ()]
        for _ in range(ion["count"]):
            forces.add_ion(ion["masses_u"], types, terms_of_ion, forcefield.charge_scale if ion["charge"] else 1.0)
    system = forces.system()
    if cell is not None:
        set_box(system, cell)
    return system


def all_terms(topology: Topology, forcefield: ForceField) -> list[IonTerms]:
    """Return the terms of each kind of ion; raises `UserError` for all that the force field lacks, and for a wrong charge."""
    errors, terms = [], []
    for ion in topology.ions:
        try:
            terms.append(ion_terms(ion, forcefield))
        except UserError as error:
            errors += error.errors
            continue
        charge = sum(forcefield.types[kind].charge_e for kind in ion["types"] or ())
        if abs(charge - ion["charge"]) > 1e-6:
            errors.append(f"ion {ion['name']}: its types carry {charge:+.4f} e, the ion {ion['charge']:+d} e")
    if errors:
        raise UserError(*errors)
    return terms


class OplsForces:
    """The forces of an OPLS-form force field, to which ions are added one after another; without a cut-off they have no images."""

    def __init__(self, cutoff_A: float | None, forcefield: ForceField) -> None:
        self.forcefield = forcefield
        self.masses_u: list[float] = []
        self.bonds, self.angles = openmm.HarmonicBondForce(), openmm.HarmonicAngleForce()
        self.torsions, self.impropers = openmm.RBTorsionForce(), openmm.RBTorsionForce()
        self.coulomb = openmm.NonbondedForce()
        self.coulomb.setUseDispersionCorrection(False)  # it holds no Lennard-Jones but that of the 1-4 pairs
        self.dispersion = openmm.CustomNonbondedForce(LJ_GEOMETRIC)
        self.dispersion.addPerParticleParameter("a")
        self.dispersion.addPerParticleParameter("b")
        if cutoff_A is not None:
            self.coulomb.setNonbondedMethod(openmm.NonbondedForce.PME)
            self.coulomb.setCutoffDistance(cutoff_A / 10)
            self.coulomb.setEwaldErrorTolerance(EWALD_TOLERANCE)
            self.dispersion.setNonbondedMethod(openmm.CustomNonbondedForce.CutoffPeriodic)
            self.dispersion.setCutoffDistance(cutoff_A / 10)
            self.dispersion.setUseLongRangeCorrection(True)

    def add_ion(self, masses_u: list[float], types: list[AtomType], terms: IonTerms, charge_scale: float = 1.0) -> None:
        """Add the atoms of one ion and its terms; its charges are scaled."""
        start = len(self.masses_u)
        self.masses_u += masses_u
        for kind in types:
            sigma3 = (kind.sigma_A / 10) ** 3
            root = 2 * kind.epsilon_kJ_mol**0.5
            self.coulomb.addParticle(charge_scale * kind.charge_e, 0.1, 0.0)
            self.dispersion.addParticle([root * sigma3**2, root * sigma3])
        for (i, j), bond in terms.bonds:
            self.bonds.addBond(start + i, start + j, bond.length_A / 10, bond.k_kJ_mol_A2 * 100)
        for (i, j, k), angle in terms.angles:
            theta = np.radians(angle.angle_deg)
            self.angles.addAngle(start + i, start + j, start + k, theta, angle.k_kJ_mol_rad2)
        for force, chains in ((self.torsions, terms.torsions), (self.impropers, terms.impropers)):
            for atoms, torsion in chains:
                force.addTorsion(*(start + i for i in atoms), *rb_coefficients(torsion.V_kJ_mol))
        self._add_exceptions(start, types, terms, charge_scale)

    def _add_exceptions(self, start: int, types: list[AtomType], terms: IonTerms, charge_scale: float) -> None:
        """Leave out the pairs one or two bonds apart, and scale those three bonds apart."""
        for i, j in terms.excluded:
            self.coulomb.addException(start + i, start + j, 0.0, 0.1, 0.0)
            self.dispersion.addExclusion(start + i, start + j)
        for i, j in terms.pairs_14:
            one, two = types[i], types[j]
            self.coulomb.addException(
                start + i,
                start + j,
                self.forcefield.coulomb_14 * charge_scale**2 * one.charge_e * two.charge_e,
                (one.sigma_A * two.sigma_A) ** 0.5 / 10,
                self.forcefield.lennard_jones_14 * (one.epsilon_kJ_mol * two.epsilon_kJ_mol) ** 0.5,
            )
            self.dispersion.addExclusion(start + i, start + j)

    def system(self) -> openmm.System:
        """Return the System of all ions that were added."""
        system = openmm.System()
        for mass in self.masses_u:
            system.addParticle(mass)
        named = {
            "bonds": self.bonds, "angles": self.angles, "torsions": self.torsions, "impropers": self.impropers,
            "coulomb": self.coulomb, "dispersion": self.dispersion,
        }  # fmt: skip
        for name, force in named.items():
            force.setName(name)
            system.addForce(force)
        return system


def xml_system(topology: Topology, cell: np.ndarray | None, cutoff_A: float | None, path: Path) -> openmm.System:
    """Return the System in a user's OpenMM force field, its templates matched by elements and bonds; otherwise as `opls_system`."""
    if cell is not None and cutoff_A is not None:
        check_cutoff(cutoff_A, cell)
    atoms = app.Topology()
    chain = atoms.addChain()
    for molecule, name in enumerate(topology.molecule_ion):
        residue = atoms.addResidue(str(name), chain)
        for i in np.flatnonzero(topology.molecule == molecule):
            element = str(topology.elements[i])
            atoms.addAtom(f"{element}{i - topology.starts[molecule] + 1}", app.Element.getBySymbol(element), residue)
    members = list(atoms.atoms())
    for i, j in topology.bonds:
        atoms.addBond(members[i], members[j])
    if cell is not None:
        atoms.setPeriodicBoxVectors([openmm.Vec3(*row) for row in np.asarray(cell, dtype=float) / 10] * unit.nanometer)
    periodic = {} if cutoff_A is None else {"nonbondedCutoff": cutoff_A / 10, "ewaldErrorTolerance": EWALD_TOLERANCE}
    with reading(f"force_field {path.name}: OpenMM cannot use it for this liquid"):
        if wrong := problem_of_xml(path):
            raise ValueError(wrong)
        system = app.ForceField(str(path)).createSystem(
            atoms, nonbondedMethod=app.PME if periodic else app.NoCutoff, **periodic,
            constraints=None, rigidWater=False, removeCMMotion=False,
        )  # fmt: skip
    if errors := [*wrong_lengths(system), *wrong_charges(system, topology, cell is not None)]:
        raise UserError(*(f"force_field {path.name}: {line}" for line in errors))
    if cell is not None:
        set_box(system, cell)
    return system


def wrong_lengths(system: openmm.System) -> list[str]:
    """Return a line for a sigma, and one for a bond, that is longer than any of molecules: in A, not in nm."""
    lines = []
    for force in system.getForces():
        if isinstance(force, openmm.NonbondedForce):
            atoms = [force.getParticleParameters(i) for i in range(force.getNumParticles())]
            longest = max((sigma._value for _, sigma, epsilon in atoms if epsilon._value), default=0.0)
            if longest > LONGEST_NM:
                lines.append(f"a sigma of {longest:g} nm: is it in A? OpenMM's lengths are in nm, energies in kJ/mol")
        if isinstance(force, openmm.HarmonicBondForce):
            bonds = [force.getBondParameters(i)[2]._value for i in range(force.getNumBonds())]
            if max(bonds, default=0.0) > LONGEST_NM:
                lines.append(f"a bond of {max(bonds):g} nm: is it in A? OpenMM's lengths are in nm, energies in kJ/mol")
    return lines


def wrong_charges(system: openmm.System, topology: Topology, whole_box: bool) -> list[str]:
    """Return a line for each kind of ion or molecule whose charge in a System is another one, and one for a box that is not neutral.

    Charges may be scaled. A System whose charges are in a force of its own kind is not looked through.
    """
    nonbonded = next((force for force in system.getForces() if isinstance(force, openmm.NonbondedForce)), None)
    if nonbonded is None:
        return []
    charges = np.array([nonbonded.getParticleParameters(i)[0]._value for i in range(len(topology.molecule))])
    if not charges.any() and any(isinstance(force, openmm.CustomNonbondedForce) for force in system.getForces()):
        return []
    carried = np.bincount(topology.molecule, weights=charges, minlength=len(topology.molecule_ion))
    lines, sums = [], []
    for ion in topology.ions:
        charge = float(carried[topology.molecule_ion == ion["name"]][0])
        sums.append(f"{ion['name']} {charge:+.4g}")
        ratio = charge / ion["charge"] if ion["charge"] else 1.0
        if not LEAST_CHARGE <= ratio <= MOST_CHARGE or (not ion["charge"] and abs(charge) > CHARGE_DIGITS_E):
            lines.append(f"{ion['name']} carries {charge:+.4g} e, and is of charge {ion['charge']:+d} e")
    total = float(carried.sum())
    if whole_box and not lines and abs(total) > CHARGE_DIGITS_E * len(carried):
        lines.append(f"the charges of the box sum to {total:+.4g} e ({', '.join(sums)}), not to 0")
    return lines


def system_of(topology: Topology, cell: np.ndarray | None, cutoff_A: float | None, path: Path) -> openmm.System:
    """Return the System of ions in the force field of a file: an OpenMM XML, one of assets/forcefields, or of terms written out."""
    if path.suffix == ".yaml":
        return opls_system(topology, cell, cutoff_A, load_forcefield(path))
    if path.suffix == ".json":
        if cell is not None and cutoff_A is not None:
            check_cutoff(cutoff_A, cell)
        system = explicit_system(topology, cutoff_A, ExplicitForceField.load(path), EWALD_TOLERANCE)
        if cell is not None:
            set_box(system, cell)
        return system
    return xml_system(topology, cell, cutoff_A, path)
