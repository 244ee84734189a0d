"""From a model folder to an ASE calculator.

A model folder holds `model.json` (the card) and the weights it names. Weights are checked against the
sha256 of the card before they are opened, because frameworks read files that can run code.
"""

import os
from pathlib import Path

from ase.calculators.calculator import Calculator

from ionmelt.errors import UserError
from ionmelt.models.card import read_card
from ionmelt.models.dispersion import with_dispersion
from ionmelt.models.framework import Loading
from ionmelt.models.frameworks import FRAMEWORKS


def load_calculator(
    model: Path, state: Path | None = None, threads: int = 1, hydrostatic: bool = False, double: bool = False
) -> Calculator:
    """Return the ASE calculator (energy eV, forces eV/A, stress eV/A^3) of a model folder; for its options see `Loading`.

    Raises `UserError` for wrong weights, a framework that is not known, or a missing state.
    """
    return whole_calculator(Loading(model, read_card(model), state, threads, hydrostatic, double))


def whole_calculator(loading: Loading) -> Calculator:
    """Return the calculator of a model, with the dispersion that its card adds."""
    return with_dispersion(bare_calculator(loading), loading.card.settings.dispersion)


def bare_calculator(loading: Loading) -> Calculator:
    """Return the calculator of a model without what is added to it."""
    os.environ.setdefault("OMP_NUM_THREADS", str(loading.threads))
    framework = FRAMEWORKS.get(loading.card.framework)
    if framework is None:
        names = ", ".join(sorted(FRAMEWORKS))
        raise UserError(f"model {loading.folder.name}: framework: {loading.card.framework!r} is not one of {names}")
    return framework.calculator(loading)
