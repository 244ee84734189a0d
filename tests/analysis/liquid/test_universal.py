"""What Sage lacks: the shapes of ions are those of crystals, and a force field that spoils one is refused."""

from pathlib import Path

import numpy as np
import pytest

from ionmelt.errors import UserError
from ionmelt.liquid import mixed
from ionmelt.liquid.explicit import Terms
from ionmelt.liquid.forcefield import load_forcefield
from ionmelt.liquid.ions import library, resolve
from ionmelt.liquid.relaxed import relaxed
from ionmelt.liquid.shape import at_rest_A, check_shape
from ionmelt.topology import Ion

ASSETS = Path(__file__).resolve().parents[3] / "assets"
LIBRARY = library(ASSETS)
CLANDP = load_forcefield(ASSETS / "forcefields/clandp.yaml")


def molecule(smiles: str) -> Ion:
    return resolve({"name": "m", "smiles": smiles, "count": 2, "types": None, "hydrogen_types": None}, LIBRARY)


def typed(smiles: str) -> tuple[Ion, Terms]:
    ion = molecule(smiles)
    return ion, mixed.terms_of(ion, CLANDP, LIBRARY)


def shape_of(ion: Ion, terms: Terms) -> tuple[np.ndarray, np.ndarray]:
    """Return the lengths (A) of the bonds and the angles (degrees) of all pairs of them at its centre, which is no carbon."""
    positions = at_rest_A(ion, terms, relaxed(ion["smiles"], ion["charge"]).positions_A)
    bonds = np.array(ion["bonds"])
    centre = (np.bincount(bonds.ravel()) * (np.array(ion["elements"]) != "C")).argmax()
    ligands = bonds[(bonds == centre).any(axis=1)].sum(axis=1) - centre
    arms = positions[ligands] - positions[centre]
    lengths = np.linalg.norm(arms, axis=1)
    cosines = (arms @ arms.T / np.outer(lengths, lengths))[np.triu_indices(len(arms), 1)]
    return lengths, np.sort(np.degrees(np.arccos(np.clip(cosines, -1, 1))))


@pytest.mark.parametrize(
    ("smiles", "length_A", "angles_deg"),
    [
        ("[O-]Cl(=O)(=O)=O", 1.44, [109.5] * 6),  # perchlorate
        ("[O-]I(=O)(=O)=O", 1.78, [109.5] * 6),  # periodate
        ("F[Sb-](F)(F)(F)(F)F", 1.88, [90] * 12 + [180] * 3),
        ("F[As-](F)(F)(F)(F)F", 1.72, [90] * 12 + [180] * 3),
        ("FS(F)(F)(F)(F)F", 1.56, [90] * 12 + [180] * 3),
        ("F[Si-2](F)(F)(F)(F)F", 1.69, [90] * 12 + [180] * 3),
        ("I[I-]I", 2.92, [180]),
        ("O=C1C(=O)O[B-]2(O1)OC(=O)C(=O)O2", 1.47, [104.5] * 2 + [112] * 4),  # bis(oxalato)borate
        ("COB(OC)OC", 1.37, [120] * 3),  # trimethyl borate
    ],
)
def test_shapes_are_those_of_crystals(smiles: str, length_A: float, angles_deg: list[float]) -> None:
    lengths, angles = shape_of(*typed(smiles))
    assert lengths == pytest.approx([length_A] * len(lengths), abs=0.06)
    assert angles == pytest.approx(angles_deg, abs=4.0)


@pytest.mark.parametrize(
    "smiles", ["N#C[B-](C#N)(C#N)C#N", "F[B-]1(F)OC(=O)C(=O)O1", "F[P-]12(F)(OC(=O)C(=O)O1)OC(=O)C(=O)O2"]
)
def test_what_sage_has_of_a_molecule_is_kept_and_the_charge_is_whole(smiles: str) -> None:
    ion, terms = typed(smiles)
    assert sum(terms.charges_e) == pytest.approx(-1, abs=1e-6)
    kinds = {frozenset(ion["elements"][i] for i in (i, j)): length for i, j, length, _ in terms.bonds}
    partners = {frozenset("CN"): 0.116, frozenset("CO"): 0.1217}  # nm: nitrile and carbonyl or ester
    assert any(kinds.get(pair) == pytest.approx(length, abs=0.02) for pair, length in partners.items())


def test_a_force_field_that_spoils_the_shape_is_refused() -> None:
    ion, terms = typed("[O-]Cl(=O)(=O)=O")
    check_shape(ion, terms)
    longer = terms.model_copy(update={"bonds": [(i, j, length + 0.015, k) for i, j, length, k in terms.bonds]})
    with pytest.raises(UserError, match=r"m \(\S+\): its force field gives the bond \S+ 1\.5\d* A, GFN2-xTB 1\.4"):
        check_shape(ion, longer)
    bent = terms.model_copy(update={"angles": [(i, j, k, np.radians(80.0) if {i, k} == {0, 2} else theta, force)
                                               for i, j, k, theta, force in terms.angles]})  # fmt: skip
    with pytest.raises(UserError, match=r"gives the angle O-Cl-O \S+ degrees, GFN2-xTB 109"):
        check_shape(ion, bent)
