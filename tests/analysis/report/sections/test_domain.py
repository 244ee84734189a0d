"""Where runs left their training data, in words."""

import polars as pl

from ionmelt.report.figures import Style
from ionmelt.report.sections.domain import domain_sentences, table_domain
from ionmelt.tables.published import TABLES

SCHEMA = TABLES["domain"]
ROW = dict.fromkeys(SCHEMA) | {
    "run_id": "x-r1-m-d", "liquid": "x", "temperature_K": 300.0, "model": "m", "dataset": "d", "quantity": "composition", "unit": "1",
    "limit_low": 0.5, "limit_high": 0.5, "seen_low": 0.5, "seen_high": 0.5, "share_outside": 0.42, "verdict": "partly outside",
}  # fmt: skip


def test_a_share_has_no_unit_and_percent_a_space() -> None:
    frame = pl.DataFrame([ROW], schema=SCHEMA)
    nothing = pl.DataFrame(schema={"model": pl.String, "dataset": pl.String})
    tables = dict.fromkeys(("summary", "survival", "errors"), nothing) | {"domain": frame}
    (line,) = table_domain(tables, Style(tables, {"models": [{"id": "m"}], "datasets": {"d": []}})).rows
    assert line[3:6] == ["0.5000 to 0.5000", "0.5000 to 0.5000", "42 %"]
    assert "with 42 % of its frames" in domain_sentences(frame)[0]


def test_where_no_run_is_judged_the_reason_is_said() -> None:
    frame = pl.DataFrame(
        [ROW | {"verdict": "not judged", "reason": "the model was not trained on frames"}], schema=SCHEMA
    )
    assert domain_sentences(frame) == [
        "No run can be held against what its model was trained on: the model was not trained on frames."
    ]
    assert domain_sentences(frame.clear()) == []
