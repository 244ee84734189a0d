"""How the models stand in a property of the liquid, in sentences."""

from collections import Counter
from collections.abc import Callable, Mapping
from types import MappingProxyType

import polars as pl

from ionmelt.compare.groups import label
from ionmelt.mistakes import listed
from ionmelt.report.results import Results
from ionmelt.report.sections.choice import STATE, State
from ionmelt.report.sections.recommendation import not_known, teachers
from ionmelt.report.words import NAMES, Row, counted_verdicts, measured, off_by, reference_words, state_name


def liquid_sentence(
    rows: list[Row], verdicts: pl.DataFrame, quantity: str, truths: Mapping[State, str] = MappingProxyType({})
) -> list[str]:
    """Say which models are off the reference, which are not told from it, and for how many nothing can be said.

    ``truths``: the truth of the study by state, converged or not (`teachers`).
    """
    verdicts = verdicts.filter(pl.col("property") == quantity)
    good = [r for r in rows if r["converged"]]
    if not good:
        return [nothing_converged(rows)]
    texts = [state_sentence(state, rows, verdicts, truths) for state in dict.fromkeys(state_name(r) for r in good)]
    shown = texts[:4] + ([f"{len(texts) - 4} more states are in the tables."] if len(texts) > 4 else [])
    pairs = verdicts.filter(pl.col("model_b") != "reference")
    return shown + ([f"Model against model, {pairs.height} pairs: {counted_verdicts(pairs)}."] if pairs.height else [])


def nothing_converged(rows: list[Row]) -> str:
    """Say that nothing is converged, and whether anything was measured at all; else the reason that most values have."""
    measured_ones = sum(r["value"] is not None for r in rows)
    if measured_ones:
        shown = "Hollow points show" if measured_ones > 1 else "A hollow point shows"
        return (
            f"No verdict: none of the {len(rows)} values is converged. {shown} what was measured, for orientation only."
        )
    reasons = Counter(r["reason"] or "no reason given" for r in rows)
    reason, others = reasons.most_common()[0][0], len(reasons) - 1
    more = f", and {others} other reason{'s' * (others > 1)} in the table" if others else ""
    return f"No verdict: none of the {len(rows)} values could be measured: {reason}{more}."


def state_sentence(state: str, rows: list[Row], verdicts: pl.DataFrame, truths: Mapping[State, str]) -> str:
    """Say of the models in one state how they stand to the reference, or to each other, and which are not converged."""
    here = [r for r in rows if state_name(r) == state]
    good = [r for r in here if r["converged"]]
    against = {v["model_a"]: v for v in verdicts.to_dicts() if v["model_b"] == "reference" and state_name(v) == state}
    judged = [r for r in good if label(r["model"], r["dataset"]) in against]  # the truth is not set against itself
    held = next((r for r in here if r["reference_is_truth"]), None)
    truth = truths.get(tuple(here[0][column] for column in STATE), "")
    waiting = [r for r in good if truth and r["dataset"] is not None and r["reference"] is None]
    if judged:
        of_truth, of_experiment = ([r for r in judged if bool(r["reference_is_truth"]) is x] for x in (True, False))
        said = [words for alike in (of_truth, of_experiment) if alike for words in against_reference(alike, against)]
        names = listed([label(r["model"], r["dataset"]) for r in waiting])
        said += [f"of {names} nothing can be said: {not_known(truth)}"] if waiting else []
    elif held:
        said = [f"the truth, {held['reference_source']}, is {reference_words(held)}"]
    else:
        said = [range_of(good, not_known(truth) if waiting else "there is no reference")]
    poor = [label(r["model"], r["dataset"]) for r in here if not r["converged"]]
    poor = [name for name in poor if not waiting or name != truth]
    said += [f"not converged: {listed(poor)}"] if poor else []
    return f"{state}: {'; '.join(said)}."


def against_reference(rows: list[Row], against: dict[str, Row]) -> list[str]:
    """Say which of the models are off the reference of one state, and which cannot be told from it, with how far off they may be.

    A difference that the test does not find is no agreement: the interval is said with it.
    """
    level: dict[str, list[str]] = {"equivalent": [], "not distinguishable": []}
    off, undecided = [], []
    for r in rows:
        name = label(r["model"], r["dataset"])
        v = against[name]
        if v["verdict"] == "differs":
            off.append(f"{name} is {off_by(v, r)}")
        elif v["verdict"] in level:
            level[v["verdict"]].append(f"{name} ({off_by(v, r)})")
        else:
            undecided.append(f"{name}: no verdict")
    kind = (
        "second-hand reference"
        if rows[0]["reference_second_hand"]
        else "truth"
        if rows[0]["reference_is_truth"]
        else "reference"
    )
    reference = f"the {kind}, {reference_words(rows[0])}"
    equal, unseen = level.values()
    # what is said of models comes before them: where a sentence is cut, it is seen
    first = [f"within the margins of {reference}: {listed(equal)}"] if equal else []
    first += [f"not told from {'it' if equal else reference}: {listed(unseen)}"] if unseen else []
    if off and not first and not undecided:
        first = [f"no model agrees with {reference}"]
    return [*(first or [f"against {reference}"]), *off, *undecided]


def range_of(rows: list[Row], why: str) -> str:
    """Say from where to where the models' values go, and why there is nothing to hold them against."""
    low, high = min(rows, key=lambda r: r["value"]), max(rows, key=lambda r: r["value"])
    names = [label(r["model"], r["dataset"]) for r in (low, high)]
    if low is high:
        return f"{names[0]} gives {measured(low)}; {why}"
    return f"from {measured(low)} ({names[0]}) to {measured(high)} ({names[1]}); {why}"


def named(quantity: str, text: str) -> str:
    """Begin a sentence with what it is about."""
    return f"{NAMES[quantity]}: {text[:2].lower() if text.startswith('No ') else text[:2]}{text[2:]}"


def said(*quantities: str, is_named: bool = False) -> Callable[[Results], list[str]]:
    """Return what says of some properties how the models stand; each by its name where there are several."""

    def lines(results: Results) -> list[str]:
        made = []
        summary, verdicts = results.tables["summary"], results.tables["verdicts"]
        for quantity in quantities:
            if rows := summary.filter(pl.col("property") == quantity).to_dicts():
                sentences = liquid_sentence(rows, verdicts, quantity, teachers(results.tables))
                made += [named(quantity, sentences[0]), *sentences[1:]] if is_named else sentences
        return made

    return lines
