"""Radial distributions, their first minimum and the coordination number at it."""

import itertools
import math
from dataclasses import dataclass, field

import numpy as np
import scipy
from ase.data import atomic_numbers, covalent_radii

from ionmelt.measure import series
from ionmelt.measure.arrays import Array
from ionmelt.measure.numbers import BLOCKS, Row, block_error, mean_row, number

SMOOTHING_A = (0.05, 0.1, 0.2, 0.4)  # Gaussian widths tried in turn to find a first minimum
SIGNIFICANT = 5.0  # standard errors by which a peak or a minimum must stand out
RESAMPLES = 50
FEW = 256  # particles whose surroundings are told apart: of so many and more the scatter is hardly part of the error
TOUCH = 1.3  # covalent radii within which the first peak of a pair of elements is a contact


def in_cell(positions: Array, edges: Array) -> Array:
    """Return positions (n, 3) wrapped into [0, edge): what a periodic tree of neighbours needs."""
    wrapped = np.mod(positions, edges)
    return np.where(wrapped >= edges, 0.0, wrapped)


def tree(positions: Array, edges: Array) -> "scipy.spatial.cKDTree":
    """Return the tree of neighbours of positions (n, 3), which may be outside of it, in a cell with these edges (3,)."""
    return scipy.spatial.cKDTree(in_cell(np.asarray(positions, dtype=float), edges), boxsize=edges)


def pairs_within(here: "scipy.spatial.cKDTree", there: "scipy.spatial.cKDTree", most: float) -> Array:
    """Return the pairs of two sets of particles up to a distance: their numbers ``i`` and ``j``, and the distance ``v``."""
    return here.sparse_distance_matrix(there, most, output_type="ndarray")


def shell_counts(distances: Array, shells: Array) -> Array:
    """Return how many distances lie in each shell (bins,), edges ``shells`` (bins + 1,) from 0 on; a shell has its outer edge.

    A distance of 0 is that of a particle to itself and does not count. To list the distances of a frame and sort them takes a fifth of
    what the tree takes to count them shell by shell (`count_neighbors`), where shells are as thin as here.
    """
    return np.diff(np.searchsorted(np.sort(distances), shells, side="right"))


@dataclass
class Radial:
    """Counts of one pair of groups, frame by frame; ``pairs`` is how many pairs there are in a frame.

    ``each`` (a, bins) holds the counts of all frames around each a, where these are `FEW` at most.
    """

    shells: Array
    a_count: int
    pairs: int
    counts: list[Array] = field(default_factory=list)
    volumes: list[float] = field(default_factory=list)
    each: Array | None = None

    def __post_init__(self) -> None:
        if self.a_count <= FEW:
            self.each = np.zeros((self.a_count, len(self.shells) - 1), dtype=np.int64)

    def add(self, a: "scipy.spatial.cKDTree", b: "scipy.spatial.cKDTree", edges: Array) -> None:
        """Count one frame: the trees of both groups, ``edges`` (3,)."""
        near = pairs_within(a, b, float(self.shells[-1]))
        self.counts.append(shell_counts(near["v"], self.shells).astype(np.int32))
        self.volumes.append(float(np.prod(edges)))
        if self.each is not None:
            near = near[near["v"] > 0]
            places = near["i"] * self.each.shape[1] + np.searchsorted(self.shells, near["v"]) - 1
            self.each += np.bincount(places, minlength=self.each.size).reshape(self.each.shape)

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
        return self._up_to(np.array(self.counts), r) / self.a_count

    def within_each(self, r: float) -> Array | None:
        """Return the number of b within r around each a, the mean of all frames (a,); None where the a are more than `FEW`."""
        return None if self.each is None else self._up_to(self.each, r) / len(self.counts)

    def _up_to(self, counts: Array, r: float) -> Array:
        """Return the sum of counts (n, bins) up to r, (n,)."""
        whole = min(int(r / self.shells[1]), counts.shape[1] - 1)  # and a part of the next shell
        rest: Array = counts[:, whole] * (r / self.shells[1] - whole)
        return counts[:, :whole].sum(axis=1) + rest


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
    smooth = scipy.ndimage.gaussian_filter1d(g, width_bins, mode="nearest")
    limit = SIGNIFICANT * noise / math.sqrt(max(2 * math.sqrt(math.pi) * width_bins, 1.0))
    peak, low = 0, 0  # the highest since the start, and the lowest since that peak
    peaked = False
    for i in range(1, len(smooth)):
        if not peaked:
            peak = i if smooth[i] > smooth[peak] else peak
            # a peak is significantly above the mean density, and falls off again
            if smooth[peak] > 1 + limit[peak] and smooth[peak] - smooth[i] > limit[peak] + limit[i]:
                peaked, low = True, i
        elif smooth[i] < smooth[low]:
            low = i
        elif smooth[i] - smooth[low] > max(limit[low] + limit[i], 0.02 * smooth[peak]):
            level = smooth[low] + max(limit[low] / SIGNIFICANT, 0.005 * smooth[peak])
            first = last = low  # of a flat minimum the middle is taken: noise decides where its lowest point is
            while smooth[first - 1] <= level:
                first -= 1
            while smooth[last + 1] <= level:
                last += 1
            return float(r[peak]), float(r[first] + r[last]) / 2
    return (float(r[peak]) if peaked else math.nan), math.nan


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
    shells = np.array([_first_shell(r, x, noise, width) for x in drawn])
    shells = shells[np.isfinite(shells).all(axis=1)]
    if len(shells) < 0.8 * RESAMPLES:
        return FirstShell(peak, cut, nan, nan, "the first minimum is not there in every part of the run")
    errors = np.maximum(shells.std(axis=0, ddof=1), radial.shells[1] / math.sqrt(12))
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
            half = series.student(BLOCKS - 1) * error
            row |= {"standard_error": error, "ci95_low": value - half, "ci95_high": value + half}
        rows.append(base | {"quantity": quantity} | row)
    if math.isnan(shell.cut_A):
        return [*rows, base | {"quantity": "coordination_number"} | number(None, "1", shell.reason)]
    row = mean_row(radial.within(shell.cut_A)[:, None], ions=radial.within_each(shell.cut_A))
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
