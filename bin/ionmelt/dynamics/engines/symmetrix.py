"""The engine symmetrix: a MACE model run by compiled code, where that package is installed."""

from pathlib import Path
from typing import Any

from ase import Atoms
from symmetrix import Symmetrix

from ionmelt.dynamics.engines.forces import PlainEngine


def make(name: str, calculator: Any, weights: Path, atoms: Atoms) -> PlainEngine:
    """Return the engine of a file of weights for the elements of some atoms."""
    species = sorted({int(number) for number in atoms.numbers})
    return PlainEngine(Symmetrix(str(weights), dtype="float32", species=species), atoms, name)
