"""The runs of a made-up study, with what is measured of them."""

import json
import math
from pathlib import Path

import numpy as np
import polars as pl
from known_numbers import BROKEN, DENSITY, IONS, OFFSET, SPEED, UNCONVERGED, T

from ionmelt.topology import Topology


def write_npt_run(folder: Path, temperature_K: float, thermo: pl.DataFrame) -> Path:
    """Write the run folder of a run of NPT alone with such thermodynamics: lithium, without frames."""
    lithium = {
        "name": "li",
        "smiles": "",
        "charge": 1,
        "count": 1,
        "types": None,
        "elements": ["Li"],
        "masses_u": [6.9],
        "bonds": [],
    }
    Topology("toy", [lithium]).save(folder / "topology.json")
    run = {
        "id": "toy-400K-r1-clp", "liquid": "toy", "temperature_K": temperature_K, "replica": 1, "model": "clp", "model_key": "clp",
        "dataset": None, "model_seed": None, "framework": "classical", "save_every_fs": 20.0, "npt_planned_ps": 40.0,
        "nvt_planned_ps": 0.0, "planned_ps": 40.0, "survived_ps": 40.0, "end": "completed", "detail": None,
    }  # fmt: skip
    (folder / "run.json").write_text(json.dumps(run))
    thermo.write_parquet(folder / "thermo.parquet")
    return folder


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
    """Write what a run and its measurements left, into the folder of the run and beside it."""
    folder, measures = root / "runs" / run_id, root / "measures"
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
                "standard_error_kg_m3": 2.0,
                "reference_kg_m3": None,
                "n_effective": 40.0,
                "converged": converged,
                "reason": None if converged else "drift: halves differ by 9 kg/m3",
                "equilibrated_ps": 20.0,
                "halves_t": (0.5 if replica == 1 else -0.5) if converged else 9.0,
                "drift_t": (0.5 if replica == 1 else -0.5) if converged else 9.0,
                "steady_dof": 40.0,
                "sound": True,
            }
        ]
    ).write_parquet(measures / f"{run_id}.density.parquet")
    rows = []
    for i, ion in enumerate(IONS[liquid]):
        d = (3e-11, 4e-11)[i] * SPEED[model] * math.exp(0.03 * rng.normal())
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
    displaced = [
        base | {"species": row["species"], "lag_ps": 10.0 * lag, "msd_A2": 6e8 * row["diffusion_m2_s"] * 10.0 * lag,
                "frames": 500, "ions": 64}
        for row in rows for lag in range(1, 16)
    ]  # fmt: skip
    pl.DataFrame(displaced).write_parquet(measures / f"{run_id}.displacement.parquet")
    kappa = 2.0 * SPEED[model] * math.exp(0.05 * rng.normal())
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
