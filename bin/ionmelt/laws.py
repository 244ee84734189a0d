"""Laws of cost that several stages share: what one evaluation takes, from the number of atoms, measured on two CPU cores.

A power law carries each figure from the atoms it was measured with to those of a study.
"""

from dataclasses import dataclass
from math import log

CORES = 2  # that every figure below was measured on


@dataclass(frozen=True)
class Law:
    """Wall seconds of one evaluation, seconds * (atoms / at)^power, and what they were measured with."""

    seconds: float
    at: int
    power: float
    source: str = ""

    def core_s(self, atoms: int) -> float:
        """Return the core-seconds of one evaluation with this many atoms."""
        return CORES * self.seconds * (atoms / self.at) ** self.power


def through(at: int, seconds: float, at_2: int, seconds_2: float, source: str) -> Law:
    """Return the law through two measured points."""
    return Law(seconds, at, log(seconds_2 / seconds) / log(at_2 / at), source)


# Energy, forces and stress of one frame.
XTB_MEASURED = "tblite 0.8.0, 70 and 280 atoms"
XTB = {
    "GFN1-xTB": through(70, 0.4, 280, 7.0, XTB_MEASURED),
    "GFN2-xTB": through(70, 1.4, 280, 12.0, XTB_MEASURED),
}
OPENMM_ATOM_STEPS_S = 1800 / 0.028
OPENMM_MEASURED = "CL&P in OpenMM, cut-off 12 A, 1800 atoms"
OPENMM_STEP_S = 1e-3  # no step is faster, however few the atoms


def openmm_core_s(atoms: int, steps: float) -> float:
    """Return the core-seconds of classical MD."""
    return CORES * steps * max(atoms / OPENMM_ATOM_STEPS_S, OPENMM_STEP_S)
