"""Frames of a foundation model's own data, replayed while it is fine-tuned: read, checked against the model, drawn."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
from ase import Atoms

from ionmelt.errors import UserError, reading
from ionmelt.frame import ENERGY_KEY, FORCES_KEY, STRESS_KEY, evenly, rounded
from ionmelt.models.card import Replay
from ionmelt.models.frameworks.mace_foundation import MAX_FRAMES, Foundation

REPLAY_VALID = 0.1  # share of the replayed frames that are validated on
# A replay file is refused where the foundation model's errors on it are as large as this.
REPLAY_FORCE_ERROR = 1.0  # times the root mean square of the forces themselves
REPLAY_ENERGY_ERROR_EV = 0.5  # an atom, on average


def label_of(frame: Atoms) -> tuple[Any, Any, Any]:
    """Return energy, forces and stress of a frame under our names, under plain ones or in ASE's calculator; None: absent."""
    results = dict(frame.calc.results) if frame.calc else {}
    energy = frame.info.get(ENERGY_KEY, results.get("energy", frame.info.get("energy")))
    forces = frame.arrays.get(FORCES_KEY, results.get("forces", frame.arrays.get("forces")))
    stress = frame.info.get(STRESS_KEY, results.get("stress", frame.info.get("stress")))
    return energy, forces, stress


def read_replay(path: Path, key: str) -> list[Atoms]:
    """Return the labelled frames of a replay file with their labels under our names, whatever they were called.

    MACE gives a label that it does not find a weight of zero and trains on, without a word. Raises `UserError` for a file
    that is not extended XYZ, and for frames without energy or forces.
    """
    where = f"model {key}: replay_frames: {path.name}"
    with reading(f"{where}: is not a readable extended XYZ file"):
        read = list(ase.io.iread(path, index=":", format="extxyz"))
    if len(read) < 2:
        raise UserError(
            f"{where}: {len(read)} frames: replay needs two at least, one to train on and one to validate on"
        )
    frames, missing = [], {"energy": [], "forces": []}  # type: ignore[var-annotated]
    for index, atoms in enumerate(read):
        energy, forces, stress = label_of(atoms)
        for name, value in (("energy", energy), ("forces", forces)):
            if value is None or not np.isfinite(value).all():
                missing[name].append(index)
        frame = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
        frame.info[ENERGY_KEY] = energy
        frame.arrays[FORCES_KEY] = forces
        if stress is not None and np.isfinite(stress).all() and atoms.pbc.all():
            stress = np.asarray(stress, float)
            full = stress if stress.size == 9 else stress[[0, 5, 4, 5, 1, 3, 4, 3, 2]]
            frame.info[STRESS_KEY] = full.reshape(3, 3)
        frames.append(frame)
    problems = [
        f"{where}: {len(indices)} of {len(read)} frames have no {name} (the first is frame {indices[0]}): name it "
        f"{'REF_' + name} or {name}"
        for name, indices in missing.items()
        if indices
    ]
    if problems:
        raise UserError(*problems)
    return frames


def check_replay(foundation: Foundation, frames: Sequence[Atoms], path: Path, key: str) -> tuple[float, float]:
    """Return the foundation model's mean error of the energy (eV an atom) and that of the forces (eV/A, RMS); raise `UserError` where they are not its own data."""
    where = f"model {key}: replay_frames: {path.name}"
    if unknown := foundation.unknown(frames):
        raise UserError(f"{where}: has {', '.join(unknown)}, which {foundation.name} does not know")
    chosen = evenly(frames, MAX_FRAMES // 4)
    energies, forces = foundation.predict(chosen)
    off = (energies - [frame.info[ENERGY_KEY] for frame in chosen]) / [len(frame) for frame in chosen]
    given = np.concatenate([frame.arrays[FORCES_KEY] for frame in chosen])
    error = float(np.sqrt(((np.concatenate(forces) - given) ** 2).mean()))
    size = float(np.sqrt((given**2).mean()))
    if abs(float(off.mean())) > REPLAY_ENERGY_ERROR_EV:
        raise UserError(
            f"{where}: the energies of {foundation.name} are off by {off.mean():+.2f} eV an atom on it: it is of another level "
            "of theory or has other reference energies; give the foundation model's own data"
        )
    if error > REPLAY_FORCE_ERROR * size:
        raise UserError(
            f"{where}: the forces of {foundation.name} are off by {error:.2f} eV/A on it, and they are {size:.2f} eV/A "
            "themselves: give the foundation model's own data"
        )
    return float(off.mean()), error


def choose_replay(frames: Sequence[Atoms], wanted: int, seed: int) -> tuple[list[Atoms], list[Atoms]]:
    """Return training and validation frames of a replay: drawn by the seed, in the order of the file."""
    rng = np.random.default_rng(seed)
    count = max(2, min(wanted, len(frames)))
    drawn = rng.permutation(len(frames))[:count]
    valid = max(1, round(REPLAY_VALID * count))
    return [frames[i] for i in np.sort(drawn[valid:])], [frames[i] for i in np.sort(drawn[:valid])]


def write_replay(path: Path, frames: Sequence[Atoms]) -> None:
    """Write frames of a replay as MACE reads them."""
    for frame in frames:
        frame.arrays[FORCES_KEY] = rounded(frame.arrays[FORCES_KEY], 8)
    ase.io.write(path, list(frames), format="extxyz")


def replay(foundation: Foundation, path: Path, key: str, wanted: int, seed: int, folder: Path) -> Replay:
    """Write the frames of a file that are replayed, about as many as wanted, into a folder; return what the card says of them.

    Raises `UserError` for a file that cannot be used.
    """
    frames = read_replay(path, key)
    offset, error = check_replay(foundation, frames, path, key)
    train, valid = choose_replay(frames, wanted, seed)
    folder.mkdir(exist_ok=True)
    write_replay(folder / "train.extxyz", train)
    write_replay(folder / "valid.extxyz", valid)
    return Replay(
        file=path.name,
        energy_offset_ev_per_atom=offset,
        force_rmse_ev_a=error,
        frames=len(frames),
        train=len(train),
        valid=len(valid),
    )
