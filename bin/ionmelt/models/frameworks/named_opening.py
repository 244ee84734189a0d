"""A named model: its weights copied where the user brings them, its class imported, its row described."""

import shutil
from pathlib import Path

from ionmelt.models.card import Facts
from ionmelt.models.frameworks.ase_calculator import named_class
from ionmelt.models.settings import ImportSettings

WRITES = True  # a library may write files of its own; it is kept from programs and the network
OF_CALCULATOR = ("row", "calculator", "arguments", "weights_argument", "device_argument", "shipped")


def take(weights: Path, _settings: ImportSettings, target: Path, _threads: int) -> None:
    """Copy the weights."""
    shutil.copyfile(weights, target)


def look(_weights: Path | None, settings: ImportSettings, _threads: int) -> None:
    """Import the class."""
    named_class(str(settings.calculator))


def facts(_weights: Path | None, settings: ImportSettings, _names: None) -> Facts:
    """Return what the card says of the model."""
    return Facts(elements=settings.elements, cutoff_A=settings.cutoff_A, e0s_ev=None, kind=settings.row)
