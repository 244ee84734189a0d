"""The folder of an equilibrated liquid, which every model starts from."""

import shutil
from pathlib import Path

import ase.io
import numpy as np
import polars as pl
from ase import Atoms

from ionmelt import errors, files
from ionmelt.dynamics.thermo import THERMO
from ionmelt.liquid.moving_box import Sample
from ionmelt.topology import Topology


def write_state(out: Path, box: Path, topology: Topology, rows: pl.DataFrame, frames: list[Sample]) -> None:
    """Write every file of the state folder but equilibration.json."""
    out.mkdir(parents=True, exist_ok=True)
    for name in ("topology.json", "system.xml"):
        if (box / name).exists():
            shutil.copyfile(box / name, out / name)
    files.write_table(pl.concat([pl.DataFrame(schema=THERMO), rows], how="diagonal_relaxed"), out / "thermo.parquet")
    cells = np.array([frame.cell for frame in frames])
    positions = topology.wrapped(np.array([frame.positions for frame in frames]), cells)
    lengths = np.linalg.norm(cells, axis=2)
    write_dcd(out / "trajectory.dcd", positions, lengths)
    (out / "topology.pdb").write_text(topology.pdb(positions[-1], cells[-1]))
    edges = np.round(lengths[-1], 6)
    atoms = Atoms(topology.elements, positions=np.round(positions[-1], 6), cell=edges, pbc=True)
    atoms.arrays["molecule"] = topology.molecule.copy()
    atoms.arrays["ion"] = topology.ion.copy()
    atoms.info["liquid"] = topology.liquid
    ase.io.write(out / "start.extxyz", atoms, format="extxyz")


def write_dcd(path: Path, positions: np.ndarray, edges: np.ndarray) -> None:
    """Write a DCD of positions (F, N, 3) and orthorhombic edges (F, 3) in A, without the date of writing."""
    from mdtraj.formats import DCDTrajectoryFile

    with DCDTrajectoryFile(str(path), "w", force_overwrite=True) as file:
        angles_deg = np.full(edges.shape, 90, dtype=np.float32)
        try:
            file.write(positions.astype(np.float32), edges.astype(np.float32), angles_deg)
        except TypeError as error:  # what becomes of mdtraj's own error where the disk takes no more
            raise errors.DiskFullError(f"{path} cannot be written") from error
    with path.open("r+b") as file:
        file.seek(180)  # the second title line of the header, 80 characters
        file.write(b" " * 80)
