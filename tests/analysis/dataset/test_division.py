"""The division of frames: what is kept near the training, which frames are of a dataset, and what each of them is for."""

from typing import Any

import pytest
from ase import Atoms

from ionmelt.dataset import division
from ionmelt.dataset.settings import DatasetSettings, Split
from ionmelt.errors import UserError


def frame(group: str, number: int, kind: str = "eq", liquid: str = "salt") -> Atoms:
    atoms = Atoms("Li")
    atoms.info = {"frame_id": f"{group}-{number}", "group": group, "kind": kind, "liquid": liquid, "recipe": "r"}
    return atoms


def settings(near: float = 0.0, **given: Any) -> DatasetSettings:
    """Return settings of two datasets, not in the order of their names."""
    named = {"eq": ("eq", "active"), "both": ("eq", "neq", "active")}
    split = Split(valid=0.2, test=0.2, near=near, seed=1)
    return DatasetSettings(id="dataset", split=split, max_failed_fraction=0, **{"datasets": named} | given)


def ids(frames: list[Atoms]) -> list[str]:
    return [one.info["frame_id"] for one in frames]


# Five frames to a group; those of the kind eq are named in the order against that of their groups.
FRAMES = [frame(f"eq{group}", number) for group in range(10) for number in range(5)]
FRAMES += [frame(f"neq{group}", number, "neq") for group in range(10) for number in range(5)]
for one in FRAMES[:50]:
    one.info["frame_id"] = f"{9 - int(one.info['group'][2:])}-{one.info['frame_id']}"


def test_near_frames_leave_one_in_every_group() -> None:
    frames = [frame(group, number) for group in ("a", "b") for number in range(3)]
    assert len(division.near_frames(frames, 1.0, 1)) == 4
    assert division.near_frames(frames, 0.0, 1) == set()


def test_near_frames_are_a_share_of_each_kind() -> None:
    frames = [frame(kind, number, kind) for kind, count in (("eq", 10), ("neq", 20)) for number in range(count)]
    kept_back = division.near_frames(frames, 0.2, 1)
    assert sorted(name.split("-")[0] for name in kept_back) == ["eq"] * 2 + ["neq"] * 4
    assert len(division.near_frames(frames[:10], 0.28, 1)) == 3  # the nearest whole number
    for seed in range(5):  # at random, whatever order the frames are in
        assert division.near_frames(frames, 0.2, seed) == division.near_frames(frames[::-1], 0.2, seed)


def test_a_dataset_is_of_kinds_without_the_liquids_that_it_leaves_out() -> None:
    assert division.belongs(frame("a", 1), ["eq"])
    assert not division.belongs(frame("a", 1, kind="neq"), ["eq"])
    assert not division.belongs(frame("a", 1), ["eq", "-salt"])


def test_every_frame_is_for_one_thing_and_every_group_but_for_what_is_near() -> None:
    divided = division.divided([one.copy() for one in FRAMES], settings(near=0.2))
    mixtures = divided.mixtures
    assert list(mixtures) == ["both", "eq"]
    assert list(mixtures["both"].subsets.items()) == [
        ("train", mixtures["both"].train),
        ("valid", mixtures["both"].valid),
    ]
    uses = {"train": mixtures["both"].train, "valid": mixtures["both"].valid, "test": divided.test}
    every = [*uses.values(), divided.near]
    assert sorted(name for frames in every for name in ids(frames)) == sorted(ids(FRAMES))
    assert [len(frames) for frames in every] == [48, 20, 20, 12]
    for use, frames in uses.items():
        assert {one.info["group"] for one in frames} == {name for name, of in divided.split.items() if of == use}
        assert not [one for one in frames if "split" in one.info]
        assert {one.info["kind"] for one in frames} == {"eq", "neq"}
    assert {(one.info["split"], divided.split[one.info["group"]]) for one in divided.near} == {("near", "train")}
    for use, frames in mixtures["eq"].subsets.items():
        assert ids(frames) == ids([one for one in uses[use] if one.info["kind"] == "eq"])


def test_frames_stand_by_liquid_recipe_group_and_id_whatever_order_they_came_in() -> None:
    later = [one.copy() for one in FRAMES[::-1]]
    for one in later[:50]:
        one.info["liquid"] = "a"  # before the salt
    for one in later[::2]:
        one.info["recipe"] = "q"  # before r
    train = division.divided(later, settings()).mixtures["both"].train
    names = [tuple(one.info[key] for key in ("liquid", "recipe", "group", "frame_id")) for one in train]
    assert names == sorted(names) and len(names) == 60


def test_what_active_learning_adds_is_trained_on_whole() -> None:
    added = [frame("walk", number, "active") for number in range(10)]
    divided = division.divided([one.copy() for one in (*FRAMES, *added)], settings(near=0.2))
    assert {one.info["kind"] for one in divided.near} == {"eq", "neq"}
    for mixture in divided.mixtures.values():
        assert len([one for one in mixture.train if one.info["kind"] == "active"]) == 10


def test_without_a_dataset_every_frame_is_a_test() -> None:
    divided = division.divided([one.copy() for one in FRAMES], settings(datasets={}))
    assert (len(divided.test), divided.near, divided.mixtures) == (100, [], {})
    assert set(divided.split.values()) == {"test"}


def test_a_cut_takes_the_frames_that_differ_most_in_their_order() -> None:
    """Pairs of atoms whose distances are two of a kind but for the last bits: three of them say all there is."""
    frames = []
    for number, distance in enumerate((2.0, 2.0, 3.0, 3.0, 4.0, 4.0)):
        frames.append(frame(f"g{number % 2}", number))
        frames[-1] += Atoms("F", [[distance, 0, 0]])
        frames[-1].set_cell([20, 20, 20])
        frames[-1].pbc = True
    three = division.cut(frames, 3, "eq")
    assert sorted(one.get_distance(0, 1) for one in three) == [2.0, 3.0, 4.0]
    assert ids(three) == [name for name in ids(frames) if name in ids(three)]
    assert set(ids(division.cut(frames, 2, "eq"))) < set(ids(three))
    with pytest.raises(UserError, match="sizes: 4: eq has 3 training frames that differ; give less"):
        division.cut(frames, 4, "eq")


@pytest.mark.parametrize(("kinds", "groups"), [(("eq", "-salt"), 2), (("neq",), 0)])
def test_what_is_left_without_frames_is_said_with_the_groups_that_there_are(
    kinds: tuple[str, ...], groups: int
) -> None:
    """Of two groups none is left to test, unless there is a scan, which trains nothing; a dataset may leave its one liquid out."""
    scan = frame("scan", 1, "neq")
    scan.info["recipe"] = "test_scan"
    frames = [one.copy() for one in FRAMES[:10]]
    said = [
        f"datasets.none: no frame is left for {use}: its kinds ({', '.join(kinds)}) have {groups} groups, and groups are never cut"
        for use in ("train", "valid")
    ]
    for some, more in ((frames, ["split.test: no frame is left for the test set"]), ([*frames, scan], [])):
        with pytest.raises(UserError) as caught:
            division.divided(some, settings(datasets={"eq": ("eq",), "none": kinds}))
        assert [line.split("; ")[0] for line in caught.value.errors] == said + more
