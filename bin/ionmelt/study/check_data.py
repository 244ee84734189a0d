"""What a study says of its datasets, judged: their kinds of frames, sizes and split, as the sampling and the labels allow."""

import re
from collections.abc import Mapping
from typing import Any

from ionmelt.dataset.settings import kinds_of
from ionmelt.frame import KINDS
from ionmelt.frames.settings import NeqRecipes, Sampling
from ionmelt.labels.settings import OwnLabels
from ionmelt.mistakes import did_you_mean
from ionmelt.study.boxes import repeated
from ionmelt.study.check_active import check_active
from ionmelt.study.check_labels import check_labels
from ionmelt.study.check_sampling import check_sampling
from ionmelt.study.paths import Paths, missing_file
from ionmelt.study.reading import Draft, Problems

TRAJECTORY_GROUPS = 3  # that sample_frames.py cuts a trajectory into, at least
# What a study gives to have frames of a kind.
GIVEN_BY = {"eq": "sampling.eq", "neq": "a recipe in sampling.neq", "active": "active"}


def check_data(draft: Draft, raw: Mapping[str, Any], paths: Paths, problems: Problems) -> None:
    """Judge sampling, labels, datasets and split against each other."""
    study = draft.study
    sampling, brought = study.sampling, isinstance(study.labels, OwnLabels)
    trained = [index for index, model in draft.models.items() if model.is_trained]
    whole = not problems.within(("sampling",))  # a recipe that is wrong is said already, and its frames are not missing
    check_labels(draft, raw, trained, paths, problems)
    if sampling:
        check_sampling(draft, sampling, problems)
    made = made_groups(draft, sampling) if sampling and whole else None
    for name, entries in (study.datasets or {}).items():
        check_entries(draft, name, entries, problems, None if brought else made)
        check_mixture(draft, name, entries, problems, made)
    check_active(draft, trained, brought, problems)
    if study.heldout_frames is not None and (wrong := missing_file(paths, study.heldout_frames)):
        problems.add(("heldout_frames",), wrong)
    valid, test = study.split.valid or 0, study.split.test or 0
    check_sizes(draft, problems, 1 - valid - test)
    if valid and test and valid + test > 0.8:
        text = f"valid {valid:g} and test {test:g} leave too little to train on: at most 0.8 together"
        problems.add(("split",), text)


def made_groups(draft: Draft, sampling: Sampling) -> dict[str, int]:
    """Return how many groups of each kind the sampling makes at least, as `sample_frames.py` makes them."""
    # A liquid whose temperatures are wrong counts as one that has one.
    trajectories = sum(len(liquid.temperatures_K or "?") for liquid in draft.liquids.values())
    made = {}
    if sampling.eq:
        made["eq"] = min(sampling.eq.frames, TRAJECTORY_GROUPS) * trajectories
    neq = sampling.neq
    groups = neq.packing.frames if neq.packing else 0
    if neq.oscillation:
        groups += min(neq.oscillation.frames, max(1, int(neq.oscillation.length_ps / neq.oscillation.period_ps)))
    # These are made from the frames of a trajectory, and are in their groups.
    groups += min(
        sum(recipe.frames for recipe in (neq.volume_scan, neq.rattle, neq.clusters, neq.ions) if recipe),
        TRAJECTORY_GROUPS,
    )
    if groups:
        made["neq"] = groups * len(draft.liquids)
    if draft.study.active:
        made["active"] = 0  # of the groups to split: these are all trained on
    return made


def check_entries(
    draft: Draft, name: str, entries: tuple[str, ...], problems: Problems, made: Mapping[str, int] | None
) -> None:
    """Judge each kind and each liquid left out of a dataset; `made`: the kinds that are sampled, None where any may be there."""
    liquids = [liquid.id for liquid in draft.liquids.values()]
    for index, entry in enumerate(entries):
        loc = ("datasets", name, index)
        if entry.startswith("-"):
            if entry[1:] not in liquids:
                names = ", ".join(f"-{liquid}" for liquid in liquids if liquid)
                problems.add(
                    loc,
                    f"{entry!r} leaves out no liquid of the study; {did_you_mean(entry, names.split(', '))}known: {names}",
                )
        elif entry not in KINDS:
            problems.add(loc, f"unknown kind {entry!r}; {did_you_mean(entry, KINDS)}known: {', '.join(KINDS)}")
        elif made is not None and entry not in made:
            problems.add(loc, f"no {entry} frames are sampled: give {GIVEN_BY[entry]}, or leave {entry!r} out")
    for entry in repeated(list(entries)):
        problems.add(("datasets", name), f"{entry!r} is given twice")


def check_mixture(
    draft: Draft, name: str, entries: tuple[str, ...], problems: Problems, made: Mapping[str, int] | None
) -> None:
    """Judge a dataset as a whole: it needs frames to train on, and groups enough to split."""
    kinds, without = kinds_of(entries)
    if not kinds:
        problems.add(("datasets", name), f"no kind of frames is given: give {' or '.join(KINDS)}")
    if kinds == {"active"}:
        problems.add(("datasets", name), "the first round has no active frames: give eq or neq beside active")
    if without and without >= {liquid.id for liquid in draft.liquids.values()}:
        problems.add(("datasets", name), "every liquid is left out: leave one in")
    groups = sum((made or {}).get(kind, 0) for kind in kinds)
    if made is not None and 0 < groups < 3:
        text = f"{groups} groups of frames: training, validation and test need one each; sample more frames"
        problems.add(("datasets", name), text)


def neq_frames(neq: NeqRecipes) -> int:
    """Return how many non-equilibrated frames are made of each liquid."""
    return sum(recipe.frames for _, recipe in neq if recipe)


def check_sizes(draft: Draft, problems: Problems, kept: float) -> None:
    """Judge the sizes of learning curves; `kept` is the share of the sampled frames to train on."""
    sizes, sampling, datasets = draft.study.sizes or (), draft.study.sampling, draft.study.datasets or {}
    if draft.study.whole_datasets is False and not sizes:
        problems.add(
            ("whole_datasets",), "false, without sizes: nothing to train on; give the numbers of frames as sizes"
        )
    if draft.study.whole_datasets is False and draft.study.active is not None:
        problems.add(("whole_datasets",), "false, with active learning: it explores with models of whole datasets")
    for size in repeated(list(sizes)):
        problems.add(("sizes",), f"{size} is given twice")
    for name in datasets if sizes else ():
        if re.search(r"\.\d+$", name):
            problems.add(("datasets", name), "ends like a size, which sizes adds to names: give another name")
    if sampling is None:
        return
    for index, size in enumerate(sizes):
        for name, entries in datasets.items():
            most = int(kept * frames_of(draft, sampling, entries))
            if size >= most:
                problems.add(("sizes", index), f"{size} frames of {name}: it has about {most} to train on")


def frames_of(draft: Draft, sampling: Sampling, entries: tuple[str, ...]) -> int:
    """Return how many frames a dataset has, of all liquids that are in it."""
    kinds, without = kinds_of(entries)
    frames = 0
    for liquid in draft.liquids.values():
        if liquid.id not in without:
            eq = sampling.eq.frames * len(liquid.temperatures_K or "?") if sampling.eq else 0
            frames += eq * ("eq" in kinds) + neq_frames(sampling.neq) * ("neq" in kinds)
    return frames
