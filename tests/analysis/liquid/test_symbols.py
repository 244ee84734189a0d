"""Chemical names: charges, formulas, and what keeps the name that the user gave."""

from pathlib import Path

import pytest

from ionmelt.chemical_names import ChemicalNames
from ionmelt.errors import UserError
from ionmelt.liquid.ions import library
from ionmelt.liquid.settings import BoxIon
from ionmelt.liquid.symbols import names_of, symbol, with_charge

LIBRARY = library(Path(__file__).parents[3] / "assets")


def box(**counts: int) -> list[BoxIon]:
    """Return ions of the library, so many of each."""
    return [
        BoxIon(name=name, smiles=LIBRARY[name]["smiles"], charge=LIBRARY[name]["charge"], count=count, types=None, hydrogen_types=None)
        for name, count in counts.items()
    ]  # fmt: skip


def test_ions_have_their_charges_and_the_names_of_chemistry() -> None:
    names = names_of({"x": box(pyr14=1, bf4=1, li=1, mg=1, alcl4=1, otf=1), "y": box(water=3, ec=1)}, LIBRARY)
    assert names.ions == {
        "pyr14": "PYR14⁺", "bf4": "BF4⁻", "li": "Li⁺", "mg": "Mg²⁺", "alcl4": "AlCl4⁻", "otf": "OTf⁻", "water": "H2O", "ec": "EC",
    }  # fmt: skip
    assert with_charge("PO4", -3) == "PO4³⁻" and symbol("my_cation", LIBRARY) == "my_cation"


@pytest.mark.parametrize(
    ("liquid", "counts", "written"),
    [
        ("libf4", {"bf4": 8, "li": 8}, "LiBF4"),
        ("emim_bf4", {"emim": 4, "bf4": 4}, "EMIMBF4"),
        ("pyr14tfsi", {"pyr14": 3, "tfsi": 3}, "PYR14TFSI"),
        ("mgcl2", {"mg": 4, "cl": 8}, "MgCl2"),
        ("mg(tfsi)2", {"mg": 4, "tfsi": 8}, "Mg(TFSI)2"),
        ("dense", {"li": 8, "bf4": 8}, "dense"),
        ("x10", {"li": 1, "pyr14": 9, "tfsi": 10}, "x10"),
        ("nacl", {"na": 4, "water": 4}, "nacl"),
    ],
)
def test_a_liquid_is_its_formula_where_that_is_its_name(liquid: str, counts: dict[str, int], written: str) -> None:
    assert names_of({liquid: box(**counts)}, LIBRARY).liquid(liquid) == written


def test_pairs_are_of_ions_or_of_elements() -> None:
    names = ChemicalNames(ions={"li": "Li⁺", "bf4": "BF4⁻"})
    assert names.pair("li-bf4") == "Li⁺–BF4⁻" and names.pair("Li-F") == "Li–F"
    assert names.pair("bf4 F-B-F") == "BF4⁻ F-B-F" and names.pair("all") == "all"


def test_an_ion_without_types_needs_no_list_of_them(tmp_path: Path) -> None:
    folder = tmp_path / "ions"
    folder.mkdir()
    text = 'full_name: tricyanomethanide\nsmiles: "N#C[C-](C#N)C#N"\ntypes: null\n'
    (folder / "tcm.yaml").write_text(text + "charge: -1\n")
    ion = library(tmp_path)["tcm"]
    assert (ion["aliases"], ion["hydrogen_types"]) == ([], None)
    (folder / "tcm.yaml").write_text(text)
    with pytest.raises(UserError, match=r"tcm\.yaml: charge missing: is it cut off\?$"):
        library(tmp_path)
