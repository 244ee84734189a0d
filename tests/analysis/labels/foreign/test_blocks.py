"""Frames of an extended XYZ file are found where they begin."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from ase import Atoms
from foreign_labels import Run, assert_same, text_of


def test_a_wrong_count_of_atoms_loses_no_other_frame(run: Run, frames: list[Atoms]) -> None:
    texts = [text_of(frame) for frame in frames]
    texts[3] = re.sub(r"^12\n", "11\n", texts[3])
    code, lines, table, got = run({"a.xyz": "".join(texts)}, max_failed_fraction=0.2)
    assert code == 0, lines
    assert len(got) == 19
    assert table is not None
    assert "a number of atoms should stand here" in " ".join(table["detail"].drop_nulls())


def in_rows(text: str, before: str, after: str) -> str:
    """Return frames whose stress stands in lists of rows."""

    def rows(match: re.Match[str]) -> str:
        numbers = match[1].split()
        listed = ", ".join(f"[{', '.join(numbers[start : start + 3])}]" for start in (0, 3, 6))
        return f"stress={before}[{listed}]{after}"

    return re.sub(r'stress="([^"]*)"', rows, text)


SPELLINGS: dict[str, Callable[[str], str]] = {
    "GPUMD": lambda text: text.replace("Lattice=", "lattice=").replace("Properties=", "properties="),
    "libAtoms": lambda text: in_rows(text, "", ""),
    "quoted": lambda text: in_rows(text, '"', '"'),
    "JSON": lambda text: in_rows(text, '"_JSON ', '"'),
    "Windows": lambda text: "\ufeff" + text.replace("\n", "\r\n"),
    "spaced": lambda text: re.sub(r"(energy|stress|Lattice|pbc|Properties)=", r"\1 = ", text),
}


@pytest.mark.parametrize("spelling", sorted(SPELLINGS))
def test_spellings_of_other_programs_are_read(run: Run, frames: list[Atoms], spelling: str) -> None:
    code, lines, _, got = run({"a.xyz": SPELLINGS[spelling]("".join(map(text_of, frames)))})
    assert code == 0, lines
    for mine, frame in zip(got, frames, strict=True):
        assert_same(mine, frame)


@pytest.mark.parametrize("name", ["dft-forces", "dft.forces", "forces(PBE)"])
def test_a_name_of_forces_may_hold_more_than_letters(run: Run, frames: list[Atoms], name: str) -> None:
    code, lines, _, got = run({"a.xyz": "".join(text_of(frame, names=("energy", name, "stress")) for frame in frames)})
    assert code == 0, lines
    assert len(got) == len(frames)


NO_STRUCTURE = {
    ("species:S", "element:S"): r"Properties must hold species \(S:1\) and pos \(R:3\); it holds element, pos, forces",
    ("pos:R", "positions:R"): "Properties must hold .* it holds species, positions, forces",
    ("\nLi ", "\nLi 3 "): r"line 3: 8 columns, and Properties=species:S:1:pos:R:3:forces:R:3 says 7",
    (":forces:R:3", ":forces:R:3:velo:R:3"): "line 3: 7 columns, and Properties=.* says 10",
    ("Li ", "Li1 "): "species 'Li1' is no element",
    ('pbc="T T T"', 'PBC="F F F"'): "a Lattice of three vectors .* is needed: pbc is F F F",
}


@pytest.mark.parametrize("change", sorted(NO_STRUCTURE))
def test_a_structure_that_cannot_be_read_says_what_is_missing(
    run: Run, frames: list[Atoms], change: tuple[str, str]
) -> None:
    code, lines, _, _ = run({"a.xyz": text_of(frames[0]).replace(*change)})
    assert code == 2
    assert re.search(NO_STRUCTURE[change], lines[-1]), lines


def test_an_atom_in_a_box_says_how_a_free_atom_is_told(run: Run, frames: list[Atoms]) -> None:
    lone = '1\nLattice="20 0 0 0 20 0 0 0 20" Properties=species:S:1:pos:R:3:forces:R:3 energy=-5 pbc="T T T"\n{} 0 0 0 0 0 0\n'
    for element in ("Li", "B"):
        code, lines, _, _ = run({"a.xyz": "".join(map(text_of, frames[:6])) + lone.format(element)})
        assert code == 2
        assert "whose energy is the reference of its element, has config_type=IsolatedAtom or pbc F F F" in lines[-1]


def test_letters_of_another_encoding_in_a_comment_cost_nothing(run: Run, frames: list[Atoms], tmp_path: Path) -> None:
    text = "".join(text_of(frame, info='author="M\u00fcller"') for frame in frames[:6])
    (tmp_path / "a.xyz").write_bytes(text.encode("latin-1"))
    code, lines, _, got = run([Path("a.xyz")])
    assert code == 0, lines
    assert len(got) == 6
