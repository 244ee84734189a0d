"""A model that cannot be used ends its task well: what was begun of it is removed, and files say the reason.

In a study of several models such a one is a row of the table of failures. What Python sees is written by the task itself (`run` of
ionmelt.task); what ends a process by a signal, as a fault in a library's compiled code does, by record_failure.py after it.
"""

import shutil
import signal
from collections.abc import Sequence
from pathlib import Path

from ionmelt.errors import Exit, kind_of

# What the processor or a library ends a process with. An abort may also be for memory: it must say that it is not.
FAULTS = (signal.SIGSEGV, signal.SIGILL, signal.SIGFPE)
UNCAUGHT = "terminate called"
SAID = Path(".command.err")  # what the task has said so far, where Nextflow keeps it
LAST_BYTES = 4000


def write_reason(reason: Sequence[str], errors: Sequence[Path]) -> None:
    """Write the lines of a reason into each of the files."""
    for path in errors:
        path.write_text("".join(f"{line}\n" for line in reason))


def remove(folders: Sequence[Path]) -> None:
    """Remove the folders that a model, or what is made with it, was to be in."""
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def crash(code: int, said: str) -> str | None:
    """Return what a crash was, None where the exit code is of none, or of one that the machine may be to blame for."""
    number = code - 128
    if number in FAULTS:
        return f"crashed: {signal.Signals(number).name}"
    if number == signal.SIGABRT and UNCAUGHT in said and kind_of(said) is Exit.BUG:
        what, *rest = said[said.rindex(UNCAUGHT) :].splitlines()
        more = [line.strip() for line in rest[:1] if line.strip().startswith("what():")]  # the next may be the shell's
        return f"crashed: {' '.join(' '.join([what, *more]).split())[:200]}"
    return None


def judge(code: int, errors: Sequence[Path], folders: Sequence[Path]) -> int:
    """Return the exit code of a task whose script ended with `code`: 0 where that was for its model alone.

    The script has written the reason into the files of `errors`, or it crashed. Anything else ends with the code that was
    given: a mistake, a bug, or a lack of memory or disk.
    """
    if not any(path.is_file() and path.stat().st_size for path in errors):
        said = SAID.read_bytes()[-LAST_BYTES:].decode(errors="replace") if SAID.is_file() else ""
        why = crash(code, said)
        if why is None:
            return code
        write_reason([why], errors)
    remove(folders)
    return Exit.DONE
