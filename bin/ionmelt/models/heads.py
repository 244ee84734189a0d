"""Heads of a model that has several, one for each level of theory."""

from typing import Any

from ionmelt.errors import UserError


def check_head(settings: dict[str, Any], heads: list[str]) -> str:
    """Return the head to use; raises `UserError` where weights have several and none of them, or another, is named."""
    asked = settings.get("head")
    known = ", ".join(heads)
    if asked is None and len(heads) > 1:
        raise UserError(
            f"head: missing: {settings['weights']} has several, one for each level of theory: give one of {known}"
        )
    if asked is not None and asked not in heads:
        raise UserError(f"head: {asked!r} is none of the heads of {settings['weights']}: give one of {known}")
    return asked or heads[0]
