"""TorchScript (what torch.jit.save writes): source code, parsed as Python, of which it is a part; its operators are looked up."""

import ast
import io
import pickletools
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

from ionmelt.errors import is_resource
from ionmelt.models.untrusted.allowed import DEEPMD, OPERATORS, PRIM, SCRIPT, SCRIPT_GLOBALS, SCRIPT_NAMES
from ionmelt.models.untrusted.archive import LARGEST_SOURCE, Archive, content
from ionmelt.models.untrusted.checked import Checked
from ionmelt.models.untrusted.expressions import EXPRESSIONS, is_plain, parsed, stored
from ionmelt.models.untrusted.refusals import NotThisKindError, RefusedError

SCRIPT_RECORDS = re.compile(
    r"(data|constants)\.pkl|version|byteorder|\.format_version|\.storage_alignment|\.data/(serialization_id|version)"
    r"|(data|constants)/\d+|code/[\w./]+\.py(\.debug_pkl)?|extra/[\w.]+"
)
SCRIPT_NODES = (
    *EXPRESSIONS, ast.AnnAssign, ast.Assign, ast.AugAssign, ast.Break, ast.ClassDef, ast.Continue, ast.Expr, ast.For, ast.FunctionDef,
    ast.If, ast.ListComp, ast.DictComp, ast.Module, ast.Pass, ast.Return, ast.While, ast.With, ast.arg, ast.arguments,
    ast.comprehension, ast.withitem,
)  # fmt: skip


RUN_WHEN_OPENED = ("__setstate__", "__getstate__", "__del__")


def check_script(source: Path | io.BytesIO, checked: Checked) -> None:
    """Check an archive of TorchScript: its records, the classes that its data name, and its code.

    Raises `NotThisKindError` where it is none and `RefusedError` for what no model needs.
    """
    with Archive(source) as (archive, records):
        _check_records(records)
        for name in ("data.pkl", "constants.pkl"):
            if name in records:
                _check_data(content(archive, records[name]))
        for name, record in records.items():
            if name.endswith(".py"):
                _check_code(content(archive, record), checked)


def _check_records(records: dict[str, zipfile.ZipInfo]) -> None:
    """Check the names and the sizes of the records of an archive."""
    if "constants.pkl" not in records or not any(name.startswith("code/") for name in records):
        raise NotThisKindError("no code")
    if odd := [name for name in records if not SCRIPT_RECORDS.fullmatch(name)]:
        raise RefusedError(f"TorchScript with the record {odd[0][:60]}")
    size = sum(record.file_size for name, record in records.items() if name.startswith(("code/", "extra/")))
    if size > LARGEST_SOURCE:
        raise RefusedError("TorchScript with more code than any model has")
    if any(name.startswith("extra/data_modifier.pth") and record.file_size for name, record in records.items()):
        raise RefusedError("a data modifier beside the model")


def _check_data(content: bytes) -> None:
    """Check the names in the data of TorchScript, which PyTorch's own reader answers: types of its code, and numbers."""
    try:
        names = [str(argument) for code, argument, _ in pickletools.genops(content) if code.name == "GLOBAL"]
        others = {code.name for code, _, _ in pickletools.genops(content)} & {
            "INST",
            "STACK_GLOBAL",
            "EXT1",
            "EXT2",
            "EXT4",
        }
    except Exception as error:
        if is_resource(error):
            raise
        raise RefusedError("TorchScript whose data cannot be read") from error
    for name in names:
        of_the_code = name.startswith("__torch__.") and not name.startswith("__torch__.torch.classes.")
        if not (of_the_code or name in SCRIPT_GLOBALS) or others:
            raise RefusedError(f"TorchScript that names {name[:60]}")


def _check_code(text: bytes, checked: Checked) -> None:
    """Check one file of code of a TorchScript archive; notes the names that must be no operators of torch."""
    tree = parsed(text.decode(errors="replace"))
    made = {node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef | ast.FunctionDef)}
    names = SCRIPT_NAMES | stored(tree) | made
    for node in ast.walk(tree):
        _check_node(node, names)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("getattr", "hasattr"):
            checked.attributes.add(_asked_attribute(node))
    for name in _chains(tree):
        _check_name(name, checked)


def _check_node(node: ast.AST, names: set[str]) -> None:
    """Check one node of the code; `names` are those that it may use."""
    if not isinstance(node, SCRIPT_NODES):
        raise RefusedError(f"TorchScript with {type(node).__name__}")
    match node:
        case ast.FunctionDef():
            _check_function(node)
        case ast.ClassDef():
            if node.decorator_list or node.keywords or not {ast.unparse(base) for base in node.bases} <= SCRIPT_NAMES:
                raise RefusedError(f"TorchScript with the class {node.name[:40]}")
        case ast.Name() if node.id not in names:
            raise RefusedError(f"TorchScript that uses {node.id[:60]}")
        case ast.Constant() if not isinstance(node.value, str | int | float | complex | None):
            raise RefusedError("TorchScript with a constant of another kind")


def _check_function(node: ast.FunctionDef) -> None:
    """Check what is run of a function without calling it."""
    defaults = [*node.args.defaults, *(value for value in node.args.kw_defaults if value is not None)]
    if node.decorator_list or not all(map(is_plain, defaults)):
        raise RefusedError("TorchScript with decorators, or defaults that are not plain values")
    if node.name in RUN_WHEN_OPENED:
        raise RefusedError(f"TorchScript with a {node.name}, which runs when it is opened")


def _asked_attribute(call: ast.Call) -> str:
    """Return the name that a call of getattr or hasattr asks for; raises `RefusedError` where it is not plain."""
    match call.args:
        case [_, ast.Constant(value=str(name))]:
            return name
    raise RefusedError("TorchScript with an attribute whose name is not plain")


def _chains(tree: ast.AST) -> Iterator[str]:
    """Yield the longest chains of attributes: from the name that they begin with, or `?` for an expression."""
    inner = set()
    for node in ast.walk(tree):
        if not isinstance(node, ast.Attribute) or node in inner:
            continue
        words: list[str] = []
        start: ast.expr = node
        while isinstance(start, ast.Attribute):
            inner.add(start)
            words.append(start.attr)
            start = start.value
        yield ".".join([start.id if isinstance(start, ast.Name) else "?", *reversed(words)])


def _check_name(name: str, checked: Checked) -> None:
    root, _, rest = name.partition(".")
    if root == "torch":
        allowed = rest in OPERATORS or rest in SCRIPT
    elif root == "ops":
        space, _, operator = rest.partition(".")
        allowed = (
            operator in {"prim": PRIM, "aten": OPERATORS | SCRIPT, "deepmd": DEEPMD}.get(space, ())
            and "." not in operator
        )
    elif root == "__torch__":
        allowed = not rest.startswith("torch.classes")
    else:
        allowed = True
        checked.attributes.update(rest.split("."))
    if not allowed:
        raise RefusedError(f"TorchScript that calls {name[:60]}")
