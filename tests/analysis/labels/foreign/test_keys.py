"""Names, units and orders of the numbers in extended XYZ: what may be misread is asked."""

import re

import pytest
from ase import Atoms
from ase.units import Bohr, GPa, Hartree, Rydberg, kcal, mol
from foreign_labels import Run, assert_same, far_apart, shown, text_of


def test_an_energy_that_stands_there_twice_is_no_question(run: Run, frames: list[Atoms]) -> None:
    """ASE writes energy and free_energy of every calculator that has one; only where they differ is there a choice."""
    texts = [text_of(frame, info=f"free_energy={frame.info['REF_energy']:.12f}") for frame in frames]
    code, lines, _, got = run({"a.xyz": "".join(texts)})
    assert code == 0, lines
    assert [mine.info["REF_energy"] for mine in got] == pytest.approx([f.info["REF_energy"] for f in frames], abs=1e-8)
    texts[7] = text_of(frames[7], info=f"free_energy={frames[7].info['REF_energy'] - 0.01:.12f}")
    assert "say which is the label" in run({"a.xyz": "".join(texts)})[1][0]
    texts[7] = text_of(frames[7])  # in one frame the second is missing: the first is everywhere
    code, lines, _, got = run({"a.xyz": "".join(texts)})
    assert code == 0, lines
    assert len(got) == len(frames)


def test_forces_and_stress_that_stand_there_twice_are_no_question(run: Run, frames: list[Atoms]) -> None:
    """Files of MACE hold forces and REF_forces, and a virial beside the stress; where they are the same, either will do."""

    def doubled(frame: Atoms, off: float = 0.0) -> str:
        virial = " ".join(f"{-x * frame.get_volume() + off:.12g}" for x in frame.info["REF_stress"].ravel())
        head, comment, *rows = text_of(frame, info=f'virial="{virial}"').splitlines()
        comment = comment.replace("forces:R:3", "forces:R:3:REF_forces:R:3")
        return "\n".join([head, comment, *(" ".join([*row.split(), *row.split()[-3:]]) for row in rows)]) + "\n"

    code, lines, _, got = run({"a.xyz": "".join(map(doubled, frames))})
    assert code == 0, lines
    for mine, frame in zip(got, frames, strict=True):
        assert_same(mine, frame)
    code, lines, _, _ = run({"a.xyz": "".join(map(doubled, frames[:5])) + doubled(frames[5], 0.1)})
    assert code == 2
    assert re.search("labels.stress_key: the frames hold stress .* and virial", lines[0])


NAMED = {
    "hartree": ({"energy": 1 / Hartree, "force": Bohr / Hartree, "stress": -1 / GPa},
                'energy-unit=Hartree force-unit="Hartree/Bohr" stress_unit=GPa'),
    "spelt out": ({"force": Bohr / Hartree}, 'energy_unit=eV forces_units=hartree/bohr stress-units="eV/Angstrom^3" length-unit=Angstrom'),
    "rydberg": ({"energy": 1 / Rydberg, "force": Bohr / Rydberg}, 'energy_units="Ry" unit_force="Ry/bohr" virial_unit=eV'),
    "of chemists": ({"energy": mol / kcal, "force": mol / kcal}, 'energy-unit="kcal/mol" force-unit="kcal/mol/Å"'),
}  # fmt: skip


@pytest.mark.parametrize("case", sorted(NAMED))
def test_units_that_the_files_name_are_taken(run: Run, frames: list[Atoms], case: str) -> None:
    factors, info = NAMED[case]
    given = {"stress_sign": "compression"} if case == "hartree" else {}
    code, lines, _, got = run(shown(frames, info=info, **factors), **given)
    assert code == 0, lines
    for mine, frame in zip(got, frames, strict=True):
        assert_same(mine, frame)
    assert any("as the files say" in line for line in lines)


def test_a_unit_at_the_end_of_a_name_is_taken(run: Run, frames: list[Atoms]) -> None:
    names = ("dft_energy_Ha", "forces_Ha_per_Bohr", "stress_GPa")
    factors = {"energy": 1 / Hartree, "force": Bohr / Hartree, "stress": 1 / GPa}
    code, lines, _, got = run(shown(frames, names=names, **factors))
    assert code == 0, lines
    for mine, frame in zip(got, frames, strict=True):
        assert_same(mine, frame)


CONTRADICTED = {
    "another one is set": ("energy-unit=Hartree", {"energy_unit": "eV"}, r"labels.energy_unit: is eV, but the files say energy-unit=Hartree"),
    "two at once": ("force-unit=eV/A forces_unit=Ha/Bohr", {}, "labels.forces_unit: .*two units in one set"),
    "unknown": ("energy-unit=furlong", {}, "labels.energy_unit: the files say energy-unit=furlong .*which is none of eV, Ha"),
    "positions": ("length-unit=bohr", {}, "labels.length_unit: the files say length-unit=bohr"),
}  # fmt: skip


@pytest.mark.parametrize("case", sorted(CONTRADICTED))
def test_units_that_contradict_are_refused(run: Run, frames: list[Atoms], case: str) -> None:
    info, given, expected = CONTRADICTED[case]
    code, lines, _, _ = run(shown(frames[:6], info=info), **given)
    assert code == 2
    assert re.search(expected, lines[0]), lines
    assert len(lines) == 1


def test_what_stands_beside_a_label_is_none(run: Run, frames: list[Atoms]) -> None:
    """MACE writes config_energy_weight and the like into every frame."""
    beside = "config_energy_weight=1.0 config_stress_weight=1.0 energy_per_atom=-3 energy_std=0.1 stress_error=0.1"
    text = "".join(text_of(frame, info=f'{beside} kinetic_energy=2 stress_weights="1 1 1 1 1 1"') for frame in frames)
    code, lines, _, got = run({"a.xyz": text})
    assert code == 0, lines
    for mine, frame in zip(got, frames, strict=True):
        assert_same(mine, frame)


@pytest.mark.parametrize("name", ["energy_per_atom", "dft_energy_pa", "Energy/atom"])
def test_an_energy_of_one_atom_is_refused(run: Run, frames: list[Atoms], name: str) -> None:
    """Frames too far apart to compare, which would show the wrong energy in the work of the forces."""
    text = "".join(text_of(f, names=(name, "forces", "stress"), energy=1 / len(f)) for f in far_apart(frames))
    assert "no name looks like an energy" in run({"a.xyz": text})[1][0]
    code, lines, _, _ = run({"a.xyz": text}, energy_key=name)
    assert code == 2
    assert f"labels.energy_key: {name} is of one atom, by its name: the energy of all is needed" in lines[0]


UNUSABLE = {
    r"energy=-(\d+)\.": (r"energy=-\1,", "labels.energy_key: no name looks like an energy.*; energy is there, but .* is not one number"),
    r"energy=(\S+)": (r"energy=\1D+00", r"; energy is there, but '-\d+\.\d+D\+00' is not one number"),
    r'stress="\S+': ('stress="', "labels.stress_key: stress is there, but .* is not 6 or 9 numbers"),
    r'stress="(\S+)': (r'stress="\1D+00', "labels.stress_key: stress is there, but .* is not 6 or 9 numbers"),
}  # fmt: skip


@pytest.mark.parametrize("pattern", sorted(UNUSABLE))
def test_a_label_that_is_no_number_is_shown(run: Run, frames: list[Atoms], pattern: str) -> None:
    text, expected = UNUSABLE[pattern]
    code, lines, _, _ = run({"a.xyz": re.sub(pattern, text, "".join(map(text_of, frames)))})
    assert code == 2
    assert re.search(expected, lines[0]), lines
