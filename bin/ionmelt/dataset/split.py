"""Split the labelled frames into training, validation and test sets, and write them for MACE and DeePMD.

A group (the trajectory that a frame was taken from) is never cut: frames of one trajectory resemble each
other so much that a random split would measure memory, not skill. Frames kept back from the training groups (split near)
show by how much. The test set is the same for every dataset; the frozen-ion volume scan (recipe test_scan) is always in it.

Writes, under --out: datasets/NAME/{train,valid}.extxyz for MACE, datasets/NAME/deepmd/{train,valid}/ for
DeePMD, datasets/NAME/domain.npz (what the training frames span: ionmelt/measure/domain.py), test.extxyz, dataset.parquet (one row per dataset and frame) and dataset.json (hashes, elements,
reference energies of the elements).
"""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from ase import Atoms
from ase.data import chemical_symbols

from ionmelt import errors as errors_module
from ionmelt import files, task
from ionmelt.arguments import command_line
from ionmelt.dataset.deepmd import write_deepmd
from ionmelt.dataset.energies import fit_e0s, method_of
from ionmelt.dataset.groups import TRAINED_KIND, groups_of, split_groups
from ionmelt.dataset.reading import check_labels, check_pairs, read_labelled, unique_frames
from ionmelt.dataset.settings import DatasetSettings
from ionmelt.files import sha256
from ionmelt.frame import (
    STRESS_KEY,
    TEST_LEAST,
    kinds_of,
    write_frames,
)
from ionmelt.frames import selection
from ionmelt.measure import domain


def table_row(frame: Atoms, dataset: str | None, split: str) -> dict[str, Any]:
    """Return the frame's row of dataset.parquet; the test set belongs to no dataset (null)."""
    names = ("frame_id", "liquid", "kind", "recipe", "group")
    row = {key: frame.info[key] for key in names} | {"equilibrated": frame.info.get("equilibrated")}
    return row | {"dataset": dataset, "split": split, "n_atoms": len(frame)}


def near_frames(frames: list[Atoms], share: float, seed: int) -> set[str]:
    """Return the ids of training frames to keep back: of each kind a share, at random, with at least one left in every group.

    They are what a random split would test on: frames of trajectories that the training sees.
    """
    left = Counter(frame.info["group"] for frame in frames)
    found = set()
    for kind in sorted({frame.info["kind"] for frame in frames}):
        own = [frame for frame in frames if frame.info["kind"] == kind]
        wanted = round(share * len(own))
        for frame in sorted(own, key=lambda f: sha256(f"{seed} {f.info['frame_id']}".encode())):
            if wanted and left[frame.info["group"]] > 1:
                left[frame.info["group"]] -= 1
                wanted -= 1
                found.add(frame.info["frame_id"])
    return found


def belongs(frame: Atoms, entries: list[str]) -> bool:
    """Tell whether a frame is of a dataset: of one of its kinds, and not of a liquid that it leaves out (-LIQUID)."""
    kinds, left_out = kinds_of(entries)
    return frame.info["kind"] in kinds and frame.info["liquid"] not in left_out


def cut(frames: list[Atoms], size: int, name: str) -> list[Atoms]:
    """Return the `size` frames that differ most, in the order they had; a smaller cut is part of every larger one."""
    groups = [frame.info["group"] for frame in frames]
    kept = selection.farthest_points(selection.descriptors(frames), groups, size)
    if len(kept) < size:
        raise errors_module.UserError(
            f"sizes: {size}: {name} has {len(kept)} training frames that differ; give less, or sample more"
        )
    return [frames[index] for index in sorted(kept)]


def write_domains(folder: Path, sets: dict[str, list[Atoms]], numbers: list[int]) -> None:
    """Write the envelope of each dataset's training frames; a frame of several datasets is described once."""
    chosen = {name: [frames[i] for i in domain.described(frames)] for name, frames in sets.items()}
    frames = {frame.info["frame_id"]: frame for some in chosen.values() for frame in some}
    rows = dict(zip(frames, selection.averages(list(frames.values()), numbers), strict=True))
    for name, some in chosen.items():
        averages = np.array([rows[frame.info["frame_id"]] for frame in some])
        domain.save(domain.envelope(sets[name], numbers, averages), folder / name / domain.FILE)


def split_dataset(
    settings: DatasetSettings,
    frames_files: list[Path],
    labels_files: list[Path],
    out: Path,
    free_atoms: dict[str, float] | None = None,
) -> list[str]:
    """Do the work of the task: read, check, split, write; return what the user should know of the split.

    `free_atoms` are energies (eV) by element. Where every element of the frames has one, they are the reference energies.
    """
    free_atoms = free_atoms or {}
    labels = files.read_tables(labels_files, "frame_id", "theory_id", "converged", "reason", "energy_ev")
    failed = check_labels(labels, settings.max_failed_fraction)
    read = read_labelled(frames_files)
    check_pairs(read, labels)
    theories = sorted({frame.info["theory_id"] for frame in read} | set(labels["theory_id"].drop_nulls()))
    if len(theories) != 1:
        found = ", ".join(theories) or "none"
        raise errors_module.UserError(
            f"frames: theory_id: {found}; a dataset needs labels of exactly one level of theory"
        )
    frames = unique_frames(read)
    groups = groups_of(frames)
    split = split_groups(groups, settings.split.valid, settings.split.test, settings.split.seed)
    if not settings.datasets:  # nothing is to be trained
        split = dict.fromkeys(split, "test")

    trained = [f for f in frames if split[f.info["group"]] == "train" and f.info["kind"] != TRAINED_KIND]
    near_ids = near_frames(trained, settings.split.near, settings.split.seed)

    def chosen(name: str, entries: list[str] | None = None) -> list[Atoms]:
        found = [
            f
            for f in frames
            if ("near" if f.info["frame_id"] in near_ids else split[f.info["group"]]) == name
            and (entries is None or belongs(f, entries))
        ]
        return sorted(found, key=lambda f: (f.info["liquid"], f.info["recipe"], f.info["group"], f.info["frame_id"]))

    test, near = chosen("test"), chosen("near")
    for frame in near:
        frame.info["split"] = "near"
    sets = {
        name: {part: chosen(part, list(kinds)) for part in ("train", "valid")}
        for name, kinds in sorted(settings.datasets.items())
    }
    for name, size in sorted(settings.sizes.items()):
        sets[name]["train"] = cut(sets[name]["train"], size, name)
    empty = [
        f"datasets.{name}: no frame is left for {part}: its kinds ({', '.join(settings.datasets[name])}) have "
        f"{sum(g.cell[0] in settings.datasets[name] and not g.test_only for g in groups)} groups, and groups are never "
        "cut; sample more trajectories, replicas or temperatures"
        for name, parts in sets.items()
        for part, members in parts.items()
        if not members
    ]
    if not test:
        empty.append(
            "split.test: no frame is left for the test set; add sampling.test_scan, or sample more trajectories"
        )
    if empty:
        raise errors_module.UserError(*empty)

    numbers = sorted({int(number) for frame in frames for number in frame.numbers})
    type_map = [chemical_symbols[number] for number in numbers]
    (out / "datasets").mkdir(parents=True, exist_ok=True)  # empty where none is named
    write_frames(out / "test.extxyz", test + near)
    rows = [table_row(f, None, part) for part, members in (("test", test), ("near", near)) for f in members]
    datasets = {}
    for name, parts in sets.items():
        folder = out / "datasets" / name
        for part, members in parts.items():
            folder.mkdir(parents=True, exist_ok=True)
            write_frames(folder / f"{part}.extxyz", members)
            write_deepmd(folder / "deepmd" / part, members, type_map)
        assigned = [(f, part) for part, members in [*parts.items(), ("test", test)] for f in members]
        rows += [table_row(f, name, part) for part, members in parts.items() for f in members]
        datasets[name] = {
            "kinds": list(settings.datasets[name]),
            "frames": {part: len(members) for part, members in parts.items()},
            "frames_with_stress": {part: sum(STRESS_KEY in f.info for f in members) for part, members in parts.items()},
            "dataset_hash": sha256(*(folder / f"{part}.extxyz" for part in parts)),
            "split_hash": sha256(*(f"{f.info['frame_id']} {part}\n".encode() for f, part in assigned)),
            "fitted_e0s_ev": fit_e0s(parts["train"]),
        }
        datasets[name]["e0s_ev"] = (
            {symbol: free_atoms[symbol] for symbol in datasets[name]["fitted_e0s_ev"]}
            if set(type_map) <= set(free_atoms)
            else datasets[name]["fitted_e0s_ev"]
        )
    write_domains(out / "datasets", {name: parts["train"] for name, parts in sets.items()}, numbers)
    files.write_table(
        pl.DataFrame(rows, schema_overrides={"dataset": pl.String, "equilibrated": pl.Boolean}), out / "dataset.parquet"
    )
    summary = {
        "theory_id": theories[0],
        "elements": type_map,
        "type_map": type_map,
        "e0s_method": method_of(free_atoms, type_map),
        "split": settings.split.model_dump(mode="json"),
        "groups": dict(sorted(Counter(split.values()).items())),
        "labels": {"tried": len(labels), "failed": failed},
        "duplicates": len(read) - len(frames),
        "test": {"frames": len(test), "hash": sha256(out / "test.extxyz")},
        "datasets": datasets,
    }
    (out / "dataset.json").write_text(json.dumps(summary, indent=2) + "\n")
    # A training reads of the summary only what is about its own dataset: another dataset changes nothing for it.
    for name, about in datasets.items():
        own = {key: summary[key] for key in ("theory_id", "elements", "type_map")} | {"datasets": {name: about}}
        (out / "datasets" / name / "dataset.json").write_text(json.dumps(own, indent=2) + "\n")
    return few_tested(test)


def few_tested(test: list[Atoms]) -> list[str]:
    """Return a line where the test frames are too few for the errors measured on them to mean much."""
    if len(test) >= TEST_LEAST:
        return []
    frames = "1 frame" if len(test) == 1 else f"{len(test)} frames"
    return [
        f"split.test: the test set has {frames} only: errors measured on so few say little, and nothing of how sure they are; "
        "give more groups of frames, or a larger split.test"
    ]


def main(argv: list[str] | None = None) -> int:
    """Read the command line and run the task."""
    parser = command_line(__doc__, "--settings", "--out")
    parser.add_argument("--id", default="dataset", help="key of the task (default: %(default)s)")
    parser.add_argument("--frames", type=Path, required=True, nargs="+", help="*.labelled.extxyz")
    parser.add_argument("--labels", type=Path, required=True, nargs="+", help="*.labels.parquet")
    parser.add_argument("--e0s", type=Path, help="energies of free atoms, JSON (eV, by element)")
    args = parser.parse_args(argv)

    def work() -> None:
        settings = DatasetSettings.read(args.settings)
        free_atoms = files.read_json(args.e0s) if args.e0s else None
        for line in split_dataset(settings, args.frames, args.labels, args.out, free_atoms):
            print(f"dataset: {line}")
        for folder in sorted((args.out / "datasets").iterdir()):
            files.seal(folder)

    reads = [args.settings, *args.frames, *args.labels, *([args.e0s] if args.e0s else [])]
    return task.run("SPLIT_DATASET", work, task_id=args.id, reads=reads)
