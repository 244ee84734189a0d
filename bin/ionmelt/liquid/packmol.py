"""Packings by packmol (Martinez et al., J. Comput. Chem. 30, 2157, 2009): structures in a periodic box, none too near another."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms

from ionmelt.errors import UserError, check_program

TIME_S = 600


def binary() -> str:
    """Return the path of packmol: beside this Python, or on PATH."""
    path = shutil.which("packmol", path=str(Path(sys.executable).parent)) or shutil.which("packmol")
    if path is None:
        raise UserError("packmol: not found in this environment; install the PyPI package packmol")
    return path


def run_packmol(
    structures: Sequence[tuple[Atoms, int]], edges: np.ndarray, contact_A: float, seed: int, loops: int | None = None
) -> tuple[np.ndarray | None, bool]:
    """Return packed positions (atoms, 3) in a periodic box of edges (3,) in A, and whether the packing keeps its contacts.

    The atoms are ordered as the structures are: every copy of the first, then of the second. There are no positions where
    packmol leaves none, or takes longer than `TIME_S`. `loops` bounds its search.
    """
    lines = [f"tolerance {contact_A}", "filetype xyz", "output packed.xyz", f"seed {seed}"]
    lines += ["pbc " + " ".join(f"{edge:.6f}" for edge in edges)]
    lines += ([f"nloop {loops}"] if loops else []) + ["movebadrandom"]
    with tempfile.TemporaryDirectory() as folder:
        for index, (atoms, copies) in enumerate(structures):
            ase.io.write(Path(folder, f"{index}.xyz"), atoms)
            lines += [f"structure {index}.xyz", f"number {copies}", "end structure"]
        script = Path(folder, "pack.inp")
        script.write_text("\n".join(lines) + "\n")
        try:
            with script.open() as stdin:  # packmol rewinds its input: a pipe fails
                done = subprocess.run(
                    [binary()], stdin=stdin, cwd=folder, capture_output=True, text=True, timeout=TIME_S, check=False
                )
        except subprocess.TimeoutExpired:
            return None, False
        check_program(f"packmol ended with exit code {done.returncode}", done.returncode, done.stdout + done.stderr)
        output = Path(folder, "packed.xyz")
        if not output.exists():
            return None, False
        return np.loadtxt(output, skiprows=2, usecols=(1, 2, 3), ndmin=2), "Success!" in done.stdout
