#!/usr/bin/env python3
"""Make the pictures of README and documentation, in docs/pictures, with plain Python.

way.svg is the way of a study; the badges say what LICENSE, nextflow.config and pyproject.toml say. With a folder of results also
density.svg, from its tables, and report.png, the first screen of its report, which needs Chromium.

usage: docs/pictures/draw.py [RESULTS]
"""

import csv
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
TOP = HERE.parents[1]

# What each box says, where it stands (column, row), and the colour of its kind.
STEPS = {
    "study": ("your study", "liquids, labels, models", 0, 0, "given"),
    "plan": ("plan", "every mistake, every cost", 1, 0, "task"),
    "melt": ("melt", "box by a classical force field", 2, 0, "task"),
    "frames": ("frames", "of the liquid and around it", 3, 0, "task"),
    "labels": ("labels", "DFT, xTB, or your own", 4, 0, "task"),
    "weights": ("models", "trained here, or yours", 5, 1, "task"),
    "train": ("train, tune", "MACE, DeePMD, NequIP", 5, 0, "task"),
    "md": ("dynamics", "each model, the same boxes", 2, 1, "task"),
    "measure": ("measure", "density, transport, structure", 2, 2, "task"),
    "errors": ("errors", "on frames never seen", 4, 2, "task"),
    "experiment": ("experiment", "measured values", 0, 2, "given"),
    "report": ("report", "verdicts, intervals, costs", 3, 3, "result"),
}
# From where to where, and through which corner where the way is not straight.
ARROWS = [
    ("study", "plan"), ("plan", "melt"), ("melt", "frames"), ("frames", "labels"), ("labels", "train"), ("melt", "md"),
    ("weights", "md"), ("train", "weights"), ("md", "measure"), ("weights", "errors"), ("measure", "report"),
    ("errors", "report"), ("experiment", "report"),
]  # fmt: skip
WIDTH, HEIGHT, ACROSS, DOWN, EDGE = 148, 46, 172, 78, 8
FILL = {"given": "#fff4d6", "task": "#e4eefb", "result": "#dff3e4"}
STROKE = {"given": "#b98900", "task": "#2f6db3", "result": "#2c8a4b"}


def corner(name: str) -> tuple[float, float]:
    """Return the upper left corner of a box."""
    _, _, column, row, _ = STEPS[name]
    return EDGE + column * ACROSS, EDGE + row * DOWN


def box(name: str) -> str:
    """Return the drawing of a step."""
    title, words, _, _, kind = STEPS[name]
    x, y = corner(name)
    middle = x + WIDTH / 2
    return (
        f'<rect x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="7" fill="{FILL[kind]}" stroke="{STROKE[kind]}"/>'
        f'<text x="{middle}" y="{y + 19}" class="title">{title}</text>'
        f'<text x="{middle}" y="{y + 35}" class="words">{words}</text>'
    )


def arrow(start: str, end: str) -> str:
    """Return the drawing of a way between two steps: straight along a row or a column, else around one corner."""
    (x, y), (u, v) = corner(start), corner(end)
    if y == v:
        ends = (x + WIDTH, u) if u > x else (x, u + WIDTH)
        points = [(ends[0], y + HEIGHT / 2), (ends[1], y + HEIGHT / 2)]
    elif x == u:
        points = [(x + WIDTH / 2, y + HEIGHT), (u + WIDTH / 2, v)]
    else:  # down first, then along the row of the end
        side = u if u > x else u + WIDTH
        points = [(x + WIDTH / 2, y + HEIGHT), (x + WIDTH / 2, v + HEIGHT / 2), (side, v + HEIGHT / 2)]
    return f'<polyline points="{" ".join(f"{a:g},{b:g}" for a, b in points)}" class="way" marker-end="url(#tip)"/>'


def drawing() -> str:
    """Return the SVG."""
    columns, rows = (max(step[column] for step in STEPS.values()) for column in (2, 3))
    width, height = 2 * EDGE + columns * ACROSS + WIDTH, 2 * EDGE + rows * DOWN + HEIGHT
    parts = [arrow(*ends) for ends in ARROWS] + [box(name) for name in STEPS]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'role="img" aria-label="The way of a study, from the study file to the report">\n'
        "<style>text{font-family:system-ui,sans-serif;text-anchor:middle;fill:#1d2733}"
        ".title{font-size:14px;font-weight:600}.words{font-size:9.5px;fill:#445}"
        ".way{fill:none;stroke:#667;stroke-width:1.4}</style>\n"
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0L8 4L0 8z" fill="#667"/></marker></defs>\n'
        f'<rect width="{width}" height="{height}" rx="10" fill="#fff"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


# --- Badges --------------------------------------------------------------------------------------------


def badges() -> dict[str, str]:
    """Return what each badge says, read from the files that decide it."""
    licence = (TOP / "LICENSE").read_text().splitlines()[0].split()[0]
    nextflow = re.search(r"nextflowVersion = '!?>=([\d.]+)'", (TOP / "nextflow.config").read_text())
    python = re.search(r'python_version = "([\d.]+)"', (TOP / "pyproject.toml").read_text())
    assert nextflow and python
    return {"licence": licence, "nextflow": f">= {nextflow[1].removesuffix('.0')}", "python": f">= {python[1]}"}


def badge(left: str, right: str) -> str:
    """Return the SVG of a badge of two words."""
    a, b = 14 + 7 * len(left), 14 + 7 * len(right)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{a + b}" height="20" role="img" aria-label="{left}: {right}">'
        f'<rect width="{a + b}" height="20" rx="3" fill="#2f6db3"/><rect width="{a}" height="20" rx="3" fill="#47505c"/>'
        f'<g fill="#fff" font-family="Verdana,sans-serif" font-size="11" text-anchor="middle">'
        f'<text x="{a / 2}" y="14">{left}</text><text x="{a + b / 2}" y="14">{right.replace(">", "&gt;")}</text></g></svg>\n'
    )


NAMES = {"nacl": "molten NaCl", "emimbf4": "EMIM-BF4"}  # of liquids, as a reader writes them

# --- Results -------------------------------------------------------------------------------------------


def number(text: str) -> float | None:
    """Return a cell of a table as a number; None where it is empty."""
    return float(text) if text else None


def density(results: Path) -> str:
    """Return the SVG of the densities of a study: each model with its 95 % interval, hollow where it is not converged."""
    with (results / "tables" / "summary.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["property"] == "density" and row["value"]]
    with (results / "tables" / "survival.csv").open(encoding="utf-8") as file:
        broke = {
            (row["model"], row["dataset"]) for row in csv.DictReader(file) if row["end"] not in ("completed", "missing")
        }
    values = [float(row["value"]) for row in rows]
    low, high = min(values) - 150, max(values) + 150  # wider intervals are cut at the edge, and end in an arrow
    truth = next((number(row["reference"]) for row in rows if row["reference"]), None)
    left, width, line = 190, 760, 28

    def at(value: float) -> float:
        return left + (width - left - 20) * (min(max(value, low), high) - low) / (high - low)

    parts, y = [], 34
    for row in rows:
        name = "-".join(filter(None, (row["model"], row["dataset"])))
        colour = "#c0392b" if (row["model"], row["dataset"]) in broke else "#2f6db3"
        ends = number(row["ci95_low"]), number(row["ci95_high"])
        parts.append(f'<text x="{left - 12}" y="{y + 4}" text-anchor="end">{name}</text>')
        if None not in ends:
            parts.append(
                f'<path d="M{at(ends[0] or 0):.1f} {y}H{at(ends[1] or 0):.1f}" stroke="{colour}" stroke-width="2"/>'
            )
            for end, beyond, to in ((ends[0], (ends[0] or 0) < low, -1), (ends[1], (ends[1] or 0) > high, 1)):
                if beyond:
                    tip = at(end or 0)
                    parts.append(
                        f'<path d="M{tip - 6 * to:.1f} {y - 4}L{tip:.1f} {y}L{tip - 6 * to:.1f} {y + 4}" fill="none" stroke="{colour}" stroke-width="2"/>'
                    )
        fill = colour if row["converged"] == "true" else "#fff"
        parts.append(
            f'<circle cx="{at(float(row["value"])):.1f}" cy="{y}" r="5" fill="{fill}" stroke="{colour}" stroke-width="2"/>'
        )
        y += line
    for tick in range(int(low // 100 + 1) * 100, int(high) + 1, 100):
        parts.append(
            f'<path d="M{at(tick):.1f} {y}v5" stroke="#667"/><text x="{at(tick):.1f}" y="{y + 18}" text-anchor="middle">{tick}</text>'
        )
    if truth is not None:
        parts.insert(0, f'<path d="M{at(truth):.1f} 22V{y}" stroke="#667" stroke-dasharray="4 3"/>')
    state = f"{NAMES.get(rows[0]['liquid'], rows[0]['liquid'])}, {float(rows[0]['temperature_K']):g} K"
    word = "truth" if any(row["reference_is_truth"] == "true" for row in rows) else "measured"
    held = f"; dashed: {word}" if truth is not None else ""
    title = f"Density of {state} (kg/m³), 95 % intervals; hollow: not converged; red: broke{held}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {y + 28}" width="{width}" role="img" aria-label="{title}">\n'
        f'<rect width="{width}" height="{y + 28}" rx="8" fill="#fff"/><g font-family="system-ui,sans-serif" font-size="12" fill="#1d2733">'
        f'<text x="12" y="16" font-weight="600">{title}</text><path d="M{left} {y}H{width - 20}" stroke="#667"/>'
        + "\n".join(parts)
        + "</g></svg>\n"
    )


def shoot(report: Path, picture: Path) -> None:
    """Take a picture of the first screen of a report."""
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--virtual-time-budget=20000"]
    command = ["chromium", *options, "--window-size=1400,940", f"--screenshot={picture}", report.resolve().as_uri()]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)


def main(results: Path | None) -> None:
    """Write the pictures."""
    (HERE / "way.svg").write_text(drawing(), encoding="utf-8")
    for name, says in badges().items():
        (HERE / f"{name}.svg").write_text(badge(name, says), encoding="utf-8")
    if results:
        (HERE / "density.svg").write_text(density(results), encoding="utf-8")
        shoot(results / "report.html", HERE / "report.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
