"""Frames of CP2K's molecular dynamics: positions of a trajectory joined with the output and the files beside it."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from ase import Atoms
from ase.units import Bohr, Hartree, bar, second

from ionmelt.labels.foreign.blocks import ForeignFrame, Unreadable
from ionmelt.labels.foreign.cp2k_evaluations import Evaluation, put_evaluation
from ionmelt.labels.foreign.cp2k_trajectories import Step, Tensors, Trajectory, elements_of, project_of

SAME_ENERGY_HA = 5e-9  # of one step in two files: they print 8 decimals and more
SAME_CELL_A = 1e-5
AU_TIME = 2.4188843265864e-17 * second  # of the velocities that CP2K writes: Bohr over this


@dataclass
class Run:
    """What one folder holds of CP2K's: outputs by name, and the files beside them."""

    outputs: dict[str, str] = field(default_factory=dict)
    trajectories: list[Trajectory] = field(default_factory=list)
    tensors: list[Tensors] = field(default_factory=list)

    @property
    def positions(self) -> list[Trajectory]:
        """The trajectories of positions."""
        return [trajectory for trajectory in self.trajectories if trajectory.role == "pos"]

    def belongs(self, name: str, positions: Trajectory) -> bool:
        """Tell whether a file belongs to a trajectory of positions: it is the only one, or both are of one project."""
        return len(self.positions) == 1 or project_of(name) == project_of(positions.name)

    def steps(self, role: str, positions: Trajectory) -> dict[int, Step]:
        """Return the forces (``frc``) or velocities (``vel``) that belong to a trajectory of positions, by step."""
        files = [file for file in self.trajectories if file.role == role and self.belongs(file.name, positions)]
        return {step.number: step for file in files for step in file.steps}

    def tensors_by_step(self, role: str, positions: Trajectory) -> dict[int, np.ndarray]:
        """Return the tensors (3, 3) that belong to a trajectory of positions, of ``cell`` or ``stress``, by step."""
        files = [file for file in self.tensors if file.role == role and self.belongs(file.name, positions)]
        return {step: tensor for file in files for step, tensor in file.by_step.items()}


class Dynamics:
    """One trajectory of positions, and what the outputs and the files beside it say of its steps."""

    def __init__(self, run: Run, positions: Trajectory, evaluations: Sequence[Evaluation]) -> None:
        self.positions, self.evaluations = positions, evaluations
        self.energies = np.array([evaluation.energy for evaluation in evaluations])
        self.forces = run.steps("frc", positions)
        self.velocities = run.steps("vel", positions)
        self.stresses = run.tensors_by_step("stress", positions)
        self.cells = run.tensors_by_step("cell", positions)
        self.still = constant(self.cells, evaluations)
        self.stress_words: Counter[str] = Counter()  # how a stress was had from a file, and at how many steps

    def frames(self) -> Iterator[ForeignFrame]:
        """Yield the frame of each step."""
        for step in self.positions.steps:
            where = f"{self.positions.name}: step {step.number}"
            try:
                yield self.frame(step, where)
            except Unreadable as error:
                yield ForeignFrame(where, reason="unreadable", detail=str(error))

    def frame(self, step: Step, where: str) -> ForeignFrame:
        """Return the frame of a step; raises `Unreadable` where its label, elements or cell are not to be had."""
        evaluation = self.evaluation(step)
        elements = elements_of(step.names, evaluation.output)
        cell = self.cells.get(step.number, evaluation.cell if self.still else scaled(evaluation))
        if cell is None:
            said = "its cell is not known: have it printed at every step (MOTION/PRINT/CELL/EACH/MD 1), give PROJECT-1.cell"
            raise Unreadable(said)
        atoms = Atoms(elements, step.values, cell=cell, pbc=True)
        frame = ForeignFrame(where, atoms)
        put_evaluation(frame, evaluation)
        if frame.forces_ev_a is None and step.number in self.forces:
            self.put_forces(frame, step)
        if frame.stress_ev_a3 is None and step.number in self.stresses:
            velocities = self.velocities.get(step.number)
            values = None if velocities is None else velocities.values
            frame.stress_ev_a3, words = potential_stress(self.stresses[step.number], atoms, evaluation, values)
            self.stress_words[words] += 1
        return frame

    def evaluation(self, step: Step) -> Evaluation:
        """Return what an output says of a step, which has its energy. Raises `Unreadable`.

        Of several, as of a run that was killed and restarted, it is the one of its number, and before that one that is whole.
        """
        same = np.flatnonzero(np.abs(self.energies - step.energy) <= SAME_ENERGY_HA)
        fitting = [self.evaluations[int(index)] for index in same]
        if not fitting:
            raise Unreadable("no output holds its energy")
        return min(fitting, key=lambda one: (one.step != step.number, one.cut_off))

    def put_forces(self, frame: ForeignFrame, step: Step) -> None:
        """Put the forces of the file beside the positions into a frame, where they are of the same atoms and energy."""
        forces = self.forces[step.number]
        if forces.names != step.names or abs(forces.energy - step.energy) > SAME_ENERGY_HA:
            frame.detail = "the file of forces has other atoms or another energy at this step"
            return
        frame.forces_ev_a = forces.values * (Hartree / Bohr)
        if frame.reason is None:  # the detail was that the output has no forces
            frame.detail = None

    def words(self) -> list[str]:
        """Say where the stresses are from."""
        name = self.positions.name
        return [
            f"{name}: stress of {count} steps from PROJECT-1.stress: {text}"
            for text, count in self.stress_words.items()
        ]


def read_dynamics(
    run: Run, positions: Trajectory, evaluations: Sequence[Evaluation], words: list[str]
) -> Iterator[ForeignFrame]:
    """Yield the frames of one trajectory of positions; what else is to be said of them is added to `words`."""
    dynamics = Dynamics(run, positions, evaluations)
    yield from dynamics.frames()
    if positions.cut_off is not None:
        yield ForeignFrame(positions.name, reason="unreadable", detail=positions.cut_off)
    words += dynamics.words()


def potential_stress(
    pressure_bar: np.ndarray, atoms: Atoms, evaluation: Evaluation, velocities: np.ndarray | None
) -> tuple[np.ndarray, str]:
    """Return the stress (3, 3) in eV/A^3 of the forces alone, and in words what was done.

    CP2K's file holds the whole pressure tensor, that of the atoms' motion too: sum of m v v over the volume. Without
    velocities (Bohr per atomic unit of time) its trace is known from the kinetic energy, and it is taken as isotropic.
    """
    pressure = (pressure_bar + pressure_bar.T) / 2 * bar
    if velocities is not None:
        v = velocities * (Bohr / AU_TIME)
        motion = np.einsum("i,ia,ib->ab", atoms.get_masses(), v, v) / atoms.get_volume()
        said = "the part of the atoms' motion is taken off, by their velocities"
    elif evaluation.kinetic is not None:
        motion = 2 * evaluation.kinetic * Hartree / (3 * atoms.get_volume()) * np.eye(3)
        said = (
            "the part of the atoms' motion is taken off, by the kinetic energy of the output and as if it were the same "
            "in all directions; PROJECT-vel-1.xyz would tell it exactly"
        )
    else:
        motion = np.zeros((3, 3))
        said = (
            "taken as it is, since the output names no kinetic energy; in dynamics CP2K adds the part of the atoms' motion "
            "(N k T / V): if it did, give PROJECT-vel-1.xyz too"
        )
    return motion - pressure, said


def constant(cells: dict[int, np.ndarray], evaluations: Sequence[Evaluation]) -> bool:
    """Tell whether the cell is the same at all steps: nothing that the files say of it speaks against that."""
    seen = list(cells.values())
    seen += [evaluation.cell for evaluation in evaluations if evaluation.cell is not None]
    if any(evaluation.npt for evaluation in evaluations) or not np.isfinite(seen).all():
        return False
    if any(np.abs(cell - seen[0]).max() > SAME_CELL_A for cell in seen):
        return False
    for evaluation in evaluations:
        if evaluation.edges is not None and evaluation.cell is not None:
            edges = np.linalg.norm(evaluation.cell, axis=1)
            if np.abs(evaluation.edges - edges).max() > 1e-4 * edges.max():
                return False
    return True


def scaled(evaluation: Evaluation) -> np.ndarray | None:
    """Return the cell (A) of a step from the edges that the output gives; None without them, or where angles changed."""
    if evaluation.edges is None or evaluation.cell is None:
        return None
    edges = np.linalg.norm(evaluation.cell, axis=1)
    unit = evaluation.cell / edges[:, None]
    angles = np.degrees(np.arccos([unit[1] @ unit[2], unit[0] @ unit[2], unit[0] @ unit[1]]))
    if evaluation.angles is not None and np.abs(evaluation.angles - angles).max() > 1e-3:
        return None
    return unit * evaluation.edges[:, None]
