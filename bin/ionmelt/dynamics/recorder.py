"""Thermodynamics and frames of a run, kept in memory for one segment."""

import numpy as np
from ase import Atoms, units

from ionmelt.dynamics.engines.forces import VOIGT
from ionmelt.dynamics.settings import RunSettings
from ionmelt.dynamics.thermo import DENSITY_KG_M3, THERMO, mean_kinetic_temperature

COLUMN = {name: column for column, name in enumerate(list(THERMO)[1:])}


class Recorder:
    """Keep the thermodynamics and the frames of one segment.

    `rows` holds the columns of thermo.parquet but the phase; a value that is not known is NaN.
    """

    def __init__(self, phase: str, atoms: Atoms, settings: RunSettings, first_step: int) -> None:
        self.atoms, self.first_step = atoms, first_step
        self.timestep_fs = settings.timestep_fs
        self.save_every = settings.steps(settings.save_every_fs)
        self.mass_u = atoms.get_masses().sum()
        # `constraints` and `has_stress` are of OpenMM's own dynamics (engines/openmm.py), `hydrostatic` and `stress_is_dear` of a classical
        # force field (liquid/calculator.py): neither can be imported in every environment.
        self.degrees = 3 * len(atoms) - (3 if phase == "nvt" else 0) - getattr(atoms.calc, "constraints", 0)
        self.hydrostatic = getattr(atoms.calc, "hydrostatic", False)
        self.stress = getattr(atoms.calc, "has_stress", True) and (
            phase == "npt" or not getattr(atoms.calc, "stress_is_dear", False)
        )
        self.rows: list[list[float]] = []
        self.frames: list[np.ndarray] = []
        self.edges: list[np.ndarray] = []

    @property
    def has_tensor(self) -> bool:
        """Whether the pressure tensor is recorded."""
        return self.stress and not self.hydrostatic

    def sample(self, step: int) -> None:
        """Add one row, and one frame when it is due; `step` counts from the start of the segment."""
        step += self.first_step
        atoms, volume = self.atoms, self.atoms.get_volume()
        kinetic = atoms.get_kinetic_energy()
        tensor, pressure = np.full(6, np.nan), np.nan
        if self.stress:
            stress = atoms.get_stress()
            pressure = (2 * kinetic / (3 * volume) - stress[:3].mean()) / units.bar
            if self.has_tensor:
                flow = atoms.get_momenta().T @ atoms.get_velocities() / volume
                tensor = (flow[VOIGT] - stress) / units.bar
        temperature = mean_kinetic_temperature(atoms, self.degrees)
        density = self.mass_u / volume * DENSITY_KG_M3
        row = [
            step,
            step * self.timestep_fs / 1000,
            atoms.get_potential_energy(),
            kinetic,
            temperature,
            pressure,
            volume,
        ]
        self.rows.append([*row, density, *tensor])
        if step % self.save_every == 0:
            self.frames.append(atoms.positions.astype(np.float32))
            self.edges.append(atoms.cell.lengths())

    def arrays(self) -> dict[str, np.ndarray]:
        """Return what was kept, for a checkpoint."""
        count = len(self.frames)
        return {
            "thermo": np.reshape(self.rows, (len(self.rows), len(COLUMN))),
            "frames": np.reshape(np.array(self.frames, np.float32), (count, len(self.atoms), 3)),
            "edges": np.reshape(self.edges, (count, 3)),
        }
