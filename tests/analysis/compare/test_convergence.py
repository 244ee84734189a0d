"""Several runs judged together: good ones converge however many they are, and what no run shows alone is seen."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import signal

from ionmelt.compare.convergence import allowed, doubts
from ionmelt.compare.runs import Run, run_of
from ionmelt.measure.series import series_mean

N = 600


def relaxing(rng: np.random.Generator, tau: float) -> np.ndarray:
    """Return a stationary Gaussian series (N,) of unit variance that forgets in ``tau`` samples."""
    a = math.exp(-1 / tau)
    lead = math.ceil(12 * tau)
    return signal.lfilter([1], [1, -a], rng.normal(size=N + lead) * math.sqrt(1 - a * a))[lead:]


def run(x: np.ndarray, seed: int = 1, replica: int = 1, side: float = 0.0, **changes: object) -> Run:
    """Return the run whose density is a series (N,), which began with a volume of 1 + ``side``."""
    e = series_mean(x)
    assert e.change is not None
    row = {
        "value": e.mean, "standard_error": e.standard_error, "dof": e.n_effective - 1, "n_effective": e.n_effective, "seed": seed,
        "replica": replica, "converged": e.converged, "reason": e.reason, "start_volume": 1 + side, "end": "completed",
        "halves_t": e.change.halves, "drift_t": e.change.drift, "steady_dof": e.change.dof, "sound": e.sound,
    }  # fmt: skip
    return run_of(row | changes)


def boxes(rng: np.random.Generator, seeds: int = 3, replicas: int = 3, **of: float) -> list[Run]:
    """Return runs of ``seeds`` x ``replicas``; ``transient`` of a length as the run, on both sides."""
    sides = np.linspace(-0.04, 0.04, replicas)
    decay = of.get("transient", 0.0) * np.exp(-np.arange(N) / N)
    return [
        run(relaxing(rng, of.get("tau", 3.0)) + decay * side / 0.04, seed, replica, side)
        for seed in range(seeds) for replica, side in enumerate(sides)
    ]  # fmt: skip


def test_nine_good_runs_converge_though_one_of_them_alone_may_not() -> None:
    groups = [boxes(np.random.default_rng(seed)) for seed in range(60)]
    together = [not doubts(group) for group in groups]
    alone = [all(one.converged for one in group) for group in groups]
    assert np.mean(together) >= 0.9 > 0.85 > np.mean(alone)


def test_short_runs_know_together_what_none_knows_alone() -> None:
    group = boxes(np.random.default_rng(5), tau=50.0)
    assert all(one.effective is not None and one.effective < 20 for one in group) and not doubts(group)
    few = boxes(np.random.default_rng(3), seeds=1, replicas=2, tau=200.0)
    assert any("effective samples in all runs" in text for text in doubts(few))


def test_a_transient_as_long_as_the_run_is_seen_from_both_sides() -> None:
    """Half of a standard deviation: one run cannot see it, boxes that began dense and thin can."""
    seen = [doubts(boxes(np.random.default_rng(seed), transient=0.5)) for seed in range(20)]
    assert sum(bool(texts) for texts in seen) >= 18
    assert sum(any("began dense" in text for text in texts) for texts in seen) >= 18


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"end": "bond_broken", "reason": "broke"}, "1 of 6 runs: broke"),
        ({"value": None, "reason": "no NPT survived"}, "1 of 6 runs: no NPT survived"),
        ({"standard_error": None, "reason": "constant"}, "1 of 6 runs: constant"),
        ({"drift_t": 9.0}, "a run changes while it lasts"),
        ({"value": 3.0}, "boxes differ"),
    ],
)
def test_what_one_run_of_six_does_to_the_group(changes: dict[str, object], said: str) -> None:
    rng = np.random.default_rng(11)
    good = boxes(rng, seeds=3, replicas=2)
    assert not doubts(good)
    assert any(said in text for text in doubts([*good[:-1], run(relaxing(rng, 3.0), 2, 1, 0.04, **changes)]))


def test_runs_that_all_rise_a_little_rise_in_common() -> None:
    """Each by 1.5 standard errors, which none alone would show: the liquid freezes."""
    rng = np.random.default_rng(5)
    rising = [run(relaxing(rng, 3.0), seed, drift_t=1.5, halves_t=1.0, steady_dof=40.0) for seed in range(6)]
    assert any("rise in common" in text for text in doubts(rising))


def test_few_unsound_runs_are_chance_and_many_are_not() -> None:
    assert [allowed(runs) for runs in (1, 2, 3, 6, 9)] == [0, 0, 1, 1, 2]
    rng = np.random.default_rng(12)
    group = boxes(rng)
    worse = [run(relaxing(rng, 3.0), i, 0, sound=False, converged=False, reason="subdiffusive") for i in range(3)]
    assert not doubts([*group[:8], worse[0]])
    assert "3 of 9 runs: subdiffusive" in doubts([*group[:6], *worse])
    mixed = [*worse[:2], replace(worse[2], reason="drifts")]
    assert "3 of 9 runs: subdiffusive (2 times); drifts" in doubts([*group[:6], *mixed])


def moving(value: float = 1.0, error: float = 0.1, replica: int = 1, **columns: object) -> Run:
    """Return a run with a diffusion coefficient."""
    row = {"value": value, "standard_error": error, "seed": 1, "replica": replica, "converged": False, "reason": "few"}
    return run_of(
        row | {"end": "completed", "sound": True, "bend": 0.0, "log_slope": 1.0, "log_slope_error": 0.05} | columns
    )


def nine(**columns: object) -> list[Run]:
    """Return nine runs with the same coefficient."""
    return [moving(replica=replica, **columns) for replica in range(9)]


def test_motion_is_known_to_be_diffusive_by_all_runs_together() -> None:
    """A single run needs its exponent to 0.1; nine that know it to 0.25 each know it to 0.083."""
    assert not doubts(nine(log_slope_error=0.25))
    assert doubts(nine(log_slope_error=0.35)) == [
        "slope 1 ± 0.1 of all runs together: too few independent displacements"
    ]
    assert doubts(nine(log_slope=0.85, log_slope_error=0.2)) == ["slope 0.85 of all runs together (subdiffusive)"]
    assert doubts(nine(log_slope=1.2, log_slope_error=0.2)) == ["slope 1.2 of all runs together (superdiffusive)"]


def test_exponents_that_scatter_are_not_known_by_the_errors_of_their_runs() -> None:
    apart = [moving(replica=replica, log_slope=0.6 + 0.8 * (replica % 2), log_slope_error=0.02) for replica in range(8)]
    (text,) = doubts(apart)
    assert "too few independent displacements" in text
    alike = [moving(replica=replica, log_slope=0.9 + 0.2 * (replica % 2), log_slope_error=0.02) for replica in range(8)]
    assert not doubts(alike)


def test_displacements_that_curve_in_common_are_seen_by_all_runs_together() -> None:
    """By one standard error each: three of all."""
    assert doubts(nine(bend=1.0)) == ["the displacements of all runs flatten in common"]
    assert doubts(nine(bend=-1.0)) == ["the displacements of all runs steepen in common"]
    assert not doubts([moving(replica=replica, bend=(-1.0) ** replica) for replica in range(9)])


def test_a_run_with_a_large_error_does_not_make_boxes_differ() -> None:
    """One of six runs is known five times worse: chance alone parts the boxes as seldom as they should be called different."""
    rng, errors = np.random.default_rng(3), np.array([5.0, 1.0, 1.0, 1.0, 1.0, 1.0])
    dofs = {"dof": 60.0, "log_slope": None}

    def parted(values: np.ndarray) -> bool:
        group = [
            moving(float(value), float(error), i, **dofs)
            for i, (value, error) in enumerate(zip(values, errors, strict=True))
        ]
        return any("boxes differ" in text for text in doubts(group))

    assert np.mean([parted(rng.normal(size=6) * errors) for _ in range(600)]) <= 0.01
    assert parted(np.array([0.0, 40.0, -40.0, 40.0, -40.0, 40.0]))


def test_a_run_of_one_sample_has_the_fewest_degrees_of_freedom_and_not_all() -> None:
    assert [moving(dof=dof).dof for dof in (0.0, -0.5, None, 7.0)] == [1.0, 1.0, math.inf, 7.0]
