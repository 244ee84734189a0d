"""Layers of MACE, computed in another order, which is faster on a CPU: its sums over neighbours, and its symmetric products in training."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
import torch
from mace.modules.models import o3  # e3nn's, which can be imported after MACE alone

BUCKETS = 12  # atoms with about as many neighbours are computed together, in arrays without holes
# The interactions of MACE whose code lets a convolution sum over the edges itself.
BLOCKS = tuple(f"RealAgnostic{kind}InteractionBlock" for kind in ("", "Residual", "Density", "DensityResidual"))
# Largest difference of forces between both ways, of the largest force: single precision leaves about 1e-6.
TOLERANCE = 1e-4


def arranged(degrees: np.ndarray, layout: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray, int]:
    """Order atoms by their number of neighbours (atoms,) and lay their edges out, some atoms at a time as wide as the widest.

    `layout` is filled with the buckets: (atoms, edges an atom). Returns the order of the atoms, the place of each edge (sorted by
    atom), and how many places there are.
    """
    order = np.argsort(degrees, kind="stable")
    layout.clear()
    first_edge = np.empty(len(degrees), np.int64)
    total = 0
    for bucket in np.array_split(order, min(BUCKETS, len(order))):
        width = max(1, int(degrees[bucket].max()))
        first_edge[bucket] = total + width * np.arange(len(bucket))
        layout.append((len(bucket), width))
        total += len(bucket) * width
    atoms = np.repeat(np.arange(len(degrees)), degrees)
    nth = np.arange(len(atoms)) - np.repeat(np.cumsum(degrees) - degrees, degrees)
    return order, first_edge[atoms] + nth, total


class FusedConvolution(torch.nn.Module):
    """The sum over neighbours of a tensor product of e3nn.

    The product of one edge, sum over m1, m2 of C(m1, m2, m3) x(m1, channel) Y(m2) w(channel), is summed over
    the edges of an atom as one matrix product a path: [C Y] (edge m1, m3) with [x w] (edge m1, channel). The
    products of single edges, which are what costs time, are never written.
    """

    def __init__(self, product: Any, layout: list[tuple[int, int]]) -> None:
        """`layout` says where the edges of each bucket lie: (atoms, edges an atom), one after another.

        Raises ValueError for a product of another form.
        """
        super().__init__()
        instructions = [instruction for instruction in product.instructions if instruction.path_weight]
        if any(ins.connection_mode != "uvu" or not ins.has_weight for ins in instructions):
            raise ValueError("a tensor product of another form")
        if any(mul != 1 for mul, _ in product.irreps_in2):
            raise ValueError("edges with channels")
        # Not the product itself: it would become a part of this module, with its own arrays.
        self.instructions, self.layout = product.instructions, layout
        self.irreps_in, self.irreps_out = product.irreps_in1, product.irreps_out
        self.weight_sizes = [ins.path_shape[0] * ins.path_shape[1] for ins in product.instructions]
        self.node_sizes = [irreps.stop - irreps.start for irreps in product.irreps_in1.slices()]
        self.edge_sizes = [irreps.stop - irreps.start for irreps in product.irreps_in2.slices()]
        for index, ins in enumerate(product.instructions):
            irreps = (
                product.irreps_in1[ins.i_in1].ir,
                product.irreps_in2[ins.i_in2].ir,
                product.irreps_out[ins.i_out].ir,
            )
            coupling = ins.path_weight * o3.wigner_3j(*(ir.l for ir in irreps), dtype=torch.float64)
            # (m2, m1 m3): a product with the spherical harmonics of the edges
            self.register_buffer(f"c{index}", coupling.permute(1, 0, 2).flatten(1).contiguous(), persistent=False)

    def forward(self, node_feats: Any, edge_attrs: Any, weights: Any, edge_index: Any) -> Any:
        """Return the sums of each atom; the arguments are those of MACE's convolution."""
        # Pieces come from split, never from slices: the gradient of a slice is an array full of zeros.
        senders = []
        for x, (mul, ir) in zip(node_feats.split(self.node_sizes, 1), self.irreps_in, strict=True):
            x = x.reshape(-1, mul, ir.dim).transpose(1, 2).contiguous()
            senders.append(x.index_select(0, edge_index[0]))  # (edges, m1, channel)
        harmonics, w = edge_attrs.split(self.edge_sizes, 1), weights.split(self.weight_sizes, 1)
        outs: list[list[Any]] = [[] for _ in self.irreps_out]
        for index, ins in enumerate(self.instructions):
            coupled = harmonics[ins.i_in2] @ getattr(self, f"c{index}")  # (edges, m1 m3)
            weighted = senders[ins.i_in1] * w[index][:, None, :]
            outs[ins.i_out].append(self._summed(ins, coupled, weighted))
        totals = []
        for terms in outs:
            total = terms[0]
            for term in terms[1:]:
                total = total + term
            totals.append(total)
        return torch.cat(totals, dim=1)

    def _summed(self, ins: Any, coupled: Any, weighted: Any) -> Any:
        """Return the sums of one path over the edges of each atom (atoms, channel m3), bucket by bucket."""
        mul, first = self.irreps_in[ins.i_in1]
        last = self.irreps_out[ins.i_out].ir
        edges = [atoms * width for atoms, width in self.layout]
        sums = [
            torch.bmm(  # (atoms, m3, channel)
                c.view(atoms, width * first.dim, last.dim).transpose(1, 2), xw.view(atoms, width * first.dim, mul)
            )
            for c, xw, (atoms, width) in zip(coupled.split(edges), weighted.split(edges), self.layout, strict=True)
        ]
        return torch.cat(sums).transpose(1, 2).flatten(1)


class Arrangement:
    """Where the edges of a batch lie in the buckets, for all layers of a model."""

    def __init__(self) -> None:
        self.layout: list[tuple[int, int]] = []
        self._edges: Any = None

    def take(self, edge_index: Any, atoms: int) -> None:
        """Arrange the edges (2, edges) of a batch, from senders to receivers, unless it was done for the layer before."""
        if self._edges is edge_index:
            return
        receivers = edge_index[1].numpy()
        by_receiver = np.argsort(receivers, kind="stable")
        order, where, total = arranged(np.bincount(receivers, minlength=atoms), self.layout)
        source, filled = np.zeros(total, np.int64), np.zeros((total, 1), np.float32)
        source[where], filled[where] = by_receiver, 1.0
        back = np.empty(atoms, np.int64)
        back[order] = np.arange(atoms)
        self.source, self.filled, self.back = map(torch.from_numpy, (source, filled, back))
        self.senders = edge_index[:1].index_select(1, self.source)
        self._edges = edge_index


class TrainedConvolution(FusedConvolution):
    """A fused convolution of edges in any order, whose derivatives by all that enters can be differentiated again."""

    def __init__(self, product: Any, arrangement: Arrangement) -> None:
        super().__init__(product, arrangement.layout)
        self.arrangement = arrangement

    def forward(self, node_feats: Any, edge_attrs: Any, weights: Any, edge_index: Any) -> Any:
        """Return the sums of each atom."""
        if not edge_index.shape[1]:  # no atom has a neighbour
            return node_feats.new_zeros(len(node_feats), self.irreps_out.dim)
        here = self.arrangement
        here.take(edge_index, len(node_feats))
        harmonics = edge_attrs.index_select(0, here.source) * here.filled.to(edge_attrs.dtype)  # none in the holes
        sums = super().forward(node_feats, harmonics, weights.index_select(0, here.source), here.senders)
        return sums.index_select(0, here.back)


class ElementProducts:
    """The symmetric products of a layer, element by element.

    MACE mixes its coupling coefficients with weights for each atom; here it is done once for each element of a batch. Then, from the
    highest order down, coefficients are contracted with the features of the atoms, as there.
    """

    def __init__(self, layer: Any) -> None:
        """`layer`: MACE's own, which keeps weights and coefficients. Raises ValueError for one of another form."""
        if type(layer).__name__ != "SymmetricContraction":
            raise ValueError("symmetric products of another form")
        if any(bool(held) for name, held in layer.named_buffers() if name.endswith("_zeroed")):
            raise ValueError("an order of products that is left out")
        self.layer = layer

    def forward(self, x: Any, attributes: Any) -> Any:
        """Return the products (atoms, components) of features (atoms, channels, components); ``attributes``: elements, one-hot."""
        elements = attributes.argmax(dim=1)
        order = torch.argsort(elements, stable=True)
        counts = torch.bincount(elements, minlength=attributes.shape[1]).tolist()
        of_elements = x.index_select(0, order).transpose(0, 1).split(counts, 1)
        products = [
            torch.cat([contracted(contraction, element, of_element) for contraction in self.layer.contractions], 1)
            for element, of_element in enumerate(of_elements)
            if counts[element]
        ]
        return torch.cat(products).index_select(0, torch.argsort(order))


def contracted(contraction: Any, element: int, x: Any) -> Any:
    """Return the products of one irrep (atoms, channels components) of the atoms of an element, from `x` (channels, atoms, components)."""
    channels, atoms, size = x.shape
    orders = range(contraction.correlation, 0, -1)
    out: Any = None
    for weights, order in zip([contraction.weights_max, *contraction.weights], orders, strict=True):
        # (components of the product and of `order` factors, paths)
        coupling = contraction.U_tensors(order).flatten(0, -2)
        mixed = weights[element].transpose(0, 1) @ coupling.transpose(0, 1)
        if out is None:
            out = torch.bmm(x, mixed.view(channels, -1, size).transpose(1, 2))
        else:
            out = (out + mixed[:, None, :]).view(channels * atoms, -1, size)
            out = torch.bmm(out, x.reshape(channels * atoms, size, 1)).view(channels, atoms, -1)
    return out.transpose(0, 1).flatten(1)


@contextmanager
def faster(model: Any) -> Iterator[bool]:
    """Within it a model on a CPU computes its layers so, where they are of a form that can be; yields whether any is.

    The model keeps its modules, so that its states and files are what they are without this.
    """
    arrangement, dtype = Arrangement(), next(model.parameters()).dtype
    replaced, blocks = [], []
    for block in model.interactions:
        if type(block).__name__ in BLOCKS and not hasattr(block, "conv_fusion"):
            with suppress(ValueError):
                block.conv_tp.forward = TrainedConvolution(block.conv_tp, arrangement).to(dtype).forward
                block.conv_fusion = True
                replaced.append(block.conv_tp)
                blocks.append(block)
    for block in model.products:
        with suppress(ValueError):
            layer = block.symmetric_contractions
            layer.forward = ElementProducts(layer).forward
            replaced.append(layer)
    try:
        yield bool(replaced)
    finally:
        for layer in replaced:
            del layer.forward
        for block in blocks:
            del block.conv_fusion


def agrees(model: Any, batch: Any) -> bool:
    """Whether the forces of a batch are MACE's own where layers are computed so; false where none is of a form that can be."""
    inputs = batch.to_dict()
    plain = model(inputs, compute_force=True)["forces"].detach()
    with faster(model) as any_is:
        other = model(inputs, compute_force=True)["forces"].detach()
    return any_is and float((other - plain).abs().max()) <= TOLERANCE * float(plain.abs().max())
