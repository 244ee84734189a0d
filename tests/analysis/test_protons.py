"""Which protons may hop."""

import numpy as np

from ionmelt.protons import mobile_protons


def test_protons_of_heteroatoms_are_mobile_in_either_order_of_the_bond_and_those_of_carbon_are_not() -> None:
    symbols = np.array(["C", "H", "H", "N", "H", "I", "H", "Li"])
    bonds = np.array([[0, 1], [2, 3], [3, 0], [4, 5]])
    assert np.flatnonzero(mobile_protons(symbols, bonds)).tolist() == [2, 4]
    assert not mobile_protons(symbols, np.zeros((0, 2), int)).any()
