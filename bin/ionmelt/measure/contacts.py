"""Cations and the anions around them: how many, how they bind, for how long, in what clusters.

A *contact*: a donor atom of an anion within the first minimum of g(r) of a cation of one atom, for the elements
whose first peak is one of touching atoms; for a cation of several atoms an anion's centre of mass within that of
the centres. An anion may bind by one donor (monodentate), by two (bidentate) and so on.

Every quantity is given for each kind of cation and anion, and over all anions (``li-anions``) where there are
several kinds.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from scipy.spatial import cKDTree

from ionmelt.measure import numbers, radial, rates
from ionmelt.measure import survival as measure_survival
from ionmelt.measure.arrays import Array
from ionmelt.measure.clusters import clusters
from ionmelt.measure.numbers import Row
from ionmelt.measure.radial import FirstShell
from ionmelt.measure.structure import ANION_ELEMENTS
from ionmelt.topology import Topology

TOLERANCE_PS = 1.0  # shorter contacts and breaks are vibrations across the cut
TOLERANCE_SHARE = 20  # and at most this part of the run
FRAMES = 4000
FRAMES_TIMES_CATIONS = 2e5  # bounds the memory: some 50 columns of contacts a cation
LARGEST = 6  # clusters of more cations are one state
DENTICITY = {1: "monodentate", 2: "bidentate", 3: "tridentate"}


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

    def add(self, places: Array, edges: Array) -> None:
        """Add one frame: positions of atoms or of ions' centres of mass, edges (3,)."""
        if not self.reason:
            here, there = (
                cKDTree(radial.in_cell(places[x].astype(float), edges), boxsize=edges)
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
    """Return what is to be gathered for each pair of a kind of cation with a kind of anion, or with all of them."""
    charges = {ion["name"]: ion["charge"] for ion in topology.ions}
    cations, anions = ([name for name, q in charges.items() if sign * q > 0] for sign in (1, -1))
    found = []
    for cation in cations:
        for group in [[name] for name in anions] + ([anions] if len(anions) > 1 else []):
            pair = f"{cation}-{group[0] if len(group) == 1 else 'anions'}"
            single = len(next(ion["elements"] for ion in topology.ions if ion["name"] == cation)) == 1
            make = _by_donors if single else _by_centres
            found.append(make(topology, first, cation, group, pair))
    return found


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


# --- rows ---------------------------------------------------------------------------------------------------


def rows(found: Contacts, interval_ps: float) -> tuple[list[Row], list[Row], list[Row]]:
    """Return the rows of `structure`, `coordination` and `kinetics` of one pair; frames ``interval_ps`` apart."""
    spaced = {"frames": found.frames, "interval_ps": interval_ps}
    if found.reason or not found.frames:
        why = found.reason or "no frames"
        key = {"pair": found.pair, **spaced}
        return (
            [],
            [key | {"quantity": "anions_per_cation"} | numbers.number(None, "1", why)],
            [key | {"quantity": name} | numbers.number(None, "ps", why) for name in ("contact_lifetime", *TIMES[:2])],
        )
    donor = np.concatenate(found.donor)
    anions = int(found.anion.max()) + 1
    by_anion = found.columns(found.anion[donor], anions)
    coordination = [row | {"pair": found.pair} | spaced for row in coordination_rows(found, by_anion, anions)]
    sizes, labels = cluster_series(found, by_anion, anions)
    coordination += [row | {"pair": found.pair} | spaced for row in cluster_rows(sizes)]
    tolerance = min(round(TOLERANCE_PS / interval_ps), found.frames // TOLERANCE_SHARE)
    given = {"pair": found.pair, "tolerance_ps": tolerance * interval_ps} | spaced
    structure, kinetics = [], []
    one = ("one cluster holds every cation",) if (sizes == len(found.cations)).all() else ()
    survivals = [
        *measure_survival.contact_survival(by_anion[0], by_anion[1], tolerance, anions),
        *measure_survival.label_survival(labels, tolerance),
    ]
    lifetime = measure_survival.contact_lifetime(by_anion[0], tolerance, by_anion[1])
    kinetics.append(given | {"quantity": "contact_lifetime"} | lifetime_row(*lifetime, interval_ps))
    for name, survival in zip(TIMES, survivals, strict=True):
        row = survival_row(survival, interval_ps)
        if one and name in CLUSTER_TIMES:
            row |= {"converged": False, "reason": "; ".join((*one, row["reason"] or ""))}
        kinetics.append(given | {"quantity": name} | row)
        seen = np.isfinite(survival.c)
        structure += numbers.curve(
            f"survival_{name}", found.pair, "lag_ps",
            survival.lags[seen] * interval_ps, survival.c[seen], survival.c_error[seen],
        )  # fmt: skip
    kinetics += [given | row for row in rate_rows(found, by_anion, anions, donor, tolerance, interval_ps)]
    return structure, coordination, kinetics


CLUSTER_TIMES = ("cluster_lifetime_continuous", "cluster_lifetime_intermittent")
TIMES = ("residence_time_continuous", "residence_time_intermittent", *CLUSTER_TIMES)


def per_cation(h: Array, cation: Array, cations: int) -> Array:
    """Return how many of the columns of h (frames, columns) are True for each cation, (frames, cations)."""
    out = np.zeros((len(h), cations), dtype=np.int32)
    starts = np.flatnonzero(np.diff(cation, prepend=-1))
    if len(starts):
        out[:, cation[starts]] = np.add.reduceat(h.astype(np.int32), starts, axis=1)
    return out


def shares(quantity: str, states: Array, most: int | None = None) -> Iterator[Row]:
    """Yield the mean of a number (frames, ions), and the share of each value it takes (from ``most`` on as one)."""
    yield {"quantity": quantity} | numbers.mean_row(states)
    top = int(states.max()) if states.size else -1
    for n in range(top + 1):
        last = most is not None and n >= most
        here = states >= n if last else states == n
        if here.any():
            name = f"{n}+" if last and top > n else str(n)
            yield {"quantity": f"{quantity}_fraction", "state": name} | numbers.mean_row(here, fraction=True)
        if last:
            return


def coordination_rows(found: Contacts, by_anion: tuple[Array, Array, Array], anions: int) -> Iterator[Row]:
    """Yield anions and donors around a cation, how many donors an anion binds by, and how many anions bridge."""
    h, cation, anion = by_anion
    cations = len(found.cations)
    bound = per_cation(h, cation, cations)
    yield from shares("anions_per_cation", bound)
    if not found.centres:
        frame, here, donor = (np.concatenate(x) for x in (found.frame, found.cation, found.donor))
        flat = np.bincount(frame.astype(np.int64) * cations + here, minlength=found.frames * cations)
        yield from shares("donors_per_cation", flat.reshape(found.frames, cations))
        key = (frame.astype(np.int64) * cations + here) * anions + found.anion[donor]
        places, teeth = np.unique(key, return_counts=True)
        for k in range(1, int(teeth.max(initial=0)) + 1):
            part = np.bincount(places[teeth == k] // anions, minlength=found.frames * cations)
            samples = numbers.ratio_samples(part.reshape(found.frames, cations), bound)
            if samples is not None and part.any():
                row = share_row(samples)
                yield {"quantity": "denticity_fraction", "state": DENTICITY.get(k, f"{k}-dentate")} | row
    order = np.argsort(anion, kind="stable")
    shared = per_cation(h[:, order], anion[order], anions)
    samples = numbers.ratio_samples(shared > 1, shared > 0)
    if samples is not None:
        yield {"quantity": "bridging_anion_fraction"} | share_row(samples)


def share_row(samples: Array) -> Row:
    """Return the row of a share whose samples come from `ratio_samples`: they may leave [0, 1], it may not."""
    row = numbers.mean_row(samples)
    if row["value"] in (0.0, 1.0) and row["standard_error"] is None and len(samples) >= 16:
        row["reason"] = "never seen in this run" if row["value"] == 0 else "nothing else seen in this run"
    if row["ci95_low"] is not None:
        row |= {"ci95_low": max(row["ci95_low"], 0.0), "ci95_high": min(row["ci95_high"], 1.0)}
    return row


def cluster_series(found: Contacts, by_anion: tuple[Array, Array, Array], anions: int) -> tuple[Array, Array]:
    """Return (cations in the cluster of each cation, label of that cluster), both (frames, cations)."""
    h, cation, anion = by_anion
    cations = len(found.cations)
    pairs = [clusters(cation[row], anion[row], cations, anions) for row in h]
    return np.array([sizes for sizes, _ in pairs]), np.array([labels for _, labels in pairs])


def cluster_rows(sizes: Array) -> Iterator[Row]:
    """Yield how many cations share a cluster with a cation, itself included, and the share of the largest one."""
    yield from shares("cations_per_cluster", sizes, LARGEST + 1)
    if sizes.shape[1] > 1:
        largest = sizes.max(axis=1, keepdims=True) / sizes.shape[1]
        yield {"quantity": "largest_cluster_fraction"} | numbers.mean_row(largest)


def lifetime_row(
    time: float, error: float, low: float, high: float, events: int, reason: str | None, interval_ps: float
) -> Row:
    """Return the columns of a time given in frames; NaN where unknown."""
    value, error, low, high = (x * interval_ps if math.isfinite(x) else None for x in (time, error, low, high))  # type: ignore[assignment]
    row = numbers.number(value, "ps", reason, events=events if events >= 0 else None)
    return row | {"standard_error": error, "ci95_low": low, "ci95_high": high}


def survival_row(s: measure_survival.Survival, interval_ps: float) -> Row:
    """Return the columns of the time that a survival correlation integrates to."""
    return lifetime_row(s.time, s.error, s.low, s.high, -1, s.reason, interval_ps)


def rate_rows(
    found: Contacts, by_anion: tuple[Array, Array, Array], anions: int, donor: Array, tolerance: int, interval_ps: float
) -> Iterator[Row]:
    """Yield the rates between numbers of anions, and of donors, around a cation (1/ns)."""
    kinds = {"anions": by_anion}
    if not found.centres:
        kinds["donors"] = found.columns(donor, len(found.donors))
    per_ns = 1000 / interval_ps
    for name, (h, cation, _) in kinds.items():
        series = [
            per_cation(measure_survival.without_blips(h, n), cation, len(found.cations))
            for n in (tolerance, 2 * tolerance)
        ]
        for r in rates.rate_matrix(series[0], series[1] if tolerance else None):
            yield {
                "quantity": "transition_rate",
                "state_from": f"{r.start} {name if r.start != 1 else name[:-1]}",
                "state_to": f"{r.stop} {name if r.stop != 1 else name[:-1]}",
                **numbers.number(r.rate * per_ns, "1/ns", r.reason, events=r.events),
                "standard_error": r.error * per_ns,
                "ci95_low": r.low * per_ns,
                "ci95_high": r.high * per_ns,
            }
