"""Files that one task hands to another, spoiled in any way: refused in lines, or read as they were written."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from fuzz import corpus, inputs

from ionmelt.errors import UserError
from ionmelt.files import digest
from ionmelt.frame import FORCES_KEY, Label, make_frame, set_label
from ionmelt.frame_file import read_frames, write_frames
from ionmelt.labels.store_entry import Answer, entry_text, parse_entry
from ionmelt.models.card import read_card
from ionmelt.study.round_before import read_before

THEORY = "0123456789ab"
WEIGHTS = b"weights"
CARD = {
    "id": "mace-both-s1", "model": "mace", "framework": "mace", "dataset": "both", "seed": 1, "versions": {"python": "3.11.7"},
    "files": {"model.pt": "9ca23dbe2b8f3f78b0f8b2e8a9a3d6a0c2d9d1cf7c6b5bd0a4f1c3f5a7d0e9b1"}, "load": "model.pt", "theory_id": THEORY,
    "elements": ["B", "F", "Li"], "cutoff_A": 4.5, "licence": None, "settings": {"mode": None, "round": 2, "dispersion": None},
    "cost": {"wall_s": 12.5, "cpu_s": 24.0, "threads": 2},
}  # fmt: skip


def labelled(number: int) -> Atoms:
    """Return a frame of LiF with a label."""
    rng = np.random.default_rng(number)
    frame = make_frame(
        np.array([3, 9]), np.array([[0.1, 0.2, 0.3], [1.9, 0.2, 0.01 * number]]), np.array([4.0, 4.1, 4.2]),
        np.arange(2), ["li", "f"], liquid="lif", kind="eq", recipe="equilibrium", group="g",
    )  # fmt: skip
    force = rng.normal(size=3)
    stress = rng.normal(size=(3, 3)) / 100
    set_label(frame, -1000 / 3 + rng.normal(), np.array([force, -force]), stress + stress.T, THEORY, True, 11)
    return frame


FRAMES = [labelled(number) for number in range(3)]


def same(frame: Atoms, other: Atoms) -> bool:
    """Tell whether two frames have the same atoms and label."""
    return (
        frame.info["REF_energy"] == other.info["REF_energy"]
        and np.array_equal(frame.arrays[FORCES_KEY], other.arrays[FORCES_KEY])
        and np.array_equal(frame.positions, other.positions)
        and np.array_equal(frame.info["REF_stress"], other.info["REF_stress"])
    )


def good_frames(folder: Path) -> str:
    write_frames(folder / "good.extxyz", FRAMES)
    return (folder / "good.extxyz").read_text()


def judge_frames(text: str, folder: Path) -> None:
    """The seal of a file is in its first frame: without it there is the contract, which the frames must keep."""
    path = folder / "a.extxyz"
    path.write_bytes(text.encode())
    try:
        frames = read_frames(path, labelled=True)
    except UserError as error:
        check_lines(error)
        return
    assert frames
    if "file_sha256" in text:
        assert all(same(frame, other) for frame, other in zip(frames, FRAMES, strict=True))
    for frame in frames:
        assert np.isfinite(frame.info["REF_energy"]) and np.isfinite(frame.positions).all()
        assert np.linalg.norm(frame.arrays[FORCES_KEY].sum(axis=0)) < 0.1
        assert frame.info["frame_id"] == make_frame(
            frame.numbers, frame.positions, frame.cell.array, frame.arrays["molecule"], frame.arrays["ion"]
        ).info["frame_id"]  # fmt: skip


def good_entry(_folder: Path) -> str:
    frame = FRAMES[0]
    label = Label(
        frame.info["REF_energy"], frame.arrays[FORCES_KEY], frame.info["REF_stress"], True, scf_steps=11, guess="cold"
    )
    return entry_text(frame, THEORY, Answer(label, 1.5, "engine 1"))


def judge_entry(text: str, _folder: Path) -> None:
    """An entry that is taken is the one that was put there; one whose digest somebody made right keeps the contract."""
    frame = FRAMES[0]

    def parsed(data: str) -> Answer | None:
        try:
            return parse_entry(data.encode(), frame.info["frame_id"], THEORY, len(frame))
        except ValueError as error:
            assert str(error).isprintable() and len(str(error)) < 1000
            return None

    if answer := parsed(text):
        assert answer.label.energy_ev == frame.info["REF_energy"]
        np.testing.assert_array_equal(answer.label.forces_ev_a, frame.arrays[FORCES_KEY])
    try:
        content = json.loads(text)
        content.pop("sha256", None)
        whole = json.dumps(content | {"sha256": digest(content)})
    except (ValueError, TypeError, AttributeError, RecursionError):
        return
    if answer := parsed(whole):
        assert np.isfinite(answer.label.energy_ev) and np.isfinite(answer.wall_s) and answer.wall_s >= 0
        assert np.shape(answer.label.forces_ev_a) == (2, 3) and np.shape(answer.label.stress_ev_a3) == (3, 3)
        assert answer.label.scf_steps is None or type(answer.label.scf_steps) is int
        assert answer.version is None or isinstance(answer.version, str)


def good_card(_folder: Path) -> str:
    return json.dumps(CARD, indent=2)


def judge_card(text: str, folder: Path) -> None:
    """Cards are of a model folder, whose weights must be as the card says, or of the round before."""
    path = folder / "model.json"
    path.write_bytes(text.encode())
    (folder / "model.pt").write_bytes(WEIGHTS)
    try:
        number = read_before("results", [path]).round
        assert type(number) is int and number >= 0
    except UserError as error:
        check_lines(error)
    try:
        card = read_card(folder)
        assert card.framework
        assert not card.files or (folder / card.loaded_file).parent == folder
        if card.files:
            card.weights_file(folder)
    except UserError as error:
        check_lines(error)
    else:
        assert not card.files, "weights of another content were taken"


def check_lines(error: UserError) -> None:
    """Assert that mistakes are said in lines for a person."""
    assert error.errors
    for line in error.errors:
        assert line.isprintable(), line
        assert len(line) < 1000, line


KINDS: dict[str, tuple[Callable[[Path], str], Callable[[str, Path], None]]] = {
    "frames": (good_frames, judge_frames), "store": (good_entry, judge_entry), "card": (good_card, judge_card),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_spoiled_is_good(kind: str, tmp_path: Path) -> None:
    good, judge = KINDS[kind]
    judge(good(tmp_path), tmp_path)


@pytest.mark.long
@pytest.mark.budget(36000, hangs_s=36000)
@pytest.mark.parametrize("kind", KINDS)
def test_spoiled_files(kind: str, tmp_path: Path) -> None:
    good, judge = KINDS[kind]
    for number, text in inputs([good(tmp_path)]):
        try:
            judge(text, tmp_path)
        except BaseException as error:
            (tmp_path / "input").write_bytes(text.encode())
            raise AssertionError(f"{kind}, input {number}, which is {tmp_path / 'input'}") from error


@pytest.mark.parametrize(
    "path", [path for kind in KINDS for path in corpus(kind)], ids=lambda path: f"{path.parent.name}-{path.name}"
)
def test_files_that_were_handled_wrongly_once(path: Path, tmp_path: Path) -> None:
    KINDS[path.parent.name][1](path.read_bytes().decode(), tmp_path)
