"""Conformers of ions as populations: torsions, ring puckers and overall shape, with errors.

What an ion can do is read from its SMILES: every rotatable bond (with the neighbours that symmetry does not
repeat), the C-S...S-C pseudo-torsion of bis(sulfonyl)imides (cis below 90 degrees, trans above), and every ring
of five or six atoms without aromatic bonds. Ions that can do none of it have no rows.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ionmelt.measure import numbers
from ionmelt.measure.arrays import Array
from ionmelt.measure.numbers import Row
from ionmelt.measure.shape import SHAPE_UNITS, dihedrals, gyration, pucker_states, puckering, shape, shape_states
from ionmelt.topology import Topology

if TYPE_CHECKING:
    from ionmelt.measure.flexibility import Ring, Torsion

ANGLE_BIN_DEG = 5.0


@dataclass
class Species:
    """What is gathered of one kind of ion: angles (chunks of (frames, ions, copies)), puckers, eigenvalues."""

    name: str
    atoms: Array  # (ions, n), of the box
    masses: Array
    torsions: "list[Torsion]"
    rings: "list[Ring]"
    angles: list[list[Array]] = field(default_factory=list)
    puckers: list[list[tuple[Array, Array, Array]]] = field(default_factory=list)
    eigenvalues: list[Array] = field(default_factory=list)

    def add(self, positions: Array) -> None:
        """Add whole positions (frames, N, 3)."""
        ions, size = self.atoms.shape
        first = self.atoms[:, 0]
        self.angles.append([
            dihedrals(positions, (first[:, None, None] + t.atoms).reshape(-1, 4)).reshape(len(positions), ions, -1)
            for t in self.torsions
        ])  # fmt: skip
        x = positions[:, self.atoms.ravel()].reshape(len(positions), ions, size, 3)
        self.puckers.append([puckering(x[:, :, list(r.atoms)]) for r in self.rings])
        self.eigenvalues.append(gyration(x, self.masses))


class Conformers:
    """Conformers of every kind of ion of a box that has any, gathered from a trajectory."""

    def __init__(self, topology: Topology) -> None:
        from ionmelt.measure.flexibility import molecule, rings, torsions

        self.species: list[Species] = []
        for ion in topology.ions:
            mol = molecule(ion.get("smiles") or "", ion["elements"])
            if mol is None:
                continue
            twists, loops = torsions(mol), rings(mol)
            starts = topology.starts[topology.molecule_ion == ion["name"]]
            if (twists or loops) and len(starts):
                atoms = starts[:, None] + np.arange(len(ion["elements"]))
                self.species.append(Species(ion["name"], atoms, np.array(ion["masses_u"]), twists, loops))

    def add(self, positions: Array) -> None:
        """Add whole positions (frames, N, 3)."""
        for species in self.species:
            species.add(positions)

    def rows(self, interval_ps: float) -> tuple[list[Row], list[Row]]:
        """Return the rows of `structure` (distributions of angles) and of `conformers`."""
        structure: list[Row] = []
        populations: list[Row] = []
        for species in self.species:
            if not species.eigenvalues:
                continue
            spaced: Row = {"frames": sum(map(len, species.eigenvalues)), "interval_ps": interval_ps}
            for row in _rows(species, structure):
                populations.append(row | {"species": species.name} | spaced)
        return structure, populations


def _rows(species: Species, structure: list[Row]) -> Iterator[Row]:
    for i, torsion in enumerate(species.torsions):
        angle = np.abs(np.concatenate([chunk[i] for chunk in species.angles]))
        for state, low, high in torsion.classes:
            inside = (angle >= low) & (angle < high if high < 180 else angle <= 180.1)
            yield {"feature": torsion.name, "quantity": "population", "state": state} | _share(inside)
        structure += _distribution("torsion", f"{species.name} {torsion.name}", angle, 180.0)
    for i, ring in enumerate(species.rings):
        amplitude, phase, polar = (np.concatenate([chunk[i][k] for chunk in species.puckers]) for k in range(3))
        for state, where in pucker_states(len(ring.atoms), amplitude, phase, polar).items():
            yield {"feature": ring.name, "quantity": "population", "state": state} | _share(where[:, :, None])
        yield {"feature": ring.name, "quantity": "puckering_amplitude"} | numbers.mean_row(amplitude, "A")
        structure += _distribution("pucker_phase", f"{species.name} {ring.name}", phase[:, :, None], 360.0)
    eigenvalues = np.concatenate(species.eigenvalues)
    for quantity, values in shape(eigenvalues).items():
        yield {"feature": "shape", "quantity": quantity} | numbers.mean_row(values, SHAPE_UNITS[quantity])
    for state, where in shape_states(eigenvalues).items():
        yield {"feature": "shape", "quantity": "population", "state": state} | _share(where[:, :, None])


def _share(where: Array) -> Row:
    """Return the row of a population from where (frames, ions, copies) it holds."""
    return numbers.mean_row(where.mean(axis=2), fraction=True)


def _distribution(quantity: str, pair: str, angle: Array, top: float) -> list[Row]:
    """Return the curve of a distribution of angles (frames, ions, copies) over [0, top], per degree."""
    bins = round(top / ANGLE_BIN_DEG)
    index = np.clip((angle / ANGLE_BIN_DEG).astype(int), 0, bins - 1).reshape(len(angle), -1)
    counts = np.array([np.bincount(row, minlength=bins) for row in index]) / (index.shape[1] * ANGLE_BIN_DEG)
    middle = (np.arange(bins) + 0.5) * ANGLE_BIN_DEG
    return numbers.curve(quantity, pair, "angle_deg", middle, counts.mean(axis=0), numbers.block_error(counts), "1/deg")
