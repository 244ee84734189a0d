"""Split the labelled frames into training, validation and test sets, and write them for MACE and DeePMD.

A group (the trajectory that a frame was taken from) is never cut: frames of one trajectory resemble each
other so much that a random split would measure memory, not skill. Frames kept back from the training groups (split near)
show by how much. The test set is the same for every dataset; the frozen-ion volume scan (recipe test_scan) is always in it.

Writes, under --out: datasets/NAME/{train,valid}.extxyz for MACE, datasets/NAME/deepmd/{train,valid}/ for
DeePMD, datasets/NAME/domain.npz (what the training frames span: ionmelt/measure/domain.py), test.extxyz, dataset.parquet (one row per dataset and frame) and dataset.json (hashes, elements,
reference energies of the elements).
"""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from ase import Atoms
from ase.data import chemical_symbols

from ionmelt import files, task
from ionmelt.arguments import command_line
from ionmelt.dataset.deepmd import write_deepmd
from ionmelt.dataset.division import Division, Mixture, divided
from ionmelt.dataset.energies import fit_e0s, method_of
from ionmelt.dataset.reading import check_labels, check_pairs, read_labelled, unique_frames
from ionmelt.dataset.settings import TEST_LEAST, DatasetSettings
from ionmelt.dataset.summary import Dataset, LabelCounts, SplitSummary, TestSet, write_summary
from ionmelt.errors import UserError
from ionmelt.files import sha256
from ionmelt.frame import IDENTITY_KEYS, STRESS_KEY
from ionmelt.frame_file import write_frames
from ionmelt.frames import selection
from ionmelt.measure import domain
from ionmelt.models.pressures import labelled_pressure


@dataclass(frozen=True)
class TableRow:
    """A frame's row of dataset.parquet; the test set belongs to no dataset (null)."""

    frame_id: str
    liquid: str
    kind: str
    recipe: str
    group: str
    equilibrated: bool | None  # of frames of kind eq
    dataset: str | None
    split: str
    n_atoms: int
    temperature_K: float | None  # None: that of frames made elsewhere need not be given
    equilibrium_pressure_bar: float | None  # by the label, of equilibrium frames

    @classmethod
    def of(cls, frame: Atoms, dataset: str | None, split: str) -> "TableRow":
        """Return the row of a frame."""
        kelvin = frame.info.get("temperature_K")
        return cls(
            **{key: frame.info[key] for key in IDENTITY_KEYS},
            equilibrated=frame.info.get("equilibrated"),
            dataset=dataset,
            split=split,
            n_atoms=len(frame),
            temperature_K=None if kelvin is None else float(kelvin),
            equilibrium_pressure_bar=labelled_pressure(frame),
        )


def write_domains(folder: Path, sets: dict[str, list[Atoms]], numbers: list[int]) -> None:
    """Write the envelope of each dataset's training frames; a frame of several datasets is described once."""
    chosen = {name: [frames[i] for i in domain.described(frames)] for name, frames in sets.items()}
    frames = {frame.info["frame_id"]: frame for some in chosen.values() for frame in some}
    rows = dict(zip(frames, selection.averages(list(frames.values()), numbers), strict=True))
    for name, some in chosen.items():
        averages = np.array([rows[frame.info["frame_id"]] for frame in some])
        domain.save(domain.envelope(sets[name], numbers, averages), folder / name / domain.FILE)


def write_mixture(
    folder: Path,
    kinds: tuple[str, ...],
    mixture: Mixture,
    test: list[Atoms],
    type_map: list[str],
    free_atoms: dict[str, float],
) -> Dataset:
    """Write the frames of a mixture for both frameworks, and return what dataset.json says of it."""
    folder.mkdir(exist_ok=True)
    for name, members in mixture.subsets.items():
        write_frames(folder / f"{name}.extxyz", members)
        write_deepmd(folder / "deepmd" / name, members, type_map)
    used = mixture.subsets | {"test": test}
    fitted = fit_e0s(mixture.train)
    return Dataset(
        kinds=list(kinds),
        frames={name: len(members) for name, members in mixture.subsets.items()},
        frames_with_stress={name: sum(STRESS_KEY in f.info for f in fs) for name, fs in mixture.subsets.items()},
        dataset_hash=sha256(*(folder / f"{name}.extxyz" for name in mixture.subsets)),
        split_hash=sha256(*(f"{f.info['frame_id']} {name}\n".encode() for name, fs in used.items() for f in fs)),
        fitted_e0s_ev=fitted,
        e0s_ev={symbol: free_atoms[symbol] for symbol in fitted} if set(type_map) <= set(free_atoms) else fitted,
    )


def write_table(division: Division, path: Path) -> None:
    """Write dataset.parquet: a row for each frame of the test set, of those near the training, and of each mixture."""
    rows = [TableRow.of(frame, None, "test") for frame in division.test]
    rows += [TableRow.of(frame, None, "near") for frame in division.near]
    for name, mixture in division.mixtures.items():
        rows += [TableRow.of(frame, name, subset) for subset, members in mixture.subsets.items() for frame in members]
    numbers = dict.fromkeys(("temperature_K", "equilibrium_pressure_bar"), pl.Float64)
    schema = {"dataset": pl.String, "equilibrated": pl.Boolean, **numbers}
    files.write_table(pl.DataFrame([vars(row) for row in rows], schema_overrides=schema), path)


def theory_of(frames: list[Atoms], labels: pl.DataFrame) -> str:
    """Return the one level of theory of frames and labels; raises `UserError` for several, and for none."""
    theories = sorted({frame.info["theory_id"] for frame in frames} | set(labels["theory_id"].drop_nulls()))
    if len(theories) != 1:
        listed = ", ".join(theories) or "none"
        raise UserError(f"frames: theory_id: {listed}; a dataset needs labels of exactly one level of theory")
    return theories[0]


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
    theory = theory_of(read, labels)
    frames = unique_frames(read)
    division = divided(frames, settings)

    numbers = sorted({int(number) for frame in frames for number in frame.numbers})
    type_map = [chemical_symbols[number] for number in numbers]
    (out / "datasets").mkdir(parents=True, exist_ok=True)  # empty where none is named
    write_frames(out / "test.extxyz", division.test + division.near)
    datasets = {
        name: write_mixture(
            out / "datasets" / name, settings.datasets[name], mixture, division.test, type_map, free_atoms
        )
        for name, mixture in division.mixtures.items()
    }
    write_domains(out / "datasets", {name: mixture.train for name, mixture in division.mixtures.items()}, numbers)
    write_table(division, out / "dataset.parquet")
    summary = SplitSummary(
        theory_id=theory,
        elements=type_map,
        type_map=type_map,
        e0s_method=method_of(free_atoms, type_map),
        split=settings.split,
        groups=dict(sorted(Counter(division.split.values()).items())),
        labels=LabelCounts(tried=len(labels), failed=failed),
        duplicates=len(read) - len(frames),
        test=TestSet(frames=len(division.test), hash=sha256(out / "test.extxyz")),
        datasets=datasets,
    )
    write_summary(summary, out / "dataset.json")
    for name in datasets:
        write_summary(summary.of(name), out / "datasets" / name / "dataset.json")
    return [*few_tested(division.test), *unlearnt(division)]


def few_tested(test: list[Atoms]) -> list[str]:
    """Return a line where the test frames are too few for the errors measured on them to mean much."""
    if len(test) >= TEST_LEAST:
        return []
    frames = "1 frame" if len(test) == 1 else f"{len(test)} frames"
    return [
        f"split.test: the test set has {frames} only: errors measured on so few say little, and nothing of how sure they are; "
        "give more groups of frames, or a larger split.test"
    ]


def elements_of(frames: list[Atoms]) -> set[str]:
    """Return the elements of frames."""
    return {symbol for frame in frames for symbol in frame.symbols.species()}


def unlearnt(division: Division) -> list[str]:
    """Return a line for each mixture that is judged by frames with elements that none of its training frames holds."""
    lines = []
    for name, mixture in division.mixtures.items():
        learnt = elements_of(mixture.train)
        judged = [frame for frame in mixture.valid + division.test if elements_of([frame]) - learnt]
        if judged:
            lines.append(
                f"datasets.{name}: no training frame holds {', '.join(sorted(elements_of(judged) - learnt))}, and {len(judged)} of the frames of "
                "validation and test do: models know nothing of what they did not see; give frames that hold it, in more groups"
            )
    return lines


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
        for folder in (args.out / "datasets").iterdir():
            files.seal(folder)

    reads = [args.settings, *args.frames, *args.labels, args.e0s]
    return task.run("SPLIT_DATASET", work, task_id=args.id, reads=reads)
