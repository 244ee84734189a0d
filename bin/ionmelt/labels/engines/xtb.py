"""Labels from GFN1-xTB and GFN2-xTB of tblite: semi-empirical, so a demonstration and no DFT."""

import importlib.metadata
import re

import numpy as np
from ase import Atoms
from ase.units import Bohr, Hartree, kB
from tblite.exceptions import TBLiteRuntimeError
from tblite.interface import Calculator, Result

from ionmelt.frame import Label, no_label
from ionmelt.labels.engines.settings import XtbLabels

CYCLE = re.compile(r"^\s+(\d+)\s+-?\d+\.\d+\s+\S+\s+\S+\s*$")  # a line of tblite's SCC table
DAMPING, SMALL_DAMPING = 0.4, 0.1


class Engine:
    """Energy, forces and stress of periodic, neutral frames, and of ions without images.

    The charges of the frame before, if it has the same species in the same order, are the first guess: a
    guess decides how many cycles are needed and not where they end, which `accuracy` does.

    Parameters
    ----------
    settings : `accuracy` is tblite's scale of all thresholds (1 is its default), `electronic_temperature_K` that of
        the Fermi filling.
    threads : taken from the environment by tblite (OMP_NUM_THREADS, set before this module is imported).
    """

    version = f"tblite {importlib.metadata.version('tblite')}"

    def __init__(self, settings: XtbLabels, threads: int) -> None:
        self.settings = settings
        self._guess: Result | None = None
        self._guess_numbers = np.array([], dtype=int)

    def label(self, atoms: Atoms, cold: bool = False) -> Label:
        """Label one frame, with up to three attempts that differ in guess and mixing only.

        `cold` leaves the frame before out of it. `Label.scf_steps` counts the cycles of all attempts (from
        tblite's printed table).
        """
        warm = not cold and np.array_equal(atoms.numbers, self._guess_numbers)
        attempts: list[tuple[Result | None, int, float]] = [
            (None, self.settings.max_iterations, DAMPING),
            (None, 4 * self.settings.max_iterations, SMALL_DAMPING),
        ]
        if warm:
            attempts.insert(0, (self._guess, self.settings.max_iterations, DAMPING))
        steps = 0
        for number, (guess, iterations, damping) in enumerate(attempts):
            printed: list[str] = []
            try:
                result = self._calculator(atoms, iterations, damping, printed).singlepoint(guess, copy=True)
            except TBLiteRuntimeError as error:
                steps += _cycles(printed)
                if "distance" in str(error):
                    return no_label("overlap")
                if "not converged" not in str(error):
                    raise
                continue
            steps += _cycles(printed)
            self._guess, self._guess_numbers = result, atoms.numbers.copy()
            virial = result.get("virial")
            return Label(
                energy_ev=float(result.get("energy")) * Hartree,
                forces_ev_a=-result.get("gradient") * (Hartree / Bohr),
                stress_ev_a3=(virial + virial.T) / 2 * Hartree / atoms.get_volume(),
                converged=True,
                scf_steps=steps,
                guess="retry" if number else "chained" if warm else "cold",
            )
        return no_label("scf_not_converged", steps)

    def _calculator(self, atoms: Atoms, iterations: int, damping: float, printed: list[str]) -> Calculator:
        calculator = Calculator(
            self.settings.method,
            atoms.numbers,
            atoms.positions / Bohr,
            charge=float(atoms.get_initial_charges().sum()),
            uhf=0,
            lattice=atoms.cell.array / Bohr,
            periodic=atoms.pbc,
            color=False,
            logger=printed.append,
        )
        calculator.set("accuracy", self.settings.accuracy)
        calculator.set("temperature", self.settings.electronic_temperature_K * kB / Hartree)
        calculator.set("max-iter", iterations)
        calculator.set("mixer-damping", damping)
        return calculator


def _cycles(printed: list[str]) -> int:
    """Count the cycles in what tblite printed."""
    return sum(bool(CYCLE.match(line)) for text in printed for line in text.splitlines())
