"""Source text of modules that torch.fx traced: what its lines may hold."""

import ast
import re

from ionmelt.models.allowed import DTYPES, OPERATORS, PROPERTIES
from ionmelt.models.expressions import EXPRESSIONS, dotted, parsed, stored
from ionmelt.models.refusals import RefusedError

# --- Traced functions (torch.fx) -----------------------------------------------------------------------

TRACED_LINES = {
    "NoneType = type(None)",
    "import torch",
    "import math",
    "import torch.fx._pytree as fx_pytree",
    "import torch.utils._pytree as pytree",
    "from math import inf",
    "from math import nan",
    "from torch import device",
}
TRACED_NAMES = {"torch", "device", "inf", "nan", "slice", "getattr", "self"}
TRACED_FUNCTIONS = re.compile(r"torch\.(?:functional\.|nn\.functional\.|_C\._nn\.|_C\._special\.|_C\._linalg\.)?(\w+)")
ANNOTATIONS = {"torch.Tensor", "int", "float", "bool", "str"}


def check_traced(source: str, own: set[str]) -> None:
    """Check Python source that PyTorch runs as a traced function; `own` are the modules and tensors that it holds.

    It is what tracing writes: known imports and one function, without defaults, that assigns operations on tensors. Raises
    `RefusedError` for anything else.
    """
    functions = []
    for node in parsed(source).body:
        if isinstance(node, ast.FunctionDef):
            functions.append(node)
        elif ast.unparse(node) not in TRACED_LINES:
            raise RefusedError(f"a traced function with the line {ast.unparse(node)[:60]!r}")
    if len(functions) != 1 or functions[0].name != "forward":
        raise RefusedError("a traced function that is not one forward")
    function = functions[0]
    arguments = function.args
    if function.decorator_list or arguments.defaults or arguments.vararg or arguments.kwarg or arguments.kwonlyargs:
        raise RefusedError("a traced function with decorators, defaults or open arguments")
    for kind in (*(argument.annotation for argument in arguments.args), function.returns):
        if kind is not None and ast.unparse(kind) not in ANNOTATIONS:
            raise RefusedError(f"a traced function with the annotation {ast.unparse(kind)[:60]!r}")
    known = TRACED_NAMES | stored(function)
    if hidden := stored(ast.Module(body=list(function.body), type_ignores=[])) & TRACED_NAMES:
        raise RefusedError(f"a traced function that gives {sorted(hidden)[0]} a value")
    for statement in function.body:
        if not isinstance(statement, ast.Assign | ast.Return | ast.Pass):
            raise RefusedError(f"a traced function with the statement {ast.unparse(statement)[:60]!r}")
        if isinstance(statement, ast.Assign) and not all(
            isinstance(t, ast.Name | ast.Tuple) for t in statement.targets
        ):
            raise RefusedError(f"a traced function with the statement {ast.unparse(statement)[:60]!r}")
        if not isinstance(statement, ast.Pass) and statement.value is not None:
            _check_traced_expression(statement.value, known, own)


def _check_traced_expression(node: ast.expr, known: set[str], own: set[str]) -> None:
    """Check one expression of a traced function, and those in it."""
    text = ast.unparse(node)[:60]
    if isinstance(node, ast.Attribute):
        name = dotted(node)
        if name and name.startswith("self."):
            if name.removeprefix("self.") not in own:
                raise RefusedError(f"a traced function that uses {name[:60]}")
        elif name and name.startswith("torch."):
            if name.removeprefix("torch.") not in DTYPES | {"strided"}:
                raise RefusedError(f"a traced function that uses {name[:60]}")
        else:
            if node.attr not in PROPERTIES:
                raise RefusedError(f"a traced function that uses .{node.attr[:60]}")
            _check_traced_expression(node.value, known, own)
        return
    if isinstance(node, ast.Call):
        _check_traced_call(node, known, own)
        return
    if not isinstance(node, EXPRESSIONS) or (
        isinstance(node, ast.Constant) and not isinstance(node.value, str | int | float | complex | None)
    ):
        raise RefusedError(f"a traced function with {text!r}")
    if isinstance(node, ast.Name) and (node.id not in known or node.id in ("torch", "self", "getattr")):
        raise RefusedError(f"a traced function that uses {node.id[:60]}")
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.expr):
            _check_traced_expression(child, known, own)


def _check_traced_call(node: ast.Call, known: set[str], own: set[str]) -> None:
    """Check a call of a traced function: an operator, a method of a tensor that is one, a module of its own."""
    name, text = dotted(node.func), ast.unparse(node)[:60]
    arguments = [*node.args, *(word.value for word in node.keywords)]
    if name == "getattr":
        plain = len(arguments) == 2 and isinstance(arguments[1], ast.Constant) and arguments[1].value in PROPERTIES
        if not plain or node.keywords:
            raise RefusedError(f"a traced function that calls {text!r}")
    elif name is not None and name.startswith("torch."):
        operator = TRACED_FUNCTIONS.fullmatch(name)
        if not operator or operator[1] not in OPERATORS:
            raise RefusedError(f"a traced function that calls {name[:60]}")
    elif name is not None and name.startswith("self."):
        if name.removeprefix("self.") not in own:
            raise RefusedError(f"a traced function that calls {name[:60]}")
    elif isinstance(node.func, ast.Attribute):
        if node.func.attr not in OPERATORS:
            raise RefusedError(f"a traced function that calls .{node.func.attr[:60]}")
        _check_traced_expression(node.func.value, known, own)
    elif name not in ("slice", "device"):
        raise RefusedError(f"a traced function that calls {text!r}")
    for argument in arguments:
        _check_traced_expression(argument, known, own)
