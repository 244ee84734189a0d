"""Frames of the trajectory: as they are, scaled with rigid ions, displaced; and the scan with frozen ions that tests."""

from collections.abc import Iterator, Sequence

import numpy as np

from ionmelt.frame import SCAN_KEY, SCAN_RECIPE
from ionmelt.frames.candidate import Candidate, Slot
from ionmelt.frames.settings import EqFrames, Rattle, TestScan, VolumeScan
from ionmelt.frames.state import State, seed_of


def equilibrium(states: Sequence[State], given: EqFrames, seed: int) -> Iterator[Slot]:
    """Evenly spaced frames of each trajectory, which is as far apart as they can be."""
    for state in states:
        for index in evenly_spaced(state, given.frames):
            positions, edges = state.frame(index)
            converged = {} if state.equilibrated is None else {"equilibrated": state.equilibrated}
            yield [Candidate(positions, edges, state.group(index), state.bath | converged)]


def evenly_spaced(state: State, frames: int) -> list[int]:
    """Return the indices of evenly spaced frames; all usable frames where fewer than `frames` are."""
    count = min(frames, state.usable)
    return [int((2 * i + 1) * state.usable / (2 * count)) for i in range(count)]


def volume_scan(states: Sequence[State], given: VolumeScan, seed: int) -> Iterator[Slot]:
    """Trajectory frames with rigid ions, scaled by factors spread evenly over the range given."""
    low, high, frames = given.scale_min, given.scale_max, given.frames

    def slot(i: int) -> Iterator[Candidate]:
        state = states[i % len(states)]
        rng = np.random.default_rng(seed_of(seed, "volume_scan", state.key, i))
        while True:
            index = int(rng.integers(state.usable))
            scale = round(low + (high - low) * (i + rng.random()) / frames, 6)
            positions, edges = state.topology.scaled(*state.frame(index), scale)
            yield Candidate(positions, edges, state.group(index), state.bath | {"scale": scale})

    yield from map(slot, range(frames))


def rattle(states: Sequence[State], given: Rattle, seed: int) -> Iterator[Slot]:
    """Trajectory frames with every coordinate displaced by a Gaussian random number."""

    def slot(i: int) -> Iterator[Candidate]:
        state = states[i % len(states)]
        rng = np.random.default_rng(seed_of(seed, "rattle", state.key, i))
        while True:
            index = int(rng.integers(state.usable))
            positions, edges = state.frame(index)
            displaced = positions + rng.normal(scale=given.sigma_A, size=positions.shape)
            yield Candidate(displaced, edges, state.group(index), state.bath)

    yield from map(slot, range(given.frames))


def test_scan(states: Sequence[State], given: TestScan, seed: int) -> Iterator[Slot]:
    """Scale the last frame of the first state, which nothing else is made from, with frozen ions."""
    state = states[0]
    parent = state.frame(len(state.positions) - 1)
    for scale in sorted(given.scales):
        positions, edges = state.topology.scaled(*parent, scale)
        yield [Candidate(positions, edges, f"{state.key}-{SCAN_RECIPE}", state.bath | {SCAN_KEY: float(scale)})]
