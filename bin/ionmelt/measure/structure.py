"""The pairs of a liquid, and their distributions gathered frame by frame. Angstrom, 1/angstrom."""

import itertools

import numpy as np

from ionmelt.measure.arrays import Array
from ionmelt.measure.numbers import Row, curve
from ionmelt.measure.radial import FirstShell, Radial, coordination_rows, first_shell, tree
from ionmelt.measure.scattering import StructureFactor
from ionmelt.topology import Topology

FRAMES = 1000  # evenly spaced, for distributions: more are too correlated to add to them
FACTOR_FRAMES = 100  # for the structure factor, which costs most
BIN_A = 0.05
CENTRES_MAX_A, ATOMS_MAX_A = 15.0, 10.0  # g(r) of ions' centres and of pairs of elements, which cost most
GATHERING = ("N", "H")  # of cations, beside the metals: what electronegative atoms of anions and solvents gather around
DONORS = ("N", "O", "F", "S", "Cl", "Br", "I")


def donors(topology: Topology) -> Array:
    """Return which atoms (N,) of anions and molecules may touch a cation: those of `DONORS`, but no centre of an oxyanion.

    The sulphur of TFSI or the nitrogen of nitrate lies beneath its oxygens, as near to a large cation as a donor would.
    """
    outer = np.isin(topology.elements, ("O", "F"))
    beneath = np.zeros(len(topology), dtype=bool)
    for here, there in (topology.bonds.T, topology.bonds.T[::-1]):
        beneath[here[outer[there] & ~outer[here]]] = True
    return np.isin(topology.elements, DONORS) & ~beneath & (topology.charges_e[topology.molecule] <= 0)


def element_pairs(topology: Topology) -> dict[str, tuple[Array, Array]]:
    """Return {pair: atoms of a, atoms of b} of the element pairs between cations and the donors of anions and molecules around them."""
    alone = dict.fromkeys(
        ion["elements"][0] for ion in topology.ions if ion["charge"] > 0 and len(ion["elements"]) == 1
    )
    positive, donor = topology.charges_e[topology.molecule] > 0, donors(topology)
    gathering = {x: np.flatnonzero((topology.elements == x) & positive) for x in (*alone, *GATHERING)}
    gathered = {x: np.flatnonzero((topology.elements == x) & donor) for x in DONORS}
    return {
        f"{first}-{second}": (a, b)
        for (first, a), (second, b) in itertools.product(gathering.items(), gathered.items())
        if len(a) and len(b)
    }


class Distributions:
    """Radial distributions and structure factors of a trajectory, gathered frame by frame."""

    def __init__(self, topology: Topology, edges: Array, shortest_A: float, factor_every: int) -> None:
        """``edges`` (3,) is a typical cell, ``shortest_A`` the shortest edge of all frames."""
        self.topology = topology
        far, near = (int(min(most, shortest_A / 2) / BIN_A) for most in (CENTRES_MAX_A, ATOMS_MAX_A))
        self.factor, self.factor_every, self.frames = StructureFactor(topology, edges), factor_every, 0
        # of each pair its groups, of which each is the same array in all pairs
        self.centres: dict[str, tuple[Array, Array, Radial]] = {}
        self.atoms: dict[str, tuple[Array, Array, Radial]] = {}
        if not near:
            return
        ions = {ion["name"]: np.flatnonzero(topology.molecule_ion == ion["name"]) for ion in topology.ions}
        for first, second in itertools.combinations_with_replacement(ions, 2):
            a, b = ions[first], ions[second]
            if pairs := len(a) * len(b) - (len(a) if first == second else 0):
                self.centres[f"{first}-{second}"] = a, b, Radial(np.arange(far + 1) * BIN_A, len(a), pairs)
        for pair, (a, b) in element_pairs(topology).items():
            self.atoms[pair] = a, b, Radial(np.arange(near + 1) * BIN_A, len(a), len(a) * len(b))

    def add(self, positions: Array, edges: Array) -> None:
        """Add frames: whole positions (n, N, 3), edges (n, 3)."""
        for x, cell in zip(positions, np.asarray(edges, dtype=float), strict=True):
            self.count(x, cell)
            if self.frames % self.factor_every == 0:
                self.factor.add(x, cell)
            self.frames += 1

    def count(self, positions: Array, edges: Array) -> None:
        """Count the pairs of one frame: whole positions (N, 3), edges (3,)."""
        for particles, pairs in ((self.topology.centres(positions), self.centres), (positions, self.atoms)):
            groups = {id(group): group for a, b, _ in pairs.values() for group in (a, b)}
            trees = {key: tree(particles[group], edges) for key, group in groups.items()}
            for a, b, radial in pairs.values():
                radial.add(trees[id(a)], trees[id(b)], edges)

    def first_shells(self) -> dict[str, FirstShell]:
        """Return the first shell of every pair."""
        return {pair: first_shell(radial) for pair, (_, _, radial) in (self.centres | self.atoms).items()}

    def rows(self, first: dict[str, FirstShell], interval_ps: float) -> tuple[list[Row], list[Row]]:
        """Return the rows of `structure` and of `coordination`; frames ``interval_ps`` apart."""
        structure, coordination = [], []
        spaced = {"frames": self.frames, "interval_ps": interval_ps}
        for pair, (_, _, radial) in (self.centres | self.atoms).items():
            structure += curve("rdf", pair, "r_A", radial.middle, *radial.g())
            structure += curve("coordination", pair, "r_A", radial.shells[1:], *radial.running())
            coordination += [row | spaced for row in coordination_rows(pair, radial, first[pair])]
        return structure + self.factor.rows(), coordination
