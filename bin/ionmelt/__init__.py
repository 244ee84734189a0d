"""Ionmelt: which machine-learned force field may be trusted for a liquid. One sub-package a stage."""

import sys
from types import TracebackType

# Packages of all environments, and what a command that a person types reads first: without one of them, none is active.
EXPECTED = ("ase", "numpy", "polars", "pydantic", "rocrate")


def say_what_is_missing(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Say in a line that a script was started without an environment; what else was not caught is told as Python does."""
    name = (error.name or "").partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
    if name in EXPECTED:
        print(
            f"error: no Python package {name} in {sys.prefix}: install it there, or `. containers/activate analysis` first",
            file=sys.stderr,
        )
    else:
        sys.__excepthook__(kind, error, trace)


sys.excepthook = say_what_is_missing
