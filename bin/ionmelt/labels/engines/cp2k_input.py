"""CP2K's input for one frame: the level of theory of the settings, and how an attempt begins and goes on."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms

from ionmelt.labels.engines.cp2k_data import basis_files, basis_name, potential_name
from ionmelt.labels.engines.settings import Cp2kLabels

# Name in a study -> XC_FUNCTIONAL section.
FUNCTIONALS = {
    "PBE": "&PBE\n&END PBE",
    "revPBE": "&PBE\nPARAMETRIZATION REVPBE\n&END PBE",
    "BLYP": "&BECKE88\n&END BECKE88\n&LYP\n&END LYP",
    "r2SCAN": "&MGGA_X_R2SCAN\n&END MGGA_X_R2SCAN\n&MGGA_C_R2SCAN\n&END MGGA_C_R2SCAN",
}
DISPERSIONS = {"none": None, "D3": "DFTD3", "D3(BJ)": "DFTD3(BJ)"}
# CP2K knows D3 for these by name. It has none for r2SCAN: s6, a1, s8, a2 (Bohr) of Ehlert et al., J. Chem. Phys.
# 154, 061101 (2021), who give no zero damping.
D3_BY_NAME = ("PBE", "revPBE", "BLYP")
D3BJ_R2SCAN = "D3BJ_SCALING 1.0 0.49484001 0.78981345 5.73083694"
INNER_STEPS = 25
# How the density becomes its own. FAST up to so many atoms: the matrix is diagonalised, which costs little beside the grids, and the density
# mixed; beyond, orbitals are turned. One pair of PYR14BF4 from atoms: 16 steps, against 29 by turning with FULL_ALL, which CP2K's manual
# recommends for all but very large boxes, and 32 with FULL_SINGLE_INVERSE; energies 2e-12 Ha apart, forces 4e-7 Ha/Bohr (250 Ry). STURDY is slower.
MIXED_ATOMS = 200
# Where mixing ends: a tenth of eps_scf, and never above this. What is left of the density's change counts in first order in the
# energies of the steps, and the last is compared with the label's: at 1e-6 those of LiF in its cell are 5e-7 Ha apart.
MIXED_EPS = 1e-7
MIXED = """\
      &DIAGONALIZATION
      &END DIAGONALIZATION
      &MIXING
        METHOD BROYDEN_MIXING
        ALPHA 0.4
        NBROYDEN 8
      &END MIXING
"""
TURNED = "      &OT\n        {}\n      &END OT\n"
DIIS = TURNED.format("MINIMIZER DIIS\n        PRECONDITIONER FULL_ALL")
LINE_SEARCH = TURNED.format(
    "MINIMIZER CG\n        LINESEARCH 3PNT\n        PRECONDITIONER FULL_ALL\n        ENERGY_GAP 0.01"
)
FAST, STURDY = "fast", "sturdy"


@dataclass(frozen=True)
class Attempt:
    """How the SCF of one attempt begins and goes on; where it ends is the level of theory's."""

    start: str  # "chained": from the frame before; "cold": from atoms; "continued": from the last attempt
    optimiser: str  # FAST or STURDY
    outer_loops: int


INPUT = """\
&GLOBAL
  PROJECT frame
  RUN_TYPE ENERGY_FORCE
  PRINT_LEVEL LOW
&END GLOBAL
&FORCE_EVAL
  METHOD QUICKSTEP
  STRESS_TENSOR {stress_tensor}
  &PRINT
    &FORCES
      FILENAME forces
      NDIGITS 12
    &END FORCES
    &STRESS_TENSOR
      FILENAME stress
    &END STRESS_TENSOR
  &END PRINT
  &DFT
{basis_files}    WFN_RESTART_FILE_NAME guess.wfn
    CHARGE {charge}
    &POISSON
      PERIODIC {periodic}
      PSOLVER {poisson}
    &END POISSON
    &MGRID
      CUTOFF {cutoff_Ry}
      REL_CUTOFF {rel_cutoff_Ry}
      NGRIDS {multigrids}
    &END MGRID
    &QS
      EPS_DEFAULT {eps_default}
    &END QS
    &SCF
      SCF_GUESS {guess}
      EPS_SCF {eps_scf}
      MAX_SCF {inner_steps}
{optimiser}      &OUTER_SCF
        EPS_SCF {eps_scf}
        MAX_SCF {outer_loops}
      &END OUTER_SCF
    &END SCF
    &XC
      &XC_FUNCTIONAL
        {functional}
      &END XC_FUNCTIONAL
{dispersion}    &END XC
  &END DFT
  &SUBSYS
    &CELL
      A {a}
      B {b}
      C {c}
      PERIODIC {periodic}
    &END CELL
    &COORD
{coordinates}
    &END COORD
{kinds}  &END SUBSYS
&END FORCE_EVAL
"""
PERIODIC = {"periodic": "XYZ", "poisson": "PERIODIC", "stress_tensor": "ANALYTICAL"}
ALONE = {"periodic": "NONE", "poisson": "WAVELET", "stress_tensor": "NONE"}
DISPERSION = """\
      &VDW_POTENTIAL
        POTENTIAL_TYPE PAIR_POTENTIAL
        &PAIR_POTENTIAL
          TYPE {kind}
          PARAMETER_FILE_NAME dftd3.dat
          {parameters}
          R_CUTOFF [angstrom] {cutoff_A}
        &END PAIR_POTENTIAL
      &END VDW_POTENTIAL
"""
KIND = """\
    &KIND {element}
      BASIS_SET {basis}
      POTENTIAL_FILE_NAME {potential_file}
      POTENTIAL {potential}
    &END KIND
"""


def is_mixed(kind: str, atoms: Atoms) -> bool:
    """Tell whether an optimiser (FAST or STURDY) mixes the density of a frame; one without images never: CP2K mixes in waves."""
    return kind == FAST and len(atoms) <= MIXED_ATOMS and bool(atoms.pbc.all())


def in_cube(atoms: Atoms) -> tuple[np.ndarray, np.ndarray]:
    """Return a cube (3, 3) with the longest edge of a frame without images, and its positions (N, 3) in the middle of it.

    Without images nothing depends on the cell, and CP2K's wavelets have no other than cubes.
    """
    edge = atoms.cell.lengths().max()
    middle = (atoms.positions.min(axis=0) + atoms.positions.max(axis=0)) / 2
    return edge * np.eye(3), atoms.positions - middle + edge / 2


class Inputs:
    """Writes the inputs of frames at one level of theory; `data` is the folder of CP2K's basis sets and pseudopotentials."""

    def __init__(self, settings: Cp2kLabels, data: Path) -> None:
        self.settings, self.data = settings, data
        self.basis_files = "".join(f"    BASIS_SET_FILE_NAME {path.name}\n" for path in basis_files(data))
        self._kinds: dict[str, str] = {}

    def text(self, atoms: Atoms, attempt: Attempt, restart: bool) -> str:
        """Return the input for a frame; `restart`: the first guess is in guess.wfn. Raises `UserError` for a basis that is not there."""
        settings, symbols = self.settings, atoms.get_chemical_symbols()
        surroundings = PERIODIC if atoms.pbc.all() else ALONE
        cell, positions = (atoms.cell.array, atoms.positions) if atoms.pbc.all() else in_cube(atoms)
        a, b, c = (" ".join(f"{x:.6f}" for x in row) for row in cell)
        mixed = is_mixed(attempt.optimiser, atoms)
        rows = zip(symbols, positions, strict=True)
        return INPUT.format(
            **surroundings,
            charge=round(atoms.get_initial_charges().sum()),
            basis_files=self.basis_files,
            cutoff_Ry=settings.cutoff_Ry,
            rel_cutoff_Ry=settings.rel_cutoff_Ry,
            multigrids=settings.multigrids,
            eps_default=settings.eps_default,
            eps_scf=f"{min(settings.eps_scf / 10, MIXED_EPS) if mixed else settings.eps_scf:g}",
            guess="RESTART" if restart else "ATOMIC",
            inner_steps=INNER_STEPS,
            outer_loops=attempt.outer_loops,
            optimiser=MIXED if mixed else LINE_SEARCH if attempt.optimiser == STURDY else DIIS,
            functional=FUNCTIONALS[settings.functional],
            dispersion=self._dispersion(),
            a=a,
            b=b,
            c=c,
            coordinates="\n".join(f"{symbol} {x:.6f} {y:.6f} {z:.6f}" for symbol, (x, y, z) in rows),
            kinds="".join(self._kind(element) for element in sorted(set(symbols))),
        )

    def _dispersion(self) -> str:
        kind = DISPERSIONS[self.settings.dispersion]
        if kind is None:
            return ""
        functional = self.settings.functional
        parameters = f"REFERENCE_FUNCTIONAL {functional}" if functional in D3_BY_NAME else D3BJ_R2SCAN
        return DISPERSION.format(kind=kind, parameters=parameters, cutoff_A=self.settings.dispersion_cutoff_A)

    def _kind(self, element: str) -> str:
        if element not in self._kinds:
            file, potential = potential_name(self.data, element, self.settings.potential)
            basis = basis_name(self.data, element, self.settings.basis, self.settings.potential)
            self._kinds[element] = KIND.format(element=element, basis=basis, potential_file=file, potential=potential)
        return self._kinds[element]
