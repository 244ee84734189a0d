"""What is said of a property that is not converged: hollow points are spoken of where there are any."""

import pytest

from ionmelt.report.sections.properties import nothing_converged


@pytest.mark.parametrize(
    ("values", "reasons", "words"),
    [
        ([1.0, None, 2.0], ["short"] * 3, "none of the 3 values is converged. Hollow points show what was measured"),
        ([1.0, None], ["short"] * 2, "A hollow point shows what was measured"),
        (
            [None, None],
            ["no NVT survived", "no NVT survived"],
            "none of the 2 values could be measured: no NVT survived.",
        ),
        ([None] * 3, ["a", "b", "b"], "could be measured: b, and 1 other reason in the table."),
        ([None] * 3, ["a", "b", None], "could be measured: a, and 2 other reasons in the table."),
    ],
)
def test_nothing_converged(values: list[float | None], reasons: list[str | None], words: str) -> None:
    rows = [{"value": value, "reason": reason} for value, reason in zip(values, reasons, strict=True)]
    assert words in nothing_converged(rows)
