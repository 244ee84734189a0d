"""Why a frame is unphysical: contacts of ions, stretched bonds."""

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers, covalent_radii, vdw_radii
from ase.neighborlist import neighbor_list

from ionmelt.frame import overlaps
from ionmelt.protons import HOLDERS, mobile_protons
from ionmelt.topology import Topology

# Ions do not come closer than this fraction of the sum of their atoms' radii.
CONTACT_FRACTION = 0.6
# Metal cations have no shell of their own: radii of Shannon, Acta Cryst. A 32, 751 (1976), coordination 6.
CATION_RADII_A = {
    "Li": 0.76, "Na": 1.02, "K": 1.38, "Rb": 1.52, "Cs": 1.67, "Be": 0.45, "Mg": 0.72, "Ca": 1.00, "Sr": 1.18, "Ba": 1.35,
    "Al": 0.535, "Zr": 0.72, "Zn": 0.74,
}  # fmt: skip
CATION_RADIUS_A = 1.0  # of other cations of one atom: theirs are 0.6 to 1.2
DEFAULT_RADIUS_A = 2.0  # where ASE has no van der Waals radius
BOND_RANGE = (0.7, 1.4)  # bond lengths, in sums of covalent radii
LEAVING = 1.15  # where a mobile proton's bond is longer, it may be within the bond range of an atom of another ion


def contact_radii(numbers: np.ndarray, topology: Topology) -> np.ndarray:
    """Return the radius (N,) in A of each atom towards atoms of other ions."""
    radii = np.where(np.isnan(vdw_radii[numbers]), DEFAULT_RADIUS_A, vdw_radii[numbers])
    cation_of_one = (topology.charges_e > 0) & (np.bincount(topology.molecule) == 1)
    radii[cation_of_one[topology.molecule]] = CATION_RADIUS_A
    for element, radius in CATION_RADII_A.items():
        radii[numbers == atomic_numbers[element]] = radius
    return radii


def refusal(frame: Atoms, topology: Topology) -> str | None:
    """Return why a frame is unphysical: ``contact`` (of ions, or overlapping atoms), ``bond``, or None.

    A proton that hops or has hopped, between two of `ionmelt.protons.HOLDERS`, is neither.
    """
    covalent, reach = covalent_radii[frame.numbers], CONTACT_FRACTION * contact_radii(frame.numbers, topology)
    a, b, distance, shift = neighbor_list("ijdS", frame, np.maximum(reach, BOND_RANGE[1] * covalent))
    # Ions are whole, so a neighbour of the same ion in another cell is an image of it.
    apart = (topology.molecule[a] != topology.molecule[b]) | shift.any(axis=1)
    a, b, distance = a[apart], b[apart], distance[apart]

    i, j = topology.bonds.T
    ratios = np.linalg.norm(frame.positions[i] - frame.positions[j], axis=1) / (covalent[i] + covalent[j])
    leaving = np.zeros(len(frame), bool)
    leaving[topology.bonds[ratios > LEAVING]] = True
    leaving &= mobile_protons(topology.elements, topology.bonds)
    holds = np.isin(topology.elements, HOLDERS)
    shared = in_bond_range(distance / (covalent[a] + covalent[b])) & (leaving[a] & holds[b] | holds[a] & leaving[b])
    on_another = np.isin(np.arange(len(frame)), a[shared]) & leaving

    if np.any(~in_bond_range(ratios) & ~((ratios > LEAVING) & (on_another[i] | on_another[j]))):
        return "bond"
    if np.any((distance < reach[a] + reach[b]) & ~shared) or overlaps(frame):
        return "contact"
    return None


def in_bond_range(ratios: np.ndarray) -> np.ndarray:
    """Tell which distances, in sums of covalent radii, are those of bonds."""
    return (BOND_RANGE[0] < ratios) & (ratios < BOND_RANGE[1])
