"""Ions are found by their bonds."""

import numpy as np
import pytest
from ase import Atoms
from foreign_labels import ASSETS, ion

from ionmelt.labels.matching import Matcher, NoMatch
from ionmelt.liquid.ions import geometry, library, resolve


def test_ions_of_organic_liquids_are_found_in_any_order() -> None:
    rng = np.random.default_rng(5)
    ions = {name: resolve(ion(name), library(ASSETS)) for name in ("pyr14", "emim", "tfsi", "li", "pf6")}
    parts = {name: geometry(entry["smiles"]) for name, entry in ions.items()}
    symbols, positions = [], []
    for index, name in enumerate(ions):
        symbols += ions[name]["elements"]
        positions.append(parts[name] + [9.0 * index, 0, 0])
    positions[3] = positions[2][:1] + np.array([0, 0, 1.9])  # lithium at an oxygen of TFSI is no bond
    at = np.concatenate(positions)
    order = rng.permutation(len(at))
    box = Atoms(np.array(symbols)[order], at[order], cell=[45, 14, 14], pbc=True)
    box.wrap()
    matched = Matcher(ions).match(box)
    assert matched.names == list(ions)
    start = 0
    for name, size in zip(matched.names, matched.sizes, strict=True):
        members = box[matched.order[start : start + size]]
        assert members.get_chemical_symbols() == ions[name]["elements"]
        for i, j in ions[name]["bonds"]:
            assert members.get_distance(i, j, mic=True) < 2.2
        start += size
    with pytest.raises(NoMatch, match="form C6H11N2: no ion of that formula among"):
        Matcher({name: ions[name] for name in ("pyr14", "tfsi", "li", "pf6")}).match(box)
