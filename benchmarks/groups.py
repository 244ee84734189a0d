#!/usr/bin/env python3
"""Groups of runs, verdicts and slow liquids: is what is called converged right, and does a report name false winners?

Synthetic data with a known answer, as COMPARE_MODELS judges it (ionmelt/compare/convergence.py, verdicts.py).
  group_converged   nine stationary runs (3 boxes x 3 seeds) of 500 or 2000 samples: share called converged together;
                    single_converged: share of which every run alone is
  group_covers      of those, share whose interval holds the truth
  density_slow      share of intervals that hold the truth, of three boxes from both sides called converged whose variance is by
                    30 % in modes that last a tenth of the run; density_slow_converged: how many are
  transient_passed  groups of 3 boxes, from both sides, with a transient of half a standard deviation as long as the run, that pass
  group_*_diffusion   likewise of the diffusion coefficients of nine runs: group_converged_diffusion, single_converged_diffusion and
                    group_covers_diffusion, of plain, ballistic, caged and hopping walks of 16 ions; group_covers_shallow: of a cage that
                    a single run does not show; group_ageing_passed, group_trapped_passed: groups called converged whose D
                    relaxes from twice itself, or which are subdiffusive, t^0.8
  common_mode       share of converged D that hold the truth: walks whose ions share a mobility that lasts a twentieth to a fifth
                    of the run, and scatters by 50 or 70 %
  ageing_passed     walks whose D relaxes from twice itself with times of a fifth to all of the run: share called converged
  family_false      largest share, over designs and spreads, of reports on identical models that name a winner (2 x 2 to 5 x 3
                    seeds x boxes, spread between seeds up to 5 run errors, between boxes, box by model, unequal errors; a far reference)
  survival_false    largest share, over the same designs and spreads of rates between seeds, of reports on identical models that break
                    (half a break to ten in a planned run) whose survival names a winner; survival_told: share of reports on one
                    framework that always breaks within a tenth of the run and one that never does that name one (3 x 2)
  needed_within_2   of single runs with a tenth of the samples that they would need: share of "needs about N" within a factor of 2
"""

# environment: analysis
import argparse
import json
import math
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from diffusion import Walk, ballistic, caged, hopping, plain, relaxing, subdiffusive

from ionmelt.compare.comparison import comparisons
from ionmelt.compare.convergence import doubts
from ionmelt.compare.displacements import displacements_of, in_common_window
from ionmelt.compare.groups import Group, Reference
from ionmelt.compare.lifetimes import Lifetimes
from ionmelt.compare.runs import Run, run_of
from ionmelt.compare.statistics import Z95, Runs, combine
from ionmelt.compare.survival import with_common_spread
from ionmelt.compare.verdicts import judge
from ionmelt.measure import series, slope
from ionmelt.measure.observables.fits import fit

Rng = np.random.Generator
SIDE = 0.04


def share(values: Iterable[bool]) -> float | None:
    """Return the share of true values, None of none."""
    groups = list(values)
    return round(float(np.mean(groups)), 4) if groups else None


# --- Densities of several boxes -------------------------------------------------------------------------------------


def run(x: np.ndarray, seed: int, replica: int, side: float) -> Run:
    """Return the run whose density is a series, as the tables of COMPARE_MODELS have it."""
    e = series.series_mean(x)
    steady = {} if e.change is None else {
        "halves_t": e.change.halves, "drift_t": e.change.drift, "steady_dof": e.change.dof,
    }  # fmt: skip
    return run_of({
        "value": e.mean, "standard_error": e.standard_error, "dof": e.n_effective - 1, "n_effective": e.n_effective, "seed": seed,
        "replica": replica, "converged": e.converged, "reason": e.reason, "start_volume": 1 + side, "sound": e.sound, **steady,
    })  # fmt: skip


@dataclass(frozen=True)
class Judged:
    """Whether runs are called converged together, whether each alone is, and whether the interval of their mean holds 0."""

    together: bool
    alone: bool
    covers: bool


def density(rng: Rng, n: int, tau: float, seeds: int, boxes: int, slow: float = 0.0, transient: float = 0.0) -> Judged:
    """Return what is said of boxes from both sides; ``slow``: share of the variance that lasts a tenth of the run."""
    runs = []
    decay = transient * np.exp(-np.arange(n) / n)
    for seed in range(seeds):
        for replica, side in enumerate(np.linspace(-SIDE, SIDE, boxes)):
            x = math.sqrt(1 - slow) * relaxing(rng, tau, n) + decay * side / SIDE
            if slow:
                x = x + math.sqrt(slow) * relaxing(rng, n / 10, n)
            runs.append(run(x, seed, replica, float(side)))
    labels = [[one.seed for one in runs], [one.replica for one in runs]]
    mean = combine([one.value for one in runs], [one.standard_error for one in runs], labels, [one.dof for one in runs])
    low, high = mean.interval()
    return Judged(not doubts(runs), all(one.converged for one in runs), low <= 0 <= high)


def densities(rng: Rng, cases: int) -> dict[str, float | None]:
    """Return the figures of groups of densities."""
    good = [density(rng, n, tau, 3, 3) for n, tau in ((500, 5.0), (2000, 10.0)) for _ in range(cases)]
    slow = [density(rng, n, 3.0, 1, 3, slow=0.3) for n in (500, 2000) for _ in range(cases)]
    moving = [density(rng, 1000, 3.0, 1, 3, transient=0.5) for _ in range(cases)]
    return {
        "group_converged": share(one.together for one in good),
        "single_converged": share(one.alone for one in good),
        "group_covers": share(one.covers for one in good if one.together),
        "density_slow": share(one.covers for one in slow if one.together),
        "density_slow_converged": share(one.together for one in slow),
        "transient_passed": share(one.together for one in moving),
    }


# --- Walks ----------------------------------------------------------------------------------------------------------


def mobility(rng: Rng, frames: int, tau: float, spread: float) -> np.ndarray:
    """Return a mobility (frames,) of mean 1 that all ions share: log-normal, lasting ``tau`` frames."""
    return np.exp(spread * relaxing(rng, tau, frames) - spread**2 / 2)


def walks(rng: Rng, cases: int) -> dict[str, float | None]:
    """Return the figures of diffusion coefficients."""
    shared = []
    for frames, ions, spread, tau in (
        (1000, 64, 0.5, 100),
        (1000, 32, 0.7, 100),
        (2000, 32, 0.5, 200),
        (1000, 32, 0.5, 50),
    ):
        for _ in range(cases):
            scale = np.sqrt(mobility(rng, frames, tau, spread))[:, None, None]
            d = slope.diffusion((rng.normal(size=(frames, ions, 3)) * scale).cumsum(axis=0), 1.0)
            if d.converged:
                shared.append(d.ci95_low <= 0.5 <= d.ci95_high)
    passed = []
    for frames, ions, tau in ((1000, 32, 200), (1000, 32, 400), (1000, 32, 1000), (2000, 16, 500), (500, 16, 150)):
        scale = np.sqrt(1 + np.exp(-np.arange(frames) / tau))[:, None, None]
        passed += [
            slope.diffusion((rng.normal(size=(frames, ions, 3)) * scale).cumsum(axis=0), 1.0).converged
            for _ in range(cases)
        ]
    return {"common_mode": share(shared), "ageing_passed": share(passed)}


# --- Diffusion of several boxes -------------------------------------------------------------------------------------


def shallow(rng: Rng, frames: int, ions: int) -> np.ndarray:
    """Return walks with D = 0.5 in a cage as wide as a step, which lasts 20 frames: a single run of few ions does not show it."""
    return plain(rng, frames, ions) + relaxing(rng, 20, frames, ions, 3)


def ageing(rng: Rng, frames: int, ions: int) -> np.ndarray:
    """Return walks whose D relaxes from twice itself, with a time of a fifth to all of the run."""
    scale = 1 + np.exp(-np.arange(frames) / (frames * rng.uniform(0.2, 1)))
    return (rng.normal(size=(frames, ions, 3)) * np.sqrt(scale)[:, None, None]).cumsum(axis=0)


WALKS: tuple[tuple[Walk, tuple[int, int]], ...] = (
    (plain, (200, 16)), (plain, (500, 16)), (ballistic, (500, 16)), (caged, (500, 16)), (hopping, (300, 16)),
)  # fmt: skip
STEP_PS, A2 = 1.0, 1e-20


def diffusion_of_nine(rng: Rng, walk: Walk, shape: tuple[int, int]) -> Judged:
    """Return what is said of the diffusion coefficients of 3 boxes x 3 seeds, which are 0.5 A2/ps, as COMPARE_MODELS has them."""
    runs, seen = [], []
    for seed in range(3):
        for replica, side in enumerate((-SIDE, SIDE, -SIDE / 2)):
            d = slope.diffusion(walk(rng, *shape), STEP_PS * 1e-12).scaled(A2)
            row = {
                "value": d.D, "standard_error": (d.ci95_high - d.ci95_low) / (2 * Z95), "seed": seed, "replica": replica,
                "converged": d.converged, "reason": d.reason, "start_volume": 1 + side, "run_id": "r", "species": "a", **fit(d),
            }  # fmt: skip
            at = d.displacements
            curve = {} if at is None else {("r", "a"): (at.lags * STEP_PS, at.squared, at.frames, at.particles)}
            runs.append(run_of(row))
            seen.append(displacements_of(row, curve))
    alone = all(one.converged for one in runs)
    runs = in_common_window(runs, seen)
    labels = [[one.seed for one in runs], [one.replica for one in runs]]
    mean = combine([one.value for one in runs], [one.standard_error for one in runs], labels, [one.dof for one in runs])
    low, high = mean.interval()
    return Judged(not doubts(runs), alone, low <= 0.5e-8 <= high)


def diffusions(rng: Rng, cases: int) -> dict[str, float | None]:
    """Return the figures of groups of diffusion coefficients, and print those of each kind of walk."""
    cases, good = max(cases // 5, 1), []
    for walk, shape in WALKS:
        some = [diffusion_of_nine(rng, walk, shape) for _ in range(cases)]
        good += some
        together, alone = (share(getattr(one, name) for one in some) for name in ("together", "alone"))
        covers = share(one.covers for one in some if one.together)
        print(f"nine {walk.__name__} walks {shape}: {together} together, {alone} alone, cover {covers}", flush=True)
    hidden = [diffusion_of_nine(rng, shallow, (500, 16)) for _ in range(cases)]
    aged = [diffusion_of_nine(rng, ageing, (500, 16)) for _ in range(cases)]
    trapped = [diffusion_of_nine(rng, subdiffusive(0.8), (200, 16)) for _ in range(cases)]
    return {
        "group_converged_diffusion": share(one.together for one in good),
        "single_converged_diffusion": share(one.alone for one in good),
        "group_covers_diffusion": share(one.covers for one in good if one.together),
        "group_covers_shallow": share(one.covers for one in hidden if one.together),
        "group_ageing_passed": share(one.together for one in aged),
        "group_trapped_passed": share(one.together for one in trapped),
    }


# --- Reports on identical models ------------------------------------------------------------------------------------

DESIGNS = ((2, 2), (3, 2), (3, 3), (5, 2), (5, 3))  # seeds, boxes
# spreads between seeds, between boxes, and of boxes by model, in errors of one run; whether one framework's errors are twice the other's
SPREADS = ((0, 0, 0, False), (1, 1, 0, True), (5, 0, 0, False), (5, 3, 1, False), (2, 0, 2, False))
# with the reference so far off that which of two is closer to it is in no doubt, and with one dataset, whose two groups show the boxes' spread alone
FAR = (
    (5, 2, (0, 0, 1, False), ("eq", "both"), 120.0),
    (3, 2, (0, 0, 1, False), ("eq", "both"), 120.0),
    (5, 3, (0, 0, 1, False), ("eq", "both"), 120.0),
    (5, 2, (0, 0, 2, False), ("both",), 120.0),
)
QUESTIONS = (("density", None), ("diffusion", "a"), ("diffusion", "b"), ("conductivity", None))


def runs_alone(behind: Runs) -> list[Run]:
    """Return the runs of an estimate, each long enough and steady, that began dense and thin by turns."""
    columns = zip(behind.values, behind.standard_errors, behind.dofs, behind.seeds, behind.replicas, strict=True)
    return [
        run_of({
            "value": value, "standard_error": error, "dof": dof, "n_effective": dof + 1, "seed": seed, "replica": replica,
            "converged": True, "start_volume": 1 + SIDE * (-1) ** int(str(replica)),
        })
        for value, error, dof, seed, replica in columns
    ]  # fmt: skip


def identical(
    rng: Rng,
    seeds: int,
    boxes: int,
    spreads: tuple[float, float, float, bool],
    datasets: tuple[str, ...] = ("eq", "both"),
    reference: float = 103.0,
) -> bool:
    """Tell whether a report on two frameworks, alike in truth at 100 and off the reference, names a winner."""
    between_seeds, between_boxes, box_by_model, unequal = spreads
    made = []
    for quantity, species in QUESTIONS:
        shared = rng.normal(0, between_boxes, boxes)
        groups = []
        for model in ("mace", "dpmd"):
            for dataset in datasets:
                error = 2.0 if unequal and model == "dpmd" else 1.0
                values = 100 + shared + rng.normal(0, between_seeds, (seeds, 1)) + rng.normal(0, box_by_model, boxes)
                values = values + rng.normal(size=(seeds, boxes)) * error
                errors = error * np.sqrt(rng.chisquare(20, values.shape) / 20)
                labels = [(s, b) for s in range(seeds) for b in range(boxes)]
                behind = Runs(
                    values.ravel().tolist(), errors.ravel().tolist(), [s for s, _ in labels], [b for _, b in labels],
                    [20.0] * len(labels),
                )  # fmt: skip
                mean = combine(behind.values, behind.standard_errors, [behind.seeds, behind.replicas], behind.dofs)
                agree = not doubts(runs_alone(behind))
                groups.append(
                    Group("x", 300.0, quantity, species, model, dataset, "u", mean, agree, runs=len(labels), planned_runs=len(labels),
                          reference=Reference(reference, None, None, "s", second_hand=False), behind=behind)
                )  # fmt: skip
        made += comparisons(groups)
    return any(verdict.verdict in ("a", "b") for verdict in judge(made))


def families(rng: Rng, cases: int) -> dict[str, float | None]:
    """Return the largest share of reports with a false winner, and print that of each design and spread."""
    worst = 0.0
    for seeds, boxes in DESIGNS:
        for spreads in SPREADS:
            false = share(identical(rng, seeds, boxes, spreads) for _ in range(cases)) or 0.0
            worst = max(worst, false)
            print(f"family {seeds} seeds x {boxes} boxes, spreads {spreads}: {false:.3f}", flush=True)
    for seeds, boxes, spreads, datasets, reference in FAR:
        false = share(identical(rng, seeds, boxes, spreads, datasets, reference) for _ in range(cases)) or 0.0
        worst = max(worst, false)
        print(
            f"family {seeds} x {boxes}, spreads {spreads}, {datasets}, reference {reference:g}: {false:.3f}", flush=True
        )
    return {"family_false": worst}


# --- Runs that break ------------------------------------------------------------------------------------------------

RATES = (
    (0.5, 0.0),
    (2.0, 0.0),
    (10.0, 0.0),
    (2.0, 2.0),
    (1.0, 5.0),
)  # breaks in a planned run, and the spread of its logarithm


def survivors(model: str, dataset: str, reached: np.ndarray) -> Group:
    """Return runs (seeds, boxes) that broke where they did not reach 1, as the tables of COMPARE_MODELS have them."""
    labels = [(s, b) for s in range(reached.shape[0]) for b in range(reached.shape[1])]
    seeds, boxes = [s for s, _ in labels], [b for _, b in labels]
    lives = Lifetimes(seeds, reached.ravel().tolist(), (reached < 1).ravel().tolist())
    behind = Runs((1 - reached).ravel().tolist(), [0.0] * len(labels), seeds, boxes, [1.0] * len(labels))
    return Group("x", 300.0, "survival", None, model, dataset, "planned time", None, True, runs=len(labels),
                 planned_runs=len(labels), behind=behind, lifetimes=lives)  # fmt: skip


def breaking(rng: Rng, rate: float, spread: float, seeds: int, boxes: int) -> np.ndarray:
    """Return what share of their planned length runs (seeds, boxes) reach that break at random."""
    of_seed = rate * np.exp(spread * rng.normal(size=(seeds, 1)))
    return np.minimum(rng.exponential(size=(seeds, boxes)) / of_seed, 1.0)


def names_survivor(groups: list[Group]) -> bool:
    """Tell whether a report on survival alone names a winner."""
    return any(verdict.verdict in ("a", "b") for verdict in judge(comparisons(with_common_spread(groups))))


def survival(rng: Rng, cases: int) -> dict[str, float | None]:
    """Return the figures of runs that break."""
    pairs = [(model, dataset) for model in ("mace", "dpmd") for dataset in ("eq", "both")]
    worst, cases = 0.0, 5 * cases  # they are quick, and the largest of many shares is above each of them by chance
    for seeds, boxes in DESIGNS:
        for rate, spread in RATES:
            false = share(
                names_survivor([survivors(*pair, breaking(rng, rate, spread, seeds, boxes)) for pair in pairs])
                for _ in range(cases)
            )
            worst = max(worst, false or 0.0)
            print(f"survival {seeds} seeds x {boxes} boxes, rate {rate}, spread {spread}: {false}", flush=True)
    told = [
        names_survivor([
            survivors("mace", "eq", rng.uniform(0.01, 0.1, (3, 2))), survivors("dpmd", "eq", np.ones((3, 2))),
        ])
        for _ in range(cases)
    ]  # fmt: skip
    return {"survival_false": worst, "survival_told": share(told)}


# --- How long a run should be ---------------------------------------------------------------------------------------


def lengths(rng: Rng, cases: int) -> dict[str, float | None]:
    """Return how often "needs about N" of a run with a tenth of what it needs is right within a factor of 2."""
    right = []
    for tau in (3.0, 10.0, 30.0):
        # 30 effective samples, as `series.series_mean` asks for, at the known correlation time of the process
        enough = 1.5 * series.MIN_EFFECTIVE * (1 + math.exp(-1 / tau)) / (1 - math.exp(-1 / tau))
        for _ in range(cases):
            estimate = series.series_mean(relaxing(rng, tau, max(16, round(enough / 10))))
            if not estimate.converged and math.isfinite(estimate.needed):
                right.append(enough / 2 <= estimate.needed <= 2 * enough)
    return {
        "needed_within_2": share(right),
        "needed_said": share([True] * len(right) + [False] * (3 * cases - len(right))),
    }


def main(argv: list[str] | None = None) -> int:
    """Measure, and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=200, help="of each kind (default: 200)")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args(argv)
    print(json.dumps({"cpu": os.environ.get("BENCHMARK_CPU")} | figures(args.seed, args.cases)))
    return 0


def figures(seed: int, cases: int) -> dict[str, float | None]:
    """Return all figures, of ``cases`` of each kind."""
    result: dict[str, float | None] = {}
    for stream, measure in zip(
        np.random.default_rng(seed).spawn(6), (densities, walks, families, lengths, survival, diffusions), strict=True
    ):
        result |= measure(stream, cases)
    return result


if __name__ == "__main__":
    sys.exit(main())
