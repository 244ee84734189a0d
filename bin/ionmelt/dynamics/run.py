"""Run the molecular dynamics of one liquid with one model: NPT, then NVT at the mean density.

Every model runs the same integrators from the same equilibrated box with the same seeds. The run is
watched: when a bond breaks, the temperature or the volume runs away, atoms collide or a number is not
finite, it stops there, keeps what it has, and says why in run.json. Such a run is a result: exit code 0.

The run goes in segments. Each leaves a checkpoint; a run that was killed goes on from its last one, and the result is the
same to the last bit (on a CPU, with the same number of threads) as if nothing had happened.

Writes the run folder: run.json, thermo.parquet, npt.xtc, nvt.xtc (unwrapped), topology.pdb, topology.json.
"""

import contextlib
import json
import math
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import ase.io
from ase import Atoms
from ase.calculators.calculator import Calculator

from ionmelt import checkpoint, task
from ionmelt.arguments import command_line
from ionmelt.charge import say_charge
from ionmelt.checkpoint import Chain
from ionmelt.dynamics import trajectory
from ionmelt.dynamics.engines import PLAIN, DynamicsEngine, integrating_engine
from ionmelt.dynamics.engines.choice import load_engine
from ionmelt.dynamics.engines.forces import EngineCalculator, ForceEngine
from ionmelt.dynamics.engines.together import Together
from ionmelt.dynamics.masses import with_heavy_hydrogens
from ionmelt.dynamics.phases import PHASES, Segment, Simulation, UsedEngine, run_phase
from ionmelt.dynamics.results import record_of, write_results
from ionmelt.dynamics.settings import RunSettings
from ionmelt.dynamics.watch import Watch
from ionmelt.errors import of_model, reading
from ionmelt.models.card import read_card
from ionmelt.models.device import device
from ionmelt.screen import say
from ionmelt.topology import Topology


def bounded(settings: RunSettings, n_atoms: int) -> RunSettings:
    """Return the settings with an interval between frames that keeps the trajectories within max_trajectory_mb.

    The interval is raised by a whole factor where it must be.
    """
    asked = settings.save_every_fs
    frames = 1000 * (settings.npt_ps + settings.nvt_ps) / asked
    size_mb = trajectory.size_mb(frames, n_atoms)
    factor = max(1, math.ceil(size_mb / settings.max_trajectory_mb))
    if factor > 1:
        say(
            f"{settings.id}: frames are kept every {asked * factor:g} fs, not {asked:g}: up to {size_mb:.0f} MB would pass "
            f"max_trajectory_mb {settings.max_trajectory_mb:g}"
        )
    return settings.model_copy(update={"save_every_fs": asked * factor})


@dataclass(frozen=True)
class Run:
    """One run: its settings as planned, the equilibrated liquid that it starts from and the folder to write."""

    planned: RunSettings
    state: Path
    out: Path

    @cached_property
    def settings(self) -> RunSettings:
        """The settings as they are run, with the interval between frames that `bounded` gives."""
        return bounded(self.planned, len(self.atoms()))

    @cached_property
    def topology(self) -> Topology:
        """The ions of the liquid."""
        return Topology.load(self.state / "topology.json")

    def atoms(self) -> Atoms:
        """Return the frame that the run starts from."""
        path = self.state / "start.extxyz"
        with reading(path, "extended XYZ"):
            atoms = ase.io.read(path)
        assert isinstance(atoms, Atoms)  # one frame
        if self.planned.hydrogen_mass_u is not None:
            atoms.set_masses(with_heavy_hydrogens(self.topology, self.planned.hydrogen_mass_u))
        say_charge(atoms)
        return atoms

    def key(self, model: Path, threads: int, code: str) -> str:
        """Return the hash of what determines the run: settings, model, start, code, libraries and threads."""
        card = read_card(model)
        content = {
            "settings": self.settings.model_dump(mode="json"),
            "model": [
                card.framework,
                card.files,
                card.load,
                card.settings.model_dump(mode="json", exclude_unset=True),
                card.head,
            ],
            "versions": task.versions(),
            "threads": threads,
            "code": code,
            "device": device(),
        }
        starts = [self.state / name for name in ("start.extxyz", "topology.json", "system.xml")]
        return checkpoint.key_of(content, [path for path in starts if path.is_file()])


def simulate(run: Run, chain: Chain[Segment], calculator: Calculator, engine: UsedEngine) -> None:
    """Run what is left of NPT and NVT and write the run folder."""
    settings, resumed = run.settings, len(chain.segments)
    if resumed:
        last = chain.segments[-1]
        say(f"{settings.id}: going on from a checkpoint: {last.phase} {last.step * settings.timestep_fs / 1000:g} ps")
    atoms, topology = run.atoms(), run.topology
    watch = Watch(atoms, topology.bonds, topology.molecule, settings.temperature_K)
    atoms.calc = calculator
    simulation = Simulation(settings, atoms, topology, chain, watch, engine)
    for phase in PHASES:
        if settings.length_ps(phase) > 0:
            run_phase(phase, simulation)
    for name in ("topology.json", "topology.pdb"):
        shutil.copyfile(run.state / name, run.out / name)
    write_results(run.out, settings, chain)
    record = record_of(simulation, run.planned.save_every_fs, resumed)
    (run.out / "run.json").write_text(json.dumps(record.model_dump(mode="json"), indent=2) + "\n")
    chain.remove()
    shutil.rmtree(run.out / "checkpoints", ignore_errors=True)


def run_md(runs: list[Run], model: Path, threads: int, checkpoints: Path | None = None, code: str = "") -> None:
    """Run NPT and NVT of one model, from one liquid or from several replicas of it at once, and write the run folders.

    Replicas go side by side, in one call of the model a step, where the model's engine can; else one after another.
    """
    with contextlib.ExitStack() as stack:
        chains = []
        for run in runs:
            run.out.mkdir(parents=True, exist_ok=True)
            fallback = run.out / "checkpoints"
            chain = Chain(checkpoints or fallback, run.key(model, threads, code), fallback, Segment)
            chains.append(stack.enter_context(chain))
        # A run that goes on has the engine that it began with: the trials might choose another this time.
        before = next((segment.engine for chain in chains for segment in chain.segments), None)
        wanted = before.engine if before else runs[0].settings.engine
        integrating = integrating_engine(read_card(model).framework, wanted)
        if integrating is not None:
            run_by_own_integrators(runs, chains, integrating, threads)
            return
        with of_model():
            engine, probes = load_engine(model, runs[0].state, threads, runs[0].atoms(), wanted)
        if isinstance(engine, Calculator):
            for run, chain in zip(runs, chains, strict=True):
                simulate(run, chain, engine, UsedEngine(engine=PLAIN))
            return
        used = before or UsedEngine(engine=engine.name, probe=tuple(probes))
        shown = json.dumps([asdict(trial) for trial in used.probe])
        say(f"{runs[0].settings.id}: engine {engine.name} on {engine.device}; probe: {shown}")
        if len(runs) == 1:
            simulate(runs[0], chains[0], EngineCalculator(engine), used)
        else:
            run_together(runs, chains, engine, used)


def run_by_own_integrators(runs: list[Run], chains: list[Chain[Segment]], engine: DynamicsEngine, threads: int) -> None:
    """Run replicas one after another with the integrators of an engine."""
    for run, chain in zip(runs, chains, strict=True):
        hydrogen_mass_u = run.settings.hydrogen_mass_u
        masses = None if hydrogen_mass_u is None else with_heavy_hydrogens(run.topology, hydrogen_mass_u)
        calculator = engine.make(run.state / "system.xml", run.topology, run.settings.timestep_fs, threads, masses)
        simulate(run, chain, calculator, UsedEngine(engine=engine.name))


def run_together(runs: list[Run], chains: list[Chain[Segment]], engine: ForceEngine, used: UsedEngine) -> None:
    """Run replicas side by side, each in a thread, with one call of the model a step for all."""
    together = Together(engine, len(runs))

    def replica(slot: int) -> None:
        try:
            simulate(runs[slot], chains[slot], together.calculator(slot), used)
        finally:
            together.leave(slot)

    with ThreadPoolExecutor(len(runs)) as pool:
        for future in [pool.submit(replica, slot) for slot in range(len(runs))]:
            future.result()


def main(argv: list[str] | None = None) -> int:
    """Parse the command line and run."""
    parser = command_line(__doc__, "--id", "--model", "--threads", "--device", "--checkpoints", "--code", "--errors")
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
    parser.add_argument("--out", type=Path, nargs="+", required=True, help="run folder to write, of each")
    args = parser.parse_args(argv)

    def work() -> None:
        task.check_device(args.device)
        each = zip(args.settings, args.state, args.out, strict=True)
        runs = [Run(RunSettings.read(settings), state, out) for settings, state, out in each]
        folder = args.checkpoints and checkpoint.folder_of(args.checkpoints)
        run_md(runs, args.model, args.threads, folder, args.code)

    reads = [*args.settings, *args.state, args.model]
    keys = [out.name for out in args.out]
    return task.run("RUN_MD", work, task_id=args.id, reads=reads, writes=args.out, errors=args.errors, keys=keys)
