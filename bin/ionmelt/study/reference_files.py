"""A file of measured values, read and brought to SI units.

It has the columns `COLUMNS`. ``range`` says what ``low`` and ``high`` are, and so how large the standard uncertainty of the
value is (`uncertainty.standard_uncertainty`), from which every comparison is made.
"""

import csv
import math
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ionmelt.errors import UserError, reading
from ionmelt.liquid.names import DASHES
from ionmelt.measure.observables import NAMED
from ionmelt.mistakes import POINT, brief, did_you_mean, one_line
from ionmelt.study.references import Composition, Reference, composition
from ionmelt.study.uncertainty import RANGES, standard_uncertainty

MANY_IONS = 1_000_000  # of one kind in a composition: such a number is a slip
COLUMNS = (
    "ions", "property", "species", "temperature_K", "value", "unit", "low", "high", "range", "n", "source",
    "second_hand",
)  # fmt: skip
TEMPERATURES_K = (100.0, 3000.0)
Named = Callable[[str], str]


@dataclass
class Line:
    """A line of a file, by column, and what is wrong with it."""

    cells: Mapping[str, str]
    mistakes: list[str] = field(default_factory=list)

    def note(self, column: str, text: str) -> None:
        """Note what is wrong with a cell."""
        self.mistakes.append(f"{column}: {text}")

    def number(self, column: str) -> float | None:
        """Return a positive number, None where the cell is empty or wrong."""
        text = self.cells[column]
        if not text:
            return None
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value) or value <= 0:
            hint = f": {POINT}" if "," in text else ""
            self.note(column, f"{brief(text)} is not a positive number{hint}")
            return None
        return value


def plain_unit(text: str) -> str:
    """Return a unit as a file writes it, where it is written as in a paper: g/cm^3, kg m⁻³, mPa·s, mS cm-1 and GPa⁻¹."""
    text = unicodedata.normalize("NFKC", text).translate(DASHES).replace("^", "")
    text = re.sub(r"(?<=\w)\s*[·⋅*\s]\s*(?=\w)", ".", text.strip())
    text = re.sub(r"^([A-Za-z]+)-1$", r"1/\1", text)
    return re.sub(r"\.([A-Za-z]+)-(\d)$", lambda match: f"/{match[1]}{match[2] if match[2] != '1' else ''}", text)


def read_factor(line: Line) -> float | None:
    """Return the factor from the unit of a line to that of the plan, None where property or unit are wrong."""
    kind, unit = line.cells["property"], plain_unit(line.cells["unit"])
    factors = NAMED[kind].units if kind in NAMED else {}
    if not factors:
        line.note("property", f"{brief(kind)}: {did_you_mean(kind, NAMED)}give one of {', '.join(NAMED)}")
    elif unit not in factors:
        text = line.cells["unit"]
        line.note("unit", f"{brief(text)}: {did_you_mean(unit, factors)}give one of {', '.join(factors)}")
    return factors.get(unit)


def check_value(line: Line, value: float | None, factor: float | None) -> None:
    """Refuse a value that is missing, or that no liquid has."""
    if not line.cells["value"]:
        line.note("value", "empty: give the measured value")
    if value is None or factor is None:
        return
    kind = line.cells["property"]
    least, most = NAMED[kind].possible
    if not least <= value * factor <= most:
        given, unit = f"{value:g} {line.cells['unit']}", next(iter(NAMED[kind].units))
        line.note(
            "value",
            f"{given} is no {kind} of a liquid, which is from {least:g} to {most:g} {unit}: is the unit right?",
        )


def check_temperature(line: Line, kelvin: float | None) -> None:
    """Refuse a temperature that is in degrees Celsius, or that of no liquid."""
    least, most = TEMPERATURES_K
    text = line.cells["temperature_K"]
    if kelvin is not None and kelvin < least:
        line.note(
            "temperature_K",
            f"{text[:20]} is below {least:g} K: is it {text[:20]} degC? give kelvin, {kelvin + 273.15:g}",
        )
    elif kelvin is not None and kelvin > most:
        line.note("temperature_K", f"{text[:20]} is above {most:g} K: give kelvin")


def read_range(line: Line, value: float | None, low: float | None, high: float | None) -> str:
    """Return what low and high are, as it is written in `RANGES`; empty where the line has no range."""
    text = line.cells["range"]
    what = " ".join(text.replace("%", " % ").split()).lower()
    ends = bool(line.cells["low"]), bool(line.cells["high"])
    if any(ends) and not all(ends):
        line.note("high" if ends[0] else "low", "empty: give both low and high, or neither")
    if any(ends) and what not in RANGES:
        line.note("range", f"{brief(text)}: {did_you_mean(text, RANGES)}say what low and high are: {', '.join(RANGES)}")
    elif what and not any(ends):
        line.note("range", f"{brief(text)}, but low and high are empty: give them, or leave range empty")
    if low is not None and high is not None:
        if low > high:
            line.note("low", f"{low:g} is above high {high:g}")
        elif value is not None and not low <= value <= high:
            line.note("value", f"{value:g} is outside its own range, low {low:g} to high {high:g}")
    return what


def check_words(line: Line, count: float | None) -> None:
    """Refuse a number of data sets, or a mark of a second-hand value, that is none."""
    if count is not None and count != int(count):
        line.note("n", f"{brief(line.cells['n'])}: give the number of data sets")
    if line.cells["second_hand"].lower() not in ("true", "false"):
        line.note("second_hand", f"{brief(line.cells['second_hand'])}: give true or false")


def read_ions(line: Line, charges: Mapping[str, int] | None, named: Named) -> Composition:
    """Return the composition of a liquid such as "pyr14:1 tfsi:1"; charges None: its ions are not looked up."""
    text = line.cells["ions"]
    try:
        items = [(named(name), int(amount)) for name, amount in (item.split(":") for item in text.split())]
    except ValueError:
        items = []
    ions = dict(items)
    if not ions or min(ions.values()) < 1 or max(ions.values()) >= MANY_IONS:
        line.note("ions", f"{brief(text)}: give a composition such as 'pyr14:1 tfsi:1'")
        return ()
    if len(ions) < len(items):
        line.note("ions", f"{brief(text)}: an ion is given twice")
    if charges is None:
        return composition(ions)
    if strange := [name for name in ions if name not in charges]:
        names = ", ".join(sorted(charges))
        like = did_you_mean(strange[0], charges)
        line.note(
            "ions", f"{one_line(', '.join(strange))[:60]}: neither of assets nor of this study; {like}known: {names}"
        )
    elif total := sum(charges[name] * count for name, count in ions.items()):
        line.note("ions", f"{brief(text)}: the charges sum to {total:+d}: no liquid has this composition")
    return composition(ions)


def read_species(line: Line, liquid: Composition, named: Named) -> str | None:
    """Return the ion that diffuses; a diffusion that is of none is refused, and another property that is of one."""
    kind, species = line.cells["property"], line.cells["species"]
    names = [name for name, _ in liquid]
    by_species = kind in NAMED and NAMED[kind].by_species
    if by_species and named(species) not in names:
        line.note("species", f"{brief(species)}: give the ion that diffuses, one of {', '.join(names)}")
    elif not by_species and species:
        line.note("species", f"{brief(species)}: leave it empty: a {kind} is that of the liquid")
    return named(species) if species else None


def read_line(line: Line, charges: Mapping[str, int] | None, named: Named) -> Reference | None:
    """Return the value of a line in SI units, None where something is wrong with it."""
    factor = read_factor(line)
    value, low, high, count, kelvin = map(line.number, ("value", "low", "high", "n", "temperature_K"))
    check_value(line, value, factor)
    check_temperature(line, kelvin)
    what = read_range(line, value, low, high)
    check_words(line, count)
    liquid = read_ions(line, charges, named)
    species = read_species(line, liquid, named)
    if not line.cells["source"]:
        line.note("source", "empty: say where the value is from")
    if line.mistakes or factor is None or value is None:
        return None
    n = None if count is None else int(count)
    error = None
    if low is not None and high is not None:
        error = standard_uncertainty(what, low * factor, high * factor, n)
    return Reference(
        composition=liquid,
        property=line.cells["property"],
        species=species,
        temperature_K=kelvin,
        value=round(value * factor, 15),
        low=None if low is None else round(low * factor, 15),
        high=None if high is None else round(high * factor, 15),
        unit=next(iter(NAMED[line.cells["property"]].units)),
        standard_uncertainty=None if error is None else float(f"{error:.6g}"),
        range=what or None,
        n=n,
        source=line.cells["source"],
        second_hand=line.cells["second_hand"].lower() == "true",
    )


def wrong_columns(names: Sequence[str]) -> str | None:
    """Return what is wrong with the names in the first line; None where they are `COLUMNS`."""
    if tuple(names) == COLUMNS:
        return None
    if len(names) == 1 and (mark := next((mark for mark in ";\t" if mark in names[0]), None)):
        return f"its columns are separated by {mark!r}: separate them by commas, with decimal points; "
    missing, strange = set(COLUMNS) - set(names), [brief(name) for name in names if name not in COLUMNS]
    if len(missing) == len(COLUMNS):
        return ""
    said = f"{one_line(', '.join(strange))[:60]}: no such column; " if strange else ""
    said += f"{', '.join(sorted(missing))}: missing; " if missing else ""
    return said or "in another order; "


def read_references(path: Path, charges: Mapping[str, int] | None = None, named: Named = str) -> list[Reference]:
    """Return the values of a file; raises `UserError` with one line for each mistake.

    ``charges``: the ions that there are, with their charges; None: names are not looked up. ``named``: what an ion is that a file
    calls so.
    """
    with reading(f"{path.name}: is not UTF-8 CSV"), path.open(newline="", encoding="utf-8-sig") as file:
        lines = list(csv.reader(file))
    wrong = wrong_columns([name.strip() for name in lines[0]] if lines else [])
    if wrong is not None:
        raise UserError(f"{path.name}: line 1: {wrong}give the columns {','.join(COLUMNS)}")
    references: list[Reference] = []
    mistakes: list[str] = []
    first: dict[tuple[object, ...], int] = {}
    for number, cells in enumerate(lines[1:], start=2):
        if not any(map(str.strip, cells)):  # a line without anything, also as spreadsheets write it
            continue
        if len(cells) != len(COLUMNS):
            mistakes.append(f"{path.name}: line {number}: {len(cells)} columns: give {len(COLUMNS)}")
            continue
        line = Line({name: text.strip() for name, text in zip(COLUMNS, cells, strict=True)})
        if reference := read_line(line, charges, named):
            same = (
                reference.composition,
                reference.property,
                reference.species,
                reference.temperature_K,
                reference.source,
            )
            if (before := first.setdefault(same, number)) != number:
                line.mistakes.append(f"is the same as line {before}: give each value of a source once")
            references.append(reference)
        mistakes += [f"{path.name}: line {number}: {text}" for text in line.mistakes]
    if mistakes:
        raise UserError(*mistakes)
    return references
