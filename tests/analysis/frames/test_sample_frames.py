"""SAMPLE_FRAMES: every recipe obeys its law, groups hold copies together, and bytes are reproducible."""

import json
import shutil
from pathlib import Path

import numpy as np
import openmm
import polars as pl
import pytest
from ase import Atoms
from mdtraj.formats import DCDTrajectoryFile

from ionmelt.dataset import split
from ionmelt.errors import UserError
from ionmelt.frame import make_frame, read_frames
from ionmelt.frames import candidate
from ionmelt.frames import sampling as sampling_module
from ionmelt.frames import state as frames_state
from ionmelt.frames.candidate import Candidate
from ionmelt.frames.counts import RecipeCount, table_of
from ionmelt.frames.recipes import RECIPES, trajectory
from ionmelt.frames.recipes.clusters import cluster
from ionmelt.frames.refusal import refusal
from ionmelt.frames.sampling import collect, sample
from ionmelt.frames.selection import descriptors
from ionmelt.frames.settings import NEQ_RECIPES, SampleSettings
from ionmelt.frames.state import State
from ionmelt.topology import Topology

BOND_A = 1.40
PAIRS = 4
FRAMES = 60
TEMPERATURE_K = 430.0
SAMPLING = {
    "eq": {"frames": 12},
    "neq": {
        "volume_scan": {"frames": 8, "scale_min": 0.95, "scale_max": 1.15},
        "oscillation": {
            "frames": 6, "length_ps": 1.2, "period_ps": 0.4, "temperature_amplitude_K": 100.0,
            "box_amplitude": 0.05,
        },
        "packing": {"frames": 4, "density_min_fraction": 0.5, "density_max_fraction": 0.9, "strain": 0.05},
        "rattle": {"frames": 6, "sigma_A": 0.02},
    },
    "test_scan": {"scales": [1.0, 1.1, 0.97, 1.05]},
}  # fmt: skip
SETTINGS = {
    "id": "libf4",
    "liquid": "libf4",
    "seed": 7,
    "temperatures_K": [430.0],
    "sampling": SAMPLING,
    "chunk": 10,
}
TETRAHEDRON = np.array([[0, 0, 0], [1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) * BOND_A / np.sqrt(3)


def topology() -> Topology:
    bf4 = {
        "name": "bf4", "smiles": "F[B-](F)(F)F", "charge": -1, "count": PAIRS,
        "elements": ["B", "F", "F", "F", "F"],
        "bonds": [[0, 1], [0, 2], [0, 3], [0, 4]], "masses_u": [10.81] + [18.998] * 4, "types": None,
    }  # fmt: skip
    lithium = {
        "name": "li", "smiles": "[Li+]", "charge": 1, "count": PAIRS, "elements": ["Li"], "bonds": [],
        "masses_u": [6.94], "types": None,
    }  # fmt: skip
    return Topology("libf4", [lithium, bf4])


def force_field(top: Topology, edges: np.ndarray) -> openmm.System:
    """Springs in the ions; charges and soft spheres between them."""
    system = openmm.System()
    bonds, pairs = openmm.HarmonicBondForce(), openmm.NonbondedForce()
    pairs.setNonbondedMethod(openmm.NonbondedForce.CutoffPeriodic)
    pairs.setCutoffDistance(0.42 * edges.min() / 10)
    charges = {"Li": 1.0, "B": 0.6, "F": -0.4}
    sigma_nm = {"Li": 0.15, "B": 0.30, "F": 0.28}
    for element, mass in zip(top.elements, top.masses_u, strict=True):
        system.addParticle(mass)
        pairs.addParticle(charges[element], sigma_nm[element], 0.4)
    for boron in np.flatnonzero(top.elements == "B"):
        for i in range(5):
            for j in range(i + 1, 5):
                length = np.linalg.norm(TETRAHEDRON[i] - TETRAHEDRON[j]) / 10
                bonds.addBond(int(boron + i), int(boron + j), length, 2e5 if i == 0 else 4e4)
                pairs.addException(int(boron + i), int(boron + j), 0, 0.1, 0)
    system.addForce(bonds)
    system.addForce(pairs)
    system.setDefaultPeriodicBoxVectors(*(openmm.Vec3(*row) for row in np.diag(edges) / 10))
    return system


def state_record(**changes) -> str:
    """equilibration.json of a state of which it is not known whether it has converged."""
    record = {
        "id": "libf4-430K-r1", "liquid": "libf4", "replica": 1, "temperature_K": TEMPERATURE_K, "pressure_bar": 1.0,
        "force_field": "springs", "engine": "OpenMM", "cutoff_A": 4.0, "n_atoms": 24, "phases_ps": {"production": 1.0},
        "density_kg_m3": 700.0, "samples": 1, "converged": None, "reason": None,
    }  # fmt: skip
    unknown = dict.fromkeys(("standard_error_kg_m3", "n_effective", "correlation_time_ps", "drift_kg_m3"))
    return json.dumps(record | unknown | changes)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A state folder: LiBF4 with its bonds held at 1.40 A, whose box breathes a little."""
    path = tmp_path_factory.mktemp("states") / "libf4-430K-r1"
    path.mkdir()
    top = topology()
    edges = np.array([9.6, 9.6, 9.6])
    sites = [np.array([x, y, z]) for x in (0, 1) for y in (0, 1) for z in (0, 1)]
    lithium = [site * 4.8 for site in sites if site.sum() % 2 == 0]
    boron = [site * 4.8 for site in sites if site.sum() % 2 == 1]
    positions = np.vstack([*lithium, *(site + TETRAHEDRON for site in boron)])
    system = force_field(top, edges)
    for bond in top.bonds:
        system.addConstraint(*(int(i) for i in bond), BOND_A / 10)
    integrator = openmm.LangevinMiddleIntegrator(TEMPERATURE_K, 5.0, 0.001)
    integrator.setRandomNumberSeed(1)
    context = openmm.Context(
        system,
        integrator,
        openmm.Platform.getPlatformByName("CPU"),
        {"Threads": "1", "DeterministicForces": "true"},
    )
    frames_state.set_box(context, positions, edges)
    openmm.LocalEnergyMinimizer.minimize(context, 10.0, 100)
    context.setVelocitiesToTemperature(TEMPERATURE_K, 1)
    rng = np.random.default_rng(0)
    with DCDTrajectoryFile(str(path / "trajectory.dcd"), "w") as file:
        for _ in range(FRAMES):
            integrator.step(100)
            breath = 1 + 0.005 * rng.normal()
            moved, box = top.scaled(top.whole(frames_state.get_positions(context), edges), edges, breath)
            file.write(
                moved[None].astype(np.float32),
                cell_lengths=box[None].astype(np.float32),
                cell_angles=np.full((1, 3), 90, np.float32),
            )
    top.save(path / "topology.json")
    (path / "equilibration.json").write_text(state_record())
    free = openmm.XmlSerializer.serialize(force_field(top, edges))
    (path / "system.xml").write_text(free)
    return path


@pytest.fixture(scope="module")
def sampled(folder):
    """All frames of `SETTINGS` and the rows of the table."""
    return sample(asked(), [State(folder, seed=7)])


def asked(sampling: dict = SAMPLING, **changes) -> SampleSettings:
    """The settings with another section of sampling, in which what is not named is left out."""
    return SampleSettings.model_validate(SETTINGS | {"sampling": {"test_scan": None} | sampling} | changes)


def of(frames, recipe):
    return [frame for frame in frames if frame.info["recipe"] == recipe]


def run(folder: Path, out: Path, settings: dict = SETTINGS) -> int:
    settings_file = out.parent / f"{out.name}.json"
    settings_file.write_text(json.dumps(settings))
    arguments = ["--id", "libf4", "--settings", str(settings_file), "--states", str(folder)]
    return sampling_module.main([*arguments, "--out", str(out), "--counts", f"{out}.parquet"])


def test_the_same_input_gives_the_same_bytes_and_the_contract_holds(folder, sampled, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(folder, tmp_path / "a") == run(folder, tmp_path / "b") == 0
    every = sorted(path.name for path in (tmp_path / "a").iterdir())
    names = [name for name in every if name.endswith(".extxyz")]
    assert names == [f"libf4-{i:03d}.extxyz" for i in range(len(names))]
    assert every == sorted([*names, *(name.replace(".extxyz", ".txt") for name in names)])
    for name in every:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    for name in names:
        ids = (tmp_path / "a" / name).with_suffix(".txt").read_text().splitlines()
        assert ids == [frame.info["frame_id"] for frame in read_frames(tmp_path / "a" / name)]
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    frames = [frame for name in names for frame in read_frames(tmp_path / "a" / name)]
    assert [frame.info["frame_id"] for frame in frames] == [frame.info["frame_id"] for frame in sampled[0]]
    assert len(read_frames(tmp_path / "a" / names[0])) == 10
    assert len({frame.info["frame_id"] for frame in frames}) == len(frames)


def test_every_recipe_gives_what_was_asked_for(sampled):
    frames, rows = sampled
    table = table_of(rows)
    assert table["recipe"].to_list() == [recipe.name for recipe in RECIPES if recipe.name not in ("clusters", "ions")]
    assert table["requested"].to_list() == [12, 8, 6, 4, 6, 4]
    assert table["kept"].to_list() == [12, 8, 6, 4, 6, 4]
    assert [len(of(frames, recipe)) for recipe in table["recipe"]] == table["kept"].to_list()
    assert table["kind"].to_list() == ["eq"] + ["neq"] * 5
    assert table["spacing_frames"][0] >= 4
    assert table["inefficiency_frames"][0] >= 1


def test_a_pool_gives_the_same_number_of_frames_that_differ_more(folder, sampled):
    frames, rows = sample(asked(SAMPLING | {"pool": 4}), [State(folder, seed=7)])
    table = table_of(rows)
    assert table["kept"].to_list() == [12, 8, 6, 4, 6, 4]
    assert table["offered"].to_list() == [48, 32, 24, 16, 24, 4]
    assert len({frame.info["frame_id"] for frame in frames}) == len(frames)
    blocks = pl.Series([frame.info["group"] for frame in of(frames, "equilibrium")]).value_counts()["count"]
    assert blocks.max() - blocks.min() <= 1
    # Both choices in one space: with the pool the nearest neighbour of a frame is farther away.
    x = descriptors([*sampled[0], *frames])

    def spread(rows: range) -> float:
        distances = np.linalg.norm(x[rows][:, None] - x[rows][None], axis=2)
        return float(np.sort(distances, axis=1)[:, 1].mean())

    scan = len(SAMPLING["test_scan"]["scales"])
    count = len(frames)
    assert spread(range(count, 2 * count - scan)) > 1.1 * spread(range(count - scan))


def test_clusters_are_neutral_whole_and_alone(folder):
    given = {"frames": 6, "pairs_max": 2, "vacuum_A": 8.0}
    frames, rows = sample(asked({"neq": {"clusters": given}}), [State(folder, seed=7)])
    assert (rows[0].requested, rows[0].kept, rows[0].kind) == (6, 6, "neq")
    assert sorted(frame.info["ions"] for frame in frames) == [2, 2, 2, 4, 4, 4]
    state = State(folder, seed=7)
    blocks = {state.group(index) for index in range(state.usable)}
    for frame in frames:
        pairs = frame.info["ions"] // 2
        assert frame.get_chemical_formula() == Atoms(f"Li{pairs}" + "BF4" * pairs).get_chemical_formula()
        assert frame.arrays["ion"].tolist() == ["li"] * pairs + ["bf4"] * 5 * pairs
        assert frame.arrays["molecule"].tolist() == [*range(pairs), *np.repeat(range(pairs, 2 * pairs), 5)]
        assert frame.info["group"] in blocks
        # One piece with nothing of the next image within the room asked for.
        distances = frame.get_all_distances(mic=True)
        assert (np.abs(frame.get_all_distances() - distances) < 1e-9).all()
        assert (frame.positions.min(axis=0) > 3.9).all()
        assert (frame.cell.lengths() - frame.positions.max(axis=0) > 3.9).all()
        near = distances[np.array(frame.arrays["ion"]) == "li"][:, np.array(frame.symbols) == "F"]
        assert near.min() < 2.6


def test_single_ions_are_whole_alone_and_know_their_charge(folder):
    """Each kind in turn; the lithium, of which there is but one structure, once."""
    given = {"frames": 5, "vacuum_A": 10.0}
    frames, rows = sample(asked({"neq": {"ions": given}}), [State(folder, seed=7)])
    assert (rows[0].requested, rows[0].kept, rows[0].refused_duplicate) == (5, 5, 0)
    found = [(frame.get_chemical_formula(), frame.info["charge"], set(frame.arrays["ion"])) for frame in frames]
    assert found.count(("Li", 1, {"li"})) == 1
    assert found.count(("BF4", -1, {"bf4"})) == 4
    state = State(folder, seed=7)
    blocks = {state.group(index) for index in range(state.usable)}
    for frame in frames:
        assert frame.info["group"] in blocks
        assert not frame.arrays["molecule"].any()
        assert (np.abs(frame.get_all_distances() - frame.get_all_distances(mic=True)) < 1e-9).all()
        np.testing.assert_allclose(frame.positions.min(axis=0), 5.0, atol=1e-6)
        np.testing.assert_allclose(frame.cell.lengths() - frame.positions.max(axis=0), 5.0, atol=1e-6)
    again, _ = sample(asked({"neq": {"ions": given}}), [State(folder, seed=7)])
    assert [frame.info["frame_id"] for frame in again] == [frame.info["frame_id"] for frame in frames]


def test_a_cluster_takes_the_nearest_through_the_boundary():
    top = topology()
    rng = np.random.default_rng(1)
    positions = np.zeros((len(top), 3))
    edges = np.array([20.0, 20.0, 20.0])
    # Lithiums along x at the left edge, anions far to the right: the nearest is through the boundary.
    for molecule, start in enumerate(top.starts):
        inside = top.molecule == molecule
        x = 0.5 if molecule < PAIRS else 19.5
        shape = np.zeros((1, 3)) if molecule < PAIRS else TETRAHEDRON
        positions[inside] = np.array([x, 2.0 + 4 * (molecule % PAIRS), 10.0]) + shape
        assert start == np.flatnonzero(inside)[0]
    ions, shifts = cluster(top, positions, edges, 2, rng)
    (lithium, anion) = ions
    assert anion - PAIRS == lithium
    assert np.abs(shifts[ions].sum(axis=0)).tolist() == [20.0, 0.0, 0.0]


def test_frames_are_physical_whole_and_alike_in_a_row(sampled):
    top = topology()
    for frame in sampled[0]:
        assert refusal(frame, top) is None
        assert frame.cell.orthorhombic
        assert frame.pbc.all()
        assert frame.arrays["molecule"].tolist() == top.molecule.tolist()
        assert frame.arrays["ion"].tolist() == top.ion.tolist()
    keys = [(frame.info["recipe"], frame.info["group"]) for frame in sampled[0]]
    runs = [key for i, key in enumerate(keys) if i == 0 or keys[i - 1] != key]
    assert len(runs) == len(set(runs))


def test_scaling_moves_centres_and_nothing_in_an_ion():
    top = topology()
    positions = np.random.default_rng(0).uniform(0, 9, (len(top), 3))
    moved, edges = top.scaled(positions, np.array([9.0, 10.0, 11.0]), 1.07)
    assert np.allclose(edges, [9.63, 10.7, 11.77], atol=1e-12)
    assert np.allclose(top.centres(moved), 1.07 * top.centres(positions), atol=1e-12)
    for ion in range(2 * PAIRS):
        inside = top.molecule == ion
        shape = positions[inside] - positions[inside][0]
        assert np.allclose(moved[inside] - moved[inside][0], shape, atol=1e-12)


def test_the_test_scan_is_one_frozen_frame_at_every_scale(sampled, folder):
    top = topology()
    scan = of(sampled[0], "test_scan")
    assert [frame.info["scan_scale"] for frame in scan] == [0.97, 1.0, 1.05, 1.1]
    assert {frame.info["group"] for frame in scan} == {"libf4-430K-r1-test_scan"}
    still = scan[1]
    for frame in scan:
        factor = frame.info["scan_scale"]
        centres = top.centres(frame.positions)
        assert np.allclose(centres, factor * top.centres(still.positions), atol=3e-6)
        inner = frame.positions - centres[top.molecule]
        assert np.allclose(inner, still.positions - top.centres(still.positions)[top.molecule], atol=3e-6)
        assert np.allclose(frame.cell.lengths(), factor * still.cell.lengths(), atol=2e-6)
    parent = State(folder, seed=7).positions[-1]
    assert np.sqrt(np.mean((still.positions - parent) ** 2)) < 1.0


def test_the_volume_scan_covers_its_range_with_rigid_ions(sampled, folder):
    state, top = State(folder, seed=7), topology()
    scales = [frame.info["scale"] for frame in of(sampled[0], "volume_scan")]
    assert sorted(int((scale - 0.95) / 0.2 * 8) for scale in scales) == list(range(8))
    for frame in of(sampled[0], "volume_scan"):
        centres = top.centres(frame.positions)
        inner = frame.positions - centres[top.molecule]
        block = [i for i in range(state.usable) if state.group(i) == frame.info["group"]]
        matches = 0
        for index in block:
            positions, edges = state.frame(index)
            same_cell = np.allclose(frame.cell.lengths(), edges * frame.info["scale"], atol=2e-6)
            own = top.centres(positions)
            matches += bool(
                same_cell
                and np.allclose(centres, own * frame.info["scale"], atol=3e-6)
                and np.allclose(inner, positions - own[top.molecule], atol=3e-6)
            )
        assert matches == 1


def test_a_copy_is_in_the_group_of_its_parent(sampled, folder):
    """Whichever frame of the trajectory a rattled frame was made from, its group is that frame's block."""
    state = State(folder, seed=7)
    thawed = [state.frame(index) for index in range(state.usable)]
    for frame in of(sampled[0], "rattle") + of(sampled[0], "equilibrium"):
        moves = [np.sqrt(np.mean((frame.positions - positions) ** 2)) for positions, _ in thawed]
        assert min(moves) < 0.03
        assert frame.info["group"] == state.group(int(np.argmin(moves)))


def test_blocks_are_consecutive_and_leave_the_held_out_frame_alone(folder):
    state = State(folder, seed=7)
    groups = [state.group(index) for index in range(state.usable)]
    assert groups == sorted(groups, key=lambda group: int(group.rsplit("-", 1)[1]))
    assert len(set(groups)) == state.blocks >= 3
    assert state.usable <= FRAMES - 1
    assert max(trajectory.evenly_spaced(state, 1000)) == state.usable - 1
    assert len(trajectory.evenly_spaced(state, 1000)) == state.usable
    assert np.ptp(np.diff(trajectory.evenly_spaced(state, 12))) <= 1


def test_bonds_that_the_trajectory_holds_fixed_are_set_free(sampled, folder):
    """A classical harmonic bond spreads by sqrt(kT/k): the springs of the ion are known."""
    top = topology()
    state = State(folder, seed=7)
    first, second = top.bonds.T
    fixed = np.linalg.norm(state.positions[:, first] - state.positions[:, second], axis=-1)
    assert fixed.std() < 1e-4
    positions = np.array([state.frame(index)[0] for index in range(0, 40)])
    free = np.linalg.norm(positions[:, first] - positions[:, second], axis=-1)
    # breathing mode of BF4: four bonds of 2e5 and six edges of 4e4 kJ/mol/nm^2, each edge sqrt(8/3) of a bond
    stiffness = (4 * 2e5 + 6 * 4e4 * 8 / 3) / 4
    thermal_A = 10 * np.sqrt(8.314e-3 * TEMPERATURE_K / stiffness)
    breathing = free.reshape(40, PAIRS, 4).mean(axis=-1)
    assert breathing.std() * 2 == pytest.approx(thermal_A, rel=0.25)
    # the ions themselves hardly move: no further than free Brownian motion would take them
    moves = top.centres(positions) - top.centres(state.positions[:40])
    edges = state.edges[:40, None]
    moves -= edges * np.round(moves / edges)
    time_ps = frames_state.THAW_STEPS * frames_state.THAW_TIMESTEP_PS
    for ion, mass_u in (("li", 6.94), ("bf4", 86.802)):
        diffusion = 8.314e-3 * TEMPERATURE_K / (mass_u * frames_state.THAW_FRICTION_PS)
        rms_A = np.sqrt(np.mean(moves[:, top.molecule_ion == ion] ** 2))
        assert 0 < rms_A < 1.2 * 10 * np.sqrt(2 * diffusion * time_ps)


def test_packings_have_the_density_and_strain_asked_for(sampled, folder):
    volume = State(folder, seed=7).edges.prod(axis=1).mean()
    frames = of(sampled[0], "packing")
    for i, frame in enumerate(frames):
        fraction = volume / frame.get_volume()
        assert 0.5 + 0.1 * i <= fraction <= 0.5 + 0.1 * (i + 1)
        assert fraction == pytest.approx(frame.info["density_fraction"], abs=1e-5)
        edges = frame.cell.lengths()
        assert 1 < edges.max() / edges.min() < 1.05 / 0.95 + 1e-6
    assert len({frame.info["group"] for frame in frames}) == 4


def test_the_box_oscillates_as_a_sine_and_a_period_is_a_group(sampled, folder):
    edge = State(folder, seed=7).edges[0, 0]
    frames = of(sampled[0], "oscillation")
    times_ps = (np.arange(6) + 0.5) / 6 * 1.2
    expected = edge * (1 + 0.05 * np.sin(2 * np.pi * times_ps / 0.4))
    assert [frame.cell.lengths()[0] for frame in frames] == pytest.approx(expected, abs=2e-5)
    assert [frame.info["group"] for frame in frames] == [f"libf4-430K-r1-oscillation-{k}" for k in (0, 0, 1, 1, 2, 2)]


@pytest.mark.parametrize("recipe", ["equilibrium", "rattle", "packing"])
def test_a_recipe_gives_the_same_frames_alone(sampled, folder, recipe):
    alone = {"eq": SAMPLING["eq"]} if recipe == "equilibrium" else {"neq": {recipe: SAMPLING["neq"][recipe]}}
    frames, _ = sample(asked(alone), [State(folder, seed=7)])
    ids = [frame.info["frame_id"] for frame in frames]
    assert ids == [frame.info["frame_id"] for frame in of(sampled[0], recipe)]


def test_another_seed_gives_other_frames(sampled, folder):
    frames, _ = sample(asked({"neq": {"rattle": SAMPLING["neq"]["rattle"]}}, seed=8), [State(folder, seed=8)])
    ids = {frame.info["frame_id"] for frame in of(sampled[0], "rattle")}
    assert not ids & {frame.info["frame_id"] for frame in frames}


def pair(distance_A: float, stretch: float = 1.0, edge: float = 12.0):
    """One Li at a distance from a fluorine of one BF4, along the bond."""
    ions = topology().ions
    top = Topology("libf4", [ion | {"count": 1} for ion in ions])
    shape = TETRAHEDRON * stretch
    away = shape[1] / np.linalg.norm(shape[1])
    positions = np.vstack([shape[1] + away * distance_A, shape]) + 5
    numbers = np.array([3, 5, 9, 9, 9, 9])
    info = {"liquid": "libf4", "kind": "eq", "recipe": "equilibrium", "group": "g"}
    return make_frame(numbers, positions, np.full(3, edge), top.molecule, top.ion, **info), top


def test_refusals():
    assert refusal(*pair(1.85)) is None  # lithium and fluorine of LiBF4 are this close
    assert refusal(*pair(1.0)) == "contact"
    assert refusal(*pair(3.0, stretch=1.5)) == "bond"
    assert refusal(*pair(3.0, stretch=0.6)) == "bond"
    assert refusal(*pair(1.85, edge=3.2)) == "contact"  # with an image of itself


def test_refused_candidates_are_counted_and_replaced():
    frame, top = pair(1.85)
    good = Candidate(frame.positions, np.full(3, 12.0), "g")
    other = Candidate(frame.positions, np.full(3, 13.0), "g")
    contact = Candidate(pair(0.9)[0].positions, np.full(3, 12.0), "g")
    bond = Candidate(pair(3.0, stretch=1.6)[0].positions, np.full(3, 12.0), "g")
    endless = iter(lambda: contact, None)
    slots = [[good], [good, bond, other], [contact], endless]
    count = RecipeCount("libf4", "rattle", "neq", requested=4)
    frames = collect(count, slots, top, set())
    assert [frame.cell.lengths()[0] for frame in frames] == [12.0, 13.0]
    assert (count.refused_duplicate, count.refused_contact, count.refused_bond) == (1, 1 + candidate.TRIES, 1)


def test_a_shortfall_is_shown(folder):
    frames, rows = sample(asked({"eq": {"frames": 1000}}), [State(folder, seed=7)])
    assert rows[0].requested == 1000
    assert rows[0].kept == len(frames) == State(folder, seed=7).usable
    assert rows[0].spacing_frames == 1.0


@pytest.fixture
def without_force_field(folder, tmp_path) -> Path:
    path = tmp_path / folder.name
    path.mkdir()
    for name in ("topology.json", "trajectory.dcd", "equilibration.json"):
        (path / name).write_bytes((folder / name).read_bytes())
    return path


def test_without_a_force_field_frames_are_taken_as_they_are(without_force_field):
    sampling = {"eq": SAMPLING["eq"], "neq": {"rattle": SAMPLING["neq"]["rattle"]}}
    state = State(without_force_field, seed=7)
    frames, _ = sample(asked(sampling), [state])
    assert len(frames) == 18
    taken = state.positions[trajectory.evenly_spaced(state, 12)]
    assert np.allclose([frame.positions for frame in of(frames, "equilibrium")], taken, atol=1e-6)


@pytest.mark.parametrize("converged", [True, False, None])
def test_equilibrium_frames_say_whether_their_liquid_is_equilibrated(
    without_force_field, tmp_path, monkeypatch, converged
):
    monkeypatch.chdir(tmp_path)
    if converged is not None:
        record = json.loads((without_force_field / "equilibration.json").read_text())
        record |= {"converged": converged, "reason": None if converged else "3 effective samples, 10 wanted"}
        (without_force_field / "equilibration.json").write_text(json.dumps(record))
    sampling = {"eq": SAMPLING["eq"], "neq": {"rattle": SAMPLING["neq"]["rattle"]}}
    assert run(without_force_field, tmp_path / "a", SETTINGS | {"sampling": {"test_scan": None} | sampling}) == 0
    frames = [frame for path in sorted((tmp_path / "a").glob("*.extxyz")) for frame in read_frames(path)]
    assert {frame.info.get("equilibrated") for frame in of(frames, "equilibrium")} == {converged}
    assert {frame.info.get("equilibrated") for frame in of(frames, "rattle")} == {None}
    rows = {row["recipe"]: row for row in pl.read_parquet(tmp_path / "a.parquet").to_dicts()}
    assert rows["equilibrium"]["equilibrated"] is converged
    assert split.table_row(of(frames, "equilibrium")[0], "eq", "train")["equilibrated"] is converged


def test_mistakes_are_lines(without_force_field, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(without_force_field, tmp_path / "a") == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(":")[1] for line in lines] == [" sampling.neq.oscillation", " sampling.neq.packing"]
    assert run(without_force_field, tmp_path / "b", SETTINGS | {"liquid": "other"}) == 2
    assert "is a state of libf4, not other" in capsys.readouterr().err
    (without_force_field / "trajectory.dcd").unlink()
    with pytest.raises(UserError, match=r"trajectory\.dcd is missing"):
        State(without_force_field, seed=7)


def test_what_a_state_is_stands_in_its_record_and_not_in_its_name(folder, tmp_path):
    named = tmp_path / "box"
    shutil.copytree(folder, named)
    (named / "equilibration.json").write_text(state_record(temperature_K=351.5, replica=12))
    state = State(named, seed=7)
    assert (state.temperature_K, state.replica, state.bath) == (351.5, 12, {"temperature_K": 351.5})
    assert state.groups == {state.group(i) for i in range(state.usable)}
    (named / "equilibration.json").unlink()
    with pytest.raises(UserError, match=r"equilibration\.json is missing"):
        State(named, seed=7)


def test_each_state_gives_its_share_even_where_one_name_begins_another(folder, tmp_path):
    """Two states of which the name of one is the start of the other's."""
    states = []
    for i, name in enumerate(("libf4-430K-r1", "libf4-430K-r1-b")):
        shutil.copytree(folder, tmp_path / name)
        (tmp_path / name / "equilibration.json").write_text(state_record(replica=i + 1))
        states.append(State(tmp_path / name, seed=7))
    given = asked({"eq": {"frames": 3}, "pool": 2})
    frames, _ = sample(given, states)
    assert [sum(f.info["group"] in s.groups for f in frames) for s in states] == [3, 3]


def test_each_recipe_of_the_settings_has_a_row() -> None:
    assert [recipe.name for recipe in RECIPES] == ["equilibrium", *NEQ_RECIPES, "test_scan"]
