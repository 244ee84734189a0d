"""Calculators of libraries that are made in more than one step."""

from collections.abc import Callable
from typing import Any

from ase.calculators.calculator import Calculator


def orb_v3(model: str, weights: str, device: str) -> Calculator:
    """Return the calculator of an Orb-v3 model: the name of the function of orb_models that makes it, its file, ``cpu`` or ``cuda``."""
    from orb_models.forcefield import pretrained
    from orb_models.forcefield.inference.calculator import ORBCalculator

    make: Any = getattr(pretrained, model)
    forcefield, adapter = make(weights_path=weights, device=device, compile=False)
    calculator: Calculator = ORBCalculator(forcefield, adapter, device=device)
    return calculator


def orb_v3_lines(model: str, weights: str, device: str, target: str) -> list[str]:
    """Return the lines of Python by which `orb_v3` gives `target` a calculator; `weights`: the expression of their path."""
    return [
        f"from orb_models.forcefield.pretrained import {model}",
        "from orb_models.forcefield.inference.calculator import ORBCalculator",
        f"forcefield, adapter = {model}(weights_path={weights}, device={device!r}, compile=False)",
        f"{target} = ORBCalculator(forcefield, adapter, device={device!r})",
    ]


LINES: dict[str, Callable[..., list[str]]] = {f"{__name__}.orb_v3": orb_v3_lines}
