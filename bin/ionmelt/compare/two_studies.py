"""Put two finished results side by side: what changed in the study, and what changed in the numbers.

A and B are folders of results (--outdir of two runs), or of published ones, whose tables are CSV alone. First come broken runs and CPU
time, each field of the study that differs, and each library that a process ran with in another version; files that the study names are
not looked into. Then each number of tables/summary, with its 95 % interval, and where both have it the difference B - A with an interval
of its own: the two are taken as independent (Zou and Donner's combination of the two intervals, which need not be symmetric). "changed"
says that this interval does not hold 0; a number that is not converged in one of the two is never called changed.
"""

import math
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from ionmelt import files, task
from ionmelt.arguments import command_line
from ionmelt.compare.groups import label
from ionmelt.compare.reading import conform
from ionmelt.errors import UserError, reading
from ionmelt.report.words import NAMES, UNITS, WITHOUT_MEANING, has_interval, number, rounded
from ionmelt.screen import show
from ionmelt.tables.published import TABLES

KEYS = ("liquid", "temperature_K", "property", "species", "model", "dataset")
NUMBERS = ("value", "ci95_low", "ci95_high", "unit", "converged", "reason")
# columns of the tables that are read
NEEDED = {
    "summary": (*KEYS, *NUMBERS), "survival": ("end",), "cost": ("cpu_s",), "versions": ("process", "library", "version"),
}  # fmt: skip
ABSENT = "-"


def combined(a: tuple[float, float, float], b: tuple[float, float, float]) -> tuple[float, float, float]:
    """Return the difference b - a of two independent numbers, each (value, low, high), with its interval."""
    difference = b[0] - a[0]
    low = difference - math.hypot(b[0] - b[1], a[2] - a[0])
    high = difference + math.hypot(b[2] - b[0], a[0] - a[1])
    return difference, low, high


def flat(value: Any, field: str = "") -> Iterator[tuple[str, Any]]:
    """Give each field of a study with where it stands; items of a list by their id where they have one, else by their number."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from flat(inner, f"{field}.{name}" if field else name)
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        for number, item in enumerate(value):
            yield from flat(item, f"{field}[{item.get('id', number) if isinstance(item, dict) else number}]")
    else:
        yield field, value


def study_changes(a: dict[str, Any], b: dict[str, Any]) -> list[str]:
    """Return a line for each field of the study that differs."""
    before, after = dict(flat(a)), dict(flat(b))
    fields = list(dict.fromkeys([*before, *after]))
    return [
        f"{field}: {before.get(field, ABSENT)} -> {after.get(field, ABSENT)}"
        for field in fields
        if before.get(field, ABSENT) != after.get(field, ABSENT)
    ]


def library_changes(a: pl.DataFrame, b: pl.DataFrame) -> list[str]:
    """Return a line for each library that the same process ran with in other versions.

    Where one study has all versions of the other, its tasks are of more environments: that is of its models, not of a library.
    """
    before, after = library_versions(a), library_versions(b)
    changes: dict[str, list[str]] = defaultdict(list)
    for library, process in sorted(before.keys() & after.keys()):
        old, new = before[library, process], after[library, process]
        if old - new and new - old:
            changes[f"{library}: {' and '.join(sorted(old))} -> {' and '.join(sorted(new))}"].append(process)
    return [f"{change} ({', '.join(processes)})" for change, processes in changes.items()]


def library_versions(versions: pl.DataFrame) -> dict[tuple[str, str], set[str]]:
    """Return the versions of each library in the tasks of each process."""
    versions_of: dict[tuple[str, str], set[str]] = defaultdict(set)
    for library, process, version in versions.select("library", "process", "version").iter_rows():
        versions_of[library, process].add(version)
    return versions_of


def number_changes(a: pl.DataFrame, b: pl.DataFrame) -> pl.DataFrame:
    """Return a row for each number of the two summaries: its value in both, and the difference with its interval and verdict."""
    columns = [*KEYS, *NUMBERS]
    both = a.select(columns).join(
        b.select(columns), on=list(KEYS), how="full", coalesce=True, nulls_equal=True, suffix="_b"
    )
    rows = [row | judged(row) for row in both.sort(*KEYS, nulls_last=True).iter_rows(named=True)]
    kinds = pl.Schema({"difference": pl.Float64, "low": pl.Float64, "high": pl.Float64, "verdict": pl.String})
    return pl.DataFrame(rows, schema=pl.Schema({**both.schema, **kinds}))


def judged(row: dict[str, Any]) -> dict[str, Any]:
    """Return the difference of one number, with its interval and what is to be said of it."""
    nothing = {"difference": None, "low": None, "high": None}
    if row["value"] is None or row["value_b"] is None:
        where = "A" if row["value_b"] is None else "B"
        return nothing | {
            "verdict": "no value" if row["value"] is None and row["value_b"] is None else f"only in {where}"
        }
    ends = [row[f"{name}{side}"] for side in ("", "_b") for name in ("value", "ci95_low", "ci95_high")]
    if None in ends:
        return nothing | {"difference": ends[3] - ends[0], "verdict": "no interval"}
    difference, low, high = combined((ends[0], ends[1], ends[2]), (ends[3], ends[4], ends[5]))
    if not (row["converged"] and row["converged_b"]):
        verdict = "not converged"
    else:
        verdict = "not distinguishable" if low <= 0 <= high else "changed"
    return {"difference": difference, "low": low, "high": high, "verdict": verdict}


def shown(value: float | None, low: float | None, high: float | None, unit: str | None) -> str:
    """Write a number with its interval in the unit shown to a reader."""
    if value is None:
        return ABSENT
    factor, _ = UNITS.get(unit or "", (1.0, unit or ""))
    if low is None or high is None:
        return rounded([value * factor], abs(value * factor) / 50)[0]
    if not has_interval({"unit": unit or "", "low": low, "high": high}, "low", "high"):
        return f"{number(value * factor)} ({WITHOUT_MEANING})"
    words = rounded([value * factor, low * factor, high * factor], factor * (high - low) / 2)
    return f"{words[0]} [{words[1]}, {words[2]}]"


def lines_of(numbers: pl.DataFrame) -> list[str]:
    """Return the numbers as a table to print, a line each, in the order of what they are of."""
    table = [("", "", "A", "B", "B - A", "")]
    for row in numbers.iter_rows(named=True):
        unit = row["unit"] or row["unit_b"]
        state = " ".join(str(word) for word in (row["liquid"], row["species"]) if word)
        kelvin = f" {row['temperature_K']:g} K" if row["temperature_K"] is not None else ""
        what = f"{NAMES.get(row['property'], row['property'])} ({UNITS.get(unit or '', (1.0, unit or '1'))[1] or '1'}), {state}{kelvin}"
        a, b = (
            shown(row[f"value{side}"], row[f"ci95_low{side}"], row[f"ci95_high{side}"], unit) for side in ("", "_b")
        )
        change = shown(row["difference"], row["low"], row["high"], unit)
        table.append((what, label(row["model"], row["dataset"]), a, b, change, row["verdict"]))
    widths = [max(len(line[column]) for line in table) for column in range(6)]
    return ["  ".join(word.ljust(width) for word, width in zip(line, widths, strict=True)).rstrip() for line in table]


def read_table(folder: Path, name: str) -> pl.DataFrame:
    """Return a table of results, from its CSV where there is no Parquet of it; raises `UserError` where there is none, or it is damaged."""
    parquet, csv = (folder / "tables" / f"{name}.{kind}" for kind in ("parquet", "csv"))
    if parquet.is_file():
        return conform(files.read_tables([parquet], *NEEDED[name]), TABLES[name])
    if not csv.is_file():
        raise UserError(
            f"{folder}: holds no tables/{name}.parquet or .csv: give the folder of results of a finished run"
        )
    with reading(csv, "CSV"):
        texts = files.read_csv(csv)
        if absent := sorted(set(NEEDED[name]) - set(texts.columns)):
            raise ValueError(f"it has no column {absent[0]}")
        flags = [column for column, kind in TABLES[name].items() if kind == pl.Boolean and column in texts.columns]
        return conform(texts.with_columns(pl.col(flags) == "true"), TABLES[name])


def runs_and_cost(folder: Path) -> str:
    """Say how many runs broke, or left nothing, and what all tasks took."""
    survival, cost = read_table(folder, "survival"), read_table(folder, "cost")
    broken = survival.filter(~pl.col("end").is_in(["completed", "missing"])).height
    missing = survival.filter(pl.col("end") == "missing").height
    left = f"{missing} missing; " if missing else ""
    return f"{broken} of {survival.height} runs broke; {left}{(cost['cpu_s'].sum() or 0) / 3600:.3g} CPU-hours in {cost.height} tasks"


def changes_between(a: Path, b: Path) -> list[str]:
    """Return what differs between two studies and what they were run with, as lines to print."""
    studies = [folder / "study.json" for folder in (a, b)]
    absent = [str(path) for path in studies if not path.is_file()]
    if absent:
        lines = [f"the studies are not compared: {', '.join(absent)} is not there (results of an earlier version)"]
    else:
        changes = study_changes(*(files.read_json(path) for path in studies))
        lines = ["in the study (A -> B):", *(f"  {line}" for line in changes or ["nothing differs"])]
    libraries = library_changes(*(read_table(folder, "versions") for folder in (a, b)))
    return [*lines, *(["in the libraries (A -> B):"] if libraries else []), *(f"  {line}" for line in libraries)]


def compare(a: Path, b: Path, out: Path | None) -> None:
    """Print the comparison, and write its table where asked."""
    if out is not None and not out.parent.is_dir():
        raise UserError(f"--out {out}: there is no folder {out.parent}")
    numbers = number_changes(*(read_table(folder, "summary") for folder in (a, b)))
    spent = [runs_and_cost(folder) for folder in (a, b)]
    changes = changes_between(a, b)
    if out is not None:  # before the screen is full
        out.write_text(numbers.write_csv(), encoding="utf-8")
    tested = numbers.filter(pl.col("verdict").is_in(["changed", "not distinguishable"])).height
    chance = f"of {tested} that are converged in both, chance alone changes {tested / 20:.2g}"
    head = [f"A: {a}: {spent[0]}", f"B: {b}: {spent[1]}", "", *changes, ""]
    show("\n".join([*head, f"in the numbers, with 95 % intervals ({chance}):", *lines_of(numbers)]))


def main(argv: list[str] | None = None) -> int:
    """Run the command line."""
    parser = command_line(__doc__)
    parser.add_argument("a", type=Path, metavar="A", help="folder of results")
    parser.add_argument("b", type=Path, metavar="B", help="folder of results to hold against it")
    parser.add_argument("--out", type=Path, metavar="FILE.csv", help="write the numbers there too")
    args = parser.parse_args(argv)
    return task.command(lambda: compare(args.a, args.b, args.out))
