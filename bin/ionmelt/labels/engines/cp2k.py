"""Labels from density functional theory by CP2K: Quickstep, GTH pseudopotentials, gamma point.

Each frame is one run of the program CP2K. What is taken from it is only what its output says twice: an SCF that
converged and a regular end, an energy that its SCF table has too, forces that sum to the sum it prints, a stress
with its trace. Everything else is a reason code:

``scf_not_converged``, ``non_finite`` (NaN or a field of asterisks), ``output_truncated``, ``engine_killed`` (by a
signal), ``disk_full``, ``engine_timeout`` (``max_frame_s``), ``engine_error`` (its last words go to standard error).

Fluorine and oxygen are hard: at 400 to 600 Ry the grid alone puts 0.1 eV/A into the forces of LiBF4, and they
no longer sum to zero, which LABEL_FRAMES refuses (``net_force``). Use 1200 Ry or more where there is fluorine (`settings` has the figures).
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.units import Bohr, Hartree

from ionmelt import theory
from ionmelt.errors import DISK_ERRORS, UserError
from ionmelt.frame import Label, no_label, virial_stress
from ionmelt.labels.engines.cp2k_data import data_folder
from ionmelt.labels.engines.cp2k_input import FAST, STURDY, Attempt, Inputs
from ionmelt.labels.engines.cp2k_output import NonFinite, failure, force_table, scf_steps, stress_tensor, total_energy
from ionmelt.labels.engines.settings import CP2K, Cp2kLabels

BINARIES = ("cp2k.ssmp", "cp2k.psmp", "cp2k")
LADDER = (
    Attempt("chained", FAST, 8),
    Attempt("cold", FAST, 8),
    Attempt("cold", STURDY, 8),
    Attempt("continued", STURDY, 20),
)
# A further attempt may mend these failures; any other only where a bad guess may have caused it.
WORTH_A_RETRY = ("scf_not_converged", "non_finite")
# CP2K runs as one process: Open MPI is to start no daemon beside it, which could outlive a killed CP2K.
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


class NoLabel(Exception):
    """An attempt gave no label: why, the SCF steps that it took, and what it leaves of its wave function."""

    def __init__(self, reason: str, steps: int = 0, wave_function: bytes | None = None) -> None:
        super().__init__(reason)
        self.reason, self.steps, self.wave_function = reason, steps, wave_function


class Engine:
    """Energy, forces and stress of periodic, neutral, closed-shell frames at the gamma point, and of ions without images.

    `basis` and `potential` of the settings are names in CP2K's data; either may be named without its -qN. `threads` are CP2K's
    OpenMP threads. Raises `UserError` where CP2K is not there, or has not the level of theory.
    """

    def __init__(self, settings: Cp2kLabels, threads: int) -> None:
        binaries = [path for name in BINARIES if (path := shutil.which(name))]
        if not binaries:
            raise UserError(
                f"labels.engine: cp2k is not installed: none of {', '.join(BINARIES)} is on PATH; install it (Debian: cp2k cp2k-data)"
            )
        if wrong := theory.problem(CP2K, settings.functional, settings.dispersion, settings.theory):
            raise UserError(f"labels.{wrong[0]}: {wrong[1]}")
        self.binary = binaries[0]
        self.max_frame_s = settings.max_frame_s
        self.inputs = Inputs(settings, data_folder(Path(self.binary)))
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
                label, wave_function = self._attempt(atoms, attempt, guess, end)
            except NoLabel as error:
                steps, reason, guess = steps + error.steps, error.reason, error.wave_function
                if not worth_a_retry(reason, attempt):
                    break
                continue
            label.scf_steps = steps + (label.scf_steps or 0)
            label.guess = attempt.start if number == 0 else "retry"
            self._guess, self._guess_numbers = wave_function, atoms.numbers.copy()
            return label
        return no_label(reason, steps)

    def _attempt(self, atoms: Atoms, attempt: Attempt, guess: bytes | None, end: float) -> tuple[Label, bytes | None]:
        """Run CP2K in a folder of its own, from a guess where there is one; return label and wave function, or raise `NoLabel`."""
        try:
            with tempfile.TemporaryDirectory(dir=".", prefix="cp2k-", ignore_cleanup_errors=True) as name:
                folder = Path(name)
                (folder / "frame.inp").write_text(self.inputs.text(atoms, attempt, restart=guess is not None))
                if guess is not None:
                    (folder / "guess.wfn").write_bytes(guess)
                return self._run(folder, atoms, end)
        except OSError as error:
            if error.errno not in DISK_ERRORS:
                raise
            raise NoLabel("disk_full") from error

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
            try:
                return label_of(folder, done.stdout, atoms, steps), wave_function
            except NonFinite:
                reason = "non_finite"
            except ValueError as error:
                print(error, file=sys.stderr)
                reason = "output_truncated"
        if reason in ("disk_full", "engine_error", "output_truncated"):
            print("\n".join(done.stdout.splitlines()[-40:]), done.stderr[-4000:], file=sys.stderr)
        raise NoLabel(reason, steps, wave_function)


def worth_a_retry(reason: str, attempt: Attempt) -> bool:
    """Tell whether the next attempt may do better; of an engine that stumbled, the guess may be to blame."""
    return reason in WORTH_A_RETRY or (reason == "engine_error" and attempt.start == "chained")


def label_of(folder: Path, output: str, atoms: Atoms, steps: int) -> Label:
    """Return the label in the files of a run that went well; raises `NonFinite`, and `ValueError` where they are not whole."""
    # CP2K numbers and ends the names of its files as it likes: frame-forces-1_0.xyz
    forces, stress = (
        "".join(path.read_text(errors="replace") for path in sorted(folder.glob(f"frame-{what}*")))
        for what in ("forces", "stress")
    )
    forces_ev_a = force_table(forces, len(atoms)) * (Hartree / Bohr)
    return Label(
        energy_ev=total_energy(output, len(atoms)) * Hartree,
        forces_ev_a=forces_ev_a,
        stress_ev_a3=stress_tensor(stress) if atoms.pbc.all() else virial_stress(atoms, forces_ev_a),
        converged=True,
        scf_steps=steps,
    )
