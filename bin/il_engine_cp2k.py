#!/usr/bin/env python3
"""Labels from density functional theory by CP2K: Quickstep, GTH pseudopotentials, gamma point.

Each frame is one run of the program CP2K; what it says of convergence is read from its own output. The wave
function of the frame before is the first guess.

Fluorine and oxygen are hard: at 400 to 600 Ry the grid alone puts 0.1 eV/A into the forces of LiBF4, and they
no longer sum to zero, which LABEL_FRAMES refuses (``net_force``). Use 800 Ry or more.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.units import Bohr, GPa, Hartree, bar

from il_frames import Label
from il_task import UserError

BINARIES = ("cp2k.ssmp", "cp2k.psmp", "cp2k")
BASIS_FILES = ("BASIS_MOLOPT", "BASIS_MOLOPT_UCL", "BASIS_MOLOPT_UZH")
POTENTIAL_FILE = "GTH_POTENTIALS"
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
EPS_DEFAULT = 1e-12
DISPERSION_CUTOFF_A = 16.0
INNER_STEPS, OUTER_LOOPS = 25, 20
# Minimiser and preconditioner of the attempts: the second pair is slower and sturdier.
FAST = "MINIMIZER DIIS\nPRECONDITIONER FULL_SINGLE_INVERSE"
STURDY = "MINIMIZER CG\nLINESEARCH 3PNT\nPRECONDITIONER FULL_ALL\nENERGY_GAP 0.01"

INPUT = """\
&GLOBAL
  PROJECT frame
  RUN_TYPE ENERGY_FORCE
  PRINT_LEVEL LOW
&END GLOBAL
&FORCE_EVAL
  METHOD QUICKSTEP
  STRESS_TENSOR ANALYTICAL
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
{basis_files}    POTENTIAL_FILE_NAME GTH_POTENTIALS
    WFN_RESTART_FILE_NAME guess.wfn
    CHARGE 0
    &MGRID
      CUTOFF {cutoff_Ry}
      REL_CUTOFF {rel_cutoff_Ry}
      NGRIDS 5
    &END MGRID
    &QS
      EPS_DEFAULT {eps_default}
    &END QS
    &SCF
      SCF_GUESS {guess}
      EPS_SCF {eps_scf}
      MAX_SCF {inner_steps}
      &OT
        {optimiser}
      &END OT
      &OUTER_SCF
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
    &END CELL
    &COORD
{coordinates}
    &END COORD
{kinds}  &END SUBSYS
&END FORCE_EVAL
"""
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
      POTENTIAL {potential}
    &END KIND
"""


class Engine:
    """Energy, forces and stress of periodic, neutral, closed-shell frames at the gamma point.

    Parameters
    ----------
    settings : ``functional`` (PBE, revPBE, BLYP, r2SCAN), ``dispersion`` (none, D3, D3(BJ)), ``basis`` and
        ``potential`` (names in CP2K's data; a basis may be named without the -qN of its potential),
        ``cutoff_Ry``, ``rel_cutoff_Ry``, ``eps_scf`` (Hartree).
    threads : OpenMP threads of CP2K.
    """

    def __init__(self, settings: Mapping[str, Any], threads: int) -> None:
        found = [path for name in BINARIES if (path := shutil.which(name))]
        if not found:
            raise UserError(
                f"labels.engine: cp2k is not installed: none of {', '.join(BINARIES)} is on PATH; install it (Debian: cp2k cp2k-data)"
            )
        self.binary = found[0]
        for name, known in (("functional", FUNCTIONALS), ("dispersion", DISPERSIONS)):
            if settings.get(name) not in known:
                raise UserError(f"labels.{name}: {settings.get(name)!r} is not known; use one of {', '.join(known)}")
        if settings["functional"] not in D3_BY_NAME and settings["dispersion"] == "D3":
            raise UserError(f"labels.dispersion: there is no D3 for {settings['functional']}; use D3(BJ)")
        self.settings = settings
        self.data = data_folder(Path(self.binary))
        self.kinds: dict[str, str] = {}
        self.environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
        said = subprocess.run(
            [self.binary, "--version"], capture_output=True, text=True, env=self.environment, check=True
        )
        version = re.search(r"CP2K version (\S+)", said.stdout)
        self.version = f"CP2K {version.group(1) if version else 'of unknown version'}"
        self._guess: bytes | None = None
        self._guess_numbers = np.array([], dtype=int)

    def label(self, atoms: Atoms) -> Label:
        """Label one frame, with up to three attempts that differ in guess and optimiser only."""
        attempts = [("ATOMIC", FAST), ("ATOMIC", STURDY)]
        if self._guess is not None and np.array_equal(atoms.numbers, self._guess_numbers):
            attempts.insert(0, ("RESTART", FAST))
        steps = 0
        for guess, optimiser in attempts:
            with tempfile.TemporaryDirectory(dir=".", prefix="cp2k-") as name:
                folder = Path(name)
                (folder / "frame.inp").write_text(self.input_text(atoms, guess, optimiser))
                if guess == "RESTART" and self._guess is not None:
                    (folder / "guess.wfn").write_bytes(self._guess)
                done = subprocess.run(
                    [self.binary, "-i", "frame.inp"],
                    cwd=folder,
                    env=self.environment,
                    capture_output=True,
                    text=True,
                    errors="replace",
                    check=False,
                )
                steps += scf_steps(done.stdout)
                if not converged(done.stdout):
                    if "NOT converged" in done.stdout or "FAILED to converge" in done.stdout:
                        continue
                    print("\n".join(done.stdout.splitlines()[-40:]), done.stderr, file=sys.stderr)
                    return Label(None, None, None, False, scf_steps=steps, reason="engine_error")
                # CP2K numbers and ends the names of its files as it likes: frame-forces-1_0.xyz
                forces, stress = (next(folder.glob(f"frame-{what}*")) for what in ("forces", "stress"))
                label = Label(
                    energy_ev=total_energy(done.stdout) * Hartree,
                    forces_ev_a=force_table(forces.read_text(), len(atoms)) * (Hartree / Bohr),
                    stress_ev_a3=stress_tensor(stress.read_text()),
                    converged=True,
                    scf_steps=steps,
                )
                self._guess = (folder / "frame-RESTART.wfn").read_bytes()
                self._guess_numbers = atoms.numbers.copy()
                return label
        return Label(None, None, None, False, scf_steps=steps, reason="scf_not_converged")

    def input_text(self, atoms: Atoms, guess: str, optimiser: str) -> str:
        """Return CP2K's input for one frame."""
        settings = self.settings
        functional = settings["functional"]
        kind = DISPERSIONS[settings["dispersion"]]
        dispersion = ""
        if kind is not None:
            by_name = functional in D3_BY_NAME
            parameters = f"REFERENCE_FUNCTIONAL {functional}" if by_name else D3BJ_R2SCAN
            dispersion = DISPERSION.format(kind=kind, parameters=parameters, cutoff_A=DISPERSION_CUTOFF_A)
        symbols = atoms.get_chemical_symbols()
        for element in sorted(set(symbols) - set(self.kinds)):
            self.kinds[element] = basis_name(self.data, element, settings["basis"], settings["potential"])
        a, b, c = (" ".join(f"{x:.6f}" for x in row) for row in atoms.cell.array)
        rows = zip(symbols, atoms.positions, strict=True)
        return INPUT.format(
            **{key: settings[key] for key in ("cutoff_Ry", "rel_cutoff_Ry", "eps_scf")},
            basis_files="".join(f"    BASIS_SET_FILE_NAME {path.name}\n" for path in basis_files(self.data)),
            eps_default=EPS_DEFAULT,
            guess=guess,
            inner_steps=INNER_STEPS,
            outer_loops=OUTER_LOOPS,
            optimiser=optimiser,
            functional=FUNCTIONALS[functional],
            dispersion=dispersion,
            a=a,
            b=b,
            c=c,
            coordinates="\n".join(f"{symbol} {x:.6f} {y:.6f} {z:.6f}" for symbol, (x, y, z) in rows),
            kinds="".join(
                KIND.format(element=element, basis=self.kinds[element], potential=settings["potential"])
                for element in sorted(set(symbols))
            ),
        )


def data_folder(binary: Path) -> Path:
    """Return the folder of CP2K's basis sets: CP2K_DATA_DIR, or the one beside the binary."""
    share = binary.resolve().parent.parent / "share" / "cp2k"
    places = [Path(os.environ[name]) for name in ("CP2K_DATA_DIR",) if name in os.environ]
    for place in (*places, share, share / "data"):
        if (place / POTENTIAL_FILE).is_file():
            return place
    raise UserError(f"labels.engine: no {POTENTIAL_FILE} beside {binary}; set CP2K_DATA_DIR to CP2K's data")


def basis_files(data: Path) -> list[Path]:
    """Return the files of basis sets that there are."""
    return [data / name for name in BASIS_FILES if (data / name).is_file()]


def names_of(text: str, element: str) -> list[list[str]]:
    """Return the names of each entry of an element in a file of basis sets or potentials."""
    return [match.split()[1:] for match in re.findall(rf"^ *{element} +[A-Z].*$", text, re.MULTILINE)]


def basis_name(data: Path, element: str, basis: str, potential: str) -> str:
    """Return the name in CP2K's data of an element's basis set, which may end in the -qN of its potential.

    Raises UserError where there is no such potential or basis set.
    """
    entries = [names for names in names_of((data / POTENTIAL_FILE).read_text(), element) if potential in names]
    if not entries:
        raise UserError(f"labels.potential: CP2K has no {potential!r} for {element}")
    charge = next((found[0] for name in entries[0] if (found := re.findall(r"-q\d+$", name))), "")
    known = {name for path in basis_files(data) for names in names_of(path.read_text(), element) for name in names}
    for name in (basis, basis + charge):
        if name in known:
            return name
    some = ", ".join(sorted(name for name in known if not re.search(r"-q\d+$", name))) or "none"
    raise UserError(f"labels.basis: CP2K has no {basis!r} for {element}; it has {some}, and names with {charge}")


def scf_steps(output: str) -> int:
    """Count the SCF steps in CP2K's output (lines of its table such as ``7 OT DIIS``)."""
    return len(re.findall(r"^ +\d+ +OT +(?:DIIS|CG|SD|LS)\b", output, re.MULTILINE))


def converged(output: str) -> bool:
    """Tell whether CP2K says that its SCF converged, and came to its regular end."""
    denied = "SCF run NOT converged" in output or "outer SCF loop FAILED to converge" in output
    return "outer SCF loop converged in" in output and not denied and "PROGRAM ENDED AT" in output


def total_energy(output: str) -> float:
    """Return the energy in Hartree."""
    found = re.findall(r"ENERGY\| Total FORCE_EVAL .*?(-?\d+\.\d+)\s*$", output, re.MULTILINE)
    if len(found) != 1:
        raise ValueError(f"CP2K's output holds {len(found)} total energies, not one")
    return float(found[0])


def force_table(text: str, n_atoms: int) -> np.ndarray:
    """Return the forces (N, 3) in Hartree/Bohr from CP2K's file of forces, in either of its layouts."""
    old = re.findall(r"^ +\d+ +\d+ +[A-Z][a-z]? +(\S+) +(\S+) +(\S+)\s*$", text, re.MULTILINE)
    new = re.findall(r"^ *FORCES\| +\d+ +(\S+) +(\S+) +(\S+) +\S+\s*$", text, re.MULTILINE)
    if new and "[hartree/bohr]" not in text:
        raise ValueError("CP2K's file of forces is not in hartree/bohr")
    if len(old or new) != n_atoms:
        raise ValueError(f"CP2K's file of forces has {len(old or new)} atoms, not {n_atoms}")
    return np.array(old or new, dtype=float)


def stress_tensor(text: str) -> np.ndarray:
    """Return the stress (3, 3) in eV/A^3 and ASE's sign from CP2K's file, where compression is positive."""
    _, name, block = re.split(r"Analytical stress tensor \[(\w+)\]", text, maxsplit=1)
    # Three rows together and in order: further down, the eigenvectors have rows of the same look.
    row = r" *STRESS\| +{} +(\S+) +(\S+) +(\S+) *\n"
    found = re.search("^" + "".join(row.format(axis) for axis in "xyz"), block, re.MULTILINE)
    if found is None:
        raise ValueError("CP2K's file of the stress is not complete")
    tensor = np.array(found.groups(), dtype=float).reshape(3, 3) * {"GPa": GPa, "bar": bar}[name]
    return -(tensor + tensor.T) / 2
