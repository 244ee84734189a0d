"""Structure factors of a liquid, for X-rays and neutrons."""

import itertools
from typing import Any

import numpy as np

from ionmelt.measure.arrays import Array
from ionmelt.measure.numbers import Row, block_error, curve
from ionmelt.topology import Topology

Q_MAX_PER_A, Q_BIN_PER_A, VECTORS = 8.0, 0.05, 30  # VECTORS: reciprocal vectors of a bin, at most


def reciprocal_vectors(edges: Array, q_max: float, width: float, most: int) -> Array:
    """Return Miller indices (Q, 3) of half of reciprocal space up to q_max, at most ``most`` in a bin of |q|.

    The other half has the same structure factors. Where there are more, an even choice of them is taken in the
    order of |q|.
    """
    step = 2 * np.pi / np.asarray(edges, dtype=float)
    top = np.floor(q_max / step).astype(int)
    h, k, l = np.meshgrid(*(np.arange(-n, n + 1) for n in top), indexing="ij")  # noqa: E741
    half = (h > 0) | ((h == 0) & (k > 0)) | ((h == 0) & (k == 0) & (l > 0))
    indices = np.column_stack([x[half] for x in (h, k, l)])
    q = np.linalg.norm(indices * step, axis=1)
    indices, q = indices[q <= q_max], q[q <= q_max]
    order = np.lexsort((*indices.T, np.round(q, 9)))
    chosen = []
    for bin_order in np.split(order, np.searchsorted(q[order], np.arange(width, q_max, width))):
        if len(bin_order):
            chosen.append(
                bin_order[np.unique(np.linspace(0, len(bin_order) - 1, min(most, len(bin_order))).astype(int))]
            )
    return indices[np.concatenate(chosen)] if chosen else np.empty((0, 3), dtype=int)


def density_modes(positions: Array, edges: Array, indices: Array, groups: Array) -> Array:
    """Return sum over the atoms of each group of exp(i q r), (Q, G) complex, for positions (N, 3).

    ``groups`` (N, G) holds 1 where an atom belongs to a group. Powers of exp(2 pi i x / L) make the exponentials. dynasor
    2.5 gives the same structure factors to 1e-8, but as means without the frames that the error is made of, and what its
    compiled loop saves on 100 frames goes into importing and compiling it.
    """
    out = np.empty((len(indices), groups.shape[1]), dtype=complex)
    phases = 2j * np.pi * np.asarray(positions, dtype=float) / edges
    tables = [np.exp(np.outer(np.arange(-n, n + 1), phases[:, i])) for i, n in enumerate(np.abs(indices).max(axis=0))]
    zero = [len(table) // 2 for table in tables]
    width = max(1, int(4e6 / (16 * len(positions))))
    for first in range(0, len(indices), width):
        some = indices[first : first + width]
        wave = tables[0][some[:, 0] + zero[0]]
        wave *= tables[1][some[:, 1] + zero[1]]
        wave *= tables[2][some[:, 2] + zero[2]]
        out[first : first + width] = (wave.real @ groups) + 1j * (wave.imag @ groups)
    return out


def xray_factor(element: str, q: Array) -> Array:
    """Return the X-ray form factor of a neutral atom at q in 1/angstrom (periodictable: Waasmaier and Kirfel)."""
    from periodictable.cromermann import fxrayatq

    return np.asarray(fxrayatq(element, np.atleast_1d(q)), dtype=float)


def neutron_length(element: str) -> float:
    """Return the bound coherent neutron scattering length in fm, natural isotopes (periodictable)."""
    from periodictable import elements as isotopes

    length: Any = isotopes.symbol(element).neutron.b_c
    return float(length)


class StructureFactor:
    """Structure factors of a liquid, by direct sums over the reciprocal vectors of its cell.

    X-ray: S(q) = 1 + (I - sum f^2) / (N <f>^2), I = |sum f exp(i q r)|^2 (Faber-Ziman), as published for ionic
    liquids. Neutron: S(q) = I / sum b^2, since <b> passes through 0 with hydrogen. Both go to 1 at high q and in
    an ideal gas. Partials: what each pair of ion kinds adds to the X-ray S(q) - 1; they sum to it.
    """

    def __init__(self, topology: Topology, edges: Array, q_max: float = Q_MAX_PER_A) -> None:
        self.indices = reciprocal_vectors(edges, q_max, Q_BIN_PER_A, VECTORS)
        q = np.linalg.norm(2 * np.pi * self.indices / np.asarray(edges, dtype=float), axis=1)
        # a reciprocal vector stays in its bin when the cell breathes; where the bin is, q says
        _, self.bin = np.unique((q / Q_BIN_PER_A).astype(int), return_inverse=True)
        self.kinds = list(dict.fromkeys(topology.ion.tolist()))
        keys = list(zip(topology.ion.tolist(), topology.elements.tolist(), strict=True))
        self.groups = list(dict.fromkeys(keys))
        self.members = np.array([[key == group for group in self.groups] for key in keys], dtype=float)
        self.q: list[Array] = []
        self.curves: dict[tuple[str, str], list[Array]] = {}

    def add(self, positions: Array, edges: Array) -> None:
        """Add one frame: positions (N, 3), edges (3,)."""
        if not len(self.indices):
            return
        edges = np.asarray(edges, dtype=float)
        q = np.linalg.norm(2 * np.pi * self.indices / edges, axis=1)
        modes = density_modes(positions, edges, self.indices, self.members)
        count = np.bincount(self.bin)
        for key, values in self._frame(q, modes).items():
            self.curves.setdefault(key, []).append(np.bincount(self.bin, values) / count)
        self.q.append(np.bincount(self.bin, q) / count)

    def _frame(self, q: Array, modes: Array) -> dict[tuple[str, str], Array]:
        number_of = self.members.sum(axis=0)
        total = number_of.sum()
        names = [element for _, element in self.groups]
        f = np.column_stack([xray_factor(name, q) for name in names])
        b = np.array([neutron_length(name) for name in names])
        amplitude = {
            kind: (modes * f)[:, [group[0] == kind for group in self.groups]].sum(axis=1) for kind in self.kinds
        }
        alone = {
            kind: (number_of * f**2)[:, [group[0] == kind for group in self.groups]].sum(axis=1) for kind in self.kinds
        }
        scale = (f @ number_of) ** 2 / total
        out = {}
        for first, second in itertools.combinations_with_replacement(self.kinds, 2):
            cross = (amplitude[first] * amplitude[second].conj()).real
            share = cross - alone[first] if first == second else 2 * cross
            out["structure_factor_xray_partial", f"{first}-{second}"] = share / scale
        whole = np.sum(list(out.values()), axis=0)
        out["structure_factor_xray", "all"] = 1 + whole
        out["structure_factor_neutron", "all"] = np.abs(modes @ b) ** 2 / (number_of @ b**2)
        return out

    def rows(self) -> list[Row]:
        """Return the curves; bins of |q| without a reciprocal vector are left out."""
        rows = []
        for (quantity, pair), frames in self.curves.items():
            values, q = np.array(frames), np.mean(self.q, axis=0)
            rows += curve(quantity, pair, "q_per_A", q, values.mean(axis=0), block_error(values))
        return rows
