"""Frames of an import whose energies are compared: pairs of neighbours, and what like frames share.

`ionmelt.labels.work` compares the energies of neighbours with the work of forces and stress between them, and
`ionmelt.labels.outliers` the energy of a frame with those of frames like it.
"""

from dataclasses import dataclass, field

import numpy as np

from ionmelt.labels.foreign.blocks import ForeignFrame

# Frames are neighbours where no atom moves by more: then the energy changes by the mean force's work to some %.
NEIGHBOUR_A = 0.35


@dataclass
class Pair:
    """Two neighbouring frames: the change of energy, the work of forces and of stress (eV), and how sure the work is.

    `open_forces` and `open_stress` are how far the works by the first frame and by the second are apart, atom by atom.
    """

    first: int
    energy: float
    forces: float
    stress: float
    open_forces: float
    open_stress: float
    chain: int


@dataclass(frozen=True)
class Likeness:
    """What a frame is like: its atoms, energy (eV) and volume (A^3) an atom, root mean square of the forces (eV/A)."""

    formula: str
    n_atoms: int
    energy_ev: float
    volume_A3: float
    force_ev_a: float


@dataclass
class Checks:
    """What is kept of the frames: pairs of neighbours, and of each frame what like frames share. Frames are numbered."""

    pairs: list[Pair] = field(default_factory=list)
    names: list[str] = field(default_factory=list)  # as the user knows them: file and line
    likenesses: list[Likeness] = field(default_factory=list)

    def add(self, frame: ForeignFrame, before: ForeignFrame | None) -> None:
        """Add a frame, and the pair with the one before it in its file."""
        assert frame.atoms is not None
        assert frame.energy_ev is not None
        assert frame.forces_ev_a is not None
        n_atoms = len(frame.atoms)
        self.names.append(frame.where)
        formula = frame.atoms.get_chemical_formula()
        rms = float(np.sqrt(np.mean(frame.forces_ev_a**2)))
        volume = frame.atoms.get_volume() / n_atoms
        self.likenesses.append(Likeness(formula, n_atoms, frame.energy_ev / n_atoms, volume, rms))
        if before is not None and (pair := pair_of(before, frame)) is not None:
            pair.first = len(self.names) - 2
            following = self.pairs and self.pairs[-1].first + 1 == pair.first
            pair.chain = self.pairs[-1].chain + (not following) if self.pairs else 0
            self.pairs.append(pair)


def pair_of(a: ForeignFrame, b: ForeignFrame) -> Pair | None:
    """Return what two frames that follow each other in a file say of the work, if they are near enough to compare.

    The energy as a function of scaled positions s and cell h changes by -f . (h ds) + V stress : strain; both are
    taken at the middle, where the error is of third order. Frames without a stress have none of its work.
    """
    if a.atoms is None or b.atoms is None or not np.array_equal(a.atoms.numbers, b.atoms.numbers):
        return None
    if a.forces_ev_a is None or b.forces_ev_a is None or a.energy_ev is None or b.energy_ev is None:
        return None
    cells = a.atoms.cell.array, b.atoms.cell.array
    middle = (cells[0] + cells[1]) / 2
    step = b.atoms.get_scaled_positions(wrap=False) - a.atoms.get_scaled_positions(wrap=False)
    moved = (step - np.rint(step)) @ middle
    if np.linalg.norm(moved, axis=1).max() > NEIGHBOUR_A:
        return None
    strain = np.linalg.solve(middle, cells[1] - cells[0])
    strain = abs(np.linalg.det(middle)) * (strain + strain.T) / 2
    works = [-np.sum(forces * moved, axis=1) for forces in (a.forces_ev_a, b.forces_ev_a)]
    strained = [0.0 if x.stress_ev_a3 is None else float(np.sum(x.stress_ev_a3 * strain)) for x in (a, b)]
    if (a.stress_ev_a3 is None or b.stress_ev_a3 is None) and np.abs(cells[1] - cells[0]).max() > 1e-6:
        return None
    return Pair(
        first=0,
        energy=b.energy_ev - a.energy_ev,
        forces=float(np.sum(works[0] + works[1])) / 2,
        stress=sum(strained) / 2,
        open_forces=float(np.sum(np.abs(works[1] - works[0]))),
        open_stress=abs(strained[1] - strained[0]),
        chain=0,
    )
