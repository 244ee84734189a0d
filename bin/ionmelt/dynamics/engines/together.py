"""Replicas of a run whose frames are computed in one call of the model."""

import threading
from collections.abc import Sequence

from ionmelt.dynamics.engines.forces import EngineCalculator, ForceEngine, Frame, Result


class Together:
    """Replicas, each in a thread of its own, whose frames are computed in one call of the model.

    A call waits until every replica that is still running has given its frame; the last to come computes for all.
    A replica that has ended leaves, and the others go on.
    """

    def __init__(self, engine: ForceEngine, replicas: int) -> None:
        self.engine = engine
        self._active = set(range(replicas))
        self._frames: dict[int, Frame] = {}
        self._results: dict[int, Result | Exception] = {}
        self._change = threading.Condition()

    def calculator(self, slot: int) -> EngineCalculator:
        """Return the calculator of a replica."""
        return EngineCalculator(self.engine, slot, lambda frame: self._compute(slot, frame))

    def leave(self, slot: int) -> None:
        """Go on without a replica."""
        with self._change:
            self._active.discard(slot)
            self._work()

    def _work(self) -> None:
        """Compute when all frames are there; whoever calls holds the lock."""
        if not self._frames or set(self._frames) != self._active:
            return
        slots = sorted(self._frames)
        try:
            results: Sequence[Result | Exception] = self.engine.compute([self._frames[slot] for slot in slots], slots)
        except Exception:  # whatever an engine raises: who waits for a frame that nobody computes waits for ever
            results = [self._alone(slot) for slot in slots]  # one bad structure must not end the others
        self._results.update(zip(slots, results, strict=True))
        self._frames.clear()
        self._change.notify_all()

    def _alone(self, slot: int) -> Result | Exception:
        try:
            return self.engine.compute([self._frames[slot]], [slot])[0]
        except Exception as error:
            return error

    def _compute(self, slot: int, frame: Frame) -> Result:
        with self._change:
            self._frames[slot] = (frame[0].copy(), frame[1].copy())
            self._work()
            while slot not in self._results:
                self._change.wait()
            result = self._results.pop(slot)
        if isinstance(result, Exception):
            raise result
        return result
