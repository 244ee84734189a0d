"""What tuning kept."""

from ionmelt.report.blocks import Block, Folded, Heading, Sentences, Table
from ionmelt.report.results import Results
from ionmelt.report.words import Row, Tables, interval, number


def forgetting_sentence(r: Row) -> str:
    """Say whether a tuned model still knows the chemistry of the held-out frames, and by how much its error changed."""
    if r["force_rmse_before"] is None:
        return f"{r['model_key']}: nothing can be said of the held-out frames: {r['reason']}."
    before, after = (number(r[f"force_rmse_{x}"] * 1000) for x in ("before", "after"))
    change = f"{before} to {after} meV/Å on {r['frames']} held-out frames ({r['groups']} groups)"
    if r["verdict"] == "not judged":
        return f"{r['model_key']}: force error from {change}; {r['reason']}."
    ends = [number(r[c] * 1000) for c in ("difference", "ci95_low", "ci95_high")]
    change += f", a change of {ends[0]} [{ends[1]}, {ends[2]}] meV/Å"
    words = {
        "lost": "has lost some of what it knew: its force error on other chemistry went from",
        "gained": "got better at other chemistry too: its force error went from",
        "not distinguishable": "kept what it knew, as far as can be told: its force error went from",
    }
    return f"{r['model_key']} {words[r['verdict']]} {change}."


def table_forgetting(t: Tables) -> Table:
    """Return the force errors of tuned models on frames of other chemistry, before and after."""
    body = [
        [
            r["model_key"],
            r["start"],
            f"{r['frames']} ({r['groups'] or 0})",
            *(number(None if r[c] is None else r[c] * 1000) for c in ("force_rmse_before", "force_rmse_after")),
            interval(r, "difference", "ci95_low", "ci95_high"),
            r["verdict"],
            r["reason"] or "",
        ]
        for r in t["forgetting"].to_dicts()
    ]  # fmt: skip
    head = ["model", "from", "frames (groups)", "before (meV/Å)", "after (meV/Å)", "change [95 %]", "verdict", "why"]
    return Table(head, body, "forgetting")


def lines(results: Results) -> list[str]:
    """Say of each tuned model what it kept."""
    return [forgetting_sentence(r) for r in results.tables["forgetting"].to_dicts()]


def blocks(results: Results) -> list[Block]:
    """Return what each tuned model kept, where one was tuned."""
    table = table_forgetting(results.tables)
    return [Heading("What tuning kept"), Sentences(lines(results)), Folded("Values", [table])] if table.rows else []
