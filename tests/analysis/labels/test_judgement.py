"""A frame that cannot be used costs itself, and its row says what would be right."""

import re
from collections.abc import Callable

import numpy as np
import polars as pl
import pytest
from ase import Atoms
from foreign_labels import Run, shown, text_of, with_stress

from ionmelt.frame import FORCES_KEY


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
    "kind": (lambda t: t.replace('pbc="T T T"', 'pbc="T T T" kind=train'), "identity", "it must be eq or neq"),
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
