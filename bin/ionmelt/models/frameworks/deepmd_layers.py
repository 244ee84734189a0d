"""DeePMD's se_e2_a in training, computed in another order, which is faster on a CPU.

At every step DeePMD looks for the neighbours of its frames anew, computes an embedding net at every place that the descriptor has for a
neighbour, filled or not, and the fitting net of each element for all atoms. Frames of a training do not move. Here
- the pairs of a frame are found once and kept;
- an embedding net is computed for the neighbours that there are, and once for an empty place of each element;
- a fitting net is computed for the atoms of its element;
- the environment of an atom and its derivatives by the positions, which hold no weights, are numbers beside the graph: forces are these
  derivatives times the gradient of the energy by the environment.
Energies, forces, virials and gradients by the weights are DeePMD's, but for what single precision leaves of them.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ionmelt.dynamics.engines.neighbours import all_pairs

# Largest difference between both ways, of the largest value: DeePMD's own single precision leaves some 1e-5.
TOLERANCE = 1e-3
KEPT_BYTES = 2**30  # of pairs; those of further frames are found at each step


@dataclass(frozen=True)
class FramePairs:
    """The pairs of a frame: i, j (P,), the vectors (A) from i to j (P, 3), sorted by the kind of j and by i."""

    i: np.ndarray
    j: np.ndarray
    vectors: np.ndarray

    @property
    def size(self) -> int:
        """The bytes that they take."""
        return int(self.i.nbytes + self.j.nbytes + self.vectors.nbytes)


def frame_pairs(positions: np.ndarray, cell: np.ndarray, kinds: np.ndarray, cutoff_A: float) -> FramePairs:
    """Return the pairs of a periodic frame; `kinds` (N,) of its atoms."""
    i, j, shift = all_pairs(positions, cell, cutoff_A)
    order = np.lexsort((i, kinds[j]))
    i, j, shift = i[order], j[order], shift[order]
    return FramePairs(i, j, positions[j] - positions[i] + shift @ cell)


@dataclass(frozen=True)
class BatchPairs:
    """The pairs of a batch, sorted by the kind of the neighbour, then by the atom whose neighbour it is.

    `centre`, `neighbour` (P,): atoms, counted over all frames; `vectors` (P, 3); `counts` (atoms, kinds): neighbours of each kind;
    `slot` (P,): where each stands in an array of `width[kind]` places for each atom, filled from the left.
    """

    centre: torch.Tensor
    neighbour: torch.Tensor
    vectors: torch.Tensor
    counts: np.ndarray
    slot: torch.Tensor

    @property
    def sizes(self) -> list[int]:
        """The number of pairs whose neighbour is of each kind."""
        return [int(size) for size in self.counts.sum(axis=0)]

    @property
    def width(self) -> list[int]:
        """The largest number of neighbours of each kind that an atom has."""
        return [int(most) for most in self.counts.max(axis=0)]


def batch_pairs(frames: Sequence[FramePairs], kinds: np.ndarray, n_kinds: int) -> BatchPairs:
    """Return the pairs of frames of as many atoms each; `kinds` (atoms,): those of all frames, one after another."""
    atoms = len(kinds) // len(frames)
    centre = np.concatenate([frame.i + index * atoms for index, frame in enumerate(frames)])
    neighbour = np.concatenate([frame.j + index * atoms for index, frame in enumerate(frames)])
    vectors = np.concatenate([frame.vectors for frame in frames])
    of_kind = kinds[neighbour]
    if len(frames) > 1:
        order = np.argsort(of_kind, kind="stable")
        centre, neighbour, vectors, of_kind = centre[order], neighbour[order], vectors[order], of_kind[order]
    counts = np.bincount(of_kind * len(kinds) + centre, minlength=n_kinds * len(kinds))
    nth = np.arange(len(centre)) - np.repeat(np.cumsum(counts) - counts, counts)
    counts = counts.reshape(n_kinds, len(kinds)).T
    slot = centre * counts.max(axis=0)[of_kind] + nth
    centres, neighbours, apart, places = (torch.from_numpy(array) for array in (centre, neighbour, vectors, slot))
    return BatchPairs(centres, neighbours, apart, counts, places)


class FasterModel:
    """A model of DeePMD with the descriptor se_e2_a and a net for the energy of each element."""

    def __init__(self, model: Any) -> None:
        """`model`: DeePMD's own, which keeps weights and statistics. Raises ValueError for one of another form."""
        descriptor, fitting = model.atomic_model.descriptor, model.atomic_model.fitting_net
        if (type(descriptor).__name__, type(fitting).__name__) != ("DescrptSeA", "EnergyFittingNet"):
            raise ValueError("another descriptor, or no net for energies")
        held = descriptor.sea
        excluded = [
            held.exclude_types,
            fitting.exclude_types,
            model.atomic_model.pair_excl,
            model.atomic_model.atom_excl,
        ]
        inputs = (fitting.numb_fparam, fitting.numb_aparam, fitting.dim_case_embd)
        if not held.type_one_side or held.compress or any(excluded) or any(inputs) or fitting.mixed_types:
            raise ValueError("nets or inputs of another form")
        if fitting.remove_vaccum_contribution is not None or held.env_protection:
            raise ValueError("energies less those of single atoms, or distances that are protected")
        self.model, self.held, self.fitting = model, held, fitting
        self.plain = model.forward  # DeePMD's own
        self.sel = np.array(held.sel)
        self.mean, self.scale = statistics(held)
        self.kept: dict[bytes, FramePairs] = {}
        self.kept_bytes = 0

    def pairs(self, coord: Any, atype: Any, box: Any) -> BatchPairs | None:
        """Return the pairs of a batch; None where there are none, or an atom has more neighbours than the descriptor has places for."""
        kinds, positions = atype.numpy(), coord.detach().reshape(len(atype), -1, 3).numpy()
        cells, frames = box.detach().reshape(-1, 3, 3).numpy(), []
        for index in range(len(kinds)):
            key = positions[index].tobytes() + cells[index].tobytes() + kinds[index].tobytes()
            if (frame := self.kept.get(key)) is None:
                frame = frame_pairs(positions[index], cells[index], kinds[index], self.held.rcut)
                if self.kept_bytes < KEPT_BYTES:
                    self.kept[key] = frame
                    self.kept_bytes += frame.size
            frames.append(frame)
        pairs = batch_pairs(frames, kinds.ravel(), len(self.sel))
        return pairs if pairs.counts.any() and (pairs.counts <= self.sel).all() else None

    def environment(self, pairs: BatchPairs, kinds: Any) -> tuple[Any, Any]:
        """Return the rows of the environment matrices (P, 4), and their derivatives by the vectors (P, 4, 3)."""
        vectors, start, end = pairs.vectors, self.held.rcut_smth, self.held.rcut
        r = vectors.norm(dim=1, keepdim=True)
        along = vectors / r
        x = ((r - start) / (end - start)).clamp(0, 1)
        switch, slope = x**3 * (-6 * x**2 + 15 * x - 10) + 1, -30 * x**2 * (x - 1) ** 2 / (end - start)
        radial, change = switch / r, slope / r - switch / r**2
        square = along[:, :, None] * along[:, None, :]
        across = torch.eye(3, dtype=r.dtype) - square
        rows = torch.cat([radial, radial * along], 1)
        derivatives = torch.cat(
            [(change * along)[:, None, :], change[..., None] * square + (radial / r)[..., None] * across], 1
        )
        of = kinds[pairs.centre], kinds[pairs.neighbour]
        scale = self.scale[of]
        return ((rows - self.mean[of]) / scale).to(self.held.prec), (derivatives / scale[:, :, None]).to(self.held.prec)

    def descriptor(self, rows: Any, pairs: BatchPairs, kinds: Any) -> Any:
        """Return the descriptors of the atoms (atoms, M axis neurons) from the rows of their environments."""
        atoms, last = len(kinds), self.held.filter_neuron[-1]
        empty = (-self.mean / self.scale)[:, :, :1].to(rows.dtype)  # of an empty place: kind of the atom, of the place
        sums, sizes = rows.new_zeros(atoms, 4, last), pairs.sizes
        from_empty = rows.new_zeros(atoms, last)
        parts = zip(
            self.held.filter_layers.networks, rows.split(sizes), pairs.slot.split(sizes), pairs.width, strict=True
        )
        for kind, (net, of_kind, slot, width) in enumerate(parts):
            if width:
                # What is embedded goes to its slot among as many as the atom with the most neighbours has.
                embedded = rows.new_zeros(atoms * width, last).index_copy(0, slot, net(of_kind[:, :1]))
                around = rows.new_zeros(atoms * width, 4).index_copy(0, slot, of_kind)
                sums = sums + around.view(atoms, width, 4).transpose(1, 2) @ embedded.view(atoms, width, last)
            room = torch.from_numpy(self.sel[kind] - pairs.counts[:, kind]).to(rows.dtype)
            from_empty = from_empty + room[:, None] * (empty[:, kind] * net(empty[:, kind])).index_select(0, kinds)
        sums = torch.cat([sums[:, :1] + from_empty[:, None], sums[:, 1:]], 1) / int(self.sel.sum())
        return (sums.transpose(1, 2) @ sums[:, :, : self.held.axis_neuron]).flatten(1)

    def energies(self, descriptors: Any, kinds: Any) -> Any:
        """Return the energies of the atoms (atoms, 1), less the reference energies."""
        order = torch.argsort(kinds, stable=True)
        sorted_by_kind = descriptors.index_select(0, order).split(
            torch.bincount(kinds, minlength=len(self.sel)).tolist()
        )
        nets = zip(self.fitting.filter_layers.networks, sorted_by_kind, strict=True)
        energies = torch.cat([net(of_kind) for net, of_kind in nets if len(of_kind)])
        return energies.index_select(0, torch.argsort(order)) + self.fitting.bias_atom_e[kinds].to(energies.dtype)

    def forward(self, coord: Any, atype: Any, box: Any = None, **more: Any) -> dict[str, Any]:
        """Return what DeePMD's model returns for a batch: energy, force, virial and the energies of the atoms."""
        pairs = (
            None
            if box is None or any(value is not None and value is not False for value in more.values())
            else self.pairs(coord, atype, box)
        )
        if pairs is None:
            return dict(self.plain(coord, atype, box, **more))
        (frames, atoms), kinds = atype.shape, atype.flatten().long()
        rows, derivatives = self.environment(pairs, kinds)
        with torch.enable_grad():
            rows.requires_grad_(True)
            energies = self.energies(self.descriptor(rows, pairs, kinds), kinds)
            atomic = {"energy": energies.to(coord.dtype).view(frames, atoms, 1)}
            atomic = self.model.atomic_model.apply_out_stat(atomic, atype)["energy"]
            energy = atomic.sum(dim=1)
            (gradient,) = torch.autograd.grad(energy.sum(), rows, create_graph=self.model.training)
        pull = (gradient[:, :, None] * derivatives).sum(dim=1).to(coord.dtype)  # of the neighbour on the atom
        force = pull.new_zeros(frames * atoms, 3).index_add(0, pairs.centre, pull).index_add(0, pairs.neighbour, -pull)
        virial = -(pull[:, :, None] * pairs.vectors[:, None, :]).flatten(1)
        return {
            "atom_energy": atomic,
            "energy": energy,
            "force": force.view(frames, atoms, 3),
            "virial": virial.new_zeros(frames, 9).index_add(0, pairs.centre // atoms, virial),
            "mask": torch.ones_like(atype, dtype=torch.int32),
        }


def statistics(held: Any) -> tuple[Any, Any]:
    """Return mean and standard deviation of the environment (kind of the atom, kind of the neighbour, 4), in double precision.

    Raises ValueError where those of the places of a kind differ, or directions have a mean.
    """
    of_kinds = []
    for numbers in (held.mean, held.stddev):
        each = numbers.detach().double().split([int(size) for size in held.sel], 1)
        if any(not places.shape[1] or bool((places != places[:, :1]).any()) for places in each):
            raise ValueError("places that differ")
        of_kinds.append(torch.stack([places[:, 0] for places in each], 1))
    if bool(of_kinds[0][:, :, 1:].any()):
        raise ValueError("directions with a mean")
    return of_kinds[0], of_kinds[1]


@contextmanager
def faster(model: Any) -> Iterator[FasterModel]:
    """Within it a model on a CPU computes so; it keeps its modules, so that its states and files are what they are without this.

    Raises ValueError for a model of another form.
    """
    other = FasterModel(model)
    model.forward = other.forward
    try:
        yield other
    finally:
        del model.forward


def answers(model: Any, inputs: dict[str, Any]) -> dict[str, Any]:
    """Return energies of atoms, forces and virials of a batch, and the gradient of a sum of them by the weights."""
    out = model(**inputs)
    sizes = [out[name].square().sum() for name in ("force", "virial")]
    parameters = [held for held in model.parameters() if held.requires_grad and held.numel()]
    gradients = torch.autograd.grad(out["energy"].sum() + sum(sizes), parameters, allow_unused=True)
    whole = [torch.zeros_like(p) if g is None else g for p, g in zip(parameters, gradients, strict=True)]
    atomic = out["atom_energy"] - model.get_out_bias()[0][inputs["atype"].long()]
    return {
        "energy": atomic,
        "force": out["force"],
        "virial": out["virial"],
        "gradient": torch.cat([g.flatten() for g in whole]),
    }


def agrees(model: Any, inputs: dict[str, Any]) -> bool:
    """Whether a model gives DeePMD's own numbers of a batch where it is computed so; false where it is of a form that cannot be."""
    try:
        with faster(model):
            ours = answers(model, inputs)
    except ValueError:
        return False
    pairs = ((value, ours[name]) for name, value in answers(model, inputs).items())
    return all(float((a - b).detach().abs().max()) <= TOLERANCE * float(a.detach().abs().max()) for a, b in pairs)
