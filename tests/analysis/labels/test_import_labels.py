"""IMPORT_LABELS: foreign frames come out as ours would, and whatever is wrong with them is one row or one line.

The frames are LiBF4 with GFN1-xTB labels, so that energy, forces and stress belong together, written out again
with other names, units, signs and orders of atoms.
"""

import bz2
import gzip
import json
import lzma
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import polars as pl
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.stress import full_3x3_to_voigt_6_stress
from ase.units import Bohr, GPa, Hartree, Rydberg, bar, kcal, mol
from effort import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ionmelt.dataset import deepmd
from ionmelt.errors import UserError
from ionmelt.frame import FORCES_KEY, frame_id, make_frame, read_frames, set_label
from ionmelt.labels import checks, own
from ionmelt.labels.engines.xtb import Engine
from ionmelt.labels.foreign import blocks, keys, runs, units
from ionmelt.labels.foreign import cp2k as labels_cp2k
from ionmelt.labels.foreign import files as labels_files
from ionmelt.labels.matching import Matcher, NoMatch
from ionmelt.labels.settings import OwnLabels
from ionmelt.liquid.ions import geometry, library, resolve

ASSETS = Path(__file__).resolve().parents[3] / "assets"
THEORY = "0123456789ab"
EDGE_A = 8.0

Write = Callable[..., Path]
Run = Callable[..., tuple[int, list[str], pl.DataFrame | None, list[Atoms]]]


def ion(name: str, count: int = 1, **given: Any) -> dict[str, Any]:
    """Return an ion as the plan's labels.json holds it."""
    known = library(ASSETS)
    entry = {key: known[name][key] for key in ("smiles", "types", "hydrogen_types")} if name in known else {}
    return {"name": name, "charge": 0, "types": None, "hydrogen_types": None, **entry, "count": count, **given}


LIBF4 = {"id": "libf4", "ions": [ion("li", 2), ion("bf4", 2)]}


@pytest.fixture(scope="module")
def frames() -> list[Atoms]:
    """Twenty frames of two LiBF4 pairs that move a little from one to the next, as does the box."""
    bf4 = geometry(library(ASSETS)["bf4"]["smiles"])
    rng = np.random.default_rng(3)
    anions = [bf4 + np.array([4.2, 1.0, 0.8]), bf4 + np.array([1.0, 4.4, 4.6])]
    start = np.concatenate([[[0.5, 0.5, 0.5], [4.5, 4.2, 4.4]], *anions])
    velocity = rng.normal(scale=0.02, size=start.shape)
    engine = Engine({"accuracy": 0.01}, 1)
    molecule = [0, 1, *[2] * 5, *[3] * 5]
    names = ["li", "li", *["bf4"] * 10]
    found = []
    for step in range(20):
        numbers = [3, 3, *[9, 5, 9, 9, 9] * 2]
        positions = start + velocity * np.sin(step / 3.0)
        edge = EDGE_A * (1 + 0.004 * np.sin(0.7 * step))
        info = {"liquid": "libf4", "kind": "eq", "recipe": "eq", "group": f"g{step // 4}"}
        frame = make_frame(numbers, positions * edge / EDGE_A, np.array([edge] * 3), molecule, names, **info)
        label = engine.label(Atoms(frame.numbers, frame.positions, cell=frame.cell, pbc=True))
        assert label.converged
        set_label(frame, label.energy_ev, label.forces_ev_a, label.stress_ev_a3, THEORY, True, label.scf_steps)
        found.append(frame)
    return found


def text_of(
    frame: Atoms,
    order: Sequence[int] | None = None,
    names: tuple[str, str, str] = ("energy", "forces", "stress"),
    energy: float = 1.0,
    force: float = 1.0,
    stress: float = 1.0,
    info: str = "",
    positions: np.ndarray | None = None,
) -> str:
    """Return a frame as extended XYZ of another program: other names, units (factors), order of atoms."""
    order = range(len(frame)) if order is None else order
    at = frame.positions if positions is None else positions
    tensor = " ".join(f"{x * stress:.12g}" for x in frame.info["REF_stress"].T.ravel())
    lattice = " ".join(f"{x:.8f}" for x in frame.cell.array.ravel())
    lines = [
        str(len(frame)),
        f'Lattice="{lattice}" Properties=species:S:1:pos:R:3:{names[1]}:R:3 '
        f'{names[0]}={frame.info["REF_energy"] * energy:.12f} {names[2]}="{tensor}" pbc="T T T" {info}',
    ]
    for i in order:
        numbers = " ".join(f"{x:.10f}" for x in (*at[i], *frame.arrays[FORCES_KEY][i] * force))
        lines.append(f"{frame.get_chemical_symbols()[i]} {numbers}")
    return "\n".join(lines) + "\n"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Return a function that imports files as the task does: exit code, lines on the screen, table, frames."""
    monkeypatch.chdir(tmp_path)

    def go(files: dict[str, str] | Sequence[Path], liquids: Sequence[dict[str, Any]] = (LIBF4,), **given: Any) -> Any:
        paths = list(files) if not isinstance(files, dict) else []
        for name, text in files.items() if isinstance(files, dict) else ():
            Path(name).write_text(text)
            paths.append(Path(name))
        labels = OwnLabels(frames=[path.name for path in paths], theory="GFN1", **given)
        settings = labels.model_dump(mode="json") | {"theory_id": THEORY, "liquids": list(liquids)}
        Path("labels.json").write_text(json.dumps(settings))
        for old in tmp_path.glob("out.*"):
            old.unlink()
        where = ["--settings", "labels.json", "--assets", str(ASSETS), "--out", "out", "--errors", "errors.txt"]
        code = own.main([*where, "--frames", *map(str, paths)])
        screen = capsys.readouterr()
        lines = (screen.out if code == 0 else screen.err).splitlines()
        assert "Traceback" not in screen.err
        if code:
            assert [f"error: {line}" for line in Path("errors.txt").read_text().splitlines()] == lines
        table = pl.read_parquet("out.labels.parquet") if Path("out.labels.parquet").exists() else None
        labelled = read_frames("out.labelled.extxyz", labelled=True) if code == 0 else []
        return code, lines, table, labelled

    return go


def assert_same(got: Atoms, frame: Atoms, order: Sequence[int] | None = None) -> None:
    """Assert that an imported frame is the original one, whichever of equal ions and atoms comes first."""
    assert (got.arrays["ion"] == frame.arrays["ion"]).all()
    assert (got.arrays["molecule"] == frame.arrays["molecule"]).all()
    assert (got.numbers == frame.numbers).all()
    gap = got.positions[:, None] - frame.positions
    gap -= np.rint(gap / frame.cell.lengths()) * frame.cell.lengths()
    nearest = np.linalg.norm(gap, axis=-1).argmin(axis=1)
    assert sorted(nearest) == list(range(len(frame)))
    np.testing.assert_allclose(got.arrays[FORCES_KEY], frame.arrays[FORCES_KEY][nearest], atol=2e-8)
    np.testing.assert_allclose(got.info["REF_energy"], frame.info["REF_energy"], atol=1e-8)
    np.testing.assert_allclose(got.info["REF_stress"], frame.info["REF_stress"], atol=1e-10)


# --- What comes out ---


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


UNITS = {
    "hartree": ({"energy_unit": "Ha", "forces_unit": "Ha/Bohr", "stress_unit": "GPa", "stress_sign": "compression"},
                {"energy": 1 / Hartree, "force": Bohr / Hartree, "stress": -1 / GPa}),
    "rydberg": ({"energy_unit": "Ry", "forces_unit": "Ry/Bohr", "stress_unit": "kbar"},
                {"energy": 1 / Rydberg, "force": Bohr / Rydberg, "stress": 10 / GPa}),
}  # fmt: skip


@pytest.mark.parametrize("unit", sorted(UNITS))
def test_names_units_order_and_images_do_not_matter(run: Run, frames: list[Atoms], unit: str) -> None:
    given, factors = UNITS[unit]
    rng = np.random.default_rng(1)
    text = ""
    for frame in frames:
        images = frame.positions + rng.integers(-1, 2, size=frame.positions.shape) @ frame.cell.array
        order = rng.permutation(len(frame)).tolist()
        text += text_of(frame, order, ("dft_E", "dft_force", "S"), info="e_other=3", positions=images, **factors)
    names = {"energy_key": "dft_E", "forces_key": "dft_force", "stress_key": "S"}
    code, lines, _, got = run({"a.xyz": text}, **names, **given)
    assert code == 0, lines
    for mine, frame in zip(got, frames, strict=True):
        assert_same(mine, frame)
        for number in range(4):
            members = mine.positions[mine.arrays["molecule"] == number]
            assert np.ptp(members, axis=0).max() < 3.0  # whole


def test_a_virial_is_minus_stress_times_volume(run: Run, frames: list[Atoms]) -> None:
    text = "".join(text_of(f, names=("energy", "forces", "virial"), stress=-f.get_volume()) for f in frames)
    code, lines, _, got = run({"a.xyz": text})
    assert code == 0, lines
    for mine, frame in zip(got, frames, strict=True):
        assert_same(mine, frame)


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


def test_other_sizes_and_compositions(run: Run, frames: list[Atoms]) -> None:
    """Twice the box is the same liquid; an ion of assets that the study has not makes ``other``."""
    double = frames[0].repeat((2, 1, 1))
    double.info = frames[0].info | {"REF_energy": 2 * frames[0].info["REF_energy"]}
    double.arrays[FORCES_KEY] = np.tile(frames[0].arrays[FORCES_KEY], (2, 1))
    study = {"id": "lipf6", "ions": [ion("li", 1), ion("pf6", 1)]}
    code, lines, _, got = run({"a.xyz": text_of(double)})
    assert code == 0, lines
    assert [frame.info["liquid"] for frame in got] == ["libf4"]
    assert got[0].arrays["ion"].tolist() == ["li"] * 4 + ["bf4"] * 20
    code, lines, _, got = run({"a.xyz": text_of(double)}, liquids=[study])
    assert code == 0, lines
    assert [frame.info["liquid"] for frame in got] == ["other"]


def test_ions_of_organic_liquids_are_found_in_any_order() -> None:
    rng = np.random.default_rng(5)
    ions = {name: resolve(ion(name), library(ASSETS)) for name in ("pyr14", "emim", "tfsi", "li", "pf6")}
    parts = {name: geometry(found["smiles"]) for name, found in ions.items()}
    symbols, positions = [], []
    for place, name in enumerate(ions):
        symbols += ions[name]["elements"]
        positions.append(parts[name] + [9.0 * place, 0, 0])
    positions[3] = positions[2][:1] + np.array([0, 0, 1.9])  # lithium at an oxygen of TFSI is no bond
    at = np.concatenate(positions)
    order = rng.permutation(len(at))
    box = Atoms(np.array(symbols)[order], at[order], cell=[45, 14, 14], pbc=True)
    box.wrap()
    matched = Matcher(ions).match(box)
    assert matched.names == list(ions)
    start = 0
    for name, size in zip(matched.names, matched.sizes, strict=True):
        members = box[matched.order[start : start + size]]
        assert members.get_chemical_symbols() == ions[name]["elements"]
        for i, j in ions[name]["bonds"]:
            assert members.get_distance(i, j, mic=True) < 2.2
        start += size
    with pytest.raises(NoMatch, match="form C6H11N2: no ion of that formula among"):
        Matcher({name: ions[name] for name in ("pyr14", "tfsi", "li", "pf6")}).match(box)


# --- What is refused ---


def shown(frames: list[Atoms], **kwargs: Any) -> dict[str, str]:
    return {"a.xyz": "".join(text_of(frame, **kwargs) for frame in frames)}


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
    assert run({"a.xyz": free_atom("Li", -4.5)})[1] == ["error: labels.frames: no frame but free atoms"]
    assert lines == [
        "error: labels.frames: empty.xyz: is empty",
        "error: labels.format: notes.txt: cannot tell what it is: give one of extxyz, cp2k, vasp-out, vasp-xml, "
        "espresso-out, deepmd-npy, ase-traj, ase-db, or convert it: 'ase convert FILE frames.extxyz', or "
        "'dpdata FILE -i FORMAT -o deepmd/npy -O FOLDER'",
    ]


def spoil(old: str, new: str) -> Callable[[str], str]:
    def change(text: str) -> str:
        assert old in text
        return text.replace(old, new, 1)

    return change


def drop_line(text: str) -> str:
    return "".join(text.splitlines(keepends=True)[:-1])


SPOILED: dict[str, tuple[Callable[[str], str], str, str]] = {
    "cut off": (drop_line, "unreadable", "12 atoms are promised"),
    "a number is a word": (lambda t: re.sub(r"^Li \S+", "Li abc", t, count=1, flags=re.M), "unreadable", "not a frame"),
    "NaN force": (lambda t: re.sub(r"\S+$", "nan", t.rstrip()) + "\n", "non_finite", "finite"),
    "NaN energy": (lambda t: re.sub(r"energy=\S+", "energy=nan", t), "non_finite", "finite"),
    "energy is a word": (lambda t: re.sub(r"energy=\S+", "energy=low", t), "no_energy", "no energy"),
    "no lattice": (lambda t: re.sub(r'Lattice="[^"]*" ', "", t).replace('pbc="T T T"', ""), "not_periodic", "Lattice"),
    "huge force": (lambda t: re.sub(r"\S+$", "900.0", t.rstrip()) + "\n", "force_too_large", "forces_unit"),
    "net force": (lambda t: re.sub(r"\S+$", "5.0", t.rstrip()) + "\n", "net_force", "the limit for 12 atoms is 0.173"),
    "asymmetric": (lambda t: re.sub(r'stress="(\S+) (\S+)', r'stress="\1 0.5', t), "stress_asymmetric", "symmetric"),
    "another element": (spoil("\nB ", "\nC "), "unknown_ion", "form CF4"),
    "an atom twice": (lambda t: re.sub(r"^Li.*\nLi.*$", lambda m: "\n".join([m[0].split("\n")[0]] * 2), t, count=1,
                                       flags=re.M), "overlap", "closer than half"),
    "charged": (lambda t: re.sub(r"^12\n", "11\n", re.sub(r"^Li.*\n", "", t, count=1, flags=re.M)), "not_neutral", "1 li"),
    "kind": (lambda t: t.replace('pbc="T T T"', 'pbc="T T T" kind=train'), "identity", "it must be eq or neq"),
}  # fmt: skip


@pytest.mark.parametrize("case", sorted(SPOILED))
def test_one_spoiled_frame_costs_one_frame(run: Run, frames: list[Atoms], case: str) -> None:
    change, reason, detail = SPOILED[case]
    texts = [text_of(frame) for frame in frames]
    place = len(texts) - 1 if case == "cut off" else 7
    texts[place] = change(texts[place])
    # without one lithium the forces no longer sum to zero
    code, lines, table, got = run({"a.xyz": "".join(texts)}, max_failed_fraction=0.1)
    assert code == 0, lines
    assert table is not None
    bad = table.filter(~pl.col("converged"))
    assert bad.height == 1
    row = bad.to_dicts()[0]
    if case != "charged":
        assert row["reason"] == reason
        assert detail in row["detail"]
    assert row["reason"] in (reason, "net_force")
    assert row["source"].startswith(f"a.xyz: frame {place} (line ")
    assert len(got) == len(frames) - 1
    assert any(row["source"] in line and row["reason"] in line for line in lines)
    # and too many of them stop the run, with a line for the kind of mistake
    code, lines, _, _ = run({"a.xyz": "".join(texts)}, max_failed_fraction=0.0)
    assert code == 2
    assert "labels.max_failed_fraction: 1 of 20 frames cannot be used" in lines[0]
    assert row["source"] in lines[1]


def test_a_wrong_count_of_atoms_loses_no_other_frame(run: Run, frames: list[Atoms]) -> None:
    texts = [text_of(frame) for frame in frames]
    texts[3] = re.sub(r"^12\n", "11\n", texts[3])
    code, lines, table, got = run({"a.xyz": "".join(texts)}, max_failed_fraction=0.2)
    assert code == 0, lines
    assert len(got) == 19
    assert table is not None
    assert "a number of atoms should stand here" in " ".join(table["detail"].drop_nulls())


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


# --- Doubles, units, orders, placeholders ---


def six(frame: Atoms, order: str) -> str:
    """Return the stress of a frame as six numbers."""
    places = {"x": 0, "y": 1, "z": 2}
    return " ".join(f"{frame.info['REF_stress'][places[a], places[b]]:.14f}" for a, b in order.split())


def with_stress(frame: Atoms, stress: str) -> str:
    return re.sub(r'stress="[^"]*"', f'stress="{stress}"', text_of(frame))


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


@pytest.mark.parametrize("given", [None, "xx yy zz yz xz xy", "xx yy zz xy yz zx"])
def test_a_stress_of_six_numbers_has_an_order(run: Run, frames: list[Atoms], given: str | None) -> None:
    """ASE's own conversion is the judge of its order, VASP's is written out."""
    text = "".join(with_stress(frame, six(frame, given or "xx yy zz yz xz xy")) for frame in frames)
    code, lines, _, got = run({"a.xyz": text}, **({"stress_order": given} if given else {}))
    assert code == 0, lines
    for mine, frame in zip(got, frames, strict=True):
        assert_same(mine, frame)
    if given != "xx yy zz xy yz zx":
        voigt = [full_3x3_to_voigt_6_stress(mine.info["REF_stress"]) for mine in got]
        np.testing.assert_allclose(
            voigt, [np.array(six(f, "xx yy zz yz xz xy").split(), float) for f in frames], atol=1e-12
        )
    assert any("six numbers (20 frames) are taken as" in line for line in lines)
    assert any("give stress_order: xx yy zz xy yz zx" in line for line in lines) == (given is None)


def test_zeros_are_no_labels(run: Run, frames: list[Atoms]) -> None:
    text = "".join(with_stress(frame, "0 -0 0 0 0.0 0 0 0 0") for frame in frames)
    code, lines, _, _ = run({"a.xyz": text})
    assert code == 2
    assert "no_stress: its stress is exactly zero: a placeholder" in lines[-1]
    code, lines, _, _ = run(shown(frames, force=0.0))
    assert code == 2
    assert "no_forces: its forces are all exactly zero" in lines[-1]


def test_the_net_force_is_shown_and_can_be_set(run: Run, frames: list[Atoms]) -> None:
    """The forces of a coarse grid all have a small offset: 0.1 eV/A an atom sums to 1.2, 0.35 times the root of 12 atoms."""
    offset = np.array([0.06, -0.08, 0.0])
    texts = []
    for frame in frames:
        moved = frame.copy()
        moved.arrays[FORCES_KEY] = frame.arrays[FORCES_KEY] + offset
        texts.append(text_of(moved))
    code, lines, _, _ = run({"a.xyz": "".join(texts)})
    assert code == 2
    assert re.search(
        r"net_force: the forces sum to 1\.2 eV/A; the limit for 12 atoms is 0\.173 .*with 0\.35 or more", lines[-1]
    ), lines
    code, lines, _, got = run({"a.xyz": "".join(texts)}, max_net_force_eV_A=0.35)
    assert code == 0, lines
    assert any("20 frames: the mean is taken off their forces" in line for line in lines)
    for mine, frame in zip(got, frames, strict=True):
        mean = frame.arrays[FORCES_KEY].mean(axis=0)
        near = np.linalg.norm(mine.positions[:, None] - frame.positions, axis=-1).argmin(axis=1)
        np.testing.assert_allclose(mine.arrays[FORCES_KEY], frame.arrays[FORCES_KEY][near] - mean, atol=2e-8)
    code, lines, _, _ = run(shown(frames), max_net_force_eV_A=0.0)  # stricter than the contract
    assert code == 2
    assert "net_force" in lines[-1]


def free_atom(element: str, energy: float, kind: str = "config_type=IsolatedAtom") -> str:
    head = f'1\nProperties=species:S:1:pos:R:3:forces:R:3 {kind} energy={energy} pbc="F F F"\n'
    return f"{head}{element} 0 0 0 0 0 0\n"


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


# --- Energies that the work does not explain ---


def shifted(frames: list[Atoms], by: dict[int, float]) -> dict[str, str]:
    texts = []
    for number, frame in enumerate(frames):
        moved = frame.copy()
        moved.info["REF_energy"] += by.get(number, 0.0)
        texts.append(text_of(moved))
    return {"a.xyz": "".join(texts)}


@pytest.mark.parametrize("place", [0, 9, 19])
def test_one_frame_in_another_state_is_named_and_left_out(run: Run, frames: list[Atoms], place: int) -> None:
    code, lines, table, got = run(shifted(frames, {place: 3.0}))
    assert code == 0, lines
    assert table is not None
    bad = table.filter(~pl.col("converged"))
    assert bad["reason"].to_list() == ["energy_jump"]
    assert bad["source"][0].startswith(f"a.xyz: frame {place} (line ")
    assert "+3 eV off" in bad["detail"][0]
    assert len(got) == 19
    assert not {frame.info["frame_id"] for frame in got} & {bad["frame_id"][0]}
    assert any(re.search(r"the energy changes by (0\.9|1\.0)", line) for line in lines)


@pytest.mark.parametrize("place", [4, 10])
def test_one_frame_switches_no_check_off(run: Run, frames: list[Atoms], place: int) -> None:
    files = shifted(frames, {place: 3.0})
    text = files["a.xyz"]
    code, lines, _, _ = run({"a.xyz": reversed_signs(text)})
    assert code == 2
    assert "is the sign of the forces wrong (gradients)?" in lines[0]
    assert "is compression positive (give stress_sign: compression)?" in lines[1]
    assert re.search(rf"a.xyz: frame {place} \(line \d+\): energy_jump: its energy is \+3 eV off", lines[2]), lines
    code, lines, _, _ = run(
        shown(
            [moved(frame, 3.0 if i == place else 0.0) for i, frame in enumerate(frames)],
            energy=1 / Hartree,
        )
    )
    assert code == 2
    assert "give energy_unit: Ha" in lines[0]


def moved(frame: Atoms, by: float) -> Atoms:
    copy = frame.copy()
    copy.info["REF_energy"] += by
    return copy


def reversed_signs(text: str) -> str:
    """Return frames with gradients for forces, and compression positive."""
    lines = []
    for line in text.splitlines():
        parts = line.split()
        if len(parts) == 7 and parts[0] in ("Li", "B", "F"):
            line = " ".join([*parts[:4], *(f"{-float(x):.10f}" for x in parts[4:])])
        line = re.sub(
            r'stress="([^"]*)"', lambda m: 'stress="' + " ".join(f"{-float(x):.12g}" for x in m[1].split()) + '"', line
        )
        lines.append(line)
    return "\n".join(lines) + "\n"


LEVELS = {
    "the last half": dict.fromkeys(range(11, 20), 2.0),
    "the first third": dict.fromkeys(range(6), -40.0),
    "every second frame": dict.fromkeys(range(1, 20, 2), 5.0),
}  # fmt: skip


@pytest.mark.parametrize("case", sorted(LEVELS))
def test_two_levels_in_one_file_are_refused_with_the_place(run: Run, frames: list[Atoms], case: str) -> None:
    by = LEVELS[case]
    code, lines, table, _ = run(shifted(frames, by))
    assert code == 2
    assert f"energy_jump {min(len(by), 20 - len(by))}" in lines[0]
    assert "another level of theory" in " ".join(lines)
    assert table is not None
    bad = table.with_row_index().filter(pl.col("reason") == "energy_jump")["index"].to_list()
    assert set(bad) in (set(by), set(range(20)) - set(by))


def far_apart(frames: list[Atoms]) -> list[Atoms]:
    """Return frames that are no neighbours but alike: every one is turned to other axes than the one before."""
    found = []
    for number, frame in enumerate(frames):
        turn = np.roll(np.eye(3), number % 3, axis=1)
        turned = make_frame(
            frame.numbers, frame.positions @ turn, frame.cell.array, frame.arrays["molecule"], frame.arrays["ion"]
        )
        turned.info |= {"REF_energy": frame.info["REF_energy"], "REF_stress": turn.T @ frame.info["REF_stress"] @ turn}
        turned.arrays[FORCES_KEY] = frame.arrays[FORCES_KEY] @ turn
        found.append(turned)
    return found


def test_energies_far_from_those_of_like_frames_are_left_out(run: Run, frames: list[Atoms]) -> None:
    """Where no frame is near another, frames of the same atoms, volume and size of forces are compared."""
    apart = far_apart(frames)
    code, lines, table, _ = run({"a.xyz": "".join(map(text_of, apart))})
    assert code == 0, lines
    assert table is not None
    assert table["reason"].null_count() == 20
    assert any("no neighbouring frames" in line for line in lines)
    code, lines, table, _ = run({"a.xyz": "".join(text_of(moved(f, 30.0 * (i == 8))) for i, f in enumerate(apart))})
    assert code == 0, lines
    assert table is not None
    bad = table.with_row_index().filter(~pl.col("converged"))
    assert bad["index"].to_list() == [8]
    assert bad["reason"].to_list() == ["energy_outlier"]
    assert "eV an atom off the" in bad["detail"][0]


@settings(max_examples=examples(25), deadline=None)
@given(data=st.data())
def test_the_fit_of_the_work_holds_with_two_fifths_of_bad_pairs(data: st.DataObject) -> None:
    """Slopes are those of the good pairs, whatever the others are."""
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    n = data.draw(st.integers(10, 60))
    bad = rng.permutation(n)[: int(0.4 * n)]
    truth = rng.uniform(-3, 3, 2)
    columns = rng.normal(size=(n, 2)) * [1.0, 0.3]
    energy = columns @ truth + rng.normal(scale=1e-3, size=n)
    energy[bad] += rng.uniform(5, 1000, len(bad)) * rng.choice([-1, 1], len(bad))
    slopes, near = checks.robust_slopes(columns, energy)
    np.testing.assert_allclose(slopes, truth, atol=0.02)
    assert not near[bad].any()


# --- Outputs of other programs ---


def qe_text(frame: Atoms, converged: bool = True) -> str:
    """Return what pw.x prints of a single point, as far as it matters."""
    alat = frame.cell.lengths()[0] / Bohr
    lines = ["", "     Program PWSCF v.7.2 starts on 24Nov2026 at 10: 0: 0 ", ""]
    lines += [f"     lattice parameter (alat)  =      {alat:.4f}  a.u."]
    lines += [
        f"     number of atoms/cell      =           {len(frame)}",
        "     number of atomic types    =            3",
    ]
    lines += [f"     celldm(1)=  {alat:.10f}  celldm(2)=   0.000000  celldm(3)=   0.000000", ""]
    lines += ["     crystal axes: (cart. coord. in units of alat)"]
    for i, vector in enumerate(frame.cell.array / (alat * Bohr)):
        lines.append(f"               a({i + 1}) = ( {vector[0]:10.6f} {vector[1]:10.6f} {vector[2]:10.6f} )  ")
    lines += ["", "   Cartesian axes", "", "     site n.     atom                  positions (alat units)"]
    for i, (symbol, at) in enumerate(zip(frame.get_chemical_symbols(), frame.positions / (alat * Bohr), strict=True)):
        lines.append(
            f"     {i + 1:5d}           {symbol:2s}  tau({i + 1:4d}) = ( {at[0]:.10f} {at[1]:.10f} {at[2]:.10f}  )"
        )
    said = "has been achieved in  11" if converged else "NOT achieved after 100"
    lines += ["", f"     convergence {said} iterations", ""]
    lines += [f"!    total energy              = {frame.info['REF_energy'] / Rydberg:19.10f} Ry", ""]
    lines += ["     Forces acting on atoms (cartesian axes, Ry/au):", ""]
    for i, force in enumerate(frame.arrays[FORCES_KEY] * Bohr / Rydberg):
        lines.append(f"     atom {i + 1:4d} type  1   force = {force[0]:16.10f}{force[1]:16.10f}{force[2]:16.10f}")
    stress = -frame.info["REF_stress"] * Bohr**3 / Rydberg
    lines += ["", "     Computing stress (Cartesian axis) and pressure", ""]
    lines += ["          total   stress  (Ry/bohr**3)                   (kbar)     P=        0.00"]
    lines += [" ".join(f"{x:16.12f}" for x in (*row, *row)) for row in stress]
    return "\n".join([*lines, "", "     JOB DONE.", ""])


def outcar_text(frames: Sequence[Atoms], reached: Sequence[bool]) -> str:
    """Return an OUTCAR of several ionic steps, as far as it matters."""
    lines = [" vasp.6.4.2 20Jul23 (build Nov 24 2026 10:00:00) complex", ""]
    lines += [f" POTCAR:    PAW_PBE {element} 08Apr2002" for element in ("Li", "F", "B", "F", "B", "F")] * 2
    lines += ["   ions per type =               2   1   1   4   1   3", ""]
    for number, (frame, good) in enumerate(zip(frames, reached, strict=True)):
        xx, yy, zz, xy, yz, zx = (
            -frame.info["REF_stress"][i] / GPa * 10 for i in ((0, 0), (1, 1), (2, 2), (0, 1), (1, 2), (2, 0))
        )
        lines += [f"----------------- Iteration {number + 1:6d}(   1)  ---------------------", ""]
        if good:
            lines += ["------------------------ aborting loop because EDIFF is reached ----------------------", ""]
        lines += [f"  in kB   {xx:.8f} {yy:.8f} {zz:.8f} {xy:.8f} {yz:.8f} {zx:.8f}"]
        lines += ["      direct lattice vectors                 reciprocal lattice vectors"]
        lines += [
            " ".join(f"{x:14.9f}" for x in (*a, *b))
            for a, b in zip(frame.cell.array, frame.cell.reciprocal(), strict=True)
        ]
        lines += ["", " POSITION                                       TOTAL-FORCE (eV/Angst)", " " + "-" * 80]
        rows = np.hstack([frame.positions, frame.arrays[FORCES_KEY]])
        lines += [" ".join(f"{x:15.9f}" for x in row) for row in rows]
        lines += [" " + "-" * 80, "", "  FREE ENERGIE OF THE ION-ELECTRON SYSTEM (eV)", "  " + "-" * 50]
        lines += [f"  free  energy   TOTEN  = {frame.info['REF_energy']:18.8f} eV", ""]
        lines += [
            f"  energy  without entropy=  {frame.info['REF_energy'] + 5:18.8f}  energy(sigma->0) =  {frame.info['REF_energy'] + 2.5:18.8f}",
            "",
        ]
    return "\n".join([*lines, " General timing and accounting informations for this job:", ""])


def test_quantum_espresso(run: Run, frames: list[Atoms]) -> None:
    files = {f"pw{i}.out": qe_text(frame, converged=i != 2) for i, frame in enumerate(frames[:6])}
    files["cut.out"] = qe_text(frames[6])[:900]
    code, lines, table, got = run(files, max_failed_fraction=0.5)
    assert code == 0, lines
    assert table is not None
    assert table["reason"].to_list() == [None, None, "scf_not_converged", None, None, None, "unreadable"]
    for mine, frame in zip(got, [f for i, f in enumerate(frames[:6]) if i != 2], strict=True):
        np.testing.assert_allclose(mine.info["REF_energy"], frame.info["REF_energy"], atol=1e-6)
        np.testing.assert_allclose(mine.arrays[FORCES_KEY], frame.arrays[FORCES_KEY], atol=1e-6)
        np.testing.assert_allclose(mine.info["REF_stress"], frame.info["REF_stress"], atol=1e-7)
        np.testing.assert_allclose(mine.positions, frame.positions, atol=2e-6)


def test_vasp_takes_the_energy_of_its_forces_and_its_own_word_on_convergence(run: Run, frames: list[Atoms]) -> None:
    good = [step != 4 for step in range(12)]
    code, lines, table, got = run({"OUTCAR": outcar_text(frames[:12], good)}, max_failed_fraction=0.5)
    assert code == 0, lines
    assert table is not None
    assert table["reason"].to_list() == [None if fine else "scf_not_converged" for fine in good]
    for mine, frame in zip(got, [f for f, fine in zip(frames, good, strict=False) if fine], strict=True):
        assert sorted(mine.numbers) == sorted(frame.numbers)
        np.testing.assert_allclose(mine.info["REF_energy"], frame.info["REF_energy"], atol=1e-7)
        np.testing.assert_allclose(mine.arrays[FORCES_KEY], frame.arrays[FORCES_KEY], atol=1e-8)
        np.testing.assert_allclose(mine.info["REF_stress"], frame.info["REF_stress"], atol=1e-9)


def test_vasp_that_used_up_its_iterations_did_not_converge(run: Run, frames: list[Atoms]) -> None:
    """VASP 5.4 says that EDIFF is reached at the last iteration, too: only the count tells. In vasprun.xml alike."""
    text = outcar_text(frames[:6], [True] * 6)
    text = text.replace("\n POTCAR:", "\n   NELM   =     15;   NELMIN=  2; NELMDL= -5     # of ELM steps\n POTCAR:", 1)
    for step, count in ((1, 14), (2, 15), (4, 15), (5, 1)):
        line = f"----------------- Iteration {step + 1:6d}(   1)  ---------------------"
        assert line in text
        text = text.replace(line, "\n".join(line.replace("(   1)", f"({k + 1:4d})") for k in range(count)))
    code, lines, table, got = run({"OUTCAR": text}, max_failed_fraction=0.5)
    assert code == 0, lines
    assert table is not None
    assert table["reason"].to_list() == [None, None, "scf_not_converged", None, "scf_not_converged", None]
    assert table["detail"][2] == "15 SCF iterations of at most NELM = 15"
    assert len(got) == 4
    xml = '<modeling><incar><i type="int" name="NELM"> 15</i></incar>'
    xml += "".join(f"<calculation>{'<scstep></scstep>' * count}</calculation>" for count in (3, 15, 14))
    problems = runs.vasp_xml_problems(xml)
    assert [problem is None for problem in problems] == [True, False, True]
    assert runs.vasp_xml_problems("<calculation>") == ["the file does not say NELM, the most iterations of the SCF"]


@pytest.mark.parametrize(
    ("words", "good"),
    [
        ("EYF", [True]),  # as pw.x does: the energy, then the word on it
        ("YEF", [True]),
        ("NEF", [False]),
        ("NIYEF", [True]),  # the last word before the energy counts
        ("YINEF", [False]),
        ("YIEYF", [True]),  # a hybrid: more than one SCF for the energy
        ("ENF", [False]),
        ("EYFINFIEYF", [True, True]),  # a step without an energy shifts nothing
        ("EYFIENFIEYF", [True, False, True]),
        ("EF", [False]),
    ],
)
def test_the_last_word_of_pwscf_on_an_energy_counts(words: str, good: list[bool]) -> None:
    lines = {
        "E": "!    total energy              =     -15.84450726 Ry", "Y": "     convergence has been achieved in   6 iterations",
        "N": "     convergence NOT achieved after 100 iterations: stopping", "I": "     iteration #  1     ecut=    30.00 Ry",
        "F": "     Forces acting on atoms (cartesian axes, Ry/au):",
    }  # fmt: skip
    found = runs.espresso_energies("\n\n".join(lines[word] for word in words))
    assert [said for _, said in found] == good
    assert all(energy == pytest.approx(-15.84450726 * Rydberg) for energy, _ in found)


# --- Files of ASE and DeePMD-kit, compressed files, folders ---


def calculated(frame: Atoms) -> Atoms:
    """Return a frame with its label as ASE's calculators leave it."""
    atoms = Atoms(frame.numbers, frame.positions, cell=frame.cell, pbc=True)
    energy = frame.info["REF_energy"]
    atoms.calc = SinglePointCalculator(
        atoms, energy=energy + 1.0, free_energy=energy, forces=frame.arrays[FORCES_KEY],
        stress=full_3x3_to_voigt_6_stress(frame.info["REF_stress"]),
    )  # fmt: skip
    return atoms


@pytest.mark.parametrize("name", ["a.traj", "a.db"])
def test_files_of_ase(run: Run, frames: list[Atoms], name: str, tmp_path: Path) -> None:
    ase.io.write(tmp_path / name, [calculated(frame) for frame in frames])
    code, lines, _, got = run([Path(name)])
    assert code == 0, lines
    for mine, frame in zip(got, frames, strict=True):
        assert_same(mine, frame)
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:700])
    code, lines, _, _ = run([Path(name)])
    assert code == 2
    assert f"not a complete ase-{name[2:]} file" in lines[-1]


@pytest.mark.parametrize("opener", [gzip.open, bz2.open, lzma.open])
def test_compressed_files_are_unpacked(run: Run, frames: list[Atoms], opener: Any, tmp_path: Path) -> None:
    with opener("a.packed", "wt") as file:
        file.write("".join(map(text_of, frames)))
    code, lines, _, got = run([Path("a.packed")])
    assert code == 0, lines
    assert len(got) == len(frames)
    Path("a.packed").write_bytes(Path("a.packed").read_bytes()[:-40])
    code, lines, _, _ = run([Path("a.packed")])
    assert code == 2
    assert "cannot be unpacked, is it cut off?" in lines[0]


def write_system(folder: Path, frames: list[Atoms], mixed: bool) -> None:
    """Write frames as DeePMD-kit's documentation says: eV, A, virial = -stress V; in two sets."""
    names = ["F", "Li", "B"]
    folder.mkdir(parents=True)
    (folder / "type_map.raw").write_text("\n".join(names))
    types = [names.index(symbol) for symbol in frames[0].get_chemical_symbols()]
    (folder / "type.raw").write_text("\n".join(map(str, [0] * (len(types) + 1) if mixed else types)))
    for number, part in enumerate((frames[:7], frames[7:])):
        place = folder / f"set.{number:03d}"
        place.mkdir()
        pad = 1 if mixed else 0  # a mixed system is filled up with atoms of type -1
        arrays = {
            "coord": [np.ravel([*f.positions, *[np.zeros(3)] * pad]) for f in part],
            "force": [np.ravel([*f.arrays[FORCES_KEY], *[np.zeros(3)] * pad]) for f in part],
            "box": [f.cell.array.ravel() for f in part],
            "energy": [f.info["REF_energy"] for f in part],
            "virial": [-f.info["REF_stress"].ravel() * f.get_volume() for f in part],
        }
        if mixed:
            arrays["real_atom_types"] = [np.array([*types, -1]) for _ in part]
        for key, values in arrays.items():
            np.save(place / f"{key}.npy", np.array(values))


@pytest.mark.parametrize("mixed", [False, True])
def test_systems_of_deepmd(run: Run, frames: list[Atoms], mixed: bool, tmp_path: Path) -> None:
    write_system(tmp_path / "data/sys", frames, mixed)
    for folder in ("data/sys", "data"):
        code, lines, table, got = run([Path(folder)])
        assert code == 0, lines
        assert table is not None
        assert table["source"][0].endswith("sys/set.000: frame 0")
        for mine, frame in zip(got, frames, strict=True):
            assert_same(mine, frame)
    np.save(tmp_path / "data/sys/set.000/energy.npy", np.zeros(3))
    code, lines, _, _ = run([Path("data/sys")])
    assert code == 2
    assert "sys/set.000: unreadable: no set of DeePMD's: energy.npy has 3 frames, coord.npy 7" in lines[-1]
    (tmp_path / "data/sys/type_map.raw").unlink()
    code, lines, _, _ = run([Path("data/sys")])
    assert code == 2
    assert "type_map.raw is missing: which element is 0?" in lines[-1]


def test_the_data_that_we_write_for_deepmd_come_back(run: Run, frames: list[Atoms], tmp_path: Path) -> None:
    deepmd.write_deepmd(tmp_path / "view", frames, ["Li", "B", "F"])
    code, lines, _, got = run([Path("view")])
    assert code == 0, lines
    for mine, frame in zip(got, frames, strict=True):
        assert_same(mine, frame)


def test_a_folder_of_runs(run: Run, frames: list[Atoms], tmp_path: Path) -> None:
    """Every file of a known format counts, in all folders below; what else lies there does not matter."""
    for number, frame in enumerate(frames[:4]):
        place = tmp_path / "runs" / f"run{number}"
        place.mkdir(parents=True)
        (place / "pw.out").write_text(qe_text(frame))
        (place / "pw.in").write_text("&control\n/\n")
        (place / "start.xyz").write_text("1\nonly a structure\nLi 0 0 0\n")
        (place / "empty.log").write_text("")
    (tmp_path / "runs/vasp").mkdir()
    (tmp_path / "runs/vasp/OUTCAR.gz").write_bytes(gzip.compress(outcar_text(frames[4:8], [True] * 4).encode()))
    code, lines, table, got = run([Path("runs")])
    assert code == 0, lines
    assert table is not None
    assert len(got) == 8
    assert "runs: 5 files or DeePMD systems taken, 12 other files left aside" in " ".join(lines)
    assert not list(tmp_path.glob("tmp*"))
    code, lines, _, _ = run([Path("runs/run0")], format="cp2k")
    assert code == 2
    assert "none of its files is cp2k" in lines[0]


# --- Dynamics of CP2K, as people have them ---


def cp2k_text(
    frames: Sequence[Atoms], forces: bool = True, stress: bool = True, more: str = "", lengths: bool = False
) -> str:
    """Return an output of dynamics as CP2K 2023 writes it, as far as it matters."""
    lines = ["  **** **** ******  **  PROGRAM STARTED AT               2026-11-28 10:00:00.000", "", more]
    for name, vector in zip("abc", frames[0].cell.array, strict=True):
        lines.append(
            f" CELL| Vector {name} [angstrom]: {vector[0]:12.6f}{vector[1]:12.6f}{vector[2]:12.6f}   |{name}| = 1"
        )
    for step, frame in enumerate(frames):
        lines += ["", "  *** SCF run converged in     9 steps ***", ""]
        lines += [f" ENERGY| Total FORCE_EVAL ( QS ) energy [a.u.]: {frame.info['REF_energy'] / Hartree:30.15f}", ""]
        if forces:
            lines += [
                " ATOMIC FORCES in [a.u.]",
                "",
                " # Atom   Kind   Element          X              Y              Z",
            ]
            for i, force in enumerate(frame.arrays[FORCES_KEY] * Bohr / Hartree):
                lines.append(
                    f" {i + 1:6d} {1:6d}      {frame.get_chemical_symbols()[i]:2s} "
                    + " ".join(f"{x:15.10f}" for x in force)
                )
            lines += [" SUM OF ATOMIC FORCES           0.00000000     0.00000000     0.00000000     0.00000000", ""]
        if stress:
            lines += [
                " STRESS| Analytical stress tensor [GPa]",
                " STRESS|                        x                   y                   z",
            ]
            for name, row in zip("xyz", -frame.info["REF_stress"] / GPa, strict=True):
                lines.append(f" STRESS|      {name} " + " ".join(f"{x:20.11E}" for x in row))
        lines += ["", f" MD| Step number {step:50d}"]
        if lengths:
            lines.append(" MD| Cell lengths [ang] " + " ".join(f"{x:.8E}" for x in frame.cell.lengths()))
            lines.append(" MD| Cell angles [deg]       9.00000000E+01  9.00000000E+01  9.00000000E+01")
    return "\n".join(
        [*lines, "", "  **** **** ******  **  PROGRAM ENDED AT                 2026-11-28 11:00:00.000", ""]
    )


def cp2k_xyz(frames: Sequence[Atoms], what: str = "pos", names: Sequence[str] | None = None) -> str:
    """Return PROJECT-pos-1.xyz or PROJECT-frc-1.xyz of frames."""
    text = ""
    for step, frame in enumerate(frames):
        values = frame.positions if what == "pos" else frame.arrays[FORCES_KEY] * Bohr / Hartree
        text += f"{len(frame):8d}\n i = {step:8d}, time = {step / 2:12.3f}, E = {frame.info['REF_energy'] / Hartree:20.10f}\n"
        for name, row in zip(names or frame.get_chemical_symbols(), values, strict=True):
            text += f"{name:>4s} " + " ".join(f"{x:20.10f}" for x in row) + "\n"
    return text


def cp2k_cell(frames: Sequence[Atoms], every: int) -> str:
    """Return PROJECT-1.cell of frames, of which every so many are printed."""
    head = "#   Step   Time [fs]       Ax [Angstrom]       Ay [Angstrom]"
    rows = [f"{i:8d} {i / 2:.3f} " + " ".join(f"{x:.10f}" for x in f.cell.array.ravel()) + f" {f.get_volume():.10f}"
            for i, f in enumerate(frames) if i % every == 0]  # fmt: skip
    return "\n".join([head, *rows]) + "\n"


def test_cp2k_forces_of_their_own_file(run: Run, frames: list[Atoms]) -> None:
    files = {
        "md.out": cp2k_text(frames, forces=False),
        "s-pos-1.xyz": cp2k_xyz(frames),
        "s-1.cell": cp2k_cell(frames, 1),
    }
    code, lines, _, got = run(files | {"s-frc-1.xyz": cp2k_xyz(frames, "frc")})
    assert code == 0, lines
    assert len(got) == len(frames)
    for mine, frame in zip(got, frames, strict=True):
        assert mine.info["REF_energy"] == pytest.approx(frame.info["REF_energy"], abs=1e-7)
        np.testing.assert_allclose(mine.arrays[FORCES_KEY], frame.arrays[FORCES_KEY], atol=1e-6)
        np.testing.assert_allclose(mine.cell.array, frame.cell.array, atol=1e-6)
        np.testing.assert_allclose(mine.info["REF_stress"], frame.info["REF_stress"], atol=1e-9)
    code, lines, _, _ = run(files)
    assert code == 2
    assert "or give PROJECT-frc-1.xyz with it" in lines[-1]
    code, lines, _, _ = run({"s-frc-1.xyz": cp2k_xyz(frames, "frc")})
    assert code == 2
    assert "s-frc-1.xyz: unreadable: give PROJECT-pos-1.xyz, its positions, with it" in lines[-1]


def test_cp2k_kinds_are_elements(run: Run, frames: list[Atoms]) -> None:
    """Kinds such as Li1 are looked up in the output's table; without one the name itself must tell."""
    still = frames[:1]
    names = ["Li1", "LI", *["FX", "B1", "F", "F2", "F_b"] * 2]
    code, lines, _, got = run({"md.out": cp2k_text(still), "s-pos-1.xyz": cp2k_xyz(still, names=["K", *names[1:]])})
    assert code == 0, lines
    assert got[0].get_chemical_symbols() == still[0].get_chemical_symbols()
    bare = {"md.out": cp2k_text(still, forces=False), "s-frc-1.xyz": cp2k_xyz(still, "frc", names)}
    code, lines, _, got = run(bare | {"s-pos-1.xyz": cp2k_xyz(still, names=names)})
    assert code == 0, lines
    assert got[0].get_chemical_symbols() == still[0].get_chemical_symbols()
    for kind, said in (("CO1", "the kind 'CO1' may be Co or C"), ("Q1", "the kind 'Q1' begins with no element")):
        code, lines, _, _ = run(bare | {"s-pos-1.xyz": cp2k_xyz(still, names=[kind, *names[1:]])})
        assert code == 2
        assert said in lines[-1]


def test_a_cp2k_cell_that_changes_must_be_known_at_every_step(run: Run, frames: list[Atoms]) -> None:
    """Printed every second step: the others have that of the output, or none; never that of the start."""
    files = {"md.out": cp2k_text(frames), "s-pos-1.xyz": cp2k_xyz(frames), "s-1.cell": cp2k_cell(frames, 2)}
    code, lines, table, got = run(files, max_failed_fraction=0.5)
    assert code == 0, lines
    assert table is not None
    assert len(got) == 10
    assert table["reason"].to_list() == [None, "unreadable"] * 10
    assert "its cell is not known: have it printed at every step" in table["detail"][1]
    for mine, frame in zip(got, frames[::2], strict=True):
        np.testing.assert_allclose(mine.cell.array, frame.cell.array, atol=1e-6)
    code, lines, _, got = run(files | {"md.out": cp2k_text(frames, lengths=True)})
    assert code == 0, lines
    for mine, frame in zip(got, frames, strict=True):
        np.testing.assert_allclose(mine.cell.array, frame.cell.array, atol=2e-6)
    assert any("times the work of the forces and stress" in line for line in lines)


def test_cp2k_runs_of_several_folders_stay_apart(run: Run, frames: list[Atoms], tmp_path: Path) -> None:
    """Steps and cells of one run are not those of another, of the same name in another folder."""
    for name, some in (("a", frames[:6]), ("b", frames[10:16])):
        (tmp_path / "runs" / name).mkdir(parents=True)
        for file, text in (
            ("md.out", cp2k_text(some)),
            ("s-pos-1.xyz", cp2k_xyz(some)),
            ("s-1.cell", cp2k_cell(some, 1)),
        ):
            (tmp_path / "runs" / name / file).write_text(text)
    code, lines, _, got = run([Path("runs")])
    assert code == 0, lines
    for mine, frame in zip(got, [*frames[:6], *frames[10:16]], strict=True):
        np.testing.assert_allclose(mine.cell.array, frame.cell.array, atol=1e-6)


def test_a_cp2k_banner_that_is_printed_twice_begins_no_run(run: Run, frames: list[Atoms]) -> None:
    still = frames[:1]
    text = cp2k_text(still)
    banner = "  **** **** ******  **  PROGRAM STARTED AT               2026-11-28 10:00:00.000\n"
    for twice in (
        banner + text,
        text.replace("\n CELL|", f"\n{banner} CELL|", 1),
        text.replace("\n  *** SCF", f"\n{banner}\n  *** SCF", 1),
    ):
        code, lines, table, got = run({"md.out": twice, "s-pos-1.xyz": cp2k_xyz(still)})
        assert code == 0, lines
        assert table is not None
        assert table.height == len(got) == 1


def test_a_cp2k_output_of_which_every_line_is_printed_twice(run: Run, frames: list[Atoms]) -> None:
    """Two processes that were not meant to be two: lines come in pairs. The stress is in its own file."""
    doubled = "".join(line * 2 for line in cp2k_text(frames[:6], stress=False).splitlines(keepends=True))
    head = "#   Step   Time [fs]            xx [bar]            xy [bar]"
    rows = [
        f"{i} 0.0 " + " ".join(f"{-x / bar:.10f}" for x in f.info["REF_stress"].ravel())
        for i, f in enumerate(frames[:6])
    ]
    files = {"md.out": doubled, "s-pos-1.xyz": cp2k_xyz(frames[:6]), "s-1.stress": "\n".join([head, *rows]) + "\n"}
    code, lines, _, got = run(files | {"s-1.cell": cp2k_cell(frames[:6], 1)})
    assert code == 0, lines
    assert any("stress of 6 steps from PROJECT-1.stress: taken as it is" in line for line in lines)
    for mine, frame in zip(got, frames[:6], strict=True):
        np.testing.assert_allclose(mine.arrays[FORCES_KEY], frame.arrays[FORCES_KEY], atol=1e-6)
        np.testing.assert_allclose(mine.info["REF_stress"], frame.info["REF_stress"], atol=1e-9)


def test_the_stress_file_of_cp2k_holds_the_motion_too(tmp_path: Path) -> None:
    """A run of CP2K 2023 (LiF, NPT, the cell printed every second step): its -1.stress less m v v / V is the stress that its output prints of the forces."""
    data = Path(__file__).resolve().parents[2] / "data/cp2k_npt"
    text = (data / "md.out").read_text()
    (tmp_path / "full.out").write_text(text)
    (tmp_path / "bare.out").write_text(re.sub(r"^ STRESS\|.*\n", "", text, flags=re.M))

    def read(output: str, *beside: str) -> tuple[list[blocks.Found], list[str]]:
        words: list[str] = []
        files = {output: tmp_path / output} | {name: data / name for name in beside}
        return list(labels_cp2k.read_cp2k(files, words)), words

    names = ("salt-pos-1.xyz", "salt-frc-1.xyz", "salt-1.stress", "salt-1.cell")
    printed, words = read("full.out", *names)
    assert not words
    assert len(printed) == 5
    exact, words = read("bare.out", *names, "salt-vel-1.xyz")
    assert "by their velocities" in words[0]
    rough, words = read("bare.out", *names)
    assert "by the kinetic energy of the output" in words[0]
    for found, one, other in zip(printed, exact, rough, strict=True):
        assert found.atoms is not None
        assert found.stress_ev_a3 is not None
        assert one.stress_ev_a3 is not None
        assert other.stress_ev_a3 is not None
        np.testing.assert_allclose(one.stress_ev_a3, found.stress_ev_a3, rtol=1e-5, atol=1e-5)
        assert np.trace(other.stress_ev_a3) == pytest.approx(np.trace(found.stress_ev_a3), rel=1e-6)
    # -1.cell has every second step; the others' cells are those of the output, never the first
    edges = [found.atoms.cell.lengths()[0] for found in printed if found.atoms is not None]
    assert edges == pytest.approx([6.0, 7.12266069, 8.12146119, 7.97434952, 6.86146312], abs=1e-6)
    assert all(found.atoms.get_chemical_symbols() == ["Li", "F"] for found in printed if found.atoms is not None)


CP2K = next((path for name in ("cp2k.ssmp", "cp2k.psmp", "cp2k") if (path := shutil.which(name))), None)
CP2K_INPUT = """\
&GLOBAL
  PROJECT lif
  RUN_TYPE {run_type}
&END GLOBAL
&FORCE_EVAL
  METHOD QUICKSTEP
  STRESS_TENSOR ANALYTICAL
  &PRINT
    &FORCES
    &END FORCES
    &STRESS_TENSOR
    &END STRESS_TENSOR
  &END PRINT
  &DFT
    BASIS_SET_FILE_NAME BASIS_MOLOPT
    POTENTIAL_FILE_NAME GTH_POTENTIALS
    &MGRID
      CUTOFF 900
      REL_CUTOFF 50
    &END MGRID
    &SCF
      EPS_SCF 1e-6
      MAX_SCF {max_scf}
      &OT
        MINIMIZER DIIS
        PRECONDITIONER FULL_SINGLE_INVERSE
      &END OT
    &END SCF
    &XC
      &XC_FUNCTIONAL PBE
      &END XC_FUNCTIONAL
    &END XC
  &END DFT
  &SUBSYS
    &CELL
      ABC 6.0 6.0 6.0
    &END CELL
    &COORD
      Li 0.0 0.0 0.0
      F  1.6 0.1 0.0
    &END COORD
    &KIND DEFAULT
      BASIS_SET SZV-MOLOPT-SR-GTH
      POTENTIAL GTH-PBE
    &END KIND
  &END SUBSYS
&END FORCE_EVAL
&MOTION
  &MD
    ENSEMBLE NVE
    STEPS 1
    TIMESTEP 1.0
    TEMPERATURE 300
  &END MD
&END MOTION
"""
LIF = {"id": "lif", "ions": [ion("li", 1), ion("f", 1, smiles="[F-]", charge=-1)]}


@pytest.mark.skipif(CP2K is None, reason="no cp2k here")
def test_cp2k_single_points_and_dynamics(run: Run, tmp_path: Path) -> None:
    """One run of dynamics, its first step again as a single point, and one whose SCF is not let to converge."""
    assert CP2K is not None

    def cp2k(name: str, run_type: str, max_scf: int) -> Path:
        (tmp_path / f"{name}.inp").write_text(CP2K_INPUT.format(run_type=run_type, max_scf=max_scf))
        subprocess.run([CP2K, "-i", f"{name}.inp", "-o", f"{name}.out"], cwd=tmp_path, check=False, capture_output=True)
        return tmp_path / f"{name}.out"

    dynamics, single, bad = cp2k("md", "MD", 60), cp2k("sp", "ENERGY_FORCE", 60), cp2k("bad", "ENERGY_FORCE", 2)
    cut = tmp_path / "cut.out"
    cut.write_text(single.read_text().split(" SUM OF ATOMIC FORCES")[0])
    files = [single, bad, cut, dynamics, tmp_path / "lif-pos-1.xyz"]
    assert [labels_files.format_of(path) for path in files] == ["cp2k"] * 5
    code, lines, table, got = run(files, liquids=[LIF], max_failed_fraction=0.5)
    assert code == 0, lines
    assert table is not None
    assert dict(zip(table["source"], table["reason"], strict=True)) == {
        "sp.out": None, "bad.out": "scf_not_converged", "cut.out": "truncated",
        "lif-pos-1.xyz: step 0": None, "lif-pos-1.xyz: step 1": None,
    }  # fmt: skip
    hartree = float(re.findall(r"ENERGY\| Total FORCE_EVAL .* (\S+)$", single.read_text(), re.M)[-1])
    assert got[0].info["REF_energy"] == pytest.approx(hartree * Hartree, rel=1e-12)
    # Of the single point and of step 0 everything is the same; along the steps the energy does the forces' work.
    np.testing.assert_allclose(got[0].arrays[FORCES_KEY], got[1].arrays[FORCES_KEY], atol=1e-6)
    np.testing.assert_allclose(got[0].info["REF_stress"], got[1].info["REF_stress"], atol=1e-8)
    for a, b in pairwise(got[1:]):
        work = -np.sum((a.arrays[FORCES_KEY] + b.arrays[FORCES_KEY]) / 2 * (b.positions - a.positions))
        assert b.info["REF_energy"] - a.info["REF_energy"] == pytest.approx(work, rel=0.02)
    # ASE reads the same trajectory
    assert np.allclose(ase.io.read(tmp_path / "lif-pos-1.xyz", index=1).positions, got[2].positions, atol=1e-6)
    code, lines, _, _ = run([dynamics], liquids=[LIF])
    assert code == 2
    assert "give PROJECT-pos-1.xyz with it" in lines[-1]


def test_a_cp2k_trajectory_that_is_cut_off_is_one_line(run: Run) -> None:
    text = "       2\n i =        0, time =        0.000, E =       -31.75\n Li 0.0 0.0 0.0\n"
    code, lines, _, _ = run({"lif-pos-1.xyz": text}, liquids=[LIF])
    assert code == 2
    assert lines == ["error: labels.frames: lif-pos-1.xyz: line 1: not a frame of a CP2K trajectory; is it cut off?"]


def test_units_are_those_of_ase() -> None:
    assert units.ENERGY_UNITS_EV["kJ/mol"] == pytest.approx(0.0103642697, rel=1e-6)
    assert units.ENERGY_UNITS_EV["kcal/mol"] == pytest.approx(0.0433641, rel=1e-5)
    assert units.FORCES_UNITS_EV_A["Ha/Bohr"] == pytest.approx(51.4220675, rel=1e-6)
    assert units.STRESS_UNITS_EV_A3["kbar"] == pytest.approx(units.STRESS_UNITS_EV_A3["GPa"] / 10)
    with pytest.raises(UserError, match=r"labels\.energy_key"):
        keys.choose_keys(keys.Survey(), OwnLabels(frames="a", theory="b").model_dump())
