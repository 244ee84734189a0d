"""What a study says of the molecular dynamics that every model runs."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from ionmelt.dynamics.engines import NAMES, PLAIN
from ionmelt.settings import Count, Key, Real, Section, TaskSettings, count, number

if TYPE_CHECKING:
    EngineName = str
else:
    EngineName = Literal["auto", PLAIN, *NAMES]


class Md(Section):
    """The molecular dynamics that every model runs alike."""

    timestep_fs: Real = number(0.5, 0.05, 4, "time step (fs)")
    npt_ps: Real = number(100.0, 0.001, 1e6, "length of the run at constant pressure, for the density (ps)")
    nvt_ps: Real = number(1000.0, 0, 1e6, "length of the run at constant volume, for diffusion and structure (ps)")
    truth_times: Real = number(
        1.0,
        1,
        1000,
        "how many times as long the model runs that is the method of the labels itself: what others are held against is to be known better",
    )
    models: tuple[Key, ...] | None = Field(
        default=None,
        min_length=1,
        description="models that run it, by their ids; left out, all of them. The others are judged by their errors on labelled frames alone",
    )
    replicas: Count = count(1, 1, 100, "independent boxes of each liquid and temperature")
    start_percent: Real = number(
        4.0,
        0,
        20,
        "boxes begin by turns with volumes this much below and above that of the equilibrated liquid (percent; every further pair of "
        "boxes with half of it): means that agree from both sides are of the liquid, not of its start",
    )
    hydrogen_mass_u: Real | None = number(
        None,
        1,
        6,
        "mass of every hydrogen that is bonded (u), taken from its heavy atom: 3 lets time steps be twice as long. Density and structure do "
        "not depend on masses; what moves does, and is marked where it is held against experiment. Left out: as it is",
    )
    thermostat_fs: Real = number(100.0, 10, 1e5, "time constant of the thermostat (fs)")
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
        description="what computes a learned model's forces: auto takes one that is there and whose forces, tried, are those of the plain "
        "calculator (on a CPU the first of a fixed order, so that a run can be repeated bit by bit; on a GPU the fastest, by "
        "the time of a few steps). A name holds for the models whose framework has it. openmm: a "
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


def start_volume(start_percent: float, replica: int) -> float:
    """Return the volume that a box begins with, over that of the equilibrated liquid.

    By turns below and above, by as much, then by half of it and so on: further boxes change nothing of those that were there.
    """
    return 1 + (-1) ** replica * start_percent / 100 / 2 ** ((replica - 1) // 2)


class RunSettings(TaskSettings):
    """The settings of RUN_MD for one model in one state: what the study says in `Md`, and which model and state these are.

    ``start_volume``: the volume that NPT begins with, over that of the equilibrated liquid.
    """

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
    start_volume: Real
    hydrogen_mass_u: Real | None
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
