"""Models, versions and settings."""

import json
from collections.abc import Sequence

import polars as pl
from markupsafe import Markup

from ionmelt.compare.groups import label
from ionmelt.models.card import Card
from ionmelt.models.frameworks.classical import ClassicalFields
from ionmelt.report.blocks import (
    Block,
    Folded,
    Heading,
    Note,
    Section,
    Source,
    Table,
)
from ionmelt.report.results import Results
from ionmelt.report.sections import paper
from ionmelt.report.sections.asked import theory
from ionmelt.report.words import (
    Tables,
)

JUDGING = Note(
    Markup(
        "Runs of one liquid, temperature, model and dataset are averaged. Their interval is Student's t, from the spread between "
        "model seeds and between replicas added together, or from the error within the runs where that is wider. A single run has "
        "only its own error, which knows nothing of the spread between runs. The runs of a value are judged together: all that were "
        "planned are there, they hold enough effective samples, none changes by more than chance explains among so many, those that "
        "began dense agree with those that began thin, and boxes differ by no more than the errors of their runs explain. "
        "Two models that differ in one thing are compared. Where both ran from the same boxes (two or more), the difference is "
        "taken box by box, so that what a box adds to both cancels; its error is the spread of these pairs, with each model's "
        "spread over its training seeds added, or the error within the runs where that is wider. Else the two count as independent "
        "(Welch), which errs on the wide side. Every interval is one of 95 %; p-values are corrected by Holm over all tests of the "
        "report that may name a winner, so that of identical models at most one report in twenty does, and intervals of differences are those at the level of that test, so that they hold 0 exactly where the test "
        "finds nothing (columns <code>holm_low</code> and <code>holm_high</code> of the table; <code>ci95_low</code> and "
        "<code>ci95_high</code> are not corrected); what is called equivalent has the 90 % interval (<code>ci90_low</code> and "
        "<code>ci90_high</code>) within the margin of the study, by two one-sided tests, and that interval is written and drawn. Frameworks and datasets are compared from three training seeds and two boxes on. A winner on a property of the "
        "liquid must differ from the other, and the reference (of trained models the method of the labels itself, where the study "
        "runs it) must lie on its side of their midpoint, both beyond the error. In the recommendation a model is named only where "
        "it is equivalent to the reference, or the uncorrected interval of its difference from it holds 0, which is no agreement and is said. The test set is common to all models: its sampling "
        "error is kept whole in force errors. Volume scans are compared point by point (paired jackknife); neighbouring points are "
        "correlated, so that interval is a lower bound."
    )
)


def table_models(cards: Sequence[Card]) -> Table:
    """Return what the model cards say."""
    body = []
    for c in sorted(cards, key=lambda c: (label(c.model, c.dataset), c.seed or 0)):
        files = ", ".join(f"{name} {digest[:12]}…" for name, digest in sorted(c.files.items()))
        wall = c.cost.wall_s
        body.append(
            [
                label(c.model, c.dataset),
                c.framework,
                c.seed,
                c.theory or c.theory_id,
                str(c.dataset_hash or "")[:12],
                str(c.split_hash or "")[:12],
                c.licence or "–",
                f"{wall / 3600:.2f} h" if wall else "–",
                files,
            ]
        )
    head = [
        "model",
        "framework",
        "seed",
        "theory",
        "dataset hash",
        "split hash",
        "licence",
        "training",
        "weights (sha256)",
    ]
    return Table(head, [["–" if x in (None, "") else str(x) for x in line] for line in body])


def table_force_fields(results: Results) -> Table:
    """Return where the classical force fields of the liquids are from."""
    settings = next(
        (card.settings.of(ClassicalFields) for card in results.cards if card.framework == "classical"),
        ClassicalFields(),
    )
    body = [
        [results.names.liquid(liquid), results.names.ion(name), source, f"{settings.charge_scale.get(liquid, 1.0):g}"]
        for liquid, sources in settings.force_fields.items()
        for name, source in sources.items()
    ]
    return Table(["liquid", "ion or molecule", "force field", "charges of ions times"], body)


def table_versions(t: Tables) -> Table:
    """Return the versions of the libraries, and the processes that ran with them."""
    processes = pl.col("process").unique().sort().str.join(", ")
    rows = t["versions"].group_by("library", "version").agg(processes).sort("library", "version")
    return Table(["library", "version", "processes"], [list(r) for r in rows.iter_rows()], "versions")


def blocks(results: Results) -> list[Block]:
    """Return the models, the level of theory, the versions, how numbers are judged, and the study itself."""
    models = table_models(results.cards)
    made: list[Block] = [Heading("Model cards"), models] if models.rows else []
    if (force_fields := table_force_fields(results)).rows:
        made += [Heading("Classical force fields"), force_fields]
    if theories := sorted({x for x in results.tables["labels"]["theory_id"] if x}):
        made.append(Note(f"Level of theory: {theory(results.labels)}; theory_id {', '.join(theories)}."))
    study = json.dumps(results.study, indent=2, ensure_ascii=False)
    return [
        *made,
        *paper.blocks(results),
        Folded("Versions of the libraries", [table_versions(results.tables)]),
        Folded("How numbers are combined and judged", [JUDGING]),
        Folded("The study, as it was planned", [Source(study)]),
    ]


SECTION = Section("methods", "Models and settings", "Models, versions and settings", blocks)
