"""COMPARE_MODELS: nothing dropped, intervals cover, known differences give known verdicts, the page opens."""

import hashlib
import json
import math
import re
import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import polars as pl
import pytest

from ionmelt import errors as errors_module
from ionmelt.compare import accounts, reading
from ionmelt.compare import run as compare_run
from ionmelt.compare import summary as ils
from ionmelt.compare.groups import label
from ionmelt.dynamics import trajectory
from ionmelt.measure.observables import NAMED
from ionmelt.report import picture
from ionmelt.report.figures import Style
from ionmelt.report.sections import worth as report_worth
from ionmelt.tables.published import TABLES
from ionmelt.topology import Topology

T = 430.0
DENSITY = {"pyr14bf4": 1070.0, "pyr14tfsi": 1300.0}  # the references
OFFSET = {
    ("mace", "both"): 2.0,
    ("mace", "eq"): -45.0,
    ("dpmd", "both"): 150.0,
    ("dpmd", "eq"): 120.0,
    ("clp", None): -20.0,
}
FORCE = {("mace", "both"): 0.045, ("mace", "eq"): 0.050, ("dpmd", "both"): 0.120, ("dpmd", "eq"): 0.125}
IONS = {"pyr14bf4": ("pyr14", "bf4"), "pyr14tfsi": ("pyr14", "tfsi")}
BROKEN = "pyr14bf4-430K-r1-dpmd-eq-s1"
MISSING = "pyr14bf4-430K-r2-dpmd-eq-s2"
UNCONVERGED = "pyr14bf4-430K-r1-mace-eq-s3"
UNEQUILIBRATED = ("pyr14tfsi", 1)


def write_study(root: Path, seed: int = 7) -> list[str]:
    """Write everything COMPARE_MODELS reads, with known numbers; return its command line without --outdir."""
    rng = np.random.default_rng(seed)
    trained = [
        (m, f, d, s) for m, f in (("mace", "mace"), ("dpmd", "deepmd")) for d in ("eq", "both") for s in (1, 2, 3)
    ]
    models = [(f"{m}-{d}-s{s}", m, f, d, s) for m, f, d, s in trained] + [("clp", "clp", "classical", None, None)]
    write_plan(root / "plan", models)
    write_data(root, rng)
    for key, model, framework, dataset, s in models[:-1]:
        write_model(root, rng, key, model, framework, dataset, s)
    for key in ("mace-start", "labels"):
        write_other_chemistry(root / "evaluations" / key, key, 1.0)
    runs = [(liquid, r, *m) for liquid in DENSITY for r in (1, 2) for m in models]
    for liquid, r, key, model, framework, dataset, s in runs:
        run_id = f"{liquid}-430K-r{r}-{key}"
        if run_id != MISSING:
            write_run(root, rng, run_id, liquid, r, key, model, framework, dataset, s)
    processes = {
        "LABEL_FRAMES": 900.0,
        "TRAIN_MODEL": 4200.0,
        "RUN_MD": 2600.0,
        "EVALUATE_MODEL": 60.0,
    }
    (root / "tasks").mkdir()
    ids = [("TRAIN_MODEL", m[0]) for m in models[:-1]]
    ids += [("RUN_MD", f"{x[0]}-430K-r{x[1]}-{x[2]}") for x in runs] + [("LABEL_FRAMES", f"c{i}") for i in range(9)]
    ids += [("EVALUATE_MODEL", m[0]) for m in models[:-1]]
    for i, (process, task) in enumerate(ids):
        cost = {
            "process": process,
            "id": task,
            "wall_s": processes[process] / 2,
            "cpu_s": processes[process],
            "max_rss_mb": 800.0,
        }
        cost["versions"] = {"python": "3.11.7", "ase": "3.29.0"} | (
            {"mace-torch": "0.3.16"} if process == "TRAIN_MODEL" and task.startswith("mace") else {}
        )
        (root / "tasks" / f"task{i}.json").write_text(json.dumps(cost))
    (root / "failures").mkdir()
    (root / "failures" / f"RUN_MD.{MISSING}.failed.txt").write_text(
        "the tool ended; its last lines:\nmore\nno such head\n"
    )
    (root / "failures" / "EVALUATE_MODEL.mace-start.failed.txt").write_text("crashed: SIGSEGV\n")
    names = ("states", "labels", "sampling", "models", "evaluations", "runs", "measures", "tasks", "plan", "failures")
    return [x for n in names for x in (f"--{n}", str(root / n))] + [
        "--dataset",
        str(root / "dataset.parquet"),
    ]


def write_plan(plan: Path, models: list[tuple]) -> None:
    plan.mkdir(parents=True)
    study = {
        "name": "pyr14bf4", "description": "EQ against non-equilibrated training data for two ionic liquids.",
        "liquids": [{"id": x, "ions": dict.fromkeys(IONS[x], 10), "temperatures_K": [T]} for x in DENSITY],
        "datasets": {"eq": ["eq"], "both": ["eq", "neq"]}, "seeds": [1, 2, 3],
        "models": [
            {"id": m, "framework": f} for m, f in (("mace", "mace"), ("dpmd", "deepmd"), ("clp", "classical"))
        ],
        "md": {"timestep_fs": 0.5, "npt_ps": 200.0, "nvt_ps": 300.0, "replicas": 2},
    }  # fmt: skip
    (plan / "study.json").write_text(json.dumps(study))
    (plan / "labels.json").write_text(
        json.dumps({"engine": "cp2k", "functional": "PBE", "dispersion": "D3(BJ)", "basis": "DZVP"})
    )
    (plan / "warnings.txt").write_text("liquids[0].temperatures_K: 430 K is close to the melting point\n")
    lines = ["key,model,framework,dataset,mixture,size,seed,trained,role,start,theory,labels_theory,same_theory"]
    lines += [
        f"{k},{m},{f},{d or ''},{d or ''},,{s or ''},{'true' if d else 'false'},model,{'mace-start' if m == 'mace' else ''},"
        f"{'PBE,PBE-D3(BJ),false' if m == 'clp' else ',PBE-D3(BJ),'}"
        for k, m, f, d, s in models
    ]
    lines += ["mace-start,mace-start,mace,,,,,false,start,,,,", "labels,labels,xtb,,,,,false,labels,,,,"]
    (plan / "models.csv").write_text("\n".join(lines) + "\n")
    states = [f"{x}-430K-r{r},{x}-r{r},{x},430,{r}" for x in DENSITY for r in (1, 2)]
    (plan / "states.csv").write_text("key,box,liquid,temperature_K,replica\n" + "\n".join(states) + "\n")
    runs = [f"{x}-430K-r{r}-{m[0]},{x},{x}-430K-r{r},{m[0]},{m[2]}" for x in DENSITY for r in (1, 2) for m in models]
    (plan / "runs.csv").write_text("key,liquid,state,model_key,framework\n" + "\n".join(runs) + "\n")
    references = [
        "pyr14bf4,density,,430,1070,kg/m3,,,,,1,false,a note about the paper,true",
        "pyr14bf4,density,,,1111,kg/m3,,,,,1,false,undated,true",
        "pyr14tfsi,density,,420,1308.8,kg/m3,1.53,1305.8,1311.8,95 % interval,9,false,ILThermo,false",
        "pyr14tfsi,density,,430,1300,kg/m3,1.53,1297,1303,95 % interval,9,true,ILThermo,false",
        "pyr14tfsi,viscosity,,298,0.06,Pa.s,0.00255,0.055,0.065,95 % interval,9,false,ILThermo,false",
    ]
    header = "liquid,property,species,temperature_K,value,unit,standard_uncertainty,low,high,range,n,interpolated,source,second_hand"
    (plan / "references.csv").write_text("\n".join([header, *references]) + "\n")


def write_data(root: Path, rng: np.random.Generator) -> None:
    for name in ("states", "labels", "sampling"):
        (root / name).mkdir()
    for liquid in DENSITY:
        for replica in (1, 2):
            key, poor = f"{liquid}-430K-r{replica}", (liquid, replica) == UNEQUILIBRATED
            state = {"key": key, "liquid": liquid, "temperature_K": T, "replica": replica, "density_kg_m3": 1000.0}
            state |= {"converged": not poor, "reason": "4.2 effective samples, 10 wanted" if poor else None}
            pl.DataFrame([state], schema_overrides={"reason": pl.String}).write_parquet(
                root / "states" / f"{key}.equilibration.parquet"
            )
    labels, rows = [], []
    for liquid in DENSITY:
        for i in range(120):
            recipe = ("eq", "volume_scan", "oscillation", "packing", "test_scan")[i % 5]
            frame = {
                "frame_id": hashlib.sha256(f"{liquid}{i}".encode()).hexdigest()[:16],
                "liquid": liquid,
                "kind": "eq" if recipe == "eq" else "neq",
                "recipe": recipe,
                "equilibrated": (liquid, 1) != UNEQUILIBRATED if recipe == "eq" else None,
                "group": f"{liquid}-{recipe}-{i // 20}",
                "n_atoms": 290,
            }
            failed = {7: "scf_not_converged", 33: "timeout"}.get(i) if liquid == "pyr14bf4" else None
            labels.append(
                frame
                | {
                    "engine": "cp2k",
                    "theory_id": "abc123def456",
                    "converged": failed is None,
                    "reason": failed,
                    "energy_ev": -4000.0 + rng.normal() if failed is None else None,
                    "max_force_ev_a": 4.0,
                    "net_force_ev_a": 0.01,
                    "pressure_bar": 300.0,
                    "scf_steps": 14,
                    "wall_s": 80.0,
                }
            )
            if failed:
                continue
            split = "test" if recipe == "test_scan" else ("train", "train", "train", "train", "valid", "test")[i // 20]
            data = [None] if split == "test" else [d for d in ("eq", "both") if d == "both" or recipe == "eq"]
            rows += [frame | {"dataset": d, "split": split} for d in data]
    for k in range(0, len(labels), 20):
        pl.DataFrame(labels[k : k + 20], infer_schema_length=None).write_parquet(
            root / "labels" / f"chunk-{k:03d}.labels.parquet"
        )
    pl.DataFrame(rows, infer_schema_length=None).write_parquet(root / "dataset.parquet")
    sampling = [
        {
            "liquid": x,
            "recipe": r,
            "kind": "eq" if r == "eq" else "neq",
            "requested": 24 + n,
            "kept": 24,
            "spacing_frames": 2.0 if r == "eq" else None,
            "inefficiency_frames": (5.0 if x == UNEQUILIBRATED[0] else 1.5) if r == "eq" else None,
            "refused_duplicate": 0,
            "refused_contact": n,
        }
        for x in DENSITY
        for r, n in (("eq", 0), ("volume_scan", 0), ("oscillation", 0), ("packing", 3), ("test_scan", 0))
    ]
    pl.DataFrame(sampling).write_parquet(root / "sampling" / "sampling.parquet")


def write_model(
    root: Path, rng: np.random.Generator, key: str, model: str, framework: str, dataset: str, seed: int
) -> None:
    folder, evaluation = root / "models" / key, root / "evaluations" / key
    folder.mkdir(parents=True)
    evaluation.mkdir(parents=True)
    card = {
        "id": key,
        "framework": framework,
        "model": model,
        "dataset": dataset,
        "seed": seed,
        "theory_id": "abc123def456",
        "dataset_hash": "d" * 64,
        "split_hash": "e" * 64,
        "licence": "own",
        "files": {"model.pt": "f" * 64},
        "cost": {"wall_s": 2000.0},
    }
    (folder / "model.json").write_text(json.dumps(card))
    rmse = FORCE[model, dataset] * (1 + 0.02 * rng.normal())
    steps = np.arange(1, 41)
    curve = [
        {
            "model_key": key,
            "step": int(s * 100),
            "set": w,
            "quantity": "force_rmse",
            "unit": "eV/A",
            "value": rmse * (1 + 8 * math.exp(-s / 7)) * (0.85 if w == "train" else 1) * (1 + 0.02 * rng.normal()),
        }
        for s in steps
        for w in ("train", "valid")
    ]
    pl.DataFrame(curve).write_parquet(folder / "curve.parquet")
    views = [
        ("force", "all", "all", 1.0),
        ("force_translation", "all", "all", 0.2),
        ("force_rotation", "all", "all", 0.3),
        ("force_vibration", "all", "all", 0.93),
    ]
    views += [("force", "element", e, f) for e, f in (("B", 1.5), ("C", 1.2), ("F", 1.0), ("H", 0.6), ("N", 1.6))]
    views += [("force", "ion", e, f) for e, f in (("bf4", 1.1), ("pyr14", 0.9), ("tfsi", 1.2))]
    views += [
        ("force", "recipe", e, f)
        for e, f in (("eq", 0.8), ("oscillation", 1.0), ("packing", 1.5), ("volume_scan", 0.9))
    ]
    errors: list[tuple] = [(q, s, n, rmse * f, "eV/A") for q, s, n, f in views] + [
        ("energy_per_atom", "all", "all", rmse / 40, "eV/atom")
    ]
    base = {"model_key": key, "model": model, "dataset": dataset, "seed": seed, "split": "test", "n": 9000}
    pl.DataFrame(
        [
            base
            | {
                "quantity": q,
                "scope": s,
                "name": n,
                "rmse": v,
                "rmse_ci95_low": v * 0.97,
                "rmse_ci95_high": v * 1.03,
                "mae": v * 0.75,
                "unit": u,
            }
            for q, s, n, v, u in errors
        ]
        + [
            base
            | {
                "quantity": "failed",
                "scope": "recipe",
                "name": "packing",
                "n": 2,
                "unit": "frames",
                "reason": "energy is nan",
            }
        ]
        * (key == "dpmd-eq-s1")
    ).write_parquet(evaluation / "errors.parquet")
    frames = [
        {"model_key": key, "frame_id": f"t{i}", "group": f"g{i % 8}", "n": 870, "reason": None,
         "force_square": 870 * rmse**2 * (0.9 + 0.2 * (7 * i % 24) / 24)}
        for i in range(24)
    ]  # fmt: skip
    if key == "dpmd-eq-s1":
        for frame in frames[:2]:
            frame |= {"force_square": None, "reason": "energy is nan"}
    pl.DataFrame(frames, schema_overrides={"reason": pl.String}).write_parquet(evaluation / "frame_errors.parquet")
    wrong = {"both": 0.02, "eq": 0.2}[dataset] * (1 if model == "mace" else 3)
    scan = []
    for liquid in DENSITY:
        for scale in (0.94, 0.97, 1.0, 1.03, 1.06, 1.1):
            x = scale - 1
            energy = 3.0 * x**2 - 6.0 * x**3
            scan.append(
                {
                    "model_key": key,
                    "liquid": liquid,
                    "group": f"{liquid}-scan-0",
                    "scale": scale,
                    "density_kg_m3": 1070 / scale**3,
                    "energy_ref_ev_per_atom": energy,
                    "energy_model_ev_per_atom": energy + wrong * 0.05 * x * (1 + 0.1 * rng.normal()),
                    "pressure_ref_bar": -9e4 * x,
                    "pressure_model_bar": -9e4 * x * (1 + wrong) + 2000 * wrong,
                }
            )
    pl.DataFrame(scan).write_parquet(evaluation / "scan.parquet")
    # All seeds of a model err alike by most, and each by a little of its own.
    shared = np.random.default_rng(len(model) + len(dataset))
    reference = np.random.default_rng(5).normal(0, 1.2, 500)
    pl.DataFrame(
        {
            "model_key": key,
            "quantity": "force",
            "recipe": "eq",
            "group": [f"g{i // 50}" for i in range(500)],
            "point": [f"p{i}" for i in range(500)],
            "reference": reference,
            "predicted": reference + 0.9 * shared.normal(0, rmse, 500) + 0.4 * rng.normal(0, rmse, 500),
            "unit": "eV/A",
        }
    ).write_parquet(evaluation / "parity.parquet")
    write_other_chemistry(evaluation, key, 3.0)


def write_other_chemistry(evaluation: Path, key: str, factor: float) -> None:
    """Write the held-out frames of a model, whose errors are `factor` times as large as at the start, and a pair of atoms."""
    evaluation.mkdir(parents=True, exist_ok=True)
    held = [
        {"model_key": key, "frame_id": f"h{i}", "group": f"g{i % 6}", "force_square": (1 + 0.1 * i) * 1e-2 * factor**2, "n": 30,
         "reason": None}
        for i in range(12)
    ]  # fmt: skip
    pl.DataFrame(held, schema_overrides={"reason": pl.String}).write_parquet(evaluation / "heldout.parquet")
    distances = [1.5, 2.0, 3.0]
    pairs = [
        {"model_key": key, "pair": "F-Li", "distance_A": r, "energy_ev": factor / r, "reason": None} for r in distances
    ]
    pl.DataFrame(pairs, schema_overrides={"reason": pl.String}).write_parquet(evaluation / "dimers.parquet")


def write_trajectory(folder: Path, rng: np.random.Generator) -> None:
    """Write three ion pairs of lithium and BF4 that cross the walls of their box."""
    side, legs = 9.0, np.array([[0, 0, 0], [0.8, 0.8, 0.8], [0.8, -0.8, -0.8], [-0.8, 0.8, -0.8], [-0.8, -0.8, 0.8]])
    bf4 = {"name": "bf4", "count": 3, "charge": -1, "elements": ["B", "F", "F", "F", "F"], "masses_u": [10.8] + 4 * [19.0],
           "bonds": [[0, 1], [0, 2], [0, 3], [0, 4]]}  # fmt: skip
    li = {"name": "li", "count": 3, "charge": 1, "elements": ["Li"], "masses_u": [6.9], "bonds": []}
    Topology("libf4", [li, bf4]).save(folder / "topology.json")
    start, speed = rng.uniform(0, side, (6, 3)), rng.normal(0, 0.7, (6, 3))
    writer = trajectory.Writer(folder / "nvt.xtc")
    for i in range(20):
        centres = start + speed * i
        atoms = np.concatenate([centres[:3], *(c + legs for c in centres[3:])]) % side
        writer.write(atoms[None], np.full((1, 3), side), np.array([i]), np.array([i * 0.5]))
    writer.close()


def write_run(
    root: Path,
    rng: np.random.Generator,
    run_id: str,
    liquid: str,
    replica: int,
    key: str,
    model: str,
    framework: str,
    dataset: str | None,
    seed: int | None,
) -> None:
    folder, measures = root / "runs" / run_id, root / "measures"
    folder.mkdir(parents=True)
    measures.mkdir(exist_ok=True)
    broken = run_id == BROKEN
    end = {
        "planned_ps": 500.0,
        "survived_ps": 41.5 if broken else 500.0,
        "end": "bond_broken" if broken else "completed",
        "detail": "bond 12-13 (C-H) stretched to 2.1 A" if broken else None,
    }
    run = {
        "id": run_id,
        "liquid": liquid,
        "temperature_K": T,
        "pressure_bar": 1.0,
        "replica": replica,
        "seed": 1,
        "model": model,
        "model_key": key,
        "dataset": dataset,
        "model_seed": seed,
        "framework": framework,
        "n_atoms": 290,
        "dtype": "float32",
        "device": "cpu",
        "save_every_fs": 500.0,
        "save_every_asked_fs": 250.0 if run_id == UNCONVERGED else 500.0,
        "atom_steps_per_s": {"mace": 1000.0, "deepmd": 6600.0, "classical": 4e5}[framework],
    }
    (folder / "run.json").write_text(json.dumps(run | end))
    if replica == 1:
        write_trajectory(folder, rng)
    base = {
        "run_id": run_id,
        "liquid": liquid,
        "model": model,
        "dataset": dataset,
        "seed": seed,
        "temperature_K": T,
        "replica": replica,
        "framework": framework,
        "model_key": key,
    }
    pl.DataFrame([base | end]).write_parquet(measures / f"{run_id}.survival.parquet")
    if broken:
        return
    converged = run_id != UNCONVERGED
    value = DENSITY[liquid] + OFFSET[model, dataset] + rng.normal(0, 2.0)
    pl.DataFrame(
        [
            base
            | {
                "density_kg_m3": value,
                "standard_error_kg_m3": 1.5,
                "reference_kg_m3": None,
                "n_effective": 40.0,
                "converged": converged,
                "reason": None if converged else "drift: halves differ by 9 kg/m3",
                "equilibrated_ps": 20.0,
            }
        ]
    ).write_parquet(measures / f"{run_id}.density.parquet")
    rows = []
    for i, ion in enumerate(IONS[liquid]):
        d = (3e-11, 4e-11)[i] * {"mace": 1.0, "dpmd": 0.4, "clp": 0.3}[model] * math.exp(0.06 * rng.normal())
        rows.append(
            base
            | {
                "species": ion,
                "diffusion_m2_s": d,
                "ci95_low_m2_s": d * 0.9,
                "ci95_high_m2_s": d * 1.1,
                "finite_size_correction_m2_s": None,
                "log_slope": 0.97,
                "fit_start_ps": 30.0,
                "fit_stop_ps": 150.0,
                "converged": converged,
                "reason": None if converged else "log-log slope 0.71 is not 1",
            }
        )
    pl.DataFrame(rows).write_parquet(measures / f"{run_id}.diffusion.parquet")
    kappa = {"mace": 2.0, "dpmd": 0.8, "clp": 0.6}[model] * math.exp(0.05 * rng.normal())
    conductivity = {
        "conductivity_s_m": kappa, "ci95_low_s_m": 0.9 * kappa, "ci95_high_s_m": 1.1 * kappa, "ionicity": 0.6,
        "ionicity_ci95_low": 0.5, "ionicity_ci95_high": 0.7, "nernst_einstein_s_m": kappa / 0.6, "converged": True,
    }  # fmt: skip
    viscosity = {
        "viscosity_pa_s": 0.01 / kappa, "ci95_low_pa_s": 0.008 / kappa, "ci95_high_pa_s": 0.012 / kappa,
        "converged": False, "reason": "the running integral has no plateau; needs about 9000 ps", "needed_ps": 9000.0,
    }  # fmt: skip
    if liquid == "pyr14tfsi":
        pl.DataFrame([base | conductivity]).write_parquet(measures / f"{run_id}.conductivity.parquet")
        pl.DataFrame([base | viscosity]).write_parquet(measures / f"{run_id}.viscosity.parquet")
    r = np.linspace(0.05, 12, 120)
    peak = 6.0 if model == "mace" else 5.6
    cation, anion = IONS[liquid]
    rows = []
    for pair, shift in ((f"{cation}-{anion}", 0.0), (f"{cation}-{cation}", 2.4), (f"{anion}-{anion}", 2.0)):
        g = (1 + 1.6 * np.exp(-((r - peak - shift) ** 2)) * np.cos(1.6 * (r - peak - shift))) / (
            1 + np.exp(-4 * (r - peak - shift + 1.6))
        )
        rows += [
            base | {"quantity": "rdf", "pair": pair, "r_A": float(x), "value": float(y), "standard_error": 0.02}
            for x, y in zip(r, g, strict=True)
        ]
    for quantity, pair, axis, x in (
        ("structure_factor_xray", "all", "q_per_A", np.linspace(0.2, 8, 60)),
        ("torsion", f"{cation} C-C-C-C", "angle_deg", np.linspace(2.5, 177.5, 36)),
    ):
        rows += [base | {"quantity": quantity, "pair": pair, axis: float(v), "value": 1 + math.sin(v)} for v in x]
    rows.append(
        base
        | {
            "quantity": "coordination",
            "pair": f"{cation}-{anion}",
            "r_A": 8.2,
            "value": 5.1,
            "standard_error": 0.1,
        }
    )
    pl.DataFrame(rows, infer_schema_length=None).write_parquet(measures / f"{run_id}.structure.parquet")
    number = base | {
        "value": 0.6, "unit": "1", "standard_error": 0.05, "ci95_low": 0.5, "ci95_high": 0.7, "n_effective": 60.0,
        "converged": converged, "reason": None if converged else "drifts by 4 standard errors",
        "frames": 500, "interval_ps": 0.4,
    }  # fmt: skip
    named = {
        "coordination": {"quantity": "coordination_number", "pair": f"{cation}-{anion}", "state": None, "cut_A": 7.4},
        "conformers": {"species": cation, "feature": "C-C-C-C", "quantity": "population", "state": "gauche"},
        "kinetics": {
            "quantity": "transition_rate", "pair": f"{cation}-{anion}", "state_from": "2 anions",
            "state_to": "3 anions", "tolerance_ps": 1.0, "events": 40,
        },
        "onsager": {"pair": f"{cation}-{anion}", "onsager_s_m": -0.2, "standard_error_s_m": 0.1},
    }  # fmt: skip
    low = 900.0 if dataset == "both" else value + 1
    span = {"quantity": "density", "frames": 200, "share_outside": float(dataset == "eq"), "seen_low": value - 20,
            "seen_high": value + 20, "limit_low": low, "limit_high": 1600.0, "unit": "kg/m3",
            "verdict": "outside" if dataset == "eq" else "inside", "reason": None}  # fmt: skip
    if dataset is None:
        span = {"quantity": "all", "verdict": "not judged", "reason": "the model was not trained on frames"}
    pl.DataFrame([base | span], schema_overrides={"reason": pl.String}).write_parquet(
        measures / f"{run_id}.domain.parquet"
    )
    for name, keys in named.items():
        pl.DataFrame([number | keys]).write_parquet(measures / f"{run_id}.{name}.parquet")


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder with tables/ and report.html of the synthetic study."""
    root = tmp_path_factory.mktemp("study")
    arguments = write_study(root / "in")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        assert compare_run.main([*arguments, "--outdir", str(root / "out")]) == 0
    return root / "out"


def read(result: Path, name: str) -> pl.DataFrame:
    return pl.read_parquet(result / "tables" / f"{name}.parquet")


# --- Gathering ---


def test_nothing_is_dropped(result: Path) -> None:
    planned = {
        f"{x}-430K-r{r}-{m}-{d}-s{s}"
        for x in DENSITY
        for r in (1, 2)
        for m in ("mace", "dpmd")
        for d in ("eq", "both")
        for s in (1, 2, 3)
    }
    planned |= {f"{x}-430K-r{r}-clp" for x in DENSITY for r in (1, 2)}
    survival = read(result, "survival")
    assert set(survival["run_id"]) == planned and survival.height == len(planned)
    ends = dict(survival.select("run_id", "end").iter_rows())
    assert ends[MISSING] == "missing" and ends[BROKEN] == "bond_broken"
    why = "the tool ended; its last lines: no such head"
    assert survival.filter(run_id=MISSING)["detail"].item() == f"the model cannot be used: {why}"
    assert read(result, "failures").select("stage", "model_key", "model", "dataset", "run_id", "reason").rows() == [
        ("dynamics", MISSING.split("-", 3)[3], "dpmd", "eq", MISSING, why),
        ("evaluation", "mace-start", "mace-start", None, None, "crashed: SIGSEGV"),
    ]
    assert sum(e == "completed" for e in ends.values()) == len(planned) - 2
    density, diffusion = read(result, "density"), read(result, "diffusion")
    assert sorted(density["run_id"]) == sorted(planned)
    assert diffusion.height == 2 * len(planned) and diffusion["species"].null_count() == 0
    assert density.filter(~pl.col("converged"))["reason"].null_count() == 0
    assert (
        density.filter(pl.col("run_id") == BROKEN)["reason"].item()
        == "the run ended by bond_broken at 41.5 ps, without a density"
    )
    assert density.filter(pl.col("run_id") == MISSING)["density_kg_m3"].item() is None
    labels = read(result, "labels")
    assert labels.height == 240 and labels.filter(~pl.col("converged")).height == 2
    page = (result / "report.html").read_text()
    for word in (
        "scf_not_converged",
        "timeout",
        BROKEN,
        MISSING,
        UNCONVERGED,
        "refused: contact",
        "energy is nan",
        "undated",
        "close to the melting point",
        "no such head",
        "crashed: SIGSEGV",
    ):
        assert word in page


def test_a_liquid_that_is_not_equilibrated_is_named_and_so_is_what_comes_from_it(result: Path) -> None:
    liquid, replica = UNEQUILIBRATED
    states = read(result, "equilibration")
    assert states.height == 4
    assert states.filter(~pl.col("converged"))["key"].to_list() == [f"{liquid}-430K-r{replica}"]
    runs = read(result, "survival")
    poor = runs.filter(~pl.col("equilibrated"))
    assert runs["equilibrated"].null_count() == 0
    assert set(poor.select("liquid", "replica").iter_rows()) == {UNEQUILIBRATED}
    for name in ("labels", "dataset"):
        frames = read(result, name).filter(~pl.col("equilibrated"))
        assert frames.height > 0 and set(frames["liquid"]) == {liquid} and set(frames["kind"]) == {"eq"}
    page = (result / "report.html").read_text()
    labelled = read(result, "labels").filter(~pl.col("equilibrated")).height
    assert (
        f"1 of 4 liquids are not equilibrated: {liquid}-430K-r{replica} (4.2 effective samples, 10 wanted); {labelled} labelled "
        f"frames of kind eq and {poor.height} runs come from them"
    ) in page
    assert "not equilibrated: 4.2 effective samples, 10 wanted" in page
    assert page.count("frames were kept every 500 fs, not 250 as asked") == 1
    assert page.count("they resemble each other") == 1, "frames nearer than one independent one: of one liquid alone"


def of_models(*keys: str) -> pl.DataFrame:
    """Return a table with rows of models."""
    return pl.DataFrame({"key": keys, "role": ["model"] * len(keys)}, schema={"key": pl.String, "role": pl.String})


def test_a_study_of_which_every_model_failed_is_an_error() -> None:
    runs = [("a", "missing"), ("b", "missing")]
    failures = pl.DataFrame(
        [
            {"stage": "import", "model_key": "a", "run_id": None, "reason": "its sha256 is another"},
            {"stage": "dynamics", "model_key": "b", "run_id": "box-b", "reason": "crashed: SIGSEGV"},
        ]
    )
    t = {
        "survival": pl.DataFrame(runs, schema=["model_key", "end"], orient="row"),
        "errors": pl.DataFrame(schema={"model_key": pl.String}),
    }
    with pytest.raises(errors_module.UserError) as refused:
        accounts.refuse_without_models(of_models("a", "b"), failures, t)
    assert refused.value.errors == [
        "models: a: import: its sha256 is another",
        "models: b: dynamics: crashed: SIGSEGV",
    ]
    # a run that broke is a result, as errors are; and so is a third model, of which nothing failed
    broke = t | {"survival": pl.DataFrame([("b", "bond_broken")], schema=["model_key", "end"], orient="row")}
    accounts.refuse_without_models(of_models("a", "b"), failures, broke)
    judged = t | {"errors": pl.DataFrame({"model_key": ["b"]})}
    accounts.refuse_without_models(of_models("a", "b"), failures, judged)
    accounts.refuse_without_models(of_models("a", "b", "c"), failures, t)


def test_verdicts_of_the_known_study(result: Path) -> None:
    verdicts = read(result, "verdicts")

    def of(quantity: str, a: str, b: str, liquid: str) -> str:
        pair = verdicts.filter(property=quantity, liquid=liquid).filter(
            (pl.col("model_a") == a) & (pl.col("model_b") == b) | (pl.col("model_a") == b) & (pl.col("model_b") == a)
        )
        row = pair.to_dicts()[0]
        word = row["verdict"]
        return {"a": row["model_a"], "b": row["model_b"]}.get(word, word)

    assert of("density", "mace-both", "dpmd-both", "pyr14tfsi") == "mace-both"
    assert of("density", "mace-both", "mace-eq", "pyr14tfsi") == "mace-both"
    assert of("density", "mace-both", "reference", "pyr14tfsi") == "not distinguishable"
    assert of("density", "dpmd-both", "reference", "pyr14tfsi") == "differs"
    assert of("density", "mace-both", "mace-eq", "pyr14bf4") == "not converged"  # one drifting run of six
    assert of("density", "dpmd-both", "dpmd-eq", "pyr14bf4") == "not converged"  # one broken, one missing
    assert of("diffusion", "mace-both", "dpmd-both", "pyr14tfsi") == "differs"  # no reference
    assert of("diffusion", "mace-both", "mace-eq", "pyr14tfsi") == "not distinguishable"
    assert of("force_rmse", "mace-both", "dpmd-both", "all") == "mace-both"
    assert of("scan_energy_rmse", "dpmd-both", "dpmd-eq", "pyr14bf4") == "dpmd-both"
    assert set(verdicts["verdict"]) <= {"a", "b", "differs", "not distinguishable", "not converged"}
    second = verdicts.filter(pl.col("model_b") == "reference", pl.col("liquid") == "pyr14bf4")
    assert second["reason"].str.contains("second-hand").all()
    assert verdicts.filter(pl.col("model_a").str.contains("mace-eq") & (pl.col("model_b") == "dpmd-both")).height == 0


def test_answers_that_are_missing_are_counted_and_said(result: Path) -> None:
    """One seed of dpmd-eq failed on two test frames: it is beaten on the others, is converged nowhere, and the page says it."""
    summary = read(result, "summary").filter(property="force_rmse", model="dpmd")
    counts = {r["dataset"]: (r["points"], r["points_missing"], r["converged"]) for r in summary.to_dicts()}
    assert counts == {"eq": (22, 2, False), "both": (24, 0, True)}
    pair = read(result, "verdicts").filter(property="force_rmse", model_a="mace-eq", model_b="dpmd-eq").to_dicts()[0]
    assert (pair["verdict"], pair["points"], pair["points_missing_a"], pair["points_missing_b"]) == ("a", 22, 0, 2)
    assert "dpmd-eq: no answer on 2 that the other answered" in pair["reason"]
    page = (result / "report.html").read_text()
    assert "dpmd-eq gave no answer on 2 of 24 test frames" in page
    assert set(read(result, "pareto").filter(property="force_rmse", model="dpmd", dataset="eq")["front"]) == {"not converged"}  # fmt: skip


def test_verdicts_name_models_and_datasets_in_columns(result: Path) -> None:
    rows = read(result, "verdicts").filter(pl.col("model_b") != "reference").to_dicts()
    for r in rows:
        for side in "ab":
            assert r[f"model_{side}"] == label(r[f"model_id_{side}"], r[f"dataset_{side}"])
    assert {(r["model_id_a"], r["dataset_a"]) for r in rows} >= {("mace", "eq"), ("dpmd", "both")}
    summary = read(result, "summary").filter(model="mace")
    assert set(summary.select("dataset", "mixture").iter_rows()) == {("eq", "eq"), ("both", "both")}


def test_another_level_of_theory_is_told_from_its_columns(result: Path) -> None:
    page = (result / "report.html").read_text()
    assert "Clp imitates PBE, the labels are PBE-D3(BJ): its errors on them are" in page


def test_conductivity_is_judged_and_viscosity_says_what_it_needs(result: Path) -> None:
    verdicts = read(result, "verdicts")

    def words(quantity: str) -> set[str]:
        return set(verdicts.filter(property=quantity, liquid="pyr14tfsi", model_b="clp")["verdict"])

    assert words("conductivity") == {"differs", "not distinguishable"} or words("conductivity") == {"differs"}
    assert words("viscosity") == {"not converged"}
    summary = read(result, "summary").filter(property="viscosity", liquid="pyr14tfsi")
    assert set(summary["needed_ps"]) == {9000.0} and summary["unit"].unique().to_list() == ["Pa.s"]
    page = (result / "report.html").read_text()
    assert "the viscosity (needs runs of about 9000 ps)" in page and "mPa·s" in page


def test_the_spread_between_seeds_is_stretched_to_the_error(result: Path) -> None:
    table = pl.read_parquet(result / "tables" / "uncertainty.parquet")
    assert set(table.select("model", "dataset").unique().iter_rows()) == {
        (m, d) for m in ("mace", "dpmd") for d in ("eq", "both")
    }
    assert table["members"].unique().to_list() == [3]
    most = table.filter(pl.col("level") == 0.68)
    assert (most["raw_coverage"] < 0.5).all()
    assert (most["scale"] > 1.5).all()
    assert most["coverage"].is_between(0.6, 0.76).all()
    assert "What the spread between seeds is worth" in (result / "report.html").read_text()


def test_sizes_are_drawn_over_frames(result: Path) -> None:
    t = {path.stem: pl.read_parquet(path) for path in (result / "tables").glob("*.parquet")}
    style = Style(t, {"models": [{"id": "mace"}], "datasets": {"both": [], "eq": []}})
    assert report_worth.figure_sizes(t, style) is None
    mixture = pl.col("mixture").replace({"eq": "both"})
    t["learning"] = t["learning"].with_columns(mixture, dataset=pl.col("dataset").replace({"eq": "both.8"}))
    figure = report_worth.figure_sizes(t, style)
    assert figure is not None
    lines = [line for line in figure.data if line.name == "mace-both"]
    count = t["dataset"].filter(pl.col("split") == "train").group_by("dataset").len().sort("len")["len"].to_list()
    hours = t["learning"]["labels_core_h"].unique().sort().to_list()
    # density, forces and scan of two liquids, survival too; each over frames and over core-hours
    assert lines and len(lines) % 2 == 0
    assert {tuple(line.x) for line in lines} == {tuple(count), tuple(hours)}


def test_what_data_were_worth_is_in_the_report(result: Path) -> None:
    rows = read(result, "worth").filter(pl.col("question") == "kinds")
    scan = rows.filter(pl.col("property") == "scan_energy_rmse", pl.col("model_a") == "mace-both").to_dicts()
    assert {row["liquid"] for row in scan} == set(DENSITY)
    assert {row["verdict"] for row in scan} == {"better"} and all(row["ci95_high"] < 0 for row in scan)
    # runs broke or are missing: no claim on the density of that liquid, with the reason
    poor = rows.filter(pl.col("property") == "density_error", pl.col("liquid") == "pyr14bf4").to_dicts()
    assert poor and all(row["verdict"] == "not converged" and row["reason"] for row in poor)
    good = rows.filter(pl.col("property") == "density_error", pl.col("liquid") == "pyr14tfsi").to_dicts()
    assert {(r["model_a"], r["verdict"]) for r in good} >= {("mace-both", "better")}
    report = (result / "report.html").read_text()
    assert "Was it worth its cost?" in report and "neq beside eq, on top of all others" in report


def test_runs_beyond_the_training_data_are_named(result: Path) -> None:
    report = (result / "report.html").read_text()
    assert "runs of trained models left what their model was trained on" in report
    assert "What they measured there is extrapolation" in report
    assert read(result, "domain").filter(pl.col("verdict") == "not judged")["model"].unique().to_list() == ["clp"]


def test_numbers_of_runs_become_one_with_the_spread_between_them() -> None:
    base = {"liquid": "x", "temperature_K": T, "pair": "a-b", "unit": "1", "model": "m", "dataset": "d"}
    runs = [
        base | {"seed": 1, "replica": r, "value": v, "standard_error": 0.1, "ci95_low": v - 0.1, "ci95_high": v + 0.3,
                "converged": c, "reason": None if c else "drifts"}
        for r, v, c in ((1, 5.0, True), (2, 6.0, True), (3, 7.0, False))
    ]  # fmt: skip
    (three,) = ils.summarise_numbers(pl.DataFrame(runs), ["pair"])
    assert three["value"] == 6.0 and three["runs"] == 3 and not three["converged"] and three["reason"] == "drifts"
    assert three["ci95_high"] - 6.0 == pytest.approx(4.302653 / math.sqrt(3), rel=1e-5)  # the spread, not the 0.1
    (one,) = ils.summarise_numbers(pl.DataFrame(runs[:1]), ["pair"])
    assert (one["ci95_low"], one["ci95_high"], one["converged"]) == (4.9, 5.3, True)  # its own interval
    nothing = pl.DataFrame([runs[0] | {"value": None, "converged": False}], schema_overrides={"value": pl.Float64})
    assert ils.summarise_numbers(nothing, ["pair"])[0]["value"] is None


def test_tables_have_the_columns_of_the_contract(result: Path) -> None:
    wanted = {
        "density": "liquid model dataset seed temperature_K replica density_kg_m3 standard_error_kg_m3 "
        "reference_kg_m3 n_effective converged",
        "diffusion": "liquid model dataset seed temperature_K replica species diffusion_m2_s ci95_low_m2_s "
        "ci95_high_m2_s finite_size_correction_m2_s log_slope converged",
        "survival": "run_id planned_ps survived_ps end equilibrated",
        "equilibration": "key liquid temperature_K replica density_kg_m3 standard_error_kg_m3 n_effective converged reason",
        "failures": "stage model_key model dataset seed run_id reason",
        "cost": "process id wall_s cpu_s max_rss_mb",
        "verdicts": "liquid temperature_K property species model_a model_b difference ci95_low ci95_high "
        "unit verdict reason p_holm pairs",
        "labels": "frame_id converged reason theory_id",
        "dataset": "frame_id dataset split group",
        "errors": "model_key quantity rmse",
        "structure": "run_id quantity pair r_A q_per_A angle_deg lag_ps value standard_error unit reason",
        "coordination": "run_id quantity pair state cut_A value unit ci95_low ci95_high converged reason",
        "conformers": "run_id species feature quantity state value unit ci95_low ci95_high converged reason",
        "kinetics": "run_id quantity pair state_from state_to events value unit ci95_low ci95_high converged reason",
        "scan": "model_key scale energy_ref_ev_per_atom",
        "curves": "model_key step value",
        "trainings": "model_key term gradient_share_start gradient_share_end valid_best valid_end grew_again still_falling",
        "dimers": "model_key model pair distance_A energy_ev reason",
        "committee": "liquid property model dataset seeds mean between_seeds within_seed verdict reason",
        "forgetting": "model_key start frames groups force_rmse_before force_rmse_after ci95_low ci95_high verdict",
        "rounds": "round liquid model dataset train_frames active_frames survived_share density_kg_m3 verdict reason",
        "exploration": "round liquid model dataset walk time_ps disagreement_ev_a worth_above_ev_a offered end",
        "conductivity": "liquid model dataset seed temperature_K replica conductivity_s_m ionicity converged reason",
        "onsager": "liquid model dataset seed temperature_K replica pair onsager_s_m converged reason",
        "viscosity": "liquid model dataset seed temperature_K replica viscosity_pa_s converged reason",
        "sampling": "liquid recipe requested kept",
        "versions": "process library version",
        "summary": "liquid property value converged finite_size_correction",
        "references": "liquid property temperature_K value standard_uncertainty low high range interpolated source second_hand",
        "uncertainty": "model dataset quantity members level scale raw_coverage coverage coverage_ci95_low reason",
        "learning": "liquid property model dataset mixture frames labels_core_h error ci95_low ci95_high against converged",
        "worth": "question liquid property model_a model_b frames_a frames_b difference ci95_low ci95_high verdict reason",
        "domain": "run_id quantity share_outside seen_low seen_high limit_low limit_high unit verdict reason",
        "pareto": "liquid property model dataset error ci95_low ci95_high unit total_core_h total_gpu_h front reason",
    }
    assert {p.stem for p in (result / "tables").glob("*.parquet")} == set(wanted) | set(NAMED)
    for name, columns in wanted.items():
        frame = read(result, name)
        assert set(columns.split()) <= set(frame.columns), name
        assert (frame.height > 0) == (name not in ("rounds", "exploration")), (
            f"{name}; no round of active learning is here"
        )
        text = pl.read_csv(result / "tables" / f"{name}.csv", infer_schema=False)
        assert text.columns == frame.columns and text.height == frame.height
    reference = read(result, "density").filter(pl.col("liquid") == "pyr14tfsi")["reference_kg_m3"]
    assert reference.to_list() == pytest.approx([1300.0] * reference.len())


def test_same_input_same_bytes_even_when_staged_by_links(
    result: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = write_study(tmp_path / "in")
    for name in ("models", "evaluations", "runs"):
        staged = tmp_path / f"staged-{name}"
        staged.mkdir()
        for folder in (tmp_path / "in" / name).iterdir():
            (staged / folder.name).symlink_to(folder)
        arguments[arguments.index(f"--{name}") + 1] = str(staged)
    monkeypatch.chdir(tmp_path)
    assert compare_run.main([*arguments, "--outdir", str(tmp_path / "out")]) == 0
    names = sorted(p.relative_to(result) for p in result.rglob("*") if p.is_file())
    assert names == sorted(p.relative_to(tmp_path / "out") for p in (tmp_path / "out").rglob("*") if p.is_file())
    for name in names:
        assert (result / name).read_bytes() == (tmp_path / "out" / name).read_bytes(), name


def test_a_plan_alone_still_gives_every_run_and_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All tasks failed: each planned run is there as missing, and the page says that there is no verdict."""
    write_study(tmp_path / "in")
    monkeypatch.chdir(tmp_path)
    assert compare_run.main(["--plan", str(tmp_path / "in" / "plan"), "--runs", "nowhere"]) == 0
    survival = pl.read_parquet(tmp_path / "tables" / "survival.parquet")
    assert survival.height == 52 and set(survival["end"]) == {"missing"}
    assert "0 of 52 planned runs" in (tmp_path / "report.html").read_text()
    assert set(pl.read_parquet(tmp_path / "tables" / "verdicts.parquet")["verdict"]) == {"not converged"}


def test_an_exploration_that_is_lost_is_named(tmp_path: Path) -> None:
    keys = ["a-430K-r1-mace-al", "b-430K-r1-mace-al"]
    (tmp_path / "explore.csv").write_text("key,liquid\n" + "".join(f"{key},x\n" for key in keys))
    t = {name: reading.table([], TABLES[name]) for name in TABLES}
    t["sampling"] = reading.table([pl.DataFrame({"liquid": "a", "kept": 1})], TABLES["sampling"])
    t["labels"] = reading.table([pl.DataFrame({"frame_id": "f"})], TABLES["labels"])
    explored = pl.DataFrame({"key": keys})
    t["exploration"] = reading.table([explored], TABLES["exploration"])
    accounts.account(t, tmp_path)
    t["exploration"] = t["exploration"].head(1)
    with pytest.raises(
        errors_module.UserError, match=f"explored: {keys[1]}: has no table: a file of --explored is lost"
    ):
        accounts.account(t, tmp_path)


def test_no_plan_is_one_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert compare_run.main(["--plan", "nothing"]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "error: --plan nothing: study.json is not there; give the folder that PLAN_STUDY wrote"
    ]


# --- The picture ---


def test_the_picture_has_whole_ions_in_the_box(result: Path, tmp_path: Path) -> None:
    root = tmp_path / "run"
    root.mkdir()
    write_trajectory(root, np.random.default_rng(1))
    run = {
        "id": "x",
        "liquid": "libf4",
        "model": "clp",
        "dataset": None,
        "temperature_K": 430.0,
        "save_every_fs": 500.0,
    }
    (root / "run.json").write_text(json.dumps(run))
    view = picture.read(root)
    places = view.atoms_A
    assert places.shape == (20, 18, 3) and view.time_ps[:3] == [0.0, 0.5, 1.0] and len(view.bonds) == 12
    for i, j in view.bonds:
        lengths = np.linalg.norm(places[:, i] - places[:, j], axis=1)
        assert np.allclose(lengths, 0.8 * math.sqrt(3), atol=0.05)
    centres = [places[:, [i]].mean(axis=1) for i in range(3)] + [places[:, 3 + 5 * i] for i in range(3)]
    assert all(((c > -0.1) & (c < 9.1)).all() for c in centres)
    still = ElementTree.fromstring(picture.still(view))
    assert len(still.findall(".//{*}circle")) == 18 and len(still.findall(".//{*}line")) == 2 * 12 + 12
    assert (result / "liquid.svg").read_text() in (result / "report.html").read_text()


# --- The page ---


def test_page_needs_no_network(result: Path) -> None:
    page = (result / "report.html").read_text()
    assert not re.findall(r"""<(?:script|link|img|iframe)[^>]*\b(?:src|href)\s*=\s*(?!["']?data:)""", page)
    assert "@import" not in page.split("<script>")[0] and "url(" not in page.split("<script>")[0]


def test_page_says_semi_empirical_and_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_study(tmp_path / "in")
    plan = tmp_path / "in" / "plan"
    (plan / "labels.json").write_text(json.dumps({"engine": "xtb", "method": "GFN1-xTB"}))
    study = json.loads((plan / "study.json").read_text())
    study["md"] |= {"npt_ps": 1.0, "nvt_ps": 1.0}
    study["name"] = "<b>&"
    (plan / "study.json").write_text(json.dumps(study))
    monkeypatch.chdir(tmp_path)
    assert compare_run.main(["--plan", str(plan)]) == 0
    page = (tmp_path / "report.html").read_text()
    assert "semi-empirical tight binding, not DFT" in page and "the runs are short (2 ps each)" in page.lower()
    assert "<title>&lt;b&gt;&amp;" in page


def test_page_opens_in_a_browser(result: Path, tmp_path: Path) -> None:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no chromium on PATH: apt-get install chromium to open the report in a browser")
    done = subprocess.run(
        [
            chromium,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            f"--user-data-dir={tmp_path}",
            "--enable-logging=stderr",
            "--v=0",
            "--virtual-time-budget=20000",
            "--dump-dom",
            (result / "report.html").as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    assert not console, console
    assert 'data-ready="yes"' in done.stdout
    assert re.search(r'id="liquid-view"[^>]*class="liquid live"|class="liquid live"[^>]*id="liquid-view"', done.stdout)
    assert re.search(r'<output id="liquid-clock">0', done.stdout)
    drawn = set(re.findall(r'<div id="fig-(\w+)"[^>]*class="[^"]*js-plotly-plot', done.stdout))
    wanted = {
        "density",
        "diffusion",
        "structure",
        "parity",
        "calibration",
        "errors",
        "scan",
        "dimers",
        "curves",
        "survival",
        "cost",
        "pareto",
        "conductivity",
        "viscosity",
        "factor_xray",
        "torsion",
        "dataset",
        "verdicts_conductivity",
        "verdicts_viscosity",
        "verdicts_density",
        "verdicts_diffusion",
        "verdicts_force_rmse",
        "verdicts_scan_energy_rmse",
    }
    assert drawn == wanted


def test_a_tuned_model_that_forgot_is_called_so(result: Path) -> None:
    rows = read(result, "forgetting").to_dicts()
    assert {row["model"] for row in rows} == {"mace"}
    assert {row["verdict"] for row in rows} == {"lost"}
    for row in rows:
        assert row["force_rmse_after"] == pytest.approx(3 * row["force_rmse_before"])
        assert row["ci95_low"] < row["difference"] < row["ci95_high"]
    report = (result / "report.html").read_text()
    assert "has lost some of what it knew: its force error on other chemistry went from" in report
    assert set(read(result, "dimers")["model"]) == {"mace", "dpmd", "mace-start", "labels"}


def test_spread_between_seeds_stands_beside_the_statistical_error(result: Path) -> None:
    rows = read(result, "committee")
    assert {"density", "diffusion", "rdf"} <= set(rows["property"])
    assert "clp" not in set(rows["model"])
    known = rows.filter(pl.col("property") == "density", pl.col("p_value").is_not_null())
    assert (known["between_seeds_ci95_low"] < known["between_seeds"]).all()
