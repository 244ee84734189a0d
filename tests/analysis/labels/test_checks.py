"""Energies that no work explains, or that are far from those of like frames, are named."""

import re

import numpy as np
import polars as pl
import pytest
from ase import Atoms
from ase.units import Hartree
from effort import examples
from foreign_labels import Run, far_apart, moved, reversed_signs, shifted, shown, text_of
from hypothesis import given, settings
from hypothesis import strategies as st

from ionmelt.labels import work


@pytest.mark.parametrize("index", [0, 9, 19])
def test_one_frame_in_another_state_is_named_and_left_out(run: Run, frames: list[Atoms], index: int) -> None:
    code, lines, table, got = run(shifted(frames, {index: 3.0}))
    assert code == 0, lines
    assert table is not None
    bad = table.filter(~pl.col("converged"))
    assert bad["reason"].to_list() == ["energy_jump"]
    assert bad["source"][0].startswith(f"a.xyz: frame {index} (line ")
    assert "+3 eV off" in bad["detail"][0]
    assert len(got) == 19
    assert not {frame.info["frame_id"] for frame in got} & {bad["frame_id"][0]}
    assert any(re.search(r"the energy changes by (0\.9|1\.0)", line) for line in lines)


@pytest.mark.parametrize("index", [4, 10])
def test_one_frame_switches_no_check_off(run: Run, frames: list[Atoms], index: int) -> None:
    files = shifted(frames, {index: 3.0})
    text = files["a.xyz"]
    code, lines, _, _ = run({"a.xyz": reversed_signs(text)})
    assert code == 2
    assert "is the sign of the forces wrong (gradients)?" in lines[0]
    assert "is compression positive (give stress_sign: compression)?" in lines[1]
    assert re.search(rf"a.xyz: frame {index} \(line \d+\): energy_jump: its energy is \+3 eV off", lines[2]), lines
    code, lines, _, _ = run(
        shown(
            [moved(frame, 3.0 if i == index else 0.0) for i, frame in enumerate(frames)],
            energy=1 / Hartree,
        )
    )
    assert code == 2
    assert "give energy_unit: Ha" in lines[0]


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
    slopes, near = work.robust_slopes(columns, energy)
    np.testing.assert_allclose(slopes, truth, atol=0.02)
    assert not near[bad].any()
