"""What a section of the report is made of: the kinds of blocks that page.html shows, and a section itself."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import plotly.graph_objects as go

from ionmelt.report.picture import View
from ionmelt.report.results import Results

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


@dataclass(frozen=True)
class Table:
    """A table of words; ``file`` of the folder tables/ has the rows that do not fit on the page."""

    kind: ClassVar = "table"
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    file: str = ""


@dataclass(frozen=True)
class Folded:
    """Blocks that a reader opens, under a line that says what they are."""

    kind: ClassVar = "folded"
    summary: str
    blocks: Sequence["Block"]
    opened: bool = False


@dataclass(frozen=True)
class Short:
    """The study in short: what is recommended, and sentences under headings."""

    kind: ClassVar = "short"
    recommendation: tuple[str, str]
    quotes: Sequence[Quote]


@dataclass(frozen=True)
class Picture:
    """Frames of one run, which liquid.js turns and plays; ``still`` is the first of them as SVG."""

    kind: ClassVar = "picture"
    view: View
    still: str


@dataclass(frozen=True)
class Source:
    """Text shown as it is."""

    kind: ClassVar = "source"
    text: str


Block = Heading | Note | Sentences | Nothing | Plot | Table | Folded | Short | Picture | Source


@dataclass(frozen=True)
class Section:
    """A topic of the report: its name in the list of sections, its title, and what it shows; without blocks it is left out."""

    id: str
    name: str
    title: str
    blocks: Callable[[Results], list[Block]]
