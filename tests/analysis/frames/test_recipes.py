"""Each recipe obeys its law, and a frame is in the group of the frame that it was made from."""

import numpy as np
import openmm
import pytest
from ase import Atoms
from breathing_salt import PAIRS, SAMPLING, TETRAHEDRON, asked, of, topology

from ionmelt.frames.recipes import RECIPES, trajectory
from ionmelt.frames.recipes.clusters import cluster
from ionmelt.frames.recipes.packing import packing
from ionmelt.frames.sampling import sample
from ionmelt.frames.settings import NeqRecipes, Packing
from ionmelt.frames.state import State
from ionmelt.topology import Topology


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
            before = top.centres(positions)
            matches += bool(
                same_cell
                and np.allclose(centres, before * frame.info["scale"], atol=3e-6)
                and np.allclose(inner, positions - before[top.molecule], atol=3e-6)
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


def test_a_packing_that_breaks_as_it_is_relaxed_is_replaced(folder, monkeypatch):
    """As of atoms on top of each other, which have no forces."""
    broken = [openmm.OpenMMException("Particle coordinate is NaN")]
    minimize = openmm.LocalEnergyMinimizer.minimize

    def relax(*given):
        if broken:
            raise broken.pop()
        minimize(*given)

    monkeypatch.setattr(openmm.LocalEnergyMinimizer, "minimize", relax)
    (slot,) = packing([State(folder, seed=7)], Packing(frames=1), 1)
    assert next(slot).group == "libf4-430K-r1-packing-0"
    assert not broken


def test_the_box_oscillates_as_a_sine_and_a_period_is_a_group(sampled, folder):
    edge = State(folder, seed=7).edges[0, 0]
    frames = of(sampled[0], "oscillation")
    times_ps = (np.arange(6) + 0.5) / 6 * 1.2
    expected = edge * (1 + 0.05 * np.sin(2 * np.pi * times_ps / 0.4))
    assert [frame.cell.lengths()[0] for frame in frames] == pytest.approx(expected, abs=2e-5)
    assert [frame.info["group"] for frame in frames] == [f"libf4-430K-r1-oscillation-{k}" for k in (0, 0, 1, 1, 2, 2)]


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
    kinds = [(frame.get_chemical_formula(), frame.info["charge"], set(frame.arrays["ion"])) for frame in frames]
    assert kinds.count(("Li", 1, {"li"})) == 1
    assert kinds.count(("BF4", -1, {"bf4"})) == 4
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


def test_without_a_force_field_frames_are_taken_as_they_are(without_force_field):
    sampling = {"eq": SAMPLING["eq"], "neq": {"rattle": SAMPLING["neq"]["rattle"]}}
    state = State(without_force_field, seed=7)
    frames, _ = sample(asked(sampling), [state])
    assert len(frames) == 18
    taken = state.positions[trajectory.evenly_spaced(state, 12)]
    assert np.allclose([frame.positions for frame in of(frames, "equilibrium")], taken, atol=1e-6)


def test_each_recipe_of_the_settings_has_a_row() -> None:
    assert [recipe.name for recipe in RECIPES] == ["equilibrium", *NeqRecipes.model_fields, "test_scan"]


def test_a_cluster_in_a_solvent_does_not_take_all_of_it():
    """One pair far apart among neutral molecules: once it is large enough, only what takes its charge away is added."""
    kinds = [
        {"name": name, "smiles": "", "charge": charge, "count": count, "elements": ["Ar"], "bonds": [], "masses_u": [40.0], "types": None}
        for name, charge, count in (("cation", 1, 1), ("anion", -1, 1), ("solvent", 0, 40))
    ]  # fmt: skip
    top = Topology("t", kinds)
    positions = np.zeros((42, 3))
    positions[1] = [20.0, 0, 0]
    positions[2:, 0] = np.linspace(0.3, 9, 40)
    for seed in range(6):
        ions, _ = cluster(top, positions, np.full(3, 60.0), 4, np.random.default_rng(seed))
        assert 4 <= len(ions) <= 5 and top.charges_e[ions].sum() == 0
