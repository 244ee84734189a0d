#!/usr/bin/env python3
"""Honest errors: how often 95 % intervals cover a known truth, and how often "converged" is wrong.

Synthetic data with a known answer, as the pipeline measures them (bin/il_stats.py, bin/il_verdicts.py).
  diffusion          share of intervals that cover: plain, short-time ballistic, caged and hopping walks, 4 to 64 ions,
                     200 to 5000 frames. Of the converged; diffusion_all counts the others as well
  density            the same for the mean of correlated (first-order autoregressive) series, with and without a transient
  difference         share of intervals that cover the difference of two models, taken box by box: 2 or 3 boxes that both
                     share, 1 to 3 training seeds, runs with an error of 1 that is known to 30 degrees of freedom; boxes,
                     models and seeds add 0 to 3. difference_independent: of two densities without a shared box
  false_converged    share called converged of what is not: subdiffusion, series that drift, or hold < 10 correlation times
  false_unconverged  share called not converged of what is: plain walks, series of > 50 correlation times
"""

import argparse
import json
import math
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import signal

import il_stats
import il_verdicts

Rng = np.random.Generator
Walk = Callable[[Rng, int, int], np.ndarray]


def relaxing(rng: Rng, tau: float, *shape: int) -> np.ndarray:
    """Return stationary Gaussian series of unit variance along axis 0 that forget in `tau` samples."""
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


WALKS = [(walk, shape) for walk in (plain, ballistic, caged, hopping)
         for shape in ((200, 4), (200, 64), (500, 16), (1000, 4), (2000, 32), (5000, 8))]  # fmt: skip
TRAPPED = [(subdiffusive(x), shape) for x in (0.5, 0.6, 0.7, 0.8)
           for shape in ((200, 4), (500, 16), (1000, 4), (2000, 32))]  # fmt: skip
SERIES = [(n, tau) for n, tau in ((500, 1.0), (500, 2.5), (2000, 2.0), (2000, 10.0), (5000, 25.0))]


def diffusion(seed: int, cases: int) -> tuple[list[dict[str, Any]], list[bool]]:
    """Return what was found of walks with D = 0.5, and which trapped walks are called converged."""
    rng = np.random.default_rng(seed)
    rows = []
    for walk, shape in WALKS:
        for _ in range(cases):
            d = il_stats.diffusion(walk(rng, *shape), 1.0)
            row = {"walk": walk.__name__, "shape": shape, "converged": d.converged}
            rows.append(row | {"covers": d.ci95_low <= 0.5 <= d.ci95_high})
    trapped = [il_stats.diffusion(w(rng, *s), 1.0).converged for w, s in TRAPPED for _ in range(max(cases // 2, 1))]
    return rows, trapped


def density(seed: int, cases: int) -> tuple[list[dict[str, Any]], list[bool]]:
    """Return what was found of series with mean 0, and which bad series are called converged."""
    rng = np.random.default_rng(seed)
    rows, bad = [], []
    for n, tau in SERIES:
        for transient in (0.0, 5.0):
            decay = transient * np.exp(-np.arange(n) / (0.03 * n))
            for x in relaxing(rng, tau, n, cases).T:
                e = il_stats.series_mean(x + decay)
                low, high = e.interval
                row = {"estimate": e, "transient": transient, "covers": low <= 0 <= high, "converged": e.converged}
                rows.append(row | {"tau": n / tau})
    for x in relaxing(rng, 2.0, 500, cases).T:
        bad.append(il_stats.series_mean(x + np.linspace(0, 3, 500)).converged)
    for x in relaxing(rng, 60.0, 500, cases).T:
        bad.append(il_stats.series_mean(x).converged)
    return rows, bad


def difference(rows: list[dict[str, Any]]) -> list[bool]:
    """Return whether intervals of differences of independent estimates cover 0, as the verdicts take them."""
    good = [row["estimate"] for row in rows if row["converged"]]
    found = [il_verdicts.Estimate(e.mean, e.standard_error, e.n_effective - 1) for e in good]
    half = len(found) // 2  # the second half comes from other series: short against long
    intervals = [il_verdicts.difference(a, b).interval() for a, b in zip(found[:half], found[half:], strict=False)]
    return [low <= 0 <= high for low, high in intervals]


SHAPES = ((2, 1, 1), (2, 2, 2), (2, 3, 1), (3, 1, 1), (3, 2, 2), (3, 3, 1), (3, 3, 3))  # boxes, seeds of a, of b
SPREADS = [(box, own, seed) for box in (0.0, 3.0) for own in (0.0, 1.0, 2.0) for seed in (0.0, 2.0)]


def paired(seed: int, cases: int) -> list[dict[str, Any]]:
    """Return whether paired intervals cover 0: what a box adds to both models cancels, what it adds to one does not."""
    rng = np.random.default_rng(seed)
    rows = []
    for shape in SHAPES:
        for box, own, of_seed in SPREADS:
            for _ in range(cases):
                shared = rng.normal(0, box, shape[0])
                a, b = (model_runs(rng, shared, seeds, own, of_seed) for seeds in shape[1:])
                found = il_verdicts.paired(a, b)
                assert found is not None  # there are two boxes or more
                low, high = found[0].interval()
                rows.append({"shape": shape, "differ": own > 0, "covers": low <= 0 <= high})
    return rows


def model_runs(rng: Rng, shared: np.ndarray, seeds: int, own: float, of_seed: float) -> il_verdicts.Runs:
    """Return the runs of a model whose true value is 0, one for each seed and box."""
    boxes = len(shared)
    training = rng.normal(0, of_seed, (seeds, 1)) if seeds > 1 else 0.0  # one seed: the truth is that of this seed
    values = shared + rng.normal(0, own, boxes) + training + rng.normal(size=(seeds, boxes))
    errors = np.sqrt(rng.chisquare(30, values.shape) / 30)
    places = [(s, r) for s in range(seeds) for r in range(boxes)]
    return il_verdicts.Runs(
        [float(values[p]) for p in places], [float(errors[p]) for p in places],
        [s for s, _ in places], [r for _, r in places], [30.0] * len(places),
    )  # fmt: skip


def share(values: list[bool]) -> float:
    """Return the share of true values."""
    return round(float(np.mean(values)), 4)


def main(argv: list[str] | None = None) -> int:
    """Measure, and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=80, help="walks of each kind and size (default: 80)")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args(argv)
    walks, trapped = diffusion(args.seed, args.cases)
    series, bad = density(args.seed, 2 * args.cases)
    differences = difference(series)
    pairs = paired(args.seed, max(args.cases // 4, 1))
    for shape in SHAPES:
        apart, alike = ([r["covers"] for r in pairs if r["shape"] == shape and r["differ"] == x] for x in (True, False))
        print(f"paired, {shape[0]} boxes, {shape[1]} and {shape[2]} seeds: {share(apart):.3f} where boxes act differently"
              f" on the models, {share(alike):.3f} where not")  # fmt: skip
    for name in dict.fromkeys(row["walk"] for row in walks):
        for shape in dict.fromkeys(row["shape"] for row in walks):
            some = [row for row in walks if (row["walk"], row["shape"]) == (name, shape)]
            kept = [row["covers"] for row in some if row["converged"]]
            covers = f"{share(kept):.3f}" if kept else "    -"
            print(f"{name:10s} {shape[0]:5d} frames {shape[1]:3d} ions: {covers} of {len(kept):3d} converged,"
                  f" {share([row['covers'] for row in some]):.3f} of all {len(some)}")  # fmt: skip
    stationary = [row for row in series if row["transient"] == 0 and row["tau"] > 100]  # tau: n / tau = 2 n_effective
    fine = [not row["converged"] for row in stationary] + [not w["converged"] for w in walks if w["walk"] == "plain"]
    result = {
        "cases": len(walks) + len(trapped) + len(series) + len(bad) + len(pairs),
        "diffusion": share([row["covers"] for row in walks if row["converged"]]),
        "density": share([row["covers"] for row in series if row["converged"]]),
        "difference": share([row["covers"] for row in pairs]),
        "difference_independent": share(differences),
        "false_converged": share(trapped + bad),
        "false_unconverged": share(fine),
        "diffusion_all": share([row["covers"] for row in walks]),
        "density_all": share([row["covers"] for row in series]),
        "diffusion_converged": share([row["converged"] for row in walks]),
        "false_converged_diffusion": share(trapped),
        "false_converged_density": share(bad),
    }
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
