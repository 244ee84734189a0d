"""Import labels that someone already has, under the same contract and checks as our own.

Reads extended XYZ with any key names and units, outputs of CP2K, VASP and Quantum ESPRESSO, and the files of ASE and
DeePMD-kit (the table of ionmelt/labels/foreign/), compressed or not, by themselves or in a folder of runs.
Ions are foreign by their bonds, made whole, and put in the order of the liquid whose composition they have; a
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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl
from ase import Atoms
from ase.units import bar

from ionmelt import task
from ionmelt.arguments import command_line
from ionmelt.errors import UserError
from ionmelt.files import write_table
from ionmelt.frame import NET_FORCE_EV_A, seal_frames, set_label, write_frames
from ionmelt.labels.checks import Checks, check_work, unlike_the_rest
from ionmelt.labels.compositions import Liquid, as_it_is, contract_frame, ions_of, liquids_of
from ionmelt.labels.foreign import FORMATS, format_of
from ionmelt.labels.foreign.blocks import ForeignFrame, Source, blocks_of
from ionmelt.labels.foreign.files import HOW_TO_CONVERT, expanded, is_array
from ionmelt.labels.identity import SCAN_RECIPE, SCAN_SCALE, BlockGroups, identity
from ionmelt.labels.judgement import problem, without_drift, without_placeholders
from ionmelt.labels.matching import NoMatch
from ionmelt.labels.reference_energies import reference_energies, write_reference_energies
from ionmelt.labels.settings import ImportSettings
from ionmelt.labels.summary import BLOCKS, SHOWN, check_failed, check_pressure, counted
from ionmelt.tables.labels import IMPORTED

ENGINE = "imported"
SAME_ENERGY_EV = 1e-4  # per atom: of one structure twice


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
        elif form is None:
            errors.append(f"labels.format: {name}: cannot tell what it is: {HOW_TO_CONVERT}")
        else:
            formats[name] = form
    if errors:
        raise UserError(*errors)
    return formats


def read_sources(
    settings: ImportSettings, files: Mapping[str, Path], formats: Mapping[str, str], words: list[str]
) -> list[Source]:
    """Return the sources of frames in the order of the files, and add to `words` what was understood."""
    sources: dict[str, Source] = {}
    for form, row in FORMATS.items():
        if same := {name: files[name] for name in formats if formats[name] == form}:
            sources |= importlib.import_module(row.module).read(form, same, settings, words)
    return [sources[name] for name in formats if name in sources]


# --- Frames ---------------------------------------------------------------------------------------------


@dataclass
class ImportedRow:
    """The row of a frame in the table of labels: columns of `IMPORTED`."""

    frame_id: str  # its place in the user's files, until it is a frame of the contract
    kind: str
    recipe: str
    group: str
    n_atoms: int | None
    theory_id: str
    source: str
    liquid: str | None = None
    engine: str = ENGINE
    converged: bool = False
    reason: str | None = None
    detail: str | None = None
    energy_ev: float | None = None
    max_force_ev_a: float | None = None
    net_force_ev_a: float | None = None
    has_stress: bool | None = None
    pressure_bar: float | None = None

    def refuse(self, reason: str, detail: str) -> None:
        """Say why the frame is not used."""
        self.converged, self.reason, self.detail = False, reason, detail

    def accept(self, energy_ev: float, forces_ev_a: np.ndarray, stress_ev_a3: np.ndarray | None) -> None:
        """Put the numbers of the label there: forces (N, 3), stress (3, 3)."""
        self.converged = True
        self.energy_ev = energy_ev
        self.max_force_ev_a = float(np.linalg.norm(forces_ev_a, axis=1).max())
        self.net_force_ev_a = float(np.linalg.norm(forces_ev_a.sum(axis=0)))
        self.has_stress = stress_ev_a3 is not None
        self.pressure_bar = None if stress_ev_a3 is None else float(-np.trace(stress_ev_a3) / 3 / bar)


class Importer:
    """Turns foreign frames into labelled frames of the contract, one by one in the order of the files."""

    def __init__(self, settings: ImportSettings, liquids: Sequence[Liquid]) -> None:
        self.settings, self.liquids = settings, liquids
        self.energies_ev: dict[str, float] = {}  # of the first frame with each id

    def imported(self, foreign: ForeignFrame, block: str) -> tuple[ImportedRow, Atoms | None]:
        """Return the row of a frame, and the labelled frame where it can be used; `block` is its group if it names none."""
        who, wrong = identity(foreign, self.settings, block)
        row = ImportedRow(
            frame_id=foreign.where,
            kind=who.kind,
            recipe=who.recipe,
            group=who.group,
            n_atoms=len(foreign.atoms) if foreign.atoms else None,
            theory_id=self.settings.theory_id,
            source=foreign.where,
        )
        bad = problem(foreign, self.settings.max_net_force_eV_A) or (("identity", wrong) if wrong else None)
        if bad:
            row.refuse(*bad)
            return row, None
        scale = {SCAN_SCALE: float(foreign.info[SCAN_SCALE])} if who.recipe == SCAN_RECIPE else {}
        reordered = self.reordered(row, foreign, scale)
        if reordered is None:
            return row, None
        frame, order = reordered
        energy, forces, stress = foreign.energy_ev, foreign.forces_ev_a, foreign.stress_ev_a3
        assert energy is not None
        assert forces is not None
        row.frame_id = frame.info["frame_id"]
        first = self.energies_ev.setdefault(row.frame_id, energy)
        if abs(first - energy) > SAME_ENERGY_EV * len(frame):
            said = f"the same structure came before with another energy ({first:.6f}, here {energy:.6f} eV)"
            row.refuse("contradiction", said)
            return row, None
        if stress is not None:
            stress = (stress + stress.T) / 2
        set_label(frame, energy, forces[order], stress, self.settings.theory_id, True, None)
        row.accept(energy, forces, stress)
        return row, frame

    def reordered(
        self, row: ImportedRow, foreign: ForeignFrame, scale: dict[str, float]
    ) -> tuple[Atoms, np.ndarray] | None:
        """Return a frame ion by ion and the order (N,) of its atoms; None, and the row says why, where its ions are no liquid's."""
        names = {"kind": row.kind, "recipe": row.recipe, "group": row.group}
        if not self.settings.liquids:
            frame, order = as_it_is(foreign, **names, **scale)
            row.liquid = frame.info["liquid"]
            return frame, order
        try:
            liquid, matched = ions_of(foreign, self.liquids)
        except NoMatch as error:
            row.refuse("unknown_ion", str(error))
            return None
        charge = sum(liquid.ions[name]["charge"] * count for name, count in matched.counts().items())
        row.liquid = liquid.name
        if charge:
            listed = ", ".join(f"{count} {name}" for name, count in sorted(matched.counts().items()))
            row.refuse("not_neutral", f"{listed}: the charges sum to {charge:+d}")
            return None
        return contract_frame(foreign, liquid, matched, **names, **scale), np.asarray(matched.order)


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
    """What came of the frames of all files: rows, free atoms, checks of the energies, and how many forces lost their mean."""

    rows: list[ImportedRow] = field(default_factory=list)
    free_atoms: list[ForeignFrame] = field(default_factory=list)
    checks: Checks = field(default_factory=Checks)
    drifts: int = 0


def import_frames(
    settings: ImportSettings, liquids: Sequence[Liquid], sources: Sequence[Source], path: Path
) -> Imported:
    """Write the frames that can be used to a file, one by one, and return what came of all."""
    groups = BlockGroups(sum(source.count for source in sources if source.count < BLOCKS))
    importer, result = Importer(settings, liquids), Imported()
    write_frames(path, [])
    for number, source in enumerate(sources):
        before: ForeignFrame | None = None
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
            result.checks.add(foreign, before)
            before = foreign
    return result


def import_files(settings: ImportSettings, files: Mapping[str, Path], assets: Path, out: str, words: list[str]) -> str:
    """Import the frames of files that are there to read; return `words` and what was understood, in lines."""
    formats = formats_of(settings.format, files)
    liquids = liquids_of(settings, assets)
    words.append(", ".join(f"{count} {form} files" for form, count in sorted(Counter(formats.values()).items())))
    path = Path(f"{out}.labelled.extxyz")
    result = import_frames(settings, liquids, read_sources(settings, files, formats, words), path)
    if result.drifts:
        words.append(
            f"{result.drifts} frames: the mean is taken off their forces, which sum to more than {NET_FORCE_EV_A:g} eV/A "
            "times the square root of the number of atoms"
        )
    said, errors, jumps = check_work(result.checks)
    off = {frame: ("energy_jump", text) for frame, text in jumps.items()}
    off |= {
        frame: ("energy_outlier", text) for frame, text in unlike_the_rest(result.checks).items() if frame not in off
    }
    take_out(off, result.rows, path)
    seal_frames(path)
    table = pl.DataFrame([vars(row) for row in result.rows], schema=IMPORTED)
    write_table(table, Path(f"{out}.labels.parquet"))
    errors += check_pressure(table)
    errors += check_failed(table, settings.max_failed_fraction)
    energies = reference_energies(result.free_atoms, table, path, errors)
    if energies:
        words.append(write_reference_energies(energies, len(result.free_atoms), Path(f"{out}.e0s.json")))
    words += [said, *counted(table)]
    if errors:
        named = [f"labels.frames: {result.checks.places[frame]}: {code}: {text}" for frame, (code, text) in off.items()]
        raise UserError(*errors, *[line for line in named[:SHOWN] if line not in errors])
    return "".join(f"imported labels: {line}\n" for line in words)


def take_out(off: dict[int, tuple[str, str]], rows: Sequence[ImportedRow], path: Path) -> None:
    """Take frames, by their number in a file of frames, out of it, and say in their rows (reason, detail) why."""
    if not off:
        return
    good = [row for row in rows if row.converged]
    for frame, (reason, detail) in off.items():
        good[frame].refuse(reason, detail)
    kept = path.with_suffix(".kept")
    with path.open("rb") as source, kept.open("wb") as target:
        for number, block in enumerate(blocks_of(path)):
            source.seek(block.offset)
            if number not in off:
                target.write(source.read(block.size))
    kept.replace(path)


def main(argv: list[str] | None = None) -> int:
    """Run the command line."""
    parser = command_line(__doc__)
    parser.add_argument("--id", default="imported", help="key of the task (default: %(default)s)")
    parser.add_argument("--settings", required=True, type=Path, help="labels.json of the plan")
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
