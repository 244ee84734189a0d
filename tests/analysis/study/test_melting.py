"""Where liquids melt: each name in the table is of the species that handbooks mean, told by its formula and its InChIKey."""

from pathlib import Path

from rdkit import Chem
from rdkit.Chem.rdMolDescriptors import CalcMolFormula

from ionmelt.liquid.ions import library
from ionmelt.study.melting import read_melting

ASSETS = Path(__file__).parents[3] / "assets"
# Formula, and the first block of the InChIKey, which says how the atoms are bonded; none where the formula leaves little choice.
SPECIES = {
    "alcl4": ("AlCl4-", None), "bf4": ("BF4-", None), "br": ("Br-", None), "ca": ("Ca+2", None), "cl": ("Cl-", None),
    "dca": ("C2N3-", None), "k": ("K+", None), "li": ("Li+", None), "mg": ("Mg+2", None), "na": ("Na+", None), "no3": ("NO3-", None),
    "pf6": ("F6P-", None), "scn": ("CNS-", None), "water": ("H2O", None), "ea": ("C2H8N+", None), "fsi": ("F2NO4S2-", None),
    "otf": ("CF3O3S-", "ITMCEJHCFYSIIV"), "tfsi": ("C2F6NO4S2-", None), "cho": ("C5H14NO+", "OEYIOHPDSNJKLS"),
    "emim": ("C6H11N2+", "NJMWOUFKYKNWDW"), "bmim": ("C8H15N2+", "IQQRAVYLUAZUGX"), "pyr11": ("C6H14N+", None),
    "pyr13": ("C8H18N+", "YQFWGCSKGJMGHE"), "pyr14": ("C9H20N+", "PXELHGDYRQLRQO"), "acn": ("C2H3N", "WEVYAHXRMPXWCK"),
    "dec": ("C5H10O3", "OIFBSDVPJOWBCH"), "dmc": ("C3H6O3", "IEJIGPNLZYLLBP"), "dme": ("C4H10O2", "XTHFKEDIFFGKHM"),
    "dmso": ("C2H6OS", "IAZDPXIOMUYVGZ"), "dol": ("C3H6O2", "WNXJIVFYUVYPPR"), "ec": ("C3H4O3", "KMTRUDSVKNLOMY"),
    "emc": ("C4H8O3", "JBTWLSYIZRCDFO"), "fec": ("C3H3FO3", "SBLRHMKNNHXPHG"), "g2": ("C6H14O3", "SBZXBUIDTXKZTM"),
    "g3": ("C8H18O4", "YFNKIDBQEZZDLK"), "g4": ("C10H22O5", "ZUHZGEOKBKGPSW"), "gbl": ("C4H6O2", "YEJRWHAVMIAJKC"),
    "pc": ("C4H6O3", "RUOJZAUFBMNUDX"), "sl": ("C4H8O2S", "HXJUTPCZVOIRIF"), "thf": ("C4H8O", "WYURNTSHIVDZCO"),
    "urea": ("CH4N2O", "XSQUKJJJFZCRTK"), "vc": ("C3H2O3", "VAYTZRYEBVHVLE"),
}  # fmt: skip


def test_each_name_is_the_species_that_handbooks_mean() -> None:
    species = library(ASSETS)
    names = {name for liquid in read_melting(ASSETS) for name, _ in liquid}
    assert names == set(SPECIES)
    for name, (formula, key) in SPECIES.items():
        molecule = Chem.MolFromSmiles(species[name]["smiles"])
        assert CalcMolFormula(molecule) == formula, name
        assert key is None or Chem.MolToInchiKey(molecule).startswith(f"{key}-"), (name, Chem.MolToInchiKey(molecule))


def test_each_liquid_is_neutral_and_boils_above_where_it_melts() -> None:
    species = library(ASSETS)
    for liquid, melting in read_melting(ASSETS).items():
        assert sum(count * species[name]["charge"] for name, count in liquid) == 0, liquid
        assert 100 < melting.low_K <= melting.high_K < (melting.boils_K or 3000), liquid
