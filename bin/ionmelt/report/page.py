"""The page of report.html: the sections, in one file with plotly.js inside, which needs no network and prints well."""

import json
import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import jinja2
from markupsafe import Markup
from plotly.utils import PlotlyJSONEncoder

from ionmelt.measure.view import DISTANCE, ION_COLOURS, TILT, looks
from ionmelt.report.blocks import (
    Block,
    Folded,
    Heading,
    Note,
    Nothing,
    Picture,
    Plot,
    Section,
    Sentences,
    Table,
)
from ionmelt.report.marks import MARKS
from ionmelt.report.packed import packed, plotly_js
from ionmelt.report.results import Results
from ionmelt.report.sections import SECTIONS

MOST_SAID, MOST_CHARACTERS = 2, 200  # sentences of a section that is folded; the others are seen when it is opened
Found = TypeVar("Found", Note, Nothing)
MOST_ROWS = 400  # of one table shown in the page; all are in tables/


@dataclass(frozen=True)
class Topic:
    """A section on the page: what stands there, and what is shown when it is opened."""

    section: Section
    front: Sequence[Block]
    rest: Sequence[Block] = ()
    is_empty: bool = False


def topic_of(section: Section, results: Results) -> Topic:
    """Fold a section: its lines, or else its first paragraph, and its first figure stay; one that shows nothing is one line."""
    blocks = section.blocks(results)
    if not section.is_folded or not blocks:
        return Topic(section, blocks)
    lines = section.lines(results)
    if all(map(is_empty, blocks)):
        why = first_of(blocks, Nothing) or Nothing("There is nothing to show.")
        return Topic(section, [Sentences([" ".join(lines)]) if lines else why], is_empty=True)
    said, unsaid = folded(lines) if lines else ("", ())
    note = None if lines else first_of(blocks, Note)
    seen = (Sentences([said]) if lines else note and short_note(note), next(filter(is_drawn, blocks), None))
    front = [block for block in seen if block is not None]
    stand = tuple(line for block in blocks if isinstance(block, Sentences) for line in block.lines)
    unsaid = [line for line in unsaid if not line.endswith(stand)]  # it may have a question before it
    more = [Sentences(unsaid)] if unsaid else []
    return Topic(section, front, [*more, *(block for block in blocks if not any(block is kept for kept in front))])


def folded(lines: Sequence[str]) -> tuple[str, Sequence[str]]:
    """Return what of some sentences is seen while a section is folded, and the others; a first one that is too long is cut, and one of these."""
    fit = [n for n in range(1, MOST_SAID + 1) if len(" ".join(lines[:n])) <= MOST_CHARACTERS]
    if fit:
        return " ".join(lines[: fit[-1]]), lines[fit[-1] :]
    # before a further clause or a bracket, which no interval with its level (90 %) is, else between two words
    cut = re.match(rf".{{60,{MOST_CHARACTERS}}}(?=; (?!\d+ %\])|: | \()", lines[0])
    return f"{cut[0] if cut else textwrap.shorten(lines[0], MOST_CHARACTERS, placeholder='')} …", lines


def short_note(note: Note) -> Note:
    """Return a paragraph as it is seen while its section is folded; itself where it is short."""
    if len(note.text) <= MOST_CHARACTERS or isinstance(note.text, Markup):
        return note
    return Note(folded(re.split(r"(?<=[.?!]) (?=[A-Z])", note.text))[0])


def first_of(blocks: Sequence[Block], kind: type[Found]) -> Found | None:
    """Return the first block of a kind, None where there is none."""
    return next((block for block in blocks if isinstance(block, kind)), None)


def is_drawn(block: Block) -> bool:
    """Tell whether a block is a figure that there is."""
    return isinstance(block, Picture) or (isinstance(block, Plot) and block.figure is not None)


def is_empty(block: Block) -> bool:
    """Tell whether a block shows nothing that a study gave."""
    if isinstance(block, Folded):
        return all(map(is_empty, block.blocks))
    if isinstance(block, Plot):
        return block.figure is None
    if isinstance(block, Table):
        return not block.rows
    return isinstance(block, Heading | Note | Nothing)


def page(results: Results, sections: Sequence[Section] | None = None) -> str:
    """Return report.html, of all sections or of these."""
    topics = [topic_of(section, results) for section in sections or SECTIONS]
    shown = [topic for topic in topics if topic.front or topic.rest]
    every = [block for topic in shown for block in (*topic.front, *topic.rest)]
    figures = {plot.name: plot.figure for plot in plots(every) if plot.figure is not None}
    template, style, script, viewer = map(text, ("page.html", "style.css", "page.js", "liquid.js"))
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    return environment.from_string(template).render(
        title=results.study.get("name", "study"),
        description=results.study.get("description"),
        topics=shown,
        marks=MARKS,
        most_rows=MOST_ROWS,
        style=style,
        plotly=plotly_js(),
        script=script,
        viewer=viewer,
        figures=packed(data({name: figure.to_plotly_json() for name, figure in figures.items()})),
        test_frames=packed(data(frames_of(results))),
        view=packed(data(asdict(results.view) | {"title": results.view.title} if results.view else None)),
    )


def frames_of(results: Results) -> dict[str, Any]:
    """Return the frames of the test set that the page carries, and how they are drawn."""
    elements = sorted({element for structure in results.structures for element in structure.elements})
    look = {"looks": {key: asdict(value) for key, value in looks(elements).items()}, "tilt": TILT, "distance": DISTANCE}
    shown = [asdict(structure) | {"title": structure.title} for structure in results.structures]
    return {"look": look | {"ion_colours": ION_COLOURS}, "structures": shown}


def plots(blocks: Sequence[Block]) -> Iterator[Plot]:
    """Give the plots among blocks, those in folded ones too."""
    for block in blocks:
        if isinstance(block, Plot):
            yield block
        elif isinstance(block, Folded):
            yield from plots(block.blocks)


def text(name: str) -> str:
    """Return what is in a file beside this one."""
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


def data(value: Any) -> str:
    """Return JSON, that of figures too."""
    return json.dumps(value, cls=PlotlyJSONEncoder, sort_keys=True, separators=(",", ":"))
