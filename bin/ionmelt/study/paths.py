"""Where the study's own files and its results are, and what is wrong with a path."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from ionmelt import errors as errors_module
from ionmelt.mistakes import brief, closest

STORES = ("s3", "gs", "az")  # whose addresses stand for files


@dataclass(frozen=True)
class Paths:
    """Where the study's own files are looked for, and whether they can be seen from here."""

    base: str
    assets: Path
    seen: bool

    def locate(self, text: str) -> str:
        """Return the absolute path or address of a file that the study names."""
        if "://" in text or text.startswith("/"):
            return text
        if text.startswith("assets/"):
            return str(self.assets.resolve().parent / text)
        return f"{self.base.rstrip('/')}/{text}"

    def leaves(self, text: str) -> bool:
        """Tell whether a relative path leads out of its folder, by ``..`` or by a link."""
        if "://" in text or text.startswith("/"):
            return False
        path, inside = self.path(text), text.startswith("assets/")
        if ".." in Path(text).parts:
            return True
        root = self.assets.resolve() if inside else Path(self.base).resolve()
        return path is not None and path.exists() and not path.resolve().is_relative_to(root)

    def path(self, text: str) -> Path | None:
        """Return the path of a file that can be looked at from here, or None."""
        located = self.locate(text)
        if text.startswith("assets/"):
            return self.assets / text.removeprefix("assets/")
        return Path(located) if self.seen and "://" not in located else None


def missing_file(paths: Paths, text: str, *, folder: bool = False) -> str | None:
    """Return what is wrong with a file that the study names, or None; it may be a folder only where that is said."""
    if paths.leaves(text):
        return f"{brief(text)}: leaves the folder of the study: give the absolute path, so that it is plain to see"
    scheme = paths.locate(text).partition("://")[0] if "://" in paths.locate(text) else None
    if scheme is not None and scheme not in STORES:
        stores = ", ".join(STORES)
        return (
            f"{brief(text)}: nothing is fetched from {scheme}: give a path, or an address in an object store ({stores})"
        )
    path = paths.path(text)
    if path is None or path.is_file() or (folder and path.is_dir()):
        return None
    if path.exists() and not path.is_dir():
        return f"{brief(text)}: {paths.locate(text)} is no regular file"
    if path.is_dir():
        return f"{brief(text)}: {paths.locate(text)} is a folder: give a file"
    like = closest(path.name, [other.name for other in path.parent.glob("*")], cutoff=0.75)
    meant = f"did you mean {Path(text).with_name(like[0])}? " if like else ""
    return f"{brief(text)}: no such file: {paths.locate(text)}; {meant}a path is relative to the study file"


def check_outdir(outdir: str) -> str | None:
    """Return why results cannot be written to a folder; None where they can, or it cannot be seen."""
    if "://" in outdir:
        return None
    path = Path(outdir).absolute()
    while not path.exists() and path.parent != path:
        if path.is_symlink():
            return f"{brief(outdir)}: {path} is a link to nothing"
        path = path.parent
    if path.parent == path and path != Path(outdir).absolute():
        return None  # inside a container the folder may just not be mounted
    if not path.is_dir():
        return f"{brief(outdir)}: {path} is a file: give a folder"
    try:
        with tempfile.TemporaryFile(dir=path):
            return None
    except OSError as error:
        if errors_module.kind_of_error(error) is errors_module.Exit.MEMORY:
            raise
        return f"{brief(outdir)}: cannot be written ({error.strerror}): give a folder that you may write to"
