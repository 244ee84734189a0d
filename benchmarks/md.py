#!/usr/bin/env python3
"""Molecular dynamics of 16 PYR14BF4 pairs (560 atoms): steps a second against the plain ASE calculators.

Trains a MACE (32x0e+32x1o, 4.5 A) and a DeePMD model (se_e2_a, 6 A, default widths) briefly on GFN1-xTB labels of two pairs,
then runs the same NPT integrator with the plain calculator as its manual shows it (both in double
precision, which is their default, DeePMD's uncompressed; no environment variables) and with the engine that RUN_MD takes, each in a process of its own.
  device                      cpu or cuda
  mace_ratio, deepmd_ratio    steps a second of the engine / of the plain calculator
  mace_atom_steps_s, deepmd_atom_steps_s
                              of the engine
  max_force_difference_ev_a   of either engine to its plain calculator (MACE: double precision; DeePMD: the same compressed
                              model), over frames of the liquid at several volumes
  density_difference_kg_m3    the largest mean difference in pressure over those frames / the bulk modulus of RUN_MD x density:
                              what the engine shifts the density by
  density_difference_zero     whether that is below 0.1 kg/m3, a hundredth of the error of a good run
  mace_drift_ev_atom_ps, deepmd_drift_ev_atom_ps
                              [plain, engine]: drift of the total energy without thermostat, 0.25 fs, two pairs
Work is kept in --work, and what is there is not made again.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

TOP = Path(__file__).resolve().parents[1]
BIN = TOP / "bin"
STUDY = """
name: mdbench
liquids:
  - {id: pyr14bf4, ions: {pyr14: 16, bf4: 16}, temperatures_K: [430], density_guess_kg_m3: 1000}
  - {id: pair, ions: {pyr14: 2, bf4: 2}, temperatures_K: [430], density_guess_kg_m3: 1000}
equilibration:
  {timestep_fs: 4, anneal_K: 600, anneal_ps: 40, cool_ps: 20, settle_ps: 10, production_ps: 60, save_every_ps: 0.5}
sampling:
  eq: {frames: 36}
  neq:
    volume_scan: {frames: 8, scale_min: 0.94, scale_max: 1.12}
    oscillation: {frames: 16, length_ps: 10, period_ps: 5, temperature_amplitude_K: 150, box_amplitude: 0.06}
    rattle: {frames: 12, sigma_A: 0.04}
labels: {engine: xtb, method: GFN1-xTB, chunk: 100}
datasets: {both: [eq, neq]}
models:
  - {id: mace, framework: mace, channels: 32, max_L: 1, r_max_A: 4.5, correlation: 3, max_ell: 3, epochs: 4, batch_size: 1,
     learning_rate: 0.01, energy_weight: 1000, stress_weight: 100000}
  - {id: dpmd, framework: deepmd, rcut_A: 6.0, rcut_smth_A: 0.5, steps: 600, learning_rate: 0.005}
md: {timestep_fs: 0.5, npt_ps: 1, nvt_ps: 1, save_every_fs: 10}
budget_core_hours: 100
"""
KEYS = {"mace": "mace-both-s1", "deepmd": "dpmd-both-s1"}
STATE = {"liquid": "pyr14bf4-430K-r1", "pair": "pair-430K-r1"}
SCALES = (0.97, 0.99, 1.0, 1.01, 1.03)  # of the cell's edges


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


def call(env: dict[str, str], work: Path, *command: Any) -> str:
    """Run a script to its end in the work folder and return what it printed."""
    done = subprocess.run(["python", *map(str, command)], env=env, cwd=work, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{command[0]} failed:\n{done.stderr[-3000:]}")
    return done.stdout


def prepare(work: Path) -> None:
    """Build, melt, label and train: what the pipeline does, one script after another."""
    work.mkdir(parents=True, exist_ok=True)
    analysis, dft = environment("analysis", 1), environment("dft", 1)
    if not (work / "plan").exists():
        (work / "study.yaml").write_text(STUDY)
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
        for chunk in sorted((work / "chunks").iterdir()):
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
            data = work / "dataset"
            options = ["--settings", work / f"plan/models/{key}.json", "--dataset", data / "datasets" / "both"]
            options += ["--summary", data / "dataset.json", "--threads", 2, "--out", work / key]
            call(environment(framework, 2), scratch, BIN / f"train_{framework}.py", "--id", key, *options)
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
    for part in ("descriptor", "fitting_net"):
        del given["model"][part]["precision"]
    given["learning_rate"] |= {"start_lr": 1e-12, "stop_lr": 1e-13}
    given["training"] |= {"numb_steps": 1, "save_ckpt": "model.ckpt", "disp_file": "lcurve.out"}
    (folder / "input.json").write_text(json.dumps(given))
    trained = work / KEYS["deepmd"] / "model.pt"
    tool = ["-c", "import sys; from deepmd.main import main; main(sys.argv[1:])", "--pt"]
    env = environment("deepmd", 2)
    call(env, folder, *tool, "train", "input.json", "--init-model", trained, "--skip-neighbor-stat")
    call(env, folder, *tool, "freeze", "-c", "model.ckpt.pt", "-o", target)


def measure(framework: str, wanted: str, work: Path, threads: int, seconds: float) -> dict[str, Any]:
    """Return speed, forces, pressures and drift with one engine; ``documented`` is the plain calculator of the manual."""
    import ase.io
    import torch
    from ase import units
    from ase.md.verlet import VelocityVerlet

    from ionmelt.dynamics import integrators, thermo
    from ionmelt.dynamics.engines.choice import load_engine
    from ionmelt.dynamics.engines.forces import EngineCalculator
    from ionmelt.models import device

    model = work / KEYS[framework]
    documented = wanted == "documented"

    def calculator(atoms: Any, exact: bool = False) -> Any:
        if not documented:
            return EngineCalculator(load_engine(model, work / STATE["liquid"], threads, atoms, wanted)[0])
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

    frames = ase.io.read(work / STATE["liquid"] / "start.extxyz")
    frames.calc = calculator(frames, exact=True)
    start_positions, cell = frames.positions.copy(), frames.cell.array.copy()
    forces, pressures = [], []
    for scale in SCALES:
        frames.set_cell(cell * scale)
        frames.positions = start_positions * scale
        forces.append(frames.get_forces())
        pressures.append(-frames.get_stress()[:3].mean() / thermo.BAR)

    pair.calc = calculator(pair, exact=True)
    integrators.draw_velocities(pair, 430, np.random.default_rng(2))
    nve, energies = VelocityVerlet(pair, 0.25 * units.fs), []
    for _ in range(100):
        nve.run(2)
        energies.append(pair.get_total_energy() / len(pair))
    drift = float(np.polyfit(0.0005 * np.arange(100), energies, 1)[0])
    return {
        "atom_steps_s": rate * len(atoms),
        "forces": np.array(forces).tolist(),
        "pressures": pressures,
        "drift": drift,
        "density": float(atoms.get_masses().sum() / atoms.get_volume() * thermo.DENSITY_KG_M3),
        "device": device.device_name(atoms.calc),
        "engine": getattr(getattr(atoms.calc, "engine", None), "name", "plain"),
    }


def main() -> None:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("benchmark-md"), help="folder (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads (default: 2)")
    parser.add_argument("--seconds", type=float, default=20, help="of dynamics, for each engine (default: 20)")
    parser.add_argument("--engine", default="auto", help="engine to measure (default: the probe's choice)")
    parser.add_argument("--frameworks", nargs="+", choices=tuple(KEYS), default=list(KEYS), help="default: both")
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    work = args.work.resolve()
    if args.measure:
        print(json.dumps(measure(*args.measure, work, args.threads, args.seconds)))
        return
    prepare(work)
    figures: dict[str, Any] = {"device": None, "max_force_difference_ev_a": 0.0}
    shift = 0.0
    for framework in args.frameworks:
        found = []
        for engine in ("documented", args.engine):
            env = environment(framework, args.threads, tuned=engine != "documented")
            command = [__file__, "--measure", framework, engine, "--work", work]
            shown = call(env, work, *command, "--threads", args.threads, "--seconds", args.seconds)
            found.append(json.loads(shown.splitlines()[-1]))
            print(f"{framework} {engine}: {found[-1]['atom_steps_s']:.0f} atom-steps/s", file=sys.stderr, flush=True)
        plain, fast = found
        difference = float(np.abs(np.array(plain["forces"]) - np.array(fast["forces"])).max())
        pressure_bar = abs(float(np.mean(np.subtract(plain["pressures"], fast["pressures"]))))
        shift = max(
            shift, pressure_bar / 2e4 * fast["density"]
        )  # the bulk modulus of ionmelt.dynamics.integrators, 2 GPa, is 2e4 bar
        figures |= {
            "device": fast["device"],
            f"{framework}_engine": fast["engine"],
            f"{framework}_ratio": fast["atom_steps_s"] / plain["atom_steps_s"],
            f"{framework}_atom_steps_s": fast["atom_steps_s"],
            f"{framework}_drift_ev_atom_ps": [float(f"{run['drift']:.3g}") for run in found],
            "max_force_difference_ev_a": max(figures["max_force_difference_ev_a"], difference),
        }
    figures |= {"density_difference_kg_m3": shift, "density_difference_zero": shift < 0.1}
    print(json.dumps({k: float(f"{v:.4g}") if isinstance(v, float) else v for k, v in figures.items()}))


if __name__ == "__main__":
    main()
