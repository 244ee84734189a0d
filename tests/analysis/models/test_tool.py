"""A framework's own tool: how long it will still take, as its counted lines say."""

import pytest

from ionmelt.duration import spoken
from ionmelt.models import tool


@pytest.mark.parametrize(
    ("seconds", "words"), [(3.2, "3 s"), (119, "119 s"), (150, "2.5 min"), (7200, "2.0 h"), (9e5, "250.0 h")]
)
def test_times_are_said_in_units_that_fit(seconds: float, words: str) -> None:
    assert spoken(seconds) == words


def test_a_training_says_how_long_it_will_take(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 1000, 40))
    monkeypatch.setattr(tool.time, "monotonic", lambda: float(next(clock)))
    left = tool.TimeLeft(20)
    said = [
        left.words(line) for line in ("INFO: Epoch 2: loss=1", "INFO: Epoch 3: loss=1", "no count", "Epoch 4: loss=1")
    ]
    assert said == [None, "epoch 3 of 20, 11.3 min left", None, "epoch 4 of 20, 16.0 min left"]
    assert tool.TimeLeft(0).words("Epoch 3: loss=1") is None
    assert tool.TimeLeft(20).words("DEEPMD INFO    Batch      16: val: rmse = 1.30e+00") is None, (
        "the first is where it begins"
    )
