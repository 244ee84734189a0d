"""The label store: every label that was ever finished, for all later runs to take instead of paying again.

Each task adds to a file of its own, a shard, ROOT/THEORY_ID/SHARD.jsonl, so that any number of them may write at once
and a hundred thousand labels are some hundred files. An entry is a line: JSON with numbers in full precision and the
sha256 of its own content, so that what was cut off, altered or put in the wrong place is noticed and redone. When its
task has ended, SHARD.ids says where in the shard each frame is: FRAME_ID OFFSET, in bytes. A shard without one, of a
task that is still going on or was killed, is read through. Stores that were begun with a file a frame,
ROOT/THEORY_ID/XX/FRAME_ID.json, are read too.
"""

import os
import re
import secrets
from contextlib import suppress
from io import FileIO
from pathlib import Path

from ase import Atoms

from ionmelt.labels.store_entry import Answer, entry_text, parse_entry
from ionmelt.screen import say

FRAME_ID = re.compile(rb'^\{"format": \d+, "frame_id": "(\w+)"')  # the beginning of an entry


def write_whole(path: Path, text: str) -> None:
    """Write a file that is there whole or not at all; raises `OSError`."""
    partial = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}")
    try:
        with partial.open("x") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def offsets_in(shard: Path) -> dict[str, int]:
    """Return where the entry of each frame begins in a shard, in bytes; raises `OSError` where it cannot be read."""
    with suppress(OSError, ValueError):
        lines = shard.with_suffix(".ids").read_text().splitlines()
        return {frame_id: int(offset) for frame_id, offset in (line.split() for line in lines)}
    offsets, offset = {}, 0
    with shard.open("rb") as file:
        for line in file:
            if (frame_id := FRAME_ID.search(line)) and line.endswith(b"\n"):  # else it is being written
                offsets[frame_id[1].decode()] = offset
            offset += len(line)
    return offsets


class Shard:
    """The file that one task adds entries to; it is made with the first. Methods raise `OSError`."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / f"{secrets.token_hex(8)}.jsonl"
        self.offsets: dict[str, int] = {}
        self.file: FileIO | None = None

    def add(self, frame_id: str, line: bytes) -> int:
        """Add an entry and return its offset; when that fails, the shard is as it was."""
        if self.file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.file = FileIO(self.path, "x+")
        start = self.file.seek(0, os.SEEK_END)
        try:
            left = line
            while left:
                left = left[self.file.write(left) :]
            os.fsync(self.file.fileno())
        except OSError:
            self.file.truncate(start)
            if not start:
                self.path.unlink()
            raise
        self.offsets[frame_id] = start
        return start

    def remove(self, frame_id: str) -> None:
        """Put spaces in place of an entry, if it is here."""
        if self.file is not None and (offset := self.offsets.pop(frame_id, None)) is not None:
            self.file.seek(offset)
            length = len(self.file.readline()) - 1
            self.file.seek(offset)
            self.file.write(b" " * length)

    def close(self) -> None:
        """Write where each entry is."""
        if self.file is not None:
            self.file.close()
            lines = (f"{frame_id} {offset}\n" for frame_id, offset in self.offsets.items())
            if self.offsets:
                write_whole(self.path.with_suffix(".ids"), "".join(lines))


class Store:
    """The entries of one level of theory.

    Parameters
    ----------
    root : the store's folder, where this task can see it.
    theory : ``theory_id`` of all labels.
    spare : folder of the same layout for new entries where `root` cannot be written; they are copied from there.
    staged : folder with shards of `root` that were copied to here.
    """

    def __init__(self, root: Path | None, theory: str, spare: Path | None = None, staged: Path | None = None) -> None:
        self.theory = theory
        self.root = root
        self.shards = [Shard(folder / theory) for folder in (root, spare) if folder is not None]
        # Where each frame's entries begin, those of this task first.
        self.entries: dict[str, list[tuple[Path, int]]] = {}
        folders = [*(shard.path.parent for shard in self.shards), *([staged] if staged else [])]
        for path in (path for folder in folders for path in sorted(folder.glob("*.jsonl"))):
            try:
                for frame_id, offset in offsets_in(path).items():
                    self.entries.setdefault(frame_id, []).append((path, offset))
            except OSError as error:
                say(f"label store: {path}: cannot be read ({error.strerror}); its frames are labelled again")

    def places(self, frame_id: str) -> list[tuple[Path, int]]:
        """Return the file and the offset of each entry that there may be of a frame."""
        alone = [self.root / self.theory / frame_id[:2] / f"{frame_id}.json"] if self.root else []
        return [*self.entries.get(frame_id, []), *((path, 0) for path in alone)]

    def get(self, atoms: Atoms) -> Answer | None:
        """Return the stored answer of a frame. Where no entry of it is right, that is said, and counts as none."""
        frame_id = atoms.info["frame_id"]
        wrong = []
        for path, offset in self.places(frame_id):
            try:
                with path.open("rb") as file:
                    file.seek(offset)
                    return parse_entry(file.readline(), frame_id, self.theory, len(atoms))
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                wrong.append(f"label store: {path}: cannot be read ({error.strerror}); the frame is labelled again")
            except ValueError as error:
                wrong.append(f"label store: {path}: {error}; the frame is labelled again")
        for words in wrong:
            say(words)
        return None

    def put(self, atoms: Atoms, answer: Answer) -> None:
        """Keep an answer. A folder that cannot be written is said once and left; the label itself is not lost."""
        frame_id = atoms.info["frame_id"]
        line = entry_text(atoms, self.theory, answer).encode()
        while self.shards:
            shard = self.shards[0]
            try:
                offset = shard.add(frame_id, line)
            except OSError as error:
                self.leave(error)
            else:
                self.entries.setdefault(frame_id, []).insert(0, (shard.path, offset))
                return

    def leave(self, error: OSError) -> None:
        """Go on without the folder that new entries went to."""
        shard = self.shards.pop(0)
        say(f"label store {shard.path.parents[1]}: cannot be written ({error.strerror}); this task leaves it")
        with suppress(OSError):
            shard.close()

    def discard(self, atoms: Atoms) -> None:
        """Take back an answer that this task put there."""
        frame_id = atoms.info["frame_id"]
        for shard in self.shards:
            with suppress(OSError):
                shard.remove(frame_id)
            self.entries[frame_id] = [entry for entry in self.entries.get(frame_id, []) if entry[0] != shard.path]

    def close(self) -> None:
        """Say of what this task put there where it is; without that, others find it by reading all."""
        for shard in self.shards:
            with suppress(OSError):
                shard.close()
