"""The engine of DeePMD: a frozen model called with the neighbours of a list with a skin."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase import Atoms

from ionmelt.dynamics.engines.forces import Frame, Result, result_of
from ionmelt.dynamics.engines.neighbours import Neighbours


class DeepmdEngine:
    """A frozen DeePMD model (PyTorch) given its neighbours, which it would otherwise look for at each call.

    The neighbours of each type fill the places that the descriptor has for it, as DeePMD's own search does: the
    nearest, where there are more than places.
    """

    def __init__(self, plain: Any, weights: Path, atoms: Atoms) -> None:
        """Load the model's file again; `plain` is DeePMD's ASE calculator of it."""
        self.name = "direct"
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.model = torch.jit.load(str(weights), map_location=self.device).eval()
        if self.model.mixed_types() or self.model.has_message_passing():
            raise ValueError("a descriptor of mixed types, or one that passes messages")
        for parameter in self.model.parameters():
            parameter.requires_grad_(False)
        self.cutoff, self.sel = float(self.model.get_rcut()), np.array(self.model.get_sel())
        types = plain.type_dict
        self.types = np.array([types[symbol] for symbol in atoms.get_chemical_symbols()])
        self.n = len(atoms)
        self.lists: dict[int, Neighbours] = {}

    def forget(self, slot: int) -> None:
        """Forget the neighbour list of a slot."""
        self.lists.pop(slot, None)

    def _places(self, i: np.ndarray, j: np.ndarray, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return which pairs have a place, and its column: sorted by atom, type and distance.

        The order matters: a compressed model skips what follows the first neighbour that it cannot tell from none.
        """
        group = i * len(self.sel) + self.types[j]
        order = np.argsort(group + np.einsum("pc,pc->p", vectors, vectors) / (1.01 * self.cutoff**2), kind="stable")
        sizes = np.bincount(group, minlength=self.n * len(self.sel))
        nth = np.arange(len(group)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        kind = self.types[j[order]]
        kept = nth < self.sel[kind]
        return order[kept], (nth + (np.cumsum(self.sel) - self.sel)[kind])[kept]

    def compute(self, frames: Sequence[Frame], slots: Sequence[int]) -> list[Result]:
        """Compute frames of the model's atoms, all in one call of the model.

        Each neighbour is a copy of its own, at the place that the pair's vector gives: the gradient with respect to the
        copies is the force of the pairs, and no coordinate is far from the atom it belongs to.
        """
        n = self.n
        pairs, neighbours, copies, kinds = [], [], [], []
        first = n * len(frames)
        for slot, (positions, cell) in zip(slots, frames, strict=True):
            i, j, vectors = self.lists.setdefault(slot, Neighbours(self.cutoff, kinds=self.types))(positions, cell)
            chosen, column = self._places(i, j, vectors)
            i, j, vectors = i[chosen], j[chosen], vectors[chosen]
            table = np.full((n, self.sel.sum()), -1)
            table[i, column] = first + np.arange(len(i))
            first += len(i)
            neighbours.append(table)
            copies.append(vectors)
            kinds.append(self.types[j])
            pairs.append((i, j, vectors))
        atoms = n * len(frames)
        held = np.concatenate([np.zeros((atoms, 3)), *copies])
        types = np.concatenate([np.tile(self.types, len(frames)), *kinds])
        points = torch.from_numpy(held[None]).to(self.device).requires_grad_(True)
        out = self.model.atomic_model.forward_common_atomic(
            points,
            torch.from_numpy(types[None]).to(self.device),
            torch.from_numpy(np.concatenate(neighbours)[None]).to(self.device),
        )
        energy = out["energy"].reshape(len(frames), n)
        (gradient,) = torch.autograd.grad(energy.sum(), points)
        pair = gradient[0, atoms:].cpu().numpy().astype(float)
        energies = energy.detach().sum(1, dtype=torch.float64).cpu().numpy()
        results, start = [], 0
        for (i, j, vectors), (_, cell), value in zip(pairs, frames, energies, strict=True):
            some = pair[start : start + len(i)]
            start += len(i)
            results.append(result_of(float(value), some, i, j, vectors, n, abs(np.linalg.det(cell))))
        return results


def make(name: str, calculator: Any, weights: Path, atoms: Atoms) -> DeepmdEngine:
    """Return the engine of a frozen model; `calculator` is DeePMD's ASE calculator of it."""
    return DeepmdEngine(calculator, weights, atoms)
