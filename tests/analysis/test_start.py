"""What a script loads before it works: every task of a run pays for it, whatever it does."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

BIN = Path(__file__).resolve().parents[2] / "bin"
# Most take a tenth of a second or more, and few tasks need any: they are loaded where they are used.
LATE = {"dftd3", "mdtraj", "openff", "periodictable", "pymbar", "scipy.stats", "tblite", "torch"}
# The plan packs, reads and runs nothing, the power of a study's design no more than the classical trajectory.
NOT_OF = {
    "plan_study": {"ase.io", "ase.neighborlist", "openmm", "plotly", "scipy.linalg", "scipy.spatial", "scipy.special"},
    "new_study": {"ase.io", "ase.neighborlist", "openmm", "plotly", "scipy.linalg", "scipy.spatial", "scipy.special"},
    "estimate_power": {"ase.io", "openmm", "plotly", "rdkit", "scipy.spatial"},
    "make_crate": {"ase", "openmm", "plotly", "pydantic", "rdkit", "scipy"},
    "record_failure": {"ase", "numpy", "polars", "pydantic", "scipy"},
}


def loaded(*scripts: str) -> set[str]:
    """Return the modules that scripts have loaded when they read their command lines."""
    modules = [re.search(r"from (ionmelt[\w.]*) import", (BIN / f"{name}.py").read_text()) for name in scripts]
    code = "".join(f"import {module[1]}\n" for module in modules if module) + "import sys; print(*sys.modules)"
    made = subprocess.run([sys.executable, "-c", code], cwd=BIN, capture_output=True, text=True, check=True)
    return set(made.stdout.split())


def test_no_script_loads_what_only_some_work_needs() -> None:
    assert not loaded(*(path.stem for path in BIN.glob("*.py"))) & LATE


@pytest.mark.parametrize("script", NOT_OF)
def test_a_script_loads_nothing_that_its_work_has_no_use_for(script: str) -> None:
    assert not loaded(script) & NOT_OF[script]
