"""What PySCF's forces lack of the fourth coefficient of a GTH potential's local part.

PySCF 2.14 with its libcint has a wrong integral in the forces: the y component of int3c1e_ip1_r6_origk, which is
that coefficient's. Lithium (-q3) has one.
"""

import numpy as np
from pyscf.gto import mole
from pyscf.pbc import gto
from pyscf.pbc.df import incore
from pyscf.pbc.gto import build_neighbor_list_for_shlpairs, free_neighbor_list
from pyscf.pbc.gto.pseudo import pp_int

EXPONENT_STEP = 1e-3  # relative; the error of a central difference is its square


def fourth_term(cell: gto.Cell, density: np.ndarray) -> np.ndarray:
    """Return what the gradient (N, 3) in Ha/Bohr of PySCF lacks of the local potentials' fourth term (see the top of this file).

    The right one is had from the integrals of the third term, since r^6 exp(-a r^2) = -d/da r^4 exp(-a r^2).
    """
    auxiliary = pp_int.fake_cell_vloc(cell, 4)
    if auxiliary.nbas == 0:
        return np.zeros((cell.natm, 3))
    auxiliary.precision = pp_int.EPS_PPL
    exponents, coefficients = auxiliary._bas[:, mole.PTR_EXP], auxiliary._bas[:, mole.PTR_COEFF]

    def gradient(integral: str, exponent: float = 1.0, slope: bool = False) -> np.ndarray:
        shifted = auxiliary.copy(deep=False)
        shifted._env = auxiliary._env.copy()
        first, where = np.unique(exponents, return_index=True)
        shifted._env[first] *= exponent
        if slope:
            shifted._env[coefficients[where]] /= -2 * EXPONENT_STEP * auxiliary._env[first]
        neighbours = build_neighbor_list_for_shlpairs(shifted, cell, cell.get_lattice_Ls())
        slopes = incore.int3c1e_nuc_grad(cell, shifted, density, integral, neighbor_list=neighbours)
        free_neighbor_list(neighbours)
        return np.asarray(-2 * slopes)

    upper, lower = (gradient("int3c1e_ip1_r4_origk", 1 + sign * EXPONENT_STEP, slope=True) for sign in (1, -1))
    missing = upper - lower - gradient("int3c1e_ip1_r6_origk")
    missing[:, [0, 2]] = 0.0  # these are right, to rounding
    return missing
