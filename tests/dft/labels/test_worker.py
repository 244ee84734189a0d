"""The engine in a process of its own: one bad frame costs one frame, whatever it does to the engine."""

import multiprocessing
import resource
import time
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from annotated_types import Le
from faulty_engines import (
    Absent,
    asked,
    besides_progress,
    calls,
    frames,
    is_gone,
    label,
    stored,
    task,
    wait_for,
    written,
)

from ionmelt import errors
from ionmelt.frame import no_label
from ionmelt.frame_file import read_frames, write_frames
from ionmelt.labels import labelling, worker
from ionmelt.labels.engines import ENGINES
from ionmelt.labels.engines.settings import LabelTasks
from ionmelt.tables.labels import LABELLED
from ionmelt.threads import VARIABLES

REASONS = [
    None, "engine_crashed", "engine_error", "non_finite", "scf_not_converged",
    "non_finite", "force_too_large", "net_force", None, None, "engine_killed", "disk_full", "engine_timeout", None,
]  # fmt: skip


def test_the_longest_time_that_a_study_may_give_a_frame_can_be_waited_for() -> None:
    """The system's clock of such a wait ends after 24 days: beyond, Python raises an error."""
    (longest,) = [bound.le for bound in LabelTasks.model_fields["max_frame_s"].metadata if isinstance(bound, Le)]
    ours, theirs = multiprocessing.Pipe()
    theirs.send("a label")
    assert ours.poll(longest)


@pytest.mark.parametrize(("frame", "error"), [(10, MemoryError), (11, errors.DiskFullError)])
def test_what_the_machine_is_to_blame_for_may_be_tried_again(faulty, frame, error):
    given = frames(14, move=0)
    given = [given[0], given[frame], given[13]]
    settings = asked("faulty")
    with pytest.raises(error, match="in the label store"):
        label(settings, given, faulty, Path(), try_again=True)
    assert not Path(f"{faulty}.labels.parquet").exists()
    assert len(stored(Path())) == 2, "the others are finished"


def test_every_fault_costs_one_row(faulty):
    given = frames(14, move=0)
    settings = asked("faulty", max_frame_s=1.5)
    label(settings, given, faulty, Path())
    table = pl.read_parquet(f"{faulty}.labels.parquet")
    assert table["reason"].to_list() == REASONS
    assert table["converged"].to_list() == [reason is None for reason in REASONS]
    assert table["frame_id"].to_list() == [atoms.info["frame_id"] for atoms in given]
    assert table["n_atoms"].to_list() == [6] * 14
    assert not table["from_store"].any()
    assert table["engine_version"].unique().to_list() == ["faulty 1"]
    assert table.schema == pl.Schema(LABELLED)
    kept = read_frames(f"{faulty}.labelled.extxyz", labelled=True)
    assert [atoms.info["frame_id"] for atoms in kept] == [given[i].info["frame_id"] for i in (0, 8, 9, 13)]
    assert kept[0].info["scf_steps"] == 3
    assert stored(Path()) == {atoms.info["frame_id"] for atoms in kept}
    wait_for(lambda: is_gone(int(Path("pid").read_text())))  # the program of the engine that hung


def test_a_chunk_that_fails_whole_still_has_both_files(faulty):
    label(asked("faulty"), [frames(3)[2]], faulty)
    assert read_frames(f"{faulty}.labelled.extxyz", may_be_empty=True) == []
    assert pl.read_parquet(f"{faulty}.labels.parquet")["reason"].to_list() == ["engine_error"]


def test_overlap_never_reaches_the_engine(faulty):
    atoms = frames(9)[1]  # would crash the engine
    atoms.positions[2] = atoms.positions[3] + 0.1
    label(asked("faulty"), [atoms], faulty)
    table = pl.read_parquet(f"{faulty}.labels.parquet")
    assert table["reason"].to_list() == ["overlap"]
    assert table["engine_version"].to_list() == [None]


# --- The task, ended ----------------------------------------------------------------------------------------


def test_a_task_that_is_killed_loses_the_frame_in_flight(faulty, tmp_path):
    given = frames(32)[20:]
    running = task(tmp_path, given, {"pace_s": 0.3})
    store = tmp_path / "store"
    wait_for(lambda: len(stored(store)) >= 3)
    running.kill()
    running.communicate()
    finished = stored(store)
    begun = len(calls(tmp_path))
    assert 3 <= len(finished) <= begun <= len(finished) + 1
    time.sleep(1.0)
    assert len(calls(tmp_path)) == begun, "its engine goes with it"
    again = task(tmp_path, given, {})
    said, _ = again.communicate(timeout=600)
    assert (again.returncode, besides_progress(said)) == (0, [])
    assert len(calls(tmp_path)) == begun + 12 - len(finished)
    table = pl.read_parquet(tmp_path / "out.labels.parquet")
    assert set(table.filter(pl.col("from_store"))["frame_id"]) == finished
    assert table["converged"].all()
    assert len(read_frames(tmp_path / "out.labelled.extxyz", labelled=True)) == 12


def test_a_task_that_is_told_to_end_ends_its_engine_too(faulty, tmp_path):
    running = task(tmp_path, frames(13)[12:], {})
    wait_for((tmp_path / "pid").exists)
    wait_for(lambda: (tmp_path / "pid").read_text())
    running.terminate()
    running.communicate(timeout=300)
    assert running.returncode == 143
    wait_for(lambda: is_gone(int((tmp_path / "pid").read_text())))


def test_a_disk_too_full_for_the_results_is_one_line_and_another_try(faulty, tmp_path):
    """What was finished is in the store (its entries still fit), so that the next try is short."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))

    given = frames(23)[20:]  # their entries are shorter than the table of three rows
    (tmp_path / "label_store.txt").symlink_to(tmp_path / "store" / "README.txt")
    running = task(tmp_path, given, {}, preexec_fn=limit)
    said, _ = running.communicate(timeout=600)
    assert running.returncode == errors.Exit.DISK
    assert besides_progress(said) == ["error: disk_full: c: OSError: [Errno 27] File too large"]
    again = task(tmp_path, given, {})
    assert besides_progress(again.communicate(timeout=600)[0]) == []
    assert pl.read_parquet(tmp_path / "out.labels.parquet")["from_store"].all()


# --- Engines that do not start -------------------------------------------------------------------------------


def test_an_engine_that_cannot_be_loaded_is_one_line(tmp_path, monkeypatch):
    row = replace(ENGINES["xtb"], settings=Absent, module="no_such_module_at_all")
    monkeypatch.setitem(ENGINES, "absent", row)
    with pytest.raises(errors.UserError, match="cannot be loaded here"):
        label(asked("absent"), frames(1), str(tmp_path / "o"))


@pytest.mark.parametrize(
    ("loading", "error"),
    [  # libraries raise an ImportError where a part of theirs cannot be loaded, whatever the cause
        ("try:\n    raise MemoryError\nexcept MemoryError:\n    raise ImportError('no room')\n", MemoryError),
        ("class Engine:\n    def __init__(self, *_):\n        raise MemoryError('no room')\n", MemoryError),
        ("raise OSError(28, 'no room')\n", errors.DiskFullError),
    ],
)
def test_an_engine_that_lacks_the_memory_to_be_loaded_asks_for_more(faulty, tmp_path, loading, error):
    (tmp_path / "two_states_engine.py").write_text(loading)
    with pytest.raises(error, match="no room"):
        label(asked("two_states"), frames(1), str(tmp_path / "o"))


def test_checked_keeps_an_engines_own_reason():
    label = no_label("overlap")
    assert worker.checked(label, 3).reason == "overlap"


@pytest.mark.parametrize("threads", [1, 2])
def test_xtb_takes_as_many_threads_as_its_task_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: int):
    """Whatever the environment says: tasks of one thread each, one to a core, leave no thread waiting for another's core."""
    monkeypatch.chdir(tmp_path)
    for name in VARIABLES:
        monkeypatch.setenv(name, "5")
    write_frames("chunk.extxyz", frames(2))
    Path("labels.json").write_text(written("xtb"))
    close, counts = worker.Worker.close, []

    def counting(engine: worker.Worker, at_once: bool = False) -> None:
        if engine.process is not None:
            counts.append(len(list(Path(f"/proc/{engine.process.pid}/task").iterdir())))
        close(engine, at_once)

    monkeypatch.setattr(worker.Worker, "close", counting)
    arguments = ["--id", "c", "--settings", "labels.json", "--frames", "chunk.extxyz", "--out", "out"]
    assert labelling.main([*arguments, "--threads", str(threads)]) == 0
    assert pl.read_parquet("out.labels.parquet")["converged"].all()
    (count,) = counts
    assert (count == 1) is (threads == 1)
    assert count <= 1 + 3 * (threads - 1)  # OpenMP's, and those of the libraries of linear algebra
