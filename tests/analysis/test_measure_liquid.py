"""Measuring a run: numbers with an error, or a reason for having none."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from mdtraj.formats import DCDTrajectoryFile

import measure_liquid
from il_topology import Topology

CATION = {
    "name": "cat", "smiles": "C[NH3+]", "charge": 1, "count": 6, "elements": ["N", "C", "H"],
    "bonds": [[0, 1], [1, 2]], "masses_u": [14.0, 12.0, 1.0], "types": None,
}  # fmt: skip
ANION = {
    "name": "an", "smiles": "[F-]", "charge": -1, "count": 6, "elements": ["B", "F"], "bonds": [[0, 1]],
    "masses_u": [10.8, 19.0], "types": None,
}  # fmt: skip
EDGE_A, DT_FS = 12.0, 20.0
STEP_A = {"cat": 0.05, "an": 0.1}  # of a coordinate in a frame
D_M2_S = {name: step**2 * 1e-20 / (2 * DT_FS * 1e-15) for name, step in STEP_A.items()}


def write_dcd(path: Path, positions: np.ndarray, edges: np.ndarray) -> None:
    with DCDTrajectoryFile(str(path), "w", force_overwrite=True) as file:
        file.write(positions.astype(np.float32), edges.astype(np.float32), np.full((len(edges), 3), 90, np.float32))


def positions(topology: Topology, frames: int, rng: np.random.Generator) -> np.ndarray:
    """Rigid ions that tumble around a centre of mass on a random walk; centres start on a grid."""
    centres = rng.normal(size=(frames, 12, 3)) * np.array([STEP_A[i] for i in topology.molecule_ion])[:, None]
    centres = centres.cumsum(axis=0) + rng.uniform(0, EDGE_A, (12, 3))
    masses = np.add.reduceat(topology.masses_u, topology.starts)
    centres -= (centres * masses[:, None]).sum(axis=1, keepdims=True) / masses.sum()
    direction = rng.normal(size=(frames, 12, 3))
    direction /= np.linalg.norm(direction, axis=-1, keepdims=True)
    along = np.arange(len(topology)) - topology.starts[topology.molecule]
    spread = along[:, None] * 1.4 * direction[:, topology.molecule]
    return centres[:, topology.molecule] + spread - topology.centres(spread)[:, topology.molecule]


def write_run(folder: Path, frames: int = 1500, wrap: bool = False, drift_A: float = 0.0, **changes: Any) -> Path:
    folder.mkdir()
    topology = Topology("toy", [CATION, ANION])
    topology.save(folder / "topology.json")
    rng = np.random.default_rng(5)
    x = positions(topology, frames, rng) + np.arange(frames)[:, None, None] * drift_A
    if wrap:
        x %= EDGE_A  # atom by atom, which cuts ions
    write_dcd(folder / "nvt.dcd", x, np.full((frames, 3), EDGE_A))
    n = 2000
    density = np.empty(n)
    density[0] = 0
    for i in range(1, n):
        density[i] = 0.8 * density[i - 1] + rng.normal()
    phase = ["npt"] * n + ["nvt"] * 10
    pl.DataFrame(
        {
            "phase": phase,
            "time_ps": [*(0.01 * np.arange(n)), *(0.01 * np.arange(10))],
            "density_kg_m3": [*(1200 + density), *([999.0] * 10)],
        }
    ).write_parquet(folder / "thermo.parquet")
    run = {
        "id": "toy-400K-r1-mace-eq-s1", "liquid": "toy", "temperature_K": 400.0, "pressure_bar": 1.0, "replica": 1,
        "seed": 77, "model": "mace", "model_key": "mace-eq-s1", "dataset": "eq", "model_seed": 1,
        "framework": "mace", "planned_ps": 50.0, "survived_ps": 50.0, "end": "completed", "detail": None,
        "npt_planned_ps": 20.0, "npt_survived_ps": 20.0, "nvt_planned_ps": 30.0, "nvt_survived_ps": 30.0,
        "save_every_fs": DT_FS, "n_atoms": 30, "dtype": "float32", "device": "cpu", "atom_steps_per_s": 1000.0,
    }  # fmt: skip
    (folder / "run.json").write_text(json.dumps(run | changes))
    return folder


def by_species(table: pl.DataFrame) -> dict[str, dict[str, Any]]:
    return {row["species"]: row for row in table.to_dicts()}


def test_a_completed_run_is_measured_with_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = write_run(tmp_path / "run")
    name = "toy-400K-r1-mace-eq-s1"
    assert measure_liquid.main(["--id", name, "--run", str(run), "--out", str(tmp_path / "out")]) == 0
    tables = {key: pl.read_parquet(tmp_path / "out" / f"{name}.{key}.parquet") for key in measure_liquid.SCHEMAS}
    density = tables["density"].to_dicts()[0]
    assert density["run_id"] == name and density["seed"] == 1 and density["dataset"] == "eq"
    assert abs(density["density_kg_m3"] - 1200) < 4 * density["standard_error_kg_m3"] < 2
    assert density["converged"] and density["reason"] is None and density["reference_kg_m3"] is None
    diffusion = by_species(tables["diffusion"])
    assert list(diffusion) == ["cat", "an"]
    for species, row in diffusion.items():
        # 12 ions with their common drift taken out: a little less than D
        assert row["diffusion_m2_s"] == pytest.approx(D_M2_S[species], rel=0.25)
        assert row["ci95_low_m2_s"] < row["diffusion_m2_s"] < row["ci95_high_m2_s"]
        assert row["converged"] and row["log_slope"] == pytest.approx(1, abs=0.1)
        assert row["finite_size_correction_m2_s"] is None and row["finite_size_reason"] == "viscosity unknown"
    survival = tables["survival"].to_dicts()[0]
    assert survival["end"] == "completed" and survival["planned_ps"] == 50 and survival["model_key"] == "mace-eq-s1"
    structure = tables["structure"]
    assert set(structure["pair"]) == {"cat-cat", "cat-an", "an-an", "N-F"}
    assert structure["standard_error"].null_count() == 0
    assert structure.filter(pl.col("quantity") == "rdf")["r_A"].max() < EDGE_A / 2
    assert json.loads((tmp_path / f"MEASURE_LIQUID.{name}.task.json").read_text())["id"] == name


def test_wrapped_and_drifting_atoms_give_the_same(tmp_path: Path) -> None:
    tables = [
        by_species(measure_liquid.measure(write_run(tmp_path / name, **kind))["diffusion"])
        for name, kind in (("plain", {}), ("wrapped", {"wrap": True}), ("drifting", {"drift_A": 0.01}))
    ]
    for species in ("cat", "an"):
        for other in tables[1:]:
            for key in ("diffusion_m2_s", "ci95_low_m2_s", "ci95_high_m2_s"):
                assert other[species][key] == pytest.approx(tables[0][species][key], rel=1e-3)


def test_reading_in_chunks_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = write_run(tmp_path / "run", frames=1203)
    topology = Topology.load(run / "topology.json")
    monkeypatch.setattr(measure_liquid, "STRUCTURE_FRAMES", 100)
    whole = measure_liquid.read_trajectory(run / "nvt.dcd", topology)
    monkeypatch.setattr(measure_liquid, "CHUNK_BYTES", 24 * 30 * 7.0)
    parts = measure_liquid.read_trajectory(run / "nvt.dcd", topology)
    assert whole is not None and parts is not None
    assert whole.kept.tolist() == list(range(0, 1203, 13)) == parts.kept.tolist()
    for name in ("centres", "edges", "atoms"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(parts, name))


def test_a_broken_run_is_measured_as_far_as_it_went(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", frames=400, end="bond_broken", survived_ps=28.0, detail="N-C 3.1 A")
    tables = measure_liquid.measure(run)
    for name in ("density", "diffusion"):
        for row in tables[name].to_dicts():
            assert not row["converged"]
            assert row["reason"].startswith("run ended: bond_broken at 28 ps")
    assert tables["density"]["density_kg_m3"][0] == pytest.approx(1200, abs=1)
    assert tables["diffusion"]["diffusion_m2_s"].null_count() == 0
    assert tables["survival"].to_dicts()[0]["detail"] == "N-C 3.1 A"


def test_a_run_that_broke_at_once_still_has_its_rows(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", end="nan", survived_ps=0.0)
    (run / "nvt.dcd").unlink()
    pl.read_parquet(run / "thermo.parquet").clear().write_parquet(run / "thermo.parquet")
    tables = measure_liquid.measure(run)
    density = tables["density"].to_dicts()[0]
    assert density["density_kg_m3"] is None and density["reason"] == "run ended: nan at 0 ps; no NPT survived"
    diffusion = by_species(tables["diffusion"])
    assert set(diffusion) == {"cat", "an"}
    assert diffusion["an"]["diffusion_m2_s"] is None and "no NVT survived" in diffusion["an"]["reason"]
    assert tables["structure"].height == 0
    assert tables["survival"]["end"].to_list() == ["nan"]


def test_numbers_after_a_blow_up_are_not_used(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", frames=600, end="nan", survived_ps=25.0)
    expected = measure_liquid.measure(run)
    topology = Topology.load(run / "topology.json")
    with DCDTrajectoryFile(str(run / "nvt.dcd")) as file:
        xyz, lengths, _ = file.read()
    xyz = np.concatenate([xyz, np.full((2, len(topology), 3), math.nan, np.float32)])
    write_dcd(run / "nvt.dcd", xyz, np.concatenate([lengths, lengths[:2]]))
    thermo = pl.read_parquet(run / "thermo.parquet")
    blown = thermo[-1:].with_columns(phase=pl.lit("npt"), density_kg_m3=pl.lit(math.nan))
    pl.concat([thermo, blown, blown.with_columns(density_kg_m3=pl.lit(1e9))]).write_parquet(run / "thermo.parquet")
    found = measure_liquid.measure(run)
    for name in ("density", "diffusion"):
        assert found[name].equals(expected[name])


def test_structure_comes_from_npt_where_there_is_no_nvt(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", frames=50, nvt_planned_ps=0.0)
    (run / "nvt.dcd").rename(run / "npt.dcd")
    tables = measure_liquid.measure(run)
    assert tables["structure"].height > 0
    assert tables["diffusion"]["reason"].to_list() == ["no NVT was planned"] * 2


def test_the_finite_size_correction_needs_a_viscosity(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    row = measure_liquid.measure(run, viscosity_pa_s=0.01)["diffusion"].to_dicts()[0]
    expected = 2.837297 * 1.380649e-23 * 400 / (6 * math.pi * 0.01 * EDGE_A * 1e-10)
    assert row["finite_size_correction_m2_s"] == pytest.approx(expected, rel=1e-6)
    assert row["finite_size_reason"] is None


def test_coordination_counts_what_stands_at_a_known_distance(tmp_path: Path) -> None:
    """Every cation has its anion's F at 2 A of its N, across the boundary or not, and no other nearby."""
    run = write_run(tmp_path / "run", frames=50)
    topology = Topology.load(run / "topology.json")
    grid = np.stack(np.meshgrid([0.5, 6.5], [0.5, 6.5], [0.5, 6.5], indexing="ij"), axis=-1).reshape(-1, 3)[:6]
    x = np.zeros((30, 3))
    for i in range(6):
        x[3 * i : 3 * i + 3] = grid[i] + np.array([[0, 0, 0], [0, 1.4, 0], [0, 2.4, 0]])
        x[18 + 2 * i : 20 + 2 * i] = grid[i] + np.array([[-2, 0, -1.4], [-2, 0, 0]])
    assert topology.elements[18:20].tolist() == ["B", "F"]
    write_dcd(run / "nvt.dcd", np.repeat(x[None] % EDGE_A, 8, axis=0), np.full((8, 3), EDGE_A))
    table = measure_liquid.measure(run)["structure"].filter(pl.col("pair") == "N-F", quantity="coordination")
    at = dict(zip(table["r_A"].to_list(), table["value"].to_list(), strict=True))
    assert at[1.9] == 0 and at[2.1] == 1 and at[3.9] == 1
    assert table["standard_error"].to_list()[0] == 0


@pytest.mark.parametrize("missing", ["run.json", "topology.json", "thermo.parquet"])
def test_what_is_missing_is_named(
    missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    run = write_run(tmp_path / "run", frames=20)
    (run / missing).unlink()
    assert measure_liquid.main(["--id", "x", "--run", str(run), "--out", "."]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and f"{missing} is missing" in error
