"""Which models of a study are the method of its labels."""

from typing import Any

import pytest

from ionmelt.compare.truth import labellers

MODELS = [
    {"id": "gfn1", "framework": "xtb", "method": "GFN1-xTB"},
    {"id": "gfn2", "framework": "xtb", "method": "GFN2-xTB"},
    {"id": "clp", "framework": "classical"},
    {"id": "mace", "framework": "mace"},
]


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        ({"engine": "xtb", "method": "GFN2-xTB"}, ["gfn2"]),
        ({"engine": "classical"}, ["clp"]),
        ({"engine": "cp2k", "functional": "PBE"}, []),
        ({"frames": ["my.extxyz"]}, []),
    ],
)
def test_the_method_of_the_labels_is_their_truth(labels: dict[str, Any], names: list[str]) -> None:
    assert labellers({"models": MODELS}, labels) == names
