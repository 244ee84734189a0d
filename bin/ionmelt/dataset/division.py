"""The division of labelled frames: what each mixture is trained and validated on, and what no training sees."""

from collections import Counter
from dataclasses import dataclass

from ase import Atoms

from ionmelt.dataset.groups import TRAINED_KIND, Group, groups_of, split_groups
from ionmelt.dataset.settings import DatasetSettings, kinds_of
from ionmelt.errors import UserError
from ionmelt.files import sha256
from ionmelt.frames import selection


@dataclass(frozen=True)
class Mixture:
    """The frames that a mixture is trained and validated on."""

    train: list[Atoms]
    valid: list[Atoms]

    @property
    def subsets(self) -> dict[str, list[Atoms]]:
        """Both, by name."""
        return {"train": self.train, "valid": self.valid}


@dataclass(frozen=True)
class Division:
    """Frames by what they are for. ``near`` are frames of training groups that no training sees."""

    mixtures: dict[str, Mixture]  # by name
    test: list[Atoms]
    near: list[Atoms]
    split: dict[str, str]  # of each group: train, valid or test


def near_frames(frames: list[Atoms], share: float, seed: int) -> set[str]:
    """Return the ids of training frames to keep back: of each kind a share, at random, with at least one left in every group.

    They are what a random split would test on: frames of trajectories that the training sees.
    """
    left = Counter(frame.info["group"] for frame in frames)
    kept_back = set()
    for kind in sorted({frame.info["kind"] for frame in frames}):
        of_kind = [frame for frame in frames if frame.info["kind"] == kind]
        wanted = round(share * len(of_kind))
        for frame in sorted(of_kind, key=lambda f: sha256(f"{seed} {f.info['frame_id']}".encode())):
            if wanted and left[frame.info["group"]] > 1:
                left[frame.info["group"]] -= 1
                wanted -= 1
                kept_back.add(frame.info["frame_id"])
    return kept_back


def belongs(frame: Atoms, entries: list[str]) -> bool:
    """Tell whether a frame is of a dataset: of one of its kinds, and not of a liquid that it leaves out (-LIQUID)."""
    kinds, left_out = kinds_of(entries)
    return frame.info["kind"] in kinds and frame.info["liquid"] not in left_out


def cut(frames: list[Atoms], size: int, name: str) -> list[Atoms]:
    """Return the `size` frames that differ most, in the order they had; a smaller cut is part of every larger one."""
    groups = [frame.info["group"] for frame in frames]
    kept = selection.farthest_points(selection.descriptors(frames), groups, size)
    if len(kept) < size:
        raise UserError(f"sizes: {size}: {name} has {len(kept)} training frames that differ; give less, or sample more")
    return [frames[index] for index in sorted(kept)]


def divided(frames: list[Atoms], settings: DatasetSettings) -> Division:
    """Return the division of the frames; raises `UserError` where a mixture or the test set is left without frames."""
    groups = groups_of(frames)
    split = split_groups(groups, settings.split.valid, settings.split.test, settings.split.seed)
    if not settings.datasets:  # nothing is to be trained
        split = dict.fromkeys(split, "test")
    trained = [f for f in frames if split[f.info["group"]] == "train" and f.info["kind"] != TRAINED_KIND]
    kept_back = near_frames(trained, settings.split.near, settings.split.seed)
    by_use: dict[str, list[Atoms]] = {"train": [], "valid": [], "test": [], "near": []}
    for frame in sorted(frames, key=lambda f: [f.info[key] for key in ("liquid", "recipe", "group", "frame_id")]):
        by_use["near" if frame.info["frame_id"] in kept_back else split[frame.info["group"]]].append(frame)
    for frame in by_use["near"]:
        frame.info["split"] = "near"
    mixtures = {}
    for name, kinds in sorted(settings.datasets.items()):
        train, valid = ([f for f in by_use[use] if belongs(f, list(kinds))] for use in ("train", "valid"))
        size = settings.sizes.get(name)
        mixtures[name] = Mixture(train if size is None else cut(train, size, name), valid)
    division = Division(mixtures, by_use["test"], by_use["near"], split)
    refuse_empty(division, groups, settings)
    return division


def refuse_empty(division: Division, groups: list[Group], settings: DatasetSettings) -> None:
    """Raise `UserError`, a line for each, where the training or validation set of a mixture, or the test set, has no frame."""
    empty = [
        f"datasets.{name}: no frame is left for {subset}: its kinds ({', '.join(settings.datasets[name])}) have "
        f"{sum(g.cell[0] in settings.datasets[name] and not g.test_only for g in groups)} groups, and groups are never "
        "cut; sample more trajectories, replicas or temperatures"
        for name, mixture in division.mixtures.items()
        for subset, members in mixture.subsets.items()
        if not members
    ]
    if not division.test:
        empty.append(
            "split.test: no frame is left for the test set; add sampling.test_scan, or sample more trajectories"
        )
    if empty:
        raise UserError(*empty)
