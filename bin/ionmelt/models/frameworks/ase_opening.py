"""A calculator class that a user brings, and its weights: copied, described. Nothing is known of it before it computes."""

import shutil
from pathlib import Path

from ionmelt.models.card import Facts
from ionmelt.models.frameworks.ase_calculator import named_class
from ionmelt.models.settings import ImportSettings

WRITES = True  # a library may write files of its own; it is kept from programs and the network
OF_CALCULATOR = ("calculator", "arguments", "weights_argument")


def take(weights: Path, _settings: ImportSettings, target: Path, _threads: int) -> None:
    """Copy the weights."""
    shutil.copyfile(weights, target)


def look(_weights: Path | None, settings: ImportSettings, _threads: int) -> None:
    """Import the class; a file of the user's is imported where it can do nothing else."""
    if ":" not in str(settings.calculator):
        named_class(str(settings.calculator))


def facts(_weights: Path | None, settings: ImportSettings, _names: None) -> Facts:
    """Return what the card says of the class."""
    return Facts(elements=None, cutoff_A=None, e0s_ev=None, kind=settings.calculator)
