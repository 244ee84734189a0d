"""The division of frames: what is kept near the training, and which frames are of a dataset."""

from ase import Atoms

from ionmelt.dataset import division


def frame(group: str, number: int, kind: str = "eq", liquid: str = "salt") -> Atoms:
    atoms = Atoms("Li")
    atoms.info = {"frame_id": f"{group}-{number}", "group": group, "kind": kind, "liquid": liquid}
    return atoms


def test_near_frames_leave_one_in_every_group() -> None:
    frames = [frame(group, number) for group in ("a", "b") for number in range(3)]
    assert len(division.near_frames(frames, 1.0, 1)) == 4
    assert division.near_frames(frames, 0.0, 1) == set()


def test_near_frames_are_a_share_of_each_kind() -> None:
    frames = [frame(kind, number, kind) for kind, count in (("eq", 10), ("neq", 20)) for number in range(count)]
    kept_back = division.near_frames(frames, 0.2, 1)
    assert sorted(name.split("-")[0] for name in kept_back) == ["eq"] * 2 + ["neq"] * 4
    assert len(division.near_frames(frames[:10], 0.28, 1)) == 3  # the nearest whole number


def test_a_dataset_is_of_kinds_without_the_liquids_that_it_leaves_out() -> None:
    assert division.belongs(frame("a", 1), ["eq"])
    assert not division.belongs(frame("a", 1, kind="neq"), ["eq"])
    assert not division.belongs(frame("a", 1), ["eq", "-salt"])
