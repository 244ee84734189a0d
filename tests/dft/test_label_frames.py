"""LABEL_FRAMES: one bad frame costs one frame, whatever it does to the engine."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import label_frames
from il_frames import Label, make_frame, read_frames, theory_id, theory_settings, write_frames

SETTINGS = {"engine": "xtb", "method": "GFN1-xTB", "accuracy": 0.1, "max_iterations": 250, "chunk": 20}

# Engines of one line each: what they do depends on the x of the first atom, which says which frame it is.
FAULTY_ENGINE = """
import os
import numpy as np
from il_frames import Label

class Engine:
    version = "faulty 1"

    def __init__(self, settings, threads):
        self.first = True

    def label(self, atoms):
        fault = round(atoms.positions[0, 0] * 10) % 10
        forces = np.zeros((len(atoms), 3))
        if fault == 1:
            os._exit(11)
        if fault == 2:
            raise RuntimeError("no such thing")
        if fault == 3:
            forces[0, 0] = np.nan
        if fault == 4:
            return Label(-1.0, forces, np.zeros((3, 3)), False)
        if fault == 5:
            return Label(None, None, None, True)
        if fault == 6:
            forces[0], forces[1] = 99.0, -99.0
        if fault == 7:
            forces[:] = 0.1
        return Label(-1.0, forces, np.zeros((3, 3)), True, 3)
"""
REASONS = [
    None, "engine_crashed", "engine_error", "non_finite", "scf_not_converged",
    "non_finite", "force_too_large", "net_force", None, None,
]  # fmt: skip


def frames(count: int, move: float = 0.03) -> list:
    arms = np.array([[0, 0, 0], [1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) * 1.42 / np.sqrt(3)
    start = np.vstack([[[1.0, 1.2, 1.1]], arms + np.array([3.2, 3.0, 2.8])])
    rng = np.random.default_rng(5)
    out = []
    for index in range(count):
        positions = start + rng.normal(scale=move, size=start.shape)
        positions[0, 0] = 1 + index / 10
        out.append(
            make_frame(
                np.array([3, 5, 9, 9, 9, 9]),
                positions,
                np.array([7.0, 7.3, 6.8]),
                np.array([0, 1, 1, 1, 1, 1]),
                ["li"] + ["bf4"] * 5,
                liquid="libf4",
                kind="eq",
                recipe="equilibrium",
                group=f"g{index // 2}",
            )
        )
    return out


@pytest.fixture
def faulty(tmp_path, monkeypatch) -> str:
    (tmp_path / "faulty_engine.py").write_text(FAULTY_ENGINE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(label_frames.ENGINES, "faulty", "faulty_engine")
    return str(tmp_path / "out")


def test_every_fault_costs_one_row(faulty):
    given = frames(10, move=0)
    label_frames.label_chunk({"engine": "faulty"}, given, faulty, threads=1)
    table = pl.read_parquet(f"{faulty}.labels.parquet")
    assert table["reason"].to_list() == REASONS
    assert table["converged"].to_list() == [reason is None for reason in REASONS]
    assert table["frame_id"].to_list() == [atoms.info["frame_id"] for atoms in given]
    assert table["n_atoms"].to_list() == [6] * 10
    assert table["engine_version"].unique().to_list() == ["faulty 1"]
    assert table.schema == pl.Schema(label_frames.SCHEMA)
    kept = read_frames(f"{faulty}.labelled.extxyz", labelled=True)
    assert [atoms.info["frame_id"] for atoms in kept] == [given[i].info["frame_id"] for i in (0, 8, 9)]
    assert kept[0].info["scf_steps"] == 3


def test_a_chunk_that_fails_whole_still_has_both_files(faulty):
    label_frames.label_chunk({"engine": "faulty"}, [frames(3)[2]], faulty, threads=1)
    assert read_frames(f"{faulty}.labelled.extxyz") == []
    assert pl.read_parquet(f"{faulty}.labels.parquet")["reason"].to_list() == ["engine_error"]


def test_overlap_never_reaches_the_engine(faulty):
    atoms = frames(9)[1]  # would crash the engine
    atoms.positions[2] = atoms.positions[3] + 0.1
    label_frames.label_chunk({"engine": "faulty"}, [atoms], faulty, threads=1)
    table = pl.read_parquet(f"{faulty}.labels.parquet")
    assert table["reason"].to_list() == ["overlap"]
    assert table["engine_version"].to_list() == [None]


def test_xtb_labels_by_the_command_line(tmp_path):
    """Twice the same bytes; kept values are the engine's; the theory does not see how work is cut."""
    write_frames(tmp_path / "chunk.extxyz", frames(3))
    (tmp_path / "labels.json").write_text(json.dumps(SETTINGS))
    script = Path(label_frames.__file__)
    for out in ("a", "b"):
        command = [sys.executable, str(script), "--id", "libf4-000", "--settings", "labels.json"]
        command += ["--frames", "chunk.extxyz", "--out", out]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stdout == done.stderr == ""
    assert (tmp_path / "a.labelled.extxyz").read_bytes() == (tmp_path / "b.labelled.extxyz").read_bytes()
    kept = read_frames(tmp_path / "a.labelled.extxyz", labelled=True)
    table = pl.read_parquet(tmp_path / "a.labels.parquet")
    assert table["energy_ev"].to_list() == [atoms.info["REF_energy"] for atoms in kept]
    assert table["scf_steps"].to_list() == [atoms.info["scf_steps"] for atoms in kept]
    assert table["group"].to_list() == ["g0", "g0", "g1"]
    assert {atoms.info["theory_id"] for atoms in kept} == {theory_id(theory_settings(SETTINGS))}
    assert theory_id(theory_settings(SETTINGS)) == theory_id(theory_settings(SETTINGS | {"chunk": 3}))
    assert theory_id(theory_settings(SETTINGS)) != theory_id(theory_settings(SETTINGS | {"accuracy": 1.0}))
    record = json.loads((tmp_path / "LABEL_FRAMES.libf4-000.task.json").read_text())
    assert (record["process"], record["id"]) == ("LABEL_FRAMES", "libf4-000")


def test_the_theory_of_the_plan_is_kept(faulty):
    label_frames.label_chunk({"engine": "faulty", "theory_id": "0123456789ab"}, frames(1), faulty, threads=1)
    assert pl.read_parquet(f"{faulty}.labels.parquet")["theory_id"].to_list() == ["0123456789ab"]
    assert read_frames(f"{faulty}.labelled.extxyz")[0].info["theory_id"] == "0123456789ab"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"engine": "gaussian"}, "error: labels.engine: 'gaussian' is not known"),
        ({"engine": "xtb", "method": "GFN7"}, "error: labels.method: 'GFN7' is not known"),
    ],
)
def test_a_mistake_is_one_line(tmp_path, settings, message, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_frames("chunk.extxyz", frames(1))
    Path("labels.json").write_text(json.dumps(settings))
    arguments = ["--id", "x", "--settings", "labels.json", "--frames", "chunk.extxyz", "--out", "o"]
    assert label_frames.main(arguments) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(message)


def test_an_engine_that_cannot_be_loaded_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setitem(label_frames.ENGINES, "absent", "no_such_module_at_all")
    with pytest.raises(label_frames.UserError, match="cannot be loaded here"):
        label_frames.label_chunk({"engine": "absent"}, frames(1), str(tmp_path / "o"), threads=1)


def test_checked_keeps_an_engines_own_reason():
    label = Label(None, None, None, False, reason="overlap")
    assert label_frames.checked(label, 3).reason == "overlap"
