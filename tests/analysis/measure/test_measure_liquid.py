"""MEASURE_LIQUID: what was put into a run comes out within its interval, and a broken run is never silent."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from ase import Atoms
from mdtraj.formats import DCDTrajectoryFile
from scipy import signal

from ionmelt.dynamics import thermo as dynamics_thermo
from ionmelt.measure import domain as measure_domain
from ionmelt.measure import paths, view
from ionmelt.measure import run as run_module
from ionmelt.measure.observables import MEASUREMENTS, OBSERVABLES, diffusion
from ionmelt.topology import Topology

EDGE = 20.0  # A
PAIRS = 12
FRAMES = 1500
SAVE_FS = 20.0
D_M2_S = {"pyr": 1.0e-9, "bf4": 3.0e-9}
DENSITY = 1200.0
CONTRACT = {
    "density": "density_kg_m3 standard_error_kg_m3 reference_kg_m3 n_effective converged reason equilibrated_ps",
    "diffusion": "species diffusion_m2_s ci95_low_m2_s ci95_high_m2_s finite_size_correction_m2_s log_slope "
    "fit_start_ps fit_stop_ps converged reason",
    "conductivity": "conductivity_s_m standard_error_s_m ci95_low_s_m ci95_high_s_m nernst_einstein_s_m ionicity "
    "ionicity_ci95_low ionicity_ci95_high needed_ps converged reason",
    "displacement": "species lag_ps msd_A2 frames ions",
    "onsager": "pair onsager_s_m standard_error_s_m converged reason",
    "viscosity": "viscosity_pa_s standard_error_pa_s ci95_low_pa_s ci95_high_pa_s needed_ps converged reason",
    "structure": "quantity pair r_A q_per_A angle_deg lag_ps value standard_error unit reason",
    "coordination": "quantity pair state cut_A value unit standard_error ci95_low ci95_high converged reason",
    "conformers": "species feature quantity state value unit standard_error ci95_low ci95_high converged reason",
    "kinetics": "quantity pair state_from state_to value unit ci95_low ci95_high events converged reason",
    "survival": "planned_ps survived_ps end detail",
    "domain": "quantity frames share_outside seen_low seen_high limit_low limit_high unit verdict reason",
}
KEYS = ["run_id", "liquid", "model", "dataset", "seed", "temperature_K", "replica", "framework", "model_key"]


def ion(name: str, charge: int, elements: list[str], masses_u: list[float], bonds: list[list[int]]) -> dict[str, Any]:
    given = {"name": name, "smiles": "", "charge": charge, "count": PAIRS, "types": None}
    return given | {"elements": elements, "masses_u": masses_u, "bonds": bonds}


def ions() -> Topology:
    chain = ion("pyr", 1, ["C", "N", "C"], [12.0, 14.0, 15.0], [[0, 1], [1, 2]])
    star = ion("bf4", -1, ["B", "F", "F"], [11.0, 19.0, 19.0], [[0, 1], [0, 2]])
    return Topology("toy", [chain, star])


def trajectory(topology: Topology, seed: int = 1, frames: int = FRAMES) -> np.ndarray:
    """Rigid ions (frames, atoms, 3) whose centres of mass walk at random; the centre of mass of all rests."""
    rng = np.random.default_rng(seed)
    masses = np.add.reduceat(topology.masses_u, topology.starts)
    step_A = np.sqrt([2 * D_M2_S[name] * SAVE_FS * 1e-15 * 1e20 for name in topology.molecule_ion])
    centres = rng.uniform(0, EDGE, (len(masses), 3)) + np.cumsum(
        rng.normal(size=(frames, len(masses), 3)) * step_A[:, None], axis=0
    )
    drift = np.einsum("tni,n->ti", centres, masses / masses.sum())
    shape = rng.normal(size=(len(topology), 3)) * 0.7
    shape -= topology.centres(shape)[topology.molecule]
    return (centres - (drift - drift[0])[:, None])[:, topology.molecule] + shape


def left_of_drift(topology: Topology, name: str) -> float:
    """Return D of an ion once the centre of mass is held: each of these few ions is a good part of it."""
    masses = np.add.reduceat(topology.masses_u, topology.starts)
    share, true = masses / masses.sum(), np.array([D_M2_S[ion] for ion in topology.molecule_ion])
    held = true * (1 - 2 * share) + np.sum(share**2 * true)
    return float(held[topology.molecule_ion == name][0])


def write_dcd(path: Path, x: np.ndarray, edge: float = EDGE) -> None:
    lengths, angles = np.full((len(x), 3), edge, np.float32), np.full((len(x), 3), 90, np.float32)
    with DCDTrajectoryFile(str(path), "w", force_overwrite=True) as file:
        file.write(x.astype(np.float32), cell_lengths=lengths, cell_angles=angles)


def write_run(
    folder: Path, nvt: np.ndarray | None, npt: np.ndarray | None = None, n_density: int = 4000, **changes: Any
) -> Path:
    """Write a run folder of RUN_MD; densities correlate over 5 rows around DENSITY."""
    folder.mkdir(exist_ok=True)
    ions().save(folder / "topology.json")
    noise = np.random.default_rng(3).normal(size=n_density + 200)
    density = DENSITY + 3 * signal.lfilter([1], [1, -np.exp(-1 / 5)], noise)[200:]
    rows = [
        dict.fromkeys(dynamics_thermo.THERMO)
        | {"phase": "npt", "step": 20 * i, "time_ps": 0.01 * i, "density_kg_m3": rho}
        for i, rho in enumerate(density.tolist())
    ]
    rows += [
        dict.fromkeys(dynamics_thermo.THERMO) | {"phase": "nvt", "step": 0, "time_ps": 0.0, "density_kg_m3": 900.0}
    ]
    pl.DataFrame(rows, schema=dynamics_thermo.THERMO).write_parquet(folder / "thermo.parquet")
    for phase, x in (("npt", npt), ("nvt", nvt)):
        if x is not None:
            write_dcd(folder / f"{phase}.dcd", x)
    run = {
        "id": "toy-400K-r1-mace-eq-s2", "liquid": "toy", "temperature_K": 400.0, "pressure_bar": 1.0, "replica": 1,
        "seed": 9, "model": "mace", "model_key": "mace-eq-s2", "dataset": "eq", "model_seed": 2,
        "framework": "mace", "save_every_fs": SAVE_FS, "timestep_fs": 0.5, "npt_planned_ps": 40.0,
        "nvt_planned_ps": 30.0, "planned_ps": 70.0, "survived_ps": 70.0, "end": "completed", "detail": None,
        "n_atoms": 6 * PAIRS, "atom_steps_per_s": 1e5, "device": "cpu",
    }  # fmt: skip
    (folder / "run.json").write_text(json.dumps(run | changes))
    return folder


def by_species(table: pl.DataFrame) -> dict[str, dict[str, Any]]:
    return {row["species"]: row for row in table.iter_rows(named=True)}


@pytest.fixture(scope="module")
def complete(tmp_path_factory: pytest.TempPathFactory) -> dict[str, pl.DataFrame]:
    return run_module.measure(write_run(tmp_path_factory.mktemp("run"), trajectory(ions())))


def test_columns_are_those_of_the_contract(complete: dict[str, pl.DataFrame]) -> None:
    assert set(complete) == {measurement.name for measurement in MEASUREMENTS} | {"survival"}
    assert set(CONTRACT) <= set(complete)
    for name, table in complete.items():
        assert table.columns[: len(KEYS)] == KEYS
        assert set(CONTRACT.get(name, "converged reason").split()) <= set(table.columns)
        if name == "conformers":  # ions without a SMILES have none
            assert not len(table)
            continue
        assert table["run_id"].unique().to_list() == ["toy-400K-r1-mace-eq-s2"]
        # the seed of a row is that of the model, not of the dynamics
        assert table["seed"].unique().to_list() == [2] and table["dataset"].unique().to_list() == ["eq"]


def test_density_and_diffusion_are_what_was_put_in(complete: dict[str, pl.DataFrame]) -> None:
    row = complete["density"].row(0, named=True)
    assert row["converged"] and row["reason"] is None and row["reference_kg_m3"] is None
    assert abs(row["density_kg_m3"] - DENSITY) < 3 * row["standard_error_kg_m3"]
    # AR(1) of 5 rows: 4000 rows hold about 400 independent ones
    assert row["n_effective"] == pytest.approx(4000 * np.tanh(0.1), rel=0.3)
    assert row["standard_error_kg_m3"] < 1
    diffusion = by_species(complete["diffusion"])
    assert set(diffusion) == set(D_M2_S)
    for name in D_M2_S:
        row, true = diffusion[name], left_of_drift(ions(), name)
        assert row["converged"], row["reason"]
        assert row["ci95_low_m2_s"] < true < row["ci95_high_m2_s"]
        assert row["ci95_high_m2_s"] < 1.6 * row["ci95_low_m2_s"]
        assert row["log_slope"] == pytest.approx(1, abs=0.1)
        assert 0.02 <= row["fit_start_ps"] < row["fit_stop_ps"] <= 10.0
        assert row["finite_size_correction_m2_s"] is None and row["finite_size_reason"] == "viscosity unknown"


def test_wrapped_unwrapped_and_drifting_give_the_same(tmp_path: Path, complete: dict[str, pl.DataFrame]) -> None:
    x = trajectory(ions())
    drifting = x + np.arange(FRAMES)[:, None, None] * np.array([0.05, -0.02, 0.03])
    expected = by_species(complete["diffusion"])
    cut = x % EDGE  # atom by atom: ions lie in pieces on both sides of the cell
    assert np.abs(np.diff(cut[:, ions().bonds], axis=2)).max() > EDGE / 2
    for name, positions in (("wrapped", cut), ("drifting", drifting), ("both", drifting % EDGE)):
        diffusion = by_species(run_module.measure(write_run(tmp_path / name, positions))["diffusion"])
        for species, row in diffusion.items():
            for column in ("diffusion_m2_s", "ci95_low_m2_s", "ci95_high_m2_s", "fit_start_ps"):
                assert row[column] == pytest.approx(expected[species][column], rel=2e-3), (name, column)


def test_displacements_are_those_that_the_coefficients_were_fitted_to(complete: dict[str, pl.DataFrame]) -> None:
    diffusion = by_species(complete["diffusion"])
    for (name,), rows in complete["displacement"].group_by("species"):
        assert rows["lag_ps"].min() == pytest.approx(SAVE_FS / 1000)
        assert rows["lag_ps"].max() == pytest.approx(diffusion[str(name)]["fit_stop_ps"])
        assert set(rows["frames"]) == {FRAMES} and set(rows["ions"]) == {PAIRS}
        first = rows.sort("lag_ps").row(0, named=True)  # a walk from the first step on
        assert first["msd_A2"] == pytest.approx(6 * left_of_drift(ions(), str(name)) * 1e8 * first["lag_ps"], rel=0.05)
    assert complete["displacement"]["species"].n_unique() == len(diffusion)


def test_chunks_change_nothing(
    tmp_path: Path, complete: dict[str, pl.DataFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "CHUNK_BYTES", 12.0 * 6 * PAIRS * 7)  # seven frames, not a divisor
    tables = run_module.measure(write_run(tmp_path / "a", trajectory(ions())))
    for name, table in complete.items():
        assert tables[name].equals(table), name


def test_a_run_is_held_against_the_frames_its_model_was_trained_on(tmp_path: Path) -> None:
    """Frames of the run itself as the training data: inside; a denser run of the same ions: outside in density alone."""
    topology, x = ions(), trajectory(ions(), frames=200)
    folder = write_run(tmp_path / "a", x)
    frames = []
    for i in range(0, 200, 5):
        atoms = Atoms(topology.elements.tolist(), x[i], cell=[EDGE] * 3, pbc=True)
        atoms.arrays["molecule"], atoms.arrays["ion"] = topology.molecule, topology.ion
        atoms.info = {"group": f"g{i // 20}", "recipe": "equilibrium", "temperature_K": 400.0}
        frames.append(atoms)
    numbers = sorted({int(z) for z in frames[0].numbers})
    envelope = measure_domain.envelope(frames, numbers, measure_domain.selection.averages(frames, numbers))
    envelope.density_kg_m3 = (DENSITY - 300, DENSITY + 100)
    measure_domain.save(envelope, tmp_path / measure_domain.FILE)
    rows = {
        r["quantity"]: r for r in run_module.measure(folder, domain=tmp_path / measure_domain.FILE)["domain"].to_dicts()
    }
    assert {name: row["verdict"] for name, row in rows.items()} == dict.fromkeys(rows, "inside")
    assert set(rows) == {"density", "temperature", "composition", "surroundings"}
    envelope.density_kg_m3 = (DENSITY - 300, DENSITY - 200)
    measure_domain.save(envelope, tmp_path / measure_domain.FILE)
    rows = {
        r["quantity"]: r for r in run_module.measure(folder, domain=tmp_path / measure_domain.FILE)["domain"].to_dicts()
    }
    assert rows["density"]["verdict"] == "outside" and rows["surroundings"]["verdict"] == "inside"
    (alone,) = run_module.measure(folder)["domain"].to_dicts()
    assert alone["verdict"] == "not judged" and "trained elsewhere" in alone["reason"]


def test_finite_size_correction_needs_a_viscosity(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "a", trajectory(ions()))
    rows = by_species(run_module.measure(folder, viscosity_pa_s=0.01)["diffusion"])
    expected = 2.837297 * 1.380649e-23 * 400 / (6 * np.pi * 0.01 * EDGE * 1e-10)
    for row in rows.values():
        assert row["finite_size_correction_m2_s"] == pytest.approx(expected, rel=1e-6)
        assert row["finite_size_reason"] is None


def test_the_error_of_the_correction_is_how_it_scatters_with_viscosity_and_volume() -> None:
    rng, n = np.random.default_rng(8), 40_000
    eta, volume = 0.01 * (1 + 0.03 * rng.normal(size=n)), (30e-10) ** 3 * (1 + 0.06 * rng.normal(size=n))
    drawn = [diffusion.yeh_hummer(0.0, v ** (1 / 3), 400.0, e) for e, v in zip(eta, volume, strict=True)]
    added = diffusion.yeh_hummer(0.0, 30e-10, 400.0, 0.01)
    assert np.std(drawn) == pytest.approx(diffusion.correction_error(added, 0.03, 0.06), rel=0.02)


def test_structure_counts_what_is_there(tmp_path: Path) -> None:
    """Anions that sit 3 A from a cation of their own, cations far apart: one neighbour, in one shell."""
    topology = ions()
    rng = np.random.default_rng(3)
    grid = np.stack(np.meshgrid([0, 1, 2], [0, 1], [0, 1], indexing="ij"), -1).reshape(-1, 3) * 10.0
    assert len(grid) == PAIRS
    centres = np.concatenate([grid, grid + np.array([3.0, 0, 0])]) + rng.normal(size=(200, 1, 3)).cumsum(axis=0)
    tables = run_module.measure(write_box(tmp_path, centres[:, topology.molecule] + small(topology)))
    rows = tables["structure"]
    number = rows.filter((pl.col("pair") == "pyr-bf4") & (pl.col("quantity") == "coordination"))
    r, value = number["r_A"].to_numpy(), number["value"].to_numpy()
    assert value[r < 2.85].max() == 0
    np.testing.assert_allclose(value[(r > 3.15) & (r < 6.5)], 1)
    rdf = rows.filter((pl.col("pair") == "pyr-bf4") & (pl.col("quantity") == "rdf"))
    assert abs(rdf["r_A"][int(rdf["value"].arg_max() or 0)] - 3.0) < 0.11
    assert {"pyr-pyr", "bf4-bf4", "N-F"} <= set(rows["pair"])
    at_cut = tables["coordination"].filter(quantity="coordination_number", pair="pyr-bf4").row(0, named=True)
    assert at_cut["value"] == pytest.approx(1) and 3.1 < at_cut["cut_A"] < 7
    assert at_cut["frames"] == 200 and at_cut["interval_ps"] == pytest.approx(SAVE_FS / 1000)
    lifetime = tables["kinetics"].filter(quantity="contact_lifetime").row(0, named=True)
    assert lifetime["value"] is None and lifetime["events"] == 0 and "longer than the run" in lifetime["reason"]
    assert lifetime["ci95_low"] > 200 * SAVE_FS / 1000


def with_pressures(folder: Path, n: int = 6000, tau: int = 3) -> float:
    """Add a pressure tensor to NVT that forgets itself in `tau` rows of 10 fs; return the viscosity that it means."""
    rng = np.random.default_rng(6)
    noise = rng.normal(size=(n + 200, 6)) * 500 * np.sqrt(1 - np.exp(-2 / tau))
    tensor = signal.lfilter([1], [1, -np.exp(-1 / tau)], noise, axis=0)[200:]
    tensor[:, :3] *= np.sqrt(2)  # diagonal components fluctuate twice as much in an isotropic liquid, without its trace
    names = [f"pressure_{name}_bar" for name in ("xx", "yy", "zz", "yz", "xz", "xy")]
    blank = dict.fromkeys(dynamics_thermo.THERMO) | {"phase": "nvt", "volume_A3": EDGE**3, "density_kg_m3": 900.0}
    rows = [
        blank | {"time_ps": 0.01 * i, "step": 20 * i} | dict(zip(names, row, strict=True))
        for i, row in enumerate(tensor.tolist())
    ]
    thermo = pl.read_parquet(folder / "thermo.parquet").filter(pl.col("phase") == "npt")
    added = pl.DataFrame(rows, schema=dynamics_thermo.THERMO)
    pl.concat([thermo, added]).write_parquet(folder / "thermo.parquet")
    integral_s = 0.5 / np.tanh(0.5 / tau) * 1e-14
    return float(EDGE**3 * 1e-30 / (1.380649e-23 * 400) * (500 * 1e5) ** 2 * integral_s)


def test_the_viscosity_of_the_run_goes_into_the_correction_or_else_the_experimental_one(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "a", trajectory(ions()))
    first = run_module.measure(folder)
    assert first["viscosity"]["reason"][0] == "the pressure tensor was not recorded"
    references = pl.DataFrame(
        {
            "liquid": ["toy", "toy", "toy", "other"],
            "property": ["viscosity", "viscosity", "density", "viscosity"],
            "temperature_K": [400.0, 450.0, 400.0, 400.0],
            "value": [0.02, 0.5, 1000.0, 0.7],
            "source": ["a handbook"] * 4,
            "second_hand": [False] * 4,
            "standard_uncertainty": [0.001, None, None, None],
        },
    ).with_columns(
        species=pl.lit(None, pl.String), interpolated=pl.lit(False), composition_off=pl.lit(None, pl.Float64)
    )
    for row in run_module.measure(folder, references=references)["diffusion"].iter_rows(named=True):
        assert row["finite_size_viscosity_pa_s"] == 0.02
        assert row["finite_size_viscosity_source"] == "experiment: a handbook"
        expected = 2.837297 * 1.380649e-23 * 400 / (6 * np.pi * 0.02 * EDGE * 1e-10)
        assert row["finite_size_correction_m2_s"] == pytest.approx(expected, rel=1e-6)
        # as 1 / (eta V^(1/3)): 5 % of the viscosity and a third of that of the volume, which is that of the density
        volume = first["density"]["standard_error_kg_m3"][0] / first["density"]["density_kg_m3"][0]
        assert row["finite_size_standard_error_m2_s"] == pytest.approx(expected * np.hypot(0.05, volume / 3), rel=1e-6)
    true = with_pressures(folder)
    tables = run_module.measure(folder, references=references)
    viscosity = tables["viscosity"].row(0, named=True)
    assert viscosity["ci95_low_pa_s"] < true < viscosity["ci95_high_pa_s"]
    assert viscosity["converged"], viscosity["reason"]
    for row in tables["diffusion"].iter_rows(named=True):
        assert row["finite_size_viscosity_source"] == "this run"
        assert row["finite_size_viscosity_pa_s"] == viscosity["viscosity_pa_s"]
        relative = viscosity["standard_error_pa_s"] / viscosity["viscosity_pa_s"]
        error = row["finite_size_correction_m2_s"] * np.hypot(relative, volume / 3)
        assert row["finite_size_standard_error_m2_s"] == pytest.approx(error, rel=1e-6) and relative > 0


def test_conductivity_of_few_ions_is_of_their_own(complete: dict[str, pl.DataFrame]) -> None:
    """Ions that walk alone but for the held centre of mass: the interval of the ionicity holds what that leaves of 1."""
    row = complete["conductivity"].row(0, named=True)
    assert row["nernst_einstein_converged"]
    volume, kelvin = (EDGE * 1e-10) ** 3, 400
    summed = PAIRS * sum(left_of_drift(ions(), name) for name in D_M2_S)
    expected = summed * 1.602176634e-19**2 / (volume * 1.380649e-23 * kelvin)
    assert row["nernst_einstein_ci95_low_s_m"] < expected < row["nernst_einstein_ci95_high_s_m"]
    assert row["ionicity"] == pytest.approx(row["conductivity_s_m"] / row["nernst_einstein_s_m"])
    assert row["ionicity_ci95_low"] < 1 < row["ionicity_ci95_high"]
    assert (row["converged"], row["reason"], row["needed_ps"]) == (True, None, None)
    parts = {r["pair"]: r["onsager_s_m"] for r in complete["onsager"].iter_rows(named=True)}
    total = parts["pyr-pyr"] + parts["bf4-bf4"] + 2 * parts["pyr-bf4"]
    assert total == pytest.approx(row["conductivity_s_m"], rel=0.3)


def small(topology: Topology) -> np.ndarray:
    shape = np.random.default_rng(4).normal(size=(len(topology), 3)) * 0.01
    return shape - topology.centres(shape)[topology.molecule]


def write_box(tmp_path: Path, x: np.ndarray) -> Path:
    folder = write_run(tmp_path / "box", None)
    write_dcd(folder / "nvt.dcd", x, edge=30.0)
    return folder


def test_a_run_that_broke_in_nvt_keeps_its_numbers_and_says_how_it_ended(tmp_path: Path) -> None:
    x = trajectory(ions(), frames=600)
    x[500:] = np.nan  # what a run writes when it explodes
    folder = write_run(tmp_path / "a", x, end="nan", detail="forces at step 20000", survived_ps=50.0)
    tables = run_module.measure(folder)
    for row in [tables["density"].row(0, named=True), *by_species(tables["diffusion"]).values()]:
        assert not row["converged"]
        assert row["reason"].startswith("run ended: nan at 50 ps")
    assert tables["density"]["density_kg_m3"][0] == pytest.approx(DENSITY, abs=3)
    for name, row in by_species(tables["diffusion"]).items():
        assert row["ci95_low_m2_s"] < row["diffusion_m2_s"] < row["ci95_high_m2_s"]
        assert row["diffusion_m2_s"] == pytest.approx(D_M2_S[name], rel=0.4)
    assert tables["structure"]["value"].is_finite().all()
    for name in ("structure", "coordination", "kinetics"):
        assert tables[name]["reason"].str.starts_with("run ended: nan at 50 ps").all(), name
    assert not tables["coordination"]["converged"].any()
    survival = tables["survival"].row(0, named=True)
    assert (survival["planned_ps"], survival["survived_ps"]) == (70.0, 50.0)
    assert (survival["end"], survival["detail"]) == ("nan", "forces at step 20000")


def test_a_run_that_broke_in_npt_has_every_row_with_a_reason(tmp_path: Path) -> None:
    x = trajectory(ions(), frames=20)
    folder = write_run(tmp_path / "a", None, npt=x, n_density=10, end="bond_broken", survived_ps=0.1)
    tables = run_module.measure(folder)
    density = tables["density"].row(0, named=True)
    assert density["density_kg_m3"] is not None and density["standard_error_kg_m3"] is None
    assert density["reason"] == "run ended: bond_broken at 0.1 ps; 10 samples: too few"
    rows = by_species(tables["diffusion"])
    assert set(rows) == set(D_M2_S)  # a row for each ion, though there is nothing to measure
    for row in rows.values():
        assert row["diffusion_m2_s"] is None and not row["converged"]
        assert row["reason"] == "run ended: bond_broken at 0.1 ps; no NVT survived"
    assert len(tables["structure"]) and len(tables["survival"]) == 1


def test_a_run_that_broke_at_once_still_has_its_rows(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "a", None, n_density=0, end="error", detail="x", survived_ps=0.0)
    tables = run_module.measure(folder)
    assert {name: len(table) for name, table in tables.items()} == {
        "displacement": 0, "onsager": 3, "survival": 1, "domain": 1, "structure": 0, "coordination": 0, "conformers": 0, "kinetics": 0,
    } | {observable.name: 2 if observable.by_species else 1 for observable in OBSERVABLES}  # fmt: skip
    assert tables["density"]["reason"][0] == "run ended: error at 0 ps; no NPT survived"


def test_a_density_that_is_not_finite_ends_the_series(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "a", None, npt=None)
    thermo = pl.read_parquet(folder / "thermo.parquet")
    late = pl.when((pl.col("time_ps") >= 30) & (pl.col("phase") == "npt"))
    thermo.with_columns(late.then(float("nan")).otherwise("density_kg_m3").alias("density_kg_m3")).write_parquet(
        folder / "thermo.parquet"
    )
    row = run_module.measure(folder)["density"].row(0, named=True)
    assert row["density_kg_m3"] == pytest.approx(DENSITY, abs=3)


def test_phases_that_were_not_planned_are_told_from_those_that_broke(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "a", None, n_density=0, npt_planned_ps=0.0, nvt_planned_ps=0.0)
    tables = run_module.measure(folder)
    assert tables["density"]["reason"][0] == "no NPT was planned"
    assert tables["diffusion"]["reason"].unique().to_list() == ["no NVT was planned"]


def test_an_untrained_model_has_no_seed_and_no_dataset(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "a", None, dataset=None, model_seed=None, framework="classical")
    for table in run_module.measure(folder).values():
        assert table["seed"].null_count() == len(table) == table["dataset"].null_count()
        assert table["seed"].dtype == pl.Int64 and table["dataset"].dtype == pl.String


def test_command_line_writes_the_tables_and_a_mistake_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = write_run(tmp_path / "a", trajectory(ions(), frames=200))
    call = ["--id", "x", "--out", str(tmp_path / "out"), "--run"]
    assert run_module.main([*call, str(folder)]) == 0
    beside = {"SHA256SUMS", "run.json", view.VIEW}
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {f"x.{name}.parquet" for name in ("survival", *(m.name for m in MEASUREMENTS))} | beside
    for name, table in run_module.measure(folder).items():
        assert pl.read_parquet(tmp_path / "out" / f"x.{name}.parquet").equals(table)
    (folder / "run.json").unlink()
    assert run_module.main([*call, str(folder)]) == 2
    stderr = capsys.readouterr().err
    assert "run.json is missing" in stderr and stderr.count("\n") == 1
    write_run(folder, trajectory(ions(), frames=20)[:, :-1])
    assert run_module.main([*call, str(folder)]) == 2
    assert "71 atoms, topology.json has 72" in capsys.readouterr().err
