#!/usr/bin/env python3
"""Diffusion coefficients beside kinisi's: how often 95 % intervals hold the truth, how wide they are, what they take.

Both get the same walks with D = 0.5: plain, short-time ballistic, caged and hopping, of several sizes. kinisi (McCluskey and others)
does not choose where a fit begins: it is told from which lag each kind of walk is known to be diffusive, which is not told to the other,
and gets as many lags as --lags says, evenly spread over the series (0: all, as by default; its time grows as their square).
  ratio_kinisi       time of kinisi, displacements and fit, over that of ionmelt.measure.slope, in the median of the series
  coverage_ours      share of the intervals called converged that hold D; converged_ours: share of the series
  coverage_kinisi    share of all 95 % credible intervals (2.5 to 97.5 % of its samples of D); coverage_kinisi_converged: of the
                     series called converged by ours, on which coverage_ours is
  width_ours, width_kinisi   their median widths over D, on the series called converged
  *_plain, ... of each kind of walk
kinisi is null and named in `missing` where it is not installed.
"""

import argparse
import importlib.util
import json
import math
import os
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import signal

from ionmelt.measure import slope

Rng = np.random.Generator
Walk = Callable[[Rng, int, int], np.ndarray]
Interval = tuple[float, float]
D = 0.5
BOX = 1000.0  # far wider than any step: kinisi unwraps walks again


def relaxing(rng: Rng, tau: float, *shape: int) -> np.ndarray:
    """Return stationary Gaussian series of unit variance along axis 0 that forget in ``tau`` samples."""
    a, lead = math.exp(-1 / tau), math.ceil(12 * tau)
    noise = rng.normal(size=(shape[0] + lead, *shape[1:])) * math.sqrt(1 - a * a)
    return signal.lfilter([1], [1, -a], noise, axis=0)[lead:]


def plain(rng: Rng, frames: int, ions: int) -> np.ndarray:
    """Return walks with D = 0.5."""
    return rng.normal(size=(frames, ions, 3)).cumsum(axis=0)


def ballistic(rng: Rng, frames: int, ions: int) -> np.ndarray:
    """Return walks with D = 0.5 whose velocities live for 2 frames."""
    a = math.exp(-1 / 2)
    return relaxing(rng, 2, frames, ions, 3).cumsum(axis=0) * math.sqrt((1 - a) / (1 + a))


def caged(rng: Rng, frames: int, ions: int) -> np.ndarray:
    """Return walks with D = 0.5 that rattle by as much as two steps, relaxing in 5 frames."""
    return plain(rng, frames, ions) + math.sqrt(2) * relaxing(rng, 5, frames, ions, 3)


def hopping(rng: Rng, frames: int, ions: int) -> np.ndarray:
    """Return walks with D = 0.5 of rare jumps, every third frame, and a rattle that relaxes in 3 frames."""
    jumps = np.sqrt(rng.poisson(1 / 3, (frames, ions, 1)) * 3) * rng.normal(size=(frames, ions, 3))
    return jumps.cumsum(axis=0) + 0.5 * relaxing(rng, 3, frames, ions, 3)


def subdiffusive(exponent: float) -> Walk:
    """Return a maker of fractional Brownian walks, MSD ~ t^exponent, by circulant embedding."""

    def walk(rng: Rng, frames: int, ions: int) -> np.ndarray:
        t = np.arange(frames + 1.0)
        covariance = ((t + 1) ** exponent + np.abs(t - 1) ** exponent - 2 * t**exponent) / 2
        spectrum = np.fft.fft(np.concatenate([covariance, covariance[-2:0:-1]])).real.clip(0)
        noise = rng.normal(size=(2, len(spectrum), 3 * ions))
        steps = np.fft.fft(np.sqrt(spectrum / len(spectrum))[:, None] * (noise[0] + 1j * noise[1]), axis=0).real
        return steps[:frames].cumsum(axis=0).reshape(frames, ions, 3)

    return walk


# Each kind with the lag (frames) from which it is diffusive: four times what it remembers
WALKS: tuple[tuple[Walk, int], ...] = ((plain, 1), (ballistic, 8), (caged, 20), (hopping, 12))
SHAPES = ((200, 64), (300, 16), (500, 16), (1000, 4))


def ours(walk: np.ndarray) -> tuple[Interval, bool]:
    """Return the interval, and whether it is called converged."""
    d = slope.diffusion(walk, 1.0)
    return (d.ci95_low, d.ci95_high), d.converged


def kinisi(walk: np.ndarray, start: int, lags: int, seed: int) -> Interval:
    """Return the credible interval of a walk that is diffusive from a lag on."""
    import MDAnalysis
    import scipp as sc
    from kinisi.analyze import DiffusionAnalyzer

    frames, ions = walk.shape[:2]
    universe = MDAnalysis.Universe.empty(ions, trajectory=True)
    universe.add_TopologyAttr("type", ["X"] * ions)
    edges = np.tile([BOX, BOX, BOX, 90.0, 90.0, 90.0], (frames, 1))
    universe.load_new((walk % BOX).astype(np.float32), order="fac", dimensions=edges)
    ps = sc.scalar(1.0, unit="ps")
    chosen = None
    if lags and lags < frames:
        even = np.unique(np.rint(np.linspace(start, frames - 1, lags)))
        chosen = sc.array(dims=["time interval"], values=even, unit="ps")
    analysis = DiffusionAnalyzer.from_universe(
        universe, specie="X", time_step=ps, step_skip=sc.scalar(1), dt=chosen, progress=False
    )
    draws = np.random.RandomState(seed)
    analysis.diffusion(sc.scalar(float(start), unit="ps"), progress=False, random_state=draws)
    to_frames = 1e4  # 1 cm2/s is 1e4 A2/ps
    low, high = np.percentile(to_frames * np.asarray(analysis.D.values), [2.5, 97.5])
    return float(low), float(high)


def timed(function: Callable[[], Any]) -> tuple[float, Any]:
    """Return the processor time in s, and the result."""
    start = time.process_time()
    result = function()
    return time.process_time() - start, result


def holds(interval: Interval) -> bool:
    """Tell whether an interval holds the truth."""
    return interval[0] <= D <= interval[1]


def series(args: argparse.Namespace, has_peer: bool) -> list[dict[str, Any]]:
    """Return what both say of each walk."""
    rng, rows = np.random.default_rng(args.seed), []
    if has_peer:
        kinisi(plain(rng, 50, 4), 1, 10, 0)  # its imports are not timed
    for walk, start in WALKS:
        for i in range(args.cases):
            shape = SHAPES[i % len(SHAPES)]
            made = walk(rng, *shape)
            seconds, (interval, converged) = timed(lambda made=made: ours(made))
            row: dict[str, Any] = {"kind": walk.__name__, "ours": interval, "converged": converged, "ours_s": seconds}
            if has_peer:
                call = lambda made=made, start=start, i=i: kinisi(made, start, args.lags, i)  # noqa: E731
                row["kinisi_s"], row["kinisi"] = timed(call)
            rows.append(row)
            print(f"{walk.__name__} {shape[0]} x {shape[1]}: {row}", flush=True)
    return rows


def share(values: list[bool]) -> float | None:
    """Return the share of true values, None of none."""
    return round(float(np.mean(values)), 4) if values else None


def median(values: list[float]) -> float | None:
    """Return the median to four digits, None of none."""
    return float(f"{np.median(values):.4g}") if values else None


def figures(rows: list[dict[str, Any]], has_peer: bool) -> dict[str, Any]:
    """Return the figures of the series."""
    good = [row for row in rows if row["converged"]]
    result: dict[str, Any] = {
        "coverage_ours": share([holds(row["ours"]) for row in good]),
        "converged_ours": share([row["converged"] for row in rows]),
        "width_ours": median([(row["ours"][1] - row["ours"][0]) / D for row in good]),
        "time_ours_s": median([row["ours_s"] for row in rows]),
    }
    if not has_peer:
        names = ("coverage_kinisi", "coverage_kinisi_converged", "width_kinisi", "time_kinisi_s", "ratio_kinisi")
        return result | dict.fromkeys(names)
    return result | {
        "coverage_kinisi": share([holds(row["kinisi"]) for row in rows]),
        "coverage_kinisi_converged": share([holds(row["kinisi"]) for row in good]),
        "width_kinisi": median([(row["kinisi"][1] - row["kinisi"][0]) / D for row in good]),
        "time_kinisi_s": median([row["kinisi_s"] for row in rows]),
        "ratio_kinisi": median([row["kinisi_s"] / max(row["ours_s"], 1e-6) for row in rows]),
    }


def main(argv: list[str] | None = None) -> int:
    """Measure, and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=100, help="of each kind of walk (default: 100)")
    parser.add_argument("--lags", type=int, default=50, help="that kinisi gets (default: 50; 0: all)")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args(argv)
    has_peer = importlib.util.find_spec("kinisi") is not None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of MDAnalysis, on a trajectory without a file
        rows = series(args, has_peer)
    result: dict[str, Any] = {"cpu": os.environ.get("BENCHMARK_CPU"), "cases": len(rows), "lags": args.lags}
    result |= figures(rows, has_peer)
    for walk, _ in WALKS:
        some = figures([row for row in rows if row["kind"] == walk.__name__], has_peer)
        result |= {
            f"{name}_{walk.__name__}": some[name]
            for name in ("coverage_ours", "coverage_kinisi", "coverage_kinisi_converged")
        }
    print(json.dumps(result | {"missing": [] if has_peer else ["kinisi"]}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
