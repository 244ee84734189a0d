#!/usr/bin/env python3
"""Real melts: of blocks of a run that are called converged, how many hold the diffusion coefficient of the whole run?

The runs are made by the pipeline's own PLAN_STUDY, BUILD_LIQUID, EQUILIBRATE and RUN_MD, with OpenMM: LiBF4 at 1200 K by CL&P (two boxes)
and NaCl at 1300 K by the force field of studies/nacl.yaml (one box). The part at constant volume is cut into blocks, each measured as a
run of its own; the truth is the D of the whole, whose own interval is narrow beside those of its blocks.
  melts             share of converged blocks (each kind of ion of each run) whose 95 % interval holds the D of the whole run
  melts_blocks      how many converged, of melts_all blocks
  melts_whole       whether every whole run is itself converged: else the truth is not known
  melts_NAME        the same as melts, for each liquid
`benchmarks/run coverage` prints them too, and they take by far the longest of it.
"""

# environment: analysis
import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ionmelt.measure import slope
from ionmelt.measure.observables.diffusion import self_diffusion
from ionmelt.measure.run import read_run
from ionmelt.measure.simulation import ANGSTROM_M

TOP = Path(__file__).resolve().parents[1]
STUDY = """\
name: melts
liquids:
  - id: libf4
    ions: {{li: {pairs}, bf4: {pairs}}}
    temperatures_K: [1200]
    density_guess_kg_m3: 1300
    force_field: clandp
  - id: nacl
    ions: {{na: {{smiles: "[Na+]", count: {pairs}}}, cl: {{smiles: "[Cl-]", count: {pairs}}}}}
    temperatures_K: [1300]
    density_guess_kg_m3: 1280
    force_field: {top}/studies/forcefields/joung_cheatham.xml
equilibration: {{anneal_K: 1700, anneal_ps: {melt_ps}, cool_ps: {melt_ps}, settle_ps: {melt_ps}, production_ps: {melt_ps}, save_every_ps: 0.1}}
models: [{{id: clp, framework: classical}}]
md: {{timestep_fs: 2, npt_ps: {npt_ps}, nvt_ps: {length_ps}, replicas: 2, save_every_fs: {save_fs}, segment_ps: {segment_ps}, engine: openmm}}
references: []
"""
RUNS = ("libf4-1200K-r1", "libf4-1200K-r2", "nacl-1300K-r1")


@dataclass(frozen=True)
class Block:
    """What a block of a run says: of which liquid, whether it is called converged, and whether it holds the D of the whole."""

    liquid: str
    is_converged: bool
    holds: bool


def make(folder: Path, length_ps: float, block_ps: float, pairs: int) -> dict[str, Path]:
    """Make the runs; return the folder of each."""

    def step(script: str, *arguments: str) -> None:
        command = [sys.executable, str(TOP / "bin" / f"{script}.py"), *arguments]
        subprocess.run(command, cwd=folder, env=os.environ, check=True, stdout=sys.stderr)

    melt_ps, npt_ps = min(50.0, length_ps), min(50.0, length_ps)
    text = STUDY.format(
        pairs=pairs, top=TOP, melt_ps=melt_ps, npt_ps=npt_ps, length_ps=length_ps, save_fs=min(100.0, 4 * block_ps),
        segment_ps=length_ps / 10,
    )  # fmt: skip
    (folder / "study.yaml").write_text(text)
    assets = ("--assets", str(TOP / "assets"))
    step("plan_study", "--study", "study.yaml", "--out", "plan", *assets)
    for state in RUNS:
        liquid, _, replica = state.split("-")
        box, out = f"{liquid}-{replica}", folder / state
        step("build_liquid", "--id", box, "--settings", f"plan/boxes/{box}.json", *assets, "--out", box)
        melted = ("--settings", f"plan/states/{state}.json", "--box", box, "--out", f"{state}-melt")
        step("equilibrate", "--id", state, *melted)
        key = f"{state}-clp"
        what = ("--settings", f"plan/runs/{key}.json", "--state", f"{state}-melt", "--model", "plan/cards/clp")
        step("run_md", "--id", key, *what, "--out", str(out))
    return {state: folder / state for state in RUNS}


def blocks(folder: Path, block_ps: float) -> tuple[list[Block], bool]:
    """Return what each block of a run says, and whether the D of all kinds of its ions are converged."""
    run = read_run(folder)
    if run.ended or run.nvt is None:
        sys.exit(f"error: {folder.name}: {run.ended or 'no trajectory'}")
    step_s = run.record.save_every_fs * 1e-15
    size = max(4, round(block_ps * 1e-12 / step_s))
    made, whole_converged = [], True
    for species, whole in self_diffusion(run).items():
        whole_converged &= whole.converged
        path = run.nvt.paths[species]
        walk = path[:, 0 : path.shape[1]]
        here = []
        for first in range(0, len(walk) - size + 1, size):
            piece = np.ascontiguousarray(walk[first : first + size])
            d = slope.diffusion(piece, step_s).scaled(ANGSTROM_M**2)
            here.append(Block(run.record.liquid, d.converged, d.ci95_low <= whole.D <= d.ci95_high))
        good = [block for block in here if block.is_converged]
        held = sum(block.holds for block in good)
        print(
            f"{run.record.id} {species}: D {whole.D:.3g} [{whole.ci95_low:.3g}, {whole.ci95_high:.3g}] m2/s"
            f"{'' if whole.converged else f' (not converged: {whole.reason})'}, held by {held} of {len(good)} converged "
            f"of {len(here)} blocks",
            flush=True,
        )
        made += here
    return made, whole_converged


def share(values: list[bool]) -> float | None:
    """Return the share of true values, None of none."""
    return round(sum(values) / len(values), 4) if values else None


def figures(length_ps: float, block_ps: float, pairs: int, work: Path | None = None) -> dict[str, float | bool | None]:
    """Make the runs, in ``work`` where they stay (and are taken up where they are there), and return all figures."""
    with tempfile.TemporaryDirectory(prefix="ionmelt-melts-") as name:
        folder = work or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        made = {state: folder / state for state in RUNS}
        if not all((path / "run.json").exists() for path in made.values()):
            made = make(folder, length_ps, block_ps, pairs)
        every, all_converged = [], True
        for path in made.values():
            some, converged = blocks(path, block_ps)
            every += some
            all_converged &= converged
    good = [block for block in every if block.is_converged]
    result: dict[str, float | bool | None] = {
        "melts": share([block.holds for block in good]),
        "melts_blocks": len(good),
        "melts_all": len(every),
        "melts_whole": all_converged,
    }
    for liquid in dict.fromkeys(state.split("-")[0] for state in RUNS):
        result[f"melts_{liquid}"] = share([block.holds for block in good if block.liquid == liquid])
    return result


def main(argv: list[str] | None = None) -> int:
    """Measure, and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--length-ps", type=float, default=2000, help="of each run at constant volume (default: 2000)")
    parser.add_argument("--block-ps", type=float, default=50, help="of each block (default: 50)")
    parser.add_argument("--pairs", type=int, default=32, help="of ions in each box (default: 32)")
    parser.add_argument("--work", type=Path, help="folder where the runs stay; those that are there are measured again")
    args = parser.parse_args(argv)
    work = None if args.work is None else args.work.resolve()
    measured = figures(args.length_ps, args.block_ps, args.pairs, work)
    print(json.dumps({"cpu": os.environ.get("BENCHMARK_CPU")} | measured))
    return 0


if __name__ == "__main__":
    sys.exit(main())
