"""The energy of some atoms alone in vacuum."""

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator

from ionmelt.charge import say_charge
from ionmelt.errors import is_resource


def energy(calculator: Calculator, atoms: Atoms, charge_e: int = 0) -> tuple[float | None, str | None]:
    """Return the energy (eV) of atoms of a charge in vacuum, or None and the reason why the model has none."""
    say_charge(atoms, charge_e)
    if charge_e:  # where engines read it
        atoms.set_initial_charges([float(charge_e), *[0.0] * (len(atoms) - 1)])
    atoms.calc = calculator
    try:
        value = float(atoms.get_potential_energy())
    except Exception as error:  # a model can fail in any way that its libraries know
        if is_resource(error):
            raise
        first = (str(error).strip().splitlines() or ["no message"])[0]
        return None, f"{type(error).__name__}: {first}"[:200]
    return (value, None) if np.isfinite(value) else (None, "not a finite number")
