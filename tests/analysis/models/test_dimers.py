"""Atoms alone and in pairs: against the law of a pair potential, and what is said where a model has no answer."""

from typing import Any, ClassVar

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.calculator import Calculator
from ase.calculators.lj import LennardJones

from ionmelt.models import dimers


class Shifted(LennardJones):
    """A pair potential in which every atom has an energy of its own."""

    def calculate(self, *arguments: Any, **named: Any) -> None:
        super().calculate(*arguments, **named)
        self.results["energy"] -= 50.0 * len(self.atoms)


class Knows(Calculator):
    """A model of lithium alone, which does not like to be near."""

    implemented_properties: ClassVar[list[str]] = ["energy"]

    def calculate(self, *arguments: Any, **named: Any) -> None:
        super().calculate(*arguments, **named)
        if set(self.atoms.symbols) != {"Li"}:
            raise KeyError("F")
        close = len(self.atoms) == 2 and self.atoms.get_distance(0, 1) < 2
        self.results = {"energy": float("nan") if close else 0.0}


def test_a_pair_potential_gives_back_its_law() -> None:
    rows = list(dimers.curves(Shifted(sigma=1.8, epsilon=0.3, rc=20.0), ["Li", "F"]))
    alone = {row.pair: row.energy_ev for row in rows if row.distance_A is None}
    assert alone == {"F": pytest.approx(-50.0), "Li": pytest.approx(-50.0)}
    pairs = {row.pair for row in rows if row.distance_A is not None}
    assert pairs == {"F-F", "F-Li", "Li-Li"}
    shift = 4 * 0.3 * ((1.8 / 20) ** 12 - (1.8 / 20) ** 6)  # ASE shifts the potential to 0 at its cut-off
    for row in rows:
        if row.distance_A is not None:
            ratio = (1.8 / row.distance_A) ** 6
            assert row.energy_ev == pytest.approx(4 * 0.3 * (ratio**2 - ratio) - shift, abs=1e-9)


def test_distances_begin_inside_the_atoms() -> None:
    distances = dimers.distances_A("Li", "F")
    assert len(distances) == dimers.POINTS
    assert (distances[0], distances[-1]) == (pytest.approx(0.5 * (1.28 + 0.57), abs=1e-3), dimers.LONGEST_A)
    assert (np.diff(distances) > 0).all()


def test_what_a_model_does_not_know_is_a_row_with_a_reason() -> None:
    rows = list(dimers.curves(Knows(), ["Li", "F"]))
    assert {row.reason for row in rows if row.pair == "F"} == {"its library fails in vacuum: KeyError: 'F'"}
    assert {row.reason for row in rows if row.pair == "F-Li"} == {"no energy of F alone"}
    lithium = [row for row in rows if row.pair == "Li-Li"]
    assert {row.reason for row in lithium} == {None, "not a finite number"}
    assert all((row.energy_ev is None) == (row.reason is not None) for row in rows)


def test_energy_leaves_the_atoms_alone() -> None:
    atoms = Atoms("Li2", positions=[[0, 0, 0], [0, 0, 3]])
    value, reason = dimers.energy(LennardJones(rc=9.0), atoms)
    assert reason is None
    assert value is not None
    assert not atoms.pbc.any()
