"""Why a frame is unphysical: contacts of ions, stretched bonds."""

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers, covalent_radii, vdw_radii
from ase.neighborlist import neighbor_list

from ionmelt.frame import overlaps
from ionmelt.topology import Topology

# Ions do not come closer than this fraction of the sum of their atoms' radii.
CONTACT_FRACTION = 0.6
# Metal cations have no shell of their own: radii of Shannon, Acta Cryst. A 32, 751 (1976), coordination 6.
CATION_RADII_A = {
    "Li": 0.76,
    "Na": 1.02,
    "K": 1.38,
    "Rb": 1.52,
    "Cs": 1.67,
    "Mg": 0.72,
    "Ca": 1.00,
    "Zn": 0.74,
}
DEFAULT_RADIUS_A = 2.0  # where ASE has no van der Waals radius
BOND_RANGE = (0.7, 1.4)  # bond lengths, in sums of covalent radii


def contact_radii(numbers: np.ndarray) -> np.ndarray:
    """Return the radius (N,) in A of each atom towards atoms of other ions."""
    radii = np.where(np.isnan(vdw_radii[numbers]), DEFAULT_RADIUS_A, vdw_radii[numbers])
    for element, radius in CATION_RADII_A.items():
        radii[numbers == atomic_numbers[element]] = radius
    return radii


def refusal(frame: Atoms, topology: Topology) -> str | None:
    """Return why a frame is unphysical: ``contact`` (of ions, or overlapping atoms), ``bond``, or None."""
    i, j = topology.bonds.T
    lengths = np.linalg.norm(frame.positions[i] - frame.positions[j], axis=1)
    ratios = lengths / (covalent_radii[frame.numbers[i]] + covalent_radii[frame.numbers[j]])
    if len(ratios) and not (BOND_RANGE[0] < ratios.min() and ratios.max() < BOND_RANGE[1]):
        return "bond"
    a, b, shift = neighbor_list("ijS", frame, CONTACT_FRACTION * contact_radii(frame.numbers))
    # Ions are whole, so a neighbour of the same ion in another cell is an image of it.
    if np.any((topology.molecule[a] != topology.molecule[b]) | shift.any(axis=1)) or overlaps(frame):
        return "contact"
    return None
