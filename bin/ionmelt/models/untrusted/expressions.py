"""Expressions of Python in files of weights: what is plain data, and dotted names."""

import ast

from ionmelt.models.untrusted.refusals import RefusedError

EXPRESSIONS = (
    ast.Attribute, ast.BinOp, ast.BoolOp, ast.Call, ast.Compare, ast.Constant, ast.Dict, ast.IfExp, ast.List, ast.Name, ast.Slice,
    ast.Starred, ast.Subscript, ast.Tuple, ast.UnaryOp, ast.expr_context, ast.keyword, ast.operator, ast.unaryop, ast.boolop,
    ast.cmpop,
)  # fmt: skip


def parsed(source: str) -> ast.Module:
    """Return source as a tree; raises `RefusedError` for text that two parsers may read in two ways, or none reads."""
    if not all(char == "\n" or " " <= char <= "~" for char in source) or "\\\n" in source:
        raise RefusedError("source code with characters that no model's has")
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise RefusedError("source code that cannot be parsed") from error


def is_plain(value: ast.expr) -> bool:
    """Tell whether an expression is a number, text, None, or a list or tuple of them."""
    if isinstance(value, ast.UnaryOp):
        return isinstance(value.op, ast.USub) and isinstance(value.operand, ast.Constant)
    if isinstance(value, ast.List | ast.Tuple):
        return all(map(is_plain, value.elts))
    return isinstance(value, ast.Constant)


def stored(tree: ast.AST) -> set[str]:
    """Return the names that a piece of source gives values to."""
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    return names | {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}


def dotted(node: ast.expr) -> str | None:
    """Return a chain of attributes of a name as text, None for any other expression."""
    words = []
    while isinstance(node, ast.Attribute):
        words.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(words)]) if isinstance(node, ast.Name) else None
