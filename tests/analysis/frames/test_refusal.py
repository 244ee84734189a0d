"""Unphysical frames are refused, counted and replaced."""

import numpy as np
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
