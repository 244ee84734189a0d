"""SAMPLE_FRAMES: the frames that are asked for, the same bytes from the same input, mistakes as lines."""

import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from breathing_salt import SAMPLING, SETTINGS, asked, of, state_record, topology

from ionmelt.dataset import split
from ionmelt.errors import UserError
from ionmelt.frame_file import read_frames
from ionmelt.frames import sampling as sampling_module
from ionmelt.frames.counts import table_of
from ionmelt.frames.refusal import refusal
from ionmelt.frames.sampling import sample
from ionmelt.frames.selection import descriptors
from ionmelt.frames.state import State


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
    recipes = ["equilibrium", "volume_scan", "oscillation", "packing", "rattle", "test_scan"]
    assert table["recipe"].to_list() == recipes
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


def test_a_shortfall_is_shown(folder):
    frames, rows = sample(asked({"eq": {"frames": 1000}}), [State(folder, seed=7)])
    assert rows[0].requested == 1000
    assert rows[0].kept == len(frames) == State(folder, seed=7).usable
    assert rows[0].spacing_frames == 1.0


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
    assert split.TableRow.of(of(frames, "equilibrium")[0], "eq", "train").equilibrated is converged


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
