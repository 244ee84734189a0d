"""Labelled frames in extended XYZ with any key names."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from ase import Atoms

from ionmelt.errors import UserError, reading
from ionmelt.labels.foreign.blocks import OWN, Block, Found, comment_values, lone_atom, read_block
from ionmelt.labels.foreign.keys import STRESS_ORDERS, Keys
from ionmelt.labels.foreign.units import ENERGY_UNITS_EV, FORCES_UNITS_EV_A, STRESS_UNITS_EV_A3


def full_stress(six: np.ndarray, order: str) -> np.ndarray:
    """Return a stress (3, 3) from its six numbers in an order of `STRESS_ORDERS`."""
    tensor = np.zeros((3, 3))
    for (i, j), value in zip(STRESS_ORDERS[order], six, strict=True):
        tensor[i, j] = tensor[j, i] = value
    return tensor


def labelled(atoms: Atoms, keys: Keys, found: Found) -> None:
    """Put the label of a structure, as read, into `found`, in eV and A."""
    info = {name.removeprefix(OWN): value for name, value in atoms.info.items()}
    arrays = {name.removeprefix(OWN): value for name, value in atoms.arrays.items()}
    found.atoms = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
    found.info = {name: value for name, value in info.items() if name not in (keys.energy, keys.stress)}
    energy, forces = info.get(keys.energy), arrays.get(keys.forces)
    if energy is not None and np.size(energy) == 1 and np.asarray(energy).dtype.kind in "fi":
        found.energy_ev = float(energy) * ENERGY_UNITS_EV[keys.energy_unit]
    if forces is not None and forces.dtype.kind in "fi":
        found.forces_ev_a = forces * FORCES_UNITS_EV_A[keys.forces_unit]
    stress = info.get(keys.stress) if keys.stress else None
    if stress is not None and np.size(stress) in (6, 9) and np.asarray(stress).dtype.kind in "fi":
        values = np.asarray(stress, dtype=float)
        tensor = values.reshape(3, 3) if values.size == 9 else full_stress(values.ravel(), keys.stress_order)
        if atoms.cell.rank < 3:
            return
        if keys.is_virial:
            tensor = tensor * ENERGY_UNITS_EV[keys.energy_unit] / atoms.get_volume()
        else:
            tensor = tensor * STRESS_UNITS_EV_A3[keys.stress_unit]
        found.stress_ev_a3 = -tensor if keys.stress_sign == "compression" else tensor


def read_own_extxyz(path: Path, name: str, blocks: Sequence[Block], keys: Keys) -> Iterator[Found]:
    """Yield the frames of an extended XYZ file; `name` is how the user calls it."""
    for index, block in enumerate(blocks):
        found = Found(f"{name}: frame {index} (line {block.line})")
        if block.wrong:
            found.reason, found.detail = "unreadable", block.wrong
            yield found
            continue
        try:
            with reading("not a frame of extended XYZ"):
                atoms = read_block(path, block)
        except UserError as error:
            found.reason, found.detail = "unreadable", str(error)
            yield found
            continue
        found.free_atom = lone_atom(block.atoms, comment_values(block.comment))
        if found.free_atom or (atoms.pbc.all() and atoms.cell.rank == 3):
            labelled(atoms, keys, found)
        else:
            found.reason, found.detail = "not_periodic", "a Lattice of three vectors (and pbc T T T) is needed"
        yield found
