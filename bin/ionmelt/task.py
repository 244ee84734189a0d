"""One task: its inputs are whole, its errors have an exit code by kind, and what it cost is recorded."""

import contextlib
import importlib.metadata
import json
import platform
import resource
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from ionmelt import failure
from ionmelt.errors import Exit, ModelError, UserError, blamed, of_library
from ionmelt.files import check, seal

# Libraries whose version may change a result; those absent from an environment are left out.
LIBRARIES = (
    "aimnet", "ase", "chgnet", "deepmd-kit", "dftd3", "diep", "e3nn", "fairchem-core", "graph-longrange", "jax", "mace-torch", "mattersim", "mdtraj", "nequip",
    "nequix", "numpy", "openmm", "orb-models", "packmol", "periodictable", "polars", "pydantic", "pymbar", "rdkit", "scipy", "sevenn",
    "tblite", "tensorpotential", "torch", "upet",
)  # fmt: skip


# --- The task ------------------------------------------------------------------------------------------


def versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries that this environment has."""
    made = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            made[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return made


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


def run(
    process: str,
    work: Callable[[], None],
    task_id: str,
    reads: Sequence[Path | None] = (),
    writes: Sequence[Path] = (),
    errors: Sequence[Path] = (),
    keys: Sequence[str] = (),
) -> int:
    """Do the work of one task and write ``PROCESS.ID.task.json``: its wall and CPU seconds, memory and versions.

    Returns the exit code, one of `Exit`. What the user, the disk or the memory is to blame for is one line each on
    standard error; any other exception is a bug and keeps its stack trace.

    Parameters
    ----------
    reads : files and folders that must be there, and whole (`check`), before the work begins.
    writes : folders that the work makes; they are sealed.
    errors : files that take the lines of a `ModelError`; the folders of `writes` are removed then.
    keys : what each of these files is of, where that is not the task alone.
    """
    start = time.perf_counter()
    # OpenBLAS takes its memory at the first call, and ends the process without a word of Python's where it cannot.
    if numpy := sys.modules.get("numpy"):
        numpy.eye(256) @ numpy.eye(256)
    try:
        check(*reads)
        work()
        for folder in writes:
            seal(folder)
        _record(process, task_id, start)
    except UserError as error:
        if isinstance(error, ModelError) and errors:
            failure.write_failures(process, keys or [task_id], error.errors, errors)
            failure.remove(writes)
        return give_up(Exit.USER, *error.errors)
    except BaseException as error:
        if not of_library(error):
            raise
        return _blame(error, task_id)
    return Exit.DONE


def _record(process: str, task_id: str, start: float) -> None:
    here, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    record = {
        "process": process,
        "id": task_id,
        "wall_s": round(time.perf_counter() - start, 3),
        "cpu_s": round(here.ru_utime + here.ru_stime + children.ru_utime + children.ru_stime, 3),
        "max_rss_mb": round(max(here.ru_maxrss, children.ru_maxrss) / 1024, 1),
        "versions": versions(),
    }
    Path(f"{process}.{task_id}.task.json").write_text(json.dumps(record) + "\n")


def command(work: Callable[[], Exit | None]) -> Exit:
    """Do the work of a command that a person types and return its exit code, as `run` does of a task; nothing is recorded."""
    try:
        return work() or Exit.DONE
    except UserError as error:
        return give_up(Exit.USER, *error.errors)
    except BaseException as error:
        if not of_library(error):
            raise
        return _blame(error)


def _blame(error: BaseException, *about: str) -> Exit:
    """Say what an exception was for, with what it is `about`, and return its kind."""
    kind, words = blamed(error)
    if kind is not Exit.BUG:
        return give_up(kind, ": ".join(("out_of_memory" if kind is Exit.MEMORY else "disk_full", *about, words)))
    if isinstance(error, OSError) and error.filename is not None:
        return give_up(Exit.USER, f"{error.filename}: {error.strerror}")
    with contextlib.suppress(OSError):
        traceback.print_exception(error)
    return Exit.BUG


def give_up(code: Exit, *errors: str) -> Exit:
    """Say why a script ends, a line each, and return its exit code."""
    with contextlib.suppress(OSError):  # a disk too full for the log must not hide the exit code
        for line in errors:
            print(f"error: {line}", file=sys.stderr, flush=True)
    return code
