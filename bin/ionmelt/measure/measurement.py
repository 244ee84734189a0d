"""What is measured of a run: a table with its columns, and how its rows are made."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ionmelt.measure.numbers import Row
from ionmelt.measure.simulation import Run
from ionmelt.tables.columns import RUN, Schema


@dataclass(frozen=True)
class Measurement:
    """A table that every run has rows of.

    ``columns`` are those after what says which run a row is about (`RUN`); ``meanings`` say what a column of this table holds where
    `tables.words` does not, or says it of others.
    """

    name: str
    columns: Schema
    measure: Callable[[Run], list[Row]]
    row: str  # what a row is, for the dictionary of the tables
    meanings: Mapping[str, str] = field(default_factory=dict)

    @property
    def table(self) -> Schema:
        """All columns of the table."""
        return RUN | self.columns


@dataclass(frozen=True)
class Observable(Measurement):
    """A number of the liquid that models are judged by: what the verdicts and the report call it, and what it needs.

    ``column`` holds the number and ends with the unit, as do its error and its interval; with a column ``n_effective``
    the error has that many degrees of freedom and one, else the interval tells the error.
    """

    column: str = field(kw_only=True)
    unit: str = field(kw_only=True)
    title: str = field(kw_only=True)  # of its section
    words: str = field(kw_only=True)  # within a sentence: "models differ in ..."
    noun: str = field(kw_only=True)  # "without ..."
    shown: tuple[float, str] = field(kw_only=True)  # factor and unit in which a reader sees it
    phase: str = field(kw_only=True)  # npt or nvt: what a run must have
    units: Mapping[str, float] = field(kw_only=True)  # of files of references, with the factor to `unit`
    possible: tuple[float, float] = field(kw_only=True)  # no liquid of ions is beyond these: another unit is meant
    arrhenius: bool = field(default=True, kw_only=True)  # follows Arrhenius between neighbouring temperatures
    symbol: str = field(default="", kw_only=True)  # on an axis, where it is not the name
    logarithmic: bool = field(default=True, kw_only=True)
    by_species: bool = field(default=False, kw_only=True)  # a row for each kind of ion
    of_motion: bool = field(default=False, kw_only=True)  # depends on the masses of the atoms
    correction: str | None = field(default=None, kw_only=True)  # column to be added before comparing with experiment
    correction_error: str | None = field(default=None, kw_only=True)  # column of its standard error
    correction_source: str | None = field(
        default=None, kw_only=True
    )  # column that says what it is from: alike, runs share its error

    @property
    def suffix(self) -> str:
        """What ends the names of the columns of the error and the interval."""
        return self.column.removeprefix(f"{self.name}_")
