"""The energy of some atoms alone in vacuum."""

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator

from ionmelt.charge import say_charge
from ionmelt.models.prediction import reason_for

ROOM_A = 30.0  # between atoms and their images, where a model takes periodic boxes alone: no model of such a kind sees as far


def energy(calculator: BaseCalculator, atoms: Atoms, charge_e: int = 0) -> tuple[float | None, str | None]:
    """Return the energy (eV) of atoms of a charge in vacuum, or None and the reason why the model has none.

    A library that divides by the cell (CHGNet) gets a periodic one, which is so large that the atoms do not see their images.
    """
    say_charge(atoms, charge_e)
    if charge_e:  # where engines read it
        atoms.set_initial_charges([float(charge_e), *[0.0] * (len(atoms) - 1)])
    atoms.calc = calculator
    try:
        try:
            value = float(atoms.get_potential_energy())
        except np.linalg.LinAlgError:
            atoms.set_cell(np.ptp(atoms.positions, axis=0) + ROOM_A)
            atoms.pbc = True
            value = float(atoms.get_potential_energy())
    except Exception as error:  # a model can fail in any way that its libraries know
        return None, reason_for(error, atoms)
    return (value, None) if np.isfinite(value) else (None, "not a finite number")
