"""The sum over neighbours of e3nn's tensor product, fused: faster on a CPU than the products edge by edge."""

from typing import Any

import torch
from e3nn import o3


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
            self.register_buffer(f"c{index}", coupling.permute(1, 0, 2).flatten(1).contiguous())

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
