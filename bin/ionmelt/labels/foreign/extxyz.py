"""Labelled frames in extended XYZ with any key names."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

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
    is_number,
    lone_atom,
    read_block,
    summed_charge,
)
from ionmelt.labels.foreign.keys import STRESS_ORDERS, Keys, choose_keys
from ionmelt.labels.foreign.survey import Survey, doubles, like_energy
from ionmelt.labels.foreign.units import ENERGY_UNITS_EV, FORCES_UNITS_EV_A, STRESS_UNITS_EV_A3
from ionmelt.labels.settings import ImportSettings


def full_stress(six: np.ndarray, order: str) -> np.ndarray:
    """Return a stress (3, 3) from its six numbers in an order of `STRESS_ORDERS`."""
    tensor = np.zeros((3, 3))
    for (i, j), value in zip(STRESS_ORDERS[order], six, strict=True):
        tensor[i, j] = tensor[j, i] = value
    return tensor


def numbers_of(value: Any, *sizes: int) -> np.ndarray | None:
    """Return what a comment says as numbers, None where it is not so many of them."""
    return np.asarray(value, dtype=float) if is_number(value) and np.size(value) in sizes else None


def stress_of(values: np.ndarray, keys: Keys, volume_A3: float) -> np.ndarray:
    """Return the stress (3, 3) in eV/A^3, tension positive, from six or nine numbers of a stress or virial."""
    tensor = values.reshape(3, 3) if values.size == 9 else full_stress(values.ravel(), keys.stress_order)
    unit = ENERGY_UNITS_EV[keys.energy_unit] / volume_A3 if keys.is_virial else STRESS_UNITS_EV_A3[keys.stress_unit]
    return tensor * (-unit if keys.stress_sign == "compression" else unit)


def put_label(frame: ForeignFrame, atoms: Atoms, keys: Keys) -> None:
    """Put a structure and its label, as read, into a frame, in eV and A."""
    info = {name.removeprefix(OWN): value for name, value in atoms.info.items()}
    arrays = {name.removeprefix(OWN): value for name, value in atoms.arrays.items()}
    frame.atoms = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
    charges = arrays.get("initial_charges")
    frame.info = {} if charges is None or charges.dtype.kind not in "fi" else summed_charge(charges)
    frame.info |= {name: value for name, value in info.items() if name not in (keys.energy, keys.stress)}
    if (energy := numbers_of(info.get(keys.energy), 1)) is not None:
        frame.energy_ev = float(energy.ravel()[0]) * ENERGY_UNITS_EV[keys.energy_unit]
    forces = arrays.get(keys.forces)
    if forces is not None and forces.dtype.kind in "fi":
        frame.forces_ev_a = forces * FORCES_UNITS_EV_A[keys.forces_unit]
    stress = numbers_of(info.get(keys.stress), 6, 9) if keys.stress else None
    if stress is not None and atoms.cell.rank == 3:
        frame.stress_ev_a3 = stress_of(stress, keys, atoms.get_volume())


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
            put_label(frame, atoms, keys)
        else:
            there = "pbc is " + " ".join("FT"[int(p)] for p in atoms.pbc) if atoms.cell.rank == 3 else "there is none"
            frame.reason, frame.detail = (
                "not_periodic",
                f"a Lattice of three vectors (and pbc T T T) is needed: {there}",
            )
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
    if not (survey.columns or survey.odd or any(map(like_energy, survey.numbers))):
        raise UserError(
            f"labels.frames: {', '.join(list(files)[:3])}: comment lines hold no energy=... and name no columns of forces "
            "(Properties=species:S:1:pos:R:3:forces:R:3): this is plain XYZ"
        )
    keys = choose_keys(survey, settings, doubles(survey, files, blocks))
    words += [understood(keys, survey), *keys.notes]
    return {
        name: Source(name, read_own_extxyz(path, name, blocks[name], keys), len(blocks[name]))
        for name, path in files.items()
    }
