"""CP2K's words are read as it means them, and whatever happens to its files, what is read is true or nothing."""

import re

import numpy as np
import pytest
from ase.units import GPa, bar
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from recorded_cp2k import LIF, UNCONVERGED

from ionmelt.labels.engines.cp2k_output import failure, force_table, scf_steps, stress_tensor, total_energy

# CP2K's words: 2023.1 and 2025.1.
FORCES_2023 = """\
 ATOMIC FORCES in [a.u.]

 # Atom   Kind   Element          X                  Y                  Z
      1      1      Li          0.007771236877     0.010511390578     0.008085266764
      2      2      B           0.033263630859     0.014526662179    -0.013243069773
 SUM OF ATOMIC FORCES           0.041034867736     0.025038052757    -0.005157803009     0.048346850000
"""
FORCES_2025 = """\
 FORCES| Atomic forces [hartree/bohr]
 FORCES| Atom x                   y                   z                   |f|
 FORCES|    1  7.771236877E-03  1.051139057E-02  8.085266764E-03  1.537E-02
 FORCES|    2  3.326363085E-02  1.452666217E-02 -1.324306977E-02  3.863E-02
 FORCES| Sum   4.103486774E-02  2.503805276E-02 -5.157803006E-03  4.835E-02
"""
STRESS = """\
 STRESS| Analytical stress tensor [{unit}]
 STRESS|                        x                   y                   z
 STRESS|      x       -1.00091280538E+00   6.41531709022E-01   4.28550709533E-01
 STRESS|      y        6.41531709022E-01  -3.98923462933E-01  -3.45705802408E-01
 STRESS|      z        4.28550709533E-01  -3.45705802408E-01  -3.14772373914E-01
 STRESS| 1/3 Trace                                            -5.71536214077E-01

 STRESS| Eigenvectors and eigenvalues of the analytical stress tensor [{unit}]
 STRESS|      x           0.771746672168      0.523547102592      0.360978538649
"""

# --- Reading ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", [FORCES_2023, FORCES_2025])
def test_forces_are_read(text):
    expected = [[0.007771236877, 0.010511390578, 0.008085266764], [0.033263630859, 0.014526662179, -0.013243069773]]
    assert np.allclose(force_table(text, 2), expected, atol=1e-11)
    with pytest.raises(ValueError, match="2 atoms, not 3"):
        force_table(text, 3)


@pytest.mark.parametrize(("unit", "value"), [("GPa", GPa), ("bar", bar)])
def test_stress_is_read_and_its_sign_turned(unit, value):
    stress = stress_tensor(STRESS.format(unit=unit))
    assert stress[0, 0] == pytest.approx(1.00091280538 * value)
    assert stress[1, 2] == pytest.approx(0.345705802408 * value)
    assert np.array_equal(stress, stress.T)


def test_convergence_is_what_cp2k_says():
    assert failure(0, LIF["out"], "") is None
    assert scf_steps(LIF["out"]) == 40
    assert total_energy(LIF["out"], 2) == -31.744422864602861
    assert failure(0, UNCONVERGED, "") == "scf_not_converged"
    with pytest.raises(ValueError, match="holds 0 total energies"):
        total_energy("", 2)


def test_a_stress_with_a_row_missing_is_not_filled_from_the_eigenvectors() -> None:
    lines = STRESS.format(unit="GPa").splitlines(keepends=True)
    for missing in range(2, 5):
        with pytest.raises(ValueError, match="not complete"):
            stress_tensor("".join(lines[:missing] + lines[missing + 1 :]))


# --- Damage: whatever happens to a file, what is read is true or nothing -------------------------------


@st.composite
def damaged(draw, text: str) -> str:
    """Return a text that was cut, whose lines were moved, doubled or dropped, or whose bits or words changed."""
    for _ in range(draw(st.integers(1, 2))):
        kind = draw(st.sampled_from(["cut", "swap", "double", "drop", "bit", "word"]))
        lines = text.splitlines(keepends=True)
        if not lines:
            return text
        i, j = (draw(st.integers(0, len(lines) - 1)) for _ in range(2))
        if kind == "cut":
            text = text[: draw(st.integers(0, len(text)))]
        elif kind == "swap":
            lines[i], lines[j] = lines[j], lines[i]
            text = "".join(lines)
        elif kind in ("double", "drop"):
            lines[i : i + 1] = [lines[i], lines[i]] if kind == "double" else []
            text = "".join(lines)
        elif kind == "bit" and text:
            at, bit = draw(st.integers(0, len(text) - 1)), draw(st.integers(0, 7))
            text = text[:at] + chr((ord(text[at]) ^ (1 << bit)) & 0xFF) + text[at + 1 :]
        elif words := list(re.finditer(r"-?\d+\.\d+\S*", text)):
            word = words[draw(st.integers(0, len(words) - 1))]
            other = draw(st.sampled_from(["NaN", "Infinity", "*" * len(word[0]), "", word[0][:-3], "1.0E+00", "1_0.5"]))
            text = text[: word.start()] + other + text[word.end() :]
    return text


def read_or_refused(read, text: str):
    """Return what is read from a text; None where it is refused as it should be."""
    try:
        return read(text)
    except ValueError:
        return None


@settings(max_examples=examples(1500))
@given(damaged(LIF["forces"]))
def test_damaged_forces_are_refused_or_true(text):
    forces = read_or_refused(lambda damaged: force_table(damaged, 2), text)
    assert forces is None or np.allclose(forces, force_table(LIF["forces"], 2), rtol=0, atol=5e-12)


@settings(max_examples=examples(1500))
@given(damaged(FORCES_2025))
def test_damaged_forces_of_the_new_layout_are_refused_or_true(text):
    forces = read_or_refused(lambda damaged: force_table(damaged, 2), text)
    assert forces is None or np.allclose(forces, force_table(FORCES_2025, 2), rtol=0, atol=1e-10)


@settings(max_examples=examples(1500))
@given(damaged(LIF["stress"]))
def test_a_damaged_stress_is_refused_or_true(text):
    stress = read_or_refused(stress_tensor, text)
    assert stress is None or np.allclose(stress, stress_tensor(LIF["stress"]), rtol=0, atol=1e-10 * GPa)


@settings(max_examples=examples(1500))
@given(damaged(LIF["out"]))
def test_a_damaged_output_gives_the_true_energy_or_none(text):
    energy = None if failure(0, text, "") else read_or_refused(lambda damaged: total_energy(damaged, 2), text)
    assert energy is None or energy == pytest.approx(-31.744422864602861, abs=4e-7)


@settings(max_examples=examples(1500))
@given(damaged(UNCONVERGED))
def test_a_damaged_output_never_makes_an_scf_converge(text):
    assert failure(0, text, "") is not None
