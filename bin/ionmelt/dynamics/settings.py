"""What a study says of the molecular dynamics that every model runs."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from ionmelt.dynamics.engines import NAMES, PLAIN
from ionmelt.settings import Count, Real, Section, TaskSettings, count, number

if TYPE_CHECKING:
    EngineName = str
else:
    EngineName = Literal["auto", PLAIN, *NAMES]


class Md(Section):
    """The molecular dynamics that every model runs alike."""

    timestep_fs: Real = number(0.5, 0.05, 4, "time step (fs)")
    npt_ps: Real = number(100.0, 0.001, 1e6, "length of the run at constant pressure, for the density (ps)")
    nvt_ps: Real = number(1000.0, 0, 1e6, "length of the run at constant volume, for diffusion and structure (ps)")
    replicas: Count = count(1, 1, 100, "independent boxes of each liquid and temperature")
    thermostat_fs: Real = number(100.0, 1, 1e5, "time constant of the thermostat (fs)")
    barostat_fs: Real = number(500.0, 10, 1e6, "time constant of the barostat (fs)")
    save_every_fs: Real = number(20.0, 0.05, 1e6, "time between saved frames (fs)")
    max_trajectory_mb: Real = number(
        1000.0,
        0.001,
        1e7,
        "most that a run's trajectories may take (MB): frames are saved less often where they would take more",
    )
    engine: EngineName = Field(
        default="auto",
        description="what computes a learned model's forces: auto tries what is there for a few steps and takes the fastest "
        "whose forces are those of the plain calculator. A name holds for the models whose framework has it. openmm: a "
        "classical model is run by OpenMM with its own integrators, for large boxes (time step above 1 fs: bonds to "
        "hydrogen are fixed)",
    )
    batch: Count = count(
        1, 1, 64, "replicas of a model that run together, in one call of the model a step; more than 1 is for GPUs"
    )
    segment_ps: Real = number(
        0.5,
        1e-4,
        1e4,
        "length of the segments that a run goes in (ps), made up to whole intervals between saved frames: what a kill may cost; "
        "a checkpoint follows each",
    )


class RunSettings(TaskSettings):
    """The settings of RUN_MD for one model in one state: what the study says in `Md`, and which model and state these are."""

    liquid: str
    replica: Count
    temperature_K: Real
    pressure_bar: Real
    seed: Count
    model: str
    model_key: str
    dataset: str | None
    model_seed: Count | None
    framework: str
    timestep_fs: Real
    npt_ps: Real
    nvt_ps: Real
    thermostat_fs: Real
    barostat_fs: Real
    save_every_fs: Real
    max_trajectory_mb: Real
    engine: EngineName
    batch: Count
    segment_ps: Real

    def length_ps(self, phase: str) -> float:
        """Return how long a phase (``npt`` or ``nvt``) is (ps)."""
        return {"npt": self.npt_ps, "nvt": self.nvt_ps}[phase]

    def steps(self, time_fs: float) -> int:
        """Return a time in steps, at least one."""
        return max(1, round(time_fs / self.timestep_fs))
