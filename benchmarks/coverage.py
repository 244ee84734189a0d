#!/usr/bin/env python3
"""Honest errors: how often 95 % intervals cover a known truth, and how often "converged" is wrong.

Synthetic data with a known answer, as the pipeline measures them (ionmelt/measure/series.py, ionmelt/measure/slope.py, ionmelt/compare/verdicts.py).
  diffusion          share of intervals that cover: plain, short-time ballistic, caged and hopping walks, 4 to 64 ions,
                     200 to 5000 frames. Of the converged; diffusion_all counts the others as well
  density            the same for the mean of correlated (first-order autoregressive) series, with and without a transient
  difference         the same for the difference of two models: of one density each, or taken box by box: 2 or 3 boxes that
                     both share, 1 to 3 training seeds, runs with an error of 1 that is known to 30 degrees of freedom;
                     boxes, models and seeds add 0 to 3
  conductivity       the same for the collective walk of independent ions, one walker of 1000 to 8000 frames
  viscosity          the same for the integral of a stress that relaxes exponentially, or in two exponentials
  *_correlated, *_short, *_replicas   the same by class: one long run; one short run; several boxes and training seeds that
                     differ among themselves, combined as in the verdicts (differences: box by box)
  false_converged    share called converged of what is not: subdiffusion, series that drift, or hold < 10 correlation times
  false_unconverged  share called not converged of what is: plain walks and series of > 50 correlation times
  needed_*           share of "needs about N ps" of short runs within a factor of 3 of the length from which 4 in 5 converge
and those of groups of runs, reports and shared mobilities that `benchmarks/run groups --help` explains, and of blocks of real
melts (`benchmarks/run melts --help`; by far the longest).
"""

# environment: analysis
import argparse
import json
import math
import os
import sys
from collections.abc import Callable
from typing import Any

import groups
import melts
import numpy as np
from diffusion import Rng, ballistic, caged, hopping, plain, subdiffusive
from scipy.constants import Boltzmann

from ionmelt.compare import statistics
from ionmelt.measure import series as measure_series
from ionmelt.measure import slope
from ionmelt.measure.observables import viscosity as observables_viscosity

Found = dict[str, Any]  # what was found of one case: class, kind, whether it covers, whether it is converged

LONG = ((500, 16), (1000, 4), (2000, 32), (5000, 8))
SHORT = ((200, 4), (300, 16), (200, 64), (300, 8))
WALKS = (plain, ballistic, caged, hopping)
TRAPPED = [(subdiffusive(x), shape) for x in (0.5, 0.6, 0.7, 0.8)
           for shape in ((200, 4), (500, 16), (1000, 4), (2000, 32))]  # fmt: skip
SERIES = {"correlated": ((2000, 2.0), (2000, 10.0), (5000, 25.0)), "short": ((200, 1.0), (200, 2.5), (500, 5.0))}
# Spread between boxes and between training seeds, in standard errors of one run.
SPREADS = ((0.0, 0.0), (1.0, 1.0), (3.0, 0.0), (0.0, 3.0), (2.0, 2.0))


def case(kind: str, what: str, interval: tuple[float, float], true: float, converged: bool, **more: Any) -> Found:
    """Return one case."""
    return {"class": kind, "kind": what, "covers": interval[0] <= true <= interval[1], "converged": converged} | more


def diffusion(rng: Rng, cases: int) -> list[Found]:
    """Return what was found of walks with D = 0.5: `cases` of each kind in each class."""
    rows = []
    for walk in WALKS:
        for kind, shapes in (("correlated", LONG), ("short", SHORT)):
            for i in range(cases if kind == "correlated" else 2 * cases):  # half of the short ones say "not converged"
                shape = shapes[i % len(shapes)]
                d = slope.diffusion(walk(rng, *shape), 1.0)
                what = f"{walk.__name__} {shape[0]} x {shape[1]}"
                rows.append(case(kind, what, (d.ci95_low, d.ci95_high), 0.5, d.converged, plain=walk is plain))
        for _ in range(2 * cases if walk in (plain, hopping) else 0):  # two boxes, two seeds, each with a D of its own
            spread = 0.1 * rng.permutation([0.0, 1.0])
            boxes, seeds = spread[0] * rng.normal(size=2), spread[1] * rng.normal(size=2)
            runs, labels = [], [(seed, box) for seed in range(2) for box in range(2)]
            for seed, box in labels:
                factor = max(1 + boxes[box] + seeds[seed], 0.2)
                runs.append(slope.diffusion(walk(rng, 500, 16) * math.sqrt(factor), 1.0))
            errors = [(d.ci95_high - d.ci95_low) / (2 * statistics.Z95) for d in runs]
            both = statistics.combine([d.D for d in runs], errors, list(zip(*labels, strict=True)))
            rows.append(case("replicas", walk.__name__, both.interval(), 0.5, all(d.converged for d in runs)))
    return rows


def trapped(rng: Rng, cases: int) -> list[bool]:
    """Return which subdiffusive walks are called converged."""
    return [slope.diffusion(walk(rng, *shape), 1.0).converged for walk, shape in TRAPPED for _ in range(cases)]


def density(rng: Rng, cases: int) -> list[Found]:
    """Return what was found of series with mean 0, with and without a transient, and of means of several runs."""
    rows = []
    for kind, series in SERIES.items():
        for n, tau in series:
            for transient in (0.0, 5.0):
                decay = transient * np.exp(-np.arange(n) / (0.03 * n))
                for x in groups.relaxing(rng, tau, n, cases).T:
                    e = measure_series.series_mean(x + decay)
                    what = f"{n} samples, {n / tau:.0f} times, transient {transient:g}"
                    more = {"estimate": e, "transient": transient, "times": n / tau}
                    rows.append(case(kind, what, e.interval, 0.0, e.converged, **more))
    for box_spread, seed_spread in SPREADS:
        for _ in range(cases):
            runs = study(rng, box_spread, seed_spread)
            factors = [runs.seeds, runs.replicas]
            both = statistics.combine(runs.values, runs.standard_errors, factors, runs.dofs)
            rows.append(case("replicas", f"boxes {box_spread:g}, seeds {seed_spread:g}", both.interval(), 0.0, True))
    return rows


def study(rng: Rng, box_spread: float, seed_spread: float, n: int = 400) -> statistics.Runs:
    """Return the densities of 4 boxes x 3 training seeds around 0; spreads in standard errors of one run."""
    error = math.sqrt((1 + math.exp(-0.5)) / (1 - math.exp(-0.5)) / n)
    boxes = rng.normal(size=4)
    seeds = rng.normal(size=3) * seed_spread * error
    labels = [(seed, box) for seed in range(3) for box in range(4)]
    noise = groups.relaxing(rng, 2.0, n, len(labels)).T
    means = [
        measure_series.series_mean(x + seeds[seed] + boxes[box] * box_spread * error)
        for x, (seed, box) in zip(noise, labels, strict=True)
    ]
    seed_of, box_of = zip(*labels, strict=True)
    dofs = [e.n_effective - 1 for e in means]
    return statistics.Runs([e.mean for e in means], [e.standard_error for e in means], seed_of, box_of, dofs)


SHAPES = ((2, 1, 1), (2, 2, 2), (2, 3, 1), (3, 1, 1), (3, 2, 2), (3, 3, 1), (3, 3, 3))  # boxes, seeds of a, of b
PAIR_SPREADS = [(box, run_spread, seed) for box in (0.0, 3.0) for run_spread in (0.0, 1.0, 2.0) for seed in (0.0, 2.0)]


def paired(rng: Rng, cases: int) -> list[Found]:
    """Return whether paired intervals cover 0: what a box adds to both models cancels, what it adds to one does not."""
    rows = []
    for shape in SHAPES:
        for box, run_spread, of_seed in PAIR_SPREADS:
            for _ in range(cases):
                shared = rng.normal(0, box, shape[0])
                a, b = (model_runs(rng, shared, seeds, run_spread, of_seed) for seeds in shape[1:])
                both = statistics.paired(a, b)
                assert both is not None  # there are two boxes or more
                what = f"{shape[0]} boxes, {shape[1]} and {shape[2]} seeds, {'apart' if run_spread else 'alike'}"
                rows.append(case("replicas", what, both[0].interval(), 0.0, True, differ=run_spread > 0))
    return rows


def model_runs(rng: Rng, shared: np.ndarray, seeds: int, run_spread: float, of_seed: float) -> statistics.Runs:
    """Return the runs of a model whose true value is 0, one for each seed and box."""
    boxes = len(shared)
    training = rng.normal(0, of_seed, (seeds, 1)) if seeds > 1 else 0.0  # one seed: the truth is that of this seed
    values = shared + rng.normal(0, run_spread, boxes) + training + rng.normal(size=(seeds, boxes))
    errors = np.sqrt(rng.chisquare(30, values.shape) / 30)
    places = [(s, r) for s in range(seeds) for r in range(boxes)]
    return statistics.Runs(
        [float(values[p]) for p in places], [float(errors[p]) for p in places],
        [s for s, _ in places], [r for _, r in places], [30.0] * len(places),
    )  # fmt: skip


def difference(rng: Rng, rows: list[Found], cases: int) -> list[Found]:
    """Return what was found of differences of two densities: of one run each, and box by box."""
    result = []
    for kind in SERIES:
        some = [row for row in rows if row["class"] == kind]
        for first, second in zip(some, rng.permutation(np.array(some, dtype=object)), strict=True):
            a, b = (statistics.Estimate(r["estimate"].mean, r["estimate"].standard_error, r["estimate"].n_effective - 1)
                    for r in (first, second))  # fmt: skip
            if first is second or math.isnan(a.standard_error) or math.isnan(b.standard_error):
                continue
            interval = statistics.difference(a, b).interval()
            result.append(case(kind, "one run each", interval, 0.0, first["converged"] and second["converged"]))
    result += paired(rng, max(cases // 4, 1))
    return result


def conductivity(rng: Rng, cases: int) -> list[Found]:
    """Return what was found of the collective walk of ions that move independently: sigma = 0.5 in these units."""
    rows = []
    for kind, lengths in (("correlated", (4000, 8000)), ("short", (500, 1000))):
        for walk in (plain, ballistic, caged):
            for i in range(cases):
                frames = lengths[i % 2]
                d = slope.diffusion(walk(rng, frames, 1), 1.0)
                interval = (d.ci95_low, d.ci95_high)
                rows.append(case(kind, f"{walk.__name__} {frames}", interval, 0.5, d.converged))
    return rows


def stress(rng: Rng, n: int, times: tuple[float, ...]) -> tuple[np.ndarray, float]:
    """Return a pressure tensor (n, 6) of unit variance shared among relaxation times, and its Green-Kubo integral."""
    five = sum((groups.relaxing(rng, tau, n, 5) for tau in times), start=np.zeros((n, 5))) / math.sqrt(len(times))
    decays = [math.exp(-1 / tau) for tau in times]
    integral = sum(0.5 * (1 + a) / (1 - a) for a in decays) / len(times)
    zz = five[:, 4] * math.sqrt(12) / 3
    trace = groups.relaxing(rng, 3.0, n)  # the pressure itself, which must not matter
    xx, yy = five[:, 3] - zz / 2, -five[:, 3] - zz / 2
    return np.column_stack([xx + trace, yy + trace, zz + trace, five[:, 0], five[:, 1], five[:, 2]]), integral


def viscosity(rng: Rng, cases: int) -> list[Found]:
    """Return what was found of stresses with a known integral."""
    rows = []
    kelvin, volume = (
        1 / Boltzmann,
        1 / observables_viscosity.BAR_PA**2,
    )  # so that the viscosity is the integral
    for kind, times, n in (
        ("correlated", (5.0,), 10_000), ("correlated", (20.0,), 20_000), ("correlated", (2.0, 15.0), 20_000),
        ("short", (5.0,), 1500), ("short", (20.0,), 4000),
    ):  # fmt: skip
        for _ in range(cases):
            pressure, true = stress(rng, n, times)
            d = observables_viscosity.viscosity(pressure, 1.0, volume, kelvin)
            rows.append(case(kind, f"{n} samples, times {times}", (d.ci95_low, d.ci95_high), true, d.converged))
    return rows


def bad_series(rng: Rng, cases: int) -> list[bool]:
    """Return which series that drift, or hold fewer than 10 correlation times, are called converged."""
    drifting = [x + np.linspace(0, 3, 500) for x in groups.relaxing(rng, 2.0, 500, cases).T]
    return [measure_series.series_mean(x).converged for x in [*drifting, *groups.relaxing(rng, 60.0, 500, cases).T]]


def length_that_converges(make: Callable[[int], Any], measure: Callable[[Any], Any], first: int, cases: int) -> int:
    """Return the shortest length, in steps of a quarter, of which 4 in 5 runs converge."""
    n = first
    while np.mean([measure(make(n)).converged for _ in range(cases)]) < 0.8:
        n = round(1.25 * n)
    return n


def needed(rng: Rng, cases: int) -> dict[str, float]:
    """Return which share of "needs about N" is right within a factor of 3, for runs of a third and a sixth of it."""
    result = {}
    for name, makers, measure in (
        ("density", [(lambda n, tau=tau: groups.relaxing(rng, tau, n), 100) for tau in (3.0, 20.0)], measure_series.series_mean),
        ("diffusion", [(lambda n: ballistic(rng, n, 16), 60), (lambda n: caged(rng, n, 8), 80)],
         lambda x: slope.diffusion(x, 1.0)),
        ("conductivity", [(lambda n: ballistic(rng, n, 1), 200)], lambda x: slope.diffusion(x, 1.0)),
    ):  # fmt: skip
        right = []
        for make, first in makers:
            enough = length_that_converges(make, measure, first, 60)
            for divisor in (3, 6):
                estimates = [measure(make(enough // divisor)) for _ in range(cases)]
                said = [e.needed for e in estimates if not e.converged]
                right += [enough / 3 <= n <= 3 * enough for n in said]  # nothing said counts as wrong
        result[f"needed_{name}"] = share(right)
    return result


def share(values: list[bool]) -> float:
    """Return the share of true values."""
    return round(float(np.mean(values)), 4) if len(values) else math.nan


def main(argv: list[str] | None = None) -> int:
    """Measure, and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=170, help="of each kind (default: 170)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="+", choices=PARTS, help="of these alone (default: all)")
    args = parser.parse_args(argv)
    figures = measure(args.seed, args.cases, args.only or list(PARTS))
    print(json.dumps({"cpu": os.environ.get("BENCHMARK_CPU")} | figures))
    return 0


QUANTITIES = ("diffusion", "density", "difference", "conductivity", "viscosity")
PARTS = (*QUANTITIES, "needed", "groups", "melts")


def measure(seed: int, cases: int, only: list[str]) -> dict[str, Any]:
    """Return the figures, and print those of each kind of data."""
    streams = dict(zip([*QUANTITIES, "bad", "needed"], np.random.default_rng(seed).spawn(7), strict=True))
    rows: dict[str, list[Found]] = {}
    false_converged: dict[str, list[bool]] = {}
    if "diffusion" in only:
        rows["diffusion"] = diffusion(streams["diffusion"], cases)
        false_converged["diffusion"] = trapped(streams["bad"], max(cases // 4, 1))
    if {"density", "difference"} & set(only):
        rows["density"] = density(streams["density"], cases)
        false_converged["density"] = bad_series(streams["bad"], 2 * cases)
    if "difference" in only:
        rows["difference"] = difference(streams["difference"], rows["density"], cases)
    if "conductivity" in only:
        rows["conductivity"] = conductivity(streams["conductivity"], cases)
    if "viscosity" in only:
        rows["viscosity"] = viscosity(streams["viscosity"], cases)
    result: dict[str, Any] = {"cases": sum(map(len, [*rows.values(), *false_converged.values()]))}
    for name, found_rows in rows.items():
        kept = [row for row in found_rows if row["converged"]]
        result[name] = share([row["covers"] for row in kept])
        result[f"{name}_all"] = share([row["covers"] for row in found_rows])
        result[f"{name}_converged"] = share([row["converged"] for row in found_rows])
        if name == "difference":
            apart = [row["covers"] for row in kept if row["kind"] == "one run each"]
            result["difference_independent"] = share(apart)
        for kind in dict.fromkeys(row["class"] for row in found_rows):
            result[f"{name}_{kind}"] = share([row["covers"] for row in kept if row["class"] == kind])
            result[f"{name}_{kind}_all"] = share([row["covers"] for row in found_rows if row["class"] == kind])
            result[f"{name}_{kind}_cases"] = sum(row["class"] == kind for row in kept)
        for kind, what in dict.fromkeys((row["class"], row["kind"]) for row in found_rows):
            some = [row for row in found_rows if (row["class"], row["kind"]) == (kind, what)]
            covers = [row["covers"] for row in some if row["converged"]]
            print(f"{name:12s} {kind:10s} {what:40s} {share(covers):6.3f} of {len(covers):4d} converged,"
                  f" {share([row['covers'] for row in some]):.3f} of all {len(some)}")  # fmt: skip
    if false_converged:
        result["false_converged"] = share([x for some in false_converged.values() for x in some])
        result |= {f"false_converged_{name}": share(some) for name, some in false_converged.items()}
    fine = {
        "diffusion": [r for r in rows.get("diffusion", []) if r.get("plain") and r["class"] == "correlated"],
        "density": [r for r in rows.get("density", []) if r.get("transient") == 0 and r["times"] > 50],
    }
    if any(fine.values()):
        result["false_unconverged"] = share([not row["converged"] for some in fine.values() for row in some])
        result |= {
            f"false_unconverged_{n}": share([not r["converged"] for r in some]) for n, some in fine.items() if some
        }
    if "needed" in only:
        result |= needed(streams["needed"], max(cases // 4, 10))
    if "groups" in only:
        result |= groups.figures(seed, cases)
    if "melts" in only:
        result |= melts.figures(2000, 50, 32)
    return result


if __name__ == "__main__":
    sys.exit(main())
