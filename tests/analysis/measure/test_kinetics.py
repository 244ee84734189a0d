"""Lifetimes and rates: hand-made contacts with exact answers, and chains whose rates the intervals must cover."""

import math

import numpy as np
import pytest

from ionmelt.measure import clusters as measure_clusters
from ionmelt.measure import rates, survival


def column(text: str) -> np.ndarray:
    """One contact over time: # in contact, . not."""
    return np.array([[c == "#"] for c in text])


def chain(rng: np.random.Generator, frames: int, ions: int, on: float, off: float) -> np.ndarray:
    """Contacts (frames, ions) that form and break with these rates per frame, stationary."""
    p, both = on / (on + off), on + off
    keep = math.exp(-both)
    x = np.empty((frames, ions), dtype=bool)
    x[0] = rng.uniform(size=ions) < p
    for t in range(1, frames):
        x[t] = rng.uniform(size=ions) < p + (x[t - 1] - p) * keep
    return x


# --- contacts -----------------------------------------------------------------------------------------------


def test_stretches_and_what_remains_of_them() -> None:
    h = np.hstack([column("##..###."), column("........"), column("########")])
    found = [x.tolist() for x in survival.runs_of(h)]
    assert found == [[0, 0, 2], [0, 4, 0], [2, 7, 8]]
    assert survival.remaining(h)[:, 0].tolist() == [2, 1, 0, 0, 3, 2, 1, 0]
    assert survival.remaining(h)[:, 2].tolist() == [8, 7, 6, 5, 4, 3, 2, 1]


@pytest.mark.parametrize(
    ("tolerance", "before", "after"),
    [
        (0, "##.##.#..#", "##.##.#..#"),
        (1, "##.##...##.#", "#####...####"),
        (1, "...#....##..", "........##.."),
        (2, ".##..##...#...##", ".######.......##"),
        (1, "#..#########..", "#..#########.."),  # what touches an end stays
    ],
)
def test_blips_do_not_count(tolerance: int, before: str, after: str) -> None:
    found = survival.without_blips(column(before), tolerance)
    assert "".join("#" if x else "." for x in found[:, 0]) == after


# --- survival -----------------------------------------------------------------------------------------------


def test_contacts_of_one_length_decay_along_a_straight_line() -> None:
    """Every contact lasts 20 frames and comes again every 50: C(k) = 1 - k / 20, and a contact at hand goes on for 10."""
    time = np.arange(4000)
    h = np.column_stack([(time + 11 * i) % 50 < 20 for i in range(50)])
    s, again = survival.contact_survival(h, np.arange(50), 0, 10**9)
    short = s.lags < 20
    np.testing.assert_allclose(s.c[short], 1 - s.lags[short] / 20, atol=0.005)
    assert s.c[~short].max() == 0 and s.time == pytest.approx(10, rel=0.03) and s.reason is None
    assert again.c[list(again.lags).index(1)] == pytest.approx(0.95, abs=0.005)
    time, _, low, high, breaks, reason = survival.contact_lifetime(h, 0, np.arange(50))
    assert time == pytest.approx(20, rel=0.01) and reason is None and breaks == pytest.approx(4000, abs=50)
    assert low < 20 < high


def test_breaks_within_the_tolerance_do_not_end_a_contact() -> None:
    time = np.arange(2000)
    h = np.column_stack([((time + 7 * i) % 50 < 20) & ((time + 7 * i) % 50 != 9) for i in range(50)])
    assert survival.contact_lifetime(h, 0, np.arange(50))[0] == pytest.approx(9.5, rel=0.02)
    assert survival.contact_lifetime(h, 1, np.arange(50))[0] == pytest.approx(20, rel=0.02)


def test_intermittent_survival_forgets_what_lies_between_and_takes_off_chance() -> None:
    """Two-state chains: <h(0) h(t)> / <h> = p + (1 - p) exp(-(on + off) t), and p is chance."""
    rng = np.random.default_rng(1)
    on, off, ions = 0.01, 0.03, 200
    h = chain(rng, 4000, ions, on, off)
    ion = np.repeat(np.arange(50), 4)  # 50 cations with 4 anions each
    _, s = survival.contact_survival(h, ion, 0, 4)
    np.testing.assert_allclose(s.c, np.exp(-(on + off) * s.lags), atol=0.03)
    assert s.low < 1 / (on + off) < s.high and s.reason is None


def test_intervals_of_lifetimes_cover() -> None:
    rng = np.random.default_rng(2)
    on, off, cases = 0.004, 0.02, 120
    covered = {"residence": 0, "intermittent": 0, "lifetime": 0}
    for _ in range(cases):
        h = chain(rng, 1000, 40, on, off)
        ion = np.repeat(np.arange(10), 4)
        s, again = survival.contact_survival(h, ion, 0, 4)
        # what holds from one frame to the next may have broken in between: exp(-off) up to the return
        stay = (on + off * math.exp(-(on + off))) / (on + off)
        covered["residence"] += s.low <= -1 / math.log(stay) <= s.high
        covered["intermittent"] += again.low <= 1 / (on + off) <= again.high
        _, _, low, high, _, _ = survival.contact_lifetime(h, 0, ion)
        covered["lifetime"] += low <= 1 / (1 - stay) <= high
    for name, count in covered.items():
        assert 0.89 <= count / cases <= 1.0, (name, covered)
    assert covered["lifetime"] / cases <= 0.995


def test_what_outlives_the_run_says_so() -> None:
    s, again = survival.contact_survival(np.ones((200, 6), bool), np.arange(6), 0, 10**6)
    for x in (s, again):
        assert math.isnan(x.time) and x.low == pytest.approx(100) and "longer than the run" in str(x.reason)
    time, _, low, _, breaks, reason = survival.contact_lifetime(np.ones((200, 6), bool), 0, np.arange(6))
    assert math.isnan(time) and breaks == 0 and "longer than the run" in str(reason)
    assert low == pytest.approx(199 * 6 / 3.0, rel=0.01)  # the rule of three
    rng = np.random.default_rng(3)
    slow = chain(rng, 400, 30, 0.001, 0.002)
    s, _ = survival.contact_survival(slow, np.arange(30), 0, 10**6)
    assert math.isnan(s.time) and 0 < s.low < 500
    # few of 30 break, and still their lifetime is known, within an interval that holds it
    time, _, low, high, breaks, _ = survival.contact_lifetime(slow, 0, np.arange(30))
    assert low < 500 < high and breaks < 40


@pytest.mark.parametrize("frames", [1, 2, 3, 15, 20])
def test_runs_of_few_frames_give_reasons(frames: int) -> None:
    rng = np.random.default_rng(4)
    h = rng.uniform(size=(frames, 6)) < 0.5
    labels = rng.integers(0, 3, (frames, 6))
    for s in (*survival.contact_survival(h, np.arange(6), 0, 6), *survival.label_survival(labels, 0)):
        assert s.reason is not None
    assert survival.contact_lifetime(h, 0, np.arange(6))[-1] is not None
    assert all(r.reason for r in rates.rate_matrix(labels))
    empty = np.zeros((frames, 0), bool)
    for s in survival.contact_survival(empty, np.array([], int), 0, 6):
        assert s.reason in ("no contact in this run", f"{frames} frames: too few")
    assert survival.contact_lifetime(empty, 0, np.array([], int))[-1] == "no contact in this run"


def test_labels_survive_as_long_as_they_stay() -> None:
    """The label changes for good every 20 frames, with one frame of another in between."""
    time = np.arange(2000)[:, None] + 7 * np.arange(40)
    labels = np.where(time % 20 == 9, -time - 1, time // 20)
    clean, _ = survival.label_survival(labels, 1)
    assert clean.time == pytest.approx(10, rel=0.03)
    rough, again = survival.label_survival(labels, 0)
    period = labels[11:31, 0]
    same = [np.mean([x == labels[11 + i + k, 0] for i, x in enumerate(period)]) for k in range(21)]
    assert rough.time < 6 and again.time == pytest.approx(sum(same) - 0.5, rel=0.03)


# --- rates --------------------------------------------------------------------------------------------------

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


def test_jumps_are_counted_and_time_is_shared_out() -> None:
    states = np.array([[0, 2], [0, 2], [1, 2], [1, 1], [0, 1]])
    counts, spent = rates.jumps(states)
    assert counts[0].tolist() == [[0, 1, 0], [1, 0, 0], [0, 0, 0]]
    assert counts[1].tolist() == [[0, 0, 0], [0, 0, 0], [0, 1, 0]]
    assert spent.tolist() == [[2, 2, 0], [0, 1, 3]]
    found = {(r.start, r.stop): r for r in rates.rate_matrix(states)}
    assert (
        found[0, 1].rate == 0.5
        and found[1, 0].rate == pytest.approx(1 / 3)
        and found[2, 1].rate == pytest.approx(1 / 3)
    )
    assert found[1, 2].events == 0 and found[1, 2].rate == 0 and found[1, 2].high > 0
    assert (0, 2) not in found and all(r.reason for r in found.values())
    assert found[0, 1].reason == "state left 1 times: too few"


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
    slower = survival.without_blips(states.astype(bool), 2).astype(int)
    for r in rates.rate_matrix(states, slower):
        assert "recrossings" in str(r.reason)


def test_ions_that_differ_widen_the_interval() -> None:
    rng = np.random.default_rng(7)
    fast, slow = chain(rng, 3000, 10, 0.05, 0.05), chain(rng, 3000, 10, 0.005, 0.005)
    mixed = next(r for r in rates.rate_matrix(np.hstack([fast, slow]).astype(int)) if r.start == 0)
    poisson = 2 * 1.96 * mixed.rate / math.sqrt(mixed.events)
    assert mixed.high - mixed.low > 3 * poisson


# --- clusters -----------------------------------------------------------------------------------------------


def test_clusters_are_joined_by_shared_anions() -> None:
    # cations 0-1 share anion 0, cation 2 has anions 1 and 2 alone, cation 3 has none
    sizes, labels = measure_clusters.clusters(np.array([0, 1, 2, 2]), np.array([0, 0, 1, 2]), 4, 5)
    assert sizes.tolist() == [2, 2, 1, 1]
    assert labels[0] == labels[1] and len(set(labels.tolist())) == 3
    again = measure_clusters.clusters(np.array([2, 1, 0, 2]), np.array([2, 0, 0, 1]), 4, 5)[1]
    assert again.tolist() == labels.tolist()
    # the label is that of all members: another anion makes another cluster
    assert measure_clusters.clusters(np.array([0, 1, 1]), np.array([0, 0, 3]), 4, 5)[1][0] != labels[0]
    alone, _ = measure_clusters.clusters(np.array([], int), np.array([], int), 3, 2)
    assert alone.tolist() == [1, 1, 1]
