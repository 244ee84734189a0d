"""How far a model sees: charges see each other at any distance, a model with a cut-off does not beyond it."""

from pathlib import Path
from typing import Any, ClassVar

import ase.io
import numpy as np
import openmm
import pytest
from ase import Atoms, units
from ase.calculators.calculator import Calculator
from ase.neighborlist import neighbor_list

from ionmelt.liquid.calculator import ClassicalCalculator
from ionmelt.models import long_range
from ionmelt.topology import Ion, Topology

CHARGES = {"Li": 1.0, "F": -1.0, "B": 3.0}  # BF4 as a whole: -1


class Charges(Calculator):
    """Point charges at the atoms, which see each other up to a cut-off (A)."""

    implemented_properties: ClassVar[list[str]] = ["energy"]

    def __init__(self, cutoff_A: float, share: float = 1.0, bump_ev: float = 0.0) -> None:
        super().__init__()
        self.cutoff_A, self.share, self.bump_ev = cutoff_A, share, bump_ev

    def calculate(self, *arguments: Any, **named: Any) -> None:
        super().calculate(*arguments, **named)
        charges = np.array([CHARGES[symbol] for symbol in self.atoms.symbols])
        i, j = np.triu_indices(len(self.atoms), 1)
        apart = self.atoms.get_all_distances()[i, j]
        pairs = units.Hartree * units.Bohr * charges[i] * charges[j] / apart
        bump = self.bump_ev if 24 < apart.max() < 29 else 0.0
        self.results = {"energy": self.share * float(pairs[apart < self.cutoff_A].sum()) - 100.0 + bump}


class BoxesAlone(Charges):
    """The same of atoms and all their images, by a library that divides by the cell, as those of crystals do."""

    def calculate(self, *arguments: Any, **named: Any) -> None:
        Calculator.calculate(self, *arguments, **named)
        np.linalg.inv(self.atoms.cell.array)
        i, j, apart = neighbor_list("ijd", self.atoms, self.cutoff_A)
        charges = np.array([CHARGES[symbol] for symbol in self.atoms.symbols])
        pairs = units.Hartree * units.Bohr * charges[i] * charges[j] / apart
        self.results = {"energy": 0.5 * float(pairs.sum()) - 100.0}


class Neighbours(Calculator):
    """A model that fails where atoms are far apart."""

    implemented_properties: ClassVar[list[str]] = ["energy"]

    def calculate(self, *arguments: Any, **named: Any) -> None:
        super().calculate(*arguments, **named)
        if self.atoms.get_all_distances().max() > 20:
            raise ValueError("no neighbours")
        self.results = {"energy": 0.0}


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A box with a cation of one atom and an anion of five, cut by the walls."""
    leg = 0.8 * np.array([[0, 0, 0], [1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])
    lithium: Ion = {
        "name": "li", "smiles": "", "charge": 1, "count": 1, "elements": ["Li"], "bonds": [], "masses_u": [6.94], "types": None,
    }  # fmt: skip
    bf4: Ion = {
        "name": "bf4", "smiles": "", "charge": -1, "count": 1, "elements": ["B", *["F"] * 4],
        "bonds": [[0, i] for i in range(1, 5)], "masses_u": [10.81, *[18.998] * 4], "types": None,
    }  # fmt: skip
    Topology("libf4", [lithium, bf4]).save(tmp_path / "topology.json")
    box = Atoms("LiBF4", [[3.0, 3.0, 3.0], *(leg + 8.9)], cell=[9.0] * 3, pbc=True)
    box.wrap()
    ase.io.write(tmp_path / "start.extxyz", box)
    return tmp_path


def test_charges_follow_the_law_and_are_seen_all_the_way(state: Path) -> None:
    rows = [row for row in long_range.curves(Charges(np.inf), [state]) if row.ions == 2]
    assert {(row.liquid, row.pair, row.reason, row.blind_beyond_A) for row in rows} == {("libf4", "li-bf4", None, None)}
    assert (rows[0].distance_A, rows[-1].distance_A) == (3.0, 30.0)
    for row in rows:
        law = -14.399645 * (1 / row.distance_A - 1 / 30)
        assert row.coulomb_ev == pytest.approx(law, rel=1e-6, abs=1e-9)
        # the charges of the anion are not at its centre
        assert row.energy_ev == pytest.approx(law, rel=0.25 if row.distance_A < 6 else 0.02, abs=1e-9)


@pytest.mark.parametrize(
    ("share", "sight"),
    [(1.0, "right"), (0.64, "right"), (-1.0, "wrong sign"), (0.3, "wrong size"), (4.0, "wrong size")],
)
def test_what_is_seen_has_the_sign_and_the_size_of_the_law(share: float, sight: str, state: Path) -> None:
    rows = [row for row in long_range.curves(Charges(np.inf, share), [state]) if row.ions == 2]
    assert {(row.sight, row.blind_beyond_A) for row in rows} == {(sight, None)}
    assert rows[0].coulomb_share == pytest.approx(share, rel=0.02)


@pytest.mark.parametrize("scale", [1.0, 0.8])
def test_a_force_field_is_judged_by_its_charges_without_images(scale: float, state: Path) -> None:
    system, coulomb = openmm.System(), openmm.NonbondedForce()
    for charge in (1.0, 0.8, *[-0.45] * 4):
        system.addParticle(1.0)
        coulomb.addParticle(scale * charge, 0.1, 0.0)
    coulomb.setNonbondedMethod(openmm.NonbondedForce.PME)
    coulomb.setCutoffDistance(0.4)
    system.setDefaultPeriodicBoxVectors(*(openmm.Vec3(*row) for row in 0.9 * np.eye(3)))
    system.addForce(coulomb)
    calculator = ClassicalCalculator(openmm.XmlSerializer.serialize(system))
    rows = [row for row in long_range.curves({"libf4": calculator}, [state]) if row.ions == 2]
    assert {(row.pair, row.sight, row.reason) for row in rows} == {("li-bf4", "right", None)}
    assert rows[0].coulomb_share == pytest.approx(scale**2, rel=0.02)
    assert rows[-2].energy_ev == pytest.approx(scale**2 * rows[-2].coulomb_ev, rel=0.02)


@pytest.mark.parametrize("cutoff_A", [6.0, 15.0])
def test_a_model_of_periodic_boxes_alone_is_seen_as_in_vacuum(cutoff_A: float, state: Path) -> None:
    boxes, vacuum = (list(long_range.curves(kind(cutoff_A), [state])) for kind in (BoxesAlone, Charges))
    assert {row.reason for row in boxes} == {None}
    assert len(boxes) > 20
    for row, other in zip(boxes, vacuum, strict=True):
        assert row.energy_ev == pytest.approx(other.energy_ev, abs=1e-9)
        assert (row.pair, row.distance_A, row.sight) == (other.pair, other.distance_A, other.sight)


@pytest.mark.parametrize("bump_ev", [0.0, 0.02])
@pytest.mark.parametrize("cutoff_A", [6.0, 11.0])
def test_a_model_is_blind_from_its_cutoff_on(cutoff_A: float, bump_ev: float, state: Path) -> None:
    """A bump far out is no sight."""
    rows = [row for row in long_range.curves(Charges(cutoff_A, bump_ev=bump_ev), [state]) if row.ions == 2]
    assert {row.sight for row in rows} == {"blind"}
    blind = {row.blind_beyond_A for row in rows}
    assert len(blind) == 1
    (beyond,) = blind
    step = long_range.DISTANCES_A[1] / long_range.DISTANCES_A[0]
    assert beyond is not None
    assert (
        cutoff_A / step < beyond < (cutoff_A + 2) * step
    )  # the nearest atoms of the anion are 1.4 A before its centre


def test_two_pairs_are_dipoles(state: Path) -> None:
    rows = [row for row in long_range.curves(Charges(np.inf), [state]) if row.ions == 4]
    assert len(rows) > 5
    assert rows[0].blind_beyond_A is None
    near, far = (next(row for row in rows if row.distance_A > d) for d in (12, 18))
    ratio = (near.coulomb_ev - rows[-1].coulomb_ev) / (far.coulomb_ev - rows[-1].coulomb_ev)
    assert ratio > (far.distance_A / near.distance_A) ** 2.5  # not the first power
    assert near.energy_ev == pytest.approx(near.coulomb_ev, rel=0.25)


def test_a_distance_without_an_energy_is_a_row_with_its_reason(state: Path) -> None:
    rows = [row for row in long_range.curves(Neighbours(), [state]) if row.ions == 2]
    assert rows[-1].reason == "its library fails in vacuum: ValueError: no neighbours"
    assert all(row.energy_ev is None and row.reason for row in rows)
    assert {(row.blind_beyond_A, row.sight, row.coulomb_share) for row in rows} == {(None, None, None)}


def test_no_point_is_too_close(state: Path) -> None:
    _, ions = long_range.bodies(state)
    close = ions["bf4"].moved(np.array([1.0, 0.0, 0.0]))
    assert long_range.touching(ions["li"], close)
    assert not long_range.touching(ions["li"], close.moved(np.array([3.0, 0.0, 0.0])))
