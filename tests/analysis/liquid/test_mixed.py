"""The force field of what CL&P has not: laws, another force field's answer for the same molecule, and known structures."""

from pathlib import Path

import numpy as np
import openmm
import pytest
from openmm import unit
from rdkit.Chem.rdMolDescriptors import CalcMolFormula

from ionmelt.errors import UserError
from ionmelt.liquid import mixed, sage
from ionmelt.liquid.explicit import ExplicitForceField, explicit_system
from ionmelt.liquid.force_field_digest import force_field_digest, sources_digest
from ionmelt.liquid.forcefield import load_forcefield
from ionmelt.liquid.ions import geometry, library, parse, resolve
from ionmelt.liquid.system import opls_system, system_of
from ionmelt.topology import Topology

ASSETS = Path(__file__).resolve().parents[3] / "assets"
LIBRARY = library(ASSETS)
CLANDP = load_forcefield(ASSETS / "forcefields/clandp.yaml")
TOLERANCE = 5e-4


def molecule(name: str, smiles: str | None = None, count: int = 1):
    fields = {"name": name, "smiles": smiles or LIBRARY[name]["smiles"], "count": count}
    return resolve({**fields, "types": None, "hydrogen_types": None}, LIBRARY)


def mixture(*ions, scale: float = 1.0) -> ExplicitForceField:
    return mixed.mixed_force_field(ions, CLANDP, LIBRARY, scale)


def energy_and_forces(system: openmm.System, positions: np.ndarray) -> tuple[float, np.ndarray]:
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("Reference"))
    context.setPositions(positions / 10)
    state = context.getState(getEnergy=True, getForces=True)
    return (
        state.getPotentialEnergy().value_in_unit(unit.kilojoule_per_mole),
        np.asarray(state.getForces(asNumpy=True).value_in_unit(unit.kilojoule_per_mole / unit.angstrom)),
    )


@pytest.mark.parametrize("name", ["bf4", "pf6", "dca", "dmso", "urea", "water", "scn"])
def test_terms_written_out_are_those_of_clandp(name: str) -> None:
    """Of small molecules, which have no pair that the rules of mixing could tell apart."""
    ion = molecule(name)
    topology = Topology("t", [ion])
    positions = geometry(ion["smiles"]) * 1.02
    explicit = explicit_system(topology, None, mixture(ion), TOLERANCE)
    typed = opls_system(topology, None, None, CLANDP)
    ours, theirs = energy_and_forces(explicit, positions), energy_and_forces(typed, positions)
    assert ours[0] == pytest.approx(theirs[0], abs=1e-4)
    np.testing.assert_allclose(ours[1], theirs[1], atol=1e-3)


def test_sage_does_not_depend_on_how_a_molecule_is_written() -> None:
    one, two = molecule("dmc"), molecule("fec")
    assert sum(mixture(one).molecules[0].charges_e) == pytest.approx(0, abs=1e-6)
    other = {**one, "smiles": "O=C(OC)OC"}
    assert mixture(two).molecules[0].source.endswith("(NAGL)")
    charges = mixture(one).molecules[0].charges_e
    order = [3, 2, 4, 5, 1, 0]  # heavy atoms of the other SMILES in the order of the first's, hydrogens likewise
    hydrogens = [9, 10, 11, 6, 7, 8]
    atoms = order + hydrogens
    new_index = {old: new for new, old in enumerate(atoms)}
    bonds = sorted(sorted((new_index[i], new_index[j])) for i, j in one["bonds"])
    other |= {"elements": [one["elements"][i] for i in atoms], "bonds": bonds}
    moved = sage.sage_terms(other, [charges[i] for i in atoms])
    positions = geometry(one["smiles"]) * 1.03
    energies = [
        energy_and_forces(
            explicit_system(
                Topology("t", [ion]), None, ExplicitForceField(name="x", charge_scale=1, molecules=[terms]), TOLERANCE
            ),
            where,
        )[0]
        for ion, terms, where in ((one, mixture(one).molecules[0], positions), (other, moved, positions[atoms]))
    ]
    assert energies[0] == pytest.approx(energies[1], abs=1e-6)


def test_forces_are_the_gradient_and_a_molecule_far_away_adds_nothing() -> None:
    ion = molecule("no3")
    system = explicit_system(Topology("t", [ion]), None, mixture(ion), TOLERANCE)
    positions = geometry(ion["smiles"]) * 1.01
    positions[0, 2] += 0.2  # out of the plane, which the improper holds
    _, forces = energy_and_forces(system, positions)
    step = 1e-4
    moved = [positions.copy(), positions.copy()]
    moved[0][0, 2] += step
    moved[1][0, 2] -= step
    slope = (energy_and_forces(system, moved[0])[0] - energy_and_forces(system, moved[1])[0]) / (2 * step)
    assert forces[0, 2] == pytest.approx(-slope, rel=1e-4)
    assert forces[0, 2] < 0


def test_alcl4_is_a_tetrahedron_of_known_length() -> None:
    """Al-Cl is 2.13 A in crystals of AlCl4- (Mairesse et al., Acta Cryst. B 33 (1977) 2731)."""
    ion = molecule("alcl4")
    terms = mixture(ion).molecules[0]
    assert sum(terms.charges_e) == pytest.approx(-1, abs=1e-6)
    system = explicit_system(Topology("t", [ion]), None, mixture(ion), TOLERANCE)
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("Reference"))
    context.setPositions(geometry(ion["smiles"]) / 10)
    openmm.LocalEnergyMinimizer.minimize(context)
    positions = context.getState(getPositions=True).getPositions(asNumpy=True).value_in_unit(unit.angstrom)
    arms = np.asarray(positions[1:] - positions[0])
    assert np.linalg.norm(arms, axis=1) == pytest.approx([2.13] * 4, abs=0.15)
    assert np.linalg.norm(arms.sum(axis=0)) < 0.05


def test_charges_of_ions_are_scaled_and_those_of_molecules_are_not(tmp_path: Path) -> None:
    li, ec = molecule("li"), molecule("ec")
    full, scaled = mixture(li, ec), mixture(li, ec, scale=0.8)
    assert scaled.molecules[0].charges_e == [0.8] and scaled.molecules[1] == full.molecules[1]
    li, pf6 = molecule("li"), molecule("pf6")
    topology, positions = Topology("t", [li, pf6]), np.vstack([[[0.0, 0, 30]], geometry(pf6["smiles"])])
    path = tmp_path / "clandp.yaml"
    text = (ASSETS / "forcefields/clandp.yaml").read_text()
    energies = []
    for scale in (1.0, 0.5):
        path.write_text(text + f"charge_scale: {scale}\n")
        alone = sum(energy_and_forces(system_of(Topology("t", [pf6]), None, None, path), positions[1:])[:1])
        energies.append(energy_and_forces(system_of(topology, None, None, path), positions)[0] - alone)
    assert energies[1] == pytest.approx(energies[0] / 4, rel=0.02)  # Coulomb's law, but for a Lennard-Jones tail


@pytest.mark.parametrize(("name", "written"), [("clo4", "ClO4-"), ("dfob", "C2BF2O4-"), ("i", "I-")])
def test_anions_of_electrolytes_that_have_no_types_have_a_force_field(name: str, written: str) -> None:
    ion = molecule(name)
    assert CalcMolFormula(parse(ion["smiles"])) == written
    (terms,) = mixture(ion).molecules
    assert sum(terms.charges_e) == pytest.approx(-1, abs=1e-6)
    assert len(terms.bonds) == len(ion["bonds"])


def test_what_no_force_field_has_is_said_and_files_tell_what_they_are_of(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no classical force field has zn .*OpenFF Sage lacks"):
        mixture(molecule("zn", "[Zn+2]"))
    ions = [molecule("li"), molecule("dmc")]
    path = tmp_path / "force_field.json"
    mixture(*ions).save(path)
    sources = {ion["smiles"]: mixed.source_of(ion, LIBRARY) for ion in ions}
    assert force_field_digest(path, ions) == sources_digest(sources, 1.0) != sources_digest(sources, 0.8)
    path.write_text(path.read_text()[:-40])
    with pytest.raises(UserError, match="force field"):
        ExplicitForceField.load(path)
