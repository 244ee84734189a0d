"""The page of report.html: one file with plotly.js inside, which needs no network and prints well."""

import json
from pathlib import Path
from typing import Any

import jinja2
import plotly.offline
from plotly.utils import PlotlyJSONEncoder

MAX_ROWS = 400  # rows of one table shown in the page; all are in tables/

SECTIONS = (
    ("verdicts", "Verdicts"), ("liquid", "The liquid"), ("density", "Density"), ("diffusion", "Diffusion"), ("transport", "Conductivity, viscosity"),
    ("structure", "Structure, kinetics"),
    ("errors", "Errors"), ("committee", "Training seeds"), ("scan", "Volume scan"), ("worth", "What data were worth"),
    ("curves", "Learning curves"), ("rounds", "Rounds"), ("survival", "Survival"), ("domain", "Beyond training"),
    ("cost", "Cost"), ("failures", "Failures"), ("dataset", "Training data"), ("references", "References"),
    ("methods", "Models and settings"),
)  # fmt: skip


def render(content: dict[str, Any], figures: dict[str, Any]) -> str:
    """Return the page: ``content`` fills the template, ``figures`` are plotly's data and layout by element
    id."""
    specs = json.dumps(figures, cls=PlotlyJSONEncoder, sort_keys=True, separators=(",", ":"))
    liquid = json.dumps(content["liquid"], sort_keys=True, separators=(",", ":"))
    folder = Path(__file__).parent
    template, style, script, viewer = (
        (folder / name).read_text(encoding="utf-8") for name in ("page.html", "style.css", "page.js", "liquid.js")
    )
    environment = jinja2.Environment(autoescape=True, trim_blocks=False, undefined=jinja2.StrictUndefined)
    return environment.from_string(template).render(
        **content, sections=SECTIONS, style=style, script=script, max_rows=MAX_ROWS, viewer=viewer,
        plotly=plotly.offline.get_plotlyjs(), figures=specs.replace("<", "\\u003c"),
        liquid_data=liquid.replace("<", "\\u003c"),
    )  # fmt: skip
