"""Open a model that a user brings, say what it is and compute a small box: the script of a confined process (ionmelt/models/confined.py).

It reads a request on standard input and answers on standard output, both JSON; import_model.py and the training of MACE ask. Libraries
are imported first, then the process is confined, and only then is the file opened.
"""

import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Literal

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator, Calculator
from pydantic import BaseModel

from ionmelt.charge import lowest_spin, say_charge
from ionmelt.errors import UserError, is_resource, reading
from ionmelt.models import calculators, frameworks, loaded
from ionmelt.models import confined as models_confined
from ionmelt.models.card import Card, Facts, Opened, Trial
from ionmelt.models.dispersion import DispersedCalculator
from ionmelt.models.framework import Loading
from ionmelt.models.frameworks.ase_calculator import OwnCalculator
from ionmelt.models.settings import ImportSettings

# The trial: atoms this far apart (A), moved at random by this much, and the half-width of its central differences.
SPACING_A = 2.4
RATTLE_A = 0.15
STEP_A = 1e-3
STRAIN = 1e-3
# Forces or stress that are farther from the derivative of the energy than this share of it are called not conservative.
CONSERVATIVE = 0.05


class Request(models_confined.Request):
    """What the confined process is to do with a model folder that has a card."""

    do: Literal["freeze", "open", "try"]
    card: Card
    settings: ImportSettings
    model: Path
    threads: int


class Answer(BaseModel):
    """What the process answers: to ``freeze`` the head, to ``open`` how it was confined, to ``try`` also the facts and the trial."""

    head: str | None = None
    opened: Opened | None = None
    facts: Facts | None = None
    trial: Trial | None = None


def ask(
    do: Literal["freeze", "open", "try"],
    card: Card,
    settings: ImportSettings,
    model: Path,
    threads: int,
    *files: Path,
) -> Answer:
    """Return what the confined process answers about a model folder with a card: to ``freeze``, ``open`` or ``try`` it.

    It sees no GPU. `files` are what it may write; for the errors see `confined.ask`.
    """
    limits = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))
    request = Request(do=do, card=card, settings=settings, model=model.absolute(), threads=threads)
    what = f"weights: {settings.weights}" if settings.weights else f"calculator: {settings.calculator}"
    environment = dict(os.environ) | limits | {"CUDA_VISIBLE_DEVICES": ""}
    return models_confined.ask(Path(__file__), request, Answer, environment, what, *files)


def opening_of(framework: str) -> ModuleType:
    """Return how files of a framework are opened: the module NAME_opening beside its row.

    It has ``look(weights, settings, threads)``, which refuses what a file may not hold and imports the libraries that open it,
    ``facts(weights, settings, names)`` with what `look` returned, ``take(weights, settings, target, threads)``, which copies
    weights into a model folder, ``WRITES``, whether a calculator may write files, and ``OF_CALCULATOR``, the settings that the
    card keeps. It is imported by its name, so that the digest of an import has the file of its own framework alone.
    """
    return importlib.import_module(f"{frameworks.__name__}.{framework}_opening")


def trial_box(elements: Sequence[str]) -> Atoms:
    """Return a small periodic box of all elements, two atoms of each at least, spread on a lattice and rattled."""
    edge = next(n for n in range(2, 100) if n**3 >= 2 * len(elements))
    sites = np.array([[x, y, z] for x in range(edge) for y in range(edge) for z in range(edge)], float)
    rng = np.random.default_rng(1)
    symbols = [elements[i % len(elements)] for i in range(len(sites))]
    positions = (sites + 0.5) * SPACING_A + rng.normal(scale=RATTLE_A, size=sites.shape)
    box = Atoms(symbols, positions, cell=[edge * SPACING_A] * 3, pbc=True)
    say_charge(box)
    return box


def energy_of(calculator: Calculator, atoms: Atoms) -> float:
    """Return the energy (eV) of atoms."""
    atoms.calc = calculator
    return float(atoms.get_potential_energy())


def strained(atoms: Atoms, strain: float) -> Atoms:
    """Return a copy of the atoms, stretched alike in every direction."""
    copy = atoms.copy()
    copy.set_cell(atoms.cell.array * (1 + strain), scale_atoms=True)
    return copy


def off(value: float, derivative: float) -> float:
    """Return how far a number is from the derivative that it should be, as a share of the larger of the two."""
    return abs(value - derivative) / max(abs(value), abs(derivative), 1e-6)


def depends_on(calculator: Calculator, atoms: Atoms, charge_e: int, spin: int) -> bool | None:
    """Tell whether the energy changes with the charge or spin that the atoms are given; None where the model refuses it."""
    usual = energy_of(calculator, atoms)
    other = atoms.copy()
    say_charge(other, charge_e, spin)
    try:
        calculator.reset()  # ASE compares no charge or spin: it would return the last result
        return not np.isclose(energy_of(calculator, other), usual, rtol=1e-9, atol=1e-9)
    except Exception as error:  # each library has its own
        if is_resource(error):
            raise
        return None
    finally:
        calculator.reset()


def try_out(calculator: Calculator, elements: Sequence[str]) -> Trial:
    """Compute a small box; return how far force and stress are from the derivatives of the energy (shares of them).

    Raises `UserError` for a model without forces or stress (the runs at constant pressure need it), or whose numbers
    are not finite.
    """
    atoms = trial_box(elements)
    with reading(f"the model fails on a small box of {', '.join(elements)}"):
        energy = energy_of(calculator, atoms)
        forces = np.array(atoms.get_forces(), np.float64)
    with reading("the model has no stress: runs at constant pressure, and with them every density, need it"):
        stress = np.array(atoms.get_stress(voigt=False), np.float64)
    if not (np.isfinite(energy) and np.isfinite(forces).all() and np.isfinite(stress).all()):
        raise UserError(f"the model gives numbers that are not finite on a small box of {', '.join(elements)}")
    direction = np.random.default_rng(2).normal(size=forces.shape)
    direction /= np.linalg.norm(direction)
    ends = []
    for sign in (1, -1):
        moved = atoms.copy()
        moved.positions += sign * STEP_A * direction
        ends.append(energy_of(calculator, moved))
    force = -(ends[0] - ends[1]) / (2 * STEP_A)
    ends = [energy_of(calculator, strained(atoms, sign * STRAIN)) for sign in (1, -1)]
    pull = (ends[0] - ends[1]) / (2 * STRAIN) / (3 * atoms.get_volume())
    force_off = off(float(np.sum(forces * direction)), force)
    stress_off = off(float(np.trace(stress)) / 3, pull)
    return Trial(
        force_off=float(f"{force_off:.2g}"),
        stress_off=float(f"{stress_off:.2g}"),
        conservative=max(force_off, stress_off) <= CONSERVATIVE,
    )


def inner(calculator: BaseCalculator) -> BaseCalculator:
    """Return the calculator of the library itself, without what this program puts around it."""
    if isinstance(calculator, DispersedCalculator):
        calculator = calculator.parts[0]
    return calculator.calculator if isinstance(calculator, OwnCalculator) else calculator


def work(request: Request) -> Answer:
    """Do what is asked (`ask`): ``freeze`` a DeePMD checkpoint, ``open`` a MACE model, ``try`` any."""
    settings, card = request.settings, request.card
    weights = request.model / card.loaded_file if card.files else None
    opening = opening_of(card.framework)
    names = opening.look(weights, settings, request.threads)
    why_not = models_confined.confine(writes=opening.WRITES)
    opened = Opened(confined=why_not is None, why_not=why_not)
    if request.do == "freeze":
        return Answer(head=opening.freeze(weights, settings, request.files[0]))
    if request.do == "open":
        opening.read(weights, settings)
        return Answer(opened=opened)
    facts: Facts = opening.facts(weights, settings, names)
    needed = settings.liquid_elements
    if facts.elements is not None and (unknown := sorted(set(needed) - set(facts.elements))):
        there = ", ".join(facts.elements)
        raise UserError(
            f"weights: the model does not know {', '.join(unknown)}, which the liquids hold; it knows {there}"
        )
    # in double precision, so that differences of energies are those of the model
    loading = Loading(request.model, card.with_facts(facts), threads=request.threads, double=True)
    calculator = calculators.whole_calculator(loading)
    trial = try_out(calculator, needed)
    box = trial_box(needed)
    spin = lowest_spin(box, 0)
    observed: dict[str, object] = {
        "uses_charge": depends_on(calculator, box, 1, spin),
        "uses_spin": depends_on(calculator, box, 0, spin + 2),
    }
    if frameworks.FRAMEWORKS[card.framework].given:
        observed["loaded"] = loaded.described(inner(calculator))
    return Answer(opened=opened, facts=facts.model_copy(update=observed), trial=trial)


if __name__ == "__main__":
    sys.exit(models_confined.answer(Request, work))
