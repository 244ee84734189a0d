"""Which models of a study are the method of its labels."""

from typing import Any

import pytest

from ionmelt.compare.comparison import comparisons
from ionmelt.compare.groups import Group
from ionmelt.compare.statistics import Estimate
from ionmelt.compare.truth import labellers

MODELS = [
    {"id": "gfn1", "framework": "xtb", "method": "GFN1-xTB"},
    {"id": "gfn2", "framework": "xtb", "method": "GFN2-xTB"},
    {"id": "clp", "framework": "classical"},
    {"id": "mace", "framework": "mace"},
    {"id": "sevennet", "framework": "named", "model": "sevennet-0", "dispersion": None},
    {"id": "sevennet_d3", "framework": "named", "model": "sevennet-0", "dispersion": {"functional": "PBE"}},
]


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        ({"engine": "xtb", "method": "GFN2-xTB"}, ["gfn2"]),
        ({"engine": "classical"}, ["clp"]),
        ({"engine": "model", "model": "sevennet-0"}, ["sevennet"]),
        ({"engine": "model", "model": "sevennet_d3"}, ["sevennet_d3"]),
        ({"engine": "model", "model": "chgnet-0.3.0"}, []),
        ({"engine": "cp2k", "functional": "PBE"}, []),
        ({"frames": ["my.extxyz"]}, []),
    ],
)
def test_the_method_of_the_labels_is_their_truth(labels: dict[str, Any], names: list[str]) -> None:
    assert labellers({"models": MODELS}, labels) == names


def test_nothing_is_asked_of_errors_against_the_method_of_the_labels() -> None:
    """They are 0 by construction: such tests would only take level from those of the family that ask something."""

    def groups(quantity: str, unit: str) -> list[Group]:
        made = {"gfn1": (None, 1e-9), "mace": ("both", 0.1), "dpmd": ("both", 0.3)}
        return [
            Group("il", None, quantity, None, model, dataset, unit, Estimate(error, error / 10), converged=True)
            for model, (dataset, error) in made.items()
        ]

    def pairs(of: list[Group], exact: str | None) -> set[str]:
        return {f"{one.a.model} {one.b.model}" for one in comparisons(of, exact) if one.b is not None}

    forces = groups("force_rmse", "eV/A")
    assert pairs(forces, "gfn1") == {"mace dpmd"}
    assert pairs(forces, None) == {"gfn1 mace", "gfn1 dpmd", "mace dpmd"}
    assert "gfn1 mace" in pairs(groups("density", "kg/m3"), "gfn1"), "of the liquid the truth is compared"
