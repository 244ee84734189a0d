"""What a calculator has loaded, by its numbers and texts: what tells two models apart that come from a library and not from a file."""

import hashlib
import importlib.metadata
import inspect
import logging
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ase.calculators.calculator import BaseCalculator

from ionmelt.models.card import Loaded

DEEPEST = 8  # calculators hold their model a few attributes down
PLAIN = (str, bytes, int, float, complex)
OF_PROCESS = (
    type(None),
    type,
    logging.Filterer,
    logging.Manager,
)  # what says nothing of a model, or of the process alone
NEEDED = re.compile(r"^[A-Za-z0-9._-]+")


def values_of(thing: Any, name: str = "", depth: int = 0, seen: set[int] | None = None) -> Iterator[tuple[str, Any]]:
    """Yield the arrays, numbers and texts that an object holds, each with its path of attributes and keys; an object is met once.

    Paths of files are left out: they are another on another machine.
    """
    seen = set() if seen is None else seen
    if isinstance(thing, PLAIN):
        if not (isinstance(thing, str) and Path(thing).is_absolute()):
            yield name, thing
        return
    if depth > DEEPEST or id(thing) in seen or isinstance(thing, OF_PROCESS):
        return
    seen.add(id(thing))
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(thing, torch.nn.Module):
        yield from of_module(thing, name)
    elif hasattr(thing, "__array__") and hasattr(thing, "dtype") and hasattr(thing, "shape"):
        yield name, thing
    else:
        for key, value in inside(thing).items():
            yield from values_of(value, f"{name}.{key}", depth + 1, seen)


def of_module(module: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Yield the tensors of a module of PyTorch, and the plain values of it and of its parts."""
    torch = sys.modules["torch"]
    tensors = module.state_dict().items()
    yield from ((f"{name}.{key}", t.detach().cpu().contiguous()) for key, t in tensors if isinstance(t, torch.Tensor))
    for path, layer in module.named_modules():
        for key, value in vars(layer).items():
            if isinstance(value, PLAIN) and not key.startswith("_"):  # PyTorch's own have the underscore
                yield from values_of(value, f"{name}.{path}.{key}")


def inside(thing: Any) -> dict[str, Any]:
    """Return what an object holds by key, place or attribute; nothing of modules and functions, nor of a calculator's last call."""
    if isinstance(thing, Mapping):
        return {str(key): value for key, value in thing.items()}
    if isinstance(thing, list | tuple):
        return {str(index): value for index, value in enumerate(thing)}
    if inspect.ismodule(thing) or inspect.isroutine(thing):
        return {}
    return {key: value for key, value in getattr(thing, "__dict__", {}).items() if key not in ("atoms", "results")}


def content_of(value: Any) -> tuple[str, bytes]:
    """Return the kind and the bytes of an array of numpy, PyTorch or JAX, or of a plain value."""
    if isinstance(value, PLAIN):
        return type(value).__name__, repr(value).encode()
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor):
        raw = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8) if value.numel() else value.new_empty(0)
        return f"{value.dtype} {tuple(value.shape)}", raw.numpy().tobytes()
    array = np.asarray(value)
    return f"{array.dtype} {array.shape}", b"" if array.dtype == object else array.tobytes()


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
    """Return the class of a calculator, the versions of its packages, and the sha256 of all that it holds.

    To be asked before it computes: what it keeps of a call is no part of the model.
    """
    digest, size = hashlib.sha256(), 0
    held = ((name, *content_of(value), isinstance(value, PLAIN)) for name, value in values_of(calculator))
    for name, kind, content, plain in sorted(held):
        digest.update(f"{name} {kind} {len(content)}\n".encode() + content)
        size += 0 if plain else len(content)
    package = distribution_of(calculator)
    about = {
        "class": f"{type(calculator).__module__}.{type(calculator).__name__}",
        "versions": versions_of(package) if package else {},
        "sha256": digest.hexdigest(),
        "bytes": size,
    }
    return Loaded.model_validate(about)
