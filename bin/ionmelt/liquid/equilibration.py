"""EQUILIBRATE: turn a packed box into the liquid that every model starts from.

Minimise, heat at constant volume, compress and anneal at high temperature, cool, settle, and sample at
the study's temperature and pressure. With a force field: OpenMM on CPU, bonds to hydrogen constrained,
hydrogens of 3 u. With xtb: GFN1-xTB through ASE, the same phases, all bonds free to vibrate.

Writes the state folder OUT: start.extxyz (last frame), trajectory.dcd (production, whole ions),
thermo.parquet, topology.json, topology.pdb, system.xml (not for xtb) and equilibration.json (density and
its error), and a table of one row that says whether the density has converged. With one thread, the same settings on the same machine give the same bytes.
"""

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import ase.io
import numpy as np
import openmm
import polars as pl
from ase import Atoms

from ionmelt import errors, files, task
from ionmelt.arguments import command_line
from ionmelt.dynamics.thermo import DENSITY_KG_M3
from ionmelt.errors import UserError
from ionmelt.liquid.density import estimate_density
from ionmelt.liquid.moving_box import MovingBox, OpenMMBox, Sample, XtbBox
from ionmelt.liquid.record import EquilibrationRecord
from ionmelt.liquid.schedule import Phase, schedule
from ionmelt.liquid.settings import StateSettings
from ionmelt.liquid.state_folder import write_state
from ionmelt.tables.liquid import EQUILIBRATION
from ionmelt.topology import Topology

RAMP_PARTS = 50  # in which a phase's temperature changes, at least, however seldom frames are saved
# Outside these ratios to the packed density (0.8 of the guess, or less) the box holds no liquid.
LIQUID_DENSITY_RATIOS = (0.5, 2.5)


def density_kg_m3(topology: Topology, volume_A3: float) -> float:
    """Return the density of a box."""
    return float(topology.masses_u.sum() * DENSITY_KG_M3 / volume_A3)


@dataclass(frozen=True)
class ThermoRow:
    """A row of thermo.parquet (ionmelt/dynamics/thermo.py)."""

    phase: str
    step: int
    time_ps: float
    potential_energy_ev: float
    kinetic_energy_ev: float
    temperature_K: float
    volume_A3: float
    density_kg_m3: float


def pieces(steps: int, most: int) -> list[int]:
    """Return steps in pieces, none of more than `most` (one, where that is less)."""
    most = max(most, 1)
    return [min(most, steps - done) for done in range(0, steps, most)]


@dataclass(frozen=True)
class Limits:
    """The densities (kg/m3) between which a box may be a liquid."""

    low: float
    high: float

    @classmethod
    def of_packing(cls, packed_kg_m3: float) -> "Limits":
        """Return the limits for a box that was packed at a density."""
        low, high = LIQUID_DENSITY_RATIOS
        return cls(low * packed_kg_m3, high * packed_kg_m3)

    def check(self, phase: Phase, row: ThermoRow, sample: Sample) -> None:
        """Raise `UserError` where the simulation blew up or the density left that of a liquid."""
        if not (np.isfinite(sample.potential_energy_ev) and np.isfinite(sample.positions).all()):
            raise UserError(advice(phase, ValueError("energy or positions are not finite")))
        if not self.low < row.density_kg_m3 < self.high:
            raise UserError(
                f"{phase.name}: no liquid: {row.density_kg_m3:.0f} kg/m3 after {row.time_ps:.1f} ps, "
                f"outside {self.low:.0f} to {self.high:.0f} for this packing; check density_guess_kg_m3, "
                "anneal_K, pressure_bar and force_field"
            )


def advance(box: MovingBox, phase: Phase, done: int, steps: int, total: int) -> Sample:
    """Advance a phase of `total` steps, `done` of which are behind, by some steps; its temperature goes in a line.

    Raises `UserError` where the simulation breaks.
    """
    try:
        for piece in pieces(steps, total // RAMP_PARTS if phase.start_K != phase.stop_K else steps):
            done += piece
            sample = box.advance(piece, phase.start_K + (phase.stop_K - phase.start_K) * done / total)
    except (openmm.OpenMMException, RuntimeError, ValueError) as error:
        if errors.is_resource(error):
            raise
        raise UserError(advice(phase, error)) from error
    return sample


def run_phases(
    box: MovingBox, phases: list[Phase], topology: Topology, packed_kg_m3: float, save_every_ps: float
) -> Iterator[tuple[ThermoRow, Sample]]:
    """Run the phases; yield a row of thermo.parquet and the box after each stride. Progress goes to stderr.

    Raises UserError where the simulation blows up or the density leaves that of a liquid.
    """
    limits = Limits.of_packing(packed_kg_m3)
    step, elapsed_ps = 0, 0.0
    for phase in phases:
        total = round(phase.ps * 1000 / phase.timestep_fs)
        if total == 0:
            continue
        stride = max(1, round(save_every_ps * 1000 / phase.timestep_fs))
        start = time.perf_counter()
        box.begin(phase)
        done = 0
        while done < total:
            # What is left over of a phase comes first, so that rows and frames are evenly spaced up to its end.
            steps = (total - done) % stride or stride
            sample = advance(box, phase, done, steps, total)
            done += steps
            step += steps
            elapsed_ps += steps * phase.timestep_fs / 1000
            volume = float(abs(np.linalg.det(sample.cell)))
            row = ThermoRow(
                phase.name, step, round(elapsed_ps, 6), sample.potential_energy_ev, sample.kinetic_energy_ev,
                sample.temperature_K, volume, density_kg_m3(topology, volume),
            )  # fmt: skip
            limits.check(phase, row, sample)
            yield row, sample
        ns_per_day = phase.ps / 1000 * 86400 / (time.perf_counter() - start)
        print(
            f"{phase.name}: {phase.ps:g} ps, {row.density_kg_m3:.0f} kg/m3, {sample.temperature_K:.0f} K, "
            f"{ns_per_day:.1f} ns/day",
            file=sys.stderr,
            flush=True,
        )


def advice(phase: Phase, error: Exception) -> str:
    """Return the line that tells a user what to do about a simulation that ended in an error."""
    reason = " ".join(str(error).split()) or type(error).__name__
    if "cutoff" in reason:
        return f"{phase.name}: the box shrank to twice the cut-off; lower equilibration.cutoff_A or give a larger box"
    return f"{phase.name}: the simulation broke ({reason}); lower equilibration.timestep_fs or anneal_K"


def moving_box(settings: StateSettings, folder: Path, topology: Topology, atoms: Atoms, threads: int) -> MovingBox:
    """Return the box of a folder that BUILD_LIQUID wrote, ready for its first phase."""
    if settings.force_field == "xtb":
        return XtbBox(atoms, settings.seed, threads, settings.anneal_K)
    system = openmm.XmlSerializer.deserialize((folder / "system.xml").read_text())
    return OpenMMBox(system, topology, atoms, settings.seed, threads, settings.anneal_K)


def equilibrate(settings: StateSettings, folder: Path, threads: int, out: Path) -> EquilibrationRecord:
    """Equilibrate the box of a folder, write the state folder, and return what equilibration.json says."""
    topology = Topology.load(folder / "topology.json")
    with errors.reading(folder / "box.extxyz", "extended XYZ"):
        atoms = ase.io.read(folder / "box.extxyz")
    assert isinstance(atoms, Atoms)  # one frame
    phases = schedule(settings)
    box = moving_box(settings, folder, topology, atoms, threads)
    rows, frames = [], []
    packed = density_kg_m3(topology, atoms.get_volume())
    for row, sample in run_phases(box, phases, topology, packed, settings.save_every_ps):
        rows.append(row)
        if row.phase == "production":
            frames.append(sample)
    write_state(out, folder, topology, pl.DataFrame([asdict(row) for row in rows]), frames)
    density = np.array([row.density_kg_m3 for row in rows if row.phase == "production"])
    record = EquilibrationRecord(
        id=settings.id,
        liquid=topology.liquid,
        replica=settings.replica,
        temperature_K=settings.temperature_K,
        pressure_bar=settings.pressure_bar,
        force_field=settings.force_field,
        engine=box.name,
        cutoff_A=box.cutoff_A,
        n_atoms=len(topology),
        phases_ps={phase.name: phase.ps for phase in phases},
        **asdict(estimate_density(density, settings.save_every_ps)),
    )
    (out / "equilibration.json").write_text(json.dumps(record.model_dump(mode="json"), indent=2) + "\n")
    return record


def write_row(record: EquilibrationRecord, path: Path) -> None:
    """Write what equilibration.json says as a table of one row."""
    row = record.model_dump() | {"key": record.id, "production_ps": record.phases_ps["production"]}
    files.write_table(pl.DataFrame([{name: row[name] for name in EQUILIBRATION}], schema=EQUILIBRATION), path)


def main(argv: list[str] | None = None) -> int:
    """Run the task; return its exit code."""
    parser = command_line(__doc__, "--id", "--settings", "--out", "--threads")
    parser.add_argument("--box", required=True, type=Path, help="folder that BUILD_LIQUID wrote")
    parser.add_argument(
        "--table", type=Path, help="what equilibration.json says as a table of one row (Parquet) to write"
    )
    args = parser.parse_args(argv)

    def work() -> None:
        record = equilibrate(StateSettings.read(args.settings), args.box, args.threads, args.out)
        if not record.converged:
            say = f"{args.id}: warning: not equilibrated: {record.reason}; settle_ps and production_ps make it longer"
            print(say, file=sys.stderr, flush=True)
        if args.table:
            write_row(record, args.table)

    return task.run("EQUILIBRATE", work, task_id=args.id, reads=[args.settings, args.box], writes=[args.out])
