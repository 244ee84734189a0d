"""Checkpoints against every way in which a file can be wrong: nothing but a whole segment of this run is ever used."""

import errno
import json
import multiprocessing
from pathlib import Path

import numpy as np
import pytest
from pydantic import BaseModel

from ionmelt import checkpoint
from ionmelt.checkpoint import Chain


class Step(BaseModel):
    """What is said of a segment here."""

    step: int


def filled(folder: Path, count: int = 3) -> Chain[Step]:
    chain = Chain(folder / "checkpoints", "key", folder / "own", Step)
    for i in range(count):
        chain.write(Step(step=i), {"positions": np.arange(6.0).reshape(2, 3) + i, "p_eps": 0.5})
    return chain


def again(folder: Path, key: str = "key") -> Chain[Step]:
    return Chain(folder / "checkpoints", key, folder / "own", Step)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    filled(tmp_path).close()
    chain = again(tmp_path)
    assert chain.segments == [Step(step=0), Step(step=1), Step(step=2)]
    np.testing.assert_array_equal(chain.arrays(-1)["positions"], np.arange(6.0).reshape(2, 3) + 2)
    assert [float(arrays["p_eps"]) for _, arrays in chain] == [0.5] * 3
    chain.remove()
    assert not any((tmp_path / "checkpoints").iterdir())


def spoil(path: Path, fault: str) -> None:
    content = path.read_bytes()
    head, _, body = content.partition(b"\n")
    if fault == "cut":
        path.write_bytes(content[:-20])
    elif fault == "bit":
        path.write_bytes(content[:-200] + bytes([content[-200] ^ 1]) + content[-199:])
    elif fault == "empty":
        path.write_bytes(b"")
    elif fault == "foreign":
        path.write_bytes(json.dumps(json.loads(head) | {"key": "other"}).encode() + b"\n" + body)
    elif fault == "misplaced":
        path.write_bytes(json.dumps(json.loads(head) | {"index": 7}).encode() + b"\n" + body)


@pytest.mark.parametrize("fault", ["cut", "bit", "empty", "foreign", "misplaced"])
@pytest.mark.parametrize("index", [0, 1, 2])
def test_a_bad_file_is_noticed_in_one_line_and_the_one_before_is_used(
    tmp_path: Path, fault: str, index: int, capsys: pytest.CaptureFixture[str]
) -> None:
    chain = filled(tmp_path)
    spoil(chain.folder / f"segment-{index:06d}", fault)
    chain.close()
    chain = again(tmp_path)
    assert chain.segments == [Step(step=i) for i in range(index)]
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert f"segment-{index:06d} is not used" in said[0]
    # what came after is gone, so that it cannot be taken for part of the new run
    assert len(list(chain.folder.glob("*segment-*"))) == index
    chain.close()


def test_a_lack_of_memory_drops_no_segment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(tmp_path).close()

    def boom(*_arguments: object) -> None:
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", boom)
        with pytest.raises(OSError, match="Cannot allocate memory"):
            again(tmp_path)
    chain = again(tmp_path)
    assert len(chain.segments) == 3
    chain.close()


def test_another_run_sees_nothing(tmp_path: Path) -> None:
    filled(tmp_path).close()
    other = again(tmp_path, "other")
    assert other.segments == []
    other.close()


def test_a_file_that_was_being_written_is_not_there(tmp_path: Path) -> None:
    chain = filled(tmp_path)
    (chain.folder / ".segment-000003").write_bytes(b"half of a segm")
    chain.close()
    chain = again(tmp_path)
    assert len(chain.segments) == 3
    assert not (chain.folder / ".segment-000003").exists()
    chain.close()


def hold(folder: Path, ready, done) -> None:
    chain = filled(folder)
    ready.set()
    done.wait(30)
    chain.close()


def test_two_processes_do_not_share_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    context = multiprocessing.get_context("spawn")
    ready, done = context.Event(), context.Event()
    other = context.Process(target=hold, args=(tmp_path, ready, done))
    other.start()
    assert ready.wait(30)
    chain = again(tmp_path)
    done.set()
    other.join()
    assert chain.folder == tmp_path / "own" / "key"
    assert chain.segments == []
    assert "another process is at this run" in capsys.readouterr().err


def test_the_key_changes_with_everything_that_determines_a_run(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    keys = {checkpoint.key_of({"x": 1}, [tmp_path / "a"]), checkpoint.key_of({"x": 2}, [tmp_path / "a"])}
    (tmp_path / "a").write_text("2")
    keys.add(checkpoint.key_of({"x": 1}, [tmp_path / "a"]))
    assert len(keys) == 3
