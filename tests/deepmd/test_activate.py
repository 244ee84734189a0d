"""What a task finds in the environment of DeePMD, without containers."""

import os
import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]


def test_the_operators_find_the_runtime_of_cuda_12() -> None:
    """They load it by its name, which PyTorch does not: it brings CUDA 13's."""
    load = "python -c 'import ctypes; ctypes.CDLL(\"libcudart.so.12\")'"
    environ = {name: value for name, value in os.environ.items() if name != "LD_LIBRARY_PATH"}
    for before, works in ((f"PATH={sys.prefix}/bin:$PATH", False), (f". containers/activate {sys.prefix}", True)):
        done = subprocess.run(
            ["bash", "-euc", f"{before}; {load}"], cwd=TOP, env=environ, capture_output=True, text=True
        )
        assert (done.returncode == 0) == works, done.stderr
