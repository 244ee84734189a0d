"""The rows of contacts: how many anions a cation has, how they bind, in what clusters, and how long that lasts."""

import math
from collections.abc import Iterator

import numpy as np

from ionmelt.measure import numbers, rates, stretches, survival
from ionmelt.measure.arrays import Array
from ionmelt.measure.clusters import clusters
from ionmelt.measure.contacts import Contacts
from ionmelt.measure.numbers import Row

TOLERANCE_PS = 1.0  # shorter contacts and breaks are vibrations across the cut
TOLERANCE_SHARE = 20  # and at most this part of the run
LARGEST = 6  # clusters of more cations are one state
DENTICITY = {1: "monodentate", 2: "bidentate", 3: "tridentate"}


def rows(gathered: Contacts, interval_ps: float) -> tuple[list[Row], list[Row], list[Row]]:
    """Return the rows of `structure`, `coordination` and `kinetics` of one pair; frames ``interval_ps`` apart."""
    spaced = {"frames": gathered.frames, "interval_ps": interval_ps}
    if gathered.reason or not gathered.frames:
        why = gathered.reason or "no frames"
        key = {"pair": gathered.pair, **spaced}
        return (
            [],
            [key | {"quantity": "anions_per_cation"} | numbers.number(None, "1", why)],
            [key | {"quantity": name} | numbers.number(None, "ps", why) for name in ("contact_lifetime", *TIMES[:2])],
        )
    donor = np.concatenate(gathered.donor)
    anions = int(gathered.anion.max()) + 1
    by_anion = gathered.columns(gathered.anion[donor], anions)
    coordination = [row | {"pair": gathered.pair} | spaced for row in coordination_rows(gathered, by_anion, anions)]
    sizes, labels = cluster_series(gathered, by_anion, anions)
    coordination += [row | {"pair": gathered.pair} | spaced for row in cluster_rows(sizes)]
    tolerance = min(round(TOLERANCE_PS / interval_ps), gathered.frames // TOLERANCE_SHARE)
    given = {"pair": gathered.pair, "tolerance_ps": tolerance * interval_ps} | spaced
    structure, kinetics = [], []
    one = ("one cluster holds every cation",) if (sizes == len(gathered.cations)).all() else ()
    survivals = [
        *survival.contact_survival(by_anion[0], by_anion[1], tolerance, len(gathered.cations) * anions),
        *survival.label_survival(labels, tolerance),
    ]
    lifetime = survival.contact_lifetime(by_anion[0], tolerance, by_anion[1])
    kinetics.append(given | {"quantity": "contact_lifetime"} | lifetime_row(*lifetime, interval_ps))
    for name, time in zip(TIMES, survivals, strict=True):
        row = survival_row(time, interval_ps)
        if one and name in CLUSTER_TIMES:
            row |= {"converged": False, "reason": "; ".join((*one, row["reason"] or ""))}
        kinetics.append(given | {"quantity": name} | row)
        seen = np.isfinite(time.c)
        structure += numbers.curve(
            f"survival_{name}", gathered.pair, "lag_ps",
            time.lags[seen] * interval_ps, time.c[seen], time.c_error[seen],
        )  # fmt: skip
    kinetics += [given | row for row in rate_rows(gathered, by_anion, donor, tolerance, interval_ps)]
    return structure, coordination, kinetics


CLUSTER_TIMES = ("cluster_lifetime_continuous", "cluster_lifetime_intermittent")
TIMES = ("residence_time_continuous", "residence_time_intermittent", *CLUSTER_TIMES)


def per_cation(h: Array, cation: Array, cations: int) -> Array:
    """Return how many of the columns of h (frames, columns) are True for each cation, (frames, cations)."""
    out = np.zeros((len(h), cations), dtype=np.int32)
    starts = np.flatnonzero(np.diff(cation, prepend=-1))
    if len(starts):
        out[:, cation[starts]] = np.add.reduceat(h, starts, axis=1, dtype=np.int32)
    return out


def shares(quantity: str, states: Array, most: int | None = None) -> Iterator[Row]:
    """Yield the mean of a number (frames, ions), and the share of each value it takes (from ``most`` on as one)."""
    yield {"quantity": quantity} | numbers.mean_row(states)
    top = int(states.max()) if states.size else -1
    for n in range(top + 1):
        last = most is not None and n >= most
        here = states >= n if last else states == n
        if here.any():
            name = f"{n}+" if last else str(n)
            yield {"quantity": f"{quantity}_fraction", "state": name} | numbers.mean_row(here, fraction=True)
        if last:
            return


def coordination_rows(gathered: Contacts, by_anion: tuple[Array, Array, Array], anions: int) -> Iterator[Row]:
    """Yield anions and donors around a cation, how many donors an anion binds by, and how many anions bridge."""
    h, cation, anion = by_anion
    cations = len(gathered.cations)
    bound = per_cation(h, cation, cations)
    yield from shares("anions_per_cation", bound)
    if not gathered.centres:
        frame, here, donor = (np.concatenate(x) for x in (gathered.frame, gathered.cation, gathered.donor))
        flat = np.bincount(frame.astype(np.int64) * cations + here, minlength=gathered.frames * cations)
        yield from shares("donors_per_cation", flat.reshape(gathered.frames, cations))
        key = (frame.astype(np.int64) * cations + here) * anions + gathered.anion[donor]
        bonds, teeth = np.unique(key, return_counts=True)
        for k in range(1, int(teeth.max(initial=0)) + 1):
            bound_so = np.bincount(bonds[teeth == k] // anions, minlength=gathered.frames * cations)
            samples = numbers.ratio_samples(bound_so.reshape(gathered.frames, cations), bound)
            if samples is not None and bound_so.any():
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


def cluster_series(gathered: Contacts, by_anion: tuple[Array, Array, Array], anions: int) -> tuple[Array, Array]:
    """Return (cations in the cluster of each cation, label of that cluster), both (frames, cations)."""
    h, cation, anion = by_anion
    cations = len(gathered.cations)
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


def survival_row(s: survival.Survival, interval_ps: float) -> Row:
    """Return the columns of the time that a survival correlation integrates to."""
    return lifetime_row(s.time, s.error, s.low, s.high, -1, s.reason, interval_ps)


def rate_rows(
    gathered: Contacts,
    by_anion: tuple[Array, Array, Array],
    donor: Array,
    tolerance: int,
    interval_ps: float,
) -> Iterator[Row]:
    """Yield the rates between numbers of anions, and of donors, around a cation (1/ns)."""
    kinds = {"anions": by_anion}
    if not gathered.centres:
        kinds["donors"] = gathered.columns(donor, len(gathered.donors))
    per_ns = 1000 / interval_ps
    for name, (h, cation, _) in kinds.items():
        series = [
            per_cation(stretches.without_blips(h, n), cation, len(gathered.cations)) for n in (tolerance, 2 * tolerance)
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
