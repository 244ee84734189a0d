"""The card of a model folder, and its weights: checked before anything opens them."""

from pathlib import Path
from typing import Any

from ionmelt.errors import UserError
from ionmelt.files import read_json, sha256


def read_card(model: Path) -> dict[str, Any]:
    """Return the model card of a model folder; raises `UserError` where it is missing or not JSON."""
    return read_json(model / "model.json")


def wrong_content(path: Path, expected: str | None) -> str | None:
    """Return what is wrong with a file that should have a sha256, or None. To be asked before anything opens the file."""
    found = sha256(path) if path.is_file() else "no such file"
    return None if found == expected else f"sha256 is {found}"


def weights_file(model: Path, card: dict[str, Any]) -> Path:
    """Return the file to load, after checking every file of the card against its sha256.

    The weights are the last file of the card: what DeePMD compresses comes after what it froze.
    Raises `UserError` for a file that is missing or has another content.
    """
    found = {name: wrong_content(model / name, expected) for name, expected in card["files"].items()}
    problems = [
        f"model {model.name}: {name}: {wrong}, the model card says {card['files'][name]}"
        for name, wrong in found.items()
        if wrong
    ]
    if problems:
        raise UserError(*problems)
    return model / loaded_file(card)


def loaded_file(card: dict[str, Any]) -> str:
    """Return the name of the file of a model folder that is loaded."""
    return str(card.get("load", list(card["files"])[-1]))
