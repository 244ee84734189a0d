"""What a study says about frames, labels and datasets, judged as a whole."""

import math
import re
from collections.abc import Mapping
from math import ceil
from typing import Any

from ionmelt import theory as theory_level
from ionmelt.frame import KINDS, kinds_of
from ionmelt.frames.settings import NEED_FORCE_FIELD, NEQ_RECIPES
from ionmelt.labels.engines.settings import DftLabels
from ionmelt.mistakes import brief
from ionmelt.study.boxes import repeated
from ionmelt.study.check_models import cutoff_of
from ionmelt.study.keys import is_trained
from ionmelt.study.places import Places, missing_file
from ionmelt.study.reading import Draft, Problems

SWING_STRIDE_PS, SWING_STOPS_LEAST = 0.01, 10  # how often sample_frames.py moves a swinging box; a period has so many
TRAJECTORY_GROUPS = 3  # that sample_frames.py cuts a trajectory into, at least
SAVED_FRAMES_LEAST = 10
OTHER_LIQUID = "other"  # the name that import_labels.py gives to frames of no liquid of the study


def made_groups(draft: Draft) -> dict[str, int]:
    """Return how many groups of each kind the sampling makes at least, as `sample_frames.py` makes them."""
    sampling = draft.get("sampling")
    # A liquid whose temperatures are wrong counts as one that has one.
    trajectories = sum(len(liquid.get("temperatures_K") or "?") for liquid in draft.liquids.values())
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
    if draft.get("active"):
        made["active"] = 0  # of the groups to split: these are all trained on
    return made


def check_own_labels(draft: Draft, labels: Any, places: Places, problems: Problems) -> None:
    """Judge what the study says about labels that the user already has."""
    paths = labels.paths()
    for index, text in enumerate(paths):
        if wrong := missing_file(places, text, folder=True):
            problems.add(("labels", "frames") if isinstance(labels.frames, str) else ("labels", "frames", index), wrong)
    for text in repeated(list(paths)):
        problems.add(("labels", "frames"), f"{brief(text)} is given twice")
    if labels.stress_key and labels.virial_key:
        problems.add(("labels", "virial_key"), f"{brief(labels.virial_key)}: give stress_key or virial_key, not both")
    if labels.virial_key and labels.stress_unit not in (None, "eV/A^3"):
        problems.add(("labels", "stress_unit"), f"{labels.stress_unit}: a virial is in energy_unit: leave this out")
    if labels.format not in ("auto", "extxyz"):
        for name in ("energy", "forces", "stress", "virial", "group"):
            if getattr(labels, f"{name}_key") is not None:
                text = f"is for extxyz: {labels.format} has no names of its own: leave this out"
                problems.add(("labels", f"{name}_key"), text)
        for name in ("energy_unit", "forces_unit", "stress_unit", "stress_order"):
            if getattr(labels, name) is not None:
                known = f"the {'orders' if name == 'stress_order' else 'units'} of {labels.format} are known"
                text = f"is for extxyz: {known}: leave this out"
                problems.add(("labels", name), text)
    for index, liquid in draft.liquids.items():
        if liquid.get("id") == OTHER_LIQUID:
            text = f"{OTHER_LIQUID!r} is the name of imported frames of other compositions: give another"
            problems.add(("liquids", index, "id"), text)


def check_data(draft: Draft, raw: Mapping[str, Any], places: Places, problems: Problems) -> None:
    """Judge sampling, labels, datasets and split against each other."""
    sampling, labels = draft.get("sampling"), draft.get("labels")
    trained = [index for index, model in draft.models.items() if model.get("framework") and is_trained(model)]
    own = labels is not None and hasattr(labels, "frames")
    if isinstance(labels, DftLabels):
        for name, text in theory_level.problems(labels.model_dump(), labels.program):
            problems.add(("labels", name), text)
    if own:
        check_own_labels(draft, labels, places, problems)
        if raw.get("sampling") is not None:
            problems.add(("sampling",), "is not used with labels.frames: leave one of the two out")
    if trained:
        which = f"models[{trained[0]}] is trained"
        if raw.get("labels") is None:
            problems.add(("labels",), f"missing: {which}; give {{engine: xtb}}, or {{frames: ..., theory: ...}}")
        elif raw.get("sampling") is None and not own and labels is not None:
            problems.add(("sampling",), f"missing: {which}; give {{eq: {{frames: ...}}, neq: {{...}}}}")
    if sampling:
        scan = sampling.neq.volume_scan
        if scan and scan.scale_min >= scan.scale_max:
            text = f"{scan.scale_min:g} is not below scale_max {scan.scale_max:g}"
            problems.add(("sampling", "neq", "volume_scan", "scale_min"), text)
        packing = sampling.neq.packing
        if packing and packing.density_min_fraction >= packing.density_max_fraction:
            low, high = packing.density_min_fraction, packing.density_max_fraction
            text = f"{low:g} is not below density_max_fraction {high:g}"
            problems.add(("sampling", "neq", "packing", "density_min_fraction"), text)
        swing = sampling.neq.oscillation
        if swing and swing.period_ps > swing.length_ps:
            text = f"{swing.period_ps:g} ps is longer than the run, length_ps {swing.length_ps:g}"
            problems.add(("sampling", "neq", "oscillation", "period_ps"), text)
        if swing:
            for index, liquid in draft.liquids.items():
                coldest = min(liquid.get("temperatures_K") or (1e9,))
                if swing.temperature_amplitude_K >= coldest:
                    text = f"{swing.temperature_amplitude_K:g} K would cool liquids[{index}] below 0 K"
                    problems.add(("sampling", "neq", "oscillation", "temperature_amplitude_K"), text)
        if sampling.neq.ions:
            vacuum = sampling.neq.ions.vacuum_A
            for index, model in draft.models.items():
                if (cutoff := cutoff_of(model)) and cutoff[1] > vacuum:
                    text = f"{vacuum:g} A is less than {cutoff[0]} of models[{index}], {cutoff[1]:g} A: it would see an ion's images"
                    problems.add(("sampling", "neq", "ions", "vacuum_A"), text)
        if sampling.test_scan and not any(abs(scale - 1) < 1e-9 for scale in sampling.test_scan.scales):
            problems.add(("sampling", "test_scan", "scales"), "1.0 is missing: energies are relative to it")
        for name in NEED_FORCE_FIELD:
            for index, liquid in draft.liquids.items():
                if getattr(sampling.neq, name) and liquid.get("force_field") == "xtb":
                    text = "needs a classical force field, and that of "
                    text += f"liquids[{index}] is xtb: leave the recipe out"
                    problems.add(("sampling", "neq", name), text)
        check_oscillation(draft, sampling.neq.oscillation, problems)
        length, every = (draft.get("equilibration", name) for name in ("production_ps", "save_every_ps"))
        # The last tenth of a trajectory is kept for test_scan.
        usable = int(0.9 * int(length / every + 1e-9)) if length and every else None
        wanted = sampling.eq.frames * sampling.pool if sampling.eq else 0
        if usable is not None and wanted > usable:
            pool = f" and a pool of {sampling.pool}" if sampling.pool > 1 else ""
            problems.add(
                ("sampling", "eq", "frames"),
                f"{sampling.eq.frames} frames{pool}, but the equilibration has {usable} to give: production_ps "
                f"{length:g}, save_every_ps {every:g}, less a tenth for test_scan",
            )
    made = made_groups(draft) if sampling else None
    liquids = [liquid.get("id") for liquid in draft.liquids.values()]
    for name, entries in (draft.get("datasets") or {}).items():
        kinds, without = kinds_of(entries)
        for place, entry in enumerate(entries):
            if entry.startswith("-"):
                if entry[1:] not in liquids:
                    known = ", ".join(f"-{liquid}" for liquid in liquids if liquid)
                    problems.add(
                        ("datasets", name, place), f"{entry!r} leaves out no liquid of the study; known: {known}"
                    )
            elif entry not in KINDS:
                problems.add(("datasets", name, place), f"unknown kind {entry!r}; known: {', '.join(KINDS)}")
            elif made is not None and entry not in made and not own:
                what = {"eq": "sampling.eq", "neq": "a recipe in sampling.neq", "active": "active"}[entry]
                problems.add(
                    ("datasets", name, place),
                    f"no {entry} frames are sampled: give {what}, or leave {entry!r} out",
                )
        for entry in repeated(list(entries)):
            problems.add(("datasets", name), f"{entry!r} is given twice")
        if not kinds:
            problems.add(("datasets", name), f"no kind of frames is given: give {' or '.join(KINDS)}")
        if kinds == {"active"}:
            problems.add(("datasets", name), "the first round has no active frames: give eq or neq beside active")
        if without and without >= set(liquids):
            problems.add(("datasets", name), "every liquid is left out: leave one in")
        groups = sum((made or {}).get(kind, 0) for kind in kinds)
        if made is not None and 0 < groups < 3:
            text = f"{groups} groups of frames: training, validation and test need one each; sample more frames"
            problems.add(("datasets", name), text)
    check_active(draft, trained, own, problems)
    heldout = draft.get("heldout_frames")
    if heldout is not None and (wrong := missing_file(places, heldout)):
        problems.add(("heldout_frames",), wrong)
    valid, test = draft.get("split", "valid"), draft.get("split", "test")
    check_sizes(draft, problems, (1 - (valid or 0) - (test or 0)) if sampling else math.inf)
    if valid and test and valid + test > 0.8:
        problems.add(
            ("split",),
            f"valid {valid:g} and test {test:g} leave too little to train on: at most 0.8 together",
        )


def check_oscillation(draft: Draft, recipe: Any, problems: Problems) -> None:
    """Judge whether the runs whose box swings have a stop for each frame that is asked of them, and for each swing."""
    states = [len(liquid["temperatures_K"]) for liquid in draft.liquids.values() if liquid.get("temperatures_K")]
    if recipe is None or not states:
        return
    loc = ("sampling", "neq", "oscillation")
    each, stops = ceil(recipe.frames / min(states)), int(recipe.length_ps / SWING_STRIDE_PS + 1e-9)
    if each > stops:
        text = f"{recipe.frames} frames, but length_ps {recipe.length_ps:g} has room for {stops * min(states)}, "
        problems.add((*loc, "frames"), text + f"{SWING_STRIDE_PS:g} ps apart; give fewer, or a longer run")
    if recipe.period_ps < SWING_STOPS_LEAST * SWING_STRIDE_PS:
        text = f"{recipe.period_ps:g} ps: the box moves every {SWING_STRIDE_PS:g} ps, which is too seldom for it"
        problems.add((*loc, "period_ps"), text + f"; give {SWING_STOPS_LEAST * SWING_STRIDE_PS:g} or more")


def check_active(draft: Draft, trained: list[int], own: bool, problems: Problems) -> None:
    """Judge active learning: it needs committees, data to add to, walks, and an engine that labels."""
    active = draft.get("active")
    if active is None:
        return
    if own or not trained:
        problems.add(
            ("active",), "needs models that are trained here, and labels.engine" if own else "no model is trained"
        )
    if len(draft.get("seeds") or (1, 2)) < 2:
        problems.add(("seeds",), "1 is no committee: active needs two at least, such as [1, 2, 3]")
    datasets = draft.get("datasets") or {}
    if datasets and not any("active" in entries for entries in datasets.values()):
        problems.add(("active",), "no dataset takes its frames: give one such as {al: [eq, active]}")
    if not any(active.lengths_ps.values()):
        problems.add(("active", "npt_ps"), "0, as ramp_ps and swing_ps are: give one of the three a length")
    step = draft.get("md", "timestep_fs")
    if step and not is_multiple(active.every_fs, step):
        problems.add(("active", "every_fs"), f"{active.every_fs:g} is not a multiple of md.timestep_fs {step:g}")
    for name, length in active.lengths_ps.items():
        if 0 < length * 1000 < active.every_fs:
            problems.add(("active", name), f"{length:g} ps is shorter than every_fs {active.every_fs:g}")


def check_sizes(draft: Draft, problems: Problems, kept: float) -> None:
    """Judge the sizes of learning curves; `kept` is the share of frames to train on, infinite where they are not known."""
    sizes, sampling = draft.get("sizes") or (), draft.get("sampling")
    datasets = draft.get("datasets") or {}
    for size in repeated(list(sizes)):
        problems.add(("sizes",), f"{size} is given twice")
    if sizes:
        for name in datasets:
            if re.search(r"\.\d+$", name):
                problems.add(("datasets", name), "ends like a size, which sizes adds to names: give another name")
    if not sampling:
        return
    recipes = [getattr(sampling.neq, name) for name in NEQ_RECIPES]
    neq = sum(recipe.frames for recipe in recipes if recipe)
    for place, size in enumerate(sizes):
        for name, entries in datasets.items():
            kinds, without = kinds_of(entries)
            most = 0
            for liquid in draft.liquids.values():
                if liquid.get("id") not in without:
                    eq = sampling.eq.frames * len(liquid.get("temperatures_K") or "?") if sampling.eq else 0
                    most += eq * ("eq" in kinds) + neq * ("neq" in kinds)
            most = int(kept * most)
            if size >= most:
                problems.add(("sizes", place), f"{size} frames of {name}: it has about {most} to train on")


def is_multiple(time: float, step: float) -> bool:
    """Tell whether a time is a whole number of steps, one at least."""
    return time > 0.5 * step and abs(time / step - round(time / step)) < 1e-6
