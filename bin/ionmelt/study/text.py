"""The text of a study file: YAML of plain data, read as a person reads it."""

import re
from pathlib import Path
from typing import Any

import yaml

from ionmelt.errors import UserError, is_resource
from ionmelt.mistakes import brief, one_line

MAX_BYTES = 1_000_000
MAX_VALUES = 100_000

CORE = ("null", "bool", "int", "float", "str", "seq", "map", "merge")
# Numbers are decimal. PyYAML would read others in silence: 01604 as octal, 15:00 in base 60, 1e5 as a text, a date as a date.
NUMBERS = {
    "int": r"[-+]?(?:0|[1-9][0-9_]*)",
    "float": r"[-+]?(?:(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?|[0-9][0-9_]*[eE][-+]?[0-9]+)"
    r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
    "odd": r"[-+]?(?:0[0-9_]+|0b[01_]+|0o[0-7_]+|0x[0-9a-fA-F_]+|[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?)",
}
KINDS = {"int": "whole number", "float": "number", "bool": "true or false"}


def read_text(path: Path) -> str:
    """Return the text of the study file; raises `UserError` where it cannot be read."""
    if path.exists() and not (path.is_file() or path.is_dir()):  # a pipe or a device would be read for ever
        raise UserError(f"study: {path}: is no regular file")
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        if is_resource(error):
            raise
        raise UserError(f"study: {path}: cannot be read: {error.strerror}") from error
    if len(content) > MAX_BYTES:
        raise UserError(f"study: {path}: is larger than {MAX_BYTES // 1000} kB; is it a study?")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"study: {path}: is not UTF-8 text (byte {error.start})") from error


class Loader(yaml.SafeLoader):
    """PyYAML's safe loader for plain data, which also refuses a key that is given twice and numbers of two readings."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self.mistakes: list[str] = []

    def note(self, node: yaml.Node, text: str) -> None:
        """Note what is wrong with a value, with its line and column."""
        self.mistakes.append(f"line {node.start_mark.line + 1}, column {node.start_mark.column + 1}: {text}")

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Note every key that an earlier line of the same mapping already gave."""
        lines: dict[str, int] = {}
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if isinstance(key, yaml.ScalarNode) and key.value != "<<":
                if key.value in lines:
                    self.note(key, f"{brief(key.value)} is already given in line {lines[key.value]}")
                lines.setdefault(key.value, key.start_mark.line + 1)
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
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items():
        kept = [entry for entry in resolvers if entry[0] in (tags["null"], tags["bool"], tags["merge"])]
        loader.yaml_implicit_resolvers[first] = kept
    for kind, pattern in NUMBERS.items():
        loader.add_implicit_resolver(tags[kind], re.compile(f"(?:{pattern})$", re.ASCII), list("-+.0123456789"))


only_plain_data(Loader)


def values_of(node: yaml.Node | None, counts: dict[int, int]) -> int:
    """Return how many values a YAML node stands for, each anchor counted wherever it is used.

    A few lines can stand for billions. `counts` holds those of the nodes that were counted before, by identity. Raises
    ValueError for a node that holds itself.
    """
    if id(node) not in counts:
        counts[id(node)] = 0
        inner: list[yaml.Node] = []
        if isinstance(node, yaml.MappingNode):
            inner = [side for pair in node.value for side in pair]
        elif isinstance(node, yaml.SequenceNode):
            inner = node.value
        counts[id(node)] = 1 + sum(values_of(value, counts) for value in inner)
    elif counts[id(node)] == 0:
        raise ValueError("an anchor holds itself")
    return counts[id(node)]


def parse_yaml(text: str, name: str) -> Any:
    """Return the content of a YAML text; raises `UserError` with line and column where it is not YAML."""
    try:
        loader = Loader(text)
        try:
            node = loader.get_single_node()
            if values_of(node, {}) > MAX_VALUES:
                raise ValueError(f"its anchors stand for more than {MAX_VALUES} values")
            content = loader.construct_document(node) if node is not None else None
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        problem = " ".join(str(error.problem or error.context).split())
        if r"'\t'" in problem:
            problem = "a tab: indent by blanks"
        raise UserError(one_line(f"{name}: {where}not YAML: {problem}")) from error
    except yaml.reader.ReaderError as error:  # it has a position but no mark
        line = text.count("\n", 0, error.position) + 1
        raise UserError(f"{name}: line {line}: not YAML: a character that YAML does not allow") from error
    except (RecursionError, ValueError, OverflowError) as error:  # nested without end, or 2026-02-31
        raise UserError(f"{name}: not YAML: {' '.join(str(error).split())[:100]}") from error
    if loader.mistakes:
        raise UserError(*(one_line(f"{name}: {line}") for line in loader.mistakes))
    return content
