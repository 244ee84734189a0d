"""Masses of the dynamics: hydrogens may be heavier than they are, at the expense of the atoms that they are bonded to.

What is measured at one time (density, structure) does not depend on masses in classical mechanics, and the mass of a molecule stays as it
is; the fastest vibrations are slower, so that time steps can be longer (Hopkins and others, J. Chem. Theory Comput. 11, 1864, 2015).
"""

import math
from collections import Counter

import numpy as np

from ionmelt.errors import UserError
from ionmelt.topology import Topology


def moved_to_hydrogens(topology: Topology, hydrogen_mass_u: float) -> np.ndarray:
    """Return masses (N,) in u with a mass for each hydrogen that is bonded to a heavier atom, whatever is left to that."""
    masses = topology.masses_u.copy()
    for heavy, hydrogen in bonds_to_hydrogen(topology):
        masses[heavy] -= hydrogen_mass_u - masses[hydrogen]
        masses[hydrogen] = hydrogen_mass_u
    return masses


def bonds_to_hydrogen(topology: Topology) -> list[tuple[int, int]]:
    """Return the bonds of heavier atoms to hydrogens: (heavier, hydrogen)."""
    hydrogen = topology.elements == "H"
    return [
        (int(i), int(j)) for bond in topology.bonds for i, j in (bond, bond[::-1]) if hydrogen[j] and not hydrogen[i]
    ]


def with_heavy_hydrogens(topology: Topology, hydrogen_mass_u: float | None) -> np.ndarray:
    """Return masses (N,) in u with a mass for each hydrogen that is bonded to a heavier atom; None: the masses as they are.

    Raises `UserError` where that would leave an atom lighter than the hydrogens that it bears.
    """
    if hydrogen_mass_u is None:
        return topology.masses_u.copy()
    masses = moved_to_hydrogens(topology, hydrogen_mass_u)
    bears = Counter(heavy for heavy, _ in bonds_to_hydrogen(topology))
    # at most, all hydrogens of an atom and the atom itself are alike
    most_u = {atom: (masses[atom] + count * hydrogen_mass_u) / (count + 1) for atom, count in bears.items()}
    first = min(most_u, key=lambda atom: most_u[atom], default=None)
    if first is not None and most_u[first] < hydrogen_mass_u:
        raise UserError(
            f"md.hydrogen_mass_u: {hydrogen_mass_u:g} would leave {masses[first]:.3g} u to an atom of {topology.elements[first]} that bears "
            f"hydrogens, in {topology.ion[first]}: give {math.floor(100 * most_u[first]) / 100:g} or less"
        )
    return masses
