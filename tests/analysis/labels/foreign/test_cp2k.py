"""Single points and dynamics of CP2K, as people have them."""

import re
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.units import Bohr, GPa, Hartree, Pascal, bar
from foreign_labels import EDGE_A, LIF, Run, cp2k_cell, cp2k_text, cp2k_xyz

from ionmelt.frame import FORCES_KEY
from ionmelt.labels.foreign import blocks, format_of
from ionmelt.labels.foreign import cp2k as labels_cp2k


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


def single_point(frame: Atoms, unit: str = "ANGSTROM", length_A: float = 1.0) -> str:
    """Return an output of a single point as CP2K 2023 writes it, its table of atoms in another unit."""
    table = f" MODULE QUICKSTEP: ATOMIC COORDINATES IN {unit}\n\n   Atom Kind Element         X             Y             Z\n\n"
    for i, (symbol, number, at) in enumerate(
        zip(frame.get_chemical_symbols(), frame.numbers, frame.positions / length_A, strict=True)
    ):
        table += (
            f" {i + 1:6d}    1 {symbol:2s} {number:4d} {at[0]:14.7f}{at[1]:14.7f}{at[2]:14.7f}    3.0000   10.0000\n"
        )
    text = re.sub(r"\n MD\| Step number.*", "", cp2k_text([frame]))
    return text.replace("\n  *** SCF", f"\n{table}\n  *** SCF", 1)


def test_cp2k_single_points_in_bohr_and_with_a_charge(run: Run, frames: list[Atoms]) -> None:
    for text in (single_point(frames[0]), single_point(frames[0], "BOHR", Bohr)):
        code, lines, _, (mine,) = run({"a.out": text})
        assert code == 0, lines
        moved = mine.positions - frames[0].positions
        np.testing.assert_allclose(moved - np.rint(moved / EDGE_A) * EDGE_A, 0.0, atol=1e-6)
    code, lines, _, _ = run({"a.out": single_point(frames[0], "NM", 10.0)})
    assert code == 2
    assert "its coordinates in NM: angstrom or bohr can be read" in lines[-1]
    charged = single_point(frames[0]).replace(" CELL| Vector a", " DFT| Charge              -1\n CELL| Vector a")
    code, lines, _, _ = run({"a.out": charged})
    assert code == 2
    assert "not_neutral: the frame says charge=-1, and the box of a liquid is neutral" in lines[-1]


def in_units(text: str, energy: str, per_hartree: float, forces: str, per_atomic: float) -> str:
    """Return an output with other units of energy and forces, as an input of CP2K may ask for."""

    def scaled(match: re.Match[str], factor: float) -> str:
        return match[1] + " ".join(f"{float(x) * factor:.12f}" for x in match[2].split())

    text = re.sub(r"(energy )\[a.u.\]:( .*)", lambda m: f"{m[1]}[{energy}] {float(m[2]) * per_hartree:.12f}", text)
    text = re.sub(r"(?m)^( +\d+ +1 +[A-Z][a-z]? +)(.*)$", lambda match: scaled(match, per_atomic), text)
    return text.replace("FORCES in [a.u.]", f"FORCES in [{forces}]")


def test_units_that_cp2k_names_are_taken(run: Run, frames: list[Atoms]) -> None:
    beside = {"s-pos-1.xyz": cp2k_xyz(frames[:1])}
    plain = cp2k_text(frames[:1])
    in_ev = in_units(plain, "eV", Hartree, "eV/angstrom", Hartree / Bohr)
    in_bar = re.sub(r"\d\.\d+E[-+]\d+", lambda match: f"{float(match[0]) * GPa / (101325 * Pascal):.11E}", plain)
    for text in (in_ev, in_bar.replace("[GPa]", "[atm]")):
        assert text != plain
        code, lines, _, (mine,) = run({"md.out": text, **beside})
        assert code == 0, lines
        assert mine.info["REF_energy"] == pytest.approx(frames[0].info["REF_energy"], abs=1e-7)
        np.testing.assert_allclose(mine.arrays[FORCES_KEY], frames[0].arrays[FORCES_KEY], atol=1e-6)
        np.testing.assert_allclose(mine.info["REF_stress"], frames[0].info["REF_stress"], atol=1e-9)
    for change, said in {
        ("[GPa]", "[au_p]"): "its stress in au_p: one of GPa, MPa",
        ("energy [a.u.]", "energy [kjmol]"): "its energy in kjmol: one of eV, Ha",
        ("FORCES in [a.u.]", "FORCES in [mN]"): "its forces in mN: one of eV/A, Ha/Bohr",
        (" CELL| Vector a", " CELL| Periodicity      NONE\n CELL| Vector a"): "its cell is periodic in NONE",
    }.items():
        code, lines, _, _ = run({"md.out": plain.replace(*change), **beside})
        assert code == 2
        assert said in " ".join(lines)


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


def test_a_cp2k_run_that_was_killed_and_restarted_is_whole(run: Run, frames: list[Atoms]) -> None:
    """Its restart goes on from an earlier step: of the steps that are there twice the last of the killed run is cut off."""
    head, *steps = re.split(r"(?=\n  \*\*\* SCF run)", cp2k_text(frames, lengths=True))
    lines_of = cp2k_xyz(frames).splitlines(keepends=True)
    size = len(frames[0]) + 2
    files = {
        "md.out": "".join([head, *steps[:8], "\n", head, *steps[4:]]),
        "s-pos-1.xyz": "".join(lines_of[: 8 * size] + lines_of[4 * size :]),
    }
    code, lines, table, got = run(files, max_failed_fraction=0.0)
    assert code == 0, lines
    assert table is not None
    assert table.height == len(got) == 24


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
    data = Path(__file__).resolve().parents[3] / "data/cp2k_npt"
    text = (data / "md.out").read_text()
    (tmp_path / "full.out").write_text(text)
    (tmp_path / "bare.out").write_text(re.sub(r"^ STRESS\|.*\n", "", text, flags=re.M))

    def read(output: str, *beside: str) -> tuple[list[blocks.ForeignFrame], list[str]]:
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
    for frame, one, other in zip(printed, exact, rough, strict=True):
        assert frame.atoms is not None
        assert frame.stress_ev_a3 is not None
        assert one.stress_ev_a3 is not None
        assert other.stress_ev_a3 is not None
        np.testing.assert_allclose(one.stress_ev_a3, frame.stress_ev_a3, rtol=1e-5, atol=1e-5)
        assert np.trace(other.stress_ev_a3) == pytest.approx(np.trace(frame.stress_ev_a3), rel=1e-6)
    # -1.cell has every second step; the others' cells are those of the output, never the first
    edges = [frame.atoms.cell.lengths()[0] for frame in printed if frame.atoms is not None]
    assert edges == pytest.approx([6.0, 7.12266069, 8.12146119, 7.97434952, 6.86146312], abs=1e-6)
    assert all(frame.atoms.get_chemical_symbols() == ["Li", "F"] for frame in printed if frame.atoms is not None)


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


@pytest.mark.long
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
    assert [format_of(path) for path in files] == ["cp2k"] * 5
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


@pytest.mark.parametrize("end", [-200, -8, -640])
def test_the_last_frame_of_a_killed_cp2k_run_costs_that_frame(run: Run, frames: list[Atoms], end: int) -> None:
    """Within a row, a number or the head of the last frame; within another frame no end is expected."""
    positions, forces = cp2k_xyz(frames), cp2k_xyz(frames, "frc")
    files = {"md.out": cp2k_text(frames, forces=False, lengths=True), "s-frc-1.xyz": forces}
    code, lines, table, got = run(files | {"s-pos-1.xyz": positions[:end]})
    assert code == 0, lines
    assert table is not None
    assert len(got) == 19
    assert table["detail"].to_list()[-1] == "line 267: not a frame of a CP2K trajectory; is it cut off?"
    code, lines, table, got = run(files | {"s-pos-1.xyz": positions, "s-frc-1.xyz": forces[:end]})
    assert code == 0, lines
    assert table is not None
    assert table["reason"].to_list() == [None] * 19 + ["no_forces"]
    code, lines, _, _ = run(files | {"s-pos-1.xyz": positions[:end] + positions})
    assert code == 2
    assert "line 267: not a frame of a CP2K trajectory" in lines[0]
