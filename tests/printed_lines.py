"""The lines of Python on the page of a model, run as they are printed, in a process that has nothing of Ionmelt."""

import re
import subprocess
import sys
from pathlib import Path


def energy_ev(folder: Path) -> float:
    """Return what the lines of README.md in a model folder print when they are run there."""
    lines = re.search(r"```python\n(.*?)```", (folder / "README.md").read_text(), re.S)
    assert lines
    command = [sys.executable, "-c", lines[1]]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, lines[1] + done.stderr
    return float(done.stdout.splitlines()[-1])
