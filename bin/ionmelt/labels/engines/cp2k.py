"""Labels from density functional theory by CP2K: Quickstep, GTH pseudopotentials, gamma point.

Each frame is one run of the program CP2K. What is taken from it is only what its output says twice: an SCF that
converged and a regular end, an energy that its SCF table has too, forces that sum to the sum it prints, a stress
with its trace. Everything else is a reason code:

``scf_not_converged``, ``non_finite`` (NaN or a field of asterisks), ``output_truncated``, ``engine_killed`` (by a
signal), ``disk_full``, ``engine_timeout`` (``max_frame_s``), ``engine_error`` (its last words go to standard error).

Fluorine and oxygen are hard: at 400 to 600 Ry the grid alone puts 0.1 eV/A into the forces of LiBF4, and they
no longer sum to zero, which LABEL_FRAMES refuses (``net_force``). Use 800 Ry or more (`theory` has the figures).
"""

import errno
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.units import Bohr, Hartree

from ionmelt import theory
from ionmelt.errors import UserError
from ionmelt.frame import Label, virial_stress
from ionmelt.labels.engines.cp2k_data import basis_files, basis_name, data_folder, potential_name
from ionmelt.labels.engines.cp2k_output import NonFinite, failure, force_table, scf_steps, stress_tensor, total_energy
from ionmelt.labels.engines.settings import CP2K, MAX_FRAME_S

BINARIES = ("cp2k.ssmp", "cp2k.psmp", "cp2k")
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
# Minimisers and preconditioners: the second is slower and sturdier.
FAST = "MINIMIZER DIIS\nPRECONDITIONER FULL_SINGLE_INVERSE"
STURDY = "MINIMIZER CG\nLINESEARCH 3PNT\nPRECONDITIONER FULL_ALL\nENERGY_GAP 0.01"


@dataclass(frozen=True)
class Attempt:
    """How the SCF of one attempt begins and goes on; where it ends is the level of theory's."""

    start: str  # "chained": from the frame before; "cold": from atoms; "continued": from the last attempt
    optimiser: str
    outer_loops: int


LADDER = (
    Attempt("chained", FAST, 8),
    Attempt("cold", FAST, 8),
    Attempt("cold", STURDY, 8),
    Attempt("continued", STURDY, 20),
)
# After these the next attempt may do better; after the others only where a guess may be at fault.
WORTH_A_RETRY = ("scf_not_converged", "non_finite")
DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# One process needs no daemon of Open MPI beside it: it would be one more to outlive a killed CP2K.
MPI_ALONE = {"OMPI_MCA_ess_singleton_isolated": "1"}
# CP2K ends with the process that started it, however that ends (prctl PR_SET_PDEATHSIG, then the same process
# becomes CP2K): a label that nobody waits for would go on for hours.
LAUNCHER = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)
for ignored in (signal.SIGPIPE, signal.SIGXFSZ):  # by Python
    signal.signal(ignored, signal.SIG_DFL)
if os.getppid() == int(sys.argv[1]):
    os.execv(sys.argv[2], sys.argv[2:])
"""

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


class NoLabel(Exception):
    """An attempt gave no label: why, the SCF steps that it took, and what it leaves of its wave function."""

    def __init__(self, reason: str, steps: int = 0, wave_function: bytes | None = None) -> None:
        super().__init__(reason)
        self.reason, self.steps, self.wave_function = reason, steps, wave_function


class Engine:
    """Energy, forces and stress of periodic, neutral, closed-shell frames at the gamma point, and of ions without images.

    Parameters
    ----------
    settings : ``functional`` (PBE, revPBE, BLYP, r2SCAN), ``dispersion`` (none, D3, D3(BJ)), ``basis`` and
        ``potential`` (names in CP2K's data; either may be named without its -qN), ``cutoff_Ry``,
        ``rel_cutoff_Ry``, ``eps_scf`` (Hartree); or ``theory`` and ``quality`` (`theory`). Also
        ``max_frame_s``, which changes no label.
    threads : OpenMP threads of CP2K.
    """

    def __init__(self, settings: Mapping[str, Any], threads: int) -> None:
        found = [path for name in BINARIES if (path := shutil.which(name))]
        if not found:
            raise UserError(
                f"labels.engine: cp2k is not installed: none of {', '.join(BINARIES)} is on PATH; install it (Debian: cp2k cp2k-data)"
            )
        self.binary = found[0]
        self.settings = theory.complete({**settings, "engine": "cp2k"}, CP2K)
        for name, known in (("functional", FUNCTIONALS), ("dispersion", DISPERSIONS)):
            if self.settings.get(name) not in known:
                raise UserError(
                    f"labels.{name}: {self.settings.get(name)!r} is not known; use one of {', '.join(known)}"
                )
        functional, dispersion = self.settings["functional"], self.settings["dispersion"]
        if wrong := theory.problem(CP2K, functional, dispersion, self.settings.get("theory")):
            raise UserError(f"labels.{wrong[0]}: {wrong[1]}")
        self.max_frame_s = float(self.settings.get("max_frame_s", MAX_FRAME_S))
        self.data = data_folder(Path(self.binary))
        self.kinds: dict[str, str] = {}
        self.environment = {**MPI_ALONE, **os.environ, "OMP_NUM_THREADS": str(threads)}
        said = subprocess.run(
            [self.binary, "--version"], capture_output=True, text=True, env=self.environment, check=False
        )
        version = re.search(r"CP2K version (\S+)", said.stdout)
        if version is None:
            raise UserError(f"labels.engine: {self.binary} --version names no version of CP2K; is it CP2K?")
        self.version = f"CP2K {version.group(1)}"
        self._guess: bytes | None = None
        self._guess_numbers = np.array([], dtype=int)

    def label(self, atoms: Atoms, cold: bool = False) -> Label:
        """Label one frame, with up to four attempts that differ in guess, optimiser and length only.

        `cold` leaves the frame before out of it. `Label.scf_steps` counts the steps of all attempts. Only mistakes
        in the settings raise (`UserError`): what goes wrong with a frame is the label's reason.
        """
        warm = not cold and self._guess is not None and np.array_equal(atoms.numbers, self._guess_numbers)
        guess, self._guess = self._guess if warm else None, None  # kept again only after a success
        end = time.monotonic() + 0.98 * self.max_frame_s  # LABEL_FRAMES ends this very process at max_frame_s
        steps, reason = 0, ""
        for number, attempt in enumerate(LADDER if warm else LADDER[1:]):
            if attempt.start == "cold" or reason == "non_finite":
                guess = None
            try:
                with tempfile.TemporaryDirectory(dir=".", prefix="cp2k-", ignore_cleanup_errors=True) as name:
                    (Path(name) / "frame.inp").write_text(self.input_text(atoms, attempt, restart=guess is not None))
                    if guess is not None:
                        (Path(name) / "guess.wfn").write_bytes(guess)
                    label, wave_function = self._run(Path(name), atoms, end)
            except NoLabel as error:
                steps, reason, guess = steps + error.steps, error.reason, error.wave_function
                # Of an engine that stumbled, the guess may be to blame.
                if reason in WORTH_A_RETRY or (reason == "engine_error" and attempt.start == "chained"):
                    continue
                break
            except OSError as error:
                if error.errno not in DISK_ERRORS:
                    raise
                reason = "disk_full"
                break
            label.scf_steps = steps + (label.scf_steps or 0)
            label.guess = attempt.start if number == 0 else "retry"
            self._guess, self._guess_numbers = wave_function, atoms.numbers.copy()
            return label
        return Label(None, None, None, False, scf_steps=steps, reason=reason)

    def _run(self, folder: Path, atoms: Atoms, end: float) -> tuple[Label, bytes | None]:
        """Run CP2K once in a folder and return its label and wave function; raises `NoLabel`."""
        command = [sys.executable, "-ISc", LAUNCHER, str(os.getpid()), self.binary, "-i", "frame.inp"]
        try:
            done = subprocess.run(
                command,
                cwd=folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
                timeout=max(end - time.monotonic(), 0.001),
            )
        except subprocess.TimeoutExpired as error:
            shown = error.stdout.decode(errors="replace") if isinstance(error.stdout, bytes) else error.stdout or ""
            raise NoLabel("engine_timeout", scf_steps(shown)) from None
        steps, saved = scf_steps(done.stdout), folder / "frame-RESTART.wfn"
        wave_function = saved.read_bytes() if saved.is_file() else None
        reason = failure(done.returncode, done.stdout, done.stderr)
        if reason is None:
            # CP2K numbers and ends the names of its files as it likes: frame-forces-1_0.xyz
            forces, stress = (
                "".join(path.read_text(errors="replace") for path in sorted(folder.glob(f"frame-{what}*")))
                for what in ("forces", "stress")
            )
            try:
                forces_ev_a = force_table(forces, len(atoms)) * (Hartree / Bohr)
                label = Label(
                    energy_ev=total_energy(done.stdout, len(atoms)) * Hartree,
                    forces_ev_a=forces_ev_a,
                    stress_ev_a3=stress_tensor(stress) if atoms.pbc.all() else virial_stress(atoms, forces_ev_a),
                    converged=True,
                    scf_steps=steps,
                )
                return label, wave_function
            except NonFinite:
                reason = "non_finite"
            except ValueError as error:
                print(error, file=sys.stderr)
                reason = "output_truncated"
        if reason in ("disk_full", "engine_error", "output_truncated"):
            print("\n".join(done.stdout.splitlines()[-40:]), done.stderr[-4000:], file=sys.stderr)
        raise NoLabel(reason, steps, wave_function)

    def input_text(self, atoms: Atoms, attempt: Attempt, restart: bool) -> str:
        """Return CP2K's input for one frame; `restart`: the first guess is in guess.wfn."""
        settings = self.settings
        functional = settings["functional"]
        kind = DISPERSIONS[settings["dispersion"]]
        dispersion = ""
        if kind is not None:
            by_name = functional in D3_BY_NAME
            parameters = f"REFERENCE_FUNCTIONAL {functional}" if by_name else D3BJ_R2SCAN
            dispersion = DISPERSION.format(kind=kind, parameters=parameters, cutoff_A=settings["dispersion_cutoff_A"])
        symbols = atoms.get_chemical_symbols()
        for element in sorted(set(symbols) - set(self.kinds)):
            file, potential = potential_name(self.data, element, settings["potential"])
            basis = basis_name(self.data, element, settings["basis"], settings["potential"])
            self.kinds[element] = KIND.format(element=element, basis=basis, potential_file=file, potential=potential)
        surroundings = PERIODIC if atoms.pbc.all() else ALONE
        a, b, c = (" ".join(f"{x:.6f}" for x in row) for row in atoms.cell.array)
        rows = zip(symbols, atoms.positions, strict=True)
        names = ("cutoff_Ry", "rel_cutoff_Ry", "eps_scf", "eps_default", "multigrids")
        return INPUT.format(
            **{key: settings[key] for key in names},
            **surroundings,
            charge=round(atoms.get_initial_charges().sum()),
            basis_files="".join(f"    BASIS_SET_FILE_NAME {path.name}\n" for path in basis_files(self.data)),
            guess="RESTART" if restart else "ATOMIC",
            inner_steps=INNER_STEPS,
            outer_loops=attempt.outer_loops,
            optimiser=attempt.optimiser,
            functional=FUNCTIONALS[functional],
            dispersion=dispersion,
            a=a,
            b=b,
            c=c,
            coordinates="\n".join(f"{symbol} {x:.6f} {y:.6f} {z:.6f}" for symbol, (x, y, z) in rows),
            kinds="".join(self.kinds[element] for element in sorted(set(symbols))),
        )
