"""What is wrong with settings, said in one line: where it stands, and what would be right."""

import difflib
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel, Tag

# What a text must look like, in words, by its pattern.
SHA256 = r"^[0-9a-f]{64}$"
PATH = r"""^[^\x00-\x1f\x7f"'`$;&|<>*?()\[\]{}!\\#,]+$"""  # no character that a shell or a file-name pattern interprets
KEY = r"^[a-z0-9][a-z0-9_.]*$"  # no hyphen: keys such as LIQUID-r1 and MODEL-DATASET-s1 stay unambiguous
IMAGE = r"^[A-Za-z0-9][A-Za-z0-9._/:@-]*$"
FOLDER = r"^[A-Za-z0-9._/+-]+$"
CLASS = r"^([A-Za-z_]\w*(\.[A-Za-z_]\w*)+|[\w./-]*\w\.py:[A-Za-z_]\w*)$"
FILE_NAME = r"^[^/\x00-\x1f]*[^/\x00-\x1f.][^/\x00-\x1f]*$"
PATTERNS = {
    SHA256: "64 hexadecimal digits",
    PATH: "a path without quotes, brackets, commas or any of $ ; & | < > * ? ! # \\",
    FILE_NAME: "the name of a file, without a folder",
    IMAGE: "the name of an image, such as ghcr.io/someone/model:1",
    FOLDER: "a folder without spaces or other signs than . _ / + -",
    CLASS: "a dotted name, such as tblite.ase.TBLite, or a file of yours and a function in it, such as my_calculator.py:make",
}
NAME_WORDS = "small letters, digits, _ and ., beginning with a letter or digit"

POINT = "give a decimal point, and no other marks"
# The unit of a field, by the end of its name.
UNITS = {
    "_K": "K",
    "_bar": "bar",
    "_kg_m3": "kg/m3",
    "_fs": "fs",
    "_ps": "ps",
    "_A": "A",
    "_Ry": "Ry",
    "_hours": "h",
}
# What a number out of bounds most likely is, by the side of the bound and the end of the field's name.
HINTS: dict[tuple[str, str], Callable[[float], str]] = {
    ("below", "temperatures_K"): lambda v: f"is it {v:g} degC? give kelvin, {v + 273.15:g}",
    ("below", "anneal_K"): lambda v: f"is it {v:g} degC? give kelvin, {v + 273.15:g}",
    ("above", "pressure_bar"): lambda v: f"is it {v:g} Pa? give bar, {v / 1e5:g}",
    ("below", "kg_m3"): lambda v: f"is it {v:g} g/cm3? give kg/m3, {v * 1000:g}",
    ("below", "_fs"): lambda v: f"is it {v:g} ps? give fs, {v * 1000:g}",
    ("above", "_ps"): lambda v: f"is it {v:g} fs? give ps, {v / 1000:g}",
    ("below", "_A"): lambda v: f"is it {v:g} nm? give angstrom, {v * 10:g}",
}


# --- Values and fields as text ---


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
    """Return where a field stands as ``liquids[0].ions.pyr14``."""
    text = ""
    for item in loc:
        if isinstance(item, int) and not isinstance(item, bool):
            text += f"[{item}]"
        else:
            plain = isinstance(item, str) and re.fullmatch(r"[\w.+-]{1,60}", item)
            text += ("." if text else "") + (item if plain else brief(item))
    return text or "study"


# --- Where an error of pydantic stands ---


def branches(annotation: Any) -> Iterator[tuple[str | None, Any]]:
    """Yield the types that a field may have, each with the tag by which pydantic calls it, if it has one."""
    if get_origin(annotation) is Annotated:
        inner, *metadata = get_args(annotation)
        tag = next((entry.tag for entry in metadata if isinstance(entry, Tag)), None)
        for inner_tag, kind in branches(inner):
            yield tag or inner_tag, kind
    elif isinstance(annotation, type) or get_origin(annotation) in (dict, list, tuple, Literal):
        if annotation is not NoneType:
            yield discriminator(annotation), annotation
    else:
        for option in get_args(annotation):
            yield from branches(option)


def discriminator(kind: Any) -> str | None:
    """Return the value of a section's first field where it can have but one, as pydantic's own discriminators need it."""
    for info in kind.model_fields.values() if is_section(kind) else ():
        if get_origin(info.annotation) is Literal and len(get_args(info.annotation)) == 1:
            return str(get_args(info.annotation)[0])
    return None


def is_section(kind: Any) -> bool:
    """Tell whether a type is a class of settings."""
    return isinstance(kind, type) and get_origin(kind) is None and issubclass(kind, BaseModel)


def inside(kind: Any, item: Any) -> Any:
    """Return the annotation of what stands at `item` in a section, a mapping or a list; None where nothing does."""
    if is_section(kind):
        info = kind.model_fields.get(item)
        return info.annotation if info else None
    return get_args(kind)[-1 if get_origin(kind) is dict else 0] if get_origin(kind) in (dict, list, tuple) else None


@dataclass(frozen=True)
class Position:
    """Where an error stands: as the user wrote it, and the section whose field it is (None: no or several such)."""

    loc: tuple[Any, ...]
    section: type[BaseModel] | None

    @property
    def field(self) -> str:
        """Return the name of the field; of an item of a list that of the list."""
        return next((item for item in reversed(self.loc) if isinstance(item, str)), "")


def position_of(cls: type[BaseModel], loc: tuple[Any, ...]) -> Position:
    """Return the position of an error of pydantic's in a section, without the tags of unions, which no user wrote."""
    options: list[tuple[str | None, Any]] = [(None, cls)]
    shown, section = [], None
    for item in loc:
        tagged: list[tuple[str | None, Any]] = [
            (None, kind) for tag, kind in options if tag is not None and tag == item
        ]
        if tagged:
            options = tagged
        elif item != "[key]":
            shown.append(item)
            sections = [kind for _, kind in options if is_section(kind)]
            section = sections[0] if len(sections) == 1 else None
            options = [branch for _, kind in options for branch in branches(inside(kind, item))]
    return Position(tuple(shown), section)


# --- What is wrong, and what would be right ---


@dataclass(frozen=True)
class Wrong:
    """One error of pydantic's: its kind, the value that is wrong, what pydantic says about it, and its position in the section."""

    kind: str
    position: Position
    value: Any = None
    context: Mapping[str, Any] | None = None
    message: str = ""

    def said(self) -> str:
        """Return what is wrong and what would be right."""
        if self.kind in SAID:
            return SAID[self.kind](self)
        if self.kind in WORDS:
            return WORDS[self.kind].format(value=brief(self.value), **(self.context or {}))
        return f"{brief(self.value)}: {' '.join(self.message.split())}"


def missing(wrong: Wrong) -> str:
    """Say what the missing field is for."""
    section = wrong.position.section
    info = section.model_fields.get(wrong.position.field) if section else None
    return f"missing: {info.description}" if info and info.description else "missing"


def did_you_mean(word: str, names: Collection[str]) -> str:
    """Return a question with the name that is most like a mistyped word, and a space after it; nothing where none is like it."""
    like = closest(word, names)
    return f"did you mean {like[0]}? " if like else ""


def closest(word: str, names: Collection[str], number: int = 1, cutoff: float = 0.6) -> list[str]:
    """Return the names that are most like a mistyped word, the likeliest first.

    A name of which two neighbouring letters are exchanged goes first: by the letters that two texts share, ``ntp_ps`` is as near to
    ``nvt_ps`` as to ``npt_ps``, and ``fb4`` too far from ``bf4``. So does one that the word is the beginning of: ``PBE-D3`` is nearer to
    ``revPBE-D3`` than to ``PBE-D3(BJ)``, which it means, and ``density`` too far from ``density_guess_kg_m3``.
    """
    text, by_text = word.lower(), {name.lower(): name for name in names}
    first = [name for name in by_text if name == text or are_exchanged(text, name)]
    first += sorted((name for name in by_text if begins(text, name)), key=len)
    like = difflib.get_close_matches(text, by_text, number, cutoff)
    return [by_text[name] for name in dict.fromkeys([*first, *like])][:number]


def begins(word: str, name: str) -> bool:
    """Tell whether a word, of more than two letters, is what a name begins with, up to a sign such as _ or (."""
    return len(word) > 2 and name.startswith(word) and not name[len(word) : len(word) + 1].isalnum()


def are_exchanged(word: str, name: str) -> bool:
    """Tell whether a word is a name of which two neighbouring letters are exchanged."""
    off = [at for at, (one, other) in enumerate(zip(word, name, strict=False)) if one != other]
    return len(word) == len(name) and len(off) == 2 and off[1] - off[0] == 1 and sorted(word) == sorted(name)


def unknown_field(wrong: Wrong) -> str:
    """Name the field that is most like the unknown one, or all that there are."""
    names = sorted(wrong.position.section.model_fields) if wrong.position.section else []
    return "unknown field; " + (did_you_mean(wrong.position.field, names).strip() or f"known: {', '.join(names)}")


def listed(words: Sequence[str]) -> str:
    """Join words as a sentence does."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def unit_of(field: str) -> str:
    """Return the unit of a field, which its name ends with; nothing where it has none."""
    return next((unit for end, unit in UNITS.items() if field.endswith(end)), "")


def out_of_bounds(wrong: Wrong) -> str:
    """Name the bound with its unit, and the other unit that the number most likely is in."""
    context, field = wrong.context or {}, wrong.position.field
    side, bound = ("below", context["ge"]) if "ge" in context else ("above", context["le"])
    unit = unit_of(field)
    line = f"{brief(wrong.value)} is {side} {bound:g} {unit}".rstrip()
    hint = next((hint for (on, end), hint in HINTS.items() if on == side and field.endswith(end)), None)
    amount = float(wrong.value)
    return f"{line}: {hint(amount)}" if hint and amount > 0 else line


def no_choice(wrong: Wrong) -> str:
    """Name the values that a field can have."""
    expected = (wrong.context or {})["expected"]
    if expected == "'auto'":
        return f"{brief(wrong.value)}: give auto or a number"
    like = did_you_mean(wrong.value, re.findall(r"'([^']*)'", expected)) if isinstance(wrong.value, str) else ""
    return f"{brief(wrong.value)}: {like}give one of {expected}"


def no_match(wrong: Wrong) -> str:
    """Say in words what a text must look like."""
    return f"{brief(wrong.value)}: give {PATTERNS.get((wrong.context or {})['pattern'], NAME_WORDS)}"


def no_number(wrong: Wrong) -> str:
    """Say that a text is no number; of one with a unit behind it, what to give."""
    line, unit = f"{brief(wrong.value)} is not a number", unit_of(wrong.position.field)
    if isinstance(wrong.value, str) and re.fullmatch(r"\s*[-+]?\d+,\d+\s*", wrong.value):
        return f"{line}: {POINT}"
    written = re.fullmatch(r"\s*([-+]?[\d.]+)\s*([^\W\d]\S*)\s*", wrong.value) if isinstance(wrong.value, str) else None
    if not (written and unit):
        return line
    return f"{line}: give {written[1]}" if written[2] == unit else f"{line}: give the number alone, in {unit}"


def no_text(wrong: Wrong) -> str:
    """Say that a value is no text; YAML reads a name of digits alone as a number."""
    number = isinstance(wrong.value, int | float) and not isinstance(wrong.value, bool)
    return f"{brief(wrong.value)} is not a text" + (": write it in quotes" if number else "")


def too_few(wrong: Wrong) -> str:
    """Say how many are needed of what is empty, or too short."""
    context = wrong.context or {}
    least = context["min_length"]
    return (
        f"{context['actual_length']} given: give at least {least}"
        if context.get("actual_length")
        else f"empty: give at least {least}"
    )


SAID: dict[str, Callable[[Wrong], str]] = {
    "too_short": too_few,
    "float_type": no_number,
    "float_parsing": no_number,
    "missing": missing,
    "extra_forbidden": unknown_field,
    "greater_than_equal": out_of_bounds,
    "less_than_equal": out_of_bounds,
    "literal_error": no_choice,
    "string_pattern_mismatch": no_match,
    "string_type": no_text,
}
NO_SECTION = "{value} is not a section: give name: value lines"
WORDS = {
    "finite_number": "{value} is not a number",
    **dict.fromkeys(("int_type", "int_parsing", "int_parsing_size", "int_from_float"), "{value} is not a whole number"),
    **dict.fromkeys(("string_too_long", "too_long"), "too long: at most {max_length}"),
    "string_too_short": "empty: give at least {min_length}",
    **dict.fromkeys(("tuple_type", "list_type"), "{value} is not a list: give [...]"),
    **dict.fromkeys(("dict_type", "model_type", "model_attributes_type"), NO_SECTION),
    "value_error": "{error}",
}


def explained(error: Any, cls: type[BaseModel]) -> tuple[tuple[Any, ...], str]:
    """Return where one of pydantic's errors about a section stands, and what is wrong there."""
    position = position_of(cls, error["loc"])
    return position.loc, Wrong(error["type"], position, error["input"], error.get("ctx"), error["msg"]).said()
