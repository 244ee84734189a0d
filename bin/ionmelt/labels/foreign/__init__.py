"""The table of formats in which labels of others come: a row for each, and a module that reads it.

A reader takes all files of its format at once, for a run may be in several: `read(form, files, settings, words)` returns
sources of frames by the name of their file, and adds to `words` what it understood. dpdata 1.1.0 reads most of these too: ours
stay, since of an output of CP2K 2023 it takes energy and forces and leaves the stress out without a word, and a frame whose SCF did not
converge is missing there, where here it is a row with its reason.

No reader is imported here: the plan needs the names alone.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

HEAD_BYTES = 20_000  # of a file, that tell its format
CP2K_STEP = re.compile(r"\s*i =\s*(\d+),.*\bE =\s*(\S+)")
CP2K_TABLE = re.compile(r"#\s+Step\s+Time \[fs\]\s+(Ax|xx) \[")
CP2K_OUTPUT = re.compile(r"^ CP2K\||^ DBCSR\||PROGRAM STARTED AT", re.M)


@dataclass(frozen=True)
class Head:
    """How a file begins: bytes, text, and those of its lines that are not empty. Of a folder there is none of these."""

    path: Path
    content: bytes
    text: str
    lines: tuple[str, ...]

    @classmethod
    def of(cls, path: Path) -> "Head":
        """Read how a file begins."""
        content = b""
        if not path.is_dir():
            with path.open("rb") as file:
                content = file.read(HEAD_BYTES)
        text = content.decode("utf-8-sig", errors="replace")
        return cls(path, content, text, tuple(line for line in text.splitlines() if line.strip()))


def is_system(folder: Path) -> bool:
    """Tell whether a folder holds a system of DeePMD-kit (deepmd/npy, also mixed)."""
    return (folder / "type.raw").is_file() and any(folder.glob("set.*/coord.npy"))


def is_cp2k(head: Head) -> bool:
    """Tell whether a file is CP2K's; a trajectory (PROJECT-pos-1.xyz, PROJECT-1.cell and so on) comes with an output."""
    if CP2K_OUTPUT.search(head.text) or (head.lines and CP2K_TABLE.match(head.lines[0])):
        return True
    return is_xyz(head) and CP2K_STEP.match(head.lines[1]) is not None


def is_xyz(head: Head) -> bool:
    """Tell whether a file begins with a number of atoms and a comment."""
    return len(head.lines) > 1 and re.fullmatch(r"\s*\d+\s*", head.lines[0]) is not None


@dataclass(frozen=True)
class Format:
    """A format: its name in a study, the module that reads it, and how a file or folder shows that it is of it."""

    name: str
    module: str
    begins: Callable[[Head], bool]


BY_ASE = "ionmelt.labels.foreign.ase_formats"
# What begins like several is of the last of these: a number of atoms says least.
ROWS = (
    Format("extxyz", "ionmelt.labels.foreign.extxyz", is_xyz),
    Format("cp2k", "ionmelt.labels.foreign.cp2k", is_cp2k),
    Format("vasp-out", BY_ASE, lambda head: bool(head.lines) and re.match(r"\s*vasp\.\d", head.lines[0]) is not None),
    Format("vasp-xml", BY_ASE, lambda head: "<modeling" in head.text),
    Format("espresso-out", BY_ASE, lambda head: "Program PWSCF" in head.text),
    Format("deepmd-npy", "ionmelt.labels.foreign.deepmd", lambda head: is_system(head.path)),
    Format("ase-traj", BY_ASE, lambda head: head.content.startswith(b"- of UlmASE-Trajectory")),
    Format("ase-db", BY_ASE, lambda head: head.content.startswith(b"SQLite format 3\0")),
)
FORMATS = {row.name: row for row in ROWS}  # by name, in the order in which messages list them


def format_of(path: Path) -> str | None:
    """Return the format of a file or folder, from how it begins; None where it is none of `FORMATS`."""
    head = Head.of(path)
    return next((row.name for row in reversed(ROWS) if row.begins(head)), None)
