"""IMPORT_LABELS: foreign frames come out as ours would, and whatever is wrong with them is one row or one line.

The frames are LiBF4 with GFN1-xTB labels, so that energy, forces and stress belong together, written out again
with other names, units, signs and orders of atoms.
"""

import json
import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from ase import Atoms
from ase.units import Bohr, GPa, Hartree, Rydberg
from effort import examples
from foreign_labels import LIF, Run, assert_same, free_atom, shown, text_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ionmelt.frame import FORCES_KEY, frame_id
from ionmelt.labels.reference_energies import reference_energies


def test_our_own_frames_come_back_as_they_were(run: Run, frames: list[Atoms]) -> None:
    text = "".join(text_of(frame, info=f"kind=eq recipe=eq group={frame.info['group']}") for frame in frames)
    code, lines, table, got = run({"a.xyz": text})
    assert code == 0, lines
    for mine, frame in zip(got, frames, strict=True):
        assert_same(mine, frame)
        assert mine.info["frame_id"] == frame.info["frame_id"]
        assert {key: mine.info[key] for key in ("liquid", "kind", "recipe", "group", "theory_id")} == {
            key: frame.info[key] for key in ("liquid", "kind", "recipe", "group", "theory_id")
        }
    assert table is not None
    assert table["converged"].all()
    assert any("energy in eV (20 of 20 frames)" in line and "positive is tension" in line for line in lines)
    assert any("times the work of the forces and stress" in line for line in lines)


def lithium_fluoride(length: float, energy: float) -> str:
    """Return frames of eight ions that move a little, in units of length and energy that are so many A and eV."""
    corners = np.array([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)])
    names = np.where(corners.sum(axis=1) % 2, "F", "Li")
    places = 2.0 * corners
    text = ""
    for step in range(6):
        at = places + 0.1 * np.sin(step + 1) * np.array([1.0, 0.0, 0.0]) * (corners[:, :1] - 0.5)
        forces = -5.0 * (at - places)  # of springs
        total = 2.5 * float(np.sum((at - places) ** 2)) - 100.0
        edge = 4.0 / length
        text += f'8\nLattice="{edge} 0 0 0 {edge} 0 0 0 {edge}" Properties=species:S:1:pos:R:3:forces:R:3 energy={total / energy:.10f}\n'
        for name, row in zip(names, np.hstack([at / length, forces * length / energy]), strict=True):
            text += f"{name} " + " ".join(f"{x:.10f}" for x in row) + "\n"
    return text


def test_frames_in_atomic_units_throughout_are_refused(run: Run) -> None:
    """The work of the forces is the change of the energy there, too, and a salt of single atoms has no bonds to tell."""
    liquids = [LIF | {"ions": [one | {"count": 4} for one in LIF["ions"]]}]
    code, lines, _, _ = run({"a.xyz": lithium_fluoride(1.0, 1.0)}, liquids=liquids)
    assert code == 0, lines
    code, lines, _, _ = run({"a.xyz": lithium_fluoride(Bohr, Hartree)}, liquids=liquids)
    assert code == 2
    assert (
        "in 6 of 6 frames no two atoms are within 1.5 times the sum of their covalent radii: are positions and cell in Bohr"
        in lines[0]
    )


def test_held_out_frames_of_any_chemistry_stay_as_they_are(run: Run, frames: list[Atoms]) -> None:
    """Without liquids no ions are looked for: also what no ion of ours is made of is taken, atom by atom."""
    text = ""
    for frame in frames:
        swapped = frame.copy()
        swapped.numbers[frame.numbers == 5] = 13  # AlF4, which assets/ions does not have
        order = np.random.default_rng(2).permutation(len(frame)).tolist()
        text += text_of(swapped, order, info=f"group={frame.info['group']} recipe=bulk")
        assert run({"a.xyz": text_of(swapped)})[0] == 2
    code, lines, table, got = run({"a.xyz": text}, liquids=[])
    assert code == 0, lines
    assert table is not None
    assert table["converged"].all()
    assert table["liquid"].unique().to_list() == ["other"]
    order = np.random.default_rng(2).permutation(len(frames[0]))
    for mine, frame in zip(got, frames, strict=True):
        assert mine.get_chemical_symbols() == np.array(["Li", "Li", *["F", "Al", "F", "F", "F"] * 2])[order].tolist()
        assert mine.arrays["molecule"].tolist() == list(range(len(frame)))
        np.testing.assert_allclose(mine.positions, frame.positions[order], atol=1e-6)
        np.testing.assert_allclose(mine.arrays[FORCES_KEY], frame.arrays[FORCES_KEY][order], atol=2e-8)
        assert (mine.info["group"], mine.info["recipe"]) == (frame.info["group"], "bulk")

    bare = re.sub(r'stress="[^"]*"', "", text.replace("energy=", "REF_energy=").replace("forces:", "REF_forces:"))
    names = {"energy_key": "REF_energy", "forces_key": "REF_forces", "stress_key": "REF_stress"}
    code, lines, table, got = run({"a.xyz": bare}, liquids=[], **names)  # as the plan asks for them
    assert code == 0, lines
    assert len(got) == len(frames)
    code, lines, _, _ = run({"a.xyz": bare}, **names)
    assert code == 2
    assert "labels.stress_key: no frame holds 'REF_stress'" in lines[0]

    code, lines, _, _ = run({"a.xyz": text.replace("energy=", "heat=")}, liquids=[])
    assert code == 2
    assert all(line.startswith("error: heldout_frames: ") for line in lines), lines


@pytest.mark.parametrize("bare", [20, 8])
def test_frames_without_a_stress_are_used_and_said(run: Run, frames: list[Atoms], bare: int) -> None:
    """As most published sets have them: energies and forces; some may have a stress and others not."""
    texts = [text_of(frame) for frame in frames]
    texts[:bare] = [re.sub(r'stress="[^"]*"', "", text) for text in texts[:bare]]
    code, lines, table, got = run({"a.xyz": "".join(texts)})
    assert code == 0, lines
    assert table is not None
    assert table["converged"].all()
    assert table["has_stress"].to_list() == [False] * bare + [True] * (20 - bare)
    assert table["pressure_bar"].is_null().to_list() == [True] * bare + [False] * (20 - bare)
    assert ["REF_stress" in frame.info for frame in got] == [False] * bare + [True] * (20 - bare)
    np.testing.assert_allclose([f.info["REF_energy"] for f in got], [f.info["REF_energy"] for f in frames], atol=1e-8)
    (said,) = [line for line in lines if "have no stress" in line]
    assert f"{bare} of 20 frames have no stress" in said
    assert "no model learns the density from them" in said


def test_groups_are_blocks_of_neighbours(run: Run, frames: list[Atoms]) -> None:
    code, lines, table, _ = run({"a.xyz": "".join(map(text_of, frames)), "b.xyz": text_of(frames[0], info="kind=neq")})
    assert code == 0, lines
    assert table is not None
    assert table["group"].to_list() == [f"imported-file0-block{i // 2}" for i in range(20)] + ["imported-files-block0"]
    assert table["kind"].to_list() == ["eq"] * 20 + ["neq"]
    assert table["recipe"].unique().to_list() == ["imported"]


def test_a_group_key_that_is_given_must_be_there(run: Run, frames: list[Atoms]) -> None:
    text = text_of(frames[0], info="run=7") + text_of(frames[1])
    code, _, table, got = run({"a.xyz": text}, group_key="run", max_failed_fraction=0.5)
    assert code == 0
    assert [frame.info["group"] for frame in got] == ["7"]
    assert table is not None
    assert table["detail"].to_list()[1] == "group_key 'run' is missing here"


REFUSED = {
    "two energies": ({"info": "REF_energy=3"}, {},
        r"labels.energy_key: the frames hold REF_energy \(20 frames\) and energy \(20 frames\): say which is the label"),
    "free energy": ({"info": "free_energy=3"}, {}, "forces are the slope of free_energy"),
    "no such energy": ({}, {"energy_key": "E0"}, "labels.energy_key: no frame holds 'E0' as an energy; there are: energy"),
    "no forces": ({"names": ("energy", "f", "stress")}, {},
        r"labels.forces_key: no name looks like forces \(3 columns\); give one of: f"),
    "stress and virial": ({"info": 'virial="1 0 0 0 1 0 0 0 1"'}, {}, "labels.stress_key: the frames hold stress .* and virial"),
    "energy in hartree": ({"energy": 1 / Hartree}, {}, r"labels.energy_unit: .*give energy_unit: Ha\)"),
    "energy in rydberg": ({"energy": 1 / Rydberg}, {}, r"labels.energy_unit: .*give energy_unit: Ry\)"),
    "forces in hartree": ({"force": Bohr / Hartree}, {}, r"give forces_unit: Ha/Bohr\)"),
    "gradients": ({"force": -1.0}, {}, "is the sign of the forces wrong"),
    "compression": ({"stress": -1.0}, {}, r"labels.stress_unit: .*give stress_sign: compression\)"),
    "stress in atomic units": ({"stress": Bohr**3 / Hartree}, {}, r"labels.stress_unit: .*give stress_unit: Ha/Bohr\^3\)"),
    "stress in GPa": ({"stress": 1 / GPa}, {}, r"labels.stress_unit: .*GPa"),
}  # fmt: skip


@pytest.mark.parametrize("case", sorted(REFUSED))
def test_what_may_be_misread_is_refused_in_one_line(run: Run, frames: list[Atoms], case: str) -> None:
    kwargs, given, expected = REFUSED[case]
    code, lines, _, _ = run(shown(frames, **kwargs), **given)
    assert code == 2
    assert [line for line in lines if re.search(expected, line)], lines
    assert len(lines) <= 2


def test_files_that_are_nothing(run: Run) -> None:
    code, lines, _, _ = run({"empty.xyz": "", "notes.txt": "hello\nworld\n"})
    assert code == 2
    np.save("energy.npy", np.zeros(3))
    assert run([Path("energy.npy")])[1] == [
        "error: labels.frames: energy.npy: is one array of DeePMD-kit's: give the folder that holds type.raw"
    ]
    plain = "2\n i = 0, time = 0.5\nLi 0 0 0\nF 0 0 2\n"
    assert (
        "labels.frames: plain.xyz, other.xyz: comment lines hold no energy="
        in run({"plain.xyz": plain, "other.xyz": plain})[1][0]
    )
    assert run({"a.xyz": free_atom("Li", -4.5)})[1] == ["error: labels.frames: no frame but free atoms"]
    assert lines == [
        "error: labels.frames: empty.xyz: is empty",
        "error: labels.format: notes.txt: cannot tell what it is: give one of extxyz, cp2k, vasp-out, vasp-xml, "
        "espresso-out, deepmd-npy, ase-traj, ase-db, or convert it: 'ase convert FILE frames.extxyz', or "
        "'dpdata FILE -i FORMAT -o deepmd/npy -O FOLDER'",
    ]


def test_one_structure_with_two_energies(run: Run, frames: list[Atoms]) -> None:
    other = frames[0].copy()
    other.info["REF_energy"] += 0.1
    code, _, table, got = run({"a.xyz": text_of(frames[0]) + text_of(other)}, max_failed_fraction=0.5)
    assert code == 0
    assert table is not None
    assert table["reason"].to_list() == [None, "contradiction"]
    assert len(got) == 1


@settings(max_examples=examples(60), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_damage_gets_through(run: Run, frames: list[Atoms], data: st.DataObject) -> None:
    """Bytes are cut out, put in or changed: the answer is lines or rows, and what is imported keeps the contract."""
    text = "".join(map(text_of, frames[:3]))
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(text)))
        size = data.draw(st.integers(0, 40))
        text = (
            text[:start]
            + data.draw(st.text(alphabet='0123456789.- \n"=abcLiBFenan\x00é', max_size=6))
            + text[start + size :]
        )
    code, lines, table, got = run({"a.xyz": text}, max_failed_fraction=1.0)
    assert code in (0, 2)
    if code == 2:
        assert lines
    else:
        assert table is not None
        assert table["converged"].sum() == len(got) >= 1
        assert all(frame.info["frame_id"] == frame_id(frame) for frame in got)


@pytest.mark.parametrize("info", ["recipe=test_scan", "recipe=test_scan scan_scale=wide"])
def test_a_scan_of_others_that_says_no_scale_is_none(run: Run, frames: list[Atoms], info: str) -> None:
    code, lines, table, _ = run({"a.xyz": "".join(text_of(frame, info=info) for frame in frames[:2])})
    assert code == 0, lines
    assert table is not None
    assert set(table["recipe"]) == {"imported"}


def test_free_atoms_are_reference_energies_and_no_failures(run: Run, frames: list[Atoms], tmp_path: Path) -> None:
    atoms = free_atom("Li", -4.5) + free_atom("F", -115.2, "config_type=isolated_atom") + free_atom("B", -31.2, "")
    code, lines, table, got = run({"a.xyz": atoms + "".join(map(text_of, frames))}, max_failed_fraction=0.0)
    assert code == 0, lines
    assert table is not None
    assert table.height == len(got) == len(frames)
    assert json.loads((tmp_path / "out.e0s.json").read_text()) == {"Li": -4.5, "F": -115.2, "B": -31.2}
    assert "reference energies from 3 free atoms: Li -4.5 eV, F -115.2 eV, B -31.2 eV" in " ".join(lines)
    code, lines, _, _ = run({"a.xyz": atoms + free_atom("Li", -5.0) + "".join(map(text_of, frames))})
    assert code == 2
    assert "the energy of a free atom of Li is -5 eV here and -4.5 eV before" in lines[0]
    ion = free_atom("Li", 0.9, "config_type=IsolatedAtom total_charge=1")
    code, lines, _, _ = run({"a.xyz": ion + "".join(map(text_of, frames))})
    assert code == 2
    assert "a free atom of Li that says total_charge=1: the reference of an element is its neutral atom" in lines[0]
    code, lines, _, _ = run(
        {
            "a.xyz": free_atom("Li", -204.0)
            + free_atom("F", -2710.0)
            + free_atom("B", -670.0)
            + "".join(map(text_of, frames))
        }
    )
    assert code == 2
    assert "which no binding is: are these of the same calculation and unit?" in lines[0]


def test_without_free_atoms_the_frames_are_not_read_again(tmp_path: Path) -> None:
    """There may be a hundred thousand."""
    table = pl.DataFrame({"converged": [True], "energy_ev": [-1.0], "source": ["a.xyz"]})
    assert reference_energies([], table, tmp_path / "not there.extxyz", []) == {}
