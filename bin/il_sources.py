#!/usr/bin/env python3
"""Labelled frames as other programs write them: extended XYZ with any key names, outputs of CP2K, VASP and QE.

Every reader yields a `Found` for each frame: structure and label in eV, eV/A and eV/A^3 (ASE's sign, tension is
positive), or the reason why there is none and what would be right. One damaged frame costs one frame, a file
that no reader understands costs that file. VASP and Quantum ESPRESSO are read by ASE, whose readers do not say
whether the SCF converged: that is read here, from the program's own words, and so is all of CP2K, of which ASE
reads no output (dpdata 1.1 does, but leaves out the stress of CP2K 2023 in silence).
"""

import io
import itertools
import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
from ase import Atoms
from ase.io.extxyz import key_val_str_to_dict, read_extxyz
from ase.stress import voigt_6_to_full_3x3_stress
from ase.units import Bohr, GPa, Hartree, Rydberg, bar, kcal, kJ, mol

from il_task import UserError, reading

FORMATS = ("extxyz", "cp2k", "vasp-out", "vasp-xml", "espresso-out")
ENERGY_UNITS_EV = {"eV": 1.0, "Ha": Hartree, "Ry": Rydberg, "kcal/mol": kcal / mol, "kJ/mol": kJ / mol}
FORCES_UNITS_EV_A = {
    "eV/A": 1.0,
    "Ha/Bohr": Hartree / Bohr,
    "Ry/Bohr": Rydberg / Bohr,
    "kcal/mol/A": kcal / mol,
    "kJ/mol/nm": kJ / mol / 10,
}
STRESS_UNITS_EV_A3 = {"eV/A^3": 1.0, "GPa": GPa, "kbar": 1e3 * bar, "bar": bar, "Ha/Bohr^3": Hartree / Bohr**3}
OWN = "own_"  # put before every key of a file: ASE would move energy, forces and stress elsewhere
HEAD_BYTES = 20_000  # of a file, that tell its format
NUMBER = r"(-?\d[-+.\dEe]*)"
THREE = rf"\s+{NUMBER}\s+{NUMBER}\s+{NUMBER}"


@dataclass
class Found:
    """A frame of a source, as far as it could be read: eV, eV/A (N, 3), eV/A^3 (3, 3); None is missing."""

    where: str  # such as "md.xyz: frame 3 (line 61)"
    atoms: Atoms | None = None
    energy_ev: float | None = None
    forces_ev_a: np.ndarray | None = None
    stress_ev_a3: np.ndarray | None = None
    info: dict[str, Any] = field(default_factory=dict)
    reason: str | None = None
    detail: str | None = None


@dataclass(frozen=True)
class Keys:
    """What the label is called in extended XYZ, and in which units and sign it is there."""

    energy: str
    forces: str
    stress: str | None  # None: the frames have none
    is_virial: bool
    energy_unit: str
    forces_unit: str
    stress_unit: str
    stress_sign: str  # what a positive number means: tension or compression


# --- Which format ---------------------------------------------------------------------------------------


def format_of(path: Path) -> str | None:
    """Return the format of a file, from how it begins; None where it is none of `FORMATS`.

    A CP2K trajectory (PROJECT-pos-1.xyz, PROJECT-1.cell) counts as CP2K's: it comes with an output.
    """
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES).decode(errors="replace")
    lines = [line for line in head.splitlines() if line.strip()]
    if not lines:
        return None
    if "Program PWSCF" in head:
        return "espresso-out"
    if "<modeling" in head:
        return "vasp-xml"
    if re.match(r"\s*vasp\.\d", lines[0]):
        return "vasp-out"
    if re.search(r"^ CP2K\||^ DBCSR\||PROGRAM STARTED AT", head, re.M) or CP2K_CELL.match(lines[0]):
        return "cp2k"
    if len(lines) > 1 and re.fullmatch(r"\s*\d+\s*", lines[0]):
        return "cp2k" if CP2K_STEP.match(lines[1]) else "extxyz"
    return None


# --- Extended XYZ ---------------------------------------------------------------------------------------

MOST_DIGITS = 12  # of a number of atoms


@dataclass
class Block:
    """Where a frame stands in a file: bytes, line of its number of atoms; or what is wrong there."""

    offset: int
    size: int
    line: int
    comment: str
    wrong: str | None = None


def blocks_of(path: Path) -> list[Block]:
    """Return the frames of an extended XYZ file without reading their atoms.

    Where no number of atoms stands though one should, the next frame is looked for: one block says so.
    """
    found: list[Block] = []
    with path.open("rb") as file:
        number = 0
        offset = 0
        lost = False
        while line := file.readline():
            number += 1
            start, offset = offset, offset + len(line)
            text = line.decode(errors="replace").strip()
            if not text:
                continue
            if not text.isdecimal() or len(text) > MOST_DIGITS or not int(text):
                if not lost:
                    said = f"line {number}: {text[:40]!r}: a number of atoms should stand here"
                    found.append(Block(start, 0, number, "", said))
                lost = True
                continue
            here, first = file.tell(), file.readline()
            comment = first.decode(errors="replace").rstrip("\r\n")
            if lost and "=" not in comment:
                file.seek(here)
                continue
            lost = False
            rows = list(itertools.islice(file, int(text)))
            size = len(line) + len(first) + sum(map(len, rows))
            block = Block(start, size, number, comment)
            if len(rows) < int(text) or not rows[-1].strip():
                there = sum(bool(row.strip()) for row in rows)
                block.wrong = f"line {number}: {int(text)} atoms are promised, {there} are there: is the file cut off?"
            found.append(block)
            number += 1 + int(text)
            offset = start + size
    return found


def names_of(comment: str) -> tuple[dict[str, int], list[str]]:
    """Return the numeric keys of a comment line with their count of numbers, and its columns of three numbers."""
    try:
        with reading("the comment line"):
            info = key_val_str_to_dict(comment)
    except UserError:  # the frame is refused where it is read
        return {}, []
    columns = re.findall(r"(\w+):R:3", str(info.pop("Properties", "")))
    sizes = {}
    for key, value in info.items():
        array = np.asarray(value)
        if array.dtype.kind in "fi" and key != "Lattice":
            sizes[key] = array.size
    return sizes, [name for name in columns if name != "pos"]


@dataclass
class Survey:
    """What the frames of all files hold, by name: in how many frames, and in which shape."""

    frames: int = 0
    numbers: Counter[str] = field(default_factory=Counter)
    tensors: Counter[str] = field(default_factory=Counter)
    columns: Counter[str] = field(default_factory=Counter)

    def add(self, comment: str) -> None:
        """Count the names of one frame."""
        sizes, columns = names_of(comment)
        self.frames += 1
        self.numbers.update(key for key, size in sizes.items() if size == 1)
        self.tensors.update(key for key, size in sizes.items() if size in (6, 9))
        self.columns.update(columns)


def choose(field_name: str, given: str | None, held: Counter[str], fits: Callable[[str], bool], what: str) -> str:
    """Return the name to read: the given one, or the only one that fits. Raises `UserError` for none or several."""
    names = ", ".join(sorted(held)) or "none"
    if given is not None:
        if given not in held:
            raise UserError(f"labels.{field_name}: no frame holds {given!r} as {what}; there are: {names}")
        return given
    fitting = sorted(name for name in held if fits(name.lower()))
    if not fitting:
        raise UserError(f"labels.{field_name}: no name looks like {what}; give one of: {names}")
    if len(fitting) > 1:
        listed = " and ".join(f"{name} ({held[name]} frames)" for name in fitting)
        hint = "; forces are the slope of free_energy" if "free_energy" in fitting else ""
        raise UserError(f"labels.{field_name}: the frames hold {listed}: say which is the label{hint}")
    return fitting[0]


def choose_keys(survey: Survey, settings: Mapping[str, Any]) -> Keys:
    """Return what the label is called; raises `UserError`, one line for each name that is missing or not unique."""
    errors: list[str] = []

    def tried(*arguments: Any) -> str:
        try:
            return choose(*arguments)
        except UserError as error:
            errors.extend(error.errors)
            return ""

    energy = tried(
        "energy_key",
        settings.get("energy_key"),
        survey.numbers,
        lambda name: "energy" in name or name in ("e", "etot", "toten"),
        "an energy",
    )
    forces = tried(
        "forces_key", settings.get("forces_key"), survey.columns, lambda name: "force" in name, "forces (3 columns)"
    )
    named = {name: settings.get(name) for name in ("stress_key", "virial_key") if settings.get(name)}
    stress, is_virial = None, False
    if named:
        (name, given), *_ = named.items()
        stress = tried(name, given, survey.tensors, bool, "6 or 9 numbers")
        is_virial = name == "virial_key"
    elif like := [name for name in survey.tensors if re.search("stress|virial", name.lower())]:
        stress = tried(
            "stress_key",
            None,
            Counter({name: survey.tensors[name] for name in like}),
            bool,
            "a stress or virial (9 numbers)",
        )
        is_virial = "virial" in stress.lower()
    if errors:
        raise UserError(*errors)
    return Keys(
        energy,
        forces,
        stress,
        is_virial,
        settings["energy_unit"],
        settings["forces_unit"],
        settings["stress_unit"],
        settings.get("stress_sign") or ("compression" if is_virial else "tension"),
    )


def own_names(line: str) -> dict[str, Any]:
    """Parse a comment line as ASE does, with `OWN` before every name that is not of the structure."""
    info = key_val_str_to_dict(line)
    properties = str(info.get("Properties", "species:S:1:pos:R:3")).split(":")
    for place in range(0, len(properties), 3):
        if properties[place] not in ("species", "pos", "Z"):
            properties[place] = OWN + properties[place]
    kept = {key: info[key] for key in ("Lattice", "pbc") if key in info}
    return kept | {OWN + key: value for key, value in info.items() if key not in (*kept, "Properties")} | {
        "Properties": ":".join(properties)
    }  # fmt: skip


def read_block(path: Path, block: Block) -> Atoms:
    """Return the structure of a block; its other numbers are in info and arrays under `OWN` names."""
    with path.open("rb") as file:
        file.seek(block.offset)
        text = file.read(block.size).decode()
    return next(read_extxyz(io.StringIO(text), index=slice(None), properties_parser=own_names))


def labelled(atoms: Atoms, keys: Keys, found: Found) -> None:
    """Put the label of a structure, as read, into `found`, in eV and A."""
    info = {name.removeprefix(OWN): value for name, value in atoms.info.items()}
    arrays = {name.removeprefix(OWN): value for name, value in atoms.arrays.items()}
    found.atoms = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
    found.info = {name: value for name, value in info.items() if name not in (keys.energy, keys.stress)}
    energy, forces = info.get(keys.energy), arrays.get(keys.forces)
    if energy is not None and np.size(energy) == 1 and np.asarray(energy).dtype.kind in "fi":
        found.energy_ev = float(energy) * ENERGY_UNITS_EV[keys.energy_unit]
    if forces is not None and forces.dtype.kind in "fi":
        found.forces_ev_a = forces * FORCES_UNITS_EV_A[keys.forces_unit]
    stress = info.get(keys.stress) if keys.stress else None
    if stress is not None and np.size(stress) in (6, 9) and np.asarray(stress).dtype.kind in "fi":
        values = np.asarray(stress, dtype=float)
        tensor = values.reshape(3, 3) if values.size == 9 else voigt_6_to_full_3x3_stress(values.ravel())
        if keys.is_virial:
            tensor = tensor * ENERGY_UNITS_EV[keys.energy_unit] / atoms.get_volume()
        else:
            tensor = tensor * STRESS_UNITS_EV_A3[keys.stress_unit]
        found.stress_ev_a3 = -tensor if keys.stress_sign == "compression" else tensor


def read_own_extxyz(path: Path, name: str, blocks: Sequence[Block], keys: Keys) -> Iterator[Found]:
    """Yield the frames of an extended XYZ file; `name` is how the user calls it."""
    for index, block in enumerate(blocks):
        found = Found(f"{name}: frame {index} (line {block.line})")
        if block.wrong:
            found.reason, found.detail = "unreadable", block.wrong
            yield found
            continue
        try:
            with reading("not a frame of extended XYZ"):
                atoms = read_block(path, block)
        except UserError as error:
            found.reason, found.detail = "unreadable", str(error)
            yield found
            continue
        if atoms.pbc.all() and atoms.cell.rank == 3:
            labelled(atoms, keys, found)
        else:
            found.reason, found.detail = "not_periodic", "a Lattice of three vectors (and pbc T T T) is needed"
        yield found


# --- CP2K -----------------------------------------------------------------------------------------------

CP2K_STEP = re.compile(r"\s*i =\s*(\d+),.*\bE =\s*(\S+)")
CP2K_CELL = re.compile(r"#\s+Step\s+Time \[fs\]\s+Ax \[Angstrom\]")
CP2K_START = re.compile(r"^.*PROGRAM STARTED AT.*$", re.M)
CP2K_ENERGY = re.compile(r"^ ENERGY\| Total FORCE_EVAL .*?(-?\d+\.\d+)\s*$", re.M)
CP2K_STRESSES = (
    # the engine's own table, 8 and newer; before, without the names of the lines
    re.compile(
        r"(?:Analytical|Numerical) stress tensor \[(?P<unit>\w+)\]\s*\n.*\n"
        rf" STRESS\|\s+x{THREE}\s*\n STRESS\|\s+y{THREE}\s*\n STRESS\|\s+z{THREE}\s*\n"
    ),
    re.compile(
        rf"STRESS TENSOR \[(?P<unit>\w+)\]\s*\n\s*\n?\s+X\s+Y\s+Z\s*\n\s+X{THREE}\s*\n\s+Y{THREE}\s*\n\s+Z{THREE}\s*\n"
    ),
)
CP2K_STRESS_UNITS = {"GPa": GPa, "bar": bar, "kbar": 1e3 * bar}
CP2K_ATOMS = re.compile(rf"^\s+\d+\s+\d+\s+([A-Z][a-z]?)\s+\d+{THREE}\s+\S+\s+\S+\s*$", re.M)


@dataclass
class Evaluation:
    """What a CP2K output says of one structure (Hartree, Hartree/Bohr, eV/A^3), and whether its SCF converged."""

    energy: float
    forces: np.ndarray | None
    stress: np.ndarray | None
    converged: bool
    cut_off: bool


def cp2k_evaluations(text: str) -> list[Evaluation]:
    """Return the evaluations of one CP2K run from its output."""
    marks = [match.start() for match in CP2K_ENERGY.finditer(text)]
    found = []
    for place, mark in enumerate(marks):
        last = place + 1 == len(marks)
        before = text[marks[place - 1] if place else 0 : mark]
        after = text[mark : None if last else marks[place + 1]]
        energy = CP2K_ENERGY.match(after)
        assert energy is not None
        denied = "SCF run NOT converged" in before or "SCF loop FAILED to converge" in before
        claimed = "SCF run converged in" in before or "outer SCF loop converged in" in before
        rows = re.findall(rf"^\s+\d+\s+\d+\s+[A-Z][a-z]?{THREE}\s*$", after, re.M)
        rows = rows or re.findall(rf"^ FORCES\|\s+\d+{THREE}\s+\S+\s*$", after, re.M)
        complete = re.search(r"^ SUM OF ATOMIC FORCES|^ FORCES\| Sum", after, re.M) is not None
        stress = None
        for pattern in CP2K_STRESSES:
            if match := pattern.search(after):
                unit, *numbers = (match["unit"], *match.groups()[1:])
                tensor = np.array(numbers, dtype=float).reshape(3, 3) * CP2K_STRESS_UNITS[unit]
                stress = -(tensor + tensor.T) / 2  # there, compression is positive
        ended = not last or "PROGRAM ENDED AT" in text
        found.append(
            Evaluation(
                energy=float(energy[1]),
                forces=np.array(rows, dtype=float) if rows and complete else None,
                stress=stress,
                converged=claimed and not denied,
                cut_off=(bool(rows) and not complete) or not ended,
            )
        )
    return found


def put_evaluation(found: Found, evaluation: Evaluation) -> None:
    """Put what CP2K says of a structure into `found`."""
    found.energy_ev = evaluation.energy * Hartree
    if evaluation.forces is not None:
        found.forces_ev_a = evaluation.forces * (Hartree / Bohr)
    found.stress_ev_a3 = evaluation.stress
    if evaluation.cut_off:
        found.reason, found.detail = "truncated", "the output ends before PROGRAM ENDED"
    elif not evaluation.converged:
        found.reason, found.detail = "scf_not_converged", "the output does not say that the SCF converged"
    elif evaluation.forces is None:
        found.detail = "print the forces into the output: FORCE_EVAL/PRINT/FORCES"
    elif evaluation.stress is None:
        found.detail = "have the stress printed: STRESS_TENSOR ANALYTICAL and FORCE_EVAL/PRINT/STRESS_TENSOR"


def read_cp2k(files: Mapping[str, Path]) -> Iterator[Found]:
    """Yield the frames of CP2K outputs, by the name that the user gives each file.

    An output of single points (PRINT_LEVEL MEDIUM: it must show the coordinates) stands by itself, also with
    several runs in it. One of molecular dynamics shows no coordinates: the trajectory (-pos-1.xyz) must be
    given with it, and -1.cell where the cell changes; they are joined by the energy, to the last digit.
    """
    trajectories: dict[str, list[tuple[int, str, Atoms]]] = {}
    cells: dict[int, np.ndarray] = {}
    outputs = {}
    for name, path in files.items():
        text = path.read_text(errors="replace")
        first = text.lstrip("\n").split("\n", 2)
        if CP2K_CELL.match(first[0]):
            for line in text.splitlines()[1:]:
                numbers = np.array(line.split(), dtype=float)
                cells[int(numbers[0])] = numbers[2:11].reshape(3, 3)
        elif len(first) > 1 and CP2K_STEP.match(first[1]):
            trajectories[name] = list(cp2k_trajectory(text, name))
        else:
            outputs[name] = text
    used = set()
    for name, text in outputs.items():
        starts = [match.start() for match in CP2K_START.finditer(text)] or [0]
        for run, (start, end) in enumerate(zip(starts, [*starts[1:], len(text)], strict=True)):
            part = text[start:end]
            where = f"{name}: run {run}" if len(starts) > 1 else name
            evaluations = cp2k_evaluations(part)
            if not evaluations:
                yield Found(where, reason="unreadable", detail="no 'ENERGY| Total FORCE_EVAL' in this CP2K output")
                continue
            vectors = re.findall(rf"^ CELL\| Vector [abc] \[angstrom\]:{THREE}", part, re.M)
            if len(vectors) < 3:
                yield Found(where, reason="unreadable", detail="no 'CELL| Vector a, b, c' in this CP2K output")
                continue
            cell = np.array(vectors[:3], dtype=float)
            if not re.search(r"^ MD\| Step number|^ STEP NUMBER", part, re.M):
                yield cp2k_single(part, where, cell, evaluations)
                continue
            if not trajectories:
                yield Found(where, reason="unreadable", detail="molecular dynamics: give PROJECT-pos-1.xyz with it")
                continue
            if re.search(r"^ MD\| Cell lengths", part, re.M) and not cells:
                yield Found(where, reason="unreadable", detail="its cell changes: give PROJECT-1.cell with it")
                continue
            by_energy = {f"{evaluation.energy:.8f}": evaluation for evaluation in evaluations}
            for trajectory, steps in trajectories.items():
                for step, energy, atoms in steps:
                    evaluation = by_energy.get(f"{float(energy):.8f}")
                    if evaluation is None:
                        continue
                    used.add((trajectory, step))
                    atoms.set_cell(cells.get(step, cell))
                    found = Found(f"{trajectory}: step {step}", atoms)
                    put_evaluation(found, evaluation)
                    yield found
    for trajectory, steps in trajectories.items():
        for step, _, _ in steps:
            if (trajectory, step) not in used:
                yield Found(f"{trajectory}: step {step}", reason="unreadable", detail="no output holds its energy")


def cp2k_trajectory(text: str, name: str) -> Iterator[tuple[int, str, Atoms]]:
    """Yield (step, energy as text, structure) of a trajectory of positions."""
    lines = text.splitlines()
    place = 0
    while place + 1 < len(lines) and lines[place].strip():
        n_atoms = int(lines[place]) if lines[place].strip().isdigit() else 0
        head = CP2K_STEP.match(lines[place + 1])
        rows = [line.split() for line in lines[place + 2 : place + 2 + n_atoms]]
        if not n_atoms or head is None or len(rows) < n_atoms or any(len(row) != 4 for row in rows):
            raise UserError(
                f"labels.frames: {name}: line {place + 1}: not a frame of a CP2K trajectory; is it cut off?"
            )
        positions = np.array([row[1:] for row in rows], dtype=float)
        yield int(head[1]), head[2], Atoms([row[0] for row in rows], positions, pbc=True)
        place += 2 + n_atoms


def cp2k_single(text: str, where: str, cell: np.ndarray, evaluations: list[Evaluation]) -> Found:
    """Return the one frame of a run that moves no atom."""
    rows = CP2K_ATOMS.findall(text)
    if not rows:
        return Found(where, reason="unreadable", detail="no coordinates in this CP2K output: PRINT_LEVEL MEDIUM")
    if len(evaluations) > 1:
        said = f"{len(evaluations)} energies for one structure: give outputs of single points or of dynamics"
        return Found(where, reason="unreadable", detail=said)
    positions = np.array([row[1:] for row in rows], dtype=float)
    found = Found(where, Atoms([row[0] for row in rows], positions, cell=cell, pbc=True))
    put_evaluation(found, evaluations[0])
    return found


# --- VASP and Quantum ESPRESSO ---------------------------------------------------------------------------


def convergence(path: Path, form: str) -> list[bool]:
    """Return for each structure of an output whether the program says that its SCF converged."""
    text = path.read_text(errors="replace")
    if form == "espresso-out":
        words = re.findall(r"convergence (has been|NOT) achieved", text)
        return [word == "has been" for word in words]
    if form == "vasp-out":
        marks = re.findall(r"aborting loop because EDIFF is reached|FREE ENERGIE OF THE ION-ELECTRON", text)
        flags, reached = [], False
        for mark in marks:
            if mark.startswith("FREE"):
                flags.append(reached)
                reached = False
            else:
                reached = True
        return flags
    limit = re.search(r'name="NELM"[^>]*>\s*(\d+)', text)
    steps = [part.count("<scstep>") for part in text.split("<calculation")[1:]]
    return [limit is not None and count < int(limit[1]) for count in steps]


def read_by_ase(path: Path, name: str, form: str) -> Iterator[Found]:
    """Yield the frames of an output that ASE reads; the energy is the one that the forces are the slope of."""
    try:
        with reading(f"not a complete {form} file"):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # ASE's, about what it skips
                frames = ase.io.read(path, index=":", format=form)
            flags = convergence(path, form)
    except UserError as error:
        yield Found(name, reason="unreadable", detail=str(error))
        return
    if not frames:
        yield Found(name, reason="unreadable", detail=f"no structure in this {form} file")
    for index, atoms in enumerate(frames):
        found = Found(f"{name}: frame {index}", Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=atoms.pbc))
        results = {} if atoms.calc is None else atoms.calc.results
        found.energy_ev = results.get("free_energy", results.get("energy"))
        found.forces_ev_a = results.get("forces")
        stress = results.get("stress")
        found.stress_ev_a3 = None if stress is None else voigt_6_to_full_3x3_stress(np.asarray(stress, dtype=float))
        if index >= len(flags) or not flags[index]:
            found.reason, found.detail = "scf_not_converged", "the output does not say that the SCF converged"
        yield found
