#!/usr/bin/env python3
"""Measured values to compare with: read from CSV, matched to liquids by composition, brought to SI units.

A file has the columns of `COLUMNS`, but `ions` in place of the first: the composition as "pyr14:1 tfsi:1".
"""

import csv
import math
from collections.abc import Iterable, Mapping
from functools import reduce
from pathlib import Path
from typing import Any

from il_task import UserError, reading

COLUMNS = (
    "liquid", "property", "species", "temperature_K", "value", "unit", "low", "high", "n", "source",
    "second_hand",
)  # fmt: skip
FILE_COLUMNS = ("ions", *COLUMNS[1:])
# Unit of each property in the plan, and factors from the others that a file may use.
UNITS: dict[str, dict[str, float]] = {
    "density": {"kg/m3": 1.0, "g/cm3": 1000.0},
    "viscosity": {"Pa.s": 1.0, "mPa.s": 1e-3},
    "conductivity": {"S/m": 1.0, "mS/cm": 0.1, "S/cm": 100.0},
    "diffusion": {"m2/s": 1.0, "cm2/s": 1e-4},
}
# These follow Arrhenius between neighbouring temperatures; a straight line would be wrong by percents.
ARRHENIUS = ("viscosity", "conductivity", "diffusion")


def composition(counts: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
    """Return the composition of a liquid in lowest terms, sorted by ion: (("bf4", 1), ("pyr14", 1))."""
    divisor = reduce(math.gcd, counts.values(), 0) or 1
    return tuple(sorted((ion, count // divisor) for ion, count in counts.items()))


def _row(line: Mapping[str, Any]) -> dict[str, Any]:
    """Return one row with numbers and SI units; raises `ValueError` with what is wrong."""
    kind = line["property"]
    if kind not in UNITS:
        raise ValueError(f"property: {kind!r}: give one of {', '.join(UNITS)}")
    factors = UNITS[kind]
    if line["unit"] not in factors:
        raise ValueError(f"unit: {line['unit']!r}: give one of {', '.join(factors)}")

    def number(name: str, required: bool) -> float | None:
        if not line[name] and not required:
            return None
        try:
            value = float(line[name])
        except ValueError:
            value = math.nan
        if not math.isfinite(value) or value <= 0:
            raise ValueError(f"{name}: {line[name]!r} is not a positive number")
        return value

    factor = factors[line["unit"]]
    values = {name: number(name, required=name == "value") for name in ("value", "low", "high")}
    flag = line["second_hand"].lower()
    if flag not in ("true", "false"):
        raise ValueError(f"second_hand: {line['second_hand']!r}: give true or false")
    try:
        ions = {name: int(amount) for name, amount in (item.split(":") for item in line["ions"].split())}
    except ValueError:
        ions = {}
    if not ions or min(ions.values()) < 1:
        raise ValueError(f"ions: {line['ions']!r}: give a composition such as 'pyr14:1 tfsi:1'")
    if not line["source"]:
        raise ValueError("source: empty: say where the value is from")
    count = number("n", required=False)
    return {
        "composition": composition(ions),
        "property": kind,
        "species": line["species"] or None,
        "temperature_K": number("temperature_K", required=False),
        **{name: None if value is None else round(value * factor, 15) for name, value in values.items()},
        "unit": next(iter(factors)),
        "n": None if count is None else int(count),
        "source": line["source"],
        "second_hand": flag == "true",
    }


def read_references(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a file of measured values; raises `UserError` with one line for each wrong line."""
    with reading(f"{path.name}: is not UTF-8 CSV"), path.open(newline="", encoding="utf-8") as file:
        lines = list(csv.reader(file))
    if not lines or tuple(lines[0]) != FILE_COLUMNS:
        raise UserError(f"{path.name}: line 1: give the columns {','.join(FILE_COLUMNS)}")
    rows, wrong = [], []
    for index, line in enumerate(lines[1:], start=2):
        if not line:
            continue
        try:
            if len(line) != len(FILE_COLUMNS):
                raise ValueError(f"{len(line)} columns: give {len(FILE_COLUMNS)}")
            rows.append(_row(dict(zip(FILE_COLUMNS, line, strict=True))))
        except ValueError as error:
            wrong.append(f"{path.name}: line {index}: {error}")
    if wrong:
        raise UserError(*wrong)
    return rows


def interpolate(low: dict[str, Any], high: dict[str, Any], temperature_K: float) -> dict[str, Any]:
    """Return the row between two measured temperatures of one series, labelled as interpolated.

    A density is linear in T; what follows Arrhenius is linear in ln(value) over 1/T.
    """
    arrhenius = low["property"] in ARRHENIUS

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

    counts = [row["n"] for row in (low, high) if row["n"] is not None]
    how = "ln(value) over 1/T" if arrhenius else "T"
    source = (
        f"{low['source']}; interpolated, linear in {how}, between "
        f"{low['temperature_K']:g} and {high['temperature_K']:g} K"
    )
    return {
        **low,
        "temperature_K": temperature_K,
        **{name: between(name) for name in ("value", "low", "high")},
        "n": min(counts) if counts else None,
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
