"""Where runs left the training data of their model."""

import polars as pl

from ionmelt.report.blocks import Block, Note, Nothing, Section, Table
from ionmelt.report.figures import Style
from ionmelt.report.results import Results
from ionmelt.report.words import UNITS, Tables, first_few, number, percent, state_name


def domain_sentences(domain: pl.DataFrame) -> list[str]:
    """Say which runs left what their model was trained on, in what, and of how many runs that could be told."""
    judged = domain.filter(pl.col("verdict") != "not judged")
    if not judged.height:
        reasons = first_few(domain["reason"].drop_nulls().unique().sort().to_list())
        return [f"No run can be held against what its model was trained on: {'; '.join(reasons)}."] if reasons else []
    runs = judged["run_id"].n_unique()
    left = judged.filter(pl.col("verdict") != "inside").sort("share_outside", "run_id", descending=[True, False])
    if not left.height:
        return [f"None of the {runs} runs of trained models left what its model was trained on."]
    clauses = []
    for quantity in ("density", "temperature", "composition", "surroundings"):
        rows = left.filter(pl.col("quantity") == quantity).to_dicts()
        if rows:
            worst = f"{rows[0]['run_id']} with {percent(rows[0]['share_outside'])} of its frames"
            name = "surroundings of the atoms" if quantity == "surroundings" else quantity
            clauses.append(f"{len(rows)} in {name} ({'most of all ' if len(rows) > 1 else ''}{worst})")
    text = f"{left['run_id'].n_unique()} of {runs} runs of trained models left what their model was trained on: "
    return [text + "; ".join(clauses) + ". What they measured there is extrapolation."]


def table_domain(t: Tables, style: Style) -> Table:
    """Return by model, state and quantity how many runs left the training data, and why the others cannot be judged."""
    body = []
    for _, name, judged in style.groups(t["domain"]):
        states = judged.sort("liquid", "temperature_K", "quantity").group_by(
            ["liquid", "temperature_K", "quantity"], maintain_order=True
        )
        for (liquid, kelvin, quantity), rows in states:
            factor, unit = UNITS.get(rows["unit"][0] or "", (1.0, rows["unit"][0] or ""))
            unit = "" if unit == "1" else f" {unit}"
            low, high, least, most = (
                None if x is None else float(x) * factor  # type: ignore[arg-type]
                for x in (
                    rows["limit_low"].min(),
                    rows["limit_high"].max(),
                    rows["seen_low"].min(),
                    rows["seen_high"].max(),
                )
            )
            counts = rows.group_by("verdict").len().sort("verdict")
            (share,) = rows.select(pl.col("share_outside").mean()).row(0)
            body.append(
                [
                    state_name({"liquid": liquid, "temperature_K": kelvin}),
                    name,
                    str(quantity),
                    "–"
                    if high is None
                    else f"{'up to' if low is None else number(low, 4) + ' to'} {number(high, 4)}{unit}",
                    "–" if most is None else f"{number(least, 4)} to {number(most, 4)}{unit}",
                    "–" if share is None else percent(share),
                    ", ".join(f"{row['len']} {row['verdict']}" for row in counts.to_dicts()),
                    "; ".join(first_few(rows["reason"].drop_nulls().unique().sort().to_list())),
                ]
            )
    head = ["state", "model", "quantity", "training frames span", "runs span", "frames outside", "runs", "note"]
    return Table(head, body, "domain")


def lines(results: Results) -> list[str]:
    """Say which runs left their training data."""
    return domain_sentences(results.tables["domain"])


def blocks(results: Results) -> list[Block]:
    """Return where runs left the training data of their model."""
    table = table_domain(results.tables, results.style)
    return [
        Note(
            "Where a run went that no training frame of its model was: density, temperature of the bath, composition, and the "
            "surroundings of the atoms (distance of SOAP descriptors to the nearest training frame of a bounded number; the limit "
            "holds 95 % of the training frames, each held against other trajectories than its own). A number measured there is "
            "extrapolated. Inside: 5 % of the frames at most are beyond; outside: more than half."
        ),
        table if table.rows else Nothing("No run was compared with its training data."),
    ]


SECTION = Section("domain", "Beyond training", "Beyond the training data", blocks, lines)
