#!/usr/bin/env python3
"""Label consecutive frames of a real liquid in a chain and each from a cold start: SCF steps, times, differences.

The liquid is made by the pipeline's own BUILD_LIQUID and EQUILIBRATE (LiBF4, CL&P, 900 K). Frames are taken at two
spacings: close, as of a trajectory, and far, as the frames of a label study are. Both ways label the same frames with
an engine of their own; the first frame is cold in both, and not counted. The keys without a suffix are those of the
far frames; settings are meant for time: 300 Ry is too little for fluorine's forces, and enough to count SCF steps.
  scf_steps_ratio               SCF steps of a frame in the chain / cold
  wall_ratio                    likewise of the time
  scf_steps_cold, wall_cold_s   of a frame that is cold
  max_force_difference_ha_bohr  between the two ways (Ha/Bohr)

usage: benchmarks/run labels_chain [--engine cp2k|pyscf|xtb] [--frames 20] [--pairs 8] [--spacing-fs 20 500]
"""
# environment: dft

import argparse
import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms
from ase.units import Bohr, Hartree
from mdtraj.formats import DCDTrajectoryFile

from ionmelt.labels import engines

PROJECT = Path(__file__).resolve().parents[1]
DFT = {
    "functional": "PBE",
    "dispersion": "D3(BJ)",
    "basis": "DZVP-MOLOPT-SR-GTH",
    "potential": "GTH-PBE",
    "cutoff_Ry": 300.0,
    "eps_scf": 1e-6,
}
SETTINGS = {
    "cp2k": DFT | {"rel_cutoff_Ry": 40.0, "eps_default": 1e-12, "multigrids": 5, "dispersion_cutoff_A": 16.0},
    "pyscf": DFT | {"device": "auto"},
    "xtb": {"method": "GFN1-xTB", "accuracy": 0.1, "max_iterations": 250},
}
SAVE_FS = 20  # time between the frames that EQUILIBRATE saves
STUDY = """\
name: chain
liquids:
  - {{id: libf4, ions: {{li: {pairs}, bf4: {pairs}}}, temperatures_K: [900], density_guess_kg_m3: 1300}}
equilibration:
  {{anneal_K: 1200, anneal_ps: 10, cool_ps: 5, settle_ps: 10, production_ps: {production_ps}, save_every_ps: {save_ps}}}
models: [{{id: clp, framework: classical}}]
md: {{timestep_fs: 0.5, npt_ps: 1, nvt_ps: 1}}
"""


def liquid(pairs: int, length_fs: float) -> list[Atoms]:
    """Return the frames, `SAVE_FS` apart, of an equilibrated liquid of some length."""
    result = subprocess.run(
        [PROJECT / "containers" / "environment", "analysis"], check=True, stdout=subprocess.PIPE, text=True
    )
    python, scripts = Path(result.stdout.strip()) / "bin" / "python", PROJECT / "bin"
    env = os.environ | {"PATH": f"{python.parent}:{os.environ['PATH']}"}

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        def step(script: str, *arguments: str) -> None:
            command = [str(python), str(scripts / script), *arguments]
            subprocess.run(command, cwd=folder, env=env, check=True, stdout=sys.stderr)

        production_ps = length_fs / 1000 + 1
        (folder / "study.yaml").write_text(
            STUDY.format(pairs=pairs, production_ps=production_ps, save_ps=SAVE_FS / 1000)
        )
        step("plan_study.py", "--study", "study.yaml", "--out", "plan", "--assets", str(PROJECT / "assets"))
        (box,) = (path.stem for path in (folder / "plan" / "boxes").glob("*.json"))
        (state,) = (path.stem for path in (folder / "plan" / "states").glob("*.json"))
        where = ("--assets", str(PROJECT / "assets"), "--out", box)
        step("build_liquid.py", "--id", box, "--settings", f"plan/boxes/{box}.json", *where)
        step("equilibrate.py", "--id", state, "--settings", f"plan/states/{state}.json", "--box", box, "--out", "state")
        last = ase.io.read(folder / "state" / "start.extxyz")
        assert isinstance(last, Atoms)
        with DCDTrajectoryFile(str(folder / "state" / "trajectory.dcd")) as file:
            positions, edges, _ = file.read()
    return [
        Atoms(last.numbers, np.round(xyz, 6), cell=np.round(edge, 6), pbc=True)
        for xyz, edge in zip(positions.astype(float), edges.astype(float), strict=True)
    ]


def compare(engine: str, frames: list[Atoms], threads: int) -> dict[str, float | int]:
    """Label frames in a chain and cold, one after the other, and return what differs."""
    row = engines.ENGINES[engine]
    settings = row.settings.model_validate({"engine": engine, **SETTINGS[engine]})
    chained, cold = (importlib.import_module(row.module).Engine(settings, threads) for _ in range(2))
    steps, seconds, force = np.zeros(2), np.zeros(2), 0.0
    for number, atoms in enumerate(frames):
        labels = []
        for way, one in enumerate((chained, cold)):
            start = time.perf_counter()
            labels.append(one.label(atoms, cold=way == 1))
            spent = time.perf_counter() - start
            if labels[-1].reason:
                sys.exit(f"error: frame {number} has no label: {labels[-1].reason}")
            if number:
                steps[way] += labels[-1].scf_steps
                seconds[way] += spent
        difference = float(np.abs(labels[0].forces_ev_a - labels[1].forces_ev_a).max()) * Bohr / Hartree
        force = max(force, difference)
        print(
            f"frame {number}: {labels[0].scf_steps} steps ({labels[0].guess}), {labels[1].scf_steps} cold, "
            f"force difference {difference:.1e} Ha/Bohr",
            flush=True,
        )
    return {
        "scf_steps_cold": round(steps[1] / (len(frames) - 1), 2),
        "scf_steps_ratio": round(steps[0] / steps[1], 3),
        "wall_cold_s": round(seconds[1] / (len(frames) - 1), 2),
        "wall_ratio": round(seconds[0] / seconds[1], 3),
        "max_force_difference_ha_bohr": force,
    }


def main() -> None:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", choices=sorted(SETTINGS), default="cp2k")
    parser.add_argument("--frames", type=int, default=20)
    parser.add_argument("--pairs", type=int, default=8, help="LiBF4 pairs in the box (default: 8)")
    parser.add_argument(
        "--spacing-fs", type=int, nargs="+", default=[20, 500], help=f"multiples of {SAVE_FS} fs (default: 20 500)"
    )
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    saved = liquid(args.pairs, args.frames * max(args.spacing_fs))
    result: dict[str, object] = {
        "cpu": os.environ.get("BENCHMARK_CPU"),
        "engine": args.engine,
        "frames": args.frames,
        "atoms": len(saved[0]),
    }
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for spacing in sorted(args.spacing_fs):
            print(f"{args.frames} frames, {spacing} fs apart", flush=True)
            differences = compare(args.engine, saved[:: spacing // SAVE_FS][: args.frames], args.threads)
            result |= {f"{key}_{spacing}_fs": value for key, value in differences.items()}
    print(json.dumps(result | {"spacing_fs": max(args.spacing_fs)} | differences))


if __name__ == "__main__":
    main()
