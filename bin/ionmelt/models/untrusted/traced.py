"""Source text of modules that torch.fx traced: what its lines may hold."""

import ast
import re

from ionmelt.models.untrusted.allowed import DTYPES, OPERATORS, PROPERTIES
from ionmelt.models.untrusted.expressions import EXPRESSIONS, dotted, parsed, stored
from ionmelt.models.untrusted.refusals import RefusedError

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


def check_traced(source: str, held: set[str]) -> None:
    """Check Python source that PyTorch runs as a traced function; `held` are its modules and tensors.

    It is what tracing writes: certain imports and one function, without defaults, that assigns operations on tensors. Raises
    `RefusedError` for anything else.
    """
    function = _forward(parsed(source))
    _check_signature(function)
    names = TRACED_NAMES | stored(function)
    if hidden := stored(ast.Module(body=list(function.body), type_ignores=[])) & TRACED_NAMES:
        raise RefusedError(f"a traced function that gives {min(hidden)} a value")
    for statement in function.body:
        _check_statement(statement, names, held)


def _forward(tree: ast.Module) -> ast.FunctionDef:
    """Return the one function of a traced module."""
    functions = []
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            functions.append(node)
        elif ast.unparse(node) not in TRACED_LINES:
            raise RefusedError(f"a traced function with the line {ast.unparse(node)[:60]!r}")
    if len(functions) != 1 or functions[0].name != "forward":
        raise RefusedError("a traced function that is not one forward")
    return functions[0]


def _check_signature(function: ast.FunctionDef) -> None:
    """Check what runs when the function is made."""
    arguments = function.args
    if function.decorator_list or arguments.defaults or arguments.vararg or arguments.kwarg or arguments.kwonlyargs:
        raise RefusedError("a traced function with decorators, defaults or open arguments")
    for kind in (*(argument.annotation for argument in arguments.args), function.returns):
        if kind is not None and ast.unparse(kind) not in ANNOTATIONS:
            raise RefusedError(f"a traced function with the annotation {ast.unparse(kind)[:60]!r}")


def _check_statement(statement: ast.stmt, names: set[str], held: set[str]) -> None:
    """Check one statement: names are given values, or one is returned."""
    match statement:
        case ast.Pass() | ast.Return(value=None):
            return
        case ast.Return(value=ast.expr() as value):
            pass
        case ast.Assign(targets=targets, value=value) if all(map(_is_of_names, targets)):
            pass
        case _:
            raise RefusedError(f"a traced function with the statement {ast.unparse(statement)[:60]!r}")
    _check_expression(value, names, held)


def _is_of_names(target: ast.expr) -> bool:
    """Tell whether what is given a value is a name, or a tuple of names."""
    return all(isinstance(node, ast.Name | ast.Tuple | ast.expr_context) for node in ast.walk(target))


def _check_expression(node: ast.expr, names: set[str], held: set[str]) -> None:
    """Check one expression, and those in it; `names` are those that it may use."""
    match node:
        case ast.Attribute():
            _check_attribute(node, names, held)
            return
        case ast.Call():
            _check_call(node, names, held)
            return
        case ast.Name() if node.id not in names or node.id in ("torch", "self", "getattr"):
            raise RefusedError(f"a traced function that uses {node.id[:60]}")
        case ast.Constant() if not isinstance(node.value, str | int | float | complex | None):
            raise RefusedError(f"a traced function with {ast.unparse(node)[:60]!r}")
    if not isinstance(node, EXPRESSIONS):
        raise RefusedError(f"a traced function with {ast.unparse(node)[:60]!r}")
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.expr):
            _check_expression(child, names, held)


def _check_attribute(node: ast.Attribute, names: set[str], held: set[str]) -> None:
    """Check an attribute: something that is held, a type of numbers, a property of a tensor."""
    name = dotted(node) or ""
    root, _, rest = name.partition(".")
    if root == "self":
        allowed = rest in held
    elif root == "torch":
        allowed = rest in DTYPES | {"strided"}
    else:
        if node.attr not in PROPERTIES:
            raise RefusedError(f"a traced function that uses .{node.attr[:60]}")
        _check_expression(node.value, names, held)
        return
    if not allowed:
        raise RefusedError(f"a traced function that uses {name[:60]}")


def _check_call(node: ast.Call, names: set[str], held: set[str]) -> None:
    """Check a call, and its arguments."""
    name, text = dotted(node.func), ast.unparse(node)[:60]
    root, _, rest = (name or "").partition(".")
    arguments = [*node.args, *(word.value for word in node.keywords)]
    if name == "getattr":
        if not _asks_property(node):
            raise RefusedError(f"a traced function that calls {text!r}")
    elif root in ("torch", "self") and rest:
        operator = TRACED_FUNCTIONS.fullmatch(str(name))
        if not (rest in held if root == "self" else operator and operator[1] in OPERATORS):
            raise RefusedError(f"a traced function that calls {str(name)[:60]}")
    elif isinstance(node.func, ast.Attribute):  # a method of a tensor
        if node.func.attr not in OPERATORS:
            raise RefusedError(f"a traced function that calls .{node.func.attr[:60]}")
        _check_expression(node.func.value, names, held)
    elif name not in ("slice", "device"):
        raise RefusedError(f"a traced function that calls {text!r}")
    for argument in arguments:
        _check_expression(argument, names, held)


def _asks_property(call: ast.Call) -> bool:
    """Tell whether a call of getattr asks for a property of a tensor by its plain name."""
    match call:
        case ast.Call(args=[_, ast.Constant(value=str(name))], keywords=[]):
            return name in PROPERTIES
    return False
