#!/usr/bin/env python3
"""Import labels that someone already has, under the same contract and checks as our own.

Reads extended XYZ with any key names and units, and outputs of CP2K, VASP and Quantum ESPRESSO (il_sources.py).
Ions are found by their bonds, made whole, and put in the order of the liquid whose composition they have; a
composition that no liquid of the study has is kept as liquid ``other``. What a frame itself says of ``kind``,
``recipe`` and its group is kept; the recipe is else ``imported``. Where no group is named, each file is cut into
blocks of neighbouring frames, so that a split does not put neighbours on both sides of every frame.
Where the settings name no liquids (held-out frames of other chemistry), frames may hold anything and no ions are looked for.

Nothing is guessed in silence: what was understood is printed, two names that could both be the label are refused,
and where neighbouring frames are there, changes of the energy must be the work of forces and stress.

Writes PREFIX.labelled.extxyz and PREFIX.labels.parquet (a row for each frame, with a reason where it is not used).
"""

import argparse
import math
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from ase import Atoms
from ase.units import Bohr, GPa, Hartree, Rydberg, bar, kcal, kJ, mol

import il_sources
import il_task
from il_frames import KINDS, make_frame, overlaps, seal_frames, set_label, values_problem, write_frames
from il_ions import library, resolve
from il_matching import Matched, Matcher, NoMatch
from il_sources import Found
from il_task import UserError
from il_topology import Topology

OTHER = "other"  # liquid of compositions that the study has none of; plan_study.py refuses a liquid of that name
RECIPE = "imported"
ENGINE = "imported"
SCAN_RECIPE, SCAN_SCALE = "test_scan", "scan_scale"
BLOCKS = 10  # that the frames of a file are cut into where they name no group
SHOWN = 10  # unusable frames that are named on the screen; the table has all
# Frames are neighbours where no atom moves by more: then the energy changes by the mean force's work to some %.
NEIGHBOUR_A = 0.35
PAIRS_LEAST = 5
PAIRS_MOST = 500
EXPLAINED = 0.9  # of the energy's changes, below which nothing is concluded
SLOPE_TOLERANCE = 0.2
MAX_PRESSURE_EV_A3 = 20 * GPa
SAME_ENERGY_EV = 1e-4  # per atom: of one structure twice
SCHEMA = {
    "frame_id": pl.String, "liquid": pl.String, "kind": pl.String, "recipe": pl.String, "group": pl.String,
    "n_atoms": pl.Int64, "engine": pl.String, "engine_version": pl.String, "theory_id": pl.String,
    "converged": pl.Boolean, "reason": pl.String, "energy_ev": pl.Float64, "max_force_ev_a": pl.Float64,
    "net_force_ev_a": pl.Float64, "has_stress": pl.Boolean, "pressure_bar": pl.Float64, "scf_steps": pl.Int64, "wall_s": pl.Float64,
    "source": pl.String, "detail": pl.String,
}  # fmt: skip
# What would be right, for the reasons that il_frames.py gives.
REMEDIES = {
    "no_energy": "the frame has no energy",
    "no_forces": "the frame has no forces",
    "shape": "energy must be one number, forces 3 columns, stress 9 numbers",
    "non_finite": "energy, forces and stress must be finite numbers",
    "force_too_large": "a force is above 50 eV/A: is forces_unit right?",
    "net_force": "the forces do not sum to zero",
    "stress_asymmetric": "the stress is not symmetric",
    "overlap": "two atoms are closer than half the sum of their covalent radii",
}


@dataclass
class Liquid:
    """A composition to look for: its ions in the order of its frames, and how many of each a box has."""

    name: str
    ions: dict[str, dict[str, Any]]
    counts: dict[str, int]
    matcher: Matcher

    def proportions(self) -> dict[str, int]:
        """Return the counts without their common divisor."""
        return proportions(self.counts)


@dataclass
class Work:
    """Pairs of neighbouring frames: the change of energy, and what forces and stress say it should be (eV)."""

    energy: list[float] = field(default_factory=list)
    forces: list[float] = field(default_factory=list)
    stress: list[float] = field(default_factory=list)


def proportions(counts: dict[str, int] | Counter[str]) -> dict[str, int]:
    """Return counts without their common divisor."""
    divisor = reduce(math.gcd, counts.values())
    return {name: count // divisor for name, count in counts.items()}


def liquids_of(settings: dict[str, Any], assets: Path) -> list[Liquid]:
    """Return the liquids of the study, and last the composition ``other`` with every ion known."""
    known = library(assets)
    every: dict[str, dict[str, Any]] = {}
    liquids = []
    for liquid in settings["liquids"]:
        ions = {ion["name"]: resolve(ion, known) for ion in liquid["ions"]}
        every |= ions
        counts = {ion["name"]: ion["count"] for ion in liquid["ions"]}
        liquids.append(Liquid(liquid["id"], ions, counts, Matcher(ions)))
    for name, ion in known.items():
        every.setdefault(name, resolve({"name": name, "count": 1, **ion}, known))
    return [*liquids, Liquid(OTHER, every, {}, Matcher(every))]


def ions_of(found: Found, liquids: Sequence[Liquid]) -> tuple[Liquid, Matched]:
    """Return the liquid that a frame is of, and its ions; raises `NoMatch`.

    Of several liquids with its composition the one that the frame names is taken, else one of the same size,
    else the first.
    """
    assert found.atoms is not None
    fits: list[tuple[bool, bool, Liquid, Matched]] = []
    for liquid in liquids[:-1]:
        try:
            matched = liquid.matcher.match(found.atoms)
        except NoMatch:
            continue
        counts = matched.counts()
        if proportions(counts) == liquid.proportions():
            fits.append((found.info.get("liquid") == liquid.name, counts == liquid.counts, liquid, matched))
    if fits:
        best = max(fits, key=lambda entry: entry[:2])  # the first of equals
        return best[2], best[3]
    other = liquids[-1]
    return other, other.matcher.match(found.atoms)


def contract_frame(found: Found, liquid: Liquid, matched: Matched, **info: Any) -> Atoms:
    """Return a frame of the contract: atoms ion by ion, every ion whole."""
    assert found.atoms is not None
    names = list(dict.fromkeys(matched.names))
    counts = matched.counts()
    topology = Topology(liquid.name, [liquid.ions[name] | {"count": counts[name]} for name in names])
    positions = topology.whole(found.atoms.positions[matched.order], found.atoms.cell.array)
    numbers = found.atoms.numbers[matched.order]
    return make_frame(
        numbers, positions, found.atoms.cell.array, topology.molecule, topology.ion, liquid=liquid.name, **info
    )


def as_it_is(found: Found, **info: Any) -> tuple[Atoms, np.ndarray]:
    """Return a frame of any chemistry, in which every atom counts as an ion of its own, and the order of its atoms."""
    assert found.atoms is not None
    atoms, order = found.atoms, np.arange(len(found.atoms))
    symbols, liquid = atoms.get_chemical_symbols(), str(found.info.get("liquid", OTHER))
    return make_frame(atoms.numbers, atoms.positions, atoms.cell.array, order, symbols, liquid=liquid, **info), order


# --- Reading --------------------------------------------------------------------------------------------


def formats_of(settings: dict[str, Any], files: dict[str, Path]) -> dict[str, str]:
    """Return the format of each file; raises `UserError` for those that cannot be told."""
    formats, errors = {}, []
    for name, path in files.items():
        form = il_sources.format_of(path) if settings["format"] == "auto" else settings["format"]
        if path.stat().st_size == 0:
            errors.append(f"labels.frames: {name}: is empty")
        elif form is None:
            known = ", ".join(il_sources.FORMATS)
            errors.append(
                f"labels.format: {name}: cannot tell what it is: give one of {known}, or convert it to extxyz"
            )
        else:
            formats[name] = form
    if errors:
        raise UserError(*errors)
    return formats


def read(
    settings: dict[str, Any], files: dict[str, Path], formats: dict[str, str], words: list[str]
) -> Iterator[tuple[str, Iterator[Found], int]]:
    """Yield (source, its frames, how many) of each file, and add to `words` what was understood."""
    xyz = {name: il_sources.blocks_of(files[name]) for name, form in formats.items() if form == "extxyz"}
    survey = il_sources.Survey()
    for blocks in xyz.values():
        for block in blocks:
            if not block.wrong:
                survey.add(block.comment)
    if xyz and not survey.frames:
        first = next((f"{name}: {blocks[0].wrong}" for name, blocks in xyz.items() if blocks), "no frame")
        raise UserError(f"labels.frames: {first}")
    if xyz:
        keys = il_sources.choose_keys(survey, settings)
        words.append(understood(keys, survey))
    cp2k = {name: files[name] for name, form in formats.items() if form == "cp2k"}
    for name, form in formats.items():
        if form == "extxyz":
            yield name, il_sources.read_own_extxyz(files[name], name, xyz[name], keys), len(xyz[name])
        elif form == "cp2k" and name == next(iter(cp2k)):
            found = list(il_sources.read_cp2k(cp2k))
            yield "CP2K", iter(found), len(found)
        elif form != "cp2k":
            found = list(il_sources.read_by_ase(files[name], name, form))
            yield name, iter(found), len(found)


def understood(keys: il_sources.Keys, survey: il_sources.Survey) -> str:
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


# --- Judging --------------------------------------------------------------------------------------------


def problem(found: Found) -> tuple[str, str] | None:
    """Return why a frame cannot be used and what would be right, as (code, text); None where it can."""
    if found.reason is not None:
        return found.reason, found.detail or ""
    assert found.atoms is not None
    for code, value in (
        ("no_energy", found.energy_ev),
        ("no_forces", found.forces_ev_a),
    ):
        if value is None:
            return code, found.detail or REMEDIES[code]
    if not (np.isfinite(found.atoms.positions).all() and np.isfinite(found.atoms.cell.array).all()):
        return "non_finite", "positions and cell must be finite numbers"
    if found.atoms.cell.rank < 3 or not found.atoms.pbc.all():
        return "not_periodic", "a cell of three vectors is needed"
    assert found.energy_ev is not None
    assert found.forces_ev_a is not None
    wrong = "overlap" if overlaps(found.atoms) else None
    wrong = wrong or values_problem(found.energy_ev, found.forces_ev_a, found.stress_ev_a3, len(found.atoms))
    return (wrong, REMEDIES[wrong]) if wrong else None


def add_pair(work: Work, a: Found, b: Found) -> None:
    """Add two frames that follow each other in a file, if they are near enough to compare.

    The energy as a function of scaled positions s and cell h changes by -f . (h ds) + V stress : strain; both are
    taken at the middle, where the error is of third order.
    """
    if a.atoms is None or b.atoms is None or not np.array_equal(a.atoms.numbers, b.atoms.numbers):
        return
    if a.forces_ev_a is None or b.forces_ev_a is None or a.stress_ev_a3 is None or b.stress_ev_a3 is None:
        return
    if a.energy_ev is None or b.energy_ev is None or len(work.energy) >= PAIRS_MOST:
        return
    cells = a.atoms.cell.array, b.atoms.cell.array
    middle = (cells[0] + cells[1]) / 2
    step = b.atoms.get_scaled_positions(wrap=False) - a.atoms.get_scaled_positions(wrap=False)
    moved = (step - np.rint(step)) @ middle
    if np.linalg.norm(moved, axis=1).max() > NEIGHBOUR_A:
        return
    strain = np.linalg.solve(middle, cells[1] - cells[0])
    stress = (a.stress_ev_a3 + b.stress_ev_a3) / 2
    work.energy.append(b.energy_ev - a.energy_ev)
    work.forces.append(float(-np.sum((a.forces_ev_a + b.forces_ev_a) / 2 * moved)))
    work.stress.append(float(abs(np.linalg.det(middle)) * np.sum(stress * (strain + strain.T) / 2)))


def unit_hint(slope: float) -> str:
    """Return which unit a slope of energy against work speaks for."""
    ratios = {
        "is the energy in Ha (give energy_unit: Ha)?": 1 / Hartree,
        "is the energy in Ry (give energy_unit: Ry)?": 1 / Rydberg,
        "is the energy in kcal/mol (give energy_unit: kcal/mol)?": mol / kcal,
        "is the energy in kJ/mol (give energy_unit: kJ/mol)?": mol / kJ,
        "are the forces in Ha/Bohr (give forces_unit: Ha/Bohr)?": Hartree / Bohr,
        "are the forces in Ry/Bohr (give forces_unit: Ry/Bohr)?": Rydberg / Bohr,
        "is the sign of the forces wrong (gradients)?": -1.0,
    }
    near = [text for text, ratio in ratios.items() if abs(slope / ratio - 1) < SLOPE_TOLERANCE]
    return near[0] if near else "are energies, forces and their units of the same calculation?"


def stress_hint(slope: float) -> str:
    """Return what a slope of energy against the work of the stress speaks for."""
    if abs(slope + 1) < SLOPE_TOLERANCE:
        return "is compression positive (give stress_sign: compression)?"
    ratios = {"GPa": GPa, "kbar": 1e3 * bar, "bar": bar, "Ha/Bohr^3": Hartree / Bohr**3}
    near = [name for name, ratio in ratios.items() if abs(abs(slope) / ratio - 1) < SLOPE_TOLERANCE]
    return f"is it in {near[0]} (give stress_unit: {near[0]})?" if near else "is stress_unit right?"


def check_work(work: Work) -> tuple[str, list[str]]:
    """Return in words whether energy, forces and stress belong together, and one line for each that does not.

    The change of energy between neighbours is fitted to the work of forces and stress: both slopes must be 1.
    """
    energy, forces, stress = (np.array(values) for values in (work.energy, work.forces, work.stress))
    if len(energy) < PAIRS_LEAST or not np.any(energy):
        return "no neighbouring frames to check units and signs with", []
    swings = np.std(stress) > 0.02 * np.std(forces) and np.std(stress) > 0
    columns = np.stack([forces, stress], axis=1) if swings else forces[:, None]
    scale = np.linalg.norm(columns, axis=0)
    if not scale.all():
        return "no neighbouring frames to check units and signs with", []
    slopes, *_ = np.linalg.lstsq(columns / scale, energy, rcond=None)
    left = energy - columns / scale @ slopes
    slopes = slopes / scale
    explained = 1 - np.sum(left**2) / np.sum(energy**2)
    said = f"{len(energy)} pairs of neighbouring frames"
    if explained < EXPLAINED:
        return f"{said} are too far apart to check units and signs with", []
    lines = []
    if abs(slopes[0] - 1) > SLOPE_TOLERANCE:
        lines.append(
            f"labels.energy_unit: over {said} the energy changes by {slopes[0]:.3g} times the work of the forces, "
            f"not 1: {unit_hint(float(slopes[0]))}"
        )
    elif swings:
        covariance = np.linalg.inv(columns.T @ columns) * np.sum(left**2) / max(len(energy) - 2, 1)
        if abs(slopes[1] - 1) > max(SLOPE_TOLERANCE, 4 * float(np.sqrt(covariance[1, 1]))):
            lines.append(
                f"labels.stress_unit: over {said} the energy changes by {slopes[1]:.3g} times the work of the stress, "
                f"not 1: {stress_hint(float(slopes[1]))}"
            )
    what = "forces and stress" if swings else "forces (the cell does not change: the stress is not checked)"
    return f"{said}: the energy changes by {slopes[0]:.3f} times the work of the {what}", lines


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
    bad = problem(found) or (("identity", wrong) if wrong else None)
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
    files = dict(zip(settings["frames"], paths, strict=True))
    formats = formats_of(settings, files)
    liquids = liquids_of(settings, assets)
    words = [", ".join(f"{count} {form} files" for form, count in sorted(Counter(formats.values()).items()))]
    sources = list(read(settings, files, formats, words))
    blocks = Blocks(sum(count for _, _, count in sources if count < BLOCKS))
    work = Work()
    rows: list[dict[str, Any]] = []
    seen: dict[str, float] = {}
    write_frames(f"{out}.labelled.extxyz", [])
    for number, (_, frames, count) in enumerate(sources):
        before: Found | None = None
        for found, block in zip(frames, blocks.of_file(number, count), strict=True):
            row, frame = imported(found, settings, liquids, block, seen)
            rows.append(row)
            if frame is None:
                before = None
                continue
            write_frames(f"{out}.labelled.extxyz", [frame], append=True)
            if before is not None:
                add_pair(work, before, found)
            before = found
    seal_frames(f"{out}.labelled.extxyz")
    table = pl.DataFrame(rows, schema=SCHEMA)
    il_task.write_table(table, Path(f"{out}.labels.parquet"))
    said, errors = check_work(work)
    words += [said, *counted(table)]
    errors += check_pressure(table)
    errors += check_failed(table, settings["max_failed_fraction"])
    if errors:
        raise UserError(*errors)
    return "".join(f"imported labels: {line}\n" for line in words)


def counted(table: pl.DataFrame) -> list[str]:
    """Say how many frames of what were imported, in which groups, and which were not."""
    good = table.filter(pl.col("converged"))
    lines = []
    for (liquid, kind), part in good.sort("liquid", "kind").group_by(["liquid", "kind"], maintain_order=True):
        groups = part["group"].n_unique()
        lines.append(f"liquid {liquid}, kind {kind}: {part.height} frames in {groups} groups")
    if bare := good.filter(~pl.col("has_stress")).height:
        lines.append(
            f"{bare} of {good.height} frames have no stress (stress_key or virial_key names one): no model learns the density "
            "from them"
        )
    if good["group"].str.starts_with(f"{RECIPE}-file").any():
        lines.append(
            f"groups: frames without one are in up to {BLOCKS} blocks of neighbours a file; frames at the cuts still "
            "resemble each other: give group_key where trajectories are known"
        )
    bad = table.filter(~pl.col("converged"))
    lines += [f"not used: {row['source']}: {row['reason']}: {row['detail']}" for row in bad.head(SHOWN).to_dicts()]
    if bad.height > SHOWN:
        lines.append(f"not used: {bad.height - SHOWN} more; tables/labels has all")
    return lines


def check_pressure(table: pl.DataFrame) -> list[str]:
    """Return a line where the pressures are those of no liquid: the stress is in another unit."""
    pressures = table["pressure_bar"].drop_nulls().abs()
    middle = pressures.median()
    if not isinstance(middle, float) or middle * bar < MAX_PRESSURE_EV_A3:
        return []
    return [
        f"labels.stress_unit: the median pressure is {middle * bar / GPa:.3g} GPa, which no liquid has: "
        "give the unit that the stress is in"
    ]


def check_failed(table: pl.DataFrame, limit: float) -> list[str]:
    """Return the lines that stop the run where more frames than allowed cannot be used."""
    bad = table.filter(~pl.col("converged"))
    if not table.height:
        return ["labels.frames: no frame in these files"]
    if bad.height <= limit * table.height and bad.height < table.height:
        return []
    reasons = bad.group_by("reason").len().sort("len", "reason", descending=[True, False])
    listed = ", ".join(f"{reason} {count}" for reason, count in reasons.iter_rows())
    lines = [
        f"labels.max_failed_fraction: {bad.height} of {table.height} frames cannot be used ({listed}), more than "
        f"{limit:.1%}: mend the files or raise the limit"
    ]
    firsts = bad.unique("reason", keep="first", maintain_order=True)
    return lines + [f"labels.frames: {row['source']}: {row['reason']}: {row['detail']}" for row in firsts.to_dicts()]


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
            settings = il_task.read_json(args.settings)
            print(import_labels(settings, args.frames, args.assets, args.out), end="")
        except UserError as error:
            lines = error.errors
            if settings.get("liquids") == []:
                lines = [f"heldout_frames: {line.removeprefix('labels.').removeprefix('frames: ')}" for line in lines]
            if args.errors is not None:
                args.errors.write_text("".join(f"{line}\n" for line in lines))
            raise UserError(*lines) from error

    return il_task.run("IMPORT_LABELS", work, task_id=args.id, reads=[args.settings, args.assets])


if __name__ == "__main__":
    sys.exit(main())
