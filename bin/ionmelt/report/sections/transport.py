"""Conductivity and viscosity."""

import polars as pl

from ionmelt.report.blocks import Block, Folded, Heading, Note, Nothing, Plot, Section, Table
from ionmelt.report.figures import Style
from ionmelt.report.results import Results
from ionmelt.report.sections.properties import figure_liquid, table_liquid
from ionmelt.report.sections.standing import said
from ionmelt.report.words import NAMES, Row, Tables, number, rounded

QUANTITIES = ("conductivity", "viscosity")
READING = Note(
    "Conductivity from the collective displacement of all charges (Einstein), beside what independent ions of the same diffusion "
    "would give (Nernst-Einstein); their ratio is the ionicity. Viscosity from the pressure tensor (Green-Kubo). All need far "
    "longer runs than a density."
)


def table_conductivity(t: Tables, style: Style) -> Table:
    """Return run by run how the Einstein conductivity compares with that of independent ions (Nernst-Einstein); in brackets: not converged."""
    rows = sorted(t["conductivity"].to_dicts(), key=lambda r: (r["liquid"], r["temperature_K"] or 0.0, style.order(r), r["run_id"]))  # fmt: skip

    def ends(r: Row, value: str, low: str, high: str, converged: bool | None, factor: float = 1.0) -> str:
        if r.get(value) is None:
            return "–"
        words = f"{number(r[value] * factor)} (no interval)"
        if r.get(low) is not None and r.get(high) is not None:
            v, a, b = rounded([r[c] * factor for c in (value, low, high)], max((r[high] - r[low]) * factor / 2, 1e-12))
            words = f"{v} [{a}, {b}]"
        return words if converged else f"({words})"

    viscosity = {r["run_id"]: r for r in t["viscosity"].to_dicts()}
    body = []
    for r in rows:
        other = viscosity.get(r["run_id"], {})
        is_good, is_independent_good = r["converged"], r["nernst_einstein_converged"]
        independent = ("nernst_einstein_s_m", "nernst_einstein_ci95_low_s_m", "nernst_einstein_ci95_high_s_m")
        ratio = ("ionicity", "ionicity_ci95_low", "ionicity_ci95_high")
        body.append([
            r["run_id"],
            ends(r, "conductivity_s_m", "ci95_low_s_m", "ci95_high_s_m", is_good),
            ends(r, *independent, is_independent_good),
            ends(r, *ratio, is_good and is_independent_good),
            ends(other, "viscosity_pa_s", "ci95_low_pa_s", "ci95_high_pa_s", other.get("converged"), 1e3),
            "yes" if is_good else f"no: {r['reason'] or 'no reason given'}",
        ])  # fmt: skip
    head = ["run", "conductivity (S/m)", "of independent ions (S/m)", "ratio (ionicity)", "viscosity (mPa·s)",
            "conductivity converged"]  # fmt: skip
    return Table(head, body, "conductivity")


def blocks(results: Results) -> list[Block]:
    """Return the conductivity and the viscosity of each model."""
    t, style = results.tables, results.style
    made: list[Block] = [READING]
    measured = [q for q in QUANTITIES if t["summary"].filter(pl.col("property") == q).height]
    for quantity in measured:
        figure = figure_liquid(t, style, quantity)
        made += [Heading(NAMES[quantity]), Plot(quantity, figure, f"{NAMES[quantity]} of each model")]
        made.append(Folded("Values", [table_liquid(t, quantity, style)]))
    if not measured:
        made.append(Nothing("Neither was measured."))
    if t["conductivity"].height:
        made.append(Folded("Run by run, with the ionicity; in brackets: not converged", [table_conductivity(t, style)]))
    return made


SECTION = Section(
    "transport", "Conductivity, viscosity", "Conductivity and viscosity", blocks, said(*QUANTITIES, is_named=True)
)
