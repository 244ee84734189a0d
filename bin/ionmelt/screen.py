"""What is said on the screen: the progress of a task, and the answer of a command."""

import os
import sys
from contextlib import suppress


def say(text: str) -> None:
    """Print a line to standard error; a disk too full to take it must not end the work."""
    with suppress(OSError):
        sys.stderr.write(f"{text}\n")  # in one piece: replicas are threads
        sys.stderr.flush()


def show(text: str, end: str = "\n") -> None:
    """Print an answer to standard output; a reader that has read enough, as `head` does, must not end the work."""
    try:
        print(text, end=end, flush=True)
    except BrokenPipeError:  # what is left must go somewhere at the end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
