"""Paths of ions: whole, unwrapped, without drift; and their mean squared displacement."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol, TypeVar

import numpy as np
import scipy

from ionmelt.measure.arrays import Array

FFT_MEMORY_BYTES = 4e6  # of one block of transforms: small enough for a processor's cache
COPY_BYTES = 1e6  # of what is copied at once
Result = TypeVar("Result")


def bonds_are_short(positions: Array, bonds: Array, edges: Array) -> bool:
    """Return whether no bond (B, 2) of positions (frames, N, 3) spans half a cell edge (frames, 3): ions are whole."""
    if not len(bonds):
        return True
    first, second = bonds.T
    step = np.take(positions, first, axis=1)
    step -= np.take(positions, second, axis=1)
    if max(step.max(), -step.min()) < np.min(edges) / 2:
        return True
    return bool((np.abs(step) < np.asarray(edges)[:, None, :] / 2).all())


def centres_of_mass(positions: Array, masses: Array, kinds: Sequence[tuple[int, int]]) -> Array:
    """Return the centres of mass (frames, M, 3) of whole ions at positions (frames, N, 3), in double precision.

    ``masses`` (N,); ``kinds`` are (copies, atoms of one) in the order of the atoms, which lie copy by copy.
    """
    flat = positions.reshape(len(positions), -1)  # numpy converts long rows faster than rows of three
    centres = np.empty((len(positions), sum(copies for copies, _ in kinds), 3))
    last = done = 0
    for copies, atoms in kinds:
        first, last = last, last + copies * atoms
        weights = masses[first : first + atoms] / masses[first : first + atoms].sum()
        sums = np.ascontiguousarray(np.kron(weights[:, None], np.eye(3)))
        some = max(1, int(COPY_BYTES / (24 * (last - first))))
        ions = np.empty((some, 3 * (last - first)))  # used again: fresh memory costs more than the sums
        for t in range(0, len(positions), some):
            block = ions[: len(positions) - t]
            block[:] = flat[t : t + some, 3 * first : 3 * last]
            # a product of the same shape for each frame, so that its rounding depends on no other frame
            centres[t : t + some, done : done + copies] = block.reshape(-1, copies, 3 * atoms) @ sums
        done += copies
    return centres


def unwrap(positions: Array, edges: Array, start: Array | None = None) -> Array:
    """Return continuous positions (frames, particles, 3) from a periodic orthorhombic cell's, wrapped or not.

    ``edges`` (frames, 3) or (3,) are the cell edges; ``start`` (particles, 3), where the paths go on from others,
    is the first frame already unwrapped. Each step adds the shortest displacement between
    *wrapped* positions in the cell of the later frame, so that a barostat's scaling of far images never adds
    up: the toroidal-view-preserving scheme (von Bülow, Bullerjahn, Hummer, J. Chem. Phys. 153 (2020) 021101;
    Bullerjahn et al., J. Chem. Theory Comput. 19 (2023) 3406). No particle may move half an edge between
    frames.
    """
    positions = np.asarray(positions, dtype=float)
    cells = np.broadcast_to(np.asarray(edges, dtype=float), (len(positions), 3))[:, None, :]
    wrapped = positions - np.floor(positions / cells) * cells
    step = np.diff(wrapped, axis=0)
    step -= np.rint(step / cells[1:]) * cells[1:]
    return np.cumsum(np.concatenate([(positions[0] if start is None else start)[None], step]), axis=0)


def remove_drift(positions: Array, masses: Array) -> Array:
    """Return unwrapped positions (frames, particles, 3) relative to the centre of mass of all particles."""
    weights = np.asarray(masses, dtype=float) / np.sum(masses)
    return np.asarray(positions, dtype=float) - np.einsum("tni,n->ti", positions, weights)[:, None, :]


class Paths(Protocol):
    """Unwrapped positions (frames, particles, 3): an array, or what reads some particles from elsewhere."""

    @property
    def shape(self) -> tuple[int, ...]: ...  # noqa: D102

    def __getitem__(self, key: tuple[slice, slice], /) -> Array: ...


def by_particles(paths: Paths, function: Callable[[Array], Result], threads: int) -> Iterator[Result]:
    """Yield a function of blocks of particles (frames, n, 3), in order; ``threads`` do not change the blocks.

    The blocks are small enough for their transforms to stay in a processor's cache.
    """
    frames, particles = paths.shape[:2]
    width = max(1, int(FFT_MEMORY_BYTES / (96 * 2 * frames)))
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[Result]] = deque()
        for first in range(0, particles, width):
            waiting.append(pool.submit(lambda i: function(paths[:, i : i + width]), first))
            if len(waiting) > 2 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def mean_squared_displacement(positions: Paths, threads: int = 1) -> Array:
    """Return the mean squared displacement (frames,) at every lag, over all origins and particles.

    ``positions`` (frames, particles, 3) unwrapped. Fast correlation algorithm (Kneller et al., Comput. Phys.
    Commun. 91 (1995) 191): the power spectra of blocks of coordinates are summed before a single inverse
    transform. ``threads`` change no bit of the result.
    """
    frames, particles = positions.shape[:2]
    size = scipy.fft.next_fast_len(2 * frames - 1, real=True)

    def spectrum(block: Array) -> tuple[Array, Array]:
        series = np.zeros((block[0].size, size))
        used = series[:, :frames]
        # copied before it is transposed: in a large array each frame of a particle is on another page of memory
        used[:] = np.moveaxis(np.array(block, dtype=float, order="K"), 0, -1).reshape(-1, frames)
        used -= used.mean(axis=1, keepdims=True)  # positions far from the origin would lose digits
        squares = np.einsum("st,st->t", used, used)
        components = scipy.fft.rfft(series, axis=1, overwrite_x=True).view(float)  # real and imaginary, side by side
        return squares, np.einsum("sf,sf->f", components, components)

    squares, power = np.zeros(frames), np.zeros(2 * (size // 2 + 1))
    for some_squares, some_power in by_particles(positions, spectrum, threads):
        squares += some_squares
        power += some_power
    products = scipy.fft.irfft(power.reshape(-1, 2).sum(axis=1), size)[:frames]
    heads = np.cumsum(squares)[::-1]  # sum of squares over t < frames - lag
    tails = np.cumsum(squares[::-1])[::-1]  # over t >= lag
    result = (heads + tails - 2 * products) / np.arange(frames, 0, -1) / particles
    result[0] = 0.0
    return np.maximum(result, 0.0)
