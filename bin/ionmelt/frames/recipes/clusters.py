"""Ions cut out of the liquid, alone in a box: neutral clusters, and single ions."""

from collections.abc import Iterator, Sequence

import numpy as np

from ionmelt.frame import CHARGE_KEY
from ionmelt.frames.candidate import TRIES, Candidate, Slot
from ionmelt.frames.settings import Clusters, Ions
from ionmelt.frames.state import State, seed_of
from ionmelt.topology import Topology


def clusters(states: Sequence[State], given: Clusters, seed: int) -> Iterator[Slot]:
    """Neutral clusters cut from trajectory frames, from a pair upwards, alone in a box with room around them."""
    largest, vacuum = given.pairs_max, given.vacuum_A

    def slot(i: int) -> Iterator[Candidate]:
        state = states[i % len(states)]
        rng = np.random.default_rng(seed_of(seed, "clusters", state.key, i))
        for _ in range(TRIES):
            index = int(rng.integers(state.usable))
            positions, edges = state.frame(index)
            ions, shifts = cluster(state.topology, positions, edges, 2 * (1 + i % largest), rng)
            if not len(ions):
                continue
            top = state.topology.subset(ions)
            atoms = np.flatnonzero(np.isin(state.topology.molecule, ions))
            inside = (positions + shifts[state.topology.molecule])[atoms]
            yield Candidate(*alone(inside, vacuum), state.group(index), state.bath | {"ions": len(ions)}, top)

    yield from map(slot, range(given.frames))


def alone(positions: np.ndarray, vacuum_A: float) -> tuple[np.ndarray, np.ndarray]:
    """Return positions (N, 3) in the middle of a box and its edges (3,), with so much room beyond them in each direction."""
    low, high = positions.min(axis=0), positions.max(axis=0)
    return positions - low + vacuum_A / 2, np.round(high - low + vacuum_A, 6)


def single_ions(states: Sequence[State], given: Ions, seed: int) -> Iterator[Slot]:
    """Ions cut from trajectory frames, each kind in turn; an ion that is one atom has one frame.

    Their charge is in the frame: they are labelled without images (ionmelt/frame.py).
    """
    top = states[0].topology
    sizes = {str(name): int((top.ion == name).sum() / (top.molecule_ion == name).sum()) for name in np.unique(top.ion)}
    atoms = [name for name, size in sizes.items() if size == 1]
    others = [name for name, size in sizes.items() if size > 1]
    wanted = [*atoms, *(others[i % len(others)] for i in range(given.frames - len(atoms)) if others)]

    def slot(i: int) -> Iterator[Candidate]:
        state = states[i % len(states)]
        rng = np.random.default_rng(seed_of(seed, "ions", state.key, i))
        copies = np.flatnonzero(state.topology.molecule_ion == wanted[i])
        while True:
            index, chosen = int(rng.integers(state.usable)), rng.choice(copies, size=1)
            top = state.topology.subset(chosen)
            positions, _ = state.frame(index)
            placed = alone(positions[state.topology.molecule == chosen[0]], given.vacuum_A)
            info = state.bath | {CHARGE_KEY: round(top.charges_e.sum())}
            yield Candidate(*placed, state.group(index), info, top)

    yield from map(slot, range(min(given.frames, len(wanted))))


def cluster(
    topology: Topology, positions: np.ndarray, edges: np.ndarray, size: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return the ions of a neutral cluster (indices, sorted) and the shift (M, 3) in A that brings each ion to it.

    It starts from a random ion and takes the nearest that brings the charge towards zero, until it has at least `size`
    ions and no charge; no ions are returned where a box cannot give that.
    """
    centres, charges = topology.centres(positions), topology.charges_e
    shifts = np.zeros_like(centres)
    chosen = [int(rng.integers(len(centres)))]
    while len(chosen) < size or charges[chosen].sum() != 0:
        charge = charges[chosen].sum()
        large = (
            len(chosen) >= size
        )  # then only what takes the charge away: molecules of a solvent would be added without end
        others = [
            i
            for i in range(len(centres))
            if i not in chosen and (charges[i] * charge < 0 if large else charges[i] * charge <= 0)
        ]
        if not others:
            return np.array([], dtype=int), shifts
        # nearest to any ion of the cluster, through the boundaries
        apart = centres[others][:, None] - (centres + shifts)[chosen][None]
        images = -np.rint(apart / edges) * edges
        distances = np.linalg.norm(apart + images, axis=2)
        row, column = np.unravel_index(int(np.argmin(distances)), distances.shape)
        shifts[others[row]] = images[row, column]
        chosen.append(others[row])
    return np.array(sorted(chosen), dtype=int), shifts
