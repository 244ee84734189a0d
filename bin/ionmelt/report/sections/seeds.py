"""Models that differ by their training seed alone."""

from ionmelt.compare.groups import label
from ionmelt.report.blocks import (
    Block,
    Note,
    Nothing,
    Section,
    Table,
)
from ionmelt.report.results import Results
from ionmelt.report.words import UNITS, Tables, number, state_name


def table_committee(t: Tables) -> Table:
    """Return the spread between training seeds beside the statistical error."""
    rows = t["committee"].to_dicts()
    body = []
    for r in rows:
        factor, unit = UNITS.get(r["unit"], (1.0, r["unit"]))
        ends = [None if r[c] is None else r[c] * factor for c in ("between_seeds", "between_seeds_ci95_low",
                                                                   "between_seeds_ci95_high", "within_seed", "mean")]  # fmt: skip
        low_high = "" if ends[1] is None else f" [{number(ends[1])}, {number(ends[2])}]"
        body.append(
            [
                state_name({"liquid": r["liquid"], "temperature_K": r["temperature_K"]}),
                " · ".join(x for x in (r["species"], r["property"].replace("_", " ")) if x),
                label(r["model"], r["dataset"]),
                str(r["seeds"]),
                number(ends[4], 4),
                number(ends[0]) + low_high,
                number(ends[3]),
                unit or "1",
                r["verdict"],
                r["reason"] or "",
            ]
        )
    head = ["state", "what", "model", "seeds", "mean", "between seeds [95 %]", "statistical error of a seed", "unit",
            "verdict", "why"]  # fmt: skip
    return Table(head, body, "committee")


def blocks(results: Results) -> list[Block]:
    """Return the spread between seeds, where a model has more than one."""
    table = table_committee(results.tables)
    return [
        Note(
            "Models that differ by their training seed alone: the standard deviation between their means, beside the statistical "
            "error of one of them. Where seeds differ beyond that error, a longer run of one model makes its number no more certain. The test is corrected for the number of rows."
        ),
        table if table.rows else Nothing("No model was trained with more than one seed."),
    ]


SECTION = Section("committee", "Training seeds", "Training seeds", blocks)
