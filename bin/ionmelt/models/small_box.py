"""A small box of all elements of a liquid, and whether the energy of a model depends there on the charge and the spin that are said of it."""

from collections.abc import Sequence

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator

from ionmelt.charge import lowest_spin, say_charge
from ionmelt.errors import is_resource
from ionmelt.models.derivatives import energy_of

# Atoms are this far apart (A), moved at random by this much.
SPACING_A = 2.4
RATTLE_A = 0.15
REPEATS = 3  # calls of the same atoms: how much they differ is the noise of a model
NOISE = 10  # times that noise is a change


def trial_box(elements: Sequence[str]) -> Atoms:
    """Return a small periodic box of all elements, two atoms of each at least, spread on a lattice and rattled."""
    edge = next(n for n in range(2, 100) if n**3 >= 2 * len(elements))
    sites = np.array([[x, y, z] for x in range(edge) for y in range(edge) for z in range(edge)], float)
    rng = np.random.default_rng(1)
    symbols = [elements[i % len(elements)] for i in range(len(sites))]
    positions = (sites + 0.5) * SPACING_A + rng.normal(scale=RATTLE_A, size=sites.shape)
    box = Atoms(symbols, positions, cell=[edge * SPACING_A] * 3, pbc=True)
    say_charge(box)
    return box


def energies_of(calculator: Calculator, atoms: Atoms) -> np.ndarray:
    """Return the energies (eV) that a model gives the same atoms, one a call."""
    energies = []
    for _ in range(REPEATS):
        calculator.reset()  # ASE compares no charge or spin: it would return the last result
        energies.append(energy_of(calculator, atoms))
    return np.array(energies)


def depends_on(calculator: Calculator, atoms: Atoms, charge_e: int, spin: int) -> bool | None:
    """Tell whether the energy changes, by more than its noise, with the charge or spin that the atoms are given.

    None where the model refuses it.
    """
    other = atoms.copy()
    say_charge(other, charge_e, spin)
    try:
        usual, changed = energies_of(calculator, atoms), energies_of(calculator, other)
    except Exception as error:  # each library has its own
        if is_resource(error):
            raise
        return None
    finally:
        calculator.reset()
    noise = max(float(np.ptp(usual)), float(np.ptp(changed)))
    change = abs(float(np.mean(changed) - np.mean(usual)))
    return bool(change > NOISE * noise + 1e-9 * (1 + abs(float(np.mean(usual)))))


def reads(calculator: Calculator, elements: Sequence[str]) -> dict[str, bool | None]:
    """Return what a card says of charge and spin (`Facts`), for boxes of these elements."""
    box = trial_box(elements)
    spin = lowest_spin(box, 0)
    return {
        "uses_charge": depends_on(calculator, box, 1, spin),
        "uses_spin": depends_on(calculator, box, 0, spin + 2),
    }
