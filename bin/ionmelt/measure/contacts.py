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

from ionmelt.measure import radial
from ionmelt.measure.arrays import Array
from ionmelt.measure.radial import FirstShell
from ionmelt.measure.structure import DONORS, donors
from ionmelt.topology import Topology

FRAMES = 4000
FEW = 100_000  # distances in a frame up to which all are looked at
AT_ONCE = 30_000  # of several frames: few enough for a processor's cache
ROUNDING_A = 1e-3  # more than single precision is wrong by in any box
FRAMES_TIMES_CATIONS = 2e5  # bounds the memory: some 50 columns of contacts a cation


def near(a: Array, b: Array, edges: Array, most: float) -> tuple[Array, Array, Array, Array]:
    """Return the pairs of positions a (frames, n, 3) and b (frames, m, 3) up to a distance, in cells with edges (frames, 3).

    In order: the frame and the numbers of both, and the distance. Where there are few particles, to look at all distances takes
    less time than to make trees.
    """
    distances = a.shape[1] * b.shape[1]
    if distances <= FEW:
        at_once = max(1, AT_ONCE // max(distances, 1))
        spans = [slice(t, t + at_once) for t in range(0, len(a), at_once)]
        parts = [(span.start, _few_near(a[span], b[span], edges[span], most)) for span in spans]
    else:
        parts = [(t, _many_near(a[t], b[t], edges[t], most)) for t in range(len(a))]
    frame = np.concatenate([t + some for t, (some, *_) in parts])
    i, j, distance = (np.concatenate(x) for x in zip(*(of for _, (_, *of) in parts), strict=True))
    return frame, i, j, distance


def _many_near(a: Array, b: Array, edges: Array, most: float) -> tuple[Array, Array, Array, Array]:
    """Return what `near` does, of one frame, by trees."""
    pairs = radial.pairs_within(radial.tree(a, edges), radial.tree(b, edges), most)
    pairs = pairs[np.lexsort((pairs["j"], pairs["i"]))]
    return np.zeros(len(pairs), int), pairs["i"], pairs["j"], pairs["v"]


def _few_near(a: Array, b: Array, edges: Array, most: float) -> tuple[Array, Array, Array, Array]:
    """Return what `near` does by all distances: in single precision, and those anew that may be near enough."""
    cells = np.asarray(edges, dtype=float)[:, None]
    squared, step, image = (np.zeros((len(a), a.shape[1], b.shape[1]), np.float32) for _ in range(3))
    here, there = (np.ascontiguousarray(np.moveaxis(x / cells - np.floor(x / cells), 2, 0), np.float32) for x in (a, b))
    for axis in range(3):
        np.subtract(here[axis, :, :, None], there[axis, :, None], out=step)
        step -= np.rint(step, out=image)
        step *= cells[:, :, None, axis].astype(np.float32)
        step *= step
        squared += step
    frame, i, j = np.unravel_index(np.flatnonzero(squared <= (most + ROUNDING_A) ** 2), squared.shape)
    way = a[frame, i].astype(float) - b[frame, j]
    way -= np.rint(way / cells[frame, 0]) * cells[frame, 0]
    distance = np.sqrt((way * way).sum(axis=1))
    close = distance <= most
    return frame[close], i[close], j[close], distance[close]


@dataclass
class Contacts:
    """Contacts of one kind of cation with the donors of some anions, gathered some frames at a time.

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
        """Add frames: positions (T, n, 3) of atoms or of ions' centres of mass, edges (T, 3)."""
        if not self.reason:
            of_cations, of_donors = positions[:, self.cations], positions[:, self.donors]
            frame, cation, donor, distance = near(of_cations, of_donors, edges, float(self.cuts_A.max()))
            touching = distance <= self.cuts_A[donor]
            for kept, new in ((self.frame, frame + self.frames), (self.cation, cation), (self.donor, donor)):
                kept.append(new[touching].astype(np.int32))
        self.frames += len(positions)

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
    may_touch = donors(topology) & np.isin(topology.ion, anions)
    cuts, reasons, lost = {}, [], False
    for donor in DONORS:
        shell = first.get(f"{element}-{donor}")
        if shell is None or not np.any((topology.elements == donor) & may_touch):
            continue
        if math.isnan(shell.cut_A):
            reasons.append(f"{element}-{donor}: {shell.reason}")
            lost |= radial.is_contact(element, donor, shell.peak_A)  # these touch, and nobody knows how far
        elif radial.is_contact(element, donor, shell.peak_A):
            cuts[donor] = shell.cut_A
        else:
            reasons.append(f"{element}-{donor}: the first peak, {shell.peak_A:.2f} A, is no contact")
    touching = np.flatnonzero(may_touch & np.isin(topology.elements, list(cuts)))
    why = None if len(touching) and not lost else "; ".join(reasons) or "no donor atoms"
    cut = np.array([cuts[str(topology.elements[i])] for i in touching])
    _, anion = np.unique(topology.molecule[touching], return_inverse=True)
    return Contacts(pair, atoms, touching, cut, anion, False, why)


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
    near = np.flatnonzero(np.isin(kind, list(cuts)))
    cut = np.array([cuts[str(kind[i])] for i in near])
    why = "; ".join(reasons) if reasons else None
    return Contacts(pair, np.flatnonzero(kind == cation), near, cut, np.arange(len(near)), True, why)


def stride(frames: int, topology: Topology) -> int:
    """Return which n-th frame to use for contacts: a stated bound of memory and time."""
    cations = max((ion["count"] for ion in topology.ions if ion["charge"] > 0), default=1)
    return max(1, math.ceil(frames / min(FRAMES, FRAMES_TIMES_CATIONS / cations)))
