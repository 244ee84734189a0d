"""The study in short: how close the models come, what is not decided, what to be careful with, and what was asked."""

import polars as pl

from ionmelt.labels.engines import ENGINES
from ionmelt.mistakes import listed
from ionmelt.report.blocks import Quote, Quotes
from ionmelt.report.results import Results
from ionmelt.report.sections import pressures
from ionmelt.report.sections.asked import asked
from ionmelt.report.sections.recommendation import how_close, not_decided
from ionmelt.report.words import sentence
from ionmelt.theory import two_levels


def short(results: Results) -> Quotes:
    """Return what is behind the recommendation, with what to be careful with and what was asked."""
    behind = [("How close", how_close(results.tables)), ("Not decided", not_decided(results.tables))]
    was_asked = [(question, [text]) for question, text in asked(results)]
    return Quotes([*((heading, lines) for heading, lines in behind if lines), *care(results), *was_asked])


def care(results: Results) -> list[Quote]:
    """Say what the reader must be careful with."""
    t = results.tables
    longest = max(t["survival"]["planned_ps"].drop_nulls().to_list(), default=None)
    caveats = []
    if longest is not None and longest < 100:
        caveats.append(f"the runs are short ({longest:g} ps each), so this shows the method, not the liquid")
    engine = ENGINES.get(results.labels.get("engine", ""))
    if engine is not None and engine.not_dft:
        caveats.append(f"the labels are {engine.not_dft} ({engine.title}): the models imitate that, not DFT")
    second = t["references"].filter(pl.col("second_hand"))
    for dated, words in (
        (True, "is second-hand"),
        (False, "is second-hand and without a temperature: not used"),
    ):
        names = second.filter(pl.col("temperature_K").is_not_null() == dated)["liquid"].unique().sort().to_list()
        if names:
            caveats.append(f"a reference of {listed(names)} {words}")
    other = results.models.filter(~pl.col("same_theory")).unique("model", keep="first", maintain_order=True)
    theories: dict[str, dict[str, str]] = {}  # by model, of each level of labels
    for m in other.to_dicts():
        theories.setdefault(m["labels_theory"], {})[m["model"]] = m["theory"]
    levels = [two_levels(of, labels_theory) for labels_theory, of in theories.items()]
    lines = [sentence("; ".join(caveats))] * bool(caveats)
    lines += [f"{words}." for words in levels]  # each begins with the name of a model
    lines += equilibration_sentences(t["equilibration"], t["labels"], t["survival"])
    lines += pressures.lines(results)
    return [("Read with care", lines)] if lines else []


def equilibration_sentences(states: pl.DataFrame, labels: pl.DataFrame, runs: pl.DataFrame) -> list[str]:
    """Say which boxes of liquids are not equilibrated and what comes from them; nothing where all are."""
    poor = states.filter(~pl.col("converged").fill_null(False)).sort("key").to_dicts()
    if not poor:
        return []
    named = [f"{r['key']} ({r['reason'] or 'no reason given'})" for r in poor[:3]]
    more = f" and {len(poor) - 3} more" if len(poor) > 3 else ""
    frames, started = (table.filter(~pl.col("equilibrated")).height for table in (labels, runs))
    counted = [f"{n} {what}" for n, what in ((frames, "labelled frames of kind eq"), (started, "runs")) if n]
    verb = "is" if len(poor) == 1 else "are"
    text = f"{len(poor)} of {states.height} boxes {verb} not equilibrated: {', '.join(named)}{more}"
    come = (
        f"; {listed(counted)} come from them, and what these say may be of a liquid that still changes"
        if counted
        else ""
    )
    return [f"{text}{come}."]
