"""What students gain and lose against their teacher."""

from ionmelt.compare.distillation import FORCES
from ionmelt.compare.groups import label
from ionmelt.report.blocks import Block, Folded, Note, Section, Table
from ionmelt.report.results import Results
from ionmelt.report.words import NAMES, Row, Tables, interval, number, state_name

HEAD = [
    "state", "property", "model", "teacher", "times as fast [95 %]", "core-hours a ns: model", "teacher", "off the teacher [95 %]",
    "converged", "why not",
]  # fmt: skip


def faster(r: Row) -> str:
    """Return how many times as fast as its teacher a model is, with its interval."""
    if r["speed_up"] is None:
        return "–"
    if r["speed_up_ci95_low"] is None:
        return f"{number(r['speed_up'])} (no interval)"
    return f"{number(r['speed_up'])} [{number(r['speed_up_ci95_low'])}, {number(r['speed_up_ci95_high'])}]"


def table_distillation(t: Tables) -> Table:
    """Return what each student gains and loses."""
    body = [
        [
            state_name(r),
            " ".join(x for x in (NAMES.get(r["property"], r["property"]), r["species"]) if x),
            label(r["model"], r["dataset"]),
            r["teacher"],
            faster(r),
            number(r["md_core_h_per_ns"]),
            number(r["teacher_md_core_h_per_ns"]),
            interval(r, "difference", "ci95_low", "ci95_high"),
            "yes" if r["converged"] else "no",
            r["reason"] or "",
        ]
        for r in t["distillation"].to_dicts()
    ]
    return Table(HEAD, body, "distillation")


def sentence(r: Row) -> str:
    """Say what a student gains and loses in forces, or in the density of a state."""
    off = interval(r, "difference", "ci95_low", "ci95_high")
    lost = f"its force error on labels of it is {off}" if r["property"] == FORCES else f"its density is off by {off}"
    doubt = "" if r["converged"] else " (not converged)"
    return f"{label(r['model'], r['dataset'])} ({state_name(r)}): {faster(r)} times as fast as {r['teacher']}; {lost}{doubt}."


def lines(results: Results) -> list[str]:
    """Say of each student how much faster it is, and how far its forces and its density are off."""
    rows = results.tables["distillation"].to_dicts()
    return [sentence(r) for r in rows if r["property"] in (FORCES, "density") and r["difference"] is not None]


def blocks(results: Results) -> list[Block]:
    """Return what students gain and lose, where their teacher was run."""
    table = table_distillation(results.tables)
    if not table.rows:
        return []
    text = (
        "Trained models beside the method of their labels, run as a model in the same boxes. What is lost is the difference from it, "
        "box by box: how close it is to experiment is another question. Speeds are wall times of the runs on the machine of this study."
    )
    return [Note(text), Folded("Values", [table])]


SECTION = Section(
    "distillation", "Teacher and students", "What students gain and lose against their teacher", blocks, lines
)
