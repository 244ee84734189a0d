#!/usr/bin/env python3
"""Molecular dynamics of 16 PYR14BF4 pairs (560 atoms): steps a second against the plain ASE calculators, and against LAMMPS.

Trains a MACE (32x0e+32x1o, 4.5 A) and a DeePMD model (se_e2_a, 6 A, default widths) briefly on GFN1-xTB labels of two pairs,
then runs the same NPT integrator with the plain calculator as its manual shows it (both in double
precision, which is their default, DeePMD's uncompressed; no environment variables) and with the engine that RUN_MD takes, each in a process of its own.
LAMMPS runs the DeePMD model that a user is given, compressed and in single precision, by the input that EXPORT_MODEL lays beside it and the
`lmp` of `deepmd-kit[lmp]`: a rank of one thread for each core.
  cpu, device                 kind and number of the cores that there are; cpu or cuda
  mace_engine, deepmd_engine  the engine that RUN_MD took
  mace_ratio, deepmd_ratio    steps a second of the engine / of the plain calculator: the median of --repeats pairs of runs
  mace_ratio_range, deepmd_ratio_range
                              the smallest and the largest of them
  mace_atom_steps_s, deepmd_atom_steps_s
                              of the engine
  deepmd_lammps_ratio, deepmd_lammps_ratio_1_core
                              steps a second of the engine / of LAMMPS, on --threads cores and on one; also with _range
  deepmd_lammps_force_difference_ev_a
                              the largest between LAMMPS and the engine, on the first frame
  mace_force_differences_ev_a, deepmd_force_differences_ev_a
                              the largest of the engine to its plain calculator (MACE: double precision; DeePMD: the same compressed
                              model), for each of five frames of the liquid: its first, with all lengths multiplied by what stands there
  mace_probe_force_difference_ev_a, deepmd_probe_force_difference_ev_a
                              what RUN_MD's own probe saw on the first frame when it chose the engine
  mace_largest_force_ev_a, deepmd_largest_force_ev_a
                              the largest component of a force on these frames, by the plain calculator
  max_force_difference_ev_a   the largest of all these differences of either engine
  density_difference_kg_m3    the largest mean difference in pressure over those frames / the bulk modulus of RUN_MD x density:
                              what the engine shifts the density by
  density_difference_zero     whether that is below 0.1 kg/m3, a hundredth of the error of a good run
  mace_drift_ev_atom_ps, deepmd_drift_ev_atom_ps
                              [plain, engine]: drift of the total energy without thermostat, 0.25 fs, two pairs
Work is kept in --work, and what is there is not made again. --smallest shows in a minute or two that all of it runs: two pairs and tiny
models, of which no figure means anything.
"""
# environment: analysis

import argparse
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

TOP = Path(__file__).resolve().parents[1]
BIN = TOP / "bin"
STUDY = """
name: mdbench
liquids:
  - {id: pyr14bf4, ions: {pyr14: $pairs, bf4: $pairs}, temperatures_K: [430], density_guess_kg_m3: 1000}
  - {id: pair, ions: {pyr14: 2, bf4: 2}, temperatures_K: [430], density_guess_kg_m3: 1000}
equilibration:
  {timestep_fs: 4, anneal_K: 600, anneal_ps: $anneal_ps, cool_ps: $cool_ps, settle_ps: $settle_ps, production_ps: $production_ps,
   save_every_ps: 0.5}
sampling:
  eq: {frames: $eq}
  neq:
    volume_scan: {frames: $scan, scale_min: 0.94, scale_max: 1.12}
    oscillation: {frames: $swing, length_ps: $swing_ps, period_ps: $period_ps, temperature_amplitude_K: 150, box_amplitude: 0.06}
    rattle: {frames: $rattle, sigma_A: 0.04}
labels: {engine: xtb, method: GFN1-xTB, chunk: 100}
datasets: {both: [eq, neq]}
models:
  - {id: mace, framework: mace, channels: $channels, max_L: $max_L, r_max_A: 4.5, correlation: $correlation, max_ell: 3,
     epochs: $epochs, batch_size: 1, learning_rate: 0.01, energy_weight: 1000, stress_weight: 100000}
  - {id: dpmd, framework: deepmd, rcut_A: 6.0, rcut_smth_A: 0.5, neurons: $neurons, fitting_neurons: $fitting, axis_neurons: $axis,
     steps: $steps, learning_rate: 0.005}
md: {timestep_fs: 0.5, npt_ps: 1, nvt_ps: 1, save_every_fs: 10}
budget_core_hours: 100
"""
WHOLE = {
    "pairs": 16, "anneal_ps": 40, "cool_ps": 20, "settle_ps": 10, "production_ps": 60, "eq": 36, "scan": 8, "swing": 16, "swing_ps": 10,
    "period_ps": 5, "rattle": 12, "channels": 32, "max_L": 1, "correlation": 3, "epochs": 4, "neurons": [25, 50, 100],
    "fitting": [240, 240, 240], "axis": 16, "steps": 600,
}  # fmt: skip
SMALLEST = {
    "pairs": 2, "anneal_ps": 2, "cool_ps": 1, "settle_ps": 1, "production_ps": 6, "eq": 8, "scan": 3, "swing": 2, "swing_ps": 1,
    "period_ps": 0.5, "rattle": 3, "channels": 4, "max_L": 0, "correlation": 2, "epochs": 1, "neurons": [4, 8],
    "fitting": [16, 16], "axis": 4, "steps": 20,
}  # fmt: skip
KEYS = {"mace": "mace-both-s1", "deepmd": "dpmd-both-s1"}
STATE = {"liquid": "pyr14bf4-430K-r1", "pair": "pair-430K-r1"}
SCALES = (0.97, 0.99, 1.0, 1.01, 1.03)  # of the cell's edges
FIRST = SCALES.index(1.0)
# In an input of LAMMPS before its run: the forces of the first frame, in full
FIRST_FORCES = """\
dump forces all custom 1 forces.dump id type fx fy fz
dump_modify forces sort id format float %.10g
run 0
undump forces
"""
LOOP = re.compile(r"Loop time of (\S+) on \d+ procs for (\d+) steps with (\d+) atoms")


def environment(name: str, threads: int, tuned: bool = True) -> dict[str, str]:
    """Return the variables of an environment of the project, with those of conf/resources.config when tuned."""
    command = [TOP / "containers" / "environment", name]
    folder = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    env = {key: value for key, value in os.environ.items() if not key.startswith(("MALLOC_", "GLIBC_", "OMP_", "MKL_"))}
    env |= {"PATH": f"{folder}/bin:{os.environ['PATH']}", "PYTHONPATH": str(BIN), "OMP_NUM_THREADS": str(threads)}
    if tuned:
        env |= {"MALLOC_MMAP_THRESHOLD_": "1073741824", "MALLOC_TRIM_THRESHOLD_": "1073741824"}
        env |= {"MALLOC_TOP_PAD_": "67108864", "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
    return env


def execute(env: dict[str, str], folder: Path, *command: Any) -> str:
    """Run a program to its end in a folder and return what it printed."""
    done = subprocess.run([*map(str, command)], env=env, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command[:3]))} failed:\n{(done.stdout + done.stderr)[-3000:]}")
    return done.stdout


def call(env: dict[str, str], work: Path, *command: Any) -> str:
    """Run a script to its end in the work folder and return what it printed."""
    return execute(env, work, "python", *command)


def prepare(work: Path, size: dict[str, Any]) -> None:
    """Build, melt, label and train: what the pipeline does, one script after another."""
    work.mkdir(parents=True, exist_ok=True)
    analysis, dft = environment("analysis", 1), environment("dft", 1)
    if not (work / "plan").exists():
        (work / "study.yaml").write_text(Template(STUDY).substitute(size))
        call(analysis, work, BIN / "plan_study.py", "--study", "study.yaml", "--assets", TOP / "assets")
    for liquid in ("pyr14bf4", "pair"):
        box, state = f"{liquid}-r1", f"{liquid}-430K-r1"
        if not (work / box / "topology.json").exists():
            options = ["--settings", f"plan/boxes/{box}.json", "--assets", TOP / "assets", "--out", box]
            call(analysis, work, BIN / "build_liquid.py", "--id", box, *options)
        if not (work / state / "equilibration.json").exists():
            options = ["--settings", f"plan/states/{state}.json", "--box", box, "--out", state]
            call(analysis, work, BIN / "equilibrate.py", "--id", state, *options)
    if not list(work.glob("*.labels.parquet")):
        options = ["--settings", "plan/samples/pair.json", "--states", STATE["pair"], "--out", "chunks"]
        call(analysis, work, BIN / "sample_frames.py", "--id", "pair", *options, "--counts", "pair.sampling.parquet")
        for chunk in sorted((work / "chunks").glob("*.extxyz")):
            options = ["--settings", "plan/labels.json", "--frames", chunk, "--threads", 1, "--out", chunk.stem]
            call(dft, work, BIN / "label_frames.py", "--id", chunk.stem, *options)
    if not (work / "dataset" / "dataset.json").exists():
        frames, labels = (sorted(work.glob(pattern)) for pattern in ("*.labelled.extxyz", "*.labels.parquet"))
        options = ["--settings", "plan/dataset.json", "--frames", *frames, "--labels", *labels, "--out", "dataset"]
        call(analysis, work, BIN / "split_dataset.py", "--id", "dataset", *options)
    for framework, key in KEYS.items():
        if not (work / key / "model.json").exists():
            scratch = work / f"train-{framework}"
            scratch.mkdir(exist_ok=True)
            data = work / "dataset" / "datasets" / "both"
            options = ["--settings", work / f"plan/models/{key}.json", "--dataset", data]
            options += ["--summary", data / "dataset.json", "--threads", 2, "--out", work / key]
            call(environment(framework, 2), scratch, BIN / "train_model.py", "--id", key, *options)
    documented_deepmd(work)


def documented_deepmd(work: Path) -> None:
    """Freeze the DeePMD model once more in DeePMD's default precision, which is double, and uncompressed.

    It starts from the trained weights, and takes one step too small to matter.
    """
    target = work / "documented.pth"
    if target.exists():
        return
    folder = work / "train-deepmd" / "documented"
    folder.mkdir(exist_ok=True)
    given = json.loads((work / "train-deepmd" / "training" / "input.json").read_text())
    for network in ("descriptor", "fitting_net"):
        given["model"][network].pop("precision", None)
    given["learning_rate"] |= {"start_lr": 1e-12, "stop_lr": 1e-13}
    given["training"] |= {"numb_steps": 1, "save_ckpt": "model.ckpt", "disp_file": "lcurve.out"}
    (folder / "input.json").write_text(json.dumps(given))
    trained = work / KEYS["deepmd"] / "model.pt"
    tool = ["-c", "import sys; from deepmd.main import main; main(sys.argv[1:])", "--pt"]
    env = environment("deepmd", 2)
    call(env, folder, *tool, "train", "input.json", "--init-model", trained, "--skip-neighbor-stat")
    call(env, folder, *tool, "freeze", "-c", "model.ckpt.pt", "-o", target)


def energy_drift(atoms: Any) -> float:
    """Return the drift of the energy (eV an atom a ps) in 50 fs of constant energy from 430 K."""
    from ase import units
    from ase.md.verlet import VelocityVerlet

    from ionmelt.dynamics import integrators

    integrators.draw_velocities(atoms, 430, np.random.default_rng(2))
    dynamics, energies = VelocityVerlet(atoms, 0.25 * units.fs), []
    for _ in range(100):
        dynamics.run(2)
        energies.append(atoms.get_total_energy() / len(atoms))
    return float(np.polyfit(0.0005 * np.arange(100), energies, 1)[0])


def measure(framework: str, wanted: str, work: Path, threads: int, seconds: float, speed_alone: bool) -> dict[str, Any]:
    """Return speed, forces, pressures and drift with one engine; ``documented`` is the plain calculator of the manual."""
    import ase.io
    import torch

    from ionmelt.dynamics import integrators
    from ionmelt.dynamics.engines.choice import load_engine
    from ionmelt.dynamics.engines.forces import EngineCalculator
    from ionmelt.models import device

    model = work / KEYS[framework]
    probed: list[float | None] = []

    def calculator(atoms: Any, exact: bool = False) -> Any:
        if wanted != "documented":
            engine, probes = load_engine(model, work / STATE["liquid"], threads, atoms, wanted)
            probed.extend(probe.max_force_difference_ev_a for probe in probes if probe.engine == engine.name)
            return EngineCalculator(engine)
        if framework == "mace":
            from mace.calculators import MACECalculator

            return MACECalculator(str(model / "model.pt"), default_dtype="float64")
        from deepmd.calculator import DP

        return DP(model=str(model / "model.pth" if exact else work / "documented.pth"))

    torch.set_num_threads(threads)
    atoms, pair = (ase.io.read(work / STATE[name] / "start.extxyz") for name in ("liquid", "pair"))
    atoms.calc = calculator(atoms)
    rng = np.random.default_rng(1)
    integrators.draw_velocities(atoms, 430, rng)
    common = {"temperature_K": 430, "thermostat_fs": 100, "rng": rng}
    dynamics = integrators.npt(atoms, timestep_fs=0.5, pressure_bar=1.0, barostat_fs=500, **common)
    dynamics.run(3)
    start, steps = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        dynamics.run(2)
        steps += 2
    rate = steps / (time.perf_counter() - start)
    result = {
        "atom_steps_s": rate * len(atoms),
        "device": device.device_name(atoms.calc),
        "engine": getattr(getattr(atoms.calc, "engine", None), "name", "plain"),
        "probe": probed[0] if probed else None,
    }
    if speed_alone:
        return result
    frame = ase.io.read(work / STATE["liquid"] / "start.extxyz")
    frame.calc = calculator(frame, exact=True)
    pair.calc = calculator(pair, exact=True)
    return result | on_frames(frame) | {"drift": energy_drift(pair)}


def on_frames(atoms: Any) -> dict[str, Any]:
    """Return density (kg/m3), forces (eV/A) and pressures (bar) of a liquid with all lengths multiplied by each of `SCALES`."""
    from ase import units

    from ionmelt.dynamics import thermo

    density = float(atoms.get_masses().sum() / atoms.get_volume() * thermo.DENSITY_KG_M3)
    positions, cell = atoms.positions.copy(), atoms.cell.array.copy()
    forces, pressures = [], []
    for scale in SCALES:
        atoms.set_cell(cell * scale)
        atoms.positions = positions * scale
        forces.append(atoms.get_forces().tolist())
        pressures.append(float(-atoms.get_stress()[:3].mean() / units.bar))
    return {"density": density, "forces": forces, "pressures": pressures}


def lammps(work: Path, ranks: int, steps: int) -> tuple[float, np.ndarray]:
    """Return atom-steps a second of LAMMPS with the DeePMD model, a thread a rank, and the forces (N, 3) of the first frame (eV/A)."""
    folder = work / "exported"
    env = environment("deepmd", 1, tuned=False)
    env |= dict.fromkeys(("DP_INTRA_OP_PARALLELISM_THREADS", "DP_INTER_OP_PARALLELISM_THREADS"), "1")
    given = folder / "in.pyr14bf4"
    if not given.exists():
        options = ["--model", work / KEYS["deepmd"], "--state", work / STATE["liquid"], "--threads", 1, "--out", folder]
        call(env, work, BIN / "export_model.py", "--id", KEYS["deepmd"], *options)
    lines = given.read_text()
    start = lines.index("timestep")
    run = lines[start:].replace("thermo 10\n", "thermo 1000\n")
    (folder / "in.benchmark").write_text(lines[:start] + FIRST_FORCES + run)
    options = ["-in", "in.benchmark", "-log", "none", "-var", "steps", steps]
    screen = execute(env, folder, *(["mpirun", "-n", ranks] if ranks > 1 else []), "lmp", *options)
    seconds, done, atoms = LOOP.findall(screen)[-1]
    forces = np.loadtxt(folder / "forces.dump", skiprows=9)[:, 2:]
    return int(done) * int(atoms) / float(seconds), forces


def ratios(key: str, pairs: list[tuple[float, float]]) -> dict[str, Any]:
    """Return the median and the range of the ratios of pairs of rates, under a key."""
    each = [ours / other for ours, other in pairs]
    return {key: float(np.median(each)), f"{key}_range": [min(each), max(each)]}


def rounded(value: Any) -> Any:
    """Return a value with four digits in every number of it."""
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    return [rounded(item) for item in value] if isinstance(value, list) else value


class Race:
    """The runs of a benchmark: each in a process of its own, in the environment of its framework."""

    def __init__(self, work: Path, threads: int, seconds: float, repeats: int, engine: str) -> None:
        self.work, self.threads, self.seconds, self.repeats, self.engine = work, threads, seconds, repeats, engine

    def run(self, framework: str, engine: str, threads: int, *more: str) -> dict[str, Any]:
        """Return what `measure` finds with an engine."""
        env = environment(framework, threads, tuned=engine != "documented")
        command = [__file__, "--measure", framework, engine, "--work", self.work, "--threads", threads]
        shown = call(env, self.work, *command, "--seconds", self.seconds, *more)
        row: dict[str, Any] = json.loads(shown.splitlines()[-1])
        print(f"{framework} {engine}: {row['atom_steps_s']:.0f} atom-steps/s", file=sys.stderr, flush=True)
        return row

    def against_plain(self, framework: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the figures of a framework against its plain calculator, and what the engine gave."""
        pairs = []
        plain, fast = (self.run(framework, engine, self.threads) for engine in ("documented", self.engine))
        pairs.append((fast["atom_steps_s"], plain["atom_steps_s"]))
        for _ in range(self.repeats - 1):
            again = [self.run(framework, e, self.threads, "--speed-alone") for e in ("documented", self.engine)]
            pairs.append((again[1]["atom_steps_s"], again[0]["atom_steps_s"]))
        forces = np.array(plain["forces"])
        largest = np.abs(forces - fast["forces"]).max(axis=(1, 2))
        pressure_bar = abs(float(np.mean(np.subtract(plain["pressures"], fast["pressures"]))))
        figures = {
            f"{framework}_engine": fast["engine"],
            **ratios(f"{framework}_ratio", pairs),
            f"{framework}_atom_steps_s": float(np.median([ours for ours, _ in pairs])),
            f"{framework}_drift_ev_atom_ps": [float(f"{run['drift']:.3g}") for run in (plain, fast)],
            f"{framework}_force_differences_ev_a": dict(zip(map(str, SCALES), largest.tolist(), strict=True)),
            f"{framework}_probe_force_difference_ev_a": fast["probe"],
            f"{framework}_largest_force_ev_a": float(np.abs(forces).max()),
        }
        # the bulk modulus of ionmelt.dynamics.integrators, 2 GPa, is 2e4 bar
        return figures, fast | {"difference": float(largest.max()), "shift": pressure_bar / 2e4 * fast["density"]}

    def against_lammps(self, first_forces: list[list[float]]) -> dict[str, Any]:
        """Return the figures of DeePMD's engine against LAMMPS; ``first_forces`` (N, 3) are the engine's on the first frame."""
        figures: dict[str, Any] = {}
        for cores in sorted({1, self.threads}):
            pairs = []
            for _ in range(self.repeats):
                rate = self.run("deepmd", self.engine, cores, "--speed-alone")["atom_steps_s"]
                steps = max(10, round(self.seconds * rate / len(first_forces)))
                other, forces = lammps(self.work, cores, steps)
                print(f"LAMMPS on {cores} cores: {other:.0f} atom-steps/s", file=sys.stderr, flush=True)
                pairs.append((rate, other))
            key = "deepmd_lammps_ratio"
            figures |= ratios(f"{key}_1_core", pairs) if cores == 1 else {}
            figures |= ratios(key, pairs) if cores == self.threads else {}
            figures["deepmd_lammps_force_difference_ev_a"] = float(np.abs(forces - first_forces).max())
        return figures


def main() -> None:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("benchmark-md"), help="folder (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads (default: 2)")
    parser.add_argument("--seconds", type=float, default=12, help="of dynamics in each run (default: 12)")
    parser.add_argument("--repeats", type=int, default=5, help="pairs of runs for each ratio (default: 5)")
    parser.add_argument("--engine", default="auto", help="engine to measure (default: the probe's choice)")
    parser.add_argument("--frameworks", nargs="+", choices=tuple(KEYS), default=list(KEYS), help="default: both")
    parser.add_argument("--smallest", action="store_true", help="show that it runs")
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--speed-alone", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    work = args.work.resolve()
    if args.measure:
        print(json.dumps(measure(*args.measure, work, args.threads, args.seconds, args.speed_alone)))
        return
    prepare(work, SMALLEST if args.smallest else WHOLE)
    race = Race(work, args.threads, args.seconds, args.repeats, args.engine)
    figures: dict[str, Any] = {"cpu": os.environ.get("BENCHMARK_CPU"), "threads": args.threads}
    differences, shift = [], 0.0
    for framework in args.frameworks:
        one, fast = race.against_plain(framework)
        figures |= {"device": fast["device"]} | one
        differences.append(fast["difference"])
        shift = max(shift, fast["shift"])
        if framework == "deepmd":
            figures |= race.against_lammps(fast["forces"][FIRST])
    figures["max_force_difference_ev_a"] = max(differences)
    figures |= {"density_difference_kg_m3": shift, "density_difference_zero": shift < 0.1}
    print(json.dumps(rounded(figures)))


if __name__ == "__main__":
    main()
