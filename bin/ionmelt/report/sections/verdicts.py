"""The verdicts: every pair of models, and every model against the reference."""

import math
from dataclasses import dataclass

import plotly.graph_objects as go
import polars as pl

from ionmelt.compare.groups import ERROR_UNITS, label
from ionmelt.lengths import needed_words
from ionmelt.measure.observables import NAMED
from ionmelt.report.blocks import Block, Folded, Heading, Note, Nothing, Plot, Section, Table
from ionmelt.report.figures import REFERENCE, error_bar, finish, panels
from ionmelt.report.marks import BETTER, EQUIVALENT, UNDECIDED, WORSE, Mark, against_reference, of_side
from ionmelt.report.results import Results
from ionmelt.report.words import (
    NAMES,
    UNITS,
    Row,
    Tables,
    counted_verdicts,
    difference,
    has_interval,
    number,
    p_value,
    seen_ends,
    state_name,
    verdict_words,
)

MOST_TIMES = 1000  # as many runs that more are none that anyone would run
MARGIN = "the margin of the study"
MOST_PAIRS = 24  # of a state in a figure; all are in the table
FAR_LONGER = 30  # times as long as those of the shorter quarter: an interval that runs off the axis
QUANTITIES = (*NAMED, "survival", "force_rmse", "scan_energy_rmse")
READING = Note(
    "Each line is a difference, first minus second, between two models or a model and the reference, with its 95 % interval, "
    "corrected for the number of tests of the report (Holm); of what is equivalent it is the 90 % interval, of two one-sided tests, "
    "which lies within the margin of the study, the grey band. Where the interval crosses the line at 0, the data show no "
    "difference, which is no proof that there is none: the interval says how large it may be. A verdict is given only when both "
    "sides are converged; hollow ones are not, and their intervals are not corrected. Without a reference, a larger value is not "
    "a better one, so nobody wins. Frameworks and datasets are compared from three training seeds and two boxes on: identical ones would "
    "differ by the accidents of one training. Of runs that broke the time they lost is compared, where at least one of a pair did. "
    f"Of more than {MOST_PAIRS} pairs in a state those with the reference and the decided ones are drawn; all are in the tables below. "
    "An interval far longer than the others runs off the axis: the table has its ends."
)


@dataclass(frozen=True)
class Look:
    """How the differences of some verdicts are drawn: their words in the legend, and the mark of the first of the two."""

    words: str
    colour: str
    marker: str
    width: float = 1.8  # of its lines; a pale one would not be seen in the dark

    @classmethod
    def of(cls, mark: Mark, words: str, width: float = 1.8) -> "Look":
        """Return the look of a mark."""
        return cls(words, mark.colour, mark.marker, width)


LOOKS = {
    "better": Look.of(BETTER, "the first is better"),
    "equivalent": Look.of(EQUIVALENT, "equivalent within the margins"),
    "worse": Look.of(WORSE, "the first is worse, or off the reference"),
    "differs": Look("they differ, and nothing says which is right", UNDECIDED.colour, "diamond"),
    "not distinguishable": Look.of(UNDECIDED, "not told apart"),
    "no verdict": Look.of(UNDECIDED, "no verdict, for orientation only", 0.8),
}


def look_of(verdict: Row) -> str:
    """Return the key in `LOOKS` of a verdict."""
    mark = against_reference(verdict) if verdict["model_b"] == "reference" else of_side(verdict, "a")
    if mark is not UNDECIDED:
        return mark.word
    return verdict["verdict"] if verdict["verdict"] in LOOKS else "no verdict"


def pair_name(verdict: Row) -> str:
    """Name what a difference is of."""
    return f"{verdict['model_a']} − {verdict['model_b']}"


def figure_verdicts(t: Tables, quantity: str) -> go.Figure | None:
    """Forest plot: the difference of every pair with the interval that its verdict rests on; the line at 0 is "no difference"."""
    rows = t["verdicts"].filter((pl.col("property") == quantity) & pl.col("ci95_low").is_not_null()).to_dicts()
    if not rows:
        return None
    factor, unit = UNITS.get(rows[0]["unit"], (1.0, rows[0]["unit"]))
    states: dict[str, list[Row]] = {}
    for r in rows:
        states.setdefault(state_name(r), []).append(r)
    states = {state: chosen(pairs) for state, pairs in states.items()}
    # of all panels: names stand once, at the left
    order = list(dict.fromkeys(pair_name(r) for here in states.values() for r in here))[::-1]
    height = 26 * len(order) + (70 if len(states) == 1 else 150)
    figure, at = panels(list(states), 2, height, horizontal_spacing=0.06, shared_yaxes=True)
    seen: set[str] = set()
    for i, here in enumerate(states.values()):
        ends = span(here, factor)
        for kind, look in LOOKS.items():
            if alike := [r for r in here if look_of(r) == kind]:
                draw_differences(
                    figure, [within(r, ends, factor) for r in alike], look, (factor, unit), kind not in seen, at(i)
                )
                seen.add(kind)
        draw_margins(figure, here, factor, MARGIN not in seen, at(i))
        seen |= {MARGIN} if any(r["margin"] is not None for r in here) else set()
        figure.add_vline(x=0, line={"color": REFERENCE, "width": 1.5}, **at(i))
        figure.update_xaxes(range=ends, **at(i))
    figure.update_yaxes(categoryorder="array", categoryarray=order, range=[-0.7, len(order) - 0.3])
    figure.update_xaxes(title=f"difference ({unit})")
    return finish(figure, margin={"l": 70, "r": 20, "t": 75, "b": 50}, showlegend=True)


def chosen(rows: list[Row]) -> list[Row]:
    """Return the differences that are drawn of one state: those from the reference first, then those that are decided."""
    if len(rows) <= MOST_PAIRS:
        return rows
    order = sorted(
        rows, key=lambda r: (r["model_b"] != "reference", look_of(r) not in ("better", "worse", "equivalent"))
    )
    kept = order[:MOST_PAIRS]
    return [r for r in rows if r in kept]


def span(rows: list[Row], factor: float) -> tuple[float, float]:
    """Return the ends of the axis of some differences: it holds them, the line at 0, the margins, and all intervals but those far longer than the others."""
    intervals = [[r[c] for c in seen_ends(r)] for r in rows if has_interval(r, *seen_ends(r))]
    lengths = sorted(high - low for low, high in intervals)
    most = FAR_LONGER * lengths[len(lengths) // 4] if lengths else 0.0
    held = [
        0.0,
        *(r["difference"] for r in rows),
        *(x for low, high in intervals if high - low <= most for x in (low, high)),
    ]
    held += [sign * r["margin"] for r in rows if r["margin"] is not None for sign in (-1, 1)]
    low, high = factor * min(held), factor * max(held)
    edge = 0.05 * (high - low) or 1.0
    return low - edge, high + edge


def within(row: Row, ends: tuple[float, float], factor: float) -> Row:
    """Return a row whose interval ends at most one axis beyond the axis: no browser draws 10^52."""
    low, high = ends
    least, most = (2 * low - high) / factor, (2 * high - low) / factor
    return row | {column: min(max(row[column], least), most) for column in seen_ends(row)}


def draw_margins(figure: go.Figure, rows: list[Row], factor: float, is_first: bool, at: Row) -> None:
    """Draw a band behind each difference as wide as the margin that it is held to."""
    held = [r for r in rows if r["margin"] is not None]
    if held:
        figure.add_bar(
            y=[pair_name(r) for r in held],
            x=[2 * r["margin"] * factor for r in held],
            base=[-r["margin"] * factor for r in held],
            width=1,
            orientation="h",
            name=MARGIN,
            legendgroup=MARGIN,
            showlegend=is_first,
            marker={"color": REFERENCE, "opacity": 0.2, "line": {"width": 0}},
            hoverinfo="skip",
            **at,
        )


def draw_differences(
    figure: go.Figure, rows: list[Row], look: Look, shown: tuple[float, str], is_first: bool, at: Row
) -> None:
    """Draw differences whose verdicts look alike into a panel; the first time they stand in the legend. ``shown``: factor and unit."""
    factor, unit = shown
    seen = [r | dict(zip(("low", "high"), (r[c] for c in seen_ends(r)), strict=True)) for r in rows]
    figure.add_scatter(
        x=[r["difference"] * factor for r in rows],
        y=[pair_name(r) for r in rows],
        mode="markers",
        name=look.words,
        legendgroup=look.words,
        showlegend=is_first,
        error_x=error_bar(seen, factor, "difference", "low", "high") | {"thickness": look.width},
        marker={
            "color": look.colour,
            "symbol": look.marker,
            "size": 10,
            "line": {"width": look.width if "open" in look.marker else 0},
        },
        text=[verdict_words(r) for r in rows],
        hovertemplate=f"%{{text}}<br>%{{y}}: %{{x:.4g}} {unit}<extra></extra>",
        **at,
    )


def table_verdicts(t: Tables, quantity: str) -> Table:
    """Return the verdicts of one property, decided ones first."""
    rows = t["verdicts"].filter(pl.col("property") == quantity).to_dicts()
    rank = ("a", "b", "equivalent", "differs", "not distinguishable")
    needed = needed_lengths(t["summary"].filter(pl.col("property") == quantity))
    rows.sort(key=lambda r: rank.index(r["verdict"]) if r["verdict"] in rank else len(rank))
    body = [
        [
            state_name(v),
            verdict_words(v),
            f"{pair_name(v)}: {difference(v)}",
            p_value(v["p_holm"]),
            more(v, needed),
            v["reason"] or "",
        ]
        for v in rows
    ]
    head = "first − second [95 %, corrected, where no other level is written]"
    return Table(
        ["state", "verdict", head, "p (Holm)", "to decide it, if it stays as seen", "why"],
        body,
        "verdicts",
    )


def needed_lengths(summary: pl.DataFrame) -> dict[tuple[str, str], float]:
    """Return how long runs (ps) of a property have to be, by the state and the name of the model; of those that are not converged."""
    rows = summary.filter(~pl.col("converged") & pl.col("needed_ps").is_not_null()).to_dicts()
    return {(state_name(row), label(row["model"], row["dataset"])): row["needed_ps"] for row in rows}


def more(v: Row, needed: dict[tuple[str, str], float]) -> str:
    """Say how much more would decide a verdict: as many times the runs, or longer ones where they are not converged; of errors, the tests."""
    times = v["more_runs"]
    if times is not None:
        what = "the test trajectories and trainings" if v["property"] in ERROR_UNITS else "the runs"
        if times > MOST_TIMES:
            return f"more than {MOST_TIMES} times {what}"
        if times <= 1:
            return f"hardly more than {what} that there are"
        # rounded up: with fewer it is not decided
        return f"about {math.ceil(10 * times) / 10 if times < 10 else math.ceil(times):g} times {what}"
    if v["verdict"] == "not distinguishable" and v["model_b"] == "reference" and v["difference"]:
        return "no number of runs: the reference is known too badly"
    lengths = [needed[key] for side in "ab" if (key := (state_name(v), v[f"model_{side}"])) in needed]
    if v["verdict"] != "not converged" or not lengths:
        return "–"
    return f"runs of {needed_words(max(lengths), NAMED[v['property']].phase, at_least=True)}"


def power_blocks(power: pl.DataFrame) -> list[Block]:
    """Return what the design can decide, as it was known before the first training."""
    if not power.height:
        return []
    body = [
        [
            state_name(row),
            NAMES.get(row["property"], row["property"]),
            row["about"],
            *(
                "–" if row[column] is None else f"{number(row[column])} %"
                for column in ("detectable_percent", "equivalent_percent", "margin_percent")
            ),
            "–" if row["length_times"] is None else f"{number(row['length_times'])} times",
            row["reason"] or "",
        ]
        for row in power.to_dicts()
    ]  # fmt: skip
    head = [
        "state",
        "property",
        "between",
        "told apart from",
        "equivalent within",
        "margin",
        "length for the margin",
        "why",
    ]
    words = (
        "From how the classical liquid fluctuates, before anything was trained: what is found in 8 of 10 studies of this design, if trainings "
        "do not differ. Their spread makes it worse."
    )
    table = Table(head, body, "power")
    return [Heading("What the design can decide"), Note(words), Folded(f"Each property ({len(body)})", [table])]


def lines(results: Results) -> list[str]:
    """Count the verdicts of all properties."""
    verdicts = results.tables["verdicts"]
    return [f"{verdicts.height} differences: {counted_verdicts(verdicts)}."] if verdicts.height else []


def blocks(results: Results) -> list[Block]:
    """Return of each property the differences of all pairs."""
    t = results.tables
    decided = [q for q in QUANTITIES if t["verdicts"].filter(pl.col("property") == q).height]
    if not decided:
        return [Nothing("No two models could be compared.")]
    made: list[Block] = [READING]
    for quantity in decided:
        title, figure, table = NAMES[quantity], figure_verdicts(t, quantity), table_verdicts(t, quantity)
        made.append(Heading(title))
        if figure is not None:
            label = f"Differences between models with the intervals that their verdicts rest on: {title}"
            made.append(Plot(f"verdicts_{quantity}", figure, label))
        else:
            made.append(Nothing("No difference could be measured: no two values with an interval."))
        made.append(Folded(f"Every verdict in words ({len(table.rows)})", [table]))
    return [*made, *power_blocks(t["power"])]


SECTION = Section("verdicts", "Verdicts", "Verdicts", blocks, lines)
