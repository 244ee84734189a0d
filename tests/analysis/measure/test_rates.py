"""Rates: chains whose rates the intervals must cover."""

import math

import numpy as np
import pytest
from contact_chains import chain
from scipy import stats

from ionmelt.measure import rates, stretches, survival

RATES = np.array([[0, 0.01, 0.002], [0.02, 0, 0.006], [0.0, 0.03, 0]])  # per frame


def markov(rng: np.random.Generator, frames: int, ions: int) -> np.ndarray:
    """A continuous-time Markov chain, seen at whole frames (Gillespie's algorithm)."""
    out = np.empty((frames, ions), dtype=int)
    for ion in range(ions):
        t, state, seen = -200.0, int(rng.integers(3)), 0
        while seen < frames:
            leave = RATES[state].sum()
            t += rng.exponential(1 / leave)
            until = min(max(math.ceil(t), seen), frames)
            out[seen:until, ion] = state
            seen = until
            state = int(rng.choice(3, p=RATES[state] / leave))
    return out


@pytest.mark.parametrize("frames", [1, 2, 3, 15, 20])
def test_runs_of_few_frames_give_reasons(frames: int) -> None:
    rng = np.random.default_rng(4)
    h = rng.uniform(size=(frames, 6)) < 0.5
    labels = rng.integers(0, 3, (frames, 6))
    for s in (*survival.contact_survival(h, np.arange(6), 0, 36), *survival.label_survival(labels, 0)):
        assert s.reason is not None
    assert survival.contact_lifetime(h, 0, np.arange(6))[-1] is not None
    assert all(r.reason for r in rates.rate_matrix(labels))
    empty = np.zeros((frames, 0), bool)
    for s in survival.contact_survival(empty, np.array([], int), 0, 6):
        assert s.reason == (
            "no contact in this run" if frames >= 16 else f"{frames} frames: too few"
        )  # two of 8 blocks
    assert survival.contact_lifetime(empty, 0, np.array([], int))[-1] == "no contact in this run"


def test_jumps_are_counted_and_time_is_shared_out() -> None:
    states = np.array([[0, 2], [0, 2], [1, 2], [1, 1], [0, 1]])
    counts, spent = rates.jumps(states)
    assert counts[0].tolist() == [[0, 1, 0], [1, 0, 0], [0, 0, 0]]
    assert counts[1].tolist() == [[0, 0, 0], [0, 0, 0], [0, 1, 0]]
    assert spent.tolist() == [[2, 2, 0], [0, 1, 3]]
    rate_of = {(r.start, r.stop): r for r in rates.rate_matrix(states)}
    assert (
        rate_of[0, 1].rate == 0.5
        and rate_of[1, 0].rate == pytest.approx(1 / 3)
        and rate_of[2, 1].rate == pytest.approx(1 / 3)
    )
    assert rate_of[1, 2].events == 0 and rate_of[1, 2].rate == 0 and rate_of[1, 2].high > 0
    assert (0, 2) not in rate_of and all(r.reason for r in rate_of.values())
    assert rate_of[0, 1].reason == "state left 1 times: too few"
    # too few frames to tell how the jumps scatter: Poisson's error, of 1 event in 2 frames
    assert rate_of[0, 1].error == 1 / 2
    assert (rate_of[0, 1].low, rate_of[0, 1].high) == pytest.approx(stats.gamma.interval(0.95, 1.5, scale=1 / 2))


def test_blocks_share_out_the_jumps_and_the_time() -> None:
    states = np.random.default_rng(3).integers(0, 2, (200, 4))
    blocks = rates.jumps_of_blocks(states)
    assert len(blocks) == rates.BLOCKS
    for of_blocks, whole in zip(zip(*blocks, strict=True), rates.jumps(states), strict=True):
        np.testing.assert_array_equal(sum(of_blocks), whole)
    assert rates.jumps_of_blocks(states[: rates.BLOCKS]) == []
    assert len(rates.jumps_of_blocks(states[: rates.BLOCKS + 1])) == rates.BLOCKS


def test_the_error_of_a_rate_is_poissons_widened() -> None:
    """Of 16 events with four times Poisson's variance 8 events; of none that of one."""
    assert rates.rate_of(0, 1, 16, 400.0, 4.0, None).error == pytest.approx(8 / 400)
    assert rates.rate_of(0, 1, 0, 400.0, 1.0, None).error == pytest.approx(1 / 400)
    few, enough = (rates.rate_of(0, 1, events, 400.0, 1.0, None) for events in (9, 10))
    assert (few.reason, enough.reason) == ("9 events: too few", None)


def test_exits_that_twice_the_tolerance_takes_away_are_said() -> None:
    """Of 8 in 100 frames 5 in 125 are left, of two ions; of a state that is not seen any more none."""
    again = np.array([[[0, 1, 2], [7, 0, 0], [0, 0, 0]], [[0, 2, 0], [0, 0, 9], [0, 0, 0]]])
    slower = again, np.array([[100, 30, 0], [25, 40, 0]])
    assert (
        rates.why_no_chain(0, 80, 0.08, slower) == "rate of leaving falls to 50 % with twice the tolerance: recrossings"
    )
    assert "to 0 %" in (rates.why_no_chain(2, 80, 0.08, slower) or "")
    assert "to 0 %" in (rates.why_no_chain(3, 80, 0.08, slower) or "")
    assert rates.why_no_chain(0, 80, 0.04 / 0.71, slower) is None
    left_at_once = np.array([[[0, 1], [0, 0]]]), np.array([[1, 0]])  # 1 in 1 frame is no fall
    assert rates.why_no_chain(0, 80, 0.08, left_at_once) is None


def test_rates_of_a_markov_chain_are_covered() -> None:
    rng = np.random.default_rng(5)
    cases, covered, total, flagged = 60, 0, 0, 0
    for _ in range(cases):
        states = markov(rng, 1500, 10)
        for r in rates.rate_matrix(states, states):
            true = RATES[r.start, r.stop]
            if true and r.rate:
                covered += r.low <= true <= r.high
                total += 1
                flagged += r.reason is not None
    assert 0.91 <= covered / total <= 0.985
    assert flagged / total < 0.5


def test_recrossings_are_no_rates() -> None:
    """Slow changes with a flicker on top: with twice the tolerance most exits are gone, and the rate says so."""
    rng = np.random.default_rng(6)
    states = (chain(rng, 2000, 20, 0.01, 0.01) ^ (rng.uniform(size=(2000, 20)) < 0.03)).astype(int)
    slower = stretches.without_blips(states.astype(bool), 2).astype(int)
    for r in rates.rate_matrix(states, slower):
        assert "recrossings" in str(r.reason)


def test_ions_that_differ_widen_the_interval() -> None:
    rng = np.random.default_rng(7)
    fast, slow = chain(rng, 3000, 10, 0.05, 0.05), chain(rng, 3000, 10, 0.005, 0.005)
    mixed = next(r for r in rates.rate_matrix(np.hstack([fast, slow]).astype(int)) if r.start == 0)
    poisson = 2 * 1.96 * mixed.rate / math.sqrt(mixed.events)
    assert mixed.high - mixed.low > 3 * poisson
