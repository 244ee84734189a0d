"""The page of report.html: the sections, in one file with plotly.js inside, which needs no network and prints well."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jinja2
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

MOST_SAID = 2  # sentences of a section that is folded; the others are seen when it is opened
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
    said = [Sentences([" ".join(lines[:MOST_SAID])])] if lines else []
    seen = (first_of(blocks, Note) if not said else None, next(filter(is_drawn, blocks), None))
    front = [*said, *(block for block in seen if block is not None)]
    more = [Sentences(lines[MOST_SAID:])] if len(lines) > MOST_SAID else []
    return Topic(section, front, [*more, *(block for block in blocks if not any(block is kept for kept in front))])


def first_of(blocks: Sequence[Block], kind: type[Note | Nothing]) -> Note | Nothing | None:
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


def page(results: Results) -> str:
    """Return report.html."""
    topics = [topic_of(section, results) for section in SECTIONS]
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
