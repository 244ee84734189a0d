"""CHOOSE_FRAMES: new and physical frames first, what earlier rounds chose kept, nothing twice."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import tiny_training as tiny
from ase import Atoms

from ionmelt.frame import make_frame, set_label
from ionmelt.frame_file import read_frames, write_frames
from ionmelt.frames import choice
from ionmelt.topology import Topology

SETTINGS = {"id": "lif-active2", "liquid": "lif", "frames": 3}


def offered(state: Path, sigmas: list[float], group: str = "walk", seed: int = 1) -> list[Atoms]:
    """Return frames of the state's box, each with its atoms displaced at random by so much (A)."""
    topology, rng = Topology.load(state / "topology.json"), np.random.default_rng(seed)
    grid = np.array([[x, y, z] for x in range(4) for y in range(2) for z in range(2)])
    grid = grid[np.argsort(grid.sum(1) % 2, kind="stable")]
    numbers = np.where(topology.elements == "Li", 3, 9)
    return [
        make_frame(
            numbers, (grid + 0.25) * 2.15 + rng.normal(scale=sigma, size=(16, 3)), np.array([8.6, 4.3, 4.3]),
            topology.molecule, topology.ion, liquid="lif", kind="active", recipe="active_npt", group=group, disagreement_ev_a=0.5,
            temperature_K=480.0,
        )
        for sigma in sigmas
    ]  # fmt: skip


def labelled(frames: list[Atoms], **info: str) -> list[Atoms]:
    for frame in frames:
        work = tiny.reference(frame)
        set_label(
            frame, work.get_potential_energy(), work.get_forces(), work.get_stress(voigt=False), tiny.THEORY, True, None
        )
        frame.info |= info
    return frames


@pytest.fixture
def chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Run the task on candidate and training frames; return the frames and the row of the table."""
    monkeypatch.chdir(tmp_path)
    state = tiny.make_state(tmp_path / "lif-1200K-r1")

    def run(candidates: list[list[Atoms]], training: list[list[Atoms]]) -> tuple[list[Atoms], dict]:
        for name, sets in (("candidates", candidates), ("known", training)):
            for i, frames in enumerate(sets):
                Path(name, str(i)).mkdir(parents=True, exist_ok=True)
                write_frames(Path(name, str(i), "frames.extxyz"), frames)
        Path("settings.json").write_text(json.dumps(SETTINGS))
        files = [sorted(map(str, Path(name).rglob("*.extxyz"))) for name in ("candidates", "known")]
        arguments = ["--candidates", *files[0], "--labelled", *files[1], "--state", str(state), "--out", "chosen"]
        assert choice.main(["--id", "lif-active2", "--settings", "settings.json", *arguments]) == 0
        path = Path("chosen", "lif-active2.extxyz")
        frames = read_frames(path) if path.exists() else []
        ids = Path("chosen", "lif-active2.txt")
        assert [f.info["frame_id"] for f in frames] == (ids.read_text().split() if ids.exists() else [])
        return frames, pl.read_parquet("chosen/lif-active2.sampling.parquet").to_dicts()[0]

    run.state = state  # type: ignore[attr-defined]
    return run


def test_the_ones_that_differ_most_of_each_walk(chosen) -> None:
    """One frame like the training frames, and far ones of two walks: the far ones are taken, of both walks."""
    training = labelled(offered(chosen.state, [0.0, 0.01], "train"), kind="eq", recipe="equilibrium")
    near = offered(chosen.state, [0.005], "a", seed=2)
    far = offered(chosen.state, [0.12, 0.13], "a", seed=3), offered(chosen.state, [0.12], "b", seed=4)
    frames, row = chosen([near + far[0], far[1]], [training])
    assert {f.info["frame_id"] for f in frames} == {f.info["frame_id"] for f in far[0] + far[1]}
    assert (row["requested"], row["kept"], row["offered"]) == (3, 3, 4)


def test_what_earlier_rounds_chose_comes_first_and_is_no_candidate(chosen) -> None:
    early = offered(chosen.state, [0.1, 0.12], "early", seed=5)
    bare = [frame.copy() for frame in early]
    training = labelled(early), labelled(offered(chosen.state, [0.0], "train"), kind="eq", recipe="equilibrium")
    frames, row = chosen([bare + offered(chosen.state, [0.13], "a", seed=6)], [training[0] + training[1], training[0]])
    assert sorted(f.info["frame_id"] for f in frames[:2]) == sorted(f.info["frame_id"] for f in early)
    assert len(frames) == 3
    assert not any("REF_energy" in f.info or "REF_forces" in f.arrays for f in frames)
    assert all((f.info["temperature_K"], f.info["disagreement_ev_a"]) == (480.0, 0.5) for f in frames)
    assert row["refused_duplicate"] == 2
    assert (row["requested"], row["kept"]) == (5, 3)


def test_overlapping_ions_are_refused(chosen) -> None:
    bad = offered(chosen.state, [0.0], "a")[0]
    positions = bad.positions.copy()
    positions[1] = positions[0] + [0.3, 0, 0]
    topology = Topology.load(chosen.state / "topology.json")
    info = {key: bad.info[key] for key in ("liquid", "kind", "recipe", "group")}
    bad = make_frame(bad.numbers, positions, bad.cell.array, topology.molecule, topology.ion, **info)
    training = labelled(offered(chosen.state, [0.01], "train"), kind="eq", recipe="equilibrium")
    frames, row = chosen([[bad]], [training])
    assert not frames
    assert (row["refused_contact"], row["kept"]) == (1, 0)


def test_no_candidates_is_an_answer(chosen) -> None:
    training = labelled(offered(chosen.state, [0.01], "train"), kind="eq", recipe="equilibrium")
    frames, row = chosen([], [training])
    assert not frames
    assert row["kept"] == 0
