"""Try what the image `dft` is for: the energy of H2 from tblite, PySCF and CP2K. Prints what it found."""

import importlib.util
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import dftd3.interface  # noqa: F401
import dftd4.interface  # noqa: F401
import numpy as np
import pyscf
from pyscf import gto, scf
from tblite.interface import Calculator

# H2 at 1.4 bohr in STO-3G: -1.1167 Ha (Szabo and Ostlund, Modern Quantum Chemistry, section 3.5.2).
energy = scf.RHF(gto.M(atom="H 0 0 0; H 0 0 1.4", unit="Bohr", basis="sto-3g", verbose=0)).kernel()
assert abs(energy + 1.1167) < 1e-4, energy

calculator = Calculator("GFN1-xTB", np.array([1, 1]), np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 1.4]]))
calculator.set("verbosity", 0)
forces = -calculator.singlepoint().get("gradient")
assert abs(forces.sum(axis=0)).max() < 1e-10, forces

# CP2K: PBE with GTH pseudopotentials, an energy from its own data files. The exact PBE energy of H2 is -1.166 Ha.
INPUT = """\
&GLOBAL
  PROJECT h2
&END
&FORCE_EVAL
  &DFT
    BASIS_SET_FILE_NAME BASIS_MOLOPT
    POTENTIAL_FILE_NAME GTH_POTENTIALS
    &MGRID
      CUTOFF 200
    &END
    &XC
      &XC_FUNCTIONAL PBE
      &END
    &END
  &END
  &SUBSYS
    &CELL
      ABC 7 7 7
    &END
    &COORD
      H 0 0 0
      H 0 0 0.7408
    &END
    &KIND H
      BASIS_SET TZV2P-MOLOPT-GTH
      POTENTIAL GTH-PBE
    &END
  &END
&END
"""
program = next(path for name in ("cp2k.ssmp", "cp2k.psmp", "cp2k") if (path := shutil.which(name)))
with tempfile.TemporaryDirectory() as folder:
    (Path(folder) / "h2.inp").write_text(INPUT)
    run = subprocess.run([program, "h2.inp"], cwd=folder, capture_output=True, text=True, timeout=600)
assert run.returncode == 0, run.stdout[-2000:] + run.stderr[-2000:]
energy = float(re.findall(r"ENERGY\| Total FORCE_EVAL.*?(-?\d+\.\d+)", run.stdout)[-1])
assert abs(energy + 1.166) < 5e-3, energy
version = re.search(
    r"CP2K version +(\S.*)", subprocess.run([program, "--version"], capture_output=True, text=True).stdout
)
gpu = "with" if importlib.util.find_spec("gpu4pyscf") else "without"
print(f"dft: ok; {version[1].strip() if version else 'CP2K'}, PySCF {pyscf.__version__} {gpu} GPU4PySCF")
