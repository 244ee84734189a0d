"""Reference energies of the elements: those of the free atoms among the frames of an import."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from ionmelt.labels.foreign.blocks import ForeignFrame, blocks_of, read_block
from ionmelt.labels.judgement import said_charge

SAME_ENERGY_EV = 1e-4  # of one element twice
MAX_BINDING_EV = 50.0  # an atom: reference energies that are further from the frames are of another calculation


def reference_energies(
    free_atoms: Sequence[ForeignFrame], table: pl.DataFrame, frames: Path, errors: list[str]
) -> dict[str, float]:
    """Return the energy (eV) of each element that a free atom is of; what speaks against them is added to `errors`."""
    energies: dict[str, float] = {}
    for free_atom in free_atoms:
        assert free_atom.atoms is not None
        element = free_atom.atoms.get_chemical_symbols()[0]
        if said := said_charge(free_atom.info):
            errors.append(
                f"labels.frames: {free_atom.where}: a free atom of {element} that says {said}: the reference of an element is its "
                "neutral atom; leave it out"
            )
        elif free_atom.energy_ev is None or not np.isfinite(free_atom.energy_ev):
            errors.append(f"labels.frames: {free_atom.where}: a free atom of {element} without an energy")
        elif abs(energies.setdefault(element, free_atom.energy_ev) - free_atom.energy_ev) > SAME_ENERGY_EV:
            errors.append(
                f"labels.frames: {free_atom.where}: the energy of a free atom of {element} is {free_atom.energy_ev:.6g} eV here "
                f"and {energies[element]:.6g} eV before: which is it?"
            )
    if not energies:  # there may be very many frames
        return {}
    rows = table.filter("converged").iter_rows(named=True)
    for block, row in zip(blocks_of(frames), rows, strict=True):
        symbols = read_block(frames, block).get_chemical_symbols()
        if set(symbols) <= set(energies):
            binding = (row["energy_ev"] - sum(energies[symbol] for symbol in symbols)) / len(symbols)
            if abs(binding) > MAX_BINDING_EV:
                errors.append(
                    f"labels.frames: {row['source']}: its energy is {binding:.4g} eV an atom off that of its free atoms, which "
                    "no binding is: are these of the same calculation and unit?"
                )
            break
    return energies


def write_reference_energies(energies: Mapping[str, float], free_atoms: int, path: Path) -> str:
    """Write energies (eV) by element, from so many free atoms, and say which they are."""
    path.write_text(json.dumps(energies, indent=2) + "\n")
    listed = ", ".join(f"{element} {energy:.6g} eV" for element, energy in energies.items())
    return f"reference energies from {free_atoms} free atoms: {listed}"
