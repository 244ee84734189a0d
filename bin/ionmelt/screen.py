"""What a task says on the screen while it works."""

import sys
from contextlib import suppress


def say(text: str) -> None:
    """Print a line to standard error; a disk too full to take it must not end the work."""
    with suppress(OSError):
        sys.stderr.write(f"{text}\n")  # in one piece: replicas are threads
        sys.stderr.flush()
