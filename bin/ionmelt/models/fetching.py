"""Fetch named weights of a foundation model, for a machine with a network, and print what to write into a study.

No task of the pipeline fetches anything: weights are files of the user's own. This command downloads one to a temporary
file beside --out, compares its sha256 where the project publishes one, prints the licence, and gives the lines for `models`.
The addresses are those of the models' own release pages, as mace-torch 0.3.16 has them; names: assets/weights.csv.
"""

import argparse
import csv
import hashlib
import sys
import tempfile
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from ionmelt.errors import UserError

TABLE = Path(__file__).resolve().parents[3] / "assets" / "weights.csv"
LICENCES = {
    "MIT": "MIT: free to use, change and pass on, also commercially",
    "ASL": "ASL, the Academic Software License (https://github.com/gabor1/ASL): academic, non-commercial use only; to use the "
    "weights is to accept it",
}
TIMEOUT_S = 60
BLOCK = 1 << 20


def known_weights() -> dict[str, dict[str, str]]:
    """Return the rows of assets/weights.csv by name."""
    with TABLE.open(newline="") as lines:
        return {row["name"]: row for row in csv.DictReader(lines)}


def download(address: str, out: Path) -> str:
    """Write what is at an address to a file, and return its sha256.

    The file appears under its name only when it is whole. Raises `UserError` where it cannot be had.
    """
    digest = hashlib.sha256()
    try:
        with (
            urllib.request.urlopen(address, timeout=TIMEOUT_S) as answer,
            tempfile.NamedTemporaryFile(dir=out.parent, prefix=f".{out.name}.", delete=False) as file,
        ):
            part = Path(file.name)
            try:
                done = 0
                length = int(answer.headers.get("Content-Length") or 0)
                while block := answer.read(BLOCK):
                    digest.update(block)
                    file.write(block)
                    done += len(block)
                if length and done != length:
                    raise UserError(f"{address}: {done} of {length} bytes came: try again")
                file.flush()
                part.replace(out)
            finally:
                part.unlink(missing_ok=True)
    except (OSError, urllib.error.URLError) as error:
        raise UserError(f"{address}: cannot be fetched: {error}") from error
    return digest.hexdigest()


def study_lines(name: str, row: dict[str, str], out: Path, sha256: str) -> list[str]:
    """Return the lines of a study's models that use the weights as they are."""
    key = "".join(char if char.isalnum() else "_" for char in name).lower()
    fields: dict[str, Any] = {
        "id": key,
        "framework": "mace",
        "weights": str(out.absolute()),
        "sha256": sha256,
        "licence": row["licence"],
        "theory": f'"{row["theory"]}"' if row["theory"] else "...",
        **({"head": "..."} if not row["theory"] else {}),
        "mode": "zero-shot",
    }
    first, *rest = (f"{name}: {value}" for name, value in fields.items())
    return [f"  - {first}", *(f"    {line}" for line in rest)]


def fetch(name: str, out: Path | None) -> None:
    """Do the work of the command."""
    table = known_weights()
    if name not in table:
        raise UserError(f"{name!r} is not known: give one of {', '.join(table)}")
    row = table[name]
    target = out or Path(row["address"].rsplit("/", 1)[1])
    if not target.parent.is_dir():
        raise UserError(f"--out {target}: there is no folder {target.parent}")
    if target.exists():
        raise UserError(f"--out {target}: is there already: remove it, or give another name")
    print(f"licence: {LICENCES.get(row['licence'], row['licence'])}", flush=True)
    found = download(row["address"], target)
    if row["sha256"] and found != row["sha256"]:
        target.unlink()
        raise UserError(f"{row['address']}: sha256 is {found}, should be {row['sha256']}; the file was removed")
    checked = (
        "as published" if row["sha256"] else "the project publishes none: this is what came, to be compared with others"
    )
    print(f"sha256: {found} ({checked})")
    print(f"theory: {row['theory'] or 'that of the head'}; reference: {row['reference']}; {row['note']}")
    print("models:")
    print("\n".join(study_lines(name, row, target, found)))


def main(argv: list[str] | None = None) -> int:
    """Read the command line and fetch."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", metavar="NAME", help=", ".join(known_weights()))
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="file to write (default: the name it has at its address)"
    )
    args = parser.parse_args(argv)
    try:
        fetch(args.name, args.out)
    except UserError as error:
        for line in error.errors:
            print(f"error: {line}", file=sys.stderr)
        return 2
    return 0
