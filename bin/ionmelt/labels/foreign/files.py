"""Labelled frames as other programs write them: which format a file has, and extended XYZ with any key names.

Every reader yields a `Found` for each frame: structure and label in eV, eV/A and eV/A^3 (ASE's sign, tension is
positive), or the reason why there is none and what would be right. One damaged frame costs one frame, a file
that no reader understands costs that file. CP2K is read in ionmelt/labels/foreign/cp2k.py, all other formats in
ionmelt/labels/foreign/runs.py.
"""

import bz2
import gzip
import io
import itertools
import lzma
import math
import os
import re
import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.io.extxyz import key_val_str_to_dict, read_extxyz
from ase.units import Bohr, GPa, Hartree, Rydberg, bar, kcal, kJ, mol

from ionmelt.errors import UserError, reading

FORMATS = ("extxyz", "cp2k", "vasp-out", "vasp-xml", "espresso-out", "deepmd-npy", "ase-traj", "ase-db")
ENERGY_UNITS_EV = {"eV": 1.0, "Ha": Hartree, "Ry": Rydberg, "kcal/mol": kcal / mol, "kJ/mol": kJ / mol}
FORCES_UNITS_EV_A = {
    "eV/A": 1.0,
    "Ha/Bohr": Hartree / Bohr,
    "Ry/Bohr": Rydberg / Bohr,
    "kcal/mol/A": kcal / mol,
    "kJ/mol/nm": kJ / mol / 10,
}
STRESS_UNITS_EV_A3 = {"eV/A^3": 1.0, "GPa": GPa, "kbar": 1e3 * bar, "bar": bar, "Ha/Bohr^3": Hartree / Bohr**3}
UNITS: dict[str, dict[str, float]] = {
    "energy": ENERGY_UNITS_EV, "forces": FORCES_UNITS_EV_A, "stress": STRESS_UNITS_EV_A3, "virial": ENERGY_UNITS_EV,
    "length": {"A": 1.0},
}  # fmt: skip
ATOMIC_UNITS = {"energy": "Ha", "forces": "Ha/Bohr", "stress": "Ha/Bohr^3", "virial": "Ha"}
# Where a stress has six numbers: which they are, as indices into (3, 3). ASE and VASP differ in the last three.
STRESS_ORDERS = {
    "xx yy zz yz xz xy": ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)),
    "xx yy zz xy yz zx": ((0, 0), (1, 1), (2, 2), (0, 1), (1, 2), (0, 2)),
}
OWN = "own_"  # put before every key of a file: ASE would move energy, forces and stress elsewhere
HEAD_BYTES = 20_000  # of a file, that tell its format
COMPRESSED: dict[bytes, Callable[..., Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\0": lzma.open}
HOW_TO_CONVERT = (
    f"give one of {', '.join(FORMATS)}, or convert it: 'ase convert FILE frames.extxyz', or "
    "'dpdata FILE -i FORMAT -o deepmd/npy -O FOLDER'"
)
CP2K_STEP = re.compile(r"\s*i =\s*(\d+),.*\bE =\s*(\S+)")
CP2K_TABLE = re.compile(r"#\s+Step\s+Time \[fs\]\s+(Ax|xx) \[")


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
    free_atom: bool = False  # an atom alone, whose energy is the reference of its element


@dataclass(frozen=True)
class Keys:
    """What the label is called in extended XYZ, and in which units, sign and order of numbers it is there."""

    energy: str
    forces: str
    stress: str | None  # None: the frames have none
    is_virial: bool
    energy_unit: str
    forces_unit: str
    stress_unit: str
    stress_sign: str  # what a positive number means: tension or compression
    stress_order: str  # of `STRESS_ORDERS`, where a stress has six numbers
    notes: tuple[str, ...] = ()  # what else is to be said of how the numbers are read


# --- Which format ---------------------------------------------------------------------------------------


def format_of(path: Path) -> str | None:
    """Return the format of a file or folder, from how it begins; None where it is none of `FORMATS`.

    A CP2K trajectory (PROJECT-pos-1.xyz, PROJECT-1.cell and so on) counts as CP2K's: it comes with an output.
    """
    if path.is_dir():
        return "deepmd-npy" if is_system(path) else None
    with path.open("rb") as file:
        content = file.read(HEAD_BYTES)
    if content.startswith(b"- of UlmASE-Trajectory"):
        return "ase-traj"
    if content.startswith(b"SQLite format 3\0"):
        return "ase-db"
    head = content.decode(errors="replace")
    lines = [line for line in head.splitlines() if line.strip()]
    if not lines:
        return None
    if "Program PWSCF" in head:
        return "espresso-out"
    if "<modeling" in head:
        return "vasp-xml"
    if re.match(r"\s*vasp\.\d", lines[0]):
        return "vasp-out"
    if re.search(r"^ CP2K\||^ DBCSR\||PROGRAM STARTED AT", head, re.M) or CP2K_TABLE.match(lines[0]):
        return "cp2k"
    if len(lines) > 1 and re.fullmatch(r"\s*\d+\s*", lines[0]):
        return "cp2k" if CP2K_STEP.match(lines[1]) else "extxyz"
    return None


def is_array(path: Path) -> bool:
    """Tell whether a file is an array of numpy's, as the systems of DeePMD-kit are made of."""
    with path.open("rb") as file:
        return file.read(6) == b"\x93NUMPY"


def is_system(folder: Path) -> bool:
    """Tell whether a folder holds a system of DeePMD-kit (deepmd/npy, also mixed)."""
    return (folder / "type.raw").is_file() and any(folder.glob("set.*/coord.npy"))


def unpacked(path: Path, scratch: Path) -> Path:
    """Return the file itself, or its content where it is compressed, in a file in `scratch`."""
    with path.open("rb") as file:
        magic = file.read(6)
    opener = next((found for start, found in COMPRESSED.items() if magic.startswith(start)), None)
    if opener is None:
        return path
    place = scratch / str(len(list(scratch.iterdir())))
    with (
        reading(f"labels.frames: {path.name}: cannot be unpacked, is it cut off?"),
        opener(path, "rb") as source,
        place.open("wb") as target,
    ):
        shutil.copyfileobj(source, target)
    return place


def expanded(files: Mapping[str, Path], scratch: Path, wanted: str, words: list[str]) -> dict[str, Path]:
    """Return the files to read, by the names that the user knows them by: compressed ones unpacked, and folders' own.

    Of a folder of runs every file whose format can be told is taken (`wanted`: only of that format, unless auto), but
    for VASP's OUTCAR where vasprun.xml is beside it: both hold the same frames. What was taken is added to `words`.
    """
    found: dict[str, Path] = {}
    for name, path in files.items():
        if not path.is_dir():
            found[name] = unpacked(path, scratch)
            continue
        before, left = len(found), 0
        for here, folders, members in os.walk(path):
            folders.sort()
            place = Path(here)
            inner = name if place == path else f"{name.rstrip('/')}/{place.relative_to(path)}"
            if is_system(place):
                folders.clear()
                if wanted in ("auto", "deepmd-npy"):
                    found[inner] = place
                continue
            formats = {}
            for member in sorted(members):
                file = unpacked(place / member, scratch) if (place / member).is_file() else None
                form = format_of(file) if file is not None and file.stat().st_size else None
                if form == "extxyz" and file is not None and not any("=" in block.comment for block in blocks_of(file)):
                    form = None  # a structure without a label
                if file is not None and form is not None and wanted in ("auto", form):
                    formats[member] = (form, file)
                else:
                    left += 1
            twice = any(form == "vasp-xml" for form, _ in formats.values())
            for member, (form, file) in formats.items():
                if twice and form == "vasp-out":
                    left += 1
                else:
                    found[f"{inner}/{member}"] = file
        taken = len(found) - before
        if is_system(path):
            continue
        if not taken:
            said = f"none of its files is {'of a known format' if wanted == 'auto' else wanted}"
            raise UserError(f"labels.frames: {name}: {said}: {HOW_TO_CONVERT}")
        words.append(f"{name}: {taken} files or DeePMD systems taken, {left} other files left aside")
    return found


# --- Extended XYZ ---------------------------------------------------------------------------------------

MOST_DIGITS = 12  # of a number of atoms


@dataclass
class Block:
    """Where a frame stands in a file: bytes, line of its number of atoms; or what is wrong there."""

    offset: int
    size: int
    line: int
    comment: str
    atoms: int = 0
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
                    found.append(Block(start, 0, number, "", wrong=said))
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
            block = Block(start, size, number, comment, int(text))
            if len(rows) < int(text) or not rows[-1].strip():
                there = sum(bool(row.strip()) for row in rows)
                block.wrong = f"line {number}: {int(text)} atoms are promised, {there} are there: is the file cut off?"
            found.append(block)
            number += 1 + int(text)
            offset = start + size
    return found


def comment_values(comment: str) -> dict[str, Any]:
    """Parse a comment line as ASE does, but take a stress of six numbers too, where ASE demands nine."""
    hidden = re.sub(r"(^|\s)(?=(?:stress|virial)=)", rf"\1{OWN}", comment)
    return {name.removeprefix(OWN): value for name, value in key_val_str_to_dict(hidden).items()}


def is_number(value: Any) -> bool:
    """Tell whether a value of a comment is a number or numbers."""
    return np.asarray(value).dtype.kind in "fi"


def like_energy(name: str) -> bool:
    """Tell whether a name of a number is like that of an energy."""
    low = name.lower()
    return "energy" in low or low in ("e", "etot", "toten")


def lone_atom(n_atoms: int, values: Mapping[str, Any]) -> bool:
    """Tell whether a frame is a free atom, as MACE's IsolatedAtom: its energy is the reference of its element."""
    if n_atoms != 1:
        return False
    if re.fullmatch(r"isolated[ _-]?atoms?", str(values.get("config_type", "")), re.I):
        return True
    periodic = np.any(values.get("pbc", "Lattice" in values))
    return not periodic and not float(values.get("charge", 0) if is_number(values.get("charge", 0)) else 0)


QUANTITIES = (
    ("energy", "energ"), ("forces", "force"), ("stress", "stress|pressure"), ("virial", "virial"),
    ("length", "length|pos|coord|cell|lattice|distance"),
)  # fmt: skip


def quantity_of(name: str) -> str | None:
    """Return of what quantity a name such as force-unit or REF_energy_units gives the unit; None where it gives none.

    A plain ``unit`` is that of the energy.
    """
    found = re.fullmatch(r"(.*?)[-_. ]?units?|units?[-_. ](.*)", name, re.I)
    if found is None or re.fullmatch("unit.?cell", name, re.I):
        return None
    what = (found[1] or found[2] or "").lower()
    if not what:
        return "energy"
    return next((quantity for quantity, pattern in QUANTITIES if re.search(pattern, what)), None)


def unit_named(text: str, quantity: str) -> str | None:
    """Return the unit, by its name here, that another program writes as `text`; None for one that is not known here."""
    known = {name.lower(): name for name in UNITS[quantity]}
    known |= {"ha/au": "Ha/Bohr", "ry/au": "Ry/Bohr"} if quantity == "forces" else {}
    known |= {"au": ATOMIC_UNITS[quantity], "a.u.": ATOMIC_UNITS[quantity]} if quantity in ATOMIC_UNITS else {}
    plain = re.sub(r"[\s_]*\bper\b[\s_]*|_per_", "/", text.strip().lower()).replace("**", "^").replace("³", "^3")
    for pattern, short in (
        (r"å|ångström|angstroms?|ang\b|ang(?=\^|/|-)", "a"), ("electron ?volts?", "ev"), ("hartrees?", "ha"),
        ("rydbergs?", "ry"), ("a_?0", "bohr"), (r"\s|\*", ""), (r"(?<=[ar])(\^-|-)1\b", ""), (r"(?<=/a|hr)3$", "^3"),
    ):  # fmt: skip
        plain = re.sub(pattern, short, plain)
    return known.get(plain)


def unit_of_name(name: str, quantity: str) -> str | None:
    """Return the unit that the name of a number ends in, as in energy_Ha or forces_eV_per_A; None where it ends in none."""
    parts = re.split(r"[-_(\[ ]+", name.rstrip(")]"))
    ends = ["_".join(parts[place:]) for place in range(1, len(parts))]
    return next((unit for end in ends if (unit := unit_named(end, quantity))), None)


@dataclass
class Survey:
    """What the frames of all files hold, by name: in how many frames, in which shape; and which units they name."""

    frames: int = 0
    numbers: Counter[str] = field(default_factory=Counter)
    tensors: Counter[str] = field(default_factory=Counter)
    columns: Counter[str] = field(default_factory=Counter)
    six: Counter[str] = field(default_factory=Counter)  # those of `tensors` that have six numbers
    energies: set[frozenset[str]] = field(default_factory=set)  # names like an energy that stand in one frame
    differ: bool = False  # two such names of one frame hold different numbers
    units: dict[str, Counter[tuple[str, str]]] = field(default_factory=lambda: defaultdict(Counter))

    def add(self, comment: str, n_atoms: int) -> None:
        """Count the names of one frame; free atoms say nothing of how frames are labelled."""
        try:
            with reading("the comment line"):
                info = comment_values(comment)
        except UserError:  # the frame is refused where it is read
            info = {}
        if lone_atom(n_atoms, info):
            return
        self.frames += 1
        columns = re.findall(r"(\w+):R:3", str(info.pop("Properties", "")))
        self.columns.update(name for name in columns if name != "pos")
        energies = {}
        for name, value in info.items():
            quantity = quantity_of(name)
            if quantity is not None and isinstance(value, str):
                self.units[quantity][name, value] += 1
            size = np.size(value) if is_number(value) and name != "Lattice" else 0
            if size == 1:
                self.numbers[name] += 1
                if like_energy(name):
                    energies[name] = float(np.ravel(value)[0])
            elif size in (6, 9):
                self.tensors[name] += 1
                self.six[name] += size == 6
        if energies:
            first, *others = energies.values()
            self.differ |= not all(math.isclose(first, other, rel_tol=1e-9, abs_tol=1e-9) for other in others)
            self.energies.add(frozenset(energies))

    def same_energies(self) -> frozenset[str]:
        """Return the names like an energy that every frame with one has, where all hold the same numbers."""
        return frozenset.intersection(*self.energies) if self.energies and not self.differ else frozenset()


def choose(
    field_name: str,
    given: str | None,
    held: Counter[str],
    fits: Callable[[str], bool],
    what: str,
    same: frozenset[str] = frozenset(),
) -> str:
    """Return the name to read: the given one, or the only one that fits. Raises `UserError` for none or several.

    Several that hold the same in all frames, those in `same`, are no question.
    """
    names = ", ".join(sorted(held)) or "none"
    if given is not None:
        if given not in held:
            raise UserError(f"labels.{field_name}: no frame holds {given!r} as {what}; there are: {names}")
        return given
    fitting = sorted(name for name in held if fits(name))
    if not fitting:
        raise UserError(f"labels.{field_name}: no name looks like {what}; give one of: {names}")
    if alike := [name for name in fitting if name in same]:
        return alike[0]
    if len(fitting) > 1:
        listed = " and ".join(f"{name} ({held[name]} frames)" for name in fitting)
        hint = "; forces are the slope of free_energy" if "free_energy" in fitting else ""
        raise UserError(f"labels.{field_name}: the frames hold {listed}: say which is the label{hint}")
    return fitting[0]


def choose_unit(
    quantity: str, name: str, given: str | None, survey: Survey, errors: list[str], notes: list[str]
) -> str:
    """Return the unit of a quantity: the given one, what the files name, or the first of `UNITS`.

    What contradicts that is added to `errors`, what else is worth saying to `notes`.
    """
    known, field_name = UNITS[quantity], f"labels.{quantity}_unit"
    said = Counter({f"{key}={text}": count for (key, text), count in survey.units[quantity].items()})
    texts = {f"{key}={text}": unit_named(text, quantity) for key, text in survey.units[quantity]}
    if (unit := unit_of_name(name, quantity)) is not None:
        texts[f"the name {name}"], said[f"the name {name}"] = unit, survey.frames
    default = next(iter(known))
    listed = " and ".join(f"{text} ({said[text]} of {survey.frames} frames)" for text in sorted(texts))
    units = {unit for unit in texts.values() if unit is not None}
    if any(unit is None for unit in texts.values()):
        if given is None:
            errors.append(f"{field_name}: the files say {listed}, which is none of {', '.join(known)}: convert them")
        else:
            notes.append(f"{quantity}: the files say {listed}, which is not known here; taken as {given}, as set")
    elif len(units) > 1:
        errors.append(f"{field_name}: the files say {listed}: two units in one set; convert one of them")
    elif units and given is not None and given not in units:
        errors.append(f"{field_name}: is {given}, but the files say {listed}: leave it out, or mend the files")
    elif units and given is None and units != {default} and max(said.values()) < survey.frames:
        errors.append(f"{field_name}: the files say {listed}, the other frames nothing: give the unit, or mend them")
    elif units:
        notes.append(f"{quantity}: in {next(iter(units))}, as the files say: {listed}")
        return next(iter(units))
    return given or default


def like_forces(name: str) -> bool:
    """Tell whether a name of three columns is like that of forces."""
    return "force" in name.lower()


def like_stress(name: str) -> bool:
    """Tell whether a name of six or nine numbers is like that of a stress or virial."""
    return re.search("stress|virial", name, re.I) is not None


def doubles(survey: Survey, files: Mapping[str, Path], blocks: Mapping[str, Sequence[Block]]) -> frozenset[str]:
    """Return the names like forces, and like a stress, that hold the same in all frames: then either will do.

    A virial is the same as a stress where it is minus the stress times the volume.
    """
    same: set[str] = set()
    for names in (
        {name for name in survey.columns if like_forces(name)},
        {name for name in survey.tensors if like_stress(name)},
    ):
        if len(names) < 2:
            continue
        same |= names
        for file, file_blocks in blocks.items():
            for block in file_blocks:
                try:
                    with reading("a frame"):
                        atoms = read_block(files[file], block)
                except UserError:  # the frame is refused where it is read
                    continue
                if lone_atom(block.atoms, comment_values(block.comment)):
                    continue
                values = atoms.info | atoms.arrays
                found = [np.ravel(values.get(OWN + name, np.nan)).astype(float) for name in sorted(names)]
                found = [
                    -value / atoms.get_volume() if "virial" in name.lower() else value
                    for name, value in zip(sorted(names), found, strict=True)
                ]
                if any(
                    value.shape != found[0].shape or not np.allclose(value, found[0], rtol=1e-5, atol=1e-7)
                    for value in found
                ):
                    same -= names
        if not names <= same:
            same -= names
    return frozenset(same)


def choose_keys(survey: Survey, settings: Mapping[str, Any], same: frozenset[str] = frozenset()) -> Keys:
    """Return what the label is called; raises `UserError`, one line for each name that is missing or not unique.

    Names in `same` (`doubles`) are no question: the first is taken.
    """
    errors: list[str] = []
    notes: list[str] = []

    def tried(*arguments: Any) -> str:
        try:
            return choose(*arguments)
        except UserError as error:
            errors.extend(error.errors)
            return ""

    energy = tried(
        "energy_key", settings.get("energy_key"), survey.numbers, like_energy, "an energy", survey.same_energies()
    )  # fmt: skip
    forces = tried(
        "forces_key", settings.get("forces_key"), survey.columns, like_forces, "forces (3 columns)", same,
    )  # fmt: skip
    named = {name: settings.get(name) for name in ("stress_key", "virial_key") if settings.get(name)}
    stress, is_virial = None, False
    if named:
        (name, given), *_ = named.items()
        stress = tried(name, given, survey.tensors, bool, "6 or 9 numbers")
        is_virial = name == "virial_key"
    elif like := [name for name in survey.tensors if like_stress(name)]:
        stress = tried(
            "stress_key",
            None,
            Counter({name: survey.tensors[name] for name in like}),
            bool,
            "a stress or virial (6 or 9 numbers)",
            same,
        )
        is_virial = "virial" in stress.lower()
    energy_unit, forces_unit, stress_unit = (
        choose_unit(quantity, key or "", settings.get(f"{quantity}_unit"), survey, errors, notes)
        for quantity, key in (
            ("energy", energy),
            ("forces", forces),
            ("stress", None if is_virial else stress),
        )
    )
    if is_virial and survey.units["virial"]:
        choose_unit("virial", "", energy_unit, survey, errors, notes)
    if survey.units["length"]:
        choose_unit("length", "", None, survey, errors, notes)
    order = settings.get("stress_order") or next(iter(STRESS_ORDERS))
    if stress is not None and (count := survey.six[stress]):
        text = f"{stress}: six numbers ({count} frames) are taken as {order}"
        if settings.get("stress_order") is None:
            other = next(name for name in STRESS_ORDERS if name != order)
            text += f", the order of ASE; if it is that of VASP, give stress_order: {other}"
        notes.append(text)
    if errors:
        raise UserError(*errors)
    sign = settings.get("stress_sign") or ("compression" if is_virial else "tension")
    return Keys(energy, forces, stress, is_virial, energy_unit, forces_unit, stress_unit, sign, order, tuple(notes))


def own_names(line: str) -> dict[str, Any]:
    """Parse a comment line as ASE does, with `OWN` before every name that is not of the structure."""
    info = comment_values(line)
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


def full_stress(six: np.ndarray, order: str) -> np.ndarray:
    """Return a stress (3, 3) from its six numbers in an order of `STRESS_ORDERS`."""
    tensor = np.zeros((3, 3))
    for (i, j), value in zip(STRESS_ORDERS[order], six, strict=True):
        tensor[i, j] = tensor[j, i] = value
    return tensor


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
        tensor = values.reshape(3, 3) if values.size == 9 else full_stress(values.ravel(), keys.stress_order)
        if atoms.cell.rank < 3:
            return
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
        found.free_atom = lone_atom(block.atoms, comment_values(block.comment))
        if found.free_atom or (atoms.pbc.all() and atoms.cell.rank == 3):
            labelled(atoms, keys, found)
        else:
            found.reason, found.detail = "not_periodic", "a Lattice of three vectors (and pbc T T T) is needed"
        yield found
