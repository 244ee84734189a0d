"""Split the labelled frames into training, validation and test sets, and write them for MACE and DeePMD.

A group (the trajectory that a frame was taken from) is never cut: frames of one trajectory resemble each
other so much that a random split would measure memory, not skill. Frames kept back from the training groups (split near)
show by how much. The test set is the same for every dataset; the frozen-ion volume scan (recipe test_scan) is always in it.

Writes, under --out: datasets/NAME/{train,valid}.extxyz for MACE, datasets/NAME/deepmd/{train,valid}/ for
DeePMD, datasets/NAME/domain.npz (what the training frames span: ionmelt/measure/domain.py), test.extxyz, dataset.parquet (one row per dataset and frame) and dataset.json (hashes, elements,
reference energies of the elements).
"""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from ase import Atoms
from ase.data import chemical_symbols

from ionmelt import errors as errors_module
from ionmelt import files, task
from ionmelt.arguments import command_line
from ionmelt.frame import (
    ENERGY_KEY,
    FORCES_KEY,
    STRESS_KEY,
    TEST_LEAST,
    element_energies,
    kinds_of,
    read_frames,
    write_frames,
)
from ionmelt.frames import selection
from ionmelt.measure import domain

TEST_RECIPE = "test_scan"
TRAINED_KIND = (
    "active"  # what active learning adds is trained on: validation and test stay the same from round to round
)
ATOMS_METHOD = "energies of free atoms, given with the labels"
E0S_METHOD = (
    "least squares of the training energies over the element counts, of minimum norm around the mean energy per "
    "atom: what the compositions do not determine is shared equally by all atoms"
)


@dataclass
class Group:
    """The frames that stay together: their indices, and the cell of the design that they stand for."""

    name: str
    frames: list[int] = field(default_factory=list)
    cells: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    test_only: bool = False

    @property
    def cell(self) -> tuple[str, str, str]:
        """Return the (kind, liquid, recipe) of most of its frames."""
        return min(self.cells, key=lambda cell: (-self.cells[cell], cell))


def groups_of(frames: list[Atoms]) -> list[Group]:
    """Return the groups of the frames, sorted by name."""
    groups: dict[str, Group] = {}
    for index, frame in enumerate(frames):
        info = frame.info
        group = groups.setdefault(info["group"], Group(info["group"]))
        group.frames.append(index)
        group.cells[info["kind"], info["liquid"], info["recipe"]] += 1
        group.test_only |= info["recipe"] == TEST_RECIPE
    return [groups[name] for name in sorted(groups)]


def take_groups(groups: list[Group], target: float, total: int) -> list[Group]:
    """Take whole groups until about `target` frames are taken, spread over the cells as evenly as they allow.

    The next group comes from the cell that is furthest behind its share. A cell's last group is taken
    only when every cell is down to one, and the last group of all never is. One group at least is taken
    (where two or more are there); after it, a group is taken only if that brings the count closer to the target.
    """
    if target <= 0:
        return []
    left: dict[tuple[str, str, str], list[Group]] = defaultdict(list)
    for group in groups:
        left[group.cell].append(group)
    behind = {cell: sum(len(g.frames) for g in members) * target / total for cell, members in left.items()}
    taken: list[Group] = []
    count = 0
    while sum(map(len, left.values())) > 1:
        open_cells = [cell for cell in left if len(left[cell]) > 1] or [cell for cell in left if left[cell]]
        cell = min(open_cells, key=lambda cell: (-behind[cell], cell))
        size = len(left[cell][0].frames)
        if taken and abs(count + size - target) >= abs(count - target):
            break
        taken.append(left[cell].pop(0))
        behind[cell] -= size
        count += size
    return taken


def split_groups(groups: list[Group], valid: float, test: float, seed: int) -> dict[str, str]:
    """Return the split (train, valid or test) of every group.

    Each kind (eq, neq) but that of active learning is divided by itself, so that every dataset has frames of its own kinds to be
    validated on. The order of the groups is a hash of seed and name: groups that come
    later leave the order of the others as it is. Validation comes first where groups are few: without it there is no model.
    """

    def order(group: Group) -> str:
        return hashlib.sha256(f"{seed}:{group.name}".encode()).hexdigest()

    split = {group.name: "test" if group.test_only else "train" for group in groups}
    by_kind: dict[str, list[Group]] = defaultdict(list)
    for group in sorted((g for g in groups if not g.test_only and g.cell[0] != TRAINED_KIND), key=order):
        by_kind[group.cell[0]].append(group)
    for members in by_kind.values():
        total = sum(len(group.frames) for group in members)
        for name, fraction in (("valid", valid), ("test", test)):
            rest = [group for group in members if split[group.name] == "train"]
            for group in take_groups(rest, fraction * total, total):
                split[group.name] = name
    return split


def fit_e0s(frames: list[Atoms]) -> dict[str, float]:
    """Return a reference energy (eV) for every element of the frames, as `E0S_METHOD` says.

    In liquids of one composition only the sum over the formula is determined; any choice that keeps it
    gives the same interaction energy of every frame, so models learn the same thing. Such energies are
    no free-atom energies: binding energies read from them mean nothing.
    """
    numbers = sorted({int(number) for frame in frames for number in frame.numbers})
    energies = element_energies(frames, numbers, np.array([frame.info[ENERGY_KEY] for frame in frames]))
    return {chemical_symbols[number]: float(e) for number, e in zip(numbers, energies, strict=True)}


def method_of(free_atoms: dict[str, float], elements: list[str]) -> str:
    """Return where the reference energies are from: free atoms, where one of every element was given."""
    left = [element for element in elements if element not in free_atoms]
    if not left:
        return ATOMS_METHOD
    return f"{E0S_METHOD} (no free atom was given of {', '.join(left)})" if free_atoms else E0S_METHOD


def write_deepmd(folder: Path, frames: list[Atoms], type_map: list[str]) -> None:
    """Write frames as DeePMD systems, one folder for each sequence of elements, in float64.

    DeePMD's virial is minus stress times volume (eV); its other units are those of the frames. Frames without a stress are a
    system of their own, without a virial.
    """
    systems: dict[tuple[bool, tuple[int, ...]], list[Atoms]] = defaultdict(list)
    for frame in frames:
        systems[STRESS_KEY in frame.info, tuple(frame.numbers)].append(frame)
    same_formula: Counter[str] = Counter()
    for (has_stress, _), members in systems.items():
        formula = members[0].get_chemical_formula()
        same_formula[formula] += 1
        system = folder / (formula if same_formula[formula] == 1 else f"{formula}.{same_formula[formula]}")
        (system / "set.000").mkdir(parents=True)
        (system / "type_map.raw").write_text("".join(f"{symbol}\n" for symbol in type_map))
        types = [type_map.index(symbol) for symbol in members[0].get_chemical_symbols()]
        (system / "type.raw").write_text("".join(f"{index}\n" for index in types))
        values: dict[str, Callable[[Atoms], Any]] = {
            "coord": lambda frame: frame.positions,
            "box": lambda frame: frame.cell.array,
            "energy": lambda frame: frame.info[ENERGY_KEY],
            "force": lambda frame: frame.arrays[FORCES_KEY],
        }
        if has_stress:
            values["virial"] = lambda frame: -frame.info[STRESS_KEY] * frame.get_volume()
        for name, value in values.items():
            array = np.array([np.ravel(value(frame)) for frame in members], dtype=np.float64)
            np.save(system / "set.000" / f"{name}.npy", array[:, 0] if name == "energy" else array)


def check_labels(labels: pl.DataFrame, max_failed_fraction: float) -> int:
    """Return how many labels failed; raises `UserError` for too many, or for more than one level of theory."""
    theories = sorted(labels["theory_id"].drop_nulls().unique())
    errors = []
    if len(theories) > 1:
        errors.append(
            f"labels: {len(theories)} levels of theory ({', '.join(theories)}); one dataset can hold only one"
        )
    bad = labels.filter(~pl.col("converged") | pl.col("reason").is_not_null())
    if len(bad) > max_failed_fraction * len(labels):
        reasons = (
            bad.group_by(pl.col("reason").fill_null("not_converged"))
            .len()
            .sort("len", "reason", descending=[True, False])
        )
        listed = ", ".join(f"{reason} {count}" for reason, count in reasons.iter_rows())
        errors.append(
            f"labels.max_failed_fraction: {len(bad)} of {len(labels)} labels failed ({len(bad) / len(labels):.1%}; {listed}), "
            f"more than the allowed {max_failed_fraction:.1%}; see tables/labels, mend the labels or raise the limit"
        )
    if errors:
        raise errors_module.UserError(*errors)
    return len(bad)


def unique_frames(frames: list[Atoms]) -> list[Atoms]:
    """Return each structure once, in an order that does not depend on the order of the files.

    Of equal structures the one of the test scan is kept, so that none of it is trained on.
    """
    ordered = sorted(frames, key=lambda f: (f.info["recipe"] != TEST_RECIPE, f.info["group"], f.info["frame_id"]))
    first: dict[str, Atoms] = {}
    for frame in ordered:
        first.setdefault(frame.info["frame_id"], frame)
    return list(first.values())


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


def sha256(*parts: bytes) -> str:
    """Return the sha256 (hex) of the parts, one after another."""
    return hashlib.sha256(b"".join(parts)).hexdigest()


def read_labelled(paths: list[Path]) -> list[Atoms]:
    """Read the frames of all chunks; a chunk whose labels all failed is an empty file."""
    return [frame for path in sorted(paths) for frame in read_frames(path, labelled=True, may_be_empty=True)]


def check_pairs(frames: list[Atoms], labels: pl.DataFrame) -> None:
    """Refuse frames that are not those of the rows: a chunk that is lost, or a table of another."""
    rows = Counter(labels.filter("converged").select("frame_id", "energy_ev").iter_rows())
    found = Counter((frame.info["frame_id"], float(frame.info[ENERGY_KEY])) for frame in frames)
    wrong = sorted({frame_id for frame_id, _ in (rows - found) + (found - rows)})
    if wrong:
        raise errors_module.UserError(
            f"frames: {wrong[0]} and {len(wrong) - 1} more: frames (REF_energy) and rows of labels (energy_ev) differ: one of "
            "the files is lost or of another run"
        )


def split_dataset(
    settings: dict[str, Any],
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
    failed = check_labels(labels, settings["max_failed_fraction"])
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
    split = split_groups(groups, settings["split"]["valid"], settings["split"]["test"], settings["split"]["seed"])
    if not settings["datasets"]:  # nothing is to be trained
        split = dict.fromkeys(split, "test")

    trained = [f for f in frames if split[f.info["group"]] == "train" and f.info["kind"] != TRAINED_KIND]
    near_ids = near_frames(trained, settings["split"].get("near", 0.0), settings["split"]["seed"])

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
        name: {part: chosen(part, kinds) for part in ("train", "valid")}
        for name, kinds in sorted(settings["datasets"].items())
    }
    for name, size in sorted(settings.get("sizes", {}).items()):
        sets[name]["train"] = cut(sets[name]["train"], size, name)
    empty = [
        f"datasets.{name}: no frame is left for {part}: its kinds ({', '.join(settings['datasets'][name])}) have "
        f"{sum(g.cell[0] in settings['datasets'][name] and not g.test_only for g in groups)} groups, and groups are never "
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
            "kinds": settings["datasets"][name],
            "frames": {part: len(members) for part, members in parts.items()},
            "frames_with_stress": {part: sum(STRESS_KEY in f.info for f in members) for part, members in parts.items()},
            "dataset_hash": sha256(*((folder / f"{part}.extxyz").read_bytes() for part in parts)),
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
        "split": settings["split"],
        "groups": dict(sorted(Counter(split.values()).items())),
        "labels": {"tried": len(labels), "failed": failed},
        "duplicates": len(read) - len(frames),
        "test": {"frames": len(test), "hash": sha256((out / "test.extxyz").read_bytes())},
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
        settings = files.read_json(args.settings)
        free_atoms = files.read_json(args.e0s) if args.e0s else None
        for line in split_dataset(settings, args.frames, args.labels, args.out, free_atoms):
            print(f"dataset: {line}")
        for folder in sorted((args.out / "datasets").iterdir()):
            files.seal(folder)

    reads = [args.settings, *args.frames, *args.labels, *([args.e0s] if args.e0s else [])]
    return task.run("SPLIT_DATASET", work, task_id=args.id, reads=reads)
