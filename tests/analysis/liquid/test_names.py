"""Names as chemists write them: what the report writes is read back, and no name stands for two."""

from pathlib import Path

import pytest

from ionmelt.liquid.ions import library
from ionmelt.liquid.names import identified, plain, unknown
from ionmelt.liquid.symbols import symbol, with_charge

LIBRARY = library(Path(__file__).resolve().parents[3] / "assets")


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("EMIM", "emim"), ("[C2mim]+", "emim"), ("C2C1Im", "emim"), ("1-ethyl-3-methylimidazolium", "emim"), ("EMI", "emim"),
        ("1‑ethyl‑3‑methyl imidazolium cation", "emim"), ("1-methyl-3-octylimidazolium", "omim"),
        ("NTf2", "tfsi"), ("[NTf2]-", "tfsi"), ("TFSA", "tfsi"), ("TFSI anion", "tfsi"), ("N(SO2CF3)2", "tfsi"), ("[N(CF3SO2)2]⁻", "tfsi"),
        ("bis(trifluoromethanesulfonyl)amide", "tfsi"), ("bis[(trifluoromethyl)sulphonyl]imide", "tfsi"),
        ("bis(trifluoromethane)sulfonimide", "tfsi"), ("(FSO2)2N⁻", "fsi"), ("N(SO2F)2", "fsi"),
        ("Mg2+", "mg"), ("Mg^2+", "mg"), ("Mg+2", "mg"), ("Mg²⁺", "mg"), ("Mg^{2+}", "mg"), ("magnesium(2+)", "mg"), ("Mg++", "mg"),
        ("[Li+]", "li"), ("Li⁺", "li"), ("$Li^+$", "li"), ("sodium ion", "na"), ("Na+1", "na"), ("potassium cation", "k"), ("Cl–", "cl"),
        ("PF6−", "pf6"), ("BF₄⁻", "bf4"), ("BF_4^-", "bf4"), ("bis(oxalato)borate(1-)", "bob"),
        ("PYR14+", "pyr14"), ("Pyr1,4", "pyr14"), ("P1,4", "pyr14"), ("[C4C1pyrr]+", "pyr14"), ("BMPyrr", "pyr14"),
        ("N-butyl-N-methylpyrrolidinium", "pyr14"), ("N,N-dimethylpyrrolidinium", "pyr11"), ("PMPyrr+", "pyr13"),
        ("Choline", "cho"), ("P66614", "p66614"), ("P6,6,6,14+", "p66614"), ("ethylene carbonate", "ec"), ("H2O", "water"), ("H₂O", "water"),
        ("Diglyme", "g2"), ("dimethoxyethane", "dme"), ("1,2-dimethoxyethane", "dme"), ("γ-Butyrolactone", "gbl"), ("dimethyl sulphoxide", "dmso"),
    ],
)  # fmt: skip
def test_names_forgive(written: str, name: str) -> None:
    assert identified(written, LIBRARY) == name


def test_what_the_report_writes_is_read_back() -> None:
    for name, entry in LIBRARY.items():
        assert identified(with_charge(symbol(name, LIBRARY), entry["charge"]), LIBRARY) == name


def test_no_name_stands_for_two() -> None:
    names = [(plain(text), name) for name, ion in LIBRARY.items() for text in (name, ion["full_name"], *ion["aliases"])]
    assert len(dict(names)) == len(set(names))


def test_a_name_that_could_be_two_is_none_and_a_typing_error_gets_its_neighbour() -> None:
    for written in ("tsfi", "pyr1", "", "-", "ion", "BF", "PF"):
        assert identified(written, LIBRARY) is None, written
    assert "did you mean tfsi?" in unknown("tsfi", LIBRARY, charged=True)
    assert "did you mean bf4?" in unknown("fb4", LIBRARY, charged=True)
    assert "did you mean" not in unknown("unobtainium", LIBRARY, charged=True)
    assert "is a salt: give its ions, emim and bf4" in unknown("[EMIm]BF4", LIBRARY, charged=True)
