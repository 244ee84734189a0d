"""The dispersion that is added to a model which imitates a functional without it: D3(BJ)."""

from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes

from ionmelt.models.device import device_name
from ionmelt.models.settings import AddedDispersion

# D3's pairs are switched off over this length (A), and counted for coordination numbers up to this (A).
SWITCH_A = 2.0
COORDINATION_A = 21.2


def added_dispersion(settings: AddedDispersion | None) -> Calculator | None:
    """Return the calculator of the two-body D3(BJ) that a card's settings add to a model (Grimme et al., J. Comput. Chem.
    32, 1456, 2011; simple-dftd3), None where they add none.
    """
    if settings is None:
        return None
    from dftd3.ase import DFTD3

    parameters = {"method": settings.functional.lower(), "atm": False}
    return DFTD3(damping="d3bj", params_tweaks=parameters, realspace_cutoff=dispersion_radii(settings.cutoff_A))


def dispersion_radii(cutoff_A: float) -> dict[str, float]:
    """Return the radii (A) that dftd3 is given for a cut-off of the pairs."""
    return {"disp2": cutoff_A, "disp3": cutoff_A, "cn": COORDINATION_A, "width2": SWITCH_A}


class DispersedCalculator(Calculator):
    """A model with the dispersion added that it lacks."""

    implemented_properties = ["energy", "forces", "stress"]  # noqa: RUF012  (ASE's interface)

    def __init__(self, model: Calculator, dispersion: Calculator) -> None:
        super().__init__()
        self.parts, self.device = (model, dispersion), device_name(model)

    def reset(self) -> None:
        """Forget what was computed."""
        super().reset()
        for calculator in self.parts:
            calculator.reset()

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: list[str] | None = None,
        system_changes: list[str] = all_changes,
    ) -> None:
        """Compute the sums of energy (eV), forces (eV/A) and, in a periodic box, stress (eV/A^3, Voigt)."""
        super().calculate(atoms, properties, system_changes)
        assert self.atoms is not None  # ASE has set it
        names = ("energy", "forces", "stress") if self.atoms.pbc.all() else ("energy", "forces")
        for name in names:
            self.results[name] = sum(calculator.get_property(name, self.atoms) for calculator in self.parts)


def with_dispersion(calculator: Calculator, settings: AddedDispersion | None) -> Calculator:
    """Return the calculator with the dispersion of a card's settings added, or as it is where they add none."""
    dispersion = added_dispersion(settings)
    return calculator if dispersion is None else DispersedCalculator(calculator, dispersion)
