"""Import labels that someone already has, under the same contract and checks as our own.

Reads extended XYZ with any key names and units, outputs of CP2K, VASP and Quantum ESPRESSO, and the files of ASE and
DeePMD-kit (ionmelt/labels/foreign/), compressed or not, by themselves or in a folder of runs.
Ions are found by their bonds, made whole, and put in the order of the liquid whose composition they have; a
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

import argparse
import json
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from ase import Atoms
from ase.units import bar

from ionmelt import files as files_module
from ionmelt import task
from ionmelt.errors import UserError
from ionmelt.frame import (
    KINDS,
    NET_FORCE_EV_A,
    seal_frames,
    set_label,
    write_frames,
)
from ionmelt.labels.checks import Checks, check_work, unlike_the_rest
from ionmelt.labels.compositions import Liquid, as_it_is, contract_frame, ions_of, liquids_of
from ionmelt.labels.foreign import blocks as foreign_blocks
from ionmelt.labels.foreign import cp2k as labels_cp2k
from ionmelt.labels.foreign import extxyz, runs
from ionmelt.labels.foreign import files as labels_files
from ionmelt.labels.foreign import keys as foreign_keys
from ionmelt.labels.foreign.blocks import Found
from ionmelt.labels.judgement import problem, without_drift, without_placeholders
from ionmelt.labels.matching import NoMatch
from ionmelt.labels.summary import BLOCKS, RECIPE, SHOWN, check_failed, check_pressure, counted
from ionmelt.tables.labels import IMPORTED

ENGINE = "imported"
SCAN_RECIPE, SCAN_SCALE = "test_scan", "scan_scale"
SAME_ENERGY_EV = 1e-4  # per atom: of one structure twice
MAX_BINDING_EV = 50.0  # an atom: reference energies that are further from the frames are of another calculation


# --- Reading --------------------------------------------------------------------------------------------


def formats_of(settings: dict[str, Any], files: dict[str, Path]) -> dict[str, str]:
    """Return the format of each file; raises `UserError` for those that cannot be told."""
    formats, errors = {}, []
    for name, path in files.items():
        if path.is_file() and path.stat().st_size == 0:
            errors.append(f"labels.frames: {name}: is empty")
            continue
        form = labels_files.format_of(path) if settings["format"] == "auto" else settings["format"]
        if form is None and labels_files.is_array(path):
            errors.append(f"labels.frames: {name}: is one array of DeePMD-kit's: give the folder that holds type.raw")
        elif form is None:
            errors.append(f"labels.format: {name}: cannot tell what it is: {labels_files.HOW_TO_CONVERT}")
        else:
            formats[name] = form
    if errors:
        raise UserError(*errors)
    return formats


def read(
    settings: dict[str, Any], files: dict[str, Path], formats: dict[str, str], words: list[str]
) -> Iterator[tuple[str, Iterator[Found], int]]:
    """Yield (source, its frames, how many) of each file, and add to `words` what was understood."""
    xyz = {name: foreign_blocks.blocks_of(files[name]) for name, form in formats.items() if form == "extxyz"}
    survey = foreign_keys.Survey()
    for blocks in xyz.values():
        for block in blocks:
            if not block.wrong:
                survey.add(block.comment, block.atoms)
    if xyz and not survey.frames:
        wrong = [f"{name}: {block.wrong}" for name, blocks in xyz.items() for block in blocks if block.wrong]
        raise UserError(f"labels.frames: {wrong[0] if wrong else 'no frame but free atoms'}")
    if xyz:
        keys = foreign_keys.choose_keys(survey, settings, foreign_keys.doubles(survey, files, xyz))
        words += [understood(keys, survey), *keys.notes]
    cp2k = {name: files[name] for name, form in formats.items() if form == "cp2k"}
    for name, form in formats.items():
        if form == "extxyz":
            yield name, extxyz.read_own_extxyz(files[name], name, xyz[name], keys), len(xyz[name])
        elif form == "cp2k" and name != next(iter(cp2k)):
            continue
        else:
            if form == "cp2k":
                found = list(labels_cp2k.read_cp2k(cp2k, words))
            elif form == "deepmd-npy":
                found = list(runs.read_deepmd(files[name], name))
            else:
                found = list(runs.read_by_ase(files[name], name, form))
            yield ("CP2K" if form == "cp2k" else name), iter(found), len(found)


def understood(keys: foreign_keys.Keys, survey: foreign_keys.Survey) -> str:
    """Say how the numbers of extended XYZ are read."""
    total = survey.frames
    text = f"energy: {keys.energy} in {keys.energy_unit} ({survey.numbers[keys.energy]} of {total} frames)"
    text += f"; forces: {keys.forces} in {keys.forces_unit} ({survey.columns[keys.forces]})"
    if keys.stress is None:
        return f"{text}; stress: none"
    unit = keys.energy_unit if keys.is_virial else keys.stress_unit
    what = "virial" if keys.is_virial else "stress"
    text += f"; {what}: {keys.stress} in {unit}, positive is {keys.stress_sign} ({survey.tensors[keys.stress]})"
    return text


class Blocks:
    """Names the group of a frame that names none: a block of neighbours, of its own file or of a row of small ones."""

    def __init__(self, total: int) -> None:
        self.small_size = max(1, -(-total // BLOCKS))
        self.small = 0

    def of_file(self, number: int, frames: int) -> Iterator[str]:
        """Yield the group of each frame of a file, which is the given one of the study's."""
        size = max(1, -(-frames // BLOCKS))
        for index in range(frames):
            if frames >= BLOCKS:
                yield f"{RECIPE}-file{number}-block{index // size}"
            else:
                yield f"{RECIPE}-files-block{self.small // self.small_size}"
                self.small += 1


def identity(found: Found, settings: dict[str, Any], block: str) -> tuple[dict[str, str], str | None]:
    """Return kind, recipe and group of a frame, and what is wrong with the kind that it says it has."""
    info = found.info
    kind = str(info.get(settings["kind_key"], settings["kind"]))
    recipe = str(info.get("recipe", RECIPE))
    if recipe == SCAN_RECIPE and SCAN_SCALE not in info:
        recipe = RECIPE  # a scan of another kind: ours says how much its box is scaled
    group = info.get(settings["group_key"] or "group")
    wrong = None
    if kind not in KINDS:
        kind, wrong = settings["kind"], f"{settings['kind_key']} is {kind!r}: it must be {' or '.join(KINDS)}"
    elif settings["group_key"] and group is None:
        wrong = f"group_key {settings['group_key']!r} is missing here"
    return {"kind": kind, "recipe": recipe, "group": block if group is None else str(group)}, wrong


# --- The task -------------------------------------------------------------------------------------------


def imported(
    found: Found, settings: dict[str, Any], liquids: Sequence[Liquid], block: str, seen: dict[str, float]
) -> tuple[dict[str, Any], Atoms | None]:
    """Return the row of a frame in the table of labels, and the labelled frame where it can be used."""
    names, wrong = identity(found, settings, block)
    row: dict[str, Any] = {
        "frame_id": found.where, "liquid": None, **names, "n_atoms": len(found.atoms) if found.atoms else None,
        "engine": ENGINE, "theory_id": settings["theory_id"], "converged": False, "source": found.where,
    }  # fmt: skip
    bad = problem(found, settings["max_net_force_eV_A"]) or (("identity", wrong) if wrong else None)
    if bad:
        return row | {"reason": bad[0], "detail": bad[1]}, None
    extra = {SCAN_SCALE: float(found.info[SCAN_SCALE])} if names["recipe"] == SCAN_RECIPE else {}
    if not settings["liquids"]:
        frame, order = as_it_is(found, **names, **extra)
        row["liquid"] = frame.info["liquid"]
    else:
        try:
            liquid, matched = ions_of(found, liquids)
        except NoMatch as error:
            return row | {"reason": "unknown_ion", "detail": str(error)}, None
        charge = sum(liquid.ions[name]["charge"] * count for name, count in matched.counts().items())
        row["liquid"] = liquid.name
        if charge:
            listed = ", ".join(f"{count} {name}" for name, count in sorted(matched.counts().items()))
            return row | {"reason": "not_neutral", "detail": f"{listed}: the charges sum to {charge:+d}"}, None
        frame, order = contract_frame(found, liquid, matched, **names, **extra), np.asarray(matched.order)
    energy, forces, stress = found.energy_ev, found.forces_ev_a, found.stress_ev_a3
    assert energy is not None
    assert forces is not None
    row["frame_id"] = frame.info["frame_id"]
    first = seen.setdefault(frame.info["frame_id"], energy)
    if abs(first - energy) > SAME_ENERGY_EV * len(frame):
        said = f"the same structure came before with another energy ({first:.6f}, here {energy:.6f} eV)"
        return row | {"reason": "contradiction", "detail": said}, None
    if stress is not None:
        stress = (stress + stress.T) / 2
    set_label(frame, energy, forces[order], stress, settings["theory_id"], True, None)
    row |= {
        "converged": True,
        "energy_ev": energy,
        "max_force_ev_a": float(np.linalg.norm(forces, axis=1).max()),
        "net_force_ev_a": float(np.linalg.norm(forces.sum(axis=0))),
        "has_stress": stress is not None,
        "pressure_bar": None if stress is None else float(-np.trace(stress) / 3 / bar),
    }
    return row, frame


def import_labels(settings: dict[str, Any], paths: list[Path], assets: Path, out: str) -> str:
    """Do the work of the task; return what was understood, in lines for the screen."""
    if len(paths) != len(settings["frames"]):
        raise UserError(f"frames: {len(paths)} files for the {len(settings['frames'])} of labels.frames")
    given = dict(zip(settings["frames"], paths, strict=True))
    words: list[str] = []
    with tempfile.TemporaryDirectory(dir=".") as scratch:
        files = labels_files.expanded(given, Path(scratch), settings["format"], words)
        return import_files(settings, files, assets, out, words)


def import_files(settings: dict[str, Any], files: dict[str, Path], assets: Path, out: str, words: list[str]) -> str:
    """Import the frames of files that are there to read; return `words` and what was understood, in lines."""
    formats = formats_of(settings, files)
    liquids = liquids_of(settings, assets)
    words.append(", ".join(f"{count} {form} files" for form, count in sorted(Counter(formats.values()).items())))
    sources = list(read(settings, files, formats, words))
    blocks = Blocks(sum(count for _, _, count in sources if count < BLOCKS))
    checks = Checks()
    rows: list[dict[str, Any]] = []
    seen: dict[str, float] = {}
    atoms: list[Found] = []
    drifts = 0
    write_frames(f"{out}.labelled.extxyz", [])
    for number, (_, frames, count) in enumerate(sources):
        before: Found | None = None
        for found, block in zip(frames, blocks.of_file(number, count), strict=True):
            if found.free_atom:
                atoms.append(found)
                continue
            without_placeholders(found, bool(settings["liquids"]))
            drifts += without_drift(found, settings["max_net_force_eV_A"])
            row, frame = imported(found, settings, liquids, block, seen)
            rows.append(row)
            if frame is None:
                before = None
                continue
            write_frames(f"{out}.labelled.extxyz", [frame], append=True)
            checks.add(found, before)
            before = found
    if drifts:
        words.append(
            f"{drifts} frames: the mean is taken off their forces, which sum to more than {NET_FORCE_EV_A:g} eV/A "
            "times the square root of the number of atoms"
        )
    said, errors, jumps = check_work(checks)
    off = {frame: ("energy_jump", text) for frame, text in jumps.items()}
    off |= {frame: ("energy_outlier", text) for frame, text in unlike_the_rest(checks).items() if frame not in off}
    take_out(off, rows, Path(f"{out}.labelled.extxyz"))
    seal_frames(f"{out}.labelled.extxyz")
    table = pl.DataFrame(rows, schema=IMPORTED)
    files_module.write_table(table, Path(f"{out}.labels.parquet"))
    errors += check_pressure(table)
    errors += check_failed(table, settings["max_failed_fraction"])
    e0s = reference_energies(atoms, table, Path(f"{out}.labelled.extxyz"), errors)
    if e0s:
        Path(f"{out}.e0s.json").write_text(json.dumps(e0s, indent=2) + "\n")
        listed = ", ".join(f"{element} {energy:.6g} eV" for element, energy in e0s.items())
        words.append(f"reference energies from {len(atoms)} free atoms: {listed}")
    words += [said, *counted(table)]
    if errors:
        named = [f"labels.frames: {checks.places[frame]}: {code}: {text}" for frame, (code, text) in off.items()]
        raise UserError(*errors, *[line for line in named[:SHOWN] if line not in errors])
    return "".join(f"imported labels: {line}\n" for line in words)


def take_out(off: dict[int, tuple[str, str]], rows: list[dict[str, Any]], path: Path) -> None:
    """Take frames, by their number in a file of frames, out of it, and say in their rows (reason, detail) why."""
    if not off:
        return
    good = [row for row in rows if row["converged"]]
    for frame, (reason, detail) in off.items():
        good[frame] |= {"converged": False, "reason": reason, "detail": detail}
    kept = path.with_suffix(".kept")
    with path.open("rb") as source, kept.open("wb") as target:
        for number, block in enumerate(foreign_blocks.blocks_of(path)):
            source.seek(block.offset)
            if number not in off:
                target.write(source.read(block.size))
    kept.replace(path)


def reference_energies(atoms: list[Found], table: pl.DataFrame, frames: Path, errors: list[str]) -> dict[str, float]:
    """Return the energy (eV) of each element that a free atom is of; what speaks against them is added to `errors`."""
    e0s: dict[str, float] = {}
    for found in atoms:
        assert found.atoms is not None
        element = found.atoms.get_chemical_symbols()[0]
        if found.energy_ev is None or not np.isfinite(found.energy_ev):
            errors.append(f"labels.frames: {found.where}: a free atom of {element} without an energy")
        elif abs(e0s.setdefault(element, found.energy_ev) - found.energy_ev) > SAME_ENERGY_EV:
            errors.append(
                f"labels.frames: {found.where}: the energy of a free atom of {element} is {found.energy_ev:.6g} eV here "
                f"and {e0s[element]:.6g} eV before: which is it?"
            )
    for block, row in zip(
        foreign_blocks.blocks_of(frames), table.filter("converged").iter_rows(named=True), strict=True
    ):
        symbols = foreign_blocks.read_block(frames, block).get_chemical_symbols()
        if set(symbols) <= set(e0s):
            binding = (row["energy_ev"] - sum(e0s[symbol] for symbol in symbols)) / len(symbols)
            if abs(binding) > MAX_BINDING_EV:
                errors.append(
                    f"labels.frames: {row['source']}: its energy is {binding:.4g} eV an atom off that of its free atoms, which "
                    "no binding is: are these of the same calculation and unit?"
                )
            break
    return e0s


def main(argv: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--id", default="imported", help="key of the task (default: %(default)s)")
    parser.add_argument("--settings", required=True, type=Path, help="labels.json of the plan")
    parser.add_argument("--frames", required=True, type=Path, nargs="+", help="files, in the order of labels.frames")
    parser.add_argument("--assets", required=True, type=Path, help="folder with ions/")
    parser.add_argument("--out", required=True, help="prefix of the files written")
    parser.add_argument("--errors", type=Path, help="file to write mistakes to, one line each")
    args = parser.parse_args(argv)

    def work() -> None:
        settings: dict[str, Any] = {}
        try:
            settings = files_module.read_json(args.settings)
            print(import_labels(settings, args.frames, args.assets, args.out), end="")
        except UserError as error:
            lines = error.errors
            if settings.get("liquids") == []:
                lines = [f"heldout_frames: {line.removeprefix('labels.').removeprefix('frames: ')}" for line in lines]
            if args.errors is not None:
                args.errors.write_text("".join(f"{line}\n" for line in lines))
            raise UserError(*lines) from error

    return task.run("IMPORT_LABELS", work, task_id=args.id, reads=[args.settings, args.assets])
