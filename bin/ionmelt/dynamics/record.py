"""What run.json says of a run."""

from dataclasses import dataclass

from ionmelt.dynamics.settings import RunSettings


@dataclass(frozen=True)
class Probe:
    """What a trial of an engine gave: time of a step (s), forces against the plain engine's, and why it is out, if it is.

    Where another's are beyond the usual, the plain engine's forces are held against its own of the same atoms, all moved alike.
    """

    engine: str
    s_a_step: float | None = None
    max_force_difference_ev_a: float | None = None
    reason: str | None = None


class RunRecord(RunSettings):
    """run.json: the settings of a run, with the engine that ran it; how far it went and how it ended; its speed."""

    save_every_asked_fs: float  # save_every_fs may be longer, for max_trajectory_mb
    planned_ps: float
    survived_ps: float
    npt_planned_ps: float
    npt_survived_ps: float
    nvt_planned_ps: float
    nvt_survived_ps: float
    end: str  # completed, or why it ended
    detail: str | None
    protons_away: int = 0  # most protons that were on another molecule than at the start, at once
    n_atoms: int
    segments: int
    segments_resumed: int
    atom_steps_per_s: float | None
    wall_s: float
    device: str
    probe: tuple[Probe, ...] = ()
