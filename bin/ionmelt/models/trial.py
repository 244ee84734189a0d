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
from ase.calculators.calculator import BaseCalculator, Calculator
from pydantic import BaseModel

from ionmelt.errors import UserError, reading
from ionmelt.models import calculators, derivatives, frameworks, loaded
from ionmelt.models import confined as models_confined
from ionmelt.models.card import Card, Facts, Opened, Trial
from ionmelt.models.derivatives import energy_of
from ionmelt.models.dispersion import DispersedCalculator
from ionmelt.models.framework import Loading
from ionmelt.models.frameworks.ase_calculator import OwnCalculator
from ionmelt.models.published import check_published
from ionmelt.models.settings import ImportSettings
from ionmelt.models.small_box import reads, trial_box
from ionmelt.threads import limits

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


def named(settings: ImportSettings) -> str:
    """Return how messages call what is opened."""
    return f"weights: {settings.weights}" if settings.weights else f"calculator: {settings.calculator}"


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
    request = Request(do=do, card=card, settings=settings, model=model.absolute(), threads=threads)
    environment = dict(os.environ) | limits(threads) | {"CUDA_VISIBLE_DEVICES": ""}
    return models_confined.ask(Path(__file__), request, Answer, environment, named(settings), *files)


def opening_of(framework: str) -> ModuleType:
    """Return how files of a framework are opened: the module NAME_opening beside its row.

    It has ``look(weights, settings, threads)``, which refuses what a file may not hold and imports the libraries that open it,
    ``facts(weights, settings, names)`` with what `look` returned, ``take(weights, settings, target, threads)``, which copies
    weights into a model folder, ``WRITES``, whether a calculator may write files, and ``OF_CALCULATOR``, the settings that the
    card keeps. It is imported by its name, so that the digest of an import has the file of its own framework alone.
    """
    return importlib.import_module(f"{frameworks.__name__}.{framework}_opening")


def try_out(calculator: Calculator, elements: Sequence[str]) -> Trial:
    """Compute a small box; return how far force and stress are from the derivatives of the energy (shares of them).

    Raises `UserError` for a model without forces or stress (the runs at constant pressure need it), or whose numbers
    are not finite.
    """
    atoms, box = trial_box(elements), f"a small box of {', '.join(elements)}"
    not_finite = UserError(f"the model gives numbers that are not finite on {box}")
    with reading(f"the model fails on {box}"):
        energy = energy_of(calculator, atoms)
        forces = np.array(atoms.get_forces(), np.float64)
    with reading("the model has no stress: runs at constant pressure, and with them every density, need it"):
        stress = np.array(atoms.get_stress(voigt=False), np.float64)
    if not (np.isfinite(energy) and np.isfinite(forces).all() and np.isfinite(stress).all()):
        raise not_finite
    with reading(f"the model fails on {box}"):
        force_off = derivatives.force_off(calculator, atoms, forces)
        stress_off = derivatives.stress_off(calculator, atoms, stress)
    if not np.isfinite([force_off, stress_off]).all():
        raise not_finite
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
    with reading(f"{named(settings)} cannot be loaded"):
        calculator = calculators.whole_calculator(loading)
    check_published(inner(calculator), settings.published)
    observed: dict[str, object] = {}
    if frameworks.FRAMEWORKS[card.framework].given:
        observed["loaded"] = loaded.described(inner(calculator))
    trial = try_out(calculator, needed)
    observed |= reads(calculator, needed)
    return Answer(opened=opened, facts=facts.model_copy(update=observed), trial=trial)


if __name__ == "__main__":
    sys.exit(models_confined.answer(Request, work))
