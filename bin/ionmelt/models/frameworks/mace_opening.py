"""MACE weights that a user brings: copied, opened, described."""

import shutil
from pathlib import Path

from ase.data import chemical_symbols

from ionmelt.models import trial
from ionmelt.models import weights as models_weights
from ionmelt.models.card import Card, Facts, Opened
from ionmelt.models.heads import check_head
from ionmelt.models.settings import ImportSettings, TrainingSettings

WRITES = False
OF_CALCULATOR = ("dtype",)


def take(weights: Path, _settings: ImportSettings, target: Path, _threads: int) -> None:
    """Copy the weights."""
    shutil.copyfile(weights, target)


def look(weights: Path, settings: ImportSettings, threads: int) -> None:
    """Refuse a file that holds more than a model needs, before the libraries that open it are imported, which takes long."""
    models_weights.checked(weights, "MACE", settings.weights)
    import mace.calculators  # noqa: F401  (what opens the file later)
    import torch

    torch.set_num_threads(threads)


def opened(weights: Path, settings: TrainingSettings) -> Opened:
    """Open the weights of a training in a confined process; return how it was confined. Raises `UserError` where they are no model."""
    key, model, framework = settings.id, settings.model, settings.framework
    given = ImportSettings(
        id=key, model=model, framework=framework, weights=settings.weights, head=settings.head, liquid_elements=()
    )
    card = Card(id=key, model=model, framework=framework, files={weights.name: str(settings.sha256)})
    done = trial.ask("open", card, given, weights.parent, 1).opened
    assert done is not None, "it was asked to open a model"
    return done


def read(weights: Path, settings: ImportSettings) -> None:
    """Open a model; raises `UserError` where it is none."""
    models_weights.read_mace(weights, settings.weights)


def facts(weights: Path, settings: ImportSettings, _names: None) -> Facts:
    """Return what the card says of MACE weights."""
    model = models_weights.read_mace(weights, settings.weights)
    heads = models_weights.heads_of(model)
    head = check_head(settings.head, settings.weights, heads)
    has_e0s = hasattr(model, "atomic_energies_fn")
    e0s = models_weights.e0s_of(model, head) if has_e0s else {}
    return Facts(
        elements=tuple(chemical_symbols[int(number)] for number in model.atomic_numbers),
        cutoff_A=float(model.r_max),
        e0s_ev={chemical_symbols[number]: energy for number, energy in e0s.items()} if has_e0s else None,
        kind=models_weights.kind_of(model),
        parameters=sum(p.numel() for p in model.parameters()),
        heads=tuple(heads),
        head=head,
    )
