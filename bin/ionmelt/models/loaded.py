"""What a calculator has loaded, by its numbers: what tells two models apart that come from a library and not from a file."""

import hashlib
import importlib.metadata
import inspect
import re
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from ase.calculators.calculator import BaseCalculator

from ionmelt.models.card import Loaded

DEEPEST = 8  # calculators hold their model a few attributes down
PLAIN = (str, bytes, int, float, complex, type(None), type)
NEEDED = re.compile(r"^[A-Za-z0-9._-]+")


def arrays_of(thing: Any, name: str = "", depth: int = 0, seen: set[int] | None = None) -> Iterator[tuple[str, Any]]:
    """Yield the arrays of numbers that an object holds, each with its path of attributes and keys; an object is met once."""
    seen = set() if seen is None else seen
    if depth > DEEPEST or id(thing) in seen or isinstance(thing, PLAIN):
        return
    seen.add(id(thing))
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(thing, torch.nn.Module):
        tensors = thing.state_dict().items()
        yield from (
            (f"{name}.{key}", t.detach().cpu().contiguous()) for key, t in tensors if isinstance(t, torch.Tensor)
        )
    elif hasattr(thing, "__array__") and hasattr(thing, "dtype") and hasattr(thing, "shape"):
        yield name, thing
    else:
        for key, value in inside(thing).items():
            yield from arrays_of(value, f"{name}.{key}", depth + 1, seen)


def inside(thing: Any) -> dict[str, Any]:
    """Return what an object holds by key, place or attribute; nothing of modules and functions, nor of a calculator's last call."""
    if isinstance(thing, Mapping):
        return {str(key): value for key, value in thing.items()}
    if isinstance(thing, list | tuple):
        return {str(index): value for index, value in enumerate(thing)}
    if inspect.ismodule(thing) or inspect.isroutine(thing):
        return {}
    return {key: value for key, value in getattr(thing, "__dict__", {}).items() if key not in ("atoms", "results")}


def bytes_of(array: Any) -> tuple[str, bytes]:
    """Return the kind and the bytes of an array of numpy, PyTorch or JAX."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(array, torch.Tensor):
        raw = array.detach().cpu().contiguous().reshape(-1).view(torch.uint8) if array.numel() else array.new_empty(0)
        return f"{array.dtype} {tuple(array.shape)}", raw.numpy().tobytes()
    values = np.asarray(array)
    return f"{values.dtype} {values.shape}", b"" if values.dtype == object else values.tobytes()


def distribution_of(thing: Any) -> str | None:
    """Return the name of the package that the class of an object was installed with; None for a file of the user's."""
    names = importlib.metadata.packages_distributions().get(type(thing).__module__.partition(".")[0])
    return names[0] if names else None


def versions_of(package: str) -> dict[str, str]:
    """Return the version of a package and of those that it needs, as far as they are installed."""
    lines = [line for line in importlib.metadata.requires(package) or () if "extra ==" not in line]
    needed = [NEEDED.match(line) for line in lines]
    versions = {}
    for name in (package, *(match[0] for match in needed if match)):
        try:
            versions[name.lower()] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def described(calculator: BaseCalculator) -> Loaded:
    """Return the class of a calculator, the versions of its packages, and the sha256 of all numbers that it holds."""
    arrays = [(name, *bytes_of(array)) for name, array in arrays_of(calculator)]
    digest, size = hashlib.sha256(), 0
    for name, kind, content in sorted(arrays):
        digest.update(f"{name} {kind} {len(content)}\n".encode() + content)
        size += len(content)
    package = distribution_of(calculator)
    about = {
        "class": f"{type(calculator).__module__}.{type(calculator).__name__}",
        "versions": versions_of(package) if package else {},
        "sha256": digest.hexdigest() if size else None,
        "bytes": size,
    }
    return Loaded.model_validate(about)
