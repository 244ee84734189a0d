"""Which files of a folder of runs are taken, and what is in those that are compressed."""

import bz2
import gzip
import lzma
import os
import shutil
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ionmelt.errors import UserError, reading
from ionmelt.labels.foreign import FORMATS, format_of, is_system
from ionmelt.labels.foreign.blocks import blocks_of

COMPRESSED: dict[bytes, Callable[..., Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\0": lzma.open}
HOW_TO_CONVERT = (
    f"give one of {', '.join(FORMATS)}, or convert it: 'ase convert FILE frames.extxyz', or "
    "'dpdata FILE -i FORMAT -o deepmd/npy -O FOLDER'"
)


def is_array(path: Path) -> bool:
    """Tell whether a file is an array of numpy's, as the systems of DeePMD-kit are made of."""
    with path.open("rb") as file:
        return file.read(6) == b"\x93NUMPY"


def is_archive(path: Path) -> bool:
    """Tell whether a file holds files of its own, as zip or tar do."""
    return zipfile.is_zipfile(path) or tarfile.is_tarfile(path)


def unpacked(path: Path, scratch: Path) -> Path:
    """Return the file itself, or its content where it is compressed, in a file in `scratch`."""
    with path.open("rb") as file:
        magic = file.read(6)
    opener = next((opener for start, opener in COMPRESSED.items() if magic.startswith(start)), None)
    if opener is None:
        return path
    content = scratch / str(len(list(scratch.iterdir())))
    with (
        reading(f"labels.frames: {path.name}: cannot be unpacked, is it cut off?"),
        opener(path, "rb") as source,
        content.open("wb") as target,
    ):
        shutil.copyfileobj(source, target)
    return content


def expanded(files: Mapping[str, Path], scratch: Path, wanted: str, words: list[str]) -> dict[str, Path]:
    """Return the files to read, by the names that the user knows them by: compressed ones unpacked, and folders' own.

    Of a folder of runs every file whose format can be told is taken (`wanted`: only of that format, unless auto), but
    for VASP's OUTCAR where vasprun.xml is beside it: both hold the same frames. Hidden files and backups are left aside.
    What was taken is added to `words`.
    """
    taken: dict[str, Path] = {}
    for name, path in files.items():
        if not path.is_dir():
            taken[name] = unpacked(path, scratch)
            continue
        inside, left = files_of_folder(name, path, scratch, wanted)
        taken |= inside
        if is_system(path):
            continue
        if not inside:
            said = f"none of its files is {'of a known format' if wanted == 'auto' else wanted}"
            raise UserError(f"labels.frames: {name}: {said}: {HOW_TO_CONVERT}")
        words.append(f"{name}: {len(inside)} files or DeePMD systems taken, {left} other files left aside")
    return taken


def files_of_folder(name: str, path: Path, scratch: Path, wanted: str) -> tuple[dict[str, Path], int]:
    """Return the files and DeePMD systems that are taken of a folder of runs and all below it, and how many are left."""
    taken: dict[str, Path] = {}
    left = 0
    for here, folders, members in os.walk(path):
        folders[:] = sorted(name for name in folders if not is_aside(name))
        folder = Path(here)
        inner = name if folder == path else f"{name.rstrip('/')}/{folder.relative_to(path)}"
        if is_system(folder):
            folders.clear()
            if wanted in ("auto", "deepmd-npy"):
                taken[inner] = folder
            continue
        formats = {}
        for member in sorted(members):
            whole = (folder / member).is_file() and not is_aside(member)
            file = unpacked(folder / member, scratch) if whole else None
            form = None if file is None else labelled_format(file)
            if file is not None and form is not None and wanted in ("auto", form):
                formats[member] = (form, file)
            else:
                left += 1
        twice = any(form == "vasp-xml" for form, _ in formats.values())
        for member, (form, file) in formats.items():
            if twice and form == "vasp-out":
                left += 1
            else:
                taken[f"{inner}/{member}"] = file
    return taken, left


def is_aside(name: str) -> bool:
    """Tell whether a file or folder is hidden, or what an editor keeps of one as it was."""
    return name.startswith((".", "#")) or name.endswith(("~", ".bak", ".swp"))


def labelled_format(file: Path) -> str | None:
    """Return the format of a file of a folder of runs; None where it has none, or is a structure without a label."""
    form = format_of(file) if file.stat().st_size else None
    bare = form == "extxyz" and not any("=" in block.comment for block in blocks_of(file))
    return None if bare else form
