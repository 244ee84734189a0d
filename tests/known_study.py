"""A made-up study with known numbers: everything that COMPARE_MODELS reads of it."""

import hashlib
import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
from known_frames import known_frame, write_test_frames
from known_numbers import DATASETS, DENSITY, FORCE, FRAMEWORKS, IONS, MISSING, UNEQUILIBRATED, T
from known_runs import write_run

from ionmelt.dynamics import trajectory
from ionmelt.topology import Topology


def write_study(root: Path, seed: int = 7, seeds: Sequence[int] = (1, 2, 3)) -> list[str]:
    """Write everything COMPARE_MODELS reads, with known numbers; return its command line without --outdir.

    ``seeds`` are those of each trained model.
    """
    rng = np.random.default_rng(seed)
    trained = [(m, f, d, s) for m, f in FRAMEWORKS.items() for d in DATASETS for s in seeds]
    models = [(f"{m}-{d}-s{s}", m, f, d, s) for m, f, d, s in trained] + [("clp", "clp", "classical", None, None)]
    write_plan(root / "plan", models)
    write_data(root, rng)
    write_test_frames(root / "test" / "test.extxyz", 10)
    for key, model, framework, dataset, s in models[:-1]:
        write_model(root, rng, key, model, framework, dataset, s)
    for key in ("mace-start", "labels"):
        write_other_chemistry(root / "evaluations" / key, key, 1.0)
    runs = [(liquid, r, *m) for liquid in DENSITY for r in (1, 2) for m in models]
    for liquid, r, key, model, framework, dataset, s in runs:
        run_id = f"{liquid}-430K-r{r}-{key}"
        if run_id != MISSING:
            (root / "runs" / run_id).mkdir(parents=True)
            if r == 1:
                write_trajectory(root / "runs" / run_id, rng)
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
    ended = ["the tool ended; its last lines:", "more", "no such head"]
    for i, (stage, key, reason) in enumerate(
        (("dynamics", MISSING, ended), ("evaluation", "mace-start", ["crashed: SIGSEGV"]))
    ):
        failed = {"stage": stage, "key": key, "reason": reason}
        (root / "failures" / f"{i}.failed.json").write_text(json.dumps(failed))
    names = ("states", "labels", "sampling", "models", "evaluations", "runs", "measures", "tasks", "plan", "failures")
    return [x for n in names for x in (f"--{n}", str(root / n))] + [
        "--dataset",
        str(root / "dataset.parquet"),
        "--test",
        str(root / "test" / "test.extxyz"),
    ]


def write_plan(plan: Path, models: list[tuple]) -> None:
    plan.mkdir(parents=True)
    study = {
        "name": "pyr14bf4", "description": "EQ against non-equilibrated training data for two ionic liquids.",
        "liquids": [{"id": x, "ions": dict.fromkeys(IONS[x], 10), "temperatures_K": [T]} for x in DENSITY],
        "datasets": {"eq": ["eq"], "both": ["eq", "neq"]}, "seeds": [1, 2, 3],
        "models": [{"id": m, "framework": f} for m, f in (FRAMEWORKS | {"clp": "classical"}).items()],
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
        "pyr14bf4,density,,430,1070,kg/m3,,,,,1,false,0,a note about the paper,true",
        "pyr14bf4,density,,,1111,kg/m3,,,,,1,false,0,undated,true",
        "pyr14tfsi,density,,420,1308.8,kg/m3,1.53,1305.8,1311.8,95 % interval,9,false,0,ILThermo,false",
        "pyr14tfsi,density,,430,1300,kg/m3,1.53,1297,1303,95 % interval,9,true,0,ILThermo,false",
        "pyr14tfsi,viscosity,,298,0.06,Pa.s,0.00255,0.055,0.065,95 % interval,9,false,0,ILThermo,false",
    ]
    header = "liquid,property,species,temperature_K,value,unit,standard_uncertainty,low,high,range,n,interpolated,composition_off,source,second_hand"
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
            "value": rmse * (1 + 8 * math.exp(-s / 4)) * (0.6 if w == "train" else 1) * (1 + 0.02 * rng.normal()),
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
            "point": [f"{known_frame(i // 50).info['frame_id']}:{i % 50}" for i in range(500)],
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
    ranges = [
        {"model_key": key, "liquid": "libf4", "pair": "li-bf4", "ions": 2, "distance_A": r,
         "energy_ev": e if key == "labels" else 0.0 if r > 8 else e, "coulomb_ev": e,
         "blind_beyond_A": None if key == "labels" else 9.0, "coulomb_share": 1.0 if key == "labels" else 0.0,
         "sight": "right" if key == "labels" else "blind", "reason": None}
        for r, e in ((4.0, -3.1), (9.0, -1.1), (20.0, -0.24), (30.0, 0.0))
    ]  # fmt: skip
    reasons = {"reason": pl.String, "blind_beyond_A": pl.Float64}
    pl.DataFrame(ranges, schema_overrides=reasons).write_parquet(evaluation / "long_range.parquet")


def write_trajectory(folder: Path, rng: np.random.Generator) -> None:
    """Write three ion pairs of lithium and BF4 that cross the walls of their box."""
    side, legs = 9.0, np.array([[0, 0, 0], [0.8, 0.8, 0.8], [0.8, -0.8, -0.8], [-0.8, 0.8, -0.8], [-0.8, -0.8, 0.8]])
    bf4 = {"name": "bf4", "count": 3, "charge": -1, "elements": ["B", "F", "F", "F", "F"], "masses_u": [10.8] + 4 * [19.0],
           "bonds": [[0, 1], [0, 2], [0, 3], [0, 4]], "smiles": "F[B-](F)(F)F", "types": None}  # fmt: skip
    li = {
        "name": "li",
        "count": 3,
        "charge": 1,
        "elements": ["Li"],
        "masses_u": [6.9],
        "bonds": [],
        "smiles": "[Li+]",
        "types": None,
    }
    Topology("libf4", [li, bf4]).save(folder / "topology.json")
    start, speed = rng.uniform(0, side, (6, 3)), rng.normal(0, 0.7, (6, 3))
    writer = trajectory.Writer(folder / "nvt.xtc")
    for i in range(20):
        centres = start + speed * i
        atoms = np.concatenate([centres[:3], *(c + legs for c in centres[3:])]) % side
        writer.write(atoms[None], np.full((1, 3), side), np.array([i]), np.array([i * 0.5]))
    writer.close()
