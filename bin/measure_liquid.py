#!/usr/bin/env python3
"""Measure density, diffusion and structure of one run, each with its error or the reason for having none.

Reads the run folder of RUN_MD: run.json, topology.json, thermo.parquet, npt.xtc, nvt.xtc.
Writes <id>.density.parquet, <id>.diffusion.parquet, <id>.structure.parquet and <id>.survival.parquet.

Density comes from NPT, diffusion from NVT, structure from NVT or, where there is none, from NPT. A run that
ended early is measured as far as it went and says so: converged is false and the reason is how it ended.
"""

import argparse
import json
import math
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

import il_paths
import il_stats
import il_task
from il_topology import Topology

SQUARE_ANGSTROM_M2 = 1e-20
STRUCTURE_FRAMES = 1000  # evenly spaced: more are too correlated to add to a distribution
BIN_A = 0.1
RDF_MAX_A = 15.0
CATION_ELEMENTS = ("Li", "Na", "K", "N")  # what the anions' electronegative atoms gather around
ANION_ELEMENTS = ("N", "O", "F", "Cl")

S, F, INT, B = pl.String, pl.Float64, pl.Int64, pl.Boolean
RUN = {"run_id": S, "liquid": S, "model": S, "dataset": S, "seed": INT, "temperature_K": F, "replica": INT}
KEYS = RUN | {"framework": S, "model_key": S}
CHECK = {"converged": B, "reason": S}
SCHEMAS = {
    "density": KEYS
    | {"density_kg_m3": F, "standard_error_kg_m3": F, "reference_kg_m3": F, "n_effective": F}
    | {"equilibrated_ps": F}
    | CHECK,
    "diffusion": KEYS
    | {"species": S, "diffusion_m2_s": F, "ci95_low_m2_s": F, "ci95_high_m2_s": F}
    | {"finite_size_correction_m2_s": F, "finite_size_reason": S}
    | {"log_slope": F, "fit_start_ps": F, "fit_stop_ps": F, "n_independent": F}
    | CHECK,
    "structure": KEYS | {"quantity": S, "pair": S, "r_A": F, "value": F, "standard_error": F},
    "survival": KEYS
    | {"planned_ps": F, "survived_ps": F, "end": S, "detail": S}
    | {"n_atoms": INT, "atom_steps_per_s": F, "dtype": S, "device": S},
}


@dataclass(frozen=True)
class Trajectory:
    """What is kept of a trajectory that is read once in chunks. Angstrom.

    ``paths`` of each kind of ion: unwrapped centres of mass at every frame, relative to that of all; ``edges``
    (frames, 3). Of the frames ``kept`` for structure: ``atoms`` (kept, N, 3) of whole ions, ``centres``
    (kept, M, 3).
    """

    paths: dict[str, il_paths.Paths]
    edges: np.ndarray
    kept: np.ndarray
    atoms: np.ndarray
    centres: np.ndarray


def read_trajectory(path: Path, topology: Topology, threads: int = 1) -> Trajectory | None:
    """Read a trajectory once, in bounded memory; None where there is no frame."""
    masses = np.add.reduceat(topology.masses_u, topology.starts)
    kinds = {ion["name"]: topology.molecule_ion == ion["name"] for ion in topology.ions}
    paths = {name: il_paths.Paths(int(chosen.sum())) for name, chosen in kinds.items()}
    every = max(1, math.ceil(il_paths.frames(path) / STRUCTURE_FRAMES))
    edges, kept, atoms, centres = [], [], [], []
    for chunk in il_paths.chunks(path, topology, threads):
        held = il_stats.remove_drift(chunk.unwrapped, masses)
        for name, chosen in kinds.items():
            paths[name].append(held[:, chosen])
        edges.append(chunk.edges)
        some = np.arange(-chunk.first % every, len(chunk), every)
        kept.append(chunk.first + some)
        atoms.append(chunk.positions[some])
        centres.append(chunk.centres[some])
    if not edges:
        return None
    return Trajectory(paths, *(np.concatenate(parts) for parts in (edges, kept, atoms, centres)))


def ended(run: dict[str, Any]) -> str | None:
    """Return how a run ended early, None where it was completed."""
    return None if run["end"] == "completed" else f"run ended: {run['end']} at {run['survived_ps']:g} ps"


def verdict(run: dict[str, Any], converged: bool, reason: str | None) -> dict[str, Any]:
    """Return the columns converged and reason: a run that broke is not converged, whatever its numbers."""
    reasons = [text for text in (ended(run), reason) if text]
    return {"converged": converged and not reasons, "reason": "; ".join(reasons) or None}


def measure_density(run: dict[str, Any], thermo: pl.DataFrame) -> dict[str, Any]:
    """Return the density row from the NPT part of thermo.parquet, up to the first value not finite."""
    npt = thermo.filter(pl.col("phase") == "npt").select("time_ps", "density_kg_m3")
    time, density = npt.to_numpy().astype(float).T
    good = np.isfinite(density)
    use = len(good) if good.all() else int(np.argmin(good))
    if not use:
        why = "no NPT was planned" if run["npt_planned_ps"] == 0 else "no NPT survived"
        return verdict(run, False, why)
    estimate = il_stats.series_mean(density[:use])
    return {
        "density_kg_m3": estimate.mean,
        "standard_error_kg_m3": estimate.standard_error,
        "n_effective": estimate.n_effective,
        "equilibrated_ps": time[estimate.start],
    } | verdict(run, estimate.converged, estimate.reason)


def measure_diffusion(
    run: dict[str, Any],
    topology: Topology,
    nvt: Trajectory | None,
    viscosity_pa_s: float | None = None,
    threads: int = 1,
) -> list[dict[str, Any]]:
    """Return a diffusion row for each kind of ion, from NVT."""
    names = [ion["name"] for ion in topology.ions]
    if nvt is None:
        why = "no NVT was planned" if run["nvt_planned_ps"] == 0 else "no NVT survived"
        return [
            {"species": name, "finite_size_reason": "no diffusion coefficient"} | verdict(run, False, why)
            for name in names
        ]
    rows = []
    for name in names:
        d = il_stats.diffusion(nvt.paths[name], run["save_every_fs"] * 1e-15, threads)
        row = {
            "species": name,
            "diffusion_m2_s": d.D * SQUARE_ANGSTROM_M2,
            "ci95_low_m2_s": d.ci95_low * SQUARE_ANGSTROM_M2,
            "ci95_high_m2_s": d.ci95_high * SQUARE_ANGSTROM_M2,
            "log_slope": d.log_slope,
            "fit_start_ps": round(d.fit_start * 1e12, 9),
            "fit_stop_ps": round(d.fit_stop * 1e12, 9),
            "n_independent": d.n_independent,
        }
        if viscosity_pa_s is None:
            row["finite_size_reason"] = "viscosity unknown"
        elif math.isnan(d.D):
            row["finite_size_reason"] = "no diffusion coefficient"
        elif not np.allclose(nvt.edges[0], nvt.edges[0, 0], rtol=1e-4):
            row["finite_size_reason"] = "the cell is not cubic"
        else:
            edge_m = float(nvt.edges[0, 0]) * 1e-10
            correction = il_stats.yeh_hummer(0.0, edge_m, run["temperature_K"], viscosity_pa_s)
            row["finite_size_correction_m2_s"] = correction
        rows.append(row | verdict(run, d.converged, d.reason))
    return rows


def structure_pairs(topology: Topology) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return {pair: atoms of a, atoms of b} of the element pairs between cations and anions."""
    charge = topology.charges_e[topology.molecule]
    pairs = {}
    for first in CATION_ELEMENTS:
        for second in ANION_ELEMENTS:
            a = np.flatnonzero((topology.elements == first) & (charge > 0))
            b = np.flatnonzero((topology.elements == second) & (charge < 0))
            if len(a) and len(b):
                pairs[f"{first}-{second}"] = (a, b)
    return pairs


def measure_structure(topology: Topology, trajectory: Trajectory | None) -> list[dict[str, Any]]:
    """Return g(r) and coordination numbers of ions' centres of mass and of cation-anion element pairs."""
    if trajectory is None:
        return []
    edges, centres = trajectory.edges[trajectory.kept], trajectory.centres
    bins = int(min(RDF_MAX_A, edges.min() / 2) / BIN_A)
    if not bins:
        return []
    ions = np.arange(len(topology.molecule_ion))
    names = [ion["name"] for ion in topology.ions]
    jobs = []
    for k, first in enumerate(names):
        for second in names[k:]:
            a, b = (ions[topology.molecule_ion == name] for name in (first, second))
            if first != second or len(a) > 1:
                jobs.append((f"{first}-{second}", centres[:, a], centres[:, b], a, b))
    for pair, (a, b) in structure_pairs(topology).items():
        atoms = trajectory.atoms
        jobs.append((pair, atoms[:, a], atoms[:, b], topology.molecule[a], topology.molecule[b]))
    rows = []
    for pair, a_xyz, b_xyz, a_molecule, b_molecule in jobs:
        rdf = il_stats.radial_distribution(a_xyz, b_xyz, edges, a_molecule, b_molecule, bins * BIN_A, bins)
        for quantity, r, values, errors in (
            ("rdf", rdf.r, rdf.g, rdf.g_error),
            ("coordination", rdf.r_outer, rdf.coordination, rdf.coordination_error),
        ):
            rows += [
                {"quantity": quantity, "pair": pair, "r_A": round(x, 6), "value": v, "standard_error": e}
                for x, v, e in zip(r.tolist(), values.tolist(), errors.tolist(), strict=True)
            ]
    return rows


def measure(folder: Path, viscosity_pa_s: float | None = None, threads: int = 1) -> dict[str, pl.DataFrame]:
    """Return the tables density, diffusion, structure and survival of a run folder."""
    needed = ("run.json", "topology.json", "thermo.parquet")
    if missing := [name for name in needed if not (folder / name).is_file()]:
        raise il_task.UserError(*(f"{folder}: {name} is missing; give a folder of RUN_MD" for name in missing))
    run = json.loads((folder / "run.json").read_text())
    topology = Topology.load(folder / "topology.json")
    nvt = read_trajectory(folder / "nvt.xtc", topology, threads)
    structure = nvt if nvt is not None else read_trajectory(folder / "npt.xtc", topology, threads)
    rows = {
        "density": [measure_density(run, pl.read_parquet(folder / "thermo.parquet"))],
        "diffusion": measure_diffusion(run, topology, nvt, viscosity_pa_s, threads),
        "structure": measure_structure(topology, structure),
        "survival": [{name: run.get(name) for name in SCHEMAS["survival"] if name not in KEYS}],
    }
    keys = {name: run.get({"run_id": "id", "seed": "model_seed"}.get(name, name)) for name in KEYS}
    return {
        name: pl.DataFrame([keys | row for row in table], schema=SCHEMAS[name]).fill_nan(None)
        for name, table in rows.items()
    }


def main(argv: list[str] | None = None) -> int:
    """Parse the command line, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--id", required=True, help="the run's key, which the tables are named after")
    parser.add_argument("--run", type=Path, required=True, help="run folder of RUN_MD")
    parser.add_argument("--out", type=Path, required=True, help="folder to write the tables to")
    parser.add_argument(
        "--viscosity-pa-s",
        type=float,
        help="viscosity of this model at this temperature, for the finite-size correction",
    )
    parser.add_argument("--threads", type=int, default=1, help="CPU threads; they change no result (default: 1)")
    args = parser.parse_args(argv)

    def work() -> None:
        tables = measure(args.run, args.viscosity_pa_s, args.threads)
        args.out.mkdir(parents=True, exist_ok=True)
        for name, table in tables.items():
            table.write_parquet(args.out / f"{args.id}.{name}.parquet")

    return il_task.run("MEASURE_LIQUID", work, task_id=args.id)


if __name__ == "__main__":
    sys.exit(main())
