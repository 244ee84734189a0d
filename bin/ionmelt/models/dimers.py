"""Isolated atoms and pairs of atoms, as a model sees them: a look at its reference energies and at its short range.

A pair's energy is that of the two atoms at a distance less that of the two alone, neutral, in vacuum. Liquids tell a model
little about it, so it shows what the training data, or the foundation below them, left there: a wall or a hole.
"""

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from ase.data import atomic_numbers, covalent_radii

from ionmelt.errors import is_resource

SHORTEST, LONGEST_A = 0.5, 6.0  # from this multiple of the sum of covalent radii to this distance
POINTS = 40


def distances_A(a: str, b: str) -> np.ndarray:
    """Return the distances (POINTS,) of a pair of elements (A): closer together where the pair is close."""
    start = SHORTEST * (covalent_radii[atomic_numbers[a]] + covalent_radii[atomic_numbers[b]])
    return np.round(np.geomspace(start, LONGEST_A, POINTS), 4)


def energy(calculator: Calculator, atoms: Atoms) -> tuple[float | None, str | None]:
    """Return the energy (eV) of atoms in vacuum, or None and the reason why the model has none."""
    atoms.calc = calculator
    try:
        value = float(atoms.get_potential_energy())
    except Exception as error:  # a model can fail in any way that its libraries know
        if is_resource(error):
            raise
        first = (str(error).strip().splitlines() or ["no message"])[0]
        return None, f"{type(error).__name__}: {first}"[:200]
    return (value, None) if np.isfinite(value) else (None, "not a finite number")


def curves(calculator: Calculator, elements: list[str]) -> Iterator[dict[str, Any]]:
    """Yield {pair, distance_A, energy_ev, reason}: of each element alone (no distance; its energy as the model gives it),
    then of each pair of them (energy relative to the two alone; null with its reason where the model has none).
    """
    alone = {}
    for element in sorted(elements):
        alone[element] = energy(calculator, Atoms(element, positions=[[0, 0, 0]]))
        yield {"pair": element, "distance_A": None, "energy_ev": alone[element][0], "reason": alone[element][1]}
    for a, b in itertools.combinations_with_replacement(sorted(elements), 2):
        lost = next((f"no energy of {x} alone" for x in (a, b) if alone[x][0] is None), None)
        for distance in distances_A(a, b):
            value, reason = None, lost
            if lost is None:
                value, reason = energy(calculator, Atoms([a, b], positions=[[0, 0, 0], [0, 0, distance]]))
            if value is not None:
                value -= sum(alone[x][0] for x in (a, b))  # type: ignore[misc]
            yield {"pair": f"{a}-{b}", "distance_A": float(distance), "energy_ev": value, "reason": reason}
