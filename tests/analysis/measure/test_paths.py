"""Trajectories in chunks: whatever the chunks, the threads and the scratch file, the same positions."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mdtraj.formats import DCDTrajectoryFile

from ionmelt import errors
from ionmelt.dynamics import trajectory
from ionmelt.measure import paths as measure_paths
from ionmelt.measure import slope
from ionmelt.topology import Topology

EDGE = 12.0
ATOMS = 20


def ions() -> Topology:
    def ion(name: str, charge: int, elements: list[str], bonds: list[list[int]]) -> dict[str, Any]:
        given = {"name": name, "smiles": "", "charge": charge, "count": 4, "types": None, "elements": elements}
        return given | {"masses_u": [10.0 + i for i in range(len(elements))], "bonds": bonds}

    return Topology("toy", [ion("a", 1, ["C", "C", "N"], [[0, 1], [1, 2]]), ion("b", -1, ["B", "F"], [[0, 1]])])


def write(path: Path, frames: int = 60, atoms: int = ATOMS) -> np.ndarray:
    """Write walking ions, wrapped atom by atom; return them unwrapped."""
    rng = np.random.default_rng(1)
    topology = ions()
    centres = rng.uniform(0, EDGE, (len(topology.starts), 3)) + rng.normal(size=(frames, 8, 3)).cumsum(axis=0) * 0.3
    x = centres[:, topology.molecule] + rng.uniform(-1, 1, (len(topology), 3))
    wrapped = (x % EDGE).astype(np.float32)[:, :atoms]
    with DCDTrajectoryFile(str(path), "w") as file:
        file.write(
            wrapped,
            cell_lengths=np.full((frames, 3), EDGE, np.float32),
            cell_angles=np.full((frames, 3), 90, np.float32),
        )
    return x


def joined(path: Path, threads: int = 1) -> dict[str, np.ndarray]:
    parts = list(measure_paths.chunks(path, ions(), threads))
    assert [chunk.first for chunk in parts] == np.cumsum([0, *map(len, parts)])[:-1].tolist()
    return {n: np.concatenate([getattr(c, n) for c in parts]) for n in ("positions", "edges", "centres", "unwrapped")}


def test_chunks_and_threads_change_no_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    x = write(tmp_path / "x.dcd")
    whole = joined(tmp_path / "x.dcd")
    topology = ions()
    moved = topology.centres(x)
    np.testing.assert_allclose(whole["unwrapped"] - whole["unwrapped"][0], moved - moved[0], atol=1e-4)
    bonds = whole["positions"][:, topology.bonds]
    assert np.abs(bonds[:, :, 0] - bonds[:, :, 1]).max() < EDGE / 2
    assert whole["positions"].dtype == np.float32
    for frames, threads in ((1, 1), (7, 3), (59, 2)):
        monkeypatch.setattr(measure_paths, "CHUNK_BYTES", 12.0 * ATOMS * frames)
        for name, values in joined(tmp_path / "x.dcd", threads).items():
            np.testing.assert_array_equal(values, whole[name])


def test_paths_come_back_from_memory_and_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "x.dcd")
    x = joined(tmp_path / "x.dcd")["unwrapped"]
    for limit in (1e9, 100):
        monkeypatch.setattr(measure_paths, "MEMORY_BYTES", limit)
        paths = measure_paths.Paths(8)
        for frames in (x[:1], x[1:34], x[34:]):
            paths.append(frames)
        assert paths.shape == x.shape and len(paths) == len(x)
        np.testing.assert_array_equal(paths[:, 3:6], x[:, 3:6])
        np.testing.assert_array_equal(paths[:, :], x)
        assert paths[:, 8:].shape == (60, 0, 3)
        measured, expected = slope.diffusion(paths, 1.0, threads=3), slope.diffusion(x, 1.0)
        assert measured == expected  # not a bit differs


def test_no_file_no_frame_and_wrong_atoms(tmp_path: Path) -> None:
    assert list(measure_paths.chunks(tmp_path / "none.xtc", ions())) == []
    write(tmp_path / "few.dcd", atoms=ATOMS - 1)
    with pytest.raises(errors.UserError, match="19 atoms, topology"):
        list(measure_paths.chunks(tmp_path / "few.dcd", ions()))


@pytest.mark.parametrize("suffix", ["dcd", "xtc"])
def test_some_frames_are_those_of_the_chunks_and_no_others_are_read(
    suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"x.{suffix}"
    x = write(tmp_path / "x.dcd")
    if suffix == "xtc":
        (tmp_path / "x.dcd").unlink()
        writer, steps = trajectory.Writer(path), np.arange(60)
        writer.write(x % EDGE, np.full((60, 3), EDGE), steps, steps)
        writer.close()
    whole, numbers, read = joined(path), [0, 7, 8, 9, 31, 59], []
    one = trajectory.Reader.read
    monkeypatch.setattr(trajectory.Reader, "read", lambda self, frames: read.append(frames) or one(self, frames))
    for frames, threads in ((1, 1), (4, 2), (100, 3)):
        monkeypatch.setattr(measure_paths, "CHUNK_BYTES", 12.0 * ATOMS * frames)
        read.clear()
        parts = list(measure_paths.some_frames(path, ions(), numbers, threads))
        assert sum(read) == len(numbers)
        for name in ("positions", "edges", "centres"):
            np.testing.assert_array_equal(np.concatenate([getattr(p, name) for p in parts]), whole[name][numbers])
    assert list(measure_paths.some_frames(path, ions(), [])) == []
    assert list(measure_paths.some_frames(tmp_path / "none.xtc", ions(), [0])) == []
