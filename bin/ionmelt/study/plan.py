"""PLAN_STUDY: read a study file, refuse every mistake at once, and write one small file of settings a task.

Writes the folder --out (study.json, one CSV for each kind of key, and JSON files that hold only what a task
needs), prints what the study will cost on standard output, and warnings on standard error. The same study
gives the same bytes. A study with mistakes ends with exit code 2 and one line for each: the field, the value,
what would be right.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path

from ionmelt import chemical_names, task
from ionmelt.arguments import command_line
from ionmelt.errors import Exit, UserError
from ionmelt.liquid.ions import library
from ionmelt.liquid.symbols import names_of
from ionmelt.screen import say, show
from ionmelt.study.advice import warn
from ionmelt.study.boxes import Box
from ionmelt.study.check_data import check_data
from ionmelt.study.check_dynamics import check_dynamics
from ionmelt.study.check_liquids import check_liquids
from ionmelt.study.check_models import check_ids, check_models
from ionmelt.study.check_references import check_references
from ionmelt.study.estimate import Estimate
from ionmelt.study.keys import committees
from ionmelt.study.melting import read_melting
from ionmelt.study.paths import Paths, check_outdir
from ionmelt.study.reading import Problems, read_draft
from ionmelt.study.references import Reference
from ionmelt.study.round_before import Before, read_before
from ionmelt.study.rounds import check_before
from ionmelt.study.schema import Study, schema
from ionmelt.study.teacher import check_teacher
from ionmelt.study.text import parse_yaml, read_text
from ionmelt.study.workload import check_budget, estimate
from ionmelt.study.writing import make_plan

ASSETS = Path(__file__).resolve().parents[3] / "assets"

# --- The task ------------------------------------------------------------------------------------------


def read_study(
    text: str, name: str, paths: Paths, outdir: str | None = None, before: Before | None = None
) -> tuple[Study, dict[int, Box], list[Reference], Estimate]:
    """Return a study that is right in every way, its boxes, references and estimate.

    Raises `UserError` with one line for each mistake.
    """
    problems = Problems()
    ions = library(paths.assets)
    if not ions:
        raise UserError(f"assets: {paths.assets}: holds no ions (ions/*.yaml)")
    outdir_line = [f"outdir: {wrong}"] if outdir and (wrong := check_outdir(outdir)) else []
    try:
        raw = parse_yaml(text, name)
    except UserError as error:
        raise UserError(*error.errors, *outdir_line) from error
    draft = read_draft(raw, problems)
    references: list[Reference] = []
    boxes: dict[int, Box] = {}
    if isinstance(raw, dict):
        check_ids(draft, problems)
        boxes = check_liquids(draft, raw, ions, paths, problems)
        check_models(draft, raw, boxes, paths, problems)
        check_data(draft, raw, paths, problems)
        check_teacher(draft, raw, boxes, problems)
        check_dynamics(draft, boxes, problems)
        references = check_references(draft, ions, boxes, paths, problems)
    if problems.mistakes:
        raise UserError(*problems.lines(), *outdir_line)
    study = Study.model_validate(raw)
    chosen = {index: {"force_field": liquid.force_field} for index, liquid in draft.liquids.items()}
    liquids = tuple(liquid.model_copy(update=chosen[index]) for index, liquid in enumerate(study.liquids))
    study = study.model_copy(update={"liquids": liquids})  # with what auto stands for
    if before and before.folder:
        check_before(study, before, problems)
    explorations = len(committees(study)) if before and before.cards else 0
    estimated = estimate(study, boxes, paths, explorations)
    check_budget(estimated, problems)
    if problems.mistakes or outdir_line:
        raise UserError(*problems.lines(), *outdir_line)
    return study, boxes, references, estimated


def plan_study(args: argparse.Namespace) -> None:
    """Do the work of the task: read, judge, write, and say what it costs."""
    base = args.base or str(args.study.resolve().parent)
    seen = not args.files_unseen and "://" not in base
    paths = Paths(base, args.assets, seen)
    before = read_before(args.previous, args.records)
    study, boxes, references, estimated = read_study(read_text(args.study), args.study.name, paths, args.outdir, before)
    plan = make_plan(study, boxes, references, paths, before)
    warnings = warn(study, boxes, references, read_melting(args.assets))
    plan.json("estimate.json", estimated.content())
    ions = {study.liquids[index].id: box.ions for index, box in boxes.items()}
    plan.json(chemical_names.FILE, names_of(ions, library(args.assets)).model_dump())
    plan.files["warnings.txt"] = "".join(f"{line}\n" for line in warnings)
    plan.files["plan.txt"] = spoken(study, boxes, estimated, warnings)
    plan.write(args.out)
    show("\n".join([estimated.text(), *(box.text(study.liquids[index]) for index, box in boxes.items())]))
    for line in warnings:
        say(f"warning: {line}")


def spoken(study: Study, boxes: dict[int, Box], estimated: Estimate, warnings: Sequence[str]) -> str:
    """Return the plan as it is shown before the first task: stages, core-hours, boxes, warnings."""
    lines = [f"plan of {study.name}: {study.description}" if study.description else f"plan of {study.name}"]
    lines += [estimated.text(), *(box.text(study.liquids[index]) for index, box in boxes.items())]
    lines += [f"warning: {line}" for line in warnings]
    return "".join(f"{line}\n" for line in lines)


def as_json(args: argparse.Namespace) -> Exit:
    """Print the plan as one JSON object, or the mistakes, write nothing, and return the exit code."""
    paths = Paths(args.base or str(args.study.resolve().parent), args.assets, not args.files_unseen)
    try:
        before = read_before(args.previous, args.records)
        text = read_text(args.study)
        study, boxes, references, estimated = read_study(text, args.study.name, paths, args.outdir, before)
        warnings = warn(study, boxes, references, read_melting(args.assets))
    except UserError as error:
        show(json.dumps({"mistakes": list(error.errors)}, indent=2))
        return Exit.USER
    plan = {"study": study.model_dump(mode="json"), "estimate": estimated.content(), "warnings": warnings}
    show(json.dumps(plan, indent=2, allow_nan=False))
    return Exit.DONE


def noting_errors(work: Callable[[], None], errors: Path | None) -> None:
    """Do the work; where the user has to act, also write the lines to a file."""
    try:
        work()
    except UserError as error:
        if errors is not None:
            errors.write_text("".join(f"{line}\n" for line in error.errors))
        raise


def main(argv: list[str] | None = None) -> int:
    """Run the command line."""
    parser = command_line(__doc__)
    parser.add_argument("--study", type=Path, metavar="FILE", help="the study file, YAML")
    parser.add_argument(
        "--assets",
        type=Path,
        default=ASSETS,
        metavar="DIR",
        help="folder with ions, references (default: that of the project)",
    )
    parser.add_argument("--out", type=Path, default=Path("plan"), metavar="DIR", help="folder to write the plan to")
    parser.add_argument("--outdir", metavar="DIR", help="folder of the results: checked that it can be written")
    parser.add_argument(
        "--base", metavar="DIR", help="what the study's paths are relative to (default: its own folder)"
    )
    parser.add_argument(
        "--files-unseen", action="store_true", help="do not look at the study's own files: they are elsewhere"
    )
    parser.add_argument(
        "--previous", metavar="DIR", help="results of the round before, in active learning or to refine the equilibrium"
    )
    parser.add_argument(
        "--records",
        type=Path,
        nargs="*",
        default=[],
        help="of that round the cards (model.json), runs (run.json) and errors.parquet",
    )
    parser.add_argument("--errors", type=Path, metavar="FILE", help="file to write the mistakes to, one line each")
    parser.add_argument("--id", default="plan", help="key of the task")
    parser.add_argument(
        "--json",
        action="store_true",
        help="print the plan as JSON (study, estimate, warnings; or mistakes) and write nothing",
    )
    parser.add_argument("--schema", action="store_true", help="print the JSON schema of the study file and stop")
    args = parser.parse_args(argv)
    if args.schema:
        return task.command(lambda: show(schema(), end=""))
    if args.study is None:
        parser.error("--study is required")
    if args.json:
        return task.command(lambda: as_json(args))
    return task.run(
        "PLAN_STUDY", lambda: noting_errors(lambda: plan_study(args), args.errors), task_id=args.id, writes=[args.out]
    )
