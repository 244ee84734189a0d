"""ESTIMATE_POWER: the error that a run would have is read from an equilibrated liquid, and is that of runs which are made."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from random_motion import random_walks

from ionmelt.compare import fluctuations
from ionmelt.liquid.record import EquilibrationRecord
from ionmelt.liquid.state_folder import write_dcd
from ionmelt.measure.slope import diffusion
from ionmelt.topology import Topology

IONS = [
    {"name": name, "smiles": "", "charge": charge, "count": 24, "elements": [symbol], "bonds": [], "masses_u": [mass], "types": None}
    for name, charge, symbol, mass in (("na", 1, "Na", 22.99), ("cl", -1, "Cl", 35.45))
]  # fmt: skip
EDGE_A, FRAMES, EVERY_PS = 13.0, 600, 0.5


def state(folder: Path, seed: int, step_A: float = 0.4) -> Path:
    """Write the state folder of ions that walk at random in a box, as EQUILIBRATE leaves it."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    topology = Topology("salt", IONS)
    topology.save(folder / "topology.json")
    paths = rng.uniform(0, EDGE_A, (48, 3)) + step_A * random_walks(rng, FRAMES, 48)
    write_dcd(folder / "trajectory.dcd", paths % EDGE_A, np.full((FRAMES, 3), EDGE_A))
    record = {
        "id": folder.name, "liquid": "salt", "replica": seed, "temperature_K": 1300.0, "pressure_bar": 1.0, "force_field": "jc", "engine": "OpenMM",
        "cutoff_A": 6.0, "n_atoms": 48, "phases_ps": {"anneal": 5.0, "production": FRAMES * EVERY_PS}, "density_kg_m3": 1250.0, "samples": FRAMES,
        "standard_error_kg_m3": 5.0, "n_effective": 100.0, "correlation_time_ps": 1.0, "drift_kg_m3": 0.0, "converged": True, "reason": None,
    }  # fmt: skip
    (folder / "equilibration.json").write_text(json.dumps(record))
    return folder


def plan(folder: Path) -> Path:
    """Write what is read of a plan: two trained models of three seeds, and the truth, in two boxes."""
    folder.mkdir()
    study = {
        "liquids": [{"id": "salt", "ions": {"na": {}, "cl": {}}}], "seeds": [1, 2, 3], "margins": {"density_percent": 2.0},
        "models": [{"id": "mace", "framework": "mace"}, {"id": "clp", "framework": "classical"}],
        "md": {"models": None, "npt_ps": 75.0, "nvt_ps": 150.0, "replicas": 2, "truth_times": 4.0},
    }  # fmt: skip
    (folder / "study.json").write_text(json.dumps(study))
    (folder / "labels.json").write_text(json.dumps({"engine": "classical"}))
    rows = [("mace", name, seed) for name in ("eq", "both") for seed in (1, 2, 3)] + [("clp", "", "")]
    lines = [f"{model}-{dataset}-s{seed},{model},{dataset},{seed},model" for model, dataset, seed in rows]
    (folder / "models.csv").write_text("\n".join(["key,model,dataset,seed,role", *lines]) + "\n")
    return folder


@pytest.fixture(scope="module")
def power(tmp_path_factory: pytest.TempPathFactory) -> pl.DataFrame:
    folder = tmp_path_factory.mktemp("power")
    states = [state(folder / "states" / f"salt-{n}", n) for n in (1, 2)]
    words = ["--plan", str(plan(folder / "plan")), "--states", *map(str, states)]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert fluctuations.main([*words, "--id", "study", "--out", "power.parquet", "--words", "power.txt"]) == 0
    head, *lines = (folder / "power.txt").read_text().splitlines()
    assert head.startswith("what can be told apart")
    assert len(lines) == 3
    assert all(line.startswith("  salt at 1300 K: ") for line in lines)
    return pl.read_parquet(folder / "power.parquet")


def test_the_error_of_a_density_falls_as_the_root_of_the_length(power) -> None:
    rows = power.filter(pl.col("property") == "density")
    assert rows["run_error"].to_list() == pytest.approx([5.0 * np.sqrt(300 / 75)] * rows.height)
    assert set(rows["about"]) == {"two trained models", "a trained model and the truth"}
    assert rows["margin_percent"].to_list() == [2.0] * rows.height


def test_the_error_of_diffusion_is_that_of_runs_of_the_length_of_the_study(power) -> None:
    rows = power.filter(pl.col("property") == "diffusion", pl.col("species") == "na")
    assert rows["value"][0] == pytest.approx(0.4**2 / 2 / 0.5e-12 * 1e-20, rel=0.15)
    rng = np.random.default_rng(3)
    values = [diffusion(0.4 * random_walks(rng, 300, 24), 0.5e-12).D * 1e-20 for _ in range(60)]
    assert rows["run_error"][0] == pytest.approx(np.std(values), rel=0.35)


def test_two_seeds_of_the_truth_count_as_one_that_runs_longer(power) -> None:
    rows = {row["about"]: row for row in power.filter(pl.col("property") == "density").to_dicts()}
    assert (rows["a trained model and the truth"]["runs_a"], rows["a trained model and the truth"]["runs_b"]) == (6, 2)


def test_a_crystal_says_that_its_diffusion_is_not_seen(tmp_path: Path) -> None:
    still = state(tmp_path / "still-1", 1, step_A=0.0)
    seen = list(fluctuations.of_diffusion([still], 100.0))
    assert [one.reason for one in seen] == ["not known: the equilibration is too short to see its diffusion"] * 2
    assert all(one.run_error is None for one in seen)


def test_too_few_samples_of_a_density_say_nothing_of_its_fluctuation(tmp_path: Path) -> None:
    record = EquilibrationRecord.read(state(tmp_path / "short-1", 1) / "equilibration.json")
    for few in ({"n_effective": 4.0}, {"n_effective": None, "standard_error_kg_m3": None}):
        seen = fluctuations.of_density([record.model_copy(update=few)], 100.0)
        assert (seen.run_error, seen.reason) == (
            None,
            "not known: the equilibration has too few independent samples of the density",
        )
