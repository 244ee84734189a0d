"""What a file of weights would run, found out without running any of it, against lists of what models need.

Two kinds of file are read. A pickle (what torch.save writes) names functions and classes: here each name is answered by a stand-in
that notes how it is used, so the whole of it is gone through and nothing is called. TorchScript (what torch.jit.save writes) is
source code: it is parsed as Python, of which it is a part, and its operators are looked up. What is on no list is refused by its
name: files of a library that this program does not know are refused too.
"""

import ast
import io
import pickle
import pickletools
import re
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ionmelt.errors import is_resource
from ionmelt.models.allowed import (
    CLASSES,
    DEEPMD,
    OPERATORS,
    PRIM,
    SCRIPT,
    SCRIPT_GLOBALS,
    SCRIPT_NAMES,
    TUPLES,
    VALUES,
    words,
)
from ionmelt.models.expressions import EXPRESSIONS, is_plain, parsed, stored
from ionmelt.models.refusals import CallsError, NotThisKindError, RefusedError
from ionmelt.models.traced import check_traced

# Sizes that no model comes near: of what a file unpacks to, and of its pickle or its source.
LARGEST_PICKLE = 2 * 10**8
LARGEST_SOURCE = 10**8
# The same, done in place.
OPERATORS |= {
    f"{name}_"
    for name in words(
        """abs add addcdiv addcmul baddbmm ceil clamp clamp_max clamp_min clip copy cos detach div elu exp fill floor
    gelu hardtanh index_add index_copy index_fill index_put leaky_relu log masked_fill masked_scatter mul neg normal pow
    reciprocal relu relu6 round rsqrt scatter scatter_add sigmoid sign silu sin sqrt square squeeze sub tanh transpose
    uniform unsqueeze zero"""
    )
}
TRACED = "torch.fx.graph_module.reduce_graph_module"
BODY_OWN = ("_modules", "_parameters", "_buffers")
PARTS_OF_NUMPY = ("numpy.core.multiarray", "numpy._core.multiarray")
NUMBERS = re.compile(r"[<>=|]?(?:[fiuc](?:1|2|4|8|16)|b1|\?)")


class _Named(type):
    """The class of stand-ins: calling one is handed to the reader, which says what comes of it."""

    reader: "_Reader"
    name: str

    def __call__(cls, *arguments: Any) -> Any:
        return cls.reader.called(cls.name, arguments)


class Inert(metaclass=_Named):
    """What a pickle would make: its name, what it would be made of, and the state it would be given."""

    reader: "_Reader"
    name: str

    def __new__(cls, *arguments: Any) -> "Inert":
        """Stand for a new object of the class."""
        return cls.reader.made(cls, arguments)

    def __setstate__(self, state: Any) -> None:
        self.reader.given(self, state)


class _Mapping(dict[Any, Any]):
    """An OrderedDict, which may be given attributes."""

    def __setstate__(self, state: Any) -> None:
        check_state("collections.OrderedDict", state)


def check_state(name: str, state: Any) -> None:
    """Check what an object is given: attributes by plain names."""
    if not isinstance(state, dict) or not all(isinstance(key, str) for key in state):
        raise RefusedError(f"a {name} with a state that is not its attributes")
    if odd := [key for key in state if key.startswith("__") and key != "__codegen__"]:
        raise RefusedError(f"a {name} with the attribute {odd[0][:40]}")


class _Reader(pickle.Unpickler):
    """An unpickler that makes nothing: what it is told to name or call is compared with the lists."""

    def __init__(self, content: bytes, sizes: dict[str, int], checked: "Checked") -> None:
        super().__init__(io.BytesIO(content))
        self.sizes, self.checked = sizes, checked
        self.known: dict[str, Any] = {}

    def find_class(self, module: str, attribute: str, /) -> Any:
        module = {"__builtin__": "builtins", "copy_reg": "copyreg"}.get(module, module)
        name = f"{module}.{attribute}"
        if name in self.known:
            return self.known[name]
        classes = module in CLASSES and re.fullmatch(r"_?[A-Za-z]\w*", attribute)
        if not (classes or name in TUPLES or name in VALUES or name in self.functions()):
            self.checked.refused.append(name)
        self.checked.globals.add(name)
        self.known[name] = _Named(attribute, (Inert,), {"reader": self, "name": name})
        return self.known[name]

    def functions(self) -> dict[str, Callable[..., Any]]:
        """Return what may be called, and what is made of the arguments instead."""
        numpy: dict[str, Callable[..., Any]] = {f"{part}.scalar": self._scalar for part in PARTS_OF_NUMPY}
        numpy |= {f"{part}._reconstruct": self._array for part in PARTS_OF_NUMPY}
        return {
            "collections.OrderedDict": _mapping,
            "builtins.set": _items,
            "builtins.frozenset": _items,
            "builtins.slice": _numbers_only,
            "builtins.complex": _numbers_only,
            "_codecs.encode": _bytes,
            "torch.device": _device,
            "torch._utils._rebuild_tensor_v2": self._tensor,
            "torch._utils._rebuild_parameter": self._tensor,
            "torch._utils._rebuild_parameter_with_state": self._tensor_with_state,
            "torch._tensor._rebuild_from_type_v2": self._typed,
            TRACED: self._traced,
            "numpy.dtype": self._dtype,
            **numpy,
        }

    def called(self, name: str, arguments: tuple[Any, ...]) -> Any:
        """Return what stands for the result of a call; raises `RefusedError` for one that no model needs."""
        function = self.functions().get(name)
        if function is None:
            self.checked.refused.append(name)
            return self._thing(name)
        try:
            return function(*arguments)
        except (TypeError, ValueError, AttributeError) as error:
            raise RefusedError(f"{name}, called as no model calls it") from error

    def made(self, kind: type[Inert], arguments: tuple[Any, ...]) -> Inert:
        """Return what stands for a new object of a class."""
        module = kind.name.rpartition(".")[0]
        if kind.name not in TUPLES and (module not in CLASSES or arguments):
            self.checked.refused.append(kind.name)
        return object.__new__(kind)

    def given(self, thing: Inert, state: Any) -> None:
        """Check the state that an object is given."""
        if thing.name == "numpy.dtype":
            if not isinstance(state, tuple) or len(state) < 5 or any(part is not None for part in state[2:5]):
                raise RefusedError("numbers of a kind that numpy makes of others")
        elif thing.name == "numpy.ndarray":
            if not (isinstance(state, tuple) and len(state) == 5 and isinstance(state[4], bytes)):
                raise RefusedError("an array of numpy that is not of numbers")
        else:
            if thing.name.rpartition(".")[0] not in CLASSES:
                raise RefusedError(f"a {thing.name} that is given a state")
            check_state(thing.name, state)
            if "__codegen__" in state:
                self._scripts(thing.name, state["__codegen__"])

    def _scripts(self, name: str, scripts: Any) -> None:
        if not isinstance(scripts, dict) or not all(
            isinstance(key, str) and isinstance(value, bytes) for key, value in scripts.items()
        ):
            raise RefusedError(f"a {name} with functions that are not TorchScript")
        for content in scripts.values():
            check_script(io.BytesIO(content), self.checked)

    def persistent_load(self, what: Any, /) -> Any:
        match what:
            case ("storage", _Named() as kind, str(key), str(place), int()) if (
                kind.name.endswith("Storage") and key in self.sizes and re.fullmatch(r"\w+(:\d+)?", place)
            ):
                return self._thing("a storage")
        raise RefusedError("numbers that are not in the file")

    def _thing(self, name: str) -> Inert:
        kind: Any = self.known.get(name) or _Named(name.rpartition(".")[2], (Inert,), {"reader": self, "name": name})
        stands: Inert = object.__new__(kind)
        return stands

    def _tensor(self, *arguments: Any) -> Inert:
        if not isinstance(arguments[0], Inert):
            raise TypeError
        return self._thing("torch.Tensor")

    def _tensor_with_state(self, data: Any, grad: Any, hooks: Any, state: Any) -> Inert:
        check_state("torch.nn.parameter.Parameter", state)
        return self._tensor(data, grad, hooks)

    def _typed(self, function: Any, kind: Any, arguments: Any, state: Any) -> Inert:
        rebuilt = ("torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_parameter")
        if function.name not in rebuilt or kind.name not in ("torch.Tensor", "torch.nn.parameter.Parameter"):
            raise TypeError
        check_state(kind.name, state)
        return self._tensor(*arguments)

    def _traced(self, body: Any, imports: Any) -> Inert:
        source = body.get("_code") or body["code"]
        if not (isinstance(imports, str) and isinstance(source, str) and body.get("_tracer_extras", {}) == {}):
            raise TypeError
        check_state(TRACED, body)
        if not isinstance(body.get("_graphmodule_cls_name", "GraphModule"), str):
            raise TypeError
        tracer = body.get("_tracer_cls")
        if tracer is not None and getattr(tracer, "name", None) != "torch.fx._symbolic_trace.Tracer":
            raise RefusedError("a function traced by an unknown class")
        own = {str(name) for part in BODY_OWN for name in body.get(part) or ()}
        own |= {name for name in body if re.fullmatch(r"_tensor_constant\d+", name)}
        check_traced(imports + source, own)
        return self._thing(TRACED)

    def _dtype(self, kind: Any, *more: Any) -> Inert:
        if not (isinstance(kind, str) and NUMBERS.fullmatch(kind)) or not all(
            isinstance(flag, bool | int) for flag in more
        ):
            raise RefusedError("values of numpy that are not numbers")
        return self._thing("numpy.dtype")

    def _scalar(self, kind: Any, content: Any) -> Inert:
        if kind.name != "numpy.dtype" or not isinstance(content, bytes):
            raise TypeError
        return self._thing("a number")

    def _array(self, kind: Any, shape: Any, code: Any) -> Inert:
        if kind.name != "numpy.ndarray" or shape != (0,) or code != b"b":
            raise TypeError
        return self._thing("numpy.ndarray")


def _mapping(*pairs: Any) -> _Mapping:
    return _Mapping(*pairs)


def _items(values: Any = ()) -> list[Any]:
    if not isinstance(values, list | tuple):
        raise TypeError
    return list(values)


def _numbers_only(*values: Any) -> tuple[Any, ...]:
    if not all(value is None or isinstance(value, int | float) for value in values):
        raise TypeError
    return values


def _bytes(text: Any, encoding: Any) -> bytes:
    if not isinstance(text, str) or encoding != "latin1":
        raise TypeError
    return text.encode("latin1")


def _device(kind: Any, index: Any = None) -> str:
    if not isinstance(kind, str) or not isinstance(index, int | None):
        raise TypeError
    return kind


# --- TorchScript ---------------------------------------------------------------------------------------

SCRIPT_RECORDS = re.compile(
    r"(data|constants)\.pkl|version|byteorder|\.format_version|\.storage_alignment|\.data/(serialization_id|version)"
    r"|(data|constants)/\d+|code/[\w./]+\.py(\.debug_pkl)?|extra/[\w.]+"
)
SCRIPT_NODES = (
    *EXPRESSIONS, ast.AnnAssign, ast.Assign, ast.AugAssign, ast.Break, ast.ClassDef, ast.Continue, ast.Expr, ast.For, ast.FunctionDef,
    ast.If, ast.ListComp, ast.DictComp, ast.Module, ast.Pass, ast.Return, ast.While, ast.With, ast.arg, ast.arguments,
    ast.comprehension, ast.withitem,
)  # fmt: skip


def check_script(source: Path | io.BytesIO, checked: "Checked") -> None:
    """Check an archive of TorchScript: its records, the classes that its data name, and its code.

    Raises `NotThisKindError` where it is none and `RefusedError` for what no model needs.
    """
    with _Archive(source) as (archive, records):
        if "constants.pkl" not in records or not any(name.startswith("code/") for name in records):
            raise NotThisKindError("no code")
        if odd := [name for name in records if not SCRIPT_RECORDS.fullmatch(name)]:
            raise RefusedError(f"TorchScript with the record {odd[0][:60]}")
        size = sum(record.file_size for name, record in records.items() if name.startswith(("code/", "extra/")))
        if size > LARGEST_SOURCE:
            raise RefusedError("TorchScript with more code than any model has")
        for name in ("data.pkl", "constants.pkl"):
            if name in records:
                _check_script_data(_content(archive, records[name]))
        for name, record in records.items():
            if name.endswith(".py"):
                _check_script_code(_content(archive, record), checked)
            elif name.startswith("extra/data_modifier.pth") and record.file_size:
                raise RefusedError("a data modifier beside the model")


def _check_script_data(content: bytes) -> None:
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
        own = name.startswith("__torch__.") and not name.startswith("__torch__.torch.classes.")
        if not (own or name in SCRIPT_GLOBALS) or others:
            raise RefusedError(f"TorchScript that names {name[:60]}")


def _check_script_code(content: bytes, checked: "Checked") -> None:
    """Check one file of code of a TorchScript archive; notes the names that must be no operators of torch."""
    tree = parsed(content.decode(errors="replace"))
    known = (
        SCRIPT_NAMES
        | stored(tree)
        | {node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef | ast.FunctionDef)}
    )
    for node in ast.walk(tree):
        if not isinstance(node, SCRIPT_NODES):
            raise RefusedError(f"TorchScript with {type(node).__name__}")
        if isinstance(node, ast.FunctionDef):
            defaults = [*node.args.defaults, *(value for value in node.args.kw_defaults if value is not None)]
            if node.decorator_list or not all(map(is_plain, defaults)):
                raise RefusedError("TorchScript with decorators, or defaults that are not plain values")
            if node.name in ("__setstate__", "__getstate__", "__del__"):
                raise RefusedError(f"TorchScript with a {node.name}, which runs when it is opened")
        elif isinstance(node, ast.ClassDef):
            if node.decorator_list or node.keywords or not {ast.unparse(base) for base in node.bases} <= SCRIPT_NAMES:
                raise RefusedError(f"TorchScript with the class {node.name[:40]}")
        elif isinstance(node, ast.Name):
            if node.id not in known:
                raise RefusedError(f"TorchScript that uses {node.id[:60]}")
        elif isinstance(node, ast.Constant) and not isinstance(node.value, str | int | float | complex | None):
            raise RefusedError("TorchScript with a constant of another kind")
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("getattr", "hasattr"):
            if (
                len(node.args) != 2
                or not isinstance(node.args[1], ast.Constant)
                or not isinstance(node.args[1].value, str)
            ):
                raise RefusedError("TorchScript with an attribute whose name is not plain")
            checked.attributes.add(node.args[1].value)
    for name in _chains(tree):
        _check_script_name(name, checked)


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


def _check_script_name(name: str, checked: "Checked") -> None:
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


# --- Files ---------------------------------------------------------------------------------------------


@dataclass
class Checked:
    """What was found in a file that has to be asked of PyTorch yet."""

    script: bool = False  # TorchScript as a whole, no pickle
    globals: set[str] = field(default_factory=set)  # that a pickle names
    attributes: set[str] = field(default_factory=set)  # that TorchScript asks objects for: no operators of torch
    refused: list[str] = field(default_factory=list)  # that a pickle names or calls, and no model needs
    top: str = ""  # what a pickle holds: the name of the class


class _Archive:
    """The records of a file that PyTorch wrote, by their names; refuses archives that two readers may read in two ways."""

    def __init__(self, source: Path | io.BytesIO) -> None:
        self.source = source

    def __enter__(self) -> tuple[zipfile.ZipFile, dict[str, zipfile.ZipInfo]]:
        try:
            self.archive = zipfile.ZipFile(self.source)
        except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
            raise NotThisKindError("no archive") from error
        infos = self.archive.infolist()
        file = self.archive.fp
        assert file is not None
        file.seek(0)
        start = file.read(4)
        file.seek(-22, io.SEEK_END)
        end = file.read(4)
        tops = {info.filename.partition("/")[0] for info in infos}
        names = [info.filename.lower() for info in infos]
        if start != b"PK\x03\x04" or end != b"PK\x05\x06" or len(set(names)) != len(names) or len(tops) != 1:
            raise RefusedError("an archive that is not as PyTorch writes it")
        for info in infos:
            packed = info.compress_type != zipfile.ZIP_STORED
            if info.flag_bits & 1 or (packed and info.file_size > LARGEST_SOURCE):
                raise RefusedError("an archive with records that unpack to more than any model has")
        return self.archive, {info.filename.partition("/")[2]: info for info in infos}

    def __exit__(self, *error: object) -> None:
        self.archive.close()


def _content(archive: zipfile.ZipFile, record: zipfile.ZipInfo) -> bytes:
    """Return what a record holds."""
    if record.file_size > LARGEST_PICKLE:
        raise RefusedError("a pickle larger than any model's")
    try:
        return archive.read(record)
    except Exception as error:  # each kind of damage has its own
        if is_resource(error) or isinstance(error, RefusedError):
            raise
        raise NotThisKindError("damaged") from error


def check(path: Path) -> Checked:
    """Return what a file of weights names; nothing of it runs.

    Raises `NotThisKindError` where PyTorch did not write it, `RefusedError` where it would do what no model needs.
    """
    checked = Checked()
    with _Archive(path) as (archive, records):
        if "data.pkl" not in records:
            raise NotThisKindError("no data")
        script = "constants.pkl" in records
        if not script:
            if any(record.compress_type != zipfile.ZIP_STORED for record in records.values()):
                raise RefusedError("an archive with packed records, which PyTorch does not write")
            _check_pickle(_content(archive, records["data.pkl"]), records, checked)
            return checked
    check_script(path, checked)
    checked.script = True
    return checked


def _check_pickle(content: bytes, records: dict[str, zipfile.ZipInfo], checked: Checked) -> None:
    sizes = {
        name.removeprefix("data/"): record.file_size for name, record in records.items() if name.startswith("data/")
    }
    try:
        top = _Reader(content, sizes, checked).load()
    except (RefusedError, NotThisKindError) as error:
        if not checked.refused:
            raise RefusedError(str(error)) from error
        top = None
    except Exception as error:  # a pickle of any content fails in its own way
        if is_resource(error):
            raise
        if not checked.refused:
            raise RefusedError("a pickle that cannot be read") from error
        top = None
    if names := list(dict.fromkeys(checked.refused)):
        more = f" and {len(names) - 5} more" if len(names) > 5 else ""
        raise CallsError(", ".join(names[:5]) + more)
    checked.top = getattr(top, "name", None) or {"_Mapping": "OrderedDict"}.get(type(top).__name__, type(top).__name__)
