"""The OpenMM System of a box of ions: CL&P (OPLS form, geometric mixing) or a user's OpenMM XML."""

import itertools
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import openmm
from openmm import app, unit

from ionmelt.errors import UserError, reading
from ionmelt.files import read_yaml
from ionmelt.topology import Topology

EWALD_TOLERANCE = 5e-4
WAYS_OUT = "give the liquid's force_field the path of an OpenMM XML that has them, or force_field: xtb"
# Geometric means make the pair terms products of atom terms, which is also the cheapest form to evaluate.
LJ_GEOMETRIC = "ri6*(a1*a2*ri6 - b1*b2); ri6 = r^(-6)"
TABLES = ("bonds", "angles", "torsions", "impropers")
HYDROGEN_MASS_U = 3.0
# Elements of a force field that OpenMM runs as Python, or reads another file for.
CODE_TAGS = {"Script", "InitializationScript", "Include"}


def load_forcefield(path: str | Path) -> dict[str, Any]:
    """Return a force field of assets/forcefields: types by name, bonded terms by class, scale_14.

    Bonded terms are keyed by their classes in both directions; impropers by the sorted outer classes and
    the central one.
    """
    data = read_yaml(Path(path), "name", "scale_14", "sections")
    field: dict[str, Any] = {"name": data["name"], "scale_14": data["scale_14"], "types": {}}
    field |= {table: {} for table in TABLES}
    for section in data["sections"]:
        field["types"] |= section.get("types", {})
        for table in TABLES:
            for term in section.get(table, []):
                classes = tuple(term["classes"])
                if table == "impropers":
                    field[table][_improper_key(classes)] = term
                else:
                    field[table][classes] = field[table][classes[::-1]] = term
    return field


def _improper_key(classes: tuple[str, ...]) -> tuple[str, ...]:
    a, b, centre, c = classes
    return (*sorted((a, b, c)), centre)


def ion_terms(ion: dict[str, Any], field: dict[str, Any]) -> dict[str, list[Any]]:
    """Return the force-field terms of one ion of topology.json, atom indices within the ion.

    `bonds`, `angles`, `torsions`, `impropers`: (indices..., parameters); `excluded`: pairs one or two bonds
    apart; `pairs_14`: pairs three bonds apart and not also closer, as they are in a five-membered ring.
    Raises UserError where the force field lacks a type or a term, naming them all.
    """
    name, types = ion["name"], ion["types"]
    if types is None:
        raise UserError(f"ion {name} ({ion['smiles']}): {field['name']} has no parameters for it; {WAYS_OUT}")
    unknown = sorted({kind for kind in types if kind not in field["types"]})
    if unknown:
        raise UserError(f"ion {name}: {field['name']} lacks types {', '.join(unknown)}; {WAYS_OUT}")
    classes = [field["types"][kind]["class"] for kind in types]
    neighbours: list[list[int]] = [[] for _ in types]
    for i, j in ion["bonds"]:
        neighbours[i].append(j)
        neighbours[j].append(i)
    neighbours = [sorted(near) for near in neighbours]

    missing: list[str] = []

    def lookup(table: str, atoms: tuple[int, ...]) -> dict[str, Any] | None:
        key = tuple(classes[i] for i in atoms)
        term: dict[str, Any] | None = field[table].get(key)
        if term is None:
            missing.append(f"{table[:-1]} {'-'.join(min(key, key[::-1]))}")
        return term

    angles = [(i, j, k) for j, near in enumerate(neighbours) for i, k in itertools.combinations(near, 2)]
    torsions = [
        (i, j, k, m)
        for j, k in (tuple(bond) for bond in ion["bonds"])
        for i in neighbours[j]
        for m in neighbours[k]
        if i != k and m != j and i != m
    ]
    terms: dict[str, list[Any]] = {"bonds": [], "angles": [], "torsions": [], "impropers": []}
    for table, members in (("bonds", ion["bonds"]), ("angles", angles), ("torsions", torsions)):
        for atoms in map(tuple, members):
            term = lookup(table, atoms)
            if term and not (term.get("cis_only") and _trans(atoms, neighbours)):
                terms[table].append((*atoms, term))
    for centre, near in enumerate(neighbours):
        if len(near) == 3:
            improper = field["impropers"].get((*sorted(classes[i] for i in near), classes[centre]))
            if improper:
                order = _improper_order(near, classes, improper["classes"])
                terms["impropers"].append((order[0], order[1], centre, order[2], improper))
    if missing:
        raise UserError(f"ion {name}: {field['name']} lacks {', '.join(sorted(set(missing)))}; {WAYS_OUT}")

    excluded = {(min(i, j), max(i, j)) for i, j in ion["bonds"]} | {(min(a[0], a[2]), max(a[0], a[2])) for a in angles}
    far = {(min(t[0], t[3]), max(t[0], t[3])) for t in torsions}
    terms["excluded"], terms["pairs_14"] = sorted(excluded), sorted(far - excluded)
    return terms


def _trans(angle: tuple[int, ...], neighbours: list[list[int]]) -> bool:
    """Say whether an angle joins opposite ligands of a six-fold centre: the order of `ionmelt.liquid.ions.geometry`."""
    ligands = neighbours[angle[1]]
    return len(ligands) == 6 and ligands.index(angle[0]) // 2 == ligands.index(angle[2]) // 2


def _improper_order(near: list[int], classes: list[str], wanted: list[str]) -> list[int]:
    """Return three neighbours in the order of the improper's outer classes (its first, second and fourth)."""
    left = list(near)
    order = []
    for outer in (wanted[0], wanted[1], wanted[3]):
        order.append(next(i for i in left if classes[i] == outer))
        left.remove(order[-1])
    return order


def rb_coefficients(v_kj_mol: list[float]) -> list[float]:
    """Return the six Ryckaert-Bellemans coefficients of an OPLS torsion V1..V4 (trans at 180 degrees)."""
    v1, v2, v3, v4 = v_kj_mol
    return [v2 + (v1 + v3) / 2, (3 * v3 - v1) / 2, 4 * v4 - v2, -2 * v3, -4 * v4, 0.0]


def build_system(
    topology: Topology, cell: np.ndarray, cutoff_A: float, forcefield: dict[str, Any] | str | Path
) -> openmm.System:
    """Return the OpenMM System of a box, periodic: no constraints, no barostat, no centre-of-mass remover.

    `cell` (3, 3) in angstrom; `forcefield`: what `load_forcefield` returns, or the path of an OpenMM XML.
    Electrostatics by particle-mesh Ewald, Lennard-Jones cut at `cutoff_A` with the tail correction.
    Raises UserError for missing parameters, a charge that is not the ion's, or a cut-off above half the cell.
    """
    cell_nm = np.asarray(cell, dtype=float) / 10
    if 2 * cutoff_A >= 10 * np.diag(cell_nm).min():
        edge = 10 * np.diag(cell_nm).min()
        raise UserError(f"cutoff_A {cutoff_A:g}: must be below half the box edge of {edge:.2f} A")
    if isinstance(forcefield, dict):
        system = _opls_system(topology, cutoff_A / 10, forcefield)
    else:
        system = _xml_system(topology, cell_nm, cutoff_A / 10, Path(forcefield))
    system.setDefaultPeriodicBoxVectors(*(openmm.Vec3(*row) for row in cell_nm))
    return system


def constrain_hydrogens(system: openmm.System, topology: Topology) -> None:
    """Constrain the bonds to hydrogen at their force-field length and move mass onto hydrogens, in place.

    Each hydrogen becomes 3 u at its heavy atom's expense: density and structure do not depend on it, and
    4 fs steps become stable.
    """
    lengths = {}
    for force in system.getForces():
        if isinstance(force, openmm.HarmonicBondForce):
            for k in range(force.getNumBonds()):
                i, j, length, _ = force.getBondParameters(k)
                lengths[frozenset((i, j))] = length
    for bond in topology.bonds:
        heavy, hydrogen = (int(i) for i in bond)
        if topology.elements[heavy] == "H":
            heavy, hydrogen = hydrogen, heavy
        if topology.elements[hydrogen] != "H":
            continue
        if frozenset((heavy, hydrogen)) not in lengths:
            raise UserError("force_field: a bond to hydrogen lacks a harmonic term: it cannot be fixed")
        system.addConstraint(heavy, hydrogen, lengths[frozenset((heavy, hydrogen))])
        moved = HYDROGEN_MASS_U - topology.masses_u[hydrogen]
        system.setParticleMass(hydrogen, HYDROGEN_MASS_U)
        system.setParticleMass(heavy, system.getParticleMass(heavy) - moved * unit.dalton)


def _opls_system(topology: Topology, cutoff_nm: float, field: dict[str, Any]) -> openmm.System:
    """Return the System of a box in an OPLS-form force field with geometric mixing."""
    errors, terms = [], []
    for ion in topology.ions:
        try:
            terms.append(ion_terms(ion, field))
            charge = sum(field["types"][kind]["charge_e"] for kind in ion["types"])
            if abs(charge - ion["charge"]) > 1e-6:
                errors.append(f"ion {ion['name']}: its types carry {charge:+.4f} e, the ion {ion['charge']:+d} e")
        except UserError as error:
            errors += error.errors
    if errors:
        raise UserError(*errors)

    system = openmm.System()
    bonds, angles = openmm.HarmonicBondForce(), openmm.HarmonicAngleForce()
    torsions, impropers = openmm.RBTorsionForce(), openmm.RBTorsionForce()
    coulomb = openmm.NonbondedForce()
    coulomb.setNonbondedMethod(openmm.NonbondedForce.PME)
    coulomb.setCutoffDistance(cutoff_nm)
    coulomb.setEwaldErrorTolerance(EWALD_TOLERANCE)
    coulomb.setUseDispersionCorrection(False)  # it holds no Lennard-Jones but that of the 1-4 pairs
    dispersion = openmm.CustomNonbondedForce(LJ_GEOMETRIC)
    dispersion.addPerParticleParameter("a")
    dispersion.addPerParticleParameter("b")
    dispersion.setNonbondedMethod(openmm.CustomNonbondedForce.CutoffPeriodic)
    dispersion.setCutoffDistance(cutoff_nm)
    dispersion.setUseLongRangeCorrection(True)

    scale = field["scale_14"]
    start = 0
    for ion, own in zip(topology.ions, terms, strict=True):
        types = [field["types"][kind] for kind in ion["types"]]
        for _ in range(ion["count"]):
            for mass, kind in zip(ion["masses_u"], types, strict=True):
                sigma3 = (kind["sigma_A"] / 10) ** 3
                root = 2 * kind["epsilon_kJ_mol"] ** 0.5
                system.addParticle(mass)
                coulomb.addParticle(kind["charge_e"], 0.1, 0.0)
                dispersion.addParticle([root * sigma3**2, root * sigma3])
            for i, j, term in own["bonds"]:
                bonds.addBond(start + i, start + j, term["length_A"] / 10, term["k_kJ_mol_A2"] * 100)
            for i, j, k, term in own["angles"]:
                theta = np.radians(term["angle_deg"])
                angles.addAngle(start + i, start + j, start + k, theta, term["k_kJ_mol_rad2"])
            for force, table in ((torsions, "torsions"), (impropers, "impropers")):
                for *atoms, term in own[table]:
                    force.addTorsion(*(start + i for i in atoms), *rb_coefficients(term["V_kJ_mol"]))
            for i, j in own["excluded"]:
                coulomb.addException(start + i, start + j, 0.0, 0.1, 0.0)
                dispersion.addExclusion(start + i, start + j)
            for i, j in own["pairs_14"]:
                one, two = types[i], types[j]
                coulomb.addException(
                    start + i,
                    start + j,
                    scale["coulomb"] * one["charge_e"] * two["charge_e"],
                    (one["sigma_A"] * two["sigma_A"]) ** 0.5 / 10,
                    scale["lennard_jones"] * (one["epsilon_kJ_mol"] * two["epsilon_kJ_mol"]) ** 0.5,
                )
                dispersion.addExclusion(start + i, start + j)
            start += len(types)
    named = {
        "bonds": bonds, "angles": angles, "torsions": torsions, "impropers": impropers,
        "coulomb": coulomb, "dispersion": dispersion,
    }  # fmt: skip
    for name, force in named.items():
        force.setName(name)
        system.addForce(force)
    return system


def _xml_system(topology: Topology, cell_nm: np.ndarray, cutoff_nm: float, path: Path) -> openmm.System:
    """Return the System in a user's OpenMM force field, its templates matched by elements and bonds."""
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
    atoms.setPeriodicBoxVectors([openmm.Vec3(*row) for row in cell_nm] * unit.nanometer)
    with reading(f"force_field {path.name}: OpenMM cannot use it for this liquid"):
        if forbidden := sorted({element.tag for element in ElementTree.parse(path).iter()} & CODE_TAGS):
            raise ValueError(f"<{forbidden[0]}>: a force field may not bring a program or other files; leave it out")
        field = app.ForceField(str(path))
        return field.createSystem(
            atoms, nonbondedMethod=app.PME, nonbondedCutoff=cutoff_nm, ewaldErrorTolerance=EWALD_TOLERANCE,
            constraints=None, rigidWater=False, removeCMMotion=False,
        )  # fmt: skip
