"""Labelled frames in extended XYZ with any key names."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from ase import Atoms

from ionmelt.errors import UserError, reading
from ionmelt.labels.foreign.blocks import (
    OWN,
    Block,
    ForeignFrame,
    Source,
    blocks_of,
    comment_values,
    lone_atom,
    read_block,
)
from ionmelt.labels.foreign.keys import STRESS_ORDERS, Keys, Survey, choose_keys, doubles
from ionmelt.labels.foreign.units import ENERGY_UNITS_EV, FORCES_UNITS_EV_A, STRESS_UNITS_EV_A3
from ionmelt.labels.settings import ImportSettings


def full_stress(six: np.ndarray, order: str) -> np.ndarray:
    """Return a stress (3, 3) from its six numbers in an order of `STRESS_ORDERS`."""
    tensor = np.zeros((3, 3))
    for (i, j), value in zip(STRESS_ORDERS[order], six, strict=True):
        tensor[i, j] = tensor[j, i] = value
    return tensor


def labelled(atoms: Atoms, keys: Keys, frame: ForeignFrame) -> None:
    """Put the label of a structure, as read, into `frame`, in eV and A."""
    info = {name.removeprefix(OWN): value for name, value in atoms.info.items()}
    arrays = {name.removeprefix(OWN): value for name, value in atoms.arrays.items()}
    frame.atoms = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
    frame.info = {name: value for name, value in info.items() if name not in (keys.energy, keys.stress)}
    energy, forces = info.get(keys.energy), arrays.get(keys.forces)
    if energy is not None and np.size(energy) == 1 and np.asarray(energy).dtype.kind in "fi":
        frame.energy_ev = float(energy) * ENERGY_UNITS_EV[keys.energy_unit]
    if forces is not None and forces.dtype.kind in "fi":
        frame.forces_ev_a = forces * FORCES_UNITS_EV_A[keys.forces_unit]
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
        frame.stress_ev_a3 = -tensor if keys.stress_sign == "compression" else tensor


def read_own_extxyz(path: Path, name: str, blocks: Sequence[Block], keys: Keys) -> Iterator[ForeignFrame]:
    """Yield the frames of an extended XYZ file; `name` is how the user calls it."""
    for index, block in enumerate(blocks):
        frame = ForeignFrame(f"{name}: frame {index} (line {block.line})")
        if block.wrong:
            frame.reason, frame.detail = "unreadable", block.wrong
            yield frame
            continue
        try:
            with reading("not a frame of extended XYZ"):
                atoms = read_block(path, block)
        except UserError as error:
            frame.reason, frame.detail = "unreadable", str(error)
            yield frame
            continue
        frame.free_atom = lone_atom(block.atoms, comment_values(block.comment))
        if frame.free_atom or (atoms.pbc.all() and atoms.cell.rank == 3):
            labelled(atoms, keys, frame)
        else:
            frame.reason, frame.detail = "not_periodic", "a Lattice of three vectors (and pbc T T T) is needed"
        yield frame


def understood(keys: Keys, survey: Survey) -> str:
    """Say how the numbers of extended XYZ are read."""
    total = survey.frames
    text = f"energy: {keys.energy} in {keys.energy_unit} ({survey.numbers[keys.energy]} of {total} frames)"
    text += f"; forces: {keys.forces} in {keys.forces_unit} ({survey.columns[keys.forces]})"
    if keys.stress is None:
        return f"{text}; stress: none"
    unit = keys.energy_unit if keys.is_virial else keys.stress_unit
    what = "virial" if keys.is_virial else "stress"
    text += f"; {what}: {keys.stress} in {unit}, positive is {keys.stress_sign} ({survey.tensors[keys.stress]})"
    return text


def read(_form: str, files: Mapping[str, Path], settings: ImportSettings, words: list[str]) -> dict[str, Source]:
    """Return the frames of each file: names and units are those that hold for all files together."""
    blocks = {name: blocks_of(path) for name, path in files.items()}
    survey = Survey()
    for block in (block for name in files for block in blocks[name]):
        if not block.wrong:
            survey.add(block.comment, block.atoms)
    if not survey.frames:
        wrong = [f"{name}: {block.wrong}" for name in files for block in blocks[name] if block.wrong]
        raise UserError(f"labels.frames: {wrong[0] if wrong else 'no frame but free atoms'}")
    keys = choose_keys(survey, settings, doubles(survey, files, blocks))
    words += [understood(keys, survey), *keys.notes]
    return {
        name: Source(name, read_own_extxyz(path, name, blocks[name], keys), len(blocks[name]))
        for name, path in files.items()
    }
