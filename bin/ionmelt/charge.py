"""The charge and the spin of a set of atoms, said where models read them.

Models that know of charges read ``atoms.info``: UMA, Orb and MACE as ``charge`` and ``spin``, others as ``total_charge`` and
``total_spin``. What is not said they take for neutral, without a word. The spin is the multiplicity, 2S + 1.
"""

from ase import Atoms

CHARGES = ("charge", "total_charge")
SPINS = ("spin", "total_spin")


def lowest_spin(atoms: Atoms, charge_e: int) -> int:
    """Return the lowest multiplicity that the number of electrons allows: 1, or 2 where it is odd."""
    return 1 + (int(atoms.numbers.sum()) - charge_e) % 2


def say_charge(atoms: Atoms, charge_e: int = 0, spin: int | None = None) -> None:
    """Say the charge (e) and the spin, by default the lowest, of atoms, in place. A liquid's box has 0 and 1."""
    atoms.info |= dict.fromkeys(CHARGES, charge_e)
    atoms.info |= dict.fromkeys(SPINS, lowest_spin(atoms, charge_e) if spin is None else spin)
