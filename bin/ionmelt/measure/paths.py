"""Trajectories read in bounded memory: whole ions chunk by chunk, their centres of mass over all frames.

Measurements that need every frame (diffusion, conductivity) take their positions from one pass of `chunks`; those that
need atoms (structure) do with some of the frames, which `some_frames` reads alone. Angstrom throughout.
"""

import tempfile
import threading
import weakref
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ionmelt import errors
from ionmelt.dynamics import trajectory
from ionmelt.measure import displacement
from ionmelt.measure.arrays import Array
from ionmelt.topology import Topology

CHUNK_BYTES = 8e6  # of single-precision coordinates read at once: as much as a processor's cache holds
MEMORY_BYTES = 64e6  # of centres kept in memory: more of them lie in a scratch file


@dataclass(frozen=True)
class Chunk:
    """Successive frames of a trajectory, of which ``first`` is the index of the first.

    ``positions`` (T, N, 3), single precision, of whole ions in the images in which they were written;
    ``edges`` (T, 3) of the cell; ``centres`` (T, M, 3), the ions' centres of mass; ``unwrapped`` (T, M, 3),
    the same as paths that are continuous over all frames (`stats.unwrap`).
    """

    first: int
    positions: Array
    edges: Array
    centres: Array
    unwrapped: Array

    def __len__(self) -> int:
        return len(self.positions)


@dataclass(frozen=True)
class Frames:
    """Some frames of a trajectory: ``positions``, ``edges`` and ``centres`` of each, as in `Chunk`."""

    positions: Array
    edges: Array
    centres: Array


def frames_at_once(topology: Topology) -> int:
    """Return how many frames are read at once."""
    return max(1, int(CHUNK_BYTES / (12 * len(topology))))


def edges(path: Path, topology: Topology) -> Array:
    """Return the cell edges (frames, 3) of a trajectory, (0, 3) where there is none."""
    return np.concatenate([np.empty((0, 3)), *(cells for _, cells in _read(path, topology))])


def _read(path: Path, topology: Topology) -> Iterator[tuple[Array, Array]]:
    """Yield positions (T, N, 3) and cell edges (T, 3) as they were written, up to the first that is not finite."""
    written = trajectory.find(path)
    if written is None:
        return
    at_once = frames_at_once(topology)
    with trajectory.Reader(written) as file:
        left = len(file)
        while left > 0:
            xyz, lengths = file.read(min(at_once, left))
            if not len(xyz):
                return
            left -= len(xyz)
            if xyz.shape[1] != len(topology):
                raise errors.UserError(f"{written.name}: {xyz.shape[1]} atoms, topology.json has {len(topology)}")
            good = np.isfinite(xyz).all(axis=(1, 2)) & (lengths > 0).all(axis=1)
            use = len(good) if good.all() else int(np.argmin(good))
            if use:
                yield xyz[:use], lengths[:use].astype(float)
            if use < len(good):
                return


def jumps(xyz: Array, edges: Array) -> bool:
    """Return whether any coordinate (T, N, 3) changes by half of the shortest edge (T, 3) from frame to frame."""
    flat, limit = xyz.reshape(len(xyz), -1), edges.min() / 2
    some = max(1, int(displacement.COPY_BYTES / (4 * flat.shape[1])))
    step = np.empty((some, flat.shape[1]), xyz.dtype)
    for t in range(0, len(flat) - 1, some):
        change = step[: len(flat) - 1 - t]
        np.subtract(flat[t + 1 : t + 1 + some], flat[t : t + len(change)], out=change)
        if max(change.max(), -change.min()) >= limit:
            return True
    return False


def whole_ions(xyz: Array, edges: Array, topology: Topology, successive: bool = True) -> tuple[Array, Array]:
    """Return positions (T, N, 3) in single precision with each ion in one piece, and centres of mass (T, M, 3)."""
    # Ions whole in the first frame stay so as long as no atom jumps to another image, which is far cheaper to see than bonds;
    # between frames that are far apart it may have gone as far.
    continuous = (
        successive and displacement.bonds_are_short(xyz[:1], topology.bonds, edges[:1]) and not jumps(xyz, edges)
    )
    if not continuous and not displacement.bonds_are_short(xyz, topology.bonds, edges):
        xyz = topology.whole(xyz, edges[:, :, None] * np.eye(3))
    kinds = [(ion["count"], len(ion["elements"])) for ion in topology.ions]
    return xyz.astype(np.float32, copy=False), displacement.centres_of_mass(xyz, topology.masses_u, kinds)


def chunks(path: Path, topology: Topology, threads: int = 1) -> Iterator[Chunk]:
    """Yield a trajectory chunk by chunk, in order; nothing where there is no frame.

    Reading stops before the first frame that holds a number that is not finite. What is yielded depends neither
    on the size of the chunks nor on ``threads``. Raises `UserError` for another number of atoms than the
    topology's and for a cell that is not orthorhombic.
    """
    first, last = 0, None  # the last centres: as they were and unwrapped, with their cell
    for edges, positions, centres in _whole(_read(path, topology), topology, threads, successive=True):
        if last is None:
            unwrapped = displacement.unwrap(centres, edges)
        else:
            joined, cells = (np.concatenate(pair) for pair in zip(last[:2], (centres, edges), strict=True))
            unwrapped = displacement.unwrap(joined, cells, start=last[2])[1:]
        last = centres[-1:], edges[-1:], unwrapped[-1]
        yield Chunk(first, positions, edges, centres, unwrapped)
        first += len(edges)


def some_frames(path: Path, topology: Topology, numbers: Sequence[int], threads: int = 1) -> Iterator[Frames]:
    """Yield the frames of these numbers, which rise, as `chunks` has them, and read no others.

    They are among those that `chunks` yields.
    """
    written = trajectory.find(path)
    if written is None or not len(numbers):
        return
    at_once = frames_at_once(topology)
    with trajectory.Reader(written) as file:
        parts = (file.pick(numbers[first : first + at_once]) for first in range(0, len(numbers), at_once))
        read = ((xyz, lengths.astype(float)) for xyz, lengths in parts)
        for edges, positions, centres in _whole(read, topology, threads, successive=False):
            yield Frames(positions, edges, centres)


def _whole(
    frames: Iterator[tuple[Array, Array]], topology: Topology, threads: int, successive: bool
) -> Iterator[tuple[Array, Array, Array]]:
    """Yield edges, positions and centres of whole ions, in order; so many chunks are being computed while one is used."""
    pending: deque[tuple[Array, Future[tuple[Array, Array]]]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for xyz, edges in frames:
            pending.append((edges, pool.submit(whole_ions, xyz, edges, topology, successive)))
            if len(pending) > threads:
                edges, future = pending.popleft()
                yield edges, *future.result()
        for edges, future in pending:
            yield edges, *future.result()


class Paths:
    """Positions (frames, particles, 3) that need not fit in memory; ``paths[:, first:last]`` is an array.

    They are appended some frames at a time and read back some particles at a time: beyond ``MEMORY_BYTES`` from
    a scratch file where the system has those, which goes when this does. Threads may read.
    """

    def __init__(self, particles: int) -> None:
        self.particles = particles
        self._lengths: list[int] = []
        self._file = tempfile.SpooledTemporaryFile(max_size=int(MEMORY_BYTES))  # noqa: SIM115
        self._lock = threading.Lock()
        weakref.finalize(self, self._file.close)

    def append(self, positions: Array) -> None:
        """Add frames (T, particles, 3)."""
        self._file.write(np.ascontiguousarray(positions.transpose(1, 2, 0), dtype=float).data)
        self._lengths.append(len(positions))

    @property
    def shape(self) -> tuple[int, int, int]:
        """(frames, particles, 3)."""
        return sum(self._lengths), self.particles, 3

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: tuple[slice, slice]) -> Array:
        every, some = key
        if every != slice(None) or some.step not in (None, 1):
            raise IndexError("give [:, first:last]")
        first, last, _ = some.indices(self.particles)
        n = max(last - first, 0)
        out = np.empty((n, 3, len(self)))
        start = 0  # frames before this piece
        with self._lock:
            for length in self._lengths:
                self._file.seek(24 * (start * self.particles + first * length))
                piece = np.frombuffer(self._file.read(24 * n * length)).reshape(n, 3, length)
                out[:, :, start : start + length] = piece
                start += length
        return out.transpose(2, 0, 1)
