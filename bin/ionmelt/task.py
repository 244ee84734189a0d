"""What every task script shares: inputs that are whole, errors by kind, and a record of what the task cost.

What a task hands to the next can be told from what a full disk, a lost node or a careless hand made of it: a folder
holds ``SHA256SUMS`` (as `sha256sum -c` reads it), a JSON object the sha256 of its own content.
"""

import contextlib
import errno
import hashlib
import importlib.metadata
import io
import json
import pickle
import platform
import resource
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl

# Libraries whose version may change a result; those absent from an environment are left out.
LIBRARIES = (
    "ase", "deepmd-kit", "mace-torch", "mdtraj", "numpy", "openmm", "packmol", "periodictable", "polars", "pydantic",
    "pymbar", "rdkit", "scipy", "tblite", "torch",
)  # fmt: skip


SUMS = "SHA256SUMS"
SEAL = "content_sha256"


class Exit(IntEnum):
    """What the exit code of a task says; conf/resources.config acts on it."""

    DONE = 0
    BUG = 1  # of this program: stop, with the stack trace
    USER = 2  # a mistake in the study, or a file that is damaged: stop
    DISK = 74  # full, or failing (EX_IOERR of sysexits.h): try again, perhaps elsewhere
    MEMORY = 75  # of the machine or its GPU: try again with more


DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.ESTALE)
MEMORY_ERRORS = (errno.ENOMEM,)
# What libraries say, in the type or the text of what they raise, or programs in their last words; case does not count.
MEMORY_WORDS = (
    "memoryerror", "out of memory", "out_of_memory", "bad_alloc", "cannot allocate memory", "can't allocate memory",
    "could not allocate", "unable to allocate", "error allocating", "memory allocation of", "memory allocation failed",
    "memoryallocation", "not enough memory", "insufficient virtual memory", "exceed memory limit", "alloc_failed",
    "resource_exhausted", "spawn worker thread", "start new thread", "resource temporarily unavailable",
    "failed to map segment",
)  # fmt: skip
DISK_WORDS = (
    "no space left on device",
    "disk quota exceeded",
    "file too large",
    "pytorchstreamwriter failed",
    "unexpected pos",
)
# What ends a program by a signal: the kernel for memory, a limit on the size of files.
KILLED = {-signal.SIGKILL: Exit.MEMORY, -signal.SIGXFSZ: Exit.DISK}
# What is raised of content, whose text may quote a user's file: such words say nothing of the machine.
OF_CONTENT = (ValueError, LookupError, SyntaxError, TypeError, AttributeError, EOFError, pickle.UnpicklingError)


class UserError(Exception):
    """Something that the user can put right: one line per mistake, naming field, value and remedy."""

    def __init__(self, *errors: str) -> None:
        super().__init__("\n".join(errors))
        self.errors = list(errors)


class ModelError(UserError):
    """What keeps one model from being used. In a study of several it is a row with its reason, and the others go on."""


class DiskFullError(Exception):
    """A disk that is full, where no `OSError` says so."""


def kind_of(words: str) -> Exit:
    """Return what the last words of a program say it ended for: memory, disk, or neither (``BUG``)."""
    words = words.lower()
    if any(word in words for word in MEMORY_WORDS):
        return Exit.MEMORY
    return Exit.DISK if any(word in words for word in DISK_WORDS) else Exit.BUG


def check_program(how: str, code: int, words: str) -> None:
    """Raise `MemoryError` or `DiskFullError`, which say `how` a program ended, where its exit code or last words tell of that."""
    kind = KILLED.get(code, kind_of(words))
    if kind is not Exit.BUG:
        raise (MemoryError if kind is Exit.MEMORY else DiskFullError)(how)


def kind_of_error(error: BaseException) -> Exit:
    """Return what one error, whatever it was raised from, is of: memory, disk, or neither (``BUG``)."""
    number = error.errno if isinstance(error, OSError) else None
    if isinstance(error, MemoryError) or number in MEMORY_ERRORS:
        return Exit.MEMORY
    if isinstance(error, DiskFullError) or number in DISK_ERRORS:
        return Exit.DISK
    return Exit.BUG if isinstance(error, (UserError, *OF_CONTENT)) else kind_of(f"{type(error).__name__}: {error}")


def blamed(error: BaseException) -> tuple[Exit, str]:
    """Return what an error is of, memory, disk or neither (``BUG``), and what it says.

    Libraries raise errors of their own from those of the machine: the whole chain is asked, and the words are of the one found.
    """
    link: BaseException | None = error
    while link is not None:
        if (kind := kind_of_error(link)) is not Exit.BUG:
            return kind, " ".join(f"{type(link).__name__}: {link}".split())[:300]
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
    return Exit.BUG, " ".join(f"{type(error).__name__}: {error}".split())[:300]


def is_resource(error: BaseException) -> bool:
    """Tell whether an error is of the machine (memory, disk) and says nothing about what was computed."""
    return blamed(error)[0] is not Exit.BUG


@contextlib.contextmanager
def of_model(kind: type[Exception] = Exception) -> Iterator[None]:
    """Turn what is raised here, of a kind, into `ModelError`: a model and its libraries may fail in any way.

    What the machine is to blame for (memory, disk) is raised as it is. An error that nobody foresaw keeps its stack
    trace on standard error.
    """
    try:
        yield
    except ModelError:
        raise
    except kind as error:
        if is_resource(error):
            raise
        if isinstance(error, UserError):
            raise ModelError(*error.errors) from error
        with contextlib.suppress(OSError):
            traceback.print_exception(error)
        raise ModelError(" ".join(f"{type(error).__name__}: {error}".split())[:300]) from error


# --- Files that are whole ------------------------------------------------------------------------------


@contextlib.contextmanager
def reading(where: object, what: str = "") -> Iterator[None]:
    """Turn whatever a library raises on something that a user gave (a file, a model, a class) into one line.

    What the machine lacks, memory or disk, is not the user's and is raised as it is: `run` ends with its exit code, and the
    task is tried again.

    Parameters
    ----------
    where : the path, or the beginning of the line: what is wrong with which field.
    what : what the file at the path should be, such as ``Parquet``.

    Raises
    ------
    UserError : one line, which ends with what the library said.
    """
    try:
        yield
    except UserError:
        raise
    except BaseException as error:  # each library has its own
        if not of_library(error) or is_resource(error):
            raise
        text = " ".join(str(error).split())
        if not what:
            line = f"{where}: {type(error).__name__}: {text}".removesuffix(": ")[:400]
        elif isinstance(error, OSError):
            line = f"{error.filename or where}: {error.strerror or text}"
        else:
            line = f"{where}: not readable as {what} (is it cut off?): {text[:160] or type(error).__name__}"
        raise UserError(line) from error


def of_library(error: BaseException) -> bool:
    """Tell whether an error is one that code raises, and not the end of the process; Rust's libraries have their own kind."""
    return isinstance(error, Exception) or type(error).__name__ == "PanicException"


def digest(content: Mapping[str, Any]) -> str:
    """Return the sha256 (hex) of a JSON object whose numbers are finite; the order of its keys does not count."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def sealed(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return a JSON object with the sha256 of its content, which `read_json` checks and takes off."""
    return {**content, SEAL: digest(json.loads(json.dumps(content)))}


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number")


def read_json(path: Path) -> dict[str, Any]:
    """Return the object of a JSON file; raises `UserError` where it is not one, or its content not what was sealed."""
    with reading(path, "a JSON object"):
        content = json.loads(path.read_text(), parse_constant=_refuse_constant)
        if not isinstance(content, dict):
            raise ValueError(f"it holds a {type(content).__name__}")
    claimed = content.pop(SEAL, None)
    if claimed not in (None, digest(content)):
        raise UserError(
            f"{path}: its content does not fit its {SEAL}: it was changed (to change it on purpose, take that out)"
        )
    return content


def read_yaml(path: Path, *needed: str) -> dict[str, Any]:
    """Return the mapping of a YAML file that has the keys needed; raises `UserError` where it is none, or is cut off."""
    import yaml

    with reading(path, "YAML"):
        text = path.read_text()
        content = yaml.safe_load(text)
        if not isinstance(content, dict) or (absent := [key for key in needed if key not in content]):
            raise ValueError(
                f"{absent[0]} is missing" if isinstance(content, dict) else "it holds no name: value lines"
            )
        if not text.endswith("\n"):
            raise ValueError("its last line has no end")
    return content


def read_tables(paths: Sequence[Path], *needed: str) -> "pl.DataFrame":
    """Return Parquet files as one table, in the order of their names, each with the columns needed.

    Raises `UserError` for one that is damaged.
    """
    import polars as pl

    tables = []
    for path in sorted(paths):
        with reading(path, "Parquet"):
            tables.append(pl.read_parquet(path))
            if absent := sorted(set(needed) - set(tables[-1].columns)):
                raise ValueError(f"it has no column {absent[0]}")
    return pl.concat(tables, how="diagonal_relaxed")


def write_table(table: "pl.DataFrame", path: Path) -> None:
    """Write a table as Parquet; polars' own writer does not say that a disk is full."""
    content = io.BytesIO()
    table.write_parquet(content)
    path.write_bytes(content.getvalue())


def read_csv(path: Path) -> "pl.DataFrame":
    """Return a CSV file as a table of texts; raises `UserError` where it is none, or its last line is cut off."""
    import polars as pl

    with reading(path, "CSV"):
        content = path.read_bytes()
        if not content.endswith(b"\n"):
            raise ValueError("its last line has no end")
        return pl.read_csv(content, infer_schema=False)


def seal(folder: Path) -> None:
    """Write the sha256 of every file of a folder into its ``SHA256SUMS``."""
    lines = []
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != SUMS:
            lines.append(f"{_sha256(path)}  {path.relative_to(folder)}\n")
    (folder / SUMS).write_text("".join(lines))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check(*paths: Path | None) -> None:
    """Raise `UserError`, a line for each, for files that are not there and those that differ from ``SHA256SUMS``.

    A folder without that file was not made by a task, and is taken as it is.
    """
    errors = []
    for path in paths:
        if path is None:
            continue
        if not path.exists():
            errors.append(f"{path}: no such file or folder")
        sums = path / SUMS
        if not path.is_dir() or not sums.exists():
            continue
        with reading(sums, SUMS):
            listed = [line.split("  ", 1) for line in sums.read_text().splitlines()]
            if not listed or any(len(entry) != 2 for entry in listed):
                raise ValueError("a line is not a sha256 and a name")
        for expected, name in listed:
            if not (path / name).is_file():
                errors.append(f"{path / name}: no such file, though {SUMS} lists it")
            elif _sha256(path / name) != expected:
                errors.append(f"{path / name}: not as it was written: its sha256 differs from {SUMS}")
    if errors:
        raise UserError(*errors)


# --- The task ------------------------------------------------------------------------------------------


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


def run(
    process: str,
    work: Callable[[], None],
    task_id: str,
    reads: Sequence[Path | None] = (),
    writes: Sequence[Path] = (),
    errors: Sequence[Path] = (),
) -> int:
    """Do the work of one task and write ``PROCESS.ID.task.json``: its wall and CPU seconds, memory and versions.

    Returns the exit code, one of `Exit`. What the user, the disk or the memory is to blame for is one line each on
    standard error; any other exception is a bug and keeps its stack trace.

    Parameters
    ----------
    reads : files and folders that must be there, and whole (`check`), before the work begins.
    writes : folders that the work makes; they are sealed.
    errors : files that take the lines of a `ModelError`; the folders of `writes` are removed then.
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
            for path in errors:
                path.write_text("".join(f"{line}\n" for line in error.errors))
            for folder in writes:
                shutil.rmtree(folder, ignore_errors=True)
        return _say(Exit.USER, *error.errors)
    except BaseException as error:
        if not of_library(error):
            raise
        return _blame(error, task_id)
    return Exit.DONE


def _record(process: str, task_id: str, start: float) -> None:
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    record = {
        "process": process,
        "id": task_id,
        "wall_s": round(time.perf_counter() - start, 3),
        "cpu_s": round(own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime, 3),
        "max_rss_mb": round(max(own.ru_maxrss, children.ru_maxrss) / 1024, 1),
        "versions": versions(),
    }
    Path(f"{process}.{task_id}.task.json").write_text(json.dumps(record) + "\n")


def _blame(error: BaseException, task_id: str) -> Exit:
    """Say what an exception was for, and return its kind."""
    kind, words = blamed(error)
    if kind is not Exit.BUG:
        return _say(kind, f"{'out_of_memory' if kind is Exit.MEMORY else 'disk_full'}: {task_id}: {words}")
    if isinstance(error, OSError) and error.filename is not None:
        return _say(Exit.USER, f"{error.filename}: {error.strerror}")
    with contextlib.suppress(OSError):
        traceback.print_exception(error)
    return Exit.BUG


def _say(code: Exit, *errors: str) -> Exit:
    with contextlib.suppress(OSError):  # a disk too full for the log must not hide the exit code
        for line in errors:
            print(f"error: {line}", file=sys.stderr, flush=True)
    return code
