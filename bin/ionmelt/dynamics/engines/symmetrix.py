"""The engine symmetrix: a MACE model run by compiled code, where that package is installed."""

from pathlib import Path
from typing import Any

from ase import Atoms
from symmetrix import Symmetrix, symmetrix

from ionmelt.dynamics.engines.forces import PlainEngine


def make(name: str, calculator: Any, weights: Path, atoms: Atoms) -> PlainEngine:
    """Return the engine of a file of weights for the elements of some atoms; without Kokkos the package has double precision alone."""
    species = sorted({int(number) for number in atoms.numbers})
    single = hasattr(symmetrix, "MACEKokkosFloat")
    dtype = "float32" if single else "float64"
    return PlainEngine(Symmetrix(str(weights), dtype=dtype, use_kokkos=single, species=species), atoms, name)
