"""Measured values that results are held against, as the plan holds them and the tables show them."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

import polars as pl

from ionmelt import files
from ionmelt.errors import UserError
from ionmelt.tables.references import REFERENCES

COLUMNS = tuple(REFERENCES)
SAME_TEMPERATURE_K = 0.5  # a reference is of a state where their temperatures differ by no more
# A reference is of a box whose mole fractions are so near to those of its liquid. The box that comes nearest to a concentration, in whole
# numbers and at a guessed density, is up to 7 % off what was measured.
SAME_COMPOSITION = 0.08
# Within it, a density changes by 0.05 % and a viscosity by 1 to 2 %.
SAME_PRESSURE_BAR = 10.0
# The ions of a liquid with their numbers in lowest terms, by name: (("bf4", 1), ("pyr14", 1)).
Composition = tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Reference:
    """A measured value of a liquid, in SI units; `low` and `high` are the ends of the range that its source gives."""

    composition: Composition
    property: str
    species: str | None  # the ion that diffuses
    temperature_K: float | None
    value: float
    unit: str
    standard_uncertainty: float | None
    low: float | None
    high: float | None
    range: str | None  # what low and high are: one of `uncertainty.RANGES`
    n: int | None  # data sets that the value is from
    source: str
    second_hand: bool
    interpolated: bool = False  # between two temperatures of one source
    composition_off: float = (
        0.0  # how far its liquid is off the box: the largest relative difference of a mole fraction
    )
    liquid: str = ""  # of the study
    ambient: bool = False  # at 1 bar, as all that comes with Ionmelt; a file of the user's own is taken to be at the pressure of the study


def composition(counts: Mapping[str, int]) -> Composition:
    """Return the composition of a liquid, from the number of each ion in a box."""
    divisor = reduce(math.gcd, counts.values(), 0) or 1
    return tuple(sorted((ion, count // divisor) for ion, count in counts.items()))


def spelled(liquid: Composition) -> str:
    """Write a composition as a file of references does."""
    return " ".join(f"{ion}:{count}" for ion, count in liquid)


def proportions(liquid: Composition) -> str:
    """Write a composition by how many there are of each to one of the rarest: ``na 1 pf6 1 pc 10.25``."""
    rarest = min(count for _, count in liquid)
    return " ".join(f"{ion} {count / rarest:.4g}" for ion, count in sorted(liquid, key=lambda pair: pair[1]))


def apart(box: Composition, liquid: Composition) -> float:
    """Return how far a box is off a liquid: the largest relative difference of a mole fraction; infinite where their ions differ."""
    if box == liquid:
        return 0.0
    if dict(box).keys() != dict(liquid).keys():
        return math.inf
    of_box, of_liquid = (sum(count for _, count in each) for each in (box, liquid))
    return max(abs(dict(box)[ion] / of_box * of_liquid / count - 1) for ion, count in liquid)


def at_pressure(references: Iterable[Reference], pressure_bar: float) -> list[Reference]:
    """Return the values that are of liquids at a pressure."""
    ambient = abs(pressure_bar - 1) <= SAME_PRESSURE_BAR
    return [reference for reference in references if ambient or not reference.ambient]


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

    The plan has interpolated what could be; a reference without a temperature is no reference for a state. The nearest
    composition goes first, then first-hand numbers before second-hand ones, a measured temperature before an interpolated one, and the
    nearest temperature.
    """
    off_K = (pl.col("temperature_K") - temperature_K).abs()
    rows = references.filter(
        (pl.col("liquid") == liquid)
        & (pl.col("property") == quantity)
        & pl.col("species").eq_missing(pl.lit(species, pl.String))
        & (off_K <= SAME_TEMPERATURE_K)
    ).sort("composition_off", "second_hand", "interpolated", off_K, "source")
    return rows.row(0, named=True) if rows.height else None
