"""The phases of a run, NPT and NVT at the mean density, segment by segment into a chain of checkpoints."""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from pydantic import BaseModel

from ionmelt.checkpoint import Chain
from ionmelt.duration import spoken
from ionmelt.dynamics import integrators, watch
from ionmelt.dynamics.record import Probe
from ionmelt.dynamics.recorder import COLUMN, Recorder
from ionmelt.dynamics.settings import RunSettings
from ionmelt.screen import say
from ionmelt.topology import Topology

PHASES = ("npt", "nvt")
THERMO_FS = 10.0  # densities and pressures are kept this often
# The pressure tensor, which the viscosity is made from, at least this often: what vibrates as fast as it is sampled looks like a stress that
# does not change. At 10 fs that is 3336 1/cm, within the band of O-H and N-H; at 7 fs 4765 1/cm, where nothing vibrates.
STRESS_FS = 7.0
# The mean density of the NVT run is taken over this last part of the NPT run.
NPT_USED = 0.5
SHOW_S = 20  # the progress of a run is shown this often


class UsedEngine(BaseModel):
    """The engine of a run, and the trials that it was chosen by."""

    engine: str
    probe: tuple[Probe, ...] = ()


class Segment(BaseModel):
    """What a checkpoint says of its segment: the phase, the step reached, the last step that was watched and found whole."""

    phase: str
    step: int
    survived: int
    wall_s: float
    end: str | None
    detail: str | None
    protons_away: int = 0  # most protons that were on another molecule than at the start, at once
    engine: UsedEngine


@dataclass(frozen=True)
class Simulation:
    """A run under way: its settings, its atoms with their calculator, its checkpoints and what watches it."""

    settings: RunSettings
    atoms: Atoms
    topology: Topology
    chain: Chain[Segment]
    watch: watch.Watch
    engine: UsedEngine


def rescale_ions(atoms: Atoms, topology: Topology, volume_A3: float) -> None:
    """Bring the box to a volume by moving whole ions, in place: their bonds keep their lengths."""
    factor = (volume_A3 / atoms.get_volume()) ** (1 / 3)
    centres = topology.centres(atoms.positions)
    atoms.positions += (centres * (factor - 1))[topology.molecule]
    atoms.set_cell(atoms.cell * factor, scale_atoms=False)


def begin_phase(phase: str, simulation: Simulation) -> dict[str, np.ndarray]:
    """Return the state that a phase begins with: NPT from the volume that is asked for, NVT from its end, at its mean volume.

    That mean is of its last part; a run without NPT stays at the volume of the equilibrated liquid.
    """
    atoms, chain, settings = simulation.atoms, simulation.chain, simulation.settings
    if chain.segments:
        integrators.set_atoms(atoms, chain.arrays(-1))
        volumes = np.concatenate([arrays["thermo"][:, COLUMN["volume_A3"]] for _, arrays in chain])
        if len(volumes):
            rescale_ions(atoms, simulation.topology, volumes[int(len(volumes) * (1 - NPT_USED)) :].mean())
    elif phase == "npt" and settings.start_volume != 1:
        rescale_ions(atoms, simulation.topology, settings.start_volume * atoms.get_volume())
    rng = np.random.default_rng([settings.seed, PHASES.index(phase)])
    integrators.draw_velocities(atoms, settings.temperature_K, rng)
    return integrators.get_state(make_dynamics(phase, atoms, settings, rng))


def make_dynamics(phase: str, atoms: Atoms, settings: RunSettings, rng: np.random.Generator) -> integrators.Dynamics:
    """Return the dynamics of a phase; velocities must have been drawn (an engine's own integrators draw theirs)."""
    common = {
        "timestep_fs": settings.timestep_fs,
        "temperature_K": settings.temperature_K,
        "thermostat_fs": settings.thermostat_fs,
    }
    if isinstance(atoms.calc, integrators.OwnIntegrators):
        pressure_bar = settings.pressure_bar if phase == "npt" else None
        return atoms.calc.dynamics(atoms, **common, pressure_bar=pressure_bar, seed=int(rng.integers(1, 2**31 - 1)))
    if phase == "npt":
        pressure = {"pressure_bar": settings.pressure_bar, "barostat_fs": settings.barostat_fs}
        return integrators.npt(atoms, **common, **pressure, rng=rng)
    return integrators.nvt(atoms, **common, rng=rng)


def strides_of(settings: RunSettings, has_viscosity: bool) -> tuple[int, int]:
    """Return the steps of a stride and of a segment; ``has_viscosity``: one is to be made from what is recorded.

    A stride divides the interval at which frames are kept, so that no frame is missed; a segment holds whole intervals.
    """
    save_every = settings.steps(settings.save_every_fs)
    per_frame = max(1, round(save_every * settings.timestep_fs / THERMO_FS))
    while save_every % per_frame:
        per_frame -= 1
    stride = save_every // per_frame
    while has_viscosity and stride > 1 and (save_every % stride or stride * settings.timestep_fs > STRESS_FS):
        stride -= 1
    return stride, math.ceil(settings.steps(settings.segment_ps * 1000) / save_every) * save_every


class Progress:
    """Show on standard error how far a phase is, every now and then."""

    def __init__(self, phase: str, simulation: Simulation, done: int) -> None:
        self.phase, self.simulation, self.first = phase, simulation, done
        self.start = self.shown = time.perf_counter()

    def show(self, step: int, last: bool, recorder: Recorder, ended: watch.Ended | None) -> None:
        """Say the time reached, the density, the speed and the time left, where it is time to, at the last step and at an end."""
        now, settings = time.perf_counter(), self.simulation.settings
        if now - self.shown <= SHOW_S and not last and ended is None:
            return
        self.shown = now
        rest = settings.steps(settings.length_ps(self.phase) * 1000) - step
        rest += sum(
            settings.steps(settings.length_ps(later) * 1000) for later in PHASES[PHASES.index(self.phase) + 1 :]
        )
        left_s = rest * (now - self.start) / max(step - self.first, 1)
        density = recorder.rows[-1][COLUMN["density_kg_m3"]] if recorder.rows else math.nan
        say(
            f"{settings.id} {self.phase} {step * settings.timestep_fs / 1000:.2f} of "
            f"{settings.length_ps(self.phase):g} ps, {density:.0f} kg/m3, "
            f"{(step - self.first) * len(self.simulation.atoms) / (now - self.start):.0f} atom-steps/s, "
            + (f"ended: {ended.end}, {ended.detail}" if ended else f"{spoken(left_s)} left")
        )


def run_phase(phase: str, simulation: Simulation) -> None:
    """Run what is left of a phase (``npt`` or ``nvt``), segment by segment, into the chain.

    Each segment starts from the state that the one before left on the disk, with forces and neighbours computed
    anew, whether it follows at once or in another process: the two are the same, bit for bit.
    """
    settings, chain = simulation.settings, simulation.chain
    steps = settings.steps(settings.length_ps(phase) * 1000)
    before = [segment.step for segment in chain.segments if segment.phase == phase]
    done = before[-1] if before else 0
    progress = Progress(phase, simulation, done)
    begun = bool(before)
    while done < steps and not (chain.segments and chain.segments[-1].end):
        state = chain.arrays(-1) if begun else None
        done = run_segment(phase, simulation, state, done, steps, progress)
        begun = True


def run_segment(
    phase: str,
    simulation: Simulation,
    state: Mapping[str, np.ndarray] | None,
    done: int,
    steps: int,
    progress: Progress,
) -> int:
    """Run a segment from a state, or from the beginning of the phase, and write its checkpoint; return the step reached."""
    settings, atoms, start = simulation.settings, simulation.atoms, time.perf_counter()
    recorder = Recorder(phase, atoms, settings, done)
    stride, segment = strides_of(settings, phase == "nvt" and recorder.has_tensor)
    new, ended, away = 0, None, 0
    try:
        state = state or begin_phase(phase, simulation)
        integrators.set_atoms(atoms, state)
        # All random numbers go on from the state: those that new dynamics begin with are not used.
        dynamics = make_dynamics(phase, atoms, settings, np.random.default_rng(settings.seed))
    except watch.MODEL_ERRORS as error:
        ended, state = watch.failed(error), {}
    else:
        integrators.set_state(dynamics, state)
        length = min(segment, steps - done)
        for new, ended in watch.strides(dynamics, length, stride, recorder.sample, simulation.watch):
            progress.show(done + new, done + new == steps, recorder, ended)
            away = max(away, simulation.watch.protons_away)
        state = integrators.get_state(dynamics)
    done += new
    says = Segment(
        phase=phase,
        step=done,
        survived=max(done - (stride if ended and new else 0), 0),
        wall_s=time.perf_counter() - start,
        end=ended.end if ended else None,
        detail=ended.detail if ended else None,
        protons_away=away,
        engine=simulation.engine,
    )
    simulation.chain.write(says, {**state, **recorder.arrays()})
    return done
