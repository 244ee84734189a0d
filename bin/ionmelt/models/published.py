"""The energies that a project publishes of its model: whether this environment computes the same of the file."""

from collections.abc import Sequence

from ase import Atoms
from ase.calculators.calculator import BaseCalculator

from ionmelt.errors import UserError
from ionmelt.models.settings import PublishedEnergy
from ionmelt.models.vacuum import energy

CLOSE_EV = 1e-6  # double precision


def check_published(calculator: BaseCalculator, published: Sequence[PublishedEnergy]) -> None:
    """Compare the energies of a model in double precision, without added dispersion, with those that are published.

    Raises `UserError` with a line for each that is another.
    """
    lines = []
    for one in published:
        value, reason = energy(calculator, Atoms(one.formula, one.positions_A))
        if value is None or abs(value - one.energy_ev) > CLOSE_EV:
            computed = f"{value:.8f} eV" if value is not None else f"not to be had here ({reason})"
            lines.append(
                f"weights: the energy of {one.formula} is {computed}, its project publishes {one.energy_ev:.8f} eV"
            )
    if lines:
        raise UserError(*lines)
