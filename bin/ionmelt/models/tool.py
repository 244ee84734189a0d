"""A framework's own tool, run as a program of its own."""

import collections
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from ionmelt.duration import spoken
from ionmelt.errors import ModelError, check_program
from ionmelt.threads import limits

# glibc gives large blocks back to the system after every step; to keep them makes training on a CPU up to a third
# faster and changes no number.
KEEP_MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": "4294967296",
    "MALLOC_TRIM_THRESHOLD_": "4294967296",
    "MALLOC_TOP_PAD_": "268435456",
}
LAST_LINES = 20
COUNTED = re.compile(r"\b(Epoch|Batch) +(\d+)", re.IGNORECASE)
SAID_S = 30.0

ToolInput = dict[str, object]  # the input of a tool, or a section of it, as JSON holds it
BIN = str(Path(__file__).resolve().parents[2])


def environment(threads: int) -> dict[str, str]:
    """Return the environment of a training on a number of CPU threads, in which the package is found."""
    paths = {"PYTHONPATH": os.pathsep.join(filter(None, (BIN, os.environ.get("PYTHONPATH"))))}
    return KEEP_MEMORY | dict(os.environ) | limits(threads) | paths


class TimeLeft:
    """When a tool that counts its epochs or batches will be done, said twice a minute at most."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.first: tuple[int, float] | None = None  # number and time
        self.said = time.monotonic()

    def words(self, line: str) -> str | None:
        """Return what to say after a line of the tool's output, None where it is not yet time to."""
        counted, now = COUNTED.search(line), time.monotonic()
        if not counted or not self.total:
            return None
        unit, number = counted[1].lower(), int(counted[2])
        self.first = self.first or (number, now)
        done = number - self.first[0]
        if now - self.said < SAID_S or not done:
            return None
        self.said = now
        left = spoken((now - self.first[1]) / done * max(self.total - number, 0))
        return f"{unit} {number} of {self.total}, {left} left"


def run_tool(
    name: str,
    command: Sequence[str],
    env: dict[str, str],
    cwd: Path,
    shown: Callable[[str], bool],
    product: Path | None = None,
    total: int = 0,
) -> None:
    """Run a program, called `name` in messages, in a folder; forward the lines of its output for which `shown` is true to standard error.

    With the `total` of its epochs or batches, say beside them how long it will still take. Raises `ModelError` with the last lines of the output where it fails, or leaves no `product`; `MemoryError` or
    `DiskFullError` where that is why.
    """
    if product:
        product.unlink(missing_ok=True)
    time_left = TimeLeft(total)
    last: collections.deque[str] = collections.deque(maxlen=LAST_LINES)
    with subprocess.Popen(
        command, env=env, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        for line in process.stdout or ():
            last.append(line.rstrip())
            if shown(line):
                print(line.rstrip(), file=sys.stderr, flush=True)
                if said := time_left.words(line):
                    print(said, file=sys.stderr, flush=True)
    if process.returncode == 0 and (product is None or product.exists()):
        return
    how = f"{name} ended with exit code {process.returncode}" if process.returncode else f"{name} left no {product}"
    check_program(how, process.returncode, "\n".join(last))
    raise ModelError(f"{how}; its last lines:", *last)
