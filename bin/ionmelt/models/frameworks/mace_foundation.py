"""What MACE models are fine-tuned from: the foundation model, its reference energies, and frames of its own data.

A foundation model is a file that MACE's tool can start from: MACE-MPA-0 and MACE-OMAT-0 are such files, and so is the
`model.pt` of any model trained here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
from ase import Atoms
from ase.data import chemical_symbols

from ionmelt.errors import UserError, reading
from ionmelt.frame import ENERGY_KEY, FORCES_KEY, STRESS_KEY, element_energies, evenly, rounded
from ionmelt.models import weights

HEAD = "Default"  # what MACE calls the head of the frames that it is fine-tuned to
REPLAY_HEAD = "pt_head"
MAX_FRAMES = 200  # that are predicted to find reference energies, or to judge a replay file
REPLAY_VALID = 0.1  # share of the replayed frames that are validated on
# A replay file is refused where the foundation model's errors on it are as large as this.
REPLAY_FORCE_ERROR = 1.0  # times the root mean square of the forces themselves
REPLAY_ENERGY_ERROR_EV = 0.5  # an atom, on average


@dataclass
class Foundation:
    """A MACE model to start from, and the head of it that counts (None where it has one)."""

    name: str
    model: Any
    head: str | None
    e0s_ev: dict[int, float]  # by atomic number
    cutoff_A: float

    @property
    def heads(self) -> list[str]:
        """Return the names of its heads."""
        return list(getattr(self.model, "heads", None) or [HEAD])

    def unknown(self, frames: Sequence[Atoms]) -> list[str]:
        """Return the symbols of elements that the model does not know."""
        numbers = sorted({int(number) for frame in frames for number in frame.numbers} - set(self.e0s_ev))
        return [chemical_symbols[number] for number in numbers]

    def known(self) -> str:
        """Return what elements the model knows, in words."""
        symbols = [chemical_symbols[number] for number in sorted(self.e0s_ev)]
        return ", ".join(symbols) if len(symbols) <= 12 else f"{len(symbols)} others"

    def predict(self, frames: Sequence[Atoms]) -> tuple[np.ndarray, list[np.ndarray]]:
        """Return the energies (eV) (F,) and forces (eV/A) of frames, in double precision on the CPU."""
        import copy

        from mace.calculators import MACECalculator

        calculator = MACECalculator(
            models=copy.deepcopy(self.model), device="cpu", default_dtype="float64", head=self.head
        )
        energies, forces = [], []
        for frame in frames:
            atoms = frame.copy()
            atoms.calc = calculator
            energies.append(float(atoms.get_potential_energy()))
            forces.append(np.array(atoms.get_forces()))
        return np.array(energies), forces


def read_foundation(path: Path, key: str, head: str | None) -> Foundation:
    """Return the foundation model in a file whose sha256 has been checked; nothing but a model is opened.

    Raises `UserError`, naming the model `key`, for a file that holds no model that can be fine-tuned, or the wrong head.
    """
    try:
        model = weights.read_mace(path)
    except UserError as error:
        raise UserError(*(f"model {key}: {line}" for line in error.errors)) from error
    import mace.modules

    if type(model) is not mace.modules.ScaleShiftMACE:
        what = type(model).__name__
        raise UserError(f"model {key}: weights: {path.name} holds a {what}; what can be fine-tuned is a ScaleShiftMACE")
    heads = list(getattr(model, "heads", None) or [HEAD])
    others = [name for name in heads if name != REPLAY_HEAD]
    if head is None and len(others) > 1:
        raise UserError(f"model {key}: head: missing: {path.name} has {', '.join(others)}")
    if head is not None and head not in heads:
        raise UserError(f"model {key}: head: {head!r}: {path.name} has {', '.join(heads)}")
    head = head or others[0]
    rows = np.atleast_2d(model.atomic_energies_fn.atomic_energies.detach().cpu().numpy())
    row = rows[heads.index(head) if len(rows) > 1 else 0]
    e0s = {int(z): float(e) for z, e in zip(model.atomic_numbers, row, strict=True)}
    return Foundation(path.name, model, head, e0s, float(model.r_max))


def tuned_energies(
    foundation: Foundation, frames: Sequence[Atoms], key: str
) -> tuple[dict[int, float], dict[str, Any]]:
    """Return the reference energies (eV) that a fine-tuning starts with, by atomic number, and what was found.

    The foundation model keeps its interaction energies, and its reference energies are moved by what its energies are off
    on the training frames, as `frame.element_energies` shares it among the elements; those that the frames do not have
    are moved by the mean of an atom. So codes and pseudopotentials with another zero of energy cost the model nothing, and
    it starts with no mean error. Raises `UserError` for elements that the foundation model does not know.
    """
    if unknown := foundation.unknown(frames):
        raise UserError(
            f"model {key}: weights: {foundation.name} does not know {', '.join(unknown)}; it knows {foundation.known()}"
        )
    chosen = evenly(frames, MAX_FRAMES)
    off = np.array([frame.info[ENERGY_KEY] for frame in chosen]) - foundation.predict(chosen)[0]
    atoms = np.array([len(frame) for frame in chosen])
    numbers = sorted({int(number) for frame in chosen for number in frame.numbers})
    moved = dict(zip(numbers, element_energies(chosen, numbers, off), strict=True))
    rest = off - np.array([sum(moved[int(number)] for number in frame.numbers) for frame in chosen])
    mean = float((off / atoms).mean())
    e0s = {number: energy + float(moved.get(number, mean)) for number, energy in foundation.e0s_ev.items()}
    return e0s, {
        "frames": len(chosen),
        "energy_offset_ev_per_atom": mean,
        "energy_rmse_ev_per_atom_after_offset": float(np.sqrt(((rest / atoms) ** 2).mean())),
    }


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


def check_replay(foundation: Foundation, frames: Sequence[Atoms], path: Path, key: str) -> dict[str, Any]:
    """Return what the foundation model's errors on replayed frames are; raise `UserError` where they are not its own data."""
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
    return {"energy_offset_ev_per_atom": float(off.mean()), "force_rmse_ev_a": error}


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


def check_energies(path: Path, wanted: dict[str, dict[int, float]], key: str) -> list[str]:
    """Return the heads of a model that was trained; raise RuntimeError unless its reference energies are those wanted by head."""
    model = weights.read_mace(path)
    rows = np.atleast_2d(model.atomic_energies_fn.atomic_energies.detach().cpu().numpy())
    heads = list(model.heads)
    for head, e0s in wanted.items():
        found = rows[heads.index(head) if len(rows) > 1 else 0]
        for number, energy in zip(model.atomic_numbers, found, strict=True):
            if abs(float(energy) - e0s[int(number)]) > 1e-3:
                raise RuntimeError(
                    f"model {key}: head {head}: {chemical_symbols[int(number)]} has {float(energy)} eV, not {e0s[int(number)]}"
                )
    return heads
