"""Ions from SMILES: closed shells are told from open ones."""

import pytest

from ionmelt.errors import UserError
from ionmelt.liquid.ions import charge_of


@pytest.mark.parametrize(
    ("smiles", "charge"),
    [
        ("[Pb+2]", 2),
        ("[Sn+2]", 2),
        ("[Bi+3]", 3),
        ("[In+]", 1),
        ("[Tl+]", 1),
        ("[Pb+4]", 4),
        ("I[Pb-](I)I", -1),
        ("Cl[Sn]Cl", 0),
    ],
)
def test_a_pair_of_s_electrons_is_a_closed_shell(smiles: str, charge: int) -> None:
    """Of lead(II) chloride, for one."""
    assert charge_of(smiles) == charge


@pytest.mark.parametrize("smiles", ["[Pb+]", "[Pb]", "[Sn+3]", "Cl[Sn](Cl)Cl", "[O]", "[Mg+]", "[S+2]"])
def test_open_shells_are_refused(smiles: str) -> None:
    with pytest.raises(UserError, match="unpaired electron"):
        charge_of(smiles)
