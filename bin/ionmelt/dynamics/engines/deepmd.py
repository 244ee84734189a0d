"""The engine of DeePMD: a frozen model called with the neighbours of a list with a skin."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase import Atoms

from ionmelt.dynamics.engines.forces import Frame, Result, result_of
from ionmelt.dynamics.engines.neighbours import Neighbours

LEAST_ATOMS = 32  # that a thread is given


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
        # Threads of its own, one core each: PyTorch's within an operation gain nothing on so small arrays.
        self.threads = torch.get_num_threads() if self.device == "cpu" else 1
        self.workers = ThreadPoolExecutor(self.threads, initializer=torch.set_num_threads, initargs=(1,))

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
        """Compute frames of the model's atoms, all together, each thread some of the atoms.

        Each neighbour is a copy of its own, at the place that the pair's vector gives: the gradient with respect to the
        copies is the force of the pairs, no coordinate is far from the atom it belongs to, and atoms can be computed apart.
        """
        n, atoms = self.n, self.n * len(frames)
        pairs, tables, first = [], [], 0
        for slot, (positions, cell) in zip(slots, frames, strict=True):
            i, j, vectors = self.lists.setdefault(slot, Neighbours(self.cutoff, kinds=self.types))(positions, cell)
            chosen, column = self._places(i, j, vectors)
            i, j, vectors = i[chosen], j[chosen], vectors[chosen]
            table = np.full((n, self.sel.sum()), -1)
            table[i, column] = first + np.arange(len(i))
            first += len(i)
            tables.append(table)
            pairs.append((i, j, vectors))
        owners = np.concatenate([i + index * n for index, (i, _, _) in enumerate(pairs)])  # ascending
        whole = Copies(
            np.tile(self.types, len(frames)), np.concatenate(tables), np.concatenate([x for _, _, x in pairs]),
            np.concatenate([self.types[j] for _, j, _ in pairs]),
        )  # fmt: skip
        shares = max(1, min(self.threads, atoms // LEAST_ATOMS))
        ends = [atoms * share // shares for share in range(shares + 1)]
        some = [whole.of(a, b, *np.searchsorted(owners, (a, b))) for a, b in pairwise(ends)]
        each = map if shares == 1 else self.workers.map
        answers = list(each(self._computed, some))
        energies = np.concatenate([energy for energy, _ in answers]).reshape(len(frames), n)
        forces = np.concatenate([force for _, force in answers])
        results, start = [], 0
        for (i, j, vectors), (_, cell), value in zip(pairs, frames, energies.sum(axis=1), strict=True):
            of_frame = forces[start : start + len(i)]
            start += len(i)
            results.append(result_of(float(value), of_frame, i, j, vectors, n, abs(np.linalg.det(cell))))
        return results

    def _computed(self, copies: "Copies") -> tuple[np.ndarray, np.ndarray]:
        """Return the energies of atoms, in double precision, and dE/d(copy) of their neighbours (pairs, 3)."""
        atoms = len(copies.neighbours)
        held = np.concatenate([np.zeros((atoms, 3)), copies.vectors])
        points = torch.from_numpy(held[None]).to(self.device).requires_grad_(True)
        out = self.model.atomic_model.forward_common_atomic(
            points,
            torch.from_numpy(np.concatenate([copies.types, copies.kinds])[None]).to(self.device),
            torch.from_numpy(copies.neighbours[None]).to(self.device),
        )
        energy = out["energy"]
        (gradient,) = torch.autograd.grad(energy.sum(), points)
        energies = energy.detach().reshape(-1).to(torch.float64).cpu().numpy()
        return energies, gradient[0, atoms:].cpu().numpy().astype(float)


@dataclass(frozen=True)
class Copies:
    """Atoms with a copy of each of their neighbours.

    ``types`` of the atoms; ``neighbours``: of each atom the copies in the places of its descriptor, counted from the first copy, -1: none;
    ``vectors`` (copies, 3) from the atom to each, and their ``kinds``.
    """

    types: np.ndarray
    neighbours: np.ndarray
    vectors: np.ndarray
    kinds: np.ndarray

    def of(self, begin: int, end: int, first: int, last: int) -> "Copies":
        """Return those of the atoms from `begin` to `end`, whose copies are from `first` to `last`; a copy is counted after the atoms."""
        neighbours = self.neighbours[begin:end]
        counted = np.where(neighbours < 0, -1, neighbours - first + end - begin)
        return Copies(self.types[begin:end], counted, self.vectors[first:last], self.kinds[first:last])


def make(name: str, calculator: Any, weights: Path, atoms: Atoms) -> DeepmdEngine:
    """Return the engine of a frozen model; `calculator` is DeePMD's ASE calculator of it."""
    return DeepmdEngine(calculator, weights, atoms)
