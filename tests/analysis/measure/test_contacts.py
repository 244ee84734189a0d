"""Contacts from atoms to tables: a hand-made solution in which every number is known."""

import numpy as np
import pytest

from ionmelt.measure import contacts as ilc
from ionmelt.measure import surroundings
from ionmelt.measure.radial import FirstShell
from ionmelt.measure.structure import element_pairs
from ionmelt.tables.published import TABLES
from ionmelt.topology import Topology

EDGE = np.full(3, 40.0)
SHELL = FirstShell(2.0, 2.8, 0.02, 0.05, None)
FAR = FirstShell(4.0, 5.5, 0.02, 0.05, None)
NONE = FirstShell(float("nan"), float("nan"), float("nan"), float("nan"), "no first peak of g(r) within 10 A")


def ion(name: str, charge: int, count: int, elements: list[str]) -> dict:
    bonds = [[0, i] for i in range(1, len(elements))]
    given = {"name": name, "smiles": "", "charge": charge, "count": count, "types": None}
    return given | {"elements": elements, "masses_u": [10.0] * len(elements), "bonds": bonds}


def solution(anions: int = 3, lithium: int = 2) -> Topology:
    """Lithium and anions of a sulphur with two oxygens and a fluorine."""
    return Topology("toy", [ion("li", 1, lithium, ["Li"]), ion("so2f", -1, anions, ["S", "O", "O", "F"])])


def positions_of(topology: Topology, near: dict[tuple[int, int, int], bool], lithium: int = 2) -> np.ndarray:
    """Positions where oxygen ``k`` of anion ``j`` touches lithium ``i`` for every (i, j, k), and no other does."""
    x = np.zeros((len(topology), 3))
    x[:lithium] = [[10.0 * i, 1.0, 39.5] for i in range(lithium)]
    for j, start in enumerate(range(lithium, len(topology), 4)):
        x[start : start + 4] = [
            [5.0, 20.0 + 5 * j, 15.0],
            [6.0, 20.0 + 5 * j, 15],
            [4.0, 20.0 + 5 * j, 15],
            [5, 20 + 5 * j, 14],
        ]
    for i, j, k in near:
        angle = 2 * np.pi * (3 * j + k) / 9
        x[lithium + 4 * j + 1 + k] = (
            x[i] + 2.0 * np.array([np.cos(angle), np.sin(angle), 0.3])
        ) % 40.0  # across the boundary
    return x


def gathered(topology: Topology, frames: list[dict], first: dict[str, FirstShell]) -> ilc.Contacts:
    (contact,) = ilc.contacts(topology, first)
    for near in frames:
        contact.add(positions_of(topology, near)[None], EDGE[None])
    return contact


@pytest.mark.parametrize("few", [0, 3000, 10**6])
def test_near_pairs_are_those_of_all_images(few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ilc, "FEW", few)
    rng, edges = np.random.default_rng(5), np.array([[9.0, 11.0, 14.0], [9.1, 10.9, 14.0], [9.0, 11.1, 14.1]])
    a, b = rng.uniform(-20, 30, (3, 40, 3)).astype(np.float32), rng.uniform(-200, 300, (3, 70, 3))
    images = (np.array(list(np.ndindex(3, 3, 3))) - 1) * edges[:, None, None, None]
    way = np.mod(a.astype(float), edges[:, None])[:, :, None] - np.mod(b, edges[:, None])[:, None]
    far = np.linalg.norm(way[:, :, :, None] + images, axis=4).min(axis=3)
    frame, i, j, distance = ilc.near(a, b, edges, 4.2)
    expected = np.argwhere(far <= 4.2)
    assert len(expected) > 600
    np.testing.assert_array_equal(np.column_stack([frame, i, j]), expected)
    np.testing.assert_allclose(distance, far[far <= 4.2], rtol=1e-12)


def test_coordination_is_that_of_the_picture() -> None:
    """Li 0: one anion by two oxygens, another by one. Li 1: none. For half of the time anion 1 bridges to Li 1."""
    topology = solution()
    alone = {(0, 0, 0): True, (0, 0, 1): True, (0, 1, 0): True}
    bridged = alone | {(1, 1, 1): True}
    frames = [alone, bridged] * 40
    contact = gathered(topology, frames, {"Li-O": SHELL, "Li-F": FAR})
    assert contact.reason is None and len(contact.donors) == 6  # fluorine's first peak is no contact
    structure, coordination, _ = surroundings.rows(contact, 0.5)
    rows = {(r["quantity"], r.get("state")): r for r in coordination}
    assert rows["anions_per_cation", None]["value"] == pytest.approx((2 + 2 + 0 + 1) / 4)
    assert rows["donors_per_cation", None]["value"] == pytest.approx((3 + 3 + 0 + 1) / 4)
    assert rows["anions_per_cation_fraction", "2"]["value"] == pytest.approx(0.5)
    assert rows["anions_per_cation_fraction", "0"]["value"] == pytest.approx(0.25)
    assert rows["denticity_fraction", "bidentate"]["value"] == pytest.approx(2 / 5)
    assert rows["denticity_fraction", "monodentate"]["value"] == pytest.approx(3 / 5)
    assert rows["bridging_anion_fraction", None]["value"] == pytest.approx(1 / 4)
    assert rows["cations_per_cluster", None]["value"] == pytest.approx(1.5)
    assert rows["cations_per_cluster_fraction", "2"]["value"] == pytest.approx(0.5)
    assert rows["largest_cluster_fraction", None]["value"] == pytest.approx(0.75)
    for row in coordination:
        assert row["frames"] == 80 and row["interval_ps"] == 0.5 and row["pair"] == "li-so2f"
        assert row["converged"] is (row["reason"] is None)
        assert set(row) <= set(TABLES["coordination"])
    assert all(set(r) <= set(TABLES["structure"]) for r in structure)


def test_kinetics_are_those_of_the_picture() -> None:
    """An oxygen binds for 20 ps, then another anion's for 20 ps, and so on: lifetimes and rates are known."""
    topology = solution()
    frames = [
        {(0, 0, 0): True, (1, 2, 0): True} if t % 80 < 40 else {(0, 1, 0): True, (0, 2, 0): True} for t in range(1600)
    ]
    contact = gathered(topology, frames, {"Li-O": SHELL, "Li-F": FAR})
    structure, _, kinetics = surroundings.rows(contact, 0.5)
    rows = {(r["quantity"], r.get("state_from"), r.get("state_to")): r for r in kinetics}
    lifetime = rows["contact_lifetime", None, None]
    assert lifetime["value"] == pytest.approx(20, rel=0.03) and lifetime["unit"] == "ps"
    assert lifetime["ci95_low"] < 20 < lifetime["ci95_high"] and lifetime["events"] == pytest.approx(78, abs=3)
    # a contact at hand goes on for half of its length
    assert rows["residence_time_continuous", None, None]["value"] == pytest.approx(10, rel=0.1)
    # Li 0 has one anion for 20 ps, then two for 20 ps; Li 1 one, then none
    rate = rows["transition_rate", "1 anion", "2 anions"]
    assert rate["unit"] == "1/ns" and rate["value"] == pytest.approx(1000 / 20 / 2, rel=0.05)
    assert rows["transition_rate", "2 anions", "1 anion"]["value"] == pytest.approx(1000 / 20, rel=0.06)
    assert rows["transition_rate", "1 donor", "2 donors"]["value"] == pytest.approx(1000 / 20 / 2, rel=0.05)
    for row in kinetics:
        assert row["tolerance_ps"] == 1.0 and row["interval_ps"] == 0.5
        assert set(row) <= set(TABLES["kinetics"])
    kept = [r for r in structure if r["quantity"] == "survival_residence_time_continuous"]
    assert kept[0]["lag_ps"] == 0 and kept[0]["value"] == 1
    assert kept[-1]["value"] == pytest.approx(0, abs=1e-9)


def test_breaks_shorter_than_the_tolerance_do_not_count() -> None:
    topology = solution()
    frames = [{(0, 0, 0): True} if t % 10 else {} for t in range(400)]
    contact = gathered(topology, frames, {"Li-O": SHELL})
    rows = {r["quantity"]: r for r in surroundings.rows(contact, 0.5)[2]}
    assert rows["contact_lifetime"]["value"] is None and rows["contact_lifetime"]["events"] == 0
    assert "longer than the run" in rows["contact_lifetime"]["reason"]
    assert rows["contact_lifetime"]["ci95_low"] > 60
    assert rows["residence_time_continuous"]["value"] is None
    assert "longer than the run" in rows["residence_time_continuous"]["reason"]


def test_chance_counts_every_cation_of_the_box() -> None:
    """Of four lithium ions one holds the anion for half of the run, another for the other half: 1 pair in 4 is in contact."""
    topology = solution(anions=1, lithium=4)
    contact = ilc.contacts(topology, {"Li-O": SHELL, "Li-F": FAR})[0]
    for t in range(200):
        contact.add(positions_of(topology, {(t // 100, 0, 0): True}, lithium=4)[None], EDGE[None])
    rows, _, _ = surroundings.rows(contact, 0.5)
    seen = {r["lag_ps"]: r["value"] for r in rows if r["quantity"] == "survival_residence_time_intermittent"}
    lag = max(seen)  # half of the run: whoever holds the anion will not then
    assert lag == 50 and seen[lag] == pytest.approx((0 - 1 / 4) / (1 - 1 / 4))


def test_ions_of_several_atoms_meet_by_their_centres() -> None:
    topology = Topology("toy", [ion("an", -1, 2, ["O", "O"]), ion("cat", 1, 2, ["C", "N"]), ion("br", -1, 1, ["Br"])])
    first = {"an-cat": FAR, "cat-br": FAR}
    contacts = ilc.contacts(topology, first)
    assert [c.pair for c in contacts] == ["cat-an", "cat-br", "cat-anions"] and all(c.centres for c in contacts)
    centres = np.array([[1.0, 1, 1], [20, 20, 20], [39, 1, 1], [30, 30, 30], [1, 39, 1]])  # of an, an, cat, cat, br
    for c in contacts:
        c.add(np.tile(centres, (20, 1, 1)), np.tile(EDGE, (20, 1)))
        _, coordination, _ = surroundings.rows(c, 1.0)
        rows = {(r["quantity"], r.get("state")): r for r in coordination}
        mean = {"cat-an": 0.5, "cat-br": 0.5, "cat-anions": 1.0}[c.pair]
        assert rows["anions_per_cation", None]["value"] == pytest.approx(mean)
        assert not any(key[0] == "denticity_fraction" for key in rows)


def test_centres_without_a_first_minimum_have_a_reason_and_the_others_their_cut_off() -> None:
    topology = Topology("toy", [ion("an", -1, 2, ["O", "O"]), ion("cat", 1, 2, ["C", "N"]), ion("br", -1, 1, ["Br"])])
    first, second, both = ilc.contacts(topology, {"an-cat": NONE})
    assert first.reason == "cat-an: no first peak of g(r) within 10 A"
    assert second.reason == "cat-br: no g(r)"
    assert both.reason == f"{first.reason}; {second.reason}"
    assert [len(c.donors) for c in (first, second, both)] == [0, 0, 0]
    near, far, _ = ilc.contacts(topology, {"an-cat": SHELL, "cat-br": FAR})
    assert near.reason is None and near.cuts_A.tolist() == [2.8, 2.8] and far.cuts_A.tolist() == [5.5]


def test_each_donor_has_the_cut_off_of_its_element() -> None:
    """2.5 A is a contact with fluorine, whose first minimum is at 2.8 A, and none with oxygen, whose is at 2.3 A."""
    near = FirstShell(1.9, 2.3, 0.02, 0.05, None)
    (contact,) = ilc.contacts(solution(anions=1, lithium=1), {"Li-O": near, "Li-F": SHELL})
    assert contact.cuts_A.tolist() == [2.3, 2.3, 2.8]
    for oxygen_A, fluorine_A in ((2.5, 2.5), (2.2, 2.9)):
        x = np.array([[20.0, 20, 20], [10, 10, 10], [20 + oxygen_A, 20, 20], [30, 10, 10], [20, 20 + fluorine_A, 20]])
        contact.add(x[None], EDGE[None])
    assert [donors.tolist() for donors in contact.donor] == [[2], [0]]


@pytest.mark.parametrize(("metal", "charge"), [("Mg", 2), ("Zn", 2), ("Al", 3), ("Rb", 1)])
@pytest.mark.parametrize("anion", ["Br", "I", "S"])
def test_any_metal_has_its_contacts_with_any_donor(metal: str, charge: int, anion: str) -> None:
    topology = Topology("toy", [ion("m", charge, 4, [metal]), ion("x", -1, 4 * charge, [anion])])
    metals, donors = element_pairs(topology)[f"{metal}-{anion}"]
    assert metals.tolist() == list(range(4)) and donors.tolist() == list(range(4, 4 + 4 * charge))
    (contact,) = ilc.contacts(topology, {f"{metal}-{anion}": SHELL})
    assert contact.reason is None and contact.donors.tolist() == donors.tolist()


def test_the_centre_of_an_oxyanion_is_no_donor() -> None:
    """Its oxygens are: a nitrogen or sulphur beneath them is as near to sodium as a donor would be."""
    nitrate, thiocyanate = ion("no3", -1, 1, ["N", "O", "O", "O"]), ion("scn", -1, 1, ["C", "S", "N"])
    topology = Topology(
        "toy", [ion("na", 1, 2, ["Na"]), nitrate, thiocyanate, ion("so2f", -1, 1, ["S", "O", "O", "F"])]
    )
    for pair, seen in {"na-no3": "OOO", "na-scn": "SN", "na-so2f": "OOF"}.items():
        first = dict.fromkeys(element_pairs(topology), SHELL)
        (contact,) = [c for c in ilc.contacts(topology, first) if c.pair == pair]
        assert "".join(topology.elements[contact.donors]) == seen
    assert sorted(element_pairs(topology)) == ["Na-F", "Na-N", "Na-O", "Na-S"]
    assert topology.elements[element_pairs(topology)["Na-S"][1]].tolist() == ["S"]


def test_contacts_that_cannot_be_told_leave_no_count_of_the_others() -> None:
    """Oxygen touches lithium, and no minimum says how far: by fluorine alone there would seem to be fewer anions than there are."""
    nan = float("nan")
    open_ended = FirstShell(2.0, nan, nan, nan, "no first minimum of g(r) within 3 A")
    contact = gathered(solution(), [{(0, 0, 0): True}] * 20, {"Li-O": open_ended, "Li-F": SHELL})
    assert contact.reason == "Li-O: no first minimum of g(r) within 3 A"
    _, (row,), _ = surroundings.rows(contact, 0.5)
    assert (row["quantity"], row["value"], row["converged"]) == ("anions_per_cation", None, False)
    far = FirstShell(4.0, nan, nan, nan, "no first minimum of g(r) within 5 A")
    assert gathered(solution(), [], {"Li-O": SHELL, "Li-F": far}).reason is None  # what does not touch is not missed


def test_without_a_first_minimum_there_is_a_reason() -> None:
    topology = solution()
    for first, why in (
        (
            {"Li-O": NONE, "Li-F": FAR},
            "Li-O: no first peak of g(r) within 10 A; Li-F: the first peak, 4.00 A, is no contact",
        ),
        ({}, "no donor atoms"),
        ({"Li-N": NONE}, "no donor atoms"),  # nitrogen is of another ion
    ):
        contact = gathered(topology, [{}] * 5, first)
        structure, coordination, kinetics = surroundings.rows(contact, 1.0)
        assert structure == [] and [r["reason"] for r in coordination] == [why]
        assert {r["reason"] for r in kinetics} == {why} and len(kinetics) == 3


@pytest.mark.parametrize("frames", [1, 2, 7, 20])
@pytest.mark.parametrize("near", [{}, {(0, 0, 0): True, (1, 0, 1): True}])
def test_few_frames_give_reasons(frames: int, near: dict) -> None:
    contact = gathered(solution(), [near] * frames, {"Li-O": SHELL})
    _, coordination, kinetics = surroundings.rows(contact, 1.0)
    assert coordination and kinetics
    assert all(r["reason"] and not r["converged"] for r in coordination + kinetics)
    if near and frames > 1:
        (cluster,) = [r for r in kinetics if r["quantity"] == "cluster_lifetime_continuous"]
        assert cluster["reason"].startswith("one cluster holds every cation")


def test_a_liquid_of_one_kind_of_charge_has_no_pairs() -> None:
    assert ilc.contacts(Topology("toy", [ion("li", 1, 3, ["Li"])]), {}) == []


def test_a_molecule_without_charge_is_around_cations_and_has_nothing_around_it() -> None:
    topology = Topology("toy", [ion("water", 0, 2, ["O", "H", "H"]), *solution().ions])
    assert [contact.pair for contact in ilc.contacts(topology, {})] == ["li-so2f", "li-water"]


@pytest.mark.parametrize(("cation", "anion"), [(["Na"], ["C", "N"]), (["C", "N"], ["Cl"])])
def test_atoms_meet_donors_and_molecules_centres_by_what_the_cation_is(cation: list[str], anion: list[str]) -> None:
    """Whichever ion is listed first."""
    both = [ion("a", -1, 1, anion), ion("c", 1, 1, cation)]
    for ions in (both, both[::-1]):
        (contact,) = ilc.contacts(Topology("toy", ions), {})
        assert contact.centres == (len(cation) > 1)


def test_the_stride_bounds_what_is_kept() -> None:
    assert ilc.stride(100, solution()) == 1
    assert ilc.stride(10**5, solution()) == 25
    assert ilc.stride(8000, solution(lithium=1000)) == 40
    assert ilc.stride(8000, solution(anions=1000)) == 2  # ions that are no cations do not count
    water = [ion("water", 0, 1000, ["O", "H", "H"])]
    assert ilc.stride(8000, Topology("toy", solution().ions + water)) == 2
