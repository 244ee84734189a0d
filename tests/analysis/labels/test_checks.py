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
from ionmelt.labels.checks import Checks, Likeness, Pair, pair_of
from ionmelt.labels.foreign.blocks import ForeignFrame


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
    assert bad == sorted(by)  # the fewer; of as many, those that do not begin


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


def doubled(frame: Atoms, by: float = 0.0) -> Atoms:
    """Return a frame and its image beside it as one, with so much more energy (eV) an atom."""
    twice = frame.repeat((2, 1, 1))
    twice.info["REF_energy"] = 2 * frame.info["REF_energy"] + by * len(twice)
    return twice


@pytest.mark.parametrize("by", [0.0, 0.4, 60.0])
def test_levels_are_compared_between_boxes_of_several_sizes(run: Run, frames: list[Atoms], by: float) -> None:
    files = {
        "a.xyz": "".join(map(text_of, frames)),
        "b.xyz": "".join(text_of(doubled(frame, by)) for frame in frames[:8]),
    }
    code, lines, table, _ = run(files, max_failed_fraction=0.4)
    assert code == 0, lines
    assert table is not None
    bad = table.filter(~pl.col("converged"))
    assert bad["reason"].to_list() == (["energy_outlier"] * 8 if by else [])
    assert all(source.startswith("b.xyz") for source in bad["source"])


@pytest.mark.parametrize("later", [0, 1, -1])
def test_forces_of_the_step_before_or_after_are_refused(run: Run, frames: list[Atoms], later: int) -> None:
    texts = []
    for number, frame in enumerate(frames[1:-1], start=1):
        other, mixed = frames[number + later], frame.copy()
        mixed.arrays["REF_forces"], mixed.info["REF_stress"] = other.arrays["REF_forces"], other.info["REF_stress"]
        texts.append(text_of(mixed))
    code, lines, _, _ = run({"a.xyz": "".join(texts)})
    assert (code == 2) == bool(later), lines
    assert any("those of these positions, or of the step before or after?" in line for line in lines) == bool(later)


def test_single_points_in_a_file_each_are_neighbours(run: Run, frames: list[Atoms]) -> None:
    code, lines, _, _ = run({f"{number:02d}.xyz": text_of(frame) for number, frame in enumerate(frames)})
    assert code == 0, lines
    assert any("19 pairs of neighbouring frames: the energy changes by" in line for line in lines)


def test_runs_at_two_volumes_in_one_file_are_judged_by_their_forces() -> None:
    """The cell changes between one pair alone, by so much that the work at either end is far from that between."""
    rng = np.random.default_rng(3)
    pairs = [Pair(i, work, work, 0.0, 0.1 * abs(work), 0.0, 0) for i, work in enumerate(rng.normal(size=40))]
    pairs[20] = Pair(20, 36.0, 0.3, 28.0, 0.1, 20.0, 0)
    likeness = Likeness("LiF", 2, -1.0, 10.0, 1.0)
    names = [f"frame {i}" for i in range(41)]
    checked = work.check_work(Checks(pairs, names, [likeness] * 41))
    assert (checked.errors, checked.jumps, checked.told, checked.told_stress) == ([], {}, True, False)
    pairs[20] = Pair(20, 36.0, 0.3, 28.0, 0.1, 1.0, 0)  # works that agree, and leave 8 eV
    assert list(work.check_work(Checks(pairs, names, [likeness] * 41)).jumps) == list(range(21, 41))


def test_an_energy_an_atom_is_told_from_another_unit() -> None:
    """An atom's share of 12 and Rydberg, 13.6 eV, are near each other: both are named, what is nearer first."""
    assert work.unit_hint(1 / 12, 12).startswith("is it the energy an atom?")
    assert work.unit_hint(1 / 13.6, 12).startswith("is the energy in Ry")
    assert "an atom" not in work.unit_hint(1 / 27.2, 12)


@pytest.mark.parametrize(("field", "unit"), [("forces_unit", "eV/A"), ("stress_unit", "eV/A^3")])
def test_what_is_smaller_than_in_any_liquid_is_refused_unless_its_unit_is_given(
    run: Run, frames: list[Atoms], field: str, unit: str
) -> None:
    """Of frames that are no neighbours nothing else tells that forces, or a stress, are in atomic units."""
    factor = 1 / 51.4 if field == "forces_unit" else 1 / 2000
    text = "".join(
        text_of(frame, **{field.split("_")[0].replace("forces", "force"): factor}) for frame in far_apart(frames)
    )
    code, lines, _, _ = run({"a.xyz": text})
    assert code == 2
    assert lines[0].startswith(f"error: labels.{field}: "), lines
    assert f"{unit} where that is right" in lines[0]
    code, lines, _, _ = run({"a.xyz": text}, **{field: unit})
    assert code == 0, lines


def test_images_of_a_frame_stay_in_its_group(run: Run, frames: list[Atoms]) -> None:
    again = [text_of(frame, positions=frame.positions + frame.cell.array[0]) for frame in frames]
    code, lines, table, got = run({"a.xyz": "".join(map(text_of, frames)), "b.xyz": "".join(again)})
    assert code == 0, lines
    assert table is not None
    assert table["group"].to_list()[:20] == table["group"].to_list()[20:]
    assert [frame.info["group"] for frame in got] == table["group"].to_list()
    assert any("20 frames have energy, forces and volume of one before them" in line for line in lines)


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


CELL = np.array([[0.0, 9.0, 1.0], [8.0, 0.5, 0.0], [0.0, 0.0, 7.0]])  # of a negative determinant


def foreign(
    scaled: np.ndarray, energy: float, forces: np.ndarray, cell: np.ndarray = CELL, pressure: float | None = None
) -> ForeignFrame:
    """Return a frame of two atoms under a pressure (eV/A^3)."""
    atoms = Atoms("LiF", scaled_positions=scaled, cell=cell, pbc=True)
    return ForeignFrame("x", atoms, energy, forces, None if pressure is None else -pressure * np.eye(3))


def test_the_work_of_forces_is_the_change_of_a_quadratic_energy() -> None:
    """To rounding, since forces at the middle are the mean of both; an atom that leaves on one side comes back on the other."""
    rng = np.random.default_rng(4)
    springs = rng.normal(size=(6, 6))
    springs += springs.T
    places = rng.normal(scale=0.05, size=(2, 6))
    energies = [0.5 * float(x @ springs @ x) for x in places]
    forces = [-(springs @ x).reshape(2, 3) for x in places]
    scaled = [np.array([[0.99, 0.5, 0.5], [0.5, 0.2, 0.0]]) + x.reshape(2, 3) @ np.linalg.inv(CELL) for x in places]
    pair = pair_of(*(foreign(s % 1.0, e, f) for s, e, f in zip(scaled, energies, forces, strict=True)))
    assert pair is not None
    assert (pair.energy, pair.stress, pair.open_stress) == (energies[1] - energies[0], 0.0, 0.0)
    assert pair.forces == pytest.approx(pair.energy, abs=1e-12)
    moved_A = (places[1] - places[0]).reshape(2, 3)
    apart = [abs(float((forces[1] - forces[0])[i] @ moved_A[i])) for i in (0, 1)]
    assert pair.open_forces == pytest.approx(sum(apart))


def test_the_work_of_a_pressure_is_that_of_the_volume() -> None:
    """Of a cell that is stretched along one edge, sheared and turned: -p dV; without a stress nothing is said of it."""
    at, still = np.array([[0.1, 0.2, 0.3], [0.6, 0.7, 0.8]]), np.zeros((2, 3))
    stretched = CELL @ np.array([[1.002, 0.001, 0.0], [-0.002, 1.0, 0.0], [0.0, 0.0, 1.0]])
    growth = abs(np.linalg.det(stretched)) - abs(np.linalg.det(CELL))
    for first, second in ((0.02, 0.02), (0.02, 0.01), (0.01, 0.02)):
        pair = pair_of(foreign(at, 0.0, still, pressure=first), foreign(at, 0.0, still, stretched, second))
        assert pair is not None and pair.forces == 0.0
        assert pair.stress == pytest.approx(-(first + second) / 2 * growth, rel=1e-4)
        assert pair.open_stress == pytest.approx(abs(first - second) * growth, rel=1e-4, abs=1e-12)
    assert pair_of(foreign(at, 0.0, still), foreign(at, 0.0, still, stretched, 0.02)) is None
    alone = pair_of(foreign(at, 0.0, still), foreign(at, 0.0, still, pressure=0.02))
    assert alone is not None and (alone.stress, alone.open_stress) == (0.0, 0.0)


def test_pairs_of_neighbours_form_chains() -> None:
    """Frame 2 is far from its neighbours: 0 - 1, 3 - 4 - 5 are chains, and root mean squares are of all components."""
    checks, before = Checks(), None
    for scaled_x in (0.0, 0.01, 0.3, 0.01, 0.02, 0.03):
        forces = np.array([[3.0, 0.0, 0.0], [-3.0, 0.0, 0.0]])
        frame = foreign(np.array([[scaled_x, 0.0, 0.0], [0.5, 0.5, 0.5]]), -4.0, forces)
        checks.add(frame, before)
        before = frame
    assert [(pair.first, pair.chain) for pair in checks.pairs] == [(0, 0), (3, 1), (4, 1)]
    like = checks.likenesses[0]
    assert (like.energy_ev, like.n_atoms) == (-2.0, 2)
    assert (like.force_ev_a, like.volume_A3) == pytest.approx((3**0.5, abs(np.linalg.det(CELL)) / 2))
