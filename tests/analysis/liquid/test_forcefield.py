"""The force field against a slow reference that enumerates and sums every term on its own."""

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import openmm
import pytest
import yaml
from ase import Atoms
from openmm import unit
from rdkit import Chem
from scipy.special import erfc

from ionmelt.errors import UserError
from ionmelt.liquid.force_field_digest import force_field_digest
from ionmelt.liquid.forcefield import AtomType, ForceField, load_forcefield
from ionmelt.liquid.ion_terms import ion_terms
from ionmelt.liquid.ions import canonical, geometry, library, resolve
from ionmelt.liquid.system import opls_system, rb_coefficients, system_of, xml_system
from ionmelt.topology import Topology

ASSETS = Path(__file__).resolve().parents[3] / "assets"
IONS = library(ASSETS)
FIELD = load_forcefield(ASSETS / "forcefields/clandp.yaml")
TYPED = sorted(name for name, entry in IONS.items() if entry["types"])  # all of the library that CL&P has types for
KE = 1389.35458  # kJ/mol A/e^2
# Bonds, angles, torsions and impropers by hand: with d neighbours of each atom, angles are the sum of
# d (d-1)/2 over atoms (12 of 15 in PF6-), torsions that of (d-1) (d'-1) over bonds: 20 + 6 + 6 + 9 in EMIM+.
COUNTS = {
    "pyr14": (30, 60, 90, 0), "pyr13": (27, 54, 81, 0), "bf4": (4, 6, 0, 0), "pf6": (6, 12, 0, 0),
    "tfsi": (14, 25, 24, 0), "li": (0, 0, 0, 0), "emim": (19, 33, 41, 5), "bmim": (25, 45, 59, 5),
}  # fmt: skip


def ion(name: str, count: int = 1) -> dict[str, Any]:
    return resolve({**IONS[name], "count": count}, IONS)


def raw_terms() -> dict[str, list[dict[str, Any]]]:
    sections = yaml.safe_load((ASSETS / "forcefields/clandp.yaml").read_text())["sections"]
    return {key: [t for s in sections for t in s.get(key, [])] for key in ("bonds", "angles", "torsions", "impropers")}


def energies(system: openmm.System, positions_A: np.ndarray) -> dict[str, float]:
    for group, force in enumerate(system.getForces()):
        force.setForceGroup(group)
        if isinstance(force, openmm.NonbondedForce):
            force.setEwaldErrorTolerance(1e-6)
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("Reference"))
    context.setPositions(positions_A / 10)
    return {
        force.getName(): context.getState(energy=True, groups={group})
        .getPotentialEnergy()
        .value_in_unit(unit.kilojoule_per_mole)
        for group, force in enumerate(system.getForces())
    }


def dihedral(p: np.ndarray) -> float:
    b1, b2, b3 = p[1] - p[0], p[2] - p[1], p[3] - p[2]
    n1, n2 = np.cross(b1, b2), np.cross(b2, b3)
    return float(np.arctan2(np.dot(np.cross(n1, n2), b2 / np.linalg.norm(b2)), np.dot(n1, n2)))


def opls(v: list[float], phi: float) -> float:
    return sum(v[n - 1] / 2 * (1 - (-1) ** n * np.cos(n * phi)) for n in (1, 2, 3, 4))


def slow_bonded(kind: dict[str, Any], x: np.ndarray) -> dict[str, float]:
    """Enumerate all pairs, triples and quadruples of atoms and look each term up in the list, both ways."""
    terms = raw_terms()
    bonded = {frozenset(b) for b in kind["bonds"]}
    cls = [FIELD.types[t].bonded_class for t in kind["types"]]

    def find(table: str, atoms: tuple[int, ...]) -> dict[str, Any]:
        classes = [cls[i] for i in atoms]
        matches = [t for t in terms[table] if t["classes"] in (classes, classes[::-1])]
        assert len(matches) == 1, (table, classes)
        return matches[0]

    n = range(len(cls))
    result = {"bonds": 0.0, "angles": 0.0, "torsions": 0.0, "impropers": 0.0}
    for i, j in itertools.combinations(n, 2):
        if frozenset((i, j)) in bonded:
            term = find("bonds", (i, j))
            result["bonds"] += term["k_kJ_mol_A2"] / 2 * (np.linalg.norm(x[i] - x[j]) - term["length_A"]) ** 2
    for i, j, k in itertools.permutations(n, 3):
        if i < k and {frozenset((i, j)), frozenset((j, k))} <= bonded:
            term = find("angles", (i, j, k))
            a, b = x[i] - x[j], x[k] - x[j]
            theta = np.degrees(np.arccos(a @ b / np.linalg.norm(a) / np.linalg.norm(b)))
            if term.get("cis_only") and theta > 135:
                continue
            result["angles"] += term["k_kJ_mol_rad2"] / 2 * np.radians(theta - term["angle_deg"]) ** 2
    for j, k in (tuple(b) for b in bonded):
        for i, m in itertools.permutations(n, 2):
            if {frozenset((i, j)), frozenset((k, m))} <= bonded and i != k and m != j:
                term = find("torsions", (i, j, k, m))
                result["torsions"] += opls(term["V_kJ_mol"], dihedral(x[[i, j, k, m]]))
    for centre in n:
        near = [i for i in n if frozenset((i, centre)) in bonded]
        if len(near) != 3:
            continue
        for term in terms["impropers"]:
            a, b, c, d = term["classes"]
            orders = [o for o in itertools.permutations(near) if [cls[i] for i in o] == [a, b, d]]
            if cls[centre] == c and orders:
                first, second, last = orders[0]
                result["impropers"] += opls(term["V_kJ_mol"], dihedral(x[[first, second, centre, last]]))
    return result


@pytest.mark.parametrize("name", sorted(COUNTS))
def test_counts_of_bonded_terms(name: str) -> None:
    terms = ion_terms(ion(name), FIELD)
    assert tuple(map(len, (terms.bonds, terms.angles, terms.torsions, terms.impropers))) == COUNTS[name]


@pytest.mark.parametrize("name", TYPED)
def test_charges_of_the_atoms_are_that_of_the_ion(name: str) -> None:
    kind = ion(name)
    charge = sum(FIELD.types[t].charge_e for t in kind["types"])
    assert charge == pytest.approx(kind["charge"], abs=1e-9)
    assert kind["charge"] == IONS[name]["charge"]


def test_five_membered_ring_keeps_torsions_and_excludes_pairs() -> None:
    kind = ion("pyr14")
    terms = ion_terms(kind, FIELD)
    ends = [(min(a, d), max(a, d)) for (a, _, _, d), _ in terms.torsions]
    excluded = set(terms.excluded)
    assert sum(pair in excluded for pair in ends) == 5
    assert set(terms.pairs_14) == set(ends) - excluded
    assert len(terms.pairs_14) == len(set(terms.pairs_14))


@pytest.mark.parametrize("name", TYPED)
def test_bonded_energies_equal_the_slow_reference(name: str) -> None:
    kind = ion(name)
    x = geometry(kind["smiles"]) + np.random.default_rng(3).normal(0, 0.05, (len(kind["elements"]), 3)) + 15
    system = opls_system(Topology("t", [kind]), np.eye(3) * 30, 9.0, FIELD)
    computed = energies(system, x)
    for key, value in slow_bonded(kind, x).items():
        assert computed[key] == pytest.approx(value, rel=1e-6, abs=1e-6), key


def test_opls_torsion_by_hand() -> None:
    # butane's C-C-C-C: cis (0 degrees) is V1 + V3, trans (180) is 0
    v = [5.4392, -0.2092, 0.8368, 0.0]
    c = rb_coefficients(v)
    assert sum(c[n] * np.cos(0 - np.pi) ** n for n in range(6)) == pytest.approx(5.4392 + 0.8368)
    assert sum(c[n] * np.cos(np.pi - np.pi) ** n for n in range(6)) == pytest.approx(0.0, abs=1e-12)
    for phi in np.linspace(-3, 3, 13):
        w = [1.3, -0.7, 2.1, -0.4]
        rb = sum(k * np.cos(phi - np.pi) ** n for n, k in enumerate(rb_coefficients(w)))
        assert rb == pytest.approx(opls(w, phi), abs=1e-12)


def test_stretched_bf4_by_hand() -> None:
    b = np.array([15.0, 15, 15])
    corners = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) / np.sqrt(3)
    x = np.concatenate([b + 1.494 * corners[:1], [b], b + 1.394 * corners[1:]])
    computed = energies(opls_system(Topology("t", [ion("bf4")]), np.eye(3) * 30, 9.0, FIELD), x)
    assert computed["bonds"] == pytest.approx(0.5 * 3235.0 * 0.1**2, rel=1e-6)
    tetrahedral = np.degrees(np.arccos(-1 / 3))
    assert computed["angles"] == pytest.approx(6 * 0.5 * 669.5 * np.radians(tetrahedral - 109.5) ** 2, rel=1e-4)


def slow_nonbonded(topology: Topology, x: np.ndarray, edge: float, cutoff: float) -> tuple[float, float, float]:
    """Return LJ within the cut-off, LJ of 1-4 pairs and the Ewald energy (kJ/mol) by loops over pairs."""
    types = [FIELD.types[t] for k in topology.ions for _ in range(k["count"]) for t in k["types"]]
    q = np.array([t.charge_e for t in types])
    scale = np.ones((len(q), len(q)))
    np.fill_diagonal(scale, 0)
    start = 0
    for kind in topology.ions:
        steps = np.full((len(kind["elements"]),) * 2, 99)
        np.fill_diagonal(steps, 0)
        for i, j in kind["bonds"]:
            steps[i, j] = steps[j, i] = 1
        for k in range(len(steps)):  # Floyd and Warshall: bonds between any two atoms
            steps = np.minimum(steps, steps[:, k : k + 1] + steps[k : k + 1, :])
        scales = np.where(steps < 3, 0.0, np.where(steps == 3, 0.5, 1.0))
        for _ in range(kind["count"]):
            atoms_of_ion = slice(start, start + len(scales))
            scale[atoms_of_ion, atoms_of_ion] = scales
            start += len(scales)
    lj = lj14 = ewald = 0.0
    alpha, images = 5.5 / (edge / 2), list(itertools.product(range(-1, 2), repeat=3))
    for i, j in itertools.combinations(range(len(q)), 2):
        d = x[i] - x[j]
        nearest = d - edge * np.round(d / edge)
        r = np.linalg.norm(nearest)
        sigma = np.sqrt(types[i].sigma_A * types[j].sigma_A)
        eps = np.sqrt(types[i].epsilon_kJ_mol * types[j].epsilon_kJ_mol)
        if scale[i, j] == 1 and r < cutoff:
            lj += 4 * eps * ((sigma / r) ** 12 - (sigma / r) ** 6)
        if scale[i, j] == 0.5:
            lj14 += 0.5 * 4 * eps * ((sigma / r) ** 12 - (sigma / r) ** 6)
        for shift in images:
            distance = np.linalg.norm(nearest + edge * np.array(shift))
            ewald += KE * q[i] * q[j] * erfc(alpha * distance) / distance
        ewald -= (1 - scale[i, j]) * KE * q[i] * q[j] / r
    for k in itertools.product(range(-12, 13), repeat=3):
        if any(k):
            wave = 2 * np.pi / edge * np.array(k)
            k2 = wave @ wave
            s = np.abs(np.sum(q * np.exp(1j * (x @ wave)))) ** 2
            ewald += KE * 2 * np.pi / edge**3 * np.exp(-k2 / (4 * alpha**2)) / k2 * s
    ewald -= KE * alpha / np.sqrt(np.pi) * np.sum(q**2)
    return lj, lj14, ewald


@pytest.mark.parametrize(("cation", "anion"), [("pyr14", "bf4"), ("emim", "tfsi"), ("li", "pf6")])
def test_nonbonded_energies_equal_the_double_loop(cation: str, anion: str) -> None:
    topology = Topology("t", [ion(cation), ion(anion)])
    edge, cutoff = 14.0, 6.5
    x = np.concatenate([geometry(k["smiles"]) for k in topology.ions])
    # near enough to interact, and across the boundary
    x[topology.molecule == 1] += [0.5, 5.5, 1.0]
    x += [1.0, 11.0, 13.0]
    system = opls_system(topology, np.eye(3) * edge, cutoff, FIELD)
    dispersion = next(f for f in system.getForces() if f.getName() == "dispersion")
    dispersion.setUseLongRangeCorrection(False)
    computed = energies(system, x)
    lj, lj14, ewald = slow_nonbonded(topology, x, edge, cutoff)
    assert computed["dispersion"] == pytest.approx(lj, rel=1e-6)
    assert computed["coulomb"] == pytest.approx(ewald + lj14, rel=2e-5)


def rock_salt(n: int, spacing: float) -> tuple[Topology, np.ndarray, ForceField]:
    grid = np.array(list(itertools.product(range(n), repeat=3)))
    odd = grid.sum(1) % 2
    x = np.concatenate([grid[odd == 0], grid[odd == 1]]) * spacing
    half = n**3 // 2

    def salt(name: str, charge: int) -> dict[str, Any]:
        return {
            "name": name, "smiles": "", "charge": charge, "count": half, "types": [name],
            "elements": ["Na" if charge > 0 else "Cl"], "bonds": [], "masses_u": [20.0],
        }  # fmt: skip

    field = replace(FIELD, types={"na": site(1.0), "cl": site(-1.0)})
    return Topology("salt", [salt("na", 1), salt("cl", -1)]), x, field


def site(charge: float) -> AtomType:
    return AtomType("X", charge, sigma_A=1.0, epsilon_kJ_mol=0.0)


def test_madelung_constant_of_rock_salt() -> None:
    topology, x, field = rock_salt(4, 2.82)
    computed = energies(opls_system(topology, np.eye(3) * 4 * 2.82, 5.0, field), x)
    assert computed["coulomb"] / 32 == pytest.approx(-1.747564595 * KE / 2.82, rel=1e-5)
    assert computed["dispersion"] == 0


def test_tail_correction_is_the_integral() -> None:
    topology = Topology("t", [ion("pyr14", 3), ion("bf4", 3)])
    edge, cutoff = 20.0, 6.0
    x = np.random.default_rng(5).random((len(topology), 3)) * edge
    system = opls_system(topology, np.eye(3) * edge, cutoff, FIELD)
    dispersion = next(f for f in system.getForces() if f.getName() == "dispersion")
    with_tail = energies(system, x)["dispersion"]
    dispersion.setUseLongRangeCorrection(False)
    tail = with_tail - energies(system, x)["dispersion"]
    types = [FIELD.types[t] for k in topology.ions for _ in range(k["count"]) for t in k["types"]]
    sigma, eps = (np.array([getattr(t, key) for t in types]) for key in ("sigma_A", "epsilon_kJ_mol"))
    s6 = np.outer(sigma, sigma) ** 3
    # 4 eps s^12 / (9 rc^9) - 4 eps s^6 / (3 rc^3)
    integral = 4 * np.sqrt(np.outer(eps, eps)) * (s6**2 / 9 / cutoff**9 - s6 / 3 / cutoff**3)
    # OpenMM counts the pairs of an atom with itself differently: an error of order 1/N
    assert tail == pytest.approx(2 * np.pi / edge**3 * integral.sum(), rel=0.01)


def test_forces_are_the_gradient() -> None:
    topology = Topology("t", [ion("emim"), ion("tfsi")])
    x = np.concatenate([geometry(k["smiles"]) for k in topology.ions])
    x[topology.molecule == 1] += [0.0, 6.0, 1.0]
    system = opls_system(topology, np.eye(3) * 20, 9.0, FIELD)
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("Reference"))

    def energy(positions: np.ndarray) -> float:
        context.setPositions(positions / 10)
        return context.getState(energy=True).getPotentialEnergy().value_in_unit(unit.kilojoule_per_mole)

    context.setPositions(x / 10)
    forces = context.getState(forces=True).getForces(asNumpy=True)
    forces = forces.value_in_unit(unit.kilojoule_per_mole / unit.angstrom)
    rng = np.random.default_rng(0)
    for _ in range(10):
        direction = rng.normal(size=x.shape)
        direction /= np.linalg.norm(direction)
        h = 1e-4
        slope = (energy(x + h * direction) - energy(x - h * direction)) / (2 * h)
        assert -slope == pytest.approx((forces * direction).sum(), rel=1e-3, abs=0.5)


def test_energy_does_not_depend_on_the_order_of_copies() -> None:
    one = Topology("t", [ion("li", 2), ion("bf4", 2)])
    two = Topology("t", [ion("bf4", 2), ion("li", 2)])
    rng = np.random.default_rng(8)
    lithium, anions = rng.random((2, 3)) * 12, geometry(IONS["bf4"]["smiles"])
    anions = np.concatenate([anions + 3, anions + 9])
    a = energies(opls_system(one, np.eye(3) * 12, 5, FIELD), np.concatenate([lithium, anions]))
    b = energies(opls_system(two, np.eye(3) * 12, 5, FIELD), np.concatenate([anions, lithium]))
    assert a == pytest.approx(b, rel=1e-9)


@pytest.mark.parametrize("name", sorted(COUNTS))
def test_any_smiles_of_a_library_ion_is_that_ion(name: str) -> None:
    reference = ion(name)
    molecule = Chem.MolFromSmiles(IONS[name]["smiles"])
    for seed in range(1, 6):
        (smiles,) = Chem.MolToRandomSmilesVect(molecule, 1, randomSeed=seed)
        assert canonical(smiles) == canonical(IONS[name]["smiles"])
        mine = resolve({"name": "mine", "smiles": smiles, "count": 1}, IONS)
        assert {**mine, "name": name} == reference


def test_start_geometries_have_sound_bonds() -> None:
    for name in COUNTS:
        kind = ion(name)
        x = geometry(kind["smiles"])
        np.testing.assert_array_equal(x, geometry(kind["smiles"]))
        for (i, j), term in ion_terms(kind, FIELD).bonds:
            assert np.linalg.norm(x[i] - x[j]) == pytest.approx(term.length_A, abs=0.2), name


def test_pf6_starts_octahedral_with_the_trans_pairs_left_out() -> None:
    kind = ion("pf6")
    computed = energies(opls_system(Topology("t", [kind]), np.eye(3) * 30, 9.0, FIELD), geometry(kind["smiles"]) + 15)
    assert computed["angles"] == pytest.approx(0.0, abs=1e-6)


def test_missing_types_and_terms_are_named() -> None:
    nitrate = resolve({"name": "no3", "smiles": "[O-][N+](=O)[O-]", "count": 1}, IONS)
    assert nitrate["types"] is None and nitrate["charge"] == -1 and len(nitrate["elements"]) == 4
    broken = replace(FIELD, angles={k: v for k, v in FIELD.angles.items() if k != ("F", "B", "F")})
    with pytest.raises(UserError) as error:
        opls_system(Topology("t", [nitrate, ion("bf4")]), np.eye(3) * 30, 9.0, broken)
    assert len(error.value.errors) == 2
    assert "ion no3 ([O-][N+](=O)[O-])" in error.value.errors[0] and "force_field: xtb" in error.value.errors[0]
    assert "ion bf4: clandp lacks angle F-B-F" in error.value.errors[1]
    with pytest.raises(UserError, match="lacks types ZZ"):
        opls_system(Topology("t", [{**ion("li"), "types": ["ZZ"]}]), np.eye(3) * 30, 9.0, FIELD)
    with pytest.raises(UserError, match=r"carry -0\.4900 e, the ion \+1 e"):
        opls_system(Topology("t", [{**ion("li"), "types": ["FB"]}]), np.eye(3) * 30, 9.0, FIELD)


@pytest.mark.parametrize(
    ("smiles", "name"), [("CC[n+]1ccn(C)c1", "emim"), ("CCCCn1cc[n+](C)c1", "bmim"), ("C(C)[NH3+]", "ea")]
)
def test_an_ion_is_known_wherever_its_charge_is_drawn(smiles: str, name: str) -> None:
    kind = resolve({"name": "mine", "smiles": smiles, "count": 1}, IONS)
    assert (kind["name"], kind["smiles"]) == ("mine", IONS[name]["smiles"])


@pytest.mark.parametrize("smiles", ["C1CC", "[Li+].[F-]", ""])
def test_bad_smiles_is_the_users_mistake(smiles: str) -> None:
    with pytest.raises(UserError, match="smiles"):
        resolve({"name": "x", "smiles": smiles, "count": 1}, IONS)


def test_types_must_fit_the_smiles() -> None:
    with pytest.raises(UserError, match="2 types given, it has 1 heavy"):
        resolve({"name": "x", "smiles": "[Li+]", "count": 1, "types": ["Li", "Li"], "hydrogen_types": {}}, {})
    with pytest.raises(UserError, match="no hydrogen type for the heavy atom type CT"):
        resolve({"name": "x", "smiles": "C", "count": 1, "types": ["CT"], "hydrogen_types": {}}, {})


def test_cutoff_above_half_the_box_is_refused() -> None:
    with pytest.raises(UserError, match="cutoff_A 6: must be below half"):
        opls_system(Topology("t", [ion("li")]), np.eye(3) * 12, 6.0, FIELD)


XML = """<ForceField>
 <AtomTypes>
  <Type name="L" class="L" element="Li" mass="6.94"/><Type name="C" class="C" element="Cl" mass="35.45"/>
 </AtomTypes>
 <Residues>
  <Residue name="LI"><Atom name="X" type="L"/></Residue><Residue name="CL"><Atom name="Y" type="C"/></Residue>
 </Residues>
 <NonbondedForce coulomb14scale="0.5" lj14scale="0.5">
  <Atom type="L" charge="1.0" sigma="0.2" epsilon="0.1"/>
  <Atom type="C" charge="-1.0" sigma="0.4" epsilon="0.4"/>
 </NonbondedForce>
</ForceField>"""


def test_a_users_openmm_xml(tmp_path: Path) -> None:
    path = tmp_path / "own.xml"
    path.write_text(XML)
    chloride = resolve({"name": "chloride", "smiles": "[Cl-]", "count": 1}, IONS)
    topology = Topology("t", [ion("li"), chloride])
    system = xml_system(topology, np.eye(3) * 20, 9.0, path)
    assert system.getNumConstraints() == 0
    assert system.getDefaultPeriodicBoxVectors()[0][0].value_in_unit(unit.angstrom) == pytest.approx(20)
    assert not any(isinstance(force, openmm.CMMotionRemover) for force in system.getForces())
    for content, ions in ((XML, [ion("bf4")]), ("<ForceField", [ion("li")])):
        path.write_text(content)
        with pytest.raises(UserError) as error:
            xml_system(Topology("t", ions), np.eye(3) * 20, 9.0, path)
        assert len(error.value.errors) == 1 and "\n" not in error.value.errors[0]
        assert error.value.errors[0].startswith("force_field own.xml: OpenMM cannot use it")


WRONG_XML = {
    'charge="-1.0"': ('charge="-0.8"', r"the charges of the box sum to \+0.2 e \(li \+1, chloride -0.8\), not to 0"),
    'charge="1.0"': ('charge="0.0"', r"li carries \+0 e, and is of charge \+1 e"),
    'sigma="0.4"': ('sigma="4.0"', "a sigma of 4 nm: is it in A"),
    "<ForceField>": ("<System>", "is OpenMM's <System> of one box"),
    "<AtomTypes>": ('<Include file="other.xml"/><AtomTypes>', "<Include>: a force field may not bring a program or other files"),
}  # fmt: skip


@pytest.mark.parametrize("change", sorted(WRONG_XML))
def test_numbers_of_a_users_xml_that_are_of_no_such_ions(tmp_path: Path, change: str) -> None:
    path = tmp_path / "own.xml"
    to, said = WRONG_XML[change]
    path.write_text(
        XML.replace(change, to).replace("</ForceField>", f"</{'System' if 'System' in to else 'ForceField'}>")
    )
    chloride = resolve({"name": "chloride", "smiles": "[Cl-]", "count": 1}, IONS)
    with pytest.raises(UserError, match=said):
        xml_system(Topology("t", [ion("li"), chloride]), np.eye(3) * 20, 9.0, path)


def test_charges_of_a_users_xml_may_be_scaled(tmp_path: Path) -> None:
    path = tmp_path / "own.xml"
    path.write_text(XML.replace('1.0"', '0.75"'))
    chloride = resolve({"name": "chloride", "smiles": "[Cl-]", "count": 1}, IONS)
    assert xml_system(Topology("t", [ion("li"), chloride]), np.eye(3) * 20, 9.0, path).getNumParticles() == 2
    assert xml_system(Topology("t", [ion("li")]), None, None, path).getNumParticles() == 1


def energy_kj_mol(system: openmm.System, positions_A: np.ndarray) -> float:
    return sum(energies(system, positions_A).values())


@pytest.mark.parametrize("name", ["clandp.yaml", "own.xml"])
def test_ions_without_images_have_no_cutoff(tmp_path: Path, name: str) -> None:
    """Two ions alone attract each other as point charges do, however far apart: no image, no cut-off, no tail."""
    (tmp_path / "own.xml").write_text(XML)
    path = ASSETS / "forcefields" / name if name == "clandp.yaml" else tmp_path / name
    chloride = {**resolve({"name": "chloride", "smiles": "[Cl-]", "count": 1}, IONS), "types": None}
    other = ion("bf4") if name == "clandp.yaml" else chloride
    system = system_of(Topology("t", [ion("li"), other]), None, None, path)
    assert not any(force.usesPeriodicBoundaryConditions() for force in system.getForces())
    shape = geometry(other["smiles"])
    apart = [np.vstack([[0.0, 0.0, 0.0], shape + np.array([0.0, 0.0, distance])]) for distance in (200.0, 400.0)]
    difference = energy_kj_mol(system, apart[1]) - energy_kj_mol(system, apart[0])
    assert difference == pytest.approx(KE * (1 / 200 - 1 / 400), rel=1e-3)


def test_a_digest_tells_force_fields_apart(tmp_path: Path) -> None:
    """It sees what the force field has for these ions, and neither their names and counts nor what it says of others."""
    shipped = ASSETS / "forcefields/clandp.yaml"
    ions = [ion("pyr14"), ion("bf4")]
    digest = force_field_digest(shipped, ions)
    renamed = [{**ion("bf4", 7), "name": "anion"}, ion("pyr14", 3)]
    assert force_field_digest(shipped, renamed) == digest != force_field_digest(shipped, [ion("pyr14"), ion("tfsi")])
    text = shipped.read_text()
    edits = {
        "lithium": ("Li: {class: Li, charge_e: 1.0", "Li: {class: Li, charge_e: 0.9", True),
        "note": ("# The", "# A", True),
    }
    edits |= {"fluorine": ("FB: {class: F, charge_e: -0.49", "FB: {class: F, charge_e: -0.48", False)}
    for name, (old, new, same) in edits.items():
        assert text.count(old) == 1, old
        (tmp_path / f"{name}.yaml").write_text(text.replace(old, new))
        assert (force_field_digest(tmp_path / f"{name}.yaml", ions) == digest) == same, name
    (tmp_path / "a.xml").write_text(XML)
    (tmp_path / "b.xml").write_text(XML.replace('sigma="0.2"', 'sigma="0.21"'))
    assert force_field_digest(tmp_path / "a.xml", ions) != force_field_digest(tmp_path / "b.xml", ions)


def test_ions_hold_apart_in_a_minimised_pair() -> None:
    """Minimised, the bonds are those of the force field: S-N of TFSI is 1.57 A whatever the start."""
    topology = Topology("t", [ion("tfsi")])
    system = opls_system(topology, np.eye(3) * 30, 9.0, FIELD)
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("Reference"))
    context.setPositions((geometry(IONS["tfsi"]["smiles"]) + 15) / 10)
    openmm.LocalEnergyMinimizer.minimize(context, 1.0)
    x = context.getState(positions=True).getPositions(asNumpy=True).value_in_unit(unit.angstrom)
    atoms = Atoms(topology.elements, positions=x)
    sulphur_nitrogen = [(i, j) for i, j in topology.bonds if {atoms[i].symbol, atoms[j].symbol} == {"S", "N"}]
    assert len(sulphur_nitrogen) == 2
    for i, j in sulphur_nitrogen:
        assert atoms.get_distance(i, j) == pytest.approx(1.57, abs=0.05)
