"""Trajectory files of molecular dynamics: compressed XTC, and DCD too when reading. Angstrom everywhere here.

XTC keeps a coordinate to 0.01 A (rounded to the nearest), which adds at most 6 x 0.0029^2 = 5e-5 A^2 to the mean squared
displacement of a single atom, and far less to that of an ion's centre.
"""

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import numpy as np

from ionmelt import errors

SUFFIXES = (".xtc", ".dcd")
# No frame takes more, whatever it holds: 3 x 21 bits for an atom within 2 micrometres, and the header.
XTC_BYTES_ATOM = 8
XTC_BYTES_FRAME = 128


def size_mb(frames: float, atoms: int) -> float:
    """Return the most that so many frames may take in XTC (MB)."""
    return frames * (atoms * XTC_BYTES_ATOM + XTC_BYTES_FRAME) / 1e6


def find(path: Path) -> Path | None:
    """Return the trajectory of this name, whichever suffix it has; None where there is none."""
    files = [path.with_suffix(suffix) for suffix in (path.suffix, *SUFFIXES) if path.with_suffix(suffix).is_file()]
    return files[0] if files else None


class Reader:
    """Read a trajectory in chunks; `len` is the number of frames."""

    def __init__(self, path: Path) -> None:
        from mdtraj.formats import DCDTrajectoryFile, XTCTrajectoryFile

        self.path = path
        self.xtc = path.suffix == ".xtc"
        self._file = XTCTrajectoryFile(str(path)) if self.xtc else DCDTrajectoryFile(str(path))

    def __enter__(self) -> "Reader":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()

    def __len__(self) -> int:
        return len(self._file)

    def read(self, frames: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the next positions (n, N, 3) and cell edges (n, 3), n at most `frames`, float32.

        Raises `UserError` for a cell that is not orthorhombic.
        """
        if self.xtc:
            nm, _, _, box = self._file.read(n_frames=frames)
            edges = np.diagonal(box, axis1=1, axis2=2) * np.float32(10)
            square = np.allclose(box, edges[:, :, None] / 10 * np.eye(3), atol=1e-4)
            positions = nm * np.float32(10)
        else:
            positions, edges, angles = self._file.read(n_frames=frames)
            square = np.allclose(angles, 90, atol=1e-3)
        if not square:
            raise errors.UserError(f"{self.path.name}: the cell is not orthorhombic")
        return positions, edges

    def pick(self, numbers: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Return the frames of these numbers, which rise, as `read` does; those between them are not read."""
        rows = np.asarray(numbers)
        parts = []
        for run in np.split(rows, np.flatnonzero(np.diff(rows) != 1) + 1):
            self._file.seek(int(run[0]))
            parts.append(self.read(len(run)))
        positions, edges = zip(*parts, strict=True)
        return np.concatenate(positions), np.concatenate(edges)


class Writer:
    """Write an XTC file of orthorhombic frames."""

    def __init__(self, path: Path) -> None:
        from mdtraj.formats import XTCTrajectoryFile

        self._file = XTCTrajectoryFile(str(path), "w", force_overwrite=True)

    def write(self, positions: np.ndarray, edges: np.ndarray, steps: np.ndarray, time_ps: np.ndarray) -> None:
        """Add frames: positions (n, N, 3), cell edges (n, 3), step numbers and times (n,)."""
        self._file.write(
            np.asarray(positions / 10, np.float32),
            time=np.asarray(time_ps, np.float32),
            step=np.asarray(steps, np.int32),
            box=np.asarray(edges[:, :, None] / 10 * np.eye(3), np.float32),
        )

    def close(self) -> None:
        """Close the file."""
        self._file.close()
