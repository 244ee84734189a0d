#!/usr/bin/env python3
"""How cost grows: processor time against atoms, frames, ions and runs, each with the exponent of the power law through its points.

One thread, small cases, no start-up of Python; a second time through each case where it is short, the shorter one counts.
  md_atoms          a step of the engine that RUN_MD takes for MACE on a CPU (random weights), against atoms of LiF
  training_frames   40 epochs of a small MACE less the start-up, against frames
  labels_frames     labels of LiF by GFN1-xTB, against frames
  labels_atoms      a label, against atoms
  measures_frames   the diffusion coefficient of 32 ions, against frames of the trajectory
  measures_ions     distributions, structure factor and contacts of 8 frames at one density, against ions
  report_runs       COMPARE_MODELS with its report, against runs: models x boxes x seeds
Each holds its sizes, the seconds, and the exponent; --draw FILE writes them as a picture. --smallest takes the two smallest sizes of each.
"""
# environment: analysis

import argparse
import importlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from md import TOP, call, environment

sys.path.insert(0, str(TOP / "tests"))  # for the made-up study and the tiny training
Point = tuple[int, float]
EPOCHS = 40


def cpu_s(function: Callable[[], object]) -> float:
    """Return the processor time (s) of a function, once more where that is short."""
    times: list[float] = []
    while not times or (sum(times) < 0.5 and len(times) < 3):
        start = time.process_time()
        function()
        times.append(time.process_time() - start)
    return min(times)


def with_children_s() -> float:
    """Return the processor time (s) of this process and of all that it has started and waited for."""
    return sum(os.times()[:4])


def salt(atoms: int, seed: int = 1) -> Any:
    """Return a rattled column of LiF, 4 x 4 atoms across."""
    from ase import Atoms

    grid = np.array(list(np.ndindex(4, 4, atoms // 16)))
    positions = 2.05 * grid + np.random.default_rng(seed).normal(scale=0.05, size=grid.shape)
    return Atoms(
        np.where(grid.sum(axis=1) % 2, "F", "Li"), positions, cell=2.05 * np.array([4, 4, atoms // 16]), pbc=True
    )


def md_atoms(sizes: list[int]) -> Iterator[Point]:
    """Yield the times of a step."""
    from mace_models import calculator_of

    calculator = calculator_of("8x0e+8x1o")
    compiled = importlib.import_module("ionmelt.dynamics.engines.compiled")  # after MACE, which prepares e3nn
    for atoms in sizes:
        frame = salt(atoms)
        engine = compiled.make("compiled", calculator, Path(), frame)
        engine.compute([(frame.positions, frame.cell.array)], [0])  # neighbours, and what is compiled
        yield atoms, cpu_s(lambda: engine.compute([(frame.positions + 1e-3, frame.cell.array)], [0]))  # noqa: B023


def training_frames(sizes: list[int]) -> Iterator[Point]:
    """Yield the times of trainings, with the processes that they start, less that of a single epoch, which is start-up."""
    import tiny_training

    from ionmelt.models import train

    start_up = 0.0
    for frames, epochs in [(sizes[0], 1), *((size, EPOCHS) for size in sizes)]:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            split = tiny_training.make_dataset(folder, frames)
            tiny_training.write_settings(folder / "settings.json", tiny_training.MACE | {"epochs": epochs})
            os.chdir(folder)
            began = with_children_s()
            if train.main(tiny_training.arguments(folder, split)):
                raise SystemExit("the training failed")
            took, start_up = with_children_s() - began, start_up or with_children_s() - began
            os.chdir("/")
        if epochs > 1:
            yield frames, took - start_up


def xtb() -> Any:
    """Return the engine of GFN1-xTB, cold for each label."""
    from ionmelt.labels import engines

    row = engines.ENGINES["xtb"]
    settings = row.settings.model_validate(
        {"engine": "xtb", "method": "GFN1-xTB", "accuracy": 1.0, "max_iterations": 250}
    )
    return importlib.import_module(row.module).Engine(settings, 1)


def labels_frames(sizes: list[int]) -> Iterator[Point]:
    """Yield the times of labels of 32 atoms."""
    engine = xtb()
    engine.label(salt(32), cold=True)
    for frames in sizes:
        yield frames, cpu_s(lambda: [engine.label(salt(32, seed), cold=True) for seed in range(frames)])  # noqa: B023


def labels_atoms(sizes: list[int]) -> Iterator[Point]:
    """Yield the times of a label."""
    engine = xtb()
    engine.label(salt(sizes[0]), cold=True)
    for atoms in sizes:
        yield atoms, cpu_s(lambda: engine.label(salt(atoms), cold=True))  # noqa: B023


def measures_frames(sizes: list[int]) -> Iterator[Point]:
    """Yield the times of a diffusion coefficient."""
    from ionmelt.measure import slope

    for frames in sizes:
        walk = np.random.default_rng(1).normal(size=(frames, 32, 3)).cumsum(axis=0)
        yield frames, cpu_s(lambda: slope.diffusion(walk, 1.0))  # noqa: B023


def measures_ions(sizes: list[int]) -> Iterator[Point]:
    """Yield the times of distributions and contacts."""
    from ionmelt.measure.contacts import Contacts
    from ionmelt.measure.structure import Distributions
    from ionmelt.topology import Topology

    common = {"smiles": "", "types": None, "bonds": []}
    for ions in sizes:
        kinds = (("Li", 1, 6.94), ("F", -1, 19.0))
        topology = Topology(
            "lif", [common | {"name": e, "charge": q, "count": ions // 2, "elements": [e], "masses_u": [m]} for e, q, m in kinds]
        )  # fmt: skip
        edges = np.full((8, 3), (ions * 20.0) ** (1 / 3))
        x = np.random.default_rng(1).uniform(size=(8, ions, 3)) * edges[:, None]
        li, f = (np.flatnonzero(topology.elements == e) for e in ("Li", "F"))

        def measure() -> None:
            Distributions(topology, edges[0], float(edges.min()), 1).add(x, edges)  # noqa: B023
            Contacts("li-f", li, f, np.full(len(f), 2.8), np.arange(len(f)), False).add(x, edges)  # noqa: B023

        yield ions, cpu_s(measure)


def report_runs(sizes: list[int]) -> Iterator[Point]:
    """Yield the times of the comparison of the made-up study of the tests with so many seeds, against its runs."""
    from known_study import write_study

    from ionmelt.compare import run

    for number, seeds in enumerate([sizes[0], *sizes]):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            arguments = write_study(folder / "in", seeds=range(1, seeds + 1))
            os.chdir(folder)
            start = time.process_time()
            if run.main([*arguments, "--outdir", str(folder / "out")]):
                raise SystemExit("the comparison failed")
            if number:
                yield len(list((folder / "in" / "runs").iterdir())), time.process_time() - start
            os.chdir("/")


# Each with its environment, what it grows with, and its sizes (of the report: seeds)
SERIES: dict[str, tuple[Callable[[list[int]], Iterator[Point]], str, str, list[int]]] = {
    "md_atoms": (md_atoms, "mace", "atoms", [128, 256, 512, 1024]),
    "training_frames": (training_frames, "mace", "frames", [32, 64, 128]),
    "labels_frames": (labels_frames, "analysis", "frames", [2, 4, 8]),
    "labels_atoms": (labels_atoms, "analysis", "atoms", [32, 64, 128]),
    "measures_frames": (measures_frames, "analysis", "frames", [1000, 4000, 16000]),
    "measures_ions": (measures_ions, "analysis", "ions", [250, 1000, 4000]),
    "report_runs": (report_runs, "analysis", "runs", [3, 6, 12]),
}


def exponent(points: list[Point]) -> float:
    """Return the exponent of the power law through some points."""
    sizes, seconds = np.log(np.array(points, dtype=float)).T
    return float(np.polyfit(sizes, seconds, 1)[0])


WIDTH, HEIGHT, LEFT, TOP_EDGE, ACROSS, DOWN, COLUMNS = 150, 110, 56, 40, 235, 190, 4


def panel(name: str, series: dict[str, Any], x: float, y: float) -> str:
    """Return the drawing of a series, both axes logarithmic, its corner at x and y."""
    sizes, seconds = (np.log(np.array(series[key], dtype=float)) for key in ("sizes", "seconds"))
    across = x + WIDTH * (0.06 + 0.88 * (sizes - sizes[0]) / (sizes[-1] - sizes[0]))
    span = max(float(np.ptp(seconds)), 0.1)
    up = y + HEIGHT * (0.92 - 0.84 * (seconds - seconds.min()) / span)
    marks = "".join(
        f'<circle cx="{a:.1f}" cy="{b:.1f}" r="4" fill="#2f6db3"/>' for a, b in zip(across, up, strict=True)
    )
    line = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(across, up, strict=True))
    ticks = "".join(
        f'<text x="{a:.1f}" y="{y + HEIGHT + 15}" text-anchor="middle">{size}</text>'
        for a, size in zip(across, series["sizes"], strict=True)
    )
    ticks += "".join(
        f'<text x="{x - 5}" y="{up[i] + 4:.1f}" text-anchor="end">{series["seconds"][i]:.2g} s</text>' for i in (0, -1)
    )
    title = f"{name.replace('_', ', ')}: exponent {series['exponent']:.2f}"
    return (
        f'<text x="{x}" y="{y - 8}" font-weight="600">{title}</text><rect x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" fill="none" '
        f'stroke="#99a"/><polyline points="{line}" fill="none" stroke="#2f6db3" stroke-width="1.5"/>{marks}{ticks}'
        f'<text x="{x + WIDTH / 2}" y="{y + HEIGHT + 30}" text-anchor="middle">{series["of"]}</text>'
    )


def drawing(result: dict[str, Any]) -> str:
    """Return the SVG of all series."""
    names = [name for name in SERIES if name in result]
    width, height = LEFT + min(len(names), COLUMNS) * ACROSS, TOP_EDGE + -(-len(names) // COLUMNS) * DOWN
    panels = [
        panel(name, result[name], LEFT + i % COLUMNS * ACROSS, TOP_EDGE + i // COLUMNS * DOWN)
        for i, name in enumerate(names)
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" role="img" aria-label="Processor time '
        f'against size, both logarithmic">\n<rect width="{width}" height="{height}" rx="8" fill="#fff"/>'
        '<g font-family="system-ui,sans-serif" font-size="11" fill="#1d2733">' + "\n".join(panels) + "</g></svg>\n"
    )


def main() -> None:
    """Measure, and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only", nargs="+", choices=tuple(SERIES), default=list(SERIES), help="these series (default: all)"
    )
    parser.add_argument("--smallest", action="store_true", help="the two smallest sizes of each")
    parser.add_argument("--draw", type=Path, help="file of the picture")
    parser.add_argument("--series", nargs="+", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.series:
        name, *sizes = args.series
        print(json.dumps(list(SERIES[name][0]([int(size) for size in sizes]))))
        return
    result: dict[str, Any] = {"cpu": os.environ.get("BENCHMARK_CPU")}
    for name in args.only:
        _, where, of, sizes = SERIES[name]
        env = environment(where, 1)
        shown = call(env, TOP, __file__, "--series", name, *(sizes[:2] if args.smallest else sizes))
        points = json.loads(shown.splitlines()[-1])
        result[name] = {
            "of": of,
            "sizes": [size for size, _ in points],
            "seconds": [float(f"{seconds:.4g}") for _, seconds in points],
            "exponent": round(exponent(points), 2),
        }
        print(f"{name}: {result[name]}", file=sys.stderr, flush=True)
    if args.draw:
        args.draw.write_text(drawing(result), encoding="utf-8")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
