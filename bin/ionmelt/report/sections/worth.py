"""What the data were worth: errors over kinds and numbers of frames, and over what their labels took.

No sentence says more than its row: what was not told apart is called so, with how much the interval could hide.
"""

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go
import polars as pl

from ionmelt.compare.groups import label
from ionmelt.compare.learning import PROPERTIES
from ionmelt.compare.worth import added_kinds
from ionmelt.mistakes import listed
from ionmelt.report.blocks import Block, Folded, Heading, Note, Nothing, Plot, Section, Sentences, Table
from ionmelt.report.figures import Style, error_bar, finish, log_axis, panels
from ionmelt.report.results import Results
from ionmelt.report.sections import pressures
from ionmelt.report.words import (
    NAMES,
    UNITS,
    Row,
    Tables,
    difference,
    ended,
    in_unit,
    number,
    p_value,
    percent,
    rounded,
    seen_ends,
    sentence,
    state_name,
    unsigned_zero,
)
from ionmelt.tables.comparison import STATE

READING = Note(
    "Errors of models that differ in their training data alone, and of models on the same data. The error of a density or a "
    "diffusion coefficient is the distance from the method of the labels itself, run from the same boxes, where the study has it as "
    "a model; else from experiment. Models of one dataset are paired by box and seed. Tests are corrected for the number of all of the "
    "report that may name a winner (Holm); fewer than three training seeds are no claim."
)
READING_SIZES = Note(
    "Each dataset cut to the training frames that differ most, a smaller cut being part of every larger one. A line that still "
    "falls at its right end asks for more frames. Hollow points are not converged. Labels of validation frames count too; the time "
    "that runs lost by breaking is that of all seeds and boxes."
)

VIEW = ("property", "liquid", "temperature_K", "species")  # what a panel of the figure is of
MOST = 3  # of one kind, in a sentence; the others are counted
UNDECIDED = ("not converged", "design cannot decide")
FIRST = ("better", "worse", "not distinguishable", "not converged")  # verdicts, in the order of a sentence
ASKED = {"kinds": "Further kinds of frames", "frames": "How many frames", "framework": "Which needs fewer frames"}


def figure_sizes(t: Tables, style: Style) -> go.Figure | None:
    """Errors against the number of training frames and against what their labels took, where a study has several sizes."""
    rows = t["learning"].filter(pl.col("error").is_not_null()).sort("frames", "dataset").to_dicts()
    sizes: dict[tuple[str, str], set[str]] = {}
    for row in rows:
        sizes.setdefault((row["model"], row["mixture"]), set()).add(row["dataset"])
    if not any(len(of) > 1 for of in sizes.values()):
        return None
    views: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        views.setdefault(tuple(row[c] for c in VIEW), []).append(row)
    order = sorted(views, key=lambda view: (PROPERTIES.index(view[0]), view[1], view[2] or 0.0, view[3] or ""))
    axes = [("frames", "training frames")]
    if all(row["labels_core_h"] is not None for row in rows):
        axes.append(("labels_core_h", "labels (core-hours)"))
    drawn = [(views[view], *axis) for view in order for axis in axes]
    figure, at = panels([f"{NAMES[here[0]['property']]}: {state_name(here[0])}" for here, *_ in drawn], len(axes), 300)
    seen: set[str] = set()
    for i, (here, x, title) in enumerate(drawn):
        seen |= draw_learning(figure, style, here, x, seen, at(i))
        title_of_error = "planned time lost" if here[0]["property"] == "survival" else "error"
        figure.update_yaxes(title=f"{title_of_error} ({shown(here[0])[1]})", rangemode="tozero", **at(i))
        figure.update_xaxes(title=title, **log_axis([row[x] for row in here]), **at(i))
    return finish(figure, margin={"l": 70, "r": 20, "t": 80, "b": 50})


def shown(row: Row) -> tuple[float, str]:
    """Return the factor and the unit in which an error is drawn."""
    return UNITS[row["unit"]]


def draw_learning(figure: go.Figure, style: Style, rows: list[Row], x: str, seen: set[str], at: Row) -> set[str]:
    """Draw a line for each model and mixture over a column; return the names drawn, of which those not in ``seen`` get a legend."""
    lines: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        lines.setdefault((row["model"], row["mixture"]), []).append(row)
    for key, line in lines.items():
        name, look, factor = label(*key), {"model": key[0], "dataset": key[1]}, shown(line[0])[0]
        figure.add_scatter(
            x=[row[x] for row in line],
            y=[row["error"] * factor for row in line],
            error_y=error_bar(line, factor, "error"),
            mode="lines+markers",
            name=name,
            legendgroup=name,
            showlegend=name not in seen,
            line={"color": style.colour(look), "dash": style.dash(look)},
            marker={"symbol": [style.symbol(look, not row["converged"]) for row in line], "size": 8},
            **at,
        )
    return {label(*key) for key in lines}


def what(row: Row) -> str:
    """Name the error of a row and its state."""
    return NAMES[row["property"]].lower() + ("" if row["liquid"] == "all" else f" of {state_name(row)}")


def error(value: float | None, row: Row) -> str:
    """Write an error in the unit shown to the reader."""
    factor, unit = UNITS.get(row["unit"], (1.0, row["unit"] or ""))
    if value is None:
        return "unknown"
    if row["property"] == "survival":
        return percent(value)
    return in_unit(number(value * factor), unit).strip()


def apart(row: Row) -> str:
    """Write the difference of two errors with the interval that the verdict rests on."""
    if row["difference"] is None or row["ci95_low"] is None:
        return "no interval"
    if row["property"] == "survival":
        a, b, c = (unsigned_zero(f"{100 * row[x]:+.0f}").replace("-", "−") for x in ("difference", *seen_ends(row)))
        return f"{a} [{b}, {c}] points"
    return difference(row)


def hours(row: Row) -> str:
    """Say what the labels of the two sides took."""
    a, b = row["labels_core_h_a"], row["labels_core_h_b"]
    if a is None or b is None:
        return ""
    return f", {number(a, 2)} against {number(b, 2)} core-hours of labels"


def first_of(row: Row) -> str:
    """Return the first of the reasons of a row, and how many more there are: they stand in the table of comparisons."""
    return f"{row['first_reason']}, and {row['reasons'] - 1} more reasons" if row["reasons"] > 2 else str(row["reason"])


def some(clauses: Sequence[str]) -> str:
    """Join some parts of a sentence, count the others."""
    more = len(clauses) - MOST
    return "; ".join(clauses[:MOST]) + (f"; and {more} more" if more > 0 else "")


def answers(
    worth: pl.DataFrame, datasets: dict[str, Sequence[str]], of_frames: Sequence[str] = ()
) -> list[tuple[str, list[str]]]:
    """Return (question, sentences), for each question that the study can put; ``of_frames``: whose equilibrium the frames are none of."""
    rows = worth.to_dicts()
    kinds = about_kinds([r for r in rows if r["question"] == "kinds"], datasets)
    sentences = [
        ("Was it worth its cost?", [*kinds[:1], *(of_frames if kinds else ()), *kinds[1:]]),
        ("How many frames are enough?", about_frames([r for r in rows if r["question"] == "frames"])),
        ("Which needs fewer frames?", about_frameworks([r for r in rows if r["question"] == "framework"])),
    ]
    return [(question, lines) for question, lines in sentences if lines]


def said(results: Results) -> list[str]:
    """Return the first sentences of each answer, and how many more there are."""
    made = []
    for question, lines in answers(results.tables["worth"], results.datasets, pressures.beside_worth(results)):
        left = len(lines) - MOST
        made += [f"{question} {lines[0]}", *lines[1:MOST]]
        made += [f"{left} more {'answers' if left > 1 else 'answer'} below."] if left > 0 else []
    return made


def about_kinds(rows: list[Row], datasets: dict[str, Sequence[str]]) -> list[str]:
    """Say for each kind of frames that a mixture adds whether it was worth its cost, at equal numbers of frames first."""
    asked: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        kinds = " and ".join(added_kinds(row["mixture_b"], row["mixture_a"], datasets))
        asked.setdefault((kinds, row["mixture_b"]), []).append(row)
    lines = []
    for (kinds, less), here in asked.items():
        equal = [row for row in here if row["frames_a"] == row["frames_b"]]
        more = [row for row in here if row["frames_a"] != row["frames_b"]]
        for several, how in ((equal, at_equal_frames), (more, on_top)):
            if several:
                first, *others = by_verdict(several)
                lines += [ended(f"{kinds} beside {less}, {how(several)}: {first}"), *map(sentence, others)]
    return lines


def at_equal_frames(rows: list[Row]) -> str:
    """Say at which numbers of frames two mixtures were compared."""
    numbers = sorted({row["frames_a"] for row in rows})
    return f"at an equal number of frames ({listed([str(n) for n in numbers])})"


def on_top(rows: list[Row]) -> str:
    """Say how many frames the larger mixtures had, and what both cost."""
    numbers = sorted({(row["frames_a"], row["frames_b"]) for row in rows})
    pairs = listed([f"{a} against {b}" for a, b in numbers[:MOST]])
    return f"on top of all others ({pairs} frames{hours(rows[0])})"


def by_verdict(rows: list[Row]) -> list[str]:
    """Say in how many comparisons the first is better, worse, not told apart or not converged, with some of each."""
    said = []
    for verdict in dict.fromkeys((*FIRST, *(row["verdict"] for row in rows))):
        words = [
            f"{row['model_id_a']}, {what(row)} ({error(row['error_a'], row)} with, {error(row['error_b'], row)} without: {apart(row)})"
            for row in rows
            if row["verdict"] == verdict
        ]
        if words:
            said.append(f"{verdict} in {len(words)} of {len(rows)}: {some(words)}")
    return said


def about_frames(rows: list[Row]) -> list[str]:
    """Say of each curve from which number of frames on the error is not told from that of the largest."""
    lines = []
    curves: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        curves.setdefault((*(row[c] for c in STATE), row["model_b"]), []).append(row)
    for curve in curves.values():
        curve.sort(key=lambda r: r["frames_a"])
        last, name = curve[-1], curve[-1]["model_b"]
        top = f"{last['frames_b']} frames ({error(last['error_b'], last)})"
        if poor := next((row for row in curve if row["verdict"] in UNDECIDED), None):
            lines.append(ended(f"{name}, {what(last)}: not decided ({first_of(poor)})"))
            continue
        enough = len(curve)
        while enough and curve[enough - 1]["verdict"] == "not distinguishable":
            enough -= 1
        if enough == len(curve):
            verb = "still falls up to" if last["verdict"] == "worse" else "is larger again at"
            gap = f"{error(last['error_a'], last)} at {last['frames_a']}"
            lines.append(ended(f"{name}, {what(last)}: the error {verb} {top}, from {gap}: {apart(last)}"))
            continue
        first = curve[enough]
        hidden = error(max(first[seen_ends(first)[1]], 0.0), first)
        text = f"{name}, {what(last)}: {first['frames_a']} frames are not told from {top}; the interval could hide an error {hidden} larger"
        lines.append(ended(text))
    return lines


def about_frameworks(rows: list[Row]) -> list[str]:
    """Say which of two models needs fewer frames for the same error, and how many times fewer."""
    lines = []
    for row in rows:
        a, b = row["model_a"], row["model_b"]
        if row["verdict"] in UNDECIDED:
            lines.append(ended(f"{a} and {b}, {what(row)}: not decided ({first_of(row)})"))
            continue
        if row["verdict"] == "not distinguishable":
            text = f"{a} and {b}, {what(row)}: not told apart at equal numbers of frames"
        else:
            less, more = (a, b) if row["verdict"] == "better" else (b, a)
            text = f"{less} has the lower {what(row)} than {more} at equal numbers of frames"
        lines.append(ended(text + "; " + ratio(row)))
    return lines


def ratio(row: Row) -> str:
    """Say the ratio of frames for the same error."""
    if row["frames_ratio"] is None:
        return str(row["reason"])
    if row["frames_ratio_holm_low"] is None:
        return f"the ratio of frames for the same error has no interval once corrected (about {number(row['frames_ratio'], 2)})"
    ends = [row[c] for c in ("frames_ratio", "frames_ratio_holm_low", "frames_ratio_holm_high")]
    value, low, high = rounded(ends, max((ends[2] - ends[1]) / 2, 1e-3))
    return f"for the same error {row['model_a']} needs {value} [{low}, {high}] times the frames of {row['model_b']}"


def table_worth(worth: pl.DataFrame) -> Table:
    """Return every comparison, by question and property."""
    order = {name: i for i, name in enumerate(PROPERTIES)}
    asked = list(ASKED)
    rows = sorted(worth.to_dicts(), key=lambda r: (asked.index(r["question"]), order[r["property"]]))
    body = []
    for r in rows:
        gap = apart(r) if r["question"] != "framework" else ratio(r) if r["frames_ratio"] is not None else "–"
        body.append(
            [
                ASKED[r["question"]],
                what(r),
                f"{r['model_a']} − {r['model_b']}",
                f"{r['frames_a']}, {r['frames_b']}",
                "–" if r["error_a"] is None else f"{error(r['error_a'], r)}, {error(r['error_b'], r)}",
                gap,
                p_value(r["p_holm"]),
                r["verdict"],
                r["reason"] or "",
            ]
        )
    head = [
        "question",
        "error",
        "first − second",
        "frames",
        "errors",
        "difference [95 %, corrected]",
        "p (Holm)",
        "error of the first",
        "why",
    ]
    return Table(head, body, "worth")


def blocks(results: Results) -> list[Block]:
    """Return the answers, the errors over frames and costs, and every comparison."""
    t = results.tables
    figure, table = figure_sizes(t, results.style), table_worth(t["worth"])
    if not table.rows:
        return [Nothing("Nothing to compare: no dataset holds another one, and there is one size of each.")]
    made: list[Block] = [READING]
    for question, lines in answers(t["worth"], results.datasets, pressures.beside_worth(results)):
        made += [Heading(question), Sentences(lines)]
    if figure is not None:
        label = "Errors against the number of training frames and the cost of their labels"
        made += [
            Heading("Errors over frames and over what their labels took"),
            READING_SIZES,
            Plot("sizes", figure, label),
        ]
    return [*made, Folded(f"Every comparison ({len(table.rows)})", [table])]


SECTION = Section("worth", "What data were worth", "What the data were worth", blocks, said)
