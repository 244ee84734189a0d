"""Gather everything a study produced into tables and a report: which model may be trusted, at what cost.

Reads the plan and the results of every task; writes tables/*.parquet and tables/*.csv, and report.html, one
file that opens offline, with the liquid of one run in it, which liquid.svg shows too; recommendation.txt, what the
report says first; pages/KEY.md, what came out of each model that has files; and study.json, the study with every default. Nothing is dropped: failed labels, broken runs and
missing measurements are rows with their reason, and a planned run without results is a survival row with end "missing".

A folder that is not there counts as empty, since a stage may have had nothing to do. The same input gives the
same bytes. How numbers are combined and judged: ionmelt/compare/summary.py and verdicts.py.
"""

import shutil
from dataclasses import fields
from pathlib import Path

from ionmelt import files
from ionmelt import task as task_run
from ionmelt.arguments import command_line
from ionmelt.compare.gathering import Inputs, gather
from ionmelt.compare.reading import find, write_table
from ionmelt.failure import FILE
from ionmelt.report import model_page
from ionmelt.report.chemistry import with_chemical_names
from ionmelt.report.page import page
from ionmelt.report.sections.recommendation import recommend
from ionmelt.report.still import still


def compare(inputs: Inputs, outdir: Path) -> None:
    """Read, judge and write."""
    results = gather(inputs)
    folder = outdir / "tables"
    folder.mkdir(parents=True, exist_ok=True)
    for name, frame in results.tables.items():
        write_table(frame, name, folder)
    results = with_chemical_names(results)
    (outdir / "report.html").write_text(page(results), encoding="utf-8")
    words = "".join(f"{line}\n" for line in recommend(results.tables)).replace("\u00a0", " ")
    (outdir / "recommendation.txt").write_text(words, encoding="utf-8")
    for key, text in model_page.pages(results):
        (outdir / "pages").mkdir(exist_ok=True)
        (outdir / "pages" / f"{key}.md").write_text(text, encoding="utf-8")
    shutil.copyfile(inputs.plan / "study.json", outdir / "study.json")
    if results.view:
        (outdir / "liquid.svg").write_text(still(results.view), encoding="utf-8")


def main(argv: list[str] | None = None) -> int:
    """Run the command line."""
    parser = command_line(__doc__)
    parser.add_argument("--id", default="study", help="key of this task")
    parser.add_argument("--plan", type=Path, required=True, help="folder that PLAN_STUDY wrote")
    parser.add_argument("--states", type=Path, help="folder with *.equilibration.parquet")
    parser.add_argument("--labels", type=Path, help="folder with *.labels.parquet")
    parser.add_argument("--sampling", type=Path, help="folder with the sampling tables")
    parser.add_argument("--explored", type=Path, help="folder with *.explored.parquet, in active learning")
    parser.add_argument("--rounds", type=Path, nargs="?", help="rounds.parquet of the round before")
    parser.add_argument("--dataset", type=Path, nargs="?", help="dataset.parquet, if there is one")
    parser.add_argument("--test", type=Path, nargs="?", help="labelled frames of the test set, if there are any")
    parser.add_argument("--models", type=Path, help="folder of model folders (model.json, curve.parquet)")
    parser.add_argument("--evaluations", type=Path, help="folder with errors, scan and parity parquet files")
    parser.add_argument("--runs", type=Path, help="folder of run folders (run.json)")
    parser.add_argument("--measures", type=Path, help="folder with the measured parquet files")
    parser.add_argument("--failures", type=Path, help=f"folder with *{FILE}: why models could not be used")
    parser.add_argument(
        "--tasks", type=Path, nargs="?", help="folder with *.json, or file with a line of JSON for each task"
    )
    parser.add_argument("--outdir", type=Path, default=Path(), help="where to write tables/ and report.html")
    args = parser.parse_args(argv)
    inputs = Inputs(**{field.name: getattr(args, field.name) for field in fields(Inputs)})
    folders = (inputs.models, inputs.evaluations, inputs.runs, inputs.measures)
    reads = [
        inputs.plan if inputs.plan.exists() else None,  # `gather` says what a folder without a plan lacks
        inputs.dataset,
        inputs.test,
        inputs.rounds,
        inputs.tasks,
        *(path.parent for folder in folders for path in find(folder, files.SUMS)),
    ]
    return task_run.run("COMPARE_MODELS", lambda: compare(inputs, args.outdir), task_id=args.id, reads=reads)
