"""MACE-POLAR, with the stress of its charges and without waves where nothing is periodic.

MACE 0.3.16 strains the vectors between neighbours alone: the charges are summed over the cell as it is, and its stress lacks what they
pull. Here the stress is a central difference of the energy. Of atoms in vacuum, whose charges are summed pair by pair, MACE lists
the waves of the cell that it puts around them, which are the more the farther atoms are apart; here it has none but the first.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from ase import Atoms
from ase.calculators.calculator import all_changes
from mace.calculators import MACECalculator

from ionmelt.models.derivatives import strained, unit_strain

STRAIN = 1e-3
VOIGT = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))


def sees_beyond_cutoff(model: Any) -> bool:
    """Tell whether charges of a model of MACE see each other beyond its cut-off: such a model has a method for their energy."""
    return hasattr(model, "coulomb_energy")


def without_waves(model: Any) -> None:
    """Let a model have no list of waves for atoms in vacuum, in place."""
    plain = model.forward

    def forward(data: dict[str, torch.Tensor], **options: Any) -> Any:
        if not data["pbc"].any():
            beyond = 2 * model.kspace_cutoff * torch.eye(3).to(data["cell"])
            data = data | {"rcell": beyond.repeat(len(data["ptr"]) - 1, 1)}
        return plain(data, **options)

    model.forward = forward


class PolarCalculator(MACECalculator):
    """MACE's calculator of a model whose charges see each other beyond the cut-off.

    With ``hydrostatic`` the stress is the isotropic part alone (2 energies rather than 12), on the diagonal.
    """

    results: dict[str, Any]
    stress_is_dear = True  # it takes further energies, and is computed only where something needs it

    def __init__(self, hydrostatic: bool, **options: Any) -> None:
        super().__init__(**options)
        self.hydrostatic = hydrostatic
        for model in self.models:
            without_waves(model)

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] | None = None,
        system_changes: Sequence[str] = all_changes,
    ) -> None:
        """Compute energy (eV) and forces (eV/A), and the stress (eV/A^3, Voigt) when asked for."""
        assert atoms is not None  # ASE gives them
        super().calculate(atoms, properties, system_changes)
        results = {name: value for name, value in self.results.items() if name != "stress"}
        if "stress" in (properties or ()):
            if self.hydrostatic:
                stress = np.array([self.derivative(atoms, np.eye(3)) / 3] * 3 + [0.0] * 3)
            else:
                stress = np.array([self.derivative(atoms, unit_strain(i, j)) for i, j in VOIGT])
            results["stress"] = stress / atoms.get_volume()
        self.atoms, self.results = atoms.copy(), results  # not those of the last strain

    def derivative(self, atoms: Atoms, direction: np.ndarray) -> float:
        """Return dE/d(strain) in eV along one strain direction (3, 3)."""
        ends = []
        for sign in (1, -1):
            super().calculate(strained(atoms, sign * STRAIN * direction))
            ends.append(float(self.results["energy"]))
        return (ends[0] - ends[1]) / (2 * STRAIN)
