"""Values and fields of a study as they stand in a line about a mistake."""

import re
from typing import Any


def is_number(value: Any) -> bool:
    """Tell whether a value is a number or the text of one."""
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return not isinstance(value, bool)


def brief(value: Any) -> str:
    """Return a value as one short line of text."""
    if isinstance(value, bool) or value is None:
        return {None: "nothing", True: "true", False: "false"}[value]
    text = f"{value:g}" if isinstance(value, float) else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def one_line(text: str) -> str:
    """Return a text with every character that does not print as its escape."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def path_text(loc: tuple[Any, ...]) -> str:
    """Return a field's place as ``liquids[0].ions.pyr14``."""
    text = ""
    for item in loc:
        if isinstance(item, int) and not isinstance(item, bool):
            text += f"[{item}]"
        else:
            plain = isinstance(item, str) and re.fullmatch(r"[\w.+-]{1,60}", item)
            text += ("." if text else "") + (item if plain else brief(item))
    return text or "study"
