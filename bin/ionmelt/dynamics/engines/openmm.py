"""A classical force field run by OpenMM itself, so that boxes and times are in reach that a step-by-step run is not.

The ensembles are those of every other model; the integrators are OpenMM's own. NPT: Langevin middle (Zhang et al.,
J. Phys. Chem. A 123, 6056, 2019) with a Monte Carlo barostat (Aqvist et al., Chem. Phys. Lett. 384, 288, 2004), which is
written here: OpenMM's own loses the size of its moves and its place between two of them when a run goes on from a checkpoint.
NVT: a Nose-Hoover chain (Martyna, Klein and Tuckerman, J. Chem. Phys. 97, 2635, 1992), which leaves diffusion alone.
Bonds to hydrogen are as flexible as in the force field, unless the time step is too long for them (`RIGID_FS`): then
they are constrained and hydrogens are made 3 u heavy at their neighbours' expense, as in EQUILIBRATE.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import openmm
from ase import Atoms, units
from openmm import unit

from ionmelt.dynamics.integrators import BAROSTAT_STEPS, OwnIntegrators
from ionmelt.dynamics.thermo import EV_KJ_MOL
from ionmelt.liquid.system import constrain_hydrogens
from ionmelt.topology import Topology

RIGID_FS = 1.0  # a longer step does not resolve the stretch of a bond to hydrogen, whose period is 11 fs
ADAPTED_EVERY, ADAPTED_MOVES = 10, 500  # their size is adapted after so many moves, until so many were made
BAROSTAT_KEPT = ("scale_nm3", "moves", "accepted")


class Native(OwnIntegrators):
    """A force field that OpenMM runs: it reports what the dynamics found, and computes nothing when asked.

    Attributes: `system`; `masses_u` (N,); `constraints`, how many; `device`; `has_stress` is false, since OpenMM
    has no virial.
    """

    implemented_properties = ["energy"]  # noqa: RUF012  (ASE's interface)
    name = "openmm"
    has_stress = False

    def __init__(
        self, system: Path, topology: Topology, timestep_fs: float, threads: int, masses_u: np.ndarray | None = None
    ) -> None:
        """Read the force field; ``masses_u`` (N,), where they are not its own."""
        super().__init__()
        self.system = openmm.XmlSerializer.deserialize(system.read_text())
        if timestep_fs > RIGID_FS:
            constrain_hydrogens(self.system, topology)
        for atom, mass in enumerate(() if masses_u is None else masses_u):
            self.system.setParticleMass(atom, float(mass))
        self.threads = threads
        self.constraints = self.system.getNumConstraints()
        self.masses_u = np.array(
            [self.system.getParticleMass(i).value_in_unit(unit.dalton) for i in range(self.system.getNumParticles())]
        )

    def dynamics(self, atoms: Atoms, **conditions: Any) -> "OpenMMDynamics":
        """Return the dynamics of atoms whose calculator this is; conditions as in `OpenMMDynamics`."""
        return OpenMMDynamics(atoms, **conditions)

    def get_property(self, name: str, atoms: Atoms | None = None, allow_calculation: bool = True) -> Any:
        """Return what the last step reported."""
        return self.results[name]


class Barostat:
    """Monte Carlo moves of a context's volume: the centres of molecules are scaled, their shapes stay.

    The size of the first `ADAPTED_MOVES` is adapted until about half of them are accepted, then it stays: one that is adapted
    for ever, as in OpenMM's own barostat, follows the volume and shifts its mean (an ideal gas of 10 molecules by 4 %).
    Attributes: `scale_nm3`, the largest change of volume; `moves` so far; `accepted`, how many of the last ten.
    """

    def __init__(self, context: openmm.Context, pressure_bar: float, temperature_K: float, seed: int) -> None:
        self.context = context
        self.kT = units.kB * temperature_K * EV_KJ_MOL  # kJ/mol
        self.pressure = pressure_bar * units.bar * EV_KJ_MOL * 1000  # kJ/mol/nm^3
        self.rng = np.random.default_rng(seed)
        molecules = [np.array(atoms) for atoms in context.getMolecules()]
        self.order = np.concatenate(molecules)
        self.sizes = np.array([len(atoms) for atoms in molecules])
        self.starts = np.cumsum(self.sizes) - self.sizes
        self.scale_nm3 = 0.01 * context.getState().getPeriodicBoxVolume().value_in_unit(unit.nanometer**3)
        self.moves = self.accepted = 0

    def move(self) -> None:
        """Try another volume, and take it or not."""
        state = self.context.getState(positions=True, energy=True)
        box = state.getPeriodicBoxVectors(asNumpy=True).value_in_unit(unit.nanometer)
        volume = float(np.linalg.det(box))
        change = self.scale_nm3 * self.rng.uniform(-1, 1)
        chance = self.rng.random()
        self.moves += 1
        self.accepted += change > -volume and self._try(state, box, volume, change, chance)
        if self.moves % ADAPTED_EVERY == 0:
            if self.moves <= ADAPTED_MOVES and self.accepted < 0.25 * ADAPTED_EVERY:
                self.scale_nm3 /= 1.1
            elif self.moves <= ADAPTED_MOVES and self.accepted > 0.75 * ADAPTED_EVERY:
                self.scale_nm3 = min(1.1 * self.scale_nm3, 0.3 * volume)
            self.accepted = 0

    def _try(self, state: openmm.State, box: np.ndarray, volume: float, change: float, chance: float) -> bool:
        """Change the volume (nm^3) of a state with a box (3, 3) in nm; undo it, and return False, where it is refused."""
        old = state.getPositions(asNumpy=True).value_in_unit(unit.nanometer)
        factor = (1 + change / volume) ** (1 / 3)
        centres = np.add.reduceat(old[self.order], self.starts) / self.sizes[:, None]
        new = old.copy()
        new[self.order] += np.repeat(centres * (factor - 1), self.sizes, axis=0)
        self._set(box * factor, new)
        work = self._energy(self.context.getState(energy=True)) - self._energy(state) + self.pressure * change
        work -= len(self.sizes) * self.kT * np.log1p(change / volume)
        if chance < np.exp(min(-work / self.kT, 0.0)):
            return True
        self._set(box, old)
        return False

    @staticmethod
    def _energy(state: openmm.State) -> float:
        return float(state.getPotentialEnergy().value_in_unit(unit.kilojoule_per_mole))

    def _set(self, box_nm: np.ndarray, positions_nm: np.ndarray) -> None:
        self.context.setPeriodicBoxVectors(*(openmm.Vec3(*row) for row in box_nm))
        self.context.setPositions(positions_nm)


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
            self.integrator = openmm.LangevinMiddleIntegrator(temperature_K, frequency, step)
            self.integrator.setRandomNumberSeed(seed)
        self.integrator.setConstraintTolerance(1e-6)
        properties = {"Threads": str(native.threads), "DeterministicForces": "true"}
        self.context = openmm.Context(system, self.integrator, openmm.Platform.getPlatformByName("CPU"), properties)
        self.context.setPeriodicBoxVectors(*(openmm.Vec3(*row) for row in np.asarray(atoms.cell) / 10))
        self.context.setPositions(atoms.positions / 10)
        self.context.applyConstraints(1e-6)
        self.context.setVelocitiesToTemperature(temperature_K, seed)
        self.steps = 0
        self.barostat = None
        if pressure_bar is not None:
            self.barostat = Barostat(self.context, pressure_bar, temperature_K, seed)
        self._read()

    def run(self, steps: int) -> None:
        """Advance by a number of steps, and bring `atoms` up to date; raises RuntimeError where it cannot."""
        last = self.steps + steps
        try:
            while self.steps < last:
                to_move = BAROSTAT_STEPS - self.steps % BAROSTAT_STEPS
                stride = min(to_move, last - self.steps) if self.barostat else steps
                self.integrator.step(stride)
                self.steps += stride
                if self.barostat and self.steps % BAROSTAT_STEPS == 0:
                    self.barostat.move()
        except openmm.OpenMMException as error:
            raise RuntimeError(str(error)) from error
        self._read()

    def save(self) -> dict[str, np.ndarray]:
        """Return OpenMM's own checkpoint, good for the same OpenMM on the same kind of processor, and the barostat's state."""
        kept = {"steps": np.array(self.steps), "openmm": np.frombuffer(self.context.createCheckpoint(), dtype=np.uint8)}
        if self.barostat:
            kept["barostat_rng"] = np.array(json.dumps(self.barostat.rng.bit_generator.state))
            kept |= {name: np.array(getattr(self.barostat, name)) for name in BAROSTAT_KEPT}
        return kept

    def load(self, state: Mapping[str, np.ndarray]) -> None:
        """Go back to a saved state: everything goes on from it, random numbers too."""
        self.context.loadCheckpoint(state["openmm"].tobytes())
        self.steps = state["steps"].item()
        if self.barostat:
            self.barostat.rng.bit_generator.state = json.loads(str(state["barostat_rng"]))
            for name in BAROSTAT_KEPT:
                setattr(self.barostat, name, state[name].item())
        self._read()

    def _read(self) -> None:
        state = self.context.getState(positions=True, velocities=True, energy=True)
        self.atoms.set_cell(state.getPeriodicBoxVectors(asNumpy=True).value_in_unit(unit.angstrom))
        self.atoms.positions[:] = state.getPositions(asNumpy=True).value_in_unit(unit.angstrom)
        velocities = state.getVelocities(asNumpy=True).value_in_unit(unit.angstrom / unit.femtosecond) / units.fs
        self.atoms.set_velocities(velocities)
        energy = state.getPotentialEnergy().value_in_unit(unit.kilojoule_per_mole) / EV_KJ_MOL
        self.native.results = {"energy": energy}


def make(system: Path, topology: Topology, timestep_fs: float, threads: int, masses_u: np.ndarray | None) -> Native:
    """Return the calculator of a force field in OpenMM's own integrators."""
    return Native(system, topology, timestep_fs, threads, masses_u)
