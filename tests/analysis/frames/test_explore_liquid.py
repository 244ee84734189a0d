"""EXPLORE_LIQUID: what is worth a label, where a walk stops, and that the same walk is walked again."""

from pathlib import Path

import ase.io
import numpy as np
import pytest
import tiny_training as tiny
from ase import Atoms
from ase.calculators.lj import LennardJones

from ionmelt.errors import UserError
from ionmelt.frame_file import read_frames, write_frames
from ionmelt.frames.committee import Committee, spread, thresholds
from ionmelt.frames.exploration import explore, set_edges
from ionmelt.frames.refusal import refusal
from ionmelt.frames.settings import ExploreSettings
from ionmelt.topology import Topology

SETTINGS = {
    "id": "lif-2000K-r1-m-al", "round": 1, "liquid": "lif", "temperature_K": 2000.0, "pressure_bar": 1.0, "model": "m",
    "dataset": "al", "seed": 5, "timestep_fs": 1.0, "thermostat_fs": 50.0, "barostat_fs": 200.0, "every_fs": 5.0,
    "npt_ps": 0.04, "ramp_ps": 0.08, "ramp_K": 2000.0, "swing_ps": 0.04, "swing_amplitude": 0.05, "quantile": 0.5, "stop_factor": 3.0,
    "frames": 8, "engine": "auto",
}  # fmt: skip


def member(epsilon: float) -> LennardJones:
    return LennardJones(sigma=1.8, epsilon=epsilon, rc=3.9, smooth=True)


def committee(*epsilons: float) -> Committee:
    return Committee([member(epsilon) for epsilon in epsilons or (0.29, 0.30, 0.31)])


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tiny.make_state(tmp_path / "lif-2000K-r1")


def walked(state: Path, people: Committee | None = None, **changes: object):
    return explore(
        ExploreSettings.model_validate(SETTINGS | changes),
        state,
        people or committee(),
        member(0.30),
        tiny.make_frames(8),
    )


def test_spread_is_the_largest_deviation_of_a_force() -> None:
    """Of two models with forces F + d and F - d the deviation is |d|."""
    rng = np.random.default_rng(1)
    mean, off = rng.normal(size=(2, 5, 3))
    assert spread(np.array([mean + off, mean - off])) == pytest.approx(np.linalg.norm(off, axis=1).max())
    assert spread(np.array([mean, mean, mean])) == pytest.approx(0, abs=1e-14)


def test_a_committee_that_differs_by_a_factor_of_its_energy_disagrees_by_its_forces() -> None:
    """Forces are proportional to epsilon: their deviation is its relative deviation times the largest force."""
    frame = tiny.make_frames(1)[0]
    frame.calc = member(1.0)
    largest = np.linalg.norm(frame.get_forces(), axis=1).max()
    assert committee(0.2, 0.4).disagreement(frame) == pytest.approx(0.1 * largest)


def test_thresholds_follow_the_committee() -> None:
    frames = tiny.make_frames(9)
    disagreements = [committee().disagreement(frame) for frame in frames]
    low, high = thresholds(committee(), frames, 0.75, 2.5)
    assert low == pytest.approx(np.quantile(disagreements, 0.75))
    assert high == pytest.approx(2.5 * low)
    # members twice as far apart ask for twice as much
    assert thresholds(committee(0.28, 0.30, 0.32), frames, 0.75, 2.5)[0] == pytest.approx(2 * low, rel=1e-6)


def test_members_that_are_one_and_the_same_are_refused() -> None:
    with pytest.raises(UserError, match="does not disagree at all"):
        thresholds(committee(0.3, 0.3), tiny.make_frames(4), 0.9, 3)


def test_what_is_kept_lies_between_the_thresholds(state: Path) -> None:
    frames, table = walked(state)
    assert set(table["walk"]) == {"npt", "ramp", "swing"}
    assert 0 < len(frames) == table["offered"].sum()
    kept = table.filter("offered")
    assert (kept["disagreement_ev_a"] > kept["worth_above_ev_a"]).all()
    assert (kept["disagreement_ev_a"] <= kept["stop_above_ev_a"]).all()
    left = table.filter(~table["offered"] & table["disagreement_ev_a"].is_not_null() & table["end"].is_null())
    assert (left["disagreement_ev_a"] <= left["worth_above_ev_a"]).all()
    for frame, said in zip(frames, kept["disagreement_ev_a"], strict=True):
        assert frame.info["kind"] == "active"
        assert frame.info["disagreement_ev_a"] == pytest.approx(said, abs=1e-6)
        assert committee().disagreement(frame) == pytest.approx(said, rel=1e-3)  # positions are rounded


def test_a_walk_stops_where_the_committee_falls_apart(state: Path) -> None:
    _, table = walked(state, stop_factor=1.2)
    for _, walk in table.group_by("walk"):
        assert walk["end"].drop_nulls().to_list() == [walk["end"][-1]]
        assert walk["end"][-1] == "disagreement"
        assert walk["disagreement_ev_a"][-1] > walk["stop_above_ev_a"][-1]
        assert not walk["offered"][-1]


def test_a_member_that_fails_stops_the_walk(state: Path) -> None:
    class Failing(LennardJones):
        def calculate(self, *arguments: object, **named: object) -> None:
            atoms = arguments[0]
            if isinstance(atoms, Atoms) and len(atoms) == 16:
                raise RuntimeError("out of its depth")
            super().calculate(*arguments, **named)

    people = Committee([member(0.29), Failing(sigma=1.8, epsilon=0.31, rc=3.9, smooth=True)])
    frames, table = walked(state, people)
    assert not frames
    assert table["end"].to_list() == ["disagreement"] * 3
    assert table["disagreement_ev_a"].is_null().all()


def test_the_ramp_heats_and_keeps_the_volume(state: Path) -> None:
    _, table = walked(state, stop_factor=100)
    ramp = table.filter(table["walk"] == "ramp")
    assert ramp["bath_K"].to_list() == pytest.approx(2000 + 2000 * ramp["time_ps"].to_numpy() / 0.08)
    assert ramp["density_kg_m3"].std() == pytest.approx(0, abs=1e-9)
    assert table.filter(table["walk"] == "npt")["density_kg_m3"].std() > 0


def test_the_box_swings_once_and_ions_keep_their_shape(state: Path) -> None:
    """The edge is 1 + a sin(2 pi t / T) times that of the start, at a steady temperature."""
    _, table = walked(state, stop_factor=100, swing_ps=0.2, every_fs=12.5, timestep_fs=0.5)
    swing = table.filter(table["walk"] == "swing")
    edge = 1 + 0.05 * np.sin(2 * np.pi * swing["time_ps"].to_numpy() / 0.2)
    assert len(swing) == 16
    assert swing["end"].to_list() == [None] * 15 + ["completed"]
    dense = table.filter(table["walk"] == "ramp")["density_kg_m3"][0]  # of the starting box
    assert swing["density_kg_m3"].to_list() == pytest.approx(dense / edge**3)
    assert set(swing["bath_K"]) == {2000.0}


def test_a_walk_goes_to_its_end_where_stops_do_not_divide_it(state: Path) -> None:
    _, table = walked(state, stop_factor=100, ramp_ps=0.08, every_fs=30, npt_ps=0, swing_ps=0)
    assert table["time_ps"].to_list() == pytest.approx([0.03, 0.06, 0.08])
    assert table["bath_K"][-1] == 4000.0, "the whole rise that was asked for"


def test_a_new_box_moves_ions_and_not_their_atoms_within() -> None:
    """Two diatomic ions, one across the wall of the cell: bonds stay, centres scale with the box, up to its images."""
    ion = {"name": "oh", "count": 2, "charge": -1, "elements": ["O", "H"], "masses_u": [16.0, 1.0], "bonds": [[0, 1]]}
    topology, edges = Topology("toy", [ion]), np.array([8.0, 9.0, 10.0])
    atoms = Atoms("OHOH", [[2, 2, 2], [2, 2, 3], [7.7, 5, 5], [0.6, 5, 5]], cell=edges, pbc=True)
    centres = topology.centres(topology.whole(atoms.positions, edges))
    set_edges(atoms, topology, 1.25 * edges)
    assert atoms.cell.lengths() == pytest.approx(1.25 * edges)
    assert atoms.get_distance(0, 1, mic=True) == pytest.approx(1.0)
    assert atoms.get_distance(2, 3, mic=True) == pytest.approx(0.9)
    moved = topology.centres(topology.whole(atoms.positions, 1.25 * edges)) - 1.25 * centres
    assert moved / (1.25 * edges) == pytest.approx(np.rint(moved / (1.25 * edges)))


def test_the_same_round_is_the_same_walk(state: Path) -> None:
    first, again, later = walked(state), walked(state), walked(state, round=2)
    assert first[1].equals(again[1])
    assert [f.info["frame_id"] for f in first[0]] == [f.info["frame_id"] for f in again[0]]
    assert not first[1]["disagreement_ev_a"].equals(later[1]["disagreement_ev_a"])


def test_frames_that_can_be_read_and_are_physical(state: Path, tmp_path: Path) -> None:
    frames, _ = walked(state)
    write_frames(tmp_path / "found.extxyz", frames)
    topology = Topology.load(state / "topology.json")
    back = read_frames(tmp_path / "found.extxyz")
    assert [f.info["frame_id"] for f in back] == [f.info["frame_id"] for f in frames]
    assert back and [refusal(frame, topology) for frame in back] == [None] * len(back)
    assert ase.io.read(state / "start.extxyz").get_chemical_symbols() == back[0].get_chemical_symbols()
