"""Lifetimes: hand-made contacts with exact answers."""

import math

import numpy as np
import pytest
from contact_chains import chain

from ionmelt.measure import survival


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
    _, s = survival.contact_survival(h, ion, 0, 200)
    np.testing.assert_allclose(s.c, np.exp(-(on + off) * s.lags), atol=0.03)
    assert s.low < 1 / (on + off) < s.high and s.reason is None


def test_cations_that_met_no_anion_are_a_part_of_chance() -> None:
    """An anion is always with one of 40 cations, and in a short run with few of them: the others are there all the same."""
    rng, cations, frames = np.random.default_rng(6), 40, 400
    at = np.repeat(rng.integers(0, cations, 4), frames // 4)
    h = at[:, None] == np.arange(cations)
    met = np.flatnonzero(h.any(axis=0))
    assert 2 < len(met) < 5
    _, s = survival.contact_survival(h[:, met], met, 0, cations)
    _, of_all = survival.contact_survival(h, np.arange(cations), 0, cations)
    np.testing.assert_allclose(s.c, of_all.c, atol=1e-12)
    together = [np.mean(at[: frames - k] == at[k:]) for k in s.lags]
    np.testing.assert_allclose(s.c, (np.array(together) - 1 / cations) / (1 - 1 / cations), atol=1e-12)


def test_intervals_of_lifetimes_cover() -> None:
    rng = np.random.default_rng(2)
    on, off, cases = 0.004, 0.02, 120
    covered = {"residence": 0, "intermittent": 0, "lifetime": 0}
    for _ in range(cases):
        h = chain(rng, 1000, 40, on, off)
        ion = np.repeat(np.arange(10), 4)
        s, again = survival.contact_survival(h, ion, 0, 40)
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
