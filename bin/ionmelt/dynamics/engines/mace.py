"""The engines of MACE: its model called directly, with fused convolutions (`ionmelt.models.frameworks.mace_layers`) or cuEquivariance."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase import Atoms
from mace.calculators import MACECalculator
from mace.tools.torch_tools import default_dtype

from ionmelt.dynamics.engines.forces import Frame, Result, result_of
from ionmelt.dynamics.engines.neighbours import Neighbours
from ionmelt.models.frameworks.mace_layers import FusedConvolution, arranged
from ionmelt.models.frameworks.mace_polar import sees_beyond_cutoff

OF_THE_WHOLE = ("head", "total_charge", "total_spin")


class MaceEngine:
    """A MACE model called directly, in single precision, with its convolutions fused (see `FusedConvolution`)."""

    def __init__(self, plain: Any, atoms: Atoms, fused: bool = True, cueq: bool = False) -> None:
        """Take the model from a MACECalculator, which is left as it is; ValueError for one that sees beyond its cut-off."""
        if sees_beyond_cutoff(plain.models[0]):
            raise ValueError(
                "charges that see each other beyond the cut-off: pairs within it are not all of the energy"
            )
        self.device = str(plain.device).split(":")[0]
        self.name = "cueq" if cueq else "fused" if fused else "direct"
        single = MACECalculator(
            models=copy.deepcopy(plain.models[0]),
            device=self.device,
            default_dtype="float32",
            enable_cueq=cueq,
            head=plain.head,
        )
        self.model = single.models[0].eval()
        self.cutoff = float(single.r_max)
        self.layout: list[tuple[int, int]] = []
        self.fused = fused
        if fused:
            for block in self.model.interactions:
                if hasattr(block, "conv_fusion"):
                    raise ValueError("convolutions that are fused already")
                block.conv_tp = FusedConvolution(block.conv_tp, self.layout).to(self.device).float()
                block.conv_fusion = True
        one = single._atoms_to_batch(atoms).to_dict()
        self.n = len(atoms)
        self.attributes = one["node_attrs"].float()
        # Inputs of the whole frame and not of an atom: the head and, where a model reads them, charge and spin.
        self.whole = {name: one[name] for name in OF_THE_WHOLE if name in one}
        # A model that reads charge and spin adds an energy for them that belongs to no atom: its total is MACE's. For other models the
        # energies of the atoms are summed here, with more digits than MACE's total has.
        self.adds_of_charge = hasattr(self.model, "embedding_readout")
        self.lists: dict[int, Neighbours] = {}
        self.edges: Any = None  # of an engine whose layers ask for them (`ionmelt.dynamics.engines.compiled`)

    def forget(self, slot: int) -> None:
        """Forget the neighbour list of a slot."""
        self.lists.pop(slot, None)

    def compute(self, frames: Sequence[Frame], slots: Sequence[int]) -> list[Result]:
        """Compute frames of the model's atoms, all in one call of the model."""
        n, count = self.n, len(frames)
        pairs = []
        for index, (slot, (positions, cell)) in enumerate(zip(slots, frames, strict=True)):
            i, j, vectors = self.lists.setdefault(slot, Neighbours(self.cutoff))(positions, cell)
            pairs.append((i + index * n, j + index * n, vectors))
        i, j, vectors = (np.concatenate(column) for column in zip(*pairs, strict=True))
        # MACE sums over the edges from senders j to receivers i; an edge's vector goes from sender to receiver.
        if self.fused:
            order, where, total = arranged(np.bincount(i, minlength=n * count), self.layout)
            new = np.empty(n * count, np.int64)
            new[order] = np.arange(n * count)
            senders, receivers = np.zeros(total, np.int64), np.zeros(total, np.int64)
            held = np.tile([2 * self.cutoff, 0.0, 0.0], (total, 1))  # holes: beyond the cut-off, where all is zero
            senders[where], receivers[where], held[where] = new[j], new[i], -vectors
        else:
            order, where = np.arange(n * count), np.arange(len(i))
            senders, receivers, held = j, i, -vectors
        if self.edges is not None:
            self.edges.set(senders, receivers, n * count)
        graph = np.repeat(np.arange(count), n)
        rows = torch.from_numpy(order % n).to(self.device)
        shifts = torch.from_numpy(held.astype(np.float32)).to(self.device).requires_grad_(True)
        data = {
            "node_attrs": self.attributes.index_select(0, rows),
            "positions": torch.zeros(n * count, 3, device=self.device, dtype=torch.float32),
            "edge_index": torch.from_numpy(np.stack([senders, receivers])).to(self.device),
            "shifts": shifts,
            "unit_shifts": shifts.detach(),
            "cell": torch.zeros(3 * count, 3, device=self.device, dtype=torch.float32),
            "batch": torch.from_numpy(graph[order]).to(self.device),
            "ptr": torch.arange(0, n * count + 1, n, device=self.device),
        } | {name: value.repeat(count) for name, value in self.whole.items()}
        with default_dtype("float32"):  # that of the mask of heads, whatever else runs in the process
            out = self.model(data, compute_force=False)
            (gradient,) = torch.autograd.grad(out["interaction_energy"].sum(), shifts)
        pair = -gradient.cpu().numpy().astype(float)[where]
        atomic = np.empty(n * count)
        atomic[order] = out["node_energy"].detach().cpu().numpy()
        results, start = [], 0
        for index, (_, cell) in enumerate(frames):
            i, j, vectors = pairs[index]
            pair_forces = pair[start : start + len(i)]
            start += len(i)
            energy = (
                float(out["energy"][index]) if self.adds_of_charge else float(atomic[index * n : (index + 1) * n].sum())
            )
            volume = abs(np.linalg.det(cell))
            results.append(result_of(energy, pair_forces, i - index * n, j - index * n, vectors, n, volume))
        return results


def make(name: str, calculator: Any, weights: Path, atoms: Atoms) -> MaceEngine:
    """Return an engine of a model whose `calculator`, MACE's own, is in double precision."""
    return MaceEngine(calculator, atoms, fused=name == "fused", cueq=name == "cueq")
