"""What a section of the report is made of: the kinds of blocks that page.html shows, and a section itself."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import plotly.graph_objects as go

from ionmelt.measure.view import View
from ionmelt.report.marks import Mark
from ionmelt.report.results import Results
from ionmelt.report.structures import Structure

Quote = tuple[str, list[str]]  # a heading and the sentences that the top of the page says under it


@dataclass(frozen=True)
class Heading:
    """A heading within a section; level 2 stands as high as the section's own."""

    kind: ClassVar = "heading"
    text: str
    level: int = 3


@dataclass(frozen=True)
class Note:
    """A paragraph that says how to read what follows; markup only where it is `markupsafe.Markup`."""

    kind: ClassVar = "note"
    text: str


@dataclass(frozen=True)
class Sentences:
    """What the tables say, a paragraph each."""

    kind: ClassVar = "sentences"
    lines: Sequence[str]


@dataclass(frozen=True)
class Nothing:
    """Why there is nothing to show."""

    kind: ClassVar = "nothing"
    text: str


@dataclass(frozen=True)
class Plot:
    """A figure of plotly, where there is one: its name on the page, and what it shows in words."""

    kind: ClassVar = "plot"
    name: str
    figure: go.Figure | None
    label: str
    tall: bool = False

    @property
    def least_width_px(self) -> int:
        """The width below which a reader has to scroll sideways: less for fewer panels beside each other."""
        columns = 1 if self.figure is None else int((self.figure.layout.meta or {}).get("columns", 1))
        return min(860, 300 + 280 * (columns - 1))


@dataclass(frozen=True)
class Table:
    """A table of words; ``file`` of the folder tables/ has the rows that do not fit on the page."""

    kind: ClassVar = "table"
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    file: str = ""


@dataclass(frozen=True)
class Line:
    """A number in a cell: its mark with the reason, and the kind of ion that it is of."""

    text: str
    mark: Mark | None = None
    why: str = ""
    species: str = ""


Cell = Sequence[Line]


@dataclass(frozen=True)
class RowOfModel:
    """A row of the table of all models, with what it is sorted by; the row of measured values has no colour."""

    name: str
    colour: str | None
    cells: Sequence[Cell]
    rank: tuple[Any, ...]


@dataclass(frozen=True)
class StateOfModels:
    """All models in a state of a liquid, best first, below what was measured of it."""

    title: str
    reference: RowOfModel | None
    rows: Sequence[RowOfModel]


@dataclass(frozen=True)
class Matrix:
    """The table of all models; ``marks`` are those that its key explains."""

    kind: ClassVar = "matrix"
    head: Sequence[str]
    states: Sequence[StateOfModels]
    marks: Sequence[Mark]


@dataclass(frozen=True)
class Folded:
    """Blocks that a reader opens, under a line that says what they are."""

    kind: ClassVar = "folded"
    summary: str
    blocks: Sequence["Block"]
    opened: bool = False


@dataclass(frozen=True)
class Advice:
    """What is recommended, in two sentences."""

    kind: ClassVar = "advice"
    sentences: tuple[str, str]


@dataclass(frozen=True)
class Quotes:
    """Sentences under headings, for the top of the page."""

    kind: ClassVar = "quotes"
    quotes: Sequence[Quote]


@dataclass(frozen=True)
class Picture:
    """Frames of one run, which liquid.js turns and plays; ``still`` is the first of them as SVG."""

    kind: ClassVar = "picture"
    view: View
    still: str


@dataclass(frozen=True)
class Frames:
    """Frames of the test set, which a click on a point of a parity plot shows."""

    kind: ClassVar = "frames"
    structures: Sequence[Structure]


@dataclass(frozen=True)
class Source:
    """Text shown as it is."""

    kind: ClassVar = "source"
    text: str


Block = (
    Heading | Note | Sentences | Nothing | Plot | Table | Matrix | Folded | Advice | Quotes | Picture | Frames | Source
)


def silent(results: Results) -> Sequence[str]:
    """Say nothing."""
    return ()


@dataclass(frozen=True)
class Section:
    """A topic of the report: its name in the list of sections, its title, and what it shows; without blocks it is left out.

    Until it is opened it shows ``lines``, else its first paragraph, and its first figure.
    """

    id: str
    name: str
    title: str
    blocks: Callable[[Results], list[Block]]
    lines: Callable[[Results], Sequence[str]] = silent
    is_folded: bool = True
