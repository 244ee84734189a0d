#!/usr/bin/env python3
"""A classical force field run by OpenMM itself, so that boxes and times are in reach that a step-by-step run is not.

The ensembles are those of every other model; the integrators are OpenMM's own. NPT: Langevin middle (Zhang et al.,
J. Phys. Chem. A 123, 6056, 2019) with a Monte Carlo barostat (Aqvist et al., Chem. Phys. Lett. 384, 288, 2004).
NVT: a Nose-Hoover chain (Martyna, Klein and Tuckerman, J. Chem. Phys. 97, 2635, 1992), which leaves diffusion alone.
Bonds to hydrogen are as flexible as in the force field, unless the time step is too long for them (`RIGID_FS`): then
they are constrained and hydrogens are made 3 u heavy at their neighbours' expense, as in EQUILIBRATE.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import openmm
from ase import Atoms, units
from ase.calculators.calculator import Calculator
from openmm import unit

from il_forcefield import constrain_hydrogens
from il_topology import Topology

RIGID_FS = 1.0  # a longer step does not resolve the stretch of a bond to hydrogen, whose period is 11 fs
BAROSTAT_STEPS = 25
EV_KJ_MOL = units.mol / units.kJ  # eV in kJ/mol


class Native(Calculator):
    """A force field that OpenMM runs: it reports what the dynamics found, and computes nothing when asked.

    Attributes: `system`; `masses_u` (N,); `constraints`, how many; `device`; `has_stress` is false, since OpenMM
    has no virial.
    """

    implemented_properties = ["energy"]  # noqa: RUF012  (ASE's interface)
    name = "openmm"
    device = "cpu"
    has_stress = False

    def __init__(self, system: Path, topology: Topology, timestep_fs: float, threads: int) -> None:
        super().__init__()
        self.system = openmm.XmlSerializer.deserialize(system.read_text())
        if timestep_fs > RIGID_FS:
            constrain_hydrogens(self.system, topology)
        self.threads = threads
        self.constraints = self.system.getNumConstraints()
        self.masses_u = np.array(
            [self.system.getParticleMass(i).value_in_unit(unit.dalton) for i in range(self.system.getNumParticles())]
        )

    def get_property(self, name: str, atoms: Atoms | None = None, allow_calculation: bool = True) -> Any:
        """Return what the last step reported."""
        return self.results[name]


class OpenMMDynamics:
    """Dynamics of `atoms`, whose calculator is a `Native`, with the `run(steps)` of ASE's dynamics.

    Parameters
    ----------
    atoms : orthorhombic box: positions, momenta (ASE units), cell and masses are brought up to date by `run`.
    pressure_bar : of the barostat; None holds the volume.
    thermostat_fs : time constant of the thermostat: friction or frequency of the chain is its inverse.
    seed : of velocities, noise and barostat, 1 to 2^31 - 1.
    """

    def __init__(
        self,
        atoms: Atoms,
        *,
        timestep_fs: float,
        temperature_K: float,
        pressure_bar: float | None,
        thermostat_fs: float,
        seed: int,
    ) -> None:
        native = atoms.calc
        assert isinstance(native, Native)
        self.atoms, self.native = atoms, native
        atoms.set_masses(native.masses_u)
        system = openmm.XmlSerializer.clone(native.system)
        frequency, step = 1000 / thermostat_fs, timestep_fs / 1000
        if pressure_bar is None:
            system.addForce(openmm.CMMotionRemover(1000))
            self.integrator = openmm.NoseHooverIntegrator(temperature_K, frequency, step)
        else:
            barostat = openmm.MonteCarloBarostat(pressure_bar * unit.bar, temperature_K * unit.kelvin, BAROSTAT_STEPS)
            barostat.setRandomNumberSeed(seed)
            system.addForce(barostat)
            self.integrator = openmm.LangevinMiddleIntegrator(temperature_K, frequency, step)
            self.integrator.setRandomNumberSeed(seed)
        self.integrator.setConstraintTolerance(1e-6)
        properties = {"Threads": str(native.threads), "DeterministicForces": "true"}
        self.context = openmm.Context(system, self.integrator, openmm.Platform.getPlatformByName("CPU"), properties)
        self.context.setPeriodicBoxVectors(*(openmm.Vec3(*row) for row in np.asarray(atoms.cell) / 10))
        self.context.setPositions(atoms.positions / 10)
        self.context.applyConstraints(1e-6)
        self.context.setVelocitiesToTemperature(temperature_K, seed)
        self._read()

    def run(self, steps: int) -> None:
        """Advance by a number of steps, and bring `atoms` up to date; raises RuntimeError where it cannot."""
        try:
            self.integrator.step(steps)
        except openmm.OpenMMException as error:
            raise RuntimeError(str(error)) from error
        self._read()

    def save(self) -> dict[str, np.ndarray]:
        """Return OpenMM's own checkpoint: good for the same OpenMM on the same kind of processor."""
        return {"openmm": np.frombuffer(self.context.createCheckpoint(), dtype=np.uint8)}

    def load(self, state: Mapping[str, np.ndarray]) -> None:
        """Go back to a saved state. Random numbers go on from this object's own seed."""
        self.context.loadCheckpoint(state["openmm"].tobytes())
        self._read()

    def _read(self) -> None:
        state = self.context.getState(positions=True, velocities=True, energy=True)
        self.atoms.set_cell(state.getPeriodicBoxVectors(asNumpy=True).value_in_unit(unit.angstrom))
        self.atoms.positions[:] = state.getPositions(asNumpy=True).value_in_unit(unit.angstrom)
        velocities = state.getVelocities(asNumpy=True).value_in_unit(unit.angstrom / unit.femtosecond) / units.fs
        self.atoms.set_velocities(velocities)
        energy = state.getPotentialEnergy().value_in_unit(unit.kilojoule_per_mole) / EV_KJ_MOL
        self.native.results = {"energy": energy}
