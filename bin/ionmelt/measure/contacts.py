"""Cations and the anions around them: how many, how they bind, for how long, in what clusters.

A *contact*: a donor atom of an anion within the first minimum of g(r) of a cation of one atom, for the elements
whose first peak is one of touching atoms; for a cation of several atoms an anion's centre of mass within that of
the centres. An anion may bind by one donor (monodentate), by two (bidentate) and so on.

Every quantity is given for each kind of cation and anion, and over all anions (``li-anions``) where there are
several kinds. Neutral molecules are anions here, but for what is over all anions.
"""

import math
from dataclasses import dataclass, field

import numpy as np
from scipy.spatial import cKDTree

from ionmelt.measure import radial
from ionmelt.measure.arrays import Array
from ionmelt.measure.radial import FirstShell
from ionmelt.measure.structure import ANION_ELEMENTS
from ionmelt.topology import Topology

FRAMES = 4000
FRAMES_TIMES_CATIONS = 2e5  # bounds the memory: some 50 columns of contacts a cation


@dataclass
class Contacts:
    """Contacts of one kind of cation with the donors of some anions, gathered frame by frame.

    ``donors`` (D,) atoms, or anions where ``centres``; ``cuts_A`` (D,); ``anion`` (D,) the number, from 0 on, of
    the anion that each belongs to.
    """

    pair: str
    cations: Array  # atoms, or ions where ``centres``
    donors: Array
    cuts_A: Array
    anion: Array
    centres: bool
    reason: str | None = None
    frame: list[Array] = field(default_factory=list)
    cation: list[Array] = field(default_factory=list)
    donor: list[Array] = field(default_factory=list)
    frames: int = 0

    def add(self, positions: Array, edges: Array) -> None:
        """Add one frame: positions of atoms or of ions' centres of mass, edges (3,)."""
        if not self.reason:
            here, there = (
                cKDTree(radial.in_cell(positions[x].astype(float), edges), boxsize=edges)
                for x in (self.cations, self.donors)
            )
            near = here.sparse_distance_matrix(there, float(self.cuts_A.max()), output_type="ndarray")
            near = near[near["v"] <= self.cuts_A[near["j"]]]
            order = np.lexsort((near["j"], near["i"]))
            self.frame.append(np.full(len(near), self.frames, dtype=np.int32))
            self.cation.append(near["i"][order].astype(np.int32))
            self.donor.append(near["j"][order].astype(np.int32))
        self.frames += 1

    def columns(self, partner: Array, partners: int) -> tuple[Array, Array, Array]:
        """Return (contacts (frames, columns), cation and partner of each column), cations in order.

        ``partner`` (contacts,): the donor or the anion of each contact gathered.
        """
        cation, frame = np.concatenate(self.cation), np.concatenate(self.frame)
        keys, column = np.unique(cation.astype(np.int64) * partners + partner, return_inverse=True)
        h = np.zeros((self.frames, len(keys)), dtype=bool)
        h[frame, column] = True
        return h, keys // partners, keys % partners


def contacts(topology: Topology, first: dict[str, FirstShell]) -> list[Contacts]:
    """Return what is to be gathered for each pair of a kind of cation with a kind of anion or molecule, or with all anions."""
    charges = {ion["name"]: ion["charge"] for ion in topology.ions}
    cations, anions = ([name for name, q in charges.items() if sign * q > 0] for sign in (1, -1))
    gathered = []
    for cation in cations:
        solvents = [name for name, q in charges.items() if q == 0]
        for group in [[name] for name in anions + solvents] + ([anions] if len(anions) > 1 else []):
            pair = f"{cation}-{group[0] if len(group) == 1 else 'anions'}"
            single = len(next(ion["elements"] for ion in topology.ions if ion["name"] == cation)) == 1
            make = _by_donors if single else _by_centres
            gathered.append(make(topology, first, cation, group, pair))
    return gathered


def _by_donors(topology: Topology, first: dict[str, FirstShell], cation: str, anions: list[str], pair: str) -> Contacts:
    atoms = np.flatnonzero(topology.ion == cation)
    element = str(topology.elements[atoms[0]])
    cuts, reasons = {}, []
    for donor in ANION_ELEMENTS:
        shell = first.get(f"{element}-{donor}")
        if shell is None or not np.any((topology.elements == donor) & np.isin(topology.ion, anions)):
            continue
        if math.isnan(shell.cut_A):
            reasons.append(f"{element}-{donor}: {shell.reason}")
        elif radial.is_contact(element, donor, shell.peak_A):
            cuts[donor] = shell.cut_A
        else:
            reasons.append(f"{element}-{donor}: the first peak, {shell.peak_A:.2f} A, is no contact")
    donors = np.flatnonzero(np.isin(topology.ion, anions) & np.isin(topology.elements, list(cuts)))
    why = None if len(donors) else "; ".join(reasons) or "no donor atoms"
    cut = np.array([cuts[str(topology.elements[i])] for i in donors])
    _, anion = np.unique(topology.molecule[donors], return_inverse=True)
    return Contacts(pair, atoms, donors, cut, anion, False, why)


def _by_centres(
    topology: Topology, first: dict[str, FirstShell], cation: str, anions: list[str], pair: str
) -> Contacts:
    kind = topology.molecule_ion
    cuts, reasons = {}, []
    for name in anions:
        shell = first.get(f"{cation}-{name}") or first.get(f"{name}-{cation}")
        if shell is None or math.isnan(shell.cut_A):
            reasons.append(f"{cation}-{name}: {shell.reason if shell else 'no g(r)'}")
        else:
            cuts[name] = shell.cut_A
    donors = np.flatnonzero(np.isin(kind, list(cuts)))
    cut = np.array([cuts[str(kind[i])] for i in donors])
    why = "; ".join(reasons) if reasons else None
    return Contacts(pair, np.flatnonzero(kind == cation), donors, cut, np.arange(len(donors)), True, why)


def stride(frames: int, topology: Topology) -> int:
    """Return which n-th frame to use for contacts: a stated bound of memory and time."""
    cations = max((ion["count"] for ion in topology.ions if ion["charge"] > 0), default=1)
    return max(1, math.ceil(frames / min(FRAMES, FRAMES_TIMES_CATIONS / cations)))
