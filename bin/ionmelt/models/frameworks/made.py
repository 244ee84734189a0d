"""Calculators of libraries that are made in more than one step."""

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
