"""Which files of bin/ a script runs on."""

import ast
from pathlib import Path

BIN = Path(__file__).resolve().parents[1] / "bin"


def imports(script: Path) -> set[str]:
    """Return the names of the files of bin/ that a script imports, directly or through another."""
    found: set[str] = set()
    left = [script]
    while left:
        for node in ast.walk(ast.parse(left.pop().read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module]
            for name in names:
                if (BIN / f"{name}.py").exists() and f"{name}.py" not in found:
                    found.add(f"{name}.py")
                    left.append(BIN / f"{name}.py")
    return found
