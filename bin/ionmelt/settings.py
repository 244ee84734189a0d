"""What settings are made of: numbers with bounds, names and paths, and the files that hold them."""

import math
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from ionmelt.errors import UserError
from ionmelt.files import read_json
from ionmelt.mistakes import KEY, PATH, SHA256, brief, explained, one_line, path_text

# --- The vocabulary ------------------------------------------------------------------------------------


def is_number(value: Any) -> bool:
    """Tell whether a value is a number or the text of one."""
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return not isinstance(value, bool)


def refuse_boolean(value: Any) -> Any:
    """Refuse true and false where a number is meant: Python would count them as 1 and 0."""
    if isinstance(value, bool):
        raise ValueError(f"{str(value).lower()} is not a number")
    return value


def finite(value: Any) -> Any:
    """Refuse what is not a finite number wherever it stands in plain data: no JSON file could hold it."""
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        finite(item)
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{brief(value)} is not a number")
    return value


Real = Annotated[float, BeforeValidator(refuse_boolean)]
Count = Annotated[int, BeforeValidator(refuse_boolean)]
Key = Annotated[str, Field(pattern=KEY, max_length=40)]
Path_ = Annotated[str, Field(min_length=1, max_length=1000, pattern=PATH)]
Text = Annotated[str, Field(min_length=1, max_length=200)]
# Some tools write it in capital letters.
Sha256 = Annotated[
    str, Field(pattern=SHA256), BeforeValidator(lambda value: value.lower() if isinstance(value, str) else value)
]


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


# --- Sections and files --------------------------------------------------------------------------------


class Section(BaseModel):
    """A section of the study file: unknown fields are refused, values do not change once read."""

    # Built where the first is read: a task imports the sections of every framework and reads its own.
    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=(), defer_build=True)


class SettingsFile(Section):
    """A section that is a file of the plan: a JSON object with the sha256 of its content."""

    @classmethod
    def read(cls, path: Path) -> Self:
        """Return the settings of a file; raises `UserError`, one line for each mistake, where they are not these."""
        content = read_json(path)
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            mistakes = [explained(entry, cls) for entry in error.errors()]
            lines = [f"{path}: {path_text(loc)}: {text}" for loc, text in mistakes]
            raise UserError(*map(one_line, lines)) from error


class TaskSettings(SettingsFile):
    """The settings of one task, as the plan writes them and the task's script reads them."""

    id: str
