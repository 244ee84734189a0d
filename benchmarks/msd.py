#!/usr/bin/env python3
"""Mean squared displacements of ions: speed against tidynamics and MDAnalysis, and memory on a long trajectory.

One synthetic liquid of 128 ion pairs (3968 atoms). The same question for all: the MSD of the ions at every lag.
  ratio_tidynamics         time of a loop of tidynamics.msd over the ions' centres / time of ionmelt.measure.displacement on the same centres
  ratio_mdanalysis         time of EinsteinMSD(fft=True) over all atoms, which is what its manual shows / time from the same
                           atoms to the ions' MSD here (are ions whole, centres, MSD)
  max_relative_difference  to tidynamics, over all lags up to half of the trajectory
  peak_memory_mb           of a process of its own that reads a trajectory of trajectory_mb (DCD) as MEASURE_LIQUID does,
                           and takes the same MSD; file_s is its time
Times are the best of several (MDAnalysis: one) in one process. Both peers use one thread and have no other; `threads`
are those of this code (default: all cores), and a result with one thread is compared bit for bit (threads_identical).
A peer that is not installed is null and named in missing.
"""

import argparse
import contextlib
import io
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from ionmelt.measure import displacement
from ionmelt.measure import paths as measure_paths
from ionmelt.topology import Topology

EDGE_A = 40.0
PAIRS, CATION_ATOMS, ANION_ATOMS = 128, 26, 5


def chain(name: str, charge: int, atoms: int) -> dict[str, Any]:
    """Return a linear ion of carbon atoms."""
    return {
        "name": name, "smiles": "", "charge": charge, "count": PAIRS, "elements": ["C"] * atoms,
        "bonds": [[i, i + 1] for i in range(atoms - 1)], "masses_u": [12.011] * atoms, "types": None,
    }  # fmt: skip


def topology() -> Topology:
    """Return the liquid of the benchmark."""
    return Topology("benchmark", [chain("cation", 1, CATION_ATOMS), chain("anion", -1, ANION_ATOMS)])


def atoms_of(liquid: Topology, frames: int, seed: int, start: np.ndarray | None = None) -> np.ndarray:
    """Return float32 positions (frames, N, 3) of ions on random walks, from centres `start` (M, 3)."""
    rng = np.random.default_rng(seed)
    centres = 0.1 * rng.standard_normal((frames, len(liquid.molecule_ion), 3), dtype=np.float32)
    centres = centres.cumsum(axis=0) + (0 if start is None else start)
    along = np.arange(len(liquid)) - liquid.starts[liquid.molecule]
    shape = np.column_stack([1.4 * along, 0.5 * (along % 2), np.zeros(len(liquid))]).astype(np.float32)
    return np.ascontiguousarray(centres[:, liquid.molecule] + shape, dtype=np.float32)  # as a reader gives them


def ion_centres(liquid: Topology, frames: np.ndarray, threads: int) -> np.ndarray:
    """Return the centres of mass (T, M, 3) of whole ions, chunk by chunk, as MEASURE_LIQUID takes them."""
    step = max(1, int(measure_paths.CHUNK_BYTES / (12 * len(liquid))))

    def centres_of(first: int) -> np.ndarray:
        chunk = frames[first : first + step]
        return measure_paths.whole_ions(chunk, np.full((len(chunk), 3), EDGE_A), liquid)[1]

    with ThreadPoolExecutor(threads) as pool:
        return np.concatenate(list(pool.map(centres_of, range(0, len(frames), step))))


def best(function: Callable[[], Any], repeats: int = 10) -> tuple[float, Any]:
    """Return the shortest time in s, and the result."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        result = function()
        times.append(time.perf_counter() - start)
    return min(times), result


def speed(frames: int, threads: int) -> dict[str, Any]:
    """Return times, ratios and the largest difference."""
    liquid, missing = topology(), []
    atoms = atoms_of(liquid, frames, seed=1)
    ions_s, centres = best(lambda: ion_centres(liquid, atoms, threads))
    here_s, here = best(lambda: displacement.mean_squared_displacement(centres, threads))
    result: dict[str, Any] = {"frames": frames, "ions": centres.shape[1], "atoms": len(liquid)}
    result |= {"threads": threads, "centres_s": ions_s, "msd_s": here_s}
    result["threads_identical"] = bool(np.array_equal(here, displacement.mean_squared_displacement(centres)))
    result |= {"ratio_tidynamics": None, "ratio_mdanalysis": None, "max_relative_difference": None}
    try:
        import tidynamics
    except ImportError:
        missing.append("tidynamics")
    else:
        loop_s, loop = best(lambda: np.mean([tidynamics.msd(ion) for ion in centres.swapaxes(0, 1)], axis=0))
        lags = slice(1, frames // 2)
        result["ratio_tidynamics"] = loop_s / here_s
        result["max_relative_difference"] = float(np.max(np.abs(here[lags] / loop[lags] - 1)))
    try:
        import MDAnalysis
        from MDAnalysis.analysis.msd import EinsteinMSD
    except ImportError:
        missing.append("MDAnalysis")
    else:
        universe = MDAnalysis.Universe.empty(len(liquid), trajectory=True)
        universe.load_new(atoms, order="fac")
        peer = EinsteinMSD(universe, select="all", fft=True)
        with contextlib.redirect_stderr(io.StringIO()):  # its progress bar
            peer_s, _ = best(peer.run, repeats=1)
        result["ratio_mdanalysis"] = peer_s / (ions_s + here_s)
    return result | {"missing": missing}


def measure_file(path: Path, threads: int) -> dict[str, float]:
    """Return peak memory and time of reading a trajectory in chunks up to the ions' MSD, and that at a few lags."""
    liquid = topology()
    start = time.perf_counter()
    paths = measure_paths.Paths(len(liquid.molecule_ion))
    for chunk in measure_paths.chunks(path, liquid, threads):
        paths.append(chunk.unwrapped)
    msd = displacement.mean_squared_displacement(paths, threads)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    lags = np.array([1, 10, 100])
    # walks of 0.1 A a step along each axis: 0.03 A^2 a frame
    off = float(np.max(np.abs(msd[lags] / (0.03 * lags) - 1)))
    return {"peak_memory_mb": peak, "file_s": seconds, "file_msd_off": off}


def memory(frames: int, threads: int) -> dict[str, Any]:
    """Return the peak memory of a process that measures a trajectory on disk, which is written piece by piece."""
    from mdtraj.formats import DCDTrajectoryFile

    liquid = topology()
    with tempfile.TemporaryDirectory(prefix="ionmelt-msd-") as folder:
        path = Path(folder) / "trajectory.dcd"
        last = None
        with DCDTrajectoryFile(str(path), "w") as file:
            for first in range(0, frames, 200):
                chunk = atoms_of(liquid, min(200, frames - first), seed=first, start=last)
                last = chunk[-1, liquid.starts]
                edges = np.full((len(chunk), 3), EDGE_A, np.float32)
                file.write(chunk, cell_lengths=edges, cell_angles=np.full_like(edges, 90))
        size = path.stat().st_size / 1e6
        command = [sys.executable, __file__, "--file", str(path), "--threads", str(threads)]
        child = subprocess.run(command, check=True, capture_output=True, text=True)
    return {"trajectory_mb": size} | json.loads(child.stdout.splitlines()[-1])


def main(argv: list[str] | None = None) -> int:
    """Measure, and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=5000, help="frames of the race (default: 5000; 0: none)")
    parser.add_argument(
        "--file-frames",
        type=int,
        default=106_000,
        help="frames of the long trajectory (default: 106000, 5 GB; 0: none)",
    )
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="threads (default: all cores)")
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.file:
        result: dict[str, Any] = measure_file(args.file, args.threads)
    else:
        result = memory(args.file_frames, args.threads) if args.file_frames else {}
        result |= speed(args.frames, args.threads) if args.frames else {}
    rounded = {k: float(f"{v:.4g}") if isinstance(v, float) else v for k, v in result.items()}
    print(json.dumps({"cpu": os.environ.get("BENCHMARK_CPU")} | rounded))
    return 0


if __name__ == "__main__":
    sys.exit(main())
