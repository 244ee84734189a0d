"""What went wrong, by kind: a mistake of the user, a model that cannot be used, a disk, the memory, or a bug of this program."""

import contextlib
import errno
import pickle
import signal
import traceback
from collections.abc import Iterator
from enum import IntEnum


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
