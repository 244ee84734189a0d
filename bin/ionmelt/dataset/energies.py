"""Reference energies of the elements: fitted to the training frames, or those of free atoms."""

from collections.abc import Sequence

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols

from ionmelt.frame import ENERGY_KEY

# Directions of composition space weaker than this (relative) hold noise rather than composition.
COMPOSITION_RCOND = 1e-3

ATOMS_METHOD = "energies of free atoms, given with the labels"
E0S_METHOD = (
    "least squares of the training energies over the element counts, of minimum norm around the mean energy per "
    "atom: what the compositions do not determine is shared equally by all atoms"
)


def element_energies(frames: Sequence[Atoms], numbers: Sequence[int], energies_ev: np.ndarray) -> np.ndarray:
    """Return the energy (eV) of an atom of each of some elements, (E,), that sums to the energies (F,) of frames best.

    Least squares over the element counts, of minimum norm around the mean energy of an atom: what the compositions
    do not determine is shared equally by all atoms.
    """
    counts = np.array([[np.count_nonzero(frame.numbers == number) for number in numbers] for frame in frames], float)
    atoms = counts.sum(axis=1)
    energy_per_atom = energies_ev / atoms
    mean = energy_per_atom.mean()
    correction = np.linalg.lstsq(counts / atoms[:, None], energy_per_atom - mean, rcond=COMPOSITION_RCOND)[0]
    return np.asarray(mean + correction)


def fit_e0s(frames: list[Atoms]) -> dict[str, float]:
    """Return a reference energy (eV) for every element of the frames, as `E0S_METHOD` says.

    In liquids of one composition only the sum over the formula is determined; any choice that keeps it
    gives the same interaction energy of every frame, so models learn the same thing. Such energies are
    no free-atom energies: binding energies read from them mean nothing.
    """
    numbers = sorted({int(number) for frame in frames for number in frame.numbers})
    energies = element_energies(frames, numbers, np.array([frame.info[ENERGY_KEY] for frame in frames]))
    return {chemical_symbols[number]: float(e) for number, e in zip(numbers, energies, strict=True)}


def method_of(free_atoms: dict[str, float], elements: list[str]) -> str:
    """Return where the reference energies are from: free atoms, where one of every element was given."""
    left = [element for element in elements if element not in free_atoms]
    if not left:
        return ATOMS_METHOD
    return f"{E0S_METHOD} (no free atom was given of {', '.join(left)})" if free_atoms else E0S_METHOD
