"""Fetch named weights of a foundation model, for a machine with a network, and print what to write into a study.

No task of the pipeline fetches anything: weights are files of the user's own. This command downloads one to a temporary
file beside --out, compares its sha256 where the project publishes one, prints the licence, and gives the lines for `models`.
The addresses are those of the models' own release pages, as mace-torch 0.3.16 and nequix 0.4.5 have them.
"""

import hashlib
import http.client
import json
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from ionmelt import task
from ionmelt.arguments import command_line
from ionmelt.errors import UserError
from ionmelt.mistakes import did_you_mean
from ionmelt.models.named import NAMED, ROWS, NamedModel
from ionmelt.screen import show

FETCHED = {row.name: row for row in ROWS if row.address}
LICENCES = {
    "MIT": "MIT: free to use, change and pass on, also commercially",
    "ASL": "ASL, the Academic Software License (https://github.com/gabor1/ASL): academic, non-commercial use only; to use the "
    "weights is to accept it",
}
TIMEOUT_S = 60
BLOCK = 1 << 20


def blocks(address: str) -> Iterator[bytes]:
    """Give what is at an address, piece by piece; raises `UserError` where it cannot be had, or not all of it."""
    try:
        with urllib.request.urlopen(address, timeout=TIMEOUT_S) as answer:
            done, length = 0, int(answer.headers.get("Content-Length") or 0)
            while block := answer.read(BLOCK):
                done += len(block)
                yield block
    except (OSError, http.client.HTTPException) as error:
        raise UserError(f"{address}: cannot be fetched: {error}") from error
    if length and done != length:
        raise UserError(f"{address}: {done} of {length} bytes came: try again")


def download(address: str, out: Path) -> str:
    """Write what is at an address to a file, and return its sha256.

    The file appears under its name only when it is whole. Raises `UserError` where it cannot be had.
    """
    digest = hashlib.sha256()
    with tempfile.NamedTemporaryFile(dir=out.parent, prefix=f".{out.name}.", delete=False) as file:
        unfinished = Path(file.name)
        try:
            for block in blocks(address):
                digest.update(block)
                file.write(block)
            file.flush()
            unfinished.replace(out)
        finally:
            unfinished.unlink(missing_ok=True)
    return digest.hexdigest()


def study_lines(row: NamedModel, out: Path, sha256: str) -> list[str]:
    """Return the lines of a study's models that use the weights as they are."""
    fields = {
        "id": "".join(char if char.isalnum() else "_" for char in row.name).lower(),
        "framework": "named",
        "model": row.name,
        "weights": json.dumps(str(out.absolute()), ensure_ascii=False),  # a path may hold what means something to YAML
        **({} if row.sha256 else {"sha256": sha256}),
        **({} if row.theory else {"head": "...", "theory": "..."}),
    }
    first, *rest = (f"{name}: {value}" for name, value in fields.items())
    return [f"  - {first}", *(f"    {line}" for line in rest)]


def without_address(row: NamedModel) -> str:
    """Say where the weights of a model are that this command cannot fetch."""
    if not row.needs_file:
        where = f"in {row.requires[0]}" if row.shipped else f"where its library keeps them ({row.note})"
        return f"its weights are {where}: there is nothing to fetch"
    return f"no address of its weights is known here: bring the file, see {row.reference}"


def fetch(name: str, out: Path | None) -> None:
    """Do the work of the command."""
    row = FETCHED.get(name)
    if row is None and name in NAMED:
        raise UserError(f"{name}: {without_address(NAMED[name])}")
    if row is None or row.address is None:
        raise UserError(f"{name!r} is not known: {did_you_mean(name, FETCHED)}give one of {', '.join(FETCHED)}")
    target = out or Path(row.address.rsplit("/", 1)[1])
    if not target.parent.is_dir():
        raise UserError(f"--out {target}: there is no folder {target.parent}")
    if target.exists():
        raise UserError(f"--out {target}: is there already: remove it, or give another name")
    show(f"licence: {LICENCES.get(row.licence, row.licence)}")
    digest = download(row.address, target)
    if row.sha256 and digest != row.sha256:
        target.unlink()
        raise UserError(f"{row.address}: sha256 is {digest}, should be {row.sha256}; the file was removed")
    checked = (
        "as published" if row.sha256 else "the project publishes none: this is what came, to be compared with others"
    )
    show(f"sha256: {digest} ({checked})")
    show(f"theory: {row.theory or 'that of the head'}; reference: {row.reference}; {row.note}")
    show("\n".join(["models:", *study_lines(row, target, digest)]))


def main(argv: list[str] | None = None) -> int:
    """Read the command line and fetch."""
    parser = command_line(__doc__)
    parser.add_argument("name", metavar="NAME", help=", ".join(FETCHED))
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="file to write (default: the name it has at its address)"
    )
    args = parser.parse_args(argv)
    return task.command(lambda: fetch(args.name, args.out))
