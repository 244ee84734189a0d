"""Try what the image `analysis` is for: a box packed, a classical energy, a table kept. Prints what it found."""

import shutil
import tempfile
from pathlib import Path

import mdtraj
import numpy as np
import openmm
import polars as pl
import pymbar.timeseries
from openff.toolkit import ForceField, Molecule
from openmm import unit
from rdkit import Chem
from tblite.interface import Calculator

assert np.isclose(pymbar.timeseries.statistical_inefficiency(np.random.default_rng(1).normal(size=1000)), 1, atol=0.2)
assert shutil.which("packmol"), "packmol is missing"
labels = ForceField("openff-2.2.1.offxml").label_molecules(Molecule.from_smiles("COC(=O)OC").to_topology())[0]
assert len(labels["Bonds"]) == 11, labels
assert Chem.MolFromSmiles("CCCC[N+]1(C)CCCC1").GetNumAtoms() == 10

# Two opposite charges 3 angstrom apart: the energy is Coulomb's law.
system, force = openmm.System(), openmm.NonbondedForce()
for charge in (1, -1):
    system.addParticle(1.0)
    force.addParticle(charge, 1.0, 0.0)
system.addForce(force)
context = openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("CPU"))
context.setPositions([(0, 0, 0), (0.3, 0, 0)])
energy = context.getState(energy=True).getPotentialEnergy().value_in_unit(unit.kilojoule_per_mole)
assert abs(energy + 138.935458 / 0.3) < 0.01, energy

# Equal by symmetry: the two charges of H2.
molecule = Calculator("GFN1-xTB", np.array([1, 1]), np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 1.4]]))
molecule.set("verbosity", 0)
charges = molecule.singlepoint().get("charges")
assert abs(charges).max() < 1e-8, charges

with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "table.parquet"
    pl.DataFrame({"energy_kj_mol": [energy]}).write_parquet(path)
    assert pl.read_parquet(path)["energy_kj_mol"][0] == energy
print(f"analysis: ok; OpenMM {openmm.__version__}, polars {pl.__version__}, mdtraj {mdtraj.__version__}")
