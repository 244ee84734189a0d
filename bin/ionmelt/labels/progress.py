"""How far a long task is, on the screen."""

import time

from ionmelt.duration import spoken
from ionmelt.screen import say

PROGRESS_S = 30.0


class Progress:
    """A line to standard error every half a minute: how far the work is, and when it will be done."""

    def __init__(self, total: int) -> None:
        self.total, self.done, self.failed = total, 0, 0
        self.start = self.last = time.monotonic()

    def count(self, failed: bool) -> None:
        """Count a frame."""
        self.done += 1
        self.failed += failed
        now = time.monotonic()
        if now - self.last < PROGRESS_S or self.done == self.total:
            return
        self.last = now
        each = (now - self.start) / self.done
        left = spoken(each * (self.total - self.done))
        say(f"{self.done} of {self.total} frames, {self.failed} without a label, {each:.3g} s each, {left} left")
