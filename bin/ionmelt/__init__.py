"""Ionmelt: which machine-learned force field may be trusted for a liquid. One sub-package a stage."""

import sys
from types import TracebackType

EVERYWHERE = ("ase", "numpy", "polars", "pydantic")  # packages of all environments: without one of them there is none


def say_what_is_missing(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Say in a line that a script was started without an environment; what else was not caught is told as Python does."""
    name = (error.name or "").partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
    if name in EVERYWHERE:
        print(
            f"error: no Python package {name} in {sys.prefix}: install it there, or `. containers/activate analysis` first",
            file=sys.stderr,
        )
    else:
        sys.__excepthook__(kind, error, trace)


sys.excepthook = say_what_is_missing
