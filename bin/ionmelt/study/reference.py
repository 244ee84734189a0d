"""The reference of the study file: docs/study.md, made of the models that read it.

`python -c "from ionmelt.study.reference import page; print(page(), end='')"` in bin/ prints it.
"""

from collections.abc import Iterator
from typing import Any

from ionmelt.study.schema import Study

Schema = dict[str, Any]

HEAD = """\
# The study file

Every section and field, made by `ionmelt.study.reference.page` from the models that read the file. A field without a default must
be given. Names carry their unit. What is wrong is refused before anything runs, one line a mistake. `studies/schema.json` holds
the same for editors that know YAML schemas; `studies/demo.yaml` explains a whole study, and `--new_study` writes one.
"""
PLAIN = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false", "null": "nothing"}


def page() -> str:
    """Return docs/study.md."""
    schema = Study.model_json_schema()
    schema = inlined(
        schema, {name: section for name, section in schema["$defs"].items() if "properties" not in section}
    )
    lines = [HEAD]
    for name in sections(schema, schema["$defs"]):
        section = schema if name == "Study" else schema["$defs"][name]
        lines += [f"## {name}", "", section.get("description", "").split("\n\n")[0].replace("\n", " "), ""]
        lines += ["| field | value | default | meaning |", "|---|---|---|---|"]
        lines += [
            row(field, about, field in section.get("required", ())) for field, about in section["properties"].items()
        ]
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def sections(schema: Schema, defined: dict[str, Schema]) -> list[str]:
    """Return the sections in the order in which the study leads to them, itself first."""
    names, waiting = [], ["Study"]
    while waiting:
        name = waiting.pop(0)
        if name not in names:
            names.append(name)
            waiting += refs(schema["properties"] if name == "Study" else defined[name])
    return names


def inlined(node: Any, parts: dict[str, Schema]) -> Any:
    """Return a part of a schema with what is no section of fields in the place of its name."""
    if isinstance(node, dict):
        name = str(node.get("$ref", "")).rpartition("/")[2]
        rest = {key: inlined(value, parts) for key, value in node.items()}
        return inlined(parts[name], parts) | {k: v for k, v in rest.items() if k != "$ref"} if name in parts else rest
    return [inlined(inner, parts) for inner in node] if isinstance(node, list) else node


def refs(node: Any) -> Iterator[str]:
    """Give the sections that a part of a schema names."""
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"].rpartition("/")[2]
        for inner in node.values():
            yield from refs(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from refs(inner)


def row(field: str, about: Schema, needed: bool) -> str:
    """Return the line of one field in its table."""
    without = (
        "its own defaults" if any(refs(about)) else "as `theory` and `quality` say"
    )  # a section, or a setting of DFT
    default = "must be given" if needed else literal(about["default"]) if "default" in about else without
    cells = (f"`{field}`", kind(about), default, about.get("description", "").replace("\n", " "))
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells[:3]) + f" | {plain(cells[3])} |"


def plain(text: str) -> str:
    """Return a text in which Markdown sees neither columns nor links, such as in a SMILES."""
    return text.replace("|", "\\|").replace("](", "]\\(")


def literal(value: Any) -> str:
    """Return a value as a study holds it."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "`true`" if value else "`false`"
    if value in ([], {}, ""):
        return "none"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`".replace("'", "")


def kind(about: Schema) -> str:
    """Return in words what a field may hold."""
    if "$ref" in about:
        name = about["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    for key in ("anyOf", "oneOf"):
        if key in about:
            words = dict.fromkeys(kind(option) for option in about[key] if option.get("type") != "null")
            return " or ".join(words)
    if "const" in about or "enum" in about:
        return ", ".join(f"`{value}`" for value in about.get("enum", [about.get("const")]))
    if about.get("type") == "array":
        return f"list of {kind(about.get('items', {}))}"
    if about.get("type") == "object":
        inner = about.get("additionalProperties")
        return f"name: {kind(inner)}" if isinstance(inner, dict) else "name: value lines"
    return PLAIN.get(about.get("type", ""), "value") + bounds(about)


def bounds(about: Schema) -> str:
    """Return the least and the largest value of a number."""
    low, high = about.get("minimum"), about.get("maximum")
    if low is None and high is None:
        return ""
    return (
        f", {low:g} to {high:g}"
        if None not in (low, high)
        else f", {low:g} or more"
        if high is None
        else f", at most {high:g}"
    )
