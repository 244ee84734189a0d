"""Walk through a liquid with a committee of models, and keep the frames on which its members disagree.

The first member drives three walks from the liquid's equilibrated box: at constant pressure and temperature, at constant
volume with a rising temperature, and in a box that swings once, out and in, while the ions keep their shape. At each stop
all members are asked. Their disagreement is the largest standard deviation of the force on any atom, sqrt(<|F - <F>|^2>)
(Zhang et al., Phys. Rev. Mater. 3, 023804, 2019). A frame is worth a label where it is above a quantile of what the same
committee shows on its own validation frames, so that the threshold follows the models from round to round; where it is a
multiple of that, or a bond breaks or atoms collide, the walk stops.

Writes, under --out: KEY.extxyz (the frames worth a label, not labelled; none where there are none) and KEY.explored.parquet
(every frame that the committee was asked about, with both thresholds and how its walk ended).
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import polars as pl
from ase import Atoms, units
from ase.calculators.calculator import Calculator

from ionmelt import files, task
from ionmelt.arguments import command_line
from ionmelt.charge import say_charge
from ionmelt.dynamics import integrators
from ionmelt.dynamics.engines.choice import load_engine
from ionmelt.dynamics.engines.forces import EngineCalculator
from ionmelt.dynamics.watch import Ended, Watch, strides
from ionmelt.frame import density_kg_m3, make_frame
from ionmelt.frame_file import read_frames, write_frames
from ionmelt.frames.committee import Committee, thresholds
from ionmelt.frames.settings import WALKS, ExploreSettings
from ionmelt.models import calculators
from ionmelt.screen import say
from ionmelt.tables.frames import EXPLORATION
from ionmelt.topology import Topology

SWING_STRIDE = 10  # steps between two changes of a swinging box: each moves the ions little


def set_edges(atoms: Atoms, topology: Topology, edges: np.ndarray) -> None:
    """Give atoms a box of these edges (3,) in A, in the shape of their own; the ions' centres scale, their shapes stay."""
    old = atoms.cell.lengths()
    positions, _ = topology.scaled(topology.whole(atoms.positions, old), old, edges[0] / old[0])
    atoms.set_cell(edges)
    atoms.positions[:] = positions


def walk(
    kind: str, atoms: Atoms, topology: Topology, watch: Watch, settings: ExploreSettings, rng: np.random.Generator
) -> Iterator[tuple[float, float, Ended | None]]:
    """Yield time (ps), temperature of the bath (K) and how the walk ended, if it did, at each stop of a walk."""
    every = max(1, round(settings.every_fs / settings.timestep_fs))
    steps = round(settings.length_ps(kind) * 1000 / settings.timestep_fs)
    start_K = settings.temperature_K
    integrators.draw_velocities(atoms, start_K, rng)
    common = {"timestep_fs": settings.timestep_fs, "temperature_K": start_K, "thermostat_fs": settings.thermostat_fs}
    dynamics: Any
    if kind == "npt":
        pressure = {"pressure_bar": settings.pressure_bar, "barostat_fs": settings.barostat_fs}
        dynamics = integrators.npt(atoms, **common, **pressure, rng=rng)
    else:
        dynamics = integrators.nvt(atoms, **common, rng=rng)
    bath_K = start_K
    start_edges = atoms.cell.lengths()
    stride = SWING_STRIDE if kind == "swing" else every
    done = 0
    # The last stop is at the walk's end, be it nearer to the one before or not.
    for stop in [*range(every, steps, every), steps] if steps else ():
        ended = None
        while done < stop and ended is None:
            length = min(stride, stop - done)
            done += length
            if kind == "ramp":
                bath_K = start_K + settings.ramp_K * done / steps
                dynamics.temp = bath_K * units.kB
                dynamics.target_kinetic_energy = 0.5 * dynamics.temp * dynamics.ndof
            if kind == "swing":
                swung = 1 + settings.swing_amplitude * np.sin(2 * np.pi * done / steps)
                set_edges(atoms, topology, swung * start_edges)
            # One stride, watched at its end.
            (ended,) = [ended for _, ended in strides(dynamics, length, length, lambda _: None, watch)]
        yield done * settings.timestep_fs / 1000, bath_K, ended


@dataclass
class Explored:
    """A row of the table: a frame that the committee was asked about."""

    key: str
    round: int
    liquid: str
    temperature_K: float
    model: str
    dataset: str
    members: int
    walk: str
    time_ps: float
    bath_K: float
    density_kg_m3: float
    disagreement_ev_a: float | None
    worth_above_ev_a: float
    stop_above_ev_a: float
    offered: bool
    end: str | None
    detail: str | None


@dataclass(frozen=True)
class Exploration:
    """A committee that walks through a liquid: the first member drives, all are asked; thresholds in eV/A."""

    settings: ExploreSettings
    topology: Topology
    start: Atoms
    committee: Committee
    driver: Calculator
    worth_above: float
    stop_above: float

    def stops(self, kind: str) -> Iterator[tuple[Explored, Atoms]]:
        """Yield the row of each stop of a walk, and the box then."""
        settings, atoms = self.settings, self.start.copy()
        atoms.calc = self.driver
        self.driver.reset()
        hottest = settings.temperature_K + (settings.ramp_K if kind == "ramp" else 0)
        watch = Watch(atoms, self.topology.bonds, self.topology.molecule, hottest)
        rng = np.random.default_rng([settings.seed, settings.round, WALKS.index(kind)])
        for time_ps, bath_K, ended in walk(kind, atoms, self.topology, watch, settings, rng):
            disagreement = float("nan") if ended else self.committee.disagreement(atoms)
            if ended is None and not disagreement <= self.stop_above:  # not a number either
                ended = Ended("disagreement", f"{disagreement:.3f} eV/A, the limit is {self.stop_above:.3f} eV/A")
            row = Explored(
                key=settings.id, round=settings.round, liquid=settings.liquid, temperature_K=settings.temperature_K,
                model=settings.model, dataset=settings.dataset, members=len(self.committee.members), walk=kind,
                time_ps=time_ps, bath_K=bath_K, density_kg_m3=density_kg_m3(atoms),
                disagreement_ev_a=disagreement if np.isfinite(disagreement) else None,
                worth_above_ev_a=self.worth_above, stop_above_ev_a=self.stop_above,
                offered=ended is None and disagreement > self.worth_above,
                end=ended.end if ended else None, detail=ended.detail if ended else None,
            )  # fmt: skip
            yield row, atoms
            if ended:
                return

    def frame(self, row: Explored, atoms: Atoms) -> Atoms:
        """Return the frame of a stop, to be labelled."""
        topology, cell, settings = self.topology, atoms.cell.array, self.settings
        return make_frame(
            atoms.numbers, topology.wrapped(atoms.positions, cell), cell, topology.molecule, topology.ion,
            liquid=settings.liquid, kind="active", recipe=f"active_{row.walk}",
            group=f"{settings.id}-round{settings.round}-{row.walk}",
            disagreement_ev_a=round(row.disagreement_ev_a or 0.0, 6), temperature_K=round(row.bath_K, 3),
        )  # fmt: skip


def explore(
    settings: ExploreSettings, state: Path, committee: Committee, driver: Calculator, valid: Sequence[Atoms]
) -> tuple[list[Atoms], pl.DataFrame]:
    """Return the frames worth a label and the table of all that the committee was asked about."""
    start = read_start(state)
    low, high = thresholds(committee, valid, settings.quantile, settings.stop_factor)
    say(f"{settings.id}: worth a label above {low:.3f} eV/A, stop above {high:.3f}")
    exploration = Exploration(settings, Topology.load(state / "topology.json"), start, committee, driver, low, high)
    frames: list[Atoms] = []
    rows: list[Explored] = []
    for kind in WALKS:
        stops = 0
        for row, atoms in exploration.stops(kind) if settings.length_ps(kind) else ():
            stops += 1
            rows.append(row)
            if row.offered:
                frames.append(exploration.frame(row, atoms))
        if stops:
            rows[-1].end = rows[-1].end or "completed"
            say(f"{settings.id} {kind}: {rows[-1].time_ps:g} ps, {rows[-1].end}, {len(frames)} frames so far")
    return frames, pl.DataFrame([asdict(row) for row in rows], schema=EXPLORATION)


def read_start(state: Path) -> Atoms:
    """Return the frame of a state folder that runs start from."""
    start = ase.io.read(state / "start.extxyz")
    assert isinstance(start, Atoms)  # one frame
    say_charge(start)
    return start


def main(argv: list[str] | None = None) -> int:
    """Run the command line."""
    parser = command_line(__doc__, "--id", "--settings", "--out", "--threads", "--device")
    parser.add_argument("--state", required=True, type=Path, help="folder of the equilibrated liquid")
    parser.add_argument("--models", required=True, type=Path, nargs="+", help="model folders of the committee")
    parser.add_argument("--valid", required=True, type=Path, help="validation frames of the committee's dataset")
    args = parser.parse_args(argv)

    def work() -> None:
        task.check_device(args.device)
        settings = ExploreSettings.read(args.settings)
        read = read_frames(args.valid, labelled=True)
        valid = [frame for frame in read if frame.info["liquid"] == settings.liquid] or read
        models = sorted(args.models, key=lambda folder: folder.name)
        committee = Committee([calculators.load_calculator(m, args.state, args.threads) for m in models])
        engine, _ = load_engine(models[0], args.state, args.threads, read_start(args.state), settings.engine)
        driver = engine if isinstance(engine, Calculator) else EngineCalculator(engine)
        frames, table = explore(settings, args.state, committee, driver, valid)
        args.out.mkdir(parents=True, exist_ok=True)
        if frames:
            write_frames(args.out / f"{args.id}.extxyz", frames)
        files.write_table(table, args.out / f"{args.id}.explored.parquet")

    reads = [args.settings, args.state, *args.models, args.valid]
    return task.run("EXPLORE_LIQUID", work, task_id=args.id, reads=reads)
