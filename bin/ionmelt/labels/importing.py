"""Import labels that someone already has, under the same contract and checks as our own.

Reads extended XYZ with any key names and units, outputs of CP2K, VASP and Quantum ESPRESSO, and the files of ASE and
DeePMD-kit (the table of ionmelt/labels/foreign/), compressed or not, by themselves or in a folder of runs.
Ions are recognised by their bonds, made whole, and put in the order of the liquid whose composition they have; a
composition that no liquid of the study has is kept as liquid ``other``. What a frame itself says of ``kind``,
``recipe`` and its group is kept; the recipe is else ``imported``. Where no group is named, each file is cut into
blocks of neighbouring frames, so that a split does not put neighbours on both sides of every frame.
Where the settings name no liquids (held-out frames of other chemistry), frames may hold anything and no ions are looked for.

Nothing is guessed in silence: what was understood is printed, two names that could both be the label are refused,
and where neighbouring frames are there, changes of the energy must be the work of forces and stress. Frames whose
energy is on another level than those around them, or than those like them, are not used.
Free atoms (MACE's IsolatedAtom) are no frames: their energies are the reference energies of the elements.

Writes PREFIX.labelled.extxyz, PREFIX.labels.parquet (a row for each frame, with a reason where it is not used) and
PREFIX.e0s.json (eV, by element) where there are free atoms.
"""

import importlib
import tempfile
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from ionmelt import task
from ionmelt.arguments import command_line
from ionmelt.errors import UserError
from ionmelt.files import stand_in, write_table
from ionmelt.frame import NET_FORCE_EV_A
from ionmelt.frame_file import seal_frames, write_frames
from ionmelt.labels.checks import Checks
from ionmelt.labels.compositions import Liquid, liquids_of
from ionmelt.labels.foreign import FORMATS, format_of
from ionmelt.labels.foreign.blocks import ForeignFrame, Source, blocks_of
from ionmelt.labels.foreign.files import HOW_TO_CONVERT, expanded, is_archive, is_array
from ionmelt.labels.identity import BlockGroups
from ionmelt.labels.imported import ImportedRow, Importer
from ionmelt.labels.judgement import APART, Refusal, lies_apart, without_drift, without_placeholders
from ionmelt.labels.outliers import energy_outliers
from ionmelt.labels.reference_energies import reference_energies, write_reference_energies
from ionmelt.labels.settings import ImportSettings
from ionmelt.labels.summary import BLOCKS, SHOWN, check_failed, check_pressure, check_small, counted
from ionmelt.labels.work import check_work
from ionmelt.tables.labels import IMPORTED

# Fields that say how the numbers of extended XYZ are to be read.
EXTXYZ_FIELDS = (
    "energy_key", "forces_key", "stress_key", "virial_key", "energy_unit", "forces_unit", "stress_unit", "stress_order",
    "stress_sign",
)  # fmt: skip

# --- Reading --------------------------------------------------------------------------------------------


def formats_of(wanted: str, files: Mapping[str, Path]) -> dict[str, str]:
    """Return the format of each file, or the `wanted` one; raises `UserError` for those that cannot be told."""
    formats, errors = {}, []
    for name, path in files.items():
        if path.is_file() and path.stat().st_size == 0:
            errors.append(f"labels.frames: {name}: is empty")
            continue
        form = format_of(path) if wanted == "auto" else wanted
        if form is None and is_array(path):
            errors.append(f"labels.frames: {name}: is one array of DeePMD-kit's: give the folder that holds type.raw")
        elif form is None and is_archive(path):
            errors.append(f"labels.frames: {name}: is an archive: unpack it, and give the folder")
        elif form is None and (instead := stand_in(path)):
            errors.append(f"labels.frames: {name}: {instead}")
        elif form is None:
            errors.append(f"labels.format: {name}: cannot tell what it is: {HOW_TO_CONVERT}")
        else:
            formats[name] = form
    if errors:
        raise UserError(*errors)
    return formats


def of_extxyz_alone(settings: ImportSettings, forms: Collection[str]) -> list[str]:
    """Return a line for each field that says how extended XYZ is read, where no file is of that format."""
    if "extxyz" in forms or not settings.liquids:  # those of held-out frames are none of the user's
        return []
    listed = ", ".join(sorted(set(forms)))
    given = [name for name in EXTXYZ_FIELDS if getattr(settings, name) is not None]
    return [f"labels.{name}: is for extxyz; the files are {listed}, whose names and units are known" for name in given]


def read_sources(
    settings: ImportSettings, files: Mapping[str, Path], formats: Mapping[str, str], words: list[str]
) -> list[Source]:
    """Return the sources of frames in the order of the files, and add to `words` what was understood."""
    sources: dict[str, Source] = {}
    for form, row in FORMATS.items():
        if same := {name: files[name] for name in formats if formats[name] == form}:
            sources |= importlib.import_module(row.module).read(form, same, settings, words)
    return [sources[name] for name in formats if name in sources]


# --- The task -------------------------------------------------------------------------------------------


def import_labels(settings: ImportSettings, paths: Sequence[Path], assets: Path, out: str) -> str:
    """Do the work of the task; return what was understood, in lines for the screen."""
    if len(paths) != len(settings.frames):
        raise UserError(f"frames: {len(paths)} files for the {len(settings.frames)} of labels.frames")
    given = dict(zip(settings.frames, paths, strict=True))
    words: list[str] = []
    with tempfile.TemporaryDirectory(dir=".") as scratch:
        files = expanded(given, Path(scratch), settings.format, words)
        return import_files(settings, files, assets, out, words)


@dataclass
class Imported:
    """What came of the frames of all files: rows, free atoms, checks of the energies, and counts of frames.

    Of `drifts` the forces lost their mean; in those `apart` no two of their single atoms are near; those `again` came before.
    """

    rows: list[ImportedRow] = field(default_factory=list)
    free_atoms: list[ForeignFrame] = field(default_factory=list)
    checks: Checks = field(default_factory=Checks)
    drifts: int = 0
    apart: int = 0
    again: int = 0


def import_frames(
    settings: ImportSettings, liquids: Sequence[Liquid], sources: Sequence[Source], path: Path
) -> Imported:
    """Write the frames that can be used to a file, one by one, and return what came of all."""
    groups = BlockGroups(sum(source.count for source in sources if source.count < BLOCKS))
    importer, result = Importer(settings, liquids), Imported()
    write_frames(path, [])
    before: ForeignFrame | None = None  # also the last of the file before: single points may be in a file each
    for number, source in enumerate(sources):
        for foreign, block in zip(source.frames, groups.of_file(number, source.count), strict=True):
            if foreign.free_atom:
                result.free_atoms.append(foreign)
                continue
            without_placeholders(foreign, bool(settings.liquids))
            result.drifts += without_drift(foreign, settings.max_net_force_eV_A)
            row, frame = importer.imported(foreign, block)
            result.rows.append(row)
            if frame is None:
                before = None
                continue
            write_frames(path, [frame], append=True)
            result.apart += lies_apart(frame)
            result.checks.add(foreign, before)
            before = foreign
    result.again = importer.again
    return result


def import_files(settings: ImportSettings, files: Mapping[str, Path], assets: Path, out: str, words: list[str]) -> str:
    """Import the frames of files that are there to read; return `words` and what was understood, in lines."""
    formats = formats_of(settings.format, files)
    if needless := of_extxyz_alone(settings, formats.values()):
        raise UserError(*needless)
    liquids = liquids_of(settings, assets)
    words.append(", ".join(f"{count} {form} files" for form, count in sorted(Counter(formats.values()).items())))
    path = Path(f"{out}.labelled.extxyz")
    result = import_frames(settings, liquids, read_sources(settings, files, formats, words), path)
    if result.drifts:
        words.append(
            f"{result.drifts} frames: the mean is taken off their forces, which sum to more than {NET_FORCE_EV_A:g} eV/A "
            "times the square root of the number of atoms"
        )
    if result.again:
        words.append(
            f"{result.again} frames have energy, forces and volume of one before them: they stay in its group, so that the split "
            "does not put them on both sides"
        )
    work = check_work(result.checks)
    outliers = energy_outliers(result.checks)
    off = work.jumps | {frame: refusal for frame, refusal in outliers.items() if frame not in work.jumps}
    take_out(off, result.rows, path)
    seal_frames(path)
    table = pl.DataFrame([vars(row) for row in result.rows], schema=IMPORTED)
    write_table(table, Path(f"{out}.labels.parquet"))
    errors = [*work.errors, *check_pressure(table)]
    if settings.liquids and "extxyz" in formats.values():
        errors += check_small(result.checks, table, settings, work)
    if 2 * result.apart > (used := len(result.checks.names)):
        errors.append(
            f"labels.frames: in {result.apart} of {used} frames no two atoms are within {APART:g} times the sum of their "
            "covalent radii: are positions and cell in Bohr? they must be in A"
        )
    if errors and "extxyz" not in formats.values():
        errors.append(
            "labels.frames: these files are read in the units of their programs, and no field can tell others"
        )
    errors += check_failed(table, settings.max_failed_fraction)
    energies = reference_energies(result.free_atoms, table, path, errors)
    if energies:
        words.append(write_reference_energies(energies, len(result.free_atoms), Path(f"{out}.e0s.json")))
    words += [work.said, *counted(table)]
    if errors:
        named = [
            f"labels.frames: {result.checks.names[frame]}: {refusal.reason}: {refusal.detail}"
            for frame, refusal in off.items()
        ]
        raise UserError(*errors, *[line for line in named[:SHOWN] if line not in errors])
    return "".join(f"imported labels: {line}\n" for line in words)


def take_out(off: dict[int, Refusal], rows: Sequence[ImportedRow], path: Path) -> None:
    """Take frames, by their number in a file of frames, out of it, and say in their rows why."""
    if not off:
        return
    good = [row for row in rows if row.converged]
    for frame, refusal in off.items():
        good[frame].refuse(refusal)
    kept = path.with_suffix(".kept")
    with path.open("rb") as source, kept.open("wb") as target:
        for number, block in enumerate(blocks_of(path)):
            source.seek(block.offset)
            if number not in off:
                target.write(source.read(block.size))
    kept.replace(path)


def main(argv: list[str] | None = None) -> int:
    """Run the command line."""
    parser = command_line(__doc__, "--settings")
    parser.add_argument("--id", default="imported", help="key of the task (default: %(default)s)")
    parser.add_argument("--frames", required=True, type=Path, nargs="+", help="files, in the order of labels.frames")
    parser.add_argument("--assets", required=True, type=Path, help="folder with ions/")
    parser.add_argument("--out", required=True, help="prefix of the files written")
    parser.add_argument("--errors", type=Path, help="file to write mistakes to, one line each")
    args = parser.parse_args(argv)

    def work() -> None:
        settings: ImportSettings | None = None
        try:
            settings = ImportSettings.read(args.settings)
            print(import_labels(settings, args.frames, args.assets, args.out), end="")
        except UserError as error:
            lines = error.errors
            if settings is not None and not settings.liquids:
                lines = [f"heldout_frames: {line.removeprefix('labels.').removeprefix('frames: ')}" for line in lines]
            if args.errors is not None:
                args.errors.write_text("".join(f"{line}\n" for line in lines))
            raise UserError(*lines) from error

    return task.run("IMPORT_LABELS", work, task_id=args.id, reads=[args.settings, args.assets])
