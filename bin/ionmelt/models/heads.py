"""Heads of a model that has several, one for each level of theory."""

from collections.abc import Sequence

from ionmelt.errors import UserError
from ionmelt.mistakes import did_you_mean


def check_head(asked: str | None, file: str | None, heads: Sequence[str]) -> str:
    """Return the head to use of the weights in a file; raises `UserError` where there are several and none, or another, is named."""
    names = ", ".join(heads)
    if asked is None and len(heads) > 1:
        raise UserError(f"head: missing: {file} has several, one for each level of theory: give one of {names}")
    if asked is not None and asked not in heads:
        raise UserError(
            f"head: {asked!r} is none of the heads of {file}: {did_you_mean(asked, heads)}give one of {names}"
        )
    return asked or heads[0]
