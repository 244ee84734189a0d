"""MACE with compiled kernels: its sums over neighbours and its symmetric products, forwards and backwards, in C++ (`kernels`).

All other layers stay PyTorch's, so that a model's layers are replaced where they are and its own code calls them. The radial weights
of the sums, a network of the distance alone, are splines.
"""

from ctypes import c_int64
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase import Atoms

from ionmelt.dynamics.engines import kernels
from ionmelt.dynamics.engines.kernel_tables import convolution_of, products_of
from ionmelt.dynamics.engines.kernels import Holder, address
from ionmelt.dynamics.engines.mace import MaceEngine

BLOCKS = ("RealAgnosticInteractionBlock", "RealAgnosticResidualInteractionBlock")


class Edges:
    """The edges of a call, sorted by receiver: where each atom's begin, as receiver and as sender."""

    def set(self, senders: np.ndarray, receivers: np.ndarray, atoms: int) -> None:
        """Take the edges of this call."""
        self.atoms, self.senders, self.receivers = atoms, senders, receivers
        self.first = firsts(receivers, atoms)
        self.by_sender = np.argsort(senders, kind="stable")
        self.first_sent = firsts(senders, atoms)


def firsts(owners: np.ndarray, atoms: int) -> np.ndarray:
    """Return where the edges of each atom begin once they are sorted by their owners, and where the last one's end (atoms + 1,)."""
    return np.concatenate([[0], np.cumsum(np.bincount(owners, minlength=atoms))]).astype(np.int64)


class Sum(torch.autograd.Function):
    """The sum over neighbours, and its derivatives by the features and by the vectors of the edges."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, vectors: torch.Tensor, layer: "CompiledSum") -> torch.Tensor:
        """Return the sums (atoms, components)."""
        x, vectors = x.contiguous(), vectors.contiguous()
        ctx.save_for_backward(x, vectors)
        ctx.layer = layer
        edges, kept = layer.edges, layer.held.kept
        out = x.new_empty(edges.atoms, kept["out_rows"] * kept["channels"])
        layer.library.ionmelt_convolve(
            layer.held.reference, c_int64(edges.atoms), address(edges.first), address(edges.senders), address(vectors), address(x),
            address(out), torch.get_num_threads(),
        )  # fmt: skip
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, None]:
        """Return the derivatives by the features and by the vectors."""
        (x, vectors), layer, g = ctx.saved_tensors, ctx.layer, gradients[0].contiguous()
        edges = layer.edges
        gx, g_vectors = torch.empty_like(x), torch.empty_like(vectors)
        layer.library.ionmelt_convolve_back(
            layer.held.reference, c_int64(edges.atoms), address(edges.first_sent), address(edges.by_sender), address(edges.receivers),
            address(vectors), address(x), address(g), address(gx), address(g_vectors), torch.get_num_threads(),
        )  # fmt: skip
        return gx, g_vectors, None


class CompiledSum(torch.nn.Module):
    """In the place of an interaction block's tensor product, and of its sum over the edges."""

    def __init__(self, library: Any, held: Holder, edges: Edges) -> None:
        super().__init__()
        self.library, self.held, self.edges = library, held, edges

    def forward(self, node_feats: Any, edge_attrs: Any, weights: Any, edge_index: Any) -> Any:
        """Return the sums of each atom; ``edge_attrs`` are the vectors of the edges."""
        return Sum.apply(node_feats, edge_attrs, self)


class Product(torch.autograd.Function):
    """The symmetric products, and their derivative."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, elements: torch.Tensor, layer: "CompiledProducts") -> torch.Tensor:
        """Return the products (atoms, components)."""
        x = x.contiguous()
        ctx.save_for_backward(x, elements)
        ctx.layer, kept = layer, layer.held.kept
        out = x.new_empty(len(x), kept["out_rows"] * kept["channels"])
        layer.library.ionmelt_multiply(
            layer.held.reference,
            c_int64(len(x)),
            address(elements),
            address(x),
            address(out),
            torch.get_num_threads(),
        )
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        """Return the derivative by the features."""
        (x, elements), layer, g = ctx.saved_tensors, ctx.layer, gradients[0].contiguous()
        gx = torch.empty_like(x)
        layer.library.ionmelt_multiply_back(
            layer.held.reference,
            c_int64(len(x)),
            address(elements),
            address(x),
            address(g),
            address(gx),
            torch.get_num_threads(),
        )
        return gx, None, None


class CompiledProducts(torch.nn.Module):
    """In the place of a product block's symmetric contraction."""

    def __init__(self, library: Any, held: Holder) -> None:
        super().__init__()
        self.library, self.held = library, held

    def forward(self, x: Any, attributes: Any) -> Any:
        """Return the products of each atom; ``attributes``: its element, one-hot."""
        return Product.apply(x, attributes.argmax(dim=-1).int(), self)


class Vectors(torch.nn.Module):
    """In the place of the spherical harmonics, which the kernels compute."""

    def forward(self, vectors: Any) -> Any:
        """Return the vectors of the edges."""
        return vectors


class NoRadial(torch.nn.Module):
    """In the place of the radial embedding and of its networks, which are splines in the kernels."""

    def forward(self, lengths: Any, *others: Any) -> Any:
        """Return the lengths, which nothing uses, as what both give."""
        return (lengths, None) if others else lengths


class CompiledEngine(MaceEngine):
    """A MACE model in single precision whose sums over neighbours and symmetric products are compiled."""

    def __init__(self, plain: Any, atoms: Atoms) -> None:
        """Take the model from a MACECalculator in double precision, which is left as it is; ValueError for a model of another form."""
        loaded = kernels.library()
        super().__init__(plain, atoms, fused=False)
        self.name = "compiled"
        double = plain.models[0].double()
        if hasattr(double.radial_embedding, "distance_transform"):
            raise ValueError("radial functions that depend on the elements")
        self.edges = Edges()
        for mine, block in zip(self.model.interactions, double.interactions, strict=True):
            if type(block).__name__ not in BLOCKS or hasattr(block, "conv_fusion"):
                raise ValueError(f"an interaction of another form: {type(block).__name__}")
            mine.conv_tp = CompiledSum(loaded, convolution_of(block, double.radial_embedding, self.cutoff), self.edges)
            mine.conv_tp_weights, mine.conv_fusion = NoRadial(), True
        for mine, block in zip(self.model.products, double.products, strict=True):
            if type(block.symmetric_contractions).__name__ != "SymmetricContraction":
                raise ValueError("a symmetric contraction of another form")
            mine.symmetric_contractions = CompiledProducts(loaded, products_of(block.symmetric_contractions))
        self.model.spherical_harmonics, self.model.radial_embedding = Vectors(), NoRadial()


def make(name: str, calculator: Any, weights: Path, atoms: Atoms) -> CompiledEngine:
    """Return the engine of a model whose `calculator`, MACE's own, is in double precision."""
    return CompiledEngine(calculator, atoms)
