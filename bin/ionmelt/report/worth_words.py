"""What the data were worth, in words: sentences and tables of the report, made from the tables `worth` and `learning`.

No sentence says more than its row: what was not told apart is called so, with how much the interval could hide.
"""

from collections.abc import Sequence
from typing import Any

import polars as pl

from ionmelt.compare.learning import PROPERTIES
from ionmelt.compare.worth import added_kinds
from ionmelt.report.words import NAMES, UNITS, Row, difference, listed, number, p_value, rounded, seen_ends, state_name
from ionmelt.tables.comparison import STATE

MOST = 3  # of one kind, in a sentence; the others are counted
ASKED = {"kinds": "Further kinds of frames", "frames": "How many frames", "framework": "Which needs fewer frames"}


def what(row: Row) -> str:
    """Name the error of a row and its state."""
    where = state_name(row)
    return f"{NAMES[row['property']].lower()} of {where}" if where != "all" else NAMES[row["property"]].lower()


def error(value: float | None, row: Row) -> str:
    """Write an error in the unit shown to the reader."""
    factor, unit = UNITS.get(row["unit"], (1.0, row["unit"] or ""))
    if value is None:
        return "unknown"
    if row["property"] == "survival":
        return f"{value:.0%}"
    return f"{number(value * factor)} {unit}".strip()


def apart(row: Row) -> str:
    """Write the difference of two errors with the interval that the verdict rests on."""
    if row["difference"] is None or row["ci95_low"] is None:
        return "no interval"
    if row["property"] == "survival":
        a, b, c = (f"{100 * row[x]:+.0f}" for x in ("difference", *seen_ends(row)))
        return f"{a} [{b}, {c}] points"
    return difference(row)


def hours(row: Row) -> str:
    """Say what the labels of the two sides took."""
    a, b = row["labels_core_h_a"], row["labels_core_h_b"]
    if a is None or b is None:
        return ""
    return f", {number(a, 2)} against {number(b, 2)} core-hours of labels"


def ended(text: str) -> str:
    """Return a sentence, which begins with a name as it is written."""
    return text.removesuffix(".") + "."


def first_of(row: Row) -> str:
    """Return the first of the reasons of a row, and how many more there are: they stand in the table of comparisons."""
    return f"{row['first_reason']}, and {row['reasons'] - 1} more reasons" if row["reasons"] > 2 else str(row["reason"])


def some(parts: Sequence[str]) -> str:
    """Join some parts of a sentence, count the others."""
    more = len(parts) - MOST
    return "; ".join(parts[:MOST]) + (f"; and {more} more" if more > 0 else "")


def answers(worth: pl.DataFrame, datasets: dict[str, Sequence[str]]) -> list[tuple[str, list[str]]]:
    """Return (question, sentences), for each question that the study can put."""
    rows = worth.to_dicts()
    found = [
        ("Was it worth its cost?", about_kinds([r for r in rows if r["question"] == "kinds"], datasets)),
        ("How many frames are enough?", about_frames([r for r in rows if r["question"] == "frames"])),
        ("Which needs fewer frames?", about_frameworks([r for r in rows if r["question"] == "framework"])),
    ]
    return [(question, lines) for question, lines in found if lines]


def in_short(worth: pl.DataFrame, datasets: dict[str, Sequence[str]]) -> list[tuple[str, list[str]]]:
    """Return (question, the first sentences), and how many more there are."""
    found = []
    for question, lines in answers(worth, datasets):
        left = len(lines) - MOST
        more = (
            [f"{left} more {'answers are' if left > 1 else 'answer is'} in the section on the data."]
            if left > 0
            else []
        )
        found.append((question, lines[:MOST] + more))
    return found


def about_kinds(rows: list[Row], datasets: dict[str, Sequence[str]]) -> list[str]:
    """Say for each kind of frames that a mixture adds whether it was worth its cost, at equal numbers of frames first."""
    lines = []

    def added(row: Row) -> tuple[str, str]:
        return " and ".join(added_kinds(row["mixture_b"], row["mixture_a"], datasets)), row["mixture_b"]

    for kinds, less in dict.fromkeys(map(added, rows)):
        here = [row for row in rows if added(row) == (kinds, less)]
        for equal in (True, False):
            part = [row for row in here if (row["frames_a"] == row["frames_b"]) == equal]
            if not part:
                continue
            said = []
            for verdict in ("better", "worse", "not distinguishable", "not converged"):
                mine = [row for row in part if row["verdict"] == verdict]
                words = [
                    f"{row['model_id_a']}, {what(row)} ({error(row['error_a'], row)} with, {error(row['error_b'], row)} without: "
                    f"{apart(row)})"
                    for row in mine
                ]
                if mine:
                    said.append(f"{verdict} in {len(mine)} of {len(part)}: {some(words)}")
            numbers = sorted({(row["frames_a"], row["frames_b"]) for row in part})
            if equal:
                how = f"at an equal number of frames ({listed([str(a) for a, _ in numbers])})"
            else:
                pairs = listed([f"{a} against {b}" for a, b in numbers[:MOST]])
                how = f"on top of all others ({pairs} frames{hours(part[0])})"
            lines += [ended(f"{kinds} beside {less}, {how}: {said[0]}"), *(ended(text) for text in said[1:])]
    return lines


def about_frames(rows: list[Row]) -> list[str]:
    """Say of each curve from which number of frames on the error is not told from that of the largest."""
    lines = []
    curves: dict[tuple, list[Row]] = {}
    for row in rows:
        curves.setdefault((*(row[c] for c in STATE), row["model_b"]), []).append(row)
    for curve in curves.values():
        curve.sort(key=lambda r: r["frames_a"])
        last, name = curve[-1], curve[-1]["model_b"]
        top = f"{last['frames_b']} frames ({error(last['error_b'], last)})"
        if any(row["verdict"] == "not converged" for row in curve):
            poor = next(row for row in curve if row["verdict"] == "not converged")
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
        if row["verdict"] == "not converged":
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


def table_worth(worth: pl.DataFrame) -> dict[str, Any] | None:
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
    return {"head": head, "rows": body} if body else None
