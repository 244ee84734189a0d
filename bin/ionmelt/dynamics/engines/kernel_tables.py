"""The tables that the compiled kernels of MACE work from, made from the layers of a model in double precision (`kernels`)."""

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
import torch
from e3nn import o3
from scipy.interpolate import CubicSpline

from ionmelt.dynamics.engines import kernels
from ionmelt.dynamics.engines.kernels import FLOAT, INT, Holder

INTERVALS = 512  # of the splines: their error is far below single precision


def harmonic_terms(degree: int) -> Iterator[tuple[int, tuple[int, int, int], float]]:
    """Yield e3nn's spherical harmonics as polynomials of the direction: place of the harmonic, powers of x, y, z, factor."""
    directions = torch.nn.functional.normalize(
        torch.randn(200, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    )
    first = 0
    for ell in range(degree + 1):
        values = o3.spherical_harmonics(ell, directions, normalize=True, normalization="component").numpy()
        powers = [(a, b, ell - a - b) for a in range(ell + 1) for b in range(ell + 1 - a)]
        monomials = np.stack([np.prod(directions.numpy() ** np.array(power), axis=1) for power in powers], axis=1)
        factors = np.linalg.lstsq(monomials, values, rcond=None)[0]
        for (row, power), m in product(enumerate(powers), range(2 * ell + 1)):
            if abs(factors[row, m]) > 1e-9:
                yield first + m, power, float(factors[row, m])
        first += 2 * ell + 1


def spline_table(block: Any, radial: Any, cutoff: float, columns: np.ndarray) -> np.ndarray:
    """Return the factors of cubics (intervals, 4, columns) for the radial weights of a block, in double precision."""
    distances = np.linspace(0, cutoff, INTERVALS + 1)
    lengths = torch.from_numpy(np.maximum(distances, 1e-6))[:, None]
    with torch.no_grad():
        features, envelope = radial(lengths, None, None, None)
        weights = block.conv_tp_weights(features)
        weights = weights if envelope is None else weights * envelope
    spline = CubicSpline(distances, weights.numpy()[:, columns], axis=0)
    return np.ascontiguousarray(np.swapaxes(spline.c, 0, 1), FLOAT)


def convolution_of(block: Any, radial: Any, cutoff: float) -> Holder:
    """Return the structure of the sum over neighbours of an interaction block in double precision; ValueError for one of another form."""
    tensor, channels = block.conv_tp, block.conv_tp.irreps_in1[0].mul
    active = [(index, ins) for index, ins in enumerate(tensor.instructions) if ins.path_weight]
    if any(mul != channels for irreps in (tensor.irreps_in1, tensor.irreps_out) for mul, _ in irreps):
        raise ValueError("irreps with different numbers of channels")
    if any(mul != 1 for mul, _ in tensor.irreps_in2) or any(
        ins.connection_mode != "uvu" or not ins.has_weight for _, ins in active
    ):
        raise ValueError("a tensor product of another form")
    x, out, sh = (
        kernels.blocks([ir.dim for _, ir in irreps])
        for irreps in (tensor.irreps_in1, tensor.irreps_out, tensor.irreps_in2)
    )
    path, coupled, harmonic, factor, places = [], [], [], [], 0
    for _, ins in active:
        ell = [
            irreps[i].ir.l
            for irreps, i in zip(
                (tensor.irreps_in1, tensor.irreps_in2, tensor.irreps_out),
                (ins.i_in1, ins.i_in2, ins.i_out),
                strict=True,
            )
        ]
        coupling = ins.path_weight * o3.wigner_3j(*ell, dtype=torch.float64).numpy()
        width = coupling.shape[2]
        path.append((x.kept["first"][ins.i_in1], coupling.shape[0], out.kept["first"][ins.i_out], width, places))
        for m1, m2, m3 in np.argwhere(np.abs(coupling) > 1e-10):
            coupled.append(places + m1 * width + m3)
            harmonic.append(sh.kept["first"][ins.i_in2] + m2)
            factor.append(coupling[m1, m2, m3])
        places += coupling.shape[0] * width
    starts = np.cumsum([0] + [ins.path_shape[0] * ins.path_shape[1] for ins in tensor.instructions])
    columns = np.concatenate([np.arange(starts[index], starts[index + 1]) for index, _ in active])
    degree = max(ir.l for _, ir in tensor.irreps_in2)
    terms = list(harmonic_terms(degree))
    is_coupled = np.zeros(places, kernels.BYTE)
    is_coupled[coupled] = 1
    return Holder(
        kernels.Convolution(), channels=channels, degree=degree, harmonics=sum(ir.dim for _, ir in tensor.irreps_in2), paths=len(path),
        intervals=INTERVALS, couplings=len(coupled), step=cutoff / INTERVALS, terms=len(terms),
        term_harmonic=np.array([t[0] for t in terms], INT), term_powers=np.array([t[1] for t in terms], INT),
        term_factor=np.array([t[2] for t in terms], FLOAT), path=np.array(path, INT), is_coupled=is_coupled,
        coupling_place=np.array(coupled, INT), coupling_harmonic=np.array(harmonic, INT), coupling_factor=np.array(factor, FLOAT),
        table=spline_table(block, radial, cutoff, columns), places=places, x_rows=tensor.irreps_in1.dim // channels,
        out_rows=tensor.irreps_out.dim // channels, x_blocks=x, out_blocks=out,
    )  # fmt: skip


def products_of(contraction: Any) -> Holder:
    """Return the structure of the symmetric contraction of a product block in double precision."""
    contractions = list(contraction.contractions)
    out = kernels.blocks([2 * irreps.ir.l + 1 for irreps in contraction.irreps_out])
    by_rows: dict[tuple[int, ...], list[tuple[int, np.ndarray]]] = {}
    for one, first in zip(contractions, out.kept["first"], strict=True):
        for order in range(1, one.correlation + 1):
            for rows, row, factor in polynomial(one, order):
                by_rows.setdefault(rows, []).append((int(first) + row, factor))
    keys = sorted(by_rows)
    counts = [len(by_rows[key]) for key in keys]
    terms = [term for key in keys for term in by_rows[key]]
    # (elements, terms, channels)
    factors = np.ascontiguousarray(np.stack([factor for _, factor in terms], axis=1), FLOAT)
    return Holder(
        kernels.Products(), channels=factors.shape[2], x_rows=sum(irreps.ir.dim for irreps in contraction.irreps_in), out_rows=int(out.kept["size"].sum()),
        monomials=len(keys), terms=len(terms), monomial=np.array(keys, INT), first_term=np.concatenate([[0], np.cumsum(counts)]).astype(INT),
        term_row=np.array([row for row, _ in terms], INT), factor=factors, out_blocks=out,
    )  # fmt: skip


def polynomial(one: Any, order: int) -> Iterator[tuple[tuple[int, ...], int, np.ndarray]]:
    """Yield the terms of an order of a contraction: rows of x, ascending (-1 in front), component, factors (elements, channels)."""
    couplings = one.U_tensors(order).detach().numpy()
    couplings = couplings if couplings.ndim == order + 2 else couplings[None]
    weights = (
        (one.weights_max if order == one.correlation else one.weights[one.correlation - order - 1]).detach().numpy()
    )
    used = np.argwhere(np.abs(couplings).max(-1) > 1e-10)
    if not len(used):
        return
    alike, where = np.unique(
        np.concatenate([used[:, :1], np.sort(used[:, 1:], axis=1)], axis=1), axis=0, return_inverse=True
    )
    sums = np.zeros((len(alike), couplings.shape[-1]))
    np.add.at(sums, where.ravel(), couplings[tuple(used.T)])
    factors = np.einsum("tk,ekc->tec", sums, weights)
    for (component, *rows), factor in zip(alike.tolist(), factors, strict=True):
        if np.abs(factor).max() > 0:
            yield (*[-1] * (4 - order), *rows), component, factor
