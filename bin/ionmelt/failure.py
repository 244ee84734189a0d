"""A model that cannot be used ends its task well: what was begun of it is removed, and files say what failed and why.

In a study of several models such a one is a row of the table of failures. What Python sees is written by the task itself (`run` of
ionmelt.task); what ends a process by a signal, as a fault in a library's compiled code does, by record_failure.py after it. So does
what keeps an import from starting: this needs no package, for in the environment of a user's own all of them may be missing.
"""

import argparse
import json
import shutil
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from ionmelt.errors import Exit, kind_of
from ionmelt.patience import ANSWER_S

# What the processor or a library ends a process with. An abort may also be for memory: it must say that it is not.
FAULTS = (signal.SIGSEGV, signal.SIGILL, signal.SIGFPE)
UNCAUGHT = "terminate called"
SAID = Path(".command.err")  # what the task has said so far, where Nextflow keeps it
LAST_BYTES = 4000


FILE = (
    ".failed.json"  # how the name of a file ends that says why a model failed (`Failure` of ionmelt/compare/reading.py)
)
# What a process does with a model or a run, as the table of failures has it.
STAGES = {"IMPORT_MODEL": "import", "TRAIN_MODEL": "training", "EVALUATE_MODEL": "evaluation", "RUN_MD": "dynamics"}


def write_failures(process: str, keys: Sequence[str], reason: Sequence[str], errors: Sequence[Path]) -> None:
    """Write why a task failed into a file for each key of it."""
    for key, path in zip(keys, errors, strict=True):
        path.write_text(json.dumps({"stage": STAGES[process], "key": key, "reason": list(reason)}) + "\n")


def remove(folders: Sequence[Path]) -> None:
    """Remove the folders that a model, or what is made with it, was to be in."""
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def crash(code: int, said: str) -> str | None:
    """Return what a crash, or the end of one that hangs, was, None where the exit code is of none, or of one that the machine may be to blame for."""
    number = code - 128
    if number == signal.SIGALRM:
        return f"hangs: it gave no answer within {ANSWER_S / 3600:g} hours"
    if number in FAULTS:
        return f"crashed: {signal.Signals(number).name}"
    if number == signal.SIGABRT and UNCAUGHT in said and kind_of(said) is Exit.BUG:
        what, *rest = said[said.rindex(UNCAUGHT) :].splitlines()
        more = [
            line.strip() for line in rest[:1] if line.strip().startswith("what():")
        ]  # further lines may be of the shell
        return f"crashed: {' '.join(' '.join([what, *more]).split())[:200]}"
    return None


def unstarted(said: str) -> str | None:
    """Return why an import did not come to opening its model, in its last words; None where those are of memory or disk."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    if not lines or kind_of(lines[-1]) is not Exit.BUG:
        return None
    return f"{lines[-1].removeprefix('error: ')[:300]} (Python {sys.version.split()[0]} of {sys.prefix})"


def judge(process: str, keys: Sequence[str], code: int, errors: Sequence[Path], folders: Sequence[Path]) -> int:
    """Return the exit code of a task whose script ended with `code`: 0 where that was for its model alone.

    ``keys`` are of its model or its runs. The script has written the reason into the files of `errors`, or it crashed. Anything else ends with the code that was
    given: a mistake, a bug, or a lack of memory or disk.
    """
    if not any(path.is_file() and path.stat().st_size for path in errors):
        said = SAID.read_bytes()[-LAST_BYTES:].decode(errors="replace") if SAID.is_file() else ""
        why = crash(code, said)
        if process == "IMPORT_MODEL" and code == Exit.BUG:  # all that is raised after the start is a row already
            why = unstarted(said)
        if why is None:
            return code
        write_failures(process, keys, [why], errors)
    remove(folders)
    return Exit.DONE


def main(argv: list[str] | None = None) -> int:
    """Tell whether a task that failed did so for its model alone, and if so, end well: the model is then a row with its reason."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--process", choices=STAGES, required=True, help="name of the process")
    parser.add_argument("--keys", nargs="+", required=True, help="key of the model, or of each run")
    parser.add_argument("--code", type=int, required=True, help="exit code of the task's script")
    parser.add_argument("--out", type=Path, nargs="+", required=True, help="what it was to write: goes with its model")
    parser.add_argument(
        "--errors", type=Path, nargs="+", required=True, help="a file for each key: what failed, and why"
    )
    args = parser.parse_args(argv)
    return judge(args.process, args.keys, args.code, args.errors, args.out)
