"""Protons that may hop from molecule to molecule, as in protic liquids, acids and hydrated halides."""

import numpy as np

HOLDERS = ("N", "O", "F", "S", "Cl", "Br", "I")  # what a proton may leave and be bound to; carbon lets none go


def mobile_protons(symbols: np.ndarray, bonds: np.ndarray) -> np.ndarray:
    """Return which atoms (N,) are hydrogens with a bond, of bonds (B, 2), to one of `HOLDERS`."""
    of_holder = (symbols[bonds] == "H") & np.isin(symbols, HOLDERS)[bonds][
        :, ::-1
    ]  # the proton's column in each such bond
    mobile = np.zeros(len(symbols), bool)
    mobile[bonds[of_holder]] = True
    return mobile
