#!/usr/bin/env python3
"""What every task script shares: errors a user can act on, and a record of what the task cost."""

import importlib.metadata
import json
import platform
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

# Libraries whose version may change a result; those absent from an environment are left out.
LIBRARIES = (
    "ase", "deepmd-kit", "mace-torch", "mdtraj", "numpy", "openmm", "packmol", "periodictable", "polars", "pydantic",
    "pymbar", "rdkit", "scipy", "tblite", "torch",
)  # fmt: skip


class UserError(Exception):
    """Something that the user can put right: one line per mistake, naming field, value and remedy."""

    def __init__(self, *errors: str) -> None:
        super().__init__("\n".join(errors))
        self.errors = list(errors)


def versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries that this environment has."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def check_device(device: str) -> None:
    """Refuse to work on the CPU where a GPU was asked for (``device`` is ``cuda``); raises UserError."""
    if device != "cuda":
        return
    import torch

    if not torch.cuda.is_available():
        raise UserError(
            f"device: 'cuda' cannot be had here: PyTorch {torch.__version__} sees no GPU (nvidia-smi says whether there is "
            "one, and whether its driver is new enough); without -profile gpu this runs on the CPU"
        )


def run(process: str, work: Callable[[], None], task_id: str) -> int:
    """Do the work of one task and write ``PROCESS.ID.task.json``: its wall and CPU seconds, memory and versions.

    Returns the exit code: 0, or 2 after a `UserError`, whose lines go to standard error.
    Any other exception is a bug and keeps its stack trace.
    """
    start = time.perf_counter()
    try:
        work()
    except UserError as error:
        for line in error.errors:
            print(f"error: {line}", file=sys.stderr)
        return 2
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    record = {
        "process": process,
        "id": task_id,
        "wall_s": round(time.perf_counter() - start, 3),
        "cpu_s": round(own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime, 3),
        "max_rss_mb": round(max(own.ru_maxrss, children.ru_maxrss) / 1024, 1),
        "versions": versions(),
    }
    Path(f"{process}.{task_id}.task.json").write_text(json.dumps(record, indent=2) + "\n")
    return 0
