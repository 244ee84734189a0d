"""LABEL_FRAMES: labels by the command line, what is in the store already, and mistakes."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from faulty_engines import BIN, SETTINGS, THEORY, asked, besides_progress, calls, frames, label, task, written

from ionmelt.frame import frame_id, make_frame
from ionmelt.frame_file import read_frames, write_frames
from ionmelt.labels import labelling, progress
from ionmelt.labels.store import offsets_in
from ionmelt.labels.theory_id import theory_id, theory_settings

# --- The store ------------------------------------------------------------------------------------------------


def test_a_second_run_labels_nothing_and_gives_the_same_bytes(faulty, capsys):
    settings = asked("faulty")
    label(settings, frames(40)[20:30], "one", Path())
    assert len(calls(Path())) == 10
    label(settings, frames(40)[20:30], "two", Path())
    assert len(calls(Path())) == 10
    assert Path("one.labelled.extxyz").read_bytes() == Path("two.labelled.extxyz").read_bytes()
    one, two = (pl.read_parquet(f"{name}.labels.parquet") for name in ("one", "two"))
    assert two["from_store"].all()
    assert one.drop("from_store").equals(two.drop("from_store"))
    assert besides_progress(capsys.readouterr().err) == []
    (shard,) = Path().glob("*/*.jsonl")
    lines = shard.read_bytes().splitlines(keepends=True)
    lines[3] = lines[3].replace(b'"energy_ev": -', b'"energy_ev": +')
    shard.write_bytes(b"".join(lines))
    damaged = list(offsets_in(shard))[3]
    label(settings, frames(40)[18:30], "three", Path())
    assert len(calls(Path())) == 13, "that one, and two new ones"
    assert besides_progress(capsys.readouterr().err) == [
        f"label store: {shard}: it is cut off or altered; the frame is labelled again"
    ]
    three = pl.read_parquet("three.labels.parquet")
    assert set(three.filter(~pl.col("from_store"))["frame_id"]) >= {damaged}
    label(settings, frames(40)[18:30], "four", Path())
    assert pl.read_parquet("four.labels.parquet")["from_store"].all()


def test_a_store_that_is_a_copy_is_left_and_new_labels_lie_aside(faulty, tmp_path):
    (tmp_path / "label_store.txt").write_text("staged by copying")
    running = task(tmp_path, frames(22)[20:], {})
    assert besides_progress(running.communicate(timeout=600)[0]) == []
    assert list((tmp_path / "store").glob("*/*")) == []
    (shard,) = (tmp_path / "spare").glob("*/*.jsonl")
    assert len(shard.with_suffix(".ids").read_text().splitlines()) == 2


# --- Labels ---------------------------------------------------------------------------------------------------


def test_long_work_says_how_far_it_is(faulty, monkeypatch, capsys):
    monkeypatch.setattr(progress, "PROGRESS_S", 0.0)
    label(asked("faulty"), frames(22)[20:], faulty)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert re.fullmatch(r"1 of 2 frames, 0 without a label, \S+ s each, \S+ (?:s|min|h) left", lines[0])


def test_a_frame_that_does_not_converge_costs_itself(tmp_path):
    """A lithium ion in the middle of nowhere beside an anion that is torn apart, and few iterations."""
    given = frames(3)
    given[1].positions[2] += [1.3, 1.3, 1.3]
    given[1].info["frame_id"] = frame_id(given[1])
    label(asked(**SETTINGS | {"max_iterations": 12, "spot_check_fraction": 0}), given, str(tmp_path / "o"), tmp_path)
    table = pl.read_parquet(tmp_path / "o.labels.parquet")
    assert table["reason"].to_list() == [None, "scf_not_converged", None]
    assert table["energy_ev"].is_null().to_list() == [False, True, False]
    assert table["scf_steps"][1] >= 2 * 12, "the whole ladder was tried"
    kept = read_frames(tmp_path / "o.labelled.extxyz", labelled=True)
    assert [atoms.info["frame_id"] for atoms in kept] == [given[i].info["frame_id"] for i in (0, 2)]


def test_xtb_labels_by_the_command_line(tmp_path):
    """Twice the same bytes; kept values are the engine's; the theory does not see how work is cut."""
    write_frames(tmp_path / "chunk.extxyz", frames(3))
    (tmp_path / "labels.json").write_text(written(**SETTINGS))
    script = BIN / "label_frames.py"
    for out in ("a", "b"):
        command = [sys.executable, str(script), "--id", "libf4-000", "--settings", "labels.json"]
        command += ["--frames", "chunk.extxyz", "--out", out]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert besides_progress(done.stdout + done.stderr) == []
    assert (tmp_path / "a.labelled.extxyz").read_bytes() == (tmp_path / "b.labelled.extxyz").read_bytes()
    kept = read_frames(tmp_path / "a.labelled.extxyz", labelled=True)
    table = pl.read_parquet(tmp_path / "a.labels.parquet")
    assert table["energy_ev"].to_list() == [atoms.info["REF_energy"] for atoms in kept]
    assert table["scf_steps"].to_list() == [atoms.info["scf_steps"] for atoms in kept]
    assert table["group"].to_list() == ["g0", "g0", "g1"]
    assert {atoms.info["theory_id"] for atoms in kept} == {THEORY}
    assert theory_id(theory_settings(SETTINGS)) == theory_id(theory_settings(SETTINGS | {"chunk": 3}))
    assert theory_id(theory_settings(SETTINGS)) != theory_id(theory_settings(SETTINGS | {"accuracy": 1.0}))
    record = json.loads((tmp_path / "LABEL_FRAMES.libf4-000.task.json").read_text())
    assert (record["process"], record["id"]) == ("LABEL_FRAMES", "libf4-000")


def test_an_ion_alone_is_labelled_with_its_charge_beside_the_liquid(tmp_path):
    """Its label survives the file, its sum of forces is zero, and removing a lithium costs energy: it is no neutral atom."""
    (pair,) = frames(1)
    ions = [
        make_frame(pair.numbers[atoms], pair.positions[atoms] + 4, np.array([14.0] * 3), np.zeros(len(pair[atoms]), int),
                   pair.arrays["ion"][atoms], liquid="libf4", kind="neq", recipe="ions", group="g0", charge=charge)
        for atoms, charge in ((slice(0, 1), 1), (slice(1, 6), -1))
    ]  # fmt: skip
    write_frames(tmp_path / "chunk.extxyz", [pair, *ions])
    given = read_frames(tmp_path / "chunk.extxyz")
    label(asked(**SETTINGS), given, str(tmp_path / "o"), tmp_path)
    kept = read_frames(tmp_path / "o.labelled.extxyz", labelled=True)
    assert [frame.info.get("charge") for frame in kept] == [None, 1, -1]
    assert all(frame.pbc.all() for frame in kept)
    whole, lithium, anion = (frame.info["REF_energy"] for frame in kept)
    # as GFN1 gives it of the two ions without a cell; neutral, the same atoms would give 5.5 eV
    assert lithium + anion - whole == pytest.approx(4.83, abs=0.05)
    assert np.abs(kept[2].arrays["REF_forces"].sum(axis=0)).max() < 1e-3


def test_the_theory_of_the_plan_is_kept(faulty):
    label(asked("faulty"), frames(1), faulty)
    assert pl.read_parquet(f"{faulty}.labels.parquet")["theory_id"].to_list() == ["0123456789ab"]
    assert read_frames(f"{faulty}.labelled.extxyz")[0].info["theory_id"] == "0123456789ab"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"engine": "gaussian"}, "error: labels.json: engine: 'gaussian' is not known"),
        ({"method": "GFN7"}, "error: labels.json: method: 'GFN7'"),
        ({"max_frames": 3}, "error: labels.json: max_frames: unknown"),
    ],
)
def test_a_mistake_is_one_line(tmp_path, change, message, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_frames("chunk.extxyz", frames(1))
    Path("labels.json").write_text(json.dumps(json.loads(written(**SETTINGS)) | change))
    arguments = ["--id", "x", "--settings", "labels.json", "--frames", "chunk.extxyz", "--out", "o"]
    assert labelling.main(arguments) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(message)


def test_another_device_is_for_engines_that_have_a_choice_of_one():
    pyscf = asked("pyscf", theory="PBE-D3(BJ)", device="auto")
    assert pyscf.on("cuda").model_dump() == pyscf.model_dump() | {"device": "cuda"}
    assert asked(**SETTINGS).on("cuda") == asked(**SETTINGS)
