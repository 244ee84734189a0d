"""Frames of what a model made of the liquid: its trajectory in the place of the force field's, from where its volume is steady."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from breathing_salt import SAMPLING, SETTINGS, TEMPERATURE_K

from ionmelt.dynamics.trajectory import Writer
from ionmelt.errors import UserError
from ionmelt.frame_file import read_frames
from ionmelt.frames import sampling as sampling_module
from ionmelt.frames.state import RefiningRun, State

EVERY_FS, FRAMES, TRANSIENT = 20.0, 200, 60


def write_run(path: Path, state: State, frames: int = FRAMES, transient: int = TRANSIENT, **changes: object) -> Path:
    """Write a run folder: the liquid of a state, 6 % denser at first, that swells to 12 % above it and stays there."""
    path.mkdir()
    rng = np.random.default_rng(3)
    volume = 1.12 - 0.18 * np.clip(1 - np.arange(frames) / transient, 0, None) + 0.004 * rng.normal(size=frames)
    made = [
        state.topology.scaled(state.positions[i % len(state.positions)], state.edges[0], scale ** (1 / 3))
        for i, scale in enumerate(volume)
    ]
    writer = Writer(path / "npt.xtc")
    steps = np.arange(1, frames + 1)
    writer.write(np.array([x for x, _ in made]), np.array([edges for _, edges in made]), steps, steps * EVERY_FS / 1000)
    writer.close()
    length = frames * EVERY_FS / 1000
    record = {
        "id": path.name, "liquid": "libf4", "replica": 1, "temperature_K": TEMPERATURE_K, "pressure_bar": 1.0, "seed": 1, "model": "mace",
        "model_key": "mace-both-s2", "dataset": "both", "model_seed": 2, "framework": "mace", "timestep_fs": 0.5, "npt_ps": length, "nvt_ps": 0.0,
        "start_volume": 0.96, "hydrogen_mass_u": None, "thermostat_fs": 100.0, "barostat_fs": 500.0, "save_every_fs": EVERY_FS,
        "max_trajectory_mb": 1000.0, "engine": "fused", "batch": 1, "segment_ps": 0.5, "save_every_asked_fs": EVERY_FS, "planned_ps": length,
        "survived_ps": length, "npt_planned_ps": length, "npt_survived_ps": length, "nvt_planned_ps": 0.0, "nvt_survived_ps": 0.0,
        "end": "completed", "detail": None, "n_atoms": 24, "segments": 1, "segments_resumed": 0, "atom_steps_per_s": 1.0, "wall_s": 1.0,
        "device": "cpu",
    }  # fmt: skip
    (path / "run.json").write_text(json.dumps(record | changes))
    return path


def test_its_frames_are_those_of_the_model_once_the_volume_is_steady(folder: Path, tmp_path: Path) -> None:
    classical = State(folder, seed=7)
    run = RefiningRun.read(write_run(tmp_path / "run", classical))
    state = State(folder, seed=7, runs=[run])
    assert (state.model, classical.model) == ("mace-both-s2", None)
    assert state.equilibrated is None, "of a model's run it is not known"
    start = FRAMES - len(state.positions)
    assert TRANSIENT * 0.6 < start < FRAMES / 2, "what forgets its start is left out, and not much more"
    volume = state.edges.prod(axis=1) / classical.edges[0].prod()
    assert volume.mean() == pytest.approx(1.12, abs=0.01)
    # its bonds are free already: a frame is that of the trajectory, to the rounding of the file
    positions, edges = state.frame(0)
    expected, _ = state.topology.scaled(
        classical.positions[start % len(classical.positions)], classical.edges[0], float(volume[0]) ** (1 / 3)
    )
    moved = positions - state.topology.wrapped(expected, edges)
    assert np.abs(moved - edges * np.round(moved / edges)).max() < 0.011


def test_the_command_line_takes_the_runs_of_states(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_run(tmp_path / "run", State(folder, seed=7))
    content = SETTINGS | {"sampling": SAMPLING | {"eq": {"frames": 12, "refine": 1}}}
    Path("settings.json").write_text(json.dumps(content))
    words = ["--id", "libf4", "--settings", "settings.json", "--states", str(folder)]
    words += ["--out", "chunks", "--counts", "counts.parquet"]
    assert sampling_module.main([*words, "--runs", "run"]) == 0
    table = pl.read_parquet("counts.parquet")
    assert table["equilibrium_of"].to_list() == ["mace-both-s2"] + [None] * (table.height - 1)
    assert table["kept"].to_list() == table["requested"].to_list()
    frames = [frame for path in sorted(Path("chunks").glob("*.extxyz")) for frame in read_frames(path)]
    box = State(folder, seed=7).edges[0].prod()
    volumes = [frame.get_volume() / box for frame in frames if frame.info["recipe"] == "equilibrium"]
    assert np.mean(volumes) == pytest.approx(1.12, abs=0.01)


def test_a_run_of_another_state_changes_nothing(folder: Path, tmp_path: Path) -> None:
    classical = State(folder, seed=7)
    for name, other in (("a", {"temperature_K": 500.0}), ("b", {"replica": 2}), ("c", {"liquid": "nacl"})):
        run = RefiningRun.read(write_run(tmp_path / name, classical, **other))
        assert np.array_equal(State(folder, seed=7, runs=[run]).positions, classical.positions)


def test_a_run_that_is_all_start_is_one_line(folder: Path, tmp_path: Path) -> None:
    run = RefiningRun.read(write_run(tmp_path / "run", State(folder, seed=7), frames=12, transient=12))
    with pytest.raises(
        UserError, match=r"sampling\.eq\.refine: run: \d+ of 12 frames are left .* give a longer md\.npt_ps"
    ):
        State(folder, seed=7, runs=[run])
