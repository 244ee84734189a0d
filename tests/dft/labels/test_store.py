"""The label store: many writers, no wrong number whatever happens to its files, no label lost when it cannot be written."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from ionmelt.files import digest
from ionmelt.frame import Label, make_frame
from ionmelt.labels import store as labels_store
from ionmelt.labels.store import Store, offsets_in
from ionmelt.labels.store_entry import Answer, entry_text, parse_entry

THEORY = "0123456789ab"
BIN = Path(__file__).resolve().parents[3] / "bin"


def frame(number: int = 0) -> Atoms:
    return make_frame(
        np.array([3, 9]), np.array([[0.1, 0.2, 0.3], [1.9, 0.2, 0.001 * number]]), np.array([4.0, 4.1, 4.2]),
        np.arange(2), ["li", "f"], liquid="lif", kind="eq", recipe="equilibrium", group="g",
    )  # fmt: skip


def answer(number: int = 0) -> Answer:
    """An answer with digits to lose."""
    rng = np.random.default_rng(number)
    forces = rng.normal(size=(2, 3))
    forces -= forces.mean(axis=0)
    stress = rng.normal(size=(3, 3)) / 100
    label = Label(-1000 / 3 + rng.normal(), forces, stress + stress.T, True, scf_steps=11, guess="chained")
    return Answer(label, 1.234, "engine 1", 1e-9 / 3, None)


def assert_same(answer: Answer | None, expected: Answer) -> None:
    assert answer is not None
    assert answer.from_store
    assert answer.label.energy_ev == expected.label.energy_ev
    assert np.array_equal(answer.label.forces_ev_a, expected.label.forces_ev_a)
    assert np.array_equal(answer.label.stress_ev_a3, expected.label.stress_ev_a3)
    for name in ("wall_s", "version", "cold_energy_difference_ev", "cold_max_force_difference_ev_a"):
        assert getattr(answer, name) == getattr(expected, name)
    assert (answer.label.scf_steps, answer.label.guess, answer.label.reason) == (11, "chained", None)


def test_what_is_put_comes_back_to_the_last_bit(tmp_path: Path) -> None:
    store = Store(tmp_path, THEORY)
    assert store.get(frame()) is None
    store.put(frame(), answer())
    assert_same(Store(tmp_path, THEORY).get(frame()), answer())
    assert Store(tmp_path, "another").get(frame()) is None
    store.put(frame(1), answer(1))
    store.discard(frame())
    store.discard(frame())
    for one in (store, Store(tmp_path, THEORY)):
        assert one.get(frame()) is None
        assert_same(one.get(frame(1)), answer(1))
    store.put(frame(), answer())
    store.close()
    for number in range(2):
        assert_same(Store(tmp_path, THEORY).get(frame(number)), answer(number))


def test_a_task_leaves_one_file_of_labels_and_where_they_are(tmp_path: Path) -> None:
    """Whether they are found by the index or by reading all of a shard whose task was killed, they are the same."""
    store = Store(tmp_path, THEORY)
    for number in range(20):
        store.put(frame(number), answer(number))
    (shard,) = (path for path in tmp_path.rglob("*") if path.is_file())
    read_through = offsets_in(shard)
    store.close()
    assert sorted(path.suffix for path in shard.parent.iterdir()) == [".ids", ".jsonl"]
    assert (
        offsets_in(shard)
        == read_through
        == {frame(n).info["frame_id"]: read_through[frame(n).info["frame_id"]] for n in range(20)}
    )
    shard.with_suffix(".ids").write_text("no index")
    assert offsets_in(shard) == read_through
    with shard.open("ab") as file:
        file.write(ENTRY[:200])  # of a task that goes on writing
    assert offsets_in(shard) == read_through


def test_labels_of_a_store_of_one_file_a_frame_are_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frame_id = frame().info["frame_id"]
    path = tmp_path / THEORY / frame_id[:2] / f"{frame_id}.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(ENTRY)
    assert_same(Store(tmp_path, THEORY).get(frame()), answer())
    path.write_bytes(ENTRY[:100])
    assert Store(tmp_path, THEORY).get(frame()) is None
    assert f"label store: {path}: it is cut off or altered" in capsys.readouterr().err


ENTRY = entry_text(frame(), THEORY, answer()).encode()


@settings(max_examples=examples(400))
@given(data=st.data())
def test_no_damage_gives_a_wrong_number(data: st.DataObject) -> None:
    """Cut off, bits flipped, bytes written over, doubled: the right numbers or none."""
    damaged = bytearray(ENTRY)
    for _ in range(data.draw(st.integers(1, 3))):
        offset = data.draw(st.integers(0, max(len(damaged) - 1, 0)))
        match data.draw(st.sampled_from(["cut", "flip", "write", "insert"])):
            case "cut":
                del damaged[offset:]
            case "flip" if damaged:
                damaged[offset] ^= 1 << data.draw(st.integers(0, 7))
            case "write":
                noise = data.draw(
                    st.binary(min_size=1, max_size=40) | st.text("0123456789.e-,", min_size=1).map(str.encode)
                )
                damaged[offset : offset + len(noise)] = noise
            case "insert":
                damaged[offset:offset] = ENTRY[: data.draw(st.integers(1, len(ENTRY)))]
    try:
        read_back = parse_entry(bytes(damaged), frame().info["frame_id"], THEORY, 2)
    except ValueError:
        return
    assert_same(read_back, answer())


@given(data=st.binary() | st.recursive(st.none() | st.booleans() | st.floats() | st.text(),
       lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.just("sha256"), inner)).map(lambda v: json.dumps(v).encode()))  # fmt: skip
def test_what_is_no_entry_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"cut off or altered|does not fit"):
        parse_entry(data, "0" * 16, THEORY, 2)


def resealed(**changes: object) -> bytes:
    """An entry with other content and the sha256 that fits it."""
    content = json.loads(ENTRY) | changes
    content = {key: value for key, value in content.items() if key != "sha256" and value != "left out"}
    return json.dumps(content | {"sha256": digest(content)}).encode()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (resealed(frame_id="f" * 16), "its frame_id is 'ffffffffffffffff', not"),
        (resealed(theory_id="f" * 12), "its theory_id is"),
        (resealed(n_atoms=3), "its n_atoms is 3, not 2"),
        (resealed(format=2), "its format is 2, not 1"),
        (resealed(forces_ev_a=[[1.0, 0, 0]]), "its label cannot be used: shape"),
        (resealed(forces_ev_a=[[99.0, 0, 0], [-99.0, 0, 0]]), "its label cannot be used: force_too_large"),
        (resealed(energy_ev="left out"), "a field is missing"),
        (resealed(energy_ev=None), "a field is missing or of another type"),
        (ENTRY.replace(b'"energy_ev": -', b'"energy_ev": -1'), "its content does not fit its sha256"),
        (ENTRY.replace(b'"energy_ev": -', b'"energy_ev": NaN, "e": -'), "it is cut off or altered"),
        (b"", "it is cut off or altered"),
    ],
)
def test_an_entry_that_is_not_right_is_said_redone_and_replaced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], data: bytes, said: str
) -> None:
    store = Store(tmp_path, THEORY)
    store.put(frame(), answer())
    store.close()
    (path,) = tmp_path.rglob("*.jsonl")
    path.write_bytes(data)
    store = Store(tmp_path, THEORY)
    assert store.get(frame()) is None
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(f"label store: {path}: {said}")
    store.put(frame(), answer())
    assert_same(store.get(frame()), answer())
    store.close()
    assert_same(Store(tmp_path, THEORY).get(frame()), answer())
    assert capsys.readouterr().err == "", "the right one is said nothing of"


WRITER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_store import THEORY, Store, answer, frame
store = Store(Path(sys.argv[1]), THEORY)
for turn in range(5):
    for number in range(10):
        store.put(frame(number), answer(number))
        assert store.get(frame(number)) is not None
        assert Store(Path(sys.argv[1]), THEORY).get(frame(number)) is not None
store.close()
"""


def test_many_writers_of_the_same_entries(tmp_path: Path) -> None:
    """Each reads what it and the others write, and none ever sees half an entry."""
    paths = [BIN, Path(__file__).parents[2]]  # of what this file imports
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(str(path) for path in paths)}
    command = [sys.executable, "-c", WRITER, str(tmp_path), str(Path(__file__).parent)]
    writers = [subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    for writer in writers:
        _, said = writer.communicate(timeout=300)
        assert (writer.returncode, said) == (0, "")
    store = Store(tmp_path, THEORY)
    for number in range(10):
        assert_same(store.get(frame(number)), answer(number))
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 3 * 2, "no part is left behind"


def test_a_store_that_cannot_be_written_is_said_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root, spare = tmp_path / "store", tmp_path / "spare"
    root.mkdir()
    (root / THEORY).write_text("a file where a folder belongs")
    store = Store(root, THEORY, spare)
    assert store.get(frame()) is None
    capsys.readouterr()
    for number in range(3):
        store.put(frame(number), answer(number))
    lines = capsys.readouterr().err.splitlines()
    assert lines == [f"label store {root}: cannot be written (File exists); this task leaves it"]
    store.close()
    for number in range(3):
        assert_same(Store(spare, THEORY).get(frame(number)), answer(number))
        assert_same(Store(None, THEORY, staged=spare / THEORY).get(frame(number)), answer(number))


def test_a_full_disk_leaves_no_part_of_an_entry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(_number: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(labels_store.os, "fsync", full)
    store = Store(tmp_path, THEORY)
    store.put(frame(), answer())
    store.put(frame(1), answer(1))
    assert capsys.readouterr().err.splitlines() == [
        f"label store {tmp_path}: cannot be written (No space left on device); this task leaves it"
    ]
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
