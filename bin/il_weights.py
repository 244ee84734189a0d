#!/usr/bin/env python3
"""Open weights that somebody else wrote without running what they may hold.

A MACE model is a pickle of the whole module, and opening a pickle calls whatever it names. Here PyTorch's own
restricted reader opens it (``weights_only``), which builds nothing but what is allowed: tensors, numbers, and the modules of
MACE, e3nn and torch.nn. Its traced functions come as Python source, which must be what tracing writes: assignments of
tensor operations. A file that asks for more is refused by name, and not opened.
"""

import ast
import contextlib
import dataclasses
import inspect
from importlib import import_module
from pathlib import Path
from typing import Any

from il_task import UserError, reading

MODULES = ("mace.modules.", "e3nn.", "torch.nn.")
# Functions and classes that are no modules, and only compute.
PLAIN = {
    *(f"torch.nn.functional.{name}" for name in ("elu", "gelu", "leaky_relu", "relu", "sigmoid", "silu", "softplus")),
    "torch.tanh",
    "torch.abs",
    "torch.sigmoid",
    "e3nn.math._normalize_activation.normalize2mom",
    "numpy.dtype",
    "numpy.ndarray",
    *(f"numpy.{core}.multiarray.{name}" for core in ("core", "_core") for name in ("scalar", "_reconstruct")),
    *(f"numpy.dtypes.{name}DType" for name in ("Float32", "Float64", "Int32", "Int64")),
}
TRACED = "torch.fx.graph_module.reduce_graph_module"
TRACED_IMPORTS = {"math", "torch", "torch.fx._pytree", "torch.utils._pytree"}
TRACED_CALLS = ("torch.functional.", "torch.")
NOT_TENSOR_OPERATIONS = {"load", "save", "compile", "classes", "ops", "hub", "jit", "package", "serialization"}


def is_plain_source(source: str) -> bool:
    """Tell whether Python source is what tracing writes: one function that assigns tensor operations and returns one."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return False
    functions = []
    for node in tree.body:
        if isinstance(node, ast.Import):
            if not {alias.name for alias in node.names} <= TRACED_IMPORTS:
                return False
        elif isinstance(node, ast.ImportFrom):
            if node.module not in TRACED_IMPORTS:
                return False
        elif isinstance(node, ast.FunctionDef):
            functions.append(node)
        elif ast.unparse(node) != "NoneType = type(None)":
            return False
    if len(functions) != 1 or functions[0].decorator_list:
        return False
    if not all(isinstance(node, ast.Assign | ast.Return) for node in functions[0].body):
        return False
    for part in ast.walk(functions[0]):
        if isinstance(part, ast.Call) and not is_operation(ast.unparse(part.func)):
            return False
        if isinstance(part, ast.Attribute) and "__" in part.attr:
            return False
        if isinstance(part, ast.Lambda | ast.comprehension | ast.NamedExpr):
            return False
    return True


def is_operation(function: str) -> bool:
    """Tell whether the text of a called function names an operation of torch itself."""
    name = next((function.removeprefix(start) for start in TRACED_CALLS if function.startswith(start)), "")
    return name.isidentifier() and not name.startswith("_") and name not in NOT_TENSOR_OPERATIONS


def traced(body: dict[str, Any], imports: str) -> Any:
    """Build a traced module as torch does, once its source was read through; raises `ValueError` where it is not plain."""
    from torch.fx.graph_module import reduce_graph_module

    if not is_plain_source(f"{imports}\n{body.get('_code') or body['code']}"):
        raise ValueError("it holds Python source that no traced model has")
    return reduce_graph_module(body, imports)


def allowed(name: str) -> Any:
    """Return what weights may name, or None for anything else. Imports nothing but MACE, e3nn, numpy and torch."""
    if name == TRACED:
        return traced, TRACED
    module, _, attribute = name.rpartition(".")
    if not (name in PLAIN or name.startswith(MODULES)):
        return None
    import torch

    try:
        found = getattr(import_module(module), attribute)
    except (ImportError, AttributeError):
        return None
    if name in PLAIN:
        return found, name
    known = inspect.isclass(found) and (issubclass(found, torch.nn.Module | tuple) or dataclasses.is_dataclass(found))
    return (found, name) if known else None


def read_mace(path: Path) -> Any:
    """Return the module that a MACE file holds, on the CPU.

    Raises `UserError` where the file is no MACE model, or would run more than a model needs; nothing of it has run then.
    """
    import torch

    with reading(f"weights: {path.name} is no MACE model: it is not a file that torch.save wrote"):
        names = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    import mace.modules  # noqa: F401  (its classes are what the file names)

    found = {name: allowed(name) for name in sorted(names)}
    if refused := [name for name, what in found.items() if what is None]:
        more = f" and {len(refused) - 5} more" if len(refused) > 5 else ""
        raise UserError(
            f"weights: {path.name} was not opened: it would call {', '.join(refused[:5])}{more}, which no MACE model needs"
        )
    with (
        reading(f"weights: {path.name} cannot be opened as a MACE model"),
        torch.serialization.safe_globals(list(found.values())),
    ):
        model = torch.load(path, map_location="cpu", weights_only=True)
    if not (isinstance(model, torch.nn.Module) and hasattr(model, "atomic_numbers") and hasattr(model, "r_max")):
        what = type(model).__name__
        raise UserError(
            f"weights: {path.name} is no MACE model: it holds a {what}; give the .model file, not a checkpoint"
        )
    return model


def check_deepmd(path: Path) -> str:
    """Return what a DeePMD file is: ``pth`` (frozen, TorchScript) or ``pt`` (a checkpoint of tensors alone).

    Neither runs Python when it is opened. Raises `UserError` for anything else.
    """
    import deepmd.pt.cxx_op  # noqa: F401  (operators that a frozen model names)
    import torch

    with contextlib.suppress(UserError), reading("no TorchScript"):
        torch.jit.load(str(path), map_location="cpu")
        return "pth"
    with contextlib.suppress(UserError), reading("no checkpoint"):
        state = torch.load(path, map_location="cpu", weights_only=True)
        if "model_params" in state.get("model", state)["_extra_state"]:
            return "pt"
    raise UserError(
        f"weights: {path.name} is no DeePMD model of PyTorch: give one that dp --pt freeze or compress wrote (.pth), or a "
        "checkpoint of dp --pt train (.pt); it was not opened further"
    )
