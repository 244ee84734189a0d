"""The ions of a box: which atoms, bonds and charges they have, and whole ions under periodic boundaries."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ase.data import atomic_numbers
from typing_extensions import TypedDict  # the one of typing cannot be validated before Python 3.12

from ionmelt.settings import SettingsFile


class Ion(TypedDict):
    """A kind of ion in topology.json; `types` of its atoms are None where no force field names them."""

    name: str
    smiles: str
    charge: int
    count: int
    elements: list[str]
    bonds: list[list[int]]
    masses_u: list[float]
    types: list[str] | None


def counted(ion: Ion, count: int) -> Ion:
    """Return an ion of which there are so many."""
    copy = ion.copy()
    copy["count"] = count
    return copy


def how_many(ions: int, neutral: int) -> str:
    """Return how many ions and neutral molecules there are, in words."""
    words = [f"{number} {kind}" for number, kind in ((neutral, "molecules"), (ions, "ions")) if number]
    return " and ".join(words)


class TopologyFile(SettingsFile):
    """What topology.json holds: the ions of a box of a liquid."""

    liquid: str
    ions: list[Ion]


class Topology:
    """The ions of a periodic box, in the atom order of its frames: ion by ion, copy by copy.

    Attributes: `liquid`; `ions` (the kinds, as in topology.json); `elements` (N,) str; `masses_u` (N,);
    `molecule` (N,) int; `ion` (N,) str, the kind of each atom's ion; `molecule_ion` (M,) str; `charges_e`
    (M,), the net charge of each ion; `bonds` (B, 2) int, indices of the whole box; `starts` (M,) int, the
    first atom of each ion.
    """

    def __init__(self, liquid: str, ions: Sequence[Ion]) -> None:
        self.liquid = liquid
        self.ions = list(ions)
        copies = [ion for ion in ions for _ in range(ion["count"])]
        sizes = [len(ion["elements"]) for ion in copies]
        starts = np.concatenate([[0], np.cumsum(sizes)]).astype(int)
        self.starts = starts[:-1]
        self.elements = np.array([element for ion in copies for element in ion["elements"]], dtype=str)
        self.masses_u = np.array([mass for ion in copies for mass in ion["masses_u"]], dtype=float)
        self.molecule = np.repeat(np.arange(len(copies)), sizes)
        self.molecule_ion = np.array([ion["name"] for ion in copies], dtype=str)
        self.ion = self.molecule_ion[self.molecule]
        self.charges_e = np.array([ion["charge"] for ion in copies], dtype=float)
        bonds = [
            (start + i, start + j) for ion, start in zip(copies, self.starts, strict=True) for i, j in ion["bonds"]
        ]
        self.bonds = np.array(bonds, dtype=int).reshape(-1, 2)
        self._levels = self._bond_tree()

    @classmethod
    def load(cls, path: str | Path) -> "Topology":
        """Read topology.json; raises `UserError` where it is not one."""
        content = TopologyFile.read(Path(path))
        return cls(content.liquid, content.ions)

    def subset(self, molecules: np.ndarray) -> "Topology":
        """Return the topology of some of the ions, given by their sorted indices."""
        names = self.molecule_ion[molecules].tolist()
        return Topology(
            self.liquid, [counted(ion, names.count(ion["name"])) for ion in self.ions if ion["name"] in names]
        )

    def save(self, path: str | Path) -> None:
        """Write topology.json."""
        Path(path).write_text(json.dumps({"liquid": self.liquid, "ions": self.ions}, indent=1) + "\n")

    @property
    def numbers(self) -> np.ndarray:
        """Atomic numbers (N,)."""
        return np.array([atomic_numbers[element] for element in self.elements])

    def __len__(self) -> int:
        return len(self.elements)

    def whole(self, positions: np.ndarray, cell: np.ndarray) -> np.ndarray:
        """Return positions with each ion in one piece around its first atom.

        Each atom goes to the image nearest to the atom before it along the bonds, so a bond must be shorter
        than half the cell. `positions` (..., N, 3); `cell` (..., 3, 3), rows are the vectors, or (3,) edges.
        """
        cell = np.asarray(cell, dtype=float)
        if cell.ndim == 1:
            cell = np.diag(cell)
        inverse = np.linalg.inv(cell)
        out = np.array(positions, dtype=float)
        for parents, children in self._levels:
            step = out[..., children, :] - out[..., parents, :]
            out[..., children, :] -= np.rint(step @ inverse) @ cell
        return out

    def centres(self, positions: np.ndarray) -> np.ndarray:
        """Return the centres of mass (..., M, 3) of the ions at whole positions (..., N, 3)."""
        weighted = np.asarray(positions, dtype=float) * self.masses_u[:, None]
        masses = np.add.reduceat(self.masses_u, self.starts)
        return np.add.reduceat(weighted, self.starts, axis=-2) / masses[:, None]

    def wrapped(self, positions: np.ndarray, cell: np.ndarray) -> np.ndarray:
        """Return whole ions whose centres of mass lie in the cell (shapes as in `whole`)."""
        out = self.whole(positions, cell)
        cell = np.diag(cell) if np.ndim(cell) == 1 else np.asarray(cell, dtype=float)
        shift = np.floor(self.centres(out) @ np.linalg.inv(cell)) @ cell
        return out - shift[..., self.molecule, :]

    def scaled(self, positions: np.ndarray, edges: np.ndarray, scale: float) -> tuple[np.ndarray, np.ndarray]:
        """Return whole positions (N, 3) and edges (3,) with the ions' centres of mass scaled and the ions kept as they are."""
        centres = self.centres(positions)
        return positions + (scale - 1) * centres[self.molecule], edges * scale

    def pdb(self, positions: np.ndarray, cell: np.ndarray) -> str:
        """Return a PDB of one frame (A, orthorhombic): each ion a residue, its bonds CONECT records."""
        a, b, c = np.diag(cell) if np.ndim(cell) == 2 else cell
        lines = [f"CRYST1{a:9.3f}{b:9.3f}{c:9.3f}  90.00  90.00  90.00 P 1           1"]
        for i, (x, y, z) in enumerate(positions):
            molecule = self.molecule[i]
            name = f"{self.elements[i]}{i - self.starts[molecule] + 1}"
            residue = str(self.ion[i]).upper()
            # four columns: pyr13 and pyr14 differ in the last letter
            residue = residue if len(residue) <= 4 else residue[:3] + residue[-1]
            lines.append(
                f"HETATM{(i + 1) % 100000:5d} {name:<4.4s} {residue:<4s}A{(molecule + 1) % 10000:4d}    "
                f"{x:8.3f}{y:8.3f}{z:8.3f}  1.00  0.00          {self.elements[i]:>2s}"
            )
        lines += [f"CONECT{i + 1:5d}{j + 1:5d}" for i, j in self.bonds if max(i, j) < 99999]
        return "\n".join([*lines, "END", ""])

    def _bond_tree(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return (parents, children) at each bond distance from the ions' first atoms, breadth first."""
        neighbours: list[list[int]] = [[] for _ in range(len(self))]
        for i, j in self.bonds:
            neighbours[i].append(int(j))
            neighbours[j].append(int(i))
        seen = np.zeros(len(self), dtype=bool)
        seen[self.starts] = True
        frontier = [int(i) for i in self.starts]
        levels = []
        while frontier:
            edges = []
            for parent in frontier:
                for child in neighbours[parent]:
                    if not seen[child]:
                        seen[child] = True
                        edges.append((parent, child))
            if edges:
                levels.append((np.array([p for p, _ in edges]), np.array([c for _, c in edges])))
            frontier = [child for _, child in edges]
        if not seen.all():
            raise ValueError(f"{self.liquid}: atom {int(np.argmin(seen))} has no bond to the rest of its ion")
        return levels
