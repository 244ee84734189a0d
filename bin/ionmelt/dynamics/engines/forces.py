"""What every engine is asked and gives: frames in, energy, forces and stress out; and the calculators on both sides of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes

from ionmelt.dynamics.engines import PLAIN
from ionmelt.models.device import device_name
from ionmelt.models.frameworks.ase_calculator import as_model_error

VOIGT = ([0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1])

Frame = tuple[np.ndarray, np.ndarray]  # positions (N, 3) and cell (3, 3) in A


@dataclass(frozen=True)
class Result:
    """What an engine computes of one frame: energy (eV), forces (N, 3) (eV/A), stress (6,) (eV/A^3, ASE's Voigt)."""

    energy: float
    forces: np.ndarray
    stress: np.ndarray


class ForceEngine(Protocol):
    """What computes frames of the atoms that it was made for."""

    name: str
    device: str

    def compute(self, frames: Sequence[Frame], slots: Sequence[int]) -> list[Result]:
        """Compute frames; a frame's slot says whose neighbour list it may use."""

    def forget(self, slot: int) -> None:
        """Forget the neighbour list of a slot."""


def result_of(
    energy: float, pair_forces: np.ndarray, i: np.ndarray, j: np.ndarray, vectors: np.ndarray, n: int, volume: float
) -> Result:
    """Return energy, forces and stress from dE/d(vector from i to j) (P, 3) of every pair."""
    forces = np.stack(
        [np.bincount(i, g, minlength=n) - np.bincount(j, g, minlength=n) for g in np.ascontiguousarray(pair_forces.T)],
        axis=1,
    )
    virial = vectors.T @ pair_forces
    return Result(energy, forces, (virial + virial.T)[VOIGT] / (2 * volume))


class DispersedEngine:
    """An engine with the dispersion added that the model lacks, frame by frame, by ASE's calculator of it."""

    def __init__(self, engine: ForceEngine, dispersion: Calculator, atoms: Atoms) -> None:
        self.engine, self.added = engine, PlainEngine(dispersion, atoms)
        self.name, self.device = engine.name, engine.device

    def forget(self, slot: int) -> None:
        """Forget the neighbour list of a slot."""
        self.engine.forget(slot)
        self.added.forget(slot)

    def compute(self, frames: Sequence[Frame], slots: Sequence[int]) -> list[Result]:
        """Compute frames of the engine's atoms."""
        both = zip(self.engine.compute(frames, slots), self.added.compute(frames, slots), strict=True)
        return [Result(a.energy + b.energy, a.forces + b.forces, a.stress + b.stress) for a, b in both]


class PlainEngine:
    """An ASE calculator as it is."""

    def __init__(self, calculator: Calculator, atoms: Atoms, name: str = PLAIN) -> None:
        self.calculator, self.atoms, self.name = calculator, atoms.copy(), name
        self.device = device_name(calculator)

    def forget(self, slot: int) -> None:
        """Forget what the calculator holds."""
        self.calculator.reset()

    def compute(self, frames: Sequence[Frame], slots: Sequence[int]) -> list[Result]:
        """Compute frames one after another."""
        results = []
        for positions, cell in frames:
            self.atoms.set_cell(cell, scale_atoms=False)
            self.atoms.positions[:] = positions
            self.calculator.calculate(self.atoms, ["energy", "forces", "stress"], list(all_changes))
            energy, forces, stress = (self.calculator.results[name] for name in ("energy", "forces", "stress"))
            results.append(Result(float(energy), np.asarray(forces), np.asarray(stress)))
        return results


class EngineCalculator(Calculator):
    """The ASE calculator of one replica: its frames go to an engine, alone or (`Together`) with those of others."""

    implemented_properties = ["energy", "forces", "stress"]  # noqa: RUF012  (ASE's interface)

    def __init__(self, engine: ForceEngine, slot: int = 0, compute: Callable[[Frame], Result] | None = None) -> None:
        super().__init__()
        self.engine, self.slot, self.device = engine, slot, engine.device
        self._compute = compute or (lambda frame: engine.compute([frame], [slot])[0])

    def reset(self) -> None:
        """Forget results and neighbours."""
        super().reset()
        self.engine.forget(self.slot)

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: list[str] | None = None,
        system_changes: list[str] = all_changes,
    ) -> None:
        """Compute energy (eV), forces (eV/A) and stress (eV/A^3, Voigt)."""
        super().calculate(atoms, properties, system_changes)
        assert self.atoms is not None  # ASE has set it
        with as_model_error():
            result = self._compute((self.atoms.positions, self.atoms.cell.array))
        self.results = {"energy": result.energy, "forces": result.forces, "stress": result.stress}
