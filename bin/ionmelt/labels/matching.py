"""Which atoms of a foreign frame form which ion: by its bonds, matched to the graphs of known ions."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import scipy
from ase import Atoms
from ase.data import atomic_numbers, covalent_radii
from ase.neighborlist import neighbor_list
from rdkit import Chem

from ionmelt.topology import Ion

# Two atoms are bonded within this much of the sum of their covalent radii (Cordero et al., Dalton Trans. 2832,
# 2008). The second and third are tried where the first leaves atoms that form no ion: atoms that are
# squeezed together, or a bond that is stretched.
BOND_FACTORS = (1.25, 1.12, 1.4)
KEPT_BOND_FACTOR = 1.4  # a bond of the frame before is still one within this


class NoMatch(Exception):
    """A part of a frame is no known ion; the text says which."""


@dataclass
class Matched:
    """Ions of a frame: `order` (N,), indices into its atoms ion by ion; names (M,) and sizes (M,) of the ions."""

    order: np.ndarray
    names: list[str]
    sizes: list[int]

    def counts(self) -> Counter[str]:
        """Return how many of each ion there are."""
        return Counter(self.names)


def graph(elements: list[str], bonds: Sequence[Sequence[int]]) -> Chem.Mol:
    """Return a molecule of atoms and bonds alone, without charges or bond orders."""
    molecule = Chem.RWMol()
    for element in elements:
        atom = Chem.Atom(element)
        atom.SetNoImplicit(True)
        molecule.AddAtom(atom)
    for i, j in bonds:
        molecule.AddBond(int(i), int(j), Chem.BondType.SINGLE)
    return molecule.GetMol()


class Matcher:
    """Finds the ions of a set in frames. Atoms of an element that only single-atom ions hold have no bonds.

    Parameters
    ----------
    ions : as in topology.json: name, elements, bonds, by name in the order that frames should have them.
    """

    def __init__(self, ions: Mapping[str, Ion]) -> None:
        self.ions = ions
        self.graphs = {name: graph(ion["elements"], ion["bonds"]) for name, ion in ions.items()}
        self.by_elements: dict[tuple[str, ...], list[str]] = {}
        for name, ion in ions.items():
            self.by_elements.setdefault(tuple(sorted(ion["elements"])), []).append(name)
        bonded = {element for ion in ions.values() if len(ion["elements"]) > 1 for element in ion["elements"]}
        self.bare = {ion["elements"][0] for ion in ions.values() if len(ion["elements"]) == 1} - bonded
        self.matched: dict[bytes, tuple[Matched, np.ndarray]] = {}

    def match(self, atoms: Atoms) -> Matched:
        """Return the ions of a periodic frame; raises `NoMatch` where a part is none of them.

        A frame with the same sequence of elements as an earlier one is first tried with the ions of that one.
        """
        key = atoms.numbers.tobytes()
        if key in self.matched:
            matched, pairs = self.matched[key]
            radii = covalent_radii[atoms.numbers]
            i, j = pairs.T
            step = (atoms.positions[j] - atoms.positions[i]) @ np.linalg.inv(atoms.cell.array)
            lengths = np.linalg.norm((step - np.rint(step)) @ atoms.cell.array, axis=1)
            if (lengths < KEPT_BOND_FACTOR * (radii[i] + radii[j])).all():
                return matched
        first: NoMatch | None = None
        for factor in BOND_FACTORS:
            try:
                matched = self._match(atoms, factor)
            except NoMatch as error:
                first = first or error
                continue
            starts = np.cumsum([0, *matched.sizes[:-1]])
            bonds = [
                (matched.order[start + a], matched.order[start + b])
                for start, name in zip(starts, matched.names, strict=True)
                for a, b in self.ions[name]["bonds"]
            ]
            self.matched[key] = (matched, np.array(bonds, dtype=int).reshape(-1, 2))
            return matched
        assert first is not None
        raise first

    def _match(self, atoms: Atoms, factor: float) -> Matched:
        symbols = atoms.get_chemical_symbols()
        radii = [0.0 if symbol in self.bare else factor * covalent_radii[atomic_numbers[symbol]] for symbol in symbols]
        i, j = neighbor_list("ij", atoms, radii)
        apart = np.array([symbol in self.bare for symbol in symbols])
        kept = (i < j) & ~apart[i] & ~apart[j]
        bonds = sorted({(int(a), int(b)) for a, b in zip(i[kept], j[kept], strict=True)})
        pairs = np.array(bonds, dtype=int).reshape(-1, 2)
        links = scipy.sparse.coo_matrix((np.ones(len(pairs)), pairs.T), shape=(len(atoms), len(atoms)))
        count, component = scipy.sparse.csgraph.connected_components(links, directed=False)
        members = [np.flatnonzero(component == index) for index in range(count)]
        bonds_of: list[list[tuple[int, int]]] = [[] for _ in range(count)]
        for a, b in bonds:
            bonds_of[component[a]].append((a, b))
        ions: list[tuple[int, int, str, np.ndarray]] = []  # rank, first atom, name, atoms
        ranks = list(self.ions)
        for atoms_of, bonds_here in zip(members, bonds_of, strict=True):
            name, order = self._ion(symbols, atoms_of, bonds_here)
            ions.append((ranks.index(name), int(atoms_of[0]), name, order))
        ions.sort(key=lambda entry: entry[:2])
        orders = [entry[3] for entry in ions]
        return Matched(np.concatenate(orders), [entry[2] for entry in ions], [len(order) for order in orders])

    def _ion(self, symbols: list[str], members: np.ndarray, bonds: list[tuple[int, int]]) -> tuple[str, np.ndarray]:
        """Return the name of the ion that some atoms form, and these in its order."""
        elements = [symbols[index] for index in members]
        position = {int(index): number for number, index in enumerate(members)}
        local = sorted((position[a], position[b]) for a, b in bonds)
        same = self.by_elements.get(tuple(sorted(elements)), [])
        for name in same:  # in the ion's own order already: it stays
            ion = self.ions[name]
            if elements == list(ion["elements"]) and local == sorted(tuple(sorted(bond)) for bond in ion["bonds"]):
                return name, members
        for name in same:
            if len(local) == len(self.ions[name]["bonds"]):
                match = graph(elements, local).GetSubstructMatch(self.graphs[name])
                if match:
                    return name, members[list(match)]
        formula = Atoms(elements).get_chemical_formula()
        if len(formula) > 60:
            formula = formula[:57] + "..."
        names = ", ".join(sorted(self.ions))
        what = "its bonds are not those of" if same else "no ion of that formula among"
        raise NoMatch(f"atoms {int(members[0])} and {len(members) - 1} bonded to it form {formula}: {what} {names}")
