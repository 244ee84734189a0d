"""The frames of an extended XYZ file: where each stands, its comment line, and its structure."""

import io
import itertools
import re
from codecs import BOM_UTF8
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.io.extxyz import key_val_str_to_dict, read_extxyz

from ionmelt.errors import UserError

OWN = "own_"  # put before every key of a file: ASE would move energy, forces and stress elsewhere


class Unreadable(Exception):
    """A frame cannot be read; the text says why."""


@dataclass
class ForeignFrame:
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


@dataclass
class Source:
    """The frames of a file, or of several that belong together, as the user knows it by name, and how many there are."""

    name: str
    frames: Iterator[ForeignFrame]
    count: int


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
    blocks: list[Block] = []
    with path.open("rb") as file:
        number = 0
        offset = file.seek(len(BOM_UTF8) if file.read(len(BOM_UTF8)) == BOM_UTF8 else 0)
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
                    blocks.append(Block(start, 0, number, "", wrong=said))
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
            blocks.append(block)
            number += 1 + int(text)
            offset = start + size
    return blocks


STRUCTURE_KEYS = ("Lattice", "Properties", "pbc")  # as ASE has them; GPUMD, for one, has lattice and properties
ROW = r"\[[^\[\]]*\]"
LIST_OF_ROWS = re.compile(rf"=\s*([\"']?)(?:_JSON )?\[\s*({ROW}(?:[\s,]*{ROW})*)\s*\]\1")


def comment_values(comment: str) -> dict[str, Any]:
    """Parse a comment line as ASE does, but take also what other programs write where ASE does not.

    That is a stress of six numbers, names of the structure in any case, and numbers in lists of rows ([[1, 0, 0], ...]).
    """
    plain = LIST_OF_ROWS.sub(lambda match: '="' + re.sub(r"[\[\],]+", " ", match[2]).strip() + '"', comment)
    for key in STRUCTURE_KEYS:
        if not re.search(rf"(^|\s){key}\s*=", plain):
            plain = re.sub(rf"(^|\s){key}(?=\s*=)", rf"\1{key}", plain, flags=re.I)
    hidden = re.sub(r"(^|\s)(?=(?:stress|virial)\s*=)", rf"\1{OWN}", plain)
    return {name.removeprefix(OWN): value for name, value in key_val_str_to_dict(hidden).items()}


def is_number(value: Any) -> bool:
    """Tell whether a value of a comment is a number or numbers."""
    return np.asarray(value).dtype.kind in "fi"


def summed_charge(charges: np.ndarray) -> dict[str, int]:
    """Return the charge (e) that the initial charges (N,) of ASE's atoms sum to, as a frame says it of itself; nothing for none."""
    total = round(float(np.sum(charges))) if np.isfinite(charges).all() else 0
    return {"charge": total} if total else {}


def lone_atom(n_atoms: int, values: Mapping[str, Any]) -> bool:
    """Tell whether a frame is a free atom, as MACE's IsolatedAtom: its energy is the reference of its element."""
    if n_atoms != 1:
        return False
    if re.fullmatch(r"isolated[ _-]?atoms?", str(values.get("config_type", "")), re.I):
        return True
    periodic = np.any(values.get("pbc", "Lattice" in values))
    return not periodic and not float(values.get("charge", 0) if is_number(values.get("charge", 0)) else 0)


def own_names(line: str) -> dict[str, Any]:
    """Parse a comment line as ASE does, with `OWN` before every name that is not of the structure."""
    info = comment_values(line)
    properties = str(info.get("Properties", "species:S:1:pos:R:3")).split(":")
    names = properties[::3]
    if "pos" not in names or not {"species", "Z"} & set(names):
        raise UserError(f"Properties must hold species (S:1) and pos (R:3); it holds {', '.join(names)}")
    for index in range(0, len(properties), 3):
        if properties[index] not in ("species", "pos", "Z"):
            properties[index] = OWN + properties[index]
    kept = {key: info[key] for key in ("Lattice", "pbc") if key in info}
    return kept | {OWN + key: value for key, value in info.items() if key not in (*kept, "Properties")} | {
        "Properties": ":".join(properties)
    }  # fmt: skip


def check_columns(text: str, line: int) -> None:
    """Refuse a frame, from its text and the line it begins at, whose rows have more or fewer columns than its Properties say.

    Of more ASE takes the first, which need not be those that are meant.
    """
    _, comment, *rows = text.split("\n", 3)
    properties = str(comment_values(comment).get("Properties", ""))
    if properties and rows:
        promised, there = sum(map(int, properties.split(":")[2::3])), len(rows[0].split())
        if there != promised:
            raise UserError(f"line {line + 2}: {there} columns, and Properties={properties} says {promised}")


def read_block(path: Path, block: Block) -> Atoms:
    """Return the structure of a block; its other numbers are in info and arrays under `OWN` names."""
    with path.open("rb") as file:
        file.seek(block.offset)
        text = file.read(block.size).decode(errors="replace")
    check_columns(text, block.line)
    try:
        return next(read_extxyz(io.StringIO(text), index=slice(None), properties_parser=own_names))
    except KeyError as error:
        if error.args[0] not in text.split():  # which ASE's table of elements would have been asked for
            raise
        raise UserError(f"species {error} is no element") from error
