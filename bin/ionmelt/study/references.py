"""Measured values to compare with: read from CSV, matched to liquids by composition, brought to SI units.

A file has the columns `FILE_COLUMNS`. ``range`` says what ``low`` and ``high`` are, and so how large the standard
uncertainty of the value is (`standard_uncertainty`), from which every comparison is made.
"""

import csv
import math
from collections.abc import Iterable, Mapping
from functools import cache, reduce
from pathlib import Path
from statistics import NormalDist
from typing import Any

import polars as pl

from ionmelt import files
from ionmelt.errors import UserError, reading
from ionmelt.measure.observables import NAMED
from ionmelt.tables.references import REFERENCES

FILE_COLUMNS = (
    "ions", "property", "species", "temperature_K", "value", "unit", "low", "high", "range", "n", "source",
    "second_hand",
)  # fmt: skip
COLUMNS = tuple(REFERENCES)
# What low and high may be.
STANDARD, INTERVAL, QUARTILES, EXTREMES = "standard uncertainty", "95 % interval", "quartiles", "min-max"
RANGES = (STANDARD, INTERVAL, QUARTILES, EXTREMES)
NORMAL = NormalDist()
Z95 = NORMAL.inv_cdf(0.975)
TEMPERATURES_K = (100.0, 3000.0)


# --- Uncertainty ---


@cache
def expected_range(n: int) -> float:
    """Return the mean range (largest less smallest) of n values of a standard normal distribution: 1.128 for two."""
    step = 0.004
    below = (NORMAL.cdf(-8 + step * i) for i in range(4001))
    return step * sum(1 - p**n - (1 - p) ** n for p in below)


def standard_uncertainty(kind: str, low: float, high: float, n: int | None) -> float | None:
    """Return the standard uncertainty of a value whose range is given, None where the range tells none.

    - ``standard uncertainty``: low and high are the value less and plus one: half of their distance.
    - ``95 % interval``: of a normal distribution, 2 x 1.960 of them.
    - ``quartiles`` over n data sets: 1.349 standard deviations lie between those of a normal distribution; of two or
      three data sets the quartiles span half of the range. The spread of data sets is not divided by the root of their
      number: laboratories share water, impurities and instruments.
    - ``min-max`` over n data sets: their expected range (1.128 standard deviations for two, 3.08 for ten); with n not
      given the value may be anywhere between (GUM 4.3.7): width / sqrt(12).
    - Of a single data set neither quartiles nor extremes tell anything, nor does a range without a width.
    """
    width = high - low
    if width <= 0 or (kind in (QUARTILES, EXTREMES) and n == 1):
        return None
    if kind == STANDARD:
        return width / 2
    if kind == INTERVAL:
        return width / (2 * Z95)
    if kind == QUARTILES:
        few = n is not None and n < 4
        return width / (expected_range(n) / 2 if few and n else 2 * NORMAL.inv_cdf(0.75))
    return width / (math.sqrt(12) if n is None else expected_range(n))


# --- Reading a file ---


def composition(counts: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
    """Return the composition of a liquid in lowest terms, sorted by ion: (("bf4", 1), ("pyr14", 1))."""
    divisor = reduce(math.gcd, counts.values(), 0) or 1
    return tuple(sorted((ion, count // divisor) for ion, count in counts.items()))


def spelled(liquid: tuple[tuple[str, int], ...]) -> str:
    """Write a composition as a file of references does."""
    return " ".join(f"{ion}:{count}" for ion, count in liquid)


def _number(line: Mapping[str, str], name: str, wrong: list[str]) -> float | None:
    """Return a positive number, None where the cell is empty or wrong; what is wrong is noted."""
    if not line[name]:
        return None
    try:
        value = float(line[name])
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value <= 0:
        wrong.append(f"{name}: {line[name]!r} is not a positive number")
        return None
    return value


def _ions(text: str, charges: Mapping[str, int] | None, wrong: list[str]) -> dict[str, int]:
    """Return the ions of a composition such as "pyr14:1 tfsi:1"; what is wrong is noted."""
    try:
        items = [(name, int(amount)) for name, amount in (item.split(":") for item in text.split())]
    except ValueError:
        items = []
    ions = dict(items)
    if not ions or min(ions.values()) < 1:
        wrong.append(f"ions: {text!r}: give a composition such as 'pyr14:1 tfsi:1'")
        return {}
    if len(ions) < len(items):
        wrong.append(f"ions: {text!r}: an ion is given twice")
    if charges is None:
        return ions
    if strange := [name for name in ions if name not in charges]:
        known = ", ".join(sorted(charges))
        wrong.append(f"ions: {', '.join(strange)}: no ion of assets/ions or of this study; known: {known}")
    elif total := sum(charges[name] * count for name, count in ions.items()):
        wrong.append(f"ions: {text!r}: the charges sum to {total:+d}: no liquid of ions has this composition")
    return ions


def _row(line: Mapping[str, str], charges: Mapping[str, int] | None) -> tuple[dict[str, Any], list[str]]:
    """Return one row with numbers and SI units, and what is wrong with it, a text for each mistake."""
    wrong: list[str] = []
    kind, factors = line["property"], NAMED[line["property"]].units if line["property"] in NAMED else {}
    if not factors:
        wrong.append(f"property: {kind!r}: give one of {', '.join(NAMED)}")
    elif line["unit"] not in factors:
        wrong.append(f"unit: {line['unit']!r}: give one of {', '.join(factors)}")
    numbers = {name: _number(line, name, wrong) for name in ("value", "low", "high", "n", "temperature_K")}
    if not line["value"]:
        wrong.append("value: empty: give the measured value")
    value, low, high = (numbers[name] for name in ("value", "low", "high"))
    factor = factors.get(line["unit"])
    if value is not None and factor is not None:
        least, most = NAMED[kind].possible
        if not least <= value * factor <= most:
            unit = next(iter(factors))
            wrong.append(
                f"value: {value:g} {line['unit']} is no {kind} of a liquid of ions, which is from {least:g} to {most:g} {unit}: "
                "is the unit right?"
            )
    kelvin = numbers["temperature_K"]
    if kelvin is not None and kelvin < TEMPERATURES_K[0]:
        least, given = TEMPERATURES_K[0], line["temperature_K"]
        wrong.append(
            f"temperature_K: {given} is below {least:g} K: is it {given} degC? give kelvin, {kelvin + 273.15:g}"
        )
    elif kelvin is not None and kelvin > TEMPERATURES_K[1]:
        wrong.append(f"temperature_K: {line['temperature_K']} is above {TEMPERATURES_K[1]:g} K: give kelvin")
    what = " ".join(line["range"].replace("%", " % ").split()).lower()
    ends = bool(line["low"]), bool(line["high"])
    if any(ends) and not all(ends):
        wrong.append(f"{'high' if ends[0] else 'low'}: empty: give both low and high, or neither")
    if any(ends) and what not in RANGES:
        wrong.append(f"range: {line['range']!r}: say what low and high are: {', '.join(RANGES)}")
    elif what and not any(ends):
        wrong.append(f"range: {line['range']!r}, but low and high are empty: give them, or leave range empty")
    if low is not None and high is not None:
        if low > high:
            wrong.append(f"low: {low:g} is above high {high:g}")
        elif value is not None and not low <= value <= high:
            wrong.append(f"value: {value:g} is outside its own range, low {low:g} to high {high:g}")
    count = numbers["n"]
    if count is not None and count != int(count):
        wrong.append(f"n: {line['n']!r}: give the number of data sets")
    flag = line["second_hand"].lower()
    if flag not in ("true", "false"):
        wrong.append(f"second_hand: {line['second_hand']!r}: give true or false")
    ions = _ions(line["ions"], charges, wrong)
    by_species = kind in NAMED and NAMED[kind].by_species
    if by_species and line["species"] not in ions:
        wrong.append(f"species: {line['species']!r}: give the ion that diffuses, one of {', '.join(ions)}")
    elif not by_species and line["species"]:
        wrong.append(f"species: {line['species']!r}: leave it empty: a {kind} is that of the liquid")
    if not line["source"]:
        wrong.append("source: empty: say where the value is from")
    if wrong or factor is None:
        return {}, wrong
    n = None if count is None else int(count)
    scaled = {
        x: None if y is None else round(y * factor, 15) for x, y in (("value", value), ("low", low), ("high", high))
    }
    error = None
    if low is not None and high is not None:
        error = standard_uncertainty(what, low * factor, high * factor, n)
    row = {
        "composition": composition(ions),
        "property": kind,
        "species": line["species"] or None,
        "temperature_K": kelvin,
        **scaled,
        "unit": next(iter(factors)),
        "standard_uncertainty": None if error is None else float(f"{error:.6g}"),
        "range": what or None,
        "n": n,
        "interpolated": False,
        "source": line["source"],
        "second_hand": flag == "true",
    }
    return row, []


def read_references(path: Path, charges: Mapping[str, int] | None = None) -> list[dict[str, Any]]:
    """Return the rows of a file of measured values; raises `UserError` with one line for each mistake.

    ``charges``: the ions that there are, with their charges; None: names are not looked at.
    """
    with reading(f"{path.name}: is not UTF-8 CSV"), path.open(newline="", encoding="utf-8") as file:
        lines = list(csv.reader(file))
    if not lines or tuple(lines[0]) != FILE_COLUMNS:
        raise UserError(f"{path.name}: line 1: give the columns {','.join(FILE_COLUMNS)}")
    rows, problems = [], []
    first: dict[tuple[Any, ...], int] = {}
    for index, line in enumerate(lines[1:], start=2):
        if not line:
            continue
        if len(line) != len(FILE_COLUMNS):
            problems.append(f"{path.name}: line {index}: {len(line)} columns: give {len(FILE_COLUMNS)}")
            continue
        row, wrong = _row({name: text.strip() for name, text in zip(FILE_COLUMNS, line, strict=True)}, charges)
        if not wrong:
            key = tuple(row[c] for c in ("composition", "property", "species", "temperature_K", "source"))
            if (before := first.setdefault(key, index)) != index:
                wrong = [f"is the same as line {before}: give each value of a source once"]
            rows.append(row)
        problems += [f"{path.name}: line {index}: {text}" for text in wrong]
    if problems:
        raise UserError(*problems)
    return rows


# --- What is known of a liquid ---


def interpolate(low: dict[str, Any], high: dict[str, Any], temperature_K: float) -> dict[str, Any]:
    """Return the row between two measured temperatures of one series, labelled as interpolated.

    A density is linear in T; what follows Arrhenius is linear in ln(value) over 1/T. So is the standard uncertainty
    (of what follows Arrhenius: relative to the value): errors of one source are taken to be those of its instruments,
    which do not average out; where one of the two has none, it is that of the other. Of two ranges of different kinds
    none is interpolated.
    """
    arrhenius = NAMED[low["property"]].arrhenius

    def position(kelvin: float) -> float:
        return 1 / kelvin if arrhenius else kelvin

    ends = position(low["temperature_K"]), position(high["temperature_K"])
    weight = (position(temperature_K) - ends[0]) / (ends[1] - ends[0])

    def between(name: str) -> float | None:
        first, second = low[name], high[name]
        if first is None or second is None:
            return None
        if arrhenius:
            return float(f"{math.exp((1 - weight) * math.log(first) + weight * math.log(second)):.6g}")
        return float(f"{(1 - weight) * first + weight * second:.6g}")

    scales = [row["value"] if arrhenius else 1.0 for row in (low, high)]
    errors = [
        row["standard_uncertainty"] and row["standard_uncertainty"] / x
        for row, x in zip((low, high), scales, strict=True)
    ]
    known = [x for x in errors if x is not None]
    error = None
    if known:
        parts = [known[0] if x is None else x for x in errors]
        error = ((1 - weight) * parts[0] + weight * parts[1]) * (between("value") or 1.0 if arrhenius else 1.0)
    alike = low["range"] == high["range"]
    counts = [row["n"] for row in (low, high) if row["n"] is not None]
    how = "ln(value) over 1/T" if arrhenius else "T"
    source = (
        f"{low['source']}; interpolated, linear in {how}, between "
        f"{low['temperature_K']:g} and {high['temperature_K']:g} K"
    )
    return {
        **low,
        "temperature_K": temperature_K,
        "value": between("value"),
        **{name: between(name) if alike else None for name in ("low", "high")},
        "range": low["range"] if alike else None,
        "standard_uncertainty": None if error is None else float(f"{error:.6g}"),
        "n": min(counts) if counts else None,
        "interpolated": True,
        "source": source,
        "second_hand": low["second_hand"] or high["second_hand"],
    }


def references_of(
    liquid: str, counts: Mapping[str, int], temperatures_K: Iterable[float], rows: Iterable[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Return what is known of a liquid: every measured row, and rows interpolated at given temperatures.

    Nothing is extrapolated, and nothing is interpolated where the temperature itself was measured.
    """
    wanted = composition(counts)
    own = [row for row in rows if row["composition"] == wanted]
    series: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in own:
        if row["temperature_K"] is not None:
            key = (row["property"], row["species"] or "", row["source"])
            series.setdefault(key, []).append(row)
    for key in sorted(series):
        members = sorted(series[key], key=lambda row: row["temperature_K"])
        for temperature in sorted(set(temperatures_K)):
            below = [row for row in members if row["temperature_K"] < temperature]
            above = [row for row in members if row["temperature_K"] > temperature]
            measured = len(below) + len(above) < len(members)
            if below and above and not measured:
                own.append(interpolate(below[-1], above[0], temperature))

    def order(row: dict[str, Any]) -> tuple[Any, ...]:
        return row["property"], row["species"] or "", row["temperature_K"] or 0.0, row["source"]

    return [{"liquid": liquid, **{name: row[name] for name in COLUMNS[1:]}} for row in sorted(own, key=order)]


# --- The plan's table ---


def read_plan(path: Path) -> pl.DataFrame:
    """Return references.csv of a plan with the columns of `REFERENCES`; empty where there is none or it has no rows."""
    if not path.is_file() or not path.stat().st_size:
        return pl.DataFrame(schema=REFERENCES)
    frame = files.read_csv(path)
    if absent := set(COLUMNS) - set(frame.columns):
        raise UserError(f"{path.name}: columns {', '.join(sorted(absent))} are missing")
    yes = pl.col("interpolated", "second_hand").eq_missing(pl.lit("true"))
    return frame.with_columns(yes).select(pl.col(c).cast(kind) for c, kind in REFERENCES.items())


def best(
    references: pl.DataFrame, liquid: str, quantity: str, species: str | None, temperature_K: float
) -> dict[str, Any] | None:
    """Return the row that a quantity is held against at a temperature (within half a kelvin), or None.

    The plan has interpolated what could be; a reference without a temperature is no reference for a state.
    First-hand numbers go before second-hand ones, and a measured temperature before an interpolated one.
    """
    rows = references.filter(
        (pl.col("liquid") == liquid)
        & (pl.col("property") == quantity)
        & pl.col("species").eq_missing(pl.lit(species, pl.String))
        & ((pl.col("temperature_K") - temperature_K).abs() <= 0.5)
    ).sort("second_hand", "interpolated", "source", "temperature_K")
    return rows.row(0, named=True) if rows.height else None
