"""Ions from SMILES: closed shells are told from open ones."""

import pytest

from ionmelt.errors import UserError
from ionmelt.liquid.ions import charge_of, open_shell


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


@pytest.mark.parametrize(
    ("smiles", "element"),
    [
        ("Cl[Fe-](Cl)(Cl)Cl", "Fe"),  # the magnetic ionic liquid's, d5
        ("Cl[Co-2](Cl)(Cl)Cl", "Co"), ("[Mn+2]", "Mn"), ("[Cu+2]", "Cu"), ("[Fe+2]", "Fe"), ("[Gd+3]", "Gd"), ("[Ce+3]", "Ce"),
        ("[U+3]", "U"), ("[U+4]", "U"), ("Br[Dy-3](Br)(Br)(Br)(Br)Br", "Dy"),
        ("Cl[Zn-2](Cl)(Cl)Cl", None), ("[Zn+2]", None), ("[Ag+]", None), ("[Cu+]", None), ("Cl[Cu-]Cl", None), ("[La+3]", None),
        ("[Lu+3]", None), ("[Ce+4]", None), ("[Zr+4]", None), ("F[Nb-](F)(F)(F)(F)F", None), ("[Th+4]", None), ("[Hg+2]", None),
        ("CC[n+]1ccn(C)c1", None), ("[O-][Mn](=O)(=O)=O", None),
    ],
)  # fmt: skip
def test_shells_that_are_partly_filled(smiles: str, element: str | None) -> None:
    assert open_shell(smiles) == element
