"""Which files of bin/ a script runs on, as Python reads its imports."""

import ast
import re
from functools import cache
from pathlib import Path

BIN = Path(__file__).resolve().parents[1] / "bin"


def files_of(name: str) -> set[Path]:
    """Return the files that Python reads for a module of the package: its own, and what its packages begin with."""
    stems = [BIN / Path(*name.split(".")[: n + 1]) for n in range(name.count(".") + 1)]
    files = {path for stem in stems for path in (stem.with_name(f"{stem.name}.py"), stem / "__init__.py")}
    return {path for path in files if path.exists()}


@cache
def imports(path: Path) -> frozenset[Path]:
    """Return the files of the package that a file imports, or names for an import, and those beside it that it reads by name."""
    if path.suffix != ".py":
        return frozenset()
    names, beside = set(), set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports are not seen by modules/code.nf"
            names |= {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Constant) and re.fullmatch(r"ionmelt[\w.]*", str(node.value)):
            names.add(str(node.value))
        elif isinstance(node, ast.Constant) and re.fullmatch(r"[\w-]+\.\w+", str(node.value)):
            beside.add(path.with_name(str(node.value)))
    used = {file for name in names if name.split(".")[0] == "ionmelt" for file in files_of(name)}
    return frozenset(used | {file for file in beside if file.is_file()})


def all_imports(script: Path) -> set[Path]:
    """Return a script and the files of the package that it imports, directly or through others."""
    imported, left = {script}, [script]
    while left:
        new = imports(left.pop()) - imported
        imported |= new
        left += new
    return imported
