"""EQUILIBRATE: turn a packed box into the liquid that every model starts from.

Minimise, heat at constant volume, compress and anneal at high temperature, cool, settle, and sample at
the study's temperature and pressure. With a force field: OpenMM on CPU, bonds to hydrogen constrained,
hydrogens of 3 u. With xtb: GFN1-xTB through ASE, the same phases, all bonds free to vibrate.

Writes the state folder OUT: start.extxyz (last frame), trajectory.dcd (production, whole ions),
thermo.parquet, topology.json, topology.pdb, system.xml (not for xtb) and equilibration.json (density and
its error), and a table of one row that says whether the density has converged. With one thread, the same settings on the same machine give the same bytes.
"""

import json
import logging
import os
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import ase.io
import numpy as np
import openmm
import polars as pl
from ase import Atoms, units
from ase.optimize import FIRE
from mdtraj.formats import DCDTrajectoryFile
from openmm import unit

from ionmelt import errors, files, task
from ionmelt.arguments import command_line
from ionmelt.dynamics import integrators, thermo
from ionmelt.dynamics.integrators import BAROSTAT_STEPS
from ionmelt.liquid.forcefield import constrain_hydrogens
from ionmelt.tables.liquid import EQUILIBRATION
from ionmelt.topology import Topology

COMPRESSION_BAR = 500.0  # closes the voids that packing leaves
COMPRESSION_FRACTION = 1 / 6  # of the anneal
FIXED_VOLUME_PS = 2.0
FIXED_VOLUME_TIMESTEP_FS = 1.0  # packed contacts are still hot
FRICTION_PS = 1.0
RAMP_PARTS = 50  # in which a phase's temperature changes, at least, however seldom frames are saved
XTB_MINIMISE_STEPS = 50
XTB_THERMOSTAT_FS, XTB_BAROSTAT_FS = 100.0, 500.0
# Outside these ratios to the packed density (0.8 of the guess, or less) the box holds no liquid.
LIQUID_DENSITY_RATIOS = (0.5, 2.5)
MIN_SAMPLES = 10
EV_KJ_MOL = units.mol / units.kJ  # eV in kJ/mol


@dataclass(frozen=True)
class Phase:
    """One stretch of the protocol: the temperature goes in a line; no pressure means constant volume."""

    name: str
    ps: float
    start_K: float
    stop_K: float
    pressure_bar: float | None
    timestep_fs: float


def schedule(settings: dict[str, Any]) -> list[Phase]:
    """Return the phases for the settings of states/KEY.json."""
    hot, target = settings["anneal_K"], settings["temperature_K"]
    pressure, timestep = settings["pressure_bar"], settings["timestep_fs"]
    anneal = settings["anneal_ps"]
    first = min(FIXED_VOLUME_PS, 0.2 * anneal)
    squeeze = COMPRESSION_FRACTION * anneal
    return [
        Phase("heat", first, hot, hot, None, min(FIXED_VOLUME_TIMESTEP_FS, timestep)),
        Phase("compress", squeeze, hot, hot, max(COMPRESSION_BAR, pressure), timestep),
        Phase("anneal", anneal - first - squeeze, hot, hot, pressure, timestep),
        Phase("cool", settings["cool_ps"], hot, target, pressure, timestep),
        Phase("settle", settings["settle_ps"], target, target, pressure, timestep),
        Phase("production", settings["production_ps"], target, target, pressure, timestep),
    ]


@dataclass(frozen=True)
class Sample:
    """The box at one moment: whole or unwrapped positions (N, 3) and cell (3, 3) in A, energies in eV."""

    positions: np.ndarray
    cell: np.ndarray
    potential_energy_ev: float
    kinetic_energy_ev: float
    temperature_K: float


class Engine(Protocol):
    """What advances the box: `begin` a phase, then `advance` it in strides."""

    name: str
    cutoff_A: float | None

    def begin(self, phase: Phase) -> None:
        """Set pressure and time step of a phase."""

    def advance(self, steps: int, temperature_K: float) -> Sample:
        """Go on for a number of steps at a temperature; return the box then."""


class OpenMMEngine:
    """A force field in OpenMM's CPU platform, bit by bit reproducible with one thread.

    With two, its non-bonded forces differ in their last bits from call to call in spite of
    `DeterministicForces` (seen in 8.6.1).
    """

    def __init__(
        self, system: openmm.System, topology: Topology, atoms: Atoms, seed: int, threads: int, hot_K: float
    ) -> None:
        self.name = f"OpenMM {openmm.version.short_version} CPU"
        cutoffs = [f.getCutoffDistance() for f in system.getForces() if isinstance(f, openmm.NonbondedForce)]
        self.cutoff_A = round(cutoffs[0].value_in_unit(unit.angstrom), 6) if cutoffs else None
        constrain_hydrogens(system, topology)
        self.degrees_of_freedom = 3 * len(topology) - system.getNumConstraints()
        self.barostat = openmm.MonteCarloBarostat(1.0 * unit.bar, hot_K * unit.kelvin, 0)
        self.barostat.setRandomNumberSeed(_seed(seed, 1))
        system.addForce(self.barostat)
        self.integrator = openmm.LangevinMiddleIntegrator(hot_K, FRICTION_PS, 0.001)
        self.integrator.setRandomNumberSeed(_seed(seed, 2))
        self.integrator.setConstraintTolerance(1e-6)
        os.environ["OPENMM_CPU_THREADS"] = str(threads)  # the reciprocal space asks this, not "Threads"
        platform = openmm.Platform.getPlatformByName("CPU")
        properties = {"Threads": str(threads), "DeterministicForces": "true"}
        self.context = openmm.Context(system, self.integrator, platform, properties)
        self.context.setPeriodicBoxVectors(*(openmm.Vec3(*row) for row in np.asarray(atoms.cell) / 10))
        self.context.setPositions(atoms.positions / 10)
        self.context.applyConstraints(1e-6)
        openmm.LocalEnergyMinimizer.minimize(self.context, 10.0, 1000)
        self.context.setVelocitiesToTemperature(hot_K, _seed(seed, 3))

    def begin(self, phase: Phase) -> None:
        """Set pressure and time step; the first constant-pressure phase starts the barostat."""
        self.integrator.setStepSize(phase.timestep_fs / 1000)
        if phase.pressure_bar is None:
            return
        if self.barostat.getFrequency() == 0:
            state = self.context.getState(positions=True, velocities=True)
            self.barostat.setFrequency(BAROSTAT_STEPS)
            self.context.reinitialize()
            self.context.setState(state)
        self.context.setParameter(openmm.MonteCarloBarostat.Pressure(), phase.pressure_bar)

    def advance(self, steps: int, temperature_K: float) -> Sample:
        """Go on for a number of steps at a temperature; return the box then."""
        self.integrator.setTemperature(temperature_K)
        self.context.setParameter(openmm.MonteCarloBarostat.Temperature(), temperature_K)
        self.integrator.step(steps)
        state = self.context.getState(positions=True, energy=True)
        kinetic = state.getKineticEnergy().value_in_unit(unit.kilojoule_per_mole) / EV_KJ_MOL
        return Sample(
            positions=state.getPositions(asNumpy=True).value_in_unit(unit.angstrom),
            cell=state.getPeriodicBoxVectors(asNumpy=True).value_in_unit(unit.angstrom),
            potential_energy_ev=state.getPotentialEnergy().value_in_unit(unit.kilojoule_per_mole) / EV_KJ_MOL,
            kinetic_energy_ev=kinetic,
            temperature_K=2 * kinetic / (self.degrees_of_freedom * units.kB),
        )


class XtbEngine:
    """GFN1-xTB (tblite) with the dynamics that the models' runs use."""

    def __init__(self, atoms: Atoms, seed: int, threads: int, hot_K: float) -> None:
        os.environ["OMP_NUM_THREADS"] = str(threads)  # read when tblite is loaded
        from tblite.ase import TBLite

        self.name = "tblite GFN1-xTB"
        self.cutoff_A: float | None = None
        self.atoms = atoms.copy()
        self.atoms.calc = TBLite(method="GFN1-xTB", verbosity=0)
        self.rng = np.random.default_rng(seed)
        FIRE(self.atoms, logfile=None).run(fmax=0.5, steps=XTB_MINIMISE_STEPS)
        integrators.draw_velocities(self.atoms, hot_K, self.rng)

    def begin(self, phase: Phase) -> None:
        """Start the dynamics of a phase, with the momenta that the last one left."""
        common: dict[str, Any] = {
            "timestep_fs": phase.timestep_fs, "temperature_K": phase.start_K, "thermostat_fs": XTB_THERMOSTAT_FS,
            "rng": self.rng,
        }  # fmt: skip
        if phase.pressure_bar is None:
            self.dynamics: integrators.LangevinBAOAB | integrators.Bussi = integrators.nvt(self.atoms, **common)
        else:
            self.dynamics = integrators.npt(
                self.atoms, barostat_fs=XTB_BAROSTAT_FS, pressure_bar=phase.pressure_bar, **common
            )
        self.fixed_volume = phase.pressure_bar is None

    def advance(self, steps: int, temperature_K: float) -> Sample:
        """Go on for a number of steps at a temperature; return the box then."""
        if not self.fixed_volume:
            self.dynamics.set_temperature(temperature_K)  # type: ignore[union-attr]
        self.dynamics.run(steps)
        return Sample(
            positions=self.atoms.positions.copy(),
            cell=np.array(self.atoms.cell),
            potential_energy_ev=float(self.atoms.get_potential_energy()),
            kinetic_energy_ev=float(self.atoms.get_kinetic_energy()),
            temperature_K=thermo.mean_kinetic_temperature(self.atoms, 3 * len(self.atoms) - 3 * self.fixed_volume),
        )


def _seed(seed: int, stream: int) -> int:
    """Return an OpenMM seed (positive, 31 bits: 0 means a random one) for one of several uses."""
    return int(np.random.SeedSequence([seed, stream]).generate_state(1)[0] % (2**31 - 1)) + 1


def density_kg_m3(topology: Topology, volume_A3: float) -> float:
    """Return the density of a box."""
    return float(topology.masses_u.sum() * thermo.DENSITY_KG_M3 / volume_A3)


def parts(steps: int, most: int) -> list[int]:
    """Return steps in parts, none of more than `most` (one, where that is less)."""
    most = max(most, 1)
    return [min(most, steps - done) for done in range(0, steps, most)]


def run_phases(
    engine: Engine, phases: list[Phase], topology: Topology, packed_kg_m3: float, save_every_ps: float
) -> Iterator[tuple[dict[str, Any], Sample]]:
    """Run the phases; yield a row of thermo.parquet and the box after each stride. Progress goes to stderr.

    Raises UserError where the simulation blows up or the density leaves that of a liquid.
    """
    low, high = (ratio * packed_kg_m3 for ratio in LIQUID_DENSITY_RATIOS)
    step, elapsed_ps = 0, 0.0
    for phase in phases:
        total = round(phase.ps * 1000 / phase.timestep_fs)
        if total == 0:
            continue
        stride = max(1, round(save_every_ps * 1000 / phase.timestep_fs))
        start = time.perf_counter()
        engine.begin(phase)
        done = 0
        while done < total:
            # What is left over of a phase comes first, so that rows and frames are evenly spaced up to its end.
            steps = (total - done) % stride or stride
            try:
                for part in parts(steps, total // RAMP_PARTS if phase.start_K != phase.stop_K else steps):
                    done += part
                    temperature = phase.start_K + (phase.stop_K - phase.start_K) * done / total
                    sample = engine.advance(part, temperature)
            except (openmm.OpenMMException, RuntimeError, ValueError) as error:
                if errors.is_resource(error):
                    raise
                raise errors.UserError(_advice(phase, error)) from error
            step += steps
            elapsed_ps += steps * phase.timestep_fs / 1000
            volume = float(abs(np.linalg.det(sample.cell)))
            density = density_kg_m3(topology, volume)
            if not (np.isfinite(sample.potential_energy_ev) and np.isfinite(sample.positions).all()):
                raise errors.UserError(_advice(phase, ValueError("energy or positions are not finite")))
            if not low < density < high:
                raise errors.UserError(
                    f"{phase.name}: no liquid: {density:.0f} kg/m3 after {elapsed_ps:.1f} ps, "
                    f"outside {low:.0f} to {high:.0f} for this packing; check density_guess_kg_m3, "
                    "anneal_K, pressure_bar and force_field"
                )
            yield (
                {
                    "phase": phase.name,
                    "step": step,
                    "time_ps": round(elapsed_ps, 6),
                    "potential_energy_ev": sample.potential_energy_ev,
                    "kinetic_energy_ev": sample.kinetic_energy_ev,
                    "temperature_K": sample.temperature_K,
                    "pressure_bar": None,
                    "volume_A3": volume,
                    "density_kg_m3": density,
                },
                sample,
            )
        ns_per_day = phase.ps / 1000 * 86400 / (time.perf_counter() - start)
        print(
            f"{phase.name}: {phase.ps:g} ps, {density:.0f} kg/m3, {sample.temperature_K:.0f} K, "
            f"{ns_per_day:.1f} ns/day",
            file=sys.stderr,
            flush=True,
        )


def _advice(phase: Phase, error: Exception) -> str:
    """Return the line that tells a user what to do about a simulation that ended in an error."""
    reason = " ".join(str(error).split()) or type(error).__name__
    if "cutoff" in reason:
        remedy = "lower equilibration.cutoff_A or use more ions"
        return f"{phase.name}: the box shrank to twice the cut-off; {remedy}"
    return f"{phase.name}: the simulation broke ({reason}); lower equilibration.timestep_fs or anneal_K"


def summarise(density: np.ndarray, save_every_ps: float) -> dict[str, Any]:
    """Return the mean density with its standard error from the autocorrelation of its samples.

    The statistical inefficiency is that of Chodera et al., J. Chem. Theory Comput. 3, 26 (2007), by pymbar.
    `converged` asks for 10 effective samples and halves that agree within three standard errors of their
    difference; it is one run's view, and says nothing of what another start would give.
    """
    logging.getLogger("pymbar").setLevel(logging.ERROR)  # it greets at length when loaded
    from pymbar import timeseries

    mean = float(density.mean())
    result: dict[str, Any] = {"density_kg_m3": mean, "samples": len(density)}
    if len(density) < MIN_SAMPLES or np.ptp(density) == 0:
        unknown = ("standard_error_kg_m3", "n_effective", "correlation_time_ps", "drift_kg_m3")
        reason = f"fewer than {MIN_SAMPLES} production samples, or all equal"
        return {**result, **dict.fromkeys(unknown), "converged": False, "reason": reason}
    inefficiency = float(timeseries.statistical_inefficiency(density))
    effective = len(density) / inefficiency
    error = float(density.std(ddof=1) / np.sqrt(effective))
    half = len(density) // 2
    drift = float(density[-half:].mean() - density[:half].mean())
    reasons = []
    if effective < MIN_SAMPLES:
        reasons.append(f"{effective:.1f} effective samples, {MIN_SAMPLES} wanted")
    if abs(drift) > 3 * 2 * error:  # each half has half the samples, so their difference has twice the error
        reasons.append(f"the halves of the production differ by {drift:+.1f} kg/m3")
    return {
        **result,
        "standard_error_kg_m3": error,
        "n_effective": effective,
        "correlation_time_ps": (inefficiency - 1) / 2 * save_every_ps,
        "drift_kg_m3": drift,
        "converged": not reasons,
        "reason": "; ".join(reasons) or None,
    }


def write_state(out: Path, box: Path, topology: Topology, rows: list[dict[str, Any]], frames: list[Sample]) -> None:
    """Write every file of the state folder but equilibration.json."""
    out.mkdir(parents=True, exist_ok=True)
    for name in ("topology.json", "system.xml"):
        if (box / name).exists():
            shutil.copyfile(box / name, out / name)
    files.write_table(pl.DataFrame(rows, schema=thermo.THERMO), out / "thermo.parquet")
    cells = np.array([frame.cell for frame in frames])
    positions = topology.wrapped(np.array([frame.positions for frame in frames]), cells)
    lengths = np.linalg.norm(cells, axis=2)
    write_dcd(out / "trajectory.dcd", positions, lengths)
    (out / "topology.pdb").write_text(topology.pdb(positions[-1], cells[-1]))
    edges = np.round(lengths[-1], 6)
    atoms = Atoms(topology.elements, positions=np.round(positions[-1], 6), cell=edges, pbc=True)
    atoms.arrays["molecule"] = topology.molecule.copy()
    atoms.arrays["ion"] = topology.ion.copy()
    atoms.info["liquid"] = topology.liquid
    ase.io.write(out / "start.extxyz", atoms, format="extxyz")


def write_dcd(path: Path, positions: np.ndarray, edges: np.ndarray) -> None:
    """Write a DCD of positions (F, N, 3) and orthorhombic edges (F, 3) in A, without the date of writing."""
    with DCDTrajectoryFile(str(path), "w", force_overwrite=True) as file:
        angles_deg = np.full(edges.shape, 90, dtype=np.float32)
        try:
            file.write(positions.astype(np.float32), edges.astype(np.float32), angles_deg)
        except TypeError as error:  # what becomes of mdtraj's own error where the disk takes no more
            raise errors.DiskFullError(f"{path} cannot be written") from error
    with path.open("r+b") as file:
        file.seek(180)  # the second title line of the header, 80 characters
        file.write(b" " * 80)


def main(argv: list[str] | None = None) -> int:
    """Run the task; return its exit code."""
    parser = command_line(__doc__, "--id", "--settings", "--out", "--threads")
    parser.add_argument("--box", required=True, type=Path, help="folder that BUILD_LIQUID wrote")
    parser.add_argument(
        "--table", type=Path, help="what equilibration.json says as a table of one row (Parquet) to write"
    )
    args = parser.parse_args(argv)

    def work() -> None:
        settings = files.read_json(args.settings)
        topology = Topology.load(args.box / "topology.json")
        with errors.reading(args.box / "box.extxyz", "extended XYZ"):
            atoms: Any = ase.io.read(args.box / "box.extxyz")
        phases = schedule(settings)
        seed, hot = settings["seed"], settings["anneal_K"]
        engine: Engine
        save_every_ps = settings["save_every_ps"]
        if settings["force_field"] == "xtb":
            engine = XtbEngine(atoms, seed, args.threads, hot)
        else:
            system = openmm.XmlSerializer.deserialize((args.box / "system.xml").read_text())
            engine = OpenMMEngine(system, topology, atoms, seed, args.threads, hot)
        rows, frames = [], []
        packed = density_kg_m3(topology, atoms.get_volume())
        for row, sample in run_phases(engine, phases, topology, packed, save_every_ps):
            rows.append(row)
            if row["phase"] == "production":
                frames.append(sample)
        write_state(args.out, args.box, topology, rows, frames)
        density = np.array([row["density_kg_m3"] for row in rows if row["phase"] == "production"])
        record = {
            "id": args.id,
            "liquid": topology.liquid,
            "replica": settings["replica"],
            "temperature_K": settings["temperature_K"],
            "pressure_bar": settings["pressure_bar"],
            "force_field": settings["force_field"],
            "engine": engine.name,
            "cutoff_A": engine.cutoff_A,
            "n_atoms": len(topology),
            "phases_ps": {phase.name: phase.ps for phase in phases},
            **summarise(density, save_every_ps),
        }
        (args.out / "equilibration.json").write_text(json.dumps(record, indent=2) + "\n")
        if not record["converged"]:
            say = (
                f"{args.id}: warning: not equilibrated: {record['reason']}; settle_ps and production_ps make it longer"
            )
            print(say, file=sys.stderr, flush=True)
        if args.table:
            row = record | {"key": args.id, "replica": settings["replica"], "production_ps": phases[-1].ps}
            files.write_table(
                pl.DataFrame([{name: row[name] for name in EQUILIBRATION}], schema=EQUILIBRATION), args.table
            )

    return task.run("EQUILIBRATE", work, task_id=args.id, reads=[args.settings, args.box], writes=[args.out])
