"""Equilibration: the same bytes twice, a state that fits together, honest errors, injected faults."""

import json
from pathlib import Path
from typing import Any

import ase.io
import mdtraj
import numpy as np
import openmm
import polars as pl
import pytest
from openmm import unit

from ionmelt.dynamics.thermo import THERMO
from ionmelt.errors import UserError
from ionmelt.liquid import equilibration, packing
from ionmelt.liquid.density import estimate_density
from ionmelt.liquid.equilibration import run_phases
from ionmelt.liquid.forcefield import load_forcefield
from ionmelt.liquid.ions import library, resolve
from ionmelt.liquid.moving_box import Sample
from ionmelt.liquid.schedule import Phase, schedule
from ionmelt.liquid.settings import StateSettings
from ionmelt.liquid.system import constrain_hydrogens, opls_system
from ionmelt.topology import Topology

ASSETS = Path(__file__).resolve().parents[3] / "assets"
PYR14, BF4 = "CCCC[N+]1(C)CCCC1", "F[B-](F)(F)F"
FILES = [
    "SHA256SUMS", "equilibration.json", "start.extxyz", "system.xml", "thermo.parquet", "topology.json", "topology.pdb",
    "trajectory.dcd",
]  # fmt: skip


def settings(**changes: Any) -> dict[str, Any]:
    default = {
        "id": "x-430K-r1", "liquid": "x", "replica": 1, "seed": 5, "temperature_K": 430.0,
        "pressure_bar": 1.0, "force_field": "clandp", "timestep_fs": 4.0, "cutoff_A": "auto",
        "anneal_K": 600.0, "anneal_ps": 1.2, "cool_ps": 0.4, "settle_ps": 0.4, "production_ps": 1.2,
        "save_every_ps": 0.1,
    }  # fmt: skip
    return {**default, **changes}


def packed(folder: Path, ions: list[dict[str, Any]], density_kg_m3: float, force_field: str = "clandp") -> Path:
    """Pack some ions into a box; return its folder."""
    plan = {
        "id": "x-r1",
        "liquid": "x",
        "replica": 1,
        "cutoff_A": "auto",
        "seed": 3,
        "ions": ions,
        "charge_scale": 1.0,
        "density_guess_kg_m3": density_kg_m3,
        "force_field": force_field,
    }
    (folder / "box.json").write_text(json.dumps(plan))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        arguments = ["--settings", "box.json", "--assets", str(ASSETS), "--out", "x-r1"]
        assert packing.main(["--id", "x-r1", *arguments]) == 0
    return folder / "x-r1"


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Path:
    ions = [
        {"name": "pyr14", "smiles": PYR14, "charge": 1, "count": 4, "types": None, "hydrogen_types": None},
        {"name": "bf4", "smiles": BF4, "charge": -1, "count": 4, "types": None, "hydrogen_types": None},
    ]
    return packed(tmp_path_factory.mktemp("box"), ions, 1050.0)


def run(folder: Path, box: Path, name: str, threads: int = 1, **changes: Any) -> int:
    path = folder / f"{name}.json"
    path.write_text(json.dumps(settings(**changes)))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return equilibration.main(
            [
                "--id",
                "x-430K-r1",
                "--settings",
                str(path),
                "--box",
                str(box),
                "--threads",
                str(threads),
                "--out",
                name,
                "--table",
                f"{name}.parquet",
            ]
        )


@pytest.fixture(scope="module")
def state(box: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("state")
    assert run(folder, box, "state") == 0
    return folder / "state"


def test_the_same_bytes_twice(state: Path, box: Path, tmp_path: Path) -> None:
    assert sorted(path.name for path in state.iterdir()) == FILES
    assert run(tmp_path, box, "again") == 0
    for name in FILES:
        assert (tmp_path / "again" / name).read_bytes() == (state / name).read_bytes(), name
    assert run(tmp_path, box, "other", seed=6) == 0
    assert (tmp_path / "other/start.extxyz").read_bytes() != (state / "start.extxyz").read_bytes()


def test_the_state_fits_together(state: Path, box: Path) -> None:
    topology = Topology.load(state / "topology.json")
    start = ase.io.read(state / "start.extxyz")
    assert list(start.arrays["ion"]) == list(topology.ion) and start.info["liquid"] == "x" and start.pbc.all()
    trajectory = mdtraj.load_dcd(str(state / "trajectory.dcd"), top=str(state / "topology.pdb"))
    thermo = pl.read_parquet(state / "thermo.parquet")
    assert list(thermo.schema.items()) == list(THERMO.items())
    production = thermo.filter(pl.col("phase") == "production")
    assert len(trajectory) == len(production) == 12
    np.testing.assert_allclose(trajectory.xyz[-1] * 10, start.positions, atol=1e-4)
    np.testing.assert_allclose(trajectory.unitcell_lengths[-1] * 10, start.cell.lengths(), atol=1e-4)
    np.testing.assert_allclose(
        (trajectory.unitcell_lengths.astype(float) * 10).prod(1), production["volume_A3"], rtol=1e-5
    )
    # whole ions with their centres in the cell
    bonds = np.diff(trajectory.xyz[:, topology.bonds], axis=2)[:, :, 0] * 10
    assert np.linalg.norm(bonds, axis=-1).max() < 1.9
    centres = topology.centres(start.positions)
    assert (centres >= 0).all() and (centres < start.cell.lengths()).all()
    # the density is that of the real masses, whatever the hydrogens weighed in the simulation
    np.testing.assert_allclose(
        production["density_kg_m3"] * production["volume_A3"], topology.masses_u.sum() * 1660.539, rtol=1e-6
    )
    record = json.loads((state / "equilibration.json").read_text())
    assert record["density_kg_m3"] == pytest.approx(production["density_kg_m3"].mean())
    assert record["phases_ps"]["production"] == 1.2 and record["n_atoms"] == 140 and record["cutoff_A"] > 4.5
    assert (state / "system.xml").read_bytes() == (box / "system.xml").read_bytes()


def test_thermo_follows_the_schedule(state: Path) -> None:
    thermo = pl.read_parquet(state / "thermo.parquet")
    assert thermo["phase"].unique(maintain_order=True).to_list() == [
        "heat", "compress", "anneal", "cool", "settle", "production",
    ]  # fmt: skip
    assert thermo["time_ps"].to_list() == sorted(thermo["time_ps"]) and thermo["time_ps"][-1] == pytest.approx(3.2)
    heat = thermo.filter(pl.col("phase") == "heat")
    assert heat["volume_A3"].n_unique() == 1 and heat["volume_A3"].n_unique() < len(heat)
    assert thermo.filter(pl.col("phase") == "production")["volume_A3"].n_unique() > 5


def test_the_potential_energy_is_that_of_the_frame(state: Path) -> None:
    """The last row of thermo and start.extxyz, evaluated again from the files alone."""
    start = ase.io.read(state / "start.extxyz")
    system = openmm.XmlSerializer.deserialize((state / "system.xml").read_text())
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("Reference"))
    context.setPeriodicBoxVectors(*(openmm.Vec3(*row) for row in np.array(start.cell) / 10))
    context.setPositions(start.positions / 10)
    energy = context.getState(energy=True).getPotentialEnergy().value_in_unit(unit.kilojoule_per_mole) / 96.48533
    recorded = pl.read_parquet(state / "thermo.parquet")["potential_energy_ev"][-1]
    assert energy == pytest.approx(recorded, abs=0.01)


def test_schedule() -> None:
    phases = schedule(StateSettings.model_validate(settings(anneal_ps=60.0, cool_ps=100.0, timestep_fs=2.0)))
    assert [phase.name for phase in phases][:3] == ["heat", "compress", "anneal"]
    heat, compress, anneal, cool = phases[:4]
    assert (heat.ps, heat.pressure_bar, heat.timestep_fs) == (2.0, None, 1.0)
    assert (compress.ps, compress.pressure_bar, compress.timestep_fs) == (10.0, 500.0, 2.0)
    assert anneal.ps == pytest.approx(48.0) and anneal.pressure_bar == 1.0
    assert (cool.start_K, cool.stop_K) == (600.0, 430.0)
    assert schedule(StateSettings.model_validate(settings(force_field="xtb"))) == schedule(
        StateSettings.model_validate(settings())
    ), "xtb runs what is asked for, and nothing less"


def test_a_ramp_does_not_depend_on_how_seldom_frames_are_saved() -> None:
    """One frame for the whole phase: the bath must still pass through the temperatures between, in a line."""
    fake, topology = Fake([5.0] * 1000), Topology("t", [LITHIUM])
    packed = equilibration.density_kg_m3(topology, 125.0)
    list(run_phases(fake, [Phase("cool", 10.0, 600, 400, 1.0, 2.0)], topology, packed, 10.0))
    assert len(fake.baths) >= 50
    np.testing.assert_allclose(fake.baths, np.interp(np.arange(1, 51), [0, 50], [600, 400]))


def test_frames_are_evenly_spaced_up_to_the_end() -> None:
    """2.3 ps saved every 0.5 ps: what is left over comes before the first frame, not between the last two."""
    fake, topology = Fake([5.0] * 1000), Topology("t", [LITHIUM])
    packed = equilibration.density_kg_m3(topology, 125.0)
    phases = [Phase("production", 2.3, 400, 400, 1.0, 1.0)]
    times = [row.time_ps for row, _ in run_phases(fake, phases, topology, packed, 0.5)]
    assert times == pytest.approx([0.3, 0.8, 1.3, 1.8, 2.3])


def test_hydrogens_are_constrained_and_mass_is_kept() -> None:
    ion_library = library(ASSETS)
    ions = [resolve({**ion_library[name], "count": 1}, ion_library) for name in ("emim", "bf4")]
    topology = Topology("t", ions)
    field = load_forcefield(ASSETS / "forcefields/clandp.yaml")
    system = opls_system(topology, np.eye(3) * 20, 9.0, field)
    constrain_hydrogens(system, topology)
    assert system.getNumConstraints() == 11
    masses = np.array([system.getParticleMass(i).value_in_unit(unit.dalton) for i in range(len(topology))])
    assert masses.sum() == pytest.approx(topology.masses_u.sum())
    assert (masses[topology.elements == "H"] == 3.0).all() and masses.min() >= 3.0
    lengths = {round(system.getConstraintParameters(k)[2].value_in_unit(unit.angstrom), 3) for k in range(11)}
    assert lengths == {1.08, 1.09}


@pytest.mark.parametrize("smiles", ["[H][H]", "F[H-]F", "[BH4-]", "O"])
def test_no_atom_is_left_without_mass(smiles: str) -> None:
    """Dissolved hydrogen has no heavy atom that could give any; a hydrogen between two fluorines has two."""
    molecule = {"name": "m", "smiles": smiles, "count": 2, "types": None, "hydrogen_types": None}
    topology = Topology("t", [resolve(molecule, {})])
    system, bonds = openmm.System(), openmm.HarmonicBondForce()
    for mass in topology.masses_u:
        system.addParticle(mass)
    for i, j in topology.bonds.tolist():
        bonds.addBond(i, j, 0.1, 1e5)
    system.addForce(bonds)
    constrain_hydrogens(system, topology)
    assert system.getNumConstraints() == len(topology.bonds)
    masses = np.array([system.getParticleMass(i).value_in_unit(unit.dalton) for i in range(len(topology))])
    assert masses.sum() == pytest.approx(topology.masses_u.sum())
    assert masses.min() > 1.0


class Fake:
    """An engine whose cell and energy follow a script."""

    name = "fake"
    cutoff_A = None

    def __init__(self, edges: list[float], energy: float = 0.0, error: Exception | None = None) -> None:
        self.edges, self.energy, self.error = iter(edges), energy, error
        self.baths: list[float] = []

    def begin(self, phase: Phase) -> None:
        pass

    def advance(self, steps: int, temperature_K: float) -> Sample:
        if self.error:
            raise self.error
        self.baths.append(temperature_K)
        return Sample(np.zeros((1, 3)), np.eye(3) * next(self.edges), self.energy, 0.0, temperature_K)


LITHIUM = {
    "name": "li",
    "smiles": "[Li+]",
    "charge": 1,
    "count": 1,
    "elements": ["Li"],
    "bonds": [],
    "masses_u": [7.0],
}


@pytest.mark.parametrize(
    ("engine", "message"),
    [
        (Fake([5.0, 5.2, 9.0]), r"anneal: no liquid: 16 kg/m3 after 3\.0 ps"),
        (Fake([5.0, 3.0]), r"anneal: no liquid: 431 kg/m3 after 2\.0 ps"),
        (Fake([5.0], energy=float("nan")), "anneal: the simulation broke"),
        (
            Fake([5.0], error=openmm.OpenMMException("Particle coordinate is NaN")),
            r"broke \(Particle coordinate is",
        ),
    ],
)
def test_what_is_no_liquid_is_refused(engine: Fake, message: str) -> None:
    topology = Topology("t", [LITHIUM])
    phases = [Phase("anneal", 5.0, 600, 600, 1.0, 2.0)]
    packed = equilibration.density_kg_m3(topology, 125.0)
    with pytest.raises(UserError, match=message) as error:
        list(run_phases(engine, phases, topology, packed, 1.0))
    assert "\n" not in error.value.errors[0]


def test_a_step_too_long_is_the_users_mistake(box: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, box, "broken", timestep_fs=25.0) == 2
    lines = [line for line in capfd.readouterr().err.splitlines() if line.startswith("error")]
    assert len(lines) == 1 and "lower equilibration.timestep_fs" in lines[0]
    assert not (tmp_path / "broken").exists()


def test_a_box_below_twice_the_cutoff_says_so(box: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    tight = tmp_path / "tight"
    tight.mkdir()
    for name in ("box.extxyz", "topology.json"):
        (tight / name).write_bytes((box / name).read_bytes())
    edge = ase.io.read(box / "box.extxyz").cell.lengths()[0]
    field = load_forcefield(ASSETS / "forcefields/clandp.yaml")
    system = opls_system(Topology.load(box / "topology.json"), np.eye(3) * edge, 0.499 * edge, field)
    (tight / "system.xml").write_text(openmm.XmlSerializer.serialize(system))
    assert run(tmp_path, tight, "state", pressure_bar=5000.0, production_ps=4.0) == 2
    assert "the box shrank to twice the cut-off; lower equilibration.cutoff_A" in capfd.readouterr().err


def test_density_error_covers_a_correlated_series() -> None:
    """AR(1) noise, whose standard error is sd sqrt((1 + a) / (1 - a) / n)."""
    rng = np.random.default_rng(2)
    a, n, runs = 0.9, 4000, 30
    ratios = []
    for _ in range(runs):
        x = np.empty(n)
        x[0] = rng.normal()
        for i in range(1, n):
            x[i] = a * x[i - 1] + np.sqrt(1 - a**2) * rng.normal()
        result = estimate_density(1000 + 10 * x, 0.5)
        ratios.append(result.standard_error_kg_m3 / (10 * np.sqrt((1 + a) / (1 - a) / n)))
    assert np.mean(ratios) == pytest.approx(1.0, abs=0.1)


def test_convergence_flags() -> None:
    rng = np.random.default_rng(0)
    flat = estimate_density(1000 + rng.normal(size=400), 1.0)
    assert flat.converged and flat.reason is None and flat.n_effective > 200
    drifting = estimate_density(1000 + np.linspace(0, 50, 400) + rng.normal(size=400), 1.0)
    assert not drifting.converged and "effective samples" in drifting.reason
    assert drifting.drift_kg_m3 == pytest.approx(25, abs=1)
    few = estimate_density(np.array([1000.0, 1001.0, 1002.0]), 1.0)
    assert few.standard_error_kg_m3 is None and not few.converged and "fewer than 10" in few.reason


def test_xtb_runs_the_same_phases(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    ions = [
        {"name": "li", "smiles": "[Li+]", "charge": 1, "count": 1, "types": None, "hydrogen_types": None},
        {"name": "bf4", "smiles": BF4, "charge": -1, "count": 1, "types": None, "hydrogen_types": None},
    ]
    box = packed(tmp_path, ions, 1000.0, "xtb")
    times = {"anneal_ps": 0.006, "cool_ps": 0.002, "settle_ps": 0.002, "production_ps": 0.004, "save_every_ps": 0.001}
    for name in ("a", "b"):
        assert run(tmp_path, box, name, force_field="xtb", timestep_fs=0.5, **times) == 0
    assert "system.xml" not in {path.name for path in (tmp_path / "a").iterdir()}
    record = json.loads((tmp_path / "a/equilibration.json").read_text())
    assert record["engine"] == "tblite GFN1-xTB" and record["phases_ps"]["production"] == pytest.approx(0.004)
    assert (tmp_path / "a/start.extxyz").read_bytes() == (tmp_path / "b/start.extxyz").read_bytes()
    thermo = pl.read_parquet(tmp_path / "a/thermo.parquet")
    assert thermo["time_ps"][-1] == pytest.approx(0.014) and thermo["step"][-1] == 28, (
        "as long as asked, in the steps asked"
    )
    (row,) = pl.read_parquet(tmp_path / "a.parquet").to_dicts()
    assert (row["key"], row["replica"], row["converged"]) == ("x-430K-r1", 1, False)
    assert row["reason"] == record["reason"] and row["density_kg_m3"] == record["density_kg_m3"]
    assert f"warning: not equilibrated: {record['reason']}" in capfd.readouterr().err
    production = thermo.filter(pl.col("phase") == "production")
    assert np.diff(production["time_ps"]) == pytest.approx([0.001] * 3), "as far apart as asked"


@pytest.mark.long
def test_density_of_pyr14tfsi_is_near_experiment(tmp_path: Path) -> None:
    """40 pairs at 353.15 K: 1346.8 kg/m3 by experiment (ILThermo median); CL&P within 4 %."""
    ion_library = library(ASSETS)
    given = ("name", "smiles", "charge", "types", "hydrogen_types")
    ions = [{key: ion_library[name][key] for key in given} | {"count": 40} for name in ("pyr14", "tfsi")]
    box = packed(tmp_path, ions, 1350.0)
    times = {"anneal_ps": 60, "cool_ps": 100, "settle_ps": 50, "production_ps": 200, "save_every_ps": 1}
    assert run(tmp_path, box, "state", threads=2, temperature_K=353.15, **times) == 0
    record = json.loads((tmp_path / "state/equilibration.json").read_text())
    assert record["density_kg_m3"] == pytest.approx(1346.8, rel=0.04)
