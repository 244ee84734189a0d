"""Structure of a liquid: radial distributions, their first minimum, structure factors, and numbers with errors.

Pure functions over frames of whole ions in periodic orthorhombic cells; angstrom, 1/angstrom. The tables:

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

import itertools
import math
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from ase.data import atomic_numbers, covalent_radii
from periodictable import elements as isotopes
from periodictable.cromermann import fxrayatq
from scipy import ndimage, stats
from scipy.spatial import cKDTree

from ionmelt.measure import stats as measure_stats
from ionmelt.topology import Topology

Array: TypeAlias = np.ndarray
Row: TypeAlias = dict[str, Any]


FRAMES = 1000  # evenly spaced, for distributions: more are too correlated to add to them
FACTOR_FRAMES = 100  # for the structure factor, which costs most
BLOCKS = 8
BIN_A = 0.05
CENTRES_MAX_A, ATOMS_MAX_A = 15.0, 10.0  # g(r) of ions' centres and of pairs of elements, which cost most
SMOOTHING_A = (0.05, 0.1, 0.2, 0.4)  # Gaussian widths tried in turn to find a first minimum
SIGNIFICANT = 5.0  # standard errors by which a peak or a minimum must stand out
RESAMPLES = 50
Q_MAX_PER_A, Q_BIN_PER_A, VECTORS = 8.0, 0.05, 30  # VECTORS: reciprocal vectors of a bin, at most
CATION_ELEMENTS = ("Li", "Na", "K", "N", "H")  # what the anions' electronegative atoms gather around
ANION_ELEMENTS = ("N", "O", "F", "Cl")
TOUCH = 1.3  # covalent radii within which the first peak of a pair of elements is a contact


# --- numbers with errors ------------------------------------------------------------------------------------


def number(value: float | None, unit: str, reason: str | None = None, **more: Any) -> Row:
    """Return the columns of a number without an interval: not converged, for a reason."""
    empty = {"standard_error": None, "ci95_low": None, "ci95_high": None, "n_effective": None}
    return {"value": value, "unit": unit} | empty | {"converged": reason is None, "reason": reason} | more


def mean_row(samples: Array, unit: str = "1", fraction: bool = False) -> Row:
    """Return the mean of ``samples`` (frames, ions) with its 95 % interval, as columns of NUMBER.

    Neither frames nor ions are taken as independent: the error is that of the series of ion averages
    (`stats.series_mean`: equilibration, correlation in time) or, where larger, that of the scatter between
    ions, which sees what is slower than the run. ``fraction``: each sample lies in [0, 1], and the interval is
    Jeffreys's for as many independent samples as the standard error amounts to.
    """
    samples = np.asarray(samples, dtype=float)
    if not samples.size:
        return number(None, unit, "no frames")
    estimate = measure_stats.series_mean(samples.mean(axis=1))
    ions = samples.shape[1]
    used = samples[estimate.start :]
    low, high = float(samples.min()), float(samples.max())
    if low == high and len(samples) >= 16:
        why = {0.0: "never seen in this run", 1.0: "nothing else seen in this run"} if fraction else {}
        return number(estimate.mean, unit, why.get(low, "the same in every frame"))
    if (samples == samples[0]).all() and len(samples) >= 16:
        return number(estimate.mean, unit, "no ion changed in this run")
    if not math.isfinite(estimate.standard_error):
        return number(estimate.mean, unit, estimate.reason)
    error, dof, reasons = estimate.standard_error, max(estimate.n_effective - 1, 1.0), []
    if ions > 1:
        scatter = float(used.mean(axis=0).std(ddof=1)) / math.sqrt(ions)
        if scatter > error:
            excess = scatter / error
            error, dof = scatter, float(ions - 1)
            if excess > 1.5 * math.sqrt(stats.chi2.ppf(0.999, ions - 1) / (ions - 1)):
                reasons.append("ions differ by more than the time series explains: slower than the run")
    half = measure_stats.student(dof) * error
    ends = estimate.mean - half, estimate.mean + half
    if fraction and 0 < estimate.mean < 1:
        n = estimate.mean * (1 - estimate.mean) * (measure_stats.student(math.inf) / half) ** 2
        ends = beta_interval(estimate.mean * n, n)
    reasons = [text for text in (estimate.reason, *reasons) if text]
    return {
        "value": estimate.mean,
        "unit": unit,
        "standard_error": error,
        "ci95_low": ends[0],
        "ci95_high": ends[1],
        "n_effective": dof + 1,
        "converged": not reasons,
        "reason": "; ".join(reasons) or None,
    }


def beta_interval(successes: float, trials: float) -> tuple[float, float]:
    """Return Jeffreys's 95 % interval of a proportion: quantiles of Beta(successes + 1/2, failures + 1/2)."""
    low, high = stats.beta.ppf((0.025, 0.975), successes + 0.5, max(trials - successes, 0.0) + 0.5)
    return float(low), float(high)


def ratio_samples(part: Array, whole: Array) -> Array | None:
    """Return samples whose mean is sum(part) / sum(whole), to first order with its errors; None where whole is 0."""
    mean = float(np.mean(whole))
    if not mean:
        return None
    ratio = float(np.mean(part)) / mean
    return ratio + (np.asarray(part, dtype=float) - ratio * whole) / mean


def block_error(samples: Array) -> Array:
    """Return the standard error (k,) of the mean of samples (frames, k), from BLOCKS blocks; NaN with fewer frames."""
    if len(samples) < BLOCKS:
        return np.full(samples.shape[1], math.nan)
    cuts = np.linspace(0, len(samples), BLOCKS + 1).astype(int)
    means = [samples[a:b].mean(axis=0) for a, b in itertools.pairwise(cuts)]
    return np.std(means, axis=0, ddof=1) / math.sqrt(BLOCKS)


def curve(quantity: str, pair: str, axis: str, x: Array, values: Array, errors: Array, unit: str = "1") -> list[Row]:
    """Return the rows of a curve of the table `structure`; ``axis`` is the column that holds ``x``."""
    return [
        {"quantity": quantity, "pair": pair, axis: round(a, 6), "value": v, "standard_error": e, "unit": unit}
        | {"reason": None if math.isfinite(e) else "too few frames for an error"}
        for a, v, e in zip(x.tolist(), values.tolist(), errors.tolist(), strict=True)
    ]


# --- radial distributions -----------------------------------------------------------------------------------


def in_cell(positions: Array, edges: Array) -> Array:
    """Return positions (n, 3) wrapped into [0, edge): what a periodic tree of neighbours needs."""
    wrapped = np.mod(positions, edges)
    return np.where(wrapped >= edges, 0.0, wrapped)


def shell_counts(a: Array, b: Array, edges: Array, shells: Array) -> Array:
    """Return the pairs (bins,) of a (n, 3) with b (m, 3) in each shell, edges ``shells`` (bins + 1,) from 0 on.

    Pairs at distance 0 are particles with themselves and do not count.
    """
    here, there = (cKDTree(in_cell(np.asarray(x, dtype=float), edges), boxsize=edges) for x in (a, b))
    return np.diff(here.count_neighbors(there, shells))


@dataclass
class Radial:
    """Counts of one pair of groups, frame by frame; ``pairs`` is how many pairs there are in a frame."""

    shells: Array
    a_count: int
    pairs: int
    counts: list[Array] = field(default_factory=list)
    volumes: list[float] = field(default_factory=list)

    def add(self, a: Array, b: Array, edges: Array) -> None:
        """Count one frame: ``a`` (n, 3), ``b`` (m, 3), ``edges`` (3,)."""
        self.counts.append(shell_counts(a, b, edges, self.shells).astype(np.int32))
        self.volumes.append(float(np.prod(edges)))

    @property
    def middle(self) -> Array:
        """The middle of each shell."""
        return (self.shells[1:] + self.shells[:-1]) / 2

    def ideal(self) -> Array:
        """Return what an ideal gas of as many particles would count, (frames, bins)."""
        return self.pairs * np.outer(1 / np.array(self.volumes), 4 / 3 * np.pi * np.diff(self.shells**3))

    def g(self) -> tuple[Array, Array]:
        """Return g(r) and its standard error (bins,); the counts of all frames are set against all ideal ones."""
        counts, ideal = np.array(self.counts), self.ideal()
        g = counts.sum(axis=0) / ideal.sum(axis=0)
        return g, block_error(g + (counts - g * ideal) / ideal.mean(axis=0))

    def block_g(self) -> Array:
        """Return g(r) of each of BLOCKS blocks, (BLOCKS, bins)."""
        cuts = np.linspace(0, len(self.counts), BLOCKS + 1).astype(int)
        counts, ideal = np.array(self.counts), self.ideal()
        return np.array([counts[a:b].sum(axis=0) / ideal[a:b].sum(axis=0) for a, b in itertools.pairwise(cuts)])

    def running(self) -> tuple[Array, Array]:
        """Return the mean number of b within the outer edge of each shell around one a, and its error."""
        running = np.cumsum(self.counts, axis=1) / self.a_count
        return running.mean(axis=0), block_error(running)

    def within(self, r: float) -> Array:
        """Return the mean number of b within r around one a, (frames,)."""
        counts = np.array(self.counts)
        whole = min(int(r / self.shells[1]), counts.shape[1] - 1)  # and a part of the next shell
        part = counts[:, whole] * (r / self.shells[1] - whole)
        return (counts[:, :whole].sum(axis=1) + part) / self.a_count


@dataclass(frozen=True)
class FirstShell:
    """The first peak of g(r) and the minimum after it; NaN and a reason where the data show none."""

    peak_A: float
    cut_A: float
    peak_error_A: float
    cut_error_A: float
    reason: str | None


def _first_shell(r: Array, g: Array, noise: Array, width_bins: float) -> tuple[float, float]:
    """Return (first peak, minimum after it) of g smoothed by a Gaussian of this width; NaN where not significant."""
    smooth = ndimage.gaussian_filter1d(g, width_bins, mode="nearest")
    limit = SIGNIFICANT * noise / math.sqrt(max(2 * math.sqrt(math.pi) * width_bins, 1.0))
    peak, low = 0, 0  # the highest since the start, and the lowest since that peak
    found = False
    for i in range(1, len(smooth)):
        if not found:
            peak = i if smooth[i] > smooth[peak] else peak
            # an ordering stands out of the mean density, and falls off again
            if smooth[peak] > 1 + limit[peak] and smooth[peak] - smooth[i] > limit[peak] + limit[i]:
                found, low = True, i
        elif smooth[i] < smooth[low]:
            low = i
        elif smooth[i] - smooth[low] > max(limit[low] + limit[i], 0.02 * smooth[peak]):
            level = smooth[low] + max(limit[low] / SIGNIFICANT, 0.005 * smooth[peak])
            first = last = low  # the middle of a flat minimum: where in it the lowest point lies is noise
            while smooth[first - 1] <= level:
                first -= 1
            while smooth[last + 1] <= level:
                last += 1
            return float(r[peak]), float(r[first] + r[last]) / 2
    return (float(r[peak]) if found else math.nan), math.nan


def first_shell(radial: Radial, seed: int = 0) -> FirstShell:
    """Return the first peak of g(r), the first minimum and its standard error.

    A peak counts when g exceeds 1 and falls off again by SIGNIFICANT standard errors (those of blocks, smoothed
    over r, or of counting, whichever is larger); the minimum, when g rises again after it by as much and by 2 %
    of the peak. The least smoothing that shows both is taken. The error is the spread over resampled blocks.
    """
    nan = math.nan
    r, (g, error) = radial.middle, radial.g()
    total = np.sum(radial.counts, axis=0)
    noise = np.sqrt(np.maximum(total, 1)) / radial.ideal().sum(axis=0)
    if np.isfinite(error).all():
        noise = np.maximum(noise, np.sqrt(np.convolve(error**2, np.full(9, 1 / 9), "same")))
    width, peak, cut = nan, nan, nan
    for width_A in SMOOTHING_A:
        width = width_A / float(radial.shells[1])
        peak, cut = _first_shell(r, g, noise, width)
        if math.isfinite(cut):
            break
    if math.isnan(cut):
        end = f"within {radial.shells[-1]:.3g} A"
        what = "minimum" if math.isfinite(peak) else "peak"
        return FirstShell(peak, nan, nan, nan, f"no first {what} of g(r) {end}")
    if len(radial.counts) < BLOCKS:
        return FirstShell(peak, cut, nan, nan, f"{len(radial.counts)} frames: too few for an error")
    blocks, rng = radial.block_g(), np.random.default_rng(seed)
    drawn = [blocks[rng.integers(0, BLOCKS, BLOCKS)].mean(axis=0) for _ in range(RESAMPLES)]
    found = np.array([_first_shell(r, x, noise, width) for x in drawn])
    found = found[np.isfinite(found).all(axis=1)]
    if len(found) < 0.8 * RESAMPLES:
        return FirstShell(peak, cut, nan, nan, "the first minimum is not there in every part of the run")
    errors = np.maximum(found.std(axis=0, ddof=1), radial.shells[1] / math.sqrt(12))
    return FirstShell(peak, cut, float(errors[0]), float(errors[1]), None)


def coordination_rows(pair: str, radial: Radial, shell: FirstShell) -> list[Row]:
    """Return first peak, first minimum and the coordination number at it, rows of the table `coordination`.

    The coordination number's error holds that of the cut: slope of the running number times the cut's error.
    """
    base = {"pair": pair, "state": None, "cut_A": None if math.isnan(shell.cut_A) else shell.cut_A}
    rows = []
    for quantity, value, error in (
        ("first_peak", shell.peak_A, shell.peak_error_A),
        ("first_minimum", shell.cut_A, shell.cut_error_A),
    ):
        row = number(value if math.isfinite(value) else None, "A", shell.reason)
        if math.isfinite(error):
            half = measure_stats.student(BLOCKS - 1) * error
            row |= {"standard_error": error, "ci95_low": value - half, "ci95_high": value + half}
        rows.append(base | {"quantity": quantity} | row)
    if math.isnan(shell.cut_A):
        return [*rows, base | {"quantity": "coordination_number"} | number(None, "1", shell.reason)]
    row = mean_row(radial.within(shell.cut_A)[:, None])
    if math.isfinite(shell.cut_error_A) and row["standard_error"] is not None:
        step = shell.cut_error_A
        here = [float(radial.within(shell.cut_A + d).mean()) for d in (-step, step)]
        error = math.hypot(row["standard_error"], (here[1] - here[0]) / 2)
        half = (row["ci95_high"] - row["value"]) * error / row["standard_error"]
        row |= {"standard_error": error, "ci95_low": row["value"] - half, "ci95_high": row["value"] + half}
    if shell.reason:
        row |= {"converged": False, "reason": "; ".join(text for text in (shell.reason, row["reason"]) if text)}
    return [*rows, base | {"quantity": "coordination_number"} | row]


def is_contact(first: str, second: str, peak_A: float) -> bool:
    """Return whether a first peak is one of touching atoms: within TOUCH times the sum of covalent radii."""
    return peak_A < TOUCH * float(sum(covalent_radii[atomic_numbers[x]] for x in (first, second)))


# --- structure factor ---------------------------------------------------------------------------------------


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
    for part in np.split(order, np.searchsorted(q[order], np.arange(width, q_max, width))):
        if len(part):
            chosen.append(part[np.unique(np.linspace(0, len(part) - 1, min(most, len(part))).astype(int))])
    return indices[np.concatenate(chosen)] if chosen else np.empty((0, 3), dtype=int)


def density_modes(positions: Array, edges: Array, indices: Array, groups: Array) -> Array:
    """Return sum over the atoms of each group of exp(i q r), (Q, G) complex, for positions (N, 3).

    ``groups`` (N, G) holds 1 where an atom belongs to a group. Powers of exp(2 pi i x / L) make the exponentials.
    """
    out = np.empty((len(indices), groups.shape[1]), dtype=complex)
    phases = 2j * np.pi * np.asarray(positions, dtype=float) / edges
    tables = [np.exp(np.outer(np.arange(-n, n + 1), phases[:, i])) for i, n in enumerate(np.abs(indices).max(axis=0))]
    zero = [len(table) // 2 for table in tables]
    width = max(1, int(4e6 / (16 * len(positions))))
    for first in range(0, len(indices), width):
        part = indices[first : first + width]
        wave = tables[0][part[:, 0] + zero[0]]
        wave *= tables[1][part[:, 1] + zero[1]]
        wave *= tables[2][part[:, 2] + zero[2]]
        out[first : first + width] = (wave.real @ groups) + 1j * (wave.imag @ groups)
    return out


def xray_factor(element: str, q: Array) -> Array:
    """Return the X-ray form factor of a neutral atom at q in 1/angstrom (periodictable: Waasmaier and Kirfel)."""
    return np.asarray(fxrayatq(element, np.atleast_1d(q)), dtype=float)


def neutron_length(element: str) -> float:
    """Return the bound coherent neutron scattering length in fm, natural isotopes (periodictable)."""
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
        own = {
            kind: (number_of * f**2)[:, [group[0] == kind for group in self.groups]].sum(axis=1) for kind in self.kinds
        }
        scale = (f @ number_of) ** 2 / total
        out = {}
        for first, second in itertools.combinations_with_replacement(self.kinds, 2):
            cross = (amplitude[first] * amplitude[second].conj()).real
            part = cross - own[first] if first == second else 2 * cross
            out["structure_factor_xray_partial", f"{first}-{second}"] = part / scale
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


# --- the pairs of a liquid ----------------------------------------------------------------------------------


def element_pairs(topology: Topology) -> dict[str, tuple[Array, Array]]:
    """Return {pair: atoms of a, atoms of b} of the element pairs between cations and anions."""
    charge = topology.charges_e[topology.molecule]
    pairs = {}
    for first, second in itertools.product(CATION_ELEMENTS, ANION_ELEMENTS):
        a = np.flatnonzero((topology.elements == first) & (charge > 0))
        b = np.flatnonzero((topology.elements == second) & (charge < 0))
        if len(a) and len(b):
            pairs[f"{first}-{second}"] = (a, b)
    return pairs


class Distributions:
    """Radial distributions and structure factors of a trajectory, gathered frame by frame."""

    def __init__(self, topology: Topology, edges: Array, shortest_A: float, factor_every: int) -> None:
        """``edges`` (3,) is a typical cell, ``shortest_A`` the shortest edge of all frames."""
        self.topology = topology
        far, near = (int(min(most, shortest_A / 2) / BIN_A) for most in (CENTRES_MAX_A, ATOMS_MAX_A))
        self.factor, self.factor_every, self.frames = StructureFactor(topology, edges), factor_every, 0
        self.centres: dict[str, tuple[Array, Array, Radial]] = {}
        self.atoms: dict[str, tuple[Array, Array, Radial]] = {}
        if not near:
            return
        names = [ion["name"] for ion in topology.ions]
        for first, second in itertools.combinations_with_replacement(names, 2):
            a, b = (np.flatnonzero(topology.molecule_ion == name) for name in (first, second))
            if pairs := len(a) * len(b) - (len(a) if first == second else 0):
                self.centres[f"{first}-{second}"] = a, b, Radial(np.arange(far + 1) * BIN_A, len(a), pairs)
        for pair, (a, b) in element_pairs(topology).items():
            self.atoms[pair] = a, b, Radial(np.arange(near + 1) * BIN_A, len(a), len(a) * len(b))

    def add(self, positions: Array, edges: Array) -> None:
        """Add frames: whole positions (n, N, 3), edges (n, 3)."""
        for x, cell in zip(positions, np.asarray(edges, dtype=float), strict=True):
            centres = self.topology.centres(x)
            for places, pairs in ((centres, self.centres), (x, self.atoms)):
                for a, b, radial in pairs.values():
                    radial.add(places[a], places[b], cell)
            if self.frames % self.factor_every == 0:
                self.factor.add(x, cell)
            self.frames += 1

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
