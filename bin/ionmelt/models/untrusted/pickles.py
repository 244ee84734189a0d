"""Pickles (what torch.save writes): each name is answered by a stand-in that notes how it is used, and nothing is called."""

import io
import pickle
import re
import zipfile
from collections.abc import Callable
from typing import Any

from ionmelt.errors import is_resource
from ionmelt.models.untrusted.allowed import CLASSES, TUPLES, VALUES
from ionmelt.models.untrusted.checked import Checked
from ionmelt.models.untrusted.refusals import CallsError, NotThisKindError, RefusedError
from ionmelt.models.untrusted.script import check_script
from ionmelt.models.untrusted.traced import check_traced

TRACED = "torch.fx.graph_module.reduce_graph_module"
OF_THE_BODY = ("_modules", "_parameters", "_buffers")
ARRAYS_OF_NUMPY = ("numpy.core.multiarray", "numpy._core.multiarray")
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

    def __init__(self, content: bytes, sizes: dict[str, int], checked: Checked) -> None:
        super().__init__(io.BytesIO(content))
        self.sizes, self.checked = sizes, checked
        self.stand_ins: dict[str, Any] = {}

    def find_class(self, module: str, attribute: str, /) -> Any:
        module = {"__builtin__": "builtins", "copy_reg": "copyreg"}.get(module, module)
        name = f"{module}.{attribute}"
        if name in self.stand_ins:
            return self.stand_ins[name]
        classes = module in CLASSES and re.fullmatch(r"_?[A-Za-z]\w*", attribute)
        if not (classes or name in TUPLES or name in VALUES or name in self.functions()):
            self.checked.refused.append(name)
        self.checked.globals.add(name)
        self.stand_ins[name] = _Named(attribute, (Inert,), {"reader": self, "name": name})
        return self.stand_ins[name]

    def functions(self) -> dict[str, Callable[..., Any]]:
        """Return what may be called, and what is made of the arguments instead."""
        numpy: dict[str, Callable[..., Any]] = {f"{module}.scalar": self._scalar for module in ARRAYS_OF_NUMPY}
        numpy |= {f"{module}._reconstruct": self._array for module in ARRAYS_OF_NUMPY}
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
            if not isinstance(state, tuple) or len(state) < 5 or any(field is not None for field in state[2:5]):
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
            case ("storage", _Named() as kind, str(key), str(device), int()) if (
                kind.name.endswith("Storage") and key in self.sizes and re.fullmatch(r"\w+(:\d+)?", device)
            ):
                return self._thing("a storage")
        raise RefusedError("numbers that are not in the file")

    def _thing(self, name: str) -> Inert:
        kind: Any = self.stand_ins.get(name) or _Named(
            name.rpartition(".")[2], (Inert,), {"reader": self, "name": name}
        )
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
        held = {str(name) for kind in OF_THE_BODY for name in body.get(kind) or ()}
        held |= {name for name in body if re.fullmatch(r"_tensor_constant\d+", name)}
        check_traced(imports + source, held)
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


def check_pickle(content: bytes, records: dict[str, zipfile.ZipInfo], checked: Checked) -> None:
    """Go through a pickle, whose tensors are in the records of the same archive; notes what it names.

    Raises `RefusedError` for what no model needs.
    """
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
