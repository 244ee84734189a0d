"""Models that differ by their training seed, and where they disagree."""

from collections.abc import Sequence

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator

from ionmelt import errors
from ionmelt.charge import say_charge
from ionmelt.dynamics.watch import MODEL_ERRORS, failed
from ionmelt.frame import evenly

VALID_MOST = 50  # validation frames that the committee is asked about


class Committee:
    """Models that differ by their training seed."""

    def __init__(self, members: Sequence[Calculator]) -> None:
        self.members = members

    def disagreement(self, atoms: Atoms) -> float:
        """Return the largest standard deviation over the members of the force on an atom (eV/A).

        NaN where a member fails on the frame, or gives what is not a number.
        """
        forces = []
        for member in self.members:
            copy = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=True, calculator=member)
            say_charge(copy)
            try:
                forces.append(copy.get_forces())
            except MODEL_ERRORS as error:
                failed(error)  # a lack of memory is raised
                return float("nan")
        return spread(np.array(forces))


def spread(forces: np.ndarray) -> float:
    """Return the largest standard deviation of the force on an atom, from the forces (K, N, 3) of K models."""
    off = forces - forces.mean(axis=0)
    return float(np.sqrt((off**2).sum(axis=2).mean(axis=0)).max())


def thresholds(committee: Committee, frames: Sequence[Atoms], quantile: float, factor: float) -> tuple[float, float]:
    """Return the disagreement (eV/A) above which a frame is worth a label, and that at which a walk stops.

    ``frames`` are labelled; the error of the models on them says nothing here, only where the members stand apart.
    Raises `UserError` where the committee gives no number on them, or its members are one and the same.
    """
    chosen = evenly(frames, VALID_MOST)
    disagreements = np.array([committee.disagreement(frame) for frame in chosen])
    disagreements = disagreements[np.isfinite(disagreements)]
    if not len(disagreements) or disagreements.max() == 0:
        what = "does not disagree at all: are its members the same model?" if len(disagreements) else "gives no number"
        raise errors.UserError(f"active: the committee {what} (on {len(chosen)} validation frames of the round before)")
    low = float(np.quantile(disagreements, quantile))
    return low, factor * low
