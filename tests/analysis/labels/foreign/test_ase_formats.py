"""Outputs of VASP and Quantum ESPRESSO, and files of ASE."""

from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.stress import full_3x3_to_voigt_6_stress
from ase.units import Bohr, Rydberg
from foreign_labels import Run, assert_same, outcar_text, qe_text

from ionmelt.frame import FORCES_KEY
from ionmelt.labels.foreign import ase_formats


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


def energies_before(text: str, *rounds: tuple[str, float]) -> str:
    """Return what pw.x prints of a single point with energies, each after its mark and so much (Ry) off, before its last one."""
    start = text.index("!    total energy")
    last = float(text[start:].split("=")[1].split()[0])
    achieved = (
        "     convergence has been achieved in   5 iterations\n     EXX: now go back to refine exchange calculation\n\n"
    )
    lines = "".join(f"{mark:4s} total energy              = {last + off:19.10f} Ry\n{achieved}" for mark, off in rounds)
    return text[:start] + lines + text[start:]


def test_pwscf_has_one_energy_for_its_forces(run: Run, frames: list[Atoms]) -> None:
    """Of a hybrid functional that with two marks, and of iterations that are printed, as iprint says, the last."""
    rounds = [("!", 0.4), ("!", 0.02), ("", 0.01), ("!", 0.001)]
    hybrids = [
        energies_before(qe_text(frame), *rounds).replace("!    total energy", "!!   total energy") for frame in frames
    ]
    hybrids = [text.replace("!!   total energy", "!    total energy", 3) for text in hybrids]
    printed = [energies_before(qe_text(frame), ("!", 0.4), ("!", 0.01)) for frame in frames]
    for texts in (hybrids, printed):
        code, lines, _, got = run({f"pw{number:02d}.out": text for number, text in enumerate(texts)})
        assert code == 0, lines
        for mine, frame in zip(got, frames, strict=True):
            assert mine.info["REF_energy"] == pytest.approx(frame.info["REF_energy"], abs=1e-3)
    end = "     EXX convergence NOT achieved after 100 iterations: stopping\n\n     Forces acting"
    open_ended = [energies_before(qe_text(frame), ("!", 0.4)).replace("     Forces acting", end) for frame in frames]
    code, lines, _, _ = run({f"pw{number:02d}.out": text for number, text in enumerate(open_ended)})
    assert code == 2
    assert "scf_not_converged" in lines[-1]


def pwscf_dynamics(frames: list[Atoms]) -> str:
    """Return what pw.x prints of dynamics of a cell that changes, as far as it matters."""
    text = qe_text(frames[0])
    alat = frames[0].cell.lengths()[0]
    for frame in frames[1:]:
        text += f"CELL_PARAMETERS (alat= {alat / Bohr:.8f})\n"
        text += "\n".join("".join(f"{x:16.10f}" for x in row) for row in frame.cell.array / alat)
        text += "\n\nATOMIC_POSITIONS (angstrom)\n"
        for symbol, row in zip(frame.get_chemical_symbols(), frame.positions, strict=True):
            text += f"{symbol:4s}" + "".join(f"{x:16.10f}" for x in row) + "\n"
        said = qe_text(frame)
        text += "\n\n     Self-consistent Calculation\n" + said[said.index("     convergence") :]
    return text.replace("     JOB DONE.\n", "") + "     JOB DONE.\n"


def test_a_step_of_pwscf_that_was_killed_costs_that_step(run: Run, frames: list[Atoms]) -> None:
    text = pwscf_dynamics(frames)
    code, lines, _, got = run({"md.out": text})
    assert code == 0, lines
    for mine, frame in zip(got, frames, strict=True):
        np.testing.assert_allclose(mine.arrays[FORCES_KEY], frame.arrays[FORCES_KEY], atol=1e-6)
        np.testing.assert_allclose(mine.cell.array, frame.cell.array, atol=1e-5)
    last = text.rindex("Forces acting on atoms")
    code, lines, table, got = run({"md.out": text[: last + 300]})
    assert code == 0, lines
    assert table is not None
    assert table["reason"].to_list() == [None] * 19 + ["truncated"]
    assert len(got) == 19


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
    problems = ase_formats.vasp_xml_problems(xml)
    assert [problem is None for problem in problems] == [True, False, True]
    assert ase_formats.vasp_xml_problems("<calculation>") == [
        "the file does not say NELM, the most iterations of the SCF"
    ]


def test_an_outcar_that_cannot_be_read_says_where_its_frames_are(run: Run, frames: list[Atoms]) -> None:
    """Layouts of VASP that ASE does not know, as of 5.2 with a van der Waals functional."""
    text = outcar_text(frames[:2], [True] * 2).replace("TOTEN  =", "TOTEN  = w/o vdW =")
    code, lines, _, _ = run({"OUTCAR": text})
    assert code == 2
    assert "unreadable: not a complete vasp-out file" in lines[-1]
    assert lines[-1].endswith("; its vasprun.xml holds the same")


def test_steps_of_vasps_learned_force_field_are_no_labels(run: Run, frames: list[Atoms]) -> None:
    """As an OUTCAR of VASP's training on the fly has them, of which ASE's reader says nothing that helps."""
    text = outcar_text(frames[:6], [True] * 6)
    learned = "  ML FREE ENERGIE OF THE ION-ELECTRON SYSTEM (eV)\n  free  energy ML TOTEN  =     -100.12345678 eV\n"
    code, lines, _, _ = run({"OUTCAR": text.replace(" General timing", f"{learned} General timing")})
    assert code == 2
    assert "which are no labels: give vasprun.xml" in lines[-1]


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
    energies = ase_formats.espresso_energies("\n\n".join(lines[word] for word in words))
    assert [said for _, said in energies] == good
    assert all(energy == pytest.approx(-15.84450726 * Rydberg) for energy, _ in energies)


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
