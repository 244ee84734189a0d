"""Unphysical frames are refused, counted and replaced."""

import numpy as np
import pytest
from ase.symbols import string2symbols
from breathing_salt import TETRAHEDRON, topology

from ionmelt.frame import make_frame
from ionmelt.frames import candidate
from ionmelt.frames.candidate import Candidate
from ionmelt.frames.counts import RecipeCount
from ionmelt.frames.refusal import refusal
from ionmelt.frames.sampling import collect
from ionmelt.topology import Topology, counted


def pair(distance_A: float, stretch: float = 1.0, edge: float = 12.0):
    """One Li at a distance from a fluorine of one BF4, along the bond."""
    ions = topology().ions
    top = Topology("libf4", [counted(ion, 1) for ion in ions])
    shape = TETRAHEDRON * stretch
    away = shape[1] / np.linalg.norm(shape[1])
    positions = np.vstack([shape[1] + away * distance_A, shape]) + 5
    numbers = np.array([3, 5, 9, 9, 9, 9])
    info = {"liquid": "libf4", "kind": "eq", "recipe": "equilibrium", "group": "g"}
    return make_frame(numbers, positions, np.full(3, edge), top.molecule, top.ion, **info), top


def test_refusals():
    assert refusal(*pair(1.85)) is None  # lithium and fluorine of LiBF4 are this close
    assert refusal(*pair(1.0)) == "contact"
    assert refusal(*pair(3.0, stretch=1.5)) == "bond"
    assert refusal(*pair(3.0, stretch=0.6)) == "bond"
    assert refusal(*pair(1.85, edge=3.2)) == "contact"  # with an image of itself


@pytest.mark.parametrize(
    ("cation", "charge", "anion", "least_A"),
    [
        ("Be", 2, "F", 1.40),  # least distances in melts: where the first peak of their pair distribution begins
        ("Al", 3, "F", 1.60),
        ("Al", 3, "Cl", 1.95),
        ("Zr", 4, "F", 1.80),
        ("Sr", 2, "F", 2.20),
        ("Ba", 2, "F", 2.30),
        ("Fe", 2, "Cl", 2.05),
        ("Mn", 2, "Cl", 2.15),
        ("U", 4, "F", 1.95),
        ("Lu", 3, "F", 1.95),
        ("Na", 1, "Cl", 2.30),
    ],
)
def test_a_metal_ion_may_be_as_near_to_an_anion_as_in_its_melts(
    cation: str, charge: int, anion: str, least_A: float
) -> None:
    ions = [
        {"name": name, "smiles": "", "charge": e, "count": 1, "types": None, "elements": [name], "masses_u": [1.0], "bonds": []}
        for name, e in ((cation, charge), (anion, -1))
    ]  # fmt: skip
    top = Topology("melt", ions)

    def at(distance_A: float):
        positions = np.array([[5.0, 5, 5], [5 + distance_A, 5, 5]])
        return make_frame(top.numbers, positions, np.full(3, 12.0), top.molecule, top.ion, liquid="melt")

    assert refusal(at(least_A), top) is None
    assert refusal(at(0.6 * least_A), top) == "contact"


def protic(own_A: float, other_A: float, donor: str = "N", acceptor: str = "O"):
    """A proton between its donor and an acceptor of another ion, in a line across the boundary of the box."""
    ions = [
        {"name": name, "smiles": "", "charge": charge, "count": 1, "types": None, "elements": elements,
         "masses_u": [1.0] * len(elements), "bonds": bonds}
        for name, charge, elements, bonds in (("dh", 1, [donor, "H"], [[0, 1]]), ("a", -1, [acceptor], []))
    ]  # fmt: skip
    top = Topology("protic", ions)
    positions = np.array([[11.0, 5, 5], [11 + own_A, 5, 5], [11 + own_A + other_A - 12, 5, 5]])
    info = {"liquid": "protic", "kind": "eq", "recipe": "models", "group": "g"}
    return make_frame(top.numbers, positions, np.full(3, 12.0), top.molecule, top.ion, **info), top


@pytest.mark.parametrize(
    ("own_A", "other_A", "atoms", "reason"),
    [
        (1.02, 1.8, "NO", None),
        (1.22, 1.28, "NO", None),  # shared
        (1.65, 1.0, "NO", None),  # hopped
        (3.5, 1.0, "NO", None),  # and carried away
        (1.9, 0.95, "NF", None),
        (2.0, 1.95, "NI", None),
        (1.9, 1.0, "ClO", None),
        (1.65, 1.5, "NO", "bond"),  # with none
        (1.65, 0.65, "NO", "bond"),  # nothing binds it so near
        (1.02, 1.2, "NO", "contact"),  # pressed, its own bond whole
        (1.7, 1.0, "CO", "bond"),  # carbon lets none go
        (1.65, 1.1, "NC", "bond"),
    ],
)
def test_a_proton_between_two_ions(own_A: float, other_A: float, atoms: str, reason: str | None) -> None:
    assert refusal(*protic(own_A, other_A, *string2symbols(atoms))) == reason


def test_refused_candidates_are_counted_and_replaced():
    frame, top = pair(1.85)
    good = Candidate(frame.positions, np.full(3, 12.0), "g")
    other = Candidate(frame.positions, np.full(3, 13.0), "g")
    contact = Candidate(pair(0.9)[0].positions, np.full(3, 12.0), "g")
    bond = Candidate(pair(3.0, stretch=1.6)[0].positions, np.full(3, 12.0), "g")
    endless = iter(lambda: contact, None)
    slots = [[good], [good, bond, other], [contact], endless]
    count = RecipeCount("libf4", "rattle", "neq", requested=4)
    frames = collect(count, slots, top, set())
    assert [frame.cell.lengths()[0] for frame in frames] == [12.0, 13.0]
    assert (count.refused_duplicate, count.refused_contact, count.refused_bond) == (1, 1 + candidate.TRIES, 1)
