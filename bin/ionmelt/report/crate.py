"""Describe the results of a finished run as an RO-Crate: ro-crate-metadata.json in their folder, for archives and catalogues.

It is a Process Run Crate (https://w3id.org/ro/wfrun/process/0.5): each file with its size and sha256, the run that made them, from
which study, and the software of its tasks. Nothing else in the folder is touched, and a crate that is there is written anew.
"""

import csv
import mimetypes
from datetime import UTC, datetime
from pathlib import Path

from rocrate.model.contextentity import ContextEntity
from rocrate.rocrate import ROCrate

from ionmelt import files, task
from ionmelt.arguments import command_line
from ionmelt.errors import UserError, reading
from ionmelt.screen import show

PROFILE = "https://w3id.org/ro/wfrun/process/0.5"
CRATE = "ro-crate-metadata.json"
LEFT_OUT = ["earlier", CRATE]  # another study's, and a crate of before
TYPES = {".parquet": "application/vnd.apache.parquet", ".extxyz": "chemical/x-xyz", ".xtc": "chemical/x-xtc",
         ".npy": "application/x-npy", ".yaml": "application/yaml", ".tsv": "text/tab-separated-values"}  # fmt: skip


def began(trace: Path) -> str:
    """Return when the first task of a run was submitted (ISO 8601, local time), read from Nextflow's trace."""
    with reading(trace, "a trace of Nextflow"), trace.open(newline="", encoding="utf-8") as lines:
        times = [row["submit"] for row in csv.DictReader(lines, delimiter="\t") if (row["submit"] or "").strip("-")]
        if not times:
            raise UserError(f"{trace}: names no task")
        return datetime.fromisoformat(min(times)).astimezone().isoformat(timespec="seconds")


def software(crate: ROCrate, results: Path) -> list[ContextEntity]:
    """Add the software of all tasks, each version once, and return it."""
    versions = files.read_tables([results / "tables" / "versions.parquet"], "library", "version")
    table = versions.select("library", "version").unique().sort("library", "version")
    return [
        crate.add(
            ContextEntity(
                crate,
                f"#{library}-{version}",
                properties={
                    "@type": "SoftwareApplication",
                    "name": library,
                    "version": version,
                    "softwareVersion": version,
                },
            )
        )
        for library, version in table.iter_rows()
    ]


def describe(results: Path, study: Path | None) -> ROCrate:
    """Return the crate of a folder of results; raises `UserError` where no finished run left them."""
    needed = [results / name for name in ("report.html", "tables/versions.parquet", "pipeline_info/trace.tsv")]
    if missing := [str(path.relative_to(results)) for path in needed if not path.exists()]:
        raise UserError(f"{results}: no results of a finished run: {', '.join(missing)} is not there")
    crate = ROCrate(results, init=True, exclude=LEFT_OUT)
    end = datetime.fromtimestamp(needed[0].stat().st_mtime, UTC).astimezone().isoformat(timespec="seconds")
    for entity in list(crate.data_entities):
        path = results / entity.id
        if path.name.startswith("."):  # the lock of a run
            crate.delete(entity)
        elif path.is_file():
            entity["contentSize"] = str(path.stat().st_size)
            entity["sha256"] = files.sha256(path)
            entity["encodingFormat"] = (
                TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
            )
    profile = crate.add(
        ContextEntity(
            crate, PROFILE, properties={"@type": "CreativeWork", "name": "Process Run Crate", "version": "0.5"}
        )
    )
    program = ContextEntity(
        crate,
        "#ionmelt",
        properties={
            "@type": "SoftwareApplication",
            "name": "Ionmelt",
            "description": "which machine-learned force field may I trust for my ionic liquid?",
        },
    )
    crate.add(program)["softwareRequirements"] = software(crate, results)
    run = {"@type": "CreateAction", "name": "A run of Ionmelt", "startTime": began(needed[2]), "endTime": end}
    action = crate.add(ContextEntity(crate, "#run", properties=run))
    action["instrument"] = program
    action["actionStatus"] = {"@id": "http://schema.org/CompletedActionStatus"}
    action["result"] = [
        entity
        for entity in crate.data_entities
        if entity.id.rstrip("/") in ("report.html", "tables", "dataset", "models", "trajectories")
    ]
    if study:
        # Text, and not a file of the crate: it lies elsewhere.
        with reading(study, "text"):
            text = study.read_text(encoding="utf-8")
        about = {
            "@type": "CreativeWork",
            "name": study.name,
            "text": text,
            "encodingFormat": "application/yaml",
        }
        action["object"] = [crate.add(ContextEntity(crate, "#study", properties=about))]
    crate.root_dataset["conformsTo"] = profile
    crate.root_dataset["mentions"] = [action]
    crate.name = f"Results of Ionmelt: {study.stem if study else results.resolve().name}"
    crate.description = (
        "Verdicts on machine-learned force fields, with the data, models and trajectories that they rest on"
    )
    crate.root_dataset["datePublished"] = end
    crate.root_dataset["license"] = "see the licences of the models and data that the study names"
    return crate


def write(results: Path, study: Path | None) -> None:
    """Write the crate of a folder of results into it, and print where it is."""
    if study and not study.is_file():
        raise UserError(f"--study: {study}: no such file")
    describe(results, study).metadata.write(results)
    show(str(results / CRATE))


def main(argv: list[str] | None = None) -> int:
    """Run the command line."""
    parser = command_line(__doc__)
    parser.add_argument("results", type=Path, help="the folder that the run was given as --outdir")
    parser.add_argument("--study", type=Path, help="the study file, to be part of the crate")
    args = parser.parse_args(argv)
    return task.command(lambda: write(args.results, args.study))
