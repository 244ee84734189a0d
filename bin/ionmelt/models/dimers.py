"""Isolated atoms and pairs of atoms, as a model sees them: a look at its reference energies and at its short range.

A pair's energy is that of the two atoms at a distance less that of the two alone, neutral, in vacuum. Liquids tell a model
little about it, so it shows what the training data, or the foundation below them, left there: a wall or a hole.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from ase.data import atomic_numbers, covalent_radii

from ionmelt.models.vacuum import energy

SHORTEST, LONGEST_A = 0.5, 6.0  # from this multiple of the sum of covalent radii to this distance
POINTS = 40


def distances_A(a: str, b: str) -> np.ndarray:
    """Return the distances (POINTS,) of a pair of elements (A): closer together where the pair is close."""
    start = SHORTEST * (covalent_radii[atomic_numbers[a]] + covalent_radii[atomic_numbers[b]])
    return np.round(np.geomspace(start, LONGEST_A, POINTS), 4)


@dataclass(frozen=True)
class Dimer:
    """A row of dimers.parquet, without the columns of the model: an element alone (no distance), or a pair of them."""

    pair: str
    distance_A: float | None
    energy_ev: float | None
    reason: str | None = None


def curves(calculator: Calculator, elements: list[str]) -> Iterator[Dimer]:
    """Yield each element alone (its energy as the model gives it), then each pair of them.

    The energy of a pair is relative to the two alone; it is null, with its reason, where the model has none.
    """
    alone = {}
    for element in sorted(elements):
        alone[element], reason = energy(calculator, Atoms(element, positions=[[0, 0, 0]]))
        yield Dimer(element, None, alone[element], reason)
    for a, b in itertools.combinations_with_replacement(sorted(elements), 2):
        zeros = [alone[x] for x in (a, b)]
        lost = next((f"no energy of {x} alone" for x, zero in zip((a, b), zeros, strict=True) if zero is None), None)
        for distance in distances_A(a, b):
            value, reason = None, lost
            if lost is None:
                value, reason = energy(calculator, Atoms([a, b], positions=[[0, 0, 0], [0, 0, distance]]))
            if value is not None:
                value -= sum(zero for zero in zeros if zero is not None)
            yield Dimer(f"{a}-{b}", float(distance), value, reason)
