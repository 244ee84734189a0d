"""Charge and spin reach a model that reads them: in evaluation, in runs and their engines, and in its trial."""

from pathlib import Path
from typing import Any, ClassVar

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import Calculator
from tiny_imports import do_import

from ionmelt import frame as frames
from ionmelt.charge import say_charge
from ionmelt.dynamics.engines.forces import EngineCalculator, PlainEngine
from ionmelt.dynamics.run import Run
from ionmelt.dynamics.settings import RunSettings
from ionmelt.models import dimers
from ionmelt.models.card import read_card
from ionmelt.models.prediction import predict
from ionmelt.models.small_box import reads


class Echo(Calculator):
    """A model whose energy is what it is told: 10 eV an elementary charge, and 1 eV for each of the spin."""

    implemented_properties: ClassVar[list[str]] = ["energy", "forces", "stress"]
    names = ("charge", "spin")

    def calculate(self, *arguments: Any, **named: Any) -> None:
        super().calculate(*arguments, **named)
        charge, spin = (self.atoms.info[name] for name in self.names)
        self.results = {
            "energy": 10.0 * charge + spin,
            "forces": np.zeros((len(self.atoms), 3)),
            "stress": np.zeros(6),
        }


class EchoOfTotals(Echo):
    """The same, by the other names."""

    names = ("total_charge", "total_spin")


class Deaf(Echo):
    """A model that does not ask."""

    def calculate(self, *arguments: Any, **named: Any) -> None:
        Calculator.calculate(self, *arguments, **named)
        self.results = {"energy": 0.0, "forces": np.zeros((len(self.atoms), 3)), "stress": np.zeros(6)}


class Noisy(Deaf):
    """A model that never gives the same energy twice, as some do on a GPU, and does not ask."""

    share = 0.0  # of the charge, as energy

    def calculate(self, *arguments: Any, **named: Any) -> None:
        super().calculate(*arguments, **named)
        self.random = getattr(self, "random", None) or np.random.default_rng(1)
        self.results["energy"] = -100.0 + self.share * self.atoms.info["charge"] + 1e-7 * self.random.normal()


class NoisyEcho(Noisy):
    """The same, and it does ask."""

    share = 1e-3


def labelled(symbols: str, positions: list[list[float]], **info: Any) -> Atoms:
    """Return a frame with a label, of one ion or a few."""
    numbers = Atoms(symbols).numbers
    molecule = list(range(len(numbers)))
    frame = frames.make_frame(
        numbers, np.array(positions), np.full(3, 20.0), molecule, ["x"] * len(numbers), liquid="l", kind="neq",
        recipe="r", group="g", **info,
    )  # fmt: skip
    frames.set_label(frame, 0.0, np.zeros((len(numbers), 3)), np.zeros((3, 3)), "0" * 12, True, None)
    return frame


@pytest.mark.parametrize("kind", [Echo, EchoOfTotals])
def test_evaluation_says_the_charge_of_boxes_ions_and_clusters(kind: type[Echo]) -> None:
    box = labelled("LiF", [[0, 0, 0], [2, 0, 0]])
    cation, anion = labelled("Li", [[0, 0, 0]], charge=1), labelled("F", [[0, 0, 0]], charge=-1)
    cluster = labelled("Li2F", [[0, 0, 0], [2, 0, 0], [4, 0, 0]], charge=1)
    radical = labelled("O2", [[0, 0, 0], [1.3, 0, 0]], charge=-1)  # an odd number of electrons
    said = [p.model.energy for p in predict([box, cation, anion, cluster, radical], kind()) if p.model]
    assert said == [1, 11, -9, 11, -8]


def test_atoms_alone_are_neutral_with_their_lowest_spin() -> None:
    rows = list(dimers.curves(Echo(), ["Li", "F"]))
    assert {row.energy_ev for row in rows if row.distance_A is None} == {2.0}
    assert {row.energy_ev for row in rows if row.distance_A is not None} == {1.0 - 4.0}


def test_runs_say_the_charge_to_the_engine(tmp_path: Path) -> None:
    ase.io.write(tmp_path / "start.extxyz", bulk("LiF", "rocksalt", a=4.0, cubic=True))
    run = Run(RunSettings.model_construct(hydrogen_mass_u=None), tmp_path, tmp_path)
    atoms = run.atoms()
    atoms.calc = EngineCalculator(PlainEngine(Echo(), run.atoms()))
    assert atoms.get_potential_energy() == 1.0
    atoms.calc = Echo()
    assert atoms.get_potential_energy() == 1.0


@pytest.mark.parametrize(("kind", "used"), [("Echo", True), ("EchoOfTotals", True), ("Deaf", False)])
def test_the_card_says_whether_a_model_uses_them(kind: str, used: bool, tmp_path: Path) -> None:
    settings = {"framework": "ase", "calculator": f"{__name__}.{kind}", "weights_argument": None}
    code, errors, model = do_import(tmp_path, None, **settings)
    assert (code, errors) == (0, [])
    card = read_card(model)
    assert (card.uses_charge, card.uses_spin) == (used, used)


def test_noise_is_no_charge() -> None:
    assert reads(Noisy(), ["Li", "F"]) == {"uses_charge": False, "uses_spin": False}
    assert reads(NoisyEcho(), ["Li", "F"]) == {"uses_charge": True, "uses_spin": False}


def test_a_charge_that_is_said_changes_nothing_else() -> None:
    atoms = bulk("LiF", "rocksalt", a=4.0)
    atoms.info["liquid"] = "l"
    before = atoms.copy()
    say_charge(atoms, -1)
    assert atoms == before
    assert atoms.info["liquid"] == "l"
