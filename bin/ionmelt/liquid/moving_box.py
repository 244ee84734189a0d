"""A box under way through the phases of an equilibration: by a force field in OpenMM, or by xtb in ASE."""

import os
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import openmm
from ase import Atoms, units
from ase.md.bussi import Bussi
from ase.md.langevinbaoab import LangevinBAOAB
from ase.optimize import FIRE
from openmm import unit

from ionmelt.dynamics import integrators, thermo
from ionmelt.dynamics.integrators import BAROSTAT_STEPS
from ionmelt.dynamics.thermo import EV_KJ_MOL
from ionmelt.liquid.schedule import Phase
from ionmelt.liquid.system import constrain_hydrogens
from ionmelt.topology import Topology

FRICTION_PS = 1.0
XTB_MINIMISE_STEPS = 50
XTB_THERMOSTAT_FS, XTB_BAROSTAT_FS = 100.0, 500.0


@dataclass(frozen=True)
class Sample:
    """The box at one moment: whole or unwrapped positions (N, 3) and cell (3, 3) in A, energies in eV."""

    positions: np.ndarray
    cell: np.ndarray
    potential_energy_ev: float
    kinetic_energy_ev: float
    temperature_K: float


class MovingBox(Protocol):
    """A box that is advanced: `begin` a phase, then `advance` it in strides."""

    name: str
    cutoff_A: float | None

    def begin(self, phase: Phase) -> None:
        """Set pressure and time step of a phase."""

    def advance(self, steps: int, temperature_K: float) -> Sample:
        """Go on for a number of steps at a temperature; return the box then."""


class OpenMMBox:
    """A force field in OpenMM's CPU platform, bit by bit reproducible with one thread.

    With two, its non-bonded forces differ in their last bits from call to call in spite of
    `DeterministicForces` (seen in 8.6.1).
    """

    def __init__(
        self, system: openmm.System, topology: Topology, atoms: Atoms, seed: int, threads: int, hot_K: float
    ) -> None:
        self.name = f"OpenMM {openmm.version.short_version} CPU"
        cutoffs = [f.getCutoffDistance() for f in system.getForces() if isinstance(f, openmm.NonbondedForce)]
        self.cutoff_A = round(cutoffs[0].value_in_unit(unit.angstrom), 6) if cutoffs else None
        constrain_hydrogens(system, topology)
        self.degrees_of_freedom = 3 * len(topology) - system.getNumConstraints()
        self.barostat = openmm.MonteCarloBarostat(1.0 * unit.bar, hot_K * unit.kelvin, 0)
        self.barostat.setRandomNumberSeed(_seed(seed, 1))
        system.addForce(self.barostat)
        self.integrator = openmm.LangevinMiddleIntegrator(hot_K, FRICTION_PS, 0.001)
        self.integrator.setRandomNumberSeed(_seed(seed, 2))
        self.integrator.setConstraintTolerance(1e-6)
        os.environ["OPENMM_CPU_THREADS"] = str(threads)  # the reciprocal space asks this, not "Threads"
        platform = openmm.Platform.getPlatformByName("CPU")
        properties = {"Threads": str(threads), "DeterministicForces": "true"}
        self.context = openmm.Context(system, self.integrator, platform, properties)
        self.context.setPeriodicBoxVectors(*(openmm.Vec3(*row) for row in np.asarray(atoms.cell) / 10))
        self.context.setPositions(atoms.positions / 10)
        self.context.applyConstraints(1e-6)
        openmm.LocalEnergyMinimizer.minimize(self.context, 10.0, 1000)
        self.context.setVelocitiesToTemperature(hot_K, _seed(seed, 3))

    def begin(self, phase: Phase) -> None:
        """Set pressure and time step; the first constant-pressure phase starts the barostat."""
        self.integrator.setStepSize(phase.timestep_fs / 1000)
        if phase.pressure_bar is None:
            return
        if self.barostat.getFrequency() == 0:
            state = self.context.getState(positions=True, velocities=True)
            self.barostat.setFrequency(BAROSTAT_STEPS)
            self.context.reinitialize()
            self.context.setState(state)
        self.context.setParameter(openmm.MonteCarloBarostat.Pressure(), phase.pressure_bar)

    def advance(self, steps: int, temperature_K: float) -> Sample:
        """Go on for a number of steps at a temperature; return the box then."""
        self.integrator.setTemperature(temperature_K)
        self.context.setParameter(openmm.MonteCarloBarostat.Temperature(), temperature_K)
        self.integrator.step(steps)
        state = self.context.getState(positions=True, energy=True)
        kinetic = state.getKineticEnergy().value_in_unit(unit.kilojoule_per_mole) / EV_KJ_MOL
        return Sample(
            positions=state.getPositions(asNumpy=True).value_in_unit(unit.angstrom),
            cell=state.getPeriodicBoxVectors(asNumpy=True).value_in_unit(unit.angstrom),
            potential_energy_ev=state.getPotentialEnergy().value_in_unit(unit.kilojoule_per_mole) / EV_KJ_MOL,
            kinetic_energy_ev=kinetic,
            temperature_K=2 * kinetic / (self.degrees_of_freedom * units.kB),
        )


class XtbBox:
    """GFN1-xTB (tblite) with the dynamics that the models' runs use."""

    def __init__(self, atoms: Atoms, seed: int, threads: int, hot_K: float) -> None:
        os.environ["OMP_NUM_THREADS"] = str(threads)  # read when tblite is loaded
        from tblite.ase import TBLite

        self.name = "tblite GFN1-xTB"
        self.cutoff_A: float | None = None
        self.atoms = atoms.copy()
        self.atoms.calc = TBLite(method="GFN1-xTB", verbosity=0)
        self.rng = np.random.default_rng(seed)
        FIRE(self.atoms, logfile=None).run(fmax=0.5, steps=XTB_MINIMISE_STEPS)
        integrators.draw_velocities(self.atoms, hot_K, self.rng)

    def begin(self, phase: Phase) -> None:
        """Start the dynamics of a phase, with the momenta that the last one left."""
        self.dynamics: LangevinBAOAB | Bussi
        if phase.pressure_bar is None:
            self.dynamics = integrators.nvt(
                self.atoms,
                timestep_fs=phase.timestep_fs,
                temperature_K=phase.start_K,
                thermostat_fs=XTB_THERMOSTAT_FS,
                rng=self.rng,
            )
        else:
            self.dynamics = integrators.npt(
                self.atoms,
                timestep_fs=phase.timestep_fs,
                temperature_K=phase.start_K,
                thermostat_fs=XTB_THERMOSTAT_FS,
                barostat_fs=XTB_BAROSTAT_FS,
                pressure_bar=phase.pressure_bar,
                rng=self.rng,
            )

    def advance(self, steps: int, temperature_K: float) -> Sample:
        """Go on for a number of steps at a temperature; return the box then."""
        if isinstance(self.dynamics, LangevinBAOAB):
            self.dynamics.set_temperature(temperature_K)
        self.dynamics.run(steps)
        return Sample(
            positions=self.atoms.positions.copy(),
            cell=np.array(self.atoms.cell),
            potential_energy_ev=float(self.atoms.get_potential_energy()),
            kinetic_energy_ev=float(self.atoms.get_kinetic_energy()),
            temperature_K=thermo.mean_kinetic_temperature(
                self.atoms, 3 * len(self.atoms) - 3 * isinstance(self.dynamics, Bussi)
            ),
        )


def _seed(seed: int, stream: int) -> int:
    """Return an OpenMM seed (positive, 31 bits: 0 means a random one) for one of several uses."""
    return int(np.random.SeedSequence([seed, stream]).generate_state(1)[0] % (2**31 - 1)) + 1
