"""What settings are made of: numbers with bounds, names, paths, and the lines about what is wrong with them."""

import difflib
import math
import re
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from ionmelt.errors import UserError
from ionmelt.files import read_json


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


# --- The vocabulary ------------------------------------------------------------------------------------


def refuse_boolean(value: Any) -> Any:
    """Refuse true and false where a number is meant: Python would count them as 1 and 0."""
    if isinstance(value, bool):
        raise ValueError(f"{str(value).lower()} is not a number")
    return value


Real = Annotated[float, BeforeValidator(refuse_boolean)]
Count = Annotated[int, BeforeValidator(refuse_boolean)]
# No hyphen: keys such as LIQUID-r1 and MODEL-DATASET-s1 stay unambiguous.
Key = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.]*$", max_length=40)]


def finite(value: Any) -> Any:
    """Refuse what is not a finite number wherever it stands in plain data: no JSON file could hold it."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for part in inner:
        finite(part)
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{brief(value)} is not a number")
    return value


# No character that a shell, a list of files or a pattern of names gives a meaning to.
PATH = r"""^[^\x00-\x1f\x7f"'`$;&|<>*?()\[\]{}!\\#,]+$"""
Path_ = Annotated[str, Field(min_length=1, max_length=1000, pattern=PATH)]
Text = Annotated[str, Field(min_length=1, max_length=200)]
SHA256 = r"^[0-9a-f]{64}$"
Sha256 = Annotated[str, Field(pattern=SHA256)]


def number(default: Any, low: float, high: float, description: str) -> Any:
    """Return a field for a finite number from `low` to `high`; `...` as the default makes it required."""
    return Field(default, ge=low, le=high, allow_inf_nan=False, description=description)


def count(default: Any, low: int, high: int, description: str) -> Any:
    """Return a field for a whole number from `low` to `high`; `...` as the default makes it required."""
    return Field(default, ge=low, le=high, description=description)


def between(low: float, high: float) -> Any:
    """Return the bounds of one number of a list."""
    return Field(ge=low, le=high, allow_inf_nan=False)


def auto_or_number(value: Any) -> str:
    """Return which of the two a field that may be ``auto`` holds."""
    return "auto" if isinstance(value, str) and not is_number(value) else "number"


class Section(BaseModel):
    """A section of the study file: unknown fields are refused, values do not change once read."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class TaskSettings(Section):
    """The settings of one task, as the plan writes them and the task's script reads them: a sealed JSON file."""

    id: str

    @classmethod
    def read(cls, path: Path) -> Self:
        """Return the settings of a file; raises `UserError`, one line for each mistake, where they are not these."""
        content = read_json(path)
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            lines = [f"{path}: {path_text(entry['loc'])}: {said_of(cls, entry)}" for entry in error.errors()]
            raise UserError(*map(one_line, lines)) from error


def said_of(cls: type[BaseModel], entry: Any) -> str:
    """Return what is wrong, and what would be right, from one of pydantic's errors about a file of settings."""
    if entry["type"] == "missing":
        return "missing"
    if entry["type"] == "extra_forbidden":
        close = difflib.get_close_matches(str(entry["loc"][-1]), cls.model_fields, n=1)
        return "unknown field" + (f"; did you mean {close[0]}?" if close else "")
    return f"{brief(entry['input'])}: {' '.join(entry['msg'].split())}"
