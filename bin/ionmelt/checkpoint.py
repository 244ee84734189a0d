"""Checkpoints of a run that goes in segments: one file a segment, so that a killed run repeats one segment at most.

A file is a line of JSON (the run's key, the segment's number, a sha256 of what follows) and then a NumPy archive. It is
written under another name, flushed to the disk and renamed: a kill leaves the whole file or none. Nothing is pickled.
"""

import contextlib
import fcntl
import io
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Generic, TypeVar

import numpy as np
from pydantic import BaseModel

from ionmelt.errors import is_resource
from ionmelt.files import sha256
from ionmelt.screen import say


def key_of(content: Any, files: list[Path]) -> str:
    """Return the hash of what determines a run: anything that JSON can hold, and files by name and content."""
    named = (f"\n{path.name} {sha256(path)}".encode() for path in sorted(files, key=lambda path: path.name))
    return sha256(json.dumps(content, sort_keys=True).encode(), *named)[:32]


def folder_of(path: Path) -> Path:
    """Return the folder that keeps checkpoints, given as itself, as a file in it, or as a link to one.

    A link is how the pipeline passes it: the folder is mounted into containers, and the file's content stays the same, so that
    checkpoints of other tasks change no task's hash.
    """
    path = path.resolve()
    return path.parent if path.is_file() else path


def claim(folder: Path, key: str, fallback: Path) -> tuple[Path, IO[str] | None]:
    """Return the folder of a run with a key, made and locked for this process, and its lock.

    Where it cannot be had, since another process is at this run, the folder is one in ``fallback``, without a lock.
    """
    made, lock = folder / key, None
    try:
        made.mkdir(parents=True, exist_ok=True)
        lock = (made / "lock").open("w")
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if lock:
            lock.close()
        why = "another process is at this run" if isinstance(error, BlockingIOError) else str(error)
        say(f"checkpoints in {made} cannot be used ({why}): this run starts anew and a kill loses it")
        made, lock = fallback / key, None
        made.mkdir(parents=True, exist_ok=True)
    return made, lock


Segment = TypeVar("Segment", bound=BaseModel)


class Chain(Generic[Segment]):
    """The segments of one run, in a folder of their own, named by the run's key.

    A run that finds its folder in use by another process works in ``fallback`` instead. ``segments`` holds what
    was said of each segment so far, of the class ``kind``; the arrays stay on the disk.
    """

    def __init__(self, folder: Path, key: str, fallback: Path, kind: type[Segment]) -> None:
        self.key, self.kind = key, kind
        self.segments: list[Segment] = []
        self.folder, self._lock = claim(folder, key, fallback)
        self._find()

    def _path(self, index: int) -> Path:
        return self.folder / f"segment-{index:06d}"

    def _find(self) -> None:
        """Take up the segments that are whole, from the first on; drop those behind one that is not."""
        while self._path(len(self.segments)).exists():
            path = self._path(len(self.segments))
            try:
                self.segments.append(self.kind.model_validate_json(str(self._read(path, len(self.segments))["meta"])))
            except (ValueError, KeyError, OSError) as error:
                if is_resource(error):  # the file may be whole, and to drop it would lose the run
                    self.close()
                    raise
                say(f"checkpoint {path.name} is not used: {error}; going on from the one before")
                break
        for path in self.folder.glob("segment-*"):
            if path.name.startswith(".") or path.name >= self._path(len(self.segments)).name:
                path.unlink()
        for path in self.folder.glob(".segment-*"):
            path.unlink()

    def _read(self, path: Path, index: int) -> dict[str, np.ndarray]:
        """Return the arrays of a file; raises ValueError where it is torn, changed or another run's."""
        head, _, body = path.read_bytes().partition(b"\n")
        try:
            says = json.loads(head)
        except ValueError as error:
            raise ValueError("its first line cannot be read") from error
        if not isinstance(says, dict) or (says.get("key"), says.get("index")) != (self.key, index):
            raise ValueError("it belongs to another run")
        if says.get("sha256") != sha256(body):
            raise ValueError("its checksum does not fit its content")
        with np.load(io.BytesIO(body), allow_pickle=False) as archive:
            return dict(archive)

    def write(self, segment: Segment, arrays: Mapping[str, np.ndarray | float]) -> None:
        """Add a segment: it is on the disk, whole, when this returns."""
        index = len(self.segments)
        buffer = io.BytesIO()
        content: dict[str, Any] = {name: np.asarray(values) for name, values in arrays.items()}
        np.savez(buffer, meta=np.array(segment.model_dump_json()), **content)
        body = buffer.getvalue()
        head = {"key": self.key, "index": index, "sha256": sha256(body)}
        path = self._path(index)
        unfinished = path.with_name("." + path.name)
        with unfinished.open("wb") as file:
            file.write(json.dumps(head).encode() + b"\n" + body)
            file.flush()
            os.fsync(file.fileno())
        unfinished.rename(path)
        with contextlib.suppress(OSError):  # not every file system can flush a folder
            folder = os.open(self.folder, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        self.segments.append(segment)

    def arrays(self, index: int) -> dict[str, np.ndarray]:
        """Return the arrays of a segment; a negative index counts from the end."""
        index %= len(self.segments)
        return self._read(self._path(index), index)

    def __iter__(self) -> Iterator[tuple[Segment, dict[str, np.ndarray]]]:
        """Yield what was said of each segment and its arrays, one segment in memory at a time."""
        for index, segment in enumerate(self.segments):
            yield segment, self.arrays(index)

    def remove(self) -> None:
        """Remove the run's checkpoints: it is complete."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.close()

    def __enter__(self) -> "Chain[Segment]":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Let another process have the run."""
        if self._lock:
            self._lock.close()
