"""DeePMD weights that a user brings: frozen where they are a checkpoint, opened, described."""

import shutil
from pathlib import Path

from ionmelt.errors import UserError, reading
from ionmelt.models import trial
from ionmelt.models import weights as models_weights
from ionmelt.models.card import Card, Facts
from ionmelt.models.heads import check_head
from ionmelt.models.settings import ImportSettings

WRITES = False
OF_CALCULATOR = ()


def take(weights: Path, settings: ImportSettings, target: Path, threads: int) -> str | None:
    """Copy DeePMD weights, frozen where they are a checkpoint; return the head that they have."""
    if models_weights.check_deepmd(weights, str(settings.weights)).script:
        if settings.head is not None:
            raise UserError(f"head: {settings.head!r}: {settings.weights} is frozen and has one head: leave this out")
        shutil.copyfile(weights, target)
        return None
    scratch = Path("freezing").resolve()
    scratch.mkdir(exist_ok=True)
    shutil.copyfile(weights, scratch / "model.pt")
    card = Card(id=settings.id, model=settings.model, framework="deepmd", files={"model.pt": str(settings.sha256)})
    return trial.ask("freeze", card, settings, scratch, threads, target).head


def look(weights: Path, settings: ImportSettings, _threads: int) -> set[str]:
    """Refuse a file that is no model, and import the libraries that open it; return what its code asks objects for."""
    names = models_weights.check_deepmd(weights, str(settings.weights)).attributes
    import deepmd.calculator
    import deepmd.infer
    import deepmd.pt.cxx_op
    import deepmd.pt.infer.inference  # noqa: F401  (what opens the file later)

    return names


def freeze(weights: Path, settings: ImportSettings, target: int) -> str | None:
    """Freeze a DeePMD checkpoint into an open file, as dp --pt freeze does; return the head that it has."""
    import io

    import torch
    from deepmd.pt.infer.inference import Tester

    held = torch.load(weights, map_location="cpu", weights_only=True)
    try:
        parameters = held.get("model", held)["_extra_state"]["model_params"]
    except (AttributeError, KeyError, TypeError):
        raise UserError(
            f"weights: {settings.weights} is no DeePMD model of PyTorch: give one that dp --pt freeze or compress wrote "
            "(.pth), or a checkpoint of dp --pt train (.pt)"
        ) from None
    head, branches = settings.head, parameters.get("model_dict")
    if branches:
        head = check_head(settings.head, settings.weights, list(branches))
    elif head is not None:
        raise UserError(f"head: {head!r}: {settings.weights} has no branches: leave this out")
    with reading(f"weights: {settings.weights} cannot be frozen"):
        tester = Tester(str(weights), head=head)
        if tester.modifier is not None:
            raise UserError(
                f"weights: {settings.weights} has a data modifier, which is not supported: freeze it without"
            )
        script = torch.jit.script(tester.model.eval())
    buffer = io.BytesIO()
    torch.jit.save(script, buffer)
    with open(target, "wb", closefd=False) as file:
        file.write(buffer.getvalue())
    return head


def facts(weights: Path, settings: ImportSettings, names: set[str]) -> Facts:
    """Return what the card says of frozen DeePMD weights."""
    models_weights.check_attributes(names, str(settings.weights))
    from deepmd.infer import DeepPot

    with reading(f"weights: {settings.weights} is no DeePMD model"):
        model = DeepPot(str(weights.resolve()))
    script = getattr(model.deep_eval, "model_def_script", None) or {}
    return Facts(
        elements=tuple(model.get_type_map()),
        cutoff_A=float(model.get_rcut()),
        e0s_ev=None,
        kind=(script.get("descriptor") or {}).get("type"),
    )
