"""Run the molecular dynamics of one liquid with one model: NPT, then NVT at the mean density.

Every model runs the same integrators from the same equilibrated box with the same seeds. The run is
watched: when a bond breaks, the temperature or the volume runs away, atoms collide or a number is not
finite, it stops there, keeps what it has, and says why in run.json. Such a run is a result: exit code 0.

The run goes in segments. Each leaves a checkpoint; a run that was killed goes on from its last one, and the result is the
same to the last bit (on a CPU, with the same number of threads) as if nothing had happened.

Writes the run folder: run.json, thermo.parquet, npt.xtc, nvt.xtc (unwrapped), topology.pdb, topology.json.
"""

import argparse
import contextlib
import json
import math
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import polars as pl
from ase import Atoms
from ase.calculators.calculator import Calculator

from ionmelt import checkpoint, files, task
from ionmelt import errors as errors_module
from ionmelt.checkpoint import Chain, say
from ionmelt.dynamics import engines, md, trajectory
from ionmelt.models import calculators
from ionmelt.topology import Topology

PHASES = ("npt", "nvt")
THERMO_FS = 10.0  # densities and pressures are kept this often
# The mean density of the NVT run is taken over this last part of the NPT run.
NPT_USED = 0.5
COLUMN = {name: place for place, name in enumerate(list(md.THERMO)[1:])}


def rescale_ions(atoms: Atoms, topology: Topology, volume_A3: float) -> None:
    """Bring the box to a volume by moving whole ions, in place: their bonds keep their lengths."""
    factor = (volume_A3 / atoms.get_volume()) ** (1 / 3)
    centres = topology.centres(atoms.positions)
    atoms.positions += (centres * (factor - 1))[topology.molecule]
    atoms.set_cell(atoms.cell * factor, scale_atoms=False)


class Recorder:
    """Keep the thermodynamics and the frames of one segment.

    `rows` holds the columns of thermo.parquet but the phase; a value that is not known is NaN.
    """

    def __init__(self, phase: str, atoms: Atoms, settings: dict[str, Any], first_step: int) -> None:
        self.atoms, self.first_step = atoms, first_step
        self.timestep_fs = settings["timestep_fs"]
        self.save_every = steps_of(settings["save_every_fs"], self.timestep_fs)
        self.mass_u = atoms.get_masses().sum()
        self.degrees = 3 * len(atoms) - (3 if phase == "nvt" else 0) - getattr(atoms.calc, "constraints", 0)
        self.hydrostatic = getattr(atoms.calc, "hydrostatic", False)
        self.stress = getattr(atoms.calc, "has_stress", True) and (
            phase == "npt" or not getattr(atoms.calc, "stress_is_dear", False)
        )
        self.rows: list[list[float]] = []
        self.frames: list[np.ndarray] = []
        self.edges: list[np.ndarray] = []

    def sample(self, step: int) -> None:
        """Add one row, and one frame when it is due; `step` counts from the start of the segment."""
        step += self.first_step
        atoms, volume = self.atoms, self.atoms.get_volume()
        kinetic = atoms.get_kinetic_energy()
        tensor, pressure = np.full(6, np.nan), np.nan
        if self.stress:
            stress = atoms.get_stress()
            pressure = (2 * kinetic / (3 * volume) - stress[:3].mean()) / md.BAR
            if not self.hydrostatic:
                flow = atoms.get_momenta().T @ atoms.get_velocities() / volume
                tensor = (flow[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]] - stress) / md.BAR
        temperature = md.mean_kinetic_temperature(atoms, self.degrees)
        density = self.mass_u / volume * md.DENSITY_KG_M3
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


def steps_of(time_fs: float, timestep_fs: float) -> int:
    """Return a time in steps, at least one."""
    return max(1, round(time_fs / timestep_fs))


def bounded(settings: dict[str, Any], n_atoms: int) -> dict[str, Any]:
    """Return the settings with an interval between frames that keeps the trajectories within max_trajectory_mb.

    The interval is raised by a whole factor where it must be; the one asked for is save_every_asked_fs then.
    """
    asked = settings["save_every_fs"]
    frames = 1000 * (settings["npt_ps"] + settings["nvt_ps"]) / asked
    size_mb = trajectory.size_mb(frames, n_atoms)
    factor = max(1, math.ceil(size_mb / settings["max_trajectory_mb"]))
    if factor > 1:
        say(
            f"{settings['id']}: frames are kept every {asked * factor:g} fs, not {asked:g}: up to {size_mb:.0f} MB would pass "
            f"max_trajectory_mb {settings['max_trajectory_mb']:g}"
        )
    return settings | {"save_every_fs": asked * factor, "save_every_asked_fs": asked}


def begin_phase(phase: str, atoms: Atoms, topology: Topology, settings: dict[str, Any], chain: Chain) -> dict[str, Any]:
    """Return the state that a phase begins with: NVT from the end of NPT, at the mean volume of its last part."""
    if chain.metas:
        md.set_atoms(atoms, chain.arrays(-1))
        volumes = np.concatenate([arrays["thermo"][:, COLUMN["volume_A3"]] for _, arrays in chain])
        if len(volumes):
            rescale_ions(atoms, topology, volumes[int(len(volumes) * (1 - NPT_USED)) :].mean())
    rng = np.random.default_rng([settings["seed"], PHASES.index(phase)])
    md.draw_velocities(atoms, settings["temperature_K"], rng)
    return md.get_state(make_dynamics(phase, atoms, settings, rng))


def make_dynamics(phase: str, atoms: Atoms, settings: dict[str, Any], rng: np.random.Generator) -> md.Dynamics:
    """Return the dynamics of a phase; velocities must have been drawn (OpenMM draws its own)."""
    if getattr(atoms.calc, "name", None) == "openmm":
        from ionmelt.dynamics import classical

        return classical.OpenMMDynamics(
            atoms,
            timestep_fs=settings["timestep_fs"],
            temperature_K=settings["temperature_K"],
            pressure_bar=settings["pressure_bar"] if phase == "npt" else None,
            thermostat_fs=settings["thermostat_fs"],
            seed=int(rng.integers(1, 2**31 - 1)),
        )
    common = {
        "timestep_fs": settings["timestep_fs"],
        "temperature_K": settings["temperature_K"],
        "thermostat_fs": settings["thermostat_fs"],
        "rng": rng,
    }
    if phase == "npt":
        return md.npt(atoms, **common, pressure_bar=settings["pressure_bar"], barostat_fs=settings["barostat_fs"])
    return md.nvt(atoms, **common)


def run_phase(
    phase: str,
    atoms: Atoms,
    topology: Topology,
    settings: dict[str, Any],
    chain: Chain,
    watch: md.Watch,
    engine: dict[str, Any],
) -> None:
    """Run what is left of a phase (``npt`` or ``nvt``), segment by segment, into the chain.

    Each segment starts from the state that the one before left on the disk, with forces and neighbours computed
    anew, whether it follows at once or in another process: the two are the same, bit for bit.
    """
    timestep_fs = settings["timestep_fs"]
    steps = steps_of(settings[f"{phase}_ps"] * 1000, timestep_fs)
    # A stride divides the interval at which frames are kept, so that no frame is missed; a segment holds whole intervals.
    save_every = steps_of(settings["save_every_fs"], timestep_fs)
    per_frame = max(1, round(save_every * timestep_fs / THERMO_FS))
    while save_every % per_frame:
        per_frame -= 1
    stride = save_every // per_frame
    segment = math.ceil(steps_of(settings["segment_ps"] * 1000, timestep_fs) / save_every) * save_every
    here = [meta for meta in chain.metas if meta["phase"] == phase]
    done, begun, start, shown = (here[-1]["step"] if here else 0), 0, time.perf_counter(), time.perf_counter()
    while done < steps and not (chain.metas and chain.metas[-1]["end"]):
        began, new, ended = time.perf_counter(), 0, None
        state = chain.arrays(-1) if here or begun else None
        recorder = Recorder(phase, atoms, settings, done)
        try:
            state = state or begin_phase(phase, atoms, topology, settings, chain)
            md.set_atoms(atoms, state)
            # All random numbers go on from the state: those that new dynamics begin with are not used.
            dynamics = make_dynamics(phase, atoms, settings, np.random.default_rng(settings["seed"]))
        except md.MODEL_ERRORS as error:
            ended, state = md.failed(error), {}
        else:
            md.set_state(dynamics, state)
            for new, ended in md.strides(dynamics, min(segment, steps - done), stride, recorder.sample, watch):
                now = time.perf_counter()
                if now - shown > 20 or done + new == steps or ended:
                    shown = now
                    density = recorder.rows[-1][COLUMN["density_kg_m3"]] if recorder.rows else math.nan
                    say(
                        f"{settings['id']} {phase} {(done + new) * timestep_fs / 1000:.2f} of "
                        f"{settings[f'{phase}_ps']:g} ps, {density:.0f} kg/m3, "
                        f"{(begun + new) * len(atoms) / (now - start):.0f} atom-steps/s"
                        + (f", ended: {ended.end}, {ended.detail}" if ended else "")
                    )
            state = md.get_state(dynamics)
        begun += new
        done += new
        meta = {
            "phase": phase,
            "step": done,
            "survived": max(done - (stride if ended and new else 0), 0),
            "wall_s": time.perf_counter() - began,
            "end": ended.end if ended else None,
            "detail": ended.detail if ended else None,
            "engine": engine,
        }
        chain.write(meta, state | recorder.arrays())


def write_results(out: Path, settings: dict[str, Any], chain: Chain) -> None:
    """Write the trajectory of each phase and thermo.parquet from the segments, one in memory at a time."""
    tables, writers = [pl.DataFrame(schema=md.THERMO)], {}
    for meta, arrays in chain:
        phase, thermo, frames = meta["phase"], arrays["thermo"], arrays["frames"]
        table = pl.DataFrame(thermo, schema=dict.fromkeys(COLUMN, pl.Float64)).fill_nan(None)
        table = table.with_columns(pl.lit(phase).alias("phase"), pl.col("step").cast(pl.Int64))
        tables.append(table.select(*md.THERMO))
        if len(frames):
            if phase not in writers:
                writers[phase] = trajectory.Writer(out / f"{phase}.xtc")
            save_every = steps_of(settings["save_every_fs"], settings["timestep_fs"])
            steps = thermo[thermo[:, 0] % save_every == 0, 0]
            writers[phase].write(frames, arrays["edges"], steps, steps * settings["timestep_fs"] / 1000)
    for writer in writers.values():
        writer.close()
    files.write_table(pl.concat(tables, rechunk=True), out / "thermo.parquet")


def record_of(settings: dict[str, Any], chain: Chain, n_atoms: int, resumed: int) -> dict[str, Any]:
    """Return run.json: the settings, how far the run went and how it ended, its speed."""
    survived = {}
    for phase in PHASES:
        steps = [meta["survived"] for meta in chain.metas if meta["phase"] == phase]
        survived[phase] = (steps[-1] if steps else 0) * settings["timestep_fs"] / 1000
    last = chain.metas[-1] if chain.metas else {"end": None, "detail": None}
    wall = sum(meta["wall_s"] for meta in chain.metas)
    steps = sum(survived.values()) * 1000 / settings["timestep_fs"]
    return {
        **settings,
        "planned_ps": settings["npt_ps"] + settings["nvt_ps"],
        "survived_ps": round(sum(survived.values()), 6),
        "npt_planned_ps": settings["npt_ps"],
        "npt_survived_ps": round(survived["npt"], 6),
        "nvt_planned_ps": settings["nvt_ps"],
        "nvt_survived_ps": round(survived["nvt"], 6),
        "end": last["end"] or "completed",
        "detail": last["detail"],
        "n_atoms": n_atoms,
        "segments": len(chain.metas),
        "segments_resumed": resumed,
        "atom_steps_per_s": round(steps * n_atoms / wall, 1) if wall else None,
        "wall_s": round(wall, 1),
    }


def run_key(settings: dict[str, Any], state: Path, model: Path, threads: int, code: str = "") -> str:
    """Return the hash of what determines a run: settings, model, start, code, libraries and threads."""
    card = calculators.read_card(model)
    content = {
        "settings": settings,
        "model": [card["framework"], card["files"], card.get("load"), card.get("settings"), card.get("head")],
        "versions": task.versions(),
        "threads": threads,
        "code": code,
        "device": calculators.device(),
    }
    starts = [state / name for name in ("start.extxyz", "topology.json", "system.xml") if (state / name).is_file()]
    return checkpoint.key_of(content, starts)


@dataclass(frozen=True)
class Run:
    """One run: its settings, the equilibrated liquid that it starts from and the folder to write."""

    settings: dict[str, Any]
    state: Path
    out: Path

    def atoms(self) -> Atoms:
        """Return the frame that the run starts from."""
        path = self.state / "start.extxyz"
        with errors_module.reading(path, "extended XYZ"):
            atoms = ase.io.read(path)
        assert isinstance(atoms, Atoms)  # one frame
        return atoms


def go(run: Run, chain: Chain, calculator: Calculator, engine: dict[str, Any]) -> None:
    """Run what is left of NPT and NVT and write the run folder; `engine` is what run.json says of it."""
    settings, resumed = run.settings, len(chain.metas)
    if resumed:
        last = chain.metas[-1]
        time_ps = last["step"] * settings["timestep_fs"] / 1000
        say(f"{settings['id']}: going on from a checkpoint: {last['phase']} {time_ps:g} ps")
    topology, atoms = Topology.load(run.state / "topology.json"), run.atoms()
    watch = md.Watch(atoms, topology.bonds, topology.molecule, settings["temperature_K"])
    atoms.calc = calculator
    for phase in PHASES:
        if settings[f"{phase}_ps"] > 0:
            run_phase(phase, atoms, topology, settings, chain, watch, engine)
    for name in ("topology.json", "topology.pdb"):
        shutil.copyfile(run.state / name, run.out / name)
    write_results(run.out, settings, chain)
    record = record_of(settings, chain, len(atoms), resumed) | {"device": calculators.device_name(calculator), **engine}
    (run.out / "run.json").write_text(json.dumps(record, indent=2) + "\n")
    chain.remove()
    shutil.rmtree(run.out / "checkpoints", ignore_errors=True)


def run_md(runs: list[Run], model: Path, threads: int, checkpoints: Path | None = None) -> None:
    """Run NPT and NVT of one model, from one liquid or from several replicas of it at once, and write the run folders.

    Replicas go side by side, in one call of the model a step, where the model's engine can; else one after another.
    """
    with contextlib.ExitStack() as stack:
        chains = []
        for k, run in enumerate(runs):
            run.out.mkdir(parents=True, exist_ok=True)
            runs[k] = run = replace(run, settings=bounded(run.settings, len(run.atoms())))
            own = run.out / "checkpoints"
            key = run_key(run.settings, run.state, model, threads)
            chains.append(stack.enter_context(Chain(checkpoints or own, key, own)))
        # A run that goes on has the engine that it began with: the probe might choose another this time.
        before = next((meta["engine"] for chain in chains for meta in chain.metas), None)
        wanted = before["engine"] if before else runs[0].settings["engine"]
        if wanted == "openmm" and calculators.read_card(model)["framework"] == "classical":
            from ionmelt.dynamics import classical

            for run, chain in zip(runs, chains, strict=True):
                topology = Topology.load(run.state / "topology.json")
                native = classical.Native(run.state / "system.xml", topology, run.settings["timestep_fs"], threads)
                go(run, chain, native, {"engine": "openmm", "probe": []})
            return
        start = runs[0].atoms()
        with errors_module.of_model():
            engine, probe = engines.load_engine(model, runs[0].state, threads, start, wanted)
        if isinstance(engine, Calculator):
            for run, chain in zip(runs, chains, strict=True):
                go(run, chain, engine, {"engine": "plain", "probe": []})
            return
        said = before or {"engine": engine.name, "probe": probe}
        say(f"{runs[0].settings['id']}: engine {engine.name} on {engine.device}; probe: {json.dumps(said['probe'])}")
        if len(runs) == 1:
            go(runs[0], chains[0], engines.EngineCalculator(engine), said)
            return
        together = engines.Together(engine, len(runs))

        def replica(slot: int) -> None:
            try:
                go(runs[slot], chains[slot], together.calculator(slot), said)
            finally:
                together.leave(slot)

        with ThreadPoolExecutor(len(runs)) as pool:
            for future in [pool.submit(replica, slot) for slot in range(len(runs))]:
                future.result()


def main(argv: list[str] | None = None) -> int:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--id", required=True, help="key of the run, or of the first of several")
    parser.add_argument(
        "--settings",
        type=Path,
        nargs="+",
        required=True,
        help="settings of the run, or of each replica: JSON of PLAN_STUDY",
    )
    parser.add_argument(
        "--state", type=Path, nargs="+", required=True, help="folder of the equilibrated liquid of each"
    )
    parser.add_argument("--model", type=Path, required=True, help="model folder")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (default: 1)")
    parser.add_argument(
        "--device", choices=("auto", "cuda"), default="auto", help="cuda: refuse the CPU (default: auto)"
    )
    parser.add_argument(
        "--checkpoints",
        type=Path,
        help="a file of the folder that keeps checkpoints of runs that were killed, or that folder (default: none is kept)",
    )
    parser.add_argument(
        "--code",
        default="",
        help="digest of the code: what another code began is not gone on with (default: whatever it was)",
    )
    parser.add_argument("--out", type=Path, nargs="+", required=True, help="run folder to write, of each")
    parser.add_argument(
        "--errors", type=Path, nargs="*", default=[], help="files for why the model cannot be run, of each"
    )
    args = parser.parse_args(argv)
    # A link to a file of the folder is how the pipeline passes it: it is mounted into containers, and its content
    # stays the same, so that checkpoints of other runs change no task's hash.
    folder = args.checkpoints and args.checkpoints.resolve()
    folder = folder.parent if folder and folder.is_file() else folder

    def work() -> None:
        task.check_device(args.device)
        each = zip(args.settings, args.state, args.out, strict=True)
        runs = [Run(files.read_json(settings), state, out) for settings, state, out in each]
        run_md(runs, args.model, args.threads, folder)

    reads = [*args.settings, *args.state, args.model]
    return task.run("RUN_MD", work, task_id=args.id, reads=reads, writes=args.out, errors=args.errors)
