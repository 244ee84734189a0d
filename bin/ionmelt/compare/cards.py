"""What the comparison reads of a model card: what the training took, its loss, and its round of active learning."""

from collections.abc import Mapping
from dataclasses import dataclass

from ionmelt.compare.groups import Row


@dataclass(frozen=True)
class Card:
    """A model card. ``cpu_s`` is that of all threads, ``loss`` the weights and gradient shares of its terms; None: not known.

    ``loss`` has, by name (weights_start, gradient_shares_end ...), a number for each term; ``round`` is None without active
    learning.
    """

    key: str
    model: str
    dataset: str | None
    wall_s: float | None
    cpu_s: float | None
    device: str | None
    loss: Mapping[str, Mapping[str, float]]
    round: int | None


def card_of(card: Row) -> Card:
    """Return what model.json says; where it has no processor time, that of all threads over its whole length."""
    cost, settings = card.get("cost") or {}, card.get("settings") or {}
    wall_s = cost.get("wall_s") or None
    cpu_s = cost.get("cpu_s") or (wall_s * (cost.get("threads") or 1) if wall_s else None)
    return Card(
        key=card["id"],
        model=card["model"],
        dataset=card.get("dataset"),
        wall_s=wall_s,
        cpu_s=cpu_s,
        device=cost.get("device"),
        loss=card.get("loss") or {},
        round=settings.get("round"),
    )
