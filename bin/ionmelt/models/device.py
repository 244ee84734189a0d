"""Where a model runs: on a GPU or on the CPU."""

import importlib.util

from ase.calculators.calculator import BaseCalculator


def device() -> str:
    """Return ``cuda`` where PyTorch is there and sees a GPU, else ``cpu``."""
    if importlib.util.find_spec("torch") is None:
        return "cpu"
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def device_name(calculator: BaseCalculator) -> str:
    """Return ``cpu`` or ``cuda``: where a calculator runs."""
    return str(getattr(calculator, "device", "cpu")).split(":")[0]
