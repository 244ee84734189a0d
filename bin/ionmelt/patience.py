"""How long a library of a user's own is waited for: one that hangs, in Python or in compiled code, must not hold a study for days."""

import contextlib
import signal
from collections.abc import Iterator

ANSWER_S = 7200.0  # for one answer, however large the box is: a model this slow cannot run any dynamics


@contextlib.contextmanager
def limited() -> Iterator[None]:
    """End this process by SIGALRM where what is done here takes longer; record_failure.py then says so of the model.

    Nobody handles the signal: Python would do so only once the library has come back.
    """
    before = signal.setitimer(signal.ITIMER_REAL, ANSWER_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, *before)
