"""Concentrations as the numbers of a box: laws of chemistry, and what a box cannot hold."""

from pathlib import Path
from typing import Any

import pytest

from ionmelt.liquid.ions import library
from ionmelt.liquid.settings import Liquid
from ionmelt.study.boxes import Box, describe_box
from ionmelt.study.reading import Problems

LIBRARY = library(Path(__file__).resolve().parents[3] / "assets")


def box_of(density: float = 1200, **fields: Any) -> Box:
    problems = Problems()
    liquid = Liquid(id="x", temperatures_K=(300,), density_guess_kg_m3=density, **fields)
    box = describe_box(liquid, (), LIBRARY, problems)
    assert box is not None and not problems.mistakes, problems.lines()
    assert sum(ion.charge * ion.count for ion in box.ions) == 0
    return box


def test_one_molal_has_a_mole_of_salt_in_a_kilogram() -> None:
    """Propylene carbonate weighs 102.089 g/mol (CRC Handbook): a kilogram is 9.795 mol."""
    box = box_of(composition={"molality": {"Na+": 1, "PF6-": 1}, "solvent": {"PC": 1}, "atoms": 3000})
    assert box.counts["na"] == box.counts["pf6"]
    assert box.counts["pc"] / box.counts["na"] == pytest.approx(9.795, rel=0.02)
    assert box.atoms == pytest.approx(3000, rel=0.15)


def test_one_molar_has_a_mole_of_salt_in_a_litre_of_the_density_given() -> None:
    """1 M LiPF6 (151.905 g/mol) in EC (88.062) and DMC (90.078), equal masses, at 1.28 g/cm3."""
    composition = {
        "molarity": {"li": 1, "pf6": 1}, "solvent": {"ec": 1, "dmc": 1}, "solvent_parts": "mass", "atoms": 6000,
    }  # fmt: skip
    box = box_of(density=1280, composition=composition)
    half = (1280 - 151.905) / 2
    wanted = {"li": 1, "pf6": 1, "ec": half / 88.062, "dmc": half / 90.078}
    for name, moles in wanted.items():
        assert box.counts[name] / box.counts["li"] == pytest.approx(moles, rel=0.03), name


def test_mole_fractions_of_three_ions_make_a_neutral_box() -> None:
    box = box_of(composition={"mole_fraction": {"li": 0.1, "[C2mim]+": 0.4, "TFSA": 0.5}, "atoms": 2000})
    total = sum(box.counts.values())
    assert {name: number / total for name, number in box.counts.items()} == pytest.approx(
        {"li": 0.1, "emim": 0.4, "tfsi": 0.5}, abs=0.01
    )


def test_a_divalent_ion_takes_two_of_the_others() -> None:
    box = box_of(composition={"molality": {"mg": 0.5, "tfsi": 1.0}, "solvent": {"dme": 1}, "atoms": 1500})
    assert box.counts["tfsi"] == 2 * box.counts["mg"]


def test_numbers_are_taken_as_they_are() -> None:
    fluoroethylene = {"smiles": "FC1COC(=O)O1", "count": 5}
    box = box_of(ions={"Li+": 2, "PF6": 2}, molecules={"Tetraglyme": 3, "fec": fluoroethylene})
    assert box.counts == {"li": 2, "pf6": 2, "g4": 3, "fec": 5}
    assert box.untyped == ["fec"]
    assert box.size == "8 molecules and 4 ions" and set(box.taken) == {
        ("ions", "Li+"),
        ("ions", "PF6"),
        ("molecules", "Tetraglyme"),
    }


def test_the_part_that_is_farthest_off_is_known() -> None:
    """One lithium in sixteen ions, where one in twenty is asked for: a quarter more; of a large box none is far off."""
    fractions = {"li": 0.05, "pyr14": 0.45, "tfsi": 0.5}
    small = box_of(composition={"mole_fraction": fractions, "atoms": 300})
    assert small.counts == {"li": 1, "pyr14": 7, "tfsi": 8}
    assert small.farthest == ("li", pytest.approx(0.25))
    large = box_of(composition={"mole_fraction": fractions, "atoms": 3000})
    assert abs(large.farthest[1]) < 0.05
    assert box_of(ions={"emim": 8, "bf4": 8}).farthest is None


def test_a_name_that_stands_for_another_ion_in_the_library_is_said() -> None:
    """`ntf2` is another name of TFSI; this one is BF4. What is TFSI may be called so."""
    for smiles, said in (("F[B-](F)(F)F", True), ("O=S(=O)([N-]S(=O)(=O)C(F)(F)F)C(F)(F)F", False)):
        box = box_of(ions={"emim": 8, "ntf2": {"smiles": smiles, "count": 8}})
        assert (
            any("is not that of tfsi, bis(trifluoromethanesulfonyl)imide" in words for words in box.taken.values())
            == said
        )


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"ions": {"emim": 8, "bf4": 8}}, "8 ion pairs"),
        ({"ions": {"li": 2, "emim": 6, "tfsi": 8}}, "8 ion pairs"),
        ({"ions": {"mg": 5, "cl": 10}}, "15 ions"),
        ({"molecules": {"dmc": 12}}, "12 molecules"),
        ({"ions": {"mg": 2, "tfsi": 4}, "molecules": {"g2": 4}}, "4 molecules and 6 ions"),
    ],
)
def test_ion_pairs_are_of_singly_charged_ions_alone(given: dict[str, Any], words: str) -> None:
    assert box_of(**given).size == words
