"""Which format a file or folder of labelled frames has, and which files of a folder of runs are taken."""

import bz2
import gzip
import lzma
import os
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ionmelt.errors import UserError, reading
from ionmelt.labels.foreign.blocks import blocks_of

FORMATS = ("extxyz", "cp2k", "vasp-out", "vasp-xml", "espresso-out", "deepmd-npy", "ase-traj", "ase-db")
HEAD_BYTES = 20_000  # of a file, that tell its format
COMPRESSED: dict[bytes, Callable[..., Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\0": lzma.open}
HOW_TO_CONVERT = (
    f"give one of {', '.join(FORMATS)}, or convert it: 'ase convert FILE frames.extxyz', or "
    "'dpdata FILE -i FORMAT -o deepmd/npy -O FOLDER'"
)
CP2K_STEP = re.compile(r"\s*i =\s*(\d+),.*\bE =\s*(\S+)")
CP2K_TABLE = re.compile(r"#\s+Step\s+Time \[fs\]\s+(Ax|xx) \[")


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
