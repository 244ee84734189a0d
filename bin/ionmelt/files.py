"""Files that are whole: what a task hands on can be told from what a full disk, a lost node or a careless hand made of it.

A folder holds ``SHA256SUMS`` (as `sha256sum -c` reads it), a JSON object the sha256 of its own content.
"""

import hashlib
import io
import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl
from ionmelt.errors import UserError, reading

SUMS = "SHA256SUMS"
SEAL = "content_sha256"


def sha256(*contents: bytes | Path) -> str:
    """Return the sha256 (hex) of bytes and of the content of files, one after another; files are read in pieces."""
    digest = hashlib.sha256()
    for content in contents:
        if isinstance(content, bytes):
            digest.update(content)
            continue
        with content.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


STAND_INS = {
    rb"\Z": "is empty: a download or a copy ended before it began",
    rb"version https://git-lfs": "is a pointer of Git LFS, not the file itself: 'git lfs pull' fetches that",
    rb"\s*<(!doctype html|html)": "is a web page, not the file itself: download it again",
}


def stand_in(path: Path) -> str | None:
    """Return what a file is that a download left in the place of another; None where it is none of these."""
    with path.open("rb") as file:
        head = file.read(200)
    return next((said for pattern, said in STAND_INS.items() if re.match(pattern, head, re.I)), None)


def digest(content: Mapping[str, Any]) -> str:
    """Return the sha256 (hex) of a JSON object whose numbers are finite; the order of its keys does not count."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return sha256(text.encode())


def sealed(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return a JSON object with the sha256 of its content, which `read_json` checks and takes off."""
    return {**content, SEAL: digest(json.loads(json.dumps(content)))}


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{text[:20]} is no number")
    return number


def read_json(path: Path) -> dict[str, Any]:
    """Return the object of a JSON file; raises `UserError` where it is not one, or its content not what was sealed."""
    with reading(path, "a JSON object"):
        content = json.loads(path.read_text(), parse_constant=_refuse_constant, parse_float=_finite)
        if not isinstance(content, dict):
            raise ValueError(f"it holds a {type(content).__name__}")
    claimed = content.pop(SEAL, None)
    if claimed not in (None, digest(content)):
        raise UserError(
            f"{path}: its content does not fit its {SEAL}: it was changed (to change it on purpose, take that out)"
        )
    return content


def read_yaml(path: Path, *needed: str) -> dict[str, Any]:
    """Return the mapping of a YAML file that has the keys needed; raises `UserError` where it is none, or is cut off."""
    import yaml

    with reading(path, "YAML"):
        text = path.read_text()
        content = yaml.safe_load(text)
        if not isinstance(content, dict):
            raise ValueError("it holds no name: value lines")
        if absent := [key for key in needed if key not in content]:
            raise UserError(f"{path}: {', '.join(absent)} missing: is it cut off?")
        if not text.endswith("\n"):
            raise ValueError("its last line has no end")
    return content


def read_tables(paths: Sequence[Path], *needed: str) -> "pl.DataFrame":
    """Return Parquet files as one table, in the order of their names, each with the columns needed.

    Raises `UserError` for one that is damaged.
    """
    import polars as pl

    tables = []
    for path in sorted(paths):
        with reading(path, "Parquet"):
            tables.append(pl.read_parquet(path))
            if absent := sorted(set(needed) - set(tables[-1].columns)):
                raise ValueError(f"it has no column {absent[0]}")
    return pl.concat(tables, how="diagonal_relaxed")


def write_table(table: "pl.DataFrame", path: Path) -> None:
    """Write a table as Parquet; polars' own writer does not say that a disk is full."""
    content = io.BytesIO()
    table.write_parquet(content)
    path.write_bytes(content.getvalue())


def read_csv(path: Path) -> "pl.DataFrame":
    """Return a CSV file as a table of texts; raises `UserError` where it is none, or its last line is cut off."""
    import polars as pl

    with reading(path, "CSV"):
        content = path.read_bytes()
        if not content.endswith(b"\n"):
            raise ValueError("its last line has no end")
        return pl.read_csv(content, infer_schema=False)


def seal(folder: Path) -> None:
    """Write the sha256 of every file of a folder into its ``SHA256SUMS``."""
    lines = []
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != SUMS:
            lines.append(f"{sha256(path)}  {path.relative_to(folder)}\n")
    (folder / SUMS).write_text("".join(lines))


def check(*paths: Path | None) -> None:
    """Raise `UserError`, a line for each, for files that are not there and those that differ from ``SHA256SUMS``.

    A folder without that file was not made by a task, and is taken as it is.
    """
    errors = []
    for path in paths:
        if path is None:
            continue
        if not path.exists():
            errors.append(f"{path}: no such file or folder")
        sums = path / SUMS
        if not path.is_dir() or not sums.exists():
            continue
        with reading(sums, SUMS):
            listed = [line.split("  ", 1) for line in sums.read_text().splitlines()]
            if not listed or any(len(entry) != 2 for entry in listed):
                raise ValueError("a line is not a sha256 and a name")
        for expected, name in listed:
            if not (path / name).is_file():
                errors.append(f"{path / name}: no such file, though {SUMS} lists it")
            elif sha256(path / name) != expected:
                errors.append(f"{path / name}: not as it was written: its sha256 differs from {SUMS}")
    if errors:
        raise UserError(*errors)
