"""What MACE models are fine-tuned from: the foundation model and its reference energies.

A foundation model is a file that MACE's tool can start from: MACE-MPA-0 and MACE-OMAT-0 are such files, and so is the
`model.pt` of any model trained here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols

from ionmelt.dataset.energies import element_energies
from ionmelt.errors import UserError
from ionmelt.frame import ENERGY_KEY, evenly
from ionmelt.models import weights
from ionmelt.models.card import Offset
from ionmelt.models.heads import check_head

HEAD = weights.HEAD  # of the frames that a model is fine-tuned to
REPLAY_HEAD = "pt_head"
MAX_FRAMES = 200  # that are predicted to find reference energies, or to judge a replay file


@dataclass
class Foundation:
    """A MACE model to start from, and the head of it that counts."""

    name: str
    model: Any
    head: str
    e0s_ev: dict[int, float]  # by atomic number
    cutoff_A: float

    @property
    def heads(self) -> list[str]:
        """Return the names of its heads."""
        return weights.heads_of(self.model)

    def unknown(self, frames: Sequence[Atoms]) -> list[str]:
        """Return the symbols of elements that the model does not know."""
        numbers = sorted({int(number) for frame in frames for number in frame.numbers} - set(self.e0s_ev))
        return [chemical_symbols[number] for number in numbers]

    def described_elements(self) -> str:
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
        return foundation_in(path, head)
    except UserError as error:
        raise UserError(*(f"model {key}: {line}" for line in error.errors)) from error


def foundation_in(path: Path, head: str | None) -> Foundation:
    """Return the foundation model in a file; where no head is asked for, the one beside that of replayed frames."""
    model = weights.read_mace(path)
    import mace.modules

    if type(model) is not mace.modules.ScaleShiftMACE:
        what = type(model).__name__
        raise UserError(f"weights: {path.name} holds a {what}; what can be fine-tuned is a ScaleShiftMACE")
    heads = [name for name in weights.heads_of(model) if head is not None or name != REPLAY_HEAD]
    head = check_head(head, path.name, heads)
    return Foundation(path.name, model, head, weights.e0s_of(model, head), float(model.r_max))


def tuned_energies(foundation: Foundation, frames: Sequence[Atoms], key: str) -> tuple[dict[int, float], Offset]:
    """Return the reference energies (eV) that a fine-tuning starts with, by atomic number, and by what those of the foundation model are off.

    The foundation model keeps its interaction energies, and its reference energies are moved by what its energies are off
    on the training frames, as `element_energies` shares it among the elements; those that the frames do not have
    are moved by the mean of an atom. So codes and pseudopotentials with another zero of energy cost the model nothing, and
    it starts with no mean error. Raises `UserError` for elements that the foundation model does not know.
    """
    if unknown := foundation.unknown(frames):
        raise UserError(
            f"model {key}: weights: {foundation.name} does not know {', '.join(unknown)}; it knows {foundation.described_elements()}"
        )
    chosen = evenly(frames, MAX_FRAMES)
    off = np.array([frame.info[ENERGY_KEY] for frame in chosen]) - foundation.predict(chosen)[0]
    atoms = np.array([len(frame) for frame in chosen])
    numbers = sorted({int(number) for frame in chosen for number in frame.numbers})
    moved = dict(zip(numbers, element_energies(chosen, numbers, off), strict=True))
    rest = off - np.array([sum(moved[int(number)] for number in frame.numbers) for frame in chosen])
    mean = float((off / atoms).mean())
    e0s = {number: energy + float(moved.get(number, mean)) for number, energy in foundation.e0s_ev.items()}
    return e0s, Offset(
        frames=len(chosen),
        energy_offset_ev_per_atom=mean,
        energy_rmse_ev_per_atom_after_offset=float(np.sqrt(((rest / atoms) ** 2).mean())),
    )


def check_energies(path: Path, wanted: dict[str, dict[int, float]], key: str) -> list[str]:
    """Return the heads of a model that was trained; raise RuntimeError unless its reference energies are those wanted by head."""
    model = weights.read_mace(path)
    for head, e0s in wanted.items():
        for number, energy in weights.e0s_of(model, head).items():
            if abs(energy - e0s[number]) > 1e-3:
                raise RuntimeError(
                    f"model {key}: head {head}: {chemical_symbols[number]} has {energy} eV, not {e0s[number]}"
                )
    return weights.heads_of(model)
