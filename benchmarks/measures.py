#!/usr/bin/env python3
"""Structure of a liquid: distributions and contacts beside freud and MDAnalysis, and a long trajectory through all of MEASURE_LIQUID.

A mixture of Li TFSI and PYR14 TFSI (as BUILD_LIQUID packs it, eight boxes side by side, ions drawn together to the liquid's density) whose ions rattle. All get the same frames, the same groups of atoms and centres, the same shells and cut-offs: those of
MEASURE_LIQUID. Processor time of one thread (the peers': set to one), of --frames frames; the median of --pairs pairs of runs, with _range.
  ratio_rdf_freud, ratio_rdf_mdanalysis
                      time of freud.density.RDF, of InterRDF / time of the counts of ionmelt.measure.structure
  ratio_contacts_freud, ratio_contacts_mdanalysis
                      time of freud.locality, of capped_distance, with each donor's own cut-off / time of ionmelt.measure.contacts
  rdf_difference_freud, rdf_difference_mdanalysis
                      the largest difference of g(r), over all pairs of groups and all shells (a distance that rounding moves to the
                      next shell counts more the thinner that shell)
  contacts_same_freud, contacts_same_mdanalysis
                      whether each frame has the same number of contacts
  rdf_ms, contacts_ms time of a frame here
  trajectory_mb, trajectory_frames, trajectory_atoms
                      of nvt.xtc of a run folder that bin/measure_liquid.py measures in a process of its own, as the pipeline does; in it
                      like ions change places, so that they diffuse and contacts end (--mb; 0: none)
  peak_memory_mb, whole_cpu_s, whole_s
                      of that process: its peak, its processor time and its time by the clock
A peer that is not installed is null and named in missing.
"""

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ionmelt.measure.contacts import Contacts
from ionmelt.measure.structure import Distributions
from ionmelt.topology import Topology, counted

TOP = Path(__file__).resolve().parents[1]
SIZE = {"li": 4, "pyr14": 10, "tfsi": 14}  # of a packed box; eight of them have 4112 atoms
DENSITY_KG_M3 = 1400.0
RATTLE_A = 0.15
SWAPS = 0.002  # share of the ions that change places with another of their kind from frame to frame
SAVE_FS = 20.0
AT_ONCE = 200  # frames made and written at once
LI_DONOR_A, CENTRES_A = 2.8, 8.0  # cut-offs of contacts, where liquids of this kind have their first minima
PEERS = {"freud": "freud", "mdanalysis": "MDAnalysis"}


# --- The liquid ----------------------------------------------------------------------------------------


def build(out: Path) -> None:
    """Pack a box; runs in the environment of the pipeline's scripts."""
    from ionmelt.liquid import ions as liquid_ions
    from ionmelt.liquid import packing

    typed = liquid_ions.library(TOP / "assets")
    topology = Topology(
        "melt",
        [liquid_ions.resolve({"name": name, "count": count} | typed[name], typed) for name, count in SIZE.items()],
    )
    edge = packing.box_edge_A(topology, packing.PACK_FRACTIONS[0] * DENSITY_KG_M3)
    shapes = [liquid_ions.geometry(ion["smiles"]) for ion in topology.ions]
    positions = packing.pack(shapes, list(SIZE.values()), edge, 1)
    if positions is None:
        raise SystemExit("packmol packed nothing")
    shrunk, edges = topology.scaled(
        topology.wrapped(positions, np.full(3, edge)), np.full(3, edge), packing.PACK_FRACTIONS[0] ** (1 / 3)
    )
    topology.save(out / "topology.json")
    np.savez(out / "box.npz", positions=shrunk, edges=edges)


def whole_box(folder: Path, across: int) -> tuple[Topology, np.ndarray, np.ndarray]:
    """Return the topology, positions (N, 3) and edges (3,) (A) of so many packed boxes side by side along each edge."""
    packed, box = Topology.load(folder / "topology.json"), np.load(folder / "box.npz")
    topology = Topology("melt", [counted(ion, across**3 * ion["count"]) for ion in packed.ions])
    shifts = np.array(list(np.ndindex(across, across, across))) * box["edges"]
    kinds = [np.flatnonzero(packed.ion == ion["name"]) for ion in packed.ions]
    return (
        topology,
        np.concatenate([box["positions"][kind] + shift for kind in kinds for shift in shifts]),
        across * box["edges"],
    )


def analysis(*arguments: Any) -> tuple[float, float, float]:
    """Run Python in the environment of MEASURE_LIQUID; return its peak (MB), its processor time and its time by the clock (s)."""
    command = [TOP / "containers" / "environment", "analysis"]
    python = Path(subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()) / "bin" / "python"
    env = os.environ | {"PATH": f"{python.parent}:{os.environ['PATH']}", "PYTHONPATH": str(TOP / "bin")}
    start = time.perf_counter()
    with tempfile.TemporaryFile("w+") as said:
        child = subprocess.Popen([str(x) for x in (python, *arguments)], env=env, stdout=said, stderr=said)
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            said.seek(0)
            raise SystemExit(f"{arguments[0]} failed:\n{said.read()[-3000:]}")
    return used.ru_maxrss / 1024, used.ru_utime + used.ru_stime, time.perf_counter() - start


def rattled(topology: Topology, positions: np.ndarray, frames: int) -> Iterator[np.ndarray]:
    """Yield frames (N, 3) of a liquid whose ions rattle, each as a whole."""
    rng = np.random.default_rng(1)
    for _ in range(frames):
        yield positions + RATTLE_A * rng.standard_normal((len(topology.molecule_ion), 3))[topology.molecule]


# --- Beside freud and MDAnalysis -----------------------------------------------------------------------


@dataclass(frozen=True)
class Side:
    """What one of the contestants does with all frames: distributions, and contacts; both return what is compared."""

    rdf: Callable[[], dict[str, np.ndarray]]  # counts of each pair (bins,), of all frames together
    contacts: Callable[[], list[int]]  # of each pair of groups and frame


def groups_of_contacts(topology: Topology) -> list[Contacts]:
    """Return the contacts that are looked for: lithium's with single donors, PYR14's by centres."""
    li, donors = (
        np.flatnonzero((topology.elements == e) & (topology.ion == i)) for e, i in (("Li", "li"), ("O", "tfsi"))
    )
    cation, anion = (np.flatnonzero(topology.molecule_ion == name) for name in ("pyr14", "tfsi"))
    _, of_donor = np.unique(topology.molecule[donors], return_inverse=True)
    return [
        Contacts("li-tfsi", li, donors, np.full(len(donors), LI_DONOR_A), of_donor, False),
        Contacts("pyr14-tfsi", cation, anion, np.full(len(anion), CENTRES_A), np.arange(len(anion)), True),
    ]


class Race:
    """The same frames for all: of atoms, and of the ions' centres of mass."""

    def __init__(self, topology: Topology, positions: np.ndarray, edges: np.ndarray, frames: int) -> None:
        self.topology, self.edges = topology, edges
        self.atoms = [frame.astype(np.float32) for frame in rattled(topology, positions, frames)]
        self.centres = [topology.centres(frame) for frame in self.atoms]
        shells = self.distributions()
        self.pairs = [(pair, False, *of) for pair, of in shells.atoms.items()]
        self.pairs += [(pair, True, *of) for pair, of in shells.centres.items()]
        self.ideal = {
            pair: radial.pairs * np.diff(radial.shells**3) * 4 / 3 * np.pi / np.prod(edges)
            for pair, *_, radial in self.pairs
        }

    def distributions(self) -> Distributions:
        """Return the distributions of MEASURE_LIQUID, empty."""
        return Distributions(self.topology, self.edges, float(self.edges.min()), len(self.atoms))

    def frames(self, centres: bool) -> list[np.ndarray]:
        """Return the frames of centres or of atoms."""
        return self.centres if centres else self.atoms

    def ours(self) -> Side:
        """Return what MEASURE_LIQUID does."""

        def rdf() -> dict[str, np.ndarray]:
            shells = self.distributions()
            for frame in self.atoms:
                shells.count(frame, self.edges)
            return {
                pair: np.sum(radial.counts, axis=0) for pair, (_, _, radial) in (shells.atoms | shells.centres).items()
            }

        def contacts() -> list[int]:
            some = groups_of_contacts(self.topology)
            for pair in some:
                pair.add(np.array(self.frames(pair.centres)), np.tile(self.edges, (len(self.atoms), 1)))
            return [int(n) for pair in some for n in np.bincount(np.concatenate(pair.frame), minlength=len(self.atoms))]

        return Side(rdf, contacts)

    def freud(self) -> Side:
        """Return freud, which wants points in a box around the origin."""
        import freud

        freud.set_num_threads(1)
        box = freud.box.Box(*self.edges.tolist())
        points = {
            centres: [(np.mod(x, self.edges) - self.edges / 2).astype(np.float32) for x in self.frames(centres)]
            for centres in (False, True)
        }

        def rdf() -> dict[str, np.ndarray]:
            counts = {}
            for pair, centres, a, b, radial in self.pairs:
                whole = freud.density.RDF(len(radial.shells) - 1, float(radial.shells[-1]))
                for x in points[centres]:
                    others = {} if a is b or np.array_equal(a, b) else {"query_points": x[a]}
                    whole.compute((box, x[b]), reset=False, **others)
                counts[pair] = np.array(whole.bin_counts)
            return counts

        def contacts() -> list[int]:
            near = []
            for pair in groups_of_contacts(self.topology):
                for x in points[pair.centres]:
                    query = freud.locality.AABBQuery(box, x[pair.donors])
                    bonds = query.query(
                        x[pair.cations], {"r_max": float(pair.cuts_A.max()), "exclude_ii": False}
                    ).toNeighborList()
                    near.append(int((bonds.distances <= pair.cuts_A[bonds.point_indices]).sum()))
            return near

        return Side(rdf, contacts)

    def mdanalysis(self) -> Side:
        """Return MDAnalysis, with its own loop over frames for distributions."""
        import MDAnalysis
        from MDAnalysis.analysis.rdf import InterRDF
        from MDAnalysis.lib.distances import capped_distance

        box = np.array([*self.edges, 90, 90, 90], np.float32)
        points = {centres: np.array(self.frames(centres), np.float32) for centres in (False, True)}
        universes = {centres: MDAnalysis.Universe.empty(x.shape[1], trajectory=True) for centres, x in points.items()}
        for centres, universe in universes.items():
            universe.load_new(points[centres], order="fac", dimensions=np.tile(box, (len(points[centres]), 1)))

        def rdf() -> dict[str, np.ndarray]:
            counts = {}
            for pair, centres, a, b, radial in self.pairs:
                groups = [universes[centres].atoms[x] for x in (a, b)]
                same = (1, 1) if np.array_equal(a, b) else None
                span = 0.0, float(radial.shells[-1])
                counts[pair] = (
                    InterRDF(*groups, nbins=len(radial.shells) - 1, range=span, exclusion_block=same)
                    .run()
                    .results.count
                )
            return counts

        def contacts() -> list[int]:
            near = []
            for pair in groups_of_contacts(self.topology):
                for x in points[pair.centres]:
                    close, far = capped_distance(x[pair.cations], x[pair.donors], float(pair.cuts_A.max()), box=box)
                    near.append(int((far <= pair.cuts_A[close[:, 1]]).sum()))
            return near

        return Side(rdf, contacts)


def cpu_s(function: Callable[[], Any]) -> tuple[float, Any]:
    """Return the processor time (s) of a function, and what it returns."""
    start = time.process_time()
    result = function()
    return time.process_time() - start, result


def race(topology: Topology, positions: np.ndarray, edges: np.ndarray, frames: int, pairs: int) -> dict[str, Any]:
    """Return times, ratios and differences."""
    here = Race(topology, positions, edges, frames)
    ours, missing = here.ours(), [name for name in PEERS.values() if importlib.util.find_spec(name) is None]
    peers = {name: getattr(here, name)() for name, module in PEERS.items() if module not in missing}
    result: dict[str, Any] = {
        "missing": missing,
        "frames": frames,
        "atoms": len(topology),
        "ions": len(topology.molecule_ion),
    }
    for what in ("rdf", "contacts"):
        ratios: dict[str, list[float]] = {name: [] for name in peers}
        mine = []
        for _ in range(pairs):
            took, value = cpu_s(getattr(ours, what))
            mine.append(took)
            for name, peer in peers.items():
                theirs, other = cpu_s(getattr(peer, what))
                ratios[name].append(theirs / took)
                result |= agreement(here, what, name, value, other)
        result[f"{what}_ms"] = 1000 * float(np.median(mine)) / frames
        for name in PEERS:
            some = ratios.get(name)
            result[f"ratio_{what}_{name}"] = float(np.median(some)) if some else None
            result[f"ratio_{what}_{name}_range"] = [min(some), max(some)] if some else None
    return result


def agreement(race: Race, what: str, name: str, ours: Any, theirs: Any) -> dict[str, Any]:
    """Return how far the results of both are apart."""
    if what == "contacts":
        return {f"contacts_same_{name}": ours == theirs}
    frames = len(race.atoms)
    return {
        f"rdf_difference_{name}": max(
            float(np.max(np.abs(counts - theirs[pair]) / race.ideal[pair] / frames)) for pair, counts in ours.items()
        )
    }


# --- A long trajectory ---------------------------------------------------------------------------------


def walk(topology: Topology, positions: np.ndarray, edges: np.ndarray, seed: int = 1) -> Iterator[np.ndarray]:
    """Yield frames (N, 3), without end, of a liquid in which like ions that are neighbours change places; none leaves its path."""
    rng, near = np.random.default_rng(seed), 6
    kind, centres = np.unique(topology.molecule_ion, return_inverse=True)[1], topology.centres(positions)
    way = centres[None] - centres[:, None]
    image = np.rint(way / edges)
    far = np.where(
        (kind[:, None] == kind) & ~np.eye(len(kind), dtype=bool), np.linalg.norm(way - image * edges, axis=2), np.inf
    )
    neighbours = np.argsort(far, axis=1)[:, :near]
    site = np.arange(len(kind))  # where each ion is, in the packed liquid
    holder = site.copy()  # which ion is there
    shift = np.zeros((len(kind), 3))  # of each ion, in edges
    within = np.arange(len(topology)) - topology.starts[topology.molecule]
    while True:
        for one in rng.integers(0, len(kind), rng.poisson(SWAPS * len(kind))):
            here = site[one]
            there = neighbours[here, rng.integers(near)]
            other = holder[there]
            shift[one] -= image[here, there]
            shift[other] += image[here, there]
            site[one], site[other], holder[here], holder[there] = there, here, other, one
        moved = shift * edges + RATTLE_A * rng.standard_normal((len(kind), 3))
        yield positions[topology.starts[site][topology.molecule] + within] + moved[topology.molecule]


def write(folder: Path, mb: float, across: int) -> None:
    """Write the run folder and the model folder of a trajectory of so many MB; runs in the environment of the pipeline's scripts."""
    import polars as pl
    from ase import Atoms

    from ionmelt import files
    from ionmelt.dynamics import thermo, trajectory
    from ionmelt.frames import selection
    from ionmelt.measure import domain

    topology, positions, edges = whole_box(folder, across)
    run, model = folder / "run", folder / "model"
    run.mkdir()
    model.mkdir()
    frames = walk(topology, positions, edges)
    written = {"npt": 0, "nvt": 0}
    for phase, most in (("npt", mb / 10), ("nvt", mb)):
        writer = trajectory.Writer(run / f"{phase}.xtc")
        while not written[phase] or (run / f"{phase}.xtc").stat().st_size < 1e6 * most:
            some = np.array([next(frames) for _ in range(AT_ONCE)])
            steps = np.arange(written[phase], written[phase] + AT_ONCE)
            writer.write(some, np.tile(edges, (AT_ONCE, 1)), steps, steps * SAVE_FS / 1000)
            written[phase] += AT_ONCE
        writer.close()
    topology.save(run / "topology.json")
    rng, volume = np.random.default_rng(2), float(np.prod(edges))
    tables = []
    for phase, rows in written.items():
        columns = dict.fromkeys(thermo.THERMO, pl.lit(None)) | {"phase": pl.lit(phase), "step": pl.int_range(rows)}
        columns |= {"time_ps": pl.int_range(rows) * SAVE_FS / 1000, "volume_A3": pl.lit(volume)}
        columns |= {"density_kg_m3": pl.Series(DENSITY_KG_M3 + 3 * rng.standard_normal(rows))}
        columns |= {name: pl.Series(500 * rng.standard_normal(rows)) for name in thermo.PRESSURE}
        tables.append(pl.select(**columns).cast(thermo.THERMO))
    pl.concat(tables).write_parquet(run / "thermo.parquet")
    (run / "run.json").write_text(json.dumps(record(len(topology), written)))
    files.seal(run)
    packed, box = Topology.load(folder / "topology.json"), np.load(folder / "box.npz")
    trained = [
        Atoms(packed.elements.tolist(), x, cell=box["edges"], pbc=True) for x in rattled(packed, box["positions"], 20)
    ]
    for i, frame in enumerate(trained):
        frame.arrays["molecule"], frame.arrays["ion"] = packed.molecule.copy(), packed.ion.copy()
        frame.info = {"group": f"g{i // 5}", "recipe": "equilibrium", "temperature_K": 430.0}
    elements = sorted({int(z) for z in packed.numbers})
    domain.save(domain.envelope(trained, elements, selection.averages(trained, elements)), model / domain.FILE)
    files.seal(model)


def record(atoms: int, frames: dict[str, int]) -> dict[str, Any]:
    """Return run.json of so many frames of each phase."""
    lengths = {phase: count * SAVE_FS / 1000 for phase, count in frames.items()}
    return {
        "id": "melt-430K-r1-m-s1", "liquid": "melt", "temperature_K": 430.0, "pressure_bar": 1.0, "replica": 1, "seed": 1,
        "model": "m", "model_key": "m-s1", "dataset": None, "model_seed": 1, "framework": "mace", "save_every_fs": SAVE_FS,
        "timestep_fs": 1.0, "npt_planned_ps": lengths["npt"], "nvt_planned_ps": lengths["nvt"], "end": "completed",
        "planned_ps": sum(lengths.values()), "survived_ps": sum(lengths.values()), "detail": None, "n_atoms": atoms,
    }  # fmt: skip


def whole(folder: Path, mb: float, across: int, threads: int) -> dict[str, Any]:
    """Return memory and times of MEASURE_LIQUID on a trajectory of so many MB."""
    analysis(__file__, "--write", folder, "--mb", mb, "--across", across)
    trajectory = folder / "run" / "nvt.xtc"
    frames = json.loads((folder / "run" / "run.json").read_text())["nvt_planned_ps"] * 1000 / SAVE_FS
    options = ["--run", folder / "run", "--model", folder / "model", "--threads", threads, "--out", folder / "measures"]
    os.chdir(folder)
    peak_mb, cpu, clock = analysis(TOP / "bin" / "measure_liquid.py", "--id", "long", *options)
    return {
        "trajectory_mb": trajectory.stat().st_size / 1e6, "trajectory_frames": round(frames), "trajectory_atoms": len(Topology.load(folder / "run" / "topology.json")), "threads": threads,
        "peak_memory_mb": peak_mb, "whole_cpu_s": cpu, "whole_s": clock,
    }  # fmt: skip


def main(argv: list[str] | None = None) -> int:
    """Measure, and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=10, help="of the race (default: 10; 0: no race)")
    parser.add_argument("--pairs", type=int, default=5, help="of runs (default: 5)")
    parser.add_argument(
        "--mb", type=float, default=100, help="of the long trajectory (default: 100; 5000: as the goal has it; 0: none)"
    )
    parser.add_argument("--threads", type=int, default=1, help="of MEASURE_LIQUID (default: 1)")
    parser.add_argument(
        "--across", type=int, default=2, help="packed boxes of 514 atoms side by side along each edge (default: 2)"
    )
    parser.add_argument("--build", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--write", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.build:
        build(args.build)
    elif args.write:
        write(args.write, args.mb, args.across)
    else:
        with tempfile.TemporaryDirectory(prefix="ionmelt-measures-") as name, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of MDAnalysis, on a trajectory without a file
            folder = Path(name)
            analysis(__file__, "--build", folder)
            result = race(*whole_box(folder, args.across), args.frames, args.pairs) if args.frames else {}
            result |= whole(folder, args.mb, args.across, args.threads) if args.mb else {}
        rounded = {k: float(f"{v:.4g}") if isinstance(v, float) else v for k, v in result.items()}
        print(json.dumps({"cpu": os.environ.get("BENCHMARK_CPU")} | rounded))
    return 0


if __name__ == "__main__":
    sys.exit(main())
