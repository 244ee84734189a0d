"""An equilibrated liquid that frames are taken and made from.

A trajectory is cut into blocks of consecutive frames, and every frame that is taken or made from one, whatever the recipe, is in the
block's group: no split that keeps groups together can part a frame from its displaced or scaled copy. The last frames of each
trajectory are left alone, but for test_scan.
"""

import logging
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import openmm
from openmm import unit

from ionmelt.correlation import statistical_inefficiency as inefficiency
from ionmelt.dynamics import trajectory
from ionmelt.dynamics.record import RunRecord
from ionmelt.errors import UserError, reading
from ionmelt.liquid.record import EquilibrationRecord
from ionmelt.topology import Topology

MAX_BLOCKS, MIN_BLOCKS = 10, 3
LEAST_FRAMES = 10  # of a run that refines the equilibrium
HELD_OUT_FRACTION = 0.1  # most of a trajectory that is left alone before test_scan's frame

# Equilibration holds bonds to hydrogen fixed. A model must know how they vibrate, so frames taken from its
# trajectory run on without constraints, with friction strong enough to heat those bonds within this time.
THAW_STEPS, THAW_TIMESTEP_PS, THAW_FRICTION_PS = 200, 0.0005, 50.0


class State:
    """An equilibrated liquid: its topology, its trajectory and, with a force field, its OpenMM system.

    Attributes: `key`, `temperature_K`, `replica`, `topology`; `equilibrated`, whether its density has converged (None: not
    known); `model`, whose dynamics the trajectory is (None: the force field's); `positions` (F, N, 3) and `edges` (F, 3) in A;
    `inefficiency` of the volume, in frames; `usable`, the number of frames that recipes may use; `blocks`.
    """

    def __init__(self, folder: Path, seed: int, runs: "Sequence[RefiningRun]" = ()) -> None:
        self.key = folder.name
        self.seed = seed
        names = ("topology.json", "trajectory.dcd", "equilibration.json")
        missing = [f"{folder}: {name} is missing" for name in names if not (folder / name).is_file()]
        if missing:
            raise UserError(*missing)
        self.topology = Topology.load(folder / "topology.json")
        record = EquilibrationRecord.read(folder / "equilibration.json")
        self.temperature_K, self.replica = record.temperature_K, record.replica
        run = next((one for one in runs if one.is_of(record)), None)
        self.model: str | None = run.record.model_key if run else None
        self.equilibrated: bool | None = None if run else record.converged
        positions, edges = read_trajectory(folder / "trajectory.dcd") if run is None else run.steady()
        self.edges = edges.astype(float)
        self.positions = np.array(
            [self.topology.wrapped(p, e) for p, e in zip(positions.astype(float), self.edges, strict=True)]
        )
        self.inefficiency = statistical_inefficiency(self.edges.prod(axis=1))
        count = len(positions)
        self.usable = count - max(1, min(int(np.ceil(self.inefficiency)), int(HELD_OUT_FRACTION * count)))
        self.blocks = min(MAX_BLOCKS, max(MIN_BLOCKS, int(count / self.inefficiency)), self.usable)
        path = folder / "system.xml"
        self.system_xml = path.read_text() if path.is_file() else None
        self.is_constrained = self.system_xml is not None and run is None  # a model's bonds are free already
        self._thaw: openmm.Context | None = None
        self._thawed: dict[int, np.ndarray] = {}

    @property
    def bath(self) -> dict[str, float]:
        """What a frame says of the temperature that it was made at (K)."""
        return {"temperature_K": self.temperature_K}

    def group(self, index: int) -> str:
        """Return the group of a frame of the trajectory: that of its block."""
        return f"{self.key}-eq-{index * self.blocks // self.usable}"

    @property
    def groups(self) -> set[str]:
        """The groups of the frames of the trajectory."""
        return {self.group(index) for index in range(self.usable)}

    def frame(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Return positions (N, 3) and edges (3,) of a frame, its bonds to hydrogen set free.

        What comes back depends on the trajectory and the seed alone, and not on which recipe asks, or when.
        """
        if not self.is_constrained:
            return self.positions[index], self.edges[index]
        if index not in self._thawed:
            if self._thaw is None:
                self._thaw = self.context(self.edges.min(), THAW_TIMESTEP_PS, THAW_FRICTION_PS)
            self._thawed[index] = self.thaw(
                self._thaw,
                self.positions[index],
                self.edges[index],
                seed_of(self.seed, "thaw", self.key, index),
            )
        return self._thawed[index], self.edges[index]

    def context(self, smallest_edge_A: float, timestep_ps: float, friction_ps: float) -> openmm.Context:
        """Return an OpenMM context whose box may shrink to an edge: if it must, the cut-off is lowered."""
        assert self.system_xml is not None
        system = openmm.XmlSerializer.deserialize(self.system_xml)
        longest = 0.49 * smallest_edge_A / 10
        for force in system.getForces():
            if isinstance(force, openmm.NonbondedForce | openmm.CustomNonbondedForce):
                cutoff = min(force.getCutoffDistance().value_in_unit(unit.nanometer), longest)
                force.setCutoffDistance(cutoff)
                if force.getUseSwitchingFunction():
                    switch = force.getSwitchingDistance().value_in_unit(unit.nanometer)
                    force.setSwitchingDistance(min(switch, 0.9 * cutoff))
        integrator = openmm.LangevinMiddleIntegrator(self.temperature_K, friction_ps, timestep_ps)
        platform = openmm.Platform.getPlatformByName("CPU")
        return openmm.Context(system, integrator, platform, {"Threads": "1", "DeterministicForces": "true"})

    def thaw(self, context: openmm.Context, positions: np.ndarray, edges: np.ndarray, seed: int) -> np.ndarray:
        """Run a moment without constraints from new velocities at the state's temperature."""
        context.getIntegrator().setRandomNumberSeed(seed)
        context.reinitialize()
        set_box(context, positions, edges)
        context.setVelocitiesToTemperature(self.temperature_K, seed)
        context.getIntegrator().step(THAW_STEPS)
        return self.topology.wrapped(get_positions(context), edges)


def read_trajectory(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return the positions (F, N, 3) and cell edges (F, 3) of a trajectory in A; raises `UserError` for one that is damaged or too short."""
    with reading(path, path.suffix[1:].upper()), trajectory.Reader(path) as file:
        positions, edges = file.read(len(file))
    if len(positions) < 2:
        raise UserError(f"{path}: has {len(positions)} frames; at least 2 are needed")
    return positions, edges


@dataclass(frozen=True)
class RefiningRun:
    """A run of a model at constant pressure whose liquid takes the place of the force field's."""

    folder: Path
    record: RunRecord

    @classmethod
    def read(cls, folder: Path) -> "RefiningRun":
        """Return the run of a run folder."""
        return cls(folder, RunRecord.read(folder / "run.json"))

    def is_of(self, state: EquilibrationRecord) -> bool:
        """Tell whether it began from a state."""
        mine = (self.record.liquid, self.record.temperature_K, self.record.replica)
        return mine == (state.liquid, state.temperature_K, state.replica)

    def steady(self) -> tuple[np.ndarray, np.ndarray]:
        """Return positions (F, N, 3) and cell edges (F, 3) in A from where the volume has forgotten its start (Chodera, 2016).

        Raises `UserError` where fewer than `LEAST_FRAMES` are left.
        """
        positions, edges = read_trajectory(self.folder / "npt.xtc")
        start = steady_from(edges.astype(float).prod(axis=1))
        if len(positions) - start < LEAST_FRAMES:
            raise UserError(
                f"sampling.eq.refine: {self.folder.name}: {len(positions) - start} of {len(positions)} frames are left once its volume has "
                f"forgotten its start; at least {LEAST_FRAMES} are needed: give a longer md.npt_ps"
            )
        return positions[start:], edges[start:]


def steady_from(series: np.ndarray) -> int:
    """Return the first frame from which a series is steady: that which leaves the most independent ones."""
    logging.getLogger("pymbar").setLevel(logging.ERROR)  # it greets at length when loaded
    from pymbar import timeseries

    return int(timeseries.detect_equilibration(series)[0]) if np.ptp(series) > 0 else 0


def set_box(context: openmm.Context, positions: np.ndarray, edges: np.ndarray) -> None:
    """Give an OpenMM context a box and positions in A."""
    context.setPeriodicBoxVectors(*(openmm.Vec3(*row) for row in np.diag(edges) / 10))
    context.setPositions(positions / 10)


def get_positions(context: openmm.Context) -> np.ndarray:
    """Return the positions (N, 3) of an OpenMM context in A."""
    return context.getState(positions=True).getPositions(asNumpy=True).value_in_unit(unit.angstrom)


def statistical_inefficiency(series: np.ndarray) -> float:
    """Return how many frames make one independent one (Chodera, J. Chem. Theory Comput. 12, 1799, 2016)."""
    if len(series) < 3 or np.ptp(series) < 1e-6 * abs(series.mean()):
        return 1.0
    return inefficiency(series)


def seed_of(*causes: int | str) -> int:
    """Return a positive 31-bit seed that depends on all causes."""
    words = [cause if isinstance(cause, int) else zlib.crc32(cause.encode()) for cause in causes]
    return int(np.random.SeedSequence(words).generate_state(1)[0] % (2**31 - 1)) + 1
