"""Which models of a study are the method of its labels."""

from typing import Any

import pytest

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
