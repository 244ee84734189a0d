"""Heads of a model that has several, one for each level of theory."""

from ionmelt.errors import UserError
from ionmelt.models.settings import ImportSettings


def check_head(settings: ImportSettings, heads: list[str]) -> str:
    """Return the head to use; raises `UserError` where weights have several and none of them, or another, is named."""
    asked = settings.head
    names = ", ".join(heads)
    if asked is None and len(heads) > 1:
        raise UserError(
            f"head: missing: {settings.weights} has several, one for each level of theory: give one of {names}"
        )
    if asked is not None and asked not in heads:
        raise UserError(f"head: {asked!r} is none of the heads of {settings.weights}: give one of {names}")
    return asked or heads[0]
