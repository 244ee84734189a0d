"""Rates between the numbers of neighbours of an ion."""

import itertools
import math
from dataclasses import dataclass

import numpy as np

from ionmelt.measure.arrays import Array
from ionmelt.measure.events import MIN_EVENTS, dispersion, rate_interval
from ionmelt.measure.survival import BLOCKS


@dataclass(frozen=True)
class Rate:
    """Rate of change per frame from one state to another with its 95 % interval; ``reason`` None: converged."""

    start: int
    stop: int
    rate: float
    error: float
    low: float
    high: float
    events: int
    reason: str | None


def jumps(states: Array) -> tuple[Array, Array]:
    """Return (jumps (ions, S, S) from state to state, frames (ions, S) spent in each with a frame after it)."""
    top = int(states.max()) + 1
    ions = states.shape[1]
    here, there = states[:-1], states[1:]
    change = (np.arange(ions) * top + here) * top + there
    counts = np.bincount(change.ravel(), minlength=ions * top * top).reshape(ions, top, top)
    spent = counts.sum(axis=2)
    counts[:, np.arange(top), np.arange(top)] = 0
    return counts, spent


def jumps_of_blocks(states: Array) -> list[tuple[Array, Array]]:
    """Return the `jumps` of each block of time: together those of all frames; none where a block would hold no jump."""
    if len(states) <= BLOCKS:
        return []
    cuts = np.linspace(0, len(states) - 1, BLOCKS + 1).astype(int)
    return [jumps(states[first : last + 1]) for first, last in itertools.pairwise(cuts)]


def rate_matrix(states: Array, slower: Array | None = None) -> list[Rate]:
    """Return the rates between states (frames, ions), as of a continuous-time Markov chain.

    Jumps over time spent, with Jeffreys's Gamma posterior; jumps scatter between ions and blocks of time by more
    than Poisson's law where the chain is not one, and the posterior is widened by that. ``slower``: the same states
    with twice the tolerance. A state whose exit rate falls by more than 30 % there is not Markovian: its exits are
    recrossings. Listed: every pair that was seen, and neighbours.
    """
    if len(states) < 2:
        return []
    counts, spent = jumps(states)
    total, time = counts.sum(axis=0), spent.sum(axis=0)
    blocks = jumps_of_blocks(states)
    again = None if slower is None else jumps(slower)
    out = []
    for n in np.flatnonzero(time).tolist():
        leaving = int(total[n].sum())
        rate = leaving / time[n]
        by_block = [(exits(c, n), float(s[:, n].sum()) if n < s.shape[1] else 0.0) for c, s in blocks]
        excess = max(
            dispersion([counts[:, n].sum(axis=1), spent[:, n]], rate),
            dispersion(list(np.array(by_block).T), rate) if by_block else 1.0,
        )
        why = why_no_chain(n, leaving, rate, again)
        for m in range(len(time)):
            events = int(total[n, m])
            if n != m and time[m] and (events or abs(n - m) == 1):
                out.append(rate_of(n, m, events, time[n], excess, why))
    return out


def exits(counts: Array, state: int) -> float:
    """Return how often a state was left, of jumps (ions, S, S) that may not know it."""
    return float(counts[:, state].sum()) if state < counts.shape[1] else 0.0


def why_no_chain(state: int, leaving: int, rate: float, slower: tuple[Array, Array] | None) -> str | None:
    """Say why the exits of a state are not those of a Markov chain, None where they may be.

    It was left ``leaving`` times, at a ``rate`` per frame; ``slower`` are the `jumps` with twice the tolerance.
    """
    if leaving < MIN_EVENTS:
        return f"state left {leaving} times: too few"
    if rate > 0.1:
        return "the state changes within a few frames: save more often"
    if slower is None:
        return None
    again, length = (x.sum(axis=0) for x in slower)
    held = state < len(length) and length[state] > 0
    slow = float(again[state].sum() / length[state]) if held else 0.0
    if slow < 0.7 * rate:
        return f"rate of leaving falls to {100 * slow / rate:.0f} % with twice the tolerance: recrossings"
    return None


def rate_of(start: int, stop: int, events: int, time: float, excess: float, why: str | None) -> Rate:
    """Return the rate of ``events`` changes in a time, whose variance is ``excess`` times Poisson's; ``why``: it is no chain."""
    low, high = rate_interval(events / excess, time / excess)
    reason = why or ("no such change seen: the high end is a 95 % bound" if not events else None)
    if reason is None and events < MIN_EVENTS / 2:
        reason = f"{events} events: too few"
    error = math.sqrt(max(events, 1) * excess) / time
    return Rate(start, stop, events / time, error, low, high, events, reason)
