"""MACE weights that a user brings: copied, opened, described."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
from ase.data import chemical_symbols

from ionmelt.models import trial
from ionmelt.models import weights as models_weights
from ionmelt.models.heads import check_head
from ionmelt.models.settings import ImportSettings

WRITES = False
OF_CALCULATOR = ("dtype",)


def take(weights: Path, _settings: ImportSettings, target: Path, _threads: int) -> None:
    """Copy the weights."""
    shutil.copyfile(weights, target)


def look(weights: Path, settings: dict[str, Any], threads: int) -> None:
    """Refuse a file that holds more than a model needs, before the libraries that open it are imported, which takes long."""
    models_weights.checked(weights, "MACE", settings["weights"])
    import mace.calculators  # noqa: F401  (what opens the file later)
    import torch

    torch.set_num_threads(threads)


def opened(weights: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """Open weights in a confined process, and return how it was confined; raises `UserError` where they are no model."""
    card = {"framework": "mace", "files": [weights.name]}
    return dict(trial.ask("open", card, settings, weights.parent, 1)["opened"])


def read(weights: Path, settings: dict[str, Any]) -> None:
    """Open a model; raises `UserError` where it is none."""
    models_weights.read_mace(weights, settings["weights"])


def facts(weights: Path, settings: dict[str, Any], _names: None) -> dict[str, Any]:
    """Return what the card says of MACE weights."""
    model = models_weights.read_mace(weights, settings["weights"])
    heads = [str(head) for head in getattr(model, "heads", None) or ["Default"]]
    head = check_head(settings, heads)
    elements = [chemical_symbols[int(number)] for number in model.atomic_numbers]
    energies = getattr(model, "atomic_energies_fn", None)
    e0s = None
    if energies is not None:
        table = np.atleast_2d(energies.atomic_energies.detach().double().numpy())
        e0s = dict(zip(elements, map(float, table[heads.index(head) if len(table) > 1 else 0]), strict=True))
    return {
        "elements": elements,
        "cutoff_A": float(model.r_max),
        "e0s_ev": e0s,
        "kind": getattr(model, "original_name", type(model).__name__),
        "parameters": sum(p.numel() for p in model.parameters()),
        "heads": heads,
        "head": head,
    }
