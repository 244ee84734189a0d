"""Measure density, diffusion and structure of one run, each with its error or the reason for having none.

Reads the run folder of RUN_MD: run.json, topology.json, thermo.parquet, npt.xtc, nvt.xtc.
Writes <id>.TABLE.parquet for each TABLE of MEASURED. What the tables of structure hold: ionmelt/measure/structure.py.

Density comes from NPT, diffusion from NVT, structure from NVT or, where there is none, from NPT. A run that
ended early is measured as far as it went and says so: converged is false and the reason is how it ended.
"""

import itertools
import json
import math
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from ase import Atoms

from ionmelt import errors, files, task
from ionmelt.arguments import command_line
from ionmelt.measure import conformers as measure_conformers
from ionmelt.measure import contacts as measure_contacts
from ionmelt.measure import domain as domain_module
from ionmelt.measure import paths as measure_paths
from ionmelt.measure import stats, structure, transport
from ionmelt.report import picture
from ionmelt.study import references as study_references
from ionmelt.tables.columns import RUN, RUN_MODEL
from ionmelt.tables.runs import MEASURED
from ionmelt.topology import Topology

ANGSTROM_M = 1e-10


@dataclass(frozen=True)
class Trajectory:
    """What is kept of a trajectory that is read once in chunks. Angstrom.

    ``paths`` of each kind of ion: unwrapped centres of mass at every frame, relative to that of all; ``sums``
    (frames, 3) of them over the ions of a kind; ``edges`` (frames, 3).
    """

    paths: dict[str, measure_paths.Paths]
    sums: dict[str, np.ndarray]
    edges: np.ndarray


def read_trajectory(path: Path, topology: Topology, threads: int = 1) -> Trajectory | None:
    """Read a trajectory once, in bounded memory; None where there is no frame."""
    masses = np.add.reduceat(topology.masses_u, topology.starts)
    kinds = {ion["name"]: topology.molecule_ion == ion["name"] for ion in topology.ions}
    paths = {name: measure_paths.Paths(int(chosen.sum())) for name, chosen in kinds.items()}
    sums: dict[str, list[np.ndarray]] = {name: [] for name in kinds}
    edges = []
    for chunk in measure_paths.chunks(path, topology, threads):
        held = stats.remove_drift(chunk.unwrapped, masses)
        for name, chosen in kinds.items():
            paths[name].append(held[:, chosen])
            sums[name].append(held[:, chosen].sum(axis=1))
        edges.append(chunk.edges)
    if not edges:
        return None
    joined = {name: np.concatenate(parts) for name, parts in sums.items()}
    return Trajectory(paths, joined, np.concatenate(edges))


def ended(run: dict[str, Any]) -> str | None:
    """Return how a run ended early, None where it was completed."""
    return None if run["end"] == "completed" else f"run ended: {run['end']} at {run['survived_ps']:g} ps"


def verdict(run: dict[str, Any], converged: bool, reason: str | None) -> dict[str, Any]:
    """Return the columns converged and reason: a run that broke is not converged, whatever its numbers."""
    reasons = [text for text in (ended(run), reason) if text]
    return {"converged": converged and not reasons, "reason": "; ".join(reasons) or None}


def finite(values: np.ndarray) -> np.ndarray:
    """Return the rows (n, k) before the first that holds a number that is not finite."""
    good = np.isfinite(values).all(axis=1)
    return values if good.all() else values[: int(np.argmin(good))]


def with_needed(reason: str | None, needed_ps: float) -> str | None:
    """Return the reason, and how long a run is likely to be enough where that can be said."""
    if reason is None or not math.isfinite(needed_ps):
        return reason
    return f"{reason}; needs about {needed_ps:.2g} ps"


def measure_density(run: dict[str, Any], thermo: pl.DataFrame) -> dict[str, Any]:
    """Return the density row from the NPT part of thermo.parquet, up to the first value not finite."""
    npt = thermo.filter(pl.col("phase") == "npt").select("time_ps", "density_kg_m3").to_numpy().astype(float)
    time, density = finite(npt).T
    if not len(time):
        why = "no NPT was planned" if run["npt_planned_ps"] == 0 else "no NPT survived"
        return verdict(run, False, why)
    estimate = stats.series_mean(density)
    needed_ps = estimate.needed * (time[-1] - time[0]) / max(len(time) - 1, 1)
    return {
        "density_kg_m3": estimate.mean,
        "standard_error_kg_m3": estimate.standard_error,
        "n_effective": estimate.n_effective,
        "equilibrated_ps": time[estimate.start],
        "needed_ps": needed_ps,
    } | verdict(run, estimate.converged, with_needed(estimate.reason, needed_ps))


def no_nvt(run: dict[str, Any]) -> dict[str, Any]:
    """Return the columns converged and reason of what there is no NVT for."""
    return verdict(run, False, "no NVT was planned" if run["nvt_planned_ps"] == 0 else "no NVT survived")


def fit_columns(d: stats.DiffusionEstimate) -> dict[str, Any]:
    """Return the columns of `FIT`."""
    times = {"fit_start_ps": d.fit_start, "fit_stop_ps": d.fit_stop, "needed_ps": d.needed}
    return {"log_slope": d.log_slope, "n_independent": d.n_independent} | {
        name: round(time_s * 1e12, 9) for name, time_s in times.items()
    }


def fit_verdict(run: dict[str, Any], d: stats.DiffusionEstimate) -> dict[str, Any]:
    """Return the columns converged and reason of a slope."""
    return verdict(run, d.converged, with_needed(d.reason, d.needed * 1e12))


def interval_columns(d: stats.DiffusionEstimate, unit: str) -> dict[str, Any]:
    """Return the columns of an error and its interval."""
    return {
        f"standard_error_{unit}": d.standard_error,
        f"ci95_low_{unit}": d.ci95_low,
        f"ci95_high_{unit}": d.ci95_high,
    }


@dataclass(frozen=True)
class Viscosity:
    """The viscosity that the finite-size correction of diffusion uses, and where it is from; or why there is none."""

    pa_s: float | None
    source: str


def measure_viscosity(run: dict[str, Any], thermo: pl.DataFrame, threads: int = 1) -> dict[str, Any]:
    """Return the viscosity row from the pressure tensor of NVT, where it was recorded."""
    columns = [f"pressure_{name}_bar" for name in ("xx", "yy", "zz", "yz", "xz", "xy")]
    nvt = thermo.filter(pl.col("phase") == "nvt")
    if run["nvt_planned_ps"] == 0 or not len(nvt):
        return no_nvt(run)
    if not set(columns) <= set(nvt.columns) or not len(nvt := nvt.drop_nulls(columns)):
        return verdict(run, False, "the pressure tensor was not recorded")
    rows = finite(nvt.select("time_ps", "volume_A3", *columns).to_numpy().astype(float))
    time, volume = rows[:, 0], rows[:, 1]
    if len(rows) < 2 or not transport.evenly_sampled(time):
        return verdict(run, False, "the pressure tensor was not recorded at even times")
    step_s = float(time[-1] - time[0]) / (len(time) - 1) * 1e-12
    volume_m3 = float(volume.mean()) * ANGSTROM_M**3
    found = transport.viscosity(rows[:, 2:], step_s, volume_m3, run["temperature_K"], threads)
    row = {"viscosity_pa_s": found.D} | interval_columns(found, "pa_s")
    return row | fit_columns(found) | fit_verdict(run, found)


def viscosity_for_correction(
    run: dict[str, Any], given_pa_s: float | None, measured: dict[str, Any], references: pl.DataFrame | None
) -> Viscosity:
    """Choose the viscosity: the one given, that of this run if converged, else the experimental one."""
    if given_pa_s is not None:
        return Viscosity(given_pa_s, "given")
    if measured["converged"]:
        return Viscosity(measured["viscosity_pa_s"], "this run")
    if references is not None:
        known = study_references.best(references, run["liquid"], "viscosity", None, run["temperature_K"])
        if known is not None:
            return Viscosity(known["value"], f"experiment: {known['source']}")
    return Viscosity(None, "viscosity unknown")


def measure_diffusion(
    run: dict[str, Any],
    topology: Topology,
    nvt: Trajectory | None,
    found: dict[str, stats.DiffusionEstimate],
    viscosity: Viscosity,
) -> list[dict[str, Any]]:
    """Return a diffusion row for each kind of ion, from NVT."""
    names = [ion["name"] for ion in topology.ions]
    if nvt is None:
        return [{"species": name, "finite_size_reason": "no diffusion coefficient"} | no_nvt(run) for name in names]
    rows = []
    for name in names:
        d = found[name]
        row = {"species": name, "diffusion_m2_s": d.D, "ci95_low_m2_s": d.ci95_low, "ci95_high_m2_s": d.ci95_high}
        row |= fit_columns(d)
        if viscosity.pa_s is None:
            row["finite_size_reason"] = viscosity.source
        elif math.isnan(d.D):
            row["finite_size_reason"] = "no diffusion coefficient"
        elif not np.allclose(nvt.edges[0], nvt.edges[0, 0], rtol=1e-4):
            row["finite_size_reason"] = "the cell is not cubic"
        else:
            edge_m = float(nvt.edges[0, 0]) * ANGSTROM_M
            row["finite_size_correction_m2_s"] = stats.yeh_hummer(0.0, edge_m, run["temperature_K"], viscosity.pa_s)
            row["finite_size_viscosity_pa_s"] = viscosity.pa_s
            row["finite_size_viscosity_source"] = viscosity.source
        rows.append(row | fit_verdict(run, d))
    return rows


def measure_conductivity(
    run: dict[str, Any],
    topology: Topology,
    nvt: Trajectory | None,
    found: dict[str, stats.DiffusionEstimate],
    threads: int = 1,
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the conductivity row, and one of each pair of kinds of ions: what their correlation adds to it."""
    ions = {ion["name"]: (ion["count"], float(ion["charge"])) for ion in topology.ions}
    pairs = list(itertools.combinations_with_replacement(ions, 2))
    if nvt is None:
        return no_nvt(run), [{"pair": f"{a}-{b}"} | no_nvt(run) for a, b in pairs]
    step_s, kelvin = run["save_every_fs"] * 1e-15, run["temperature_K"]
    volume_m3 = float(nvt.edges.prod(axis=1).mean()) * ANGSTROM_M**3
    moment = sum((charge * nvt.sums[name] for name, (_, charge) in ions.items()), start=np.zeros(3)) * ANGSTROM_M
    whole = transport.einstein_conductivity(moment, step_s, volume_m3, kelvin, threads)
    independent = transport.nernst_einstein(found, ions, volume_m3, kelvin)
    ratio = transport.ionicity(whole, independent)
    row = {"conductivity_s_m": whole.D} | interval_columns(whole, "s_m") | fit_columns(whole)
    row |= {
        "nernst_einstein_s_m": independent.value,
        "nernst_einstein_ci95_low_s_m": independent.ci95_low,
        "nernst_einstein_ci95_high_s_m": independent.ci95_high,
        "nernst_einstein_converged": ended(run) is None and all(d.converged for d in found.values()),
        "ionicity": ratio.value,
        "ionicity_ci95_low": ratio.ci95_low,
        "ionicity_ci95_high": ratio.ci95_high,
    }
    cross = []
    for a, b in pairs:
        sums, charges = (nvt.sums[a] * ANGSTROM_M, nvt.sums[b] * ANGSTROM_M), (ions[a][1], ions[b][1])
        one = transport.onsager(*sums, charges, step_s, volume_m3, kelvin)
        cross.append({"pair": f"{a}-{b}", "onsager_s_m": one.D} | interval_columns(one, "s_m") | fit_verdict(run, one))
    return row | fit_verdict(run, whole), cross


def measure_structure(
    run: dict[str, Any], topology: Topology, path: Path, edges: np.ndarray, threads: int = 1
) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of the tables of structure, from a trajectory whose cells are ``edges`` (frames, 3).

    It is read twice: for the distributions, and for the contacts within the first minima that these show.
    """
    tables: dict[str, list[dict[str, Any]]] = {
        name: [] for name in ("structure", "coordination", "conformers", "kinetics")
    }
    frames, save_ps = len(edges), run["save_every_fs"] / 1000
    if not frames:
        return tables
    every = math.ceil(frames / structure.FRAMES)
    factor_every = math.ceil(frames / every / structure.FACTOR_FRAMES)
    distributions = structure.Distributions(topology, edges.mean(axis=0), float(edges.min()), factor_every)
    conformers = measure_conformers.Conformers(topology)
    for chunk in measure_paths.chunks(path, topology, threads):
        some = np.arange(-chunk.first % every, len(chunk), every)
        distributions.add(chunk.positions[some], chunk.edges[some])
        conformers.add(chunk.positions[some])
    first = distributions.first_shells()
    contacts = measure_contacts.contacts(topology, first)
    contacts_every = measure_contacts.stride(frames, topology)
    for chunk in measure_paths.chunks(path, topology, threads) if contacts else ():
        for i in range(-chunk.first % contacts_every, len(chunk), contacts_every):
            for pair in contacts:
                pair.add(chunk.centres[i] if pair.centres else chunk.positions[i], chunk.edges[i])

    curves, numbers = distributions.rows(first, every * save_ps)
    tables["structure"] += curves
    tables["coordination"] += numbers
    curves, tables["conformers"] = conformers.rows(every * save_ps)
    tables["structure"] += curves
    for pair in contacts:
        curves, numbers, times = measure_contacts.rows(pair, contacts_every * save_ps)
        tables["structure"] += curves
        tables["coordination"] += numbers
        tables["kinetics"] += times
    for name, rows in tables.items():
        for row in rows:
            judged = verdict(run, row.get("converged", False), row["reason"])
            row |= judged if name != "structure" else {"reason": judged["reason"]}
    return tables


def some_frames(path: Path, topology: Topology, most: int) -> list[Atoms]:
    """Return evenly spaced frames of a trajectory, at most so many."""
    every = max(1, math.ceil(len(measure_paths.edges(path, topology)) / most))
    return [
        Atoms(topology.elements.tolist(), chunk.positions[i].astype(float), cell=chunk.edges[i], pbc=True)
        for chunk in measure_paths.chunks(path, topology)
        for i in range(-chunk.first % every, len(chunk), every)
    ]


def measure_domain(run: dict[str, Any], topology: Topology, folder: Path, domain: Path | None) -> list[dict[str, Any]]:
    """Return the rows that say where a run leaves what its model was trained on, NPT and NVT together."""
    if domain is None or not domain.is_file():
        return [domain_module.not_judged("all", domain_module.why_unknown(run))]
    found = domain_module.load(domain)
    thermo = files.read_tables([folder / "thermo.parquet"])
    densities = finite(thermo.select("density_kg_m3").drop_nulls().to_numpy().astype(float))[:, 0]
    half = domain_module.FRAMES // 2
    frames = [f for phase in ("npt", "nvt") for f in some_frames(folder / f"{phase}.xtc", topology, half)]
    rows = domain_module.judge(found, topology.molecule_ion.tolist(), run["temperature_K"], densities, frames)
    how = ended(run)
    return [row | {"reason": "; ".join(x for x in (how, row.get("reason")) if x) or None} for row in rows]


def measure(
    folder: Path,
    viscosity_pa_s: float | None = None,
    threads: int = 1,
    references: pl.DataFrame | None = None,
    domain: Path | None = None,
) -> dict[str, pl.DataFrame]:
    """Return the tables of a run folder by name.

    ``references`` may hold the experimental viscosity; ``domain`` is the envelope of the model's training frames.
    """
    needed = ("run.json", "topology.json", "thermo.parquet")
    if missing := [name for name in needed if not (folder / name).is_file()]:
        raise errors.UserError(*(f"{folder}: {name} is missing; give a folder of RUN_MD" for name in missing))
    run = files.read_json(folder / "run.json")
    topology = Topology.load(folder / "topology.json")
    nvt = read_trajectory(folder / "nvt.xtc", topology, threads)
    path = folder / ("npt.xtc" if nvt is None else "nvt.xtc")
    edges = measure_paths.edges(path, topology) if nvt is None else nvt.edges
    thermo = files.read_tables([folder / "thermo.parquet"])
    sheared = measure_viscosity(run, thermo, threads)
    viscosity = viscosity_for_correction(run, viscosity_pa_s, sheared, references)
    step_s = run["save_every_fs"] * 1e-15
    paths = nvt.paths if nvt is not None else {}
    found = {name: stats.diffusion(path, step_s, threads).scaled(ANGSTROM_M**2) for name, path in paths.items()}
    conductivity, cross = measure_conductivity(run, topology, nvt, found, threads)
    keys = {name: run.get({"run_id": "id", "seed": "model_seed"}.get(name, name)) for name in (*RUN, *RUN_MODEL)}
    rows = {
        "density": [measure_density(run, thermo)],
        "diffusion": measure_diffusion(run, topology, nvt, found, viscosity),
        "conductivity": [conductivity],
        "onsager": cross,
        "viscosity": [sheared],
        **measure_structure(run, topology, path, edges, threads),
        "domain": measure_domain(run, topology, folder, domain),
        "survival": [{name: run.get(name) for name in MEASURED["survival"] if name not in keys}],
    }
    return {
        name: pl.DataFrame([keys | row for row in table], schema=MEASURED[name]).fill_nan(None)
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
        domain = args.model / domain_module.FILE if args.model else None
        tables = measure(args.run, args.viscosity_pa_s, args.threads, references, domain)
        args.out.mkdir(parents=True, exist_ok=True)
        for name, table in tables.items():
            files.write_table(table, args.out / f"{args.id}.{name}.parquet")
        shutil.copyfile(args.run / "run.json", args.out / "run.json")
        if view := picture.read(args.run):
            (args.out / picture.VIEW).write_text(json.dumps(view) + "\n")

    return task.run("MEASURE_LIQUID", work, task_id=args.id, reads=[args.run, args.model], writes=[args.out])
