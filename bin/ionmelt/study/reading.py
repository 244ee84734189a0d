"""From the text of a study file to a study, or to one line for each mistake."""

import difflib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Annotated, Any, get_args

import yaml
from pydantic import (
    TypeAdapter,
    ValidationError,
)
from pydantic.fields import FieldInfo

from ionmelt.dataset.settings import Split
from ionmelt.dynamics.settings import Md
from ionmelt.errors import UserError
from ionmelt.labels.settings import Cp2kLabels, OwnLabels, PyscfLabels, XtbLabels
from ionmelt.liquid.settings import Equilibration, Liquid
from ionmelt.models.settings import (
    CLASS,
    FOLDER,
    IMAGE,
    AnyModel,
    AseModel,
    ClassicalModel,
    DeepmdModel,
    MaceModel,
    XtbModel,
)
from ionmelt.settings import PATH, SHA256, Section, brief, one_line, path_text
from ionmelt.study.schema import Study

# --- From text to a study, or to one line for each mistake ---------------------------------------------

MODELS: dict[str, type[AnyModel]] = {
    "mace": MaceModel,
    "deepmd": DeepmdModel,
    "classical": ClassicalModel,
    "xtb": XtbModel,
    "ase": AseModel,
}
LABELS: dict[str, type[Section]] = {
    "xtb": XtbLabels,
    "cp2k": Cp2kLabels,
    "pyscf": PyscfLabels,
    "frames": OwnLabels,
}
TAGS = {"smiles", "count", "auto", "number", "path", "paths", *MODELS, *LABELS}

PATTERNS = {
    SHA256: "64 hexadecimal digits",
    IMAGE: "the name of an image, such as ghcr.io/someone/model:1",
    FOLDER: "a folder without spaces or other signs than . _ / + -",
    CLASS: "a dotted name, such as tblite.ase.TBLite",
    PATH: "a path without quotes, brackets, commas or any of $ ; & | < > * ? ! # \\",
}
# What a number out of bounds most likely is, from the end of the field's name.
HINTS: dict[tuple[str, str], Callable[[float], str]] = {
    ("below", "temperatures_K"): lambda v: f"is it {v:g} degC? give kelvin, {v + 273.15:g}",
    ("below", "anneal_K"): lambda v: f"is it {v:g} degC? give kelvin, {v + 273.15:g}",
    ("above", "pressure_bar"): lambda v: f"is it {v:g} Pa? give bar, {v / 1e5:g}",
    ("below", "kg_m3"): lambda v: f"is it {v:g} g/cm3? give kg/m3, {v * 1000:g}",
    ("below", "_fs"): lambda v: f"is it {v:g} ps? give fs, {v * 1000:g}",
    ("above", "_ps"): lambda v: f"is it {v:g} fs? give ps, {v / 1000:g}",
    ("below", "_A"): lambda v: f"is it {v:g} nm? give angstrom, {v * 10:g}",
}
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


MAX_NODES = 100_000


def expanded(node: yaml.Node | None, known: dict[int, int]) -> int:
    """Return how many values a YAML node stands for, each anchor counted wherever it is used.

    A few lines can stand for billions. Raises ValueError for a node that holds itself.
    """
    if id(node) not in known:
        known[id(node)] = 0
        held = getattr(node, "value", None)
        inner = (
            [part for item in held for part in (item if isinstance(item, tuple) else (item,))]
            if isinstance(held, list)
            else []
        )
        known[id(node)] = 1 + sum(expanded(part, known) for part in inner)
    elif known[id(node)] == 0:
        raise ValueError("an anchor holds itself")
    return known[id(node)]


CORE = ("null", "bool", "int", "float", "str", "seq", "map", "merge")
# Numbers are decimal. PyYAML would read others in silence: 01604 as octal, 15:00 in base 60, 1e5 as a text, a date as a date.
NUMBERS = {
    "int": r"[-+]?(?:0|[1-9][0-9_]*)",
    "float": r"[-+]?(?:(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?|[0-9][0-9_]*[eE][-+]?[0-9]+)"
    r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
    "odd": r"[-+]?(?:0[0-9_]+|0b[01_]+|0o[0-7_]+|0x[0-9a-fA-F_]+|[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?)",
}


KINDS = {"int": "whole number", "float": "number", "bool": "true or false"}


class Loader(yaml.SafeLoader):
    """PyYAML's safe loader for plain data, which also refuses a key that is given twice and numbers of two readings."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self.mistakes: list[str] = []

    def note(self, node: yaml.Node, text: str) -> None:
        """Note what is wrong with a value, with its place."""
        self.mistakes.append(f"line {node.start_mark.line + 1}, column {node.start_mark.column + 1}: {text}")

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Note every key that an earlier line of the same mapping already gave."""
        seen: dict[str, int] = {}
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if isinstance(key, yaml.ScalarNode) and key.value != "<<":
                if key.value in seen:
                    self.note(key, f"{brief(key.value)} is already given in line {seen[key.value]}")
                seen.setdefault(key.value, key.start_mark.line + 1)
        return super().construct_mapping(node, deep)


def plain(loader: Loader, node: yaml.ScalarNode) -> Any:
    """Return the value of a scalar as YAML has it, or note one that is not what its tag says."""
    try:
        value = yaml.SafeLoader.yaml_constructors[node.tag](loader, node)
        if isinstance(value, str):
            value.encode()  # half of a character, as "\\ud800", is none
    except (ValueError, LookupError):
        loader.note(node, f"{brief(node.value)} is no {KINDS.get(node.tag.rpartition(':')[2], 'text')}")
        return None
    return value


def odd(loader: Loader, node: yaml.ScalarNode) -> None:
    """Note a number that means one thing to a person and another to a reader of YAML."""
    loader.note(
        node,
        f"{brief(node.value)} is no plain number: write it in decimal, without zeros in front, or a text in quotes",
    )


def only_plain_data(loader: type[Loader]) -> None:
    """Let a loader take the kinds of plain data alone: a text, a number, a list, a mapping; no date, set or binary."""
    tags = {kind: f"tag:yaml.org,2002:{kind}" for kind in (*CORE, *NUMBERS)}
    scalars = ("null", "bool", "int", "float", "str")
    constructors = {tags[kind]: yaml.SafeLoader.yaml_constructors[tags[kind]] for kind in ("seq", "map")}
    loader.yaml_constructors = constructors | {tags[kind]: plain for kind in scalars} | {
        tags["odd"]: odd,
        None: yaml.SafeLoader.yaml_constructors[None],
    }  # fmt: skip
    loader.yaml_implicit_resolvers = {}
    for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items():
        kept = [(tag, known) for tag, known in found if tag in (tags["null"], tags["bool"], tags["merge"])]
        loader.yaml_implicit_resolvers[first] = kept
    for kind, pattern in NUMBERS.items():
        loader.add_implicit_resolver(tags[kind], re.compile(f"(?:{pattern})$", re.ASCII), list("-+.0123456789"))


only_plain_data(Loader)


def parse_yaml(text: str, name: str) -> Any:
    """Return the content of a YAML text; raises `UserError` with line and column where it is not YAML."""
    try:
        loader = Loader(text)
        try:
            node = loader.get_single_node()
            if expanded(node, {}) > MAX_NODES:
                raise ValueError(f"its anchors stand for more than {MAX_NODES} values")
            content = loader.construct_document(node) if node is not None else None
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        problem = " ".join(str(error.problem or error.context).split())
        raise UserError(one_line(f"{name}: {where}not YAML: {problem}")) from error
    except yaml.YAMLError as error:  # a character that YAML does not allow has a position but no mark
        line = text.count("\n", 0, getattr(error, "position", 0)) + 1
        raise UserError(f"{name}: line {line}: not YAML: a character that YAML does not allow") from error
    except (RecursionError, ValueError, OverflowError) as error:  # nested without end, or 2026-02-31
        raise UserError(f"{name}: not YAML: {' '.join(str(error).split())[:100]}") from error
    if loader.mistakes:
        raise UserError(*(one_line(f"{name}: {line}") for line in loader.mistakes))
    return content


@dataclass
class Problems:
    """The mistakes found so far, each with the place that it is at."""

    found: list[tuple[tuple[Any, ...], str]] = field(default_factory=list)

    def add(self, loc: tuple[Any, ...], text: str) -> None:
        """Note a mistake at `loc`."""
        self.found.append((loc, text))

    def lines(self) -> list[str]:
        """Return one line for each mistake, in the order of the study file's sections."""
        order = list(Study.model_fields)

        def place(entry: tuple[tuple[Any, ...], str]) -> tuple[int, int]:
            loc = entry[0]
            section = order.index(loc[0]) if loc and loc[0] in order else -1
            return section, loc[1] if len(loc) > 1 and isinstance(loc[1], int) else -1

        texts = (one_line(f"{path_text(loc)}: {text}") for loc, text in sorted(self.found, key=place))
        return list(dict.fromkeys(texts))


def sections_of(annotation: Any) -> Iterator[type[Section]]:
    """Yield the section classes that a field's annotation mentions."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        yield annotation
    for inner in get_args(annotation):
        yield from sections_of(inner)


def class_at(cls: type[Section], loc: tuple[Any, ...]) -> type[Section] | None:
    """Return the section class that `loc`, as pydantic gives it, leads to from `cls`."""
    options = [cls]
    for item in loc:
        if item in LABELS and len(options) > 1:
            options = [LABELS[item]]
            continue
        fields = [option.model_fields[item] for option in options if item in option.model_fields]
        if fields:
            inner = [section for found in fields for section in sections_of(found.annotation)]
            if not inner and item not in TAGS:
                return None
            options = inner or options
    return options[0] if len(set(options)) == 1 else None


def shown_place(raw: Any, loc: tuple[Any, ...], kind: str) -> tuple[Any, ...]:
    """Return `loc` without the names of union branches, which pydantic adds and no user wrote."""
    place: list[Any] = []
    for index, item in enumerate(loc):
        last = index == len(loc) - 1
        if item == "[key]":
            continue
        held = raw[item] if isinstance(raw, dict) and item in raw else None
        if isinstance(raw, list | tuple) and isinstance(item, int) and item < len(raw):
            held = raw[item]
        named = isinstance(held, dict | list) or (last and (held is not None or kind == "missing"))
        if item in TAGS and not named:
            continue
        place.append(item)
        raw = held
    return tuple(place)


def explain(error: Any, cls: type[Section], name: Any) -> str:
    """Return what is wrong and what would be right, from one of pydantic's errors at field `name`."""
    kind, value, context = error["type"], error.get("input"), error.get("ctx", {})
    shown = brief(value)
    ending = name if isinstance(name, str) else ""
    if kind == "missing":
        owner = class_at(cls, error["loc"][:-1])
        info = owner.model_fields.get(ending) if owner else None
        return f"missing: {info.description}" if info and info.description else "missing"
    if kind == "extra_forbidden":
        owner = class_at(cls, error["loc"][:-1])
        known = sorted(owner.model_fields) if owner else []
        close = difflib.get_close_matches(ending, known, n=1)
        return "unknown field" + (f"; did you mean {close[0]}?" if close else f"; known: {', '.join(known)}")
    if kind in ("greater_than_equal", "less_than_equal"):
        bound, word = (context["ge"], "below") if kind == "greater_than_equal" else (context["le"], "above")
        unit = next((text for suffix, text in UNITS.items() if ending.endswith(suffix)), "")
        line = f"{shown} is {word} {bound:g} {unit}".rstrip()
        amount = float(value)
        hint = next((hint for (side, end), hint in HINTS.items() if side == word and ending.endswith(end)), None)
        return f"{line}: {hint(amount)}" if hint and amount > 0 else line
    if kind.startswith("float") or kind == "finite_number":
        return f"{shown} is not a number"
    if kind.startswith("int"):
        return f"{shown} is not a whole number"
    if kind == "union_tag_invalid":
        return f"engine is {context['tag']!r}: give xtb, cp2k or pyscf"
    if kind == "literal_error" and context["expected"] == "'auto'":
        return f"{shown}: give auto or a number"
    if kind == "literal_error":
        return f"{shown}: give one of {context['expected']}"
    if kind == "union_tag_not_found":
        return "engine is missing: give xtb, cp2k or pyscf; or frames, the path of your own labels"
    if kind == "string_pattern_mismatch":
        what = PATTERNS.get(context["pattern"])
        return f"{shown}: give {what or 'small letters, digits, _ and ., beginning with a letter or digit'}"
    if kind == "string_type":
        return f"{shown} is not a text"
    if kind in ("string_too_long", "too_long"):
        return f"too long: at most {context['max_length']}"
    if kind in ("string_too_short", "too_short"):
        return f"empty: give at least {context['min_length']}"
    if kind in ("tuple_type", "list_type"):
        return f"{shown} is not a list: give [...]"
    if kind in ("dict_type", "model_type", "model_attributes_type"):
        return f"{shown} is not a section: give name: value lines"
    if kind == "value_error":
        return str(context["error"])
    return f"{shown}: {' '.join(error['msg'].split())}"


@cache
def adapter(cls: type[Section], name: str) -> TypeAdapter[Any]:
    """Return what validates one field of a section by itself."""
    info: FieldInfo = cls.model_fields[name]
    annotation: Any = Annotated[info.annotation, info]
    return TypeAdapter(annotation)


def partial(
    cls: type[Section], raw: Any, loc: tuple[Any, ...], problems: Problems, skip: frozenset[str] = frozenset()
) -> dict[str, Any]:
    """Return the fields of a section that are right, by name, and note what is wrong with the others.

    So that one mistake does not hide the next: what can still be judged, is judged. Of a mapping (ions,
    datasets) the right entries are kept. Fields in `skip` are left to the caller.
    """
    if not isinstance(raw, dict):
        problems.add(loc, f"{brief(raw)} is not a section: give name: value lines")
        return {}
    values: dict[str, Any] = {}
    for key in raw:
        if key not in cls.model_fields:
            problems.add((*loc, key), explain({"type": "extra_forbidden", "loc": (key,)}, cls, key))
    for name, info in cls.model_fields.items():
        if name in skip:
            continue
        if name not in raw:
            if info.is_required():
                problems.add((*loc, name), explain({"type": "missing", "loc": (name,)}, cls, name))
            else:
                values[name] = info.get_default(call_default_factory=True)
            continue
        try:
            values[name] = adapter(cls, name).validate_python(raw[name])
        except ValidationError as error:
            wrong = set()
            places = [entry["loc"] for entry in error.errors()]
            for entry in error.errors():
                inside = any(place[:-1] == entry["loc"] for place in places if place)
                if entry["type"] == "too_short" and inside:  # it counts only the items that are right
                    continue
                entry["loc"] = (name, *entry["loc"])
                place = shown_place(raw, entry["loc"], entry["type"])
                owner = next((item for item in reversed(place) if isinstance(item, str)), name)
                problems.add((*loc, *place), explain(entry, cls, owner))
                wrong.add(place[1] if len(place) > 1 else None)
            if isinstance(raw[name], dict) and None not in wrong:
                rest = {key: value for key, value in raw[name].items() if key not in wrong}
                try:
                    values[name] = adapter(cls, name).validate_python(rest)
                except ValidationError:
                    continue
    return values


@dataclass
class Draft:
    """A study as far as it could be read: sections by name, liquids and models by their place in the file."""

    sections: dict[str, Any]
    liquids: dict[int, dict[str, Any]]
    models: dict[int, dict[str, Any]]

    def get(self, section: str, name: str | None = None) -> Any:
        """Return a section, or a field of it; None where it is absent or wrong."""
        found = self.sections.get(section)
        if name is None or found is None:
            return found
        return found.get(name) if isinstance(found, dict) else getattr(found, name, None)


def read_draft(raw: Any, problems: Problems) -> Draft:
    """Return what is right in a study file's content, and note everything that is not."""
    draft = Draft({}, {}, {})
    if not isinstance(raw, dict):
        problems.add((), f"{brief(raw)} is not a study: give name: value lines, as in studies/demo.yaml")
        return draft
    apart: dict[str, type[Section]] = {"equilibration": Equilibration, "split": Split, "md": Md}
    lists = [name for name in ("liquids", "models") if name in raw]
    present = [name for name in apart if name in raw]
    draft.sections = partial(Study, raw, (), problems, skip=frozenset([*lists, *present]))
    for name in present:
        draft.sections[name] = partial(apart[name], raw[name], (name,), problems)
    for name in lists:
        value = raw[name]
        if not isinstance(value, list) or not value:
            text = "empty: give at least 1" if value == [] else f"{brief(value)} is not a list: give [...]"
            problems.add((name,), text)
            continue
        for index, item in enumerate(value):
            if name == "liquids":
                draft.liquids[index] = partial(Liquid, item, (name, index), problems)
                continue
            framework = item.get("framework") if isinstance(item, dict) else None
            if isinstance(item, dict) and (not isinstance(framework, str) or framework not in MODELS):
                text = "missing" if "framework" not in item else brief(framework)
                problems.add((name, index, "framework"), f"{text}: give one of {', '.join(MODELS)}")
                continue
            cls = MODELS.get(framework or "", AnyModel)
            draft.models[index] = partial(cls, item, (name, index), problems)
    return draft
