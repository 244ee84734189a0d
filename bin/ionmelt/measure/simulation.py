"""A run that is to be measured: its record, thermodynamics and trajectories, each read once."""

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl
from ase import Atoms
from pydantic import ConfigDict

from ionmelt import files
from ionmelt.lengths import needed_words
from ionmelt.measure import paths
from ionmelt.measure.arrays import Array
from ionmelt.measure.displacement import remove_drift
from ionmelt.measure.numbers import Row
from ionmelt.settings import SettingsFile
from ionmelt.topology import Topology

ANGSTROM_M = 1e-10


class Record(SettingsFile):
    """What run.json says of a run, as far as it is measured or published with what is."""

    model_config = ConfigDict(extra="ignore")

    id: str
    liquid: str
    model: str
    model_key: str
    dataset: str | None
    model_seed: int | None
    framework: str
    temperature_K: float
    replica: int
    save_every_fs: float
    npt_planned_ps: float
    nvt_planned_ps: float
    planned_ps: float
    survived_ps: float
    end: str  # completed, or why it ended
    detail: str | None
    n_atoms: int | None = None
    atom_steps_per_s: float | None = None
    dtype: str | None = None
    device: str | None = None
    save_every_asked_fs: float | None = None
    start_volume: float = 1.0
    hydrogen_mass_u: float | None = None

    @property
    def keys(self) -> dict[str, str | float | None]:
        """The columns that say which run a row is about."""
        return {
            "run_id": self.id,
            "liquid": self.liquid,
            "model": self.model,
            "dataset": self.dataset,
            "seed": self.model_seed,
            "temperature_K": self.temperature_K,
            "replica": self.replica,
            "framework": self.framework,
            "model_key": self.model_key,
        }


@dataclass(frozen=True)
class Trajectory:
    """What is kept of a trajectory that is read once in chunks. Angstrom.

    ``paths`` of each kind of ion: unwrapped centres of mass at every frame, relative to that of all; ``sums``
    (frames, 3) of them over the ions of a kind; ``edges`` (frames, 3).
    """

    paths: dict[str, paths.Paths]
    sums: dict[str, Array]
    edges: Array


def read_trajectory(path: Path, topology: Topology, threads: int = 1) -> Trajectory | None:
    """Read a trajectory once, in bounded memory; None where there is no frame."""
    masses = np.add.reduceat(topology.masses_u, topology.starts)
    kinds = {ion["name"]: topology.molecule_ion == ion["name"] for ion in topology.ions}
    of_kind = {name: paths.Paths(int(chosen.sum())) for name, chosen in kinds.items()}
    sums: dict[str, list[Array]] = {name: [] for name in kinds}
    edges = []
    for chunk in paths.chunks(path, topology, threads):
        held = remove_drift(chunk.unwrapped, masses)
        for name, chosen in kinds.items():
            of_kind[name].append(held[:, chosen])
            sums[name].append(held[:, chosen].sum(axis=1))
        edges.append(chunk.edges)
    if not edges:
        return None
    joined = {name: np.concatenate(chunks) for name, chunks in sums.items()}
    return Trajectory(of_kind, joined, np.concatenate(edges))


@dataclass(frozen=True)
class Viscosity:
    """A viscosity and where it is from, or why there is none; without a standard error it counts as exact."""

    pa_s: float | None
    source: str
    standard_error_pa_s: float | None = None


@dataclass(frozen=True, eq=False)
class Run:
    """A run folder of RUN_MD, and what its measurements need beside it.

    ``viscosity`` is used for the finite-size correction in place of the run's own, ``measured_viscosity`` where that
    is not converged; ``envelope`` is the file of what the model's training frames span.
    """

    folder: Path
    record: Record
    topology: Topology
    threads: int = 1
    viscosity: Viscosity | None = None
    measured_viscosity: Viscosity | None = None
    envelope: Path | None = None

    @cached_property
    def thermo(self) -> pl.DataFrame:
        """The thermodynamics of both phases."""
        return files.read_tables([self.folder / "thermo.parquet"])

    @cached_property
    def nvt(self) -> Trajectory | None:
        """The trajectory at constant volume, None where it has no frame."""
        return read_trajectory(self.path("nvt"), self.topology, self.threads)

    @cached_property
    def _npt_cells(self) -> Array:
        return paths.edges(self.path("npt"), self.topology)

    def cells(self, phase: str) -> Array:
        """Return the cell edges (frames, 3) of the trajectory of a phase, (0, 3) where there is none."""
        if phase == "npt":
            return self._npt_cells
        return np.empty((0, 3)) if self.nvt is None else self.nvt.edges

    def path(self, phase: str) -> Path:
        """Return the file of the trajectory of a phase."""
        return self.folder / f"{phase}.xtc"

    def series(self, phase: str, *columns: str) -> Array:
        """Return columns of the thermodynamics of a phase, (rows, columns), up to the first that is not finite."""
        return finite(self.thermo.filter(pl.col("phase") == phase).select(columns).to_numpy().astype(float))

    @property
    def ended(self) -> str | None:
        """How the run ended early, None where it was completed."""
        end = self.record.end
        return None if end == "completed" else f"run ended: {end} at {self.record.survived_ps:g} ps"

    def verdict(self, converged: bool, reason: str | None) -> Row:
        """Return the columns converged and reason: a run that broke is not converged, whatever its numbers."""
        reasons = [text for text in (self.ended, reason) if text]
        return {"converged": converged and not reasons, "reason": "; ".join(reasons) or None}

    def lacking(self, phase: str) -> Row:
        """Return the columns converged and reason of what there is no NPT or NVT for."""
        planned = {"npt": self.record.npt_planned_ps, "nvt": self.record.nvt_planned_ps}[phase]
        return self.verdict(
            False, f"no {phase.upper()} was planned" if planned == 0 else f"no {phase.upper()} survived"
        )

    def frames(self, phase: str, most: int) -> list[Atoms]:
        """Return evenly spaced frames of a trajectory, at most so many."""
        frames, symbols = len(self.cells(phase)), self.topology.elements.tolist()
        numbers = range(0, frames, max(1, math.ceil(frames / most)))
        return [
            Atoms(symbols, positions.astype(float), cell=edges, pbc=True)
            for some in paths.some_frames(self.path(phase), self.topology, numbers)
            for positions, edges in zip(some.positions, some.edges, strict=True)
        ]


def finite(values: Array) -> Array:
    """Return the rows (n, k) before the first that holds a number that is not finite."""
    good = np.isfinite(values).all(axis=1)
    return values if good.all() else values[: int(np.argmin(good))]


def with_needed(reason: str | None, needed_ps: float, phase: str, at_least: bool) -> str | None:
    """Return the reason, and how long a run of a phase (npt or nvt) is likely to be enough, or has to be, where that can be said."""
    if reason is None or not math.isfinite(needed_ps):
        return reason
    return f"{reason}; needs {needed_words(needed_ps, phase, at_least)}"
