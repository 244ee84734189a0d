"""Rounds of active learning in the report: whether another is worth it, and every round drawn and listed."""

import polars as pl

from ionmelt.report.figures import Style
from ionmelt.report.results import Results
from ionmelt.report.sections import rounds as report_rounds
from ionmelt.tables.comparison import ROUNDS
from ionmelt.tables.frames import EXPLORATION


def rounds(*verdicts: tuple[int, str, str]) -> pl.DataFrame:
    rows = [
        {"round": number, "model": model, "dataset": "al", "verdict": verdict, "reason": "why"}
        for number, model, verdict in verdicts
    ]
    return pl.DataFrame(rows, schema=ROUNDS)


def test_one_committee_that_changes_asks_for_another_round() -> None:
    on, words = report_rounds.verdict(rounds((1, "mace", "changed"), (2, "mace", "unchanged"), (2, "dpmd", "changed")))
    assert on
    assert "dpmd" in words
    assert "mace" not in words
    assert report_rounds.verdict(rounds((2, "mace", "unchanged"), (2, "dpmd", "unchanged")))[0] is False
    assert report_rounds.verdict(rounds((0, "mace", "not judged")))[0]


def test_what_a_round_is_of_is_said() -> None:
    one = rounds((0, "mace", "not judged")).with_columns(liquid=pl.lit("x"), temperature_K=430.0)
    t = {"rounds": one, "exploration": pl.DataFrame(schema=EXPLORATION)}
    t |= dict.fromkeys(
        ("summary", "survival", "errors"), pl.DataFrame(schema={"model": pl.String, "dataset": pl.String})
    )
    for study, word in (({"active": None}, "committee"), ({"sampling": {"eq": {"refine": 1}}}, "equilibrium")):
        sentences, reading, *_ = report_rounds.blocks(Results(t, study, {}))
        assert word in sentences.lines[0] and word in reading.text


def test_every_round_is_drawn_and_listed() -> None:
    key = {"liquid": "x", "temperature_K": 430.0, "model": "mace", "dataset": "al"}
    density = {"density_kg_m3": 1000.0, "density_ci95_low_kg_m3": 990.0, "density_ci95_high_kg_m3": 1010.0}
    both = pl.DataFrame([key | density | {"round": number, "survived_share": 0.75} for number in (0, 1)], schema=ROUNDS)
    walks = [
        key | {"walk": walk, "time_ps": time, "disagreement_ev_a": 0.1 * time, "worth_above_ev_a": 0.1, "stop_above_ev_a": 0.3}
        for walk, last in (("npt", 2), ("ramp", 1)) for time in range(1, last + 1)
    ]  # fmt: skip
    nothing = pl.DataFrame(schema={"model": pl.String, "dataset": pl.String})
    style = Style(
        dict.fromkeys(("summary", "survival", "errors"), nothing),
        {"models": [{"id": "mace"}], "datasets": {"al": ["eq"]}},
    )
    assert len(report_rounds.figure_rounds(both, style).data) == 2
    assert len(report_rounds.figure_exploration(pl.DataFrame(walks, schema=EXPLORATION), style).data) == 6
    assert report_rounds.figure_rounds(both.head(1), style) is None
    said = report_rounds.table_rounds(both)
    assert all(len(line) == len(said.head) for line in said.rows)
    assert said.rows[1][5] == "1000 [990.0, 1010]"
