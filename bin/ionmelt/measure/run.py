"""Measure density, diffusion and structure of one run, each with its error or the reason for having none.

Reads the run folder of RUN_MD: run.json, topology.json, thermo.parquet, npt.xtc, nvt.xtc.
Writes <id>.TABLE.parquet for each of the measurements of ionmelt/measure/observables, and of survival.

Density comes from NPT, diffusion from NVT, structure from NVT or, where there is none, from NPT. A run that
ended early is measured as far as it went and says so: converged is false and the reason is how it ended.
"""

import shutil
from pathlib import Path
from typing import Any

import polars as pl

from ionmelt import files, task
from ionmelt.arguments import command_line
from ionmelt.errors import UserError
from ionmelt.measure import domain, view
from ionmelt.measure.observables import MEASUREMENTS
from ionmelt.measure.simulation import Record, Run, Viscosity
from ionmelt.study import references as study_references
from ionmelt.tables.columns import RUN, RUN_MODEL, Schema
from ionmelt.tables.runs import SURVIVAL
from ionmelt.topology import Topology


def read_run(
    folder: Path,
    viscosity_pa_s: float | None = None,
    threads: int = 1,
    references: pl.DataFrame | None = None,
    envelope: Path | None = None,
) -> Run:
    """Return the run of a run folder.

    ``references`` may hold the experimental viscosity; ``envelope`` is the file of what the model's training frames span.
    Raises `UserError` where the folder is not one of RUN_MD.
    """
    needed = ("run.json", "topology.json", "thermo.parquet")
    if missing := [name for name in needed if not (folder / name).is_file()]:
        raise UserError(*(f"{folder}: {name} is missing; give a folder of RUN_MD" for name in missing))
    record, measured = Record.read(folder / "run.json"), None
    if references is not None:
        best = study_references.best(references, record.liquid, "viscosity", None, record.temperature_K)
        measured = None if best is None else viscosity_of(best)
    given = None if viscosity_pa_s is None else Viscosity(viscosity_pa_s, "given")
    return Run(folder, record, Topology.load(folder / "topology.json"), threads, given, measured, envelope)


def viscosity_of(reference: dict[str, Any]) -> Viscosity:
    """Return a measured viscosity with its standard uncertainty, where the file of references gives one."""
    return Viscosity(reference["value"], f"experiment: {reference['source']}", reference.get("standard_uncertainty"))


def measure(
    folder: Path,
    viscosity_pa_s: float | None = None,
    threads: int = 1,
    references: pl.DataFrame | None = None,
    domain: Path | None = None,
) -> dict[str, pl.DataFrame]:
    """Return the tables of a run folder by name; the arguments are those of `read_run`."""
    run = read_run(folder, viscosity_pa_s, threads, references, domain)
    columns: dict[str, Schema] = {measurement.name: measurement.table for measurement in MEASUREMENTS}
    rows = {measurement.name: measurement.measure(run) for measurement in MEASUREMENTS}
    columns["survival"] = SURVIVAL
    rows["survival"] = [run.record.model_dump(include=set(SURVIVAL) - {*RUN, *RUN_MODEL})]
    return {
        name: pl.DataFrame(
            [run.record.keys | row for row in table], schema={**RUN, **RUN_MODEL, **columns[name]}
        ).fill_nan(None)
        for name, table in rows.items()
    }


def main(argv: list[str] | None = None) -> int:
    """Parse the command line, measure, write."""
    parser = command_line(__doc__, "--id", "--out", "--threads")
    parser.add_argument("--run", type=Path, required=True, help="run folder of RUN_MD")
    parser.add_argument(
        "--viscosity-pa-s",
        type=float,
        help="viscosity of this model at this temperature, for the finite-size correction (default: that of the run "
        "if converged, else the experimental one)",
    )
    parser.add_argument(
        "--model", type=Path, help="model folder: what its training frames span is compared with the run"
    )
    parser.add_argument("--references", type=Path, help="references.csv of the plan: for the experimental viscosity")
    args = parser.parse_args(argv)

    def work() -> None:
        references = None if args.references is None else study_references.read_plan(args.references)
        envelope = args.model / domain.FILE if args.model else None
        tables = measure(args.run, args.viscosity_pa_s, args.threads, references, envelope)
        args.out.mkdir(parents=True, exist_ok=True)
        for name, table in tables.items():
            files.write_table(table, args.out / f"{args.id}.{name}.parquet")
        shutil.copyfile(args.run / "run.json", args.out / "run.json")
        if frames := view.read(args.run):
            frames.save(args.out / view.VIEW)

    return task.run("MEASURE_LIQUID", work, task_id=args.id, reads=[args.run, args.model], writes=[args.out])
