"""A calculator class that a user brings, and its weights: copied, described. Nothing is known of it before it computes."""

import shutil
from pathlib import Path
from typing import Any

from ionmelt.models.frameworks.ase import named_class
from ionmelt.models.settings import ImportSettings

WRITES = True  # a library may write files of its own; it is kept from programs and the network
OF_CALCULATOR = ("calculator", "arguments", "weights_argument")


def take(weights: Path, _settings: ImportSettings, target: Path, _threads: int) -> None:
    """Copy the weights."""
    shutil.copyfile(weights, target)


def look(_weights: Path | None, settings: dict[str, Any], _threads: int) -> None:
    """Import the class."""
    named_class(settings["calculator"])


def facts(_weights: Path | None, settings: dict[str, Any], _names: None) -> dict[str, Any]:
    """Return what the card says of the class."""
    return {"elements": None, "cutoff_A": None, "e0s_ev": None, "kind": settings["calculator"]}
