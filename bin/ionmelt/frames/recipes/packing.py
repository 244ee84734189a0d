"""Frames of random packings in strained boxes, dilute to dense."""

from collections.abc import Iterator, Sequence

import numpy as np
import openmm
from ase import Atoms

from ionmelt.errors import is_resource
from ionmelt.frames.candidate import TRIES, Candidate, Slot
from ionmelt.frames.settings import Packing
from ionmelt.frames.state import THAW_FRICTION_PS, THAW_TIMESTEP_PS, State, get_positions, seed_of, set_box
from ionmelt.liquid.packmol import run_packmol

PACKING_CONTACT_A, PACKING_LOOPS, RELAX_ITERATIONS = 1.9, 30, 200


def packing(states: Sequence[State], given: Packing, seed: int) -> Iterator[Slot]:
    """Random packings of the trajectory's ions in strained boxes of random density, relaxed for a moment."""
    low, high, frames = given.density_min_fraction, given.density_max_fraction, given.frames
    contexts: dict[str, openmm.Context] = {}

    def slot(i: int) -> Iterator[Candidate]:
        state = states[i % len(states)]
        volume = state.edges.prod(axis=1).mean()
        if state.key not in contexts:
            smallest = (volume / high) ** (1 / 3) * (1 - given.strain) / (1 + given.strain)
            contexts[state.key] = state.context(smallest, THAW_TIMESTEP_PS, THAW_FRICTION_PS)
        context = contexts[state.key]
        rng = np.random.default_rng(seed_of(seed, "packing", state.key, i))
        for _ in range(TRIES):
            fraction = low + (high - low) * (i + rng.random()) / frames
            stretch = 1 + rng.uniform(-given.strain, given.strain, size=3)
            edges = np.round((volume / fraction / stretch.prod()) ** (1 / 3) * stretch, 6)
            packed = pack(state, edges, rng)
            if packed is None:
                continue
            try:
                set_box(context, packed, edges)
                openmm.LocalEnergyMinimizer.minimize(context, 10.0, RELAX_ITERATIONS)
                warm = state.thaw(context, get_positions(context), edges, int(rng.integers(1, 2**31)))
            except openmm.OpenMMException as error:
                if is_resource(error):
                    raise
                continue
            info = state.bath | {"density_fraction": round(fraction, 6)}
            yield Candidate(warm, edges, f"{state.key}-packing-{i}", info)

    yield from map(slot, range(frames))


def pack(state: State, edges: np.ndarray, rng: np.random.Generator) -> np.ndarray | None:
    """Return positions (N, 3) of ions at random places, each with its shape in a random frame, by packmol.

    A packing that packmol does not finish is returned as it is, for the minimisation to mend; None is none.
    """
    topology = state.topology
    seed = int(rng.integers(1, 2**31))
    ions = []
    for molecule in range(len(topology.molecule_ion)):
        atoms = topology.molecule == molecule
        shape = state.positions[int(rng.integers(state.usable))][atoms]
        ions.append((Atoms(topology.elements[atoms], shape - shape.mean(axis=0)), 1))
    positions, _ = run_packmol(ions, edges, PACKING_CONTACT_A, seed, loops=PACKING_LOOPS)
    return None if positions is None else topology.wrapped(positions, edges)
