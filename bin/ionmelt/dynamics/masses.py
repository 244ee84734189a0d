"""Masses of the dynamics: hydrogens may be heavier than they are, at the expense of the atoms that they are bonded to.

What is measured at one time (density, structure) does not depend on masses in classical mechanics, and the mass of a molecule stays as it
is; the fastest vibrations are slower, so that time steps can be longer (Hopkins and others, J. Chem. Theory Comput. 11, 1864, 2015).
"""

import numpy as np

from ionmelt.errors import UserError
from ionmelt.topology import Topology


def with_heavy_hydrogens(topology: Topology, hydrogen_mass_u: float | None) -> np.ndarray:
    """Return masses (N,) in u with a mass for each hydrogen that is bonded to a heavier atom; None: the masses as they are.

    Raises `UserError` where that would leave an atom lighter than the hydrogens that it bears.
    """
    masses = topology.masses_u.copy()
    if hydrogen_mass_u is None:
        return masses
    bearers = set()
    for bond in topology.bonds:
        heavy, hydrogen = sorted(map(int, bond), key=lambda atom: topology.elements[atom] == "H")
        if topology.elements[hydrogen] == "H" and topology.elements[heavy] != "H":
            masses[heavy] -= hydrogen_mass_u - masses[hydrogen]
            masses[hydrogen] = hydrogen_mass_u
            bearers.add(heavy)
    lightest = min(bearers, key=lambda atom: masses[atom], default=None)
    if lightest is not None and masses[lightest] < hydrogen_mass_u:
        raise UserError(
            f"md.hydrogen_mass_u: {hydrogen_mass_u:g} would leave {masses[lightest]:.3g} u to an atom of {topology.elements[lightest]} that bears "
            "hydrogens: give less"
        )
    return masses
