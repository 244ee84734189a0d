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
        ("Py14", "pyr14"), ("Pyrr1,3", "pyr13"), ("1-butyl-1-methylpyrrolidin-1-ium", "pyr14"), ("[C1C4Im]+", "bmim"), ("EtMeIm+", "emim"),
        ("1-ethyl-3-methyl-1H-imidazol-3-ium", "emim"), ("Mg(II)", "mg"), ("calcium(II)", "ca"), ("Li(I)", "li"), ("1,2-DME", "dme"),
        ("ClO4−", "clo4"), ("perchlorate anion", "clo4"), ("I-", "i"), ("ODFB", "dfob"), ("difluoro(oxalato)borate", "dfob"),
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


@pytest.mark.parametrize(
    ("written", "ions"),
    [
        ("[EMIm]BF4", "emim and bf4"), ("EMIM:TFSI", "emim and tfsi"), ("EMIM/TFSI", "emim and tfsi"), ("Li+[TFSA]-", "li and tfsi"),
        ("[C4mpyr]⁺[FSI]⁻", "pyr14 and fsi"), ("BMIM PF6", "bmim and pf6"), ("MgCl2", "mg and cl"), ("Mg(TFSI)2", "mg and tfsi"),
        ("choline chloride", "cho and cl"), ("Ca(BF₄)₂", "ca and bf4"),
    ],
)  # fmt: skip
def test_a_salt_is_known_by_its_ions(written: str, ions: str) -> None:
    assert f"is a salt: give its ions, {ions}," in unknown(written, LIBRARY, charged=True)


def test_a_formula_that_no_salt_has_is_none() -> None:
    assert "is a salt" not in unknown("NaCl2", LIBRARY, charged=True)
