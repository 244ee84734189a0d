"""MACE models of several forms with random weights, in double precision."""

from typing import Any

import numpy as np
import torch

RESIDUAL, PLAIN, DENSITY = (f"RealAgnostic{kind}InteractionBlock" for kind in ("Residual", "", "Density"))


def model_of(hidden: str, *, first: str = RESIDUAL, later: str = RESIDUAL, **changes: object) -> Any:
    """Return a model of LiF with random weights in double precision, whose energies differ from atom to atom by about 1 eV."""
    # here, for they warn when they are imported
    from mace import modules
    from mace.modules.models import o3
    from mace.tools.torch_tools import default_dtype

    torch.manual_seed(3)
    given = {
        "r_max": 4.2, "num_bessel": 8, "num_polynomial_cutoff": 5, "max_ell": 3, "num_interactions": 2, "correlation": 3, "radial_MLP": [16, 16],
        "avg_num_neighbors": 20.0, "atomic_inter_scale": 10.0, "atomic_inter_shift": 0.1,
    } | changes  # fmt: skip
    with default_dtype("float64"):
        return modules.ScaleShiftMACE(
            interaction_cls=modules.interaction_classes[later], interaction_cls_first=modules.interaction_classes[first], num_elements=3,
            hidden_irreps=o3.Irreps(hidden), MLP_irreps=o3.Irreps("8x0e"), atomic_energies=np.array([[-5.0, -100.0, -60.0]]),
            atomic_numbers=[3, 9, 11], gate=torch.nn.functional.silu, **given,
        ).double()  # fmt: skip


def calculator_of(hidden: str, **changes: Any) -> Any:
    """Return the calculator of such a model."""
    from mace.calculators import MACECalculator

    return MACECalculator(models=model_of(hidden, **changes), device="cpu", default_dtype="float64")
