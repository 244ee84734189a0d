"""Structure of the liquid: distributions, the surroundings and the shape of the ions, and how long these last.

All come from one trajectory, of NVT or, where there is none, of NPT, of which some frames are read: for the distributions, and for
the contacts within the first minima that these show. The tables:

- `structure`, curves: ``rdf`` g(r) and ``coordination``, the running number of neighbours, over r_A;
  ``structure_factor_xray``, ``structure_factor_neutron`` and ``structure_factor_xray_partial`` over q_per_A;
  ``torsion`` and ``pucker_phase``, distributions over angle_deg; ``survival_*``, of the times of `kinetics`, over
  lag_ps.
- `coordination`: ``first_peak``, ``first_minimum`` and ``coordination_number`` of each g(r); around a cation
  ``anions_per_cation`` and ``donors_per_cation`` with the share of each number (``*_fraction``), how bound anions
  bind (``denticity_fraction``) and whether they bridge (``bridging_anion_fraction``); ``cations_per_cluster``,
  ``largest_cluster_fraction``.
- `conformers`: ``population`` of each class of a torsion, ring or shape, and the means of ring amplitude and shape.
- `kinetics`: ``contact_lifetime``, ``residence_time_*``, ``cluster_lifetime_*`` (ps), ``transition_rate`` (1/ns).

The last three hold numbers (columns `NUMBER`), each with its 95 % interval or the reason for having none, or only
one end of it where the run is too short for more. ``frames`` and ``interval_ps`` say how many frames were used and
how far apart.
"""

import math
from collections.abc import Callable
from functools import lru_cache

from ionmelt.measure import contacts, paths, surroundings
from ionmelt.measure.conformers import Conformers
from ionmelt.measure.measurement import Measurement
from ionmelt.measure.numbers import Row
from ionmelt.measure.simulation import Run
from ionmelt.measure.structure import FACTOR_FRAMES, FRAMES, Distributions
from ionmelt.tables.columns import NUMBER, REAL, RUN_MODEL, TEXT, WHOLE

Tables = dict[str, list[Row]]


@lru_cache(maxsize=1)
def structure(run: Run) -> Tables:
    """Return the rows of the four tables."""
    tables: Tables = {"structure": [], "coordination": [], "conformers": [], "kinetics": []}
    phase = "npt" if run.nvt is None else "nvt"
    if len(run.cells(phase)):
        gather(run, phase, tables)
    for name, rows in tables.items():
        for row in rows:
            judged = run.verdict(row.get("converged", False), row["reason"])
            row |= judged if name != "structure" else {"reason": judged["reason"]}
    return tables


def gather(run: Run, phase: str, tables: Tables) -> None:
    """Fill the tables from the trajectory of a phase."""
    path, edges = run.path(phase), run.cells(phase)
    frames, save_ps = len(edges), run.record.save_every_fs / 1000
    every = math.ceil(frames / FRAMES)
    factor_every = math.ceil(frames / every / FACTOR_FRAMES)
    distributions = Distributions(run.topology, edges.mean(axis=0), float(edges.min()), factor_every)
    conformers = Conformers(run.topology)
    for some in paths.some_frames(path, run.topology, range(0, frames, every), run.threads):
        distributions.add(some.positions, some.edges)
        conformers.add(some.positions)
    first = distributions.first_shells()
    pairs = contacts.contacts(run.topology, first)
    pairs_every = contacts.stride(frames, run.topology)
    last = frames if pairs else 0
    for some in paths.some_frames(path, run.topology, range(0, last, pairs_every), run.threads):
        for pair in pairs:
            pair.add(some.centres if pair.centres else some.positions, some.edges)
    curves, numbers = distributions.rows(first, every * save_ps)
    tables["structure"] += curves
    tables["coordination"] += numbers
    curves, tables["conformers"] = conformers.rows(every * save_ps)
    tables["structure"] += curves
    for pair in pairs:
        curves, numbers, times = surroundings.rows(pair, pairs_every * save_ps)
        tables["structure"] += curves
        tables["coordination"] += numbers
        tables["kinetics"] += times


def rows_of(name: str) -> Callable[[Run], list[Row]]:
    """Return the function that gives the rows of one of the four tables."""
    return lambda run: structure(run)[name]


STRUCTURE = Measurement(
    name="structure",
    measure=rows_of("structure"),
    row="a point of a curve: radial distribution, structure factor, distribution of angles, survival of contacts",
    columns={
        "quantity": TEXT, "pair": TEXT, "r_A": REAL, "q_per_A": REAL, "angle_deg": REAL, "lag_ps": REAL, "value": REAL,
        "standard_error": REAL, "unit": TEXT, "reason": TEXT, **RUN_MODEL,
    },
)  # fmt: skip
COORDINATION = Measurement(
    name="coordination",
    measure=rows_of("coordination"),
    row="a number of the surroundings of an ion in a run",
    columns={"quantity": TEXT, "pair": TEXT, "state": TEXT, "cut_A": REAL, **NUMBER, **RUN_MODEL},
)
CONFORMERS = Measurement(
    name="conformers",
    measure=rows_of("conformers"),
    row="a number of the shape of an ion in a run",
    columns={"species": TEXT, "feature": TEXT, "quantity": TEXT, "state": TEXT, **NUMBER, **RUN_MODEL},
)
KINETICS = Measurement(
    name="kinetics",
    measure=rows_of("kinetics"),
    row="a lifetime or a rate in a run",
    columns={
        "quantity": TEXT, "pair": TEXT, "state_from": TEXT, "state_to": TEXT, "tolerance_ps": REAL, "events": WHOLE,
        **NUMBER, **RUN_MODEL,
    },
)  # fmt: skip
