"""Unbroken stretches of contacts, without breaks and contacts too short to count."""

import numpy as np

from ionmelt.measure.arrays import Array


def runs_of(h: Array) -> tuple[Array, Array, Array]:
    """Return (column, first frame, frame after the last) of every unbroken stretch of True in h (frames, columns)."""
    padded = np.zeros((h.shape[1], len(h) + 2), dtype=np.int8)
    padded[:, 1:-1] = h.T
    steps = np.diff(padded, axis=1)
    column, start = np.nonzero(steps == 1)
    return column, start, np.nonzero(steps == -1)[1]


def _paint(shape: tuple[int, ...], column: Array, start: Array, stop: Array) -> Array:
    """Return where (frames, columns) stretches lie that do not overlap."""
    marks = np.zeros((shape[0] + 1, shape[1]), dtype=np.int8)
    np.add.at(marks, (start, column), 1)
    np.add.at(marks, (stop, column), -1)
    return np.cumsum(marks, axis=0, dtype=np.int8, out=marks)[:-1] > 0


def without_blips(h: Array, tolerance: int) -> Array:
    """Return contacts h (frames, columns) without breaks, then without contacts, of at most ``tolerance`` frames.

    What touches either end of the run stays: how long it lasts is not known.
    """
    if not tolerance or not len(h):
        return h
    out = np.array(h, dtype=bool)
    for value in (False, True):
        column, start, stop = runs_of(out == value)
        short = (start > 0) & (stop < len(h)) & (stop - start <= tolerance)
        flip = _paint(out.shape, column[short], start[short], stop[short])
        out[flip] = not value
    return out


def remaining(h: Array) -> Array:
    """Return for how many frames from each on, itself included, a contact h (frames, columns) is unbroken."""
    whole = np.min_scalar_type(
        -len(h) - 1
    )  # as small as holds a number of frames: there is one for each contact and frame
    time = np.arange(len(h), dtype=whole)[:, None]
    left = np.where(h, whole.type(len(h)), time)[::-1]
    np.minimum.accumulate(left, axis=0, out=left)
    left = left[::-1]
    left -= time
    return left
