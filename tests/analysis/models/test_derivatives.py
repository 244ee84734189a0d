"""Whether forces and stress are derivatives of the energy: right models in any precision pass, each wrong one is found."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.lj import LennardJones
from ase.stress import voigt_6_to_full_3x3_stress

from ionmelt.models import derivatives
from ionmelt.models.trial import try_out

# Reference energies (eV) as they stand in models: none, of a code with pseudopotentials, of one with all electrons.
ZEROS = {"none": 0.0, "pseudopotential": -300.0, "all electrons": -1000.0}
SETS = (["F", "Li"], ["B", "F", "Li"], ["Cl", "Na"], ["C", "F", "H", "N", "P"])
Results = dict[str, Any]


class Made(LennardJones):
    """A model with a zero of energy, in single precision or not, whose results are changed in the end."""

    def __init__(self, zero_ev: float, single: bool, change: Callable[[Results], None]) -> None:
        super().__init__(sigma=1.8, epsilon=0.3, rc=4.5, smooth=True)
        self.zero_ev, self.kind, self.change = zero_ev, np.float32 if single else np.float64, change

    def calculate(self, *arguments: Any, **named: Any) -> None:
        super().calculate(*arguments, **named)
        self.results["energy"] += self.zero_ev * len(self.atoms)
        self.change(self.results)
        for name in ("energy", "forces", "stress"):
            self.results[name] = self.kind(self.results[name])


def nothing(_results: Results) -> None:
    """Change nothing."""


def forces_by_tenth(results: Results) -> None:
    """All forces are a tenth too large."""
    results["forces"] = 1.1 * results["forces"]


def one_atom(results: Results) -> None:
    """The force on one atom is twice as large."""
    results["forces"][0] *= 2


def turned(results: Results) -> None:
    """The axes of the forces are exchanged."""
    results["forces"] = results["forces"][:, [1, 2, 0]]


def pull(results: Results) -> None:
    """The sign of the stress is the wrong one."""
    results["stress"] = -results["stress"]


def stress_by_tenth(results: Results) -> None:
    """All of the stress is a tenth too large."""
    results["stress"] = 1.1 * results["stress"]


def deviator(results: Results) -> None:
    """What is no pressure of the stress has another size and the wrong sign."""
    pressure = results["stress"][:3].mean()
    results["stress"] = -3 * results["stress"]
    results["stress"][:3] += 4 * pressure


def shear(results: Results) -> None:
    """The shear alone has the wrong sign."""
    results["stress"][3:] *= -1


def shears_in_another_order(results: Results) -> None:
    """xy, xz, yz in place of yz, xz, xy."""
    results["stress"][3:] = results["stress"][[5, 4, 3]]


@pytest.mark.parametrize("elements", SETS, ids="".join)
@pytest.mark.parametrize("zero", ZEROS)
@pytest.mark.parametrize("single", [False, True], ids=["double", "single"])
def test_a_right_model_raises_no_alarm(elements: list[str], zero: str, single: bool) -> None:
    trial = try_out(Made(ZEROS[zero], single, nothing), elements)
    assert trial.conservative
    if not single:
        assert max(trial.force_off, trial.stress_off) < 1e-3


@pytest.mark.parametrize("wrong", [forces_by_tenth, one_atom, turned])
@pytest.mark.parametrize("single", [False, True], ids=["double", "single"])
def test_wrong_forces_are_found(wrong: Callable[[Results], None], single: bool) -> None:
    for elements in SETS:
        trial = try_out(Made(-100.0, single, wrong), elements)
        assert not trial.conservative
        assert trial.stress_off <= 0.05


@pytest.mark.parametrize("wrong", [pull, stress_by_tenth, deviator, shear, shears_in_another_order])
@pytest.mark.parametrize("single", [False, True], ids=["double", "single"])
def test_a_wrong_stress_is_found(wrong: Callable[[Results], None], single: bool) -> None:
    for elements in SETS:
        trial = try_out(Made(-100.0, single, wrong), elements)
        assert not trial.conservative
        assert trial.force_off <= 0.05


def test_a_strain_changes_the_energy_by_the_stress_of_its_name() -> None:
    """Work is V s : e, of the symmetric part of a deformation; the stress has six different numbers here."""
    box, stress = bulk("Ar", cubic=True, a=4.0), voigt_6_to_full_3x3_stress(np.arange(6.0))
    for i, j in ((0, 0), (0, 1), (2, 1)):
        strained = derivatives.strained(box, 0.01 * derivatives.unit_strain(i, j))
        gradient = np.linalg.solve(box.cell.array, strained.cell.array) - np.eye(3)
        assert np.sum(stress * (gradient + gradient.T) / 2) == pytest.approx(0.01 * stress[i, j])


class Breaks(LennardJones):
    """A model that has no number a step away from where it was asked first."""

    first: Atoms | None = None

    def calculate(self, *arguments: Any, **named: Any) -> None:
        super().calculate(*arguments, **named)
        self.first = self.first or self.atoms.copy()
        if self.atoms != self.first:
            self.results["energy"] = float("nan")


def test_no_number_a_step_away_is_one_line() -> None:
    with pytest.raises(Exception, match="numbers that are not finite on a small box of F, Li"):
        try_out(Breaks(sigma=1.8, epsilon=0.3, rc=4.5), ["F", "Li"])
