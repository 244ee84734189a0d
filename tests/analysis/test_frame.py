"""The frame contract: identifiers and labels survive a file, and a breach is named."""

import hashlib
import re
import struct

import ase.io
import numpy as np
import pytest
from ase import Atoms

from ionmelt import frame_file
from ionmelt.errors import UserError
from ionmelt.frame import (
    density_kg_m3,
    evenly,
    frame_id,
    label_problem,
    make_frame,
    no_label,
    overlaps,
    set_label,
    shown,
    values_problem,
    virial_stress,
)
from ionmelt.frames.choice import unlabelled


def frame(seed: int = 0, **info) -> Atoms:
    rng = np.random.default_rng(seed)
    info = {"liquid": "libf4", "kind": "eq", "recipe": "equilibrium", "group": "libf4-430K-r1-eq-0"} | info
    return make_frame(
        np.array([3, 5, 9, 9, 9, 9]), rng.uniform(-3, 9, (6, 3)), np.array([6.1, 6.2, 6.3 + 1e-9]),
        np.array([0, 1, 1, 1, 1, 1]), ["li"] + ["bf4"] * 5, **info,
    )  # fmt: skip


def labelled(seed: int = 0) -> Atoms:
    atoms = frame(seed)
    rng = np.random.default_rng(seed + 100)
    forces = rng.normal(size=(6, 3))
    stress = rng.normal(size=(3, 3)) / 100
    set_label(atoms, rng.normal() * 1000, forces - forces.mean(axis=0), stress + stress.T, "0123456789ab", True, 12)
    return atoms


def test_round_trip_is_exact(tmp_path):
    frames = [labelled(seed) for seed in range(3)] + [frame(9, kind="neq", scan_scale=1.05), frame(8, kind="active")]
    frame_file.write_frames(tmp_path / "a.extxyz", frames)
    again = frame_file.read_frames(tmp_path / "a.extxyz")
    frame_file.write_frames(tmp_path / "b.extxyz", again)
    assert (tmp_path / "a.extxyz").read_bytes() == (tmp_path / "b.extxyz").read_bytes()
    for one, two in zip(frames, again, strict=True):
        assert frame_id(two) == one.info["frame_id"] == two.info["frame_id"]
        assert one.info.keys() == two.info.keys()
        assert np.array_equal(one.positions, two.positions)
        assert np.array_equal(one.cell.array, two.cell.array)
        assert np.array_equal(one.arrays["ion"], two.arrays["ion"])
        assert np.array_equal(one.arrays["molecule"], two.arrays["molecule"])
        if "REF_energy" in one.info:
            assert two.info["REF_energy"] == one.info["REF_energy"]
            assert np.array_equal(two.info["REF_stress"], one.info["REF_stress"])
            assert np.array_equal(two.arrays["REF_forces"], one.arrays["REF_forces"])
            assert two.info["converged"] is True
            assert two.info["scf_steps"] == 12
    assert again[3].info["scan_scale"] == 1.05


def test_a_frame_without_its_label_is_the_frame_that_there_was() -> None:
    bare, before = unlabelled(labelled()), frame()
    assert bare.info == before.info
    assert bare.arrays.keys() == before.arrays.keys()


def test_a_label_without_stress_is_a_label(tmp_path):
    atoms = labelled()
    del atoms.info["REF_stress"]
    assert label_problem(atoms) is None
    path = tmp_path / "frames.extxyz"
    frame_file.write_frames(path, [labelled(1), atoms])
    first, second = frame_file.read_frames(path, labelled=True)
    assert "REF_stress" in first.info
    assert "REF_stress" not in second.info
    np.testing.assert_array_equal(second.arrays["REF_forces"], atoms.arrays["REF_forces"])


def test_a_new_label_leaves_nothing_of_the_one_before():
    atoms = labelled()
    set_label(atoms, -5.0, np.zeros((6, 3)), None, "ba9876543210", True, None)
    assert atoms.info == frame().info | {"REF_energy": -5.0, "theory_id": "ba9876543210", "converged": True}
    none = no_label("scf_not_converged", scf_steps=50)
    assert (none.converged, none.reason, none.scf_steps, none.energy_ev) == (False, "scf_not_converged", 50, None)


def test_plain_ase_reads_the_label_and_no_calculator(tmp_path):
    frame_file.write_frames(tmp_path / "a.extxyz", [labelled()])
    atoms = ase.io.read(tmp_path / "a.extxyz")
    assert atoms.calc is None
    assert atoms.info["REF_energy"] == labelled().info["REF_energy"]
    assert np.allclose(np.reshape(atoms.info["REF_stress"], (3, 3)), labelled().info["REF_stress"], atol=0)


@pytest.mark.parametrize("text", ["12345678901234", "1234e5", "T", "true", "inf"])
def test_identifiers_that_look_like_numbers_stay_text(tmp_path, text):
    atoms = labelled()
    atoms.info["group"] = atoms.info["theory_id"] = text
    frame_file.write_frames(tmp_path / "a.extxyz", [atoms])
    again = frame_file.read_frames(tmp_path / "a.extxyz")[0]
    assert again.info["group"] == text
    assert again.info["theory_id"] == text


def test_frame_id_is_a_hash_of_whole_numbers() -> None:
    """Species, positions and cell in 1e-6 A, as eight bytes each; no zero of a frame has a sign, which would be printed."""
    atoms = make_frame(np.array([3]), np.array([[-1e-9, 1.5, -2.25]]), np.array([6, 7, 8]), np.array([0]), ["li"])
    whole = [3, 0, 1_500_000, -2_250_000, 6_000_000, 0, 0, 0, 7_000_000, 0, 0, 0, 8_000_000]
    assert atoms.info["frame_id"] == hashlib.sha256(struct.pack("<13q", *whole)).hexdigest()[:16]
    assert not np.signbit(atoms.positions[0, 0])


def test_a_left_handed_cell_is_turned_to_the_right_hand() -> None:
    """Its lattice is the same. DeePMD-kit counts its images by a signed volume: it sees none in a left-handed cell."""
    vectors = np.array([[0.0, 5, 0], [6, 1, 0], [0, 0, 7]])
    positions = np.array([[0.5, 0.5, 0.5], [5.5, 4, 6]])
    given = Atoms("LiF", positions, cell=vectors, pbc=True)
    atoms = make_frame(given.numbers, positions, vectors, np.arange(2), ["li", "f"])
    assert np.linalg.det(vectors) < 0 < np.linalg.det(atoms.cell.array)
    assert atoms.get_distance(0, 1, mic=True) == pytest.approx(given.get_distance(0, 1, mic=True))
    np.testing.assert_array_equal(atoms.positions, positions)


def test_frame_id_sees_structure_and_only_structure():
    atoms = frame()
    same = labelled()
    assert frame_id(atoms) == frame_id(same)
    for off_A in (1e-8, 3.9e-7):  # of positions that are whole millionths of an angstrom
        same.positions += off_A
        assert frame_id(atoms) == frame_id(same)
    ids = {frame_id(atoms)}
    for change in ("positions", "cell", "species"):
        other = atoms.copy()
        if change == "positions":
            other.positions[0, 0] += 2e-6
        elif change == "cell":
            other.set_cell(other.cell.array * 1.0001)
        else:
            other.numbers[0] = 11
        ids.add(frame_id(other))
    assert len(ids) == 4


def broken(reason: str) -> Atoms:
    atoms = labelled()
    if reason == "missing":
        del atoms.info["REF_energy"]
    elif reason == "scf_not_converged":
        atoms.info["converged"] = False
    elif reason == "shape":
        atoms.info["REF_stress"] = np.zeros(6)
    elif reason == "non_finite":
        atoms.arrays["REF_forces"][2, 1] = np.nan
    elif reason == "force_too_large":
        atoms.arrays["REF_forces"][0] += 60.0
        atoms.arrays["REF_forces"][1] -= 60.0
    elif reason == "net_force":
        atoms.arrays["REF_forces"][0] += 0.1
    elif reason == "stress_asymmetric":
        atoms.info["REF_stress"][0, 1] += 0.01
    return atoms


@pytest.mark.parametrize(
    ("reason", "limit"), [("force_too_large", 50.0), ("net_force", 0.05 * 6**0.5), ("stress_asymmetric", 1e-4)]
)
def test_a_label_is_refused_from_its_limit_on(reason: str, limit: float) -> None:
    """One force of so many eV/A, so much in all on six atoms, eV/A^3 between the sides of the stress."""
    for factor, expected in ((0.999, None), (1.001, reason)):
        forces, stress = np.zeros((6, 3)), np.zeros((3, 3))
        push = factor * limit * np.array([0.6, 0.0, 0.8])
        if reason == "stress_asymmetric":
            stress[2, 0] = factor * limit
        else:
            forces[1] += push
            forces[4] -= push if reason == "force_too_large" else 0
        assert values_problem(-1.0, forces, stress, 6) == expected


def test_shapes_of_a_label_are_those_of_its_atoms() -> None:
    good = np.array(-1.0), np.zeros((6, 3)), np.zeros((3, 3))
    assert values_problem(*good, 6) is None
    for index, bad in ((0, np.zeros(1)), (1, np.zeros((5, 3))), (1, np.zeros((6, 2))), (2, np.zeros(9))):
        assert values_problem(*(bad if i == index else value for i, value in enumerate(good)), 6) == "shape"
    for index in range(3):
        for bad in (np.full(good[index].shape, np.inf), good[index].astype(bool), good[index].astype(str)):
            changed = [bad if i == index else value for i, value in enumerate(good)]
            assert values_problem(*changed, 6) == "non_finite"
    assert values_problem(-1.0, np.zeros((0, 3)), None, 0) is None  # without an atom no force is too large


def test_a_calculator_is_shown_the_names_of_liquid_and_ions_and_no_label() -> None:
    """An ion alone has no images, and its charge on one atom; atoms of no liquid can be shown, too."""
    box = shown(labelled())
    np.testing.assert_array_equal(box.cell.array, frame().cell.array)
    assert (box.info["liquid"], box.arrays["ion"].tolist()) == ("libf4", ["li"] + ["bf4"] * 5)
    assert box.arrays["molecule"].tolist() == [0, 1, 1, 1, 1, 1]
    assert box.pbc.all() and not box.get_initial_charges().any()
    assert not [name for name in (*box.info, *box.arrays) if name.startswith("REF_")]
    anion = shown(frame(charge=-1))
    assert (box.info["charge"], anion.info["charge"]) == (0, -1)
    assert not anion.pbc.any() and anion.get_initial_charges().tolist() == [-1, 0, 0, 0, 0, 0]
    assert "liquid" not in shown(Atoms("Li", cell=[9, 9, 9], pbc=True)).info


def test_a_density_is_a_mass_in_a_volume() -> None:
    """Four water molecules in 120 A^3: 4 * 18.015 u / 120 A^3, 1.66054 g/cm3 for 1 u/A^3."""
    water = Atoms("OH2" * 4, positions=np.random.default_rng(1).uniform(0, 4, (12, 3)), cell=[4, 5, 6], pbc=True)
    assert density_kg_m3(water) == pytest.approx(4 * 18.015 / 120 * 1660.539, rel=1e-5)


def test_the_stress_of_atoms_without_images_is_the_slope_of_their_energy() -> None:
    """Of springs to their common centre, by strains of both signs: dE/d(strain) over the volume."""
    rng = np.random.default_rng(2)
    atoms = Atoms("Li4", positions=rng.normal(size=(4, 3)), cell=[9, 10, 11])

    def energy(positions: np.ndarray) -> float:
        return 0.7 * float(((positions - positions.mean(axis=0)) ** 2).sum() ** 1.5)

    size = float(((atoms.positions - atoms.positions.mean(axis=0)) ** 2).sum())
    forces = -0.7 * 3.0 * size**0.5 * (atoms.positions - atoms.positions.mean(axis=0))
    stress = virial_stress(atoms, forces)
    for a, b in ((0, 0), (1, 1), (0, 1), (2, 1)):
        strain = np.zeros((3, 3))
        strain[a, b] = strain[b, a] = 1e-5
        moved = [energy(atoms.positions @ (np.eye(3) + sign * strain)) for sign in (1, -1)]
        slope = (moved[0] - moved[1]) / 2e-5 / (1 if a == b else 2)
        assert stress[a, b] == pytest.approx(slope / 990.0, rel=1e-6)
    np.testing.assert_array_equal(stress, stress.T)
    # a force that all atoms have alike, as the grid of an engine leaves one, strains nothing
    np.testing.assert_allclose(virial_stress(atoms, forces + np.array([0.1, -0.3, 0.2])), stress, atol=1e-12)


def test_frames_are_taken_evenly_with_both_ends() -> None:
    frames = [frame(number) for number in range(9)]
    assert [frames.index(one) for one in evenly(frames, 3)] == [0, 4, 8]
    assert evenly(frames, 20) == frames


@pytest.mark.parametrize("reason", sorted(frame_file.LABEL_BREACHES))
def test_a_broken_label_is_named(tmp_path, reason):
    assert label_problem(labelled()) is None
    assert label_problem(broken(reason)) == reason
    path = tmp_path / "bad.extxyz"
    frame_file.write_frames(path, [labelled(1), broken(reason)])
    frame_file.read_frames(path)
    with pytest.raises(UserError) as caught:
        frame_file.read_frames(path, labelled=True)
    assert len(caught.value.errors) == 1
    assert caught.value.errors[0].startswith(f"{path}: frame 1: ")


def test_a_frame_that_does_not_say_that_its_scf_converged_has_no_label():
    atoms = labelled()
    del atoms.info["converged"]
    assert label_problem(atoms) == "scf_not_converged"


@pytest.mark.parametrize("key", ["frame_id", "liquid", "kind", "recipe", "group"])
def test_what_a_frame_must_say_is_named_where_it_is_missing(tmp_path, key: str) -> None:
    bad = frame(2)
    del bad.info[key]
    frame_file.write_frames(tmp_path / "bad.extxyz", [frame(1), bad])
    with pytest.raises(UserError, match=f"frame 1: info {key} is missing"):
        frame_file.read_frames(tmp_path / "bad.extxyz")


def test_a_breach_of_the_contract_is_named(tmp_path):
    path = tmp_path / "bad.extxyz"
    bad = frame(2)
    bad.info["frame_id"] = "0" * 16
    bad.info["kind"] = "other"
    del bad.info["group"]
    frame_file.write_frames(path, [frame(1), bad])
    with pytest.raises(UserError) as caught:
        frame_file.read_frames(path)
    lines = "\n".join(caught.value.errors)
    assert "frame 1: info frame_id" in lines
    assert "frame 1: info kind is 'other'" in lines
    assert "frame 1: info group is missing" in lines
    assert len(caught.value.errors) == 3


@pytest.mark.parametrize("text", ["\n", "not a number\n\n", '6\nLattice="1 0 0"\nLi 0 0 0\n', "2\n\nLi 0 0 0\nLi 0\n"])
def test_an_unreadable_file_is_one_line(tmp_path, text):
    path = tmp_path / "bad.extxyz"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        frame_file.read_frames(path)
    assert len(caught.value.errors) == 1
    assert str(path) in caught.value.errors[0]
    with pytest.raises(UserError, match=r"absent\.extxyz: no such file$"):
        frame_file.read_frames(tmp_path / "absent.extxyz")


def test_no_frames_are_an_empty_file(tmp_path):
    frame_file.write_frames(tmp_path / "none.extxyz", [])
    assert frame_file.read_frames(tmp_path / "none.extxyz", may_be_empty=True) == []


def test_an_empty_file_is_refused_where_frames_must_be(tmp_path):
    (tmp_path / "lost.extxyz").write_bytes(b"")
    with pytest.raises(UserError, match=r"lost\.extxyz: no frames"):
        frame_file.read_frames(tmp_path / "lost.extxyz")


def test_appending_is_writing(tmp_path):
    frames = [labelled(seed) for seed in range(3)]
    frame_file.write_frames(tmp_path / "a.extxyz", frames)
    frame_file.write_frames(tmp_path / "b.extxyz", [])
    for chunk in (frames[:1], frames[1:]):
        frame_file.write_frames(tmp_path / "b.extxyz", chunk, append=True)
    frame_file.seal_frames(tmp_path / "b.extxyz")
    assert (tmp_path / "a.extxyz").read_bytes() == (tmp_path / "b.extxyz").read_bytes()


LOSSES = {
    "a frame": lambda text: "".join(text.splitlines(keepends=True)[: -int(text.split()[0]) - 2]),
    "a digit of a force": lambda text: text[:-3] + str((int(text[-3]) + 1) % 10) + text[-2:],
    "a frame twice": lambda text: text + text,
    "the name of a group": lambda text: text.replace("group=", "group=x", 1),
}


@pytest.mark.parametrize("loss", LOSSES)
def test_what_is_lost_or_altered_is_noticed(tmp_path, loss):
    path = tmp_path / "a.extxyz"
    frame_file.write_frames(path, [labelled(seed) for seed in range(3)])
    frame_file.read_frames(path, labelled=True)
    text = path.read_text()
    path.write_text(LOSSES[loss](text))
    assert path.read_text() != text
    with pytest.raises(UserError, match="not as it was written"):
        frame_file.read_frames(path, labelled=True)
    path.write_text(re.sub(" file_sha256=[0-9a-f]{16}", "", path.read_text()))  # altered on purpose
    frame_file.read_frames(path, labelled=True)


def test_overlap_is_seen_across_the_boundary():
    atoms = Atoms("HO", [[0.05, 5, 5], [9.9, 5, 5]], cell=[10, 10, 10], pbc=True)
    assert overlaps(atoms)
    atoms.positions[0, 0] = 0.9
    assert not overlaps(atoms)


@pytest.mark.parametrize("sealed", [True, False])
def test_a_truncated_file_is_refused(tmp_path, sealed):
    """By its seal, which stands in the second line; without one as well, but where the first frame alone is a whole file."""
    path = tmp_path / "a.extxyz"
    frame_file.write_frames(path, [labelled(1), labelled(2)])
    text = path.read_text()
    lines = (text if sealed else re.sub(" file_sha256=[0-9a-f]{16}", "", text)).splitlines()
    for cut in range(1, 16):
        path.write_text("\n".join(lines[:cut]) + "\n")
        if cut == 8 and not sealed:
            assert len(frame_file.read_frames(path, labelled=True)) == 1
            continue
        with pytest.raises(UserError, match=r"a\.extxyz: ") as caught:
            frame_file.read_frames(path, labelled=True)
        assert len(caught.value.errors) == 1
        assert ("not as it was written" in caught.value.errors[0]) is (sealed and cut > 1)
