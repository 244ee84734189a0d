"""A frame that cannot be used costs itself, and its row says what would be right."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest
from ase import Atoms
from foreign_labels import Run, shown, text_of, with_stress

from ionmelt.frame import FORCES_KEY
from ionmelt.labels.foreign.blocks import ForeignFrame
from ionmelt.labels.judgement import (
    lies_apart,
    problem,
    problem_of_structure,
    said_against,
    without_drift,
    without_placeholders,
)


def spoil(old: str, new: str) -> Callable[[str], str]:
    def change(text: str) -> str:
        assert old in text
        return text.replace(old, new, 1)

    return change


def drop_line(text: str) -> str:
    return "".join(text.splitlines(keepends=True)[:-1])


def without_a_lithium(text: str) -> str:
    """Leave a lithium out, whose force the other one takes: the forces still sum to zero."""
    head, comment, first, second, *rest = text.splitlines()
    assert (head, first[:3], second[:3]) == ("12", "Li ", "Li ")
    forces = [float(a) + float(b) for a, b in zip(first.split()[4:], second.split()[4:], strict=True)]
    second = " ".join([*second.split()[:4], *(f"{force:.10f}" for force in forces)])
    return "\n".join(["11", comment, second, *rest]) + "\n"


SPOILED: dict[str, tuple[Callable[[str], str], str, str]] = {
    "cut off": (drop_line, "unreadable", "12 atoms are promised"),
    "a number is a word": (lambda t: re.sub(r"^Li \S+", "Li abc", t, count=1, flags=re.M), "unreadable", "not a frame"),
    "SCF": (spoil("pbc=", "converged=F pbc="), "scf_not_converged", "the frame says converged=f"),
    "SCF of others": (spoil("pbc=", "SCF-converged=0 pbc="), "scf_not_converged", "the frame says scf_converged=0"),
    "charged by its word": (spoil("pbc=", "total_charge=-1.0 pbc="), "not_neutral", "the frame says total_charge=-1.0, and the box"),
    "charged by its atoms": (lambda t: re.sub(r"(?m)^((?:Li|B|F) .*)$", r"\1 0.25", t.replace("forces:R:3", "forces:R:3:initial_charges:R:1")),
                             "not_neutral", "the frame says charge=3, and the box"),
    "energy of nothing": (lambda t: re.sub(r"energy=\S+", "energy=0.0", t), "no_energy", "a placeholder"),
    "energy without weight": (spoil("pbc=", "config_energy_weight=0.0 pbc="), "no_energy", "the frame says config_energy_weight=0"),
    "forces without weight": (spoil("pbc=", "config_forces_weight=0 pbc="), "no_forces", "the frame says config_forces_weight=0"),
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
    "charged": (without_a_lithium, "not_neutral", "1 li"),
    "kind": (lambda t: t.replace('pbc="T T T"', 'pbc="T T T" kind=train'), "identity", "give another kind_key"),
}  # fmt: skip


@pytest.mark.parametrize("case", sorted(SPOILED))
def test_one_spoiled_frame_costs_one_frame(run: Run, frames: list[Atoms], case: str) -> None:
    change, reason, detail = SPOILED[case]
    texts = [text_of(frame) for frame in frames]
    index = len(texts) - 1 if case == "cut off" else 7
    texts[index] = change(texts[index])
    code, lines, table, got = run({"a.xyz": "".join(texts)}, max_failed_fraction=0.1)
    assert code == 0, lines
    assert table is not None
    bad = table.filter(~pl.col("converged"))
    assert bad.height == 1
    row = bad.to_dicts()[0]
    assert row["reason"] == reason
    assert detail in row["detail"]
    assert row["source"].startswith(f"a.xyz: frame {index} (line ")
    assert len(got) == len(frames) - 1
    assert any(row["source"] in line and row["reason"] in line for line in lines)
    # and too many of them stop the run, with a line for the kind of mistake
    code, lines, _, _ = run({"a.xyz": "".join(texts)}, max_failed_fraction=0.0)
    assert code == 2
    assert "labels.max_failed_fraction: 1 of 20 frames cannot be used" in lines[0]
    assert row["source"] in lines[1]


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


def test_words_that_say_nothing_against_a_frame(run: Run, frames: list[Atoms]) -> None:
    for words in ("converged=T charge=0", "scf_converged=True total_charge=0.0", "charge=None"):
        code, lines, _, got = run(shown(frames[:6], info=words))
        assert code == 0, lines
        assert len(got) == 6


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ([[10, 0, 0], [0, 10, 0], [0, 10, 1e-4]], None),  # a hundred-thousandth of a box with these edges
        ([[10, 0, 0], [0, 10, 0], [0, 10, 1e-6]], "not_periodic"),
        ([10, 10, 1e5], None),
        ([10, 10, 1e7], "unreadable"),
    ],
)
def test_a_cell_is_refused_where_it_is_flat_or_without_end(cell: list, reason: str | None) -> None:
    refused = problem_of_structure(Atoms("Li", cell=cell, pbc=True))
    assert (refused.reason if refused else None) == reason


def test_a_structure_is_refused_that_is_no_periodic_box_of_atoms() -> None:
    box = {"cell": [10, 10, 10], "pbc": True}
    assert problem_of_structure(Atoms("Li", **box)) is None
    for atoms, reason in (
        (Atoms(**box), "unreadable"),
        (Atoms("Li", cell=[10, 10, 10], pbc=(True, True, False)), "not_periodic"),
        (Atoms("Li", cell=[[10, 0, 0], [0, 10, 0], [10, 10, 0]], pbc=True), "not_periodic"),
        (Atoms("Li", cell=[10, 10, 0], pbc=True), "not_periodic"),
        (Atoms("Li", [[0, np.nan, 0]], **box), "non_finite"),
        (Atoms("Li", cell=[10, 10, np.inf], pbc=True), "non_finite"),
        (Atoms("Li", [[0, -2e6, 0]], **box), "unreadable"),
    ):
        refused = problem_of_structure(atoms)
        assert refused is not None and refused.reason == reason


def pair(**given: Any) -> ForeignFrame:
    """Return a frame of four atoms that can be used, but for what is given."""
    atoms = Atoms("LiFLiF", [[0, 0, 0], [4, 0, 0], [0, 4, 0], [4, 4, 4]], cell=[9, 9, 9], pbc=True)
    forces = np.array([[0.0, 1.0, 0.0], [0.0, -1.0, 0.0], [0.0, 2.0, 0.0], [0.0, -2.0, 0.0]])
    good = {"atoms": atoms, "energy_ev": -1.0, "forces_ev_a": forces, "stress_ev_a3": np.eye(3) / 1000}
    return ForeignFrame("a.xyz", **good | given)


ASYMMETRIC = np.eye(3) / 1000 + [[0, 0.01, 0], [0, 0, 0], [0, 0, 0]]


@pytest.mark.parametrize(
    ("given", "reason", "words"),
    [
        ({"energy_ev": None}, "no_energy", "the frame has no energy"),
        ({"energy_ev": None, "detail": "two energies"}, "no_energy", "two energies"),
        ({"forces_ev_a": None}, "no_forces", "the frame has no forces"),
        ({"forces_ev_a": None, "detail": "zeros"}, "no_forces", "zeros"),
        ({"forces_ev_a": np.zeros((4, 2))}, "shape", "energy must be one number, forces 3 columns, stress 9 numbers"),
        ({"energy_ev": float("nan")}, "non_finite", "energy, forces and stress must be finite numbers"),
        ({"stress_ev_a3": ASYMMETRIC}, "stress_asymmetric", "the stress is not symmetric"),
        ({"stress_ev_a3": np.zeros((3, 3))}, "no_stress", "its stress is exactly zero"),
        ({"forces_ev_a": 30 * pair().forces_ev_a}, "force_too_large", "a force is 60 eV/A, the limit is 50: "),
        ({"atoms": pair().atoms[[0, 0, 1, 1]]}, "overlap", "closer than half the sum"),
        ({"reason": "unreadable", "detail": "cut off"}, "unreadable", "cut off"),
        ({"reason": "unreadable"}, "unreadable", ""),
    ],
)  # fmt: skip
def test_a_frame_that_cannot_be_used_says_why(given: dict[str, Any], reason: str, words: str) -> None:
    refused = problem(pair(**given), 0.05)
    assert refused is not None and refused.reason == reason
    assert words in refused.detail and bool(words) == bool(refused.detail)


def pushed(by_ev_a: float) -> np.ndarray:
    """Return forces (4, 3) of which each has the same beside those that sum to zero: over the root of four atoms, twice that."""
    return pair().forces_ev_a + by_ev_a * np.array([0.6, -0.8, 0.0])


def test_a_frame_may_be_without_stress_and_its_forces_may_sum_to_the_limit_of_the_study() -> None:
    assert problem(pair(), 0.05) is None
    assert problem(pair(stress_ev_a3=None), 0.05) is None
    for by, limit, usable in ((0.024, 0.05, True), (0.026, 0.05, False), (0.024, 0.04, False), (0.024, 0.049, True)):
        refused = problem(pair(forces_ev_a=pushed(by)), limit)
        assert (refused is None) is usable
        assert usable or (refused.reason == "net_force" and f"{limit * 2:.3g} (max_net_force_eV_A" in refused.detail)


@pytest.mark.parametrize(
    ("forces", "taken"),
    [
        (pushed(0.024), False),  # within the contract's limit of 0.05
        (pushed(0.026), True),
        (pushed(0.099), True),
        (pushed(0.101), False),  # beyond the study's
        (pushed(np.nan), False),
        (pushed(0.05)[0], False),
    ],
)
def test_a_drift_between_the_limits_of_contract_and_study_is_taken_off(forces: np.ndarray, taken: bool) -> None:
    foreign = pair(forces_ev_a=forces)
    assert without_drift(foreign, 0.2) is taken
    np.testing.assert_allclose(foreign.forces_ev_a, pair().forces_ev_a if taken else forces, atol=1e-12)
    assert not without_drift(pair(forces_ev_a=None), 0.2)


def test_forces_of_a_liquid_that_are_all_zero_are_none() -> None:
    """Those of an atom alone are zero, and so may be those of what is no liquid."""
    still = np.zeros((4, 3))
    for forces, liquid, kept in (
        (still, True, False),
        (still, False, True),
        (still[:1], True, True),
        (pushed(0), True, True),
    ):
        foreign = pair(forces_ev_a=forces)
        without_placeholders(foreign, liquid)
        assert (foreign.forces_ev_a is forces) is kept
        assert (foreign.detail is None) is kept
    without_placeholders(pair(forces_ev_a=None), liquid=True)


@pytest.mark.parametrize(
    ("symbols", "molecule", "apart_A", "expected"),
    [
        ("LiF", [0, 1], 2.8, True),  # 1.5 times 1.28 and 0.57 A: 2.775 A
        ("LiF", [0, 1], 2.75, False),
        ("LiF", [0, 0], 2.8, False),
        ("LiFLi", [0, 1, 2], 4.0, True),
        ("Li", [0], 0.0, False),
    ],
)
def test_single_atoms_that_are_nowhere_near_lie_apart(
    symbols: str, molecule: list[int], apart_A: float, expected: bool
) -> None:
    atoms = Atoms(symbols, [[i * apart_A, 0, 0] for i in range(len(molecule))], cell=[20, 20, 20], pbc=True)
    atoms.arrays["molecule"] = np.array(molecule)
    assert lies_apart(atoms) is expected


@pytest.mark.parametrize("name", ["converged", "scf_converged", "is_converged", "electronic_converged"])
def test_every_name_of_a_missed_convergence_counts(name: str) -> None:
    for word in (False, "F", 0, "no"):
        refused = said_against({name.replace("_", "-").upper(): word}, in_liquid=False)
        assert refused is not None and refused.reason == "scf_not_converged"
    assert said_against({name: True}, in_liquid=True) is None


@pytest.mark.parametrize("name", ["charge", "total_charge", "system_charge", "net_charge"])
def test_every_name_of_a_charge_counts_in_a_liquid_alone(name: str) -> None:
    refused = said_against({name: 2}, in_liquid=True)
    assert refused is not None and refused.reason == "not_neutral"
    assert said_against({name: 2}, in_liquid=False) is None
