"""Tell whether a task that failed did so for its model alone, and if so, end well: the model is then a row with its reason.

The files of --errors are those that the task's script was given for the reason. It has written them where Python could see the
failure; what ends a process by a signal, as a fault in a library's compiled code does, is written here. Anything else ends with
the exit code that was given: a mistake, a bug, or a lack of memory or disk.
"""

import argparse
import shutil
import signal
from pathlib import Path

from ionmelt.errors import Exit, kind_of

# What the processor or a library ends a process with. An abort may also be for memory: it must say that it is not.
FAULTS = (signal.SIGSEGV, signal.SIGILL, signal.SIGFPE)
UNCAUGHT = "terminate called"
SAID = Path(".command.err")  # what the task has said so far, where Nextflow keeps it
LAST_BYTES = 4000


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


def main(argv: list[str] | None = None) -> int:
    """Return the exit code of the task."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--code", type=int, required=True, help="exit code of the task's script")
    parser.add_argument(
        "--out", type=Path, nargs="+", required=True, help="what it was to write: removed with its model"
    )
    parser.add_argument(
        "--errors", type=Path, nargs="+", required=True, help="files for the reason, one line a mistake"
    )
    args = parser.parse_args(argv)
    if not any(path.is_file() and path.stat().st_size for path in args.errors):
        said = SAID.read_bytes()[-LAST_BYTES:].decode(errors="replace") if SAID.is_file() else ""
        why = crash(args.code, said)
        if why is None:
            return args.code
        for path in args.errors:
            path.write_text(f"{why}\n")
    for folder in args.out:
        shutil.rmtree(folder, ignore_errors=True)
    return Exit.DONE
