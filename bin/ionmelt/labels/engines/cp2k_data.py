"""CP2K's data: the folder of basis sets and pseudopotentials, and their names for an element."""

import os
import re
from pathlib import Path

from ionmelt.errors import UserError

BASIS_FILES = ("BASIS_MOLOPT", "BASIS_MOLOPT_UCL", "BASIS_MOLOPT_UZH")
POTENTIAL_FILE = "GTH_POTENTIALS"
POTENTIAL_FILES = (POTENTIAL_FILE, "POTENTIAL_UZH")


def data_folder(binary: Path) -> Path:
    """Return the folder of CP2K's basis sets: CP2K_DATA_DIR, or the one beside the binary."""
    share = binary.resolve().parent.parent / "share" / "cp2k"
    named = [Path(os.environ[name]) for name in ("CP2K_DATA_DIR",) if name in os.environ]
    for folder in (*named, share, share / "data"):
        if (folder / POTENTIAL_FILE).is_file():
            return folder
    raise UserError(f"labels.engine: no {POTENTIAL_FILE} beside {binary}; set CP2K_DATA_DIR to CP2K's data")


def basis_files(data: Path) -> list[Path]:
    """Return the files of basis sets that there are."""
    return [data / name for name in BASIS_FILES if (data / name).is_file()]


def names_of(text: str, element: str) -> list[list[str]]:
    """Return the names of each entry of an element in a file of basis sets or potentials."""
    return [match.split()[1:] for match in re.findall(rf"^ *{element} +[A-Z].*$", text, re.MULTILINE)]


def potential_name(data: Path, element: str, potential: str) -> tuple[str, str]:
    """Return the file and the name in it of an element's pseudopotential, which may end in -qN.

    Of several -qN it is the one with the electrons of the element's GTH-PBE. Raises UserError where there is none.
    """
    files = {file: names_of((data / file).read_text(), element) for file in POTENTIAL_FILES if (data / file).is_file()}
    usual = charge(files[POTENTIAL_FILE], "GTH-PBE")
    for name in (potential, potential + usual):
        for file, entries in files.items():
            if any(name in names for names in entries):
                return file, name
    every = {re.sub(r"-q\d+$", "", name) for entries in files.values() for names in entries for name in names}
    some = ", ".join(sorted(every)) or "none"
    raise UserError(f"labels.potential: CP2K has no {potential!r} for {element}; it has {some}")


def charge(entries: list[list[str]], name: str) -> str:
    """Return the -qN of the first of the entries that has this name, or nothing."""
    names = next((names for names in entries if name in names), [])
    return next((match[0] for other in (name, *names) if (match := re.search(r"-q\d+$", other))), "")


def basis_name(data: Path, element: str, basis: str, potential: str) -> str:
    """Return the name in CP2K's data of an element's basis set, which may end in the -qN of its potential.

    Raises UserError where there is no such potential or basis set.
    """
    file, full_name = potential_name(data, element, potential)
    electrons = charge(names_of((data / file).read_text(), element), full_name)
    bases = {name for path in basis_files(data) for names in names_of(path.read_text(), element) for name in names}
    for name in (basis, basis + electrons):
        if name in bases:
            return name
    some = ", ".join(sorted(name for name in bases if not re.search(r"-q\d+$", name))) or "none"
    raise UserError(f"labels.basis: CP2K has no {basis!r} for {element}; it has {some}, and names with {electrons}")
