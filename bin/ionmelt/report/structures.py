"""Frames of the test set as the page shows them: those on which models err most, as many as it can carry."""

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from ase import Atoms

from ionmelt.frame_file import read_frames

MOST_ATOMS = 24_000  # of all frames together: 0.2 MB of the page
STRETCHED = 1.25  # a bond of this many sums of covalent radii is still drawn


@dataclass(frozen=True)
class Structure:
    """A frame that the viewer draws: whole ions, with their centres in the cell.

    ``positions`` are 1/100 A as base64 of little-endian int16 (atoms, 3); ``cell_A`` has the three vectors one after the other.
    """

    frame_id: str
    liquid: str
    recipe: str
    group: str
    elements: list[str]  # of each atom
    ions: list[str]  # of each atom, the name of its ion
    bonds: list[list[int]]  # pairs of atoms
    cell_A: list[float]
    positions: str

    @property
    def title(self) -> str:
        """What is drawn, in words."""
        return f"frame {self.frame_id} of {self.liquid}, {self.recipe}"


def frame_of(points: pl.Expr) -> pl.Expr:
    """Return the frames that points of parity.parquet are of."""
    return points.str.split(":").list.first()


def worst_first(parity: pl.DataFrame) -> list[str]:
    """Return the frames of the points of a parity plot, those with the largest error of a force first."""
    forces = parity.filter(pl.col("quantity") == "force")
    errors = forces.group_by(frame=frame_of(pl.col("point"))).agg(
        worst=(pl.col("predicted") - pl.col("reference")).abs().max()
    )
    return errors.sort("worst", "frame", descending=[True, False])["frame"].to_list()


def read(test: Path | None, parity: pl.DataFrame) -> list[Structure]:
    """Return the frames to show of a file of labelled frames, the worst first; none where there is no file or no parity plot."""
    if test is None or not test.is_file() or not parity.height:
        return []
    frames = {str(frame.info["frame_id"]): frame for frame in read_frames(test, labelled=True)}
    chosen = [frames[key] for key in worst_first(parity) if key in frames]
    return list(as_many(chosen))


def as_many(frames: Sequence[Atoms]) -> Iterator[Structure]:
    """Give the first of the frames, as many as the page can carry."""
    atoms = 0
    for frame in frames:
        atoms += len(frame)
        if atoms > MOST_ATOMS:
            return
        yield structure(frame)


def structure(frame: Atoms) -> Structure:
    """Return a frame, whose ions are whole, as the viewer draws it."""
    from ase.neighborlist import natural_cutoffs, neighbor_list

    molecule, cell, positions = frame.arrays["molecule"], frame.cell.array, frame.positions.copy()
    first, second = neighbor_list("ij", Atoms(frame.numbers, positions), natural_cutoffs(frame, mult=STRETCHED))
    bonded = (molecule[first] == molecule[second]) & (first < second)
    for ion in np.unique(molecule):  # its centre into the cell
        mine = molecule == ion
        positions[mine] -= np.floor(positions[mine].mean(axis=0) @ np.linalg.inv(cell)) @ cell
    packed = np.rint(positions * 100).clip(-32768, 32767).astype("<i2")
    return Structure(
        frame_id=str(frame.info["frame_id"]),
        liquid=str(frame.info["liquid"]),
        recipe=str(frame.info["recipe"]),
        group=str(frame.info["group"]),
        elements=frame.get_chemical_symbols(),
        ions=frame.arrays["ion"].tolist(),
        bonds=np.stack([first[bonded], second[bonded]], axis=1).tolist(),
        cell_A=np.round(cell, 3).ravel().tolist(),
        positions=base64.b64encode(packed.tobytes()).decode(),
    )
