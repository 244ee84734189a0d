"""The page of report.html: the sections, and one file with plotly.js inside, which needs no network and prints well."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import jinja2
import plotly.offline
from plotly.utils import PlotlyJSONEncoder

from ionmelt.report.blocks import Block, Folded, Plot
from ionmelt.report.results import Results
from ionmelt.report.sections import SECTIONS
from ionmelt.report.sections.asked import asked

MOST_ROWS = 400  # of one table shown in the page; all are in tables/


def page(results: Results) -> str:
    """Return report.html."""
    sections = [(section, blocks) for section in SECTIONS if (blocks := section.blocks(results))]
    figures = {plot.name: plot.figure for _, blocks in sections for plot in plots(blocks) if plot.figure is not None}
    template, style, script, viewer = map(text, ("page.html", "style.css", "page.js", "liquid.js"))
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    return environment.from_string(template).render(
        title=results.study.get("name", "study"),
        description=results.study.get("description"),
        asked=asked(results),
        sections=sections,
        most_rows=MOST_ROWS,
        style=style,
        plotly=plotly.offline.get_plotlyjs(),
        script=script,
        viewer=viewer,
        figures=data({name: figure.to_plotly_json() for name, figure in figures.items()}),
        view=data(asdict(results.view) if results.view else None),
    )


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
    """Return JSON that may stand within a script element."""
    return json.dumps(value, cls=PlotlyJSONEncoder, sort_keys=True, separators=(",", ":")).replace("<", "\\u003c")
