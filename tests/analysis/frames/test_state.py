"""The state that frames are taken from: its blocks, its bonds set free, its record."""

import shutil

import numpy as np
import pytest
from breathing_salt import FRAMES, PAIRS, TEMPERATURE_K, state_record, topology

from ionmelt.errors import UserError
from ionmelt.frames.recipes import trajectory
from ionmelt.frames.state import State


def test_blocks_are_consecutive_and_leave_the_held_out_frame_alone(folder):
    state = State(folder, seed=7)
    groups = [state.group(index) for index in range(state.usable)]
    assert groups == sorted(groups, key=lambda group: int(group.rsplit("-", 1)[1]))
    assert len(set(groups)) == state.blocks >= 3
    assert state.usable <= FRAMES - 1
    assert max(trajectory.evenly_spaced(state, 1000)) == state.usable - 1
    assert len(trajectory.evenly_spaced(state, 1000)) == state.usable
    assert np.ptp(np.diff(trajectory.evenly_spaced(state, 12))) <= 1


def test_bonds_that_the_trajectory_holds_fixed_are_set_free(folder):
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
    # the ions themselves hardly move in the 0.1 ps: free Brownian motion against a friction of 50 per ps is 0.45 and
    # 0.13 A
    moves = top.centres(positions) - top.centres(state.positions[:40])
    edges = state.edges[:40, None]
    moves -= edges * np.round(moves / edges)
    for ion, furthest_A in (("li", 0.45), ("bf4", 0.13)):
        rms_A = np.sqrt(np.mean(moves[:, top.molecule_ion == ion] ** 2))
        assert 0 < rms_A < furthest_A


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
